// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix flash`: a whole image onto a whole disk, every byte read back from the medium.
//!
//! Only an image that begins with this board's partition table and carries its boot loader is
//! written: a bundle, a cut download, another product's image or one without U-Boot on the disk is
//! a board that does not boot. What the disk
//! holds already is not written again, so that blank media stay sparse and worn
//! ones are spared. A disk that is in use is refused by its opening. What lies behind the image's
//! end stays as it is; the first boot puts the backup partition table where the disk ends.

use crate::context::Context;
use crate::failure::{Failure, chain};
use crate::output::Output;
use crate::settings::SettingsError;
use board_rock64::ROCK64;
use repart::{MbrKind, Table, TableHealth};
use serde::Serialize;
use std::path::Path;
use std::process;
use storage::{Access, ByteLen, FileStorage, Storage, StorageError};
use updater::InstallLock;

/// Bytes read, compared and written at once.
const CHUNK_BYTES: usize = 1024 * 1024;

/// A line of progress at every tenth of the work.
const LINES: u64 = 10;

/// Whether an image has to bring what the processor starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootLoader {
    /// The processor finds U-Boot on the disk that is flashed.
    InImage,
    /// It finds it elsewhere, and the image may be without.
    Elsewhere,
}

/// What was done, as JSON, version 1.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FlashReport {
    version: u32,
    /// Bytes of the image.
    pub image_bytes: u64,
    /// Bytes that were written.
    pub written_bytes: u64,
    /// Bytes that the disk held already.
    pub equal_bytes: u64,
}

/// Runs `atomix flash`.
///
/// # Errors
/// [`Failure::Refused`] when the image is not this board's or the disk is too small,
/// [`Failure::Lock`] during an install, [`Failure::Storage`] when the disk is in use,
/// [`Failure::NotVerified`] when it does not keep what was written.
pub fn run(
    context: &Context,
    image: &Path,
    device: &Path,
    loader: BootLoader,
    out: &mut Output,
) -> Result<(), Failure> {
    let mut shown = 0;
    let report = flash(context, image, device, loader, &mut |done, total| {
        let tenth = done.get().saturating_mul(LINES).checked_div(total.get()).unwrap_or(LINES);
        if tenth > shown {
            shown = tenth;
            // What cannot be shown does not stop the work.
            let _ = writeln!(out.people, "{:3}% {done} of {total}", tenth * (100 / LINES));
        }
    })?;
    out.answer(&report, |to, report| {
        let (written, equal) = (report.written_bytes, report.equal_bytes);
        let (written, equal) = (ByteLen::new(written), ByteLen::new(equal));
        writeln!(
            to,
            "flashed {}: {written} written, {equal} already equal, all read back",
            device.display()
        )
    })
}

/// Writes `image` onto `device`; `progress` is told bytes done and to do, both passes counted.
///
/// # Errors
/// As [`run`].
pub fn flash(
    context: &Context,
    image: &Path,
    device: &Path,
    loader: BootLoader,
    progress: &mut dyn FnMut(ByteLen, ByteLen),
) -> Result<FlashReport, Failure> {
    let opened = FileStorage::open(image, Access::ReadOnly);
    if let Err(StorageError::Absent { .. }) = opened {
        return Err(Failure::Usage {
            what: format!("{} does not exist", image.display()),
            hint: "give the path of an image file that can be read",
        });
    }
    let opened = opened?;
    if let Err(why) = recognise(&opened) {
        return Err(Failure::Refused {
            what: format!("{} is no whole image of this board: {why}", image.display()),
            hint: "flash what `atomix image build` made, decompressed; bundles are installed",
        });
    }
    if let (BootLoader::InImage, Some(missing)) = (loader, missing_stage(&opened)?) {
        return Err(Failure::Refused {
            what: format!("{} would not start a board: {missing}", image.display()),
            hint: "build it with --idbloader and --u-boot; where U-Boot starts from another \
                   medium, or for a copy to an emulator: --without-boot-loader",
        });
    }
    // Held to the end: an install writes to the same disk.
    let _lock = install_lock(context)?;
    if let Some(at) = context.devices.mounted_at(device)? {
        let label = format!("{}, mounted at {},", device.display(), at.display());
        return Err(StorageError::Busy { label }.into());
    }
    let mut disk = context.devices.open(device, Access::ReadWrite)?;
    let (len, room) = (opened.len(), disk.len());
    if len > room {
        return Err(Failure::Refused {
            what: format!("the image of {len} does not fit {} of {room}", device.display()),
            hint: "use a larger disk",
        });
    }
    refuse_own_devices(context, device)?;
    write_and_read_back(&opened, &mut *disk, device, progress)
}

