// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rauc install`: the service installs, this shows how far it is. Ctrl-C ends the showing and
//! not the install, as in RAUC; who wants to end that calls `Cancel`.

use crate::rauc::client::{Client, INSTALLER, OBJECT, SERVICE, words};
use crate::rauc::error::RaucError;
use crate::rauc::hint::shown;
use crate::rauc::opening::resolve;
use crate::rauc::output::Streams;
use crate::rauc::request::{Request, exactly};
use crate::rauc::session::Session;
use bundle::http::shown_url;
use nix::sys::signal::{SigSet, Signal};
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use zbus::blocking::MessageIterator;
use zbus::message::Message;
use zbus::zvariant::{OwnedValue, Value};

/// How an install ended, as an exit code.
const FAILED: u8 = 1;
const SERVICE_LOST: u8 = 2;
const INTERRUPTED: u8 = 3;

/// More signals than an install sends; the connection stops reading when so many wait.
const MOST_SIGNALS_WAITING: usize = 4096;

enum Event {
    Signal(Message),
    Gone,
    Interrupted,
}

/// Has a bundle installed.
///
/// # Errors
/// [`RaucError`] where nothing was asked of the service; otherwise the exit code tells.
pub fn run(session: &Session, out: &mut Streams<'_>) -> Result<u8, RaucError> {
    let request = &session.request;
    let [name] = exactly(&request.words, ["A bundle path or URL must be provided"])
        .map_err(RaucError::Refused)?;
    if request.path("keyring").is_some() {
        return Err(RaucError::refused(
            "The '--keyring' argument is not supported when using the D-Bus service. \
             Reconfigure the service instead.",
        ));
    }
    let place = resolve(&name)?.to_string();
    let shown = shown_url(&place);
    let code = match installed(session, &place, out) {
        Ok(code) => code,
        Err(line) => {
            out.complain(&line);
            SERVICE_LOST
        }
    };
    match code {
        0 => out.print(&format!("Installing `{shown}` succeeded")),
        FAILED => out.complain(&format!("Installing `{shown}` failed")),
        SERVICE_LOST => out.complain(&format!("D-Bus error while installing `{shown}`")),
        INTERRUPTED => out.print(
            "\nCtrl+C pressed. Exiting rauc installation client...\n\
             Note that this will not abort the installation running in the rauc service!\n",
        ),
        code => {
            out.complain(&format!("Installing `{shown}` failed with unknown exit code: {code}"))
        }
    }
    Ok(code)
}

fn installed(session: &Session, place: &str, out: &mut Streams<'_>) -> Result<u8, String> {
    let (events, arriving) = channel();
    // Before other threads are there, which would be ended by the signal still.
    let interrupt: SigSet = [Signal::SIGINT].into_iter().collect();
    let blocked = interrupt.thread_block().is_ok();
    let client =
        Client::connect(&session.env).map_err(|cause| format!("Error creating proxy: {cause}"))?;
    if blocked {
        let events = events.clone();
        std::thread::spawn(move || interrupt.wait().map(|_| events.send(Event::Interrupted)));
    }
    // Starts the service where the bus can, so that its signals are not missed.
    let _started = client.properties();
    listen(&client, &events)
        .map_err(|cause| format!("Failed to connect properties-changed signal: {cause}"))?;
    let arguments = arguments(&session.request);
    let () = client
        .call("InstallBundle", &(place, &arguments))
        .map_err(|cause| format!("Failed to contact rauc service: {cause}"))?;
    let code = follow(&arriving, session.request.given.has("progress"), out);
    if code == FAILED
        && let Some(hint) = client.hint()
    {
        out.complain(&shown(&hint));
    }
    Ok(code)
}

/// The options of the command line as arguments of the method.
fn arguments(request: &Request) -> HashMap<&'static str, Value<'static>> {
    let given = &request.given;
    let mut arguments = HashMap::from([
        ("ignore-compatible", Value::from(given.has("ignore-compatible"))),
        ("ignore-version-limit", Value::from(given.has("ignore-version-limit"))),
    ]);
    for name in ["transaction-id", "require-manifest-hash", "tls-cert", "tls-key", "tls-ca"] {
        if let Some(value) = given.text(name) {
            arguments.insert(name, Value::from(value));
        }
    }
    if given.has("tls-no-verify") {
        arguments.insert("tls-no-verify", Value::from(true));
    }
    let headers = request.texts("http-header");
    if !headers.is_empty() {
        arguments.insert("http-headers", Value::from(headers));
    }
    arguments
}

