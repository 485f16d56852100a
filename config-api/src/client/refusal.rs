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

const NOT_OURS: &str = "look at the address and the port: this is not the config API";
const OTHER_VERSION: &str = "use the atomix of the device's version: it does not know this request";

impl Refusal {
    /// What follows.
    #[must_use]
    pub fn advice(&self) -> Advice {
        use AdviceClass::{Busy, Failed, NotVerified, Refused, Usage};
        let (class, hint) = match (self.status, self.code.as_str()) {
            (_, "") => (Failed, NOT_OURS),
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
            (408, _) => (Failed, "the way to the device is too slow or broken: try it on a cable"),
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
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.error.is_empty() {
            write!(f, "the answer is {} without a word of the config API", self.status)
        } else {
            write!(f, "{} ({}, {})", self.error, self.status, self.code)
        }
    }
}
