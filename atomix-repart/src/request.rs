// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is asked for, and the answer that both programs print.

use crate::cli::RepartArgs;
use crate::reset::DiskInFront;
use crate::{Board, DataHome, Failure, OpenBoot, RepartReport, carry_out, decide};
use bootctl::DataReset;
use repart::Plan;
use serde::{Serialize, Serializer};
use std::io::{self, Write};
use std::path::PathBuf;
use storage::{Access, PartUuid};

/// Width of the maps; a serial console has 80 columns.
const MAP_WIDTH: usize = 78;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Give the disk its partitions, and data a new file system where that was asked for.
    CarryOut,
    /// Say what that would be.
    DryRun,
    /// Ask for an empty data partition at the next boot.
    ResetData,
    /// Take that back.
    KeepData,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub act: Act,
    /// The disk; `None` for the board's own.
    pub disk: Option<PathBuf>,
    /// Directory of the definitions.
    pub definitions: PathBuf,
}

impl Default for Request {
    /// The board's own disk gets its partitions.
    fn default() -> Self {
        Self { act: Act::CarryOut, disk: None, definitions: PathBuf::from("/etc/repart.d") }
    }
}

impl From<&RepartArgs> for Request {
    fn from(args: &RepartArgs) -> Self {
        let act = match (args.reset_data, args.keep_data, args.dry_run) {
            (true, _, _) => Act::ResetData,
            (false, true, _) => Act::KeepData,
            (false, false, true) => Act::DryRun,
            (false, false, false) => Act::CarryOut,
        };
        Self { act, disk: args.disk.clone(), definitions: args.definitions.clone() }
    }
}

/// The answer, as JSON or as lines for a serial console.
#[derive(Clone, Debug)]
pub enum Answer {
    /// What would be done.
    Plan {
        /// The plan.
        plan: Plan,
        /// Its steps in words.
        steps: Vec<String>,
    },
    /// What was done.
    Done {
        /// The report.
        report: RepartReport,
        /// The disk as it is now.
        map: String,
    },
    /// What the next boot does with data.
    Asked(DataReset),
}

impl Answer {
    /// Prints it for people.
    ///
    /// # Errors
    /// The writer's.
    pub fn render(&self, to: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Plan { plan, steps } => {
                to.write_all(plan.render_map(MAP_WIDTH).as_bytes())?;
                if steps.is_empty() {
                    return writeln!(to, "nothing to do");
                }
                steps.iter().try_for_each(|step| writeln!(to, "would {step}"))
            }
            Self::Done { report, map } => {
                to.write_all(map.as_bytes())?;
                let done = if report.nothing_to_do { "nothing to do" } else { "done" };
                match &report.waits_for {
                    None => writeln!(to, "{done}"),
                    Some(why) => writeln!(to, "{done}; run again when /data is mounted\n{why}"),
                }
            }
            Self::Asked(wanted) => writeln!(to, "{}", describe_asked(*wanted)),
        }
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plan { plan, .. } => plan.serialize(serializer),
            Self::Done { report, .. } => report.serialize(serializer),
            Self::Asked(wanted) => serde_json::json!({
                "version": 1,
                "done": describe_asked(*wanted),
                "data_reset_requested": *wanted != DataReset::NotRequested,
            })
            .serialize(serializer),
        }
    }
}

/// What a request means, in one line.
const fn describe_asked(wanted: DataReset) -> &'static str {
    match wanted {
        DataReset::Partition(_) | DataReset::BoundDisk => {
            "at the next boot data is wiped and gets a new file system"
        }
        DataReset::NotRequested => "data is kept at the next boot",
    }
}

/// Does what is asked for; new identities are derived from `seed`.
///
/// # Errors
/// Those of [`decide()`] and [`carry_out()`]; what is refused changes nothing.
pub fn perform<B: OpenBoot>(
    board: &Board<'_>,
    boot: &B,
    request: &Request,
    seed: [u8; 16],
    tell: &mut dyn FnMut(String),
) -> Result<Answer, B::Error> {
    match request.act {
        Act::ResetData => return ask(board, boot, Wanted::Empty),
        Act::KeepData => return ask(board, boot, Wanted::Kept),
        Act::DryRun | Act::CarryOut => {}
    }
    let decision = decide(board, boot, request, seed)?;
    decision.warnings.iter().for_each(|warning| tell(format!("warning: {warning}")));
    if request.act == Act::DryRun {
        if let Some(warning) = decision.table_warning("would be") {
            tell(format!("warning: {warning}"));
        }
        let steps = decision.describe_steps();
        return Ok(Answer::Plan { plan: decision.plan, steps });
    }
    let report = carry_out(board, boot, &decision, tell)?;
    let table = board.table(&decision.disk)?;
    let map = table.render_map(decision.plan.protected_end(), MAP_WIDTH);
    Ok(Answer::Done { report, map })
}

/// What the next boot is to do with data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Empty,
    Kept,
}

/// Makes a request for the next boot durable; the running system goes on with the data it has.
fn ask<B: OpenBoot>(board: &Board<'_>, boot: &B, wanted: Wanted) -> Result<Answer, B::Error> {
    if board.data == DataHome::Directory {
        return Err(Failure::Refused {
            what: "a virtual board keeps /data in a directory, which no boot makes anew".to_owned(),
            hint: "remove root/data in the board's directory",
        }
        .into());
    }
    let request = match wanted {
        Wanted::Empty => DataReset::Partition(data_partition(board)?),
        Wanted::Kept => DataReset::NotRequested,
    };
    let mut control = boot.open(Access::ReadWrite)?;
    control.set_data_reset(request).map_err(Failure::Backend)?;
    Ok(Answer::Asked(request))
}

/// The data partition of the disk that is in the board now: no other is to be wiped.
fn data_partition(board: &Board<'_>) -> Result<PartUuid, Failure> {
    let settings = board.settings()?;
    let (disk, label) = (&settings.disk.device, &settings.disk.data_label);
    let front = DiskInFront::new(&settings.disk, &board.table(disk)?);
    front.data.ok_or_else(|| Failure::Refused {
        what: format!("{} has no partition {label} that could be wiped", disk.display()),
        hint: "run atomix repart: it makes the partition, with an empty file system",
    })
}
