// SPDX-License-Identifier: MIT OR Apache-2.0
//! The log keeps what it took, shows what was done to it, and has a bound.

use super::*;
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::tree::{MemoryTrees, Node, TreeImage, crash_trees, scan};

fn refused(words: &str) -> AuditEvent {
    AuditEvent::AuthenticationFailed {
        peer: Text::new("192.0.2.7"),
        request: Text::new("POST /api/config"),
        reason: Text::new(words),
        suppressed: 0,
    }
}

fn changed(generation: u32) -> AuditEvent {
    AuditEvent::ConfigChanged {
        change: ConfigChange::Committed,
        generation: Some(generation),
        by: Text::new("SHA256:abc"),
        detail: None,
    }
}

fn log(image: TreeImage) -> AuditLog {
    AuditLog::new(Box::new(MemoryTrees::from(image)), (0, 0), "boot-1")
}

fn written(count: u32) -> TreeImage {
    let mut log = log(TreeImage::new());
    for number in 0..count {
        log.record(UnixTime(u64::from(number)), changed(number)).unwrap();
    }
    scan(log.trees()).unwrap()
}

fn read(image: &TreeImage) -> AuditReport {
    read_audit(&MemoryTrees::from(image.clone())).unwrap()
}

fn edit(image: &mut TreeImage, edit: impl FnOnce(&mut Vec<u8>)) {
    let path = PathBuf::from("atomix/audit/changes-000001.jsonl");
    let Some(Node::File(meta, content)) = image.get(&path).cloned() else { panic!("no segment") };
    let mut bytes = content.to_vec();
    edit(&mut bytes);
    image.insert(path, Node::File(meta, Arc::from(bytes)));
}

#[test]
fn what_is_written_is_read_in_its_order() {
    let report = read(&written(20));
    assert_eq!(report.faults, []);
    let seqs: Vec<u64> = report.lines.iter().map(|line| line.seq).collect();
    assert_eq!(seqs, (1..=20).collect::<Vec<_>>());
    assert_eq!(report.lines[4].event, changed(4));
}

#[test]
fn a_changed_a_missing_and_an_inserted_line_show() {
    let nth = |bytes: &[u8], number: usize| -> Vec<u8> {
        bytes.split_inclusive(|byte| *byte == b'\n').nth(number).unwrap().to_vec()
    };
    type Edit<'a> = (&'a str, &'a dyn Fn(&mut Vec<u8>));
    let edits: [Edit<'_>; 3] = [
        ("changed", &|bytes| {
            let text = String::from_utf8(bytes.clone()).unwrap();
            *bytes = text.replacen("\"generation\":5", "\"generation\":6", 1).into_bytes();
        }),
        ("missing", &|bytes| {
            let gone = nth(bytes, 5);
            let at = bytes.windows(gone.len()).position(|part| part == gone).unwrap();
            bytes.drain(at..at + gone.len());
        }),
        ("inserted", &|bytes| {
            let again = nth(bytes, 5);
            bytes.extend(again);
        }),
    ];
    for (what, how) in edits {
        let mut image = written(10);
        edit(&mut image, how);
        assert!(read(&image).is_broken(), "{what}");
    }
}

#[test]
fn a_torn_end_is_told_from_a_cut_in_the_middle_and_gone_on_from() {
    let mut image = written(6);
    edit(&mut image, |bytes| bytes.truncate(bytes.len() - 30));
    let report = read(&image);
    assert_eq!((report.lines.len(), report.is_broken()), (5, false));
    assert_eq!(report.faults.len(), 1);
    let mut log = log(image);
    log.record(UnixTime(100), changed(99)).unwrap();
    let report = read_audit(log.trees()).unwrap();
    assert_eq!((report.lines.len(), report.is_broken()), (6, false));
    assert_eq!(report.lines.last().unwrap().seq, 6, "the torn one was never there");
}

