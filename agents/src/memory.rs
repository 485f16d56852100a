// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the agent remember over a reboot? One record, of which nothing is needed: without it
//! work is repeated, and what failed here is known all the same, because `bootctl` keeps that.
//!
//! The file is JSON of version 1. What a later atomix keeps beside it is passed over and not carried
//! along: after a fall back the slot before must not forget which releases were seen. A record of a
//! later version, and one that is damaged, is not guessed at: the agent starts anew and says why.

mod heard;
mod outcome;
mod refusal;
mod store;
pub(crate) mod text;
mod unfinished;

pub use heard::{HEARD_PATH, Heard};
pub use outcome::Outcome;
pub(crate) use refusal::BUNDLE;
pub use refusal::Refusal;
pub use store::{MEMORY_FALLBACK_PATH, MEMORY_PATH, MemoryError, MemoryStore, Stored};

use crate::{ReportTries, Urgency};
use bootctl::{BundleId, Force, SlotId};
use bundle::UnixTime;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use storage::{ByteLen, Digest};

/// A device has one product, and may be moved to another. The one not seen for longest gives way.
const MAX_PRODUCTS: usize = 8;
/// Longer addresses and tags are not remembered: losing them costs bytes and nothing else.
const MAX_TEXT_BYTES: usize = 4096;
/// Longer versions are not remembered.
const MAX_VERSION_BYTES: usize = 255;
/// More failures in a row are not told apart, whoever wrote the count.
const MOST_FAILURES: u32 = 1 << 16;
const DAY_SECS: i64 = 24 * 60 * 60;

/// The highest sequence that signed metadata had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenRelease {
    /// Of this product.
    pub product: String,
    /// It.
    pub sequence: u64,
    /// SHA-256 of the document that had it: no other document may have the same.
    #[serde(with = "text::word")]
    pub document: Digest,
}

/// How far an install is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstallStage {
    /// It has begun. What the slot holds already need not be fetched again.
    Begun,
    /// It is in the slot; what is left are the restart and the verdict.
    Written,
}

/// An install that has not been seen to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallRecord {
    /// SHA-256 of the bundle's manifest.
    #[serde(with = "text::word")]
    pub manifest: Digest,
    /// Its version.
    pub version: Option<String>,
    /// Where it is fetched.
    pub url: Option<String>,
    /// The server's word for the file's content.
    pub etag: Option<String>,
    /// Where it is written to.
    #[serde(with = "text::word")]
    pub slot: SlotId,
    /// What ran when it began.
    #[serde(with = "text::optional_word")]
    pub from: Option<BundleId>,
    /// Whether the restart waits for a window.
    pub urgency: Urgency,
    /// How far it is.
    pub stage: InstallStage,
}

impl InstallRecord {
    /// What the device remembers the bundle by.
    #[must_use]
    pub fn id(&self) -> BundleId {
        self.manifest.into()
    }
}

/// An action of hawkBit's that is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionRecord {
    /// Its number, as the server writes it.
    pub id: String,
    /// SHA-256 of the manifest of its bundle, once that was looked at.
    #[serde(with = "text::optional_word")]
    pub digest: Option<Digest>,
    /// The slot it is written to, once that has begun.
    #[serde(with = "text::optional_word")]
    pub slot: Option<SlotId>,
    /// The course of the action, which only the client of hawkBit reads.
    pub stage: serde_json::Value,
}

/// What the fleet has been told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRecord {
    /// The digest of the report that still has to arrive.
    #[serde(with = "text::optional_word")]
    pub pending: Option<Digest>,
    /// The digest of the last one that did.
    #[serde(with = "text::optional_word")]
    pub sent: Option<Digest>,
    /// How often it was sent in vain, and until when it waits.
    #[serde(default)]
    pub tries: ReportTries,
    /// SHA-256 of the address that all this is about.
    #[serde(default, with = "text::optional_word")]
    pub to: Option<Digest>,
}

/// Bytes fetched for updates on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct DayBytes {
    /// Days since 1970.
    day: i64,
    bytes: u64,
}

