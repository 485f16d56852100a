// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where do programs find the files of the bundle? In a directory into which they are unpacked,
//! every byte compared with the signature on the way, and which is gone after the install. RAUC
//! mounts the bundle's file system there; here nothing of a bundle is ever given to the kernel.
//!
//! The directory lies below the first place of a list from which programs can be started and that
//! has room; in memory as much as is needed must be free. The directories are readable for all,
//! because programs may give up their rights; of an encrypted bundle for nobody else.
//!
//! A power cut leaves it; all places are emptied before the next install and at the start of the
//! service. What is removed holds a file that only this module makes: it is durable before anything
//! is put beside it, and goes last. Everything else in such a place is somebody else's.

use super::BoxedError;
use super::content_need::{ContentNeed, ContentPlaces, ImageNeed};
use super::plan::has_hook;
use super::progress::Steps;
use crate::{StopQuestion, TreeContent};
use bundle::{
    BundleError, BundleFormat, Image, SlotHook, SquashfsEntry, SquashfsFiles, VerifiedBundle,
};
use std::fs::{DirBuilder, File, FileTimes, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use storage::{ByteLen, Files, HostFiles, parse_mountinfo};

/// Kept free where files are unpacked.
const RESERVE_BYTES: u64 = 4 * 1024 * 1024;
/// What is mounted, and far more text than that ever is.
const MOUNT_TABLE: &str = "/proc/self/mountinfo";
const MAX_MOUNT_TABLE: ByteLen = ByteLen::mib(4);
/// What memory is left, and far more text than that ever is.
const MEMORY_TABLE: &str = "/proc/meminfo";
const MAX_MEMORY_TABLE: ByteLen = ByteLen::kib(64);
const COPY_BYTES: usize = 256 * 1024;
/// The file that says that a directory was made here.
const MARK: &str = ".made-by-atomix";

/// The files of the bundle could not be laid out.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The bundle could not be read.
    #[error("cannot read the files of the bundle")]
    Bundle {
        /// Cause.
        #[source]
        source: BoxedError,
    },
    /// Nowhere is room.
    #[error("no place from which programs can run has {needed} free: {tried}")]
    NoPlace {
        /// How much is needed.
        needed: ByteLen,
        /// What was tried, and why not.
        tried: String,
    },
    /// A file could not be written.
    #[error("cannot unpack {path}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The bundle holds a device, pipe or socket.
    #[error("{path} in the bundle is neither file nor directory nor link", path = path.display())]
    Special {
        /// Its path.
        path: PathBuf,
    },
    /// Somebody wanted it to end.
    #[error("stopped by {by}")]
    Stopped {
        /// Who, in a word.
        by: &'static str,
    },
}

/// The unpacked files; gone when dropped.
#[derive(Debug)]
pub(super) struct UnpackedBundle {
    dir: PathBuf,
}

impl UnpackedBundle {
    pub fn path(&self) -> &Path {
        &self.dir
    }
}

impl Drop for UnpackedBundle {
    fn drop(&mut self) {
        // What stays is emptied before the next install unpacks there.
        let _ = remove_unpacked(&self.dir);
    }
}

/// What installs left that were cut.
pub(super) fn find_left(places: &ContentPlaces) -> Vec<PathBuf> {
    let is_left = |place: &&PathBuf| {
        // No link is followed to somebody else's directory.
        let is_dir = std::fs::symlink_metadata(place).is_ok_and(|facts| facts.is_dir());
        is_dir && place.join(MARK).symlink_metadata().is_ok_and(|facts| facts.is_file())
    };
    let all = [&places.mounts, &places.runtime].into_iter().chain(&places.lasting);
    all.filter(is_left).cloned().collect()
}

/// Removes it. Gives back a line for each place that stays as it is.
pub(super) fn remove_left(places: &ContentPlaces) -> Vec<String> {
    let remove = |place: &PathBuf| {
        let why = remove_unpacked(place).err()?;
        Some(format!("Failed to remove the bundle's files in {}: {why}", place.display()))
    };
    find_left(places).iter().filter_map(remove).collect()
}

