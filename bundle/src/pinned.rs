// SPDX-License-Identifier: MIT OR Apache-2.0
//! Are these still the bytes that were verified?
//!
//! A plain bundle is verified by one digest over everything, so it must be read twice: once for
//! the digest, once to install. A bundle in format verity is read twice when all of it is to be
//! verified before anything is written. RAUC demands exclusive access to the file. We remember
//! instead, during the first pass, the BLAKE3 of every 256 KiB piece, and compare each piece when
//! it is read again: whoever changes the file in between is noticed, whatever the file system.
//! BLAKE3 is as strong as SHA-256 against one who chooses the bytes and takes a fraction of its
//! time, also where the processor has no instructions for either. The record takes 128 KiB per
//! GiB.

use crate::verity_reader::VerityReader;
use crate::{BundleError, Source, VerityError};
use openssl::error::ErrorStack;
use openssl::hash::{Hasher, MessageDigest};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Bytes of a piece.
const PIECE_BYTES: usize = 256 * 1024;
const PIECE: u64 = PIECE_BYTES as u64;

/// Threads that check: while some hash, the disk serves the others.
const CHECKERS: usize = 4;

/// Pieces that are read while one is hashed.
const AHEAD: usize = 2;

/// A payload whose pieces are remembered.
pub(crate) struct PinnedPayload {
    source: Arc<dyn Source>,
    bytes: u64,
    pieces: Vec<blake3::Hash>,
}

impl PinnedPayload {
    /// Reads the first `bytes` of `source` once; returns the record and the digest of it all. The
    /// digest has to be computed in one go: another thread reads and records meanwhile.
    pub fn read(
        source: Arc<dyn Source>,
        bytes: u64,
        digest: MessageDigest,
    ) -> Result<(Self, Vec<u8>), BundleError> {
        let library = |cause: ErrorStack| crate::SignatureError::Library(cause.into());
        let mut hasher = Hasher::new(digest).map_err(library)?;
        let mut pieces = Vec::new();
        let (filled_in, filled) = sync_channel(AHEAD);
        let (used_in, used) = sync_channel(AHEAD);
        thread::scope(|scope| {
            let source = Arc::clone(&source);
            scope.spawn(move || read_pieces(&*source, bytes, &filled_in, &used));
            // Moved in, so that leaving early closes both channels and lets the reader end.
            let (filled, used_in) = (filled, used_in);
            for piece in &filled {
                let (buf, hash): (Vec<u8>, _) = piece?;
                hasher.update(&buf).map_err(library)?;
                pieces.push(hash);
                // The reader may be done; what it sent is still to be taken.
                let _ = used_in.try_send(buf);
            }
            Ok::<_, BundleError>(())
        })?;
        if pieces.len() as u64 != bytes.div_ceil(PIECE) {
            return Err(BundleError::WorkerLost);
        }
        let digest = hasher.finish().map_err(library)?.to_vec();
        Ok((Self { source, bytes, pieces }, digest))
    }

    /// Verifies every block of `reader` once, on this thread and others; `progress` is told the
    /// bytes of each step, and may end it: `None`.
    pub fn check(
        reader: &VerityReader,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Option<Self>, BundleError> {
        let bytes = reader.data_bytes();
        let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
        let check = |told: &mut dyn FnMut()| -> Result<Vec<(u64, blake3::Hash)>, BundleError> {
            let mut buf = vec![0; PIECE_BYTES];
            let mut pieces = Vec::new();
            loop {
                let at = next.fetch_add(PIECE, Ordering::Relaxed);
                if at >= bytes {
                    return Ok(pieces);
                }
                let piece = piece_of(&mut buf, at, bytes);
                // The other thread need not go on.
                reader.read_at(at, piece).inspect_err(|_| next.store(bytes, Ordering::Relaxed))?;
                pieces.push((at, blake3::hash(piece)));
                done.fetch_add(piece.len() as u64, Ordering::Relaxed);
                told();
            }
        };
        let mut broken = false;
        let mut pieces = thread::scope(|scope| {
            let others: Vec<_> = (1..CHECKERS).map(|_| scope.spawn(|| check(&mut || {}))).collect();
            let mut told = 0;
            let mut tell = || {
                let now = done.load(Ordering::Relaxed);
                if progress(now - told).is_break() {
                    broken = true;
                    next.store(bytes, Ordering::Relaxed);
                }
                told = now;
            };
            let own = check(&mut tell);
            let mut found = vec![own];
            for other in others {
                found.push(other.join().map_err(|_| BundleError::WorkerLost)?);
            }
            tell();
            let mut pieces = Vec::new();
            for checked in found {
                pieces.extend(checked?);
            }
            Ok::<_, BundleError>(pieces)
        })?;
        if broken {
            return Ok(None);
        }
        pieces.sort_unstable_by_key(|(at, _)| *at);
        let pieces = pieces.into_iter().map(|(_, hash)| hash).collect();
        Ok(Some(Self { source: Arc::clone(reader.source()), bytes, pieces }))
    }

    pub fn data_bytes(&self) -> u64 {
        self.bytes
    }

    /// Fills `buf`, which must lie inside the payload, from byte `offset`.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), BundleError> {
        self.read_pieces(offset, buf).inspect_err(|_| buf.fill(0))
    }

