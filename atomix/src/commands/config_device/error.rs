// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why did a device not do what an operator asked, and what is the way out?

use crate::failure::Class;
use crate::terminal::one_line;
use bundle::http::ExchangeError;
use config_api::client::{
    AddressError, AdviceClass, NOT_OURS, Refusal, RequestFileError, SignedHeadersError,
};
use config_api::jobs::{JobId, RollbackStatus};
use programs::ProgramError;
use std::path::PathBuf;

/// A device, or the way to it, failed.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// Not where a device can be.
    #[error("{text:?} is no address of a device")]
    Address {
        /// What was given.
        text: String,
        /// Why not.
        #[source]
        source: AddressError,
    },
    /// Not a device's name.
    #[error("{text:?} is no name of a device")]
    Id {
        /// What was given.
        text: String,
    },
    /// There is no answer.
    #[error("{device} does not answer")]
    Exchange {
        /// Whom.
        device: String,
        /// Why.
        #[source]
        source: ExchangeError,
    },
    /// The answer is a no.
    #[error("{device} refuses: {said}", said = one_line(&refusal.to_string()))]
    Refused {
        /// Who.
        device: String,
        /// The answer.
        refusal: Refusal,
    },
    /// The answer is something else than what was asked for.
    #[error("{device} answered something else than {wanted}")]
    NotUnderstood {
        /// Who.
        device: String,
        /// What was wanted.
        wanted: &'static str,
    },
    /// What answers is no config API.
    #[error("{device} answers with something else than {wanted}: {what}")]
    Stranger {
        /// Who.
        device: String,
        /// What was wanted.
        wanted: &'static str,
        /// What came.
        what: &'static str,
    },
    /// Another device than the one that was meant.
    #[error("{device} is the device {found}, not {wanted}")]
    OtherDevice {
        /// Who answered.
        device: String,
        /// Its name.
        found: String,
        /// The one that was given.
        wanted: String,
    },
    /// The key did not sign.
    #[error("cannot sign with {key}", key = key.display())]
    Sign {
        /// The key.
        key: PathBuf,
        /// Why.
        #[source]
        source: ProgramError,
    },
    /// Others may read the key's file, and so nobody uses it.
    #[error("ssh-keygen does not sign with {key}: its mode {mode} lets others read it", key = key.display())]
    KeyOpen {
        /// The key.
        key: PathBuf,
        /// What `ssh-keygen` says of it.
        mode: String,
    },
    /// What was printed is no signature.
    #[error("ssh-keygen printed no signature")]
    NoSignature,
    /// A value of the request cannot be signed.
    #[error("the request has a value that cannot be signed")]
    Unsignable,
    /// The headers of `config sign` cannot be used.
    #[error("cannot use the headers in {path}", path = path.display())]
    Signed {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: SignedHeadersError,
    },
    /// They were made for something else.
    #[error("the headers in {path} were signed for other content", path = path.display())]
    SignedOther {
        /// Which file.
        path: PathBuf,
    },
    /// What `config request-nonce` printed cannot be used.
    #[error("cannot use the nonce in {path}", path = path.display())]
    Request {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: RequestFileError,
    },
    /// The nonce is none.
    #[error("this is no nonce")]
    Nonce,
    /// Not a job's name.
    #[error("{text:?} is no name of a job")]
    Job {
        /// What was given.
        text: String,
    },
    /// A confirmation without a key to confirm with.
    #[error("--confirm-within needs a key to confirm with")]
    ConfirmKey,
    /// The change did not come to what was wanted.
    #[error("{device} did not keep the configuration: {said}", said = one_line(error))]
    JobFailed {
        /// Who.
        device: String,
        /// Why not.
        error: String,
        /// What is in force now.
        rollback: Option<RollbackStatus>,
    },
    /// Nobody can tell what became of a change.
    #[error("what became of job {job} is not known")]
    Unknown {
        /// The job.
        job: JobId,
        /// The last answer.
        #[source]
        source: Box<DeviceError>,
    },
    /// The operator left.
    #[error("the change goes on without us as job {job} of {device}")]
    Left {
        /// The job.
        job: JobId,
        /// Whose.
        device: String,
        /// The signal.
        by: &'static str,
    },
}

