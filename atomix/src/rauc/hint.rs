// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can a person do about this failure? RAUC's line says what failed; scripts and RAUC's own
//! tests look for it, so the way out stands on a line of its own behind it.

use crate::rauc::error::RaucError;
use std::error::Error;

/// The way out of the outermost failure of a chain that knows one.
#[must_use]
pub fn hint_of(error: &(dyn Error + 'static)) -> Option<&'static str> {
    if let Some(RaucError::Below(below)) = error.downcast_ref::<RaucError>() {
        return hint_of(&**below);
    }
    // Its source is that of what it wraps.
    if let Some(wrapped) = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref())
    {
        return hint_of(wrapped);
    }
    own_hint(error).or_else(|| error.source().and_then(hint_of))
}

/// As it is shown.
#[must_use]
pub fn shown(hint: &str) -> String {
    format!("hint: {hint}")
}

fn own_hint(error: &(dyn Error + 'static)) -> Option<&'static str> {
    macro_rules! first_of {
        ($($kind:ty),+ $(,)?) => {
            $(if let Some(hint) = error.downcast_ref::<$kind>().and_then(<$kind>::hint) {
                return Some(hint);
            })+
        };
    }
    first_of!(
        bundle::BundleError,
        bundle::SignatureError,
        bundle::OperationError,
        bundle::CreateError,
        bundle::SignError,
        bundle::CredentialError,
        bundle::casync::CasyncError,
        bundle::http::HttpError,
        bundle::pkcs11::TokenError,
        updater::SystemConfError,
        updater::InstallError,
        updater::LockError,
        updater::ArtifactError,
        updater::SlotHandlerError,
        programs::ProgramError,
        updater::system::SystemError,
        updater::system::InstallationError,
        bootctl::BackendError,
        bootctl::Refused,
    );
    error.downcast_ref::<updater::VariantError>().map(updater::VariantError::hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_out_is_found_below_what_was_tried() {
        let unknown = updater::SystemConfError::UnknownGroup { group: "atomix".into(), line: 3 };
        let failed = RaucError::act("Failed to initialize context")(unknown.clone());
        assert!(hint_of(&failed).unwrap().contains("atomix.toml"));
        assert!(hint_of(&RaucError::below(unknown)).is_some());
        let url = bundle::http::HttpError::Unauthorized { url: "http://x".to_owned() };
        let source = std::io::Error::other(url);
        assert!(hint_of(&RaucError::act("cannot read")(source)).unwrap().contains("credentials"));
        assert_eq!(hint_of(&RaucError::refused("no")), None);
    }
}
