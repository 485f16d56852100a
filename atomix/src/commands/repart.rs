// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix repart`: the disk gets the partitions that the definitions ask for. On the board's own
//! disk this is also the first boot, whose durable steps stand in `docs/commit-protocol.md`.

use crate::boot_control::BootControl;
use crate::cli::RepartArgs;
use crate::context::{Context, Machine};
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;
use bootctl::{Command, DataReset};
use repart::{
    Applied, ApplyEvent, BootKind, Effects, FirstBoot, FirstBootStep, Formatted, HostFilesystems,
    Marker, Plan, PlanOptions, TableCopyName, TableHealth,
};
use serde::Serialize;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use storage::{Access, ByteLen, Files, PartUuid, Storage};

/// The first boot is over when this exists.
pub const PROVISIONED_PATH: &str = "/data/atomix/provisioned";

/// The marker holds one line.
const MAX_MARKER: ByteLen = ByteLen::kib(4);

/// Width of the maps; a serial console has 80 columns.
const MAP_WIDTH: usize = 78;

/// Where the file system of `data` is prepared; memory on a board.
const SCRATCH_DIR: &str = "/run/atomix";

/// What was found and decided, before anything is done.
pub struct Decision {
    disk: PathBuf,
    plan: Plan,
    first_boot: FirstBoot,
}

/// What was done.
#[derive(Clone, Debug, Serialize)]
pub struct RepartReport {
    version: u32,
    /// The state of the two copies of the partition table, as they were found.
    pub table_health: String,
    /// Whether there was nothing to do.
    pub nothing_to_do: bool,
    /// Whether this run ended the first boot.
    pub ended_first_boot: bool,
    /// Numbers of the partitions that are new.
    pub created: Vec<u32>,
    /// Labels of the partitions that got a file system.
    pub formatted: Vec<String>,
    /// Programs that would have made a file system and are not installed.
    pub missing_programs: Vec<String>,
}

/// Runs `atomix repart`.
///
/// # Errors
/// [`Failure`]; a disk that is not the board's is refused and not changed.
pub fn run(context: &Context, args: &RepartArgs, out: &mut Output) -> Result<(), Failure> {
    if args.reset_data || args.keep_data {
        let wanted = if args.reset_data { DataReset::Requested } else { DataReset::NotRequested };
        request_data_reset(context, wanted)?;
        return out.done(describe_request(wanted));
    }
    let mut seed = [0; 16];
    getrandom::fill(&mut seed).map_err(|source| Failure::Io {
        act: "draw random identities for",
        path: args.disk.clone().unwrap_or_default(),
        source: std::io::Error::other(source.to_string()),
    })?;
    let decision = decide(context, args, seed)?;
    if args.dry_run {
        out.warn(decision.table_warning("would be").as_slice())?;
        let map = decision.plan.render_map(MAP_WIDTH);
        let steps: Vec<String> = decision.first_boot.steps.iter().map(describe).collect();
        return out.answer(&decision.plan, |to, _| {
            to.write_all(map.as_bytes())?;
            if steps.is_empty() {
                return writeln!(to, "nothing to do");
            }
            steps.iter().try_for_each(|step| writeln!(to, "would {step}"))
        });
    }
    let report = carry_out(context, &decision, &mut |text| {
        // What cannot be told does not stop the work.
        let _ = writeln!(out.people, "{text}");
    })?;
    let map = context.table(&decision.disk)?.render_map(decision.plan.protected_end(), MAP_WIDTH);
    out.answer(&report, |to, report| {
        to.write_all(map.as_bytes())?;
        writeln!(to, "{}", if report.nothing_to_do { "nothing to do" } else { "done" })
    })
}

/// Asks for an empty data partition at the next boot, durably, or takes the request back. The
/// running system goes on with the data it has.
///
/// # Errors
/// [`Failure::Backend`], also where the boot loader has no environment to keep the request in.
pub fn request_data_reset(context: &Context, wanted: DataReset) -> Result<(), Failure> {
    BootControl::open(context, Access::ReadWrite)?.set_data_reset(wanted)
}

