// SPDX-License-Identifier: MIT OR Apache-2.0
//! A system with files for devices, real programs, and a boot loader that only remembers, for the
//! tests of RAUC's install. Everything that is done is written down in one list, in its order.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "everything here is a test; what cannot be prepared fails it"
)]

use bootctl::{NamedBoot, NamedError, NamedFailure, NamedMark, Timestamp};
use bundle::adaptive::index_of_stream;
use bundle::{
    BundleContent, BundleFormat, CheckTime, CreateExtras, CreateRequest, DevelopmentPki,
    DevelopmentPkiOptions, FileSource, Keyring, KeyringOptions, Limits, SigningIdentity,
    SquashfsCompression, UnixTime, UntrustedBundle, VerifiedBundle, create_bundle_with,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use storage::{
    ByteLen, CutPlan, Devices, HostDevices, HostFiles, PowerCutDevices, PowerCutFiles, StorageError,
};
use updater::event_log::EventLog;
use updater::system::{
    BundleSources, InstallOutcome, InstallRequest, SealedInstall, SlotReport, Surroundings, System,
    SystemError, SystemEvent, SystemParts,
};
use updater::{
    BootHalf, HostMachine, Machine, MachineError, ProgramCall, ProgramEnd, ProgramError,
    Protection, SlotStatus, Spooled, StopQuestion, SystemConfig,
};

const NOW: UnixTime = UnixTime(1_795_230_000);
/// Of each slot.
pub const SLOT_BYTES: u64 = 64 * 1024;

static PKI: LazyLock<DevelopmentPki> = LazyLock::new(|| {
    DevelopmentPki::generate("system tests", &DevelopmentPkiOptions::new(NOW)).unwrap()
});

/// What was done, in order.
#[derive(Clone, Default)]
pub struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    pub fn note(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    /// The lines that begin with one of these words.
    pub fn of(&self, words: &[&str]) -> Vec<String> {
        let begins = |line: &String| words.iter().any(|word| line.starts_with(word));
        self.lines().into_iter().filter(begins).collect()
    }
}

/// What the boot loader remembers.
#[derive(Clone, Debug)]
pub struct BootMemory {
    pub primary: String,
    pub good: BTreeSet<String>,
    /// How often it was asked something.
    pub questions: usize,
    /// The act that fails; "late": none of its programs ends.
    pub fails: Option<&'static str>,
    /// Its own mark-good gives the other slot up.
    pub prevents_late_fallback: bool,
}

#[derive(Clone)]
pub struct FakeBoot {
    pub memory: Arc<Mutex<BootMemory>>,
    pub diary: Diary,
    /// Without power it remembers nothing new.
    pub power: Option<CutPlan>,
}

impl FakeBoot {
    fn act(&self, act: &str, bootname: &str) -> Result<(), NamedError> {
        self.diary.note(format!("boot {act} {bootname}"));
        if self.power.as_ref().is_some_and(CutPlan::is_cut) {
            return Err(failure());
        }
        self.said(act)
    }

    fn ask<T>(&self, what: &str, answer: impl Fn(&BootMemory) -> T) -> Result<T, NamedError> {
        self.memory.lock().unwrap().questions += 1;
        self.said(what).map(|()| answer(&self.memory.lock().unwrap()))
    }

    fn said(&self, act: &str) -> Result<(), NamedError> {
        match self.memory.lock().unwrap().fails {
            Some("late") => {
                let late = NamedFailure::Late { what: "no end".to_owned() };
                Err(NamedError::new("fake", late))
            }
            Some(fails) if fails == act => Err(failure()),
            _ => Ok(()),
        }
    }
}

fn failure() -> NamedError {
    NamedError::new("fake", NamedFailure::Failed { what: "told to".to_owned() })
}

impl NamedBoot for FakeBoot {
    fn name(&self) -> &'static str {
        "fake"
    }
    fn current(&mut self) -> Result<Option<String>, NamedError> {
        Ok(None)
    }
    fn is_good(&mut self, bootname: &str) -> Result<bool, NamedError> {
        self.ask("is good", |memory| memory.good.contains(bootname))
    }
    fn primary(&mut self) -> Result<Option<String>, NamedError> {
        self.ask("primary", |memory| Some(memory.primary.clone()))
    }
    fn set_state(&mut self, bootname: &str, mark: NamedMark) -> Result<(), NamedError> {
        self.act(mark.as_str(), bootname)?;
        let good = &mut self.memory.lock().unwrap().good;
        match mark {
            NamedMark::Good => good.insert(bootname.to_owned()),
            NamedMark::Bad => good.remove(bootname),
        };
        Ok(())
    }
    fn prevents_late_fallback(&self) -> bool {
        self.memory.lock().unwrap().prevents_late_fallback
    }
    fn set_primary(&mut self, bootname: &str) -> Result<(), NamedError> {
        self.act("primary", bootname)?;
        let mut memory = self.memory.lock().unwrap();
        memory.primary = bootname.to_owned();
        memory.good.insert(bootname.to_owned());
        Ok(())
    }
}

