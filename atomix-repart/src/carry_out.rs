// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does what was decided. Running again goes on where a cut stopped it, and when all is done
//! nothing is written.
//!
//! In the initrd this runs twice: before `/data` is mounted it makes partitions and file systems,
//! and makes the kernel know them; after that it writes the marker. The second half is left to
//! whoever runs it with `/data` in place, in this boot or in another.

use crate::data::{DataPlace, PROVISIONED_PATH, tell_kernel};
use crate::report::{ResetResult, describe_event};
use crate::reset::Reset;
use crate::{Board, DataHome, Decision, Failure, OpenBoot, RepartReport};
use bootctl::{Command, DataReset};
use repart::{Applied, BootKind, Effects, Formatted, HostFilesystems, Marker};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::Path;
use storage::{Access, Files, PartUuid, Storage, chain};

/// Where the file system of `data` is prepared; memory on a board.
const SCRATCH_DIR: &str = "/run/atomix";

/// Does what was decided.
///
/// # Errors
/// [`Failure`]; the table stays readable.
pub fn carry_out<B: OpenBoot>(
    board: &Board<'_>,
    boot: &B,
    decision: &Decision,
    tell: &mut dyn FnMut(String),
) -> Result<RepartReport, B::Error> {
    let Decision { disk, plan, first_boot, .. } = decision;
    if let Some(warning) = decision.table_warning("is") {
        tell(format!("warning: {warning}"));
    }
    match &decision.reset {
        Reset::NotRequested | Reset::Planned => {}
        Reset::Waits(why) => tell(why.clone()),
        // Before anything is bound: a cut must not leave a bare request in this disk's environment.
        Reset::Refused(why) => {
            tell(format!("warning: {why}"));
            match take_back(boot) {
                Ok(()) => tell("the request is taken back".to_owned()),
                Err(failure) if decision.binds().is_none() => {
                    tell(format!("warning: the request stays: {}", chain(&failure)));
                }
                Err(failure) => return Err(failure),
            }
        }
    }
    let binds = decision.binds();
    if let Some(identity) = binds.filter(|_| !plan.writes_table()) {
        bind(boot, identity)?;
        tell(format!("environment bound to disk {identity}"));
    }
    let applied = apply(board, boot, decision, tell)?;
    let missing = missing_programs(&applied);
    for program in &missing {
        tell(format!("{program} is not installed: its partition stays as it is until it is"));
    }
    let told_kernel = match board.data {
        DataHome::Partition => tell_kernel(board, disk)?,
        DataHome::Directory => Vec::new(),
    };
    if !told_kernel.is_empty() {
        tell(format!("the kernel was told of partitions {}", numbers(&told_kernel)));
    }
    let data_reset = finish_reset(boot, decision, &applied, tell)?;
    // A marker that is written where data is not lost with the next boot, or believed later.
    let ends = first_boot.kind == BootKind::First && decision.marker == Marker::Absent;
    if ends {
        let mut files = board.files.clone();
        files.replace(Path::new(PROVISIONED_PATH), b"1\n").map_err(Failure::Files)?;
        tell(format!("{PROVISIONED_PATH} written: the first boot is over"));
    }
    let formatted = applied.formatted.iter().filter(|made| made.result == Formatted::Done);
    Ok(RepartReport {
        version: 1,
        table_health: plan.table().health.to_string(),
        nothing_to_do: plan.is_empty()
            && first_boot.steps.is_empty()
            && told_kernel.is_empty()
            && data_reset != Some(ResetResult::Refused),
        ended_first_boot: ends,
        waits_for: waits_for(board, decision)?,
        data_reset,
        formatted: formatted.map(|made| made.label.clone()).collect(),
        created: applied.created,
        told_kernel,
        missing_programs: missing,
    })
}

/// What the end of the first boot waits for, as it is now.
fn waits_for(board: &Board<'_>, decision: &Decision) -> Result<Option<String>, Failure> {
    if decision.marker != Marker::OutOfReach {
        return Ok(None);
    }
    let table = board.table(&decision.disk)?;
    let place = DataPlace::look(board, &decision.settings, &table)?;
    Ok(place.judged.err().map(|why| why.to_string()))
}

/// Takes the request back, after the new file system is durable: a cut before that repeats it.
fn finish_reset<B: OpenBoot>(
    boot: &B,
    decision: &Decision,
    applied: &Applied,
    tell: &mut dyn FnMut(String),
) -> Result<Option<ResetResult>, B::Error> {
    let label = decision.data_label();
    let made = |applied: &Applied| {
        applied.formatted.iter().any(|made| made.label == label && made.result == Formatted::Done)
    };
    match decision.reset {
        Reset::NotRequested => Ok(None),
        Reset::Planned if decision.resets_data() && made(applied) => {
            take_back(boot)?;
            tell(format!("{label} is empty, as was asked for; the request is done"));
            Ok(Some(ResetResult::Done))
        }
        Reset::Planned | Reset::Waits(_) => Ok(Some(ResetResult::Waits)),
        Reset::Refused(_) => Ok(Some(ResetResult::Refused)),
    }
}

/// Takes the request out of both copies of the environment.
fn take_back<B: OpenBoot>(boot: &B) -> Result<(), B::Error> {
    let mut control = boot.open(Access::ReadWrite)?;
    Ok(control.set_data_reset(DataReset::NotRequested).map_err(Failure::Backend)?)
}

fn apply<B: OpenBoot>(
    board: &Board<'_>,
    boot: &B,
    decision: &Decision,
    tell: &mut dyn FnMut(String),
) -> Result<Applied, Failure> {
    let Decision { disk, plan, .. } = decision;
    if plan.is_empty() {
        return Ok(Applied::default());
    }
    let scratch_dir = board.files.resolve(Path::new(SCRATCH_DIR))?;
    std::fs::create_dir_all(&scratch_dir).map_err(|source| Failure::Io {
        act: "make",
        path: scratch_dir.clone(),
        source,
    })?;
    let mut filesystems = HostFilesystems { scratch_dir, unix_time: board.unix_time };
    let mut device: Box<dyn Storage> = board.devices.open(disk, Access::ReadWrite)?;
    // Two closures tell, never at once.
    let tell = RefCell::new(tell);
    let mut before_table = |_: &repart::Plan| {
        let Some(identity) = decision.binds() else { return Ok(()) };
        bind(boot, identity).map_err(|failure| chain(&failure))?;
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
    .map_err(|source| Failure::Apply { disk: disk.clone(), source })
}

/// A factory-fresh boot state, bound to the disk.
fn bind<B: OpenBoot>(boot: &B, disk: PartUuid) -> Result<(), B::Error> {
    let mut control = boot.open(Access::ReadWrite)?;
    control.apply(&Command::FirstBoot { disk }).map_err(Failure::from)?;
    Ok(())
}

fn missing_programs(applied: &Applied) -> Vec<String> {
    let missing = applied.formatted.iter().filter_map(|made| match made.result {
        Formatted::ToolMissing(program) => Some(program.to_owned()),
        Formatted::Done => None,
    });
    missing.collect()
}

fn numbers(numbers: &[u32]) -> String {
    let mut text = String::new();
    for (at, number) in numbers.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}{number}", if at == 0 { "" } else { ", " });
    }
    text
}
