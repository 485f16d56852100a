// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a strict server of hawkBit's interface answer for one device? Values only: the sockets
//! are [`crate::stub`]'s, and the fleet simulator has none.
//!
//! It refuses what its description does not allow: a wrong token, a wrong method, a body that is not
//! as it should be, words about an action that is not open. It counts as hawkBit does.

use serde_json::{Value, json};

/// Of the device.
pub const TOKEN: &str = "strict-token";
/// More words about one action are too many: hawkBit keeps a thousand for all of its time.
const MOST_WORDS: usize = 30;
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
    /// `maintenanceWindow`.
    pub window: &'static str,
    /// What it was told, as `execution finished`.
    pub told: Vec<String>,
    /// Of those, the messages.
    pub messages: Vec<String>,
    /// What it wants installed.
    pub bundle: Bundle,
    changes: i64,
}

impl Action {
    /// A forced one.
    #[must_use]
    pub fn new(id: i64, open: Open, bundle: Bundle) -> Self {
        let (handling, window) = (("forced", "forced"), "available");
        Self {
            id,
            open,
            handling,
            window,
            told: Vec::new(),
            messages: Vec::new(),
            bundle,
            changes: 0,
        }
    }

    /// Changes it, so that the device is told that it did.
    pub fn change(&mut self, change: impl Fn(&mut Self)) {
        self.changes += 1;
        change(self);
    }
}

/// The one artifact of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Its name.
    pub file: String,
    /// The version of its chunk.
    pub version: String,
    /// Its length.
    pub size: u64,
    /// SHA-1 of it.
    pub sha1: String,
}

impl Default for Bundle {
    /// The three bytes `abc`.
    fn default() -> Self {
        Self {
            file: "update.raucb".to_owned(),
            version: "2.0.0".to_owned(),
            size: 3,
            sha1: "a9993e364706816aba3e25717850c26c9cd0d89d".to_owned(),
        }
    }
}

/// What the server knows.
pub struct Book {
    /// All actions, oldest first.
    pub actions: Vec<Action>,
    /// The device's attributes.
    pub attributes: Option<Value>,
    /// They are asked for.
    pub wants_attributes: bool,
    /// What was asked, as `METHOD path`.
    pub log: Vec<String>,
    /// Why something was refused.
    pub refused: Vec<String>,
    /// The pause between polls that it wishes.
    pub sleep: &'static str,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            actions: Vec::new(),
            attributes: None,
            wants_attributes: false,
            log: Vec::new(),
            refused: Vec::new(),
            sleep: "00:05:00",
        }
    }
}

/// A request, without what carries it.
pub struct Request {
    /// `GET`, `POST` or `PUT`.
    pub method: String,
    /// From the first slash on, with the query.
    pub path: String,
    /// The value of `Authorization`.
    pub token: Option<String>,
    /// Whether it says that its body is JSON.
    pub is_json: bool,
    /// See there.
    pub body: Vec<u8>,
}

/// Where a device has its place.
#[derive(Clone, Copy, Debug)]
pub struct Place<'p> {
    /// The server, as links begin: `http://127.0.0.1:8080`.
    pub server: &'p str,
    /// The device's name.
    pub device: &'p str,
}

/// The work: status and body. Strict: whatever is odd is a 400 with a line in the book.
#[must_use]
pub fn answer(book: &mut Book, place: Place<'_>, request: &Request) -> (u16, Vec<u8>) {
    if request.token.as_deref() != Some(&format!("TargetToken {TOKEN}")) {
        return (401, Vec::new());
    }
    let device = format!("/DEFAULT/controller/v1/{}", place.device);
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let Some(rest) = path.strip_prefix(&device) else { return (404, Vec::new()) };
    let parts: Vec<&str> = rest.split('/').skip(1).collect();
    let base = format!("{}{device}", place.server);
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
    json!({ "config": { "polling": { "sleep": book.sleep } }, "_links": links })
}

fn describe(book: &Book, base: &str, (kind, id, query): (&str, &str, &str)) -> Option<Value> {
    let action = book.actions.iter().find(|action| action.id.to_string() == id)?;
    let (download, update) = action.handling;
    let bundle = &action.bundle;
    let href = format!("{base}/softwaremodules/1/artifacts/{}", bundle.file);
    let what = json!({
        "download": download, "update": update, "maintenanceWindow": action.window,
        "chunks": [{ "part": "os", "version": bundle.version, "name": "system", "artifacts": [
                beside(base, "readme.txt"),
                { "filename": bundle.file, "size": bundle.size,
                  "hashes": { "sha1": bundle.sha1 },
                  "_links": { "download-http": { "href": href }, "download": { "href": href } } },
                beside(base, &format!("{}.sig", bundle.file))] },
            { "part": "bApp", "version": "7", "name": "notes", "artifacts": [beside(base, "notes.txt")] }] });
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

/// What lies beside a bundle and is no device's business.
fn beside(base: &str, name: &str) -> Value {
    let href = format!("{base}/softwaremodules/1/artifacts/{name}");
    json!({ "filename": name, "size": 3,
        "hashes": { "md5": "900150983cd24fb0d6963f7d28e17f72",
            "sha1": "a9993e364706816aba3e25717850c26c9cd0d89d" },
        "_links": { "download": { "href": href } } })
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
    if action.told.len() >= MOST_WORDS && execution != "closed" {
        return Err(format!("more than {MOST_WORDS} words about action {id}"));
    }
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
