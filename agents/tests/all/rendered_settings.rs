// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the config API renders of `[os_upgrade]` is what the agent reads: the two have types of
//! their own, and this is where they must agree, for every configuration that is valid.

use agents::{
    ConfirmRule, Days, Downgrade, HawkbitSettings, Identity, Keep, Login, Metadata, MeteredRule,
    Policy, PollSettings, RebootRule, Settings, Source, TlsFiles, Window,
};
use config_api::input::Payload;
use config_api::model::validate;
use config_api::render::render;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::path::PathBuf;
use std::time::Duration;
use storage::ByteLen;
use time::Weekday;

const HEAD: &str = "version = 1\n[users.admin]\nisAdmin = true\nssh_key = \"ssh-ed25519 \
                    AAAAC3NzaC1lZDI1NTE5AAAAIIBGoVskIFs63KKKMnX0pH1k1PYTOqw4q2I6LVuMKocG\"\n\
                    [activation]\nrequired = [\"web\"]\n[containers.container.web]\n\
                    privileged = false\n[containers.container.web.Container]\n\
                    Image = \"x/web:1\"\n";

/// What the device would have of this text; nothing where it is not valid.
fn read_back(text: &str) -> Option<Settings> {
    let checked = validate(text.as_bytes()).ok()?;
    let tree = render(&checked.config, text.as_bytes(), &Payload::default(), "/data/config");
    let bytes = tree.bytes("os-upgrade.json")?;
    let read = Settings::parse(bytes);
    let shown = String::from_utf8_lossy(bytes);
    Some(read.unwrap_or_else(|error| panic!("{}\n{shown}\n{text}", storage::chain(&error))))
}

/// Lines of a file, and what they are to mean.
#[derive(Clone, Debug)]
struct Case<T> {
    lines: String,
    means: T,
}

fn url() -> impl Strategy<Value = String> {
    let host = select(&["u.example", "192.0.2.7", "[2001:db8::1]", "a-b.c.example"][..]);
    (host, of(1_u16..), "(/[a-zA-Z0-9._~%-]{1,8}){0,3}").prop_map(|(host, port, path)| {
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("https://{host}{port}{path}")
    })
}

/// Also letters that only the former contract's key may have: JSON has them in another form.
fn old_url() -> impl Strategy<Value = String> {
    prop_oneof![
        url(),
        "(/[a-zé\u{1f600}&=@:,\"-]{1,9}){0,3}".prop_map(|path| format!("https://u{path}"))
    ]
}

fn file() -> impl Strategy<Value = String> {
    let dir = select(&["hawkbit", "os-upgrade"][..]);
    (dir, "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,12}(/[a-z0-9][a-z0-9._-]{0,5}){0,2}")
        .prop_map(|(dir, rest)| format!("/data/config/{dir}/{rest}"))
}