    fn read_pieces(&self, offset: u64, mut buf: &mut [u8]) -> Result<(), BundleError> {
        let mut at = offset;
        while !buf.is_empty() {
            let start = at - at % PIECE;
            let len = piece_len(start, self.bytes);
            let taken = if at == start && buf.len() >= len {
                let (piece, _) = buf.split_at_mut(len);
                self.read_piece(start, piece)?;
                len
            } else {
                let mut piece = vec![0; len];
                self.read_piece(start, &mut piece)?;
                let within = usize::try_from(at % PIECE).unwrap_or(0);
                let tail = piece.get(within..).unwrap_or_default();
                let taken = tail.len().min(buf.len());
                if let (Some(to), Some(from)) = (buf.get_mut(..taken), tail.get(..taken)) {
                    to.copy_from_slice(from);
                }
                taken
            };
            if taken == 0 {
                // Only a caller outside the payload gets here.
                let name = self.source.name().to_owned();
                return Err(VerityError::Changed { name, offset: at, end: self.bytes }.into());
            }
            buf = buf.get_mut(taken..).unwrap_or_default();
            at += taken as u64;
        }
        Ok(())
    }

    /// Fills `piece`, which is a whole one, from byte `start`, and compares it.
    fn read_piece(&self, start: u64, piece: &mut [u8]) -> Result<(), BundleError> {
        self.source.read_at(start, piece)?;
        let expected = usize::try_from(start / PIECE).ok().and_then(|i| self.pieces.get(i));
        if expected == Some(&blake3::hash(piece)) {
            return Ok(());
        }
        let name = self.source.name().to_owned();
        let end = start + piece.len() as u64;
        Err(VerityError::Changed { name, offset: start, end }.into())
    }
}

/// Reads and records piece after piece, each into a used buffer or a new one.
fn read_pieces(
    source: &dyn Source,
    bytes: u64,
    filled: &SyncSender<Result<(Vec<u8>, blake3::Hash), BundleError>>,
    used: &Receiver<Vec<u8>>,
) {
    let mut at = 0;
    while at < bytes {
        let mut buf = used.try_recv().unwrap_or_default();
        buf.resize(piece_len(at, bytes), 0);
        let read = source.read_at(at, &mut buf).map_err(BundleError::from);
        let is_read = read.is_ok();
        let piece = read.map(|()| {
            let hash = blake3::hash(&buf);
            (buf, hash)
        });
        if filled.send(piece).is_err() || !is_read {
            return;
        }
        at += PIECE;
    }
}

/// Length of the piece at `start` of a payload of `bytes`.
fn piece_len(start: u64, bytes: u64) -> usize {
    // At most PIECE_BYTES.
    usize::try_from(bytes.saturating_sub(start).min(PIECE)).unwrap_or(PIECE_BYTES)
}

