// SPDX-License-Identifier: MIT OR Apache-2.0
//! What did the device answer? The bodies of its answers, as the description of the interface has
//! them. A word that it does not have is refused, not guessed at: a device of another version may
//! mean something else by it.

use super::signed::parse_lines;
use super::{Refusal, SignedHeadersError};
use crate::auth::{DeviceId, Nonce};
use crate::jobs::{Job, JobId};
use bundle::http::shown_url;
use serde::Deserialize;

/// A nonce, the device that issued it, and how long it is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedNonce {
    /// The nonce.
    pub nonce: String,
    /// The device.
    pub device: DeviceId,
    /// For so long from when it was issued.
    pub expires_in_seconds: u64,
}

/// A change that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The job that tells of it.
    pub job: JobId,
}

/// Why a file is not what `config request-nonce` wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestFileError {
    /// Not its lines.
    #[error(transparent)]
    Lines(#[from] SignedHeadersError),
    /// No nonce or no device in them.
    #[error("it has no line `nonce:` and `device:` with what a device said")]
    Incomplete,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NonceBody {
    nonce: String,
    device: String,
    expires_in_seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubmittedBody {
    job_id: JobId,
    #[serde(rename = "state")]
    _state: String,
    #[serde(rename = "job_url")]
    _job_url: String,
}

/// Longest word that is shown of an answer's.
const MAX_WORD_CHARS: usize = 500;

/// The body of `GET /api/nonce`.
#[must_use]
pub fn parse_nonce(body: &[u8]) -> Option<IssuedNonce> {
    let body: NonceBody = serde_json::from_slice(body).ok()?;
    Nonce::parse(&body.nonce)?;
    let device = DeviceId::new(&body.device)?;
    Some(IssuedNonce { nonce: body.nonce, device, expires_in_seconds: body.expires_in_seconds })
}

/// The body of a `202`.
#[must_use]
pub fn parse_accepted(body: &[u8]) -> Option<Accepted> {
    let body: SubmittedBody = serde_json::from_slice(body).ok()?;
    Some(Accepted { job: body.job_id })
}

/// The body of `GET /api/jobs/{id}`.
#[must_use]
pub fn parse_job(body: &[u8]) -> Option<Job> {
    serde_json::from_slice(body).ok()
}

/// The lines that `atomix config request-nonce` prints.
///
/// # Errors
/// [`RequestFileError`].
pub fn parse_request_file(text: &str) -> Result<IssuedNonce, RequestFileError> {
    let lines = parse_lines(text, &["nonce", "device", "expires-in-seconds"])?;
    let get = |name: &str| lines.iter().find(|(found, _)| found == name).map(|(_, value)| value);
    let nonce = get("nonce").filter(|text| Nonce::parse(text).is_some());
    let device = get("device").and_then(|text| DeviceId::new(text));
    let expires_in_seconds =
        get("expires-in-seconds").and_then(|text| text.parse().ok()).unwrap_or_default();
    match (nonce, device) {
        (Some(nonce), Some(device)) => {
            Ok(IssuedNonce { nonce: nonce.clone(), device, expires_in_seconds })
        }
        (Some(_) | None, _) => Err(RequestFileError::Incomplete),
    }
}

impl Refusal {
    /// What an answer that is no success says. A page of something in between says nothing but its
    /// status, and where it would send us: `location` is the header of that name.
    #[must_use]
    pub fn of_answer(status: u16, location: Option<&str>, body: &[u8]) -> Self {
        let word = |text: String| text.chars().take(MAX_WORD_CHARS).collect();
        match serde_json::from_slice::<super::refusal::ErrorBody>(body) {
            Ok(body) => Self {
                status,
                code: word(body.code),
                error: word(body.error),
                faults: body.faults,
                leads_to: None,
            },
            Err(_) => {
                let is_redirect = (300..400).contains(&status);
                // As it may be shown: without what a query or a user name would tell.
                let leads_to = location.filter(|_| is_redirect).map(|text| word(shown_url(text)));
                Self { status, leads_to, ..Self::default() }
            }
        }
    }
}

/// Whether an answer is in the form of the config API's at all. What is not comes from something
/// else than a device, whatever its version.
#[must_use]
pub fn is_object(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_or_refused_whole() {
        let nonce = Nonce::new([3; 32]).to_string();
        let body = format!(r#"{{"nonce":"{nonce}","device":"gw-7","expires_in_seconds":300}}"#);
        let issued = parse_nonce(body.as_bytes()).unwrap();
        assert_eq!((issued.nonce.as_str(), issued.device.as_str()), (nonce.as_str(), "gw-7"));
        for (from, to) in [("gw-7", "a\\nb"), ("gw-7", ""), (nonce.as_str(), "00"), ("300", "-1")] {
            assert_eq!(parse_nonce(body.replace(from, to).as_bytes()), None, "{to}");
        }
        let lines = format!("nonce: {nonce}\ndevice: gw-7\nexpires-in-seconds: 300\n");
        assert_eq!(parse_request_file(&lines), Ok(issued));
        assert_eq!(parse_request_file("nonce: 1\n"), Err(RequestFileError::Incomplete));
        assert!(parse_accepted(br#"{"job_id":"x","state":"submitted","job_url":"/"}"#).is_none());
    }

    #[test]
    fn a_page_of_somebody_elses_is_a_status_and_nothing_more() {
        let page = Refusal::of_answer(502, Some("/x"), b"<html>Bad gateway</html>");
        assert_eq!(page, Refusal { status: 502, ..Refusal::default() });
        let long = format!(r#"{{"error":"{}","code":"busy"}}"#, "x".repeat(9000));
        let cut = Refusal::of_answer(409, None, long.as_bytes());
        assert_eq!((cut.error.len(), cut.code.as_str()), (MAX_WORD_CHARS, "busy"));
        let portal = "https://me:pw@portal.example/login?token=secret";
        let sent_on = Refusal::of_answer(302, Some(portal), b"");
        assert_eq!(sent_on.leads_to.as_deref(), Some("https://portal.example/login?…"));
    }

    #[test]
    fn what_is_no_object_is_no_answer_of_any_version() {
        assert!(is_object(br#"{"nonce":1,"later":true}"#));
        for body in ["", "<html></html>", "[1]", "\"ok\"", "1", "{"] {
            assert!(!is_object(body.as_bytes()), "{body}");
        }
    }
}
