// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every target answers all of its seeds and thousands of their mutations: in time, in bounded
//! memory and without breaking a promise. The mutations come in the same order in every run.
//!
//! Each target runs in a process of its own, as many at once as there are processors, because
//! memory is measured for a whole process. `ATOMIX_FUZZ_SECS=10` mutates for ten seconds each.

use atomix_fuzz::TARGETS;
use peak_alloc::PeakAlloc;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Names the one target that this process runs.
const ONLY: &str = "ATOMIX_FUZZ_TARGET";
/// Seconds that each target of [`HANDED_OVER`] is mutated, the others a third of it.
const SECS: &str = "ATOMIX_FUZZ_SECS";
/// Mutations per target where no time is asked for, as far as [`SHORT_TIME`] allows.
const MUTATIONS: u64 = 20_000;
const SHORT_TIME: Duration = Duration::from_millis(1500);
/// What reads bytes that a stranger, a server or a medium hands over. The rest reads what an
/// administrator or a program of ours wrote.
const HANDED_OVER: [&str; 32] = [
    "boot_script",
    "bundle",
    "bundle_edits",
    "config_bundle",
    "config_client",
    "config_form",
    "config_toml",
    "dead_kernel",
    "device_report",
    "env_data",
    "env_image",
    "env_store",
    "env_text",
    "envelope",
    "fat",
    "hawkbit",
    "helper_request",
    "http_head",
    "http_url",
    "key_file",
    "manifest",
    "original_answer",
    "partition_table",
    "recorder",
    "release",
    "repart_definition",
    "signature",
    "squashfs",
    "ssh_key",
    "ssh_signature",
    "system_conf",
    "verity_payload",
];
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

/// How long to mutate a target, and how often at most.
fn share(name: &str) -> (Duration, u64) {
    let Ok(secs) = std::env::var(SECS) else { return (SHORT_TIME, MUTATIONS) };
    let secs: u32 = secs.parse().expect("ATOMIX_FUZZ_SECS is a number of seconds");
    let whole = Duration::from_secs(secs.into());
    (if HANDED_OVER.contains(&name) { whole } else { whole / 3 }, u64::MAX)
}

/// Runs a target over its seeds and their mutations, in this process.
fn explore(name: &str, target: fn(&[u8])) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "{name} has no seeds");
    for (file, seed) in &seeds {
        assert!(seed.len() <= SEED_BYTES, "{name}/{file} is too large for a seed");
        run(name, target, seed, file);
    }
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (time, most) = share(name);
    let begun = Instant::now();
    let mut done = 0;
    // A few at least, however busy the machine is.
    while done < 20 || (done < most && begun.elapsed() < time) {
        let (file, seed) = &seeds[numbers.below(seeds.len())];
        let (_, other) = &seeds[numbers.below(seeds.len())];
        let input = mutate(seed, other, &mut numbers);
        run(name, target, &input, &format!("mutation {done} of {file}"));
        done += 1;
    }
    println!("{name}: {} seeds, {done} mutations, {:?}", seeds.len(), begun.elapsed());
}

#[test]
fn every_target_answers_its_seeds_and_their_mutations() {
    if let Ok(only) = std::env::var(ONLY) {
        let found = TARGETS.iter().find(|(name, _)| *name == only);
        let (name, target) = found.expect("the target exists");
        return explore(name, *target);
    }
    assert!(HANDED_OVER.iter().all(|name| TARGETS.iter().any(|(target, _)| target == name)));
    let waiting = Mutex::new(TARGETS.map(|(name, _)| name).to_vec());
    let failed = Mutex::new(Vec::new());
    // Taken in a function of its own: in the head of a loop the lock would be held in its body.
    let next = || waiting.lock().expect("no worker panics").pop();
    let worker = || {
        while let Some(name) = next() {
            let mut alone = Command::new(std::env::current_exe().expect("this program has a path"));
            alone.args(["--exact", "every_target_answers_its_seeds_and_their_mutations"]);
            let output = alone.arg("--nocapture").env(ONLY, name).output();
            let output = output.expect("this program can be run again");
            let told = String::from_utf8_lossy(&output.stdout);
            told.lines().filter(|line| line.starts_with(name)).for_each(|line| println!("{line}"));
            if !output.status.success() {
                eprint!("{}", String::from_utf8_lossy(&output.stderr));
                failed.lock().expect("no worker panics").push(name);
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(worker);
        }
    });
    let failed = failed.into_inner().expect("no worker panics");
    assert!(failed.is_empty(), "{failed:?} broke a promise or a limit");
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
