// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix why`: the last fallback, and what the flight recorder remembers, for people by the
//! screen and for agents by the piece.

use crate::boot_view::{BootView, RecorderView};
use crate::cli::WhyArgs;
use crate::commands::flight_record::{EntryView, describe_decision, when};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Output, wrap};
use crate::terminal::one_line;
use bootctl::{
    BootState, Entry, Fallback, Reason, Record, RecordsLeft, Sequence, SlotId, Try, TryEnd, explain,
};
use serde::Serialize;
use std::io::{self, Write};

/// How many entries of the recorder are shown to people; they and the headline fill one screen.
const SHOWN_ENTRIES: usize = 12;

/// How many records one answer for programs has at most, some 100 KiB; `more` says that there are
/// others.
const ANSWER_ENTRIES: usize = 512;

/// How many characters of an entry are shown; they and the time before them fill one line.
const SHOWN_CHARS: usize = 58;

/// Runs `atomix why`.
///
/// # Errors
/// As `atomix status`.
pub fn run(context: &Context, args: &WhyArgs, out: &mut Output) -> Result<(), Failure> {
    let seen = BootView::read(context)?;
    let lost = BootState::lost();
    let explanation = explain(&seen.history, seen.state.as_ref().unwrap_or(&lost));
    let next = seen.state.is_some().then_some(explanation.next);
    let part = choose(&seen.history, args);
    let view = WhyView {
        version: 1,
        fallback: explanation.fallback.as_ref().map(FallbackView::new),
        next_slot: next.as_ref().and_then(|next| next.slot).map(|slot| slot.to_string()),
        next_why: next.map_or("the boot state could not be read".to_owned(), |next| next.why),
        recorder: seen.recorder.clone(),
        oldest: seen.history.first().map(|record| record.sequence.0),
        newest: seen.history.last().map(|record| record.sequence.0),
        missing: gaps(&seen.history),
        untold: seen.untold.iter().map(|one| describe_decision(&one.decision)).collect(),
        more: part.more,
        history: part.records.iter().map(EntryView::new).collect(),
    };
    out.warn(&seen.warnings)?;
    let newer = newer_fallback(&seen);
    let beside = usize::from(newer.is_some()) + usize::from(seen.recorder.unreadable_blocks > 0);
    let shown = args.last.map_or(SHOWN_ENTRIES - beside, usize::from);
    // What people do not see must not count against what they asked for.
    let records = if args.since.is_some() { part.records } else { seen.history.as_slice() };
    let mut list = List::new(&seen, records, &view.untold, shown);
    match args.since {
        Some(since) if list.older > 0 || part.more => {
            list.lines.push(format!("there are more: atomix why --json --since {since}"));
        }
        None => list.lines.extend(list.rest(shown)),
        Some(_) => {}
    }
    seen.conclude(&view, |to, view| render(to, view, newer.as_deref(), &list), out)
}

/// What the firmware's trail says of a fallback that Linux has not recorded yet. What is recorded is
/// not known where the recorder cannot be read.
pub fn newer_fallback(seen: &BootView) -> Option<String> {
    let mut untold = seen.untold.iter().filter(|_| seen.recorder.readable);
    let fallback = untold.rfind(|one| one.decision.reason == Reason::Fallback)?;
    Some(format!("the firmware fell back to {}; not recorded yet", fallback.decision.slot))
}

/// The records that were asked for.
struct Part<'a> {
    records: &'a [Record],
    /// Whether there are others: newer ones than those after a number, older ones than the last.
    more: bool,
}

/// An agent that names the number it knows goes on from there, oldest first; everybody else wants
/// the newest.
fn choose<'a>(history: &'a [Record], args: &WhyArgs) -> Part<'a> {
    let most = args.last.map_or(ANSWER_ENTRIES, usize::from).min(ANSWER_ENTRIES);
    match args.since {
        Some(since) => {
            let known = history.partition_point(|record| record.sequence <= Sequence(since));
            let new = history.get(known..).unwrap_or_default();
            Part { records: new.get(..most).unwrap_or(new), more: new.len() > most }
        }
        None => {
            let skip = history.len().saturating_sub(most);
            Part { records: history.get(skip..).unwrap_or_default(), more: skip > 0 }
        }
    }
}

/// The answer as JSON, version 1.
#[derive(Serialize)]
struct WhyView {
    version: u32,
    fallback: Option<FallbackView>,
    next_slot: Option<String>,
    next_why: String,
    recorder: RecorderView,
    /// Numbers of the first and the last record there is; a last one below what an agent has seen
    /// means that the recorder began anew.
    oldest: Option<u64>,
    newest: Option<u64>,
    missing: Vec<GapView>,
    /// What the firmware did and Linux has not recorded.
    untold: Vec<String>,
    more: bool,
    history: Vec<EntryView>,
}

