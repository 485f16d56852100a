// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does each verb of `nix run .#VERB` call something that is there? Its script is run with what it calls:
//! the program under test and `cargo xtask` are asked for their help, the demonstration runs whole, and
//! what is built must be an output. What only nixpkgs has is parsed.

use crate::project::checkout;
use crate::stages::{Checker, FLAGS};
use anyhow::{Context as _, Result, bail, ensure};
use e2e::program::Program;
use std::collections::BTreeMap;
use std::env;

/// Fewer mean that some are gone.
const LEAST_VERBS: usize = 19;

/// Commands of nixpkgs that no machine of the check has.
const FOREIGN: [&str; 2] = ["cargo deny ", "mdbook "];

/// How a script begins that wants a Debian, and what it says where there is none.
const GUARD: [&str; 2] = ["command -v apt-get ", "run it on a Debian"];

/// Whose script is run as it is: it needs nothing and ends.
const WHOLE: &str = "demo";

/// Runs every verb as far as this machine can.
///
/// # Errors
/// When one calls what is not there.
pub fn check(checker: &Checker) -> Result<()> {
    let listed = "nix eval --json --impure --file tests/nix/verbs.nix";
    let said = checker.nix.run(checker.project.path(), listed)?;
    let verbs: BTreeMap<String, String> = serde_json::from_str(&said)?;
    ensure!(verbs.len() >= LEAST_VERBS, "only {} verbs", verbs.len());
    for (name, text) in &verbs {
        one(checker, name, text).with_context(|| format!("the verb {name}"))?;
    }
    Ok(())
}

fn one(checker: &Checker, name: &str, script: &str) -> Result<()> {
    let inside = |script: &str| checker.nix.run(checker.project.path(), script);
    let quoted = format!("'{}'", script.replace('\'', r"'\''"));
    // What a script hands over in its surroundings is run with it, and is no command.
    let text = without_settings(script);
    if text.starts_with("atomix ") {
        let help = if name == WHOLE { "" } else { "--help" };
        inside(&format!("PATH=/tools:$PATH bash -euo pipefail -c {quoted} {name} {help}"))?;
    } else if text.starts_with("cargo xtask ") {
        ensure!(script.starts_with(GUARD[0]), "it does not ask for a Debian: {script}");
        // No program is found there, as no apt-get is on another machine.
        let refused = inside(&format!("PATH=/nowhere /bin/bash -euo pipefail -c {quoted} {name}"));
        let words = refused.err().map(|failure| format!("{failure:#}")).unwrap_or_default();
        ensure!(words.contains(GUARD[1]), "where there is no Debian it says {words:?}");
        from_the_checkout(name, script)?;
    } else if text.starts_with("nix build ") {
        let outputs: Vec<&str> =
            text.split(' ').filter_map(|word| word.strip_prefix(".#")).collect();
        ensure!(!outputs.is_empty(), "it builds nothing: {text}");
        for output in outputs {
            let path = format!("path:/src#packages.aarch64-linux.{output}.drvPath");
            inside(&format!("nix eval --raw {FLAGS} {path}"))?;
        }
    } else if FOREIGN.iter().any(|known| text.starts_with(known)) {
        inside(&format!("bash -n -c {quoted}"))?;
    } else {
        bail!("nobody knows how to try: {text}");
    }
    Ok(())
}

fn without_settings(mut script: &str) -> &str {
    while script.starts_with("export ") || script.starts_with(GUARD[0]) {
        script = script.split_once('\n').map_or("", |(_, rest)| rest);
    }
    script
}

/// What a maintainer's tool takes is asked of the checkout's, with the cargo that runs this.
fn from_the_checkout(name: &str, text: &str) -> Result<()> {
    let mut bash = Program::new("bash").args(["-euo", "pipefail", "-c", text, name, "--help"]);
    for variable in ["PATH", "CARGO_TARGET_DIR"] {
        if let Some(value) = env::var_os(variable) {
            bash = bash.env(variable, value);
        }
    }
    bash.current_dir(&checkout("")).run()
}