/// Why this is not a whole image of the board whose facts this program carries.
fn recognise(image: &dyn Storage) -> Result<(), String> {
    let table = repart::read_table(image).map_err(|cause| chain(&cause))?;
    match table.health {
        // An image that was padded to a card's size.
        TableHealth::Good | TableHealth::BackupMisplaced { .. } => {}
        damage @ (TableHealth::PrimaryDamaged(_)
        | TableHealth::BackupDamaged(_)
        | TableHealth::BackupDiffers) => return Err(format!("its partition table: {damage}")),
    }
    if table.mbr != MbrKind::Protective {
        return Err("it has no protective MBR".to_owned());
    }
    if is_ours(&table) {
        return Ok(());
    }
    let found = table.partitions.iter().map(|partition| partition.label.as_str());
    let flashed = ROCK64.partitions.iter().filter(|partition| partition.is_flashed());
    Err(format!(
        "it has the partitions {} instead of {}",
        found.take(ROCK64.partitions.len()).collect::<Vec<_>>().join(", "),
        flashed.map(|partition| partition.label).collect::<Vec<_>>().join(", ")
    ))
}

/// The flashed partitions are there; the rest may be, as in a copy of a board's whole disk.
fn is_ours(table: &Table) -> bool {
    let named = |(found, wanted): (&repart::Partition, &board_rock64::PartitionFacts)| {
        (found.number, found.label.as_str()) == (wanted.number, wanted.label)
    };
    let flashed = ROCK64.partitions.iter().filter(|partition| partition.is_flashed()).count();
    (flashed..=ROCK64.partitions.len()).contains(&table.partitions.len())
        && table.partitions.iter().zip(&ROCK64.partitions).all(named)
}

/// Which stage of the boot loader is not in the image: its first sector holds nothing.
fn missing_stage(image: &dyn Storage) -> Result<Option<String>, Failure> {
    let places = &ROCK64.disk.boot_loader;
    let sector_bytes = ROCK64.disk.sector_bytes;
    for (name, place) in [("idbloader", places.idbloader), ("U-Boot", places.u_boot)] {
        let at = place.byte_offset(sector_bytes).unwrap_or(u64::MAX);
        let end = at.saturating_add(u64::from(sector_bytes));
        let mut sector = vec![0; usize::try_from(sector_bytes).unwrap_or(0)];
        if end <= image.len().get() {
            image.read_at(at, &mut sector)?;
        }
        if sector.iter().all(|byte| *byte == 0) {
            return Ok(Some(format!("it has no {name} in sector {}", place.0)));
        }
    }
    Ok(None)
}

/// The one lock of installs, on a board; a laptop has none and needs none.
fn install_lock(context: &Context) -> Result<Option<InstallLock>, Failure> {
    match context.settings() {
        Err(Failure::Settings(SettingsError::Absent { .. })) => Ok(None),
        // A board with broken settings is a board.
        Ok(_) | Err(_) => Ok(Some(InstallLock::acquire(&context.root, process::id())?)),
    }
}

fn write_and_read_back(
    image: &dyn Storage,
    disk: &mut dyn Storage,
    device: &Path,
    progress: &mut dyn FnMut(ByteLen, ByteLen),
) -> Result<FlashReport, Failure> {
    let len = image.len();
    let total = ByteLen::new(len.get().saturating_mul(2));
    let mut done = 0;
    let mut written = 0;
    each_chunk(image, disk, |disk, offset, wanted, found| {
        if wanted != found {
            disk.write_at(offset, wanted)?;
            written += wanted.len() as u64;
        }
        done += wanted.len() as u64;
        progress(ByteLen::new(done), total);
        Ok(())
    })?;
    disk.flush()?;
    disk.forget_cached(0, len.get())?;
    let mut differs = None;
    each_chunk(image, disk, |_, offset, wanted, found| {
        if wanted != found {
            differs = differs.or(Some(offset));
        }
        done += wanted.len() as u64;
        progress(ByteLen::new(done), total);
        Ok(())
    })?;
    if let Some(offset) = differs {
        return Err(Failure::NotVerified {
            what: format!("{} does not hold the image at offset {offset:#x}", device.display()),
            hint: "the medium is worn out or not what it claims to be: use another one",
        });
    }
    let equal_bytes = len.get().saturating_sub(written);
    Ok(FlashReport { version: 1, image_bytes: len.get(), written_bytes: written, equal_bytes })
}

