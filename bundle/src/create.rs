// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes a signed bundle out of a manifest and its images.
//!
//! Steps: read and check the content, digest every image, fill the manifest, pack the squashfs,
//! build the hash tree (verity), sign, append signature and its length (big-endian u64). Time and
//! salt are arguments, so the same input gives the same payload; only the signature of an ECDSA
//! key differs from run to run. Never overwrites a file and leaves none behind when it fails.

use crate::create_content::{FileItem, Item, MANIFEST_NAME, Unchanged, digest_of, gather};
use crate::{
    BundleContent, BundleFormat, Manifest, ManifestError, ManifestUse, SignError, SigningIdentity,
    SquashfsCompression, SquashfsTree, UnixTime, VerityBuildError, VerityParams,
    WriteSquashfsError, build_tree, sign_attached, sign_detached, write_squashfs,
};
use openssl::sha::{Sha256, sha256};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use storage::{ByteLen, Digest};

/// A hash tree over a single block would be no tree; RAUC refuses such bundles.
const SMALLEST_VERITY_PAYLOAD: u64 = 2 * 4096;

/// RAUC refuses to sign and to verify longer plain payloads (a signed 32-bit length).
const LARGEST_PLAIN_PAYLOAD: u64 = (1 << 31) - 1;

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

/// Why no bundle was made; no output was left behind.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The content has no manifest.
    #[error("no manifest.raucm in {dir}", dir = dir.display())]
    NoManifest {
        /// The content directory.
        dir: PathBuf,
    },
    /// The manifest is wrong.
    #[error("manifest of the new bundle is not acceptable")]
    Manifest(#[source] ManifestError),
    /// Something in the content cannot be read.
    #[error("cannot read {path}", path = path.display())]
    ReadContent {
        /// What could not be read.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Something in the content may not be in a bundle.
    #[error("{path} cannot go into a bundle: {why}", path = path.display())]
    ForbiddenContent {
        /// The offending entry.
        path: PathBuf,
        /// The rule it breaks.
        why: &'static str,
    },
    /// The manifest names a file that is not in the content, or not a regular file.
    #[error("manifest names {name:?}, which is no regular file of the content")]
    MissingFile {
        /// The name.
        name: String,
    },
    /// The manifest asks for something this program does not make.
    #[error("cannot make bundles with {what}")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
    },
    /// The output lies in the directory that is packed.
    #[error("output {path} lies inside the content directory", path = path.display())]
    OutputInContent {
        /// The output.
        path: PathBuf,
    },
    /// The output exists, or cannot be written.
    #[error("cannot write bundle {path}", path = path.display())]
    Output {
        /// The output.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Packing failed.
    #[error("cannot pack the content")]
    Pack(#[source] WriteSquashfsError),
    /// The hash tree could not be built.
    #[error("cannot build the hash tree")]
    Tree(#[source] VerityBuildError),
    /// The payload is too long for its format.
    #[error("payload of {found} is too long for a plain bundle")]
    TooLong {
        /// Its length.
        found: ByteLen,
    },
    /// Signing failed.
    #[error("cannot sign the bundle")]
    Sign(#[source] SignError),
}

impl CreateError {
    /// A way out, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Output { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                Some("remove the old bundle or choose another name; bundles are not overwritten")
            }
            Self::OutputInContent { .. } => Some("write the bundle beside the content directory"),
            Self::TooLong { .. } => Some("use format=verity, which has no such limit"),
            Self::MissingFile { .. } => Some("put the file beside manifest.raucm"),
            Self::NoManifest { .. }
            | Self::Manifest(_)
            | Self::ReadContent { .. }
            | Self::ForbiddenContent { .. }
            | Self::Unsupported { .. }
            | Self::Output { .. }
            | Self::Pack(_)
            | Self::Tree(_)
            | Self::Sign(_) => None,
        }
    }
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
    if let BundleContent::Directory(dir) = request.content {
        refuse_inside(dir, output)?;
    }
    let (text, items) = gather(request.content)?;
    let mut manifest = Manifest::parse(&text, ManifestUse::Input).map_err(CreateError::Manifest)?;
    manifest.format = request.format.unwrap_or(manifest.format);
    if manifest.format == BundleFormat::Crypt {
        return Err(CreateError::Unsupported { what: "format crypt" });
    }
    let digests = digest_all(&items, progress)?;
    fill_images(&mut manifest, &items, &digests)?;
    require_programs(&manifest, &items)?;

    let mut file = create_output(output)
        .map_err(|source| CreateError::Output { path: output.to_owned(), source })?;
    let made = fill_output(&mut file, request, manifest, &items, &digests, output, progress);
    if made.is_err() {
        drop(file);
        discard_output(output);
    }
    made
}

#[expect(clippy::disallowed_methods, reason = "a file we made and could not finish")]
fn discard_output(output: &Path) {
    // The first failure is the one to report; a file that cannot be removed has no trailer.
    let _ = std::fs::remove_file(output);
}

/// The one place that opens a bundle for writing; never an existing file.
fn create_output(output: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).open(output)
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

type Digests = BTreeMap<String, (Digest, ByteLen)>;

fn files<'a>(
    items: &'a BTreeMap<String, Item<'a>>,
) -> impl Iterator<Item = (&'a String, &'a FileItem<'a>)> {
    items.iter().filter_map(|(path, item)| match item {
        Item::File(file) => Some((path, file)),
        Item::Directory | Item::Symlink { .. } => None,
    })
}

