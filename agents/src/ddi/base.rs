// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the server answer when it is polled, and when an action is to be ended?
//!
//! Keys that are not known are passed over: hawkBit adds some with its versions. What is known has
//! its type or the answer is refused as a whole.

use super::error::DdiError;
use super::limits::{DEFAULT_SLEEP_SECS, MAX_SLEEP_SECS, MIN_SLEEP_SECS};
use super::server::{ActionId, ActionLink, Resource, Server, parse_id};
use crate::json::Members;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The answer to a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Until the next poll, within our bounds.
    pub sleep: Duration,
    /// The attributes are wanted.
    pub attributes: Wanted,
    /// An update.
    pub deployment: Option<ActionLink>,
    /// The end of one.
    pub cancel: Option<ActionLink>,
    /// An update that wants a yes.
    pub confirmation: Option<ActionLink>,
}

/// Whether the server asks for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It does.
    Yes,
    /// It does not.
    No,
}

#[derive(Deserialize)]
struct RawBase {
    config: Option<Members<RawConfig>>,
    #[serde(rename = "_links")]
    links: Option<Members<RawLinks>>,
}

#[derive(Deserialize)]
struct RawConfig {
    polling: Option<Members<RawPolling>>,
}

#[derive(Deserialize)]
struct RawPolling {
    sleep: Option<String>,
}

#[derive(Deserialize)]
struct RawLinks {
    #[serde(rename = "deploymentBase")]
    deployment: Option<Members<Link>>,
    #[serde(rename = "cancelAction")]
    cancel: Option<Members<Link>>,
    #[serde(rename = "confirmationBase")]
    confirmation: Option<Members<Link>>,
    #[serde(rename = "configData")]
    attributes: Option<Members<Link>>,
}

/// A link as HAL has it.
#[derive(Deserialize)]
pub(super) struct Link {
    pub href: String,
}

/// Reads an object of which somebody said that it is about `what`.
pub(super) fn json<T: DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<T, DdiError> {
    serde_json::from_slice(body).map(|Members(read)| read).map_err(|source| {
        let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
        if first == Some(&b'<') { DdiError::Page } else { DdiError::Json { what, source } }
    })
}

/// Reads the answer to a poll.
///
/// # Errors
/// [`DdiError`].
pub fn parse_base(server: &Server, body: &[u8]) -> Result<Base, DdiError> {
    let raw: RawBase = json("the device", body)?;
    if raw.config.is_none() && raw.links.is_none() {
        // Any service that answers `{}` to everything: nothing tells that this is hawkBit.
        return Err(DdiError::Field { what: "the device", field: "neither config nor _links" });
    }
    let polling = raw.config.and_then(|Members(config)| config.polling);
    let sleep = polling.and_then(|Members(polling)| polling.sleep);
    let link = |resource: Resource, link: Option<Members<Link>>| {
        link.map(|Members(link)| server.parse_link(resource, &link.href)).transpose()
    };
    let (mut deployment, mut cancel, mut confirmation) = (None, None, None);
    let mut attributes = Wanted::No;
    if let Some(Members(links)) = raw.links {
        deployment = link(Resource::Deployment, links.deployment)?;
        cancel = link(Resource::Cancel, links.cancel)?;
        confirmation = link(Resource::Confirmation, links.confirmation)?;
        attributes = if links.attributes.is_some() { Wanted::Yes } else { Wanted::No };
    }
    Ok(Base {
        sleep: bounded_sleep(sleep.as_deref()),
        attributes,
        deployment,
        cancel,
        confirmation,
    })
}

fn bounded_sleep(text: Option<&str>) -> Duration {
    let secs = text.and_then(parse_sleep).unwrap_or(DEFAULT_SLEEP_SECS);
    Duration::from_secs(u64::from(secs.clamp(MIN_SLEEP_SECS, MAX_SLEEP_SECS)))
}

/// `HH:MM:SS`.
fn parse_sleep(text: &str) -> Option<u32> {
    let mut parts = text.split(':').map(|part| {
        let is_two = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        is_two.then(|| part.parse::<u32>().ok()).flatten()
    });
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let is_time = parts.next().is_none() && minutes < 60 && seconds < 60;
    is_time.then_some(hours * 3600 + minutes * 60 + seconds)
}

#[derive(Deserialize)]
struct RawCancel {
    id: String,
    #[serde(rename = "cancelAction")]
    cancel: Members<RawStop>,
}

#[derive(Deserialize)]
struct RawStop {
    #[serde(rename = "stopId")]
    stop: String,
}

/// An action that is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// The wish itself: feedback goes there.
    pub id: ActionId,
    /// The action.
    pub stop: ActionId,
}

