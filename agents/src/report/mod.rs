// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is the fleet told of this device? One report, in three views: signed JSON for whoever keeps
//! it, attributes and lines for hawkBit.
//!
//! Made of values; the same values are the same bytes. Bounded whatever they hold. It never carries
//! a secret, nor what a person typed: of what was asked for at the device it tells that it was.

mod bounds;
mod build;
mod delivery;
mod facts;
mod key;
mod model;
mod news;
mod outcome;
mod send;
mod signed;
mod views;

pub use bounds::REPORT_MAX;
pub use delivery::{Delivery, ReportAnswer, ReportRequest, ReportTries};
pub use facts::{AgentFacts, BootFacts, EnvironmentFacts, RecorderFacts, ReportFacts, SlotContent};
pub use key::{DeviceKey, KeyError, KeyOrigin, REPORT_KEY_PATH};
pub use model::{
    LastUpdate, REPORT_VERSION, Report, ReportedAgent, ReportedBoot, ReportedDevice,
    ReportedEnvironment, ReportedRecord, ReportedRecorder, ReportedRefusal, ReportedSlot,
    ReportedTime, ReportedVerdict, UpdateResult,
};
pub use news::is_news;
pub use send::ReportWay;
pub use signed::{ReportError, SIGNED_REPORT_MAX, VerifiedReport, sign_report, verify_report};
pub use views::{ATTRIBUTE_MAX, DETAIL_MAX};
