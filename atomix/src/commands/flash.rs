// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix flash`: a whole image onto a whole disk, every byte read back from the medium.
//!
//! What the disk holds already is not written again, so that blank media stay sparse and worn
//! ones are spared. A disk that is in use is refused by its opening. What lies behind the image's
//! end stays as it is; the first boot puts the backup partition table where the disk ends.

use crate::context::Context;
use crate::failure::Failure;
use crate::output::Output;
use serde::Serialize;
use std::path::Path;
use storage::{Access, ByteLen, FileStorage, Storage, StorageError};

/// Bytes read, compared and written at once.
const CHUNK_BYTES: usize = 1024 * 1024;

/// A line of progress at every tenth of the work.
const LINES: u64 = 10;

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
/// [`Failure::Refused`] when the disk is too small, [`Failure::Storage`] when it is in use,
/// [`Failure::NotVerified`] when it does not keep what was written.
pub fn run(
    context: &Context,
    image: &Path,
    device: &Path,
    out: &mut Output,
) -> Result<(), Failure> {
    let mut shown = 0;
    let report = flash(context, image, device, &mut |done, total| {
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
    progress: &mut dyn FnMut(ByteLen, ByteLen),
) -> Result<FlashReport, Failure> {
    let opened = FileStorage::open(image, Access::ReadOnly);
    if let Err(StorageError::Absent { .. }) = opened {
        return Err(Failure::Usage {
            what: format!("{} does not exist", image.display()),
            hint: "give the path of an image file that can be read",
        });
    }
    let image = opened?;
    if let Some(at) = context.devices.mounted_at(device)? {
        let label = format!("{}, mounted at {},", device.display(), at.display());
        return Err(StorageError::Busy { label }.into());
    }
    let mut disk = context.devices.open(device, Access::ReadWrite)?;
    let (len, room) = (image.len(), disk.len());
    if len > room {
        return Err(Failure::Refused {
            what: format!("the image of {len} does not fit {} of {room}", device.display()),
            hint: "use a larger disk",
        });
    }
    refuse_own_devices(context, device)?;
    let total = ByteLen::new(len.get().saturating_mul(2));
    let mut done = 0;
    let mut written = 0;
    each_chunk(&image, &mut *disk, |disk, offset, wanted, found| {
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
    each_chunk(&image, &mut *disk, |_, offset, wanted, found| {
        if wanted != found {
            differs = differs.or(Some(offset));
        }
        done += wanted.len() as u64;
        progress(ByteLen::new(done), total);
        Ok(())
    })?;
    if let Some(offset) = differs {
        return Err(Failure::NotVerified {
            what: format!("{} does not hold the image at offset {offset}", device.display()),
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
    use crate::context::Now;
    use bundle::UnixTime;
    use storage::{Files, HostFiles};

    /// A root with `image` and `/dev/disk`.
    fn root(image: &[u8], disk: &[u8]) -> (tempfile::TempDir, Context) {
        let root = tempfile::tempdir().unwrap();
        let mut files = HostFiles::new(root.path());
        files.replace(Path::new("/image"), image).unwrap();
        files.replace(Path::new("/dev/disk"), disk).unwrap();
        let context = Context::host(root.path(), Now(UnixTime(1_800_000_000)));
        (root, context)
    }

    fn flash_it(root: &Path, context: &Context) -> Result<FlashReport, Failure> {
        flash(context, &root.join("image"), Path::new("/dev/disk"), &mut |_, _| {})
    }

    fn disk(context: &Context) -> Vec<u8> {
        context.files.read(Path::new("/dev/disk"), ByteLen::mib(8)).unwrap().unwrap()
    }

    #[test]
    fn old_content_is_overwritten_even_by_zeros_and_what_lies_behind_stays() {
        let image = vec![0; CHUNK_BYTES + 512];
        let (dir, context) = root(&image, &vec![7; 2 * CHUNK_BYTES]);
        let report = flash_it(dir.path(), &context).unwrap();
        assert_eq!(report.written_bytes, image.len() as u64);
        let disk = disk(&context);
        assert_eq!(disk[..image.len()], image);
        assert!(disk[image.len()..].iter().all(|byte| *byte == 7));
    }

    #[test]
    fn what_the_disk_holds_already_is_not_written_again() {
        let mut image = vec![1; CHUNK_BYTES];
        image.extend(vec![2; CHUNK_BYTES]);
        let (dir, context) = root(&image, &vec![1; 2 * CHUNK_BYTES]);
        let report = flash_it(dir.path(), &context).unwrap();
        assert_eq!(report.equal_bytes, CHUNK_BYTES as u64);
        assert_eq!(flash_it(dir.path(), &context).unwrap().written_bytes, 0);
    }

    #[test]
    fn a_disk_that_is_too_small_or_mounted_is_refused_and_not_touched() {
        let (dir, context) = root(&[1; 1024], &[9; 512]);
        assert!(matches!(flash_it(dir.path(), &context), Err(Failure::Refused { .. })));
        assert_eq!(disk(&context), [9; 512]);

        let (dir, context) = root(&[1; 512], &[9; 512]);
        let mounts = b"36 35 8:1 / /mnt rw - ext4 /dev/disk rw\n";
        let mut files = context.files.clone();
        files.replace(Path::new("/proc/self/mountinfo"), mounts).unwrap();
        let refused = flash_it(dir.path(), &context).unwrap_err();
        assert!(refused.to_string().contains("mounted at /mnt"), "{refused}");
        assert_eq!(refused.class(), crate::failure::Class::Busy);
        assert_eq!(disk(&context), [9; 512]);
    }
}
