// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images and trees whose chunks lie in a store: `.caibx`, `.caidx`, and trees that lie in the
//! bundle as an archive, `.catar`.
//!
//! The store is `[casync] storepath`, or lies beside the bundle: `x.castr` beside `x.raucb`, a path
//! or a URL. The slot that runs is the seed: its device for images, its mounted tree for trees.

use super::remarks::Remarks;
use super::slot_indexes::DeviceSource;
use super::{BoxedError, ImageRequest, StoreOptions};
use crate::StopQuestion;
use crate::slot_handlers::{ContentDigest, Machine, SlotHandlerError, TreeContent};
use bundle::Source;
use bundle::casync::{
    Assembly, AssemblyPlan, AssemblyTally, CasyncError, CatarImage, ChunkIndex, ChunkStore,
    HttpStore, LocalStore, MAX_INDEX, Seed, WantedChunk, scan_tree,
};
use bundle::http::{is_http_url, shown_url};
use openssl::sha::Sha256;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use storage::{Digest, chain};

/// Where the store of this install is: RAUC's rule.
pub(super) fn store_location(request: &ImageRequest<'_>) -> String {
    let section = request.config.casync.as_ref();
    let configured = section.and_then(|casync| casync.storepath.clone());
    configured.unwrap_or_else(|| beside(request.location))
}

/// The store beside a bundle; what follows the path of a URL stays behind it.
fn beside(location: &str) -> String {
    let (path, rest) = match location.find(['?', '#']).filter(|_| is_http_url(location)) {
        Some(at) => location.split_at(at),
        None => (location, ""),
    };
    format!("{}.castr{rest}", path.strip_suffix(".raucb").unwrap_or(path))
}

fn open_store(
    request: &ImageRequest<'_>,
    options: &StoreOptions,
) -> Result<Arc<dyn ChunkStore>, BoxedError> {
    let location = store_location(request);
    if is_http_url(&location) {
        let shown = shown_url(&location);
        let options = options().for_other(request.location, &location)?;
        return Ok(Arc::new(HttpStore::open(&location, &shown, &options)?));
    }
    let path = location.strip_prefix("file://").unwrap_or(&location);
    Ok(Arc::new(LocalStore::new(Path::new(path))))
}

fn read_index(
    request: &ImageRequest<'_>,
    note: &mut dyn FnMut(String),
) -> Result<ChunkIndex, BoxedError> {
    if request.config.casync.as_ref().is_some_and(|casync| casync.install_args.is_some()) {
        note(
            "Ignoring install-args of [casync]: chunks are fetched without the program".to_owned(),
        );
    }
    let name = request.image.filename.as_deref().unwrap_or_default();
    // The bundle's signature vouches for it. Size and digest in the manifest are those of the index
    // only where a bundle was built around it: `rauc convert` leaves those of the image.
    let bytes = request.bundle.files()?.read_file(name, MAX_INDEX)?;
    Ok(ChunkIndex::parse(&bytes)?)
}

/// The length of the image that an index describes. One chunk is fetched for it: a store that cannot
/// be reached, or is another one, is found out before a slot loses what it holds.
pub(super) fn measure_blob(
    request: &ImageRequest<'_>,
    options: &StoreOptions,
) -> Result<storage::ByteLen, BoxedError> {
    let index = read_index(request, &mut |_| {})?;
    let store = open_store(request, options)?;
    if let Some(chunk) = index.chunks().first() {
        let wanted = WantedChunk { id: chunk.id, len: chunk.len };
        if store.fetch(&[wanted])?.iter().all(Option::is_none) {
            let (id, store) = (chunk.id, store.name().to_owned());
            return Err(CasyncError::ChunkMissing { id, store }.into());
        }
    }
    Ok(index.len())
}

/// An image that is put together from chunks.
pub(super) struct OpenedBlob {
    pub reader: BlobReader,
    pub size: storage::ByteLen,
    pub digest: ContentDigest,
}

