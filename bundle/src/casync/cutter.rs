// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cuts a stream into chunks, and has each worked on by all processors.

use super::{CasyncError, Chunker};
use std::io::{ErrorKind, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

/// Read at once; several of the largest default chunks, so that little is moved about.
const BUFFER_BYTES: usize = 2 * 1024 * 1024;

/// The chunks of a stream, one after the other.
pub struct Cutter<R> {
    input: R,
    chunker: Chunker,
    buffer: Vec<u8>,
    /// Bytes of the buffer that hold data, and where the next chunk begins among them.
    filled: usize,
    start: usize,
    ended: bool,
}

impl<R: Read> Cutter<R> {
    /// Cuts `input`.
    #[must_use]
    pub fn new(input: R, chunker: Chunker) -> Self {
        let len = BUFFER_BYTES.max(chunker.sizes().max().saturating_mul(2));
        Self { input, chunker, buffer: vec![0; len], filled: 0, start: 0, ended: false }
    }

    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    /// [`CasyncError::Input`], or the failure behind the reader's.
    pub fn next_chunk(&mut self) -> Result<Option<&[u8]>, CasyncError> {
        let at_hand = |start: usize, filled: usize| filled.saturating_sub(start);
        if at_hand(self.start, self.filled) < self.chunker.sizes().max() {
            self.refill()?;
        }
        let rest = self.buffer.get(self.start..self.filled).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        let len = self.chunker.cut(rest).unwrap_or(rest.len());
        self.start += len;
        Ok(rest.get(..len))
    }

    fn refill(&mut self) -> Result<(), CasyncError> {
        if self.ended {
            return Ok(());
        }
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        while let Some(free) = self.buffer.get_mut(self.filled..).filter(|free| !free.is_empty()) {
            match self.input.read(free) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(count) => self.filled += count,
                Err(failure) if failure.kind() == ErrorKind::Interrupted => {}
                Err(failure) => return Err(CasyncError::cause(failure)),
            }
        }
        Ok(())
    }
}

/// So much is handed to a worker at once; smaller portions would cost more in waiting.
const PORTION_BYTES: usize = 512 * 1024;

/// Chunks that follow each other: the number of the first, and each chunk's bytes.
type Portion = (usize, Vec<Vec<u8>>);

/// What came of each chunk, by its number.
type Outcomes<T> = Mutex<Vec<(usize, u32, Result<T, CasyncError>)>>;

/// Cuts all of `input` and does `work` on each chunk, several at a time. Returns each chunk's
/// length and what came of it, in order. `progress` is told the bytes of each step, and ends the
/// work by saying `false`.
///
/// # Errors
/// The first failure of the input or of the work, or [`CasyncError::Stopped`].
pub(crate) fn cut_all<R: Read, T: Send>(
    input: R,
    chunker: Chunker,
    progress: &mut dyn FnMut(u64) -> bool,
    work: &(dyn Fn(&[u8]) -> Result<T, CasyncError> + Sync),
) -> Result<Vec<(u32, T)>, CasyncError> {
    let outcomes = Outcomes::default();
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get().min(8));
    let (sender, receiver) = sync_channel::<Portion>(workers);
    let receiver = Mutex::new(receiver);
    let cut = std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| work_off(&receiver, &outcomes, work));
        }
        let cut = hand_out(input, chunker, progress, &sender);
        // Tells the workers that nothing follows.
        drop(sender);
        cut
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_unstable_by_key(|(number, _, _)| *number);
    let expected = cut?;
    let mut results = Vec::with_capacity(outcomes.len());
    for (_, len, outcome) in outcomes {
        results.push((len, outcome?));
    }
    if results.len() != expected {
        // A worker is gone, which only a defect explains; nothing may be missing silently.
        return Err(CasyncError::Poisoned);
    }
    Ok(results)
}

fn hand_out<R: Read>(
    input: R,
    chunker: Chunker,
    progress: &mut dyn FnMut(u64) -> bool,
    sender: &SyncSender<Portion>,
) -> Result<usize, CasyncError> {
    let mut cutter = Cutter::new(input, chunker);
    let (mut number, mut bytes) = (0, 0);
    let mut portion = Vec::new();
    loop {
        let chunk = cutter.next_chunk()?.map(<[u8]>::to_vec);
        let ended = chunk.is_none();
        if let Some(chunk) = chunk {
            bytes += chunk.len();
            portion.push(chunk);
        }
        if bytes >= PORTION_BYTES || (ended && !portion.is_empty()) {
            let full = std::mem::take(&mut portion);
            let first = number;
            number += full.len();
            sender.send((first, full)).map_err(|_| CasyncError::Poisoned)?;
            if !progress(bytes as u64) {
                return Err(CasyncError::Stopped);
            }
            bytes = 0;
        }
        if ended {
            return Ok(number);
        }
    }
}

fn work_off<T>(
    portions: &Mutex<Receiver<Portion>>,
    outcomes: &Outcomes<T>,
    work: &(dyn Fn(&[u8]) -> Result<T, CasyncError> + Sync),
) {
    loop {
        let next = portions.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((first, chunks)) = next else { return };
        for (number, chunk) in chunks.iter().enumerate() {
            let len = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            let outcome = (first + number, len, work(chunk));
            outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::casync::ChunkSizes;

    /// Hands out a few bytes at a time.
    struct Dripping<'a>(&'a [u8]);

    impl Read for Dripping<'_> {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            let few = buf.len().min(777);
            self.0.read(&mut buf[..few])
        }
    }

    #[test]
    fn chunks_do_not_depend_on_how_the_input_arrives_and_add_up_to_it() {
        let data: Vec<u8> =
            (0..6_000_000_u32).map(|n| u8::try_from(n.wrapping_mul(n) >> 24).unwrap()).collect();
        let chunker = Chunker::new(ChunkSizes::new(1024, 4096, 16_384).unwrap());
        let collect = |input: &mut dyn Read| {
            let mut cutter = Cutter::new(input, chunker);
            let mut chunks = Vec::new();
            while let Some(chunk) = cutter.next_chunk().unwrap() {
                chunks.push(chunk.to_vec());
            }
            chunks
        };
        let whole = collect(&mut &data[..]);
        assert_eq!(whole, collect(&mut Dripping(&data)));
        assert_eq!(whole.concat(), data);
        assert!(whole.len() > 300);
    }
}
