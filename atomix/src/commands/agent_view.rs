// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `atomix agent` shows of a round: what was judged, and what came of it.

use crate::failure::Failure;
use crate::output::{Output, Style, fold};
use agents::agent::{
    Acting, Ending, HawkbitEnd, HawkbitEnding, HawkbitPreview, OnceEnd, Polled, RoundEnd,
};
use agents::{Decision, Judgement};
use serde::Serialize;
use serde_json::Value;
use storage::chain;

/// One round, as JSON, version 1.
#[derive(Serialize)]
pub struct RoundView {
    version: u32,
    event: &'static str,
    dry_run: bool,
    /// What became of what was installed before.
    due: Vec<Value>,
    /// `offer`, `nothing`, `unanswered`, `failed` or `not-asked`.
    server: &'static str,
    /// What was judged about the offer, in order.
    judgements: Vec<Value>,
    /// How far the round came.
    ending: &'static str,
    /// What stood in the way, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// Seconds until the server is asked again.
    next_question_secs: u64,
}

impl RoundView {
    /// Of a round that is over.
    #[must_use]
    pub fn new(end: &OnceEnd, acting: Acting) -> Self {
        let json = |round: &RoundEnd| round.judgements.iter().map(Judgement::to_json).collect();
        let (server, judgements, (ending, why)) = match &end.polled {
            None => ("not-asked", Vec::new(), ending(&end.due.ending)),
            Some(Polled::Unanswered(why)) => {
                ("unanswered", Vec::new(), ("unanswered", Some(chain(why))))
            }
            Some(Polled::Failed(failed)) => ("failed", Vec::new(), ("failed", Some(chain(failed)))),
            Some(Polled::Nothing) => ("nothing", Vec::new(), ending(&end.due.ending)),
            Some(Polled::Took(round)) => ("offer", json(round), ending(&round.ending)),
        };
        Self {
            version: 1,
            event: "round",
            dry_run: acting == Acting::DryRun,
            due: json(&end.due),
            server,
            judgements,
            ending,
            why,
            next_question_secs: end.next.as_secs(),
        }
    }
}

fn ending(ending: &Ending) -> (&'static str, Option<String>) {
    match ending {
        Ending::Judged => ("judged", None),
        Ending::Unreachable { source, .. } => ("unreachable", Some(chain(&**source))),
        Ending::Refused(source) => ("refused", Some(chain(&**source))),
        Ending::Installed(slot) => {
            ("installed", Some(format!("slot {slot} boots next; the restart waits")))
        }
        Ending::Restarting { into } => ("restarting", Some(format!("into slot {into}"))),
        Ending::Stopped(_) => ("stopped", None),
        Ending::Failed(failed) => ("failed", Some(chain(failed))),
    }
}

/// Shows a round: for a dry run everything that was judged, else what came of it.
///
/// # Errors
/// [`Failure::Print`] or [`Failure::Json`].
pub fn show_round(view: &RoundView, end: &OnceEnd, out: &mut Output<'_>) -> Result<(), Failure> {
    if out.style == Style::Json {
        return out.event(view);
    }
    let to = &mut *out.data;
    let is_idle = |judged: &Judgement| matches!(judged.decision, Decision::Nothing);
    let due = end.due.judgements.iter().filter(|judged| !is_idle(judged));
    let took = end.polled.iter().filter_map(|polled| match polled {
        Polled::Took(round) => Some(&round.judgements),
        Polled::Unanswered(_) | Polled::Failed(_) | Polled::Nothing => None,
    });
    let offered = took.flatten();
    let all: Vec<&Judgement> = due.chain(offered).collect();
    let shown = if view.dry_run {
        all.as_slice()
    } else {
        all.last().map_or(&[][..], std::slice::from_ref)
    };
    for judged in shown {
        if !view.dry_run {
            fold(to, "", &judged.words())?;
            continue;
        }
        for line in judged.lines() {
            writeln!(to, "{line}")?;
        }
    }
    if view.server == "nothing" {
        writeln!(to, "the server offers nothing")?;
    }
    if let (Some(why), "installed" | "restarting") = (&view.why, view.ending) {
        fold(to, "", &format!("{}: {why}", view.ending))?;
    }
    Ok(())
}

/// Shows what a talk with hawkBit came to.
///
/// # Errors
/// [`Failure::Print`] or [`Failure::Json`].
pub fn show_talk(end: &HawkbitEnd, out: &mut Output<'_>) -> Result<(), Failure> {
    let (ending, why) = match &end.ending {
        HawkbitEnding::Rests => ("rests", end.trouble.as_ref().map(|trouble| chain(trouble))),
        HawkbitEnding::Restarting { into } => ("restarting", Some(format!("into slot {into}"))),
        HawkbitEnding::Stopped(_) => ("stopped", None),
        HawkbitEnding::Failed(failed) => ("failed", Some(chain(failed))),
    };
    if out.style == Style::Json {
        let judgements: Vec<Value> = end.judgements.iter().map(Judgement::to_json).collect();
        return out.event(&serde_json::json!({
            "version": 1, "event": "talk", "judgements": judgements, "ending": ending, "why": why,
            "failures": end.failures, "next_question_secs": end.wait.as_secs(),
        }));
    }
    if let Some(judged) = end.judgements.last() {
        fold(out.data, "", &judged.words())?;
    }
    match (ending, why) {
        ("restarting", Some(why)) => writeln!(out.data, "{ending}: {why}")?,
        _ => writeln!(out.data, "asked again in {} s", end.wait.as_secs())?,
    }
    Ok(())
}

/// Shows what would be done about what hawkBit has for this device.
///
/// # Errors
/// [`Failure::Print`] or [`Failure::Json`].
pub fn show_preview(seen: &HawkbitPreview, out: &mut Output<'_>) -> Result<(), Failure> {
    if out.style == Style::Json {
        let judgements: Vec<Value> = seen.judgements.iter().map(Judgement::to_json).collect();
        return out.event(&serde_json::json!({
            "version": 1, "event": "preview", "action": seen.action.map(|id| id.0),
            "judgements": judgements, "words": seen.words,
        }));
    }
    if seen.action.is_none() && seen.words.is_empty() {
        writeln!(out.data, "hawkBit has nothing for this device")?;
    }
    for line in seen.judgements.iter().flat_map(Judgement::lines) {
        writeln!(out.data, "{line}")?;
    }
    for words in &seen.words {
        fold(out.data, "", words)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "agent_view_tests.rs"]
mod tests;