#[test]
fn no_words_begin_a_line_or_move_a_cursor() {
    let mut log = log(TreeImage::new());
    let forged = "x\"}\n{\"version\":1,\"seq\":2}\r\u{1b}[2J\u{202e}\u{2028}ä\u{1f600}";
    log.record(UnixTime(0), refused(forged)).unwrap();
    let image = scan(log.trees()).unwrap();
    let Some(Node::File(_, bytes)) = image.get(Path::new("atomix/audit/access-000001.jsonl"))
    else {
        panic!("no segment");
    };
    assert!(bytes.is_ascii());
    assert_eq!(bytes.iter().filter(|byte| **byte < b' ').count(), 1, "the end of its one line");
    let report = read(&image);
    let AuditEvent::AuthenticationFailed { reason, .. } = &report.lines[0].event else { panic!() };
    assert!(reason.as_str().ends_with("ä\u{1f600}") && !reason.as_str().contains('\n'));
    assert!(Text::new(&"x".repeat(5000)).as_str().len() <= 200);
}

#[test]
fn a_flood_of_refusals_is_counted_bounded_and_pushes_no_change_out() {
    let mut log = log(TreeImage::new());
    log.record(UnixTime(0), changed(1)).unwrap();
    for number in 0..100_000_u64 {
        // Five thousand a minute.
        log.record(UnixTime(number * 60 / 5000), refused(&"x".repeat(200))).unwrap();
    }
    log.record(UnixTime(100_000), refused("last")).unwrap();
    let report = read_audit(log.trees()).unwrap();
    assert_eq!(report.faults, []);
    assert!(report.lines.iter().any(|line| line.event == changed(1)));
    let counted: u64 = report
        .lines
        .iter()
        .map(|line| match &line.event {
            AuditEvent::AuthenticationFailed { suppressed, .. } => suppressed + 1,
            AuditEvent::ConfigChanged { .. }
            | AuditEvent::FullAccessGranted { .. }
            | AuditEvent::Installed { .. }
            | AuditEvent::Marked { .. } => 0,
        })
        .sum();
    assert_eq!(counted, 100_001, "each is counted");
}

#[test]
fn only_the_oldest_segment_goes() {
    let mut log = log(TreeImage::new());
    let event = |number: u32| AuditEvent::FullAccessGranted {
        container: Text::new(&number.to_string()),
        directives: vec![Text::new(&"x".repeat(200)); 30],
    };
    for number in 0..300 {
        log.record(UnixTime(u64::from(number)), event(number)).unwrap();
    }
    let report = read_audit(log.trees()).unwrap();
    assert_eq!(report.faults, [], "what is left still hangs together");
    assert!(report.lines[0].seq > 1, "the bound is reached");
    assert_eq!(report.lines.last().unwrap().seq, 300);
    let image = scan(log.trees()).unwrap();
    let bytes: usize = image
        .values()
        .map(|node| match node {
            Node::File(_, content) => content.len(),
            Node::Dir(_) | Node::Link(_) => 0,
        })
        .sum();
    assert!(bytes as u64 <= (MAX_SEGMENT_BYTES + 16 * 1024) * SEGMENTS as u64, "{bytes}");
}

#[test]
fn no_cut_loses_a_record_that_was_acknowledged_or_breaks_the_chain() {
    let before = written(3);
    let (trees, steps) = MemoryTrees::recorded(before.clone());
    let mut log = AuditLog::new(Box::new(trees), (0, 0), "boot-2");
    let mut acknowledged = vec![(0, 3_usize)];
    for number in 0..3 {
        log.record(UnixTime(50 + u64::from(number)), changed(number)).unwrap();
        acknowledged.push((steps.steps().len(), 4 + number as usize));
    }
    log.record(UnixTime(60), refused("first of its family")).unwrap();
    let steps = steps.steps();
    for cut in 0..=steps.len() {
        let least = acknowledged.iter().filter(|(at, _)| *at <= cut).map(|(_, count)| *count).max();
        let trees = crash_trees(&before, &steps, cut, 64, 1);
        for number in 0..trees.count() {
            let report = read(&trees.tree(number));
            assert!(!report.is_broken(), "cut {cut}, image {number}");
            assert!(Some(report.lines.len()) >= least, "cut {cut}, image {number}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_lines_or_faults(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut image = written(2);
        edit(&mut image, |old| old.extend(&bytes));
        let _report = read(&image);
        let _line = AuditLine::parse(&bytes);
    }
}
