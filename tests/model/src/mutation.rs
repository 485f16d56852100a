// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which mistakes must the checker find? Each breaks one rule where the model joins the protocol's
//! functions, as a careless program around them would.

/// One deliberate mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutation {
    /// The selector starts the kernel before its save is durable.
    SaveNotAwaited,
    /// The selector starts what `BOOT_x_LEFT` gives attempts, whatever state and order say.
    TrustAttemptsAlone,
    /// The selector loads whatever has a seal, without asking the environment at all.
    IgnoreEnvironment,
    /// A start that fails while loading costs nothing.
    LoadFailureUnpaid,
    /// The install begins without the commit that says `writing`.
    NoWritingCommit,
    /// The install leaves the old seal in its place while it writes.
    SealNotZeroed,
    /// The install commits `trying` before the seal is written.
    TryingBeforeSeal,
    /// The install writes the slot that runs.
    TargetBooted,
    /// The install does not look at who is the last good slot.
    OverwriteLastGood,
    /// The verifier confirms every boot that comes up.
    MarkGoodAtOnce,
    /// Every slot gets its attempts back after two minutes.
    RestoreUnconfirmed,
    /// A boot without a verdict goes on for ever.
    NoDeadline,
    /// An agent installs what is known to have failed.
    IgnoreFailed,
    /// The recorder is written and never asked, nor what the selector did.
    NoReconcile,
    /// A good slot that ran out of attempts is turned bad.
    GoodTurnsBad,
    /// Nothing remembers what the environment forgot.
    NoRecorder,
    /// Only `boot started` asks the recorder.
    NoRecall,
    /// Only an update on trial is left when it is unhealthy.
    StayBesideGood,
    /// The commit that says `writing` reaches one copy before the seal is touched.
    BeginOnce,
}

impl Mutation {
    /// Every one.
    pub const ALL: [Self; 19] = [
        Self::SaveNotAwaited,
        Self::TrustAttemptsAlone,
        Self::IgnoreEnvironment,
        Self::LoadFailureUnpaid,
        Self::NoWritingCommit,
        Self::SealNotZeroed,
        Self::TryingBeforeSeal,
        Self::TargetBooted,
        Self::OverwriteLastGood,
        Self::MarkGoodAtOnce,
        Self::RestoreUnconfirmed,
        Self::NoDeadline,
        Self::IgnoreFailed,
        Self::NoReconcile,
        Self::GoodTurnsBad,
        Self::NoRecorder,
        Self::NoRecall,
        Self::StayBesideGood,
        Self::BeginOnce,
    ];
}
