// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device in the hands of its update agent: what `agents::agent` decides is done here, by the
//! code that the commands of a person run.
//!
//! Nothing is decided here. What a hand cannot do it says, with its cause; it never does something
//! else instead.

mod access;
mod bus;
mod clock;
mod consent;
pub mod due;
mod fetch;
mod hands;
mod hooks;
mod link;
mod stopping;
mod stored;
mod unit;
mod work;

pub use access::Access;
pub use clock::DeviceClock;
pub use consent::{CONSENT_PATH, Operator};
pub use hands::DeviceHands;
pub use hooks::is_forbidden;
pub use link::LinkKnown;
pub use unit::UnitState;
