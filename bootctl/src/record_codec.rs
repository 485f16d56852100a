// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes of one flight record.
//!
//! Format of this project, version 1; integers little-endian:
//!
//! ```text
//!  0  4  magic "AXR1"
//!  4  2  length of the payload
//!  6  1  kind of the entry
//!  7  1  version of the kind, 1
//!  8  8  sequence
//! 16  8  seconds since 1970; all ones: not known
//! 24  n  payload
//! 24+n 4  CRC-32 (IEEE) of bytes 0 .. 24+n
//! ```
//!
//! Payload parts: a slot is one byte (0 A, 1 B), text is a length byte and UTF-8, an optional
//! value is a byte 0 or 1 and the value. A reader skips kinds and versions it does not know.

use crate::record::{
    DEATHS_MAX, DeathMark, Entry, HealthVerdict, KnownSlot, Mark, Record, Sequence, Snapshot,
    TEXT_MAX, Timestamp,
};
use crate::{
    AttemptsLeft, BundleId, Decision, FAILED_MAX, Load, Numbered, Reason, SlotId, SlotState,
};
use storage::PartUuid;

/// First bytes of a record. Neither 0x00 nor 0xFF, which blank media are full of.
pub(crate) const MAGIC: [u8; 4] = *b"AXR1";
const HEADER_BYTES: usize = 24;
const CRC_BYTES: usize = 4;
const VERSION: u8 = 1;
const TIME_UNKNOWN: u64 = u64::MAX;

/// Stands for the attempts left where they do not count.
const NOT_COUNTED: u8 = u8::MAX;

/// Longest payload that is believed: a torn length must not lead the reader far away.
const PAYLOAD_MAX: usize = 256;

/// Shortest record of a kind that is written.
pub(crate) const RECORD_MIN: usize = HEADER_BYTES + CRC_BYTES;

/// Longest record.
pub(crate) const RECORD_MAX: usize = HEADER_BYTES + PAYLOAD_MAX + CRC_BYTES;

/// A record found on the medium.
pub(crate) struct Found {
    /// Bytes it takes, without padding.
    pub(crate) len: usize,
    pub(crate) sequence: Sequence,
    pub(crate) at: Timestamp,
    /// `None`: valid, and of a kind this version does not know.
    pub(crate) entry: Option<Entry>,
}

