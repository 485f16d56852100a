// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must hold for this boot to be healthy? The settings, after validation.
//!
//! ```toml
//! settle_secs = 20        # how long the first passing round may take to come
//! window_secs = 60        # how long everything must then hold
//! interval_secs = 5       # from the start of one round to the start of the next
//! on_failure = "reboot"   # a trying slot only; or "stay"
//!
//! [[probe]]
//! name = "dns"
//! kind = "unit"           # unit, required-units, interface, gateway, command, file, tcp
//! unit = "dnsmasq.service"
//! condition = "active"    # or "ran", "not-failed"; a unit that does not exist fails all of them
//! level = "required"      # or "warning"
//! ```

use crate::fragment::{self, HealthFragment};
use crate::probe::{Level, Probe};
use std::time::Duration;

/// A configuration is small; a larger one is not one.
const MAX_CONFIG_BYTES: usize = 256 * 1024;
/// More probes than this stretch a round beyond the interval for certain.
const MAX_PROBES: usize = 64;
/// A trying slot without a verdict is rebooted after 15 minutes; a verdict that may take longer
/// would never come.
const MAX_TOTAL_SECS: u64 = 14 * 60;

/// When a round happens and how long it must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The first passing round must have come by then.
    pub settle: Duration,
    /// Everything must hold for this long after it.
    pub window: Duration,
    /// From the start of one round to the start of the next.
    pub interval: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            settle: Duration::from_secs(20),
            window: Duration::from_secs(60),
            interval: Duration::from_secs(5),
        }
    }
}

/// What a failed verification does to the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reaction {
    /// Reboot, when the slot is a trying one.
    #[default]
    Reboot,
    /// Only record it.
    Stay,
}

/// Everything the verifier is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthConfig {
    /// When rounds happen.
    pub timing: Timing,
    /// What follows a failure.
    pub reaction: Reaction,
    /// The probes, in the order in which they are asked and reported.
    pub probes: Vec<Probe>,
}

/// One thing wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// The configuration cannot be used; every problem is listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", describe(problems))]
pub struct HealthConfigError {
    /// All problems, by line.
    pub problems: Vec<ConfigProblem>,
}

fn describe(problems: &[ConfigProblem]) -> String {
    problems
        .iter()
        .map(|problem| format!("line {}: {}", problem.line, problem.message))
        .collect::<Vec<_>>()
        .join("; ")
}

impl HealthConfigError {
    /// The way out.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some("correct the health configuration; nothing was probed")
    }
}

impl HealthConfig {
    /// Reads the settings; an empty list of required probes is refused, because it would confirm
    /// anything.
    ///
    /// # Errors
    /// [`HealthConfigError`] with every problem and its line.
    pub fn parse(text: &str) -> Result<Self, HealthConfigError> {
        let at = |line, message: String| ConfigProblem { line, message };
        if text.len() > MAX_CONFIG_BYTES {
            let problems = vec![at(1, format!("longer than {MAX_CONFIG_BYTES} bytes"))];
            return Err(HealthConfigError { problems });
        }
        let fragment: HealthFragment = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| fragment::line_of(text, span.start));
            HealthConfigError { problems: vec![at(line, error.message().to_owned())] }
        })?;
        let mut problems = Vec::new();
        let timing = fragment.timing(text, &mut problems);
        let reaction = fragment.reaction();
        let probes = fragment.probes(text, &mut problems);
        if probes.len() > MAX_PROBES {
            problems.push(at(1, format!("more than {MAX_PROBES} probes")));
        }
        if problems.is_empty() && !probes.iter().any(|probe| probe.level == Level::Required) {
            problems.push(at(1, "no required probe: any boot would be confirmed".to_owned()));
        }
        if timing.settle.saturating_add(timing.window) > Duration::from_secs(MAX_TOTAL_SECS) {
            let message =
                format!("settle_secs and window_secs together are more than {MAX_TOTAL_SECS}");
            problems.push(at(1, message));
        }
        problems.sort_by_key(|problem| problem.line);
        if problems.is_empty() {
            Ok(Self { timing, reaction, probes })
        } else {
            Err(HealthConfigError { problems })
        }
    }
}
