// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix health`: is this boot healthy, and what follows from the answer.
//!
//! Probes, then the slot's content against its recorded digests, then the verdict goes into the
//! flight recorder before anything is made of it: mark-good, or a reboot that spends the next
//! attempt. An agent that only wants to know uses `probe` or `run --dry-run`.

use crate::audit_trail::AuditTrail;
use crate::boot_control::BootControl;
use crate::cli::HealthCommand;
use crate::commands::dead_end;
use crate::commands::slot::{Compared, check, difference};
use crate::context::{Context, Machine};
use crate::failure::Failure;
use crate::output::Output;
use crate::programs;
use crate::virtual_board::system::{Declaration, VirtualSystem};
use bootctl::{Command, ControlError, Entry, HealthVerdict, Refused, SlotId, SlotState};
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;
use storage::{Access, ByteLen, HostFiles};
use verifier::{
    AfterVerdict, Clock, ContentCheck, ContentFinding, Finding, HealthConfig, HealthEvent,
    LiveClock, LiveSystem, Outcome, Round, System, Verdict, confirm_content, decide_after,
    run_health, run_round,
};

/// Longest probe configuration.
const MAX_CONFIG: ByteLen = ByteLen::kib(256);

/// Where systemd's bus is.
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// Uptime of a virtual board between two commands.
const VIRTUAL_UPTIME: Duration = Duration::from_secs(120);

/// The end of a verification.
#[derive(Clone, Debug)]
pub struct HealthReport {
    /// The slot that runs.
    pub slot: SlotId,
    /// The judgement.
    pub verdict: Verdict,
    /// What followed from it.
    pub after: AfterVerdict,
    /// How long it took, by the machine's clock.
    pub elapsed: Duration,
    /// What people should know.
    pub warnings: Vec<String>,
}

/// Runs a verb of `atomix health`.
///
/// # Errors
/// [`Failure::Unhealthy`] when it is not, [`Failure::No`] when a single probing found it so.
pub fn run(context: &Context, command: &HealthCommand, out: &mut Output) -> Result<(), Failure> {
    let config = config(context)?;
    match command {
        HealthCommand::Probe => {
            let (mut system, mut clock) = machine(context)?;
            if context.machine == Machine::Virtual {
                // One that is looked at from outside has been up for a while.
                clock.wait_until(VIRTUAL_UPTIME);
            }
            probe(&config, &mut *system, out)
        }
        HealthCommand::Run { dry_run: true } => {
            let (mut system, mut clock) = machine(context)?;
            let verdict = run_health(&config, &mut *system, &mut *clock, &mut |event| {
                show(out, &event);
            });
            conclude(&verdict, &[], out)
        }
        HealthCommand::Run { dry_run: false } => {
            let report = verify(context, &mut |event| show(out, event))?;
            conclude(&report.verdict, &report.warnings, out)?;
            Ok(())
        }
    }
}

/// Verifies this boot and does what follows, to its end.
///
/// # Errors
/// [`Failure`] of the configuration, or when the verdict cannot be made to count. An unhealthy
/// verdict is no failure here.
pub fn verify(
    context: &Context,
    progress: &mut dyn FnMut(&HealthEvent),
) -> Result<HealthReport, Failure> {
    let config = config(context)?;
    let (mut system, mut clock) = machine(context)?;
    let slot = context.booted()?.ok_or(Failure::NotBootedFromSlot)?;
    let began = clock.now();
    let verdict = run_health(&config, &mut *system, &mut *clock, &mut |event| progress(&event));
    let verdict = confirm_content(verdict, &mut InstalledContent { context, slot });
    let elapsed = clock.now().saturating_sub(began);
    let mut control = BootControl::open(context, Access::ReadWrite)?;
    let state = control.state().slot(slot).state;
    let reason = context.cmdline()?.reason();
    let mut unwritten = None;
    let after = decide_after(&verdict, control.state(), slot, reason, config.reaction);
    control.note(&Entry::Verdict {
        slot,
        verdict: match &verdict {
            Verdict::Healthy { .. } => HealthVerdict::Healthy,
            Verdict::Unhealthy { .. } => HealthVerdict::Unhealthy,
        },
        cause: verdict.summary(),
    });
    match after {
        AfterVerdict::MarkGood => {
            if state != SlotState::Good {
                control.apply(&Command::MarkGood { slot })?;
                let trail = AuditTrail::below(&context.root);
                let marked = (&*slot.to_string(), "good");
                unwritten = trail.marked(context.now.0, marked, "health check");
            }
            forgive_primary(&mut control, slot)?;
        }
        // Whoever looks at another root, or plays a virtual board's power supply, restarts it.
        AfterVerdict::RecordAndReboot => {
            dead_end::tell_selector(&mut control, slot)?;
            if context.machine == Machine::Real && context.root == Path::new("/") {
                programs::reboot()?;
            }
        }
        AfterVerdict::RecordAndStay => dead_end::keep_verdict(context, &verdict.summary())?,
    }
    let mut warnings = control.warnings().to_vec();
    warnings.extend(unwritten);
    Ok(HealthReport { slot, verdict, after, elapsed, warnings })
}

