// SPDX-License-Identifier: MIT OR Apache-2.0
//! The record survives a cut at each act of storing it, as the one before or the new one, and is
//! never a reason not to start.

use super::*;
use crate::memory::{ActionRecord, InstallRecord, InstallStage, Refusal, SeenRelease};
use crate::test_facts::{NOON, manifest};
use crate::{ReportAnswer, ReportRecord, Urgency};
use bootctl::SlotId;
use proptest::prelude::*;
use std::path::PathBuf;
use storage::{CutAt, CutPlan, FileTree, Journal, MemoryFiles, PowerCutFiles, RecordingFiles};

/// The record after `step` things have happened.
fn record(step: u8) -> Memory {
    let mut memory = Memory::default();
    memory.saw(SeenRelease {
        product: "gateway".to_owned(),
        sequence: u64::from(step),
        document: manifest(step),
    });
    memory.raise_floor(NOON, std::time::Duration::from_secs(70));
    memory.spend(NOON, ByteLen::mib(u64::from(step)));
    memory.failures = u32::from(step);
    memory.install = Some(InstallRecord {
        manifest: manifest(step),
        version: Some("26.11".to_owned()),
        url: Some("https://updates.example/gateway.raucb".to_owned()),
        etag: Some("\"abc\"".to_owned()),
        slot: SlotId::B,
        from: Some(manifest(1).into()),
        urgency: Urgency::Forced,
        stage: InstallStage::Begun,
    });
    memory.action = Some(ActionRecord {
        id: "17".to_owned(),
        digest: Some(manifest(step)),
        slot: None,
        stage: serde_json::json!({ "download": { "percent": step } }),
    });
    (memory.refused, memory.leaving) = (Some(manifest(step)), Some(SlotId::A));
    memory.forced = Some(manifest(step));
    memory.report = ReportRecord { pending: Some(manifest(step)), ..ReportRecord::default() };
    memory
}

/// `/data` can be read and written for as long as nobody says otherwise.
#[derive(Default)]
struct Data {
    files: MemoryFiles,
    is_full: bool,
    is_unreadable: bool,
    forgets: bool,
    /// What does not fit on `/data`.
    too_much: Option<Vec<u8>>,
}

impl Files for Data {
    fn read(&self, path: &Path, limit: ByteLen) -> Result<Option<Vec<u8>>, FilesError> {
        if self.is_unreadable && path.starts_with("/data") {
            let source = std::io::Error::from_raw_os_error(5);
            return Err(FilesError::Read { path: path.to_owned(), source });
        }
        self.files.read(path, limit)
    }
    fn replace(&mut self, path: &Path, content: &[u8]) -> Result<(), FilesError> {
        let is_full = self.is_full || self.too_much.as_deref() == Some(content);
        if is_full && path.starts_with("/data") {
            let source = std::io::ErrorKind::StorageFull.into();
            return Err(FilesError::Write { path: path.to_owned(), source });
        }
        let kept = if self.forgets && path.starts_with("/data") { &[0; 9][..] } else { content };
        self.files.replace(path, kept)
    }
    fn remove(&mut self, path: &Path) -> Result<(), FilesError> {
        self.files.remove(path)
    }
    fn list(&self, dir: &Path) -> Result<Vec<String>, FilesError> {
        self.files.list(dir)
    }
}

impl Data {
    /// Loads, and stores the record of `step`.
    fn live(&mut self, step: u8) -> Stored {
        let (mut store, _, _) = MemoryStore::load(self);
        store.store(self, &record(step)).unwrap()
    }

    fn found(&self) -> Memory {
        MemoryStore::load(self).1
    }

    fn reboot(&mut self) {
        self.remove(Path::new(MEMORY_FALLBACK_PATH)).unwrap();
    }
}

#[test]
fn a_record_is_read_as_it_was_stored() {
    let mut data = Data::default();
    let (_, fresh, told) = MemoryStore::load(&data);
    assert_eq!((fresh, told), (Memory::default(), Vec::<String>::new()));
    assert_eq!(data.live(2), Stored::Durably);
    assert_eq!(data.found(), record(2));
}

#[test]
fn a_full_data_partition_stops_nothing_and_what_was_kept_elsewhere_counts_until_the_reboot() {
    let mut data = Data::default();
    data.live(2);
    data.is_full = true;
    assert!(matches!(data.live(3), Stored::UntilReboot { why } if why.contains("state.json")));
    assert_eq!(data.found(), record(3));
    data.is_full = false;
    assert_eq!(data.live(4), Stored::Durably);
    assert_eq!(data.found(), record(4), "what is left in /run hides nothing");
    data.is_full = true;
    data.live(5);
    data.reboot();
    assert_eq!(data.found(), record(4));
}

