// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system calls that have no safe wrapper: sizes, flags and partitions of block devices, facts
//! and erases of flash. Every `unsafe` of the project is in this file.
//!
//! Layout of the two flash structures: `include/uapi/mtd/mtd-abi.h` of Linux; of the two for
//! partitions: `include/uapi/linux/blkpg.h`.
#![expect(unsafe_code, reason = "an ioctl takes a raw pointer; nothing else in here does")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

mod raw {
    // `size_t` in the request's number, yet the kernel writes 64 bits on every machine.
    nix::ioctl_read_bad!(
        block_size,
        nix::request_code_read!(0x12, 114, std::mem::size_of::<usize>()),
        u64
    );
    nix::ioctl_read_bad!(sector_size, nix::request_code_none!(0x12, 104), nix::libc::c_int);
    nix::ioctl_none_bad!(read_partitions, nix::request_code_none!(0x12, 95));
    nix::ioctl_write_ptr_bad!(
        change_partition,
        nix::request_code_none!(0x12, 105),
        super::PartitionRequest
    );
    nix::ioctl_read_bad!(read_only, nix::request_code_none!(0x12, 94), nix::libc::c_int);
    nix::ioctl_read!(flash_info, b'M', 1, super::FlashInfo);
    nix::ioctl_write_ptr!(flash_erase, b'M', 2, super::FlashRange);
}

/// `struct mtd_info_user`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FlashInfo {
    kind: u8,
    pub flags: u32,
    pub size: u32,
    pub erase_bytes: u32,
    write_bytes: u32,
    spare_bytes: u32,
    padding: u64,
}

/// `struct erase_info_user`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FlashRange {
    pub start: u32,
    pub len: u32,
}

/// `struct blkpg_ioctl_arg`.
#[repr(C)]
struct PartitionRequest {
    act: nix::libc::c_int,
    flags: nix::libc::c_int,
    data_bytes: nix::libc::c_int,
    data: *const PartitionPlace,
}

/// `struct blkpg_partition`.
#[repr(C)]
struct PartitionPlace {
    start_bytes: i64,
    len_bytes: i64,
    number: nix::libc::c_int,
    /// Two names that the kernel does not look at.
    unused: [u8; 128],
}

/// What `BLKPG` is asked for.
#[derive(Clone, Copy, Debug)]
pub enum PartitionAct {
    /// `BLKPG_ADD_PARTITION`: the number is new.
    Add = 1,
    /// `BLKPG_RESIZE_PARTITION`: the start is the same.
    Resize = 3,
}

/// `BLKRRPART`: the kernel reads the partition table again; busy while a partition is in use.
pub fn read_partitions(file: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open for the call, which takes no argument.
    unsafe { raw::read_partitions(file.as_raw_fd()) }?;
    Ok(())
}

/// `BLKPG`: tells the kernel of one partition, whatever else is in use.
pub fn change_partition(
    file: &File,
    act: PartitionAct,
    number: u32,
    start_bytes: u64,
    len_bytes: u64,
) -> io::Result<()> {
    let outside = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let place = PartitionPlace {
        start_bytes: i64::try_from(start_bytes).map_err(outside)?,
        len_bytes: i64::try_from(len_bytes).map_err(outside)?,
        number: nix::libc::c_int::try_from(number).map_err(outside)?,
        unused: [0; 128],
    };
    let data_bytes = nix::libc::c_int::try_from(size_of::<PartitionPlace>()).map_err(outside)?;
    let request =
        PartitionRequest { act: act as nix::libc::c_int, flags: 0, data_bytes, data: &place };
    // SAFETY: the descriptor is open for the call; the kernel only reads the request and the
    // place it points to, both of which live until the call returns and have the kernel's layout.
    unsafe { raw::change_partition(file.as_raw_fd(), &request) }?;
    Ok(())
}

/// `BLKGETSIZE64`: the size of a block device in bytes.
pub fn block_size(file: &File) -> io::Result<u64> {
    let mut size = 0;
    // SAFETY: the descriptor is open for the call and `size` is a u64, which is what is written.
    unsafe { raw::block_size(file.as_raw_fd(), &mut size) }?;
    Ok(size)
}

/// `BLKSSZGET`: the logical sector size of a block device.
pub fn sector_size(file: &File) -> io::Result<u32> {
    let mut size = 0;
    // SAFETY: the descriptor is open for the call and `size` is a C int, which is what is written.
    unsafe { raw::sector_size(file.as_raw_fd(), &mut size) }?;
    u32::try_from(size).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// `BLKROGET`: whether the block device is write-protected.
pub fn read_only(file: &File) -> io::Result<bool> {
    let mut flag = 0;
    // SAFETY: the descriptor is open for the call and `flag` is a C int, which is what is written.
    unsafe { raw::read_only(file.as_raw_fd(), &mut flag) }?;
    Ok(flag != 0)
}

/// `MEMGETINFO`: size, erase block and flags of a flash device.
pub fn flash_info(file: &File) -> io::Result<FlashInfo> {
    let mut info = FlashInfo::default();
    // SAFETY: the descriptor is open for the call and `FlashInfo` has the layout of the kernel's
    // structure, all of whose bit patterns are valid.
    unsafe { raw::flash_info(file.as_raw_fd(), &mut info) }?;
    Ok(info)
}

/// `MEMERASE`: erases whole blocks of a flash device and waits for it.
pub fn flash_erase(file: &File, range: FlashRange) -> io::Result<()> {
    // SAFETY: the descriptor is open for the call and the kernel only reads the structure.
    unsafe { raw::flash_erase(file.as_raw_fd(), &range) }?;
    Ok(())
}
