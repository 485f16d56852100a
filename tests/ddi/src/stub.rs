// SPDX-License-Identifier: MIT OR Apache-2.0
//! A strict server of hawkBit's interface for one device, with knobs for what goes wrong.
//!
//! It refuses what its description does not allow: a wrong token, a wrong method, a body that is not
//! as it should be, words about an action that is not open. It counts as hawkBit does.

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

/// Of the device.
pub const TOKEN: &str = "strict-token";
/// Words of a status that hawkBit knows.
const EXECUTIONS: [&str; 8] = [
    "closed",
    "proceeding",
    "canceled",
    "scheduled",
    "rejected",
    "resumed",
    "downloaded",
    "download",
];
/// Longest body that is read.
const MAX_BODY: usize = 1 << 20;

/// How the next answer goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status instead of the work, with this `Retry-After`.
    Status(u16, Option<&'static str>),
    /// The connection ends without an answer, before the work.
    Drop,
    /// The connection ends without an answer, after the work.
    DropAfter,
    /// A byte at a time, with this pause.
    Drip(Duration),
    /// This body with status 200.
    Body(Vec<u8>),
}

/// Where an action stands at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// Waits for a yes.
    Confirmation,
    /// To be done.
    Running,
    /// To be ended.
    Canceling,
    /// Over, with success.
    Finished,
    /// Over, without.
    Failed,
    /// Over, because it was to be ended.
    Canceled,
}

/// An action.
#[derive(Clone, Debug)]
pub struct Action {
    /// Its number.
    pub id: i64,
    /// See there.
    pub open: Open,
    /// `download` and `update`.
    pub handling: (&'static str, &'static str),
    /// What it was told, as `execution finished`.
    pub told: Vec<String>,
    /// Of those, the messages.
    pub messages: Vec<String>,
    changes: i64,
}

/// What the server knows.
#[derive(Default)]
pub struct Book {
    /// All actions, oldest first.
    pub actions: Vec<Action>,
    /// How the next answers go wrong.
    pub faults: VecDeque<Fault>,
    /// The device's attributes.
    pub attributes: Option<Value>,
    /// They are asked for.
    pub wants_attributes: bool,
    /// What was asked, as `METHOD path`.
    pub log: Vec<String>,
    /// Why something was refused.
    pub refused: Vec<String>,
}

/// The running server.
pub struct Stub {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
    end: Arc<AtomicBool>,
}

impl Stub {
    /// Starts it on a port of its own.
    ///
    /// # Errors
    /// When there is none.
    pub fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (book, end) = (Arc::new(Mutex::new(Book::default())), Arc::new(AtomicBool::new(false)));
        let (kept, ended) = (Arc::clone(&book), Arc::clone(&end));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || serve(stream, address, &kept));
            }
        });
        Ok(Self { address, book, end })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it knows.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an action.
    pub fn assign(&self, id: i64, open: Open) {
        self.book().actions.push(Action {
            id,
            open,
            handling: ("forced", "forced"),
            told: Vec::new(),
            messages: Vec::new(),
            changes: 0,
        });
    }

    /// Changes one.
    pub fn change(&self, id: i64, change: impl Fn(&mut Action)) {
        for action in self.book().actions.iter_mut().filter(|action| action.id == id) {
            action.changes += 1;
            change(action);
        }
    }

    /// An action as it is.
    #[must_use]
    pub fn action(&self, id: i64) -> Option<Action> {
        self.book().actions.iter().find(|action| action.id == id).cloned()
    }

    /// How the next answers go wrong.
    pub fn fail(&self, faults: &[Fault]) {
        self.book().faults.extend(faults.iter().cloned());
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        // Wakes the one who waits for connections; it may be gone.
        let _ = TcpStream::connect(self.address);
    }
}

struct Request {
    method: String,
    path: String,
    token: Option<String>,
    is_json: bool,
    body: Vec<u8>,
}

