// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is the next chunk verified while this one is written? One thread reads the image ahead
//! through a fixed set of buffers, so memory is bounded by their number whatever the image.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;
use storage::{AlignedBuffer, ByteLen, Storage, StorageError};

/// Unit of reading, writing and read-back.
pub(crate) const CHUNK_BYTES: usize = 1024 * 1024;

/// Most buffers in flight: one being written, the others being filled. Together 3 MiB.
const BUFFERS: usize = 3;

/// How often whoever waits for a chunk asks whether to go on.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// Whether anybody still waits for chunks; for readers that work long before they give one.
#[derive(Debug, Default)]
pub(crate) struct Abandoned(AtomicBool);

/// Says so whenever it is dropped.
struct Waiting<'a>(&'a Abandoned);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// The buffers for `expected` bytes: how many, and how long each is. One byte more than expected
/// has room, so that a stream that goes on is found out.
fn buffers_for(expected: ByteLen) -> (usize, usize) {
    let room = expected.get().saturating_add(1);
    let len = usize::try_from(room).unwrap_or(usize::MAX).min(CHUNK_BYTES);
    let count = room.div_ceil(CHUNK_BYTES as u64).min(BUFFERS as u64);
    (usize::try_from(count).unwrap_or(BUFFERS), len)
}

/// Calls `take` with each chunk in order: all that `fill` gives, which is told the offset of the
/// chunk and returns its length. A chunk shorter than the buffer is the last. Of `expected` bytes
/// that are less than a MiB one buffer is filled; more come in chunks of a MiB. Stops at the first
/// failure of either side. While no chunk comes `take` is given an empty one, and can end it.
pub(crate) fn for_each_chunk<E: Send>(
    expected: ByteLen,
    fill: impl FnMut(u64, &mut [u8], &Abandoned) -> Result<usize, E> + Send,
    mut take: impl FnMut(&mut [u8]) -> Result<(), E>,
) -> Result<(), E> {
    let (filled_in, filled) = sync_channel::<Result<AlignedBuffer, E>>(BUFFERS);
    let (empty_in, empty) = sync_channel::<AlignedBuffer>(BUFFERS);
    let (count, len) = buffers_for(expected);
    for _ in 0..count {
        // Room for all of them was made above; the receiver lives.
        let _ = empty_in.send(AlignedBuffer::zeroed(len));
    }
    let abandoned = &Abandoned::default();
    thread::scope(|scope| {
        let _waiting = Waiting(abandoned);
        scope.spawn(move || fill_chunks(len, fill, abandoned, &filled_in, &empty));
        // Moved in, so that leaving early closes both channels and lets the reader end.
        let (filled, empty_in) = (filled, empty_in);
        loop {
            let mut chunk = match filled.recv_timeout(ASK_EVERY) {
                Ok(chunk) => chunk?,
                Err(RecvTimeoutError::Timeout) => {
                    take(&mut [])?;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            take(&mut chunk)?;
            if empty_in.send(chunk).is_err() {
                // The reader is done; what it has sent is still to be taken.
            }
        }
    })
}

fn fill_chunks<E>(
    chunk_bytes: usize,
    mut fill: impl FnMut(u64, &mut [u8], &Abandoned) -> Result<usize, E>,
    abandoned: &Abandoned,
    filled: &SyncSender<Result<AlignedBuffer, E>>,
    empty: &Receiver<AlignedBuffer>,
) {
    let mut offset = 0;
    while let Ok(mut buffer) = empty.recv() {
        buffer.set_len(chunk_bytes);
        let outcome = fill(offset, &mut buffer, abandoned);
        let ends = !matches!(outcome, Ok(len) if len == chunk_bytes);
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

/// Fills as much of `buffer` as the stream still has. A stream that works long before it has
/// something says that it was interrupted, and ends there when nobody waits any more.
pub(crate) fn fill(
    source: &mut (dyn Read + Send),
    buffer: &mut [u8],
    abandoned: &Abandoned,
) -> io::Result<usize> {
    let mut len = 0;
    while let Some(rest) = buffer.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error)
                if error.kind() == io::ErrorKind::Interrupted
                    && !abandoned.0.load(Ordering::Relaxed) => {}
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
            ByteLen::new(bytes.len() as u64),
            |offset, buffer, abandoned| {
                offsets.push(offset);
                fill(&mut source, buffer, abandoned)
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
        let (len, read) = (ByteLen::mib(3), |_, buffer: &mut [u8], abandoned: &Abandoned| {
            fill(&mut source, buffer, abandoned)
        });
        let failed = for_each_chunk(len, read, |_| Ok(()));
        assert_eq!(failed.unwrap_err().to_string(), "broken");
        let failed = for_each_chunk(
            len,
            |_, buffer, abandoned| fill(&mut io::repeat(1), buffer, abandoned),
            |_| Err(io::Error::other("full")),
        );
        assert_eq!(failed.unwrap_err().to_string(), "full");
    }

    struct NeverReady;

    impl Read for NeverReady {
        fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
            thread::sleep(Duration::from_millis(1));
            Err(io::ErrorKind::Interrupted.into())
        }
    }

    /// Does not end when nobody asks while a stream works towards its next byte.
    #[test]
    fn a_stream_that_works_long_can_be_ended() {
        let ended = for_each_chunk(
            ByteLen::mib(3),
            |_, buffer, abandoned| fill(&mut NeverReady, buffer, abandoned),
            |chunk| match chunk.is_empty() {
                true => Err(io::Error::other("stopped")),
                false => Ok(()),
            },
        );
        assert_eq!(ended.unwrap_err().to_string(), "stopped");
    }

    #[test]
    fn small_images_take_small_buffers_and_a_stream_that_goes_on_is_told() {
        assert_eq!(buffers_for(ByteLen::default()), (1, 1));
        assert_eq!(buffers_for(ByteLen::kib(24)), (1, 24 * 1024 + 1));
        assert_eq!(buffers_for(ByteLen::mib(1)), (2, CHUNK_BYTES));
        assert_eq!(buffers_for(ByteLen::mib(900)), (BUFFERS, CHUNK_BYTES));
        for (expected, sent) in [(5, 5), (5, 6), (5, 17), (0, 0), (0, 3)] {
            let bytes = vec![1; sent];
            let (mut source, mut got) = (bytes.as_slice(), 0);
            for_each_chunk(
                ByteLen::new(expected),
                |_, buffer, abandoned| fill(&mut source, buffer, abandoned),
                |chunk| {
                    got += chunk.len();
                    Ok(())
                },
            )
            .unwrap();
            assert_eq!(got, sent, "{expected} expected");
        }
    }
}
