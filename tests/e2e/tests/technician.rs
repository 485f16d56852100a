// SPDX-License-Identifier: MIT OR Apache-2.0
//! The technician's laptop: the real `atomix` program at the other end of real U-Boot's serial
//! line, which is a pseudo-terminal of the emulator. Slots have a script and no kernel.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use ::bundle::MemorySource;
use ::uboot::{CopyHealth, Env, EnvStore};
use board_rock64::{BootTree, Role, build_boot_vfat};
use bootctl::{AttemptsLeft, BootState, Reason, SlotId, SlotRecord, SlotState};
use e2e::board::{QEMU, STOP_TEXT};
use e2e::parts;
use e2e::progress::say;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use repart::NewPartition;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use storage::{Access, FileStorage, Lba, PartUuid, Storage, View};
use uuid::Uuid;

const DISK: PartUuid = PartUuid(Uuid::from_u128(0x1111_1111_2222_3333_4444_5555_5555_5555));

/// Of a busy machine.
const WAIT: Duration = Duration::from_secs(180);

/// The emulator looks once a second whether somebody listens.
const NOTICED_WITHIN: Duration = Duration::from_secs(3);

/// A start before that is not heard.
const SWITCH_EVERY: Duration = Duration::from_secs(20);

/// A board: what it is made of, and the emulator while it is on.
struct Board {
    dir: tempfile::TempDir,
    firmware: PathBuf,
    emulator: Option<Child>,
    /// Its power comes once the laptop listens.
    is_held: bool,
}

/// What the program said, and how it ended.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

/// One emulator at a time: U-Boot's seconds are not those of a machine that runs five.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The program as a technician has it, which is also what the suite's main job has built.
static ATOMIX: LazyLock<PathBuf> = LazyLock::new(|| parts::atomix::native().unwrap());

fn record(state: SlotState) -> SlotRecord {
    SlotRecord { state, attempts: AttemptsLeft::DEFAULT, bundle: None }
}

/// Slot A first.
fn state(a: SlotState, b: SlotState) -> BootState {
    BootState {
        order: vec![SlotId::A, SlotId::B],
        a: record(a),
        b: record(b),
        disk: Some(DISK),
        ..BootState::lost()
    }
}

fn store(card: &Path, access: Access) -> EnvStore<FileStorage> {
    let copy = |place| (FileStorage::open(card, access).unwrap(), place);
    EnvStore::open(QEMU.fw_env_config().copies.into_iter().map(copy).collect()).unwrap()
}

impl Board {
    /// A board whose both slots load.
    fn new() -> Self {
        Self::with_firmware(&parts::uboot::qemu().unwrap())
    }

    fn with_firmware(built: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let firmware = built.join("u-boot.bin");
        let board = Self { dir, firmware, emulator: None, is_held: false };
        drop(FileStorage::create_sparse(&board.card(), QEMU.flash.size).unwrap());
        make_disk(&board.dir.path().join("disk"));
        board
    }

    fn card(&self) -> PathBuf {
        self.dir.path().join("card")
    }

    fn tty(&self) -> PathBuf {
        self.dir.path().join("tty")
    }

    /// Stores an environment, in both copies as the firmware does it, with time to type the stop
    /// text.
    fn with_env(self, state: &BootState, more: &[(&str, &str)]) -> Self {
        let mut env = Env::parse_text(&QEMU.selector()).unwrap();
        state.write_to(&mut env).unwrap();
        env.set("bootdelay", "5").unwrap();
        for (name, value) in more {
            env.set(name, value).unwrap();
        }
        for _ in 0..2 {
            store(&self.card(), Access::ReadWrite).store_as_firmware(&env).unwrap();
        }
        self
    }

    fn env(&self) -> Env {
        store(&self.card(), Access::ReadOnly).load().unwrap().env
    }

    fn whole_copies(&self) -> usize {
        let copies = store(&self.card(), Access::ReadOnly).copies();
        copies.iter().filter(|copy| matches!(copy, CopyHealth::Valid { .. })).count()
    }

    fn monitor(&self) -> PathBuf {
        self.dir.path().join("monitor")
    }

    /// As a technician is told to do it: nothing of the first start is missed.
    fn power_on_when_listened_to(&mut self) {
        self.is_held = true;
        self.power_on();
    }

