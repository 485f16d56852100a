// SPDX-License-Identifier: MIT OR Apache-2.0
//! The colours of RAUC's output for people. RAUC sends them to pipes too.

/// Back to normal.
pub const PLAIN: &str = "\x1b[0m";
/// Bold.
pub const BOLD: &str = "\x1b[1m";
/// Bad.
pub const RED: &str = "\x1b[31m";
/// Good, or booted.
pub const GREEN: &str = "\x1b[32m";
/// A warning.
pub const YELLOW: &str = "\x1b[33m";
/// A bootname.
pub const BLUE: &str = "\x1b[34m";