/// What a request means, in one line.
const fn describe_request(wanted: DataReset) -> &'static str {
    match wanted {
        DataReset::Requested => "at the next boot data is wiped and gets a new file system",
        DataReset::NotRequested => "data is kept at the next boot",
    }
}

impl Decision {
    /// The plan for the disk.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Which boot this is, and what is left to do in it.
    #[must_use]
    pub const fn first_boot(&self) -> &FirstBoot {
        &self.first_boot
    }

    /// What is wrong with a copy of the table, and what happens to it; a repair that is not told
    /// of hides a failing medium. `verb` is "is" or "would be".
    fn table_warning(&self, verb: &str) -> Option<String> {
        let health = &self.plan.table().health;
        let source = match health {
            TableHealth::Good => return None,
            // Every image that was just written to a larger disk looks like this.
            TableHealth::BackupMisplaced { .. } if self.first_boot.kind == BootKind::First => {
                return None;
            }
            TableHealth::PrimaryDamaged(_) => "backup",
            TableHealth::BackupDamaged(_)
            | TableHealth::BackupMisplaced { .. }
            | TableHealth::BackupDiffers => "primary",
        };
        let disk = self.disk.display();
        Some(format!(
            "partition table of {disk}: {health}; it {verb} written again from the {source} copy"
        ))
    }
}

/// Reads disk, definitions, marker and environment, and decides what has to be done; new
/// identities are derived from `seed`.
///
/// # Errors
/// [`Failure::Table`], [`Failure::Definitions`], [`Failure::Plan`] and those of the configuration.
pub fn decide(context: &Context, args: &RepartArgs, seed: [u8; 16]) -> Result<Decision, Failure> {
    let settings: Settings = context.settings()?;
    let own = &settings.disk.device;
    let disk = args.disk.clone().unwrap_or_else(|| own.clone());
    let definitions = repart::read_definitions(&context.files, &args.definitions)?;
    let table = context.table(&disk)?;
    let protected_end = ByteLen::new(settings.disk.protected_bytes);
    let plan = repart::plan(&table, &definitions, &PlanOptions { seed, protected_end })
        .map_err(|source| Failure::Plan { disk: disk.clone(), source })?;
    // Another disk than the board's has no first boot.
    let marker = match context.files.read(Path::new(PROVISIONED_PATH), MAX_MARKER)? {
        None if disk == *own => Marker::Absent,
        Some(_) | None => Marker::Present,
    };
    let env_disk = match marker {
        Marker::Absent => BootControl::open(context, Access::ReadOnly)?.state().disk,
        Marker::Present => None,
    };
    let first_boot = FirstBoot::decide(marker, &plan, &settings.disk.identity_label, env_disk);
    Ok(Decision { disk, plan, first_boot })
}

/// Does what was decided; running again goes on where a cut stopped it, and when all is done
/// nothing is written.
///
/// # Errors
/// [`Failure`]; the table stays readable.
pub fn carry_out(
    context: &Context,
    decision: &Decision,
    tell: &mut dyn FnMut(String),
) -> Result<RepartReport, Failure> {
    let Decision { disk, plan, first_boot } = decision;
    if let Some(warning) = decision.table_warning("is") {
        tell(format!("warning: {warning}"));
    }
    let identity = first_boot.steps.iter().find_map(|step| match step {
        FirstBootStep::CommitEnvironment { disk } => Some(*disk),
        FirstBootStep::WipeHeads
        | FirstBootStep::WriteTable
        | FirstBootStep::Format
        | FirstBootStep::Provision
        | FirstBootStep::WriteMarker => None,
    });
    if let Some(identity) = identity.filter(|_| !plan.writes_table()) {
        commit_environment(context, identity)?;
        tell(format!("environment bound to disk {identity}"));
    }
    let applied = apply(context, disk, plan, identity, tell)?;
    let missing = missing_programs(&applied);
    for program in &missing {
        tell(format!("{program} is not installed: its partition stays blank until it is"));
    }
    // On a device an unformatted data partition cannot be mounted, so the marker would be lost
    // with the root's own /data; a virtual board keeps /data in a directory.
    let data_is_there = missing.is_empty() || context.machine == Machine::Virtual;
    let ends = first_boot.kind == BootKind::First && data_is_there;
    if ends {
        let mut files = context.files.clone();
        files.replace(Path::new(PROVISIONED_PATH), b"1\n")?;
        tell(format!("{PROVISIONED_PATH} written: the first boot is over"));
    }
    let formatted = applied.formatted.iter().filter(|made| made.result == Formatted::Done);
    Ok(RepartReport {
        version: 1,
        table_health: plan.table().health.to_string(),
        nothing_to_do: plan.is_empty() && first_boot.steps.is_empty(),
        ended_first_boot: ends,
        formatted: formatted.map(|made| made.label.clone()).collect(),
        created: applied.created,
        missing_programs: missing,
    })
}

