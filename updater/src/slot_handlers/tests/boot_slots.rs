// SPDX-License-Identifier: MIT OR Apache-2.0
//! Slots that are switched: which half is written, what hooks are told, what judges say.

use super::fake::*;
use crate::slot_handlers::*;
use crate::{ErrorClass, Slot, SlotType};
use bundle::ImageType;
use std::io::Read;
use std::path::Path;
use storage::ByteLen;

const MIB: usize = 1 << 20;

fn region(slot_type: SlotType, device: &Path) -> Slot {
    Slot {
        device: device.to_owned(),
        region_start: Some(ByteLen::mib(1)),
        region_size: Some(ByteLen::mib(2)),
        ..slot(slot_type)
    }
}

fn judge(program: &str, args: &[&str], file: &Path, input: &str) -> String {
    let mut text = Vec::new();
    let mut take = |_, piece: &[u8]| text.extend_from_slice(piece);
    let mut input = input.as_bytes();
    let call = ProgramCall::new(program).args(args).arg(file).input(&mut input).output(&mut take);
    let end = HostMachine::new().run(call, &|| None).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(end.success(), "{program}: {text}");
    text
}

fn content(file: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::fs::File::open(file).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// A disk of 8 MiB whose first partition is the first half of the region, made by the real program.
fn disk(script: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(8 << 20).unwrap();
    judge("sfdisk", &["--quiet"], file.path(), script);
    file
}

#[test]
fn both_tables_go_to_the_other_half_and_back_and_the_judges_agree() {
    for (kind, script, table) in [
        (
            SlotType::BootMbrSwitch,
            "label: dos\nstart=2048, size=2048, type=c, bootable\nstart=8192, type=83\n",
            "MBR",
        ),
        (
            SlotType::BootGptSwitch,
            "label: gpt\nstart=2048, size=2048, name=boot\nstart=8192, size=2048\n",
            "GPT",
        ),
    ] {
        let file = disk(script);
        let slot = region(kind, file.path());
        let before = judge("sfdisk", &["-d"], file.path(), "");
        for (start, active) in [(4096, 1), (2048, 0)] {
            let bytes = pattern(700_001, start + 3);
            let mut hooks = Noted {
                wanted: vec![HookStep::PreInstall, HookStep::PostInstall],
                ..Noted::default()
            };
            let source = ImageContent::Stream(&mut bytes.as_slice());
            let image = image(ImageType::Vfat, &bytes);
            let mut machine = Hooked(HostMachine::new());
            let written = write(&slot, image, source, &mut hooks, &mut machine).unwrap();
            assert_eq!(written.proof, SlotProof::ReadBack);
            let half = (1 + active) * MIB;
            let found = content(file.path());
            assert!(found[half..half + bytes.len()] == bytes, "{table}");
            assert!(found[half + bytes.len()..half + MIB].iter().all(|byte| *byte == 0));
            let told = format!(
                "RAUC_BOOT_PARTITION_ACTIVATING={active} RAUC_BOOT_PARTITION_START={half} \
                 RAUC_BOOT_PARTITION_SIZE={MIB}"
            );
            assert!(hooks.told.iter().all(|line| line.ends_with(&told)), "{:?}", hooks.told);
            let after = judge("sfdisk", &["-d"], file.path(), "");
            let moved =
                |line: &str| line.replace("start=        2048", &format!("start=        {start}"));
            assert_eq!(after, before.lines().map(|line| moved(line) + "\n").collect::<String>());
            if kind == SlotType::BootGptSwitch {
                let verdict = judge("sgdisk", &["--verify"], file.path(), "");
                assert!(verdict.contains("No problems found"), "{verdict}");
            }
        }
    }
}

/// The host, but for the lines that the hooks of these tests note.
struct Hooked(HostMachine);

impl Machine for Hooked {
    fn run(
        &mut self,
        call: ProgramCall<'_>,
        stop: crate::StopQuestion<'_>,
    ) -> Result<ProgramEnd, ProgramError> {
        match call.name().starts_with("hook ")
            || call.program.to_string_lossy().starts_with("hook ")
        {
            true => Ok(ProgramEnd { code: Some(0), ..ProgramEnd::default() }),
            false => self.0.run(call, stop),
        }
    }

    fn devices(&self) -> &dyn storage::Devices {
        self.0.devices()
    }

    fn make_dir(&mut self, dir: &Path) -> Result<(), MachineError> {
        self.0.make_dir(dir)
    }

    fn remove_dir(&mut self, dir: &Path) {
        self.0.remove_dir(dir);
    }

    fn real_path(&self, device: &Path) -> Result<std::path::PathBuf, MachineError> {
        self.0.real_path(device)
    }

    fn grow_file(&mut self, device: &Path, len: ByteLen) -> Result<(), MachineError> {
        self.0.grow_file(device, len)
    }

    fn spool(&mut self, image: &mut dyn Read) -> Result<Box<dyn Spooled>, MachineError> {
        self.0.spool(image)
    }

    fn replace_volume(
        &mut self,
        device: &Path,
        len: ByteLen,
    ) -> Result<Box<dyn std::io::Write>, storage::StorageError> {
        self.0.replace_volume(device, len)
    }

    fn read_volume(&self, device: &Path) -> Result<Box<dyn Read>, storage::StorageError> {
        self.0.read_volume(device)
    }

    fn boot_partition(&self, device: &Path) -> Result<Option<BootHalf>, storage::StorageError> {
        self.0.boot_partition(device)
    }

    fn set_boot_partition(
        &mut self,
        device: &Path,
        half: BootHalf,
    ) -> Result<(), storage::StorageError> {
        self.0.set_boot_partition(device, half)
    }

    fn set_force_ro(&mut self, device: &Path, protect: Protection) -> Result<(), MachineError> {
        self.0.set_force_ro(device, protect)
    }
}

#[test]
fn regions_and_tables_that_do_not_fit_are_refused_before_anything_is_written() {
    let gpt = "label: gpt\nstart=2048, size=2048\nstart=8192, size=2048\n";
    let mbr = "label: dos\nstart=2048, size=2048, type=c\nstart=8192, type=83\n";
    let mib = |mib| Some(ByteLen::mib(mib));
    for (kind, script, start, size, told) in [
        (SlotType::BootGptSwitch, gpt, mib(2), mib(2), "does not match"),
        (SlotType::BootGptSwitch, gpt, mib(1), mib(4), "overlaps with partition 2"),
        (SlotType::BootGptSwitch, gpt, mib(1), mib(9), "bigger than device"),
        (SlotType::BootGptSwitch, gpt, Some(ByteLen::new(1 << 20 | 1)), mib(2), "not aligned"),
        (SlotType::BootGptSwitch, gpt, None, mib(2), "missing"),
        (SlotType::BootGptSwitch, mbr, mib(1), mib(2), "Hybrid GPT"),
        (SlotType::BootMbrSwitch, mbr, mib(1), mib(4), "area of partition 2"),
        (SlotType::BootMbrSwitch, mbr, Some(ByteLen::new(0)), mib(2), "no valid configuration"),
        (SlotType::BootMbrSwitch, mbr, mib(2), mib(2), "does not match"),
        (SlotType::BootRawFallback, mbr, mib(1), Some(ByteLen::new(3 * 512)), "double sector size"),
    ] {
        let file = disk(script);
        let slot = Slot { region_start: start, region_size: size, ..region(kind, file.path()) };
        let before = content(file.path());
        let bytes = pattern(100, 3);
        let source = ImageContent::Stream(&mut bytes.as_slice());
        let image = image(ImageType::Raw, &bytes);
        let error = write(&slot, image, source, &mut NoHooks, &mut HostMachine::new()).unwrap_err();
        assert!(error.to_string().contains(told), "{told}: {error}");
        assert!(content(file.path()) == before, "{told}");
    }
    let file = disk(gpt);
    let bytes = pattern(MIB + 1, 3);
    let source = ImageContent::Stream(&mut bytes.as_slice());
    let slot = region(SlotType::BootGptSwitch, file.path());
    let image = image(ImageType::Raw, &bytes);
    let error = write(&slot, image, source, &mut NoHooks, &mut HostMachine::new()).unwrap_err();
    assert!(matches!(error, SlotHandlerError::TooSmall { .. }), "{error}");
    assert_eq!(error.class(), ErrorClass::Refused);
}

fn emmc(active: Option<BootHalf>) -> Fake {
    let mut machine = Fake { emmc: active, ..Fake::default() };
    machine.add_disk("/dev/mmcblk7boot0", vec![0xaa; 8192]);
    machine.add_disk("/dev/mmcblk7boot1", vec![0xbb; 8192]);
    machine
}

#[test]
fn the_boot_partition_that_is_not_in_use_is_written_then_switched_to() {
    let bytes = pattern(1000, 7);
    for (active, target, limit) in
        [(Some(BootHalf::Boot0), 1, 4096), (Some(BootHalf::Boot1), 0, 0), (None, 0, 0)]
    {
        let mut machine = emmc(active);
        let slot = Slot { size_limit: ByteLen::new(limit), ..slot(SlotType::BootEmmc) };
        let mut hooks =
            Noted { wanted: vec![HookStep::PreInstall, HookStep::PostInstall], ..Noted::default() };
        let source = ImageContent::Stream(&mut bytes.as_slice());
        let image = image(ImageType::Raw, &bytes);
        write(&slot, image, source, &mut hooks, &mut machine).unwrap();
        let part = format!("/dev/mmcblk7boot{target}");
        let told = format!(
            "/dev/mmcblk7 RAUC_BOOT_PARTITION_ACTIVATING={target} RAUC_BOOT_SIZE_LIMIT={limit}"
        );
        assert_eq!(
            machine.log,
            [
                format!("protection Off {part}"),
                format!("hook PreInstall {told}"),
                format!("hook PostInstall {told}"),
                format!("protection On {part}"),
                format!("boot from {target} by {part}"),
            ]
        );
        let end = if limit == 0 { 8192 } else { 4096 };
        let found = machine.bytes(&part);
        assert!(found[..1000] == bytes && found[1000..end].iter().all(|byte| *byte == 0));
        assert!(found[end..].iter().all(|byte| *byte == 0xbb), "behind the limit nothing changes");
        let other = machine.bytes(&format!("/dev/mmcblk7boot{}", 1 - target));
        assert!(other.iter().all(|byte| *byte == other[0]), "the one in use is not touched");
    }
}

#[test]
fn a_failure_protects_the_partition_again_and_switches_nothing() {
    let bytes = pattern(1000, 7);
    for (size, limit, fails) in [(1000, 0, true), (9000, 0, false), (1000, 512, false)] {
        let mut machine = emmc(Some(BootHalf::Boot0));
        let slot = Slot { size_limit: ByteLen::new(limit), ..slot(SlotType::BootEmmc) };
        let mut hooks = Noted::default();
        if fails {
            hooks = Noted {
                wanted: vec![HookStep::PostInstall],
                fails: Some(HookStep::PostInstall),
                ..hooks
            };
        }
        let image = SlotImage { size: ByteLen::new(size), ..image(ImageType::Raw, &bytes) };
        let source = ImageContent::Stream(&mut bytes.as_slice());
        write(&slot, image, source, &mut hooks, &mut machine).unwrap_err();
        let count = |what: &str| machine.log.iter().filter(|line| line.starts_with(what)).count();
        assert_eq!(count("protection Off"), count("protection On"), "{:?}", machine.log);
        assert_eq!(count("boot from"), 0);
    }
    let mut machine = Fake { emmc_is_stuck: true, ..emmc(Some(BootHalf::Boot0)) };
    let source = ImageContent::Stream(&mut bytes.as_slice());
    let image = image(ImageType::Raw, &bytes);
    let stuck = write(&slot(SlotType::BootEmmc), image, source, &mut NoHooks, &mut machine);
    assert!(matches!(stuck, Err(SlotHandlerError::NotToggled)), "{stuck:?}");
}
