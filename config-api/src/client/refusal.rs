// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device said no: what does that mean for whoever asked, and what is the way out?

use crate::jobs::ReportedFault;
use serde::Deserialize;
use std::fmt;

/// An answer that is no success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Its status.
    pub status: u16,
    /// The device's stable word; empty where the answer has none.
    pub code: String,
    /// The device's words for people; empty where it has none.
    pub error: String,
    /// What is wrong with the configuration, where that is why.
    pub faults: Vec<ReportedFault>,
    /// Where something that is no config API would send us.
    pub leads_to: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ErrorBody {
    pub(super) error: String,
    pub(super) code: String,
    #[serde(default)]
    pub(super) faults: Vec<ReportedFault>,
}

/// What kind of no it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdviceClass {
    /// What was given is wrong.
    Usage,
    /// The device's state does not allow it.
    Refused,
    /// The signature was not believed.
    NotVerified,
    /// Something else is under way, or too much.
    Busy,
    /// The device or the way to it failed.
    Failed,
}

/// What follows from a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What kind of no it is.
    pub class: AdviceClass,
    /// The way out.
    pub hint: &'static str,
}

/// The way out where a page, or nothing that is known, comes back.
pub const NOT_OURS: &str = "something other than a config API answers there, such as a router's page \
                            or a proxy: look at the address and the port";
const BEFORE_IT: &str = "a proxy or gate answers there and does not reach the device: look at it, or \
                         go around it";
const TOO_SLOW: &str = "the way to the device is too slow or broken: try it on a cable";
const OTHER_VERSION: &str = "use the atomix of the device's version: it does not know this request";

impl Refusal {
    /// What follows.
    #[must_use]
    pub fn advice(&self) -> Advice {
        use AdviceClass::{Busy, Failed, NotVerified, Refused, Usage};
        let (class, hint) = match (self.status, self.code.as_str()) {
            (_, "") => self.stranger(),
            (401, "auth-header-missing") => (
                NotVerified,
                "the device has a configuration: name an administrator's key with --ssh-key",
            ),
            (401, "nonce-unknown") => (
                NotVerified,
                "a nonce is good for one request and for five minutes: ask for another one",
            ),
            (401, "key-unknown") => (
                NotVerified,
                "sign with the ssh_key of a user with isAdmin = true of the device's configuration",
            ),
            (401, "signature-wrong") => (
                NotVerified,
                "it was made for another request, content or device: sign this one again",
            ),
            (401, "no-administrators") => {
                (Refused, "the device has no configuration yet; `atomix config apply` gives it one")
            }
            (401, _) => (NotVerified, "sign again; `atomix config sign` writes what is understood"),
            (403, _) => (
                Refused,
                "name the device by its address or by a name of its network.dnsmasq section",
            ),
            (404, "job-unknown") => (
                Refused,
                "the device keeps its newest 64 jobs; `atomix config export` shows what is in force",
            ),
            (404, "not-found") => (Refused, "there is no change that waits for this"),
            (404 | 405, _) => (Failed, OTHER_VERSION),
            (408, _) => (Failed, TOO_SLOW),
            (409, "busy") => (
                Busy,
                "another change is under way; wait for its end, then compare before you repeat",
            ),
            (409, "not-provisioned") => {
                (Refused, "the device has no configuration yet; `atomix config apply` gives it one")
            }
            (409, "already-provisioned") => (
                Refused,
                "somebody was first: name an administrator's key with --ssh-key, or wipe /data",
            ),
            (412, _) => (
                Refused,
                "it was changed in between: `atomix config diff` shows how, then apply again",
            ),
            (413, _) => (Usage, "make the bundle smaller: a device takes 32 MiB"),
            (415, _) => (Usage, OTHER_VERSION),
            (422, _) => {
                (Usage, "correct the faults; the device's version may demand more than ours")
            }
            (429, "too-many-nonces") => (
                Busy,
                "nonces that were not used expire after five minutes; wait, or ask from elsewhere",
            ),
            (429, _) => (Busy, "the device has enough to do; try again in some seconds"),
            (503, "helper-unavailable") => {
                (Failed, "look at atomix-config-helper.service on the device: it does not answer")
            }
            (400 | 411 | 431, _) => (Failed, "what arrived is not what was sent: send it again"),
            (500.., _) => {
                (Failed, "look at the journal of atomix-config-api.service on the device")
            }
            (_, _) => (Failed, OTHER_VERSION),
        };
        Advice { class, hint }
    }

