// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes a signed bundle out of a manifest and its images.
//!
//! Steps: read and check the content, digest every image, fill the manifest, make indexes, convert,
//! pack the squashfs, encrypt it (crypt), build the hash tree (verity, crypt), sign, append
//! signature and its length (big-endian u64). Time, salt and key are arguments, so the same input
//! gives the same payload; only the signature of an ECDSA key differs from run to run. Never
//! overwrites a file; the output has no name before it is whole.

use crate::create_content::{FileItem, Item, digest_of, gather, gather_beside};
use crate::create_extras::CreateExtras;
use crate::create_pack::{HashingSink, Meter, Metered, pack};
use crate::create_stage::{needs_stage, pack_staged, pack_whole};
use crate::crypt::SectorCipher;
use crate::operations::{NewFile, post_check, size_notice};
use crate::{
    BundleContent, BundleFormat, CreateError, CryptKey, Manifest, ManifestUse, Notice,
    SigningIdentity, SquashfsCompression, UnixTime, VerityParams, build_tree, sign_attached,
    sign_detached,
};
use openssl::sha::{Sha256, sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use storage::{ByteLen, Digest};

/// A hash tree over a single block would be no tree; RAUC refuses such bundles.
const SMALLEST_VERITY_PAYLOAD: u64 = 2 * 4096;

/// RAUC refuses to sign and to verify longer plain payloads (a signed 32-bit length).
pub(crate) const LARGEST_PLAIN_PAYLOAD: u64 = (1 << 31) - 1;

/// Everything that decides what the bundle will be.
#[derive(Clone, Copy, Debug)]
pub struct CreateRequest<'a> {
    /// Manifest and images.
    pub content: BundleContent<'a>,
    /// Overrides the manifest's format; a manifest that names none means plain.
    pub format: Option<BundleFormat>,
    /// How blocks that shrink are packed.
    pub compression: SquashfsCompression,
    /// Who signs.
    pub identity: &'a SigningIdentity,
    /// Salt of the hash tree; random in production.
    pub salt: [u8; 32],
    /// Signing time, and the time of every file in the bundle.
    pub timestamp: UnixTime,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedBundle {
    /// The manifest as signed.
    pub manifest: Manifest,
    /// SHA-256 of the manifest's bytes: the bundle's identity.
    pub manifest_digest: Digest,
    /// Squashfs and hash tree.
    pub payload_len: ByteLen,
    /// The whole file.
    pub file_len: ByteLen,
    /// What people should hear.
    pub notices: Vec<Notice>,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateStep {
    /// Images are digested.
    Digest,
    /// The squashfs is written.
    Pack,
    /// The payload is read back: hash tree or digest, then signature.
    Seal,
}

/// How far a step has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateProgress {
    /// The step.
    pub step: CreateStep,
    /// Bytes handled in this step.
    pub done: ByteLen,
    /// Bytes of this step.
    pub total: ByteLen,
}

/// Makes the bundle `output`, which must not exist.
///
/// # Errors
/// [`CreateError`]; the output is then not there.
pub fn create_bundle(
    request: &CreateRequest<'_>,
    output: &Path,
    progress: &mut dyn FnMut(CreateProgress),
) -> Result<CreatedBundle, CreateError> {
    create_bundle_with(request, &CreateExtras::default(), output, progress)
}

/// As [`create_bundle`], with everything that a bundle can have.
///
/// # Errors
/// [`CreateError`]; the output is then not there.
pub fn create_bundle_with(
    request: &CreateRequest<'_>,
    extras: &CreateExtras<'_>,
    output: &Path,
    progress: &mut dyn FnMut(CreateProgress),
) -> Result<CreatedBundle, CreateError> {
    if let BundleContent::Directory(dir) = request.content {
        refuse_inside(dir, output)?;
    }
    let file = begin(output)?;
    let (text, items) = gather(request.content)?;
    let text = text.ok_or_else(|| CreateError::NoManifest { dir: request.content.dir() })?;
    let mut manifest = Manifest::parse(&text, ManifestUse::Input).map_err(CreateError::Manifest)?;
    let mut notices = Vec::new();
    if request.format.is_none() && !names_format(&text) {
        notices.push(Notice::FormatMissing);
    }
    manifest.format = request.format.unwrap_or(manifest.format);
    if let Some(tell) = extras.on_format {
        tell(manifest.format);
    }
    if let (Some(wanted), Some(ours)) = (&manifest.update.min_rauc_version, extras.rauc_version) {
        ours.satisfies(wanted).map_err(CreateError::MinVersion)?;
    }
    let mut making = Making { request, extras, output, manifest, items, notices, whole: None };
    making.add_indexes()?;
    making.finish(file, progress)
}

/// Packs and signs a content whose manifest is at hand: what became of it elsewhere stays.
pub(crate) fn repack(
    request: &CreateRequest<'_>,
    extras: &CreateExtras<'_>,
    manifest: Manifest,
    output: &Path,
    progress: &mut dyn FnMut(CreateProgress),
) -> Result<CreatedBundle, CreateError> {
    let file = begin(output)?;
    // Trees that were made of archives follow their own rules, and are packed as they stand.
    let trees: Vec<String> =
        manifest.images.iter().flat_map(|image| image.converted.iter().cloned()).collect();
    let (_, items) = gather_beside(request.content, &trees)?;
    let whole = (!trees.is_empty()).then(|| request.content.dir());
    let notices = Vec::new();
    let making = Making { request, extras, output, manifest, items, notices, whole };
    making.finish(file, progress)
}

fn begin(output: &Path) -> Result<NewFile, CreateError> {
    NewFile::begin(output).map_err(|source| CreateError::Output { path: output.to_owned(), source })
}

/// Whether the text says which format it wants; RAUC remarks upon it if not.
fn names_format(text: &[u8]) -> bool {
    crate::keyfile::KeyFile::parse(text).is_ok_and(|file| {
        file.groups().iter().any(|group| {
            group.name() == "bundle" && group.entries().iter().any(|entry| entry.key() == "format")
        })
    })
}

fn refuse_inside(dir: &Path, output: &Path) -> Result<(), CreateError> {
    let failed = |path: &Path, source| CreateError::ReadContent { path: path.to_owned(), source };
    let real_dir = dir.canonicalize().map_err(|source| failed(dir, source))?;
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let real_parent = parent
        .canonicalize()
        .map_err(|source| CreateError::Output { path: output.to_owned(), source })?;
    if real_parent.starts_with(real_dir) {
        return Err(CreateError::OutputInContent { path: output.to_owned() });
    }
    Ok(())
}

pub(crate) type Digests = BTreeMap<String, (Digest, ByteLen)>;

fn files<'a>(
    items: &'a BTreeMap<String, Item<'a>>,
) -> impl Iterator<Item = (&'a String, &'a FileItem<'a>)> {
    items.iter().filter_map(|(path, item)| match item {
        Item::File(file) => Some((path, file)),
        Item::Directory | Item::Symlink { .. } => None,
    })
}

