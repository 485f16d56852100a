// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boot state through its backends: U-Boot's environment and RAUC's script contract.

use bootctl::{
    Activation, AttemptsLeft, BackendError, BootBackend, BootControl, BootState, BundleId, Command,
    ControlParts, CustomBackend, DataReset, LateFallback, NoopBackend, PauseStep, ReadStateError,
    SlotId, SlotState, StateWarning, Timestamp, UbootBackend, transition,
};
use std::path::{Path, PathBuf};
use storage::{Journal, MemoryStorage, OpKind, PartUuid, Recording, Shared, Storage};
use uboot::{CopyPlace, Env, EnvStore};
use uuid::Uuid;

type Flash = Shared<Recording<MemoryStorage>>;

fn flash(journal: &Journal) -> Flash {
    let memory = MemoryStorage::nor("spi", vec![0xff; 0x4000], 0x1000);
    Shared::new(Recording::new(memory, journal.clone()))
}

fn place(offset: u64) -> CopyPlace {
    CopyPlace {
        device: PathBuf::from("/dev/mtd0"),
        offset,
        env_bytes: 0x2000,
        erase_bytes: 0x1000,
        sectors: 2,
    }
}

fn env_store(flash: &Flash) -> EnvStore<Flash> {
    EnvStore::open(vec![(flash.clone(), place(0)), (flash.clone(), place(0x2000))]).unwrap()
}

fn defaults() -> Env {
    let mut env = Env::new();
    env.set("bootcmd", "env default -f atomix_select; run atomix_select").unwrap();
    env
}

fn factory() -> BootState {
    BootState::factory("11111111-2222-3333-4444-555555555555".parse().unwrap())
}

#[test]
fn one_transition_is_one_commit_and_keeps_the_variables_of_others() {
    let journal = Journal::new();
    let flash = flash(&journal);
    let mut env = defaults();
    env.set("ethaddr", "02:00:00:00:00:01").unwrap();
    env_store(&flash).store(&env).unwrap();

    let mut backend = UbootBackend::with_defaults(env_store(&flash), defaults());
    let old = backend.load().unwrap();
    assert_eq!(old, BootState::lost(), "an environment that is not ours says nothing");
    assert_eq!(backend.warnings().last(), Some(&ReadStateError::Lost.to_string()));
    backend.store(&old, &factory()).unwrap();

    let before = journal.op_count();
    let install = Command::BeginInstall { target: SlotId::B };
    let next = transition(&factory(), Some(SlotId::A), &install).unwrap();
    backend.store(&factory(), &next).unwrap();
    let written = journal.ops().split_off(before);
    // A whole copy, and the flag that retires the other one: nothing else.
    let sizes: Vec<usize> = written
        .iter()
        .filter_map(|op| match &op.kind {
            OpKind::Write { data, .. } => Some(data.len()),
            OpKind::Erase { .. } | OpKind::Flush | OpKind::File(_) => None,
        })
        .collect();
    assert_eq!(sizes, [0x2000, 1]);

    assert_eq!(backend.load().unwrap(), next);
    let found = env_store(&flash).load().unwrap().env;
    assert_eq!(found.get("ethaddr"), Some("02:00:00:00:00:01"));
    assert_eq!(found.get("bootcmd"), defaults().get("bootcmd"));
    assert_eq!(found.get("atomix_state_B"), Some("writing"));
    assert_eq!(found.get("BOOT_ORDER"), Some("A"));
}

#[test]
fn a_state_that_another_program_stored_meanwhile_is_not_undone() {
    let flash = flash(&Journal::new());
    let mut first = UbootBackend::with_defaults(env_store(&flash), defaults());
    let lost = first.load().unwrap();
    first.store(&lost, &factory()).unwrap();
    let seen = first.load().unwrap();
    let mut second = UbootBackend::new(env_store(&flash));
    let begun =
        transition(&seen, Some(SlotId::A), &Command::BeginInstall { target: SlotId::B }).unwrap();
    second.store(&seen, &begun).unwrap();

    let marked = transition(&seen, Some(SlotId::A), &Command::MarkActive { slot: SlotId::A });
    let mut marked = marked.unwrap();
    marked.a.attempts = AttemptsLeft::MAX;
    let refused = first.store(&seen, &marked).unwrap_err();
    assert!(matches!(refused, BackendError::Changed) && refused.hint().is_some());
    assert_eq!(first.load().unwrap(), begun, "the begun install is still known");
}

