// SPDX-License-Identifier: MIT OR Apache-2.0
//! A played server, and a course that talks with it.

use super::course::step;
use super::events::{Context, Effect, Event, InstallEnd, Judged};
use super::feedback::AttributeMode;
use super::request::{Asked, DdiAnswer, DdiMethod, DdiRequest, NoAnswer};
use super::server::{ActionId, Server};
use super::state::DdiState;
use crate::facts::Clock;
use crate::place::Transport;
use crate::policy::Keep;
use bootctl::SlotId;
use bundle::UnixTime;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use storage::{ByteLen, Digest};

pub const MANIFEST: Digest = Digest::from_bytes([7; 32]);
pub const ID: ActionId = ActionId(5);

/// A server that keeps an action open until it hears the end, and says what it was told.
#[derive(Default)]
pub struct Play {
    pub state: DdiState,
    /// The links of the next polls, as pairs of resource and number.
    pub links: Vec<(&'static str, i64)>,
    pub update: &'static str,
    /// Status by which the next feedbacks are answered, 200 where there is none.
    pub statuses: Vec<u16>,
    pub is_down: bool,
    pub keep: Keep,
    pub told: Vec<String>,
    pub effects: Vec<Effect>,
    pub attributes: BTreeMap<String, String>,
    pub details: Vec<String>,
    /// The word by which the server tells that an action changed.
    pub change: Option<i64>,
}

impl Play {
    pub fn new() -> Self {
        let attributes = BTreeMap::from([("hw".to_owned(), "rock64".to_owned())]);
        Self {
            update: "attempt",
            attributes,
            links: vec![("deploymentBase", 5)],
            ..Self::default()
        }
    }

    pub fn event(&mut self, event: Event) -> &mut Self {
        let server = Server::new("https://h", Transport::HttpsOnly, ("DEFAULT", "d")).unwrap();
        let mut event = Some(event);
        while let Some(happened) = event.take() {
            let clock = Clock { now: UnixTime(1000), floor: None, is_set: true };
            let attributes = self.attributes.clone();
            let mode = AttributeMode::Merge;
            let context = Context {
                server: &server,
                attributes: &attributes,
                mode,
                details: &self.details,
                clock,
                keep: self.keep,
            };
            let (next, effects) = step(self.state.clone(), happened, &context);
            self.state = next;
            for effect in effects {
                if let Effect::Send(request) = effect {
                    assert!(event.is_none(), "one request at a time");
                    let answer = self.answer(&request);
                    event = Some(Event::Answered(request.asked, answer));
                } else {
                    self.effects.push(effect);
                }
            }
        }
        self
    }

    fn answer(&mut self, request: &DdiRequest) -> Result<DdiAnswer, NoAnswer> {
        if self.is_down {
            return Err(NoAnswer { reason: "cannot connect".to_owned() });
        }
        let ok = |body: Value| {
            Ok(DdiAnswer { status: 200, retry_after: None, body: body.to_string().into_bytes() })
        };
        match &request.asked {
            Asked::Base => {
                let mut links = serde_json::Map::new();
                for (resource, id) in &self.links {
                    let href = format!("https://h/DEFAULT/controller/v1/d/{resource}/{id}");
                    let change = self.change.map(|c| format!("?c={c}")).unwrap_or_default();
                    let href = href + &change;
                    links.insert((*resource).to_owned(), json!({ "href": href }));
                }
                ok(json!({ "config": { "polling": { "sleep": "00:01:00" } }, "_links": links }))
            }
            Asked::Action(_, link) if request.url.contains("cancelAction") => {
                let id = link.id.to_string();
                ok(json!({ "id": id, "cancelAction": { "stopId": id } }))
            }
            Asked::Action(_, link) => {
                let bundle = json!({ "filename": "a.raucb", "size": 3,
                    "_links": { "download": { "href": "https://h/a.raucb" } } });
                let what = json!({ "download": "forced", "update": self.update,
                    "chunks": [{ "version": "2", "artifacts": [bundle] }] });
                let is_asking = request.url.contains("confirmationBase");
                let key = if is_asking { "confirmation" } else { "deployment" };
                ok(json!({ "id": link.id.to_string(), key: what }))
            }
            Asked::Feedback(..) => {
                let status = if self.statuses.is_empty() { 200 } else { self.statuses.remove(0) };
                if status == 200 {
                    self.told.push(summary(request));
                }
                Ok(DdiAnswer { status, retry_after: Some("7".to_owned()), body: Vec::new() })
            }
            Asked::Attributes => {
                assert_eq!(request.method, DdiMethod::Put);
                self.told.push("attributes".to_owned());
                ok(json!({}))
            }
        }
    }

    pub fn poll(&mut self) -> &mut Self {
        self.event(Event::Poll)
    }

    pub fn begin(&mut self) -> &mut Self {
        self.poll();
        self.event(Event::Looked(ID, MANIFEST, ByteLen::new(3)));
        self.event(Event::Judged(ID, Judged::Install))
    }

    pub fn install(&mut self) -> &mut Self {
        self.begin().event(Event::Installed(ID, InstallEnd::Done(SlotId::B)))
    }

    /// The power fails, and all that was kept is read back.
    pub fn restart(&mut self) -> &mut Self {
        let record = self.state.record().unwrap();
        self.state = DdiState::from_record(record.as_ref()).unwrap();
        self.event(Event::Started)
    }

    pub fn took(&mut self, wanted: impl Fn(&Effect) -> bool) -> bool {
        std::mem::take(&mut self.effects).iter().any(wanted)
    }
}

/// `resource execution finished`, of a feedback.
fn summary(request: &DdiRequest) -> String {
    let body: Value = serde_json::from_slice(request.body.as_deref().unwrap()).unwrap();
    let mut parts = request.url.rsplit('/').skip(1);
    let (id, resource) = (parts.next().unwrap(), parts.next().unwrap());
    let (execution, finished) =
        (&body["status"]["execution"], &body["status"]["result"]["finished"]);
    match body["confirmation"].as_str() {
        Some(word) => format!("{resource} {id} {word}"),
        None => format!(
            "{resource} {id} {} {}",
            execution.as_str().unwrap(),
            finished.as_str().unwrap()
        ),
    }
}
