// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rauc service`: takes the name on the bus, serves until it is asked to end, and then ends an
//! install that goes on in order.

use crate::rauc::bus_installer::{Installer, OwnInstaller};
use crate::rauc::client::{INSTALLER, OBJECT, SERVICE, way_to_bus, words};
use crate::rauc::desk::{Change, Desk, Question};
use crate::rauc::engine::{Engine, InstallAsked, Told};
use crate::rauc::env::RaucEnv;
use crate::rauc::error::RaucError;
use crate::rauc::poller::{PollChange, PollDesk, Polling};
use crate::rauc::poller_bus::{BusPoller, announce_poll};
use nix::sys::signal::{SigSet, Signal};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use zbus::blocking::{Connection, MessageIterator};
use zbus::fdo::RequestNameFlags;
use zbus::zvariant::Value;

/// How long an install may take to end once the service shall. systemd waits 90 s by default.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the bus may take for the last signals.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a service goes by.
pub struct ServiceSetup {
    /// The environment, which knows the bus.
    pub env: RaucEnv,
    /// Installed as soon as the service has its name, if it is there.
    pub autoinstall: Option<PathBuf>,
    /// How it polls a server by itself, if it does.
    pub polling: Option<Polling>,
    /// Whether the booted slot was marked good without this service, where that can be known.
    pub good_elsewhere: Option<Question>,
    /// Says what to warn of when the configuration changed since it was read.
    pub changed_on_disk: Box<dyn Fn() -> Option<String> + Send + Sync>,
    /// Where lines of the log go.
    pub log: Box<dyn Fn(&Told) + Send + Sync>,
}

/// Why the service ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Asked,
    BusLost,
    NameLost,
}

/// The signals that ask for an end, noted from the moment this is made. It must be made before
/// other threads are there, which would be ended by them still.
pub struct EndSignals {
    asked: Arc<AtomicBool>,
    each: Receiver<()>,
}

impl EndSignals {
    /// From now on they are noted. A system that does not allow it leaves them what they were.
    #[must_use]
    pub fn note() -> Self {
        let set: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
        let (asked, (noted, each)) = (Arc::new(AtomicBool::new(false)), channel());
        if set.thread_block().is_ok() {
            let asked = Arc::clone(&asked);
            std::thread::spawn(move || {
                while set.wait().is_ok() {
                    asked.store(true, Ordering::Relaxed);
                    let _nobody_listens_any_more = noted.send(());
                }
            });
        }
        Self { asked, each }
    }

    /// Who asks for an end, for what can be stopped on the way.
    #[must_use]
    pub fn by(&self) -> Option<&'static str> {
        self.asked.load(Ordering::Relaxed).then_some("a signal")
    }

    fn send_to(self, ends: Sender<End>) {
        std::thread::spawn(
            move || {
                while self.each.recv().is_ok() && ends.send(End::Asked).is_ok() {}
            },
        );
    }
}

/// Serves until asked to end.
///
/// # Errors
/// [`RaucError`] when the name cannot be had or the bus is lost.
pub fn serve(
    engine: Box<dyn Engine>,
    setup: ServiceSetup,
    signals: EndSignals,
) -> Result<(), RaucError> {
    let ServiceSetup { env, autoinstall, polling, good_elsewhere, changed_on_disk, log } = setup;
    let bus = env.bus;
    let (end, ends) = channel();
    signals.send_to(end.clone());
    let desk = Desk::open(engine, log);
    good_elsewhere.into_iter().for_each(|question| desk.believe(question));
    let polls = polling.map(|polling| PollDesk::open(polling, &desk));
    let (connection, announcer) =
        connect(&env, &desk, polls, changed_on_disk).map_err(|error| {
            let bus = bus.name();
            RaucError::refused(format!(
                "Connection to the {bus} bus can't be made for {SERVICE}: {}",
                words(&error)
            ))
        })?;
    watch(&connection, &end).map_err(|error| RaucError::refused(words(&error)))?;
    let name = connection.request_name_with_flags(SERVICE, RequestNameFlags::DoNotQueue.into());
    if name.is_err() {
        let bus = bus.name();
        return Err(RaucError::refused(format!(
            "Failed to obtain name {SERVICE} on {bus} bus\n\
             Failed to execute service: generic failure (check logs)"
        )));
    }
    if let Some(path) = autoinstall.filter(|path| path.exists()) {
        let source = path.display().to_string();
        desk.log(&Told::Note(format!("input bundle: {source}")));
        // Somebody else may have been faster.
        let _ = desk.install(InstallAsked { source, ..InstallAsked::default() });
    }
    let ended = wait(&ends);
    desk.log(&Told::Note("stopping service".to_owned()));
    desk.close(PATIENCE);
    announcer.flush();
    match ended {
        End::Asked => Ok(()),
        End::BusLost => {
            Err(RaucError::refused(format!("Lost connection to the {} bus", bus.name())))
        }
        End::NameLost => Err(RaucError::refused(format!("Lost the name {SERVICE}"))),
    }
}

