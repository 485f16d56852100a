// SPDX-License-Identifier: MIT OR Apache-2.0
//! The environment as a transaction: whatever is cut, torn, unreadable or corrupt, the old or
//! the new environment is found, and what is wrong is said of the right copy.

use std::io;
use std::path::PathBuf;
use storage::{
    ByteLen, Geometry, Journal, MemoryStorage, Recording, Shared, Storage, StorageError,
};
use uboot::{CopyHealth, CopyPlace, Env, EnvError, EnvStore, encode_image};

const ENV_BYTES: u32 = 0x1000;
const ERASE_BYTES: u32 = 0x1000;

fn place(index: usize) -> CopyPlace {
    CopyPlace {
        device: PathBuf::from("/dev/env"),
        offset: index as u64 * u64::from(ENV_BYTES),
        env_bytes: ENV_BYTES,
        erase_bytes: 0,
        sectors: 0,
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Nor,
    Disk,
}

fn medium(kind: Kind, bytes: Vec<u8>) -> MemoryStorage {
    match kind {
        Kind::Nor => MemoryStorage::nor("env", bytes, ERASE_BYTES),
        Kind::Disk => MemoryStorage::disk("env", bytes),
    }
}

fn store_on<S: Storage>(storage: &Shared<S>) -> EnvStore<Shared<S>> {
    EnvStore::open((0..2).map(|index| (storage.clone(), place(index))).collect()).unwrap()
}

fn env(value: &str) -> Env {
    let mut env = Env::new();
    env.set("BOOT_ORDER", value).unwrap();
    env.set("filler", &"f".repeat(1500)).unwrap();
    env
}

/// Two copies with these flags and values.
fn image(first: (u8, &str), second: (u8, &str)) -> Vec<u8> {
    let copy = |(flag, value): (u8, &str)| encode_image(&env(value), 0x1000, Some(flag)).unwrap();
    [copy(first), copy(second)].concat()
}

fn loaded_value(kind: Kind, bytes: Vec<u8>) -> String {
    let loaded = store_on(&Shared::new(medium(kind, bytes))).load().unwrap();
    loaded.env.get("BOOT_ORDER").unwrap().to_owned()
}

#[test]
fn a_cut_anywhere_leaves_the_old_or_the_new_environment() {
    let broken = {
        let mut bytes = image((1, "old"), (0, "older"));
        bytes[0x1800] ^= 1;
        bytes
    };
    let starts = [
        (Kind::Nor, image((1, "old"), (0, "older"))),
        (Kind::Nor, image((0, "older"), (1, "old"))),
        (Kind::Nor, image((1, "old"), (1, "older"))),
        (Kind::Nor, broken.clone()),
        (Kind::Disk, image((7, "old"), (6, "older"))),
        (Kind::Disk, image((254, "older"), (255, "old"))),
        (Kind::Disk, image((0, "old"), (255, "older"))),
        (Kind::Disk, broken),
    ];
    let mut images = 0;
    for (kind, initial) in starts {
        let journal = Journal::new();
        let device = Shared::new(Recording::new(medium(kind, initial.clone()), journal.clone()));
        let mut store = store_on(&device);
        store.store(&env("new")).unwrap();
        let acts = journal.op_count();
        // The seed chooses which bits of a torn flash page have changed.
        for (cut, seed) in (0..=acts).flat_map(|cut| (0..8).map(move |seed| (cut, seed))) {
            for after in journal.crash_images("env", &initial, cut, seed).unwrap() {
                images += 1;
                let value = loaded_value(kind, after.clone());
                assert!(
                    value == "old" || value == "new",
                    "{kind:?} cut {cut} seed {seed}: {value}"
                );
                assert!(cut < acts || value == "new", "{kind:?}: a finished store is lost");
                let device = Shared::new(medium(kind, after));
                store_on(&device).store(&env("next")).unwrap();
                let after = device.with(|device| device.bytes().to_vec());
                assert_eq!(loaded_value(kind, after), "next", "{kind:?} cut {cut}");
            }
        }
    }
    assert!(images > 1000, "only {images} images");
}

#[test]
fn a_thousand_stores_wrap_the_counter_and_always_read_back() {
    for kind in [Kind::Nor, Kind::Disk] {
        let device = Shared::new(medium(kind, vec![0xff; 0x2000]));
        let mut store = store_on(&device);
        for number in 0..1000 {
            store.store(&env(&number.to_string())).unwrap();
            let loaded = store.load().unwrap();
            assert_eq!(loaded.env, env(&number.to_string()), "{kind:?}");
            assert!(number == 0 || loaded.warnings().is_empty());
        }
    }
}

#[test]
fn on_nor_flash_the_older_copy_is_retired_without_an_erase() {
    let device = Shared::new(medium(Kind::Nor, image((1, "old"), (0, "older"))));
    store_on(&device).store(&env("new")).unwrap();
    let bytes = device.with(|device| device.bytes().to_vec());
    assert_eq!(bytes, image((0, "old"), (1, "new")));
}

#[test]
fn torn_env_falls_back_to_older_copy() {
    for kind in [Kind::Nor, Kind::Disk] {
        for byte in [0, 5, 700, 0xfff] {
            let mut bytes = image((1, "new"), (0, "old"));
            bytes[byte] ^= 0x10;
            let loaded = store_on(&Shared::new(medium(kind, bytes))).load().unwrap();
            assert_eq!(loaded.env, env("old"));
            assert_eq!(loaded.active, 1);
            let warnings = loaded.warnings();
            assert_eq!(warnings.len(), 1);
            assert!(warnings[0].starts_with("environment copy 1 at 0x0 of env is corrupt"));
        }
    }
}

#[test]
fn equal_flags_mean_the_first_copy() {
    for kind in [Kind::Nor, Kind::Disk] {
        assert_eq!(loaded_value(kind, image((1, "first"), (1, "second"))), "first");
        assert_eq!(loaded_value(kind, image((255, "first"), (0, "second"))), "second");
        assert_eq!(loaded_value(kind, image((0, "first"), (255, "second"))), "first");
    }
}

#[test]
fn lost_corrupt_and_unreadable_are_told_apart() {
    let load = |bytes| store_on(&Shared::new(medium(Kind::Disk, bytes))).load();
    assert!(matches!(load(vec![0xff; 0x2000]), Err(EnvError::Lost { .. })));
    assert!(matches!(load(vec![0; 0x2000]), Err(EnvError::Lost { .. })));
    let mut bytes = image((1, "a"), (2, "b"));
    bytes[9] ^= 1;
    bytes[0x1009] ^= 1;
    let Err(EnvError::BothCorrupt { places }) = load(bytes.clone()) else { panic!() };
    assert!(places.contains("copy 1 at 0x0 of env") && places.contains("copy 2 at 0x1000"));

    let device = Faulty { unreadable: Some(0x1000), ..Faulty::over(bytes) };
    let failed = store_on(&Shared::new(device)).load();
    assert!(matches!(failed, Err(EnvError::Unreadable { copy: 2, .. })), "{failed:?}");
    let device = Faulty { unreadable: Some(0), ..Faulty::over(image((2, "a"), (1, "b"))) };
    let loaded = store_on(&Shared::new(device)).load().unwrap();
    assert_eq!(loaded.env, env("b"));
    assert!(matches!(loaded.copies[0], CopyHealth::Unreadable(_)));
    assert!(loaded.warnings()[0].contains("copy 1 at 0x0 of env is unreadable"));
}

#[test]
fn each_copy_that_fails_is_named_in_a_sentence_with_its_place_and_reason() {
    let said = |device: Faulty| {
        let failed = store_on(&Shared::new(device)).load().map(|_| ()).unwrap_err();
        let source = std::error::Error::source(&failed);
        source.map_or(failed.to_string(), |source| format!("{failed}: {source}"))
    };
    let mut bytes = image((1, "a"), (2, "b"));
    bytes[0x100..0x200].fill(0);
    bytes[0x1000..].fill(0xff);
    let text = said(Faulty::over(bytes.clone()));
    let begin = "no environment copy is valid: environment copy 1 at 0x0 of env is corrupt (";
    assert!(text.starts_with(begin), "{text}");
    assert!(text.ends_with("); environment copy 2 at 0x1000 of env is blank"), "{text}");

    let unreadable = |at| Faulty { unreadable: Some(at), ..Faulty::over(bytes.clone()) };
    let text = said(unreadable(0));
    let begin = "environment copy 2 at 0x1000 of env is blank, and environment copy 1 at 0x0 of env \
                 cannot be read: ";
    assert!(text.starts_with(begin), "{text}");
    let text = said(unreadable(0x1000));
    let begin = "environment copy 1 at 0x0 of env is corrupt (";
    let end = "), and environment copy 2 at 0x1000 of env cannot be read: cannot read 4096 bytes";
    assert!(text.starts_with(begin) && text.contains(end), "{text}");
    let text = said(Faulty::over(vec![0xff; 0x2000]));
    assert_eq!(text, "no environment is stored at 0x0 of env and at 0x1000 of env");

    let whole = Faulty { unreadable: Some(0), ..Faulty::over(image((1, "a"), (2, "b"))) };
    let warning = store_on(&Shared::new(whole)).load().unwrap().warnings().remove(0);
    assert!(warning.ends_with("bad block); check fw_env.config and the medium"), "{warning}");
}

/// With a wrong offset in `fw_env.config` a store would destroy what lies there, and U-Boot would
/// never see the result. What is damaged and ours is begun anew all the same.
#[test]
fn other_peoples_bytes_are_not_written_and_a_damaged_environment_is() {
    let foreign: Vec<u8> = (0..0x2000_u32).map(|at| (at * 7 % 251) as u8 | 0x80).collect();
    let half_blank = [&foreign[..0x1000], &[0xff; 0x1000]].concat();
    let mut code_with_defaults = foreign.clone();
    code_with_defaults[0x200..0x20d].copy_from_slice(b"BOOT_ORDER=A\0");
    // Letters without end, and a value without a name.
    let text = b"a".repeat(0x2000);
    let nameless = [b"\x01\x02\x03\x04\x01=value\0".to_vec(), vec![0x55; 0x1ff4]].concat();
    for bytes in [foreign.clone(), half_blank, code_with_defaults, text, nameless] {
        for kind in [Kind::Nor, Kind::Disk] {
            let device = Shared::new(medium(kind, bytes.clone()));
            let failed = store_on(&device).store(&env("new"));
            assert!(matches!(failed, Err(EnvError::Foreign { .. })), "{failed:?}");
            assert!(failed.unwrap_err().to_string().contains("0x0 of env"));
            assert!(device.with(|device| device.bytes() == bytes));
            // U-Boot itself does not look.
            store_on(&device).store_as_firmware(&env("new")).unwrap();
            assert_eq!(store_on(&device).load().unwrap().env, env("new"));
        }
    }

    let mut flipped = image((1, "a"), (2, "b"));
    flipped[9] ^= 1;
    flipped[0x1800] ^= 0x80;
    let torn = [&image((1, "a"), (0, "b"))[..0x400], &[0xff; 0x1c00]].concat();
    let vouched = [&foreign[..0x1000], &image((1, "a"), (2, "b"))[0x1000..]].concat();
    for bytes in [flipped, torn, vouched, vec![0xff; 0x2000], vec![0; 0x2000]] {
        let device = Shared::new(medium(Kind::Nor, bytes));
        store_on(&device).store(&env("new")).unwrap();
        assert_eq!(store_on(&device).load().unwrap().env, env("new"));
    }
}

#[test]
fn flash_that_lies_is_caught_before_the_old_copy_is_given_up() {
    let device = Faulty { stuck: Some(0x1400), ..Faulty::over(image((1, "old"), (0, "older"))) };
    let device = Shared::new(device);
    let failed = store_on(&device).store(&env("new"));
    assert!(
        matches!(failed, Err(EnvError::ReadBack { copy: 2, offset: 0x1400, .. })),
        "{failed:?}"
    );
    assert_eq!(store_on(&device).load().unwrap().env, env("old"));
}

#[test]
fn an_environment_too_big_touches_nothing() {
    let bytes = image((1, "old"), (0, "older"));
    let device = Shared::new(medium(Kind::Nor, bytes.clone()));
    let mut big = Env::new();
    big.set("x", &"y".repeat(0x1000)).unwrap();
    let failed = store_on(&device).store(&big);
    assert!(matches!(failed, Err(EnvError::TooBig { used: 4100, capacity: 4091 })), "{failed:?}");
    assert_eq!(device.with(|device| device.bytes().to_vec()), bytes);
}

#[test]
fn a_single_copy_has_no_flag_and_works() {
    for kind in [Kind::Nor, Kind::Disk] {
        let device = Shared::new(medium(kind, vec![0xff; 0x1000]));
        let mut store = EnvStore::open(vec![(device.clone(), place(0))]).unwrap();
        assert!(matches!(store.load(), Err(EnvError::Lost { .. })));
        store.store(&env("one")).unwrap();
        let bytes = device.with(|device| device.bytes().to_vec());
        assert_eq!(bytes, encode_image(&env("one"), 0x1000, None).unwrap());
        store.store(&env("two")).unwrap();
        assert_eq!(store.load().unwrap().env, env("two"));
    }
}

#[test]
fn places_that_cannot_work_are_refused_before_anything_is_read() {
    let device = Shared::new(medium(Kind::Nor, vec![0xff; 0x4000]));
    let open = |places: Vec<CopyPlace>| {
        EnvStore::open(places.into_iter().map(|place| (device.clone(), place)).collect()).err()
    };
    let at = |offset, env_bytes| CopyPlace { offset, env_bytes, ..place(0) };
    let overlap = open(vec![at(0, 0x1800), at(0x1800, 0x1800)]);
    assert!(matches!(overlap, Some(EnvError::CopiesOverlap { .. })), "{overlap:?}");
    assert!(open(vec![at(0, 0x1000), at(0x1000, 0x1000)]).is_none());
    let differ = open(vec![at(0, 0x1000), at(0x1000, 0x2000)]);
    assert!(matches!(differ, Some(EnvError::CopiesDiffer { .. })), "{differ:?}");
    for env_bytes in [0, 511, 1024 * 1024 + 1, u32::MAX] {
        let refused = open(vec![at(0, env_bytes)]);
        assert!(matches!(refused, Some(EnvError::BadSize { .. })), "{refused:?}");
    }
    assert!(matches!(open(vec![]), Some(EnvError::CopiesDiffer { .. })));
}

/// A disk with a copy that cannot be read or a byte that cannot be changed.
struct Faulty {
    inner: MemoryStorage,
    unreadable: Option<u64>,
    stuck: Option<usize>,
}

impl Faulty {
    fn over(bytes: Vec<u8>) -> Self {
        Self { inner: medium(Kind::Disk, bytes), unreadable: None, stuck: None }
    }
}

impl Storage for Faulty {
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
        if self.unreadable == Some(offset) {
            let source = io::Error::other("bad block");
            let len = buf.len() as u64;
            return Err(StorageError::Read { label: "env".to_owned(), offset, len, source });
        }
        self.inner.read_at(offset, buf)
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        self.inner.write_at(offset, data)?;
        if let Some(byte) = self.stuck {
            self.inner.bytes_mut()[byte] = 0xaa;
        }
        Ok(())
    }
    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.inner.erase(offset, len)
    }
    fn flush(&mut self) -> Result<(), StorageError> {
        self.inner.flush()
    }
    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.inner.forget_cached(offset, len)
    }
}
