// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is the emulated board, in numbers? QEMU's `virt` machine with an SD card for environment
//! and recorder and a virtio disk for the slots; labels and layout follow the Rock64. U-Boot with
//! an open prompt: nothing for a product.

use crate::autoboot::Autoboot;
use crate::board::{
    Board, BootLoader, Disk, Flash, FlashMedium, LoadAddresses, Network, PartitionFacts, SpiRegion,
};
use crate::watchdog::Watchdog;
use bootctl::SlotId;
use std::net::Ipv4Addr;
use storage::{ByteLen, Lba};

/// SHA-256 of the text that stops U-Boot; `tests/e2e` types it.
const STOP_TEXT_SHA256: [u8; 32] = [
    0xca, 0x8d, 0xdf, 0x14, 0x03, 0x6c, 0x18, 0x03, 0x9c, 0xc9, 0x53, 0x87, 0xce, 0x2b, 0x10, 0x6c,
    0x0b, 0x57, 0x1e, 0xdd, 0xfd, 0x7d, 0xa7, 0x95, 0x72, 0xe0, 0x04, 0x9c, 0x57, 0x89, 0x4b, 0x68,
];

/// The emulated board.
pub const ROCK64_QEMU: Board = Board {
    compatible: "qemu-virt",
    disk: Disk {
        device: "/dev/vda",
        interface: "virtio",
        number: 0,
        sector_bytes: 512,
        gap: ByteLen::mib(16),
        // The emulator loads U-Boot itself; the places stay reserved as on the Rock64.
        boot_loader: BootLoader { idbloader: Lba(64), u_boot: Lba(16384) },
    },
    partitions: [
        PartitionFacts::boot(SlotId::A, ByteLen::mib(16), ByteLen::mib(96)),
        PartitionFacts::rootfs(SlotId::A, ByteLen::mib(112), ByteLen::mib(256)),
        PartitionFacts::boot(SlotId::B, ByteLen::mib(368), ByteLen::mib(96)),
        PartitionFacts::rootfs(SlotId::B, ByteLen::mib(464), ByteLen::mib(256)),
        PartitionFacts::data(ByteLen::mib(720)),
    ],
    flash: Flash {
        medium: FlashMedium::Mmc { number: 0 },
        device: "/dev/mmcblk0",
        size: ByteLen::mib(64),
        erase_bytes: 0x8000,
        boot_loader_end: ByteLen::mib(2),
        env_offsets: [0x3f_0000, 0x3f_8000],
        env_bytes: 0x8000,
        recorder: SpiRegion { offset: 0x40_0000, blocks: 4 },
    },
    // Memory begins at 1 GiB, with the emulator's own device tree in its first MiB.
    addresses: LoadAddresses {
        kernel: 0x4040_0000,
        ramdisk: 0x4800_0000,
        fdt: 0x4030_0000,
        script: 0x4020_0000,
    },
    device_tree: "dtbs/qemu-virt.dtb",
    // What the kernel skips here is seconds of emulation.
    kernel_args: "console=ttyAMA0 earlycon=pl011,0x9000000 loglevel=4 lsm=capability audit=0 nokaslr kpti=0",
    recovery: None,
    autoboot: Autoboot::StopText { sha256: STOP_TEXT_SHA256, delay_secs: 0 },
    watchdog: Watchdog::Off { driver: None },
    network: Network { wan: "eth0", lan: "eth1", gateway: Ipv4Addr::new(172, 20, 30, 1) },
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ROCK64;

    #[test]
    fn the_emulated_board_fits_together() {
        assert_eq!(ROCK64_QEMU.check_layout(), Ok(()));
    }

    #[test]
    fn labels_and_order_are_those_of_the_rock64() {
        let facts = |board: &Board| board.partitions.map(|one| (one.number, one.label, one.role));
        assert_eq!(facts(&ROCK64_QEMU), facts(&ROCK64));
    }
}
