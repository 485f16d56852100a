// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands of `rauc` that work on this machine themselves: `service`, `write-slot`.

use crate::audit_trail::AuditTrail;
use crate::rauc::audited::Audited;
use crate::rauc::board::OwnBoard;
use crate::rauc::conf;
use crate::rauc::desk::Question;
use crate::rauc::engine::Told;
use crate::rauc::error::RaucError;
use crate::rauc::machine::{now, system};
use crate::rauc::output::Streams;
use crate::rauc::poller_hands::polling;
use crate::rauc::request::exactly;
use crate::rauc::service::{EndSignals, ServiceSetup, serve};
use crate::rauc::session::{Keys, Session};
use crate::rauc::system_engine::{StoreAccess, SystemEngine, told_of};
use crate::signals::StopRequest;
use crate::terminal::Tame;
use std::path::Path;
use updater::system::WriteSlotRequest;

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
    if let Err(error) = system.remove_left_content(&mut tell) {
        // The next install tries again, and says why it cannot.
        log(&Told::Warning(error.text()));
    }
    system.announce_start(&mut tell).map_err(RaucError::below)?;
    // What clients are told from the first moment of an install, until that has looked itself.
    if let Err(error) = system.status(&mut tell) {
        log(&Told::Warning(error.text()));
    }
    let polling = polling(session, system.facts().version.as_deref())?;
    let engine = SystemEngine {
        system,
        store,
        env: session.env.clone(),
        keys: Keys::new(&session.env, session.request.path("keyring")),
        handler_args: session.request.given.text("handler-args"),
        clock: now,
        log,
        hint: None,
        opened: None,
    };
    let trail = AuditTrail::below(Path::new("/"));
    let engine = Audited { inner: engine, trail, clock: now, log };
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
