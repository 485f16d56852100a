// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who tells the device to update, and what is the fleet told?
//!
//! An agent decides when and what; `updater` does the rest. Decisions are functions of what the
//! server offers ([`Offer`]), what the device is ([`Facts`]), what it remembers and what its owner
//! allows, all of them values: tests and the fleet simulator run them on virtual time. What they
//! reach for (servers, disks, clocks) is handed in by the program.

pub mod agent;
pub mod ddi;
mod decide;
mod facts;
mod json;
mod lot;
mod measure;
mod memory;
mod name;
mod offer;
mod original;
mod place;
mod policy;
mod release;
mod release_read;
mod release_verify;
mod report;
mod schedule;
mod secrets;
mod settings;
#[cfg(test)]
mod test_facts;
mod window;

pub use decide::{
    Check, Decision, InstallOrder, Judgement, Rule, Verdict, judge_bundle, judge_offer,
    judge_waiting,
};
pub use facts::{Clock, Facts, Link, SlotFacts};
pub use json::JsonError;
pub use measure::measure;
pub use memory::{
    ActionRecord, HEARD_PATH, Heard, InstallRecord, InstallStage, MEMORY_FALLBACK_PATH,
    MEMORY_PATH, Memory, MemoryError, MemoryStore, Outcome, Refusal, ReportRecord, SeenRelease,
    Stored, View,
};
pub use name::{Card, DeviceName};
pub use offer::{Looked, Offer, Rollout, Urgency};
pub use original::{MAX_ORIGINAL, OriginalError, OriginalRequest, parse_original};
pub use place::{MAX_PLACE_BYTES, Origin, PlaceError, Transport};
pub use policy::{Downgrade, Keep, MeteredRule, Policy, RebootRule};
pub use release::{MAX_RELEASE, MAX_URLS, Release, Sequence, UnwritableTime, parse_release_time};
pub use release_read::ReadReleaseError;
pub use release_verify::{AcceptedRelease, Expected, ReleaseError, VerifiedRelease};
pub use report::{
    ATTRIBUTE_MAX, AgentFacts, BootFacts, DETAIL_MAX, Delivery, DeviceKey, EnvironmentFacts,
    KeyError, KeyOrigin, LastUpdate, REPORT_KEY_PATH, REPORT_MAX, REPORT_VERSION, RecorderFacts,
    Report, ReportAnswer, ReportError, ReportFacts, ReportRequest, ReportTries, ReportWay,
    ReportedAgent, ReportedBoot, ReportedDevice, ReportedEnvironment, ReportedRecord,
    ReportedRecorder, ReportedRefusal, ReportedSlot, ReportedTime, ReportedVerdict,
    SIGNED_REPORT_MAX, SlotContent, UpdateResult, VerifiedReport, is_news, sign_report,
    verify_report,
};
pub use schedule::{
    Asked, DEFAULT_INTERVAL, LONGEST_INTERVAL, LONGEST_WAIT, Pace, SHORTEST_WAIT, wake_after,
};
pub use secrets::{SecretError, Token, check_certificates, check_secret, read_token};
pub use settings::{
    ConfirmRule, HawkbitSettings, Identity, Login, Metadata, OPERATOR_DIRS, PollSettings,
    SETTINGS_PATH, Settings, SettingsError, Source, TlsFiles,
};
pub use window::{Days, Opening, Window, WindowError};
