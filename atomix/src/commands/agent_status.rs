// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix agent status`: who is asked for updates, what came, and what is under way? Reads only,
//! and asks nobody. On a serial console all of it is on the screen at once: what a stranger says at
//! length is cut.

use crate::context::Context;
use crate::device_name::device_name;
use crate::failure::Failure;
use crate::output::{Output, fold};
use crate::terminal::{fit, one_line};
use agents::ddi::{Action, DdiState, Stage};
use agents::{Heard, InstallStage, Memory, MemoryStore, SETTINGS_PATH, Settings, Source};
use bootctl::Timestamp;
use bundle::UnixTime;
use serde::Serialize;
use std::io::{self, Write};
use storage::{ByteLen, chain};

/// Columns of the values.
const ROOM: usize = 69;

/// As JSON, version 1. Times are as in `atomix why`.
#[derive(Serialize)]
struct StatusView {
    version: u32,
    /// `poll`, `hawkbit` or `nobody`.
    mode: &'static str,
    server: Option<String>,
    /// The device's name to it.
    device: Option<String>,
    /// When it was last asked, in this boot.
    asked_at: Option<String>,
    /// When it last answered, in this boot.
    contact_at: Option<String>,
    /// What came of the last question, in words.
    came: Option<String>,
    /// What was last decided, in words.
    decision: Option<String>,
    /// What somebody can do about it.
    way_out: Option<String>,
    /// When it is asked next.
    next_question_at: Option<String>,
    /// How often in a row the server, or a place that it names, could not be had or used.
    failures: u32,
    refused: Option<RefusedView>,
    action: Option<ActionView>,
    install: Option<InstallView>,
    /// The slot that was given up for an update, until the device has left it.
    left_slot: Option<&'static str>,
    fetched_today_bytes: u64,
    report_pending: bool,
    /// What of the record cannot be used, and what that means.
    troubles: Vec<String>,
}

/// What was refused last, where nothing was taken since.
#[derive(Serialize)]
struct RefusedView {
    /// A word of `docs/agents-report.md`.
    kind: String,
    words: String,
    since: Option<String>,
    manifest: Option<String>,
    bundle_version: Option<String>,
}

/// hawkBit's action that is not over.
#[derive(Serialize)]
struct ActionView {
    id: String,
    stage: &'static str,
    slot: Option<&'static str>,
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
    let (_, memory, mut troubles) = MemoryStore::load(&context.files);
    let talk = DdiState::from_record(memory.action.as_ref());
    let talk = talk.unwrap_or_else(|odd| {
        troubles.push(format!("the talk with hawkBit begins anew: {}", chain(&odd)));
        DdiState::default()
    });
    let view = StatusView {
        refused: refused(&memory),
        action: talk.action.as_ref().map(action),
        install: install(&memory),
        left_slot: memory.leaving.map(bootctl::SlotId::boot_name),
        failures: memory.failures,
        fetched_today_bytes: memory.spent(context.now.0).get(),
        report_pending: memory.report.pending.is_some(),
        device: settings.and_then(|settings| name_to(context, &settings.source)),
        troubles,
        ..heard(settings, memory.heard)
    };
    out.answer(&view, render)
}

/// Whom the settings name, and the last question.
fn heard(settings: Option<&Settings>, heard: Heard) -> StatusView {
    let (mode, server) = match settings.map(|settings| &settings.source) {
        None => ("nobody", None),
        Some(Source::Poll(poll)) => ("poll", Some(poll.server_url.clone())),
        Some(Source::Hawkbit(hawkbit)) => ("hawkbit", Some(hawkbit.url.clone())),
    };
    StatusView {
        version: 1,
        mode,
        server,
        device: None,
        asked_at: heard.asked.and_then(when),
        contact_at: heard.contact.and_then(when),
        came: heard.came,
        decision: heard.decision,
        way_out: heard.way_out,
        next_question_at: heard.next.and_then(when),
        failures: 0,
        refused: None,
        action: None,
        install: None,
        left_slot: None,
        fetched_today_bytes: 0,
        report_pending: false,
        troubles: Vec::new(),
    }
}

/// By the address of the contract polling goes; hawkBit has the owner's name before any other. One
/// that cannot be found out is left out: a round says why.
fn name_to(context: &Context, source: &Source) -> Option<String> {
    let owners = match source {
        Source::Poll(_) => None,
        Source::Hawkbit(hawkbit) => hawkbit.target_id.as_deref(),
    };
    let name = device_name(context, owners, &mut Vec::new());
    match source {
        Source::Poll(_) => name.contract.or(name.name),
        Source::Hawkbit(_) => name.name,
    }
}

/// An answer that is no use is no server that is away.
fn failure_words(view: &StatusView) -> String {
    let times = if view.failures == 1 {
        "1 time".to_owned()
    } else {
        format!("{} times in a row", view.failures)
    };
    if view.asked_at.is_some() && view.contact_at >= view.asked_at {
        format!("nothing came of asking {times}; the last time it answered")
    } else {
        format!("the server could not be asked {times}")
    }
}

fn when(at: UnixTime) -> Option<String> {
    super::flight_record::when(Timestamp { unix_secs: u64::try_from(at.0).ok() })
}