#[test]
fn commits_of_two_programs_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock/fw_printenv.lock");
    let flash = flash(&Journal::new());
    let mut backend =
        UbootBackend::with_defaults(env_store(&flash), defaults()).locked_by(path.clone());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let held = std::fs::File::create(&path).unwrap();
    held.lock().unwrap();
    let (done, finished) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            backend.store(&BootState::lost(), &factory()).unwrap();
            done.send(()).unwrap();
        });
        let early = finished.recv_timeout(std::time::Duration::from_millis(100));
        assert!(early.is_err(), "stored while another program held the lock");
        held.unlock().unwrap();
        finished.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
    });
    let mut backend = UbootBackend::new(env_store(&flash));
    assert_eq!(backend.load().unwrap(), factory());
}

/// The whole wait, once: a process that anybody can start must not keep a slot unconfirmed.
#[test]
fn a_lock_that_is_never_let_go_delays_a_commit_and_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock/fw_printenv.lock");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _made = std::fs::File::create(&path).unwrap();
    let held = std::fs::File::open(&path).unwrap();
    held.lock().unwrap();
    let flash = flash(&Journal::new());
    let mut other = UbootBackend::with_defaults(env_store(&flash), defaults());
    let mut spent = factory();
    spent.a.attempts = AttemptsLeft::ONE;
    other.store(&BootState::lost(), &spent).unwrap();
    let mut control = BootControl::load(ControlParts {
        backend: Box::new(UbootBackend::new(env_store(&flash)).locked_by(path)),
        recorder: Err("no recorder here".to_owned()),
        booted: Some(SlotId::A),
        late_fallback: LateFallback::Allowed,
        at: Timestamp::UNKNOWN,
    })
    .unwrap();
    // What another program commits meanwhile is no lost copy, whatever is said of the lock.
    let begin = Command::BeginInstall { target: SlotId::B };
    let begun = transition(&spent, Some(SlotId::A), &begin).unwrap();
    other.store(&spent, &begun).unwrap();
    control.apply(&Command::RestoreAttempts { slot: SlotId::A }).unwrap();
    assert_eq!(control.state().a.attempts, AttemptsLeft::DEFAULT);
    assert_eq!(control.state().b.state, SlotState::Writing);
    let told = control.warnings().iter().filter(|warning| warning.contains("fw_printenv.lock"));
    assert_eq!(told.count(), 1, "{:?}", control.warnings());
    assert_eq!(other.load().unwrap(), *control.state());
}

#[test]
fn a_request_to_reset_data_that_was_done_does_not_come_back_with_an_older_copy() {
    let flash = flash(&Journal::new());
    let mut backend = UbootBackend::with_defaults(env_store(&flash), defaults());
    backend.store(&BootState::lost(), &factory()).unwrap();
    assert_eq!(backend.data_reset().unwrap(), DataReset::NotRequested);
    let request = DataReset::Partition("66666666-7777-8888-9999-aaaaaaaaaaaa".parse().unwrap());
    backend.set_data_reset(request).unwrap();
    assert_eq!(backend.data_reset().unwrap(), request);
    assert_eq!(backend.load().unwrap(), factory(), "the boot state is as it was");
    // Boot state changes in between keep it.
    let mut tried = factory();
    tried.a.attempts = AttemptsLeft::MAX;
    backend.store(&factory(), &tried).unwrap();
    assert_eq!(backend.data_reset().unwrap(), request);

    backend.set_data_reset(DataReset::NotRequested).unwrap();
    assert_eq!(backend.data_reset().unwrap(), DataReset::NotRequested);
    for lost in 0..2_u64 {
        let mut bytes = vec![0; 0x4000];
        flash.read_at(0, &mut bytes).unwrap();
        let mut copy = Shared::new(MemoryStorage::nor("spi", bytes, 0x1000));
        copy.erase(lost * 0x2000, 0x2000).unwrap();
        let places = vec![(copy.clone(), place(0)), (copy, place(0x2000))];
        let mut survivor = UbootBackend::new(EnvStore::open(places).unwrap());
        assert_eq!(survivor.load().unwrap(), tried, "copy {lost} lost");
        assert_eq!(survivor.data_reset().unwrap(), DataReset::NotRequested, "copy {lost} lost");
    }
}

#[test]
fn a_state_stored_again_reaches_the_older_copy() {
    let flash = flash(&Journal::new());
    let mut backend = UbootBackend::with_defaults(env_store(&flash), defaults());
    backend.store(&BootState::lost(), &factory()).unwrap();
    let begin = bootctl::Command::BeginInstall { target: SlotId::B };
    let writing = bootctl::transition(&factory(), Some(SlotId::A), &begin).unwrap();
    backend.store(&factory(), &writing).unwrap();
    backend.store(&writing, &writing).unwrap();
    for lost in 0..2_u64 {
        let mut bytes = vec![0; 0x4000];
        flash.read_at(0, &mut bytes).unwrap();
        let mut copy = Shared::new(MemoryStorage::nor("spi", bytes, 0x1000));
        copy.erase(lost * 0x2000, 0x2000).unwrap();
        let places = vec![(copy.clone(), place(0)), (copy, place(0x2000))];
        let mut survivor = UbootBackend::new(EnvStore::open(places).unwrap());
        assert_eq!(survivor.load().unwrap(), writing, "copy {lost} lost");
    }
}

