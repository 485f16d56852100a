// SPDX-License-Identifier: MIT OR Apache-2.0
//! A slot holds what was signed, or its writer says that it does not.

use super::*;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use storage::{Fault, Faulty, Geometry, MemoryStorage};

const IMAGE_BYTES: u64 = 21 * CHUNK_BYTES as u64 + 17;

#[derive(Debug)]
enum Act {
    Write,
    Read(Range<u64>),
    Forget(Range<u64>),
    Flush,
}

/// Notes what is done to a device.
struct Watched {
    inner: MemoryStorage,
    acts: Arc<Mutex<Vec<Act>>>,
}

impl Watched {
    fn act(&self, act: Act) {
        self.acts.lock().unwrap().push(act);
    }
}

impl Storage for Watched {
    fn label(&self) -> &str {
        self.inner.label()
    }

    fn len(&self) -> ByteLen {
        self.inner.len()
    }

    fn geometry(&self) -> Geometry {
        self.inner.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.act(Act::Read(offset..offset + buf.len() as u64));
        self.inner.read_at(offset, buf)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        self.act(Act::Write);
        self.inner.write_at(offset, data)
    }

    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.inner.erase(offset, len)
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.act(Act::Flush);
        self.inner.flush()
    }

    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.act(Act::Forget(offset..offset + len));
        self.inner.forget_cached(offset, len)
    }
}

fn blank() -> MemoryStorage {
    MemoryStorage::disk("slot", vec![0; usize::try_from(IMAGE_BYTES).unwrap()])
}

/// No two MiB of it are equal, and none of it is zero.
fn image() -> Vec<u8> {
    (0..IMAGE_BYTES).map(|i| (i / 4099 % 251 + 1).to_le_bytes()[0]).collect()
}

fn install(storage: Box<dyn Storage>) -> Result<DurableSlot, InstallError> {
    let digest = Digest::from_bytes(openssl::sha::sha256(&image()));
    install_as(storage, digest, 0)
}

fn install_as(
    storage: Box<dyn Storage>,
    digest: impl Into<ContentDigest>,
    hold_back: usize,
) -> Result<DurableSlot, InstallError> {
    let name = "rootfs.1".parse().unwrap();
    let open = OpenSlot { name, device: PathBuf::from("/dev/slot"), storage };
    let bytes = image();
    let image = Incoming {
        source: &mut bytes.as_slice(),
        filename: "rootfs.img".to_owned(),
        len: ByteLen::new(IMAGE_BYTES),
        digest: digest.into(),
        hold_back,
        begun: Begun::default(),
    };
    let mut told = 0;
    let mut count = |bytes| {
        told += bytes;
        Ok(())
    };
    let written = write_image(open, image, &mut count)?;
    let durable = written.read_back(&mut count)?;
    assert_eq!(told, 2 * IMAGE_BYTES);
    Ok(durable)
}

#[test]
fn every_byte_is_read_past_the_cache_after_all_was_flushed() {
    let acts = Arc::new(Mutex::new(Vec::new()));
    let inner = blank();
    install(Box::new(Watched { inner, acts: Arc::clone(&acts) })).unwrap();
    let acts = acts.lock().unwrap();
    let last = |wanted: &dyn Fn(&Act) -> bool| acts.iter().rposition(wanted).unwrap();
    let written = last(&|act| matches!(act, Act::Write));
    let flushed = last(&|act| matches!(act, Act::Flush));
    assert!(written < flushed, "{written} {flushed}");
    for byte in (0..IMAGE_BYTES).step_by(CHUNK_BYTES) {
        let forget = last(&|act| matches!(act, Act::Forget(range) if range.contains(&byte)));
        let read = last(&|act| matches!(act, Act::Read(range) if range.contains(&byte)));
        assert!(flushed < forget && forget < read, "{byte}: {flushed} {forget} {read}");
    }
}

#[test]
fn medium_whose_end_overwrites_its_start_is_found() {
    let at = 10 * CHUNK_BYTES as u64 + 512;
    let found = install(Box::new(Faulty::new(blank(), Fault::WrapsAround { at }))).err();
    let first = matches!(&found, Some(InstallError::ReadBackMismatch { offset: 0, .. }));
    assert!(first, "{found:?}");
}

#[test]
fn old_content_that_cannot_be_read_is_overwritten() {
    let at = CHUNK_BYTES as u64 + 512;
    install(Box::new(Faulty::new(blank(), Fault::ReadUntilWritten { at }))).unwrap();
    let dead = install(Box::new(Faulty::new(blank(), Fault::Read { at }))).err();
    let named = matches!(&dead, Some(InstallError::Slot { act: "read back", .. }));
    assert!(named, "{dead:?}");
}

#[test]
fn image_that_is_not_the_signed_one_is_refused_before_it_is_read_back() {
    let wrong = Digest::from_bytes([7; 32]);
    let acts = Arc::new(Mutex::new(Vec::new()));
    let watched = Watched { inner: blank(), acts: Arc::clone(&acts) };
    let found = install_as(Box::new(watched), wrong, 0).err();
    assert!(!acts.lock().unwrap().iter().any(|act| matches!(act, Act::Forget(_))));
    let InstallError::WrongImage { slot, source } = found.unwrap() else { panic!() };
    assert_eq!(slot.to_string(), "rootfs.1");
    assert!(
        matches!(*source, BundleError::ImageDigest { expected, .. } if expected == wrong),
        "{source:?}"
    );
}

#[test]
fn a_digest_that_its_source_did_not_learn_is_refused() {
    let learned = Arc::new(std::sync::OnceLock::new());
    let source = ContentDigest::Learned(Arc::clone(&learned));
    let refused = install_as(Box::new(blank()), source.clone(), 0).err();
    assert!(matches!(refused, Some(InstallError::WrongImage { .. })), "{refused:?}");
    learned.set(Digest::from_bytes([7; 32])).unwrap();
    let durable = install_as(Box::new(blank()), source, 0).unwrap();
    assert_eq!(durable.digest, Digest::from_bytes([7; 32]));
}

#[test]
fn bytes_held_back_are_zero_on_the_medium_and_hashed_as_signed() {
    let digest = Digest::from_bytes(openssl::sha::sha256(&image()));
    let held = install_as(Box::new(blank()), digest, 4096).unwrap();
    assert_eq!(held.held_back, image()[..4096]);
    let mut head = vec![1; 4097];
    held.open.storage.read_at(0, &mut head).unwrap();
    assert_eq!(head[..4096], [0; 4096]);
    assert_eq!(head[4096], image()[4096]);
}

#[test]
fn wrong_byte_is_found_in_every_part_of_the_image() {
    for at in [0, CHUNK_BYTES as u64 - 1, CHUNK_BYTES as u64, IMAGE_BYTES - 1] {
        let inner = blank();
        let refused = install(Box::new(Faulty::new(inner, Fault::ReadsBackWrong { at })));
        let chunk = at - at % CHUNK_BYTES as u64;
        let found = refused.err();
        let named = matches!(
            &found,
            Some(InstallError::ReadBackMismatch { offset, .. }) if *offset == chunk
        );
        assert!(named, "{at}: {found:?}");
    }
}