fn piece_of(buf: &mut [u8], start: u64, bytes: u64) -> &mut [u8] {
    buf.get_mut(..piece_len(start, bytes)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{VerityParams, build_tree};
    use std::sync::Mutex;
    use storage::ByteLen;

    /// A file that an attacker writes to while it is read.
    struct Mutable(Mutex<Vec<u8>>);

    impl Source for Mutable {
        fn name(&self) -> &str {
            "m"
        }

        fn len(&self) -> ByteLen {
            ByteLen::new(self.0.lock().unwrap().len() as u64)
        }

        fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), crate::SourceError> {
            let at = usize::try_from(offset).unwrap();
            buf.copy_from_slice(&self.0.lock().unwrap()[at..at + buf.len()]);
            Ok(())
        }
    }

    fn verity(data: &[u8]) -> (Arc<Mutable>, VerityReader) {
        let salt = [5; 32];
        let tree = build_tree(&mut &*data, data.len() as u64, &salt).unwrap();
        let size = ByteLen::new(tree.bytes.len() as u64);
        let all = [data, &tree.bytes].concat();
        let len = all.len() as u64;
        let source = Arc::new(Mutable(Mutex::new(all)));
        let dynamic: Arc<dyn Source> = Arc::clone(&source) as Arc<dyn Source>;
        let params = VerityParams { hash: tree.root, salt, size };
        (source, VerityReader::new(dynamic, len, params).unwrap())
    }

    #[test]
    fn checked_tree_is_held_to_the_record_of_its_check() {
        let data: Vec<u8> =
            (0..5 * PIECE_BYTES + 8192).map(|i| (i / 311).to_le_bytes()[0]).collect();
        let (source, reader) = verity(&data);
        let mut told = 0;
        let pinned = PinnedPayload::check(&reader, &mut |bytes| {
            told += bytes;
            ControlFlow::Continue(())
        });
        let pinned = pinned.unwrap().unwrap();
        // Ended before its end nothing is recorded, and that is no failure.
        let ended = PinnedPayload::check(&reader, &mut |_| ControlFlow::Break(()));
        assert!(ended.unwrap().is_none());
        assert_eq!(told, data.len() as u64);
        let mut buf = vec![0; data.len() - 70];
        pinned.read_at(70, &mut buf).unwrap();
        assert!(buf == data[70..]);
        let last = data.len() - 1;
        source.0.lock().unwrap()[last] ^= 1;
        assert!(pinned.read_at(last as u64, &mut buf[..1]).is_err());
        pinned.read_at(0, &mut buf[..PIECE_BYTES]).unwrap();
    }

    #[test]
    fn check_finds_damage_wherever_it_is() {
        let data = vec![9; 5 * PIECE_BYTES + 8192];
        let tree_at = data.len();
        for at in [0, PIECE_BYTES - 1, PIECE_BYTES, tree_at - 1, tree_at, tree_at + 4096] {
            let (source, reader) = verity(&data);
            source.0.lock().unwrap()[at] ^= 1;
            let found = PinnedPayload::check(&reader, &mut |_| ControlFlow::Continue(()));
            let found = found.map(drop).unwrap_err();
            assert!(
                matches!(found, BundleError::Verity(VerityError::Tampered { .. })),
                "{at}: {found:?}"
            );
        }
    }

    #[test]
    fn change_after_verification_is_noticed_in_the_piece_it_hits() {
        let bytes = vec![3; 2 * PIECE_BYTES + 100];
        let source = Arc::new(Mutable(Mutex::new(bytes.clone())));
        let total = bytes.len() as u64;
        let dynamic: Arc<dyn Source> = Arc::clone(&source) as Arc<dyn Source>;
        let (pinned, digest) =
            PinnedPayload::read(dynamic, total, MessageDigest::sha256()).unwrap();
        assert_eq!(digest, openssl::sha::sha256(&bytes));
        let mut buf = vec![0; bytes.len()];
        pinned.read_at(0, &mut buf).unwrap();
        assert_eq!(buf, bytes);
        source.0.lock().unwrap()[2 * PIECE_BYTES + 99] ^= 1;
        pinned.read_at(1, &mut buf[..PIECE_BYTES]).unwrap();
        let found = pinned.read_at(2 * PIECE, &mut buf[..1]).unwrap_err();
        assert!(
            matches!(found, BundleError::Verity(VerityError::Changed { offset, .. }) if offset == 2 * PIECE)
        );
        assert_eq!(buf[0], 0);
    }
}
