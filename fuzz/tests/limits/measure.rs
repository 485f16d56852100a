// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much memory and how much of the processor does a target take for an input?

use atomix_fuzz::TARGETS;
use peak_alloc::PeakAlloc;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Memory is measured for the whole process: one test at a time, making its inputs included.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

pub const KIB: usize = 1024;
pub const MIB: usize = 1024 * KIB;

fn target(name: &str) -> fn(&[u8]) {
    let found = TARGETS.iter().find(|(target, _)| *target == name);
    found.expect("the target exists").1
}

/// Most memory that the target took for the input, in bytes.
fn peak(name: &str, input: &[u8]) -> usize {
    // What a target makes once for all inputs does not count.
    target(name)(&[]);
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    target(name)(input);
    MEMORY.peak_usage().saturating_sub(before)
}

/// The processor's time of this thread in nanoseconds.
fn processor_time() -> u64 {
    // The kernel adds up what a thread has used when it gives way, else only at its clock's ticks.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    let time = text.split(' ').next().and_then(|field| field.parse().ok());
    time.expect("the first field is a number")
}

/// The processor's time for an input, the least of a few runs.
fn effort(name: &str, input: &[u8]) -> u64 {
    let run = target(name);
    let once = || {
        let before = processor_time();
        run(input);
        processor_time() - before
    };
    (0..3).map(|_| once()).min().unwrap_or(0)
}

/// Holds a target to its memory for its worst inputs, which are as long as its parser accepts.
pub fn holds(name: &str, most: usize, worst: &[(&str, Vec<u8>)]) {
    for (what, input) in worst {
        let found = peak(name, input);
        println!("{name}: {what}: {} bytes in, {} KiB of memory", input.len(), found / KIB);
        assert!(found <= most, "{name}: {what} took {found} bytes, more than {most}");
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/parser-limits.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let stated = format!("{} MiB", most / MIB);
    let row = page.lines().find(|line| line.contains(&format!("`{name}`")));
    let row = row.unwrap_or_else(|| panic!("docs/parser-limits.md has no row for {name}"));
    assert!(row.contains(&stated), "docs/parser-limits.md does not say {stated} of {name}: {row}");
}

/// Four times the input takes less than nine times the time. Inputs of `units` take a
/// millisecond or more, so that the clock's own grain does not matter.
pub fn grows_slowly(name: &str, what: &str, input: impl Fn(usize) -> Vec<u8>, units: usize) {
    let (short, long) = (effort(name, &input(units)), effort(name, &input(4 * units)));
    println!("{name}: {what}: {} us, of four times as much {} us", short / 1000, long / 1000);
    let floor = 200_000;
    assert!(long <= 9 * short.max(floor), "{name}: {what}: {short} ns, then {long} ns");
}
pub fn lines(count: usize, line: impl Fn(usize) -> String) -> Vec<u8> {
    (0..count).map(line).collect::<String>().into_bytes()
}

/// The text cut to what the parser accepts at most.
pub fn cut(mut text: Vec<u8>, most: usize) -> Vec<u8> {
    text.truncate(most);
    text
}
