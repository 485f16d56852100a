// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix repart`: the disk gets the partitions that the definitions ask for. On the board's own
//! disk this is also the first boot, whose durable steps stand in `docs/commit-protocol.md`. All
//! of it is the initrd's program too; here the boot state is the one that `system.conf` names.

use crate::boot_control::BootControl;
use crate::cli::RepartArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Output;
use atomix_repart::{Decision, OpenBoot, Request, perform};
use storage::Access;

pub use atomix_repart::{PROVISIONED_PATH, RepartReport};

/// The boot state of a context.
struct ContextBoot<'a>(&'a Context);

impl OpenBoot for ContextBoot<'_> {
    type Error = Failure;

    fn open(&self, access: Access) -> Result<bootctl::BootControl, Failure> {
        Ok(BootControl::open(self.0, access)?.into_inner())
    }
}

/// Runs `atomix repart`.
///
/// # Errors
/// [`Failure`]; a disk that is not the board's is refused and not changed.
pub fn run(context: &Context, args: &RepartArgs, out: &mut Output) -> Result<(), Failure> {
    let seed = atomix_repart::run::seed()?;
    let answer = {
        let mut tell = |text: String| {
            // What cannot be told does not stop the work.
            let _ = writeln!(out.people, "{text}");
        };
        perform(&context.board(), &ContextBoot(context), &args.into(), seed, &mut tell)?
    };
    if args.reset_data || args.keep_data {
        let what = if args.reset_data { "empty data at the next boot" } else { "data to be kept" };
        out.warn(&context.note_asked(what.to_owned()))?;
    }
    out.answer(&answer, |to, answer| answer.render(to))
}

/// Reads disk, definitions, marker and environment, and decides what has to be done; new
/// identities are derived from `seed`.
///
/// # Errors
/// [`Failure::Disk`] and those of the configuration.
pub fn decide(context: &Context, request: &Request, seed: [u8; 16]) -> Result<Decision, Failure> {
    atomix_repart::decide(&context.board(), &ContextBoot(context), request, seed)
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
    atomix_repart::carry_out(&context.board(), &ContextBoot(context), decision, tell)
}

impl From<atomix_repart::Failure> for Failure {
    fn from(failure: atomix_repart::Failure) -> Self {
        use atomix_repart::Failure as F;
        match failure {
            F::Settings(source) => Self::Settings(source),
            F::Files(source) => Self::Files(source),
            F::Storage(source) => Self::Storage(source),
            F::FileAbsent { path, hint } => Self::FileAbsent { path, hint },
            F::Usage { what, hint } => Self::Usage { what, hint },
            F::Environment(source) => Self::Environment(source),
            F::Backend(source) => Self::Backend(source),
            F::BootState(refused) => Self::BootState(refused),
            F::Refused { what, hint } => Self::Refused { what, hint },
            F::Recorder(source) => Self::Recorder(source),
            F::Io { act, path, source } => Self::Io { act, path, source },
            F::Print(source) => Self::Print(source),
            F::Json(source) => Self::Json(source),
            F::NotText { .. }
            | F::FwEnvConfig { .. }
            | F::RecorderPlace { .. }
            | F::Table { .. }
            | F::Definitions(_)
            | F::Plan { .. }
            | F::Apply { .. }
            | F::Kernel { .. } => Self::Disk(failure),
        }
    }
}
