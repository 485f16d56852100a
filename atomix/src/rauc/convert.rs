// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rauc convert`: images become casync indexes, their chunks go into a store beside the bundle.
//! No casync runs; of its arguments those are understood that choose the size of chunks.

use crate::rauc::error::RaucError;
use crate::rauc::making::{
    identity, incoming_keyring, mksquashfs_arguments, post_check, random, signing_keyring,
    verification, warn,
};
use crate::rauc::opening::Judging;
use crate::rauc::output::Streams;
use crate::rauc::session::{Keys, Session};
use crate::rauc::trust::{Expiry, check_time};
use bundle::casync::{ChunkSizes, LocalStore, encode_image, encode_tree, read_tar};
use bundle::{
    ConvertImages, ConvertRequest, CreateExtras, CryptKey, ImageEncoder, SquashfsCompression,
    UntrustedBundle,
};
use std::fs::File;
use std::path::{Path, PathBuf};
use updater::split_shell_words;

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// Makes the bundle `output` with indexes in place of images.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn run(
    session: &Session,
    keys: &Keys,
    judging: &Judging<'_>,
    untrusted: UntrustedBundle,
    output: &Path,
    out: &mut Streams<'_>,
) -> Result<(), RaucError> {
    let failed = || "Failed to create bundle";
    if output.symlink_metadata().is_ok() {
        let output = output.display();
        return Err(RaucError::refused(format!("{}: bundle {output} already exists", failed())));
    }
    let request = &session.request;
    let is_desync = judging.config.casync.as_ref().is_some_and(|section| section.use_desync);
    let line = request.given.text("casync-args").unwrap_or_default();
    let sizes = chunk_sizes(&line, if is_desync { 1024 } else { 1 })?;
    let store = store_of(output);
    if store.exists() {
        let store = store.display();
        out.warn(&format!("Store path '{store}' already exists, appending new chunks"));
    }
    let identity = identity(session, keys)?;
    let incoming = incoming_keyring(judging)?;
    let signing = signing_keyring(session)?;
    let arguments = mksquashfs_arguments(session)?;
    let ignored = request.texts("ignore-image");
    let crypt_key = CryptKey(random()?);
    let scratch = std::env::temp_dir();
    let time = check_time(judging.config, Expiry::Judged, session.now);
    let convert = ConvertRequest {
        images: ConvertImages { ignore: &ignored },
        identity: &identity,
        timestamp: session.now,
        salt: random()?,
        compression: SquashfsCompression::default(),
        verification: verification(incoming.as_ref(), time),
        extras: CreateExtras {
            crypt_key: Some(&crypt_key),
            mksquashfs_args: &arguments,
            post_check: post_check(signing.as_ref(), session),
            ..CreateExtras::default()
        },
        scratch: &scratch,
    };
    let mut encoder = Encoder { sizes, store: LocalStore::new(&store) };
    let created = bundle::convert_bundle(untrusted, &convert, &mut encoder, output, &mut |_| {})
        .map_err(RaucError::act(failed()))?;
    warn(&created.notices, out);
    Ok(())
}

/// The store beside a bundle.
fn store_of(bundle: &Path) -> PathBuf {
    let is_bundle = bundle.extension().is_some_and(|extension| extension == "raucb");
    if is_bundle {
        return bundle.with_extension("castr");
    }
    let mut path = bundle.as_os_str().to_owned();
    path.push(".castr");
    PathBuf::from(path)
}

/// The sizes that `--chunk-size=AVERAGE` or `MIN:AVERAGE:MAX` asks for; desync counts in KiB.
fn chunk_sizes(line: &str, unit: u64) -> Result<ChunkSizes, RaucError> {
    let words =
        split_shell_words(line).map_err(RaucError::act("Failed to parse casync extra args"))?;
    let mut sizes = ChunkSizes::DEFAULT;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let refused = || {
            RaucError::refused(format!(
                "casync runs in this program, which knows of its arguments only \
                 --chunk-size=[MIN:]AVERAGE[:MAX], not '{word}'"
            ))
        };
        let value = match (word.strip_prefix("--chunk-size="), word.as_str()) {
            (Some(value), _) => value,
            (None, "--chunk-size" | "-m") => words.next().ok_or_else(refused)?,
            (None, _) => return Err(refused()),
        };
        let numbers: Option<Vec<u64>> =
            value.split(':').map(|part| part.parse::<u64>().ok()?.checked_mul(unit)).collect();
        let found = match numbers.as_deref() {
            Some([average]) => ChunkSizes::new(average / 4, *average, average.saturating_mul(4)),
            Some([min, average, max]) => ChunkSizes::new(*min, *average, *max),
            _ => None,
        };
        sizes = found.ok_or_else(refused)?;
    }
    Ok(sizes)
}

struct Encoder {
    sizes: ChunkSizes,
    store: LocalStore,
}

impl ImageEncoder for Encoder {
    fn encode_blob(&mut self, image: &Path) -> Result<Vec<u8>, BoxedError> {
        let image = File::open(image)?;
        let (index, _) = encode_image(image, self.sizes, &self.store, &mut |_| true)?;
        Ok(index.encode())
    }

    fn encode_archive(&mut self, archive: &Path) -> Result<Vec<u8>, BoxedError> {
        let spool = tempfile::tempfile()?;
        let root = read_tar(File::open(archive)?, spool, &mut |_| true)?;
        let (index, _) = encode_tree(&root, self.sizes, &self.store, &mut |_| true)?;
        Ok(index.encode())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_named_after_the_bundle() {
        assert_eq!(store_of(Path::new("/a/b.raucb")), Path::new("/a/b.castr"));
        assert_eq!(store_of(Path::new("/a/b.bin")), Path::new("/a/b.bin.castr"));
    }

    #[test]
    fn chunk_sizes_are_read_as_casync_and_desync_count_them() {
        let size = |line, unit| {
            chunk_sizes(line, unit).map(|sizes| [sizes.min(), sizes.average(), sizes.max()])
        };
        assert_eq!(size("", 1).unwrap(), [16384, 65536, 262_144]);
        assert_eq!(size("--chunk-size=64000", 1).unwrap(), [16000, 64000, 256_000]);
        assert_eq!(size("--chunk-size 32:128:512", 1024).unwrap(), [32768, 131_072, 524_288]);
        for odd in ["--compression=gzip", "--chunk-size=x", "--chunk-size=9:3:1", "-m"] {
            assert!(size(odd, 1).is_err(), "{odd}");
        }
    }
}
