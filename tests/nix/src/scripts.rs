// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be said of the machines' tests where none can run: each has a line in its page, its script
//! is Python, the units in it are its machines', and the image and the bundles that it is given are
//! made and refused by the program under test with the codes and the words that it waits for.

use crate::stages::{Checker, FLAGS};
use anyhow::{Context as _, Result, ensure};
use e2e::program::Program;
use std::collections::BTreeMap;
use std::fs;

/// The scenarios; fewer mean that some are gone.
const LEAST_SCENARIOS: usize = 14;

/// Names of units in their scripts; fewer mean that this no longer sees them.
const LEAST_UNITS: usize = 20;

/// The page with a table of the scenarios.
const PAGE: &str = "docs/nix-modules.md";

/// What the machines are given.
const GIVEN: &str = "nix build --impure --file tests/nix/signed.nix --argstr program /tools/atomix machines --no-link";

/// Units that no module of this repository declares: NixOS' own, one that a script starts by
/// `systemd-run`, one that a configuration brings.
const OTHERS: [&str; 5] = [
    "dnsmasq.service",
    "nftables.service",
    "played-install.service",
    "shop.service",
    "sshd.service",
];

const KINDS: [&str; 3] = [".service", ".mount", ".timer"];

/// Each test's script, and the units that its machines are configured with.
const ALL: &str = r#"c: builtins.mapAttrs (_: one: {
  script = one.testScript;
  units = builtins.concatMap (machine: with machine.config;
    map (name: "${name}.service") (builtins.attrNames systemd.services)
    ++ map (mount: builtins.replaceStrings [ "/" ] [ "-" ]
      (builtins.substring 1 (-1) mount.where) + ".mount") systemd.mounts
    ++ builtins.attrNames (machine.config.atomixos.units or { })
  ) (builtins.attrValues one.nodes);
}) (builtins.removeAttrs c (builtins.filter (n: !(c.${n} ? testScript)) (builtins.attrNames c)))"#;

#[derive(serde::Deserialize)]
struct Scenario {
    script: String,
    units: Vec<String>,
}

/// Judges all of them.
///
/// # Errors
/// When one is not what it says.
pub fn check(checker: &Checker) -> Result<()> {
    let project = checker.project.path();
    let script = format!("nix eval --json {FLAGS} path:/src#checks.x86_64-linux --apply '{ALL}'");
    let scenarios: BTreeMap<String, Scenario> =
        serde_json::from_str(&checker.nix.run(project, &script)?)?;
    ensure!(scenarios.len() >= LEAST_SCENARIOS, "only {} scenarios", scenarios.len());
    let page = fs::read_to_string(project.join(PAGE))?;
    let (_, table) = page.split_once("| scenario |").context("no table of scenarios")?;
    let told: Vec<&str> = table
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(name, _)| name)
        .collect();
    let names: Vec<&String> = scenarios.keys().collect();
    ensure!(told == names, "{PAGE} has the scenarios {told:?}, not {names:?}");
    let compile = "import sys; compile(sys.argv[1], sys.argv[2], 'exec')";
    let mut seen = 0;
    for (name, one) in &scenarios {
        Program::new("python3").args(["-c", compile, &one.script, name]).run()?;
        for unit in units(&one.script) {
            seen += 1;
            let is_known = one.units.contains(&unit) || OTHERS.contains(&unit.as_str());
            ensure!(is_known, "{name}: no machine has {unit}");
        }
    }
    ensure!(seen >= LEAST_UNITS, "only {seen} units in the scripts");
    checker.nix.run(project, GIVEN).map(drop)
}

/// The units that a script names; an instance by its template.
fn units(script: &str) -> Vec<String> {
    let is_part = |sign: char| sign.is_ascii_alphanumeric() || "@._-".contains(sign);
    script
        .split(|sign| !is_part(sign))
        .filter_map(|word| {
            let kind = KINDS.iter().find(|kind| word.ends_with(*kind))?;
            Some(match word.split_once('@') {
                Some((template, _)) => format!("{template}@{kind}"),
                None => word.to_owned(),
            })
        })
        .collect()
}
