// SPDX-License-Identifier: MIT OR Apache-2.0
//! One boot of a virtual board, from power-on to the verdict, in the order of a real one:
//! firmware, `/etc` of the slot, `atomix repart` (initrd), `atomix boot started`,
//! `atomix health run`, and after two minutes `atomix boot restore-attempts`.

use super::VirtualBoard;
use super::firmware::{self, FirmwareRun};
use super::slot_content;
use crate::cli::BootCommand;
use crate::commands::boot;
use crate::commands::health::{self, HealthReport};
use crate::commands::repart::{self, RepartReport};
use crate::context::{Context, Now};
use crate::failure::Failure;
use crate::output::{Output, Style};
use atomix_repart::Request;
use bootctl::{Reason, SlotId};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use storage::{ByteLen, Files};
use verifier::{AfterVerdict, HealthEvent};

/// A good slot gets its attempts back after this much uptime.
const ATTEMPTS_BACK_SECS: u64 = 120;

/// Files of `/etc` are compared with what is there already up to this size.
const MAX_ETC_FILE: ByteLen = ByteLen::mib(1);

/// What a power-on needs to know.
pub struct PowerOn<'a> {
    /// The files that every root file system of this board brings, by absolute path; a slot's own
    /// `/etc` wins over them.
    pub factory: &'a BTreeMap<PathBuf, Vec<u8>>,
    /// The time.
    pub now: Now,
    /// New identities are derived from this.
    pub seed: [u8; 16],
}

/// How far a boot came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The selector ran.
    Selector,
    /// A kernel started.
    Kernel,
    /// Linux recorded that it is up.
    Userspace,
    /// There is a verdict.
    Health,
}

/// How a boot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The slot is confirmed and runs.
    Good,
    /// Not healthy; the board reboots.
    Rebooted(String),
    /// Not healthy; the slot runs on.
    Stayed(String),
    /// No slot could be started.
    Recovery,
}

/// One boot.
#[derive(Clone, Debug)]
pub struct BootOutcome {
    /// What the firmware did.
    pub firmware: FirmwareRun,
    /// The slot that was started.
    pub slot: Option<SlotId>,
    /// The selector's reason.
    pub reason: Reason,
    /// Attempts left after this one was paid for.
    pub attempts: u8,
    /// How far it came.
    pub reached: Stage,
    /// How it ended.
    pub ending: Ending,
    /// What `atomix repart` did.
    pub repart: Option<RepartReport>,
    /// What it told.
    pub repart_lines: Vec<String>,
    /// The verdict.
    pub health: Option<HealthReport>,
    /// Rounds of probes.
    pub rounds: u32,
    /// Simulated seconds from power-on to the verdict.
    pub secs: u64,
    /// Why the slot's own `/etc` is not in use, if it is not.
    pub etc_note: Option<String>,
}

impl VirtualBoard {
    /// Powers the board on and follows it until it is verified or wants to reboot.
    ///
    /// # Errors
    /// [`Failure`] of any step that a board could not go on after.
    pub fn power_on(&self, with: &PowerOn<'_>) -> Result<BootOutcome, Failure> {
        let mut context = self.context(with.now)?;
        let firmware = firmware::power_on(&mut context, self.board)?;
        let mut outcome = BootOutcome {
            slot: firmware.selection.boots,
            reason: firmware.selection.reason,
            attempts: 0,
            reached: Stage::Selector,
            ending: Ending::Recovery,
            repart: None,
            repart_lines: Vec::new(),
            health: None,
            rounds: 0,
            secs: firmware.waited_secs,
            etc_note: None,
            firmware,
        };
        let Some(slot) = outcome.slot else { return Ok(outcome) };
        outcome.attempts = outcome.firmware.selection.state.slot(slot).attempts.get();
        outcome.reached = Stage::Kernel;
        outcome.etc_note = self.lay_out_etc(&mut context, slot, with.factory)?;

        let decision = repart::decide(&context, &Request::default(), with.seed)?;
        let lines = &mut outcome.repart_lines;
        outcome.repart =
            Some(repart::carry_out(&context, &decision, &mut |line| lines.push(line))?);
        quietly(&context, &BootCommand::Started)?;
        outcome.reached = Stage::Userspace;

        let rounds = &mut outcome.rounds;
        let report = health::verify(&context, &mut |event| match event {
            HealthEvent::Round { number, .. } => *rounds = *number,
            HealthEvent::Decided { .. } => {}
        })?;
        outcome.reached = Stage::Health;
        outcome.secs = outcome.secs.saturating_add(report.elapsed.as_secs());
        outcome.ending = match report.after {
            AfterVerdict::MarkGood => {
                quietly(&context, &BootCommand::RestoreAttempts)?;
                outcome.secs = outcome.secs.max(ATTEMPTS_BACK_SECS);
                Ending::Good
            }
            AfterVerdict::RecordAndReboot => Ending::Rebooted(report.verdict.summary()),
            AfterVerdict::RecordAndStay => Ending::Stayed(report.verdict.summary()),
        };
        outcome.health = Some(report);
        Ok(outcome)
    }

    /// Shows the slot's `/etc` below the root, over the board's own files. Returns why the slot
    /// has none, if so.
    fn lay_out_etc(
        &self,
        context: &mut Context,
        slot: SlotId,
        factory: &BTreeMap<PathBuf, Vec<u8>>,
    ) -> Result<Option<String>, Failure> {
        let mut wanted = factory.clone();
        let note = match slot_content::etc(&*context.devices, self.board, slot) {
            Ok(files) => {
                wanted.extend(files);
                None
            }
            Err(why) => Some(why),
        };
        let root = self.root();
        let mut present = Vec::new();
        list_files(&root.join("etc"), &mut present).map_err(|source| Failure::Io {
            act: "list",
            path: root.join("etc"),
            source,
        })?;
        for path in present {
            let Ok(below) = path.strip_prefix(&root) else { continue };
            let path = Path::new("/").join(below);
            if !wanted.contains_key(&path) {
                context.files.remove(&path)?;
            }
        }
        for (path, content) in &wanted {
            if context.files.read(path, MAX_ETC_FILE)?.as_ref() != Some(content) {
                context.files.replace(path, content)?;
            }
        }
        Ok(note)
    }
}

/// Runs a boot command whose words nobody waits for.
fn quietly(context: &Context, command: &BootCommand) -> Result<(), Failure> {
    let (mut data, mut people) = (io::sink(), io::sink());
    let mut out = Output { style: Style::Lines, data: &mut data, people: &mut people };
    boot::run(context, command, &mut out)
}

fn list_files(dir: &Path, into: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list_files(&entry.path(), into)?;
        } else {
            into.push(entry.path());
        }
    }
    Ok(())
}
