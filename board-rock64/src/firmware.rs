// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is built into this board's U-Boot, and what do its slots run? Facts in, text out.

use crate::autoboot::Autoboot;
use crate::board::{Board, FlashMedium, Recovery, Role};
use crate::watchdog::Watchdog;
use bootctl::SlotId;
use std::fmt::Write as _;
use uboot::{
    ButtonFacts, DeviceTreeFacts, LoadFacts, MassStorageFacts, SelectorFacts, SlotScriptFacts,
    WatchdogFacts,
};

/// Path of the slot script in a boot partition.
pub(crate) const SCRIPT_PATH: &str = "boot.scr";
/// Path of the kernel in a boot partition.
pub(crate) const KERNEL_PATH: &str = "Image";
/// Path of the initrd in a boot partition.
pub(crate) const INITRD_PATH: &str = "initrd";

/// What U-Boot 2025.01 lacks, as patches by file name; the fragment switches it on.
pub const UBOOT_PATCHES: [(&str, &str); 3] = [
    (
        "0001-autoboot-takes-the-built-in-bootcmd.patch",
        include_str!("../patches/0001-autoboot-takes-the-built-in-bootcmd.patch"),
    ),
    (
        "0002-usb-mass-storage-ends-when-idle.patch",
        include_str!("../patches/0002-usb-mass-storage-ends-when-idle.patch"),
    ),
    (
        "0003-the-watchdog-of-the-rk3328-has-a-clock.patch",
        include_str!("../patches/0003-the-watchdog-of-the-rk3328-has-a-clock.patch"),
    ),
];

/// USB mass storage ends when no host has read or written for this long.
const UMS_IDLE_SECS: u32 = 600;

/// A prompt that nobody types at resets the board after this long.
const PROMPT_IDLE_SECS: u32 = 300;

/// Options of U-Boot that could start something else than a slot, or count boots a second time.
const OTHER_WAYS_TO_BOOT: [&str; 14] = [
    // Runs a variable of the stored environment before anything else.
    "USE_PREBOOT",
    "BOOTCOUNT_LIMIT",
    "BOOTSTD",
    "BOOTMETH_RAUC",
    "DISTRO_DEFAULTS",
    "EFI_LOADER",
    "CMD_PXE",
    "CMD_DHCP",
    "CMD_TFTPBOOT",
    // Needs the TFTP client and does not say so: without this line U-Boot does not link.
    "DFU_TFTP",
    "UPDATE_TFTP",
    "CMD_USB",
    "USB_STORAGE",
    // On as soon as there is a USB gadget, and then asks for a buffer address, for ever.
    "USB_FUNCTION_FASTBOOT",
];

/// Bytes of the shortest variable in a stored environment: `a=b` and its end.
const SHORTEST_ENTRY: u64 = 4;

/// Variables that the selector brings and sets, generously.
const SELECTOR_ENTRIES: u64 = 256;

/// Options of U-Boot for what the selector and the slot scripts call.
const COMMANDS: [&str; 13] = [
    "HUSH_PARSER",
    "CMD_BOOTI",
    "CMD_ECHO",
    "CMD_FAT",
    "CMD_FS_GENERIC",
    "CMD_MMC",
    "CMD_PART",
    "CMD_SAVEENV",
    "CMD_SLEEP",
    "CMD_SOURCE",
    "EFI_PARTITION",
    "LEGACY_IMAGE_FORMAT",
    "PARTITION_UUIDS",
];

/// Options of U-Boot for the ways in of a technician.
const RECOVERY: [&str; 6] = [
    "CMD_GPIO",
    "CMD_USB_MASS_STORAGE",
    "USB_FUNCTION_MASS_STORAGE",
    "USB_GADGET",
    "USB_GADGET_DOWNLOAD",
    "USB_GADGET_DWC2_OTG",
];

/// Path of a root file system's first program, safe to stand in a boot script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitPath(String);

/// The path is not absolute or could be more than a path to U-Boot's shell or to the kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("init {path:?} is not an absolute path of letters, digits and / . _ + -")]
pub struct InitPathError {
    /// What was given.
    pub path: String,
}

impl InitPath {
    /// Checks the path.
    ///
    /// # Errors
    /// [`InitPathError`].
    pub fn new(path: &str) -> Result<Self, InitPathError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte);
        if path.starts_with('/') && path.bytes().all(plain) {
            Ok(Self(path.to_owned()))
        } else {
            Err(InitPathError { path: path.to_owned() })
        }
    }
}

impl Default for InitPath {
    /// `/init`, a link in every root file system of the project.
    fn default() -> Self {
        Self("/init".to_owned())
    }
}

