// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix why`: the last fallback, told from the flight recorder.

use crate::boot_view::BootView;
use crate::commands::bundle::date;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Output, wrap};
use crate::terminal::one_line;
use bootctl::{
    BootState, Entry, Fallback, HealthVerdict, Mark, Record, RecordsLeft, Timestamp, explain,
};
use serde::Serialize;
use std::io::{self, Write};

/// How many entries of the recorder are shown; they and the headline fill one screen.
const SHOWN_ENTRIES: usize = 12;

/// How many characters of an entry are shown; they and the time before them fill one line.
const SHOWN_CHARS: usize = 60;

/// Runs `atomix why`.
///
/// # Errors
/// As `atomix status`.
pub fn run(context: &Context, out: &mut Output) -> Result<(), Failure> {
    let seen = BootView::read(context)?;
    let lost = BootState::lost();
    let explanation = explain(&seen.history, seen.state.as_ref().unwrap_or(&lost));
    let next = seen.state.is_some().then_some(explanation.next);
    let view = WhyView {
        version: 1,
        fallback: explanation.fallback.as_ref().map(FallbackView::new),
        next_slot: next.as_ref().and_then(|next| next.slot).map(|slot| slot.to_string()),
        next_why: next.map_or("the boot state could not be read".to_owned(), |next| next.why),
        history: seen.history.iter().map(EntryView::new).collect(),
    };
    out.warn(&seen.warnings)?;
    seen.conclude(&view, render, out)
}

/// The answer as JSON, version 1.
#[derive(Serialize)]
struct WhyView {
    version: u32,
    fallback: Option<FallbackView>,
    next_slot: Option<String>,
    next_why: String,
    history: Vec<EntryView>,
}

/// The last fallback.
#[derive(Serialize)]
pub struct FallbackView {
    from: String,
    to: String,
    at: Option<String>,
    attempts: u32,
    reached_userspace: u32,
    /// Whether the two numbers are exact; else they are the least that is on record.
    exact: bool,
    #[serde(skip)]
    boots: String,
    bundle_version: Option<String>,
    bundle: Option<String>,
    cause: String,
}

impl FallbackView {
    /// The fallback for programs.
    #[must_use]
    pub fn new(fallback: &Fallback) -> Self {
        Self {
            from: fallback.from.to_string(),
            to: fallback.to.to_string(),
            at: when(fallback.at),
            attempts: fallback.attempts,
            reached_userspace: fallback.reached_userspace,
            exact: fallback.records == RecordsLeft::All,
            boots: fallback.boots(),
            bundle_version: fallback.version.clone(),
            bundle: fallback.bundle.map(|bundle| bundle.to_string()),
            cause: fallback.cause.clone(),
        }
    }
}

#[derive(Serialize)]
struct EntryView {
    sequence: u64,
    at: Option<String>,
    text: String,
}

impl EntryView {
    fn new(record: &Record) -> Self {
        Self { sequence: record.sequence.0, at: when(record.at), text: describe(&record.entry) }
    }
}

/// A recorded time as text, nothing while the clock was not set.
pub fn when(at: Timestamp) -> Option<String> {
    at.unix_secs.and_then(|secs| i64::try_from(secs).ok()).map(date)
}

/// An entry in words.
pub fn describe(entry: &Entry) -> String {
    match entry {
        Entry::FirstBoot { disk } => format!("first boot on disk {disk}"),
        Entry::Booted { slot, reason, attempts } => {
            let plural = if attempts.get() == 1 { "" } else { "s" };
            format!("booted {slot} ({reason}), {attempts} attempt{plural} left")
        }
        Entry::InstallBegan { slot, version, .. } => {
            format!("install of {version} into {slot} began")
        }
        Entry::InstallFinished { slot, version, .. } => format!("installed {version} into {slot}"),
        Entry::InstallFailed { slot, cause } => format!("install into {slot} failed: {cause}"),
        Entry::Verdict { slot, verdict: HealthVerdict::Healthy, .. } => {
            format!("{slot} is healthy")
        }
        Entry::Verdict { slot, verdict: HealthVerdict::Unhealthy, cause } => {
            format!("{slot} is not healthy: {cause}")
        }
        Entry::Marked { slot, mark: Mark::Good } => format!("marked {slot} good"),
        Entry::Marked { slot, mark: Mark::Bad } => format!("marked {slot} bad"),
        Entry::Marked { slot, mark: Mark::Active } => format!("marked {slot} active"),
        Entry::FellBack { from, to, cause } => format!("fell back from {from} to {to}: {cause}"),
        Entry::States(snapshot) => {
            format!("states A {}, B {}", snapshot.a.state, snapshot.b.state)
        }
        Entry::DeadEnd { slot, cause } => format!("{slot} gave up: {cause}"),
    }
}

fn render(to: &mut dyn Write, view: &WhyView) -> io::Result<()> {
    match &view.fallback {
        None => writeln!(to, "no fallback is on record")?,
        Some(fallback) => render_fallback(to, fallback)?,
    }
    wrap(to, "next boot   ", &view.next_why)?;
    writeln!(to, "\nflight recorder, newest last")?;
    // State snapshots are for recovery; between other entries they only repeat them.
    let told: Vec<&EntryView> =
        view.history.iter().filter(|entry| !entry.text.starts_with("states ")).collect();
    if told.is_empty() {
        writeln!(to, "  no entries: it is new, was wiped or cannot be read (atomix doctor)")?;
    }
    let skip = told.len().saturating_sub(SHOWN_ENTRIES);
    for entry in told.into_iter().skip(skip) {
        let at = entry.at.as_deref().and_then(|at| at.get(5..16)).unwrap_or("clock unset");
        writeln!(to, "{:5} {at} {}", entry.sequence, shortened(&one_line(&entry.text)))?;
    }
    Ok(())
}

/// The begin of a text that is too long for one line, marked: `rescue` shows the whole in its logs.
fn shortened(text: &str) -> String {
    if text.chars().count() <= SHOWN_CHARS {
        return text.to_owned();
    }
    let begin: String = text.chars().take(SHOWN_CHARS - 1).collect();
    format!("{}…", begin.trim_end())
}

/// The fallback in a few lines.
///
/// # Errors
/// The writer's.
pub fn render_fallback(to: &mut dyn Write, fallback: &FallbackView) -> io::Result<()> {
    let version = fallback.bundle_version.as_deref();
    let version = version.map_or("unknown version".to_owned(), one_line);
    writeln!(to, "fell back   from slot {} ({version}) to slot {}", fallback.from, fallback.to)?;
    if let Some(at) = &fallback.at {
        writeln!(to, "noticed     {at}")?;
    }
    wrap(to, "after       ", &fallback.boots)?;
    wrap(to, "cause       ", &one_line(&fallback.cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_is_cut_says_so() {
        let whole = "x".repeat(SHOWN_CHARS);
        assert_eq!(shortened(&whole), whole);
        let cut = shortened(&format!("{whole}y"));
        assert_eq!(cut.chars().count(), SHOWN_CHARS);
        assert!(cut.ends_with("x…"), "{cut}");
        let words = shortened(&format!("{} {whole}", "é".repeat(SHOWN_CHARS - 2)));
        assert!(words.ends_with("é…"), "{words}");
    }
}