#[test]
fn a_boot_loader_without_environment_says_that_it_keeps_no_request() {
    assert_eq!(NoopBackend.data_reset().unwrap(), DataReset::NotRequested);
    let refused = NoopBackend.set_data_reset(DataReset::BoundDisk).unwrap_err();
    assert!(matches!(refused, BackendError::NoRequests { backend: "noop" }));
    assert!(refused.hint().is_some());
}

#[test]
fn a_lost_environment_is_not_begun_without_a_boot_command() {
    let flash = flash(&Journal::new());
    let mut bare = UbootBackend::new(env_store(&flash));
    let lost = bare.load().unwrap();
    assert_eq!(lost, BootState::lost());
    assert!(!bare.warnings().is_empty());
    let refused = bare.store(&lost, &factory()).unwrap_err();
    assert!(matches!(refused, BackendError::NoDefaults) && refused.hint().is_some());
    let mut backend = UbootBackend::with_defaults(env_store(&flash), defaults());
    backend.store(&lost, &factory()).unwrap();
    assert_eq!(env_store(&flash).load().unwrap().env.get("bootcmd"), defaults().get("bootcmd"));
}

#[test]
fn a_cut_at_any_act_of_a_commit_leaves_the_old_or_the_new_state() {
    let journal = Journal::new();
    let flash = flash(&journal);
    let mut backend = UbootBackend::with_defaults(env_store(&flash), defaults());
    backend.store(&BootState::lost(), &factory()).unwrap();
    let first = journal.op_count();
    let install = Command::BeginInstall { target: SlotId::B };
    let next = transition(&factory(), Some(SlotId::A), &install).unwrap();
    backend.store(&factory(), &next).unwrap();
    let blank = vec![0xff; 0x4000];
    for cut in first..journal.op_count() {
        for image in journal.crash_images("spi", &blank, cut, 3).unwrap() {
            let memory = MemoryStorage::nor("spi", image, 0x1000);
            let survivor = Shared::new(Recording::new(memory, Journal::new()));
            let mut backend = UbootBackend::new(env_store(&survivor));
            let found = backend.load().unwrap();
            assert!(
                found == factory() || found == next,
                "cut {cut}: {found:?} {:?}",
                backend.warnings()
            );
        }
    }
}

#[test]
fn odd_values_restrict_and_are_reported_and_never_crash() {
    let mut env = defaults();
    factory().write_to(&mut env).unwrap();
    for (name, value) in [
        ("BOOT_ORDER", "system0 B A A"),
        ("BOOT_A_LEFT", "0x3"),
        ("atomix_last", "A 9"),
        ("atomix_digest_B", "not hexadecimal"),
        ("atomix_reason", "because"),
        ("atomix_disk", "mine"),
    ] {
        env.set(name, value).unwrap();
    }
    let (state, warnings) = BootState::from_env_warned(&env).unwrap();
    assert_eq!(state.order, [SlotId::B, SlotId::A]);
    assert_eq!(state.a.attempts, AttemptsLeft::ZERO);
    assert_eq!((state.last, state.pause), (Some(SlotId::A), PauseStep::SLOWEST));
    assert_eq!(state.disk, Some(PartUuid(Uuid::nil())), "another disk's, not none");
    assert_eq!(state.reason, None);
    assert!(warnings.contains(&StateWarning::UnknownSlot { name: "system0".to_owned() }));
    assert!(warnings.contains(&StateWarning::RepeatedSlot { slot: SlotId::A }));
    for variable in
        ["BOOT_A_LEFT", "atomix_last", "atomix_digest_B", "atomix_reason", "atomix_disk"]
    {
        assert!(
            warnings.iter().any(|warning| warning.to_string().contains(variable)),
            "{variable} is not reported"
        );
    }
}

#[test]
fn the_largest_state_fits_beside_other_variables() {
    let mut state = factory();
    for byte in 0..8 {
        state.remember_failed(BundleId::from_bytes([byte; 16]));
    }
    state.a.bundle = Some(BundleId::from_bytes([1; 16]));
    state.b.bundle = Some(BundleId::from_bytes([2; 16]));
    let mut env = Env::new();
    state.write_to(&mut env).unwrap();
    assert!(env.used_bytes() < 768, "the state takes {} bytes", env.used_bytes());
}