impl Board {
    /// What the selector must know.
    #[must_use]
    pub fn selector_facts(&self) -> SelectorFacts {
        let label = |slot| self.partition(Role::Boot(slot)).map_or("", |found| found.label);
        SelectorFacts {
            interface: self.disk.interface.to_owned(),
            device: self.disk.number,
            boot_labels: SlotId::ALL.map(|slot| label(slot).to_owned()),
            script_path: SCRIPT_PATH.to_owned(),
            script_address: self.addresses.script,
            watchdog: match self.watchdog {
                Watchdog::Off { .. } => None,
                Watchdog::On { name, timeout_millis, .. } => {
                    Some(WatchdogFacts { name: name.to_owned(), timeout_millis })
                }
            },
            button: self.recovery.map(|Recovery { pin, hold_secs, .. }| ButtonFacts {
                pin: pin.to_string(),
                hold_secs,
            }),
            mass_storage: self.recovery.map(|Recovery { usb_controller, .. }| MassStorageFacts {
                controller: usb_controller,
            }),
        }
    }

    /// U-Boot's whole default environment: the selector, and nothing that could boot otherwise.
    #[must_use]
    pub fn selector(&self) -> String {
        uboot::selector_script(&self.selector_facts())
    }

    /// The text of a slot's `boot.scr`. It is the same for both slots.
    #[must_use]
    pub fn slot_script(&self, init: &InitPath) -> String {
        let load = |path: &str, address| LoadFacts { path: path.to_owned(), address };
        uboot::slot_script(&SlotScriptFacts {
            interface: self.disk.interface.to_owned(),
            device: self.disk.number,
            kernel: load(KERNEL_PATH, self.addresses.kernel),
            initrd: load(INITRD_PATH, self.addresses.ramdisk),
            device_tree: DeviceTreeFacts::File(load(self.device_tree, self.addresses.fdt)),
            common_args: format!(
                "{}{} root=fstab rw init={}",
                self.kernel_args,
                self.watchdog.kernel_args(),
                init.0
            ),
            root_args: SlotId::ALL.map(|slot| self.root_args(slot)),
        })
    }

    fn root_args(&self, slot: SlotId) -> String {
        let rootfs = self.partition(Role::Rootfs(slot));
        let device = rootfs.map(|rootfs| self.partition_device(rootfs)).unwrap_or_default();
        format!("atomixos.lowerdev={device} atomixos.lowerfstype=squashfs")
    }

    /// What is added to the board's default configuration of U-Boot, `rock64-rk3328_defconfig`.
    #[must_use]
    pub fn uboot_fragment(&self) -> String {
        let mut text = String::new();
        self.write_environment_place(&mut text);
        section(
            &mut text,
            "The selector is the default environment, bootcmd included: with a file for it U-Boot \
             knows no CONFIG_BOOTCOMMAND. Renamed in 2025.10; each U-Boot knows one of the names.",
        );
        let of_file = ["USE_DEFAULT_ENV_FILE", "ENV_USE_DEFAULT_ENV_TEXT_FILE"];
        switch(&mut text, Switch::On, &of_file);
        for name in ["DEFAULT_ENV_FILE", "ENV_DEFAULT_ENV_TEXT_FILE"] {
            let _ = writeln!(text, "CONFIG_{name}=\"selector.env\"");
        }
        section(&mut text, "No second counter, no other way to boot: not SD, USB, network or EFI.");
        switch(&mut text, Switch::Off, &OTHER_WAYS_TO_BOOT);
        section(&mut text, "What the selector and the slot scripts call.");
        switch(&mut text, Switch::On, &COMMANDS);
        self.write_autoboot(&mut text);
        if self.recovery.is_some() {
            section(&mut text, "The recovery button and USB mass storage, which ends by itself.");
            switch(&mut text, Switch::On, &RECOVERY);
            let _ = writeln!(text, "CONFIG_CMD_UMS_IDLE_SECS={UMS_IDLE_SECS}");
        }
        section(&mut text, "Nothing here writes a file system.");
        switch(&mut text, Switch::Off, &["FAT_WRITE", "EXT4_WRITE"]);
        self.write_watchdog(&mut text);
        text
    }

