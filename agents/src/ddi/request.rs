// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is sent to the server, what comes back, and what follows from its status?
//!
//! Credentials are no part of a request: who sends it adds them, so that no state, log or test has
//! them.

use super::error::DdiError;
use super::limits::MAX_SLEEP_SECS;
use super::server::{ActionId, ActionLink, Resource};
use bundle::UnixTime;
use serde::{Deserialize, Serialize};
use std::fmt;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// Longest token; hawkBit has 128.
const MAX_TOKEN_CHARS: usize = 512;

/// How a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DdiMethod {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
}

/// Which question an answer belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asked {
    /// The poll.
    Base,
    /// An action.
    Action(Resource, ActionLink),
    /// The first feedback that waits.
    Feedback(Resource, ActionId),
    /// The attributes.
    Attributes,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DdiRequest {
    /// What for.
    pub asked: Asked,
    /// See there.
    pub method: DdiMethod,
    /// The whole address.
    pub url: String,
    /// JSON.
    pub body: Option<Vec<u8>>,
}

/// An answer, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DdiAnswer {
    /// 200 to 599.
    pub status: u16,
    /// `Retry-After` as it came.
    pub retry_after: Option<String>,
    /// At most [`super::MAX_ANSWER_BYTES`].
    pub body: Vec<u8>,
}

/// There is no answer: nobody knows whether the request was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NoAnswer {
    /// The whole chain of causes, in words.
    pub reason: String,
}

/// Who sends requests. The real one is [`super::HttpExchange`].
pub trait Exchange {
    /// Sends one and waits for its answer.
    ///
    /// # Errors
    /// [`NoAnswer`].
    fn send(&self, request: &DdiRequest) -> Result<DdiAnswer, NoAnswer>;
}

/// How the device proves who it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// By a token of its own.
    Target(String),
    /// By one for all devices behind a gateway.
    Gateway(String),
    /// By the certificate of the TLS connection, or not at all.
    None,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Target(_) => "Target(…)",
            Self::Gateway(_) => "Gateway(…)",
            Self::None => "None",
        })
    }
}

impl Credentials {
    /// A device's token as its file has it, an end of line apart.
    ///
    /// # Errors
    /// [`DdiError::Token`], which does not show it.
    pub fn target(token: &str) -> Result<Self, DdiError> {
        check_token(token).map(Self::Target)
    }

    /// A gateway's token.
    ///
    /// # Errors
    /// As [`Self::target`].
    pub fn gateway(token: &str) -> Result<Self, DdiError> {
        check_token(token).map(Self::Gateway)
    }

    /// The value of `Authorization`.
    #[must_use]
    pub fn header(&self) -> Option<String> {
        match self {
            Self::Target(token) => Some(format!("TargetToken {token}")),
            Self::Gateway(token) => Some(format!("GatewayToken {token}")),
            Self::None => None,
        }
    }
}

fn check_token(text: &str) -> Result<String, DdiError> {
    let token = text.trim_end_matches(['\r', '\n']);
    let fits = !token.is_empty() && token.len() <= MAX_TOKEN_CHARS;
    if fits && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(token.to_owned());
    }
    Err(DdiError::Token { limit: MAX_TOKEN_CHARS })
}

/// What a status means for a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It was done.
    Done,
    /// What was asked about is no more; asking again is of no use.
    Gone,
    /// It will never be taken as it is.
    Refused,
    /// Somebody else was faster: again, a few times.
    Conflict,
    /// The server does not know this device or its token: nothing is given up, somebody has to mend
    /// it there or here.
    Denied,
    /// The server has had enough.
    Enough,
    /// It does not work at present.
    Broken,
}

impl Status {
    pub fn of(asked: &Asked, status: u16) -> Self {
        let is_poll = matches!(asked, Asked::Base | Asked::Attributes);
        match status {
            200..=299 => Self::Done,
            401 | 403 | 407 => Self::Denied,
            // Of the device as a whole; hawkBit registers unknown ones itself unless told otherwise.
            404 | 410 if is_poll => Self::Denied,
            404 | 405 | 410 => Self::Gone,
            409 | 423 => Self::Conflict,
            429 => Self::Enough,
            408 | 425 | 500..=599 => Self::Broken,
            // A redirect too: nothing that has a token in it goes where a server says.
            300..=399 => Self::Denied,
            400..=499 => Self::Refused,
            _ => Self::Broken,
        }
    }
}

/// Seconds until it may be asked again, bounded: a number, or a date.
pub(super) fn parse_retry_after(text: Option<&str>, now: UnixTime) -> Option<u32> {
    let text = text?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let secs = if is_number {
        // More than fits is more than the limit.
        text.parse::<i64>().unwrap_or(i64::MAX)
    } else {
        // The date of HTTP is one of mail's.
        let at = OffsetDateTime::parse(text, &Rfc2822).ok()?;
        at.unix_timestamp().saturating_sub(now.0)
    };
    u32::try_from(secs.clamp(1, i64::from(MAX_SLEEP_SECS))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_one_word_and_never_shown() {
        let token = Credentials::target("bH7XXAprK1ChnLfK\n").unwrap();
        assert_eq!(token.header().unwrap(), "TargetToken bH7XXAprK1ChnLfK");
        let gateway = Credentials::gateway("abc").unwrap();
        assert_eq!(gateway.header().unwrap(), "GatewayToken abc");
        assert!(!format!("{token:?}{gateway:?}").contains("abc"));
        assert_eq!(Credentials::None.header(), None);
        for odd in ["", "\n", "a b", "a\r\nX: y", "ü", &"x".repeat(513)] {
            let refused = Credentials::target(odd).unwrap_err();
            assert!(matches!(refused, DdiError::Token { .. }), "{odd:?}");
        }
    }

    #[test]
    fn retry_after_is_a_number_or_a_date_and_bounded() {
        let secs = |text| parse_retry_after(Some(text), UnixTime(784_111_777));
        assert_eq!(
            (secs("120"), secs("0"), secs("99999999999999999999")),
            (Some(120), Some(1), Some(86_400))
        );
        assert_eq!(secs("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(secs("Sun, 06 Nov 1994 08:49:37 GMT"), Some(1));
        assert_eq!(
            (secs("soon"), secs(""), secs("-5"), parse_retry_after(None, UnixTime(0))),
            (None, None, None, None)
        );
    }

    #[test]
    fn every_status_has_a_rule() {
        let feedback = Asked::Feedback(Resource::Deployment, ActionId(1));
        for (status, wanted) in [
            (200, Status::Done),
            (302, Status::Denied),
            (400, Status::Refused),
            (401, Status::Denied),
            (403, Status::Denied),
            (404, Status::Gone),
            (405, Status::Gone),
            (409, Status::Conflict),
            (410, Status::Gone),
            (415, Status::Refused),
            (429, Status::Enough),
            (500, Status::Broken),
            (503, Status::Broken),
        ] {
            assert_eq!(Status::of(&feedback, status), wanted, "{status}");
        }
        for status in [404, 410] {
            assert_eq!(Status::of(&Asked::Base, status), Status::Denied, "{status}");
        }
    }
}