fn refused(memory: &Memory) -> Option<RefusedView> {
    if let Some(refusal) = &memory.refusal {
        return Some(RefusedView {
            kind: refusal.kind.clone(),
            words: refusal.words.clone(),
            since: refusal.since.and_then(when),
            manifest: refusal.bundle.map(|digest| digest.to_string()),
            bundle_version: refusal.version.clone(),
        });
    }
    memory.refused.map(|digest| RefusedView {
        kind: "bundle".to_owned(),
        words: "its install was refused here".to_owned(),
        since: None,
        manifest: Some(digest.to_string()),
        bundle_version: None,
    })
}

fn action(action: &Action) -> ActionView {
    let (stage, slot) = match action.stage {
        Stage::Announced => ("announced", None),
        Stage::Confirming => ("waits-for-consent", None),
        Stage::Waiting => ("waits", None),
        Stage::Offered => ("judged", None),
        Stage::Installing => ("written", None),
        Stage::Stored => ("stored", None),
        Stage::Installed(slot) => ("waits-for-restart", Some(slot.boot_name())),
        Stage::Trial(slot) => ("on-trial", Some(slot.boot_name())),
    };
    ActionView { id: action.id.to_string(), stage, slot }
}

/// The same for people.
fn action_words(action: &ActionView) -> String {
    let stage = match action.stage {
        "waits-for-consent" => "waits for a yes",
        "judged" => "is being judged",
        "written" => "is being written",
        "stored" => "lies on /data as a file",
        "waits-for-restart" => "is installed, and waits for the restart",
        "on-trial" => "is on trial",
        stage => stage,
    };
    let slot = action.slot.map(|slot| format!(" (slot {slot})")).unwrap_or_default();
    let way = if action.stage == "waits-for-consent" {
        format!(" (`atomix agent confirm {id}`, or `deny`)", id = action.id)
    } else {
        String::new()
    };
    format!("{}: {stage}{slot}{way}", action.id)
}

fn install(memory: &Memory) -> Option<InstallView> {
    memory.install.as_ref().map(|install| InstallView {
        slot: install.slot.boot_name(),
        stage: match install.stage {
            InstallStage::Begun => "begun",
            InstallStage::Written => "written",
        },
        manifest: install.manifest.to_string(),
        bundle_version: install.version.clone(),
    })
}

/// At most so many lines.
fn line(to: &mut dyn Write, title: &str, value: &str, lines: usize) -> io::Result<()> {
    // A word that is broken leaves a line unfilled: one line is kept for that.
    let room = ROOM * lines - if lines > 1 { ROOM / 3 } else { 0 };
    fold(to, &format!("{title:<11}"), &fit(&one_line(value), room))
}

fn render(to: &mut dyn Write, view: &StatusView) -> io::Result<()> {
    let Some(server) = &view.server else {
        line(to, "mode", &format!("nobody tells of updates: there is no {SETTINGS_PATH}"), 2)?;
        return render_record(to, view);
    };
    let name = view.device.as_deref().map(|name| format!(", as {name}")).unwrap_or_default();
    line(to, "mode", &format!("{}{name}", view.mode), 1)?;
    line(to, "server", server, 2)?;
    let next = view.next_question_at.as_deref();
    match (&view.asked_at, next) {
        (Some(asked), Some(next)) => line(to, "asked", &format!("{asked}, next {next}"), 1)?,
        (Some(asked), None) => line(to, "asked", asked, 1)?,
        (None, _) => line(to, "asked", "not since this boot", 1)?,
    }
    if view.asked_at.is_some() {
        let answered = view.contact_at.as_deref().unwrap_or("not since this boot");
        line(to, "answered", answered, 1)?;
    }
    for (title, value) in
        [("came", &view.came), ("decided", &view.decision), ("way out", &view.way_out)]
    {
        if let Some(value) = value {
            line(to, title, value, 2)?;
        }
    }
    render_record(to, view)
}

/// What is remembered over a restart.
fn render_record(to: &mut dyn Write, view: &StatusView) -> io::Result<()> {
    if view.failures > 0 {
        line(to, "failures", &failure_words(view), 1)?;
    }
    if let Some(refused) = &view.refused {
        let mut what = refused.bundle_version.clone().unwrap_or_else(|| refused.kind.clone());
        if let Some(manifest) = &refused.manifest {
            what = format!("{} ({})", fit(&what, 32), fit(manifest, 13));
        }
        let since = refused.since.as_ref().map(|at| format!(", since {at}")).unwrap_or_default();
        line(to, "refused", &format!("{what}{since}: {}", refused.words), 3)?;
    }
    if let Some(action) = &view.action {
        line(to, "action", &action_words(action), 2)?;
    }
    if let Some(install) = &view.install {
        let version = install.bundle_version.as_deref().unwrap_or("version not known");
        line(
            to,
            "install",
            &format!("{} into slot {}, {version}", install.stage, install.slot),
            2,
        )?;
    }
    if let Some(left) = view.left_slot {
        let words = format!("slot {left} was given up for an update; its restart is due");
        line(to, "left", &words, 1)?;
    }
    line(to, "today", &format!("{} fetched", ByteLen::new(view.fetched_today_bytes)), 1)?;
    line(to, "report", if view.report_pending { "still to be sent" } else { "none due" }, 1)?;
    for trouble in &view.troubles {
        line(to, "record", trouble, 3)?;
    }
    Ok(())
}
