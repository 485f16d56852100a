// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is the Rock64 when U-Boot's sandbox plays it? The same flash, the same places in it and
//! the same partitions; only the disk's name differs, and a watchdog is armed.

use board_rock64::{Board, Disk, ROCK64, Watchdog, WatchdogTimes};

/// Name of the watchdog in the device tree.
pub const WATCHDOG: &str = "watchdog";

/// The board.
pub const SANDBOX: Board = Board {
    compatible: "sandbox",
    disk: Disk { interface: "host", number: 0, ..ROCK64.disk },
    // No button is emulated, and of USB only a port without a host, which is for tests of `ums`.
    recovery: None,
    // Short, since its time is real: it goes off by an alarm signal.
    watchdog: Watchdog::On {
        name: WATCHDOG,
        driver: "WDT_ALARM_SANDBOX",
        timeout_millis: 2000,
        limit_millis: 2000,
        times: WatchdogTimes::USUAL,
    },
    ..ROCK64
};

/// What the sandbox needs beside the board's own fragment: nothing of what it does only for its
/// own tests, which would take most of the build.
pub const SANDBOX_FRAGMENT: &str = "\
# CONFIG_ENV_IS_IN_EXT4 is not set
# CONFIG_ENV_IS_IN_FAT is not set
CONFIG_CMD_CYCLIC=y
# CONFIG_BINMAN_FDT is not set
# CONFIG_UNIT_TEST is not set
# CONFIG_SYS_MALLOC_CLEAR_ON_INIT is not set
# CONFIG_VIDEO is not set
# CONFIG_SOUND is not set
CONFIG_NO_NET=y
# CONFIG_CMD_EXT4_WRITE is not set
# CONFIG_TPM is not set
# CONFIG_UPL is not set
# CONFIG_CMD_UPL is not set
# CONFIG_LTO is not set
# CONFIG_MTD_RAW_NAND is not set
CONFIG_USB_GADGET=y
CONFIG_USB_GADGET_DOWNLOAD=y
CONFIG_USB_FUNCTION_MASS_STORAGE=y
# CONFIG_USB_FUNCTION_FASTBOOT is not set
CONFIG_CMD_USB_MASS_STORAGE=y
CONFIG_CMD_UMS_IDLE_SECS=600
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flash_and_partitions_are_those_of_the_rock64() {
        assert_eq!(SANDBOX.check_layout(), Ok(()));
        assert_eq!(SANDBOX.flash, ROCK64.flash);
        assert_eq!(SANDBOX.partitions, ROCK64.partitions);
        assert_eq!(SANDBOX.addresses, ROCK64.addresses);
    }
}
