// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is a serial line opened, heard, written down and spoken on? A USB adapter or a
//! pseudo-terminal of this machine; what is said on it is somebody else's concern.
//!
//! What comes from a line is foreign and has no end: nothing here keeps more of it than a bounded
//! piece, and what is written down of it cannot steer a terminal. The board is told the speed by
//! nobody, so a wrong one is not noticed here.

mod baud;
mod console;
mod error;
mod line_log;
mod port;
mod record;
mod stamp;
mod waiting;

pub use baud::{Baud, UnknownBaud};
pub use console::{Ended, bridge};
pub use error::LineError;
pub use line_log::{LineLog, as_text};
pub use port::{Heard, Port};
pub use record::{Piece, Recorder};
pub use stamp::{Clock, Stamp};
pub use waiting::{Wait, Waiting};
