// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix config audit`: who tried to get in, who changed what, and is the log as it was written?

use crate::commands::bundle::date;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Output;
use crate::terminal::one_line;
use config_api::audit::{AuditEvent, AuditLine, Fault, UnixTime, read_audit};
use serde::Serialize;
use std::io::{self, Write};
use storage::tree::HostTrees;

/// The answer, version 1.
#[derive(Serialize)]
struct View {
    version: u8,
    /// Whether no line was changed, taken out or put in.
    intact: bool,
    records: Vec<AuditLine>,
    faults: Vec<Fault>,
}

/// Runs `atomix config audit`.
///
/// # Errors
/// [`Failure::Content`] where lines are missing or were changed, after all of them are shown.
pub fn run(context: &Context, out: &mut Output) -> Result<(), Failure> {
    let trees = HostTrees::open(&context.root.join("data"))?;
    let report = read_audit(&trees)?;
    let intact = !report.is_broken();
    let view = View { version: 1, intact, records: report.lines, faults: report.faults };
    out.answer(&view, render)?;
    if view.intact {
        return Ok(());
    }
    Err(Failure::Content { what: "lines of the audit log are missing or were changed".to_owned() })
}

fn render(to: &mut dyn Write, view: &View) -> io::Result<()> {
    if view.records.is_empty() && view.faults.is_empty() {
        return writeln!(to, "nothing is recorded");
    }
    for line in &view.records {
        writeln!(to, "{} {}", moment(line.time), one_line(&words(&line.event)))?;
    }
    for fault in &view.faults {
        match fault {
            Fault::Torn { segment, line } => {
                writeln!(to, "line {line} of {segment} was cut short by a power loss")?;
            }
            Fault::Broken { segment, line } => {
                writeln!(to, "before line {line} of {segment} lines are missing or changed")?;
            }
        }
    }
    Ok(())
}

/// By the device's clock at that time, which may have been wrong.
fn moment(time: UnixTime) -> String {
    i64::try_from(time.0).map_or_else(|_| format!("@{}", time.0), date)
}

fn words(event: &AuditEvent) -> String {
    match event {
        AuditEvent::AuthenticationFailed { peer, request, reason, suppressed } => {
            let more = match suppressed {
                0 => String::new(),
                count => format!(" (and {count} more before it)"),
            };
            let (peer, request, reason) = (peer.as_str(), request.as_str(), reason.as_str());
            format!("refused {peer} {request}: {reason}{more}")
        }
        AuditEvent::ConfigChanged { change, generation, by, detail } => {
            let generation = generation.map(|number| format!(" gen-{number}")).unwrap_or_default();
            let detail = detail.as_ref().map(|text| format!(": {}", text.as_str()));
            let (change, detail) = (change.word(), detail.unwrap_or_default());
            format!("configuration{generation} {change} by {}{detail}", by.as_str())
        }
        AuditEvent::FullAccessGranted { container, directives } => {
            let all: Vec<&str> = directives.iter().map(|text| text.as_str()).collect();
            format!("container {} has the host's {}", container.as_str(), all.join(", "))
        }
        AuditEvent::Installed { bundle, bundle_version, slot, failure } => {
            let (bundle, version) = (bundle.as_str(), bundle_version.as_str());
            let end = match failure {
                Some(why) => format!("was not installed: {}", why.as_str()),
                None => "was installed".to_owned(),
            };
            format!("bundle {version} ({bundle}) {end} (slot {})", slot.as_str())
        }
        AuditEvent::Marked { slot, mark, by } => {
            let (slot, mark, by) = (slot.as_str(), mark.as_str(), by.as_str());
            format!("slot {slot} marked {mark} by {by}")
        }
    }
}
