// SPDX-License-Identifier: MIT OR Apache-2.0
//! What do the failures of the rooms below mean for an exit code?

use super::Class;
use bootctl::BackendError;
use bundle::http::HttpError;
use uboot::EnvError;

/// An install that may not write the environment's place is refused like every other command.
pub(super) fn install_class(error: &updater::InstallError) -> Class {
    let updater::InstallError::StoreState { source } = error else {
        return class_of(error.class());
    };
    if matches!(source, BackendError::Environment { source: EnvError::Foreign { .. } }) {
        Class::Refused
    } else {
        class_of(error.class())
    }
}

pub(super) const fn class_of(class: updater::ErrorClass) -> Class {
    match class {
        updater::ErrorClass::Failed => Class::Failed,
        updater::ErrorClass::Refused => Class::Refused,
        updater::ErrorClass::NotVerified => Class::NotVerified,
        updater::ErrorClass::Busy => Class::Busy,
        updater::ErrorClass::Usage => Class::Usage,
    }
}

/// A bundle that cannot be read failed; one that can and does not hold is not verified.
pub(super) fn bundle_class(error: &bundle::BundleError) -> Class {
    use bundle::BundleError as E;
    match error {
        E::Source(_) | E::WorkerLost => Class::Failed,
        E::CryptNotEncrypted => Class::Refused,
        E::Trailer(_)
        | E::Signature(_)
        | E::Manifest(_)
        | E::Verity(_)
        | E::Squashfs(_)
        | E::PlainTooLarge { .. }
        | E::PlainStreamed
        | E::PayloadDigest
        | E::Envelope(_)
        | E::Decrypt(_)
        | E::EncryptedOther { .. }
        | E::PayloadUnaligned { .. }
        | E::ImageMissing { .. }
        | E::ImageWithoutFile { .. }
        | E::ImageSize { .. }
        | E::ImageDigest { .. }
        | E::ManifestTooLarge { .. } => Class::NotVerified,
    }
}

/// Who cannot be believed is told apart from who was asked wrongly.
pub(super) fn report_class(error: &agents::ReportError) -> Class {
    use agents::ReportError::{
        Certificate, Encode, OtherKey, Parse, Sign, Signature, TooLong, Version,
    };
    match error {
        Certificate(_) => Class::Usage,
        TooLong { .. } | Signature(_) | Parse(_) | Version { .. } | OtherKey { .. } => {
            Class::NotVerified
        }
        Encode(_) | Sign(_) => Class::Failed,
    }
}

/// A release that nobody trusted has signed, or that cannot be read, is not verified; a true one
/// that does not count here is refused.
pub(super) const fn release_class(error: &agents::ReleaseError) -> Class {
    use agents::ReleaseError as E;
    match error {
        E::TooLong { .. }
        | E::WebPage
        | E::Signature(_)
        | E::CertificateEnded { .. }
        | E::Content(_) => Class::NotVerified,
        E::OtherProduct { .. }
        | E::Replayed { .. }
        | E::Forked { .. }
        | E::Expired { .. }
        | E::Place { .. } => Class::Refused,
    }
}

/// What a server does not give is a failure; what we do not ask it for is no fault of its.
pub(super) const fn fetch_class(source: &HttpError) -> Class {
    match source {
        HttpError::OverBudget { .. } | HttpError::TooDear { .. } => Class::Refused,
        HttpError::Url(_) | HttpError::Option { .. } | HttpError::Insecure { .. } => Class::Usage,
        HttpError::RangesUnsupported { .. }
        | HttpError::NoContent { .. }
        | HttpError::NotModified { .. }
        | HttpError::Unauthorized { .. }
        | HttpError::NotFound { .. }
        | HttpError::Status { .. }
        | HttpError::Head { .. }
        | HttpError::NoRange { .. }
        | HttpError::WrongRange { .. }
        | HttpError::Changed { .. }
        | HttpError::TooManyRedirects { .. }
        | HttpError::Downgrade { .. }
        | HttpError::Redirect { .. }
        | HttpError::TooLarge { .. }
        | HttpError::Transfer { .. }
        | HttpError::Store { .. }
        | HttpError::Stopped { .. } => Class::Failed,
    }
}

/// Whom nobody trusts is told apart from who cannot be reached.
pub(super) const fn ask_class(error: &agents::agent::AskError) -> Class {
    use agents::agent::AskError as E;
    match error {
        E::Release(source) => release_class(source),
        E::Original(_) => Class::NotVerified,
        E::Place(_) => Class::Usage,
        E::NoAnswer(_) | E::Status { .. } | E::Redirect(_) | E::Redirects => Class::Failed,
    }
}

/// As for a polled server: who cannot be reached, who cannot be believed, and what is not taken.
pub(super) const fn hawkbit_class(trouble: &agents::ddi::DdiTrouble) -> Class {
    use agents::ddi::DdiTrouble as E;
    match trouble {
        E::NoAnswer(_) | E::Status { .. } => Class::Failed,
        E::Page { .. } | E::Answer { .. } => Class::NotVerified,
        E::Action { .. } => Class::Refused,
    }
}

/// What a command of a person's would have ended with.
pub(super) fn hand_class(error: &agents::agent::HandError) -> Class {
    error.source.downcast_ref::<super::Failure>().map_or(Class::Failed, super::Failure::class)
}
