// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where updates come from: files of the former contract stay what they were, each new key is judged
//! with its place and the way out, one agent runs and never two, and no secret stands in a
//! configuration or in a fault.

use config_api::input::Payload;
use config_api::model::{Checked, Faults, OPERATOR_DIRS, faults_text, validate};
use config_api::promote::OWNED_NAMES;
use config_api::render::render;
use serde_json::{Value, json};

const HEAD: &str = "version = 1\n[users.admin]\nisAdmin = true\nssh_key = \"ssh-ed25519 \
                    AAAAC3NzaC1lZDI1NTE5AAAAIIBGoVskIFs63KKKMnX0pH1k1PYTOqw4q2I6LVuMKocG\"\n\
                    [activation]\nrequired = [\"web\"]\n[containers.container.web]\n\
                    privileged = false\n[containers.container.web.Container]\n\
                    Image = \"x/web:1\"\n";

/// The line of the section's header.
const HEADER_LINE: usize = 11;

fn judge(section: &str) -> Result<Checked, Faults> {
    validate(format!("{HEAD}[os_upgrade]\n{section}").as_bytes())
}

/// The rendered file, as text.
fn rendered(section: &str) -> String {
    let checked = judge(section).unwrap_or_else(|faults| panic!("{section}: {faults:#?}"));
    let tree = render(&checked.config, b"", &Payload::default(), "/data/config");
    String::from_utf8(tree.bytes("os-upgrade.json").unwrap().to_vec()).unwrap()
}

fn value(section: &str) -> Value {
    serde_json::from_str(&rendered(section)).unwrap()
}

/// The faults as `path: problem`.
fn faults(section: &str) -> Vec<String> {
    let faults = judge(section).expect_err(section);
    faults.list().iter().map(|fault| format!("{}: {}", fault.path, fault.problem)).collect()
}

const POLL: &str = "server_url = \"https://u.example\"\nmetadata = \"signed\"\n";
const HAWKBIT: &str = "mode = \"hawkbit\"\n[os_upgrade.hawkbit]\nurl = \"https://h.example\"\n";
const TOKEN: &str = "target_token_file = \"/data/config/hawkbit/token\"\n";

#[test]
fn a_file_of_the_former_contract_gives_the_file_of_the_former_contract() {
    let old = "{\n  \"server_url\": \"https://u.example\"\n}\n";
    assert_eq!(rendered("server_url = \"https://u.example/\""), old);
}

#[test]
fn what_is_said_is_rendered_beside_the_servers_address_and_nothing_else() {
    let said = format!("{POLL}mode = \"poll\"\ninterval = \"90m\"");
    let wanted = "{\n  \"server_url\": \"https://u.example\",\n  \"mode\": \"poll\",\n  \
                  \"metadata\": \"signed\",\n  \"interval_seconds\": 5400\n}\n";
    assert_eq!(rendered(&said), wanted);
    let files = "report_url = \"https://r.example/in/\"\nproxy = \"http://p.example:3128\"\n\
                 mirrors = [\"https://m.example/b\"]\n[os_upgrade.tls]\n\
                 client_cert_file = \"${CONFIG_DIR}/os-upgrade/cert.pem\"\n\
                 client_key_file = \"/data/config/os-upgrade/key.pem\"\n\
                 ca_file = \"/data/config/os-upgrade/ca.pem\"";
    assert_eq!(
        value(&format!("{POLL}{files}")),
        json!({
            "server_url": "https://u.example", "mode": "poll", "metadata": "signed",
            "report_url": "https://r.example/in", "mirrors": ["https://m.example/b"],
            "tls": {
                "client_cert_file": "/data/config/os-upgrade/cert.pem",
                "client_key_file": "/data/config/os-upgrade/key.pem",
                "ca_file": "/data/config/os-upgrade/ca.pem",
            },
            "proxy": "http://p.example:3128",
        })
    );
    let names = "tenant = \"SHOP\"\ntarget_id = \"till:7\"\nconfirm = \"operator\"\n";
    assert_eq!(
        value(&format!("{HAWKBIT}{TOKEN}{names}")),
        json!({ "mode": "hawkbit", "hawkbit": {
            "url": "https://h.example", "tenant": "SHOP", "target_id": "till:7",
            "confirm": "operator",
            "target_token_file": "/data/config/hawkbit/token",
        }})
    );
}