    fn power_on(&mut self) {
        let _ = fs::remove_file(self.tty());
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", "900", "qemu-system-aarch64", "-M", "virt"]);
        command.args(parts::disk::MACHINE.split_whitespace()).args([
            "-nodefaults",
            "-display",
            "none",
        ]);
        command.arg("-bios").arg(&self.firmware).args(["-device", "sdhci-pci"]);
        command.args(["-device", "sd-card,drive=card", "-drive"]);
        command.arg(format!("if=none,id=card,format=raw,file={}", self.card().display()));
        let disk = self.dir.path().join("disk");
        command.arg("-drive").arg(format!("if=virtio,format=raw,file={}", disk.display()));
        command.arg("-chardev").arg(format!("pty,id=line,path={}", self.tty().display()));
        command.args(["-serial", "chardev:line", "-monitor"]);
        command.arg(format!("unix:{},server=on,wait=off", self.monitor().display()));
        if self.is_held {
            command.arg("-S");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        self.emulator = Some(command.spawn().unwrap());
        await_true("the line", || self.tty().exists() && self.monitor().exists());
    }

    fn power_off(&mut self) {
        if let Some(mut emulator) = self.emulator.take() {
            let group = Pid::from_raw(i32::try_from(emulator.id()).unwrap());
            let _ = killpg(group, Signal::SIGKILL);
            emulator.wait().unwrap();
        }
    }

    /// Off and on, as far as U-Boot sees it.
    fn switch(&self) {
        self.tell_emulator("system_reset\n");
    }

    fn tell_emulator(&self, command: &str) {
        let mut monitor = UnixStream::connect(self.monitor()).unwrap();
        let mut greeting = [0; 256];
        let _ = monitor.read(&mut greeting).unwrap();
        monitor.write_all(command.as_bytes()).unwrap();
        let _ = monitor.read(&mut greeting).unwrap();
    }

    /// Runs the program, and switches the board off and on when it asks for that, until it has
    /// heard U-Boot.
    fn rescue(&self, arguments: &[&str]) -> Ran {
        self.rescue_with(Some(STOP_TEXT), arguments)
    }

    fn rescue_with(&self, stop_text: Option<&str>, arguments: &[&str]) -> Ran {
        let mut command = Command::new(&*ATOMIX);
        command.arg("rescue").arg("--tty").arg(self.tty()).args(arguments);
        command.arg("--log").arg(self.dir.path().join("line.log"));
        command.env_remove("ATOMIX_STOP_STRING").stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(text) = stop_text {
            command.env("ATOMIX_STOP_STRING", text);
        }
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        let mut said = String::new();
        let mut is_heard = false;
        loop {
            match lines.recv_timeout(SWITCH_EVERY) {
                Ok(line) => {
                    is_heard |= line.starts_with("U-Boot");
                    if self.is_held && line.starts_with("listening to") {
                        std::thread::sleep(NOTICED_WITHIN);
                        self.tell_emulator("cont\n");
                    }
                    said.push_str(&line);
                    said.push('\n');
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                // It waits for a person.
                Err(mpsc::RecvTimeoutError::Timeout) if !is_heard => self.switch(),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
        let mut stdout = String::new();
        child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let code = child.wait().unwrap().code().unwrap();
        // Long sentences go on below their title.
        let stdout = stdout.replace("\n        ", " ");
        say(&format!("$ atomix rescue {}\n{said}{stdout}exit {code}", arguments.join(" ")));
        Ran { code, stdout, stderr: said }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.power_off();
    }
}

fn await_true(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + WAIT;
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A disk whose slots load a script that waits.
fn make_disk(path: &Path) {
    let mut disk = FileStorage::create_sparse(path, e2e::board::DISK_LEN).unwrap();
    let mut partitions = Vec::new();
    for partition in QEMU.partitions.iter().filter(|one| one.size.is_some()) {
        let (start, len) = (partition.start.get(), partition.size.unwrap());
        let is_identity = partition.role == Role::Boot(SlotId::B);
        let own = PartUuid(Uuid::from_u128(u128::from(partition.number)));
        let part_uuid = if is_identity { DISK } else { own };
        partitions.push(NewPartition {
            type_guid: partition.type_guid,
            part_uuid,
            label: partition.label.to_owned(),
            first_lba: Lba(start / 512),
            last_lba: Lba(partition.end().unwrap().get() / 512 - 1),
        });
        if matches!(partition.role, Role::Boot(_)) {
            let script = uboot::encode_script("e2e", b"echo E2E-START\nsleep 900\n", 0).unwrap();
            let mut tree = BootTree::default();
            tree.add("boot.scr", std::sync::Arc::new(MemorySource::new("boot.scr", script)))
                .unwrap();
            let mut place = View::new(&mut disk, partition.label, start, len).unwrap();
            build_boot_vfat(&QEMU, &tree, "1", 1_700_000_000, &mut place).unwrap();
        }
    }
    repart::create_table(&mut disk, DISK.0, &partitions).unwrap();
    disk.flush().unwrap();
}

#[test]
fn status_shows_the_state_of_the_board_and_changes_nothing() {
    let _alone = alone();
    let wanted = state(SlotState::Good, SlotState::Trying);
    let mut board = Board::new().with_env(&wanted, &[("evil", "x\n=> ; reset")]);
    board.power_on();
    let ran = board.rescue(&["--status", "--stay"]);
    assert_eq!(ran.code, 0);
    // A start before the laptop listened has spent an attempt.
    let left = BootState::from_env(&board.env()).unwrap().a.attempts;
    let lines = [
        "order   A B\n",
        &format!("slot A  good     attempts {left}  bundle -\n"),
        "slot B  trying   attempts 3  bundle -\n",
        "next    A: slot A is the primary and good\n",
        "done    nothing was changed;",
    ];
    for line in lines {
        assert!(ran.stdout.contains(line), "{line:?}");
    }
    // The board stays at its prompt: no switch is needed, and programs get the same answer.
    let (before, ran) =
        (fs::read(board.card()).unwrap(), board.rescue(&["--status", "--stay", "--json"]));
    assert!(!ran.stderr.contains("\nU-Boot starts"), "{}", ran.stderr);
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["version"], 1);
    assert_eq!(answer["environment"], "ours");
    assert_eq!(answer["state"]["slots"][1]["state"], "trying");
    assert_eq!(answer["next_slot"], "A");
    assert!(fs::read(board.card()).unwrap() == before, "the card was written");
    // Nothing of it is left behind when the board boots on.
    let ran = board.rescue(&["--status"]);
    assert!(ran.stdout.contains("the board started slot A (normal)"), "{}", ran.stdout);
    let log = fs::read_to_string(board.dir.path().join("line.log")).unwrap();
    for heard in ["# U-Boot's prompt answers\n", " | => \n", " | atomix: slot A, normal\n"] {
        assert!(log.contains(heard), "{heard:?} in {log}");
    }
    assert!(!log.contains(STOP_TEXT), "the log has the stop text");
}

#[test]
fn the_slot_asked_for_boots_and_one_without_a_whole_system_is_refused() {
    let _alone = alone();
    let mut board = Board::new().with_env(&state(SlotState::Good, SlotState::Good), &[]);
    board.power_on();
    let ran = board.rescue(&["--boot", "B"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("BOOT_ORDER: \"A B\" becomes \"B A\""), "{}", ran.stderr);
    assert!(ran.stdout.contains("the board started slot B (normal)"), "{}", ran.stdout);
    board.power_off();
    let after = BootState::from_env(&board.env()).unwrap();
    assert_eq!((after.order, after.last), (vec![SlotId::B, SlotId::A], Some(SlotId::B)));

    let mut board = board.with_env(&state(SlotState::Good, SlotState::Writing), &[]);
    board.power_on();
    let ran = board.rescue(&["--boot", "B"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("slot B holds no complete system"), "{}", ran.stderr);
    assert!(ran.stderr.contains("nothing was changed; the board started slot A"), "{}", ran.stderr);
    board.power_off();
    let after = BootState::from_env(&board.env()).unwrap();
    assert_eq!(after.order, [SlotId::A, SlotId::B]);
    assert_eq!(after.b.state, SlotState::Writing);
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn two_damaged_copies_are_replaced_and_the_board_begins_anew() {
    let _alone = alone();
    // With no environment that could ask for it, only the firmware itself gives time.
    let mut board = Board::with_firmware(&parts::uboot::patient().unwrap());
    let mut card = fs::read(board.card()).unwrap();
    for offset in QEMU.flash.env_offsets {
        let offset = usize::try_from(offset).unwrap();
        card[offset..offset + 4096].fill(0x5a);
    }
    fs::write(board.card(), card).unwrap();
    assert_eq!(board.whole_copies(), 0);
    board.power_on_when_listened_to();
    let ran = board.rescue(&["--env-repair"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains("neither copy of the environment is whole"), "{}", ran.stdout);
    assert!(ran.stdout.contains("the board started slot A (env-lost)"), "{}", ran.stdout);
    board.power_off();
    assert_eq!(board.whole_copies(), 2);
    let after = BootState::from_env(&board.env()).unwrap();
    assert_eq!((after.disk, after.reason), (Some(DISK), Some(Reason::EnvLost)));
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn one_damaged_copy_is_replaced_and_the_states_are_kept() {
    let _alone = alone();
    let before = state(SlotState::Good, SlotState::Bad);
    let mut board = Board::new().with_env(&before, &[("customer", "kept")]);
    let mut card = fs::read(board.card()).unwrap();
    // The copy that is not in force: whoever only reads does not see it.
    let in_force = store(&board.card(), Access::ReadOnly).load().unwrap().active;
    let other = usize::try_from(QEMU.flash.env_offsets[1 - in_force]).unwrap();
    card[other..other + 4096].fill(0x5a);
    fs::write(board.card(), card).unwrap();
    assert_eq!(board.whole_copies(), 1);
    board.power_on_when_listened_to();
    let ran = board.rescue(&["--env-repair"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains("the board started slot A (normal)"), "{}", ran.stdout);
    board.power_off();
    assert_eq!(board.whole_copies(), 2);
    let env = board.env();
    let after = BootState::from_env(&env).unwrap();
    assert_eq!((after.a.state, after.b.state), (SlotState::Good, SlotState::Bad));
    assert_eq!(env.get("customer"), Some("kept"));
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn a_disk_over_usb_is_refused_where_there_is_no_usb() {
    let _alone = alone();
    let mut board = Board::new().with_env(&state(SlotState::Good, SlotState::Good), &[]);
    board.power_on();
    let ran = board.rescue(&["--ums"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("cannot show its disk over USB"), "{}", ran.stderr);
    assert!(ran.stderr.contains("nothing was changed; the board started slot A"), "{}", ran.stderr);
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn a_root_login_is_asked_for_durably_before_the_slot_starts() {
    let _alone = alone();
    let mut board = Board::new().with_env(&state(SlotState::Good, SlotState::Good), &[]);
    board.power_on();
    let ran = board.rescue(&["--root-shell"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains("the board started slot A (normal)"), "{}", ran.stdout);
    board.power_off();
    assert_eq!(board.env().get("_RUT_OH_"), Some("1"));
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn without_a_delay_the_reason_for_no_prompt_is_told() {
    let _alone = alone();
    let wanted = state(SlotState::Good, SlotState::Good);
    let mut board = Board::new().with_env(&wanted, &[("bootdelay", "0")]);
    board.power_on();
    let ran = board.rescue(&["--status", "--timeout", "60"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("gives no time to type its stop text"), "{}", ran.stderr);
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn without_the_text_or_with_another_one_the_board_boots_and_the_reason_is_told() {
    let _alone = alone();
    let mut board = Board::new().with_env(&state(SlotState::Good, SlotState::Good), &[]);
    board.power_on();
    for (text, told) in [
        (None, "wants a stop text, and none was given"),
        (Some("wrong-text"), "was not stopped by the stop text that was given"),
    ] {
        let ran = board.rescue_with(text, &["--status", "--timeout", "60"]);
        assert_eq!(ran.code, 3, "{text:?}");
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
    }
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn a_capture_goes_on_when_the_line_went_away_and_came_back() {
    let _alone = alone();
    let mut board = Board::new().with_env(&state(SlotState::Good, SlotState::Good), &[]);
    let log = board.dir.path().join("capture.log");
    let mut capture = Command::new(&*ATOMIX)
        .args(["serial", "capture", "--tty"])
        .arg(board.tty())
        .arg("--log")
        .arg(&log)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let text = || fs::read_to_string(&log).unwrap_or_default();
    let heard = |what: &str, times: usize| text().matches(what).count() >= times;
    await_true("waiting", || heard("# waiting for ", 1));
    for time in 1..=2 {
        board.power_on();
        await_true("listening", || heard("# listening to ", time));
        // What U-Boot says before the emulator has noticed the listener is lost.
        let mut switched = Instant::now();
        await_true("a start", || {
            if switched.elapsed() > SWITCH_EVERY {
                board.switch();
                switched = Instant::now();
            }
            heard(" | E2E-START", time)
        });
        board.power_off();
        await_true("its end", || heard("went away; waiting for it", time));
    }
    // As Ctrl-C does it; that itself would be ignored by what a shell began in the background.
    kill(Pid::from_raw(i32::try_from(capture.id()).unwrap()), Signal::SIGTERM).unwrap();
    capture.wait().unwrap();
    let text = text();
    let times: Vec<&str> = text.lines().map(|line| &line[..24]).collect();
    assert!(times.iter().all(|time| time.ends_with('Z')), "{text}");
    assert!(times.is_sorted(), "{text}");
    assert!(text.bytes().all(|byte| byte == b'\n' || byte >= b' '), "{text}");
}
