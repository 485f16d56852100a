// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every access to every device fails once, in every way it can, during every operation: the board
//! boots a whole slot afterwards, the message names what failed where, and the same command comes
//! to its end as soon as the device works again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

#[path = "../cli_board/mod.rs"]
mod cli_board;
mod judge;
mod media;
mod operations;

use atomix::context::Context;
use cli_board::{NOW, Ran, run_on};
use judge::{End, Hit, promise, truth};
use media::{Contents, Did, Fault, Media};
use operations::{Operation, operations};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Memory, where the system has it: the small files are synced thousands of times.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.unwrap()
}

/// A root for one run after the other.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn lay_out(&self, files: &BTreeMap<PathBuf, Vec<u8>>) {
        for name in ["data", "run", "proc"] {
            let _absent = fs::remove_dir_all(self.dir.path().join(name));
        }
        fs::create_dir_all(self.dir.path().join("run/atomix")).unwrap();
        for (path, content) in files {
            let path = self.dir.path().join(path);
            if !path.exists() {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
        }
    }

    fn run(&self, operation: &Operation, media: &Media) -> Ran {
        let mut context = Context::with_devices(self.dir.path(), Box::new(media.clone()), NOW);
        context.machine = operation.machine;
        let argv = operation.argv(self.dir.path());
        run_on(&context, &argv.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn end(&self, media: &Media) -> End {
        End::of(media, self.dir.path())
    }
}

/// An operation and what it does undisturbed.
struct Prepared {
    operation: Operation,
    files: BTreeMap<PathBuf, Vec<u8>>,
    devices: Contents,
    before: End,
    ran: Ran,
    end: End,
    points: Vec<(usize, Did, Fault)>,
}

impl Prepared {
    fn new(operation: Operation) -> Self {
        let (files, devices) = (operation.files(), operation.devices());
        let place = Place { dir: scratch() };
        place.lay_out(&files);
        let media = Media::new(devices.clone());
        let before = place.end(&Media::new(devices.clone()));
        let ran = place.run(&operation, &media);
        let log = media.log();
        let end = place.end(&media);
        let points = log.into_iter().enumerate().flat_map(|(at, did)| {
            did.act.faults().iter().map(move |fault| (at, did.clone(), *fault))
        });
        let points = points.collect();
        Self { operation, files, devices, before, ran, end, points }
    }

    /// One fault and what came of it; each finding in words.
    fn meet(&self, place: &Place, at: usize, did: &Did, fault: Fault) -> Findings {
        place.lay_out(&self.files);
        let media = Media::new(self.devices.clone());
        media.fail(at, fault);
        let ran = place.run(&self.operation, &media);
        assert!(media.log().get(at) == Some(did), "the runs differ before access {at}");
        media.repair();
        let now = place.end(&media);
        let reached = now.is_like(&self.end, &self.operation);
        let hit = Hit { fault, did };
        let mut bricks = promise(&self.operation, &now, &self.before, &self.end);
        let mut waits = 0;
        let untrue = truth(&self.operation, &hit, &ran, &self.ran, reached);
        let mut again = place.run(&self.operation, &media);
        // What nobody can write anew on a medium with a bad sector is told of until it is replaced.
        let told = again.stderr.contains(&did.device.display().to_string());
        if again.code == 1 && fault == Fault::BadSector && told {
            waits = 1;
            media.replace_medium();
            again = place.run(&self.operation, &media);
        }
        let end = place.end(&media);
        bricks.extend(promise(&self.operation, &end, &self.before, &self.end));
        let mut stuck = Vec::new();
        if again.code != self.ran.code {
            stuck.push(format!("again: exit {}: {}", again.code, again.stderr));
        } else if !end.is_like(&self.end, &self.operation) {
            stuck.push("again: it ends elsewhere".to_owned());
        }
        let about = |found: Vec<String>| {
            let tell = |what| {
                let operation = self.operation.name;
                format!("{operation}, access {at} {did:?} {fault:?}: {what}\n    {}", ran.stderr)
            };
            found.into_iter().map(tell).collect()
        };
        let went_on = usize::from(ran.code == self.ran.code);
        let (bricks, untrue, stuck) = (about(bricks), about(untrue), about(stuck));
        Findings { bricks, untrue, stuck, went_on, waits }
    }
}

#[derive(Default)]
struct Findings {
    bricks: Vec<String>,
    untrue: Vec<String>,
    stuck: Vec<String>,
    went_on: usize,
    /// Bad sectors that no repeat heals.
    waits: usize,
}

impl Findings {
    fn add(&mut self, other: Self) {
        self.bricks.extend(other.bricks);
        self.untrue.extend(other.untrue);
        self.stuck.extend(other.stuck);
        self.went_on += other.went_on;
        self.waits += other.waits;
    }
}

#[test]
fn every_failing_access_leaves_a_board_that_boots_a_true_word_and_a_way_on() {
    let begun = Instant::now();
    let only = std::env::var("FAULTS_ONLY").unwrap_or_default();
    let all: Vec<Prepared> = operations()
        .into_iter()
        .filter(|one| one.name.contains(&only))
        .map(Prepared::new)
        .collect();
    let points: Vec<_> =
        all.iter().flat_map(|one| one.points.iter().map(move |point| (one, point))).collect();
    for Prepared { operation, ran, .. } in &all {
        assert_eq!(ran.code, operation.code, "{}: {}", operation.name, ran.stderr);
    }
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let mut found = Findings::default();
    std::thread::scope(|scope| {
        let work = || {
            let mut found = Findings::default();
            let mut places: BTreeMap<&str, Place> = BTreeMap::new();
            while let Some((one, (at, did, fault))) =
                points.get(next.fetch_add(1, Ordering::Relaxed))
            {
                let place =
                    places.entry(one.operation.name).or_insert_with(|| Place { dir: scratch() });
                found.add(one.meet(place, *at, did, *fault));
            }
            found
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            found.add(worker.join().unwrap());
        }
    });
    let line = format!(
        "faults: {} operations, {} fault points, {} bricks, {} untrue errors, {} left stuck, \
         {} went on, {} bad sectors wait for another medium, {:.0} s",
        all.len(),
        points.len(),
        found.bricks.len(),
        found.untrue.len(),
        found.stuck.len(),
        found.went_on,
        found.waits,
        begun.elapsed().as_secs_f64()
    );
    let _seen = writeln!(std::io::stderr(), "{line}");
    let wrong: Vec<_> =
        [found.bricks, found.untrue, found.stuck].into_iter().flatten().take(400).collect();
    assert!(wrong.is_empty(), "{line}\n{}", wrong.join("\n"));
}
