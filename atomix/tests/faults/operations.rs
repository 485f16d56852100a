// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done while a device fails: command lines on a board, as a board runs them.

use crate::cli_board::bundles::Recipe;
use crate::cli_board::{ENV_BYTES, PARTITIONS, SmallBoard, disk_identity, disk_with_labels, image};
use crate::media::{Contents, Media};
use atomix::context::Machine;
use bootctl::{AttemptsLeft, BootState, BundleId, SlotId, SlotRecord, SlotState};
use bundle::BundleFormat;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::{Access, Devices, MemoryStorage, Storage};
use uboot::{CopyPlace, Env, EnvStore};

pub const FLASH: &str = "/dev/mtd0";
pub const DISK: &str = "/dev/mmcblk1";
const FLASH_BYTES: usize = 128 * 1024;
const ERASE_BYTES: u32 = 4096;

/// Stands in arguments for the path of the bundle.
const BUNDLE: &str = "BUNDLE";

/// An operation and the board that it begins on.
pub struct Operation {
    pub name: &'static str,
    pub args: &'static [&'static str],
    pub bundle: Vec<u8>,
    pub booted: SlotId,
    /// What the environment holds; nothing on a flash that was never written.
    pub state: Option<BootState>,
    /// Partitions on the disk, from the first on.
    pub partitions: usize,
    /// How it ends undisturbed.
    pub code: u8,
    /// Whether the operation changes nothing.
    pub only_looks: bool,
    pub machine: Machine,
}

fn both_good() -> BootState {
    let mut state = SmallBoard::both_good();
    state.a.bundle = Some(BundleId::from_bytes([1; 16]));
    state.b.bundle = Some(BundleId::from_bytes([2; 16]));
    state.last = Some(SlotId::A);
    state
}

/// B was installed and runs for the first time.
fn b_on_trial() -> BootState {
    let mut state = both_good();
    state.b.state = SlotState::Trying;
    state.b.attempts = AttemptsLeft::new(2).unwrap();
    state.order = vec![SlotId::B, SlotId::A];
    state.last = Some(SlotId::B);
    state
}

/// B was installed and has to wait.
fn b_staged() -> BootState {
    let mut state = b_on_trial();
    state.order = vec![SlotId::A];
    state.last = Some(SlotId::A);
    state.b.attempts = AttemptsLeft::ZERO;
    state
}