fn line<T: std::fmt::Display>(key: &str, value: &Option<T>) -> String {
    value.as_ref().map(|value| format!("{key} = {value}\n")).unwrap_or_default()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn text_line(key: &str, value: &Option<String>) -> String {
    line(key, &value.as_deref().map(quoted))
}

fn list_line(key: &str, values: &[String]) -> String {
    let all: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    line(key, &(!all.is_empty()).then(|| format!("[{}]", all.join(", "))))
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

fn window() -> impl Strategy<Value = Case<Window>> {
    let days = subsequence(DAYS.to_vec(), 0..=7).prop_shuffle();
    (days, 0_u16..1440, 0_u16..1440, -720_i16..=840)
        .prop_filter("has time in it", |(_, from, to, _)| from != to)
        .prop_map(|(days, from, to, offset)| {
            let clock = |minutes: u16| format!("\"{:02}:{:02}\"", minutes / 60, minutes % 60);
            let names: Vec<String> = days.iter().map(|(name, _)| (*name).to_owned()).collect();
            let sign = if offset < 0 { '-' } else { '+' };
            let east = offset.unsigned_abs();
            let lines = format!(
                "[[os_upgrade.policy.windows]]\n{}from = {}\nto = {}\noffset = \"{sign}{:02}:{:02}\"\n",
                list_line("days", &names),
                clock(from),
                clock(to),
                east / 60,
                east % 60
            );
            let days = if days.is_empty() {
                Days::EVERY
            } else {
                Days::of(days.iter().map(|(_, day)| *day))
            };
            Case { lines, means: Window::new(days, from, to, offset).unwrap() }
        })
}

/// The policy and its hooks.
fn policy() -> impl Strategy<Value = Case<(Policy, Vec<String>)>> {
    let reboot =
        [("now", RebootRule::Now), ("window", RebootRule::Window), ("never", RebootRule::Never)];
    let metered = [
        ("allow", MeteredRule::Allow),
        ("defer", MeteredRule::Defer),
        ("forced-only", MeteredRule::ForcedOnly),
    ];
    let rules = (of(select(reboot.to_vec())), of(select(metered.to_vec())));
    let sizes = (of(8_u32..=1 << 20), of(1_u32..=1 << 20), of(1_u32..=1 << 20));
    let others = (of(any::<bool>()), of(0_u32..=86400), of(any::<bool>()));
    let hooks = proptest::collection::btree_set("[a-z0-9][a-z0-9-]{0,9}", 0..4);
    (rules, sizes, others, hooks, vec(window(), 0..4)).prop_map(
        |((reboot, metered), (rate, update, day), (older, jitter, keep), hooks, windows)| {
            let hooks: Vec<String> = hooks.into_iter().collect();
            let word = |rule: Option<&str>| rule.map(str::to_owned);
            let mut lines = "[os_upgrade.policy]\n".to_owned();
            lines += &text_line("reboot", &word(reboot.map(|(word, _)| word)));
            lines += &text_line("metered", &word(metered.map(|(word, _)| word)));
            lines += &line("rate_limit_kib", &rate);
            lines += &line("max_update_mib", &update);
            lines += &line("max_day_mib", &day);
            lines += &line("allow_downgrade", &older);
            lines += &text_line("jitter", &jitter.map(|secs| format!("{secs}s")));
            lines += &line("keep_bundles", &keep);
            lines += &list_line("before_reboot", &hooks);
            lines.extend(windows.iter().map(|window| window.lines.as_str()));
            let bytes = |count: Option<u32>, each: u64| {
                count.map(|count| ByteLen::new(u64::from(count) * each))
            };
            let policy = Policy {
                windows: windows.iter().map(|window| window.means).collect(),
                reboot: reboot.map(|(_, rule)| rule).unwrap_or_default(),
                metered: metered.map(|(_, rule)| rule).unwrap_or_default(),
                most_update: bytes(update, 1 << 20),
                most_day: bytes(day, 1 << 20),
                downgrade: if older == Some(true) {
                    Downgrade::Allowed
                } else {
                    Downgrade::Refused
                },
                rate: bytes(rate, 1 << 10),
                jitter: jitter.map(|secs| Duration::from_secs(u64::from(secs))),
                keep: if keep == Some(true) { Keep::Bundle } else { Keep::Nothing },
            };
            Case { lines, means: (policy, hooks) }
        },
    )
}

fn identity(files: &Option<(String, String)>) -> (String, Option<Identity>) {
    let (cert, key) = files.clone().unzip();
    let lines = text_line("client_cert_file", &cert) + &text_line("client_key_file", &key);
    let files = files.as_ref();
    (lines, files.map(|(cert, key)| Identity { cert: cert.into(), key: key.into() }))
}

fn poll() -> impl Strategy<Value = Case<Source>> {
    let metadata = select(vec![("signed", Metadata::Signed), ("original", Metadata::Original)]);
    let span = (1_u32..=7, select(vec![('d', 86400_u32), ('h', 3600), ('m', 60)]));
    let places = (old_url(), of(url()), vec(url(), 0..4));
    (places, metadata, of(span), of((file(), file())), of(file())).prop_map(
        |((server, report, mirrors), (word, metadata), span, files, ca)| {
            let mut lines = format!("server_url = {}\nmetadata = \"{word}\"\n", quoted(&server));
            lines +=
                &text_line("interval", &span.map(|(count, (unit, _))| format!("{count}{unit}")));
            lines += &text_line("report_url", &report);
            lines += &list_line("mirrors", &mirrors);
            let (own, identity) = identity(&files);
            if identity.is_some() || ca.is_some() {
                lines += &format!("[os_upgrade.tls]\n{own}{}", text_line("ca_file", &ca));
            }
            let interval =
                span.map(|(count, (_, secs))| Duration::from_secs(u64::from(count * secs)));
            let tls = TlsFiles { identity, ca: ca.map(PathBuf::from) };
            let poll = PollSettings {
                server_url: server,
                metadata,
                interval,
                report_url: report,
                mirrors,
                tls,
            };
            Case { lines, means: Source::Poll(poll) }
        },
    )
}

fn hawkbit() -> impl Strategy<Value = Case<Source>> {
    let name = || of("[a-zA-Z0-9][a-zA-Z0-9._:-]{0,20}");
    (url(), name(), name(), 0..6, (file(), file()), of(file())).prop_map(
        |(url, tenant, target_id, way, files, ca)| {
            let (asks, way) = (way > 2, way % 3);
            let (own, login) = match way {
                0 => (
                    text_line("target_token_file", &Some(files.0.clone())),
                    Login::TargetToken(files.0.into()),
                ),
                1 => (
                    text_line("gateway_token_file", &Some(files.0.clone())),
                    Login::GatewayToken(files.0.into()),
                ),
                _ => {
                    let (lines, identity) = identity(&Some(files));
                    (lines, Login::Certificate(identity.unwrap()))
                }
            };
            let lines = format!(
                "mode = \"hawkbit\"\n[os_upgrade.hawkbit]\nurl = \"{url}\"\n{}{}{}{own}{}",
                text_line("tenant", &tenant),
                text_line("target_id", &target_id),
                text_line("confirm", &asks.then(|| "operator".to_owned())),
                text_line("ca_file", &ca)
            );
            let tenant = tenant.unwrap_or_else(|| "DEFAULT".to_owned());
            let ca = ca.map(PathBuf::from);
            let confirm = if asks { ConfirmRule::Operator } else { ConfirmRule::Auto };
            let means =
                Source::Hawkbit(HawkbitSettings { url, tenant, target_id, confirm, login, ca });
            Case { lines, means }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

    #[test]
    fn what_is_rendered_is_read_back_equal(
        source in prop_oneof![poll(), hawkbit()],
        proxy in of(select(vec!["http://p.example:3128", "https://[::1]:80", "http://192.0.2.1"])),
        policy in of(policy()),
    ) {
        let proxy = proxy.map(str::to_owned);
        let allowed = policy.as_ref().map(|policy| policy.lines.as_str()).unwrap_or_default();
        let text = format!(
            "{HEAD}[os_upgrade]\n{}{}{allowed}", text_line("proxy", &proxy), source.lines
        );
        let (policy, before_reboot) = policy.map(|policy| policy.means).unwrap_or_default();
        let wanted = Settings { source: source.means, proxy, policy, before_reboot };
        prop_assert_eq!(read_back(&text), Some(wanted), "{}", text);
    }

    /// A file of the former contract, whatever its address.
    #[test]
    fn an_old_file_is_read_back_equal(url in old_url(), slashes in "/{0,2}") {
        let text = format!("{HEAD}[os_upgrade]\nserver_url = {}\n", quoted(&format!("{url}{slashes}")));
        let Source::Poll(poll) = read_back(&text).expect("it is valid").source else { panic!("{text}") };
        prop_assert_eq!((poll.server_url, poll.metadata), (url, Metadata::Original));
    }

    /// Values that nobody means: what the one accepts the other reads, whatever it is.
    #[test]
    fn whatever_is_accepted_is_read(
        url in "[hH][tT][tT][pP][sS]://[a-zA-Z0-9.:/@%\\[\\]é -]{0,24}",
        file in "(/data/config|\\$\\{CONFIG_DIR\\})/hawkbit/[a-zA-Z0-9./_ -]{0,24}",
        name in "[a-zA-Z0-9._: -]{0,12}",
        span in "[0-9]{1,7}[smhd]",
    ) {
        let rest = format!("[os_upgrade.policy]\nbefore_reboot = [\"{name}\"]\njitter = \"{span}\"");
        let polls = [
            format!("server_url = \"{url}\""),
            format!("metadata = \"signed\"\nserver_url = \"{url}\"\ninterval = \"{span}\""),
            format!("metadata = \"signed\"\nserver_url = \"https://u\"\nreport_url = \"{url}\"\nmirrors = [\"{url}\"]"),
            format!("metadata = \"signed\"\nserver_url = \"https://u\"\n[os_upgrade.tls]\nca_file = \"{file}\""),
            format!("metadata = \"signed\"\nserver_url = \"https://u\"\n{rest}"),
            format!(
                "mode = \"hawkbit\"\n[os_upgrade.hawkbit]\nurl = \"{url}\"\ntenant = \"{name}\"\n\
                 target_id = \"{name}\"\ngateway_token_file = \"{file}\""
            ),
        ];
        for poll in polls {
            let _read = read_back(&format!("{HEAD}[os_upgrade]\n{poll}\n"));
        }
    }
}

#[test]
fn the_fixtures_and_examples_are_read() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let fixtures = std::fs::read_dir(format!("{root}/config-api/tests/fixtures")).unwrap();
    let examples = std::fs::read_dir(format!("{root}/docs/examples")).unwrap();
    let paths = fixtures.map(|dir| dir.unwrap().path().join("input.toml"));
    let paths = paths.chain(examples.map(|dir| dir.unwrap().path().join("config.toml")));
    let texts = paths.filter_map(|path| std::fs::read_to_string(path).ok());
    let read = texts.filter(|text| read_back(text).is_some()).count();
    assert!(read >= 5, "{read}");
}
