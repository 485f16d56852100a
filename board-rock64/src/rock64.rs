// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Pine64 Rock64 (RK3328) with an eMMC module: every number of it that anything here needs.
//!
//! Sources: the original project's layout and boot script, the RK3328 boot ROM's search places,
//! U-Boot's defaults for `rock64-rk3328`. See decision 0009 for what deviates and why.

use crate::autoboot::Autoboot;
use crate::board::{
    Board, BootLoader, Disk, Flash, FlashMedium, LoadAddresses, Network, PartitionFacts, Recovery,
    SpiRegion,
};
use crate::watchdog::{Watchdog, WatchdogTimes};
use bootctl::SlotId;
use std::net::Ipv4Addr;
use storage::{ByteLen, Lba};

/// The board.
pub const ROCK64: Board = Board {
    compatible: "rock64",
    disk: Disk {
        device: "/dev/mmcblk1",
        interface: "mmc",
        number: 1,
        sector_bytes: 512,
        gap: ByteLen::mib(16),
        boot_loader: BootLoader { idbloader: Lba(64), u_boot: Lba(16384) },
    },
    partitions: [
        PartitionFacts::boot(SlotId::A, ByteLen::mib(16), ByteLen::mib(128)),
        PartitionFacts::rootfs(SlotId::A, ByteLen::mib(144), ByteLen::mib(1024)),
        PartitionFacts::boot(SlotId::B, ByteLen::mib(1168), ByteLen::mib(128)),
        PartitionFacts::rootfs(SlotId::B, ByteLen::mib(1296), ByteLen::mib(1024)),
        PartitionFacts::data(ByteLen::mib(2320)),
    ],
    flash: Flash {
        medium: FlashMedium::SpiNor,
        device: "/dev/mtd0",
        size: ByteLen::mib(16),
        erase_bytes: 0x1_0000,
        boot_loader_end: ByteLen::mib(2),
        env_offsets: [0x20_0000, 0x21_0000],
        env_bytes: 0x8000,
        recorder: SpiRegion { offset: 0x22_0000, blocks: 4 },
    },
    addresses: LoadAddresses {
        kernel: 0x0208_0000,
        // Not U-Boot's default 0x06000000: a kernel of 63 MB, once relocated, reaches beyond it.
        ramdisk: 0x0800_0000,
        fdt: 0x01e0_0000,
        script: 0x0050_0000,
    },
    device_tree: "dtbs/rockchip/rk3328-rock64.dtb",
    // A panic's last words outlive a reset between the trusted firmware, which shares memory up to
    // 0x10f000, and Linux's memory, which begins at 0x200000; the vendor's kernels keep them there.
    // Without the module `ramoops` these words mean nothing.
    kernel_args: "console=ttyS2,1500000 earlycon=uart8250,mmio32,0xff130000 loglevel=7 rootwait \
                  ramoops.mem_address=0x110000 ramoops.mem_size=0xf0000 \
                  ramoops.record_size=0x20000 ramoops.ecc=1",
    autoboot: Autoboot::Closed,
    recovery: Some(Recovery { pin: 100, hold_secs: 5, usb_controller: 0 }),
    watchdog: Watchdog::Off { driver: Some(WATCHDOG_DRIVER) },
    network: Network { wan: "eth0", lan: "eth1", gateway: Ipv4Addr::new(172, 20, 30, 1) },
};

/// U-Boot's option for the driver of the watchdog in the RK3328.
const WATCHDOG_DRIVER: &str = "DESIGNWARE_WATCHDOG";

/// The Rock64 with its watchdog, for those who have soaked it: `docs/how-to-watchdog.md`.
pub const ROCK64_WATCHDOG: Board = Board {
    watchdog: Watchdog::On {
        name: "watchdog@ff1a0000",
        driver: WATCHDOG_DRIVER,
        timeout_millis: 28_000,
        // 32 bits, of which 31 are a time, at the 75 MHz of the bus; U-Boot may find it slower.
        limit_millis: 28_633,
        times: WatchdogTimes::USUAL,
    },
    ..ROCK64
};
