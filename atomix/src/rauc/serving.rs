// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands of `rauc` that work on this machine themselves: `service`, `write-slot`, `mount`.

use crate::rauc::board::OwnBoard;
use crate::rauc::conf;
use crate::rauc::desk::Question;
use crate::rauc::engine::Told;
use crate::rauc::error::RaucError;
use crate::rauc::machine::{now, system};
use crate::rauc::opening::{Content, Place, open, resolve};
use crate::rauc::output::Streams;
use crate::rauc::poller_hands::polling;
use crate::rauc::request::exactly;
use crate::rauc::service::{EndSignals, ServiceSetup, serve};
use crate::rauc::session::{Keys, Session};
use crate::rauc::system_engine::{StoreAccess, SystemEngine, told_of};
use crate::signals::StopRequest;
use crate::terminal::Tame;
use bundle::BundleFormat;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use storage::{ByteLen, Files, HostFiles, parse_mountinfo};
use updater::system::WriteSlotRequest;
use updater::{HostMachine, InstallLock, Machine, ProgramCall};

/// What is mounted, by the kernel.
const MOUNT_TABLE: &str = "/proc/self/mountinfo";

/// More mounts than this are no board's.
const MAX_MOUNT_TABLE: ByteLen = ByteLen::mib(1);

/// A line of the log. The service has no other output; systemd keeps it.
pub fn log(told: &Told) {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    // Handlers' lines go there.
    let mut out = Tame::new(&mut out);
    let mut streams = Streams::new(&mut out, &mut err);
    match told {
        Told::Progress { .. } => {}
        Told::Note(line) => streams.note(line),
        Told::Warning(line) => streams.warn(line),
        Told::Line(line) => streams.print(line),
    }
}

/// `rauc service`.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn service(session: &Session) -> Result<(), RaucError> {
    // Before anything else, since programs and the bus bring threads.
    let signals = EndSignals::note();
    let mut tell = |event| log(&told_of(event));
    let store = StoreAccess::default();
    let started = system(session, store.options(), &mut tell, &|| signals.by());
    if signals.by().is_some() {
        // The system-info handler may take as long as it likes.
        log(&Told::Note("stopping service".to_owned()));
        return Ok(());
    }
    let mut system = started?;
    system.determine_slot_states().map_err(RaucError::act("Failed to determine slot states"))?;
    system.publish_links(&mut tell).map_err(RaucError::below)?;
    system.announce_start(&mut tell).map_err(RaucError::below)?;
    let polling = polling(session, system.facts().version.as_deref())?;
    let engine = SystemEngine {
        system,
        store,
        env: session.env.clone(),
        keys: Keys::new(&session.env, session.request.path("keyring")),
        handler_args: session.request.given.text("handler-args"),
        clock: now,
        log,
    };
    let setup = ServiceSetup {
        env: session.env.clone(),
        autoinstall: session.loaded.config.autoinstall.clone(),
        polling,
        good_elsewhere: good_elsewhere(session),
        changed_on_disk: changed_on_disk(session),
        log: Box::new(log),
    };
    serve(Box::new(engine), setup, signals)
}

/// On a board of ours the boot state tells a mark from a trial.
fn good_elsewhere(session: &Session) -> Option<Question> {
    let board = OwnBoard::find(Path::new("/"), &session.loaded.config, now)?;
    Some(Box::new(move || board.booted_is_good()))
}

/// Says what to warn of when the configuration is another than it was.
fn changed_on_disk(session: &Session) -> Box<dyn Fn() -> Option<String> + Send + Sync> {
    let (path, text) = (session.loaded.path.clone(), session.loaded.text.clone());
    Box::new(move || {
        let path = path.as_deref()?;
        let found = conf::read(Path::new("/"), path).ok();
        (found.as_ref() != Some(&text)).then(|| {
            "System configuration file changed on disk! Still using old configuration! \
             Please restart the rauc service."
                .to_owned()
        })
    })
}

/// `rauc write-slot`.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn write_slot(session: &Session, out: &mut Streams<'_>) -> Result<(), RaucError> {
    let missing = ["A target slot name must be provided", "An image must be provided"];
    let [slot, image] = exactly(&session.request.words, missing).map_err(RaucError::Refused)?;
    let stop = StopRequest::listen();
    let question = || stop.by();
    let mut tell = |event| log(&told_of(event));
    let store = StoreAccess::default().options();
    let mut system = system(session, store, &mut tell, &question)?;
    let request = WriteSlotRequest {
        slot: slot.to_string_lossy().into_owned(),
        image: conf::absolute(Path::new(&image))?,
        image_type: session.request.given.text("image-type"),
    };
    system.write_slot(&request, &mut tell, &question).map_err(RaucError::below)?;
    out.print("Slot written successfully");
    Ok(())
}