/// The running system's own devices are not flashed: its updates are installed.
fn refuse_own_devices(context: &Context, device: &Path) -> Result<(), Failure> {
    if context.booted()?.is_none() {
        return Ok(());
    }
    // Where a configuration cannot be read, the exclusive opening still guards what is mounted.
    let settings = context.settings().ok();
    let disks = settings.iter().flat_map(|s| [s.disk.device.clone(), s.recorder.device.clone()]);
    let slots = context.system_conf().ok().map(|config| config.slots).unwrap_or_default();
    let mut own = disks.chain(slots.into_values().map(|slot| slot.device));
    if own.any(|own| own == device) {
        return Err(Failure::Refused {
            what: format!("{} belongs to the running system", device.display()),
            hint: "update it by `atomix install`, or flash it from another system",
        });
    }
    Ok(())
}

/// Calls `act` with the offset and both contents of every chunk of the image.
fn each_chunk(
    image: &dyn Storage,
    disk: &mut dyn Storage,
    mut act: impl FnMut(&mut dyn Storage, u64, &[u8], &[u8]) -> Result<(), StorageError>,
) -> Result<(), Failure> {
    let (mut wanted, mut found) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let len = image.len().get();
    let mut offset = 0;
    while offset < len {
        // At most the buffers' length, so both hold it.
        let count = usize::try_from(len - offset).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        wanted.truncate(count);
        found.truncate(count);
        image.read_at(offset, &mut wanted)?;
        disk.read_at(offset, &mut found)?;
        act(disk, offset, &wanted, &found)?;
        offset += count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::{Fault, Faulty, MemoryStorage};

    fn write(image: &[u8], disk: &mut MemoryStorage) -> FlashReport {
        let image = MemoryStorage::disk("image", image.to_vec());
        write_and_read_back(&image, disk, Path::new("/dev/disk"), &mut |_, _| {}).unwrap()
    }

    #[test]
    fn old_content_is_overwritten_even_by_zeros_and_what_lies_behind_stays() {
        let image = vec![0; CHUNK_BYTES + 512];
        let mut disk = MemoryStorage::disk("disk", vec![7; 2 * CHUNK_BYTES]);
        let report = write(&image, &mut disk);
        assert_eq!(report.written_bytes, image.len() as u64);
        let disk = disk.bytes();
        assert_eq!(disk[..image.len()], image);
        assert!(disk[image.len()..].iter().all(|byte| *byte == 7));
    }

    #[test]
    fn what_the_disk_holds_already_is_not_written_again() {
        let mut image = vec![1; CHUNK_BYTES];
        image.extend(vec![2; CHUNK_BYTES]);
        let mut disk = MemoryStorage::disk("disk", vec![1; 2 * CHUNK_BYTES]);
        let report = write(&image, &mut disk);
        assert_eq!(report.equal_bytes, CHUNK_BYTES as u64);
        assert_eq!(write(&image, &mut disk).written_bytes, 0);
    }

    /// Worn media and counterfeit ones accept everything.
    #[test]
    fn a_medium_that_keeps_something_else_is_named_with_its_place_after_both_passes() {
        let chunk = CHUNK_BYTES as u64;
        let image = [vec![1; CHUNK_BYTES], vec![2; CHUNK_BYTES]].concat();
        let image = MemoryStorage::disk("image", image);
        for (fault, place) in [
            (Fault::ReadsBackWrong { at: chunk + 5 }, chunk),
            (Fault::WrapsAround { at: chunk }, 0),
        ] {
            let empty = MemoryStorage::disk("disk", vec![0; 2 * CHUNK_BYTES]);
            let mut disk = Faulty::new(empty, fault);
            let mut told = Vec::new();
            let failed = write_and_read_back(
                &image,
                &mut disk,
                Path::new("/dev/sdx"),
                &mut |done, total| {
                    told.push((done.get(), total.get()));
                },
            )
            .unwrap_err();
            assert!(matches!(failed, Failure::NotVerified { .. }), "{failed}");
            let says = format!("/dev/sdx does not hold the image at offset {place:#x}");
            assert_eq!(failed.to_string(), says, "{fault:?}");
            let wanted: Vec<_> = (1..=4).map(|part| (part * chunk, 4 * chunk)).collect();
            assert_eq!(told, wanted, "{fault:?}");
        }
    }
}
