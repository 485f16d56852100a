// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine whose devices are in memory and which notes what it is asked to do.

use crate::slot_handlers::*;
use crate::{Slot, SlotAccess, SlotType, StopQuestion};
use bundle::ImageType;
use openssl::sha::sha256;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use storage::{
    Access, ByteLen, Devices, Digest, Journal, MemoryStorage, Recording, Shared, Storage,
    StorageError,
};

pub type Disk = Shared<Recording<MemoryStorage>>;
type Volume = Arc<Mutex<Vec<u8>>>;

/// Devices in memory; the mounted ones are told.
#[derive(Default)]
pub struct MemoryDevices {
    pub disks: BTreeMap<PathBuf, Disk>,
    pub mounted: Option<PathBuf>,
}

impl Devices for MemoryDevices {
    fn open(&self, device: &Path, _access: Access) -> Result<Box<dyn Storage>, StorageError> {
        match self.disks.get(device) {
            Some(disk) => Ok(Box::new(disk.clone())),
            None => Err(StorageError::Absent { label: device.display().to_string() }),
        }
    }

    fn mounted_at(&self, _device: &Path) -> Result<Option<PathBuf>, StorageError> {
        Ok(self.mounted.clone())
    }
}

/// What a noted program does.
type Act = Box<dyn FnMut(&[u8]) -> (i32, Vec<u8>) + Send>;

#[derive(Default)]
pub struct Fake {
    pub devices: MemoryDevices,
    pub journal: Journal,
    /// Programs and other acts, in order.
    pub log: Vec<String>,
    /// Programs that are really run.
    pub real: Vec<&'static str>,
    /// What others do with their input: exit code and output.
    pub acts: BTreeMap<&'static str, Act>,
    pub volume: Volume,
    pub emmc: Option<BootHalf>,
    pub emmc_is_stuck: bool,
}

impl Fake {
    pub fn with_disk(device: &str, bytes: Vec<u8>) -> Self {
        let mut fake = Self::default();
        fake.add_disk(device, bytes);
        fake
    }

    pub fn add_disk(&mut self, device: &str, bytes: Vec<u8>) {
        let disk = Recording::new(MemoryStorage::disk(device, bytes), self.journal.clone());
        self.devices.disks.insert(device.into(), Shared::new(disk));
    }

    pub fn bytes(&self, device: &str) -> Vec<u8> {
        let disk = self.devices.disks.get(Path::new(device)).unwrap();
        let mut bytes = vec![0; disk.len().to_usize().unwrap()];
        disk.read_at(0, &mut bytes).unwrap();
        bytes
    }

    pub fn act(
        &mut self,
        program: &'static str,
        act: impl FnMut(&[u8]) -> (i32, Vec<u8>) + Send + 'static,
    ) {
        self.acts.insert(program, Box::new(act));
    }
}

struct VolumeWriter {
    volume: Volume,
    len: u64,
}

