// SPDX-License-Identifier: MIT OR Apache-2.0
//! An interrupted install of a bundle on a server goes on: power cuts at every act, networks that
//! fail, notes that lie. A slot that boots is whole (I1, I2), the repeat converges (I6), and what
//! the slot holds is not fetched again.

use crate::support::bundles::{file_of, verify_from};
use crate::support::{
    BOOT_BYTES, Board, ENV_BYTES, SYSTEM_CONF, System, config, image, options, slot_device, system,
};
use bootctl::{Recorder, SlotId, SlotState, Timestamp, select};
use bundle::{MemorySource, Source, SourceError, VerifiedBundle};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use storage::{
    ByteLen, CutAt, CutPlan, Digest, Files, FilesError, MemoryFiles, PowerCut, PowerCutDevices,
    PowerCutFiles, Shared, Storage, chain,
};
use updater::{
    BootedGroup, InstallError, InstallEvent, InstallPolicy, InstallReport, Installer, ResumeRule,
};

const MIB: usize = 1024 * 1024;
const ROOTFS: usize = 6 * MIB + 70_000;
/// Beside the content: signature, tables, hashes, and the block that the seal lies in.
const SMALL: u64 = 512 * 1024;
/// Read of the bundle before it is on the slot: buffers, and what is verified ahead.
const ON_ITS_WAY: u64 = 6 * MIB as u64;
const NOTE: &str = "/data/atomix/install.resume";

static AFTER: LazyLock<System> =
    LazyLock::new(|| System { boot: system(3).boot, rootfs: image(90, ROOTFS) });
static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    file_of(&[("boot", "boot.vfat", &AFTER.boot), ("rootfs", "rootfs.img", &AFTER.rootfs)], "26.1")
});

/// A bundle on a server that counts, and is gone after so many bytes.
struct Server {
    bytes: MemorySource,
    fetched: AtomicU64,
    most: u64,
}

impl Server {
    fn new(most: u64) -> Arc<Self> {
        let bytes = MemorySource::new("https://server/b.raucb", FILE.clone());
        Arc::new(Self { bytes, fetched: AtomicU64::new(0), most })
    }

    fn fetched(&self) -> u64 {
        self.fetched.load(Ordering::SeqCst)
    }
}

impl Source for Server {
    fn name(&self) -> &str {
        self.bytes.name()
    }

    fn len(&self) -> ByteLen {
        self.bytes.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), SourceError> {
        let before = self.fetched.fetch_add(buf.len() as u64, Ordering::SeqCst);
        if before + buf.len() as u64 > self.most {
            let (name, len) = (self.name().to_owned(), buf.len());
            let source = std::io::Error::other("the network is gone");
            return Err(SourceError::Read { name, offset, len, source });
        }
        self.bytes.read_at(offset, buf)
    }

    fn is_remote(&self) -> bool {
        true
    }
}

/// Files that outlive the power.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<MemoryFiles>>);

impl Files for Kept {
    fn read(&self, path: &Path, limit: ByteLen) -> Result<Option<Vec<u8>>, FilesError> {
        self.0.lock().unwrap().read(path, limit)
    }

    fn replace(&mut self, path: &Path, content: &[u8]) -> Result<(), FilesError> {
        self.0.lock().unwrap().replace(path, content)
    }