fn read_request(from: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    from.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let (mut token, mut is_json, mut length) = (None, false, 0_usize);
    loop {
        let mut header = String::new();
        from.read_line(&mut header).ok()?;
        let header = header.trim_end();
        let Some((name, value)) = header.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => token = Some(value.to_owned()),
            "content-type" => is_json = value == "application/json",
            "content-length" => length = value.parse().ok().filter(|length| *length <= MAX_BODY)?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    Some(Request { method, path, token, is_json, body })
}

fn serve(stream: TcpStream, address: SocketAddr, book: &Mutex<Book>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream) {
        let fault = {
            let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
            book.log.push(format!("{} {}", request.method, request.path));
            book.faults.pop_front()
        };
        let mut pause = Duration::ZERO;
        let mut after = None;
        let answer = match fault {
            Some(Fault::Drop) => return,
            Some(Fault::Status(status, retry)) => {
                after = retry;
                (status, b"{\"errorCode\":\"played\"}".to_vec())
            }
            Some(Fault::Body(body)) => (200, body),
            other => {
                let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
                let answer = answer(&mut book, address, &request);
                match other {
                    Some(Fault::DropAfter) => return,
                    Some(Fault::Drip(each)) => pause = each,
                    Some(_) | None => {}
                }
                answer
            }
        };
        if send(stream.get_mut(), answer, (after, pause)).is_err() {
            return;
        }
    }
}

fn send(
    to: &mut TcpStream,
    (status, body): (u16, Vec<u8>),
    (after, pause): (Option<&str>, Duration),
) -> std::io::Result<()> {
    let after = after.map_or_else(String::new, |after| format!("Retry-After: {after}\r\n"));
    let head = format!(
        "HTTP/1.1 {status} Played\r\nContent-Type: application/hal+json\r\n{after}Content-Length: {}\r\n\r\n",
        body.len()
    );
    to.write_all(head.as_bytes())?;
    if pause.is_zero() {
        return to.write_all(&body);
    }
    for byte in body {
        to.write_all(&[byte])?;
        sleep(pause);
    }
    Ok(())
}

/// The work. Strict: whatever is odd is a 400 with a line in the book.
fn answer(book: &mut Book, address: SocketAddr, request: &Request) -> (u16, Vec<u8>) {
    if request.token.as_deref() != Some(&format!("TargetToken {TOKEN}")) {
        return (401, Vec::new());
    }
    let device = "/DEFAULT/controller/v1/dev1";
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let Some(rest) = path.strip_prefix(device) else { return (404, Vec::new()) };
    let parts: Vec<&str> = rest.split('/').skip(1).collect();
    let base = format!("http://{address}{device}");
    let ok = |value: Value| (200, value.to_string().into_bytes());
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", []) => ok(poll(book, &base)),
        ("PUT", ["configData"]) => take_attributes(book, request),
        ("GET", [kind, id]) => match describe(book, &base, (kind, id, query)) {
            Some(value) => ok(value),
            None => (404, Vec::new()),
        },
        ("POST", [kind, id, "feedback"]) => match take_feedback(book, request, (kind, id)) {
            Ok(status) => (status, Vec::new()),
            Err(why) => {
                book.refused.push(why.clone());
                (400, why.into_bytes())
            }
        },
        _ => (405, Vec::new()),
    }
}

/// The oldest open one, as hawkBit chooses without weights.
fn poll(book: &Book, base: &str) -> Value {
    let mut links = serde_json::Map::new();
    let mut link = |name: &str, place: String| {
        links.insert(name.to_owned(), json!({ "href": format!("{base}/{place}") }));
    };
    let open = [Open::Canceling, Open::Confirmation, Open::Running];
    if let Some(action) = book.actions.iter().find(|action| open.contains(&action.open)) {
        let (id, changes) = (action.id, action.changes);
        match action.open {
            Open::Canceling => link("cancelAction", format!("cancelAction/{id}")),
            Open::Confirmation => {
                link("confirmationBase", format!("confirmationBase/{id}?c={changes}"));
            }
            Open::Running | Open::Finished | Open::Failed | Open::Canceled => {
                link("deploymentBase", format!("deploymentBase/{id}?c={changes}"));
            }
        }
    }
    if book.wants_attributes {
        link("configData", "configData".to_owned());
    }
    json!({ "config": { "polling": { "sleep": "00:05:00" } }, "_links": links })
}

fn describe(book: &Book, base: &str, (kind, id, query): (&str, &str, &str)) -> Option<Value> {
    let action = book.actions.iter().find(|action| action.id.to_string() == id)?;
    let (download, update) = action.handling;
    let href = format!("{base}/softwaremodules/1/artifacts/update.raucb");
    let what = json!({
        "download": download, "update": update, "maintenanceWindow": "available",
        "chunks": [{ "part": "os", "version": "2.0.0", "name": "system", "artifacts": [{
            "filename": "update.raucb", "size": 3,
            "hashes": { "sha1": "a9993e364706816aba3e25717850c26c9cd0d89d" },
            "_links": { "download-http": { "href": href }, "download": { "href": href } } }] }] });
    let history = json!({ "status": "RUNNING", "messages": action.messages });
    let with_history = query.contains("actionHistory=") && !action.messages.is_empty();
    let mut answer = match (kind, action.open) {
        ("deploymentBase", Open::Running) => json!({ "id": id, "deployment": what }),
        ("confirmationBase", Open::Confirmation) => json!({ "id": id, "confirmation": what }),
        ("cancelAction", Open::Canceling) => json!({ "id": id, "cancelAction": { "stopId": id } }),
        _ => return None,
    };
    if with_history && kind != "cancelAction" {
        answer["actionHistory"] = history;
    }
    Some(answer)
}