impl Write for VolumeWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.volume.lock().unwrap().extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let whole = self.volume.lock().unwrap().len() as u64 == self.len;
        if whole { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl Machine for Fake {
    fn run(
        &mut self,
        mut call: ProgramCall<'_>,
        stop: StopQuestion<'_>,
    ) -> Result<ProgramEnd, ProgramError> {
        let name = call.name();
        let words = std::iter::once(&call.program).chain(&call.arguments);
        let line: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        self.log.push(line.join(" "));
        if let Some(by) = stop() {
            return Err(ProgramError::Stopped { by });
        }
        if self.real.contains(&&*name) {
            return HostMachine::new().run(call, stop);
        }
        let mut input = Vec::new();
        if let Some(source) = call.input.take() {
            let program = name.clone();
            source
                .read_to_end(&mut input)
                .map_err(|source| ProgramError::Input { program, source })?;
        }
        let (code, output) = match self.acts.get_mut(&*name) {
            Some(act) => act(&input),
            None => (0, Vec::new()),
        };
        if code == 127 {
            let source = io::ErrorKind::NotFound.into();
            return Err(ProgramError::Start { program: name, source });
        }
        if let Some(tell) = call.output.take() {
            tell(OutputStream::Stdout, &output);
        }
        Ok(ProgramEnd {
            code: Some(code),
            stderr: "it said so".to_owned(),
            ..ProgramEnd::default()
        })
    }

    fn devices(&self) -> &dyn Devices {
        &self.devices
    }

    fn make_dir(&mut self, dir: &Path) -> Result<(), MachineError> {
        HostMachine::new().make_dir(dir)
    }

    fn remove_dir(&mut self, dir: &Path) {
        HostMachine::new().remove_dir(dir);
    }

    fn sync_filesystem(&mut self, dir: &Path) -> Result<(), MachineError> {
        self.log.push(format!("syncfs {}", dir.display()));
        Ok(())
    }

    fn real_path(&self, device: &Path) -> Result<PathBuf, MachineError> {
        Ok(device.with_file_name("mmcblk7"))
    }

    fn grow_file(&mut self, _device: &Path, _len: ByteLen) -> Result<(), MachineError> {
        Ok(())
    }

    fn spool(&mut self, image: &mut dyn Read) -> Result<Box<dyn Spooled>, MachineError> {
        HostMachine::new().spool(image)
    }

    fn replace_volume(
        &mut self,
        device: &Path,
        len: ByteLen,
    ) -> Result<Box<dyn Write>, StorageError> {
        self.log.push(format!("volume {} {}", device.display(), len.get()));
        self.volume.lock().unwrap().clear();
        Ok(Box::new(VolumeWriter { volume: Arc::clone(&self.volume), len: len.get() }))
    }

    fn read_volume(&self, _device: &Path) -> Result<Box<dyn Read>, StorageError> {
        // A dynamic volume is longer than what was put into it.
        let mut bytes = self.volume.lock().unwrap().clone();
        bytes.extend([0xff; 100]);
        Ok(Box::new(io::Cursor::new(bytes)))
    }

    fn boot_partition(&self, _device: &Path) -> Result<Option<BootHalf>, StorageError> {
        Ok(self.emmc)
    }

    fn set_boot_partition(&mut self, device: &Path, half: BootHalf) -> Result<(), StorageError> {
        self.log.push(format!("boot from {} by {}", half.number(), device.display()));
        if !self.emmc_is_stuck {
            self.emmc = Some(half);
        }
        Ok(())
    }

    fn set_force_ro(&mut self, device: &Path, protect: Protection) -> Result<(), MachineError> {
        self.log.push(format!("protection {protect:?} {}", device.display()));
        Ok(())
    }
}

pub fn slot(slot_type: SlotType) -> Slot {
    Slot {
        name: "rootfs.1".parse().unwrap(),
        device: "/dev/slot".into(),
        slot_type,
        description: None,
        bootname: None,
        parent: None,
        access: SlotAccess::Writable,
        allow_mounted: false,
        install_same: true,
        resize: false,
        extra_mount_opts: None,
        extra_mkfs_opts: None,
        region_start: None,
        region_size: None,
        size_limit: ByteLen::new(0),
        efi_loader: None,
        efi_cmdline: None,
        line: 1,
    }
}

pub fn image(image_type: ImageType, bytes: &[u8]) -> SlotImage {
    SlotImage {
        image_type,
        filename: format!("image.{image_type}"),
        size: ByteLen::new(bytes.len() as u64),
        digest: Digest::from_bytes(sha256(bytes)).into(),
    }
}

/// Bytes that repeat nowhere soon.
pub fn pattern(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1] | 1
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// Notes the hooks and where they were called.
#[derive(Default)]
pub struct Noted {
    pub wanted: Vec<HookStep>,
    pub told: Vec<String>,
    pub fails: Option<HookStep>,
    pub old_head: Option<OldHead>,
}

impl SlotHooks for Noted {
    fn wants(&self, step: HookStep) -> bool {
        self.wanted.contains(&step)
    }

    fn old_head(&self) -> OldHead {
        self.old_head.unwrap_or(OldHead::Stays)
    }

    fn run(
        &mut self,
        step: HookStep,
        place: &SlotPlace<'_>,
        machine: &mut dyn Machine,
    ) -> Result<(), BoxedError> {
        let mounted = if place.mount_point.is_some() { " mounted" } else { "" };
        let variables: Vec<_> =
            place.variables.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        let line =
            format!("hook {step:?}{mounted} {}{}", place.device.display(), variables.concat());
        self.told.push(line.clone());
        machine.run(ProgramCall::new(line), &|| None)?;
        if self.fails == Some(step) { Err("the hook failed".into()) } else { Ok(()) }
    }
}

/// Writes with everything at hand, in a mount prefix that is there.
pub fn write(
    slot: &Slot,
    image: SlotImage,
    content: ImageContent<'_>,
    hooks: &mut dyn SlotHooks,
    machine: &mut dyn Machine,
) -> Result<SlotWritten, SlotHandlerError> {
    let dir = tempfile::tempdir().unwrap();
    write_at(dir.path(), slot, image, content, hooks, machine)
}

pub fn write_at(
    mount_prefix: &Path,
    slot: &Slot,
    image: SlotImage,
    content: ImageContent<'_>,
    hooks: &mut dyn SlotHooks,
    machine: &mut dyn Machine,
) -> Result<SlotWritten, SlotHandlerError> {
    let job = SlotJob { slot, image, mount_prefix, stop: &|| None };
    let (mut last, mut total) = (0, 0);
    let written = write_slot(&job, content, hooks, machine, &mut |event| {
        if let SlotEvent::Bytes { done, total: all } = event {
            assert!(done.get() >= last && done <= all, "progress goes forward");
            (last, total) = (done.get(), all.get());
        }
    })?;
    assert_eq!(last, total, "at the end all is done");
    Ok(written)
}
