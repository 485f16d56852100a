// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is rendered for the services, and what is done about the accounts and units.

use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use storage::tree::{HostTrees, MemoryTrees, Trees};

pub(super) fn lan() -> LanSettings {
    read_settings(
        "lan-settings.json",
        br#"{"gateway_cidr": "10.44.0.1/24", "gateway_ip": "10.44.0.1", "subnet_cidr": "10.44.0.0/24",
             "netmask": "255.255.255.0", "dhcp_start": "10.44.0.10", "dhcp_end": "10.44.0.200",
             "domain": "lab.example", "hostname_pattern": "gateway-{mac}",
             "gateway_aliases": ["gateway", "gw.lab.example"],
             "ntp_servers": ["ntp1.example.com", "192.0.2.123", "time.cloudflare.com."]}"#,
    )
    .unwrap()
}

pub(super) fn zones() -> Zones {
    let named = |name| InterfaceName::parse(name).unwrap();
    Zones { wan: named("eth0"), lan: named("eth1") }
}

fn host(json: &str) -> HostNetwork {
    read_settings("host-network.json", json.as_bytes()).unwrap()
}

fn file<'a>(group: &'a Group, name: &str) -> &'a str {
    let found = group.files.iter().find(|file| file.path.ends_with(name)).unwrap();
    std::str::from_utf8(&found.content).unwrap()
}

#[test]
fn the_lans_files_are_the_references() {
    let mac = MacAddress::parse("02:00:5E:10:00:01\n").unwrap();
    assert_eq!(
        dnsmasq_conf(&lan()),
        "dhcp-range=10.44.0.10,10.44.0.200,255.255.255.0,24h\ndhcp-option=3,10.44.0.1\n\
         dhcp-option=6,10.44.0.1\ndhcp-option=42,10.44.0.1\ndomain=lab.example\nexpand-hosts\n\
         addn-hosts=/etc/atomixos/dnsmasq-hosts\nlocal=/lab.example/\nlog-dhcp\n"
    );
    assert_eq!(
        host_lines(&lan(), Some(&mac)),
        [
            "10.44.0.1 gateway-02005e100001 gateway-02005e100001.lab.example",
            "10.44.0.1 gateway gateway.lab.example",
            "10.44.0.1 gw.lab.example",
        ]
    );
    assert_eq!(
        chrony_conf(&lan()),
        "# Written from the device's configuration; changes are lost.\n\
         server ntp1.example.com iburst\nserver 192.0.2.123 iburst\n\
         server time.cloudflare.com. iburst\nallow 10.44.0.0/24\n"
    );
}

#[test]
fn only_our_lines_of_the_hosts_file_change() {
    let before = "127.0.0.1 localhost\n10.0.0.1 old old.local # ATOMIXOS_LAN_GATEWAY\n::1 ip6\n";
    let after = merge_hosts(before, &["10.44.0.1 gateway".to_owned()]);
    assert_eq!(after, "127.0.0.1 localhost\n::1 ip6\n10.44.0.1 gateway # ATOMIXOS_LAN_GATEWAY\n");
    assert_eq!(merge_hosts(&after, &["10.44.0.1 gateway".to_owned()]), after);
}

#[test]
fn general_servers_are_the_wans_unless_it_has_its_own() {
    let general = host(
        r#"{"dns_servers": ["192.0.2.53", "2001:db8:1::53"], "dns_search_domains": ["example.com"],
            "interfaces": {"eth2": {"mode": "dhcp"}}, "default_gateway": "192.0.2.1"}"#,
    );
    let group = network_group(&general, &lan(), &[]);
    assert_eq!(
        file(&group, "10-wan.network.d/50-atomixos.conf"),
        "[Network]\nDHCP=ipv4\nIPv6AcceptRA=false\nGateway=192.0.2.1\nDNS=192.0.2.53\n\
         DNS=2001:db8:1::53\nDomains=example.com\n\n[DHCPv4]\nUseRoutes=false\nUseDNS=false\n"
    );
    assert_eq!(
        file(&group, "20-lan.network.d/50-atomixos.conf"),
        "[Network]\nAddress=\nAddress=10.44.0.1/24\nDHCP=no\nIPv6AcceptRA=false\n"
    );
    assert_eq!(
        file(&group, "30-atomixos-eth2.network"),
        "[Match]\nName=eth2\n\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=false\n"
    );
    let own = host(
        r#"{"dns_servers": ["192.0.2.53"], "dns_search_domains": [], "interfaces": {"eth0":
            {"mode": "static", "address": "192.0.2.10/24", "dns_servers": ["192.0.2.54"]}}}"#,
    );
    assert_eq!(
        file(&network_group(&own, &lan(), &[]), "10-wan.network.d/50-atomixos.conf"),
        "[Network]\nAddress=\nAddress=192.0.2.10/24\nDHCP=no\nIPv6AcceptRA=false\nDNS=192.0.2.54\n"
    );
}

