// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a reader of verified bytes gets, in which pieces, and what that costs.

use super::*;
use crate::{MemorySource, Source, VerityError, VerityParams, build_tree};
use storage::ByteLen;

const SALT: [u8; 32] = [5; 32];

fn payload(bytes: usize, damage: Option<usize>) -> (Vec<u8>, Arc<Payload>) {
    let data: Vec<u8> = (0..bytes).map(|i| u8::try_from(i / 311 % 253).unwrap()).collect();
    let tree = build_tree(&mut data.as_slice(), bytes as u64, &SALT).unwrap();
    let size = ByteLen::new(tree.bytes.len() as u64);
    let mut all = [data.clone(), tree.bytes].concat();
    if let Some(at) = damage {
        all[at] ^= 1;
    }
    let len = all.len() as u64;
    let source: Arc<dyn Source> = Arc::new(MemorySource::new("b", all));
    let params = VerityParams { hash: tree.root, salt: SALT, size };
    let reader = VerityReader::new(source, len, params).unwrap();
    (
        data,
        Arc::new(Payload::Verity {
            reader: Box::new(reader),
            checked: OnceLock::new(),
            cipher: None,
        }),
    )
}

#[test]
fn stream_is_the_data_and_finished_segments_stay_bounded() {
    let (data, payload) = payload(20 * SEGMENT_BYTES + 8192, None);
    let mut cursor = PayloadCursor::new(payload);
    let mut all = Vec::new();
    let mut buf = vec![0; 100_000];
    loop {
        let read = cursor.read(&mut buf).unwrap();
        if read == 0 {
            break;
        }
        all.extend_from_slice(&buf[..read]);
        let held = cursor.ahead.lock().done.len();
        assert!(held as u64 <= AHEAD, "{held}");
    }
    assert_eq!(all, data);
}

#[test]
fn jumps_in_any_direction_read_the_data_there() {
    let (data, payload) = payload(20 * SEGMENT_BYTES, None);
    let mut cursor = PayloadCursor::new(payload);
    let mut buf = vec![0; 5000];
    let mut at = 1_u64;
    for _ in 0..300 {
        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let start = (at >> 20) % (data.len() as u64 - 5000);
        cursor.seek(SeekFrom::Start(start)).unwrap();
        cursor.read_exact(&mut buf).unwrap();
        let start = usize::try_from(start).unwrap();
        assert_eq!(buf, data[start..start + 5000]);
    }
    assert_eq!(cursor.seek(SeekFrom::End(0)).unwrap(), data.len() as u64);
    assert_eq!(cursor.read(&mut buf).unwrap(), 0);
    assert!(cursor.seek(SeekFrom::Current(i64::MIN)).is_err());
}

/// A source on a server, as far as its readers know; notes what is read.
struct Remote(MemorySource, Mutex<Vec<(u64, usize)>>);

impl Source for Remote {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn len(&self) -> ByteLen {
        self.0.len()
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), crate::SourceError> {
        self.1.lock().unwrap().push((offset, buf.len()));
        self.0.read_at(offset, buf)
    }
}

#[test]
fn a_jump_on_a_server_fetches_pages_and_whoever_reads_on_gets_segments_once() {
    let data: Vec<u8> =
        (0..8 * SEGMENT_BYTES).map(|i| u8::try_from(i / 311 % 253).unwrap()).collect();
    let tree = build_tree(&mut data.as_slice(), data.len() as u64, &SALT).unwrap();
    let size = ByteLen::new(tree.bytes.len() as u64);
    let all = [data.clone(), tree.bytes].concat();
    let len = all.len() as u64;
    let source = Arc::new(Remote(MemorySource::new("b", all), Mutex::default()));
    let params = VerityParams { hash: tree.root, salt: SALT, size };
    let reader =
        Box::new(VerityReader::new(Arc::clone(&source) as Arc<dyn Source>, len, params).unwrap());
    let payload = Payload::Verity { reader, checked: OnceLock::new(), cipher: None };
    let mut cursor = PayloadCursor::new(Arc::new(payload));
    let of_data = |reads: &[(u64, usize)]| -> usize {
        let inside = reads.iter().filter(|(at, _)| *at < data.len() as u64);
        inside.map(|(_, len)| len).sum()
    };
    let mut some = vec![0; 100];
    for at in [0, 5 * SEGMENT + 4090, 2 * SEGMENT] {
        cursor.seek(SeekFrom::Start(at)).unwrap();
        cursor.read_exact(&mut some).unwrap();
        let at = usize::try_from(at).unwrap();
        assert_eq!(some, data[at..at + 100]);
    }
    assert_eq!(of_data(&source.1.lock().unwrap()), 4 * 4096);
    source.1.lock().unwrap().clear();
    cursor.seek(SeekFrom::Start(96)).unwrap();
    let mut rest = vec![0; data.len() - 96];
    for part in rest.chunks_mut(20_000) {
        cursor.read_exact(part).unwrap();
    }
    assert!(rest == data[96..]);
    let reads = source.1.lock().unwrap();
    assert_eq!(of_data(&reads), data.len());
    // What was asked for, and once it is read on, the rest of the segment.
    let in_first = reads.iter().filter(|(at, _)| *at < SEGMENT).copied();
    assert_eq!(in_first.collect::<Vec<_>>(), [(0, 20_480), (20_480, SEGMENT_BYTES - 20_480)]);
}

#[test]
fn damage_ahead_is_reported_when_the_reader_gets_there() {
    let at = 9 * SEGMENT_BYTES + 4096 * 3;
    let (data, payload) = payload(20 * SEGMENT_BYTES, Some(at));
    let mut cursor = PayloadCursor::new(payload);
    let mut good = vec![0; 9 * SEGMENT_BYTES];
    cursor.read_exact(&mut good).unwrap();
    assert_eq!(good, data[..good.len()]);
    let failure = cursor.read(&mut good).unwrap_err().downcast::<BundleError>().unwrap();
    let place = at as u64;
    assert!(
        matches!(failure, BundleError::Verity(VerityError::Tampered { offset, .. }) if offset == place)
    );
}
