// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shape of a board's facts. The values are in `rock64.rs`.

use crate::autoboot::Autoboot;
use crate::watchdog::Watchdog;
use bootctl::SlotId;
use repart::{Format, TypeGuid};
use std::net::Ipv4Addr;
use storage::{ByteLen, Lba};

/// Everything a board is to this project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// RAUC's `compatible`.
    pub compatible: &'static str,
    /// The disk with the slots.
    pub disk: Disk,
    /// Its partitions, in the order of their numbers.
    pub partitions: [PartitionFacts; 5],
    /// What holds the environment and the flight recorder.
    pub flash: Flash,
    /// Where U-Boot loads things to.
    pub addresses: LoadAddresses,
    /// Path of the device tree in a boot partition.
    pub device_tree: &'static str,
    /// Kernel arguments of every boot, without root and init.
    pub kernel_args: &'static str,
    /// Who may stop U-Boot at its prompt over the serial line.
    pub autoboot: Autoboot,
    /// How a technician gets in; `None` where there is no button and no USB port for it.
    pub recovery: Option<Recovery>,
    /// The hardware watchdog.
    pub watchdog: Watchdog,
    /// The network interfaces.
    pub network: Network,
}

/// The network interfaces as Linux names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// On the board; towards the world.
    pub wan: &'static str,
    /// On USB; towards the devices served.
    pub lan: &'static str,
    /// The board's own address on the LAN until it is configured.
    pub gateway: Ipv4Addr,
}

/// The disk with the slots, and where the boot ROM looks on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Linux's path.
    pub device: &'static str,
    /// U-Boot's interface.
    pub interface: &'static str,
    /// U-Boot's number on that interface.
    pub number: u32,
    /// Bytes in a sector.
    pub sector_bytes: u32,
    /// Everything below belongs to the boot loader.
    pub gap: ByteLen,
    /// The boot loader's parts.
    pub boot_loader: BootLoader,
}

/// Places of the boot loader's two parts in the gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootLoader {
    /// First sector of `idbloader.img`.
    pub idbloader: Lba,
    /// First sector of `u-boot.itb`.
    pub u_boot: Lba,
}

/// What a partition is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Kernel, initrd, device tree and slot script of a slot.
    Boot(SlotId),
    /// Root file system of a slot.
    Rootfs(SlotId),
    /// What outlives updates.
    Data,
}

/// One partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionFacts {
    /// Number, from 1.
    pub number: u32,
    /// GPT label.
    pub label: &'static str,
    /// GPT type.
    pub type_guid: TypeGuid,
    /// First byte.
    pub start: ByteLen,
    /// Size; `None` for the rest of the disk.
    pub size: Option<ByteLen>,
    /// What it is for.
    pub role: Role,
    /// File system that the first boot makes in it.
    pub format: Option<Format>,
}

/// What holds the environment and the flight recorder, outside the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flash {
    /// What it is.
    pub medium: FlashMedium,
    /// Linux's path.
    pub device: &'static str,
    /// Its size.
    pub size: ByteLen,
    /// Erase unit that fits every driver's idea of the chip; see decision 0009. Where nothing is
    /// erased, the distance that keeps the two environment copies apart.
    pub erase_bytes: u32,
    /// A boot loader kept in this flash lies below.
    pub boot_loader_end: ByteLen,
    /// First bytes of the two environment copies.
    pub env_offsets: [u64; 2],
    /// Size of one copy, header included.
    pub env_bytes: u32,
    /// The flight recorder's ring.
    pub recorder: SpiRegion,
}

/// A kind of flash as U-Boot addresses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashMedium {
    /// SPI NOR: bits only fall until a block is erased.
    SpiNor,
    /// Raw sectors of an SD card or eMMC module, outside every partition.
    Mmc {
        /// U-Boot's number of it.
        number: u32,
    },
}

/// Whole erase blocks of the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpiRegion {
    /// First byte.
    pub offset: u64,
    /// Number of erase blocks.
    pub blocks: u32,
}

