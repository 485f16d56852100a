// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `atomix agent` shows: a round with everything that was judged, and what is remembered.

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Output, Style, fold};
use agents::agent::{
    Acting, Ending, HawkbitEnd, HawkbitEnding, HawkbitPreview, OnceEnd, Polled, RoundEnd,
};
use agents::{Decision, InstallStage, Judgement, MemoryStore, SETTINGS_PATH, Settings, Source};
use serde::Serialize;
use serde_json::Value;
use std::io::{self, Write};
use storage::{ByteLen, chain};

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
        let lines = if view.dry_run { judged.lines() } else { vec![judged.words()] };
        for line in lines {
            writeln!(to, "{line}")?;
        }
    }
    if view.server == "nothing" {
        writeln!(to, "the server offers nothing")?;
    }
    if let (Some(why), "installed" | "restarting") = (&view.why, view.ending) {
        writeln!(to, "{}: {why}", view.ending)?;
    }
    Ok(())
}

/// Who tells of updates, in one word.
const fn way(settings: Option<&Settings>) -> &'static str {
    match settings {
        None => "nobody",
        Some(Settings { source: Source::Poll(_), .. }) => "poll",
        Some(Settings { source: Source::Hawkbit(_), .. }) => "hawkbit",
    }
}

/// What is remembered, as JSON, version 1.
#[derive(Serialize)]
struct StatusView {
    version: u32,
    mode: &'static str,
    server: Option<String>,
    install: Option<InstallView>,
    failures: u32,
    fetched_today_bytes: u64,
    report_pending: bool,
}

#[derive(Serialize)]
struct InstallView {
    slot: &'static str,
    stage: &'static str,
    manifest: String,
    bundle_version: Option<String>,
}

/// Runs `atomix agent status`.
///
/// # Errors
/// [`Failure::Print`] or [`Failure::Json`].
pub fn status(
    context: &Context,
    settings: Option<&Settings>,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    let (_, memory, told) = MemoryStore::load(&context.files);
    out.warn(&told)?;
    let install = memory.install.as_ref().map(|install| InstallView {
        slot: install.slot.boot_name(),
        stage: match install.stage {
            InstallStage::Begun => "begun",
            InstallStage::Written => "written",
        },
        manifest: install.manifest.to_string(),
        bundle_version: install.version.clone(),
    });
    let view = StatusView {
        version: 1,
        mode: way(settings),
        server: settings.map(|settings| match &settings.source {
            Source::Poll(poll) => poll.server_url.clone(),
            Source::Hawkbit(hawkbit) => hawkbit.url.clone(),
        }),
        install,
        failures: memory.failures,
        fetched_today_bytes: memory.spent(context.now.0).get(),
        report_pending: memory.report.pending.is_some(),
    };
    out.answer(&view, render_status)
}

fn render_status(to: &mut dyn Write, view: &StatusView) -> io::Result<()> {
    let server = match (&view.server, view.mode) {
        (Some(server), mode) => format!("{mode}, {server}"),
        (None, _) => format!("nobody tells of updates: there is no {SETTINGS_PATH}"),
    };
    fold(to, "mode      ", &server)?;
    if let Some(install) = &view.install {
        let version = install.bundle_version.as_deref().unwrap_or("version not known");
        fold(
            to,
            "install   ",
            &format!("{} into slot {}, {version}", install.stage, install.slot),
        )?;
    }
    let answer = match view.failures {
        0 => "answered when it was last asked, or was not asked yet".to_owned(),
        failures => format!("not reached, {failures} times in a row"),
    };
    writeln!(to, "server    {answer}")?;
    writeln!(to, "today     {} fetched", ByteLen::new(view.fetched_today_bytes))?;
    writeln!(to, "report    {}", if view.report_pending { "still to be sent" } else { "none due" })
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
        writeln!(out.data, "{}", judged.words())?;
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
