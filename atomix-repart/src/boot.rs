// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who keeps the boot state? `atomix` reads `system.conf` for that; the initrd's program knows
//! U-Boot's environment alone, which is where a board that needs it has its state.

use crate::{Board, Failure};
use bootctl::{BootControl, BootedFrom, ControlParts, KernelCmdline, LateFallback};
use std::error::Error;
use std::path::Path;
use storage::{Access, ByteLen, chain};

/// Longest kernel command line; Linux allows 4 KiB at most.
const MAX_CMDLINE: ByteLen = ByteLen::kib(16);

/// Opens the boot state.
pub trait OpenBoot {
    /// How it fails.
    type Error: Error + From<Failure>;

    /// Opens it.
    ///
    /// # Errors
    /// Of the configuration or of the state's keeper.
    fn open(&self, access: Access) -> Result<BootControl, Self::Error>;
}

/// The boot state in U-Boot's environment.
pub struct UbootBoot<'a>(pub Board<'a>);

impl OpenBoot for UbootBoot<'_> {
    type Error = Failure;

    fn open(&self, access: Access) -> Result<BootControl, Failure> {
        let Self(board) = self;
        let cmdline = Path::new("/proc/cmdline");
        let cmdline = board.read_text(cmdline, MAX_CMDLINE)?.unwrap_or_default();
        let cmdline = KernelCmdline::parse(&cmdline);
        if let (BootedFrom::Named(name), true) = (cmdline.booted_from(), access.writes()) {
            // Only system.conf knows which slot that is, and a caller that cannot tell must not
            // change the state.
            return Err(Failure::Refused {
                what: format!("the kernel command line calls the booted slot {name:?}"),
                hint: "boot with rauc.slot=A or rauc.slot=B, as the selector does",
            });
        }
        let settings = board.settings()?;
        let parts = ControlParts {
            backend: Box::new(board.uboot_backend(access)?),
            recorder: board.recorder(&settings, access).map_err(|failure| chain(&failure)),
            booted: cmdline.booted_slot(),
            // Nothing is confirmed here.
            late_fallback: LateFallback::Allowed,
            at: board.timestamp(),
        };
        Ok(BootControl::load(parts)?)
    }
}