/// Numbers between two records that no record has: torn, decayed, of a lost block, or of a kind
/// that this version does not know.
#[derive(Serialize)]
struct GapView {
    first: u64,
    last: u64,
}

fn gaps(history: &[Record]) -> Vec<GapView> {
    let pairs = history.iter().zip(history.iter().skip(1));
    let gap = |(one, next): (&Record, &Record)| {
        let (first, last) = (one.sequence.0.saturating_add(1), next.sequence.0.saturating_sub(1));
        (first <= last).then_some(GapView { first, last })
    };
    // The newest ones tell enough where everything is full of holes.
    let mut gaps: Vec<GapView> = pairs.filter_map(gap).collect();
    let skip = gaps.len().saturating_sub(ANSWER_ENTRIES);
    gaps.drain(..skip);
    gaps
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
    /// The boots by themselves, as far as the firmware's trail goes back.
    tries: Vec<TryView>,
    #[serde(skip)]
    tries_in_words: String,
    bundle_version: Option<String>,
    bundle: Option<String>,
    cause: String,
}

/// One boot of the slot that was left.
#[derive(Serialize)]
struct TryView {
    attempts_left: Option<u8>,
    reason: &'static str,
    end: &'static str,
}

impl FallbackView {
    /// The fallback for programs.
    #[must_use]
    pub fn new(fallback: &Fallback) -> Self {
        let words: Vec<String> = fallback.tries.iter().map(ToString::to_string).collect();
        Self {
            from: fallback.from.to_string(),
            to: fallback.to.to_string(),
            at: when(fallback.at),
            attempts: fallback.attempts,
            reached_userspace: fallback.reached_userspace,
            exact: fallback.records == RecordsLeft::All,
            boots: fallback.boots(),
            tries: fallback.tries.iter().map(TryView::new).collect(),
            tries_in_words: words.join("; "),
            bundle_version: fallback.version.clone(),
            bundle: fallback.bundle.map(|bundle| bundle.to_string()),
            cause: fallback.cause.clone(),
        }
    }
}

impl TryView {
    fn new(one: &Try) -> Self {
        Self {
            attempts_left: one.decision.left.map(bootctl::AttemptsLeft::get),
            reason: one.decision.reason.as_str(),
            end: match one.end {
                TryEnd::NotLoaded => "not-loaded",
                TryEnd::Silent => "silent",
                TryEnd::Died => "died",
                TryEnd::Booted => "booted",
            },
        }
    }
}

/// What people read of the records.
struct List {
    lines: Vec<String>,
    /// How many older ones they could read.
    older: usize,
    /// Whether one of the lines tells of something before the time that it has.
    has_earlier: bool,
    /// Whether one of the lines is cut.
    is_cut: bool,
}

impl List {
    /// What comes after the lines, where something does.
    fn rest(&self, shown: usize) -> Option<String> {
        let more = format!("{} older: atomix why --last {}", self.older, shown + self.older);
        match (self.older, self.is_cut) {
            (0, false) => None,
            (0, true) => Some("what ends in … is whole in: atomix why --json".to_owned()),
            (_, false) => Some(more),
            (_, true) => Some(format!("{more}; what ends in … is whole with --json")),
        }
    }

    /// Newest first: without what only repeats, and with what is not there.
    fn new(seen: &BootView, records: &[Record], untold: &[String], most: usize) -> Self {
        let (all, is_readable) = (seen.history.as_slice(), seen.recorder.readable);
        // What is on record nobody knows where the recorder cannot be read.
        let said = if is_readable { "not on record" } else { "the firmware:" };
        let not_recorded = |text: &String| format!("      {said} {}", shortened(text));
        let lines: Vec<String> = untold.iter().rev().take(most).map(not_recorded).collect();
        let older = untold.len() - lines.len();
        let mut list = Self { lines, older, has_earlier: false, is_cut: false };
        list.add(records, all, most);
        list.is_cut = list.lines.iter().any(|line| line.ends_with('…'));
        list
    }

