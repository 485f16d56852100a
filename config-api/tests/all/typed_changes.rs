// SPDX-License-Identifier: MIT OR Apache-2.0
//! A typed change alters its part of the file and nothing else.

use config_api::helper::{EditError, apply_change};
use config_api::protocol::{Change, ContainerBody};
use serde_json::{Value, json};

const CONFIG: &str = r#"# The gate of hall 3.
version = 1

# Anna, on call.
[users.admin]
isAdmin = true
ssh_key = "ssh-ed25519 AAAA" # her laptop

[network]
dns_servers = ["1.1.1.1"] # the house's

[network.dnsmasq]
gateway_cidr = "172.20.30.1/24"

[activation]
required = ["web"]

# Shows "😀".
[containers.container.web]
privileged = true
[containers.container.web.Container]
Image = "docker.io/library/caddy:2"
"#;

fn change(value: Value) -> Change {
    serde_json::from_value(value).unwrap()
}

fn edit(value: Value) -> Result<String, EditError> {
    apply_change(CONFIG, &change(value))
}

/// The lines that differ, in the old and in the new text.
fn differing(new: &str) -> (Vec<String>, Vec<String>) {
    let only = |these: &str, those: &str| {
        let lines = these.lines().filter(|line| !those.lines().any(|other| other == *line));
        lines.map(str::to_owned).collect()
    };
    (only(CONFIG, new), only(new, CONFIG))
}

#[test]
fn a_user_is_added_replaced_and_removed() {
    let added = edit(json!({"part": "put-user", "name": "guest", "body": {"isAdmin": false}}));
    let (gone, new) = differing(&added.unwrap());
    assert_eq!(
        (gone, new),
        (vec![], vec!["[users.guest]".to_owned(), "isAdmin = false".to_owned()])
    );
    let body = json!({"isAdmin": true, "ssh_key": "ssh-ed25519 BBBB", "shell": "bash"});
    let replaced = edit(json!({"part": "put-user", "name": "admin", "body": body})).unwrap();
    assert!(replaced.contains("# Anna, on call.\n[users.admin]\nisAdmin = true\n"), "{replaced}");
    assert!(replaced.find("[users.admin]") < replaced.find("[network]"), "it keeps its place");
    let removed = edit(json!({"part": "delete-user", "name": "admin"})).unwrap();
    assert!(!removed.contains("ssh-ed25519"), "{removed}");
    let missing = edit(json!({"part": "delete-user", "name": "nobody"}));
    assert!(matches!(missing, Err(EditError::Missing { path }) if path == "users.nobody"));
}

#[test]
fn a_patch_merges_tables_replaces_lists_and_removes_by_null() {
    let body = json!({
        "dns_servers": ["9.9.9.9", "8.8.8.8"],
        "dnsmasq": {"domain": "lan", "gateway_cidr": null, "hostname_pattern": null},
        "interfaces": {"eth0": {"mode": "dhcp", "gateway": null}},
    });
    let text = edit(json!({"part": "patch-network", "body": body})).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let expected: toml::Table = r#"
        dns_servers = ["9.9.9.9", "8.8.8.8"]
        dnsmasq = { domain = "lan" }
        interfaces = { eth0 = { mode = "dhcp" } }
    "#
    .parse()
    .unwrap();
    assert_eq!(table["network"].as_table(), Some(&expected));
    assert!(text.contains("# The gate of hall 3.") && text.contains("Shows \"😀\""));
    let all_gone = json!({"dns_servers": null, "dnsmasq": null});
    let text = edit(json!({"part": "patch-network", "body": all_gone})).unwrap();
    assert!(!text.contains("[network]"), "{text}");
}

#[test]
fn the_firewall_is_replaced_as_a_whole() {
    let ports = |wan: Value| json!({"part": "put-firewall", "body": {"inbound": {"wan": wan}}});
    let first = edit(ports(json!({"tcp": [80, 443]}))).unwrap();
    let second = apply_change(&first, &change(ports(json!({"udp": [53]})))).unwrap();
    let table: toml::Table = second.parse().unwrap();
    let expected: toml::Table = "inbound = { wan = { udp = [53] } }".parse().unwrap();
    assert_eq!(table["network"]["firewall"].as_table(), Some(&expected));
}

