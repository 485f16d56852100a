// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is accepted is applied: the device reads each rendered file again with types of its own,
//! and must find nothing in it that it refuses. In the reference the two disagreed, so that a valid
//! file came back by a rollback (B10).

use config_api::activate::ActivationPlan;
use config_api::appliers::{
    Firewall, HostNetwork, LanSettings, RuntimeUnits, Users, plan_quadlets, read_settings,
};
use config_api::auth::AdminSigners;
use config_api::input::Payload;
use config_api::model::{Config, validate};
use config_api::render::render;
use config_api::tree::Tree;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::collections::{BTreeMap, BTreeSet};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIBGoVskIFs63KKKMnX0pH1k1PYTOqw4q2I6LVuMKocG a@b";

fn file(users: &str, network: &str) -> String {
    format!(
        "version = 1\n[users.admin]\nisAdmin = true\nssh_key = \"{KEY}\"\n{users}\n\
         [activation]\nrequired = [\"web\"]\n{network}\n\
         [containers.container.web]\nprivileged = false\n\
         [containers.container.web.Container]\nImage = \"registry.example/web:1\"\n"
    )
}

/// Everything that the device reads of a tree.
fn read_again(config: &Config, tree: &Tree) -> Result<(), String> {
    let bytes = |name: &str| tree.bytes(name).unwrap();
    let failed = |error: &dyn std::error::Error| storage::chain(&error);
    let lan = read_settings::<LanSettings>("lan-settings.json", bytes("lan-settings.json"));
    lan.map_err(|error| failed(&error))?;
    let host = read_settings::<HostNetwork>("host-network.json", bytes("host-network.json"));
    host.map_err(|error| failed(&error))?;
    let ports = read_settings::<Firewall>("firewall-inbound.json", bytes("firewall-inbound.json"));
    ports.map_err(|error| failed(&error))?;
    let users: Users =
        read_settings("users.json", bytes("users.json")).map_err(|error| failed(&error))?;
    assert_eq!(users.len(), config.users.len());
    let units: RuntimeUnits = read_settings("quadlet-runtime.json", bytes("quadlet-runtime.json"))
        .map_err(|error| failed(&error))?;
    let contents: BTreeMap<String, Vec<u8>> = units
        .units
        .iter()
        .map(|unit| (unit.filename.clone(), bytes(&format!("quadlet/{}", unit.filename)).to_vec()))
        .collect();
    plan_quadlets(&units, &contents, &BTreeSet::new(), &BTreeSet::new())
        .map_err(|error| failed(&error))?;
    ActivationPlan::parse(bytes("activation-policy.json"), bytes("quadlet-runtime.json"))
        .map_err(|error| failed(&error))?;
    let signers = AdminSigners::parse(std::str::from_utf8(bytes("admin-signers")).unwrap());
    let found = config.admin_keys().filter(|key| signers.find(key.blob()).is_some()).count();
    if found == config.admin_keys().count() && signers.skipped().is_empty() {
        return Ok(());
    }
    Err(format!("an administrator is none: {:?}", signers.skipped()))
}

/// Whether the text was valid.
fn judge(text: &str) -> bool {
    let Ok(checked) = validate(text.as_bytes()) else { return false };
    let tree = render(&checked.config, text.as_bytes(), &Payload::default(), "/data/config");
    read_again(&checked.config, &tree).unwrap_or_else(|problem| panic!("{problem}\n{text}"));
    true
}

#[test]
fn every_fixture_that_is_accepted_is_read_again() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let inputs = std::fs::read_dir(root).unwrap().map(|dir| dir.unwrap().path().join("input.toml"));
    let texts = inputs.filter_map(|path| std::fs::read_to_string(path).ok());
    assert!(texts.filter(|text| judge(text)).count() > 20);
}

