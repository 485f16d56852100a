// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where does a new device get its first configuration from, when nobody uploads one?
//!
//! What it has counts. Else, in this order: a seed on `/boot`, sticks and cards, and what a
//! technician pastes at the serial console; nothing of it ends the search but a configuration that
//! is in force. What is bad is told and passed over, so a bad seed is no dead end (fault B14).
//!
//! One function decides; [`Search`] asks and tells. It runs without root: file systems of
//! strangers are read here, in our own process and without mounting them, and what is found is
//! handed to the helper like an upload. The helper keeps in the promotion record what was taken, so
//! a seed is never deleted and never taken twice.

mod blocks;
mod console;
mod decide;
mod door;
mod judge;
mod live;
mod look;
mod patient;
mod search;
mod text;

#[cfg(test)]
mod tests;

pub use blocks::Volume;
pub use door::{Door, DoorError, HelperDoor};
pub use judge::Rejected;
pub use live::LiveSources;
pub use look::{FileSystem, LookError, NAMES, look};
pub use search::{Found, Look, Search, Sources, Turn};