/// This machine, but for mounts: those move a directory to the mount point and back.
pub struct FakeMachine {
    host: HostMachine,
    diary: Diary,
    /// Where the content of mountable slots lies while it is not mounted.
    backing: PathBuf,
    mounts_read_only_alone: Arc<AtomicBool>,
    mounted: BTreeMap<PathBuf, PathBuf>,
}

impl FakeMachine {
    fn mount(&mut self, arguments: &[String]) -> ProgramEnd {
        let [.., device, place] = arguments else { panic!("{arguments:?}") };
        let is_read_only = arguments.iter().any(|word| word.starts_with("ro"));
        if self.mounts_read_only_alone.load(Ordering::SeqCst) && !is_read_only {
            let stderr = "only read-only".to_owned();
            return ProgramEnd { code: Some(32), stderr, ..ProgramEnd::default() };
        }
        let held = fs::read(device).unwrap();
        if held.iter().take(4096).all(|byte| *byte == 0) {
            let stderr = "wrong fs type, bad superblock".to_owned();
            return ProgramEnd { code: Some(32), stderr, ..ProgramEnd::default() };
        }
        let name = Path::new(device).file_name().unwrap();
        let content = self.backing.join(name);
        fs::create_dir_all(&content).unwrap();
        fs::remove_dir(place).unwrap();
        fs::rename(&content, place).unwrap();
        let before = self.mounted.insert(place.into(), content);
        assert_eq!(before, None, "two mounts at {place}");
        ProgramEnd { code: Some(0), ..ProgramEnd::default() }
    }

    fn unmount(&mut self, place: &str) {
        let content = self.mounted.remove(Path::new(place)).expect("it is mounted");
        fs::rename(place, content).unwrap();
        fs::create_dir(place).unwrap();
    }
}

impl Machine for FakeMachine {
    fn run(
        &mut self,
        call: ProgramCall<'_>,
        stop: StopQuestion<'_>,
    ) -> Result<ProgramEnd, ProgramError> {
        let program = call.name();
        let arguments: Vec<String> =
            call.arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        self.diary.note(format!("run {program} {}", arguments.join(" ")).trim_end());
        match program.as_str() {
            "mount" => return Ok(self.mount(&arguments)),
            "umount" => self.unmount(&arguments[0]),
            _ => return self.host.run(call, stop),
        }
        Ok(ProgramEnd { code: Some(0), ..ProgramEnd::default() })
    }
    fn devices(&self) -> &dyn Devices {
        self.host.devices()
    }
    fn make_dir(&mut self, dir: &Path) -> Result<(), MachineError> {
        self.host.make_dir(dir)
    }
    fn remove_dir(&mut self, dir: &Path) {
        self.host.remove_dir(dir);
    }
    fn real_path(&self, device: &Path) -> Result<PathBuf, MachineError> {
        self.host.real_path(device)
    }
    fn grow_file(&mut self, device: &Path, len: ByteLen) -> Result<(), MachineError> {
        self.host.grow_file(device, len)
    }
    fn spool(&mut self, image: &mut dyn std::io::Read) -> Result<Box<dyn Spooled>, MachineError> {
        self.host.spool(image)
    }
    fn replace_volume(
        &mut self,
        device: &Path,
        len: ByteLen,
    ) -> Result<Box<dyn std::io::Write>, StorageError> {
        self.host.replace_volume(device, len)
    }
    fn read_volume(&self, device: &Path) -> Result<Box<dyn std::io::Read>, StorageError> {
        self.host.read_volume(device)
    }
    fn boot_partition(&self, device: &Path) -> Result<Option<BootHalf>, StorageError> {
        self.host.boot_partition(device)
    }
    fn set_boot_partition(&mut self, device: &Path, half: BootHalf) -> Result<(), StorageError> {
        self.host.set_boot_partition(device, half)
    }
    fn set_force_ro(&mut self, device: &Path, protect: Protection) -> Result<(), MachineError> {
        self.host.set_force_ro(device, protect)
    }
}

/// A board.
pub struct World {
    pub dir: tempfile::TempDir,
    pub diary: Diary,
    pub boot: FakeBoot,
    /// What is mounted to be written is refused.
    pub mounts_read_only_alone: Arc<AtomicBool>,
    /// Seconds since the tests' beginning of time; each question advances it.
    clock: Arc<AtomicU64>,
}