    fn add(&mut self, records: &[Record], all: &[Record], most: usize) {
        let lines = &mut self.lines;
        let mut above: Option<Sequence> = None;
        for record in records.iter().rev() {
            if lines.len() >= most {
                self.older += usize::from(!is_repeated(record, all));
                continue;
            }
            if let Some(above) = above {
                let missing = above.0.saturating_sub(record.sequence.0).saturating_sub(1);
                if missing > 0 {
                    lines.push(format!(
                        "      {missing} not readable: torn, decayed or of a newer kind"
                    ));
                }
            }
            above = Some(record.sequence);
            if !is_repeated(record, all) {
                let entry = EntryView::new(record);
                let at = entry.at.as_deref().and_then(|at| at.get(5..16)).unwrap_or("clock unset");
                let is_earlier = is_told_later(&record.entry);
                self.has_earlier |= is_earlier;
                let mark = if is_earlier { "<=" } else { "  " };
                let text = shortened(&one_line(&entry.text));
                lines.push(format!("{:5} {mark}{at} {text}", entry.sequence));
            }
        }
        lines.truncate(most);
    }
}

/// What the next Linux recorded of boots before it.
fn is_told_later(entry: &Entry) -> bool {
    matches!(entry, Entry::Chosen(_) | Entry::Died { .. })
}

/// State snapshots are for recovery, and a decision of the firmware that is followed by its boot
/// says nothing more than that.
fn is_repeated(record: &Record, all: &[Record]) -> bool {
    match &record.entry {
        Entry::States(_) | Entry::Known { .. } => true,
        Entry::Chosen(chosen) => {
            let at = all.partition_point(|other| other.sequence <= record.sequence);
            let mut after = all.get(at..).unwrap_or_default().iter();
            let next = after.find_map(|other| next_start(&other.entry));
            next == Some((Start::Booted, chosen.decision.slot))
        }
        Entry::FirstBoot { .. }
        | Entry::Booted { .. }
        | Entry::InstallBegan { .. }
        | Entry::InstallFinished { .. }
        | Entry::InstallFailed { .. }
        | Entry::Verdict { .. }
        | Entry::Marked { .. }
        | Entry::FellBack { .. }
        | Entry::DeadEnd { .. }
        | Entry::Died { .. }
        | Entry::Asked { .. } => false,
    }
}

#[derive(PartialEq, Eq)]
enum Start {
    Chosen,
    Booted,
}

fn next_start(entry: &Entry) -> Option<(Start, SlotId)> {
    match entry {
        Entry::Chosen(chosen) => Some((Start::Chosen, chosen.decision.slot)),
        Entry::Booted { slot, .. } => Some((Start::Booted, *slot)),
        Entry::FirstBoot { .. }
        | Entry::InstallBegan { .. }
        | Entry::InstallFinished { .. }
        | Entry::InstallFailed { .. }
        | Entry::Verdict { .. }
        | Entry::Marked { .. }
        | Entry::FellBack { .. }
        | Entry::States(_)
        | Entry::DeadEnd { .. }
        | Entry::Died { .. }
        | Entry::Known { .. }
        | Entry::Asked { .. } => None,
    }
}

fn render(to: &mut dyn Write, view: &WhyView, newer: Option<&str>, list: &List) -> io::Result<()> {
    match &view.fallback {
        None if !view.recorder.readable => writeln!(to, "last fallback not known")?,
        None => writeln!(to, "no fallback is on record")?,
        Some(fallback) => render_fallback(to, fallback)?,
    }
    if let Some(newer) = newer {
        wrap(to, "newer       ", newer)?;
    }
    wrap(to, "next boot   ", &view.next_why)?;
    match (view.recorder.readable, list.has_earlier) {
        (false, _) => writeln!(
            to,
            "\nthe flight recorder cannot be read: what it remembers is not told here"
        )?,
        (true, false) => writeln!(to, "\nflight recorder, newest first")?,
        (true, true) => {
            writeln!(to, "\nflight recorder, newest first; <= is not later than that")?;
        }
    }
    if view.recorder.readable && view.oldest.is_none() {
        wrap(to, "  ", &why_empty(&view.recorder))?;
    }
    list.lines.iter().try_for_each(|line| writeln!(to, "{line}"))?;
    if view.recorder.unreadable_blocks > 0 {
        writeln!(to, "{} of its blocks cannot be read", view.recorder.unreadable_blocks)?;
    }
    Ok(())
}

/// Why there is no record.
fn why_empty(recorder: &RecorderView) -> String {
    match (recorder.unreadable_blocks, recorder.something_else()) {
        (0, None) => "no records: it is new or was wiped".to_owned(),
        (_, None) => "no records in what can be read of it".to_owned(),
        (_, Some(other)) => format!("nothing readable: {other}"),
    }
}

/// The begin of a text that is too long for one line, marked; `--json` has the whole.
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
    if !fallback.tries.is_empty() {
        wrap(to, "boots       ", &fallback.tries_in_words)?;
    }
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