    /// What follows from an answer without a word of the config API.
    const fn stranger(&self) -> (AdviceClass, &'static str) {
        use AdviceClass::{Busy, Failed};
        match self.status {
            300..=399 => (
                Failed,
                "something other than a config API answers there; redirects are not followed: if the \
                 device is where it leads, name that with --device",
            ),
            401 | 407 | 511 => (
                Failed,
                "something other than a config API answers there and wants a login of its own: go \
                 around that proxy or portal",
            ),
            408 => (Failed, TOO_SLOW),
            413 => (Failed, "something in between takes less than a device does: go around it"),
            429 => (Busy, "whatever answers there has enough to do: try again, or go around it"),
            502..=504 => (Failed, BEFORE_IT),
            _ => (Failed, NOT_OURS),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.leads_to {
            write!(f, "the answer is {} and leads to {place}", self.status)
        } else if self.error.is_empty() {
            write!(f, "the answer is {} without a word of the config API", self.status)
        } else {
            write!(f, "{} ({}, {})", self.error, self.status, self.code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AdviceClass::{Busy, Failed, Refused, Usage};
    use super::*;

    /// Of every status that a device, or something in its place, answers with: the class, and
    /// words of the hint. `code` is what a device says with it; nothing is somebody else.
    const TABLE: [(u16, &str, AdviceClass, &str); 26] = [
        (204, "", Failed, "other than a config API"),
        (301, "", Failed, "redirects are not followed"),
        (302, "", Failed, "redirects are not followed"),
        (400, "", Failed, "other than a config API"),
        (401, "", Failed, "a login of its own"),
        (403, "", Failed, "other than a config API"),
        (404, "", Failed, "other than a config API"),
        (404, "no-route", Failed, "atomix of the device's version"),
        (405, "", Failed, "other than a config API"),
        (405, "no-method", Failed, "atomix of the device's version"),
        (407, "", Failed, "a login of its own"),
        (408, "", Failed, "try it on a cable"),
        (408, "too-slow", Failed, "try it on a cable"),
        (413, "", Failed, "go around it"),
        (413, "too-large", Usage, "32 MiB"),
        (415, "", Failed, "other than a config API"),
        (415, "not-json", Usage, "atomix of the device's version"),
        (429, "", Busy, "try again"),
        (429, "too-many-nonces", Busy, "five minutes"),
        (429, "too-many-uploads", Busy, "in some seconds"),
        (500, "", Failed, "other than a config API"),
        (500, "internal", Failed, "journal of atomix-config-api.service"),
        (502, "", Failed, "go around it"),
        (503, "helper-unavailable", Failed, "atomix-config-helper.service"),
        (504, "", Failed, "go around it"),
        (412, "config-changed", Refused, "config diff"),
    ];

    #[test]
    fn every_status_has_a_class_words_and_a_way_out() {
        for (status, code, class, words) in TABLE {
            let error = if code.is_empty() { "" } else { "no" }.to_owned();
            let refusal = Refusal { status, code: code.to_owned(), error, ..Refusal::default() };
            let advice = refusal.advice();
            assert_eq!(advice.class, class, "{status} {code}");
            assert!(advice.hint.contains(words), "{status} {code}: {}", advice.hint);
            assert!(refusal.to_string().contains(&status.to_string()), "{refusal}");
            // Where nobody of ours speaks nothing of ours is blamed.
            let blames = ["journal", "version"].iter().any(|word| advice.hint.contains(word));
            assert!(!(code.is_empty() && blames), "{status}: {}", advice.hint);
        }
        let place = Some("https://a/".to_owned());
        let sent_on = Refusal { status: 302, leads_to: place, ..Refusal::default() };
        assert_eq!(sent_on.to_string(), "the answer is 302 and leads to https://a/");
    }
}
