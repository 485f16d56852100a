// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs that read our files judge them. They come by name with `.ci/setup`; without them
//! these tests fail.

use super::tests::{firewall, lan, zones};
use super::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where Debian puts them.
const PLACES: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/bin"];

fn program(name: &str) -> PathBuf {
    let found = PLACES.iter().map(|place| Path::new(place).join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: install what .ci/setup names"))
}

fn judged(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{all}");
    all
}

/// Runs transactions one after the other in a network of its own, so that the machine's stays as it
/// is, and gives the rules that are left. Numbers of rules are the same in each such network.
fn rules_after(transactions: &[&str]) -> Vec<Rule> {
    let dir = tempfile::tempdir().unwrap();
    let nft = program("nft");
    let nft = nft.display();
    let mut script = "set -e\n".to_owned();
    for (number, text) in transactions.iter().enumerate() {
        let file = dir.path().join(number.to_string());
        fs::write(&file, text).unwrap();
        let file = file.display();
        script.push_str(&format!("{nft} -c -f {file}\n{nft} -f {file}\n"));
    }
    script.push_str(&format!("{nft} -j list chain inet filter input\n"));
    let output = Command::new("unshare").args(["-rn", "sh", "-c", &script]).output().unwrap();
    parse_chain(judged(&output).as_bytes()).unwrap()
}

#[test]
fn nft_takes_the_transactions_and_one_takes_the_others_place() {
    let table = "table inet filter {\n chain input {\n type filter hook input priority 0; policy \
                 drop;\n ct state established accept\n iifname \"eth1\" accept comment \
                 \"ATOMIXOS_LAN_DEFAULT_OPEN\"\n }\n}\n";
    let comments = |rules: &[Rule]| -> Vec<String> {
        rules.iter().filter_map(|rule| rule.comment.clone()).collect()
    };
    let before = rules_after(&[table]);
    let listed = render_firewall(Some(&firewall()), &zones(), &before);
    let after = rules_after(&[table, &listed]);
    assert_eq!(after.len(), 5, "{after:?}");
    assert_eq!(comments(&after), ["ATOMIXOS_PROVISIONED_INBOUND"; 4]);
    let open = render_firewall(None, &zones(), &after);
    let last = rules_after(&[table, &listed, &open]);
    assert_eq!(comments(&last), ["ATOMIXOS_LAN_DEFAULT_OPEN"]);
}

#[test]
fn dnsmasq_takes_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lan.conf");
    fs::write(&file, dnsmasq_conf(&lan())).unwrap();
    let mut command = Command::new(program("dnsmasq"));
    let output = command.arg("--test").arg(format!("--conf-file={}", file.display())).output();
    assert!(judged(&output.unwrap()).contains("syntax check OK"));
}

#[test]
fn chronyd_takes_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("chrony.conf");
    fs::write(&file, chrony_conf(&lan())).unwrap();
    let output = Command::new(program("chronyd")).arg("-p").arg("-f").arg(&file).output().unwrap();
    let said = judged(&output);
    for line in ["server ntp1.example.com iburst", "allow 10.44.0.0/24"] {
        assert!(said.contains(line), "{said}");
    }
}