#[test]
fn a_containers_directives_keep_their_order() {
    let body = json!({"privileged": false, "Container": {}});
    let mut body: ContainerBody = serde_json::from_value(body).unwrap();
    // `json!` sorts its keys; what arrives does not.
    let text =
        r#"{"Image": "x", "Exec": "run", "Environment": ["A=1", "B=2"], "AutoUpdate": true}"#;
    body.container = serde_json::from_str(text).unwrap();
    let body = serde_json::to_string(&body).unwrap();
    let wire = format!(r#"{{"part":"put-container","name":"db","body":{body}}}"#);
    let text = apply_change(CONFIG, &serde_json::from_str(&wire).unwrap()).unwrap();
    let expected = "[containers.container.db.Container]\nImage = \"x\"\nExec = \"run\"\n\
                    Environment = [\"A=1\", \"B=2\"]\nAutoUpdate = true\n";
    assert!(text.contains(expected), "{text}");
    text.parse::<toml::Table>().unwrap();
}

#[test]
fn networks_and_volumes_come_and_go() {
    for (kind, section) in [("network", "Network"), ("volume", "Volume")] {
        let put = json!({
            "part": format!("put-container-{kind}"),
            "name": "data",
            "body": {section: {"Label": "a"}},
        });
        let text = edit(put).unwrap();
        assert!(text.contains(&format!("[containers.{kind}.data.{section}]\nLabel = \"a\"\n")));
        let delete = json!({"part": format!("delete-container-{kind}"), "name": "data"});
        let back = apply_change(&text, &change(delete.clone())).unwrap();
        assert_eq!(back.trim_end(), CONFIG.trim_end());
        assert!(matches!(edit(delete), Err(EditError::Missing { .. })));
    }
}

#[test]
fn inline_tables_are_written_inline() {
    let text = "version = 1\nusers = { admin = { isAdmin = true } }\n";
    let guest = json!({"part": "put-user", "name": "guest", "body": {"isAdmin": false}});
    let admin = json!({"part": "put-user", "name": "admin", "body": {"isAdmin": false}});
    for (put, expected) in [(guest, 2), (admin, 1)] {
        let text = apply_change(text, &change(put)).unwrap();
        let table: toml::Table = text.parse().expect("it is still TOML");
        assert_eq!(table["users"].as_table().unwrap().len(), expected, "{text}");
    }
}

#[test]
fn what_toml_has_no_place_for_is_refused_with_its_key() {
    let patch = |value: Value| {
        let body = json!({"interfaces": {"eth0": {"mtu": value}}});
        match edit(json!({"part": "patch-network", "body": body})) {
            Err(EditError::Invalid(fault)) => fault.path,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(patch(json!(1.5)), "network.interfaces.eth0.mtu");
    assert_eq!(patch(json!(u64::MAX)), "network.interfaces.eth0.mtu");
    assert_eq!(patch(json!([null])), "network.interfaces.eth0.mtu");
    let mut deep = json!(1);
    for _ in 0..20 {
        deep = json!({"a": deep});
    }
    assert!(patch(deep).starts_with("network.interfaces.eth0.mtu.a"));
    let broken = change(json!({"part": "delete-user", "name": "x"}));
    assert!(matches!(apply_change("a = [", &broken), Err(EditError::Unreadable(_))));
    let strange = change(json!({"part": "put-user", "name": "x", "body": {"isAdmin": true}}));
    assert!(matches!(apply_change("users = 1", &strange), Err(EditError::Invalid(_))));
}

#[test]
fn unknown_keys_and_names_that_lead_elsewhere_are_no_change() {
    for value in [
        json!({"part": "put-user", "name": "x", "body": {"isAdmin": true, "uid": 0}}),
        json!({"part": "put-user", "name": "x", "body": {}}),
        json!({"part": "put-user", "name": "a.b", "body": {"isAdmin": true}}),
        json!({"part": "put-user", "name": "", "body": {"isAdmin": true}}),
        json!({"part": "patch-network", "body": {"routes": []}}),
        json!({"part": "put-firewall", "body": {"inbound": {"wan": {"tcp": [65536]}}}}),
        json!({"part": "put-container", "name": "x", "body": {"privileged": true}}),
        json!({"part": "put-container", "name": "x", "body": {
            "privileged": true, "Container": {"Image": [["x"]]}}}),
        json!({"part": "activation"}),
    ] {
        assert!(serde_json::from_value::<Change>(value.clone()).is_err(), "{value}");
    }
    let twice = r#"{"privileged":true,"Container":{"Image":"a","Image":"b"}}"#;
    assert!(serde_json::from_str::<ContainerBody>(twice).is_err());
}
