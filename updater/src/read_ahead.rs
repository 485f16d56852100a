// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is the next chunk verified while this one is written? One thread reads the image ahead
//! through a fixed set of buffers, so memory is bounded by their number whatever the image.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Unit of reading, writing and read-back.
pub(crate) const CHUNK_BYTES: usize = 1024 * 1024;

/// Buffers in flight: one being written, the others being filled. Together 4 MiB.
const BUFFERS: usize = 4;

/// A chunk on its way: the bytes, or why there are none.
type Filled = io::Result<Vec<u8>>;

/// Calls `take` with each chunk of `source` in order; every chunk but the last is
/// [`CHUNK_BYTES`] long. Stops at the first failure of either side.
pub(crate) fn for_each_chunk<E>(
    source: &mut (dyn Read + Send),
    failed: impl Fn(io::Error) -> E,
    mut take: impl FnMut(&mut [u8]) -> Result<(), E>,
) -> Result<(), E> {
    let (filled_in, filled) = sync_channel::<Filled>(BUFFERS);
    let (empty_in, empty) = sync_channel::<Vec<u8>>(BUFFERS);
    for _ in 0..BUFFERS {
        // Room for all of them was made on the line above; the receiver lives.
        let _ = empty_in.send(Vec::new());
    }
    thread::scope(|scope| {
        scope.spawn(move || read_chunks(source, &filled_in, &empty));
        // Moved in, so that leaving early closes both channels and lets the reader end.
        let (filled, empty_in) = (filled, empty_in);
        for chunk in &filled {
            let mut chunk = chunk.map_err(&failed)?;
            take(&mut chunk)?;
            if empty_in.send(chunk).is_err() {
                // The reader is done; what it has sent is still to be taken.
            }
        }
        Ok(())
    })
}

fn read_chunks(
    source: &mut (dyn Read + Send),
    filled: &SyncSender<Filled>,
    empty: &Receiver<Vec<u8>>,
) {
    while let Ok(mut buffer) = empty.recv() {
        let outcome = fill(source, &mut buffer);
        let ends = !matches!(outcome, Ok(CHUNK_BYTES));
        let chunk = match outcome {
            Ok(0) => return,
            Ok(len) => {
                buffer.truncate(len);
                Ok(buffer)
            }
            Err(error) => Err(error),
        };
        if filled.send(chunk).is_err() || ends {
            return;
        }
    }
}

fn fill(source: &mut (dyn Read + Send), buffer: &mut Vec<u8>) -> io::Result<usize> {
    buffer.resize(CHUNK_BYTES, 0);
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
        let (mut got, mut lens) = (Vec::new(), Vec::new());
        for_each_chunk(
            &mut bytes.as_slice(),
            |error| error,
            |chunk| {
                got.extend_from_slice(chunk);
                lens.push(chunk.len());
                Ok(())
            },
        )
        .unwrap();
        assert!(got == bytes);
        assert_eq!(lens, [CHUNK_BYTES; 5].into_iter().chain([17]).collect::<Vec<_>>());
    }

    #[test]
    fn failure_of_either_side_ends_both() {
        let failed = for_each_chunk(&mut FailsAt(2 * CHUNK_BYTES + 5), |error| error, |_| Ok(()));
        assert_eq!(failed.unwrap_err().to_string(), "broken");
        let mut endless = io::repeat(1);
        let failed = for_each_chunk(&mut endless, |error| error, |_| Err(io::Error::other("full")));
        assert_eq!(failed.unwrap_err().to_string(), "full");
    }
}
