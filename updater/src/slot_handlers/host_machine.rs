// SPDX-License-Identifier: MIT OR Apache-2.0
//! This machine: real programs, real devices, real eMMC and UBI.

use super::machine::{BootHalf, Machine, MachineError, Protection, Spooled};
use programs::{ProgramCall, ProgramEnd, ProgramError, StopQuestion};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::path::{Path, PathBuf};
use storage::{Access, BootPartition, ByteLen, Devices, EmmcRegisters, HostDevices, StorageError};

/// Where the kernel lists block devices.
const SYS_BLOCK: &str = "/sys/block";

/// Memory as a file, for programs that read their image by a path.
#[cfg(target_os = "linux")]
fn nameless_file() -> io::Result<File> {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    Ok(File::from(memfd_create(c"atomix-image", MFdFlags::MFD_CLOEXEC)?))
}

/// No other system has flash that wants it.
#[cfg(not(target_os = "linux"))]
fn nameless_file() -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The machine that this program runs on.
pub struct HostMachine {
    devices: Box<dyn Devices + Send>,
}

impl HostMachine {
    /// With the devices of the running system.
    #[must_use]
    pub fn new() -> Self {
        Self::with_devices(Box::new(HostDevices::new("/")))
    }

    /// With devices that are opened in another way, by the same paths.
    #[must_use]
    pub fn with_devices(devices: Box<dyn Devices + Send>) -> Self {
        Self { devices }
    }
}

impl Default for HostMachine {
    fn default() -> Self {
        Self::new()
    }
}

/// An image in memory that programs open through this process's descriptors. Not a file in `/tmp`:
/// an image for flash is small, and there may be no place that is writable and executable enough.
struct InMemory {
    /// Holds the memory.
    _file: File,
    path: PathBuf,
}

impl Spooled for InMemory {
    fn path(&self) -> &Path {
        &self.path
    }
}

impl Machine for HostMachine {
    fn run(
        &mut self,
        call: ProgramCall<'_>,
        stop: StopQuestion<'_>,
    ) -> Result<ProgramEnd, ProgramError> {
        programs::run(call, stop)
    }

    fn devices(&self) -> &dyn Devices {
        &*self.devices
    }

    fn make_dir(&mut self, dir: &Path) -> Result<(), MachineError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|source| failed("make the directory", dir, source))
    }

    fn remove_dir(&mut self, dir: &Path) {
        // It is empty and in nobody's way.
        let _ = fs::remove_dir(dir);
    }

    fn real_path(&self, device: &Path) -> Result<PathBuf, MachineError> {
        fs::canonicalize(device).map_err(|source| failed("resolve", device, source))
    }

    fn grow_file(&mut self, device: &Path, len: ByteLen) -> Result<(), MachineError> {
        let grow = || {
            let facts = fs::metadata(device)?;
            if facts.is_file() && facts.len() < len.get() {
                OpenOptions::new().write(true).open(device)?.set_len(len.get())?;
            }
            Ok(())
        };
        grow().map_err(|source| failed("make room in", device, source))
    }

    fn spool(&mut self, image: &mut dyn Read) -> Result<Box<dyn Spooled>, MachineError> {
        let place = Path::new("memory");
        let mut keep = || -> io::Result<InMemory> {
            let mut file = nameless_file()?;
            io::copy(image, &mut file)?;
            let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
            Ok(InMemory { _file: file, path: path.into() })
        };
        keep().map(|kept| Box::new(kept) as _).map_err(|source| failed("copy to", place, source))
    }

    fn replace_volume(
        &mut self,
        device: &Path,
        len: ByteLen,
    ) -> Result<Box<dyn Write>, StorageError> {
        storage::replace_ubi_volume(device, device.display().to_string(), len)
    }

    fn read_volume(&self, device: &Path) -> Result<Box<dyn Read>, StorageError> {
        Ok(Box::new(storage::read_ubi_volume(device, device.display().to_string())?))
    }

    fn boot_partition(&self, device: &Path) -> Result<Option<BootHalf>, StorageError> {
        let label = device.display().to_string();
        let registers = EmmcRegisters::open(device, label.clone(), Access::ReadOnly)?;
        match registers.boot_partition()? {
            BootPartition::None => Ok(None),
            BootPartition::Boot0 => Ok(Some(BootHalf::Boot0)),
            BootPartition::Boot1 => Ok(Some(BootHalf::Boot1)),
            BootPartition::User => {
                Err(unusable(label, "Active eMMC partition is UDA when boot0/boot1 was expected."))
            }
            BootPartition::Reserved(_) => {
                Err(unusable(label, "Invalid (Reserved) eMMC boot part number."))
            }
        }
    }

    fn set_boot_partition(&mut self, device: &Path, half: BootHalf) -> Result<(), StorageError> {
        let label = device.display().to_string();
        let partition = match half {
            BootHalf::Boot0 => BootPartition::Boot0,
            BootHalf::Boot1 => BootPartition::Boot1,
        };
        EmmcRegisters::open(device, label, Access::ReadWrite)?.set_boot_partition(partition)
    }

    fn set_force_ro(&mut self, device: &Path, protect: Protection) -> Result<(), MachineError> {
        let name = device.file_name().unwrap_or_default();
        let switch = Path::new(SYS_BLOCK).join(name).join("force_ro");
        let value: &[u8] = match protect {
            Protection::Off => b"0",
            Protection::On => b"1",
        };
        let set = || -> io::Result<()> {
            if !fs::metadata(device)?.file_type().is_block_device() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a block device"));
            }
            OpenOptions::new().write(true).open(&switch)?.write_all(value)
        };
        set().map_err(|source| failed("set", &switch, source))
    }
}

fn failed(act: &'static str, path: &Path, source: io::Error) -> MachineError {
    MachineError { act, path: path.to_owned(), source }
}

fn unusable(label: String, reason: &'static str) -> StorageError {
    StorageError::Open { label, source: io::Error::new(io::ErrorKind::InvalidData, reason) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spooled_image_is_read_by_a_program_and_gone_afterwards() {
        let mut machine = HostMachine::new();
        let image = vec![7_u8; 100_000];
        let spooled = machine.spool(&mut image.as_slice()).unwrap();
        let (path, mut got) = (spooled.path().to_owned(), Vec::new());
        let mut take = |_, bytes: &[u8]| got.extend_from_slice(bytes);
        let call = ProgramCall::new("cat").arg(&path).output(&mut take);
        assert!(machine.run(call, &|| None).unwrap().success());
        assert!(got == image);
        drop(spooled);
        assert!(!path.exists());
    }

    #[test]
    fn a_plain_file_grows_and_never_shrinks() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut machine = HostMachine::new();
        for (asked, len) in [(5000, 5000), (10, 5000), (6000, 6000)] {
            machine.grow_file(file.path(), ByteLen::new(asked)).unwrap();
            assert_eq!(file.as_file().metadata().unwrap().len(), len);
        }
        assert!(machine.grow_file(Path::new("/nowhere/x"), ByteLen::new(1)).is_err());
    }

    #[test]
    fn write_protection_is_for_block_devices_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = HostMachine::new().set_force_ro(file.path(), Protection::Off).unwrap_err();
        assert!(error.source.to_string().contains("not a block device"), "{error}");
    }
}
