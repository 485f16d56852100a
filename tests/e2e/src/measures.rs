// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long did what take? Numbers out of a timeline, and the line of JSON that the run collects.
//! Pure.

use crate::timeline::{Boot, End, Stage, Timeline};
use serde::Serialize;

/// One number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measure {
    /// What was measured.
    pub what: &'static str,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
}

impl Measure {
    /// A time.
    #[must_use]
    pub const fn secs(what: &'static str, value: f64) -> Self {
        Self { what, value, unit: "s" }
    }
}

/// What one scenario has to say, one line of JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Told<'a> {
    /// Name of the scenario.
    pub scenario: &'a str,
    /// How long it took.
    pub secs: f64,
    /// How many boots it had.
    pub boots: usize,
    /// Its numbers.
    pub measures: Vec<Measure>,
    /// Its picture.
    pub picture: String,
}

/// The numbers in a timeline.
#[must_use]
pub fn measures(timeline: &Timeline) -> Vec<Measure> {
    let mut found = Vec::new();
    let stages = [
        (Stage::Kernel, "power to kernel"),
        (Stage::Initrd, "power to userspace"),
        (Stage::Agent, "power to services"),
        (Stage::Confirmed, "power to confirmed"),
    ];
    for boot in timeline.boots.iter().filter(|boot| boot.powered) {
        for (stage, what) in stages {
            found.extend(boot.after(stage).map(|secs| Measure::secs(what, secs)));
        }
    }
    for (number, boot) in timeline.boots.iter().enumerate().filter(|(_, boot)| boot.end == End::Cut)
    {
        let later = timeline.boots.iter().skip(number + 1);
        let booted = later.filter_map(|next| next.stages.get(&Stage::Agent)).next();
        found.extend(booted.map(|at| Measure::secs("power cut to booted", at - boot.ended_at)));
    }
    found.extend(attempts(&timeline.boots));
    found
}

/// How many boots a trying slot had before another was taken.
fn attempts(boots: &[Boot]) -> Vec<Measure> {
    let reason = |boot: &Boot| boot.selected.as_ref().map(|chosen| chosen.reason.clone());
    let mut found = Vec::new();
    let mut tried = 0_u8;
    for boot in boots {
        match reason(boot).as_deref() {
            Some("trying") => tried = tried.saturating_add(1),
            Some("fallback") if tried > 0 => {
                let (what, unit) = ("attempts before a fallback", "");
                found.push(Measure { what, value: tried.into(), unit });
                tried = 0;
            }
            // A slot that was loaded after another one failed to is told as such once.
            Some("load-failed") => {}
            Some(_) | None => tried = 0,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::tests::story;

    #[test]
    fn a_story_is_measured() {
        let found = measures(&story());
        let value = |what: &str| {
            let hits = found.iter().filter(|one| one.what == what);
            hits.map(|one| one.value).collect::<Vec<_>>()
        };
        assert_eq!(value("power to confirmed"), [22.0]);
        assert_eq!(value("power to kernel").len(), 2);
        assert_eq!(value("attempts before a fallback"), [3.0]);
        assert!(value("power cut to booted").is_empty(), "no boot after the cut came up");
    }
}