/// A healthy fallback gives an exhausted primary its attempts back once; where there is nothing
/// to give back, nothing happens.
fn forgive_primary(control: &mut BootControl, slot: SlotId) -> Result<(), Failure> {
    match control.apply(&Command::ConfirmFallback { slot }) {
        Ok(()) | Err(ControlError::Refused(Refused::NoFallback { .. })) => Ok(()),
        Err(other) => Err(other.into()),
    }
}

fn config(context: &Context) -> Result<HealthConfig, Failure> {
    let path = context.settings()?.health.config;
    let text = context.read_text(&path, MAX_CONFIG)?.ok_or_else(|| Failure::FileAbsent {
        path: path.clone(),
        hint: "without probes no boot can be confirmed; write the file or name it in atomix.toml",
    })?;
    HealthConfig::parse(&text).map_err(|source| Failure::HealthConfig { path, source })
}

/// Who answers, and by which clock.
type Answerers = (Box<dyn System>, Box<dyn Clock>);

/// What the context's machine asks.
fn machine(context: &Context) -> Result<Answerers, Failure> {
    match context.machine {
        Machine::Real => {
            let system = LiveSystem::new(HostFiles::new(&context.root), SYSTEM_BUS);
            Ok((Box::new(system), Box::new(LiveClock::start())))
        }
        Machine::Virtual => {
            let declared = Declaration::read(context)?;
            let (system, clock) = VirtualSystem::start(declared, context.files.clone());
            Ok((Box::new(system), Box::new(clock)))
        }
    }
}

/// The booted slot's content, compared with what its install recorded.
struct InstalledContent<'a> {
    context: &'a Context,
    slot: SlotId,
}

impl ContentCheck for InstalledContent<'_> {
    fn check(&mut self) -> ContentFinding {
        match check(self.context, self.slot) {
            Ok(checked) => match difference(&checked) {
                Some(what) => ContentFinding::Differs(what),
                None if checked.iter().all(|slot| slot.content == Compared::NoRecord) => {
                    ContentFinding::NoRecord
                }
                None => ContentFinding::Matches,
            },
            Err(other) => ContentFinding::Unreadable(other.chain()),
        }
    }
}

/// One probe's answer as JSON, version 1.
#[derive(Serialize)]
struct ProbeView {
    probe: String,
    level: verifier::Level,
    passes: bool,
    troubles: Vec<String>,
}

#[derive(Serialize)]
struct RoundView {
    version: u32,
    passes: bool,
    probes: Vec<ProbeView>,
}

impl RoundView {
    fn new(round: &Round) -> Self {
        let probes = round.results.iter().map(|result| {
            let troubles = match &result.outcome {
                Outcome::Ok => Vec::new(),
                Outcome::Failed(troubles) => troubles.iter().map(ToString::to_string).collect(),
            };
            let passes = troubles.is_empty();
            ProbeView { probe: result.probe.clone(), level: result.level, passes, troubles }
        });
        Self { version: 1, passes: round.passes(), probes: probes.collect() }
    }
}

fn probe(config: &HealthConfig, system: &mut dyn System, out: &mut Output) -> Result<(), Failure> {
    let view = RoundView::new(&run_round(&config.probes, system));
    out.answer(&view, render_round)?;
    if view.passes {
        return Ok(());
    }
    let failing = view.probes.iter().filter(|probe| !probe.passes);
    let names: Vec<&str> = failing.map(|probe| probe.probe.as_str()).collect();
    Err(Failure::No { what: format!("not healthy: {}", names.join(", ")) })
}

fn render_round(to: &mut dyn Write, view: &RoundView) -> io::Result<()> {
    for probe in &view.probes {
        let word = if probe.passes { "ok" } else { "FAILED" };
        writeln!(to, "{word:7} {:20} {}", probe.probe, probe.troubles.join("; "))?;
    }
    Ok(())
}

/// A line for each round; what cannot be shown does not stop a verification.
fn show(out: &mut Output, event: &HealthEvent) {
    let line = match event {
        HealthEvent::Round { number, elapsed, held, round } => {
            let held = held.map_or_else(String::new, |held| format!(", held {} s", held.as_secs()));
            let word = if round.passes() { "passes" } else { "fails" };
            format!("round {number} at {} s {word}{held}", elapsed.as_secs())
        }
        HealthEvent::Decided { .. } => return,
    };
    let _ = writeln!(out.people, "{line}");
}

#[derive(Serialize)]
struct VerdictView<'a> {
    version: u32,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

fn conclude(verdict: &Verdict, warnings: &[String], out: &mut Output) -> Result<(), Failure> {
    out.warn(warnings)?;
    out.answer(&VerdictView { version: 1, verdict }, |to, view| match view.verdict {
        Verdict::Healthy { warnings } => {
            list(to, "warning", warnings)?;
            writeln!(to, "healthy")
        }
        Verdict::Unhealthy { reasons, warnings } => {
            list(to, "warning", warnings)?;
            list(to, "reason", reasons)?;
            writeln!(to, "not healthy")
        }
    })?;
    if verdict.is_healthy() {
        Ok(())
    } else {
        Err(Failure::Unhealthy { reasons: verdict.summary() })
    }
}

fn list(to: &mut dyn Write, word: &str, findings: &[Finding]) -> io::Result<()> {
    findings.iter().try_for_each(|found| writeln!(to, "{word}: {}: {}", found.probe, found.text))
}
