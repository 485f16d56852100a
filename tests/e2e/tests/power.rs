// SPDX-License-Identifier: MIT OR Apache-2.0
//! The power goes: at moments of a running board, and at moments of a recorded run that no killed
//! emulator can show. Never a dead board, and the next attempt converges.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use anyhow::{Context as _, Result, ensure};
use bootctl::SlotId;
use e2e::crash_images::{
    Content, CrashImages, Cut, Effort, Judge, LateBlock, LogCounts, Verdict, WriteLog, join,
    plan_cuts,
};
use e2e::live::{Board, WAIT};
use e2e::progress::say;
use e2e::scenario::Scenario;
use e2e::wiring::Wiring;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use storage::{Access, FileStorage};

/// Another seed plays other moments; a run says which it had.
const SEED_VARIABLE: &str = "ATOMIX_E2E_SEED";
const DEFAULT_SEED: u64 = 3;

/// What the first boot says, in its order; a cut after each leaves another half of its work.
const FIRST_BOOT_MARKS: [&str; 8] = [
    "(boot-b): head wiped",
    "(data): head wiped",
    "environment bound to disk",
    "backup table written",
    "primary table written",
    "(boot-b): vfat made",
    "(data): f2fs made",
    "provisioned written",
];

fn seed() -> u64 {
    let set = std::env::var(SEED_VARIABLE).ok();
    let seed = set.map_or(DEFAULT_SEED, |text| text.parse().expect("a number"));
    say(&format!("seed {seed}; {SEED_VARIABLE} sets another"));
    seed
}

/// Numbers that look random and are the same for the same seed (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// What the board does when the power goes.
#[derive(Clone, Copy, Debug)]
enum During {
    /// It installs.
    Install,
    /// It changes its environment, again and again.
    Commits,
    /// It goes down.
    Reboot,
    /// U-Boot chooses and saves.
    Selector,
    /// Linux starts.
    Boot,
    /// The running slot is confirmed.
    Confirmation,
}

/// What a complete slot may hold: what A was flashed with, and the update.
struct Known {
    flashed: Content,
    update: Content,
}

impl Known {
    fn of(board: &Board) -> Result<Self> {
        let disk = FileStorage::open(&board.machine.disk(), Access::ReadOnly)?;
        let flashed = Content::whole_slot(&disk, SlotId::A)?;
        Ok(Self { flashed, update: Content::of_update(board.machine.dir())? })
    }

    /// The slot that runs is one that was complete.
    fn check_running(&self, board: &mut Board) -> Result<SlotId> {
        let slot = running(board)?;
        let disk = FileStorage::open(&board.machine.disk(), Access::ReadOnly)?;
        let whole = self.update.is_in(&disk, slot)?
            || (slot == SlotId::A && self.flashed.is_in(&disk, slot)?);
        ensure!(whole, "slot {slot} runs and is not complete");
        Ok(slot)
    }
}

fn running(board: &mut Board) -> Result<SlotId> {
    let arguments = board.told("cat /proc/cmdline")?;
    Ok(if arguments.contains("rauc.slot=A") { SlotId::A } else { SlotId::B })
}

/// Cuts the power and switches on again: the board must come back by itself, in a complete slot.
fn comes_back(board: &mut Board, known: &Known, after: &str) -> Result<SlotId> {
    board.cut();
    board.note(&format!("power cut: {after}"));
    let begin = Instant::now();
    board.switch_on()?;
    board.selected("")?;
    board.guest_up()?;
    let secs = begin.elapsed().as_secs_f64();
    board.measure("from power cut to booted", secs);
    board.told("atomix status")?;
    let slot = known.check_running(board)?;
    let state = board.variable("atomix_state_B")?;
    say(&format!("cut {after}: slot {slot} is up after {secs:.1} s; B is {state}"));
    Ok(slot)
}