/// Fails when a read that failed once costs the sequences that were seen.
#[test]
fn a_record_that_cannot_be_read_is_not_written_over() {
    let mut data = Data::default();
    data.live(200);
    data.is_unreadable = true;
    let (_, anew, told) = MemoryStore::load(&data);
    assert_eq!(anew, Memory::default());
    assert!(told[0].starts_with("the agent starts anew: "), "{told:?}");
    assert!(matches!(data.live(3), Stored::UntilReboot { why } if why.contains("written over")));
    data.is_unreadable = false;
    let both = data.found();
    assert_eq!(both.seen("gateway").unwrap().sequence, 200);
    assert_eq!(both.install, record(3).install);
    data.reboot();
    assert_eq!(data.found(), record(200));
}

#[test]
fn a_disk_that_keeps_something_else_is_noticed() {
    let mut data = Data { forgets: true, ..Data::default() };
    assert!(matches!(data.live(2), Stored::UntilReboot { why } if why.contains("read back")));
    assert_eq!(data.found(), record(2));
}

#[test]
fn a_later_or_damaged_record_is_put_aside_with_its_reason() {
    let mut later = encode(&record(2)).map(String::from_utf8).unwrap().unwrap();
    later = later.replace("\"version\": 1,", "\"version\": 2, \"new\": true,");
    for (content, why) in [
        (later.as_str(), "of version 2, made by a later atomix"),
        ("{\"version\":1}", "no record of version 1"),
        ("{\"version\":0,\"memory\":{}}", "no record of version 1"),
        ("", "no record of version 1"),
        ("[[[[", "no record of version 1"),
    ] {
        let mut data = Data::default();
        data.replace(Path::new(MEMORY_PATH), content.as_bytes()).unwrap();
        let (_, memory, told) = MemoryStore::load(&data);
        assert_eq!(memory, Memory::default(), "{content}");
        assert!(told.len() == 1 && told[0].contains(why), "{content}: {told:?}");
        assert_eq!(data.live(3), Stored::Durably);
        assert_eq!(data.found(), record(3));
    }
    let mut data = Data::default();
    data.replace(Path::new(MEMORY_PATH), &vec![b' '; (1 << 20) + 1]).unwrap();
    let (_, memory, told) = MemoryStore::load(&data);
    assert_eq!((memory, told.len()), (Memory::default(), 1));
}

/// Adds a member that this atomix does not know to every object.
fn with_news(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(members) => {
            members.values_mut().for_each(with_news);
            members.insert("news".to_owned(), serde_json::json!({ "of": ["a later atomix"] }));
        }
        serde_json::Value::Array(elements) => elements.iter_mut().for_each(with_news),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {}
    }
}

/// Fails when a device that fell back to the slot before forgets what the newer atomix in the other slot
/// saw: an old release would count again.
#[test]
fn what_a_newer_atomix_kept_beside_it_hides_nothing_of_a_record() {
    let mut memory = record(2);
    memory.begins(manifest(5), &crate::test_facts::facts());
    memory.refuse(Refusal {
        kind: "offer-failed".to_owned(),
        words: "it was tried here before".to_owned(),
        since: Some(NOON),
        bundle: Some(manifest(4)),
        version: None,
    });
    let unanswered = ReportAnswer::None { why: "no server".to_owned() };
    memory.report.tries.judge(&unanswered, "device", NOON);
    let mut newer: serde_json::Value = serde_json::from_slice(&encode(&memory).unwrap()).unwrap();
    with_news(&mut newer);
    // What is in an action is for the client of hawkBit to read.
    newer["memory"]["action"]["stage"] = memory.action.as_ref().unwrap().stage.clone();
    let mut data = Data::default();
    data.replace(Path::new(MEMORY_PATH), newer.to_string().as_bytes()).unwrap();
    let (mut store, found, told) = MemoryStore::load(&data);
    assert_eq!((&found, told), (&memory, Vec::new()));
    // What is not known is not carried along.
    store.store(&mut data, &found).unwrap();
    let content = data.read(Path::new(MEMORY_PATH), MAX_RECORD).unwrap().unwrap();
    assert!(!String::from_utf8(content).unwrap().contains("news"));
    assert_eq!(data.found(), memory);
}

/// Fails when a count that something else wrote makes the next one end the agent.
#[test]
fn a_count_of_failures_is_bounded() {
    let memory = Memory { failures: u32::MAX, ..Memory::default() };
    let content = serde_json::to_vec(&Written { version: VERSION, memory: &memory }).unwrap();
    assert_eq!(parse(&content).unwrap().failures, crate::memory::MOST_FAILURES);
}

