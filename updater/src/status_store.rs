// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where is the status kept when its place cannot be written? Updating must not need `/data`: a
//! status that cannot go to its file goes to `/run`, and the install goes on, with a warning.

use crate::status::MAX_STATUS;
use crate::{SlotName, SlotStatus, SlotStatusFile, StatusPlace, SystemConfig};
use std::path::{Path, PathBuf};
use storage::{Files, FilesError, chain};

/// Deviates: with `per-slot` RAUC keeps a file inside each slot and mounts the slot to read it.
/// We mount nothing, so the status is central then too.
const DEFAULT_PATH: &str = "/data/atomix/status.raucs";

/// Where the status goes when its own place cannot be written: lost at the next boot, and better
/// than nothing until then.
pub const STATUS_FALLBACK_PATH: &str = "/run/atomix/status.raucs";

/// Where the status of this system is kept.
#[must_use]
pub fn status_path(config: &SystemConfig) -> PathBuf {
    match &config.system.status {
        StatusPlace::Central(path) => path.clone(),
        StatusPlace::PerSlot => PathBuf::from(DEFAULT_PATH),
    }
}

/// The central status, and where it was found.
pub(crate) struct CentralStatus {
    /// It.
    pub file: SlotStatusFile,
    /// What could not be used on the way to it.
    pub troubles: Vec<String>,
    place: FoundIn,
}

/// Where the newest status was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FoundIn {
    ItsPlace,
    Fallback,
    /// Its place has one that cannot be read, and nobody writes over it: a device that could not be
    /// read once may be read again.
    BesideUnreadable,
}

impl CentralStatus {
    /// Reads the status at `path` and looks nowhere else.
    ///
    /// # Errors
    /// [`FilesError`] when the file is there and cannot be read.
    pub fn load(files: &mut dyn Files, path: &Path) -> Result<Self, FilesError> {
        let (file, aside) = SlotStatusFile::load(files, path)?;
        let troubles = aside.map(|aside| aside.to_string()).into_iter().collect();
        Ok(Self { file, troubles, place: FoundIn::ItsPlace })
    }
}

/// Reads the status at `path`, and above it the fallback while there is one: what that tells is
/// newer, because whoever can write the status in its place again removes it. It may tell of fewer
/// slots, made while the one in its place could not be read.
///
/// # Errors
/// [`FilesError`] when the file is there and cannot be read.
pub(crate) fn load_central(
    files: &mut dyn Files,
    path: &Path,
) -> Result<CentralStatus, FilesError> {
    let fallback = Path::new(STATUS_FALLBACK_PATH);
    let mut troubles = Vec::new();
    let mut newer = None;
    if path != fallback {
        match files
            .read(fallback, MAX_STATUS)
            .map(|bytes| bytes.as_deref().map(SlotStatusFile::parse))
        {
            Ok(Some(Ok(file))) => newer = Some(file),
            Ok(Some(Err(cause))) => {
                troubles.push(format!("cannot use {STATUS_FALLBACK_PATH}: {}", chain(&cause)));
            }
            Ok(None) => {}
            Err(error) => troubles.push(chain(&error)),
        }
    }
    let mut status = match (CentralStatus::load(files, path), newer) {
        (Ok(mut status), Some(newer)) => {
            status.file.take_newer(newer);
            status.place = FoundIn::Fallback;
            status
        }
        (Ok(status), None) => status,
        (Err(error), Some(file)) => {
            troubles.push(chain(&error));
            CentralStatus { file, troubles: Vec::new(), place: FoundIn::BesideUnreadable }
        }
        (Err(error), None) => return Err(error),
    };
    status.troubles.splice(0..0, troubles);
    Ok(status)
}

/// Writes the status in its place or, where that fails or what is there could not be read, as the
/// fallback; `warn` hears of that.
///
/// # Errors
/// That of the first place, when neither can be written.
pub(crate) fn store_central(
    files: &mut dyn Files,
    path: &Path,
    status: &CentralStatus,
    warn: &mut dyn FnMut(String),
) -> Result<(), FilesError> {
    let fallback = Path::new(STATUS_FALLBACK_PATH);
    if status.place == FoundIn::BesideUnreadable {
        status.file.store(files, fallback)?;
        warn(format!("the status is kept in {STATUS_FALLBACK_PATH}"));
        return Ok(());
    }
    let Err(failed) = status.file.store(files, path) else {
        if status.place == FoundIn::Fallback
            && let Err(error) = files.remove(fallback)
        {
            warn(chain(&error));
        }
        return Ok(());
    };
    match status.file.store(files, fallback) {
        Ok(()) => {
            warn(format!("{}; the status is kept in {STATUS_FALLBACK_PATH}", chain(&failed)));
            Ok(())
        }
        Err(error) => {
            warn(chain(&error));
            Err(failed)
        }
    }
}

