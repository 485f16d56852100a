// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds and runs what this workspace holds.
//!
//! Cargo chooses the features of each dependency by what it is asked to build. For one package alone
//! they are others than for all, and every crate below it is compiled once more: that took the suite
//! eight minutes. So whatever a step runs is chosen out of the whole workspace, with the features
//! that its tests have.

use crate::error::TaskError;
use crate::program::Program;
use serde_json::Value;
use std::path::Path;

/// Chooses features as for tests. There are no examples; naming them brings the features that only
/// tests ask for.
const AS_TESTED: [&str; 3] = ["--quiet", "--workspace", "--examples"];

/// Runs cargo with its output going where ours goes.
pub fn cargo(arguments: &[&str]) -> Result<(), TaskError> {
    Program::new("cargo", arguments).run()
}

/// Builds a program without the optimizer and returns its path.
pub fn debug_program(name: &str) -> Result<String, TaskError> {
    cargo(&[&["build"], &AS_TESTED[..], &["--bin", name]].concat())?;
    built(&format!("debug/{name}"))
}

/// Builds a program without the optimizer and readies it for a run.
pub fn debug_run(name: &str, arguments: &[String]) -> Result<Program, TaskError> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Ok(Program::new(&debug_program(name)?, &arguments))
}

/// Builds the program that is released and returns its path.
pub fn released_atomix() -> Result<String, TaskError> {
    cargo(&["build", "--release", "--quiet", "--package", "atomix"])?;
    built("release/atomix")
}

/// Builds test programs, and returns those of them whose sources are in a directory: name and path,
/// sorted. `which` are Cargo's options that choose them; a name may be that of several crates.
pub fn test_programs(dir: &Path, which: &[&str]) -> Result<Vec<(String, String)>, TaskError> {
    let dir = std::env::current_dir()?.join(dir);
    let form = ["--quiet", "--workspace", "--no-run", "--message-format=json-render-diagnostics"];
    let printed = Program::new("cargo", &[&["test"], &form[..], which].concat()).output()?;
    let mut programs = Vec::new();
    for line in String::from_utf8_lossy(&printed).lines() {
        let message: Value = serde_json::from_str(line)?;
        let is_test = message["profile"]["test"] == true;
        let source = message["target"]["src_path"].as_str().unwrap_or_default();
        let is_wanted = is_test && Path::new(source).starts_with(&dir);
        if let (true, Some(path)) = (is_wanted, message["executable"].as_str()) {
            let name = message["target"]["name"].as_str().unwrap_or_default();
            programs.push((name.to_owned(), path.to_owned()));
        }
    }
    programs.sort();
    Ok(programs)
}

/// What was built, in the build directory that this program comes from.
pub fn built(name: &str) -> Result<String, TaskError> {
    let own = std::env::current_exe()?;
    let builds = own.parent().and_then(Path::parent).unwrap_or_else(|| Path::new("target"));
    Ok(builds.join(name).display().to_string())
}