#[test]
fn what_a_server_says_at_length_is_not_kept_and_breaks_nothing() {
    let mut memory = record(2);
    if let Some(install) = &mut memory.install {
        install.url = Some("x".repeat(100_000));
        install.etag = Some("x".repeat(100_000));
        install.version = Some("x".repeat(100_000));
    }
    let mut data = Data::default();
    let (mut store, _, _) = MemoryStore::load(&data);
    assert_eq!(store.store(&mut data, &memory).unwrap(), Stored::Durably);
    let found = data.found();
    assert_eq!(found.seen("gateway"), memory.seen("gateway"));
    assert_eq!(found.install.unwrap().url, None);
    memory.action.as_mut().unwrap().stage = serde_json::json!("x".repeat(1 << 20));
    assert!(matches!(store.store(&mut data, &memory), Err(MemoryError::TooLarge { .. })));
    assert_eq!(data.found().action, record(2).action, "the record before is still there");
}

#[test]
fn the_same_record_is_not_written_twice() {
    let journal = Journal::new();
    let mut files = RecordingFiles::new(MemoryFiles::new(), journal.clone());
    let (mut store, _, _) = MemoryStore::load(&files);
    store.store(&mut files, &record(2)).unwrap();
    let acts = journal.op_count();
    store.store(&mut files, &record(2)).unwrap();
    assert_eq!(journal.op_count(), acts);
}

/// Every step of every replacement is cut, with names and contents lost as POSIX allows.
#[test]
fn power_cut_at_every_step_leaves_the_record_before_or_the_new_one() {
    let journal = Journal::new();
    let mut files = RecordingFiles::new(MemoryFiles::new(), journal.clone());
    let (mut store, _, _) = MemoryStore::load(&files);
    let mut ends = Vec::new();
    for step in 1..=4 {
        store.store(&mut files, &record(step)).unwrap();
        ends.push(journal.op_count());
    }
    let life: Vec<Memory> = std::iter::once(Memory::default()).chain((1..=4).map(record)).collect();
    let mut seen = 0;
    for cut in 0..=journal.op_count() {
        let done = ends.iter().filter(|end| **end <= cut).count();
        for tree in journal.crash_files(&FileTree::new(), cut, 7) {
            let (_, found, told) = MemoryStore::load(&files_of(&tree));
            let allowed = life.iter().skip(done).take(2).any(|one| *one == found);
            assert!(allowed, "cut at {cut}: not {done} nor the next: {found:?}");
            assert_eq!(told, Vec::<String>::new(), "cut at {cut}");
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} trees");
}

fn files_of(tree: &FileTree) -> MemoryFiles {
    let mut files = MemoryFiles::new();
    for (path, content) in tree {
        files.replace(&PathBuf::from(path), content).unwrap();
    }
    files
}

/// Over a life in which `/data` fills and empties; `/run` is lost with the power.
#[test]
fn power_cut_at_every_act_of_a_life_keeps_what_was_durable_and_converges() {
    for seed in [1, 77, 4242] {
        for at in 0.. {
            let plan = CutPlan::new(CutAt::Operation(at), seed);
            let too_much = Some(encode(&record(3)).unwrap());
            let mut data = PowerCutFiles::new(Data { too_much, ..Data::default() }, &plan);
            let (mut durable, mut begun) = (0, 0);
            let (mut store, _, _) = MemoryStore::load(&data);
            for step in 1..=5 {
                begun = step;
                match store.store(&mut data, &record(step)) {
                    Ok(Stored::Durably) => durable = step,
                    Ok(Stored::UntilReboot { .. }) => assert_eq!(step, 3),
                    Err(_) => break,
                }
            }
            if !plan.is_cut() {
                // Five records, one of them twice, and the removal of what was kept elsewhere.
                assert_eq!(at, 7);
                break;
            }
            let mut after = MemoryFiles::new();
            if let Some(content) = data.read(Path::new(MEMORY_PATH), MAX_RECORD).unwrap() {
                after.replace(Path::new(MEMORY_PATH), &content).unwrap();
            }
            let (mut store, found, told) = MemoryStore::load(&after);
            assert_eq!(told, Vec::<String>::new());
            let step = found.failures;
            assert!((u32::from(durable)..=u32::from(begun)).contains(&step), "{at} {seed}: {step}");
            let whole = found == Memory::default() || found == record(u8::try_from(step).unwrap());
            assert!(whole, "{at} {seed}: {found:?}");
            assert_eq!(store.store(&mut after, &record(9)).unwrap(), Stored::Durably);
            assert_eq!(MemoryStore::load(&after).1, record(9));
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(content in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&content);
    }

    /// One byte of a record changed: another record, or none; never a panic.
    #[test]
    fn a_flipped_byte_is_another_record_or_none(place in 0_usize..900, byte: u8) {
        let mut content = encode(&record(2)).unwrap();
        if let Some(found) = content.get_mut(place) {
            *found = byte;
        }
        if let Ok(memory) = parse(&content) {
            prop_assert!(encode(&memory).is_ok());
        }
    }
}