fn wait(ends: &Receiver<End>) -> End {
    // Somebody always holds the other side.
    ends.recv().unwrap_or(End::Asked)
}

fn connect(
    env: &RaucEnv,
    desk: &Arc<Desk>,
    polls: Option<Arc<PollDesk>>,
    changed_on_disk: Box<dyn Fn() -> Option<String> + Send + Sync>,
) -> zbus::Result<(Connection, Announcer)> {
    let mut builder = way_to_bus(env)?
        .serve_at(OBJECT, Installer::new(Arc::clone(desk), changed_on_disk))?
        .serve_at(OBJECT, OwnInstaller::new(Arc::clone(desk)))?;
    if let Some(polls) = &polls {
        builder = builder.serve_at(OBJECT, BusPoller::new(Arc::clone(polls)))?;
    }
    let connection = builder.build()?;
    let announcer = Announcer::open(connection.clone());
    if let Some(polls) = polls {
        let to = announcer.clone();
        polls.tell(Box::new(move |change| to.say(News::Poll(change))));
    }
    let to = announcer.clone();
    desk.tell(Box::new(move |change| to.say(News::Install(change))));
    Ok((connection, announcer))
}

/// Something the bus is told.
enum News {
    Install(Change),
    Poll(PollChange),
    /// Nothing: all before it was told.
    Flush(Sender<()>),
}

/// One thread tells the bus of changes, in their order: whoever changes something may be on the
/// thread that reads the bus, and must not wait for it.
#[derive(Clone)]
struct Announcer(Sender<News>);

impl Announcer {
    fn open(to: Connection) -> Self {
        let (news, coming) = channel();
        std::thread::spawn(move || {
            for news in coming {
                // When the bus is gone there is nobody left to tell; that is noticed elsewhere.
                let _told = match news {
                    News::Install(change) => announce(&to, change),
                    News::Poll(change) => announce_poll(&to, &change),
                    News::Flush(done) => {
                        let _ = done.send(());
                        Ok(())
                    }
                };
            }
        });
        Self(news)
    }

    fn say(&self, news: News) {
        // The thread ends after the last of these.
        let _ = self.0.send(news);
    }

    /// Waits until everything was told that was said before.
    fn flush(&self) {
        let (done, told) = channel();
        self.say(News::Flush(done));
        let _ = told.recv_timeout(LAST_WORDS);
    }
}

/// Tells the bus of a change, in the order in which changes come.
fn announce(connection: &Connection, change: Change) -> zbus::Result<()> {
    let (name, value): (&str, Value<'_>) = match change {
        Change::Operation(operation) => ("Operation", operation.into()),
        Change::LastError(error) => ("LastError", error.into()),
        Change::Progress(progress) => ("Progress", progress.into()),
        Change::Completed(result) => {
            let nobody = None::<zbus::names::BusName<'_>>;
            return connection.emit_signal(nobody, OBJECT, INSTALLER, "Completed", &(result,));
        }
    };
    property_changed(connection, INSTALLER, name, value)
}

/// Tells the bus of a property's new value.
///
/// # Errors
/// [`zbus::Error`] when the bus is gone.
pub fn property_changed(
    connection: &Connection,
    interface: &str,
    name: &str,
    value: Value<'_>,
) -> zbus::Result<()> {
    let changed = HashMap::from([(name, value)]);
    let nobody = None::<zbus::names::BusName<'_>>;
    let body = (interface, changed, Vec::<&str>::new());
    let properties = "org.freedesktop.DBus.Properties";
    connection.emit_signal(nobody, OBJECT, properties, "PropertiesChanged", &body)
}

/// Notices when the bus or the name on it is lost.
fn watch(connection: &Connection, end: &Sender<End>) -> zbus::Result<()> {
    let rule = zbus::MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .sender("org.freedesktop.DBus")?
        .member("NameLost")?
        .arg(0, SERVICE)?
        .build();
    let lost = MessageIterator::for_match_rule(rule, connection, None)?;
    let end = end.clone();
    std::thread::spawn(move || {
        for message in lost {
            if message.is_ok() {
                let _ = end.send(End::NameLost);
                return;
            }
        }
        let _ = end.send(End::BusLost);
    });
    Ok(())
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
