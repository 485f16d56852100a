// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which images must programs find among the bundle's unpacked files, and where may those lie?
//!
//! A program of the bundle may read the images, and has many ways to find them, so all are unpacked
//! where there is room. Where there is none, and where the bundle is streamed, so that each image
//! would be fetched once more, they are unpacked only for the bundle's own handler, for an image with
//! an `install` hook, and for programs that can be thought to look for images. Handlers of the
//! system lie elsewhere: they find images only by the variables, which they then name, unless what
//! they start does.
//!
//! What is large goes to the data directory before it goes into memory; what was encrypted goes there
//! only when all else failed.

use super::bundle_files::{ContentError, bundle_failed};
use bundle::{BundleFormat, VerifiedBundle};
use std::path::PathBuf;
use storage::ByteLen;

/// Of a program so much is looked at for what it reads.
const PROGRAM_LIMIT: ByteLen = ByteLen::mib(1);
/// More than this is not put into memory where there is a data directory.
const SMALL_BYTES: u64 = 8 * 1024 * 1024;
/// By these variables every program finds the images.
const VARIABLES: [&[u8]; 3] =
    [b"RAUC_IMAGE_NAME", b"RAUC_BUNDLE_MOUNT_POINT", b"RAUC_UPDATE_SOURCE"];
/// By these words a script finds what lies beside it.
const NEIGHBOUR_WORDS: [&[u8]; 9] =
    [b"$0", b"${0", b"BASH_SOURCE", b"dirname", b"cd ", b"pwd", b"PWD", b"argv", b"__file__"];
const SCRIPT_MARK: &[u8] = b"#!";

/// Which images are unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ImageNeed {
    /// Those with an `install` hook.
    #[default]
    WithInstallHook,
    /// All.
    All,
}

/// What is unpacked for the programs of an install.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ContentNeed {
    /// At least.
    pub least: ImageNeed,
    /// Where there is room.
    pub best: ImageNeed,
}

impl ContentNeed {
    /// For one program more.
    pub fn and(self, least: ImageNeed, best: ImageNeed) -> Self {
        let least = self.least.max(least);
        Self { least, best: self.best.max(best).max(least) }
    }
}

/// Where the files of a bundle may be unpacked.
#[derive(Clone, Debug)]
pub(super) struct ContentPlaces {
    /// Below the mount prefix.
    pub mounts: PathBuf,
    /// In the data directory.
    pub lasting: Option<PathBuf>,
    /// In memory.
    pub runtime: PathBuf,
}

impl ContentPlaces {
    /// All of them, the first to be tried first.
    pub fn in_order(&self, needed: u64, format: BundleFormat) -> Vec<PathBuf> {
        let mut places = vec![self.mounts.clone(), self.runtime.clone()];
        let at = match format {
            // What was encrypted goes to lasting storage only where there is no other place.
            BundleFormat::Crypt => places.len(),
            BundleFormat::Plain | BundleFormat::Verity => usize::from(needed <= SMALL_BYTES),
        };
        places.splice(at..at, self.lasting.clone());
        places
    }
}

/// Whether a program of the bundle can be thought to read images: it is no script, or has words for
/// where they are.
fn may_find_images(program: &[u8]) -> ImageNeed {
    let is_script = program.starts_with(SCRIPT_MARK);
    let finds = || VARIABLES.iter().chain(&NEIGHBOUR_WORDS).any(|word| names(program, word));
    if is_script && !finds() { ImageNeed::WithInstallHook } else { ImageNeed::All }
}

/// Whether a handler of the system can be thought to read images.
pub(super) fn may_be_told_of_images(program: &[u8]) -> ImageNeed {
    match VARIABLES.iter().any(|word| names(program, word)) {
        true => ImageNeed::All,
        false => ImageNeed::WithInstallHook,
    }
}

fn names(program: &[u8], word: &[u8]) -> bool {
    program.windows(word.len()).any(|part| part == word)
}

/// What the hook program of a bundle may read.
pub(super) fn hook_need(bundle: &VerifiedBundle, hook: &str) -> Result<ImageNeed, ContentError> {
    let files = bundle.files().map_err(bundle_failed)?;
    let size = files.size(hook).map_err(bundle_failed)?;
    if size > PROGRAM_LIMIT {
        return Ok(ImageNeed::All);
    }
    Ok(may_find_images(&files.read_file(hook, PROGRAM_LIMIT).map_err(bundle_failed)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scripts_without_a_word_for_where_they_lie_do_without_images() {
        let need = |program: &str| may_find_images(program.as_bytes());
        assert_eq!(need("#!/bin/sh\ncase $1 in esac\n"), ImageNeed::WithInstallHook);
        for way in [
            "cat \"$RAUC_IMAGE_NAME\"",
            "cd $(dirname $0)",
            "cat ${0%/*}/rootfs.img",
            "here=`dirname -- \"$BASH_SOURCE\"`",
            "import sys; open(sys.argv[0])",
        ] {
            assert_eq!(need(&format!("#!/bin/sh\n{way}\n")), ImageNeed::All, "{way}");
        }
        assert_eq!(need("\x7fELF"), ImageNeed::All);
        // Beside a handler of the system there are no images.
        let told = |program: &str| may_be_told_of_images(program.as_bytes());
        assert_eq!(told("#!/bin/sh\n. \"${0%/*}/lib.sh\"\n"), ImageNeed::WithInstallHook);
        assert_eq!(told("\x7fELF RAUC_UPDATE_SOURCE"), ImageNeed::All);
    }

    #[test]
    fn what_is_large_goes_to_lasting_storage_first_and_what_was_encrypted_last() {
        let place = PathBuf::from;
        let places = ContentPlaces {
            mounts: place("/mnt"),
            lasting: Some(place("/data")),
            runtime: place("/run"),
        };
        let order = |needed, format| {
            let order = places.in_order(needed, format);
            order.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(order(SMALL_BYTES, BundleFormat::Verity), "/mnt /data /run");
        assert_eq!(order(SMALL_BYTES + 1, BundleFormat::Verity), "/data /mnt /run");
        assert_eq!(order(SMALL_BYTES + 1, BundleFormat::Crypt), "/mnt /run /data");
    }
}