/// Removes a directory, unless something is mounted in it: a hook may have mounted a slot there,
/// whose content must not go with it.
#[expect(clippy::disallowed_methods, reason = "what a cut leaves of it is removed later")]
fn remove_unpacked(dir: &Path) -> io::Result<()> {
    let table = HostFiles::new("/").read(Path::new(MOUNT_TABLE), MAX_MOUNT_TABLE);
    let table = table.map_err(io::Error::other)?.unwrap_or_default();
    let real = std::fs::canonicalize(dir)?;
    if parse_mountinfo(&table).iter().any(|mount| mount.place.starts_with(&real)) {
        return Err(io::Error::other("something is mounted in it"));
    }
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name() == MARK {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => std::fs::remove_dir_all(entry.path())?,
            false => std::fs::remove_file(entry.path())?,
        }
    }
    // A cut must not take the mark and leave the rest.
    File::open(dir)?.sync_all()?;
    std::fs::remove_file(dir.join(MARK))?;
    std::fs::remove_dir(dir)
}

/// Says durably that a directory was made here.
fn mark_as_ours(dir: &Path) -> io::Result<()> {
    let mark = dir.join(MARK);
    let options = &mut OpenOptions::new();
    options.write(true).create_new(true).open(&mark)?.sync_all()?;
    // Programs without rights may copy all that is there.
    set_mode(&mark, 0o644)?;
    File::open(dir)?.sync_all()
}

pub(super) fn bundle_failed(source: impl Into<BoxedError>) -> ContentError {
    ContentError::Bundle { source: source.into() }
}

/// Unpacks into the first of the places that will do.
pub(super) fn unpack(
    bundle: &VerifiedBundle,
    need: ContentNeed,
    places: &ContentPlaces,
    steps: &mut Steps<'_>,
    stop: StopQuestion<'_>,
) -> Result<UnpackedBundle, ContentError> {
    let files = bundle.files().map_err(|source: BundleError| bundle_failed(source))?;
    let images = &bundle.manifest().images;
    let find = |need| {
        let wanted: Vec<(&Path, SquashfsEntry)> =
            files.entries().filter(|(path, _)| is_wanted(path, images, need)).collect();
        let needed = wanted.iter().fold(0_u64, |sum, (_, entry)| match entry {
            SquashfsEntry::File { size } => sum.saturating_add(size.get()),
            SquashfsEntry::Directory | SquashfsEntry::Symlink { .. } | SquashfsEntry::Special => {
                sum
            }
        });
        let dir = find_place(&places.in_order(needed, bundle.format()), needed)?;
        Ok((wanted, needed, dir))
    };
    let left_out = |steps: &mut Steps<'_>, why: &str| {
        steps.note(format!(
            "Images that no program of the bundle seems to look for are not unpacked: {why}"
        ));
    };
    let found = if need.best > need.least && bundle.is_streamed() {
        left_out(steps, "each would be fetched once more");
        find(need.least)
    } else {
        match find(need.best) {
            Err(error @ ContentError::NoPlace { .. }) if need.best > need.least => {
                left_out(steps, &error.to_string());
                find(need.least)
            }
            found => found,
        }
    };
    let (wanted, needed, dir) = found?;
    let failed = |source| ContentError::Write { path: dir.clone(), source };
    mark_as_ours(&dir).map_err(failed)?;
    steps.note(format!("Unpacking {} of the bundle to {}", ByteLen::new(needed), dir.display()));
    let unpacked = UnpackedBundle { dir };
    if bundle.format() == BundleFormat::Crypt {
        // Nobody else reads what was encrypted, so its programs keep their rights.
        let failed = |source| ContentError::Write { path: unpacked.path().to_owned(), source };
        set_mode(unpacked.path(), 0o700).map_err(failed)?;
    }
    for (path, entry) in wanted {
        stop().map_or(Ok(()), |by| Err(ContentError::Stopped { by }))?;
        unpack_entry(files, path, &entry, &unpacked.path().join(path), stop)?;
    }
    Ok(unpacked)
}

fn is_wanted(path: &Path, images: &[Image], need: ImageNeed) -> bool {
    let is_of = |image: &&Image| {
        let names = image.filename.iter().chain(&image.converted);
        names.map(Path::new).any(|name| name == path)
    };
    let mut of_images = images.iter().filter(is_of).peekable();
    match need {
        ImageNeed::All => true,
        ImageNeed::WithInstallHook => {
            of_images.peek().is_none() || of_images.any(|i| has_hook(i, SlotHook::Install))
        }
    }
}

/// An empty directory from which programs can run, with room.
fn find_place(places: &[PathBuf], needed: u64) -> Result<PathBuf, ContentError> {
    let mut tried = Vec::new();
    for place in places {
        let why = match try_place(place, needed) {
            Ok(None) => return Ok(place.clone()),
            Ok(Some(why)) => why.to_owned(),
            Err(error) => error.to_string(),
        };
        let _ = std::fs::remove_dir(place);
        tried.push(format!("{} ({why})", place.display()));
    }
    Err(ContentError::NoPlace { needed: ByteLen::new(needed), tried: tried.join(", ") })
}

