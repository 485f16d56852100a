// SPDX-License-Identifier: MIT OR Apache-2.0
//! What machine is this? Numbers without it cannot be compared.

use crate::Outcome;
use crate::programs;
use crate::report::Report;
use std::path::Path;

/// Cores this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Adds the machine's facts to the report.
pub fn describe(report: &mut Report) -> Outcome<()> {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let of_cpu = |key: &str| -> String {
        let line = cpuinfo.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split(':').nth(1).unwrap_or("unknown").trim().to_owned()
    };
    let flags = of_cpu("flags");
    let sha = if flags.split(' ').any(|flag| flag == "sha_ni") { "with" } else { "without" };
    let load = read("/proc/loadavg");
    report.line(&format!(
        "machine   {} cores, {}, {sha} SHA instructions, Linux {}, load before {}",
        cores(),
        of_cpu("model name"),
        read("/proc/sys/kernel/osrelease").trim(),
        load.split(' ').next().unwrap_or("unknown"),
    ));
    report.line(&format!("openssl   {}", programs::openssl_version()?));
    Ok(())
}