/// Brings the board to where it does this, and to a moment in it. Where it writes, the moment's
/// bounds are found on the card and the disk: a busy machine is too slow for any fixed time, and an
/// idle one too fast.
fn reach(board: &mut Board, during: During, millis: u64) -> Result<()> {
    let mut wait = Duration::from_millis(millis);
    match during {
        During::Install => {
            board.await_confirmation()?;
            board.mount_stick()?;
            let begun = |board: &Board| {
                let env = board.environment().unwrap_or_default();
                env.iter()
                    .any(|(name, value)| name.starts_with("atomix_state_") && value == "writing")
            };
            // One that was cut before has left it so.
            let again = begun(board);
            let before = board.environment_bytes()?;
            let inactive = running(board)?.other();
            let disk = FileStorage::open(&board.machine.disk(), Access::ReadOnly)?;
            let late = LateBlock::of_update(&disk, inactive)?;
            board.start("atomix install /run/stick/update.raucb")?;
            await_on_card(|| Ok(board.environment_bytes()? != before && (again || begun(board))))?;
            let end = Instant::now() + wait;
            return await_on_card(|| {
                let late = late.as_ref().map_or(Ok(true), |late| late.is_in(&disk))?;
                Ok(late || Instant::now() >= end)
            });
        }
        During::Commits | During::Confirmation => {
            // What is confirmed already is not written again.
            let confirmed = board.run("atomix boot is-confirmed")?.exit == 0;
            let before = board.environment_bytes()?;
            board.start(if confirmed || matches!(during, During::Commits) {
                "n=0; while :; do n=$((n + 1)); fw_setenv e2e $n; done"
            } else {
                "atomix boot mark-good"
            })?;
            // A commit is a matter of milliseconds.
            wait = Duration::from_micros(millis);
            await_on_card(|| Ok(board.environment_bytes()? != before))?;
        }
        During::Reboot => board.start("systemctl reboot")?,
        During::Selector => {
            board.start("systemctl reboot")?;
            board.expect("Autoboot in")?;
        }
        During::Boot => {
            board.start("systemctl reboot")?;
            board.expect("Starting kernel")?;
        }
    }
    std::thread::sleep(wait);
    Ok(())
}

