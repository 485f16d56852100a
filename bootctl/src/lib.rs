// SPDX-License-Identifier: MIT OR Apache-2.0
//! (room of bootctl)