    fn write_autoboot(&self, text: &mut String) {
        section(
            text,
            "The selector runs whatever a stored environment says, and every prompt ends.",
        );
        switch(text, Switch::On, &["AUTOBOOT_BUILT_IN_BOOTCMD", "BOOT_RETRY", "RESET_TO_RETRY"]);
        let _ = writeln!(text, "CONFIG_BOOT_RETRY_TIME={PROMPT_IDLE_SECS}");
        match self.autoboot {
            Autoboot::Closed => section(text, "Nothing on the serial line stops it."),
            Autoboot::StopText { .. } => section(text, "A text stops it whose SHA-256 is this."),
        }
        // A Ctrl-C is not obeyed either where a text is asked for.
        switch(text, Switch::On, &["AUTOBOOT_KEYED", "AUTOBOOT_ENCRYPTION"]);
        switch(text, Switch::Off, &["CRYPT_PW"]);
        match self.autoboot {
            Autoboot::Closed => {
                switch(text, Switch::Off, &["AUTOBOOT_STOP_STR_ENABLE"]);
                text.push_str("CONFIG_BOOTDELAY=-2\n");
            }
            Autoboot::StopText { sha256, delay_secs } => {
                // Without SHA256 U-Boot says that it knows no such hash, and boots.
                let options = ["AUTOBOOT_STOP_STR_ENABLE", "AUTOBOOT_FLUSH_STDIN", "SHA256"];
                switch(text, Switch::On, &options);
                let digits: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
                let _ = write!(
                    text,
                    "CONFIG_AUTOBOOT_STOP_STR_SHA256=\"{digits}\"\nCONFIG_BOOTDELAY={delay_secs}\n"
                );
            }
        }
    }

    fn write_environment_place(&self, text: &mut String) {
        let [first, second] = self.flash.env_offsets;
        let mut place = vec![
            ("ENV_OFFSET", first),
            ("ENV_OFFSET_REDUND", second),
            ("ENV_SIZE", u64::from(self.flash.env_bytes)),
        ];
        let not_in = match self.flash.medium {
            FlashMedium::SpiNor => {
                section(text, "The environment: two copies in SPI NOR flash and nowhere else.");
                switch(text, Switch::On, &["ENV_IS_IN_SPI_FLASH"]);
                place.push(("ENV_SECT_SIZE", u64::from(self.flash.erase_bytes)));
                "ENV_IS_IN_MMC"
            }
            FlashMedium::Mmc { number } => {
                section(text, "The environment: two copies in raw MMC sectors and nowhere else.");
                switch(text, Switch::On, &["ENV_IS_IN_MMC"]);
                // Partition 0 is the card itself, not one of an eMMC module's boot areas.
                let _ =
                    write!(text, "CONFIG_SYS_MMC_ENV_DEV={number}\nCONFIG_SYS_MMC_ENV_PART=0\n");
                "ENV_IS_IN_SPI_FLASH"
            }
        };
        section(text, "Room for the selector beside all that fits into a stored copy.");
        let entries = u64::from(self.flash.env_bytes) / SHORTEST_ENTRY + SELECTOR_ENTRIES;
        let _ =
            writeln!(text, "CONFIG_ENV_MIN_ENTRIES={entries}\nCONFIG_ENV_MAX_ENTRIES={entries}");
        section(text, "One option under its old and its new name; each U-Boot knows one.");
        switch(text, Switch::On, &["SYS_REDUNDAND_ENVIRONMENT", "ENV_REDUNDANT"]);
        for (name, value) in place {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "CONFIG_{name}={value:#x}");
        }
        switch(text, Switch::Off, &[not_in, "ENV_IS_IN_FLASH", "ENV_IS_NOWHERE"]);
    }

    fn write_watchdog(&self, text: &mut String) {
        match self.watchdog {
            Watchdog::Off { driver: None } => {
                section(text, "No watchdog.");
                switch(text, Switch::Off, &["WDT", "CMD_WDT", "WATCHDOG_AUTOSTART"]);
            }
            Watchdog::Off { driver: Some(driver) } => {
                section(text, "The watchdog has its driver; nobody arms it until its soak test.");
                switch(text, Switch::On, &["WDT", "CMD_WDT", driver]);
                switch(text, Switch::Off, &["WATCHDOG", "WATCHDOG_AUTOSTART"]);
            }
            Watchdog::On { timeout_millis, driver, .. } => {
                section(text, "The selector arms the watchdog, U-Boot feeds it while it loads.");
                switch(text, Switch::On, &["WDT", "WATCHDOG", "CMD_WDT", driver]);
                switch(text, Switch::Off, &["WATCHDOG_AUTOSTART"]);
                let _ = writeln!(text, "CONFIG_WATCHDOG_TIMEOUT_MSECS={timeout_millis}");
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Switch {
    On,
    Off,
}

fn section(text: &mut String, why: &str) {
    let _ = writeln!(text, "# {why}");
}

fn switch(text: &mut String, to: Switch, names: &[&str]) {
    for name in names {
        let _ = match to {
            Switch::On => writeln!(text, "CONFIG_{name}=y"),
            Switch::Off => writeln!(text, "# CONFIG_{name} is not set"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_init_path_cannot_carry_more_than_a_path() {
        assert!(InitPath::new("/nix/store/abc-nixos-system-25.11/init").is_ok());
        for odd in ["", "init", "/init rw", "/in\"it", "/init;reset", "/${x}", "/init\n"] {
            assert!(InitPath::new(odd).is_err(), "{odd:?}");
        }
    }
}
