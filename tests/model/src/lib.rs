// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is there any state of the boot protocol from which a board does not come back?
//!
//! An exhaustive search: all worlds that a flashed board can come to under a bounded number of
//! faults, two updates deep and back, with every order in which firmware, Linux, verifier, agent,
//! installer, technician and power can act. The protocol in it is not a copy: the firmware is
//! [`bootctl::select`], every command goes through [`bootctl::BootControl`] to
//! [`bootctl::transition`], the start of a boot is [`bootctl::reconcile`], an install is what
//! [`updater::plan_install`] allows, and a verdict means what [`verifier::decide_after`] says.
//! `docs/model.md` says what is modelled and what is not.

mod actor;
mod explore;
mod faults;
mod firmware;
mod install_rules;
mod installer;
mod intern;
mod invariant;
mod linux;
mod liveness;
mod model;
mod mutation;
mod protocol;
mod quick_hash;
mod step;
mod suite;
mod timeline;
mod world;

pub use actor::{Actor, Tally};
pub use explore::{Explored, Until, Violation, explore};
pub use invariant::Invariant;
pub use model::{Defaults, Scenario};
pub use mutation::Mutation;
pub use protocol::ModelError;
pub use step::{Act, Boot, Cut, Handwork, Kind, Outcome, Step};
pub use suite::{Report, Size, run, scenario, scenarios};
pub use timeline::{boots, timeline};
pub use world::{
    BUNDLES, Content, Copies, Faults, Health, Image, Install, Linux, Nature, Natures, Phase, Proof,
    Seal, Stage, System, SystemSet, Verdict, Wear, World,
};
