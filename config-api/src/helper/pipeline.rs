// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the helper has done by others: validation, rendering, promotion, activation. A trait, so
//! that everything around it can be tested without a device.

use crate::jobs::{JobEvent, JobId, ReportedFault, RollbackStatus};
use crate::protocol::{AuditEntry, Current, FailureCode, FileName, Origin, Outcome};
use std::fs::File;

/// What a configuration is read from.
#[derive(Debug)]
pub enum Input {
    /// A file or bundle, in a place that only the helper can write.
    Upload {
        /// What its sender calls it.
        name: FileName,
        /// Its bytes, from the start.
        file: File,
    },
    /// The configuration in force with a part changed; its files stay.
    Edited {
        /// The new `config.toml`.
        text: String,
    },
}

/// The configuration in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The bytes of `config.toml`.
    pub text: Vec<u8>,
    /// Its tag.
    pub etag: String,
}

/// Who wants a change, and how.
#[derive(Clone, Copy, Debug)]
pub struct ApplyOrder<'o> {
    /// The job that tells of it.
    pub job: JobId,
    /// Who.
    pub origin: &'o Origin,
    /// How long the operator wants to have for his confirmation; none for what the device does by
    /// itself.
    pub confirm_secs: Option<u32>,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PipelineError {
    /// The configuration is not valid.
    Invalid(Vec<ReportedFault>),
    /// Anything else.
    Refused {
        /// For programs.
        code: FailureCode,
        /// For people; without paths of temporary files.
        message: String,
    },
}

/// The way of a configuration, from bytes to healthy services.
pub trait Pipeline: Send + Sync {
    /// What is in force. Never waits for a change that is under way.
    ///
    /// # Errors
    /// [`PipelineError::Refused`].
    fn current(&self) -> Result<Current, PipelineError>;

    /// The `config.toml` in force. Never waits, never changes anything.
    ///
    /// # Errors
    /// [`PipelineError::Refused`].
    fn export(&self) -> Result<Exported, PipelineError>;

    /// Warnings of a valid configuration.
    ///
    /// # Errors
    /// [`PipelineError`].
    fn validate(&self, input: Input) -> Result<Vec<String>, PipelineError>;

    /// Puts a configuration in force, or leaves the one before in force.
    fn apply(
        &self,
        order: &ApplyOrder<'_>,
        input: Input,
        tell: &mut dyn FnMut(JobEvent),
    ) -> Outcome;

    /// What is in force after a change that nobody saw the end of; nothing while that is still
    /// being brought to rest.
    ///
    /// # Errors
    /// [`PipelineError::Refused`].
    fn recover(&self, job: JobId) -> Result<Option<RollbackStatus>, PipelineError>;

    /// The operator reached the device after the change.
    ///
    /// # Errors
    /// [`PipelineError::Refused`] when nothing waits for that.
    fn confirm(&self, job: JobId, origin: &Origin) -> Result<(), PipelineError>;

    /// Writes a line of the audit log.
    ///
    /// # Errors
    /// [`PipelineError::Refused`].
    fn audit(&self, entry: &AuditEntry) -> Result<(), PipelineError>;
}

/// One device, also asked by somebody else.
impl<P: Pipeline + ?Sized> Pipeline for std::sync::Arc<P> {
    fn current(&self) -> Result<Current, PipelineError> {
        (**self).current()
    }

    fn export(&self) -> Result<Exported, PipelineError> {
        (**self).export()
    }

    fn validate(&self, input: Input) -> Result<Vec<String>, PipelineError> {
        (**self).validate(input)
    }

    fn apply(
        &self,
        order: &ApplyOrder<'_>,
        input: Input,
        tell: &mut dyn FnMut(JobEvent),
    ) -> Outcome {
        (**self).apply(order, input, tell)
    }

    fn recover(&self, job: JobId) -> Result<Option<RollbackStatus>, PipelineError> {
        (**self).recover(job)
    }

    fn confirm(&self, job: JobId, origin: &Origin) -> Result<(), PipelineError> {
        (**self).confirm(job, origin)
    }

    fn audit(&self, entry: &AuditEntry) -> Result<(), PipelineError> {
        (**self).audit(entry)
    }
}
