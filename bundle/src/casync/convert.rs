// SPDX-License-Identifier: MIT OR Apache-2.0
//! The encoder of `rauc convert`: images become `.caibx`, tars `.caidx`, their chunks a store.

use super::chunker::CHUNK_LIMIT;
use super::encode::encode;
use super::{CasyncError, CatarImage, ChunkSizes, EncodeTally, FeatureFlags, LocalStore, read_tar};
use crate::ImageEncoder;
use crate::casync::seed::SourceReader;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// An argument of `--casync-args` that this encoder does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("casync argument {argument:?} {why}")]
pub struct EncoderArgumentError {
    /// The argument.
    pub argument: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Puts chunks into a store and returns indexes.
#[derive(Debug)]
pub struct CasyncEncoder {
    store: LocalStore,
    scratch: PathBuf,
    sizes: ChunkSizes,
    sha256: bool,
    tally: EncodeTally,
}

impl CasyncEncoder {
    /// An encoder into the store `store`, with `scratch` as a directory for a passing copy of a
    /// tar's contents. `arguments` are those that the real program would be given: chunk sizes,
    /// digest and compression are understood, verbosity is ignored.
    ///
    /// # Errors
    /// [`EncoderArgumentError`] for any other.
    pub fn new(
        store: &Path,
        scratch: &Path,
        arguments: &[String],
    ) -> Result<Self, EncoderArgumentError> {
        let (sizes, tally) = (ChunkSizes::DEFAULT, EncodeTally::default());
        let store = LocalStore::new(store);
        let mut encoder = Self { store, scratch: scratch.to_owned(), sizes, sha256: false, tally };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let fault = |why| EncoderArgumentError { argument: argument.clone(), why };
            let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
            let mut value = value.to_owned();
            let takes_value = ["--chunk-size", "--digest", "--compression", "--log-level", "-l"];
            if takes_value.contains(&name) && !argument.contains('=') {
                value.clone_from(rest.next().ok_or(fault("needs a value"))?);
            }
            match (name, value.as_str()) {
                ("--chunk-size", sizes) => {
                    encoder.sizes = parse_sizes(sizes).ok_or(fault("is no chunk size"))?;
                }
                ("--digest", "sha256") => encoder.sha256 = true,
                ("--digest", "sha512-256") => encoder.sha256 = false,
                ("--compression", "zstd") | ("--log-level" | "-l" | "-v" | "--verbose", _) => {}
                ("--compression", _) => return Err(fault("is not written; chunks are zstd")),
                _ => return Err(fault("is not known")),
            }
        }
        Ok(encoder)
    }

    /// What was done so far.
    #[must_use]
    pub fn tally(&self) -> EncodeTally {
        self.tally
    }

    fn features(&self, features: FeatureFlags) -> FeatureFlags {
        let without = features.bits() & !FeatureFlags::SHA512_256.bits();
        let changed = FeatureFlags::from_bits(without).filter(|_| self.sha256);
        changed.unwrap_or(features)
    }

    fn put(
        &mut self,
        input: impl io::Read,
        features: FeatureFlags,
    ) -> Result<Vec<u8>, CasyncError> {
        let (index, tally) = encode(input, features, self.sizes, &self.store, &mut |_| true)?;
        self.tally.chunks += tally.chunks;
        self.tally.new_chunks += tally.new_chunks;
        let written = self.tally.written.get().saturating_add(tally.written.get());
        self.tally.written = storage::ByteLen::new(written);
        Ok(index.encode())
    }

    fn blob(&mut self, image: &Path) -> Result<Vec<u8>, CasyncError> {
        let file = File::open(image).map_err(|source| failed("open", image, source))?;
        self.put(file, self.features(FeatureFlags::IMAGE))
    }

    fn archive(&mut self, archive: &Path) -> Result<Vec<u8>, CasyncError> {
        let file = File::open(archive).map_err(|source| failed("open", archive, source))?;
        let features = self.features(FeatureFlags::UNIX);
        if archive.extension().is_some_and(|it| it == "catar") {
            return self.put(file, features);
        }
        let spool = self.spool().map_err(|source| failed("write in", &self.scratch, source))?;
        let tree = read_tar(file, spool, &mut |_| true)?;
        let image = CatarImage::build("tar", &tree, features)?;
        self.put(SourceReader::new(&image), features)
    }

    /// A file without a name: gone when nobody reads it any more.
    #[expect(clippy::disallowed_methods, reason = "nothing of it must survive")]
    fn spool(&self) -> io::Result<File> {
        let path = self.scratch.join(format!(".tar-content-{}", std::process::id()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    }
}

impl ImageEncoder for CasyncEncoder {
    fn encode_blob(
        &mut self,
        image: &Path,
    ) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.blob(image)?)
    }

    fn encode_archive(
        &mut self,
        archive: &Path,
    ) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.archive(archive)?)
    }
}

fn failed(act: &'static str, path: &Path, source: io::Error) -> CasyncError {
    CasyncError::File { act, path: path.to_owned(), source }
}

/// `auto`, `AVERAGE` or `MIN:AVERAGE:MAX`, each with B, K, M or G behind it.
fn parse_sizes(text: &str) -> Option<ChunkSizes> {
    if text == "auto" {
        return Some(ChunkSizes::DEFAULT);
    }
    let numbers: Option<Vec<u64>> = text.split(':').map(parse_size).collect();
    match numbers?.as_slice() {
        [average] => {
            let (least, most) = ((average / 4).max(1), average.saturating_mul(4).min(CHUNK_LIMIT));
            ChunkSizes::new(least, *average, most)
        }
        [least, average, most] => ChunkSizes::new(*least, *average, *most),
        _ => None,
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(['B', 'K', 'M', 'G']);
    let unit: u64 = match text.get(digits.len()..)? {
        "" | "B" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoder(arguments: &[&str]) -> Result<CasyncEncoder, EncoderArgumentError> {
        let arguments: Vec<_> = arguments.iter().map(|&it| it.to_owned()).collect();
        CasyncEncoder::new(Path::new("s.castr"), Path::new("."), &arguments)
    }

    #[test]
    fn arguments_of_casync_are_understood_or_refused() {
        let sizes = |arguments: &[&str]| encoder(arguments).unwrap().sizes;
        assert_eq!(sizes(&[]), ChunkSizes::DEFAULT);
        let expected = ChunkSizes::new(16_000, 64_000, 256_000).unwrap();
        assert_eq!(sizes(&["-v", "--chunk-size=64000"]), expected);
        assert_eq!(sizes(&["--chunk-size", "64K"]), ChunkSizes::DEFAULT);
        assert_eq!(sizes(&["--chunk-size=1K:2K:4K"]), ChunkSizes::new(1024, 2048, 4096).unwrap());
        let sha256 = encoder(&["--digest=sha256"]).unwrap();
        assert!(!sha256.features(FeatureFlags::UNIX).has(FeatureFlags::SHA512_256));
        for bad in
            ["--chunk-size=0", "--chunk-size=4:2:1", "--chunk-size", "--compression=xz", "--x"]
        {
            assert!(encoder(&[bad]).is_err(), "{bad}");
        }
    }
}