/// Opens an image by its index.
pub(super) fn open_blob(
    request: &ImageRequest<'_>,
    options: &StoreOptions,
    machine: &mut dyn Machine,
    note: &mut dyn FnMut(String),
) -> Result<OpenedBlob, BoxedError> {
    let index = read_index(request, note)?;
    let store = open_store(request, options)?;
    let mut seeds = Vec::new();
    match request.running {
        None => note(format!("No casync seed slot available for {}", request.image.class)),
        Some(slot) => match DeviceSource::open(machine.devices(), &slot.device) {
            // Not fatal, as in RAUC: the store has everything.
            Err(error) => note(format!("Cannot use {} as seed: {}", slot.name, chain(&error))),
            Ok(device) => take_seed(Arc::new(device), &index, request.stop, note, &mut seeds)?,
        },
    }
    let assembly = Assembly::new(&index, seeds, Arc::clone(&store))?;
    note(describe_plan(&assembly.plan(), store.name()));
    let learned = Arc::new(OnceLock::new());
    if assembly.is_empty() {
        // Nobody will read an image of no bytes.
        let _ = learned.set(Digest::from_bytes(Sha256::new().finish()));
    }
    let digest = ContentDigest::Learned(Arc::clone(&learned));
    let size = assembly.len();
    let hash = Some(Sha256::new());
    Ok(OpenedBlob {
        reader: BlobReader { assembly, hash, learned, remarks: Remarks::default() },
        size,
        digest,
    })
}

fn take_seed(
    content: Arc<dyn Source>,
    index: &ChunkIndex,
    stop: StopQuestion<'_>,
    note: &mut dyn FnMut(String),
    seeds: &mut Vec<Seed>,
) -> Result<(), BoxedError> {
    let name = content.name().to_owned();
    note(format!("Reading {name} as casync seed"));
    match Seed::scan(content, index, &mut |_| stop().is_none()) {
        Ok(seed) => {
            seeds.push(seed);
            Ok(())
        }
        Err(error) => do_without(&error, &name, stop, note),
    }
}

/// A seed that cannot be used costs bytes, unless the install was stopped, not the seed refused.
fn do_without(
    error: &CasyncError,
    name: &str,
    stop: StopQuestion<'_>,
    note: &mut dyn FnMut(String),
) -> Result<(), BoxedError> {
    if let (CasyncError::Stopped, Some(by)) = (error, stop()) {
        return Err(SlotHandlerError::Stopped { by }.into());
    }
    note(format!("Cannot use {name} as seed: {}", chain(error)));
    Ok(())
}

fn describe_plan(plan: &AssemblyPlan, store: &str) -> String {
    format!(
        "casync: of {} are {} in the running slot and {} made here; fetching {} chunks, at most {}, from {store}",
        plan.len, plan.from_seeds, plan.made_here, plan.fetch_chunks, plan.fetch_at_most
    )
}

fn describe_tally(tally: &AssemblyTally) -> String {
    format!(
        "casync: fetched {} chunks ({}), {} from the running slot, {} out of date",
        tally.fetched_chunks, tally.fetched, tally.seed_chunks, tally.seed_misses
    )
}

/// An assembly that puts down the digest of the whole at its end.
pub(super) struct BlobReader {
    assembly: Assembly,
    hash: Option<Sha256>,
    learned: Arc<OnceLock<Digest>>,
    remarks: Remarks,
}

impl BlobReader {
    pub(super) fn remarks(&self) -> Remarks {
        self.remarks.clone()
    }

    /// Everything was handed out; every chunk had the hash that the verified index names.
    fn finish(&mut self) {
        if let Some(hash) = self.hash.take() {
            let _ = self.learned.set(Digest::from_bytes(hash.finish()));
            let text = describe_tally(&self.assembly.tally());
            self.remarks.add(text);
        }
    }
}

impl Read for BlobReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.assembly.read(buf)?;
        if let Some(hash) = &mut self.hash {
            hash.update(buf.get(..count).unwrap_or_default());
        }
        // Readers that know the length do not ask again at the end.
        if self.assembly.is_at_end() {
            self.finish();
        }
        Ok(count)
    }
}

/// A tree that is unpacked from an archive, which may be put together from chunks.
pub(super) enum TreeImage<'a> {
    /// The archive lies in the bundle.
    Archive(Box<dyn Read + Send + 'a>),
    /// Chunks of it lie in a store.
    Chunks(Box<Assembly>, Remarks),
}