#[test]
fn a_policy_is_rendered_in_numbers_and_plain_words() {
    let policy = "[os_upgrade.policy]\nreboot = \"window\"\nmetered = \"forced-only\"\n\
                  rate_limit_kib = 512\nmax_update_mib = 300\nmax_day_mib = 1000\n\
                  allow_downgrade = false\njitter = \"0s\"\nkeep_bundles = true\n\
                  before_reboot = [\"drain-tills\", \"say\"]\n[[os_upgrade.policy.windows]]\n\
                  days = [\"sat\", \"sun\"]\nfrom = \"22:30\"\nto = \"04:00\"\noffset = \"-03:30\"\n\
                  [[os_upgrade.policy.windows]]\nfrom = \"12:00\"\nto = \"13:00\"";
    assert_eq!(
        value(&format!("{POLL}{policy}"))["policy"],
        json!({
            "windows": [
                { "days": ["sat", "sun"], "from": "22:30", "to": "04:00", "offset": "-03:30" },
                { "from": "12:00", "to": "13:00", "offset": "+00:00" },
            ],
            "reboot": "window", "metered": "forced-only", "rate_limit_kib": 512,
            "max_update_mib": 300, "max_day_mib": 1000, "allow_downgrade": false,
            "jitter_seconds": 0, "keep_bundles": true, "before_reboot": ["drain-tills", "say"],
        })
    );
}