fn operation(name: &'static str, args: &'static [&'static str], state: BootState) -> Operation {
    Operation {
        name,
        args,
        bundle: Vec::new(),
        booted: state.last.unwrap_or(SlotId::A),
        state: Some(state),
        partitions: PARTITIONS.len(),
        code: 0,
        only_looks: false,
        machine: Machine::Real,
    }
}

/// Everything that is tried.
pub fn operations() -> Vec<Operation> {
    let install = |name, format| Operation {
        bundle: Recipe { format, ..Recipe::default() }.make(),
        ..operation(name, &["install", BUNDLE], both_good())
    };
    let look = |name, args| Operation { only_looks: true, ..operation(name, args, both_good()) };
    let mut empty = both_good();
    (empty.b, empty.order) = (SlotRecord::EMPTY, vec![SlotId::A]);
    let mut spent = both_good();
    spent.a.attempts = AttemptsLeft::new(1).unwrap();
    vec![
        install("install plain", BundleFormat::Plain),
        install("install verity", BundleFormat::Verity),
        Operation {
            state: Some(empty),
            ..install("install into an empty slot", BundleFormat::Verity)
        },
        operation("mark good", &["boot", "mark-good", "booted"], b_on_trial()),
        operation("mark bad", &["boot", "mark-bad", "other"], both_good()),
        operation("mark active", &["boot", "mark-active", "other"], b_staged()),
        operation("rollback", &["rollback"], both_good()),
        operation("boot started", &["boot", "started"], b_on_trial()),
        operation("restore attempts", &["boot", "restore-attempts"], spent),
        operation("health verdict", &["health", "run"], b_on_trial()),
        Operation {
            code: 3,
            ..operation("give up", &["boot", "give-up", "emergency"], b_on_trial())
        },
        Operation {
            partitions: 5,
            ..operation("ask for a data reset", &["repart", "--reset-data"], both_good())
        },
        operation("set a variable", &["uenv", "set", "colour=red"], both_good()),
        Operation {
            state: None,
            partitions: 2,
            machine: Machine::Virtual,
            ..operation("first boot", &["repart"], both_good())
        },
        look("status", &["status"]),
        look("why", &["why"]),
        look("check a slot", &["slot", "check", "other"]),
        look("confirmed?", &["boot", "is-confirmed"]),
    ]
}

impl Operation {
    /// Its arguments with the bundle's path.
    pub fn argv(&self, root: &Path) -> Vec<String> {
        let bundle = root.join("update.raucb").display().to_string();
        let arg = |arg: &&str| if *arg == BUNDLE { bundle.clone() } else { (*arg).to_owned() };
        self.args.iter().map(arg).collect()
    }

    /// The files that it begins on, below the root.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = SmallBoard::new().everything();
        files.retain(|path, _| !path.starts_with("dev"));
        // A window of a second for each of some hundred points is only waited for.
        let health = files.get_mut(Path::new("etc/atomix/health.toml")).unwrap();
        let text = std::str::from_utf8(health).unwrap();
        *health = text.replace("window_secs = 1", "window_secs = 0").into_bytes();
        let line = format!("rauc.slot={} atomix.reason=normal\n", self.booted);
        files.insert(PathBuf::from("proc/cmdline"), line.into_bytes());
        files.insert(PathBuf::from("update.raucb"), self.bundle.clone());
        if self.state.is_none() {
            files.remove(Path::new("data/atomix/provisioned"));
            let defaults = b"bootcmd=run atomix_select\n".to_vec();
            files.insert(PathBuf::from("etc/u-boot-initial-env"), defaults);
        }
        files
    }

    /// The devices that it begins on.
    pub fn devices(&self) -> Contents {
        let mut devices = Contents::new();
        for (number, (label, len)) in (1..).zip(PARTITIONS) {
            let tag = if label.starts_with("boot") { 10 } else { 20 };
            let path = format!("{DISK}p{number}");
            let mut content = image(tag, len);
            let is_b = label.ends_with("-b");
            if is_b && self.state.as_ref().is_none_or(|state| state.b.state == SlotState::Empty) {
                content.fill(0);
            }
            devices.insert(PathBuf::from(&path), Arc::new(MemoryStorage::disk(path, content)));
        }
        let all = PARTITIONS.iter().map(|(label, _)| *label).chain(["data"]);
        let labels: Vec<&str> = all.take(self.partitions).collect();
        let disk = MemoryStorage::disk(DISK, disk_with_labels(&labels));
        devices.insert(DISK.into(), Arc::new(disk));
        let flash = MemoryStorage::nor(FLASH, vec![0xff; FLASH_BYTES], ERASE_BYTES);
        devices.insert(FLASH.into(), Arc::new(flash));
        let Some(state) = &self.state else { return devices };
        let media = Media::new(devices);
        let mut env = Env::new();
        env.set("bootcmd", "run atomix_select").unwrap();
        // Two commits: the copies differ, and neither is blank.
        for state in [&BootState::factory(disk_identity()), state] {
            state.write_to(&mut env).unwrap();
            env_store(&media).store(&env).unwrap();
        }
        media.copy()
    }
}

/// The environment in its place.
pub fn env_store(media: &Media) -> EnvStore<Box<dyn Storage>> {
    let open = |copy: u64| {
        let device = media.open(Path::new(FLASH), Access::ReadWrite).unwrap();
        let bytes = u32::try_from(ENV_BYTES).unwrap();
        let place = CopyPlace {
            device: FLASH.into(),
            offset: copy * ENV_BYTES,
            env_bytes: bytes,
            erase_bytes: bytes,
            sectors: 1,
        };
        (device, place)
    };
    EnvStore::open(vec![open(0), open(1)]).unwrap()
}

/// The boot state; nothing where no copy is valid.
pub fn boot_state(media: &Media) -> Option<BootState> {
    let env = env_store(media).load().ok()?.env;
    Some(BootState::from_env(&env).unwrap())
}
