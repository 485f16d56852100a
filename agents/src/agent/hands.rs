// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does an agent need of the device it runs on? The program gives it these hands; tests play
//! them.

use crate::ddi::FileHashes;
use crate::{AgentFacts, Facts, Heard, InstallOrder, Looked, Memory, Offer, Policy, Report};
use crate::{ReportAnswer, ReportRequest};
use bootctl::SlotId;
use bundle::UnixTime;
use std::error::Error;
use std::time::Duration;
use storage::ByteLen;

/// Why a hand could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}")]
pub struct HandError {
    /// What was tried, in words: `read the boot state`.
    pub doing: String,
    /// Why not.
    pub source: Box<dyn Error + Send + Sync>,
}

/// Why a bundle could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// It is there and is not to be installed on this device, however often one looks.
    #[error("the bundle is not taken")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// It is there, and its server sends whole files only: for a look all of it has to be stored,
    /// which the owner wants anyway.
    #[error("the bundle's server sends whole files only: all of it is stored before it is judged")]
    Whole,
    /// The device itself cannot: its medium, its room, an install that runs. No server is missed.
    #[error("this device cannot look at the bundle")]
    Own(#[source] Box<dyn Error + Send + Sync>),
    /// No place had it; a later look may find it.
    #[error("the bundle cannot be reached")]
    Unreachable {
        /// What a server said about when.
        retry_after: Option<Duration>,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// How an install ended.
#[derive(Debug)]
pub enum InstallEnding {
    /// The slot is written, durable, read back, and boots next.
    Written,
    /// It was stopped because somebody asked; the next try goes on where it stands.
    Stopped(Stop),
    /// It could not be fetched to its end; the next try goes on where it stands.
    Interrupted {
        /// What a server said about when.
        retry_after: Option<Duration>,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The device itself cannot go on: its medium, its room, another install. No server is missed, and
    /// the next try goes on where it stands.
    Failed(Box<dyn Error + Send + Sync>),
    /// It is not to be installed on this device, however often one tries.
    Refused(Box<dyn Error + Send + Sync>),
}

/// An install that is over.
#[derive(Debug)]
pub struct InstallDone {
    /// How.
    pub ending: InstallEnding,
    /// Bytes that came over the network.
    pub fetched: ByteLen,
}

/// A bundle that was stored, or not.
#[derive(Debug)]
pub struct StoreDone {
    /// Its hashes, or how it ended instead.
    pub ending: Result<FileHashes, InstallEnding>,
    /// Bytes that came over the network.
    pub fetched: ByteLen,
}

/// Who asked that something end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The service manager: the program ends now, as quickly as if the power went.
    Program,
    /// The server took its offer back.
    Server,
}

/// Who follows an install.
pub trait Watch {
    /// So many of a hundred parts are written, and this is the time. Asked at least once a second,
    /// also while nothing comes; an answer ends the install.
    fn written(&mut self, percent: u8, now: UnixTime) -> Option<Stop>;
}

/// A look that is over.
#[derive(Debug)]
pub struct LookDone {
    /// What it says.
    pub looked: Result<Looked, LookError>,
    /// Bytes that came over the network.
    pub fetched: ByteLen,
}

/// The hands.
pub trait Hands {
    /// What the device is now, its clock, its link and its inhibitors included.
    ///
    /// # Errors
    /// When not even what runs can be told.
    fn facts(&mut self, memory: &Memory) -> Result<Facts, HandError>;

    /// Makes the record durable.
    ///
    /// # Errors
    /// When it is not: what follows from it is not done then.
    fn remember(&mut self, memory: &Memory) -> Result<(), HandError>;

    /// Keeps what was heard until the next boot, where there is a place for it: people are shown it,
    /// and nothing is decided by it.
    fn heard(&mut self, _heard: &Heard) {}

    /// Reads and verifies the signed beginning of the offered bundle, from the first place that has
    /// it, or from what [`Hands::look_whole`] left for it. At most so many bytes are fetched for it.
    fn look(&mut self, offer: &Offer, policy: &Policy, most: Option<ByteLen>) -> LookDone;

    /// Fetches the whole of an offered bundle into a file on `/data`, at most so many bytes of it, and
    /// looks at that: after [`LookError::Whole`]. The file stays for later looks and for the install.
    fn look_whole(&mut self, offer: &Offer, policy: &Policy, most: Option<ByteLen>) -> LookDone;

    /// Installs it: from the file that [`Hands::store`] or [`Hands::look_whole`] left for it, else from its places. Ends with
    /// [`Stop::Program`] when the program has to end.
    fn install(&mut self, order: &InstallOrder, watch: &mut dyn Watch) -> InstallDone;

    /// Fetches the whole bundle into a file on `/data`, for a later install of the same order.
    fn store(&mut self, order: &InstallOrder, watch: &mut dyn Watch) -> StoreDone;

    /// Marks the slot that runs on trial as failed, so that the last good one boots next.
    ///
    /// # Errors
    /// When nothing was marked.
    fn give_up(&mut self, trial: SlotId) -> Result<(), HandError>;

    /// Lets the running slot boot next again instead of `slot`.
    ///
    /// # Errors
    /// When `slot` still boots next.
    fn withdraw(&mut self, slot: SlotId) -> Result<(), HandError>;

    /// Runs the owner's programs for this moment, and has the service manager restart the device.
    ///
    /// # Errors
    /// When one of them forbids it, in its words, or the manager refuses.
    fn reboot(&mut self, policy: &Policy) -> Result<(), HandError>;

    /// What the device says of itself.
    ///
    /// # Errors
    /// When it cannot be made.
    fn report(&mut self, agent: AgentFacts) -> Result<Report, HandError>;

    /// Signs it with the device's key.
    ///
    /// # Errors
    /// When there is no key and none can be made.
    fn sign(&mut self, report: &Report) -> Result<Vec<u8>, HandError>;

    /// Sends it to where the owner says.
    fn deliver(&mut self, request: &ReportRequest) -> ReportAnswer;

    /// Sleeps; ends early with who wants the program to end.
    fn sleep(&mut self, wait: Duration) -> Option<Stop>;

    /// The clock.
    fn now(&self) -> UnixTime;

    /// A line for the log.
    fn tell(&mut self, words: &str);
}
