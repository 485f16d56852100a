// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every handler on devices in memory and with programs that are noted; real programs where they
//! need neither root nor a loop device.

mod against_rauc;
mod boot_slots;
mod fake;
mod filesystems;
mod flash;
mod plain;
mod power_cuts;