#[test]
fn interfaces_that_are_not_wanted_any_more_lose_their_file_and_others_keep_theirs() {
    let present = ["30-atomixos-eth2.network", "30-atomixos-eth3.network", "10-wan.network"];
    let present = present.map(std::ffi::OsString::from);
    let wanted = host(
        r#"{"dns_servers": [], "dns_search_domains": [],
            "interfaces": {"eth2": {"mode": "dhcp"}}}"#,
    );
    let group = network_group(&wanted, &lan(), &present);
    assert_eq!(group.obsolete, [Path::new("etc/systemd/network/30-atomixos-eth3.network")]);
}

#[test]
fn nothing_that_begins_another_line_fits_a_setting() {
    let refused = |json: &str| read_settings::<HostNetwork>("host-network.json", json.as_bytes());
    for server in ["fe80::1%x\\nIPv4Forwarding=yes", "fe80::1%eth0", "192.0.2.1\\n", "a"] {
        let json = format!(
            r#"{{"dns_servers": ["{server}"], "dns_search_domains": [], "interfaces": {{}}}}"#
        );
        assert!(refused(&json).is_err(), "{server}");
    }
    for name in ["eth0/../x", "eth", "eth99999999999999999999", "wlan0", "eth0\\n"] {
        let json = format!(
            r#"{{"dns_servers": [], "dns_search_domains": [],
                "interfaces": {{"{name}": {{"mode": "dhcp"}}}}}}"#
        );
        assert!(refused(&json).is_err(), "{name}");
    }
    for name in ["a b", "a\nb", "-a", "a..b", "", "a/b", "*"] {
        assert!(HostName::parse(name).is_none(), "{name:?}");
    }
    for name in ["../x", "Root", "a b", "", "-x", "0a"] {
        assert!(UserName::parse(name).is_none(), "{name:?}");
    }
}

#[test]
fn a_service_that_did_not_reload_is_asked_again() {
    let group = time_group(&lan());
    let first = plan_group(&group, None);
    assert_eq!(first.actions, [Action::TryRestart("chronyd.service")]);
    // The files are there now and the restart failed: no stamp was written.
    assert_eq!(plan_group(&group, None).actions, first.actions);
    assert!(plan_group(&group, Some(&first.stamp)).actions.is_empty());
    assert!(!plan_group(&lan_group(&lan(), None, ""), Some(&first.stamp)).actions.is_empty());
}

#[test]
fn files_are_written_once_and_never_through_a_link() {
    let mut trees = MemoryTrees::default();
    let group = lan_group(&lan(), None, "127.0.0.1 localhost\n");
    assert!(write_files(&mut trees, &group, (0, 0)).unwrap());
    assert!(!write_files(&mut trees, &group, (0, 0)).unwrap());
    let hosts = Path::new("etc/hosts");
    trees.remove(hosts).unwrap();
    trees.link(hosts, Path::new("static/hosts")).unwrap();
    assert!(write_files(&mut trees, &group, (0, 0)).unwrap(), "a link is replaced");
    assert!(
        trees
            .entry(hosts)
            .unwrap()
            .is_some_and(|entry| { matches!(entry.kind, storage::tree::Kind::File(_)) })
    );
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("etc")).unwrap();
    let mut host = HostTrees::open(dir.path()).unwrap();
    assert!(write_files(&mut host, &group, (0, 0)).is_err());
}

#[test]
fn a_firewall_without_a_file_leaves_the_lan_open_and_the_world_out() {
    let present = [
        Rule { handle: 4, comment: Some("ATOMIXOS_LAN_DEFAULT_OPEN".to_owned()) },
        Rule { handle: 5, comment: Some("SSH-WAN-dynamic".to_owned()) },
        Rule { handle: 6, comment: Some("ATOMIXOS_PROVISIONED_INBOUND".to_owned()) },
        Rule { handle: 7, comment: None },
    ];
    let open = "add rule inet filter input iifname \"eth1\" accept comment \
                \"ATOMIXOS_LAN_DEFAULT_OPEN\"\n";
    let gone = "delete rule inet filter input handle 4\ndelete rule inet filter input handle 6\n";
    assert_eq!(render_firewall(None, &zones(), &present), format!("{gone}{open}"));
    assert_eq!(render_firewall(Some(&Firewall::default()), &zones(), &[]), open);
}