/// From now on the signals of the service arrive, and the end of the service.
fn listen(client: &Client, events: &Sender<Event>) -> Result<(), String> {
    let connection = client.connection();
    let signals = format!("type='signal',sender='{SERVICE}',path='{OBJECT}'");
    let owner = format!(
        "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{SERVICE}'"
    );
    for rule in [signals, owner] {
        let iterator = zbus::MatchRule::try_from(&*rule).and_then(|rule| {
            MessageIterator::for_match_rule(rule, connection, Some(MOST_SIGNALS_WAITING))
        });
        let iterator = iterator.map_err(|error| words(&error))?;
        let events = events.clone();
        std::thread::spawn(move || {
            for message in iterator.flatten() {
                if events.send(Event::Signal(message)).is_err() {
                    return;
                }
            }
            // Without a bus there is no service.
            let _ = events.send(Event::Gone);
        });
    }
    Ok(())
}

/// Shows what the service says until the install or the service ends.
fn follow(arriving: &Receiver<Event>, bar: bool, out: &mut Streams<'_>) -> u8 {
    loop {
        let message = match arriving.recv() {
            Ok(Event::Signal(message)) => message,
            Ok(Event::Interrupted) => return INTERRUPTED,
            Ok(Event::Gone) | Err(_) => return gone(out),
        };
        let header = message.header();
        let member = header.member().map(|member| member.as_str());
        match member {
            Some("Completed") => {
                let result: i32 = message.body().deserialize().unwrap_or(1);
                return u8::try_from(result).unwrap_or(FAILED);
            }
            Some("NameOwnerChanged") => {
                let owners: Result<(String, String, String), _> = message.body().deserialize();
                if owners.is_ok_and(|(_, _, new)| new.is_empty()) {
                    return gone(out);
                }
            }
            Some("PropertiesChanged") => {
                type Changed = (String, HashMap<String, OwnedValue>, Vec<String>);
                let changed: Result<Changed, _> = message.body().deserialize();
                if let Ok((interface, changed, _)) = changed
                    && interface == INSTALLER
                {
                    for line in lines(&changed, bar && out.is_terminal, out.is_terminal) {
                        out.print(&line);
                    }
                }
            }
            _ => {}
        }
    }
}

fn gone(out: &mut Streams<'_>) -> u8 {
    out.complain("RAUC service disappeared");
    SERVICE_LOST
}

/// The lines for a change of properties.
fn lines(changed: &HashMap<String, OwnedValue>, bar: bool, is_terminal: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let text = |name: &str| crate::rauc::status_view::text(changed, name);
    lines.extend(text("Operation"));
    let progress = changed.get("Progress").and_then(|value| value.try_clone().ok());
    let progress = progress.and_then(|value| <(i32, String, i32)>::try_from(value).ok());
    if let Some((percent, message, _)) = progress {
        let line = format!("{percent:3}% {message}");
        lines.push(if bar {
            // To the start of the line above, clear, two lines.
            format!("\r\x1b[F\x1b[J{line}\n{}", bar_of(percent))
        } else {
            line
        });
    }
    if let Some(error) = text("LastError").filter(|error| !error.is_empty()) {
        let clear = if is_terminal { "\x1b[J" } else { "" };
        lines.push(format!("{clear}LastError: {error}"));
    }
    lines
}

/// A bar as wide as a terminal line of 80 columns.
fn bar_of(percent: i32) -> String {
    const WIDTH: i32 = 73;
    let full = WIDTH * percent.clamp(0, 100) / 100;
    let bar: String = (0..WIDTH).map(|at| if at > full { ' ' } else { '#' }).collect();
    format!("[{bar}]{percent:3}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_shown_as_rauc_shows_it() {
        let value = |value: Value<'_>| value.try_to_owned().unwrap();
        let changed =
            HashMap::from([("Progress".to_owned(), value(Value::from((7, "Checking bundle", 2))))]);
        assert_eq!(lines(&changed, false, false), ["  7% Checking bundle"]);
        assert!(lines(&changed, true, true)[0].ends_with("]  7%"));
        let changed = HashMap::from([("Operation".to_owned(), value(Value::from("installing")))]);
        assert_eq!(lines(&changed, false, false), ["installing"]);
        let error = |text: &'static str| {
            HashMap::from([("LastError".to_owned(), value(Value::from(text)))])
        };
        assert_eq!(lines(&error("no space"), false, false), ["LastError: no space"]);
        assert_eq!(lines(&error(""), false, false), Vec::<String>::new());
        assert_eq!(bar_of(100).matches('#').count(), 73);
    }
}
