// SPDX-License-Identifier: MIT OR Apache-2.0
//! Do the services of a promoted configuration become healthy, and what if not?
//!
//! [`Watch`] decides, on whatever clock it is told: every unit that counts must be up at once and
//! stay up without being restarted. [`Driver`] does: it applies a generation, watches it, and takes
//! the one before back with its services when they fail. It goes on from whatever state the record
//! names, so a service that is restarted in the middle loses nothing (B6).

mod driver;
mod policy;
mod services;
mod watch;

#[cfg(test)]
mod driver_tests;
#[cfg(test)]
mod watch_tests;

pub use driver::{Driver, Progress, Report};
pub use policy::{ActivationPlan, PlanError};
pub use services::{ApplyStep, ServiceError, ServiceUnit, Services};
pub use watch::{Event, Failure, Judgement, Sample, UnitState, Watch};