/// `[system]` lines and slots of two groups; `@` is the directory of the world.
pub const TWO_GROUPS: &str = "[slot.rootfs.0]\ndevice=@/images/rootfs-0\nbootname=A\n\
    [slot.rootfs.1]\ndevice=@/images/rootfs-1\nbootname=B\n\
    [slot.appfs.0]\ndevice=@/images/appfs-0\nparent=rootfs.0\n\
    [slot.appfs.1]\ndevice=@/images/appfs-1\nparent=rootfs.1\n";

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("images")).unwrap();
        for name in ["rootfs-0", "rootfs-1", "appfs-0", "appfs-1"] {
            let old = vec![b'o'; usize::try_from(SLOT_BYTES).unwrap()];
            fs::write(dir.path().join("images").join(name), old).unwrap();
        }
        let diary = Diary::default();
        let memory = BootMemory {
            primary: "A".to_owned(),
            good: BTreeSet::from(["A".to_owned(), "B".to_owned()]),
            questions: 0,
            fails: None,
            prevents_late_fallback: false,
        };
        let boot =
            FakeBoot { memory: Arc::new(Mutex::new(memory)), diary: diary.clone(), power: None };
        Self { dir, diary, boot, mounts_read_only_alone: Arc::default(), clock: Arc::default() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes an executable script. Another program does it: while this one has a script open to
    /// write, a program that another test starts holds it too for a moment, and the kernel refuses to
    /// run what somebody may write.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        let mut install = Command::new("install");
        install.args(["-m", "755", "/dev/stdin"]).arg(&path).stdin(Stdio::piped());
        let mut install = install.spawn().unwrap();
        install.stdin.take().unwrap().write_all(self.fill(text).as_bytes()).unwrap();
        assert!(install.wait().unwrap().success(), "{name} is not written");
        path
    }

    fn fill(&self, text: &str) -> String {
        text.replace('@', &self.dir.path().display().to_string())
    }

    /// `system.conf` of these `[system]` lines and sections.
    pub fn config(&self, system: &str, sections: &str) -> SystemConfig {
        let text = format!(
            "[system]\ncompatible=Test Config\nbootloader=noop\nmountprefix=@/mnt\n{system}\n{sections}"
        );
        SystemConfig::parse(&self.fill(&text), self.dir.path()).unwrap()
    }

    /// Everything on these devices.
    pub fn parts_with(
        &self,
        sealed: Option<Box<dyn SealedInstall>>,
        devices: Box<dyn Devices + Send>,
    ) -> SystemParts {
        self.parts_on(sealed, HostMachine::with_devices(devices))
    }

    pub fn parts(&self, sealed: Option<Box<dyn SealedInstall>>) -> SystemParts {
        self.parts_on(sealed, HostMachine::new())
    }

    /// Everything on the power of a plan, but for the programs.
    pub fn parts_until(&self, plan: &CutPlan) -> SystemParts {
        let devices = PowerCutDevices::new(HostDevices::new("/"), plan);
        let mut parts = self.parts_on(None, HostMachine::with_devices(Box::new(devices)));
        parts.files = Box::new(PowerCutFiles::new(HostFiles::new("/"), plan));
        parts.boot = Box::new(FakeBoot { power: Some(plan.clone()), ..self.boot.clone() });
        parts
    }

    fn parts_on(&self, sealed: Option<Box<dyn SealedInstall>>, host: HostMachine) -> SystemParts {
        let clock = Arc::clone(&self.clock);
        let machine = FakeMachine {
            host,
            diary: self.diary.clone(),
            backing: self.path("backing"),
            mounts_read_only_alone: Arc::clone(&self.mounts_read_only_alone),
            mounted: BTreeMap::new(),
        };
        SystemParts {
            files: Box::new(HostFiles::new("/")),
            machine: Box::new(machine),
            boot: Box::new(self.boot.clone()),
            surroundings: Surroundings {
                config_path: self.path("system.conf"),
                cmdline: Some("quiet rauc.slot=A".to_owned()),
                override_boot_slot: None,
                runtime_dir: self.path("run"),
                lock_root: self.path("root"),
                pid: 4711,
                boot_id: Some("boot-1".to_owned()),
                inherited: std::env::vars_os().map(|(name, _)| name).collect(),
            },
            clock: Box::new(move || {
                Timestamp::from_unix(1_795_230_000 + clock.fetch_add(1, Ordering::SeqCst))
            }),
            ids: Box::new(|| Ok("01234567-89ab-cdef-0123-456789abcdef".to_owned())),
            sealed,
            sources: Box::new(BundleSources),
            log: EventLog::nowhere(),
        }
    }

    pub fn start(&self, config: SystemConfig) -> System {
        self.start_with(config, self.parts(None))
    }

    pub fn start_with(&self, config: SystemConfig, parts: SystemParts) -> System {
        System::start(config, parts, &mut |_| {}, &|| None).unwrap()
    }

    pub fn slot(&self, name: &str) -> Vec<u8> {
        fs::read(self.path("images").join(name)).unwrap()
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

/// Installs; `seen` is told what happens while it does.
pub fn install_watched(
    system: &mut System,
    request: &InstallRequest,
    file: &Path,
    stop: StopQuestion<'_>,
    seen: &mut dyn FnMut(SystemEvent),
) -> Result<InstallOutcome, SystemError> {
    let mut opener = |_: &updater::system::OpeningFacts,
                      _: &mut updater::system::Steps<'_>,
                      _: StopQuestion<'_>| { Ok(verify(file)?) };
    system.install(request, &mut opener, seen, stop)
}

/// What an install told.
pub fn install(
    system: &mut System,
    request: &InstallRequest,
    file: &Path,
    stop: StopQuestion<'_>,
) -> (Result<InstallOutcome, SystemError>, Vec<SystemEvent>) {
    let mut events = Vec::new();
    let done = install_watched(system, request, file, stop, &mut |event| events.push(event));
    (done, events)
}

/// Installs with one look at what clients are shown of a slot, when that message comes.
pub fn look_during(
    system: &mut System,
    file: &Path,
    (slot, message): (&str, &str),
) -> Option<SlotReport> {
    let (view, slot, mut found) = (system.view(), slot.parse().unwrap(), None);
    let mut seen = |event| {
        if event == SystemEvent::Message(message.to_owned()) {
            found = view.latest().slot(&slot).cloned();
        }
    };
    let done = install_watched(system, &InstallRequest::default(), file, &|| None, &mut seen);
    done.map_err(|error| error.text()).unwrap();
    found
}

/// As [`install`], which must succeed.
pub fn install_well(system: &mut System, file: &Path) -> Vec<SystemEvent> {
    let (done, events) = install(system, &InstallRequest::default(), file, &|| None);
    if let Err(error) = done {
        panic!("{}", error.text());
    }
    events
}

pub fn messages(events: &[SystemEvent]) -> Vec<String> {
    let of = |event: &SystemEvent| {
        if let SystemEvent::Message(text) = event { Some(text.clone()) } else { None }
    };
    events.iter().filter_map(of).collect()
}

pub fn status_of(system: &mut System, slot: &str) -> SlotStatus {
    let status = system.status(&mut |_| {}).unwrap();
    status.slot(&slot.parse().unwrap()).unwrap().status.clone()
}

/// An image of this size that differs everywhere from others.
pub fn image(tag: u8, len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from(i % 241).unwrap().wrapping_add(tag) | 1).collect()
}

