// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes a bundle whose images are indexes into a chunk store.
//!
//! This module owns the flow: verify, unpack, have each image encoded unless it is to be left
//! alone, rewrite the manifest, pack, sign. What an index is and where its chunks go is the
//! encoder's affair.

use super::extract::{NewDirectory, unpack};
use super::{OperationError, Verification};
use crate::create::{CreateProgress, CreateRequest, CreatedBundle, repack};
use crate::create_extras::CreateExtras;
use crate::{
    BundleContent, Image, ImageType, Manifest, SigningIdentity, SquashfsCompression, TypeOrigin,
    UnixTime, UntrustedBundle,
};
use std::io::Write;
use std::path::Path;

/// Makes indexes of images.
pub trait ImageEncoder {
    /// Cuts the file `image` into chunks, stores those, and returns the index (`.caibx`).
    ///
    /// # Errors
    /// Whatever stops it.
    fn encode_blob(
        &mut self,
        image: &Path,
    ) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>;

    /// The same for the files in the tar archive `archive` (`.caidx`).
    ///
    /// # Errors
    /// Whatever stops it.
    fn encode_archive(
        &mut self,
        archive: &Path,
    ) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>;
}

/// Which images are converted.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConvertImages<'a> {
    /// Slot classes whose images are left as they are (`--ignore-image`).
    pub ignore: &'a [String],
}

/// How the new bundle is made.
#[derive(Clone, Copy, Debug)]
pub struct ConvertRequest<'a> {
    /// Which images.
    pub images: ConvertImages<'a>,
    /// Who signs.
    pub identity: &'a SigningIdentity,
    /// Signing time, and the time of every file in the bundle.
    pub timestamp: UnixTime,
    /// Salt of the hash tree; random in production.
    pub salt: [u8; 32],
    /// How blocks that shrink are packed.
    pub compression: SquashfsCompression,
    /// Whether the bundle that comes in must be true.
    pub verification: Verification<'a>,
    /// As for a new bundle: keys of format crypt, arguments of mksquashfs, check of the signature.
    pub extras: CreateExtras<'a>,
    /// An existing directory to work in.
    pub scratch: &'a Path,
}

/// Makes the bundle `output`, which must not exist, with the images of `bundle` as indexes.
///
/// # Errors
/// [`OperationError`].
pub fn convert_bundle(
    bundle: UntrustedBundle,
    request: &ConvertRequest<'_>,
    encoder: &mut dyn ImageEncoder,
    output: &Path,
    progress: &mut dyn FnMut(CreateProgress),
) -> Result<CreatedBundle, OperationError> {
    if output.symlink_metadata().is_ok() {
        let source = std::io::Error::new(std::io::ErrorKind::AlreadyExists, "it already exists");
        return Err(OperationError::Output { path: output.to_owned(), source });
    }
    // Where others may write as well, nobody can be there first.
    let secret = hex::encode(openssl::sha::sha256(&request.salt));
    let name = format!(".convert-{}", secret.get(..32).unwrap_or(&secret));
    let scratch = request.scratch.join(name);
    let work = NewDirectory::create_private(&scratch)
        .map_err(|source| OperationError::Output { path: scratch, source })?;
    let mut manifest = unpack_bundle(bundle, request.verification, work.path())?;
    for image in &mut manifest.images {
        convert_image(image, request.images, encoder, work.path())?;
    }
    // The manifest inside a verity bundle is from before the tree; ours comes with the content.
    discard(&work.path().join(crate::create_content::MANIFEST_NAME))?;
    let create = CreateRequest {
        content: BundleContent::Directory(work.path()),
        format: Some(manifest.format),
        compression: request.compression,
        identity: request.identity,
        salt: request.salt,
        timestamp: request.timestamp,
    };
    repack(&create, &request.extras, manifest, output, progress).map_err(OperationError::Create)
}

fn unpack_bundle(
    bundle: UntrustedBundle,
    verification: Verification<'_>,
    dir: &Path,
) -> Result<Manifest, OperationError> {
    let mut manifest = match verification {
        Verification::By { keyring, time } => {
            let bundle = bundle.verify(keyring, time)?;
            bundle.check_payload(&mut |_| {})?;
            unpack(bundle.files()?, dir, &|| false)?;
            bundle.manifest().clone()
        }
        Verification::Skipped => {
            let (manifest, files) = bundle.unverified_files()?;
            unpack(&files, dir, &|| false)?;
            manifest
        }
    };
    manifest.verity = None;
    manifest.crypt_key = None;
    Ok(manifest)
}

fn is_index(image: &Image) -> bool {
    image.filename.as_ref().is_some_and(|name| {
        name.ends_with(".caibx") || name.ends_with(".caidx") || name.ends_with(".catar")
    })
}

fn convert_image(
    image: &mut Image,
    images: ConvertImages<'_>,
    encoder: &mut dyn ImageEncoder,
    dir: &Path,
) -> Result<(), OperationError> {
    let Some(filename) = image.filename.clone() else { return Ok(()) };
    // Converted artifacts stand in the bundle as trees; indexes are what they should be.
    let skipped = images.ignore.contains(&image.class) || is_index(image);
    if skipped || !image.convert.is_empty() {
        return Ok(());
    }
    let refused = |source| OperationError::Convert { filename: filename.clone(), source };
    let path = dir.join(&filename);
    let archive = image.image_type == Some(ImageType::Tar)
        || (image.artifact.is_some() && ImageType::of_filename(&filename) == Some(ImageType::Tar));
    let (index, ending) = if archive {
        (encoder.encode_archive(&path).map_err(refused)?, "caidx")
    } else {
        (encoder.encode_blob(&path).map_err(refused)?, "caibx")
    };
    let name = format!("{filename}.{ending}");
    let failed = |source| OperationError::Output { path: dir.join(&name), source };
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(dir.join(&name))
        .map_err(failed)?;
    file.write_all(&index).map_err(failed)?;
    discard(&path)?;
    // An index of blocks is of no use to one who reads chunks.
    if image.adaptive.iter().any(|method| method == "block-hash-index") {
        discard(&dir.join(format!("{filename}.block-hash-index")))?;
        image.adaptive.clear();
    }
    if image.type_origin == TypeOrigin::Explicit {
        image.image_type = indexed(image.image_type, archive);
    } else {
        image.image_type = ImageType::of_filename(&name);
    }
    image.filename = Some(name);
    Ok(())
}

/// The type of an index of an image that had a type.
fn indexed(of: Option<ImageType>, archive: bool) -> Option<ImageType> {
    if archive {
        return Some(ImageType::Caidx);
    }
    match of? {
        ImageType::Ext4 => Some(ImageType::Ext4Caibx),
        ImageType::Vfat => Some(ImageType::VfatCaibx),
        ImageType::Ubifs => Some(ImageType::UbifsCaibx),
        ImageType::Squashfs => Some(ImageType::SquashfsCaibx),
        ImageType::Raw => Some(ImageType::RawCaibx),
        other @ (ImageType::Tar
        | ImageType::Emptyfs
        | ImageType::Catar
        | ImageType::Caidx
        | ImageType::RawCaibx
        | ImageType::Ext4Caibx
        | ImageType::VfatCaibx
        | ImageType::UbifsCaibx
        | ImageType::SquashfsCaibx) => Some(other),
    }
}

#[expect(clippy::disallowed_methods, reason = "a file of our own scratch directory")]
fn discard(path: &Path) -> Result<(), OperationError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(OperationError::Output { path: path.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
