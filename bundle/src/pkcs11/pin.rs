// SPDX-License-Identifier: MIT OR Apache-2.0
//! The PIN of one token: where it comes from, and how often it is tried.
//!
//! It goes only to the token that the URI names. One that was refused is never tried again: three
//! wrong ones lock the token.

use super::token::{TokenError, failed, fault};
use super::uri::Pkcs11Uri;
use crate::LibraryFault;
use crate::credential::{CredentialAccess, Secret, SecretQuestion};
use cryptoki::context::Pkcs11;
use cryptoki::error::{Error as ModuleError, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;
use openssl::sha::sha256;
use std::collections::BTreeSet;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

/// A PIN file is a line.
const MAX_PIN_BYTES: u64 = 1024;

/// Digests of the tokens and PINs that did not fit. A service is asked to log in over and over,
/// with the PIN of its configuration: the third time would lock the token.
static REFUSED: Mutex<BTreeSet<[u8; 32]>> = Mutex::new(BTreeSet::new());

/// A PIN and the token that it is for.
pub(super) struct TokenPin {
    pin: Secret,
    /// Both as one name, which does not give the PIN away.
    attempt: [u8; 32],
    uri: String,
}

impl TokenPin {
    /// The PIN for the token in `slot`, where there is one.
    pub(super) fn of(
        (module, slot): (&Pkcs11, Slot),
        uri: &Pkcs11Uri,
        access: &CredentialAccess<'_>,
    ) -> Result<Option<Self>, TokenError> {
        let Some(pin) = secret_of(uri, access)? else { return Ok(None) };
        let token = module.get_token_info(slot).map_err(failed("describe itself"))?;
        let attempt = attempt(&token, &pin);
        Ok(Some(Self { pin, attempt, uri: uri.to_string() }))
    }

    /// Lets the token see it.
    pub(super) fn give(&self, session: &Session, to: UserType) -> Result<(), TokenError> {
        let refused = |cause| TokenError::Login { uri: self.uri.clone(), cause };
        // Held until the token has answered: two threads must not try the same.
        let mut known = REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&self.attempt) {
            let words = "this PIN was refused before, and is not tried again before a restart";
            return Err(refused(LibraryFault::of_words(words)));
        }
        let pin = AuthPin::from(self.pin.text().to_owned());
        match session.login(to, Some(&pin)) {
            Ok(()) | Err(ModuleError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(cause) => {
                if matches!(
                    cause,
                    ModuleError::Pkcs11(
                        RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
                        _
                    )
                ) {
                    known.insert(self.attempt);
                }
                Err(refused(fault(&cause)))
            }
        }
    }
}

fn secret_of(uri: &Pkcs11Uri, access: &CredentialAccess<'_>) -> Result<Option<Secret>, TokenError> {
    if let Some(pin) = &uri.pin_value {
        return Ok(Some(pin.clone()));
    }
    if let Some(path) = &uri.pin_source {
        let failed = |source| TokenError::PinFile { path: path.clone(), source };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(MAX_PIN_BYTES).read_to_string(&mut text).map_err(failed)?;
        return Ok(Some(Secret::new(text.lines().next().unwrap_or_default())));
    }
    let question = SecretQuestion::TokenPin { token: uri.token.clone().unwrap_or_default() };
    let given = access.pkcs11_pin.cloned();
    Ok(given.or_else(|| access.ask.and_then(|ask| ask(&question))))
}

fn attempt(token: &TokenInfo, pin: &Secret) -> [u8; 32] {
    let label = [token.manufacturer_id(), token.model(), token.serial_number(), token.label()];
    sha256(&[label.join("\0").as_bytes(), &[0], pin.bytes()].concat())
}