fn content_len(items: &BTreeMap<String, Item<'_>>) -> ByteLen {
    ByteLen::new(files(items).map(|(_, file)| file.size.get()).fold(0, u64::saturating_add))
}

fn digest_all(
    items: &BTreeMap<String, Item<'_>>,
    progress: &mut dyn FnMut(CreateProgress),
) -> Result<Digests, CreateError> {
    let mut meter = Meter::new(CreateStep::Digest, content_len(items), progress);
    let mut digests = Digests::new();
    for (path, file) in files(items) {
        let facts = digest_of(file, &mut |count| meter.add(count))
            .map_err(|source| CreateError::ReadContent { path: path.into(), source })?;
        digests.insert(path.clone(), facts);
    }
    Ok(digests)
}

/// Writes each image's digest and size into the manifest.
fn fill_images(
    manifest: &mut Manifest,
    items: &BTreeMap<String, Item<'_>>,
    digests: &Digests,
) -> Result<(), CreateError> {
    for image in &mut manifest.images {
        if !image.adaptive.is_empty() {
            return Err(CreateError::Unsupported { what: "adaptive images" });
        }
        if !image.convert.is_empty() {
            return Err(CreateError::Unsupported { what: "converted images" });
        }
        let Some(name) = &image.filename else { continue };
        let found = digests.get(name).filter(|_| matches!(items.get(name), Some(Item::File(_))));
        let (digest, size) =
            found.ok_or_else(|| CreateError::MissingFile { name: name.clone() })?;
        image.sha256 = Some(*digest);
        image.size = Some(*size);
    }
    Ok(())
}

/// Hook and handler programs must be there too, or every install would fail.
fn require_programs(
    manifest: &Manifest,
    items: &BTreeMap<String, Item<'_>>,
) -> Result<(), CreateError> {
    let hook = manifest.hooks.filename.as_ref();
    let handler = manifest.handler.as_ref().map(|handler| &handler.filename);
    for name in [hook, handler].into_iter().flatten() {
        if !matches!(items.get(name), Some(Item::File(_))) {
            return Err(CreateError::MissingFile { name: name.clone() });
        }
    }
    Ok(())
}