/// The record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Newest first.
    seen: Vec<SeenRelease>,
    #[serde(with = "text::optional_time")]
    floor: Option<UnixTime>,
    /// How long the device had been running when it was told of the floor, in seconds.
    #[serde(default)]
    floor_up: u64,
    /// The install under way.
    pub install: Option<InstallRecord>,
    /// What is still to be told.
    pub report: ReportRecord,
    /// How often in a row the server could not be asked.
    pub failures: u32,
    /// The action under way.
    pub action: Option<ActionRecord>,
    /// The bundle whose install was refused last, whatever slot it was for: `bootctl` remembers
    /// only what was booted.
    #[serde(default, with = "text::optional_word")]
    pub refused: Option<Digest>,
    /// The signed document whose force was used up by an attempt that came to its end.
    #[serde(default, with = "text::optional_word", skip_serializing_if = "Option::is_none")]
    pub forced: Option<Digest>,
    /// The slot that ran on trial and was given up for an update, until the device has left it.
    #[serde(default, with = "text::optional_word")]
    pub leaving: Option<SlotId>,
    /// Slots that were begun and came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    beginnings: Option<unfinished::Beginnings>,
    /// What was refused last, until something is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// The last question: of this boot, and kept elsewhere.
    #[serde(skip)]
    pub heard: Heard,
    today: DayBytes,
}

impl Memory {
    /// The highest sequence seen of a product.
    #[must_use]
    pub fn seen(&self, product: &str) -> Option<&SeenRelease> {
        self.seen.iter().find(|one| one.product == product)
    }

    /// Remembers a document that was accepted. An older one changes nothing.
    pub fn saw(&mut self, release: SeenRelease) {
        if self.seen(&release.product).is_some_and(|known| known.sequence > release.sequence) {
            return;
        }
        self.seen.retain(|known| known.product != release.product);
        self.seen.insert(0, release);
        self.seen.truncate(MAX_PRODUCTS);
    }

    /// The newest time that something signed has proven.
    #[must_use]
    pub const fn floor(&self) -> Option<UnixTime> {
        self.floor
    }

    /// Raises the floor; it never sinks. `up` is how long the device has been running by now.
    pub fn raise_floor(&mut self, proven: UnixTime, up: Duration) {
        if self.floor.is_none_or(|floor| floor < proven) {
            (self.floor, self.floor_up) = (Some(proven), up.as_secs());
        }
    }

    /// How long ago the floor was proven, at least, on a device that has been running for `up`: the
    /// time before it was told proves nothing. A start in between makes it longer than is known here.
    #[must_use]
    pub const fn since_floor(&self, up: Duration) -> Duration {
        up.saturating_sub(Duration::from_secs(self.floor_up))
    }

    /// What was fetched on the day of `now`.
    #[must_use]
    pub fn spent(&self, now: UnixTime) -> ByteLen {
        let bytes = if self.today.day == day_of(now) { self.today.bytes } else { 0 };
        ByteLen::new(bytes)
    }

    /// Counts what was fetched. A clock that jumps begins a day anew: nobody could say what was
    /// fetched on the day it jumps to.
    pub fn spend(&mut self, now: UnixTime, bytes: ByteLen) {
        let bytes = self.spent(now).get().saturating_add(bytes.get());
        self.today = DayBytes { day: day_of(now), bytes };
    }

    /// The record without texts that are longer than what is kept.
    fn bounded(&self) -> Self {
        let mut bounded = self.clone();
        bounded.seen.truncate(MAX_PRODUCTS);
        bounded.failures = bounded.failures.min(MOST_FAILURES);
        bounded.refusal = bounded.refusal.map(Refusal::bounded);
        if let Some(install) = &mut bounded.install {
            install.url.take_if(|url| url.len() > MAX_TEXT_BYTES);
            install.etag.take_if(|etag| etag.len() > MAX_TEXT_BYTES);
            install.version.take_if(|version| version.len() > MAX_VERSION_BYTES);
        }
        bounded
    }