    fn remove(&mut self, path: &Path) -> Result<(), FilesError> {
        self.0.lock().unwrap().remove(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, FilesError> {
        self.0.lock().unwrap().list(dir)
    }
}

impl Kept {
    fn note(&self) -> String {
        let bytes = self.read(Path::new(NOTE), ByteLen::kib(64)).unwrap().unwrap_or_default();
        String::from_utf8(bytes).unwrap()
    }

    /// How many bytes the note claims in all.
    fn claimed(&self) -> u64 {
        let note = self.note();
        let lines = note.lines().filter(|line| line.starts_with("slot "));
        lines.map(|line| line.split(' ').nth(3).unwrap().parse::<u64>().unwrap()).sum()
    }
}

struct Done {
    outcome: Result<InstallReport, InstallError>,
    fetched: u64,
    told: Vec<String>,
    plan: CutPlan,
}

fn open(server: &Arc<Server>) -> VerifiedBundle {
    verify_from(Arc::<Server>::clone(server)).unwrap()
}

fn board() -> Board {
    Board::with_room(&system(1), &system(2), (BOOT_BYTES, 7 * MIB))
}

/// Installs what `server` has, with the power going at `at`.
fn install_as(
    board: &Board,
    files: &Kept,
    server: &Arc<Server>,
    (at, seed): (CutAt, u64),
    resume: ResumeRule,
) -> Done {
    let bundle = open(server);
    let plan = CutPlan::new(at, seed);
    let env = Shared::new(PowerCut::new(board.env.clone(), &plan));
    let history: Box<dyn Storage> = Box::new(PowerCut::new(board.history.clone(), &plan));
    let lock = board.lock();
    let mut recorder = Recorder::open(history, ENV_BYTES).unwrap();
    let mut told = Vec::new();
    let policy = InstallPolicy { resume, ..InstallPolicy::default() };
    let outcome = Installer {
        config: &config(SYSTEM_CONF),
        devices: &PowerCutDevices::new(board.devices.clone(), &plan),
        files: &mut PowerCutFiles::new(files.clone(), &plan),
        backend: &mut Board::backend(env),
        recorder: Some(&mut recorder),
        at: Timestamp::UNKNOWN,
        progress: &mut |event| match event {
            InstallEvent::Note(text) | InstallEvent::Warning(text) => told.push(text),
            InstallEvent::Step(_) => {}
            InstallEvent::Bytes { done, total } => assert!(done <= total, "{done} of {total}"),
        },
    }
    .install(&lock, &bundle, &options(BootedGroup::Slot(SlotId::A), policy));
    Done { outcome, fetched: server.fetched(), told, plan }
}

const EVERY_MIB: ResumeRule = ResumeRule::Every(ByteLen::mib(1));

fn install(board: &Board, files: &Kept, server: &Arc<Server>) -> Done {
    install_as(board, files, server, (CutAt::Never, 0), EVERY_MIB)
}

/// The slot that the firmware starts, whole with and without the environment.
fn boots_whole(board: &Board, context: &str) -> SlotId {
    let is_whole = |slot| match slot {
        SlotId::A => board.holds(slot, &system(1)),
        SlotId::B => board.holds(slot, &system(2)) || board.holds(slot, &AFTER),
    };
    for slot in SlotId::ALL {
        assert!(!board.loads(slot) || is_whole(slot), "{context}: {slot} loads half a system");
    }
    let lost = select(None, &board.firmware_facts()).boots;
    assert!(lost.is_some_and(is_whole), "{context}: without environment {lost:?}");
    let selection = select(Some(&board.state()), &board.firmware_facts());
    let boots = selection.boots.unwrap_or_else(|| panic!("{context}: nothing boots"));
    assert!(is_whole(boots), "{context}: {boots} boots and is not whole");
    assert_ne!(board.state().slot(boots).state, SlotState::Writing, "{context}");
    board.set_state(&selection.state);
    boots
}

/// Cuts once, restarts, and installs again; false if the cut came after the last commit.
fn cut_and_go_on(at: CutAt, seed: u64) -> bool {
    let context = format!("cut at {at:?} with seed {seed}");
    let (board, files, whole) = (board(), Kept::default(), FILE.len() as u64);
    let first = install_as(&board, &files, &Server::new(u64::MAX), (at, seed), EVERY_MIB);
    assert!(first.plan.is_cut(), "{context}: the install has fewer acts");
    if boots_whole(&board, &context) == SlotId::B {
        assert!(board.holds(SlotId::B, &AFTER), "{context}: old B chosen");
        return false;
    }
    let claimed = files.claimed();
    let second = install(&board, &files, &Server::new(u64::MAX));
    second.outcome.unwrap_or_else(|error| panic!("{context}: {}", chain(&error)));
    assert!(board.holds(SlotId::B, &AFTER), "{context}: the repeat does not converge");
    assert_eq!(boots_whole(&board, &context), SlotId::B, "{context}: the repeat is not chosen");
    // All that is claimed is durable, also where the seal is zero: nothing of it is fetched.
    let doubted = second.told.iter().any(|text| text.contains("does not hold what"));
    assert!(!doubted, "{context}: {:?}", second.told);
    let most = whole - claimed + SMALL;
    assert!(second.fetched <= most, "{context}: {} and not {most}", second.fetched);
    let both = first.fetched + second.fetched;
    let most = whole + MIB as u64 + ON_ITS_WAY + SMALL;
    assert!(both <= most, "{context}: {both} and not {most}");
    assert_eq!(files.note(), "", "{context}: the note stays");
    true
}

#[test]
fn power_cut_at_every_act_of_a_streamed_install_goes_on_where_it_was() {
    let undisturbed = install(&board(), &Kept::default(), &Server::new(u64::MAX));
    assert!(undisturbed.outcome.is_ok());
    let all = undisturbed.fetched;
    assert!(all <= FILE.len() as u64 + SMALL, "{all} of {}", FILE.len());
    let operations = undisturbed.plan.operations();
    assert!(operations > 60, "{operations}");
    let went_on = (0..operations).filter(|at| cut_and_go_on(CutAt::Operation(*at), 1)).count();
    assert!(went_on > 50, "{went_on}");
    // Other fates for what was not flushed.
    for at in (0..operations).step_by(3) {
        cut_and_go_on(CutAt::Operation(at), 77);
    }
}

#[test]
fn cuts_inside_writes_and_one_after_the_other_end_with_the_whole_image_and_little_fetched_twice() {
    let (board, files, whole) = (board(), Kept::default(), FILE.len() as u64);
    let (mut fetched, mut cuts) = (0, 0);
    for seed in 0..40 {
        // Each life of the board is long enough for a little more than two MiB.
        let at = CutAt::Byte(ByteLen::new(2_300_000 + seed * 1009));
        let done = install_as(&board, &files, &Server::new(u64::MAX), (at, seed), EVERY_MIB);
        fetched += done.fetched;
        if !done.plan.is_cut() {
            done.outcome.unwrap();
            break;
        }
        cuts += 1;
        boots_whole(&board, &format!("life {seed}"));
    }
    assert!((2..10).contains(&cuts), "{cuts}");
    assert!(board.holds(SlotId::B, &AFTER));
    let most = whole + cuts * (MIB as u64 + ON_ITS_WAY + SMALL);
    assert!(fetched <= most, "{fetched} and not {most}");
}

#[test]
fn network_that_fails_again_and_again_costs_the_bundle_once() {
    let (board, files, whole) = (board(), Kept::default(), FILE.len() as u64);
    let mut fetched = 0;
    for try_number in 0..20 {
        let done = install(&board, &files, &Server::new(4 * MIB as u64));
        fetched += done.fetched;
        if let Err(error) = done.outcome {
            assert!(chain(&error).contains("the network is gone"), "{}", chain(&error));
            assert_eq!(boots_whole(&board, "after a failure"), SlotId::A);
            assert!(try_number == 0 || done.told.iter().any(|text| text.contains("going on")));
            continue;
        }
        assert!((1..8).contains(&try_number), "{try_number}");
        assert!(board.holds(SlotId::B, &AFTER));
        assert!(fetched <= whole + (ON_ITS_WAY + SMALL) * try_number, "{fetched}");
        // Asked again, everything is there, and read back.
        return;
    }
    panic!("it never ends");
}

/// Ends in the middle, so that the note claims some MiB.
fn interrupted() -> (Board, Kept) {
    let (board, files) = (board(), Kept::default());
    let done = install(&board, &files, &Server::new(5 * MIB as u64));
    assert!(done.outcome.is_err());
    assert!(files.claimed() >= MIB as u64, "{}", files.note());
    (board, files)
}

#[test]
fn slot_that_changed_meanwhile_is_found_out_before_anything_is_fetched_for_it() {
    let (board, files) = interrupted();
    let disk = &board.devices.disks[&slot_device("rootfs", SlotId::B)];
    disk.clone().write_at(700_000, b"somebody else").unwrap();
    let done = install(&board, &files, &Server::new(u64::MAX));
    done.outcome.unwrap();
    assert!(board.holds(SlotId::B, &AFTER));
    assert!(done.told.iter().any(|text| text.contains("does not hold what")), "{:?}", done.told);
    assert!(done.fetched <= FILE.len() as u64 + SMALL, "{}", done.fetched);
}

/// Whoever can write `/data` can write a note that fits what he wrote to the slot. The image's own
/// digest finds that, and all of it is fetched, once.
#[test]
fn well_made_lie_ends_with_the_signed_image_all_the_same() {
    let (board, files) = interrupted();
    let lie = image(17, 2 * MIB);
    let disk = &board.devices.disks[&slot_device("rootfs", SlotId::B)];
    disk.clone().write_at(0, &lie).unwrap();
    let prefix = Digest::from_bytes(openssl::sha::sha256(&lie));
    let note = files.note();
    let line = note.lines().find(|line| line.starts_with("slot rootfs.1 ")).unwrap();
    let image_digest = line.split(' ').nth(2).unwrap();
    let forged = format!("slot rootfs.1 {image_digest} {} {prefix}", 2 * MIB);
    let text = note.replace(line, &forged);
    files.clone().replace(Path::new(NOTE), text.as_bytes()).unwrap();
    let done = install(&board, &files, &Server::new(u64::MAX));
    done.outcome.unwrap();
    assert!(board.holds(SlotId::B, &AFTER));
    let told = done.told.iter().filter(|text| text.contains("was not the image")).count();
    assert_eq!(told, 1, "{:?}", done.told);
    let whole = FILE.len() as u64;
    assert!(done.fetched > whole && done.fetched <= 2 * whole, "{}", done.fetched);
}

#[test]
fn notes_that_cannot_be_used_cost_bytes_and_nothing_else() {
    let (_, good) = interrupted();
    let note = good.note();
    let of_another = note.replacen("manifest ", "manifest 00", 1);
    let of_another = of_another.replacen("00\n", "\n", 1);
    let too_far = note.replace(" 1048576 ", " 999999999999 ");
    for text in
        [String::new(), "junk".to_owned(), note[..note.len() / 2].to_owned(), of_another, too_far]
    {
        let (board, files) = (board(), Kept::default());
        files.clone().replace(Path::new(NOTE), text.as_bytes()).unwrap();
        let done = install(&board, &files, &Server::new(u64::MAX));
        done.outcome.unwrap();
        assert!(board.holds(SlotId::B, &AFTER), "{text}");
        assert!(done.fetched <= FILE.len() as u64 + SMALL, "{text}");
    }
}

#[test]
fn nothing_is_noted_where_nobody_wants_it_and_all_is_fetched_again() {
    let (board, files) = (board(), Kept::default());
    let never = |most| {
        let server = Server::new(most);
        install_as(&board, &files, &server, (CutAt::Never, 0), ResumeRule::Never)
    };
    assert!(never(5 * MIB as u64).outcome.is_err());
    assert_eq!(files.note(), "");
    let again = never(u64::MAX);
    again.outcome.unwrap();
    assert!(again.fetched >= ROOTFS as u64, "{}", again.fetched);
}

/// `/data` is full or gone: the note goes to `/run`, or nowhere.
#[test]
fn install_does_not_depend_on_a_place_for_its_note() {
    struct Full(Kept);
    impl Files for Full {
        fn read(&self, path: &Path, limit: ByteLen) -> Result<Option<Vec<u8>>, FilesError> {
            self.0.read(path, limit)
        }
        fn replace(&mut self, path: &Path, _: &[u8]) -> Result<(), FilesError> {
            let source = std::io::Error::other("no space left");
            Err(FilesError::Write { path: path.to_owned(), source })
        }
        fn remove(&mut self, path: &Path) -> Result<(), FilesError> {
            self.0.remove(path)
        }
        fn list(&self, dir: &Path) -> Result<Vec<String>, FilesError> {
            self.0.list(dir)
        }
    }
    let board = board();
    let bundle = open(&Server::new(u64::MAX));
    let mut warned = 0;
    Installer {
        config: &config(SYSTEM_CONF),
        devices: &board.devices,
        files: &mut Full(Kept::default()),
        backend: &mut Board::backend(board.env.clone()),
        recorder: None,
        at: Timestamp::UNKNOWN,
        progress: &mut |event| {
            if let InstallEvent::Note(text) = event {
                warned += usize::from(text.contains("fetched again after a power cut"));
            }
        },
    }
    .install(
        &board.lock(),
        &bundle,
        &options(
            BootedGroup::Slot(SlotId::A),
            InstallPolicy { resume: EVERY_MIB, ..InstallPolicy::default() },
        ),
    )
    .unwrap();
    assert!(board.holds(SlotId::B, &AFTER));
    // Once for each of the two places, however many marks there are.
    assert_eq!(warned, 2);
}