fn fill_output(
    file: &mut File,
    request: &CreateRequest<'_>,
    mut manifest: Manifest,
    items: &BTreeMap<String, Item<'_>>,
    digests: &Digests,
    output: &Path,
    progress: &mut dyn FnMut(CreateProgress),
) -> Result<CreatedBundle, CreateError> {
    let failed = |source| CreateError::Output { path: output.to_owned(), source };
    let inner = manifest.encode();
    let mut data_len = pack(file, request, &inner, items, digests, progress)?.get();
    if manifest.format == BundleFormat::Verity && data_len < SMALLEST_VERITY_PAYLOAD {
        file.set_len(SMALLEST_VERITY_PAYLOAD).map_err(failed)?;
        data_len = SMALLEST_VERITY_PAYLOAD;
    }
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut meter = Meter::new(CreateStep::Seal, ByteLen::new(data_len), progress);
    let mut data = Metered { inner: (&*file).take(data_len), meter: &mut meter };
    let (tail, signature, signed) = match manifest.format {
        BundleFormat::Plain => {
            if data_len > LARGEST_PLAIN_PAYLOAD {
                return Err(CreateError::TooLong { found: ByteLen::new(data_len) });
            }
            let mut hasher = HashingSink(Sha256::new());
            io::copy(&mut data, &mut hasher).map_err(failed)?;
            let digest = Digest::from_bytes(hasher.0.finish());
            let signature = sign_detached(digest, request.identity, request.timestamp);
            (Vec::new(), signature, inner)
        }
        BundleFormat::Verity | BundleFormat::Crypt => {
            let tree = build_tree(&mut data, data_len, &request.salt).map_err(CreateError::Tree)?;
            manifest.verity = Some(VerityParams {
                hash: tree.root,
                salt: request.salt,
                size: ByteLen::new(tree.bytes.len() as u64),
            });
            let text = manifest.encode();
            let signature = sign_attached(text.as_bytes(), request.identity, request.timestamp);
            (tree.bytes, signature, text)
        }
    };
    let signature = signature.map_err(CreateError::Sign)?;
    let payload_len = data_len.saturating_add(tail.len() as u64);
    let signature_len = signature.len() as u64;
    file.seek(SeekFrom::Start(data_len)).map_err(failed)?;
    for part in [&tail[..], &signature, &signature_len.to_be_bytes()] {
        file.write_all(part).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    Ok(CreatedBundle {
        manifest,
        manifest_digest: Digest::from_bytes(sha256(signed.as_bytes())),
        payload_len: ByteLen::new(payload_len),
        file_len: ByteLen::new(payload_len.saturating_add(signature_len).saturating_add(8)),
    })
}

fn pack(
    file: &mut File,
    request: &CreateRequest<'_>,
    manifest: &str,
    items: &BTreeMap<String, Item<'_>>,
    digests: &Digests,
    progress: &mut dyn FnMut(CreateProgress),
) -> Result<ByteLen, CreateError> {
    let meter = RefCell::new(Meter::new(CreateStep::Pack, content_len(items), progress));
    let mut tree = SquashfsTree::new();
    let mut add = || -> Result<(), WriteSquashfsError> {
        for (path, item) in items {
            match item {
                Item::Directory => tree.add_directory(path, 0o755)?,
                Item::Symlink { target } => tree.add_symlink(path, target)?,
                Item::File(file) => {
                    let content = LateOpen { file, opened: None, meter: &meter };
                    // Digested above, all of them; a missing digest matches no content.
                    let wanted = digests.get(path).map(|facts| facts.0);
                    let wanted = wanted.unwrap_or(Digest::from_bytes([0; 32]));
                    tree.add_file(path, file.mode, Unchanged::new(content, wanted))?;
                }
            }
        }
        tree.add_file(MANIFEST_NAME, 0o644, manifest.as_bytes())
    };
    add().map_err(CreateError::Pack)?;
    // Squashfs counts unsigned 32-bit seconds; times beyond are clamped, never wrapped.
    let mtime = u32::try_from(request.timestamp.0.max(0)).unwrap_or(u32::MAX);
    let out = BufWriter::new(file);
    write_squashfs(tree, request.compression, mtime, out).map_err(CreateError::Pack)
}

/// Opens its file at the first read, so that a bundle of many files needs one descriptor.
struct LateOpen<'a, 'p> {
    file: &'a FileItem<'a>,
    opened: Option<Box<dyn Read + 'a>>,
    meter: &'a RefCell<Meter<'p>>,
}

impl Read for LateOpen<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let reader = match &mut self.opened {
            Some(reader) => reader,
            None => self.opened.insert(self.file.open()?),
        };
        let count = reader.read(buf)?;
        if count == 0 {
            self.opened = Some(Box::new(io::empty()));
        }
        self.meter.borrow_mut().add(count);
        Ok(count)
    }
}

/// Counts bytes of a step and tells the caller.
struct Meter<'p> {
    state: CreateProgress,
    tell: &'p mut dyn FnMut(CreateProgress),
}

impl<'p> Meter<'p> {
    fn new(step: CreateStep, total: ByteLen, tell: &'p mut dyn FnMut(CreateProgress)) -> Self {
        Self { state: CreateProgress { step, done: ByteLen::ZERO, total }, tell }
    }

    fn add(&mut self, count: usize) {
        self.state.done = ByteLen::new(self.state.done.get().saturating_add(count as u64));
        (self.tell)(self.state);
    }
}

struct Metered<'m, 'p, R> {
    inner: R,
    meter: &'m mut Meter<'p>,
}

impl<R: Read> Read for Metered<'_, '_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.meter.add(count);
        Ok(count)
    }
}

struct HashingSink(Sha256);

impl Write for HashingSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
