// SPDX-License-Identifier: MIT OR Apache-2.0
//! What do programs find that know nothing but the description? schemathesis makes requests up from
//! it, on a device without and on one with a configuration: no answer may be 500 or more, and every
//! answer is as described. A client that openapi-python-client makes of it does real work.

use crate::live::{Clock, Live, Plant};
use crate::parts::{own, strangers_python};
use anyhow::{Context as _, Result, bail, ensure};
use e2e::program::Program;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Every run makes the same requests up.
const SEED: &str = "20261122";
/// Requests for each operation and phase; the whole takes half a minute.
const EXAMPLES: &str = "20";
/// What every answer is held against.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance";
/// The least requests of a run; fewer mean that it did not look.
const LEAST: u64 = 300;

struct Rig<'a> {
    python: PathBuf,
    scratch: &'a Path,
    config: String,
}

/// Judges the API.
pub fn judge(scratch: &Path, out: &mut dyn Write) -> Result<()> {
    let key = scratch.join("stranger");
    Program::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).run()?;
    let public = fs::read_to_string(key.with_extension("pub"))?;
    let config = include_str!("../guest/config.toml").replace("ADMIN_KEY", public.trim());
    let rig = Rig { python: strangers_python()?, scratch, config };
    for (name, given, key) in [
        ("without a configuration", None, None),
        ("with a configuration", Some(rig.config.as_str()), Some(key.as_path())),
    ] {
        let begun = Instant::now();
        let live = Live::start(given, Clock::Played, Plant::Nothing)?;
        let said = rig.schemathesis(&live, key, EXAMPLES).run_for(&rig)?;
        let cases = cases(&said)?;
        ensure!(cases >= LEAST, "only {cases} requests: {said}");
        writeln!(out, "  {cases} requests, {name}: {:.1} s", begun.elapsed().as_secs_f64())?;
    }
    teeth(&rig, out)?;
    client(&rig, &key, out)
}

/// A run of schemathesis.
struct Run(Program);

impl Run {
    fn run_for(self, rig: &Rig<'_>) -> Result<String> {
        self.0.current_dir(rig.scratch).output()
    }
}

impl Rig<'_> {
    fn schemathesis(&self, live: &Live, key: Option<&Path>, examples: &str) -> Run {
        let api = format!("http://{}", live.address);
        let mut program = Program::new(&self.python.display().to_string())
            .env("ATOMIX_API", &api)
            .env("SCHEMATHESIS_HOOKS", "signed")
            .env("PYTHONPATH", own(""))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .args(["-m", "schemathesis.cli", "run", "--no-color", "--seed", SEED])
            .args(["--max-examples", examples, "--checks", CHECKS, "--request-timeout", "20"])
            .args(["--generation-database", "none", "--warnings", "off"])
            // Followed to its end, it is no request like the others.
            .args(["--exclude-operation-id", "jobsEvents", "--continue-on-failure"]);
        if let Some(key) = key {
            program = program.env("ATOMIX_KEY", key);
        }
        Run(program.arg(format!("{api}/schema/openapi.json")))
    }
}

/// How many requests were made, by the last lines.
fn cases(said: &str) -> Result<u64> {
    let line = said.lines().rev().find(|line| line.contains("generated"));
    let line = line.with_context(|| format!("no count: {said}"))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.iter().position(|word| word.starts_with("generated")).unwrap_or_default();
    let number = at.checked_sub(1).and_then(|at| words.get(at)).with_context(|| said.to_owned())?;
    number.parse().with_context(|| line.to_owned())
}

/// A breakdown in the pipeline is found.
fn teeth(rig: &Rig<'_>, out: &mut dyn Write) -> Result<()> {
    let live = Live::start(None, Clock::Played, Plant::Breakdown)?;
    let run = rig.schemathesis(&live, None, "2");
    let Err(found) = Run(run.0.args(["--include-operation-id", "configValidate"])).run_for(rig)
    else {
        bail!("a planted breakdown is not found");
    };
    ensure!(format!("{found:#}").contains("Server error"), "{found:#}");
    Ok(writeln!(out, "  a planted breakdown is found")?)
}

/// A client made of the description does real work.
fn client(rig: &Rig<'_>, key: &Path, out: &mut dyn Write) -> Result<()> {
    let begun = Instant::now();
    let description = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let tool = rig.python.with_file_name("openapi-python-client");
    let settings = rig.scratch.join("client.yml");
    // It has no name for TOML.
    fs::write(
        &settings,
        "content_type_overrides:\n  application/toml: text/plain\npost_hooks: []\n",
    )?;
    let python = rig.python.display().to_string();
    Program::new(&python)
        .arg(tool)
        .args(["generate", "--meta", "none", "--fail-on-warning", "--config"])
        .arg(&settings)
        .arg("--path")
        .arg(description)
        .arg("--output-path")
        .arg(rig.scratch.join("atomix_client"))
        .run()?;
    let live = Live::start(None, Clock::Played, Plant::Nothing)?;
    let config = rig.scratch.join("config.toml");
    fs::write(&config, &rig.config)?;
    let said = Program::new(&python)
        .arg(own("client.py"))
        .arg(config)
        .env("ATOMIX_API", format!("http://{}", live.address))
        .env("ATOMIX_KEY", key)
        .env("PYTHONPATH", rig.scratch)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()?;
    writeln!(out, "  {}: {:.1} s", said.trim(), begun.elapsed().as_secs_f64())?;
    Ok(())
}
