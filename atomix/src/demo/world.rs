// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the chapters share: the board, the clock, the keys and what was made so far. The steps
//! that several chapters take, each by the code of the command it is named after.

use super::foreign::Foreign;
use super::materials::{Release, Workshop};
use super::story::Story;
use super::timeline::{BootRow, render};
use crate::boot_control::BootControl;
use crate::cli::{InstallArgs, SlotCommand, TransferArgs};
use crate::commands::bundle::open_verified;
use crate::commands::install::{install, options, policy};
use crate::commands::slot;
use crate::context::{Context, Now};
use crate::failure::Failure;
use crate::virtual_board::{BootOutcome, PowerOn, VirtualBoard};
use bootctl::{BootState, SlotId};
use bundle::{DevelopmentPki, UnixTime};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use storage::{Access, ByteLen};
use updater::InstallReport;

/// Seconds between two boots, for shutting down and for people.
const BETWEEN_BOOTS_SECS: i64 = 30;

/// Everything that outlives a chapter.
pub struct World {
    /// The board.
    pub board: VirtualBoard,
    /// Where releases are made.
    pub workshop: Workshop,
    /// Where bundles lie.
    pub bundles: PathBuf,
    /// The demo's own keys.
    pub pki: DevelopmentPki,
    /// The system that the board leaves the factory with.
    pub factory_release: Release,
    /// Someone else's bundle, if the story is about one.
    pub foreign: Option<Foreign>,
    /// What the board takes.
    pub compatible: String,
    /// The files that every root file system of the board brings.
    pub factory: BTreeMap<PathBuf, Vec<u8>>,
    /// The bundle of the first update.
    pub first_update: PathBuf,
    /// The bundle of the last update that worked.
    pub last_update: PathBuf,
    /// The time on the board.
    pub now: Now,
    /// Every boot so far.
    pub boots: Vec<BootRow>,
}

impl World {
    /// The running system.
    ///
    /// # Errors
    /// [`Failure::Storage`].
    pub fn context(&self) -> Result<Context, Failure> {
        self.board.context(self.now)
    }

    /// Lets time pass on the board.
    pub fn pass(&mut self, secs: i64) {
        self.now = Now(UnixTime(self.now.0.0.saturating_add(secs)));
    }

    /// Powers the board on, follows the boot and adds it to the timeline.
    ///
    /// # Errors
    /// [`Failure`] of a step of the boot.
    pub fn boot(&mut self) -> Result<BootOutcome, Failure> {
        self.pass(BETWEEN_BOOTS_SECS);
        let seed = self.workshop.identity_seed()?;
        let with = PowerOn { factory: &self.factory, now: self.now, seed };
        let outcome = self.board.power_on(&with)?;
        self.boots.push(BootRow::new(self.boots.len() + 1, &outcome));
        self.pass(i64::try_from(outcome.secs).unwrap_or(0));
        Ok(outcome)
    }

    /// Shows the last `count` boots.
    ///
    /// # Errors
    /// [`Failure::Print`] or [`Failure::Json`].
    pub fn show_boots(&self, story: &mut Story<'_, '_>, count: usize) -> Result<(), Failure> {
        let from = self.boots.len().saturating_sub(count);
        let rows = self.boots.get(from..).unwrap_or_default();
        story.show("boots", &rows, &render(rows))
    }

    /// Shows the slots.
    ///
    /// # Errors
    /// [`Failure`] of `atomix slot list`.
    pub fn show_slots(&self, story: &mut Story<'_, '_>) -> Result<(), Failure> {
        let context = self.context()?;
        story.command("slot list", |out| slot::run(&context, &SlotCommand::List, out))
    }

    /// Shows the partitions as a bar and a list.
    ///
    /// # Errors
    /// [`Failure::Disk`].
    pub fn show_partitions(&self, story: &mut Story<'_, '_>) -> Result<(), Failure> {
        let board = self.board.board();
        let table = self.context()?.table(Path::new(board.disk.device))?;
        let map = table.render_map(board.disk.gap, super::story::WIDTH - 2);
        story.show("partitions", &table, &map)
    }

    /// The boot state as stored.
    ///
    /// # Errors
    /// [`Failure`] of the configuration or the flash.
    pub fn state(&self) -> Result<BootState, Failure> {
        Ok(BootControl::open(&self.context()?, Access::ReadOnly)?.state().clone())
    }

    /// `atomix install BUNDLE` on `context`, with its progress.
    ///
    /// # Errors
    /// [`Failure`] of the install.
    pub fn install(
        story: &mut Story<'_, '_>,
        context: &Context,
        bundle: &Path,
    ) -> Result<InstallReport, Failure> {
        story.install(|progress| install_quietly(context, bundle, progress))
    }

    /// Installs a bundle and tells what was written where.
    ///
    /// # Errors
    /// [`Failure`] of the install.
    pub fn install_and_tell(
        &self,
        story: &mut Story<'_, '_>,
        bundle: &Path,
        target: SlotId,
    ) -> Result<InstallReport, Failure> {
        let context = self.context()?;
        story.say(&format!("$ atomix install {}", file_name(bundle)))?;
        let report = Self::install(story, &context, bundle)?;
        for slot in &report.slots {
            story.say(&format!(
                "{}: {} written, {} already equal, all read back",
                slot.slot, slot.count.written, slot.count.skipped
            ))?;
        }
        story.claim(report.target == target, &format!("the bundle went into slot {target}"))?;
        Ok(report)
    }
}

/// The whole of `atomix install` but its printing.
///
/// # Errors
/// [`Failure`] of the configuration, the bundle or the install.
pub fn install_quietly(
    context: &Context,
    bundle: &Path,
    progress: &mut dyn FnMut(updater::InstallEvent),
) -> Result<InstallReport, Failure> {
    let args = InstallArgs {
        bundle: bundle.to_owned(),
        dry_run: false,
        stage: false,
        ignore_compatible: false,
        allow_downgrade: false,
        force: false,
        transfer: TransferArgs::default(),
    };
    let config = context.system_conf()?;
    let verified = open_verified(context, bundle, None)?;
    let options = options(context, &config, policy(&args))?;
    install(context, &config, bundle, &verified, &options, progress)
}

/// The last part of a path, for messages.
#[must_use]
pub fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned())
}

/// A file's size.
///
/// # Errors
/// [`Failure::Io`].
pub fn file_len(path: &Path) -> Result<ByteLen, Failure> {
    let facts = std::fs::metadata(path).map_err(|source| Failure::Io {
        act: "look at",
        path: path.to_owned(),
        source,
    })?;
    Ok(ByteLen::new(facts.len()))
}