/// A boot loader in a directory: one file for each fact, every call logged.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/custom-backend.sh");

fn custom(dir: &Path) -> CustomBackend {
    let script = dir.join("backend.sh");
    // By a program: a file that this process writes can be open in a child that another test is
    // starting, and then does not run.
    let install =
        std::process::Command::new("install").args(["-m", "755", SCRIPT]).arg(&script).status();
    assert!(install.unwrap().success());
    for (file, content) in
        [("primary", "A\n"), ("state.A", "good\n"), ("state.B", "bad\n"), ("current", "A\n")]
    {
        std::fs::write(dir.join(file), content).unwrap();
    }
    CustomBackend::new(script)
}

fn calls_of_store(backend: &mut CustomBackend, dir: &Path, command: Command) -> Vec<String> {
    let old = backend.load().unwrap();
    let booted = backend.booted().unwrap();
    let new = transition(&old, booted, &command).unwrap();
    std::fs::write(dir.join("calls"), "").unwrap();
    backend.store(&old, &new).unwrap();
    let log = std::fs::read_to_string(dir.join("calls")).unwrap();
    log.lines().map(str::to_owned).collect()
}

#[test]
fn the_script_is_called_as_rauc_calls_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut backend = custom(dir.path());
    let state = backend.load().unwrap();
    assert_eq!(state.primary(), Some(SlotId::A));
    assert_eq!((state.a.state, state.b.state), (SlotState::Good, SlotState::Bad));
    assert_eq!(backend.booted().unwrap(), Some(SlotId::A));

    // Confirming the running slot reaches the script even when it already reads good.
    let confirm = Command::MarkGood { slot: SlotId::A };
    assert_eq!(calls_of_store(&mut backend, dir.path(), confirm), ["set-state A good"]);

    // An install: bad before the first byte (it already is), primary after the last.
    let old = backend.load().unwrap();
    let target = SlotId::B;
    let writing = transition(&old, Some(SlotId::A), &Command::BeginInstall { target }).unwrap();
    backend.store(&old, &writing).unwrap();
    let (bundle, activation) = (BundleId::from_bytes([1; 16]), Activation::Activate);
    let finish = Command::FinishInstall { target, bundle, activation };
    let trying = transition(&writing, Some(SlotId::A), &finish).unwrap();
    std::fs::write(dir.path().join("calls"), "").unwrap();
    backend.store(&writing, &trying).unwrap();
    let log = std::fs::read_to_string(dir.path().join("calls")).unwrap();
    assert_eq!(log, "set-state B good\nset-primary B\n");
    assert_eq!(backend.load().unwrap().primary(), Some(SlotId::B));

    let old = backend.load().unwrap();
    std::fs::write(dir.path().join("current"), "A").unwrap();
    let again = calls_of_store(&mut backend, dir.path(), Command::BeginInstall { target });
    assert_eq!(old.a.state, SlotState::Good);
    assert_eq!(again, ["set-state B bad", "set-primary A"]);
}

#[test]
fn a_failing_or_babbling_script_is_told_with_what_it_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut backend = custom(dir.path());
    std::fs::write(dir.path().join("state.B"), "perhaps\n").unwrap();
    let odd = backend.load().unwrap_err();
    assert!(odd.to_string().ends_with("get-state B answered \"perhaps\""), "{odd}");
    std::fs::write(dir.path().join("primary"), "C\n").unwrap();
    assert!(matches!(backend.load(), Err(BackendError::Answer { .. })));
    std::fs::remove_file(dir.path().join("primary")).unwrap();
    let failed = backend.load().unwrap_err();
    let text = failed.to_string();
    assert!(text.contains("get-primary failed with") && text.contains("primary"), "{text}");
    let mut absent = CustomBackend::new(dir.path().join("absent.sh"));
    let start = absent.load().unwrap_err();
    assert!(matches!(start, BackendError::Start { .. }) && start.hint().is_some());
}

/// Found by the fuzz targets: a step without a slot was lost with the next commit.
#[test]
fn an_odd_pause_without_a_slot_outlives_a_commit() {
    let mut env = Env::new();
    env.set("atomix_env", "1").unwrap();
    env.set("atomix_last", "C").unwrap();
    let state = BootState::from_env(&env).unwrap();
    assert_eq!((state.last, state.pause), (None, PauseStep::SLOWEST));
    state.write_to(&mut env).unwrap();
    assert_eq!(BootState::from_env(&env), Ok(state));
}