impl DeviceError {
    /// What the exit code means.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Address { .. }
            | Self::Id { .. }
            | Self::Unsignable
            | Self::Signed { .. }
            | Self::SignedOther { .. }
            | Self::Request { .. }
            | Self::Job { .. }
            | Self::ConfirmKey
            | Self::Nonce => Class::Usage,
            Self::OtherDevice { .. } => Class::NotVerified,
            Self::Refused { refusal, .. } => match refusal.advice().class {
                AdviceClass::Usage => Class::Usage,
                AdviceClass::Refused => Class::Refused,
                AdviceClass::NotVerified => Class::NotVerified,
                AdviceClass::Busy => Class::Busy,
                AdviceClass::Failed => Class::Failed,
            },
            Self::Exchange { .. }
            | Self::NotUnderstood { .. }
            | Self::Stranger { .. }
            | Self::KeyOpen { .. }
            | Self::Sign { .. }
            | Self::JobFailed { .. }
            | Self::Unknown { .. }
            | Self::Left { .. }
            | Self::NoSignature => Class::Failed,
        }
    }

    /// The way out.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Address { source, .. } => source.hint(),
            Self::Id { .. } => {
                "the label has it: 12 hexadecimal digits, or 0A:1B:2C:3D:4E:5F; or a name that the \
                 device was given: letters, digits and -_."
            }
            Self::Exchange { source, .. } => exchange_hint(source),
            Self::Refused { refusal, .. } => refusal.advice().hint,
            Self::NotUnderstood { .. } => "use the atomix of the device's own version",
            Self::Stranger { .. } => NOT_OURS,
            Self::KeyOpen { .. } => {
                "chmod 600 KEY; if it is a public key, an agent (ssh-add -l) must have the private one"
            }
            Self::OtherDevice { .. } => {
                "look at label, cable and address; somebody may be in between: nothing was sent"
            }
            Self::Sign { source, .. } => source.hint().unwrap_or(
                "give the private key's file; with the public one an agent (ssh-add -l) must have it",
            ),
            Self::NoSignature => "try `ssh-keygen -Y sign -n test -f KEY` by hand",
            Self::Unsignable => "a target or tag has printable ASCII without space at its ends",
            Self::Signed { .. } => "give the file as `config sign` printed it",
            Self::SignedOther { .. } => "sign this file and this target with a new nonce",
            Self::Request { .. } => "give the file as `config request-nonce` printed it",
            Self::Job { .. } => "`config apply` prints it: 8-4-4-4-12 hexadecimal digits",
            Self::ConfirmKey => "give --ssh-key; nothing was sent",
            Self::JobFailed { rollback, .. } => rollback_hint(*rollback),
            Self::Unknown { .. } => {
                "look with `config job`; `config export` shows what is in force in the end"
            }
            Self::Left { .. } => "`atomix config job` with this name tells how it ends",
            Self::Nonce => "it has 64 small hexadecimal digits; `config request-nonce` prints it",
        }
    }

    /// The name of the signal that ended the work, where one did.
    #[must_use]
    pub const fn stopped_by(&self) -> Option<&'static str> {
        if let Self::Exchange { source: ExchangeError::Stopped { by }, .. }
        | Self::Sign { source: ProgramError::Stopped { by }, .. } = self
        {
            Some(by)
        } else if let Self::Left { by, .. } = self {
            Some(by)
        } else {
            None
        }
    }
}

/// What a failed change left behind.
const fn rollback_hint(rollback: Option<RollbackStatus>) -> &'static str {
    match rollback {
        Some(RollbackStatus::Completed) => {
            "the configuration before is in force again, and its services run"
        }
        Some(RollbackStatus::Failed) => {
            "the configuration before is in force again, but its services do not all run: look at \
             the device"
        }
        Some(RollbackStatus::Skipped) => {
            "nothing was changed, unless the device was restarted meanwhile: look with `config export`"
        }
        Some(RollbackStatus::Discarded) => {
            "the device has no configuration again, and takes the first one of anybody"
        }
        None => "`config export` shows what is in force",
    }
}

/// Without a connection nothing was sent; after that nobody knows.
fn exchange_hint(error: &ExchangeError) -> &'static str {
    match error {
        ExchangeError::Connect(_) => {
            "look at address, cable and power; after its first configuration a device answers on \
             its LAN alone"
        }
        ExchangeError::Silent { .. } | ExchangeError::Slow { .. } | ExchangeError::Broken(_) => {
            "whether it was taken is not known: look with `config export` before you repeat it"
        }
        ExchangeError::Head(_) | ExchangeError::TooLarge { .. } => NOT_OURS,
        ExchangeError::Option { .. } => "correct what was given; nothing was sent",
        ExchangeError::Stopped { .. } => "nothing is known to have been taken",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bundle::http::{HeadError, TransferFault};
    use storage::chain;

    #[test]
    fn a_refusal_in_two_lines_is_told_in_one() {
        let error = "no\nhint: forged".to_owned();
        let code = "x\nhint: forged".to_owned();
        let refusal = Refusal { status: 409, code, error, ..Refusal::default() };
        let refused = DeviceError::Refused { device: "http://a".to_owned(), refusal };
        assert_eq!(chain(&refused).lines().count(), 1, "{refused}");
    }

    /// No answer at all, in every way that it does not come: none is the operator's mistake, and
    /// only without a connection is it known that nothing was taken.
    #[test]
    fn every_way_to_get_no_answer_has_a_class_words_and_a_way_out() {
        let fault = || TransferFault("cause".to_owned());
        for (source, words, hint) in [
            (ExchangeError::Connect(fault()), "cannot connect: cause", "address, cable and power"),
            (ExchangeError::Silent { secs: 30 }, "no byte came for 30 s", "not known: look with"),
            (ExchangeError::Broken(fault()), "the connection broke: cause", "not known: look with"),
            (ExchangeError::Head(HeadError::Status), "no answer of HTTP", "other than a config"),
            (ExchangeError::TooLarge { limit: 7 }, "more than 7 bytes", "other than a config"),
            (ExchangeError::Option { reason: "x".to_owned() }, "cannot ask: x", "nothing was sent"),
            (ExchangeError::Stopped { by: "SIGINT" }, "stopped by SIGINT", "nothing is known"),
        ] {
            let error = DeviceError::Exchange { device: "http://a:8080".to_owned(), source };
            assert_eq!(error.class(), Class::Failed, "{error:?}");
            let told = chain(&error);
            assert!(told.starts_with("http://a:8080 does not answer: "), "{told}");
            assert!(told.contains(words), "{words}: {told}");
            assert!(error.hint().contains(hint), "{words}: {}", error.hint());
        }
    }
}