/// A bundle of this manifest (after `[update]`) and these files, in a file of its own.
pub fn bundle_file(dir: &Path, name: &str, manifest: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let text = format!("[update]\ncompatible=Test Config\nversion=1.2.3\n{manifest}");
    make_bundle(dir, name, &text, files)
}

/// A bundle of one image for `rootfs`.
pub fn rootfs_bundle(world: &World, content: &[u8]) -> PathBuf {
    let manifest = "[image.rootfs]\nfilename=r.img\n";
    bundle_file(world.dir.path(), "b.raucb", manifest, &[("r.img", content)])
}

/// Whether there is a warning that begins so.
pub fn warned(events: &[SystemEvent], beginning: &str) -> bool {
    events
        .iter()
        .any(|event| matches!(event, SystemEvent::Warning(text) if text.starts_with(beginning)))
}

/// As [`bundle_file`], with a whole manifest.
pub fn make_bundle(dir: &Path, name: &str, text: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let files: BTreeMap<String, Vec<u8>> =
        files.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect();
    let text = format!("{text}[bundle]\nformat=verity\n");
    let identity =
        SigningIdentity::from_pem(&PKI.signer_cert_pem, &PKI.signer_key_pem, &[]).unwrap();
    let request = CreateRequest {
        content: BundleContent::Memory { manifest: &text, files: &files },
        format: Some(BundleFormat::Verity),
        compression: SquashfsCompression::Stored,
        identity: &identity,
        salt: [7; 32],
        timestamp: NOW,
    };
    let path = dir.join(name);
    let make = |image: &mut dyn std::io::Read, len| index_of_stream(image, len);
    let extras = CreateExtras { block_hash_index: Some(&make), ..CreateExtras::default() };
    create_bundle_with(&request, &extras, &path, &mut |_| {}).unwrap();
    path
}

pub fn verify(file: &Path) -> Result<VerifiedBundle, bundle::BundleError> {
    let source = Arc::new(FileSource::open(file).unwrap());
    let keyring = Keyring::from_pem(&PKI.ca_cert_pem, KeyringOptions::default()).unwrap();
    UntrustedBundle::open(source, &Limits::default())?.verify(&keyring, CheckTime::At(NOW))
}
