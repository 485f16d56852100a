// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system calls that have no safe wrapper: sizes, flags and partitions of block devices, facts
//! and erases of flash, volumes, registers of memory cards, leases of files. Every `unsafe` of the
//! project is in this file.
//!
//! Layout of the two flash structures: `include/uapi/mtd/mtd-abi.h` of Linux; of the two for
//! partitions: `include/uapi/linux/blkpg.h`; of the one for memory cards:
//! `include/uapi/linux/mmc/ioctl.h`.
#![expect(unsafe_code, reason = "these calls take raw pointers; nothing else in here does")]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

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
    nix::ioctl_write_ptr!(update_volume, b'O', 0, i64);
    nix::ioctl_readwrite!(card_command, 179, 0, super::CardCommand);
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

/// `struct mmc_ioc_cmd`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct CardCommand {
    write_flag: nix::libc::c_int,
    is_application: nix::libc::c_int,
    opcode: u32,
    argument: u32,
    response: [u32; 4],
    flags: u32,
    block_bytes: u32,
    blocks: u32,
    sleep_min_us: u32,
    sleep_max_us: u32,
    data_timeout_ns: u32,
    command_timeout_ms: u32,
    padding: u32,
    data: u64,
}

/// Commands and flags of `include/linux/mmc/{mmc,core}.h`.
const CARD_SWITCH: u32 = 6;
const CARD_SEND_EXT_CSD: u32 = 8;
/// `MMC_RSP_SPI_R1 | MMC_RSP_R1 | MMC_CMD_ADTC`.
const CARD_READS_DATA: u32 = 0x80 | 0x15 | 0x20;
/// `MMC_RSP_SPI_R1B | MMC_RSP_R1B | MMC_CMD_AC`: the answer is busy until it is stored.
const CARD_STORES: u32 = 0x480 | 0x1d;
/// `MMC_SWITCH_MODE_WRITE_BYTE`.
const CARD_WRITE_BYTE: u32 = 3;
/// `EXT_CSD_CMD_SET_NORMAL`.
const CARD_NORMAL_SET: u32 = 1;

/// Bytes of an eMMC's extended registers.
pub const EXT_CSD_BYTES: usize = 512;

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

/// `F_SETLEASE` with `F_WRLCK`: whether this descriptor is the only one of its file, be it of a
/// process, a mapping or a loop device. Given back when the descriptor is closed.
///
/// # Errors
/// The kernel's other ones: no leases on this file system, or a file of another user.
pub fn is_open_here_only(file: &File) -> io::Result<bool> {
    // SAFETY: the descriptor is open for the call, whose argument is a plain number.
    let taken =
        unsafe { nix::libc::fcntl(file.as_raw_fd(), nix::libc::F_SETLEASE, nix::libc::F_WRLCK) };
    match nix::errno::Errno::result(taken) {
        Ok(_) => Ok(true),
        Err(nix::errno::Errno::EAGAIN) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// `UBI_IOCVOLUP`: the next `len` bytes written to this descriptor replace the volume's content.
pub fn update_volume(file: &File, len: u64) -> io::Result<()> {
    let len = i64::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: the descriptor is open for the call and the kernel only reads the number.
    unsafe { raw::update_volume(file.as_raw_fd(), &len) }?;
    Ok(())
}

/// `MMC_IOC_CMD` with `MMC_SEND_EXT_CSD`: the extended registers of an eMMC.
pub fn read_ext_csd(file: &File) -> io::Result<[u8; EXT_CSD_BYTES]> {
    let mut registers = [0; EXT_CSD_BYTES];
    let mut command = CardCommand {
        opcode: CARD_SEND_EXT_CSD,
        flags: CARD_READS_DATA,
        block_bytes: 512,
        blocks: 1,
        data: registers.as_mut_ptr().expose_provenance() as u64,
        ..CardCommand::default()
    };
    // SAFETY: the descriptor is open for the call; the kernel writes the structure, which has its
    // layout, and one block of 512 bytes to `data`, which is a buffer of that length that lives
    // and is not looked at until the call returns.
    unsafe { raw::card_command(file.as_raw_fd(), &mut command) }?;
    Ok(registers)
}

/// `MMC_IOC_CMD` with `MMC_SWITCH`: sets one extended register of an eMMC; it is stored when the
/// call returns.
pub fn write_ext_csd(file: &File, register: u8, value: u8) -> io::Result<()> {
    let argument =
        CARD_WRITE_BYTE << 24 | u32::from(register) << 16 | u32::from(value) << 8 | CARD_NORMAL_SET;
    let mut command = CardCommand {
        write_flag: 1,
        opcode: CARD_SWITCH,
        argument,
        flags: CARD_STORES,
        ..CardCommand::default()
    };
    // SAFETY: the descriptor is open for the call and the kernel reads and writes the structure
    // alone, which has its layout: a command without blocks has no data.
    unsafe { raw::card_command(file.as_raw_fd(), &mut command) }?;
    Ok(())
}

/// `fsetxattr`: sets an extended attribute of an open file, or replaces it.
///
/// # Errors
/// What the kernel answers; `InvalidInput` for a name with a zero byte in it.
pub fn set_xattr(file: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> io::Result<()> {
    let name = CString::new(name)?;
    let (name, len) = (name.as_c_str(), value.len());
    let descriptor = file.as_raw_fd();
    // SAFETY: the name ends with its zero byte, value and length describe one slice, and both
    // outlive the call, which only reads them.
    let outcome =
        unsafe { nix::libc::fsetxattr(descriptor, name.as_ptr(), value.as_ptr().cast(), len, 0) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_and_request_numbers_are_the_kernels() {
        // As printed by a C program with the kernel's headers.
        assert_eq!(size_of::<CardCommand>(), 72);
        assert_eq!(std::mem::offset_of!(CardCommand, data), 64);
        assert_eq!(nix::request_code_readwrite!(179, 0, size_of::<CardCommand>()), 0xc048_b300);
        assert_eq!(nix::request_code_write!(b'O', 0, size_of::<i64>()), 0x4008_4f00);
    }
}