fn try_place(place: &Path, needed: u64) -> io::Result<Option<&'static str>> {
    if let Some(parent) = place.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    match std::fs::symlink_metadata(place) {
        // Only an empty one goes: what an install left that was cut is gone already.
        Ok(facts) if facts.is_dir() => match std::fs::remove_dir(place) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                return Ok(Some("is not empty"));
            }
            Err(error) => return Err(error),
        },
        Ok(_) => return Ok(Some("is in the way")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    DirBuilder::new().mode(0o755).create(place)?;
    // Whatever the process's mask is: programs without rights read here.
    set_mode(place, 0o755)?;
    let room = Room::of(place)?;
    if !room.runs_programs {
        return Ok(Some("programs cannot be run from there"));
    }
    let demanded = needed.saturating_add(RESERVE_BYTES);
    if room.free.is_some_and(|free| free < demanded) {
        return Ok(Some("not enough room"));
    }
    // The size of a tmpfs is a promise that the memory need not keep.
    if room.in_memory && memory_available().is_none_or(|available| available < demanded) {
        return Ok(Some("not enough memory; a data-directory in [system] would be tried too"));
    }
    Ok(None)
}

/// What a file system has to offer.
struct Room {
    runs_programs: bool,
    /// Bytes; a ramfs names none and has no limit at all.
    free: Option<u64>,
    in_memory: bool,
}

#[cfg(target_os = "linux")]
impl Room {
    fn of(place: &Path) -> io::Result<Self> {
        use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
        use nix::sys::statvfs::{FsFlags, statvfs};
        const RAMFS: FsType = FsType(0x8584_58f6);
        let (facts, kind) = (statvfs(place)?, statfs(place)?.filesystem_type());
        let free = facts.blocks_available().saturating_mul(facts.fragment_size());
        Ok(Self {
            runs_programs: !facts.flags().contains(FsFlags::ST_NOEXEC),
            free: (kind != RAMFS).then_some(free),
            in_memory: kind == TMPFS_MAGIC || kind == RAMFS,
        })
    }
}

#[cfg(not(target_os = "linux"))]
impl Room {
    /// Nothing is installed there.
    fn of(_place: &Path) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "bundles are unpacked on Linux only"))
    }
}

/// Bytes of memory that programs can have without pushing others out.
#[must_use]
pub fn memory_available() -> Option<u64> {
    let table = HostFiles::new("/").read(Path::new(MEMORY_TABLE), MAX_MEMORY_TABLE).ok()??;
    parse_available(&String::from_utf8_lossy(&table))
}

fn parse_available(table: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Entries come by path, parents first; no path leads out, as the reader of the file system made
/// sure, and no link is followed: files and directories are only ever made new.
fn unpack_entry(
    files: &SquashfsFiles,
    path: &Path,
    entry: &SquashfsEntry,
    to: &Path,
    stop: StopQuestion<'_>,
) -> Result<(), ContentError> {
    let failed = |source| ContentError::Write { path: to.to_owned(), source };
    match entry {
        SquashfsEntry::Directory => {
            DirBuilder::new().mode(0o755).create(to).map_err(failed)?;
            set_mode(to, 0o755).map_err(failed)
        }
        SquashfsEntry::Symlink { target } => symlink(target, to).map_err(failed),
        SquashfsEntry::Special => Err(ContentError::Special { path: path.to_owned() }),
        SquashfsEntry::File { .. } => unpack_file(files, path, to, stop),
    }
}

fn unpack_file(
    files: &SquashfsFiles,
    path: &Path,
    to: &Path,
    stop: StopQuestion<'_>,
) -> Result<(), ContentError> {
    let failed = |source| ContentError::Write { path: to.to_owned(), source };
    let name = path.to_str().ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?;
    let mut from = files.open_file(name).map_err(bundle_failed)?;
    let options = &mut OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o755).open(to).map_err(failed)?;
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        stop().map_or(Ok(()), |by| Err(ContentError::Stopped { by }))?;
        let len = from.read(&mut buffer).map_err(bundle_failed)?;
        if len == 0 {
            break;
        }
        file.write_all(buffer.get(..len).unwrap_or_default()).map_err(failed)?;
    }
    drop(file);
    set_mode(to, 0o755).map_err(failed)
}

/// A directory of the bundle as a tree to be unpacked, with owners, modes and times. Extended
/// attributes are not read from bundles.
pub(super) struct BundleTree<'a> {
    pub files: &'a SquashfsFiles,
    pub root: PathBuf,
}