/// Changes the status of slots and stores it; every failure becomes a warning.
pub(crate) fn update_status(
    files: &mut dyn Files,
    config: &SystemConfig,
    slots: &mut dyn Iterator<Item = &SlotName>,
    change: &dyn Fn(&SlotName, &mut SlotStatus),
    warn: &mut dyn FnMut(String),
) {
    let path = status_path(config);
    let mut status = load_central(files, &path).unwrap_or_else(|error| {
        warn(chain(&error));
        let file = SlotStatusFile::default();
        CentralStatus { file, troubles: Vec::new(), place: FoundIn::BesideUnreadable }
    });
    if status.place == FoundIn::BesideUnreadable && path == Path::new(STATUS_FALLBACK_PATH) {
        // There is no place beside it.
        return;
    }
    status.troubles.drain(..).for_each(&mut *warn);
    for name in slots {
        change(name, status.file.slots.entry(name.clone()).or_default());
    }
    if let Err(error) = store_central(files, &path, &status, warn) {
        warn(chain(&error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::{ByteLen, MemoryFiles};

    /// `/data` can be read, and written for as long as nobody says otherwise.
    struct Data {
        files: MemoryFiles,
        is_full: bool,
        is_unreadable: bool,
    }

    impl Data {
        fn new() -> Self {
            Self { files: MemoryFiles::new(), is_full: false, is_unreadable: false }
        }
    }

    impl Files for Data {
        fn read(&self, path: &Path, limit: ByteLen) -> Result<Option<Vec<u8>>, FilesError> {
            if self.is_unreadable && path.starts_with("/data") {
                let source = std::io::Error::from_raw_os_error(5);
                return Err(FilesError::Read { path: path.to_owned(), source });
            }
            self.files.read(path, limit)
        }
        fn replace(&mut self, path: &Path, content: &[u8]) -> Result<(), FilesError> {
            if self.is_full && path.starts_with("/data") {
                let source = std::io::ErrorKind::StorageFull.into();
                return Err(FilesError::Write { path: path.to_owned(), source });
            }
            self.files.replace(path, content)
        }
        fn remove(&mut self, path: &Path) -> Result<(), FilesError> {
            self.files.remove(path)
        }
        fn list(&self, dir: &Path) -> Result<Vec<String>, FilesError> {
            self.files.list(dir)
        }
    }

    fn note(data: &mut Data, version: &str) -> Vec<String> {
        let text = "[system]\ncompatible=x\nbootloader=noop\nstatusfile=/data/s\n\
                    [slot.rootfs.0]\ndevice=/dev/a\nbootname=A\n";
        let config = SystemConfig::parse(text, Path::new("/")).unwrap();
        let mut warnings = Vec::new();
        let name = config.slots.keys().next().unwrap();
        update_status(
            data,
            &config,
            &mut [name].into_iter(),
            &|_, status| status.version = Some(version.to_owned()),
            &mut |text| warnings.push(text),
        );
        warnings
    }

    fn version(data: &mut Data) -> Option<String> {
        let status = load_central(data, Path::new("/data/s")).unwrap();
        status.file.slots.values().next()?.version.clone()
    }

    /// Fails when what an install noted elsewhere is not known any more to the next question, or
    /// goes on to hide what is noted in its place.
    #[test]
    fn a_status_kept_elsewhere_counts_until_its_place_can_be_written_again() {
        let mut data = Data::new();
        assert_eq!(note(&mut data, "1"), Vec::<String>::new());
        data.is_full = true;
        assert!(note(&mut data, "2")[0].contains("is kept in /run/atomix/status.raucs"));
        assert_eq!(version(&mut data).as_deref(), Some("2"));
        data.is_full = false;
        assert_eq!(note(&mut data, "3"), Vec::<String>::new());
        assert_eq!(version(&mut data).as_deref(), Some("3"));
        assert_eq!(data.read(Path::new(STATUS_FALLBACK_PATH), ByteLen::kib(1)).unwrap(), None);
    }

    /// Fails when what is known of all slots is lost, because it could not be read once.
    #[test]
    fn a_status_that_cannot_be_read_is_not_written_over() {
        let mut data = Data::new();
        let kept = b"[slot.appfs.0]\nbundle.version=7\n[slot.rootfs.0]\nbundle.version=1\n";
        data.replace(Path::new("/data/s"), kept).unwrap();
        data.is_unreadable = true;
        for next in ["2", "3"] {
            let warnings = note(&mut data, next);
            assert!(warnings.last().unwrap().contains("is kept in /run/atomix/status.raucs"));
            assert!(warnings.iter().any(|text| text.contains("/data/s")), "{warnings:?}");
        }
        assert_eq!(data.files.read(Path::new("/data/s"), MAX_STATUS).unwrap().unwrap(), kept);
        let in_order = |data: &mut Data| {
            let status = load_central(data, Path::new("/data/s")).unwrap();
            let versions = status.file.slots.values().map(|slot| slot.version.clone().unwrap());
            versions.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(in_order(&mut data), "3");
        data.is_unreadable = false;
        assert_eq!(in_order(&mut data), "7 3", "the newer above the older");
        assert_eq!(note(&mut data, "4"), Vec::<String>::new());
        assert_eq!(in_order(&mut data), "7 4");
    }
}