fn apply(
    context: &Context,
    disk: &Path,
    plan: &Plan,
    identity: Option<PartUuid>,
    tell: &mut dyn FnMut(String),
) -> Result<Applied, Failure> {
    if plan.is_empty() {
        return Ok(Applied::default());
    }
    let failed = |source| Failure::Apply { disk: disk.to_owned(), source };
    let scratch_dir = context.files.resolve(Path::new(SCRATCH_DIR))?;
    std::fs::create_dir_all(&scratch_dir).map_err(|source| Failure::Io {
        act: "make",
        path: scratch_dir.clone(),
        source,
    })?;
    let mut filesystems = HostFilesystems { scratch_dir, unix_time: context.now.0.0 };
    let mut device: Box<dyn Storage> = context.devices.open(disk, Access::ReadWrite)?;
    // Two closures tell, never at once.
    let tell = RefCell::new(tell);
    let mut before_table = |_: &Plan| {
        let Some(identity) = identity else { return Ok(()) };
        commit_environment(context, identity).map_err(|failure| failure.chain())?;
        (tell.borrow_mut())(format!("environment bound to disk {identity}"));
        Ok(())
    };
    repart::apply(
        plan,
        &mut *device,
        &mut Effects {
            filesystems: &mut filesystems,
            before_table: &mut before_table,
            progress: &mut |event| (tell.borrow_mut())(describe_event(&event)),
        },
    )
    .map_err(failed)
}

/// A factory-fresh boot state, bound to the disk.
fn commit_environment(context: &Context, disk: PartUuid) -> Result<(), Failure> {
    BootControl::open(context, Access::ReadWrite)?.apply(&Command::FirstBoot { disk })
}

fn missing_programs(applied: &Applied) -> Vec<String> {
    let missing = applied.formatted.iter().filter_map(|made| match made.result {
        Formatted::ToolMissing(program) => Some(program.to_owned()),
        Formatted::Done => None,
    });
    missing.collect()
}

fn describe(step: &FirstBootStep) -> String {
    match step {
        FirstBootStep::WipeHeads => "wipe the heads of the new partitions".to_owned(),
        FirstBootStep::CommitEnvironment { disk } => {
            format!("commit a factory-fresh boot state bound to disk {disk}")
        }
        FirstBootStep::WriteTable => "write the partition table, backup first".to_owned(),
        FirstBootStep::Format => "make the file systems that are due".to_owned(),
        FirstBootStep::Provision => "take over the provisioning seed".to_owned(),
        FirstBootStep::WriteMarker => format!("write {PROVISIONED_PATH}"),
    }
}

fn describe_event(event: &ApplyEvent) -> String {
    match event {
        ApplyEvent::HeadWiped { number, label } => {
            format!("partition {number} ({label}): head wiped")
        }
        ApplyEvent::TableWritten { copy: TableCopyName::Backup } => {
            "backup table written and read back".to_owned()
        }
        ApplyEvent::TableWritten { copy: TableCopyName::Primary } => {
            "primary table written and read back".to_owned()
        }
        ApplyEvent::Formatted(made) => match made.result {
            Formatted::Done => {
                format!("partition {} ({}): {} made", made.number, made.label, made.format.name())
            }
            Formatted::ToolMissing(program) => {
                format!("partition {} ({}): {program} is missing", made.number, made.label)
            }
        },
    }
}