    /// This record with what an older one knows better: what may only rise.
    fn above(mut self, older: Self) -> Self {
        if let Some(floor) = older.floor {
            self.raise_floor(floor, Duration::from_secs(older.floor_up));
        }
        self.forced = self.forced.or(older.forced);
        for release in older.seen.into_iter().rev() {
            if self.seen(&release.product).is_none_or(|known| known.sequence < release.sequence) {
                self.saw(release);
            }
        }
        self
    }
}

/// The day of UTC that a time lies in, counted from 1970.
pub(crate) const fn day_of(time: UnixTime) -> i64 {
    time.0.div_euclid(DAY_SECS)
}

/// What a judgement asks of the record, and who wants it made.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The record.
    pub memory: &'a Memory,
    /// Whether a person at the device insists. That overrules memory of failures, rollouts, windows,
    /// links and what may be fetched in a day; nothing else.
    pub insist: Force,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(product: &str, sequence: u64) -> SeenRelease {
        SeenRelease {
            product: product.to_owned(),
            sequence,
            document: Digest::from_bytes([u8::try_from(sequence % 256).unwrap(); 32]),
        }
    }

    #[test]
    fn sequences_and_the_floor_never_sink() {
        let mut memory = Memory::default();
        for sequence in [3, 7, 5] {
            memory.saw(release("gateway", sequence));
            memory.raise_floor(UnixTime(i64::try_from(sequence).unwrap()), Duration::ZERO);
        }
        assert_eq!(memory.seen("gateway"), Some(&release("gateway", 7)));
        assert_eq!(memory.floor(), Some(UnixTime(7)));
        assert_eq!(memory.seen("other"), None);
    }

    #[test]
    fn the_product_seen_longest_ago_gives_way() {
        let mut memory = Memory::default();
        for number in 0..20 {
            memory.saw(release("own", 1));
            memory.saw(release(&format!("p{number}"), 1));
        }
        assert!(memory.seen("own").is_some());
        assert_eq!(memory.seen.len(), MAX_PRODUCTS);
        assert!(memory.seen("p0").is_none());
    }

    #[test]
    fn bytes_are_counted_by_the_day() {
        let mut memory = Memory::default();
        let noon = UnixTime(20_000 * DAY_SECS + 43_200);
        memory.spend(noon, ByteLen::new(10));
        memory.spend(UnixTime(noon.0 + 60), ByteLen::new(5));
        assert_eq!(memory.spent(noon), ByteLen::new(15));
        assert_eq!(memory.spent(UnixTime(noon.0 + DAY_SECS)), ByteLen::ZERO);
        memory.spend(UnixTime(noon.0 + DAY_SECS), ByteLen::new(u64::MAX));
        memory.spend(UnixTime(noon.0 + DAY_SECS), ByteLen::new(u64::MAX));
        assert_eq!(memory.spent(UnixTime(noon.0 + DAY_SECS)), ByteLen::new(u64::MAX));
    }

    #[test]
    fn an_older_record_raises_and_never_lowers() {
        let mut newer = Memory::default();
        newer.saw(release("a", 5));
        newer.saw(release("b", 1));
        let mut older = Memory::default();
        older.saw(release("a", 4));
        older.saw(release("b", 2));
        older.saw(release("c", 9));
        older.raise_floor(UnixTime(50), Duration::from_secs(9));
        (older.failures, older.forced) = (3, Some(Digest::from_bytes([9; 32])));
        let both = newer.above(older);
        let sequence = |product| both.seen(product).map(|one| one.sequence);
        assert_eq!((sequence("a"), sequence("b"), sequence("c")), (Some(5), Some(2), Some(9)));
        assert_eq!(both.floor(), Some(UnixTime(50)));
        assert_eq!(both.since_floor(Duration::from_secs(10)), Duration::from_secs(1));
        assert_eq!(both.failures, 0, "what may sink is the newer's");
        assert_eq!(both.forced, Some(Digest::from_bytes([9; 32])), "once stays once");
    }
}