fn await_on_card(mut come: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + WAIT;
    while !come()? {
        ensure!(Instant::now() < end, "nothing comes on the card");
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

/// Installs, boots what was installed, and waits for its confirmation.
fn converges(board: &mut Board, known: &Known, running: SlotId) -> Result<()> {
    board.await_confirmation()?;
    board.install()?;
    board.reboot(&format!("{}, trying", running.other()))?;
    let slot = known.check_running(board)?;
    ensure!(slot == running.other(), "slot {slot} runs");
    board.await_confirmation()
}

/// The original suite's `power-loss`: six cuts in one board's life.
#[test]
fn rauc_power_loss_is_survived_in_every_phase_of_a_boards_life() -> Result<()> {
    Scenario::new("power-loss").flashed().starts_off().run(|board| {
        let mut numbers = Numbers(seed());
        let known = Known::of(board)?;
        let mark = FIRST_BOOT_MARKS[usize::try_from(numbers.below(8))?];
        board.switch_on()?;
        board.expect(mark)?;
        comes_back(board, &known, &format!("at {mark:?}"))?;
        for during in [During::Install, During::Install, During::Commits] {
            let millis = numbers.below(2500);
            reach(board, during, millis)?;
            let slot = comes_back(board, &known, &format!("in {during:?}, {millis}"))?;
            ensure!(slot == SlotId::A, "slot {slot} runs");
            ensure!(board.variable("atomix_state_B")? == "writing", "no install was cut");
        }
        board.install()?;
        let millis = numbers.below(100);
        reach(board, During::Selector, millis)?;
        let slot = comes_back(board, &known, &format!("in the selector, {millis}"))?;
        ensure!(slot == SlotId::B, "slot {slot} runs");
        let millis = numbers.below(400);
        reach(board, During::Confirmation, millis)?;
        let slot = comes_back(board, &known, &format!("in the confirmation, {millis}"))?;
        ensure!(slot == SlotId::B, "slot {slot} runs");
        board.await_confirmation()?;
        ensure!(board.variable("atomix_state_B")? == "good");
        Ok(())
    })
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn power_loss_at_many_moments() -> Result<()> {
    use During::{Boot, Commits, Confirmation, Install, Reboot, Selector};
    Scenario::new("power-loss-long").starts_off().run(|board| {
        board.power_on("A, normal")?;
        let mut numbers = Numbers(seed());
        let known = Known::of(board)?;
        let mut running = SlotId::A;
        for round in 0..24 {
            let kinds = [Install, Install, Commits, Reboot, Selector, Boot, Confirmation];
            let during = kinds[usize::try_from(numbers.below(7))?];
            let millis = numbers.below(5000);
            reach(board, during, millis)?;
            let after = format!("{round}: in {during:?}, {millis}");
            running = comes_back(board, &known, &after)?;
        }
        converges(board, &known, running)
    })
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn a_first_boot_that_is_cut_while_it_repartitions_is_ended_by_the_next() -> Result<()> {
    first_boot_cut_at("first-boot-cut", &["(data): head wiped", "backup table written"])
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn a_first_boot_that_is_cut_at_any_step_is_ended_by_the_next() -> Result<()> {
    first_boot_cut_at("first-boot-cut-long", &FIRST_BOOT_MARKS)
}

/// Cuts one board's first boot once at each mark that comes, and lets the last try go through.
fn first_boot_cut_at(name: &str, marks: &[&str]) -> Result<()> {
    for mark in marks {
        let name = format!("{name}-{}", mark.replace(|c: char| !c.is_alphanumeric(), ""));
        Scenario::new(&name).flashed().starts_off().run(|board| {
            let known = Known::of(board)?;
            board.switch_on()?;
            board.expect(mark)?;
            comes_back(board, &known, &format!("at {mark:?}"))?;
            is_provisioned(board)
        })?;
    }
    Ok(())
}

/// What a recorded run left.
struct Record {
    base: FileStorage,
    data: FileStorage,
    log: WriteLog,
    disk_bytes: u64,
    content: Content,
    dir: PathBuf,
}

impl Record {
    /// Wires a board that is off so that all it writes is logged, and plays `run`.
    fn of(board: &mut Board, run: impl FnOnce(&mut Board) -> Result<()>) -> Result<Self> {
        let dir = board.machine.dir().to_owned();
        let (base, joined) = (dir.join("before.img"), dir.join("joined.img"));
        let (disk, card) = (board.machine.disk(), board.machine.card());
        let disk_bytes = join(&disk, &card, &base)?.get();
        join(&disk, &card, &joined)?;
        let log = dir.join("writes.log");
        File::create(&log)?;
        board.machine.wiring = Wiring::Logged {
            joined: joined.clone(),
            disk_bytes,
            card_bytes: fs::metadata(&card)?.len(),
            log: log.clone(),
        };
        run(board)?;
        board.cut();
        board.machine.wiring = Wiring::Plain;
        fs::remove_file(joined)?;
        let data = FileStorage::open(&log, Access::ReadOnly)?;
        let log = WriteLog::parse(&data)?;
        let base = FileStorage::open(&base, Access::ReadOnly)?;
        let content = Content::of_update(&dir)?;
        Ok(Self { base, data, log, disk_bytes, content, dir })
    }

    /// Judges the images of many cuts; chooses some of them to be booted, of each kind of verdict
    /// by turns.
    fn judge(&self, mut judge: Judge, most: usize, booted: usize) -> Result<Sample> {
        judge.untouched(&self.log)?;
        let seed = seed();
        let effort = Effort { between: 6, most };
        let cuts = plan_cuts(&self.log, self.disk_bytes, seed, effort);
        let mut images = CrashImages::new(&self.base, &self.data, &self.log, self.disk_bytes);
        let begin = Instant::now();
        let mut kinds: Vec<(Verdict, Vec<Cut>)> = Vec::new();
        for cut in &cuts {
            let image = images.image(*cut);
            let verdict = judge.judge(&image).with_context(|| cut.to_string())?;
            match kinds.iter_mut().find(|(kind, _)| *kind == verdict) {
                Some((_, all)) => all.push(*cut),
                None => kinds.push((verdict, vec![*cut])),
            }
        }
        let counts = self.log.counts();
        say(&format!(
            "{} writes, {} flushes, {} images checked in {:.1} s",
            counts.writes,
            counts.flushes,
            cuts.len(),
            begin.elapsed().as_secs_f64()
        ));
        for (verdict, cuts) in &kinds {
            say(&format!("{:5} images: {verdict:?}", cuts.len()));
        }
        let chosen = choose(&kinds, booted, seed);
        Ok(Sample { images: cuts.len(), kinds: kinds.len(), chosen })
    }

    /// Boots an image: the selector takes the slot that the model took, that slot is complete, and
    /// `then` goes on from there.
    fn boot(
        &self,
        name: &str,
        (cut, verdict): (Cut, Verdict),
        then: impl FnOnce(&mut Board, &Known, SlotId) -> Result<()>,
    ) -> Result<()> {
        let mut images = CrashImages::new(&self.base, &self.data, &self.log, self.disk_bytes);
        let image = images.image(cut);
        say(&format!("booting the image of a cut {cut}: {verdict:?}"));
        Scenario::new(name).starts_off().run(|board| {
            fs::remove_file(board.machine.disk())?;
            fs::remove_file(board.machine.card())?;
            image.write_to(&board.machine.disk(), &board.machine.card())?;
            let known = Known::of(board)?;
            board.power_on(&format!("{}, ", verdict.boots))?;
            board.told("atomix status")?;
            let running = known.check_running(board)?;
            then(board, &known, running)
        })
    }

    fn forget(self) -> Result<()> {
        for name in ["before.img", "writes.log"] {
            fs::remove_file(self.dir.join(name))?;
        }
        Ok(())
    }
}

/// Cuts of all kinds by turns, each once.
fn choose(kinds: &[(Verdict, Vec<Cut>)], count: usize, seed: u64) -> Vec<(Cut, Verdict)> {
    let mut numbers = Numbers(seed);
    let mut left = kinds.to_vec();
    let first = usize::try_from(numbers.below(kinds.len() as u64)).unwrap();
    left.rotate_left(first);
    let mut chosen = Vec::new();
    while chosen.len() < count && !left.is_empty() {
        let step = (left.len() / (count - chosen.len())).max(1);
        let (verdict, mut cuts) = left.remove(0);
        let index = usize::try_from(numbers.below(cuts.len() as u64)).unwrap();
        chosen.push((cuts.swap_remove(index), verdict));
        if !cuts.is_empty() {
            left.push((verdict, cuts));
        }
        let skipped = (step - 1).min(left.len());
        left.rotate_left(skipped);
    }
    chosen.sort_by_key(|(cut, _)| *cut);
    chosen
}

struct Sample {
    images: usize,
    kinds: usize,
    chosen: Vec<(Cut, Verdict)>,
}

/// Records an install with everything up to its confirmation, judges images of it, boots some;
/// the next install converges.
fn crash_images_of_an_install(name: &str, most: usize, booted: usize) -> Result<()> {
    let mut record = None;
    Scenario::new(name).starts_off().run(|board| {
        record = Some(Record::of(board, |board| {
            board.power_on("A, normal")?;
            board.install()?;
            board.reboot("B, trying")?;
            board.await_confirmation()?;
            board.told("sync").map(drop)
        })?);
        Ok(())
    })?;
    let record = record.context("nothing was recorded")?;
    let sample = record.judge(Judge::of_install(SlotId::B, record.content), most, booted)?;
    // Before the install, in it, sealed and not committed, to be tried, confirmed.
    ensure!(sample.kinds >= 4, "the cuts show {} states only", sample.kinds);
    for (number, chosen) in sample.chosen.iter().enumerate() {
        record.boot(&format!("{name}-{number}"), *chosen, |board, known, running| {
            if board.variable(&format!("atomix_state_{running}"))? == "trying" {
                board.await_confirmation()?;
            }
            board.install()?;
            board.reboot(&format!("{}, trying", running.other()))?;
            known.check_running(board).map(drop)
        })?;
    }
    say(&summary(&record, &sample));
    record.forget()
}

/// Records a first boot, judges images of it, boots some; each ends the first boot.
fn crash_images_of_a_first_boot(name: &str, most: usize, booted: usize) -> Result<()> {
    let mut record = None;
    Scenario::new(name).flashed().starts_off().run(|board| {
        record = Some(Record::of(board, |board| {
            board.power_on("A, env-lost")?;
            board.told("sync").map(drop)
        })?);
        Ok(())
    })?;
    let record = record.context("nothing was recorded")?;
    let sample = record.judge(Judge::of_first_boot(), most, booted)?;
    for (number, chosen) in sample.chosen.iter().enumerate() {
        record.boot(&format!("{name}-{number}"), *chosen, |board, _, _| is_provisioned(board))?;
    }
    say(&summary(&record, &sample));
    record.forget()
}

/// The first boot is over: data is there, slot A is good, and a foreign judge finds the partition
/// table whole.
fn is_provisioned(board: &mut Board) -> Result<()> {
    ensure!(board.told("cat /data/atomix/provisioned")? == "1\n");
    ensure!(board.told("cat /proc/mounts")?.contains("/dev/vda5 /data f2fs "));
    ensure!(board.variable("atomix_state_A")? == "good");
    board.power_off()?;
    let verified = Command::new("sgdisk").arg("--verify").arg(board.machine.disk()).output()?;
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    ensure!(verified.status.success() && said.contains("No problems found"), "{said}");
    Ok(())
}

fn summary(record: &Record, sample: &Sample) -> String {
    let LogCounts { writes, flushes } = record.log.counts();
    let (images, booted) = (sample.images, sample.chosen.len());
    format!("{writes} writes, {flushes} flushes, {images} images checked, {booted} booted, 0 dead")
}

#[test]
fn no_crash_image_of_a_recorded_install_is_a_dead_board() -> Result<()> {
    crash_images_of_an_install("crash-images", 1000, 3)
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn no_crash_image_of_a_recorded_install_is_a_dead_board_by_many_images() -> Result<()> {
    crash_images_of_an_install("crash-images-long", 5000, 15)
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn no_crash_image_of_a_recorded_first_boot_is_a_dead_board() -> Result<()> {
    crash_images_of_a_first_boot("crash-images-first-boot", 1000, 4)
}