/// Opens a tree that lies in the bundle as an archive.
pub(super) fn open_archive<'a>(request: &ImageRequest<'a>) -> Result<TreeImage<'a>, BoxedError> {
    Ok(TreeImage::Archive(Box::new(request.bundle.open_image(request.image)?)))
}

/// Opens a tree by its index; `seed` is where the one of the running slot can be read.
pub(super) fn open_tree<'a>(
    request: &ImageRequest<'a>,
    options: &StoreOptions,
    seed: Option<&Path>,
    note: &mut dyn FnMut(String),
) -> Result<TreeImage<'a>, BoxedError> {
    let index = read_index(request, note)?;
    let store = open_store(request, options)?;
    let mut seeds = Vec::new();
    match seed.map(|place| seed_tree(place, &index, request.stop)) {
        None => {}
        Some(Ok(tree)) => take_seed(tree, &index, request.stop, note, &mut seeds)?,
        Some(Err(error)) => do_without(&error, "the running tree", request.stop, note)?,
    }
    let assembly = Assembly::new(&index, seeds, Arc::clone(&store))?;
    note(describe_plan(&assembly.plan(), store.name()));
    Ok(TreeImage::Chunks(Box::new(assembly), Remarks::default()))
}

/// The tree that is mounted at `place`, and its own file system alone: it may be `/`.
fn seed_tree(
    place: &Path,
    index: &ChunkIndex,
    stop: StopQuestion<'_>,
) -> Result<Arc<dyn Source>, CasyncError> {
    let tree = scan_tree(place, &mut |_| stop().is_none())?;
    let image = CatarImage::build(place.display().to_string(), &tree, index.features())?;
    Ok(Arc::new(image))
}

impl TreeImage<'_> {
    pub(super) fn remarks(&self) -> Option<Remarks> {
        match self {
            Self::Archive(_) => None,
            Self::Chunks(_, remarks) => Some(remarks.clone()),
        }
    }
}

impl TreeContent for TreeImage<'_> {
    fn extract_into(&mut self, dir: &Path, stop: StopQuestion<'_>) -> Result<(), BoxedError> {
        let mut go_on = |_| stop().is_none();
        let left_out = match self {
            Self::Archive(archive) => unpack(&mut *archive, dir, &mut go_on)?,
            Self::Chunks(assembly, remarks) => {
                let left_out = unpack(&mut **assembly, dir, &mut go_on)?;
                remarks.add(describe_tally(&assembly.tally()));
                left_out
            }
        };
        if let (Self::Chunks(_, remarks), 1..) = (&*self, left_out) {
            let text =
                format!("{left_out} entries or attributes cannot be kept by the file system");
            remarks.add(text);
        }
        Ok(())
    }
}

/// How many entries or attributes the file system could not keep.
#[cfg(target_os = "linux")]
fn unpack(
    archive: &mut dyn Read,
    dir: &Path,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<u64, BoxedError> {
    use bundle::casync::{Ownership, extract_catar};
    Ok(extract_catar(archive, dir, Ownership::Apply, go_on)?.left_out)
}

/// Attributes of files have other calls elsewhere, and no board has such a system.
#[cfg(not(target_os = "linux"))]
fn unpack(
    _archive: &mut dyn Read,
    _dir: &Path,
    _go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<u64, BoxedError> {
    Err("a tree is unpacked on Linux only".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_lies_beside_the_bundle() {
        for (location, expected) in [
            ("/data/x.raucb", "/data/x.castr"),
            ("/data/x.bundle", "/data/x.bundle.castr"),
            ("https://h/a/x.raucb", "https://h/a/x.castr"),
            ("https://h/a/x.raucb?token=1", "https://h/a/x.castr?token=1"),
            ("HTTPS://h/a/x.raucb?token=1", "HTTPS://h/a/x.castr?token=1"),
            ("/data/x?y.raucb", "/data/x?y.castr"),
        ] {
            assert_eq!(beside(location), expected);
        }
    }
}