/// `rauc mount`.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn mount(session: &Session, out: &mut Streams<'_>) -> Result<(), RaucError> {
    let [name] = exactly(&session.request.words, ["A bundle path or URL must be provided"])
        .map_err(RaucError::Refused)?;
    let place = resolve(&name)?;
    let keys = session.keys();
    let judging = session.judging(&keys);
    let opened = open(&place, &judging, &mut |notice| out.warn(&notice.to_string()))?;
    let Content::Verified(bundle) = &opened.content else {
        return Err(RaucError::refused("the bundle was not verified"));
    };
    let target = session.loaded.config.system.mountprefix.join("bundle");
    // An install has its bundle in the same place.
    let _lock =
        InstallLock::acquire(Path::new("/"), std::process::id()).map_err(RaucError::below)?;
    let mut machine = HostMachine::new();
    machine.make_dir(&target).map_err(RaucError::act("Failed creating mount point"))?;
    demand_free(&target)?;
    match &place {
        Place::Local(path) if bundle.format() == BundleFormat::Plain && is_kept(path) => {
            mount_image(&mut machine, path, bundle.payload_len(), &target)?;
        }
        Place::Local(_) | Place::Remote(_) => mount_copy(&mut machine, bundle, &target)?,
    }
    let target = target.display();
    out.print(&format!("Mounted bundle at {target}. Use 'umount {target}' to unmount."));
    Ok(())
}

/// Refuses a place where something is mounted: the one mount would hide the other.
fn demand_free(target: &Path) -> Result<(), RaucError> {
    let table = HostFiles::new(Path::new("/")).read(Path::new(MOUNT_TABLE), MAX_MOUNT_TABLE);
    let table = table.map_err(RaucError::below)?.unwrap_or_default();
    let real = target.canonicalize().map_err(RaucError::act("failed to mount bundle"))?;
    if parse_mountinfo(&table).iter().any(|mount| mount.place == real) {
        let target = target.display();
        return Err(RaucError::refused(format!("something is mounted at {target} already")));
    }
    Ok(())
}

/// Whether nobody but the administrator can change a file that was verified, or put another one in
/// its place: neither it nor a directory on the way to it.
fn is_kept(path: &Path) -> bool {
    let is_roots = |path: &Path| {
        path.symlink_metadata().is_ok_and(|found| found.uid() == 0 && found.mode() & 0o022 == 0)
    };
    // Links on the way are whoever's they are.
    path.canonicalize().is_ok_and(|real| real == path && real.ancestors().all(is_roots))
}

fn run(machine: &mut HostMachine, program: &str, arguments: &[&OsStr]) -> Result<(), RaucError> {
    let call = ProgramCall::new(program).args(arguments);
    let ended = machine.run(call, &|| None).and_then(|end| end.check(program));
    ended.map(drop).map_err(RaucError::act("failed to mount bundle"))
}

/// Mounts the file system of a plain bundle as it lies there.
fn mount_image(
    machine: &mut HostMachine,
    bundle: &Path,
    payload: ByteLen,
    target: &Path,
) -> Result<(), RaucError> {
    let options = format!("ro,nosuid,nodev,loop,sizelimit={}", payload.get());
    let words: [&OsStr; 6] = [
        "-t".as_ref(),
        "squashfs".as_ref(),
        "-o".as_ref(),
        options.as_ref(),
        bundle.as_os_str(),
        target.as_os_str(),
    ];
    run(machine, "mount", &words)
}

/// Mounts the content of any bundle as a copy in memory: the hash tree is checked by this program
/// and not by the kernel, so the kernel must not read the file behind its back.
fn mount_copy(
    machine: &mut HostMachine,
    bundle: &bundle::VerifiedBundle,
    target: &Path,
) -> Result<(), RaucError> {
    let above = target.parent().unwrap_or(target);
    let stage: PathBuf = above.join(format!(".bundle-{}", std::process::id()));
    machine.make_dir(&stage).map_err(RaucError::act("Failed creating mount point"))?;
    let memory = ["-t", "tmpfs", "-o", "nosuid,nodev,mode=0755", "rauc-bundle"].map(OsStr::new);
    let result =
        run(machine, "mount", &[&memory[..], &[stage.as_os_str()]].concat()).and_then(|()| {
            let content = stage.join("content");
            let copied = bundle::extract_bundle(bundle, &content)
                .map_err(RaucError::act("failed to mount bundle"));
            let bound = copied.and_then(|()| {
                let bind = ["--bind".as_ref(), content.as_os_str(), target.as_os_str()];
                run(machine, "mount", &bind)?;
                let read_only =
                    ["-o".as_ref(), "remount,bind,ro,nosuid,nodev".as_ref(), target.as_os_str()];
                run(machine, "mount", &read_only)
            });
            // What is bound keeps the copy alive until it is unmounted.
            let freed = run(machine, "umount", &["-l".as_ref(), stage.as_os_str()]);
            bound.and(freed)
        });
    machine.remove_dir(&stage);
    result
}
