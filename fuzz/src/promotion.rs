// SPDX-License-Identifier: MIT OR Apache-2.0
//! What lies on `/data` and is read by root: the promotion record, a generation's own files, the
//! audit log; and what nft answers.

use crate::text::lossy;
use config_api::activate::ActivationPlan;
use config_api::appliers::{
    Firewall, HostName, HostNetwork, InterfaceName, LanSettings, MacAddress, RuntimeUnits, Unit,
    UnitMode, UserName, Users, Zones, chrony_conf, dnsmasq_conf, host_lines, merge_hosts,
    network_group, parse_chain, plan_quadlets, plan_users, read_settings, render_firewall,
};
use config_api::audit::{AuditLine, read_audit};
use config_api::promote::{BootId, Generation, Moment, Owners, Record, Store};
use std::collections::{BTreeMap, BTreeSet};
use storage::tree::{MemoryTrees, Meta, Node, TreeImage};

const META: Meta = Meta { mode: 0o600, uid: 0, gid: 0 };

fn tree(files: &[(&str, &[u8])]) -> TreeImage {
    let mut image = TreeImage::new();
    for (path, content) in files {
        let path = std::path::PathBuf::from(path);
        for dir in path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()) {
            image.insert(dir.to_owned(), Node::Dir(META));
        }
        image.insert(path, Node::File(META, (*content).into()));
    }
    image
}

/// The record: what is read is written as the same, and whatever it says, recovering from it does
/// not give the device away and is done once.
pub fn promotion_record(data: &[u8]) {
    if let Ok(record) = Record::parse(data) {
        let bytes = record.encode().expect("it was read");
        assert_eq!(Record::parse(&bytes).expect("it was written"), record);
    }
    if let Some(generation) = Generation::parse(&lossy(data)) {
        assert_eq!(generation.to_string().as_bytes(), data);
    }
    let owners = Owners { root: (0, 0), app_service: (970, 970) };
    let recover = |image: TreeImage| {
        let boot = BootId("b".to_owned());
        Store::recover(Box::new(MemoryTrees::from(image)), owners, &boot, Moment(5))
    };
    let whole = [
        ("config/promotion.json", data),
        ("config/generations/gen-1/config.toml", b"version = 1".as_slice()),
        ("config/generations/gen-2/config.toml", b"version = 1"),
    ];
    if let Ok(found) = recover(tree(&whole)) {
        let image = storage::tree::scan(found.store.trees()).expect("it is in memory");
        let again = recover(image.clone()).expect("it was in order").store;
        assert_eq!(storage::tree::scan(again.trees()).expect("it is in memory"), image);
    }
    // The same bytes as the files that tell how whole an old device's tree is.
    let old = [
        ("config/config.toml", b"version = 1".as_slice()),
        ("config/quadlet-runtime.json", data),
        ("config/users.json", data),
        ("config/managed-users.json", data),
    ];
    let found = recover(tree(&old)).expect("it has a configuration").store;
    assert!(found.state().is_provisioned());
}

/// A generation's files, and nft's answer: nothing that is read begins a line of its own in what
/// is rendered from it.
pub fn applier_settings(data: &[u8]) {
    let text = lossy(data);
    for name in [HostName::parse(&text).map(|name| name.to_string())].into_iter().flatten() {
        assert!(name.is_ascii() && !name.contains(char::is_whitespace));
    }
    let _names = (InterfaceName::parse(&text), UserName::parse(&text), MacAddress::parse(&text));
    let lan = read_settings::<LanSettings>("lan-settings.json", data);
    if let Ok(lan) = &lan {
        let lines = host_lines(lan, None);
        assert!(lines.iter().all(|line| !line.contains('\n')));
        assert_eq!(dnsmasq_conf(lan).lines().count(), 9);
        assert_eq!(chrony_conf(lan).lines().count(), 2 + lan.ntp_servers.len());
        let hosts = merge_hosts(&text, &lines);
        assert_eq!(merge_hosts(&hosts, &lines), hosts);
        let _group = network_group(&HostNetwork::default(), lan, &[]);
    }
    let zone = |name| InterfaceName::parse(name).expect("it is one");
    let zones = Zones { wan: zone("eth0"), lan: zone("eth1") };
    let rules = parse_chain(data).unwrap_or_default();
    let firewall = read_settings::<Firewall>("firewall-inbound.json", data).ok();
    let commands = render_firewall(firewall.as_ref(), &zones, &rules);
    let begins =
        ["add rule inet filter input iifname \"eth", "delete rule inet filter input handle "];
    assert!(commands.lines().all(|line| begins.iter().any(|begin| line.starts_with(begin))));
    if let Ok(users) = read_settings::<Users>("users.json", data) {
        let nobody = BTreeSet::new();
        let _steps = plan_users(&users, &nobody, &BTreeMap::new(), &BTreeSet::new(), "/bin");
    }
    if let Some(unit) = Unit::parse(UnitMode::Rootless, &text) {
        assert_eq!(unit.filename(), text);
        assert!(!text.contains('/'));
    }
    if let Ok(units) = read_settings::<RuntimeUnits>("quadlet-runtime.json", data) {
        let contents = units.units.iter().map(|unit| (unit.filename.clone(), Vec::new())).collect();
        let _plan = plan_quadlets(&units, &contents, &BTreeSet::new(), &BTreeSet::new());
        let policy = br#"{"required": ["web"], "timeout_seconds": 30, "settle_seconds": 2,
            "restart": [], "allow_degraded": [], "allow_degraded_configured": true,
            "strategy": "rollback"}"#;
        let _plan = ActivationPlan::parse(policy, data);
    }
    let _plan = ActivationPlan::parse(data, data);
}

/// The audit log: any bytes are lines that were written or faults that are told.
pub fn audit_log(data: &[u8]) {
    let trees = MemoryTrees::from(tree(&[("atomix/audit/changes-000001.jsonl", data)]));
    let report = read_audit(&trees).expect("it is in memory");
    let lines = data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    assert!(report.lines.len() <= lines && lines <= report.lines.len() + report.faults.len());
    let _line = AuditLine::parse(data);
}