#[test]
fn odd_spellings_are_the_same_to_both() {
    let name = "a".repeat(63);
    let longest = [name.as_str(); 4].join(".");
    let longest = longest.get(..253).unwrap();
    for network in [
        "[network.ntp]\nservers = [\"time.example.\", \"Time.Example..\", \"::FFFF:1.2.3.4\"]",
        "[network.dnsmasq]\nhostname_pattern = \"Till-{mac}.Shop..\"",
        "[network.dnsmasq]\nhostname_pattern = \"{mac}{mac}\"\ndomain = \"Shop.Example..\"",
        &format!("[network.dnsmasq]\ndomain = \"{longest}.\"\ngateway_aliases = [\"{longest}\"]"),
        "[network.dnsmasq]\ngateway_cidr = \"172.20.30.1/0.0.0.255\"",
        "[network]\ndns_servers = [\"::ffff:1.2.3.4\", \"64:ff9b::1.2.3.4\"]",
        "[network.interfaces.eth012345678901]\nmode = \"static\"\naddress = \"192.0.2.9\"",
    ] {
        assert!(judge(&file("", network)), "{network}");
    }
    for users in
        ["[users._]", "[users.b9-]\nshell = \"sh\"", "[users.a2345678901234567890123456789012]"]
    {
        assert!(judge(&file(users, "")), "{users}");
    }
}

/// A key that Python takes apart at any white space and OpenSSH at spaces: nobody could log in.
#[test]
fn a_key_is_taken_apart_as_openssh_does() {
    for space in ["\u{2003}", "\u{a0}", "\u{3000}"] {
        let between = KEY.replacen(' ', space, 1);
        assert!(!judge(&file("", "").replace(KEY, &between)), "{space:?}");
        let behind = KEY.replace(" a@b", &format!("{space}a@b"));
        assert!(!judge(&file("", "").replace(KEY, &behind)), "{space:?}");
        let comment = KEY.replace("a@b", &format!("a{space}b"));
        assert!(judge(&file("", "").replace(KEY, &comment)), "{space:?}");
    }
    assert!(judge(&file("", "").replace(KEY, &KEY.replace(' ', "   "))));
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ ]?[a-zA-Z0-9{}.-]{0,12}(\\{mac\\})?[a-z0-9.-]{0,4}",
        "[a-zA-Z][a-zA-Z0-9]{0,8}(-[0-9a-z]{1,3})?(\\.[A-Za-z]{1,4}){0,2}\\.{0,2}"
    ]
}

fn address() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9a-f:.]{2,12}",
        "10\\.0\\.[0-9]{1,3}\\.[0-9]{1,3}(/[0-9]{1,2})?",
        "192\\.0\\.2\\.[1-9](/24)?",
        "::ffff:[0-9]\\.2\\.3\\.4"
    ]
}

#[test]
fn what_is_accepted_is_read_again() {
    let names = proptest::collection::vec(name(), 4);
    let addresses = proptest::collection::vec(address(), 3);
    let ports = proptest::collection::vec(0_u32..70_000, 0..3);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2048) };
    let accepted = std::cell::RefCell::new([0; 6]);
    let case = (names, addresses, ports, 0_usize..6);
    let judged = TestRunner::new(config).run(&case, |(names, addresses, ports, which)| {
        let [a, b, c, d] = names.as_slice() else { unreachable!() };
        let [x, y, z] = addresses.as_slice() else { unreachable!() };
        let network = match which {
            0 => format!("[network.ntp]\nservers = [\"{a}\", \"{x}\"]"),
            1 => format!("[network.dnsmasq]\nhostname_pattern = \"{a}\""),
            2 => {
                format!("[network.dnsmasq]\ndomain = \"{b}\"\ngateway_aliases = [\"{c}\", \"{d}\"]")
            }
            3 => format!("[network]\ndns_servers = [\"{x}\"]\ndns_search_domains = [\"{a}\"]"),
            4 => format!(
                "[network.interfaces.eth0]\nmode = \"static\"\naddress = \"{y}\"\ngateway = \"{z}\""
            ),
            _ => format!("[network.firewall.inbound.lan]\ntcp = {ports:?}"),
        };
        accepted.borrow_mut()[which] += u32::from(judge(&file("", &network)));
        Ok(())
    });
    judged.unwrap();
    // Where nothing is accepted, nothing is read again.
    let accepted = accepted.into_inner();
    assert!(accepted.iter().sum::<u32>() >= 100, "{accepted:?}");
    assert!(!accepted.contains(&0), "a kind is never accepted: {accepted:?}");
}
