// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which files are settings, and which are none.

use super::*;
use crate::policy::{Keep, RebootRule};
use storage::MemoryFiles;

fn poll(text: &str) -> PollSettings {
    match Settings::parse(text.as_bytes()).unwrap().source {
        Source::Poll(poll) => poll,
        Source::Hawkbit(_) => panic!("{text}"),
    }
}

const HAWKBIT: &str = r#""url": "https://h", "target_token_file": "/data/config/hawkbit/t""#;

#[test]
fn a_file_of_the_program_before_us_is_polling_of_the_former_contract() {
    let old = poll("{\n  \"server_url\": \"https://u.example:8443/fleet\"\n}\n");
    assert_eq!(old.server_url, "https://u.example:8443/fleet");
    assert_eq!(
        (old.metadata, old.interval, old.tls),
        (Metadata::Original, None, TlsFiles::default())
    );
    let settings = Settings::parse(br#"{"server_url": "https://u"}"#).unwrap();
    assert_eq!(settings.policy, Policy::default());
}

#[test]
fn no_file_is_no_updates_and_a_broken_one_is_an_error() {
    let mut files = MemoryFiles::default();
    assert_eq!(Settings::read(&files).unwrap(), None);
    files.replace(Path::new(SETTINGS_PATH), br#"{"server_url": "https://u"}"#).unwrap();
    assert!(Settings::read(&files).unwrap().is_some());
    for broken in ["", "{", "null", "[]", "{}", "\u{feff}{}", "{\"server_url\": \"https://u\"} x"] {
        files.replace(Path::new(SETTINGS_PATH), broken.as_bytes()).unwrap();
        assert!(Settings::read(&files).is_err(), "{broken:?}");
    }
    let huge = " ".repeat(3 << 20);
    files.replace(Path::new(SETTINGS_PATH), huge.as_bytes()).unwrap();
    assert!(matches!(Settings::read(&files), Err(SettingsError::Files { .. })));
}

#[test]
fn one_agent_runs_and_never_two() {
    for text in [
        format!(r#"{{"server_url": "https://u", "hawkbit": {{{HAWKBIT}}}}}"#),
        format!(
            r#"{{"mode": "poll", "metadata": "signed", "server_url": "https://u", "hawkbit": {{{HAWKBIT}}}}}"#
        ),
        format!(r#"{{"mode": "hawkbit", "server_url": "https://u", "hawkbit": {{{HAWKBIT}}}}}"#),
        format!(r#"{{"mode": "hawkbit", "interval_seconds": 60, "hawkbit": {{{HAWKBIT}}}}}"#),
    ] {
        let error = Settings::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(error, SettingsError::TwoAgents), "{text}: {error:?}");
    }
}

#[test]
fn nothing_is_guessed_where_something_is_said() {
    for (text, key) in [
        (r#"{"server_url": "https://u", "metadata": "signed"}"#, "mode"),
        (r#"{"server_url": "https://u", "policy": {}}"#, "mode"),
        (r#"{"server_url": "https://u", "mode": "poll"}"#, "metadata"),
        (r#"{"mode": "poll", "metadata": "signed"}"#, "server_url"),
        (r#"{"mode": "hawkbit"}"#, "hawkbit"),
        (
            r#"{"server_url": "https://u", "mode": "poll", "metadata": "signed",
                "tls": {"client_cert_file": "/data/config/os-upgrade/c"}}"#,
            "client_key_file",
        ),
    ] {
        let error = Settings::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(error, SettingsError::Missing { key: found } if found == key), "{text}");
    }
    for login in [
        r#""url": "https://h""#.to_owned(),
        format!(r#"{HAWKBIT}, "gateway_token_file": "/data/config/hawkbit/g""#),
    ] {
        let text = format!(r#"{{"mode": "hawkbit", "hawkbit": {{{login}}}}}"#);
        let error = Settings::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(error, SettingsError::Login), "{text}: {error:?}");
    }
}

/// Whoever could write the file could still not turn a value into another request or path.
#[test]
fn values_that_are_none_are_refused_and_not_repeated() {
    let with = |key: &str, value: &str| {
        let text = format!(
            r#"{{"server_url": "https://u", "mode": "poll", "metadata": "signed", "{key}": {value}}}"#
        );
        Settings::parse(text.as_bytes())
    };
    assert!(with("report_url", "\"https://r:99/x\"").is_ok());
    for (key, value) in [
        ("report_url", "\"http://r\""),
        ("report_url", "\"https://me:pw@r\""),
        ("report_url", "\"https://r/?q\""),
        ("report_url", "\"https://r/ x\""),
        ("report_url", "\"https://[::1\""),
        ("report_url", "\"https://r:70000\""),
        ("report_url", "\"https:///x\""),
        ("report_url", "null"),
        ("proxy", "\"http://me:pw@p:1\""),
        ("proxy", "\"http://p/x\""),
        ("proxy", "\"socks5://p\""),
        ("interval_seconds", "59"),
        ("interval_seconds", "604801"),
        ("interval_seconds", "60.5"),
        ("mirrors", "[]"),
        ("mirrors", "[\"https://a\", 7]"),
        ("tls", r#"{"ca_file": "/etc/ssl/ca.pem"}"#),
        ("tls", r#"{"ca_file": "/data/config/hawkbit/../users.json"}"#),
        ("tls", r#"{"ca_file": "/data/config/hawkbit"}"#),
        ("tls", r#"{"ca_file": "/data/config/hawkbit/.x"}"#),
        ("tls", r#"{"ca": "x"}"#),
        ("policy", r#"{"windows": [{"from": "01:00", "to": "01:00", "offset": "+00:00"}]}"#),
        ("policy", r#"{"windows": [{"from": "1:00", "to": "02:00", "offset": "+00:00"}]}"#),
        ("policy", r#"{"windows": [{"from": "01:00", "to": "02:00"}]}"#),
        ("policy", r#"{"windows": [{"days": [], "from": "01:00", "to": "02:00", "offset": "Z"}]}"#),
        ("policy", r#"{"before_reboot": ["../sh"]}"#),
        ("policy", r#"{"rate_limit_kib": 7}"#),
        ("policy", r#"{"reboot": "later"}"#),
        ("extra", "1"),
        // A list is no object, although its values could be taken for members in their order.
        ("tls", r#"["/data/config/os-upgrade/c", "/data/config/os-upgrade/k"]"#),
        ("policy", r#"[[], "now"]"#),
        ("policy", r#"{"windows": [[["mon"], "01:00", "02:00", "+00:00"]]}"#),
    ] {
        let error = with(key, value).unwrap_err();
        assert!(matches!(error, SettingsError::Invalid { .. }), "{key} {value}: {error:?}");
        assert!(!storage::chain(&error).contains("pw"), "{error:?}");
    }
    let deep = format!("{{\"policy\": {}{}}}", "[".repeat(1000), "]".repeat(1000));
    assert!(Settings::parse(deep.as_bytes()).is_err());
    for list in [
        r#"["https://u", "poll", "signed"]"#,
        r#"{"mode": "hawkbit", "hawkbit": ["https://h", "t", "d", "/data/config/hawkbit/t"]}"#,
    ] {
        let error = Settings::parse(list.as_bytes()).unwrap_err();
        assert!(matches!(error, SettingsError::Invalid { .. }), "{list}: {error:?}");
    }
    let twice = br#"{"server_url": "https://u", "server_url": "https://v"}"#;
    assert!(Settings::parse(twice).is_err());
}

#[test]
fn hawkbit_has_a_tenant_and_the_policy_its_units() {
    let text = format!(
        r#"{{"mode": "hawkbit", "hawkbit": {{{HAWKBIT}}}, "policy": {{"reboot": "never",
            "rate_limit_kib": 8, "max_update_mib": 2, "keep_bundles": true, "jitter_seconds": 0}}}}"#
    );
    let settings = Settings::parse(text.as_bytes()).unwrap();
    let Source::Hawkbit(hawkbit) = settings.source else { panic!("{text}") };
    assert_eq!(hawkbit.tenant, DEFAULT_TENANT);
    assert_eq!(hawkbit.login, Login::TargetToken("/data/config/hawkbit/t".into()));
    let policy = settings.policy;
    assert_eq!((policy.reboot, policy.keep), (RebootRule::Never, Keep::Bundle));
    assert_eq!(policy.rate, Some(ByteLen::new(8192)));
    assert_eq!(policy.most_update, Some(ByteLen::new(2 << 20)));
    assert_eq!(policy.jitter, Some(Duration::ZERO));
}