pub(super) fn firewall() -> Firewall {
    read_settings(
        "firewall-inbound.json",
        br#"{"wan": {"tcp": [443, 80, 443], "udp": [51820]}, "lan": {"tcp": [1883, 22]}}"#,
    )
    .unwrap()
}

#[test]
fn a_lan_with_a_list_keeps_what_it_needs_and_the_world_gets_what_is_given() {
    assert_eq!(
        render_firewall(Some(&firewall()), &zones(), &[]),
        "add rule inet filter input iifname \"eth0\" tcp dport { 80, 443 } accept comment \
         \"ATOMIXOS_PROVISIONED_INBOUND\"\n\
         add rule inet filter input iifname \"eth0\" udp dport { 51820 } accept comment \
         \"ATOMIXOS_PROVISIONED_INBOUND\"\n\
         add rule inet filter input iifname \"eth1\" tcp dport { 22, 53, 1883, 8080 } accept \
         comment \"ATOMIXOS_PROVISIONED_INBOUND\"\n\
         add rule inet filter input iifname \"eth1\" udp dport { 53, 67, 68, 123 } accept comment \
         \"ATOMIXOS_PROVISIONED_INBOUND\"\n"
    );
    let reserved: Firewall =
        read_settings("firewall-inbound.json", br#"{"wan": {"tcp": [22, 8080]}}"#).unwrap();
    assert!(!render_firewall(Some(&reserved), &zones(), &[]).contains("eth0"));
    assert!(read_settings::<Firewall>("f", br#"{"wan": {"tcp": [0]}}"#).is_err());
    assert!(read_settings::<Firewall>("f", br#"{"wan": {"tcp": [65536]}}"#).is_err());
}

#[test]
fn the_answer_of_nft_is_read_for_handles_and_comments() {
    let answer = br#"{"nftables": [{"metainfo": {"version": "1.1.3"}},
        {"chain": {"family": "inet", "name": "input", "handle": 1}},
        {"rule": {"family": "inet", "handle": 9, "comment": "X", "expr": []}},
        {"rule": {"family": "inet", "handle": 10, "expr": []}}]}"#;
    let rules = parse_chain(answer).unwrap();
    assert_eq!(
        rules,
        [Rule { handle: 9, comment: Some("X".to_owned()) }, Rule { handle: 10, comment: None }]
    );
    assert!(parse_chain(b"Error: No such file").is_err());
}

fn named(names: &[&str]) -> BTreeSet<UserName> {
    names.iter().map(|name| UserName::parse(name).unwrap()).collect()
}

fn accounts(names: &[(&str, &[&str])]) -> BTreeMap<UserName, Account> {
    let account = |groups: &[&str]| Account {
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    };
    let all = names.iter();
    all.map(|(name, groups)| (UserName::parse(name).unwrap(), account(groups))).collect()
}

fn users(json: &str) -> Users {
    read_settings("users.json", json.as_bytes()).unwrap()
}

fn lines(steps: &[UserStep]) -> Vec<String> {
    let line = |step: &UserStep| match step {
        UserStep::Run(words) => words.join(" "),
        UserStep::Remember(names) => {
            let names: Vec<&str> = names.iter().map(UserName::as_str).collect();
            format!("remember {}", names.join(" "))
        }
        UserStep::GiveKey(name) => format!("key {}", name.as_str()),
    };
    steps.iter().map(line).collect()
}

#[test]
fn who_lost_his_account_is_locked_out_first_and_new_ones_are_remembered_before_they_exist() {
    let wanted = users(
        r#"{"ann": {"isAdmin": true, "ssh_key": "k"},
            "bob": {"isAdmin": false, "ssh_key": "", "shell": "sh"}}"#,
    );
    let system = accounts(&[("bob", &["wheel"]), ("eve", &[]), ("root", &[])]);
    let groups = BTreeSet::from(["wheel".to_owned()]);
    let steps =
        plan_users(&wanted, &named(&["bob", "eve", "old"]), &system, &groups, "/bin").unwrap();
    assert_eq!(
        lines(&steps),
        [
            "usermod --lock --expiredate=1 --shell=/sbin/nologin -- eve",
            "remember ann bob eve old",
            "useradd --create-home --shell=/bin/zsh -- ann",
            "usermod --expiredate= --lock -- ann",
            "gpasswd --add ann wheel",
            "key ann",
            "usermod --expiredate= --lock -- bob",
            "gpasswd --delete bob wheel",
            "remember ann bob",
        ]
    );
}

#[test]
fn an_account_of_the_systems_is_refused_before_anything_is_done() {
    let wanted = users(r#"{"sshd": {"isAdmin": false, "ssh_key": ""}}"#);
    let system = accounts(&[("sshd", &[])]);
    let refused = plan_users(&wanted, &named(&[]), &system, &BTreeSet::new(), "/bin");
    assert!(matches!(refused, Err(ApplierError::ForeignAccount { .. })));
    let root = users(r#"{"root": {"isAdmin": true, "ssh_key": "k"}}"#);
    assert!(plan_users(&root, &named(&["root"]), &system, &BTreeSet::new(), "/bin").is_err());
}

pub(super) fn units() -> RuntimeUnits {
    read_settings(
        "quadlet-runtime.json",
        br#"{"app_user": "appsvc", "rootless_network": "pasta", "units": [
            {"name": "web", "filename": "web.container", "service": "web.service", "mode": "rootless"},
            {"name": "own", "filename": "own.build", "service": "own-build.service", "mode": "rootless"},
            {"name": "gw", "filename": "gw.container", "service": "gw.service", "mode": "rootful"},
            {"name": "shop", "filename": "shop.network", "service": "shop-network.service",
             "mode": "rootful"}]}"#,
    )
    .unwrap()
}

pub(super) fn contents() -> BTreeMap<String, Vec<u8>> {
    let all = [
        (
            "web.container",
            "[Container]\nImage=own.build\nNetwork=pasta\nPublishPort=127.0.0.1:18080:80\n",
        ),
        (
            "own.build",
            "[Build]\nImageTag=localhost/own:latest\nSetWorkingDirectory=/data/config/files\n",
        ),
        (
            "gw.container",
            "[Unit]\nDescription=Gateway\n\n[Container]\nImage=r.example/gw:1\nNetwork=host\n\n[Install]\nWantedBy=multi-user.target\n",
        ),
        ("shop.network", "[Network]\nSubnet=10.89.10.0/24\n"),
    ];
    all.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
}

fn unit(mode: UnitMode, name: &str) -> Unit {
    Unit::parse(mode, name).unwrap()
}

#[test]
fn images_are_built_before_what_is_made_of_them_and_stale_services_stop() {
    let old = unit(UnitMode::Rootless, "old.container");
    let ours = BTreeSet::from([old.clone(), unit(UnitMode::Rootful, "gw.container")]);
    let plan = plan_quadlets(&units(), &contents(), &ours, &ours).unwrap();
    assert_eq!(plan.stale, [old]);
    let services: Vec<String> = plan.started.iter().map(Unit::service).collect();
    assert_eq!(
        services,
        ["shop-network.service", "gw.service", "own-build.service", "web.service"]
    );
    let targets = QuadletTargets::of_user(970);
    let web = targets.path(&unit(UnitMode::Rootless, "web.container"));
    assert_eq!(web, Path::new("etc/containers/systemd/users/970/web.container"));
}

#[test]
fn a_unit_that_leads_out_lies_or_belongs_to_the_system_is_refused() {
    for name in
        ["../a.container", "a/b.container", ".container", "a.service", "-a.container", "a b.volume"]
    {
        assert!(Unit::parse(UnitMode::Rootful, name).is_none(), "{name}");
    }
    let present = BTreeSet::from([unit(UnitMode::Rootful, "gw.container")]);
    let refused = plan_quadlets(&units(), &contents(), &BTreeSet::new(), &present);
    assert!(matches!(refused, Err(ApplierError::ForeignUnit { .. })));
    let mut lying = units();
    lying.units[0].service = "nftables.service".to_owned();
    let refused = plan_quadlets(&lying, &contents(), &BTreeSet::new(), &BTreeSet::new());
    assert!(matches!(refused, Err(ApplierError::Unit { .. })));
}

#[test]
fn forwarding_counts_as_on_unless_the_kernel_says_no() {
    assert!(!is_forwarding(Some(b"0\n")));
    for answer in [Some(&b"1\n"[..]), Some(b""), None] {
        assert!(is_forwarding(answer));
    }
}