fn take_attributes(book: &mut Book, request: &Request) -> (u16, Vec<u8>) {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let fits = |text: &str| text.len() <= 128 && text.is_ascii();
    let data = body["data"].as_object();
    let is_plain = data.is_some_and(|data| {
        !data.is_empty()
            && data.len() <= 100
            && data.iter().all(|(key, value)| fits(key) && value.as_str().is_some_and(fits))
    });
    if !request.is_json
        || !is_plain
        || !["merge", "replace", "remove"].contains(&body["mode"].as_str().unwrap_or_default())
    {
        book.refused.push(format!("attributes: {body}"));
        return (400, Vec::new());
    }
    (book.attributes, book.wants_attributes) = (Some(body), false);
    (200, Vec::new())
}

fn take_feedback(
    book: &mut Book,
    request: &Request,
    (kind, id): (&str, &str),
) -> Result<u16, String> {
    let Some(action) = book.actions.iter_mut().find(|action| action.id.to_string() == id) else {
        return Ok(404);
    };
    if !request.is_json {
        return Err("feedback is no JSON".to_owned());
    }
    let body: Value =
        serde_json::from_slice(&request.body).map_err(|odd| format!("feedback: {odd}"))?;
    if kind == "confirmationBase" {
        return confirm(action, &body);
    }
    let (execution, finished) = check_status(&body)?;
    let word = format!("{execution} {finished}");
    let is_open = matches!(action.open, Open::Running | Open::Canceling);
    match kind {
        "deploymentBase" if action.open == Open::Confirmation => return Ok(404),
        "deploymentBase" if !is_open => return Ok(410),
        "cancelAction" if action.open != Open::Canceling => return Ok(405),
        "deploymentBase" | "cancelAction" => {}
        other => return Err(format!("feedback about {other}")),
    }
    let details = body["status"]["details"].as_array().cloned().unwrap_or_default();
    action.messages.extend(details.iter().filter_map(|one| one.as_str()).map(str::to_owned));
    action.open = match (kind, execution.as_str(), finished.as_str()) {
        ("cancelAction", "closed", "failure") | ("cancelAction", "rejected", _) => Open::Running,
        ("cancelAction", "closed", _) => Open::Canceled,
        ("deploymentBase", "closed", "failure") => Open::Failed,
        ("deploymentBase", "closed", _) => Open::Finished,
        _ => action.open,
    };
    action.told.push(if kind == "cancelAction" { format!("cancel: {word}") } else { word });
    Ok(200)
}

fn confirm(action: &mut Action, body: &Value) -> Result<u16, String> {
    match (action.open, body["confirmation"].as_str()) {
        (Open::Confirmation, Some(word @ ("confirmed" | "denied"))) => {
            action.told.push(word.to_owned());
            if word == "confirmed" {
                action.open = Open::Running;
                action.changes += 1;
            }
            Ok(200)
        }
        (Open::Confirmation, _) => Err(format!("confirmation: {body}")),
        _ => Ok(410),
    }
}

fn check_status(body: &Value) -> Result<(String, String), String> {
    let refuse = || format!("feedback: {body}");
    let status = &body["status"];
    let execution = status["execution"].as_str().filter(|word| EXECUTIONS.contains(word));
    let finished = status["result"]["finished"].as_str();
    let finished = finished.filter(|word| ["success", "failure", "none"].contains(word));
    let details = match &status["details"] {
        Value::Null => true,
        Value::Array(all) => {
            all.len() <= 50
                && all.iter().all(|one| one.as_str().is_some_and(|one| one.chars().count() <= 512))
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => false,
    };
    let time =
        body["timestamp"].is_null() || body["timestamp"].is_i64() || body["timestamp"].is_u64();
    match (execution, finished) {
        (Some(execution), Some(finished)) if details && time => {
            Ok((execution.to_owned(), finished.to_owned()))
        }
        _ => Err(refuse()),
    }
}
