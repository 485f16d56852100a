// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every target answers all of its seeds and thousands of their mutations: in time, in bounded
//! memory and without breaking a promise. The mutations are the same in every run.

use atomix_fuzz::TARGETS;
use peak_alloc::PeakAlloc;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Mutations per target, where the time allows.
const MUTATIONS: u64 = 20_000;
/// Time for the mutations of one target; the slow ones get through fewer.
const TIME_PER_TARGET: Duration = Duration::from_millis(1500);
/// Longest time for one input, on a busy machine and without optimisation.
const TIME_PER_INPUT: Duration = Duration::from_secs(10);
/// Most memory that one input may cost, the input's own copies included.
const MEMORY_PER_INPUT: usize = 48 * 1024 * 1024;
/// Largest seed: small ones find more in the same time.
const SEED_BYTES: usize = 64 * 1024;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// The seeds by name, so that every run sees them in one order.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(corpus(target)).expect("every target has seeds") {
        let path = entry.expect("the folder can be read").path();
        let bytes = std::fs::read(&path).expect("a seed can be read");
        seeds.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes));
    }
    seeds.sort();
    seeds
}

/// A small generator with a seed: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or(0)
    }
}

const INTERESTING: [u64; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 63, u64::MAX];

/// `seed` after one to four changes, some of which bring in parts of `other`.
fn mutate(seed: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        let len = numbers.below(24).min(bytes.len() - at);
        match numbers.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << (len % 8)),
            2 => bytes.iter_mut().skip(at).take(1).for_each(|b| *b = len as u8),
            3 => {
                let value = INTERESTING[numbers.below(INTERESTING.len())];
                let width = [1, 2, 4, 8][numbers.below(4)];
                let mut word = value.to_le_bytes()[..width].to_vec();
                if numbers.below(2) == 0 {
                    word.reverse();
                }
                bytes.iter_mut().skip(at).zip(word).for_each(|(to, from)| *to = from);
            }
            4 => {
                let from = numbers.below(other.len());
                bytes.splice(at..at + len, other.iter().skip(from).take(len).copied());
            }
            5 => drop(bytes.drain(at..at + len)),
            6 => {
                let copy = bytes[at..at + len].to_vec();
                let to = numbers.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            _ => bytes.splice(at.., other.iter().skip(at).copied()).for_each(drop),
        }
    }
    bytes
}

/// Runs one input and holds it to its time and memory.
fn run(name: &str, run: fn(&[u8]), input: &[u8], what: &str) {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let begun = Instant::now();
    run_reporting(name, run, input, what);
    let (time, memory) = (begun.elapsed(), MEMORY.peak_usage().saturating_sub(before));
    assert!(time < TIME_PER_INPUT, "{name}: {what} took {time:?}");
    assert!(memory < MEMORY_PER_INPUT, "{name}: {what} took {memory} bytes of memory");
}

/// Keeps an input that breaks a promise beside the artifacts of cargo-fuzz.
fn run_reporting(name: &str, run: fn(&[u8]), input: &[u8], what: &str) {
    let outcome = std::panic::catch_unwind(|| run(input));
    if let Err(cause) = outcome {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-crash"));
        let kept = std::fs::write(&path, input);
        eprintln!("{name}: {what} broke a promise; kept as {}: {kept:?}", path.display());
        std::panic::resume_unwind(cause);
    }
}

/// One test, because the memory is measured for the whole process.
#[test]
fn every_target_answers_its_seeds_and_their_mutations() {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for (file, seed) in &seeds {
            assert!(seed.len() <= SEED_BYTES, "{name}/{file} is too large for a seed");
            run(name, target, seed, file);
        }
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        let begun = Instant::now();
        let mut done = 0;
        while done < MUTATIONS && begun.elapsed() < TIME_PER_TARGET {
            let (file, seed) = &seeds[numbers.below(seeds.len())];
            let (_, other) = &seeds[numbers.below(seeds.len())];
            let input = mutate(seed, other, &mut numbers);
            run(name, target, &input, &format!("mutation {done} of {file}"));
            done += 1;
        }
        println!("{name}: {} seeds, {done} mutations, {:?}", seeds.len(), begun.elapsed());
        assert!(done >= 20, "{name} is too slow to be explored: {done} mutations");
    }
}

#[test]
fn every_target_has_its_file_and_every_file_its_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |folder: &str| {
        let entries = std::fs::read_dir(root.join(folder)).expect("the folder is there");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("the folder can be read").path())
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .filter(|name| name != "README")
            .collect();
        names.sort();
        names
    };
    let targets: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
}
