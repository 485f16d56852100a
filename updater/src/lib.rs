// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a verified bundle become a bootable slot?
//!
//! `system.conf` says which slots there are ([`SystemConfig`]), [`plan_install`] decides purely
//! what would be written where or why not, and [`Installer`] does it in the one order that keeps
//! *loadable implies complete* true at every instant (see `docs/commit-protocol.md`). Nothing here
//! reads a clock, prints, or opens a device except through [`storage::Devices`].

mod archive;
mod artifacts;
mod bundle_version;
mod check;
mod conf_error;
mod conf_group;
mod error;
mod event;
pub mod event_log;
mod group_writer;
mod image_kinds;
mod image_opener;
mod install;
mod install_policy;
mod lock;
mod meter;
mod plan;
mod plan_error;
mod planned_writer;
mod polling;
mod prefix;
mod read_ahead;
mod resume;
mod shell_words;
mod slot_handlers;
mod slot_writer;
mod slots;
mod status;
mod status_store;
pub mod system;
mod system_conf;
mod variant;

pub use artifacts::{
    ArtifactContent, ArtifactError, ArtifactImage, ArtifactInstance, ArtifactOutcome,
    ArtifactRepository, ArtifactStatus, HostDisk, RepositoryDisk, RepositoryEntry, RepositoryFile,
    RepositoryStatus,
};
pub use bundle_version::{BundleVersion, ParseVersionError};
pub use check::{SlotCheck, SlotCheckError, check_slot};
pub use conf_error::SystemConfError;
pub use error::{ErrorClass, InstallError, LockError};
pub use event::{InstallEvent, InstallReport, InstallStep, SlotReport};
pub use group_writer::{DurableGroup, SEAL_BYTES};
pub use image_kinds::accepts;
pub use image_opener::{FromBundle, ImageOpener, OpenImage, WriteEnd};
pub use install::{InstallOptions, Installer};
pub use install_policy::{CompatibleRule, IndexRule, InstallPolicy, OuterSteps, VersionRule};
pub use lock::{InstallLock, running_install};
pub use plan::{
    BootedGroup, InstallFacts, InstallPlan, PlannedImage, SealHealth, choose_target, plan_install,
};
pub use plan_error::PlanInstallError;
pub use polling::{
    BootTime, CandidateRule, Fetched, InstallRule, PollAct, PollCheckError, PollInstall,
    PollQuestions, PollStatus, PolledBundle, Poller, PollerSetupError, PollingRules, RebootRule,
    SPEEDUP_MAX, ServedBundle, Speedup, UnknownCriterion,
};
pub use programs::StopQuestion;
pub use resume::{ResumeRule, predict_transfer};
pub use shell_words::{ShellWordsError, split_shell_words};
pub use slot_handlers::{
    BootHalf, BootRecord, BoxedError, ContentDigest, HookStep, HostMachine, ImageContent, Lines,
    Machine, MachineError, NoHooks, OldHead, OutputSink, OutputStream, ProgramCall, ProgramEnd,
    ProgramError, Protection, Region, SlotEvent, SlotHandlerError, SlotHooks, SlotImage, SlotJob,
    SlotPlace, SlotProof, SlotWritten, Spooled, TreeContent, is_index, write_slot,
};
pub use slot_writer::{DurableSlot, WriteCount, WrittenSlot};
pub use slots::{InstallGroup, ParseSlotNameError, Slot, SlotAccess, SlotName, SlotType};
pub use status::{SlotStatus, SlotStatusFile, SlotStatusState, StatusError, StatusPutAside};
pub use status_store::{STATUS_FALLBACK_PATH, status_path};
pub use system_conf::{
    AfterInstall, ArtifactsSection, Bootloader, CasyncSection, EncryptionSection, EventLogSection,
    HandlersSection, KeyringSection, LogFormat, PollingSection, RepositoryType, StatusPlace,
    StreamingSection, SystemConfig, SystemSection, UnsupportedSetting, VariantSource,
};
pub use variant::{VariantError, read_variant};
