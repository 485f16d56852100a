// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is the next chunk verified while this one is written? One thread reads the image ahead
//! through a fixed set of buffers, so memory is bounded by their number whatever the image.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use storage::{AlignedBuffer, ByteLen, Storage, StorageError};

/// Unit of reading, writing and read-back.
pub(crate) const CHUNK_BYTES: usize = 1024 * 1024;

/// Buffers in flight: one being written, the others being filled. Together 4 MiB.
const BUFFERS: usize = 4;

/// Calls `take` with each chunk in order: all that `fill` gives, which is told the offset of the
/// chunk and returns its length. A chunk shorter than the buffer is the last. Stops at the first
/// failure of either side.
pub(crate) fn for_each_chunk<E: Send>(
    fill: impl FnMut(u64, &mut [u8]) -> Result<usize, E> + Send,
    mut take: impl FnMut(&mut [u8]) -> Result<(), E>,
) -> Result<(), E> {
    let (filled_in, filled) = sync_channel::<Result<AlignedBuffer, E>>(BUFFERS);
    let (empty_in, empty) = sync_channel::<AlignedBuffer>(BUFFERS);
    for _ in 0..BUFFERS {
        // Room for all of them was made on the line above; the receiver lives.
        let _ = empty_in.send(AlignedBuffer::zeroed(CHUNK_BYTES));
    }
    thread::scope(|scope| {
        scope.spawn(move || fill_chunks(fill, &filled_in, &empty));
        // Moved in, so that leaving early closes both channels and lets the reader end.
        let (filled, empty_in) = (filled, empty_in);
        for chunk in &filled {
            let mut chunk = chunk?;
            take(&mut chunk)?;
            if empty_in.send(chunk).is_err() {
                // The reader is done; what it has sent is still to be taken.
            }
        }
        Ok(())
    })
}

fn fill_chunks<E>(
    mut fill: impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
    filled: &SyncSender<Result<AlignedBuffer, E>>,
    empty: &Receiver<AlignedBuffer>,
) {
    let mut offset = 0;
    while let Ok(mut buffer) = empty.recv() {
        buffer.set_len(CHUNK_BYTES);
        let outcome = fill(offset, &mut buffer);
        let ends = !matches!(outcome, Ok(CHUNK_BYTES));
        let chunk = match outcome {
            Ok(0) => return,
            Ok(len) => {
                buffer.set_len(len);
                offset += len as u64;
                Ok(buffer)
            }
            Err(error) => Err(error),
        };
        if filled.send(chunk).is_err() || ends {
            return;
        }
    }
}

/// Fills as much of `buffer` as the stream still has.
pub(crate) fn fill(source: &mut (dyn Read + Send), buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while let Some(rest) = buffer.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// Fills as much of `buffer` as lies between `offset` and `len` of a device. Asks for the device
/// alone, since devices are not shared between threads.
pub(crate) fn fill_from_device(
    device: &mut dyn Storage,
    len: ByteLen,
    offset: u64,
    buffer: &mut [u8],
) -> Result<usize, StorageError> {
    let left = usize::try_from(len.get().saturating_sub(offset)).unwrap_or(usize::MAX);
    let taken = left.min(buffer.len());
    device.read_at(offset, buffer.get_mut(..taken).unwrap_or_default())?;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct FailsAt(usize);

    impl Read for FailsAt {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::other("broken"));
            }
            let len = buf.len().min(self.0).min(70_000);
            self.0 -= len;
            Ok(len)
        }
    }

    #[test]
    fn chunks_arrive_whole_and_in_order() {
        let bytes: Vec<u8> =
            (0..5 * CHUNK_BYTES + 17).map(|i| (i / 1000).to_le_bytes()[0]).collect();
        let (mut source, mut offsets) = (bytes.as_slice(), Vec::new());
        let (mut got, mut lens) = (Vec::new(), Vec::new());
        for_each_chunk(
            |offset, buffer| {
                offsets.push(offset);
                fill(&mut source, buffer)
            },
            |chunk| {
                got.extend_from_slice(chunk);
                lens.push(chunk.len());
                Ok(())
            },
        )
        .unwrap();
        assert!(got == bytes);
        assert_eq!(lens, [CHUNK_BYTES; 5].into_iter().chain([17]).collect::<Vec<_>>());
        assert_eq!(offsets, (0..6).map(|n| n * CHUNK_BYTES as u64).collect::<Vec<_>>());
    }

    #[test]
    fn failure_of_either_side_ends_both() {
        let mut source = FailsAt(2 * CHUNK_BYTES + 5);
        let failed = for_each_chunk(|_, buffer| fill(&mut source, buffer), |_| Ok(()));
        assert_eq!(failed.unwrap_err().to_string(), "broken");
        let failed = for_each_chunk(
            |_, buffer| fill(&mut io::repeat(1), buffer),
            |_| Err(io::Error::other("full")),
        );
        assert_eq!(failed.unwrap_err().to_string(), "full");
    }
}