impl TreeContent for BundleTree<'_> {
    fn extract_into(&mut self, dir: &Path, stop: StopQuestion<'_>) -> Result<(), BoxedError> {
        let below = |path: &Path| path.strip_prefix(&self.root).ok().map(Path::to_owned);
        let mut dirs = vec![(self.root.clone(), dir.to_owned())];
        for (path, entry) in self.files.entries() {
            let Some(inner) = below(path).filter(|inner| *inner != Path::new("")) else {
                continue;
            };
            stop().map_or(Ok(()), |by| Err(ContentError::Stopped { by }))?;
            let to = dir.join(inner);
            unpack_entry(self.files, path, &entry, &to, stop)?;
            match entry {
                SquashfsEntry::Directory => dirs.push((path.to_owned(), to)),
                SquashfsEntry::Symlink { .. } => self.put_owner(path, &to)?,
                SquashfsEntry::File { .. } | SquashfsEntry::Special => {
                    self.put_attributes(path, &to)?;
                }
            }
        }
        // Innermost first: making a file changes the time of its directory.
        for (path, to) in dirs.iter().rev() {
            self.put_attributes(path, to)?;
        }
        Ok(())
    }
}

impl BundleTree<'_> {
    fn put_owner(&self, path: &Path, to: &Path) -> Result<(), ContentError> {
        let Some(facts) = self.files.facts(path) else { return Ok(()) };
        lchown(to, Some(facts.uid), Some(facts.gid))
            .map_err(|source| ContentError::Write { path: to.to_owned(), source })
    }

    fn put_attributes(&self, path: &Path, to: &Path) -> Result<(), ContentError> {
        let Some(facts) = self.files.facts(path) else { return Ok(()) };
        // Owner first: a change of owner takes the set-user-id bit away.
        self.put_owner(path, to)?;
        let failed = |source| ContentError::Write { path: to.to_owned(), source };
        set_mode(to, u32::from(facts.mode) & 0o7777).map_err(failed)?;
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(facts.mtime));
        let opened = OpenOptions::new().read(true).open(to).map_err(failed)?;
        opened.set_times(FileTimes::new().set_modified(at)).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_available_is_read_from_the_kernel_s_table() {
        let table = "MemTotal:  2 kB\nMemAvailable:      12 kB\nSwapFree: 1 kB\n";
        assert_eq!(parse_available(table), Some(12 * 1024));
        for odd in ["", "MemAvailable: x kB", "MemAvailable: 12", "MemAvailable: -1 kB"] {
            assert_eq!(parse_available(odd), None, "{odd}");
        }
        assert!(memory_available().is_some_and(|bytes| bytes > 0));
    }

    #[test]
    fn a_place_without_room_or_in_somebody_s_way_is_passed_over_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let (taken, good) = (dir.path().join("taken"), dir.path().join("x/good"));
        symlink("/nowhere", &taken).unwrap();
        assert_eq!(find_place(&[taken.clone(), good.clone()], 100).unwrap(), good);
        assert_eq!(find_place(std::slice::from_ref(&good), 100).unwrap(), good);
        assert_eq!(std::fs::read_dir(&good).unwrap().count(), 0);
        let refused = find_place(&[taken, good.clone()], u64::MAX).unwrap_err().to_string();
        assert!(refused.contains("is in the way") && refused.contains("not enough room"));
        assert!(!good.exists());
    }

    /// Fails when a directory of somebody's is taken for what an install left.
    #[test]
    fn only_what_was_made_here_is_removed_and_from_every_place() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        let (mounts, data, run) = (place("mounts"), place("data"), place("run"));
        let places = ContentPlaces {
            mounts: mounts.clone(),
            lasting: Some(data.clone()),
            runtime: run.clone(),
        };
        for place in [&mounts, &data, &run] {
            HostFiles::new("/").replace(&place.join("below/x.raucb"), b"somebody's").unwrap();
            symlink("/nowhere", place.join("left")).unwrap();
        }
        assert_eq!(remove_left(&places), Vec::<String>::new());
        let refused = find_place(std::slice::from_ref(&data), 100).unwrap_err().to_string();
        assert!(refused.contains("is not empty"), "{refused}");
        assert!(data.join("below/x.raucb").exists() && mounts.exists() && run.exists());
        for place in [&data, &run] {
            mark_as_ours(place).unwrap();
        }
        assert_eq!(remove_left(&places), Vec::<String>::new());
        assert!(!data.exists() && !run.exists() && mounts.join("below/x.raucb").exists());
    }
}