/// Reads what is to be ended.
///
/// # Errors
/// [`DdiError`].
pub fn parse_cancel(wanted: ActionId, body: &[u8]) -> Result<Cancel, DdiError> {
    const WHAT: &str = "a cancellation";
    let raw: RawCancel = json(WHAT, body)?;
    let number = |text: &str| {
        parse_id(text).ok_or(DdiError::Field { what: WHAT, field: "an id that is no number," })
    };
    let (id, stop) = (number(&raw.id)?, number(&raw.cancel.0.stop)?);
    if id != wanted {
        return Err(DdiError::OtherAction { wanted: wanted.0, found: id.0 });
    }
    Ok(Cancel { id, stop })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Transport;

    fn base(body: &str) -> Result<Base, DdiError> {
        let server = Server::new("https://h/", Transport::HttpsOnly, ("DEFAULT", "d")).unwrap();
        parse_base(&server, body.as_bytes())
    }

    #[test]
    fn a_poll_tells_the_sleep_and_the_links() {
        let read = base(
            r#"{"config":{"polling":{"sleep":"00:00:10"},"new":1},"_links":{
                "deploymentBase":{"href":"https://h/DEFAULT/controller/v1/d/deploymentBase/5?c=7"},
                "installedBase":{"href":"https://h/DEFAULT/controller/v1/d/installedBase/4"},
                "configData":{"href":"https://h/DEFAULT/controller/v1/d/configData"}}}"#,
        )
        .unwrap();
        let deployment = Some(ActionLink { id: ActionId(5), change: Some(7) });
        assert_eq!((read.sleep.as_secs(), read.deployment), (10, deployment));
        assert_eq!((read.attributes, read.cancel, read.confirmation), (Wanted::Yes, None, None));
    }

    #[test]
    fn a_sleep_is_bounded_and_never_believed_blindly() {
        let sleep = |text: &str| {
            base(&format!(r#"{{"config":{{"polling":{{"sleep":"{text}"}}}}}}"#))
                .unwrap()
                .sleep
                .as_secs()
        };
        assert_eq!((sleep("00:05:30"), sleep("12:00:00")), (330, 43_200));
        assert_eq!((sleep("00:00:00"), sleep("99:59:59")), (5, 86_400));
        for odd in ["", "5", "00:60:00", "1:00:00", "00:00:10:00", "-1:00:00", "P1D"] {
            assert_eq!(sleep(odd), u64::from(DEFAULT_SLEEP_SECS), "{odd}");
        }
    }

    #[test]
    fn what_is_no_answer_of_hawkbit_is_told_apart() {
        assert!(matches!(base("\n<!doctype html><html>"), Err(DdiError::Page)));
        assert!(matches!(base("{}"), Err(DdiError::Field { .. })));
        assert!(matches!(base("[1]"), Err(DdiError::Json { .. })));
        assert!(matches!(base(r#"{"config":{"polling":7}}"#), Err(DdiError::Json { .. })));
        assert!(matches!(base(&"[".repeat(100_000)), Err(DdiError::Json { .. })));
        let twice = r#"{"config":{},"config":{}}"#;
        assert!(matches!(base(twice), Err(DdiError::Json { .. })));
        // A list is no object, although its values could be taken for members in their order.
        for list in [
            r#"[{"polling":{"sleep":"00:00:10"}},null]"#,
            r#"{"config":[{"sleep":"00:00:10"}]}"#,
            r#"{"config":{"polling":["00:00:10"]}}"#,
            r#"{"_links":[null,null,null,{"href":"https://h/x"}]}"#,
            r#"{"_links":{"configData":["https://h/x"]}}"#,
        ] {
            assert!(matches!(base(list), Err(DdiError::Json { .. })), "{list}");
        }
    }

    #[test]
    fn a_cancellation_names_what_it_stops() {
        let read = |body: &str| parse_cancel(ActionId(11), body.as_bytes());
        let cancel = read(r#"{"id":"11","cancelAction":{"stopId":"11"}}"#).unwrap();
        assert_eq!(cancel, Cancel { id: ActionId(11), stop: ActionId(11) });
        assert!(matches!(
            read(r#"{"id":"12","cancelAction":{"stopId":"11"}}"#),
            Err(DdiError::OtherAction { wanted: 11, found: 12 })
        ));
        assert!(read(r#"{"id":"11","cancelAction":{"stopId":"x"}}"#).is_err());
        assert!(read(r#"{"id":"11"}"#).is_err());
        assert!(read(r#"["11",{"stopId":"11"}]"#).is_err());
        assert!(read(r#"{"id":"11","cancelAction":["11"]}"#).is_err());
    }
}
