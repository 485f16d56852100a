// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix rescue --tty`: what does a technician with a laptop and a serial cable need from a board
//! that nobody can log in to? U-Boot's prompt, used so that nothing is believed, changed or left
//! undone silently.
//!
//! Deciding is pure: the way to the prompt (`dialogue`), what may be typed (`command`), what an
//! answer is (`asking`), what the board holds (`found`), what has to change (`plan`), and what
//! a boot proves (`watch`). Only `session` touches the line.

mod act;
mod asking;
mod command;
mod dialogue;
mod ear;
mod found;
mod plan;
mod report;
mod session;
mod stop_text;
#[cfg(test)]
mod transcripts;
mod watch;
mod words;

pub use act::run;
pub use command::NotLiteral;
pub use dialogue::{Dialogue, Sight, Step};
pub use found::REQUESTS;
pub use stop_text::StopText;
