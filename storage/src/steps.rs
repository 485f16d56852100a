// SPDX-License-Identifier: MIT OR Apache-2.0
//! In which order must a small file be replaced so that a cut leaves the old or the new one whole?
//!
//! The order is a value, made here and nowhere else: `HostFiles` performs it on the real file
//! system and `RecordingFiles` logs it for the crash simulator, so a step that is dropped or moved
//! is dropped or moved in both, and the simulator's tests see it.

use std::path::{Path, PathBuf};

/// One step of changing a small file; what a power cut does after it is told per variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileStep {
    /// Makes a directory; its name is lost until its parent is synced.
    MakeDir {
        /// The directory.
        dir: PathBuf,
    },
    /// Writes the new content beside the file; name and content are lost until both are synced.
    WriteTemp {
        /// The temporary file.
        temp: PathBuf,
        /// All of it.
        content: Vec<u8>,
    },
    /// Makes the content durable, not the name.
    SyncFile {
        /// The file.
        file: PathBuf,
    },
    /// Puts the new file in the old one's place, whole; the old one returns until the directory
    /// is synced.
    Rename {
        /// The temporary file.
        from: PathBuf,
        /// The file it replaces.
        to: PathBuf,
    },
    /// Removes the name; it returns until the directory is synced.
    Remove {
        /// The file.
        file: PathBuf,
    },
    /// Makes the names in a directory durable.
    SyncDir {
        /// The directory.
        dir: PathBuf,
    },
}

/// The order of a replacement. `missing_dirs` are those above `path` that do not exist, outermost
/// first. A `.new` that a cut left behind is overwritten by the next replacement.
pub(crate) fn replace_steps(
    path: &Path,
    missing_dirs: &[PathBuf],
    content: &[u8],
) -> Vec<FileStep> {
    let mut steps = Vec::new();
    for dir in missing_dirs {
        steps.push(FileStep::MakeDir { dir: dir.clone() });
        steps.push(FileStep::SyncDir { dir: parent(dir) });
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temp = parent(path).join(name);
    steps.push(FileStep::WriteTemp { temp: temp.clone(), content: content.to_owned() });
    steps.push(FileStep::SyncFile { file: temp.clone() });
    steps.push(FileStep::Rename { from: temp, to: path.to_owned() });
    steps.push(FileStep::SyncDir { dir: parent(path) });
    steps
}

/// The order of a removal.
pub(crate) fn remove_steps(path: &Path) -> Vec<FileStep> {
    vec![FileStep::Remove { file: path.to_owned() }, FileStep::SyncDir { dir: parent(path) }]
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        Some(_) => PathBuf::from("."),
        None => PathBuf::from("/"),
    }
}
