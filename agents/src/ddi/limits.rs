// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much may a server say, and how much is it told? The numbers, and what each one is for.

/// Longest answer: a deployment of a hundred artifacts has a tenth of it. Beyond, the server (or a
/// captive portal) would fill the memory.
pub const MAX_ANSWER_BYTES: usize = 512 * 1024;
/// Most chunks of a deployment, and most artifacts of a chunk.
pub const MAX_PARTS: usize = 128;
/// Longest name, version or file name that is taken over.
pub const MAX_NAME_CHARS: usize = 256;
/// Most messages of the action's history that are asked for and kept.
pub const MAX_HISTORY: usize = 20;

/// Shortest sleep between two polls: a server that says zero would be asked without end.
pub const MIN_SLEEP_SECS: u32 = 5;
/// Longest sleep: whatever the server says, the device is heard of once a day.
pub const MAX_SLEEP_SECS: u32 = 24 * 60 * 60;
/// Where the server says nothing about it, or nothing that can be read.
pub const DEFAULT_SLEEP_SECS: u32 = 5 * 60;
/// First pause after a failure; it doubles with each.
pub const FIRST_BACK_OFF_SECS: u32 = 30;
/// Longest pause after failures.
pub const LAST_BACK_OFF_SECS: u32 = 60 * 60;

/// Most status entries that one action gets from this device, its end not counted. hawkBit's own
/// limit is 1000 with its own entries in it; ten thousand devices make it a matter of its database.
pub const MAX_ENTRIES: u16 = 20;
/// Of these, how many are kept back for what is no progress.
pub const KEPT_ENTRIES: u16 = 8;
/// Progress is told in steps of so many percent.
pub const PROGRESS_STEP: u8 = 10;
/// Most messages of one status entry; hawkBit takes 50.
pub const MAX_DETAILS: usize = 20;
/// Longest message; hawkBit cuts longer ones into several of this length.
pub const MAX_DETAIL_CHARS: usize = 512;
/// Most lines about the device that go along with the end of an action: the slots, the verdict, and
/// the last things that happened. They are kept until the server has them.
pub const MAX_END_LINES: usize = 8;
/// Longest of them.
pub const MAX_END_LINE_CHARS: usize = 256;
/// Most feedbacks that wait for the server.
pub const MAX_OUTBOX: usize = 8;
/// How often one feedback is tried again after a conflict or an answer that is not understood.
pub const MAX_TRIES: u8 = 5;

/// Most attributes; hawkBit's limit.
pub const MAX_ATTRIBUTES: usize = 100;
/// Longest key or value of an attribute; hawkBit's limit.
pub const MAX_ATTRIBUTE_CHARS: usize = 128;