/// Encodes a record; texts are shortened to [`TEXT_MAX`].
pub(crate) fn encode(record: &Record) -> Vec<u8> {
    let (kind, payload) = encode_entry(&record.entry);
    let mut bytes = Vec::with_capacity(RECORD_MAX);
    bytes.extend(MAGIC);
    // The longest entry, a full snapshot, is below PAYLOAD_MAX; a test holds it.
    bytes.extend(u16::try_from(payload.len()).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend([kind, VERSION]);
    bytes.extend(record.sequence.0.to_le_bytes());
    bytes.extend(record.at.unix_secs.unwrap_or(TIME_UNKNOWN).to_le_bytes());
    bytes.extend(payload);
    let crc = crc32fast::hash(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

/// Decodes the record at the start of `bytes`, or `None` when there is no whole one.
pub(crate) fn decode(bytes: &[u8]) -> Option<Found> {
    let mut header = Cursor(bytes);
    if header.array::<4>()? != MAGIC {
        return None;
    }
    let payload_len = usize::from(u16::from_le_bytes(header.array()?));
    if payload_len > PAYLOAD_MAX {
        return None;
    }
    let [kind, version] = header.array()?;
    let sequence = Sequence(u64::from_le_bytes(header.array()?));
    let secs = u64::from_le_bytes(header.array()?);
    let payload = header.take(payload_len)?;
    let crc = u32::from_le_bytes(header.array()?);
    let covered = HEADER_BYTES + payload_len;
    if crc32fast::hash(bytes.get(..covered)?) != crc {
        return None;
    }
    let entry = if version == VERSION { decode_entry(kind, payload) } else { None };
    let at = Timestamp { unix_secs: Some(secs).filter(|secs| *secs != TIME_UNKNOWN) };
    Some(Found { len: covered + CRC_BYTES, sequence, at, entry })
}

fn encode_entry(entry: &Entry) -> (u8, Vec<u8>) {
    let mut out = Vec::new();
    let kind = match entry {
        Entry::FirstBoot { disk } => {
            out.extend(disk.0.as_bytes());
            1
        }
        Entry::Booted { slot, reason, attempts } => {
            out.extend([slot_code(*slot), reason.code(), attempts.get()]);
            2
        }
        Entry::InstallBegan { slot, version, bundle } => {
            put_install(&mut out, *slot, version, bundle);
            3
        }
        Entry::InstallFinished { slot, version, bundle } => {
            put_install(&mut out, *slot, version, bundle);
            4
        }
        Entry::InstallFailed { slot, cause } => {
            out.push(slot_code(*slot));
            put_text(&mut out, cause);
            5
        }
        Entry::Verdict { slot, verdict, cause } => {
            out.extend([slot_code(*slot), *verdict as u8]);
            put_text(&mut out, cause);
            6
        }
        Entry::Marked { slot, mark } => {
            out.extend([slot_code(*slot), *mark as u8]);
            7
        }
        Entry::FellBack { from, to, cause } => {
            out.extend([slot_code(*from), slot_code(*to)]);
            put_text(&mut out, cause);
            8
        }
        Entry::States(snapshot) => {
            put_snapshot(&mut out, snapshot);
            9
        }
        Entry::DeadEnd { slot, cause } => {
            out.push(slot_code(*slot));
            put_text(&mut out, cause);
            10
        }
        Entry::Chosen(Numbered { number, decision }) => {
            let Decision { slot, left, reason, load } = decision;
            let left = left.map_or(NOT_COUNTED, AttemptsLeft::get);
            out.extend([*number, slot_code(*slot), left, reason.code(), *load as u8]);
            11
        }
        Entry::Died { slot, mark, cause } => {
            out.push(slot_code(*slot));
            out.extend(mark.0);
            put_text(&mut out, cause);
            12
        }
        Entry::Asked { what } => {
            put_text(&mut out, what);
            13
        }
        Entry::Known { marks } => {
            let marks = marks.get(..DEATHS_MAX).unwrap_or(marks);
            out.push(u8::try_from(marks.len()).unwrap_or(0));
            out.extend(marks.iter().flat_map(|mark| mark.0));
            14
        }
    };
    (kind, out)
}

fn decode_entry(kind: u8, payload: &[u8]) -> Option<Entry> {
    let mut from = Cursor(payload);
    let entry = match kind {
        1 => Entry::FirstBoot { disk: from.disk()? },
        2 => Entry::Booted {
            slot: from.slot()?,
            reason: Reason::from_code(from.byte()?)?,
            attempts: AttemptsLeft::new(from.byte()?).ok()?,
        },
        3 | 4 => {
            let (slot, bundle) = (from.slot()?, BundleId::from_bytes(from.array()?));
            let version = from.text()?;
            match kind {
                3 => Entry::InstallBegan { slot, version, bundle },
                _ => Entry::InstallFinished { slot, version, bundle },
            }
        }
        5 => Entry::InstallFailed { slot: from.slot()?, cause: from.text()? },
        6 => {
            let slot = from.slot()?;
            let verdict = match from.byte()? {
                0 => HealthVerdict::Healthy,
                1 => HealthVerdict::Unhealthy,
                _ => return None,
            };
            Entry::Verdict { slot, verdict, cause: from.text()? }
        }
        7 => {
            let slot = from.slot()?;
            let mark = match from.byte()? {
                0 => Mark::Good,
                1 => Mark::Bad,
                2 => Mark::Active,
                _ => return None,
            };
            Entry::Marked { slot, mark }
        }
        8 => Entry::FellBack { from: from.slot()?, to: from.slot()?, cause: from.text()? },
        9 => Entry::States(from.snapshot()?),
        10 => Entry::DeadEnd { slot: from.slot()?, cause: from.text()? },
        11 => Entry::Chosen(from.decision()?),
        12 => {
            let (slot, mark) = (from.slot()?, DeathMark(from.array()?));
            Entry::Died { slot, mark, cause: from.text()? }
        }
        13 => Entry::Asked { what: from.text()? },
        14 => Entry::Known { marks: from.marks()? },
        _ => return None,
    };
    Some(entry)
}

const fn slot_code(slot: SlotId) -> u8 {
    match slot {
        SlotId::A => 0,
        SlotId::B => 1,
    }
}

fn put_install(out: &mut Vec<u8>, slot: SlotId, version: &str, bundle: &BundleId) {
    out.push(slot_code(slot));
    out.extend(bundle.as_bytes());
    put_text(out, version);
}

/// The beginning of `text`, at most so many bytes, up to a character's edge.
pub(crate) fn first_bytes(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Shortens `text` to [`TEXT_MAX`] bytes.
fn put_text(out: &mut Vec<u8>, text: &str) {
    let kept = first_bytes(text, TEXT_MAX);
    out.push(u8::try_from(kept.len()).unwrap_or(0));
    out.extend(kept.as_bytes());
}

fn put_snapshot(out: &mut Vec<u8>, snapshot: &Snapshot) {
    let order: Vec<u8> = snapshot.order.iter().take(2).map(|slot| slot_code(*slot)).collect();
    out.push(u8::try_from(order.len()).unwrap_or(0));
    out.extend(order);
    for known in [&snapshot.a, &snapshot.b] {
        out.push(known.state.code());
        put_optional(out, known.bundle.as_ref().map(BundleId::as_bytes));
    }
    put_optional(out, snapshot.disk.as_ref().map(|disk| disk.0.as_bytes()));
    let failed = snapshot.failed.get(..FAILED_MAX).unwrap_or(&snapshot.failed);
    out.push(u8::try_from(failed.len()).unwrap_or(0));
    out.extend(failed.iter().flat_map(BundleId::as_bytes));
}

fn put_optional(out: &mut Vec<u8>, value: Option<&[u8; 16]>) {
    match value {
        None => out.push(0),
        Some(bytes) => {
            out.push(1);
            out.extend(bytes);
        }
    }
}

/// Takes parts off the front of a payload.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn slot(&mut self) -> Option<SlotId> {
        match self.byte()? {
            0 => Some(SlotId::A),
            1 => Some(SlotId::B),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        let len = usize::from(self.byte()?);
        String::from_utf8(self.take(len)?.to_vec()).ok()
    }

    fn marks(&mut self) -> Option<Vec<DeathMark>> {
        (0..self.byte()?).map(|_| self.array().map(DeathMark)).collect()
    }

    fn disk(&mut self) -> Option<PartUuid> {
        Some(PartUuid(uuid::Uuid::from_bytes(self.array()?)))
    }

    fn known_slot(&mut self) -> Option<KnownSlot> {
        let state = SlotState::from_code(self.byte()?)?;
        let bundle = match self.byte()? {
            0 => None,
            _ => Some(BundleId::from_bytes(self.array()?)),
        };
        Some(KnownSlot { state, bundle })
    }

    fn decision(&mut self) -> Option<Numbered> {
        let number = Some(self.byte()?).filter(|number| *number < 100)?;
        let slot = self.slot()?;
        let left = match self.byte()? {
            NOT_COUNTED => None,
            left => Some(AttemptsLeft::new(left).ok()?),
        };
        let reason = Reason::from_code(self.byte()?)?;
        let load = match self.byte()? {
            0 => Load::Started,
            1 => Load::Failed,
            _ => return None,
        };
        Some(Numbered { number, decision: Decision { slot, left, reason, load } })
    }

    fn snapshot(&mut self) -> Option<Snapshot> {
        let mut order = Vec::new();
        for _ in 0..self.byte()? {
            let slot = self.slot()?;
            if order.contains(&slot) {
                return None;
            }
            order.push(slot);
        }
        let (a, b) = (self.known_slot()?, self.known_slot()?);
        let disk = match self.byte()? {
            0 => None,
            _ => Some(self.disk()?),
        };
        let mut failed = Vec::new();
        for _ in 0..self.byte()? {
            failed.push(BundleId::from_bytes(self.array()?));
        }
        Some(Snapshot { order, a, b, disk, failed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(entry: Entry) -> Record {
        Record { sequence: Sequence(7), at: Timestamp::from_unix(1_700_000_000), entry }
    }

    fn every_kind() -> Vec<Entry> {
        let slot = SlotId::B;
        let bundle = BundleId::from_bytes([9; 16]);
        let text = || "because".to_owned();
        let disk = PartUuid(uuid::Uuid::from_bytes([3; 16]));
        vec![
            Entry::FirstBoot { disk },
            Entry::Booted { slot, reason: Reason::Fallback, attempts: AttemptsLeft::ONE },
            Entry::InstallBegan { slot, version: text(), bundle },
            Entry::InstallFinished { slot, version: text(), bundle },
            Entry::InstallFailed { slot, cause: text() },
            Entry::Verdict { slot, verdict: HealthVerdict::Unhealthy, cause: text() },
            Entry::Marked { slot, mark: Mark::Active },
            Entry::FellBack { from: slot, to: slot.other(), cause: text() },
            Entry::States(Snapshot {
                order: vec![SlotId::B, SlotId::A],
                a: KnownSlot { state: SlotState::Good, bundle: Some(bundle) },
                b: KnownSlot { state: SlotState::Trying, bundle: Some(bundle) },
                disk: Some(disk),
                failed: vec![bundle; FAILED_MAX],
            }),
            Entry::DeadEnd { slot, cause: text() },
            Entry::Chosen(Numbered {
                number: 99,
                decision: Decision {
                    slot,
                    left: Some(AttemptsLeft::ONE),
                    reason: Reason::Trying,
                    load: Load::Failed,
                },
            }),
            Entry::Died { slot, mark: DeathMark([8; 8]), cause: text() },
            Entry::Asked { what: text() },
            Entry::Known { marks: vec![DeathMark([7; 8]); DEATHS_MAX] },
        ]
    }

    #[test]
    fn every_kind_of_entry_is_read_back_as_written() {
        for entry in every_kind() {
            let bytes = encode(&record(entry.clone()));
            let found = decode(&bytes).unwrap();
            assert!(bytes.len() <= RECORD_MAX);
            assert_eq!((found.len, found.sequence), (bytes.len(), Sequence(7)));
            assert_eq!(found.at, Timestamp::from_unix(1_700_000_000));
            assert_eq!(found.entry, Some(entry));
        }
    }

    #[test]
    fn no_record_with_a_cut_end_or_a_turned_bit_is_believed() {
        for entry in every_kind() {
            let bytes = encode(&record(entry));
            for end in 0..bytes.len() {
                assert!(decode(&bytes[..end]).is_none(), "cut at {end} was believed");
            }
            for bit in 0..bytes.len() * 8 {
                let mut turned = bytes.clone();
                turned[bit / 8] ^= 1 << (bit % 8);
                assert!(decode(&turned).is_none(), "bit {bit} was believed");
            }
        }
    }

    #[test]
    fn long_text_is_shortened_at_a_characters_edge_and_fits() {
        let cause = "ä".repeat(500);
        let bytes = encode(&record(Entry::FellBack { from: SlotId::A, to: SlotId::B, cause }));
        assert!(bytes.len() <= RECORD_MAX);
        let Some(Entry::FellBack { cause, .. }) = decode(&bytes).unwrap().entry else {
            panic!("another entry came back")
        };
        assert_eq!(cause, "ä".repeat(60));
    }

    #[test]
    fn an_unknown_kind_is_valid_and_skipped() {
        let mut bytes = encode(&record(Entry::Marked { slot: SlotId::A, mark: Mark::Good }));
        bytes[6] = 200;
        let covered = bytes.len() - 4;
        let crc = crc32fast::hash(&bytes[..covered]).to_le_bytes();
        bytes[covered..].copy_from_slice(&crc);
        let found = decode(&bytes).unwrap();
        assert_eq!((found.sequence, found.entry), (Sequence(7), None));
    }
}
