// SPDX-License-Identifier: MIT OR Apache-2.0
//! Can someone else's bundle play the update that works? Asked before the story begins, so that a
//! bundle which this board could never boot is refused with the reason and not in chapter four.

use super::world::file_name;
use crate::commands::bundle::open_verified;
use crate::context::Context;
use crate::failure::Failure;
use crate::virtual_board::boot_partition_starts;
use board_rock64::{Board, Role};
use bootctl::SlotId;
use bundle::{BundleFormat, Image, ImageStream, VerifiedBundle};
use std::io::Read;
use std::path::{Path, PathBuf};
use storage::{ByteLen, FileStorage, Files, HostFiles, Storage};

/// Longest file of CA certificates.
const MAX_KEYRING: ByteLen = ByteLen::mib(4);

/// Bytes copied at once.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Someone else's bundle, found fit.
pub struct Foreign {
    /// The bundle.
    pub bundle: PathBuf,
    /// Its CA certificates, PEM.
    pub keyring: Vec<u8>,
    /// The file that they came from.
    pub keyring_path: PathBuf,
    /// Its hardware.
    pub compatible: String,
    /// Its version.
    pub version: Option<String>,
    /// Its format.
    pub format: BundleFormat,
}

impl Foreign {
    /// Verifies the bundle and tries its boot image as this board's firmware would.
    ///
    /// # Errors
    /// [`Failure::Bundle`] when it does not verify, [`Failure::Refused`] when it cannot play.
    pub fn examine(
        context: &Context,
        board: &Board,
        bundle: &Path,
        keyring: &Path,
        scratch: &Path,
    ) -> Result<Self, Failure> {
        let resolve = |path: &Path| match path.canonicalize() {
            Ok(path) => Ok(path),
            Err(source) => Err(Failure::Io { act: "find", path: path.to_owned(), source }),
        };
        let (bundle, keyring_path) = (resolve(bundle)?, resolve(keyring)?);
        let keyring = HostFiles::new("/").read(&keyring_path, MAX_KEYRING)?;
        let keyring = keyring.ok_or_else(|| Failure::FileAbsent {
            path: keyring_path.clone(),
            hint: "give the CA certificates that verify the bundle, PEM",
        })?;
        let verified = open_verified(context, &bundle, Some(&keyring_path))?;
        let manifest = verified.manifest();
        for (class, role) in [("boot", Role::Boot(SlotId::B)), ("rootfs", Role::Rootfs(SlotId::B))]
        {
            let image = find(&verified, class, &bundle)?;
            let room = board.partition(role).and_then(|partition| partition.size);
            check_size(image, room, &bundle)?;
        }
        let boot = find(&verified, "boot", &bundle)?;
        let stream = verified
            .open_image(boot)
            .map_err(|source| Failure::Bundle { bundle: bundle.clone(), source })?;
        let copy = unpack(stream, &scratch.join("foreign-boot.img"), &bundle)?;
        boot_partition_starts(Box::new(copy)).map_err(|why| Failure::Refused {
            what: format!(
                "this board's firmware cannot load the boot image of {}: {why}",
                file_name(&bundle)
            ),
            hint: "the boot image must be a FAT with boot.scr and everything that it loads",
        })?;
        Ok(Self {
            compatible: manifest.update.compatible.clone(),
            version: manifest.update.version.clone(),
            format: verified.format(),
            keyring,
            keyring_path,
            bundle,
        })
    }
}

fn find<'a>(
    verified: &'a VerifiedBundle,
    class: &str,
    bundle: &Path,
) -> Result<&'a Image, Failure> {
    verified.manifest().images.iter().find(|image| image.class == class).ok_or_else(|| {
        Failure::Refused {
            what: format!("{} has no image for slot class {class}", file_name(bundle)),
            hint: "this board boots from a boot and a rootfs image; the story needs both",
        }
    })
}

fn check_size(image: &Image, room: Option<ByteLen>, bundle: &Path) -> Result<(), Failure> {
    match (image.size, room) {
        (Some(size), Some(room)) if size > room => Err(Failure::Refused {
            what: format!(
                "the {} image of {} has {size}, the board's slots have {room}",
                image.class,
                file_name(bundle)
            ),
            hint: "the slots of this board have fixed sizes",
        }),
        _ => Ok(()),
    }
}

/// Copies an image to a sparse file.
fn unpack(mut stream: ImageStream<'_>, path: &Path, bundle: &Path) -> Result<FileStorage, Failure> {
    let mut copy = FileStorage::create_sparse(path, stream.len())?;
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut at = 0;
    loop {
        let count = stream.read(&mut buffer).map_err(|failure| Failure::Bundle {
            bundle: bundle.to_owned(),
            source: ImageStream::cause(failure),
        })?;
        let chunk = buffer.get(..count).unwrap_or_default();
        if chunk.is_empty() {
            return Ok(copy);
        }
        if chunk.iter().any(|byte| *byte != 0) {
            copy.write_at(at, chunk)?;
        }
        at += count as u64;
    }
}