#[test]
fn one_agent_runs_and_never_two() {
    let found = faults(&format!("server_url = \"https://u.example\"\n{HAWKBIT}{TOKEN}"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("os_upgrade.server_url: is a key of polling"), "{found:?}");
    assert!(found[0].contains("one agent runs on a device"), "{found:?}");
    let beside = HAWKBIT.replace("mode = \"hawkbit\"\n", POLL);
    let found = faults(&format!("{beside}{TOKEN}"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("os_upgrade.hawkbit: stands beside polling"), "{found:?}");
    let found = faults(&HAWKBIT.replace("mode = \"hawkbit\"\n", ""));
    assert!(found.iter().any(|fault| fault.contains("stands beside polling")), "{found:?}");
    assert_eq!(faults("mode = \"hawkbit\""), ["os_upgrade.hawkbit: is missing"]);
    assert_eq!(
        faults("mode = \"poll\"\nmetadata = \"signed\""),
        ["os_upgrade.server_url: is missing"]
    );
    let found = faults("server_url = \"https://u\"\nmode = \"pull\"");
    assert_eq!(found, ["os_upgrade.mode: is unknown: \"pull\""]);
    let other = "report_url = \"https://r\"\n";
    assert!(faults(&format!("{other}{HAWKBIT}{TOKEN}"))[0].contains("key of polling"));
}

/// A key that is added to an old file must not change what the server is believed to speak.
#[test]
fn beside_new_keys_it_is_said_what_the_server_speaks() {
    for key in ["interval = \"1h\"", "mode = \"poll\"", "[os_upgrade.policy]\nreboot = \"now\""] {
        let found = faults(&format!("server_url = \"https://u.example\"\n{key}"));
        assert_eq!(found, ["os_upgrade.metadata: is missing"], "{key}");
        assert!(judge(&format!("{POLL}{key}")).is_ok(), "{key}");
    }
}

#[test]
fn a_device_logs_in_in_one_way() {
    let one = |lines: &str| faults(&format!("{HAWKBIT}{lines}"));
    assert_eq!(one(""), ["os_upgrade.hawkbit: says not how the device logs in"]);
    let gateway = "gateway_token_file = \"/data/config/hawkbit/gateway\"\n";
    let both = one(&format!("{TOKEN}{gateway}"));
    assert_eq!(both, ["os_upgrade.hawkbit: has more than one way to log in"]);
    let half = one("client_cert_file = \"/data/config/hawkbit/cert.pem\"");
    assert_eq!(half, ["os_upgrade.hawkbit.client_key_file: is missing"]);
    let tls = "[os_upgrade.tls]\nclient_key_file = \"/data/config/os-upgrade/key.pem\"";
    let half = faults(&format!("{POLL}{tls}"));
    assert_eq!(half, ["os_upgrade.tls.client_cert_file: is missing"]);
    assert!(judge(&format!("{HAWKBIT}{gateway}")).is_ok());
    let identity = "client_cert_file = \"/data/config/hawkbit/c.pem\"\n\
                    client_key_file = \"/data/config/hawkbit/k.pem\"";
    assert!(judge(&format!("{HAWKBIT}{identity}")).is_ok());
    for name in ["tenant = \"a/b\"", "target_id = \"..\"", "target_id = \"\"", "tenant = \"a b\""] {
        assert_eq!(one(&format!("{TOKEN}{name}")).len(), 1, "{name}");
    }
}

/// What many may read is no place for a secret, and a fault goes into logs and to the API.
#[test]
fn a_secret_in_the_configuration_is_refused_and_never_repeated() {
    const SECRET: &str = "5up3rs3cret";
    for (lines, path) in [
        (format!("target_token = \"{SECRET}\""), "target_token"),
        (format!("gateway_token = \"{SECRET}\""), "gateway_token"),
        (format!("Password = \"{SECRET}\""), "Password"),
        (format!("client_key = \"-----BEGIN PRIVATE KEY-----{SECRET}\""), "client_key"),
    ] {
        let faults = judge(&format!("{HAWKBIT}{TOKEN}{lines}")).unwrap_err();
        let [fault] = faults.list() else { panic!("{lines}: {faults:?}") };
        assert_eq!(fault.path, format!("os_upgrade.hawkbit.{path}"));
        assert!(fault.problem.contains("is a secret in the configuration"), "{fault:?}");
        assert!(fault.hint.as_ref().unwrap().contains("0600"), "{fault:?}");
        assert!(!format!("{faults:?} {faults}").contains(SECRET));
    }
    for text in [SECRET, "-----BEGIN PRIVATE KEY-----5up3rs3cret"] {
        let faults = judge(&format!("{HAWKBIT}target_token_file = \"{text}\"")).unwrap_err();
        let told = format!("{faults:?} {faults}");
        assert!(
            told.contains("should it be the secret itself") && !told.contains(SECRET),
            "{told}"
        );
    }
    let typed = faults(&format!("{HAWKBIT}{TOKEN}target_token_fil = \"x\""));
    assert_eq!(typed, ["os_upgrade.hawkbit.target_token_fil: is no key of the contract"]);
    let proxy = format!("{POLL}proxy = \"http://me:{SECRET}@p.example\"");
    let faults = judge(&proxy).unwrap_err();
    assert_eq!(faults.list()[0].problem, "has a user or password in it");
    assert!(!format!("{faults:?}").contains(SECRET));
}

/// The account of the containers owns `files/` and mounts it: a token there would be theirs, and an
/// authority there would be whoever they say.
#[test]
fn the_operators_files_lie_where_no_container_has_them() {
    let file = |path: &str| faults(&format!("{HAWKBIT}target_token_file = \"{path}\""));
    for path in ["${FILES_DIR}/token", "${CONFIG_DIR}/files/token", "/data/config/files/token"] {
        let found = file(path);
        assert!(found[0].contains("the account of the containers owns"), "{path}: {found:?}");
    }
    for path in [
        "/etc/shadow",
        "/data/config/hawkbit",
        "/data/config/hawkbit/",
        "/data/config/hawkbit/../users.json",
        "/data/config/hawkbit/./token",
        "/data/config/hawkbit//token",
        "/data/config/hawkbit/.token",
        "/data/config/hawkbit/a/b/c/d",
        "/data/config/hawkbit/a b",
        "/data/config/hawkbit/a\\nb",
        "/data/config/hawkbitten/token",
        "/data/config/openvpn/client.key",
        "/data/config/config.toml",
        "/data/config/generations/gen-1/hawkbit/token",
        "/data/configs/hawkbit/token",
        "$HOME/token",
    ] {
        let found = file(path);
        assert!(found[0].contains("is no file below"), "{path}: {found:?}");
    }
    for dir in OPERATOR_DIRS {
        assert!(!OWNED_NAMES.contains(&dir), "a promotion would replace {dir}");
        assert!(file_is_good(&format!("/data/config/{dir}/a/b/token-1.x_y")), "{dir}");
    }
    // No container without privileges can have them.
    for place in ["/data/config/hawkbit", "/data/config/os-upgrade", "${CONFIG_DIR}/hawkbit"] {
        let mount = format!("Image = \"x/web:1\"\nVolume = \"{place}:/x:ro\"\n");
        let text = HEAD.replace("Image = \"x/web:1\"\n", &mount);
        let faults = validate(text.as_bytes()).unwrap_err();
        assert!(faults.list()[0].path.ends_with("Container.Volume"), "{faults:?}");
    }
}

fn file_is_good(path: &str) -> bool {
    judge(&format!("{HAWKBIT}target_token_file = \"{path}\"")).is_ok()
}

#[test]
fn every_bound_and_word_is_held() {
    let windows = |text: &str| format!("[os_upgrade.policy]\nwindows = [{text}]");
    for (line, path) in [
        ("metadata = \"tuf\"".to_owned(), "metadata"),
        ("interval = \"59s\"".to_owned(), "interval"),
        ("interval = \"8d\"".to_owned(), "interval"),
        ("interval = \"99999999999999999999d\"".to_owned(), "interval"),
        ("interval = \"1 h\"".to_owned(), "interval"),
        ("interval = \"é\"".to_owned(), "interval"),
        ("interval = 3600".to_owned(), "interval"),
        ("report_url = \"http://r.example\"".to_owned(), "report_url"),
        ("report_url = \"https://r.example/é\"".to_owned(), "report_url"),
        ("proxy = \"socks5://p.example\"".to_owned(), "proxy"),
        ("proxy = \"http://p.example:3128/x\"".to_owned(), "proxy"),
        ("mirrors = []".to_owned(), "mirrors"),
        ("mirrors = [\"https://m\", \"http://m\"]".to_owned(), "mirrors[1]"),
        (format!("mirrors = [{}]", "\"https://m\",".repeat(9)), "mirrors"),
        ("[os_upgrade.tls]".to_owned(), "tls"),
        ("[os_upgrade.policy]\nrate_limit_kib = 7".to_owned(), "policy.rate_limit_kib"),
        ("[os_upgrade.policy]\nmax_update_mib = 0".to_owned(), "policy.max_update_mib"),
        ("[os_upgrade.policy]\nmax_day_mib = 1048577".to_owned(), "policy.max_day_mib"),
        ("[os_upgrade.policy]\njitter = \"2d\"".to_owned(), "policy.jitter"),
        ("[os_upgrade.policy]\nreboot = \"later\"".to_owned(), "policy.reboot"),
        ("[os_upgrade.policy]\nmetered = \"yes\"".to_owned(), "policy.metered"),
        ("[os_upgrade.policy]\nallow_downgrade = 1".to_owned(), "policy.allow_downgrade"),
        (
            "[os_upgrade.policy]\nbefore_reboot = [\"rm -rf /\"]".to_owned(),
            "policy.before_reboot[0]",
        ),
        ("[os_upgrade.policy]\nbefore_reboot = [\"../x\"]".to_owned(), "policy.before_reboot[0]"),
        (
            "[os_upgrade.policy]\nbefore_reboot = [\"a\", \"a\"]".to_owned(),
            "policy.before_reboot[1]",
        ),
        (windows(""), "policy.windows"),
        (windows("{ from = \"1:00\", to = \"02:00\" }"), "policy.windows[0].from"),
        (windows("{ from = \"01:00\", to = \"24:00\" }"), "policy.windows[0].to"),
        (windows("{ from = \"01:00\" }"), "policy.windows[0].to"),
        (windows("{ from = \"01:00\", to = \"01:00\" }"), "policy.windows[0]"),
        (
            windows("{ from = \"01:00\", to = \"02:00\", days = [\"mo\"] }"),
            "policy.windows[0].days[0]",
        ),
        (
            windows("{ from = \"01:00\", to = \"02:00\", days = [\"mon\", \"mon\"] }"),
            "policy.windows[0].days[1]",
        ),
        (
            windows("{ from = \"01:00\", to = \"02:00\", offset = \"+14:01\" }"),
            "policy.windows[0].offset",
        ),
    ] {
        // The second of two keys of one name would be a fault of TOML.
        let poll = if line.starts_with("metadata") {
            &POLL[..POLL.find("metadata").unwrap()]
        } else {
            POLL
        };
        let faults = judge(&format!("{poll}{line}")).expect_err(&line);
        let [fault] = faults.list() else { panic!("{line}: {faults:#?}") };
        assert_eq!(fault.path, format!("os_upgrade.{path}"), "{line}");
        assert!(fault.line > HEADER_LINE && fault.column > 0, "{line}: {fault:?}");
    }
    for offset in ["Z", "+14:00", "-12:00", "+05:45"] {
        let window = format!("{{ from = \"23:00\", to = \"00:00\", offset = \"{offset}\" }}");
        assert!(judge(&format!("{POLL}{}", windows(&window))).is_ok(), "{offset}");
    }
}

#[test]
fn all_faults_are_told_at_once_with_their_places() {
    let section = "mode = \"hawkbit\"\ninterval = \"1h\"\nproxy = \"ftp://p\"\n\
                   [os_upgrade.hawkbit]\nurl = \"http://h\"\ntoken = \"x\"\n\
                   ca_file = \"/etc/ca.pem\"\n[os_upgrade.policy]\nreboot = \"widow\"\njiter = \"1h\"";
    let faults = judge(section).unwrap_err();
    let places: Vec<(usize, &str)> =
        faults.list().iter().map(|fault| (fault.line - HEADER_LINE, fault.path.as_str())).collect();
    let wanted = [
        (2, "os_upgrade.interval"),
        (3, "os_upgrade.proxy"),
        (4, "os_upgrade.hawkbit"),
        (5, "os_upgrade.hawkbit.url"),
        (6, "os_upgrade.hawkbit.token"),
        (7, "os_upgrade.hawkbit.ca_file"),
        (9, "os_upgrade.policy.reboot"),
        (10, "os_upgrade.policy.jiter"),
    ];
    assert_eq!(places, wanted);
    let hint = |at: usize| faults.list()[at].hint.clone().unwrap();
    assert_eq!(
        (hint(6), hint(7)),
        ("did you mean window?".to_owned(), "did you mean jitter?".to_owned())
    );
    let text = format!("{HEAD}[os_upgrade]\n{section}");
    let told = faults_text(&faults, "config.toml", text.as_bytes());
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
}

/// The examples of the manual.
#[test]
fn the_examples_are_valid_and_say_what_their_pages_say() {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples");
    for (name, mode) in [("updates-signed", "poll"), ("updates-hawkbit", "hawkbit")] {
        let text = std::fs::read(format!("{docs}/{name}/config.toml")).unwrap();
        let checked = validate(&text).unwrap_or_else(|faults| panic!("{name}: {faults:#?}"));
        let tree = render(&checked.config, &text, &Payload::default(), "/data/config");
        let file: Value = serde_json::from_slice(tree.bytes("os-upgrade.json").unwrap()).unwrap();
        assert_eq!(file["mode"], mode);
    }
}
