// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was found, line by line, against its target.

use std::time::Duration;

/// What a number should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// For information only.
    None,
    /// This or less.
    AtMost(f64),
    /// Less than this.
    Below(f64),
}

/// Everything found so far; printed at the end as one page.
#[derive(Default)]
pub struct Report {
    facts: Vec<String>,
    times: Vec<String>,
    verdicts: Vec<String>,
    /// The time that installs are compared with.
    pub reference: Duration,
}

impl Report {
    /// Adds a line about the machine or the method.
    pub fn line(&mut self, text: &str) {
        self.facts.push(text.to_owned());
    }

    /// Adds the spread of repeated timings.
    pub fn times(&mut self, name: &str, walls: &[Duration]) {
        let seconds = |wall: Duration| wall.as_secs_f64();
        let least = walls.iter().min().copied().unwrap_or_default();
        let most = walls.iter().max().copied().unwrap_or_default();
        self.times.push(format!(
            "{name:34} {:9.4} {:9.4} {:9.4}",
            seconds(least),
            seconds(median(walls)),
            seconds(most)
        ));
    }

    /// Adds a number and says whether it meets its target.
    pub fn judge(&mut self, name: &str, found: f64, target: Target) {
        let verdict = |met: bool| if met { "PASS" } else { "over" };
        let (wanted, verdict) = match target {
            Target::None => (String::new(), ""),
            Target::AtMost(limit) => (format!("<= {limit}"), verdict(found <= limit)),
            Target::Below(limit) => (format!("< {limit}"), verdict(found < limit)),
        };
        self.verdicts.push(format!("{name:44} {found:8.3} {wanted:>8} {verdict}"));
    }

    /// Prints the page.
    pub fn print(&self) {
        self.facts.iter().for_each(|line| println!("{line}"));
        println!("\n{:34} {:>9} {:>9} {:>9}", "seconds", "least", "median", "most");
        self.times.iter().for_each(|line| println!("{line}"));
        println!("\n{:44} {:>8} {:>8}", "measure", "found", "target");
        self.verdicts.iter().for_each(|line| println!("{line}"));
    }
}

/// The middle one; of an even number the later of the two.
pub fn median(walls: &[Duration]) -> Duration {
    let mut sorted = walls.to_vec();
    sorted.sort();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