pub(crate) fn content_len(items: &BTreeMap<String, Item<'_>>) -> ByteLen {
    ByteLen::new(files(items).map(|(_, file)| file.size.get()).fold(0, u64::saturating_add))
}

/// A bundle on its way.
struct Making<'a> {
    request: &'a CreateRequest<'a>,
    extras: &'a CreateExtras<'a>,
    output: &'a Path,
    manifest: Manifest,
    items: BTreeMap<String, Item<'a>>,
    notices: Vec<Notice>,
    /// A directory of ours that is packed as it stands.
    whole: Option<PathBuf>,
}

impl Making<'_> {
    fn failed(&self, source: io::Error) -> CreateError {
        CreateError::Output { path: self.output.to_owned(), source }
    }

    fn file_item(&self, name: &str) -> Result<&FileItem<'_>, CreateError> {
        match self.items.get(name) {
            Some(Item::File(file)) => Ok(file),
            Some(Item::Directory | Item::Symlink { .. }) | None => {
                Err(CreateError::MissingFile { name: name.to_owned() })
            }
        }
    }

    /// Puts the index of each image that asks for one beside it.
    fn add_indexes(&mut self) -> Result<(), CreateError> {
        let mut made = Vec::new();
        for image in &self.manifest.images {
            if !image.adaptive.iter().any(|method| method == "block-hash-index") {
                continue;
            }
            let make = self.extras.block_hash_index.unwrap_or(&crate::adaptive::index_of_stream);
            let Some(name) = &image.filename else { continue };
            let file = self.file_item(name)?;
            if !file.size.get().is_multiple_of(4096) {
                let size = file.size.get();
                return Err(CreateError::ImageUnaligned { name: name.clone(), size });
            }
            let failed = |source| CreateError::Index { name: name.clone(), source };
            let index = make(&mut file.open().map_err(failed)?, file.size).map_err(failed)?;
            made.push((format!("{name}.block-hash-index"), FileItem::made(index)));
        }
        self.items.extend(made.into_iter().map(|(name, file)| (name, Item::File(file))));
        Ok(())
    }

    fn digest_all(&self, progress: &mut dyn FnMut(CreateProgress)) -> Result<Digests, CreateError> {
        let mut meter = Meter::new(CreateStep::Digest, content_len(&self.items), progress);
        let mut digests = Digests::new();
        for (path, file) in files(&self.items) {
            let facts = digest_of(file, &mut |count| meter.add(count))
                .map_err(|source| CreateError::ReadContent { path: path.into(), source })?;
            digests.insert(path.clone(), facts);
        }
        Ok(digests)
    }

    /// Writes each image's digest and size into the manifest. Hook and handler programs must be
    /// there too, or every install would fail.
    fn fill_manifest(&mut self, digests: &Digests) -> Result<(), CreateError> {
        let missing = |name: &String| CreateError::MissingFile { name: name.clone() };
        for image in &mut self.manifest.images {
            // An image that was converted elsewhere is not there any more; its facts are.
            if !image.converted.is_empty() {
                continue;
            }
            let Some(name) = &image.filename else { continue };
            let (digest, size) = digests.get(name).ok_or_else(|| missing(name))?;
            image.sha256 = Some(*digest);
            image.size = Some(*size);
        }
        let hook = self.manifest.hooks.filename.as_ref();
        let handler = self.manifest.handler.as_ref().map(|handler| &handler.filename);
        for name in [hook, handler].into_iter().flatten() {
            self.file_item(name)?;
        }
        Ok(())
    }

    fn finish(
        mut self,
        mut file: NewFile,
        progress: &mut dyn FnMut(CreateProgress),
    ) -> Result<CreatedBundle, CreateError> {
        let (identity, time) = (self.request.identity, self.request.timestamp);
        if let Some(check) = self.extras.post_check {
            let told = post_check(identity, check, time).map_err(CreateError::PostCheck)?;
            self.notices.extend(told);
        }
        let key = match self.manifest.format {
            BundleFormat::Crypt => {
                Some(self.extras.crypt_key.ok_or(CreateError::Unsupported {
                    what: "format crypt, as no key was given",
                })?)
            }
            BundleFormat::Plain | BundleFormat::Verity => None,
        };
        let digests = self.digest_all(progress)?;
        self.fill_manifest(&digests)?;
        let data_len = self.pack_payload(file.file(), &digests, progress)?;
        let created = self.seal(file.file(), data_len, key, progress)?;
        file.finish().map_err(|source| self.failed(source))?;
        Ok(created)
    }

    /// Squashfs in whole blocks; its length.
    fn pack_payload(
        &mut self,
        file: &mut File,
        digests: &Digests,
        progress: &mut dyn FnMut(CreateProgress),
    ) -> Result<u64, CreateError> {
        let converts = self.manifest.images.iter().any(needs_stage);
        let args = self.extras.mksquashfs_args;
        if let Some(dir) = &self.whole {
            pack_whole(file, self.output, &self.manifest, dir, args)?;
        } else if converts || !args.is_empty() {
            pack_staged(file, self.output, &mut self.manifest, &self.items, args)?;
        } else {
            let inner = self.manifest.encode();
            pack(file, self.request, &inner, &self.items, digests, progress)?;
        }
        let packed = file.seek(SeekFrom::End(0)).map_err(|source| self.failed(source))?;
        let len = match self.manifest.format {
            BundleFormat::Plain => packed,
            BundleFormat::Verity | BundleFormat::Crypt => {
                packed.next_multiple_of(4096).max(SMALLEST_VERITY_PAYLOAD)
            }
        };
        file.set_len(len).map_err(|source| self.failed(source))?;
        Ok(len)
    }

    fn seal(
        &mut self,
        file: &mut File,
        data_len: u64,
        key: Option<&CryptKey>,
        progress: &mut dyn FnMut(CreateProgress),
    ) -> Result<CreatedBundle, CreateError> {
        let (identity, time) = (self.request.identity, self.request.timestamp);
        if let Some(key) = key {
            SectorCipher::new(key.clone())
                .encrypt_file(file, data_len)
                .map_err(|source| self.failed(source))?;
            self.manifest.crypt_key = Some(key.clone());
        }
        file.seek(SeekFrom::Start(0)).map_err(|source| self.failed(source))?;
        let mut meter = Meter::new(CreateStep::Seal, ByteLen::new(data_len), progress);
        let mut data = Metered { inner: (&*file).take(data_len), meter: &mut meter };
        let (tail, signature, signed) = match self.manifest.format {
            BundleFormat::Plain => {
                if data_len > LARGEST_PLAIN_PAYLOAD {
                    return Err(CreateError::TooLong { found: ByteLen::new(data_len) });
                }
                let mut hasher = HashingSink(Sha256::new());
                io::copy(&mut data, &mut hasher).map_err(|source| self.failed(source))?;
                let digest = Digest::from_bytes(hasher.0.finish());
                (Vec::new(), sign_detached(digest, identity, time), self.manifest.encode())
            }
            BundleFormat::Verity | BundleFormat::Crypt => {
                let salt = self.request.salt;
                let tree = build_tree(&mut data, data_len, &salt).map_err(CreateError::Tree)?;
                let size = ByteLen::new(tree.bytes.len() as u64);
                self.manifest.verity = Some(VerityParams { hash: tree.root, salt, size });
                let text = self.manifest.encode();
                (tree.bytes, sign_attached(text.as_bytes(), identity, time), text)
            }
        };
        let signature = signature.map_err(CreateError::Sign)?;
        self.notices.extend(size_notice(&signature));
        let payload_len = data_len.saturating_add(tail.len() as u64);
        let signature_len = signature.len() as u64;
        file.seek(SeekFrom::Start(data_len)).map_err(|source| self.failed(source))?;
        for part in [&tail[..], &signature, &signature_len.to_be_bytes()] {
            file.write_all(part).map_err(|source| self.failed(source))?;
        }
        Ok(CreatedBundle {
            manifest: self.manifest.clone(),
            manifest_digest: Digest::from_bytes(sha256(signed.as_bytes())),
            payload_len: ByteLen::new(payload_len),
            file_len: ByteLen::new(payload_len.saturating_add(signature_len).saturating_add(8)),
            notices: std::mem::take(&mut self.notices),
        })
    }
}