/// Where U-Boot loads things to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadAddresses {
    /// Uncompressed kernel.
    pub kernel: u64,
    /// Initrd.
    pub ramdisk: u64,
    /// Device tree.
    pub fdt: u64,
    /// Slot script.
    pub script: u64,
}

/// How a technician gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// GPIO of the button, as U-Boot counts.
    pub pin: u32,
    /// How long it must be held.
    pub hold_secs: u32,
    /// USB controller in gadget mode.
    pub usb_controller: u32,
}

impl Board {
    /// The partition of a role; every role has one in every valid board.
    #[must_use]
    pub fn partition(&self, role: Role) -> Option<&PartitionFacts> {
        self.partitions.iter().find(|partition| partition.role == role)
    }

    /// Linux's path of a partition.
    #[must_use]
    pub fn partition_device(&self, partition: &PartitionFacts) -> String {
        // The kernel puts a `p` between a name that ends in a digit and the partition's number.
        let ends_in_digit = self.disk.device.ends_with(|last: char| last.is_ascii_digit());
        let infix = if ends_in_digit { "p" } else { "" };
        format!("{}{infix}{}", self.disk.device, partition.number)
    }

    /// Size of the flight recorder's ring.
    #[must_use]
    pub fn recorder_len(&self) -> ByteLen {
        let blocks = u64::from(self.flash.recorder.blocks);
        ByteLen::new(blocks.saturating_mul(u64::from(self.flash.erase_bytes)))
    }

    /// Size of a flashable image: gap, slot A, and 1 MiB for the backup partition table.
    #[must_use]
    pub fn image_len(&self) -> ByteLen {
        let flashed = self.partitions.iter().filter(|partition| partition.is_flashed());
        let ends = flashed.filter_map(PartitionFacts::end).map(ByteLen::get);
        ByteLen::new(ends.max().unwrap_or_default().saturating_add(ByteLen::mib(1).get()))
    }
}

/// The five partitions that every board has; where they lie is the board's.
impl PartitionFacts {
    /// The partition with a slot's kernel. The first boot makes slot B's file system; slot A's is
    /// in the flashed image.
    #[must_use]
    pub const fn boot(slot: SlotId, start: ByteLen, size: ByteLen) -> Self {
        let (number, label, format) = match slot {
            SlotId::A => (1, "boot-a", None),
            SlotId::B => (3, "boot-b", Some(Format::Vfat)),
        };
        Self {
            number,
            label,
            type_guid: TypeGuid::XBOOTLDR,
            start,
            size: Some(size),
            role: Role::Boot(slot),
            format,
        }
    }

    /// The partition with a slot's root file system.
    #[must_use]
    pub const fn rootfs(slot: SlotId, start: ByteLen, size: ByteLen) -> Self {
        let (number, label) = match slot {
            SlotId::A => (2, "rootfs-a"),
            SlotId::B => (4, "rootfs-b"),
        };
        Self {
            number,
            label,
            type_guid: TypeGuid::ROOT_ARM64,
            start,
            size: Some(size),
            role: Role::Rootfs(slot),
            format: None,
        }
    }

    /// The partition that outlives updates: the rest of the disk, with a file system from the first
    /// boot.
    #[must_use]
    pub const fn data(start: ByteLen) -> Self {
        Self {
            number: 5,
            label: "data",
            type_guid: TypeGuid::LINUX_GENERIC,
            start,
            size: None,
            role: Role::Data,
            format: Some(Format::F2fs),
        }
    }

    /// The byte after the last one, or `None` where the partition takes the rest of the disk or
    /// the numbers do not fit.
    #[must_use]
    pub fn end(&self) -> Option<ByteLen> {
        self.start.get().checked_add(self.size?.get()).map(ByteLen::new)
    }

    /// Whether a flashable image brings it: slot A only, the first boot makes the others.
    #[must_use]
    pub fn is_flashed(&self) -> bool {
        match self.role {
            Role::Boot(slot) | Role::Rootfs(slot) => slot == SlotId::A,
            Role::Data => false,
        }
    }
}
