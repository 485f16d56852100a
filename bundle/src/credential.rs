// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where do a certificate and a key come from, and who knows their secrets?
//!
//! A credential is a PEM file or an object on a PKCS#11 token. Secrets (passphrase, PIN) and the
//! module are arguments: this crate reads no environment. Secrets are in no message and no `Debug`.

use crate::pkcs11::{Pkcs11Uri, Pkcs11UriError, TokenError};
use crate::{LibraryFault, private_key::PrivateKey};
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::x509::X509;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Largest PEM file read; a mistaken image in its place is not read whole.
const MAX_PEM_BYTES: u64 = 4 * 1024 * 1024;

/// A passphrase or PIN. Not shown by `Debug`, overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A secret of these characters.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into().into_bytes())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn text(&self) -> &str {
        // Only ever made of text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        // Keeps the compiler from leaving out a write that nothing reads.
        std::hint::black_box(&self.0);
    }
}

/// Where a certificate or a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// In a PEM file.
    File(PathBuf),
    /// On a token.
    Token(Box<Pkcs11Uri>),
}

impl Credential {
    /// Reads RAUC's notation: a path, or a URI that begins with `pkcs11:`.
    ///
    /// # Errors
    /// [`Pkcs11UriError`].
    pub fn parse(text: &str) -> Result<Self, Pkcs11UriError> {
        if Pkcs11Uri::is_uri(text) {
            return text.parse().map(|uri| Self::Token(Box::new(uri)));
        }
        Ok(Self::File(PathBuf::from(text)))
    }
}

/// What a secret is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretQuestion {
    /// Passphrase of a protected PEM key.
    KeyPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// PIN of a token.
    TokenPin {
        /// Its label.
        token: String,
    },
}

/// Asks a person for a secret; `None` when there is nobody to ask.
pub(crate) type AskSecret<'a> = &'a (dyn Fn(&SecretQuestion) -> Option<Secret> + 'a);

/// Whatever it takes to open credentials.
#[derive(Clone, Copy, Default)]
pub struct CredentialAccess<'a> {
    /// Passphrase of protected PEM keys (RAUC: `RAUC_KEY_PASSPHRASE`).
    pub key_passphrase: Option<&'a Secret>,
    /// The PKCS#11 module (RAUC: `RAUC_PKCS11_MODULE`); without one p11-kit's.
    pub pkcs11_module: Option<&'a Path>,
    /// PIN of the token that a URI names (RAUC: `RAUC_PKCS11_PIN`).
    pub pkcs11_pin: Option<&'a Secret>,
    /// Asked for what is missing above.
    pub ask: Option<AskSecret<'a>>,
}

impl std::fmt::Debug for CredentialAccess<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CredentialAccess")
            .field("pkcs11_module", &self.pkcs11_module)
            .finish_non_exhaustive()
    }
}

/// Why a credential cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file cannot be read.
    #[error("cannot read {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file holds no certificate that parses.
    #[error("{path} holds no certificate that can be read", path = path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// OpenSSL's words.
        #[source]
        cause: LibraryFault,
    },
    /// The file holds no private key that parses (or the passphrase is wrong).
    #[error("{path} holds no private key that can be read", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// OpenSSL's words.
        #[source]
        cause: LibraryFault,
    },
    /// The key is protected and nobody gave the passphrase.
    #[error("key {path} is protected by a passphrase and none was given", path = path.display())]
    PassphraseMissing {
        /// The file.
        path: PathBuf,
    },
    /// The token refused.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl CredentialError {
    /// The way out, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::PassphraseMissing { .. } => Some("set RAUC_KEY_PASSPHRASE"),
            Self::Token(token) => token.hint(),
            Self::Read { .. } | Self::Certificate { .. } | Self::Key { .. } => None,
        }
    }
}

/// The bytes of a PEM file.
pub(crate) fn read_pem(path: &Path) -> Result<Vec<u8>, CredentialError> {
    let failed = |source| CredentialError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    let read = file.take(MAX_PEM_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if read as u64 > MAX_PEM_BYTES {
        return Err(failed(io::Error::from(io::ErrorKind::FileTooLarge)));
    }
    Ok(bytes)
}

/// Every certificate of a PEM file: at least one, and none that is broken.
pub(crate) fn certificates_of(path: &Path) -> Result<Vec<X509>, CredentialError> {
    let pem = read_pem(path)?;
    let refused = |cause: ErrorStack| CredentialError::Certificate {
        path: path.to_owned(),
        cause: cause.into(),
    };
    // The first alone, since a list may be empty and the reason for that should be told.
    X509::from_pem(&pem).map_err(refused)?;
    X509::stack_from_pem(&pem).map_err(refused)
}

/// The certificate of `credential`; of a file its first.
pub(crate) fn load_certificate(
    credential: &Credential,
    access: &CredentialAccess<'_>,
) -> Result<X509, CredentialError> {
    match credential {
        Credential::File(path) => {
            let refused = |cause: ErrorStack| CredentialError::Certificate {
                path: path.clone(),
                cause: cause.into(),
            };
            X509::from_pem(&read_pem(path)?).map_err(refused)
        }
        Credential::Token(uri) => Ok(crate::pkcs11::load_certificate(uri, access)?),
    }
}

/// The private key of `credential`.
pub(crate) fn load_key(
    credential: &Credential,
    access: &CredentialAccess<'_>,
) -> Result<PrivateKey, CredentialError> {
    match credential {
        Credential::File(path) => key_of_pem(path, &read_pem(path)?, access),
        Credential::Token(uri) => Ok(PrivateKey::Token(crate::pkcs11::load_key(uri, access)?)),
    }
}

fn key_of_pem(
    path: &Path,
    pem: &[u8],
    access: &CredentialAccess<'_>,
) -> Result<PrivateKey, CredentialError> {
    let missing = Cell::new(false);
    let question = SecretQuestion::KeyPassphrase { path: path.to_owned() };
    // Called for protected keys only.
    let key = PKey::private_key_from_pem_callback(pem, |buffer| {
        let given = access.key_passphrase.cloned();
        let secret = given.or_else(|| access.ask.and_then(|ask| ask(&question)));
        missing.set(secret.is_none());
        let secret = secret.unwrap_or(Secret(Vec::new()));
        let len = secret.bytes().len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(secret.bytes()) {
            *to = *from;
        }
        Ok(len)
    });
    match key {
        Ok(key) => Ok(PrivateKey::Software(key)),
        Err(_) if missing.get() => {
            Err(CredentialError::PassphraseMissing { path: path.to_owned() })
        }
        Err(cause) => Err(CredentialError::Key { path: path.to_owned(), cause: cause.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::rsa::Rsa;
    use openssl::symm::Cipher;

    #[expect(clippy::disallowed_methods, reason = "a test file")]
    fn protected_key(dir: &Path) -> PathBuf {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let pem = key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"1111").unwrap();
        let path = dir.join("key.pem");
        std::fs::write(&path, pem).unwrap();
        path
    }

    #[test]
    fn protected_keys_open_with_their_passphrase_only_given_or_asked() {
        let dir = tempfile::tempdir().unwrap();
        let key = Credential::File(protected_key(dir.path()));
        let nobody = load_key(&key, &CredentialAccess::default());
        assert!(matches!(nobody, Err(CredentialError::PassphraseMissing { .. })));
        let (right, wrong) = (Secret::new("1111"), Secret::new("1112"));
        let with = |secret| CredentialAccess { key_passphrase: Some(secret), ..Default::default() };
        assert!(load_key(&key, &with(&right)).is_ok());
        let refused = load_key(&key, &with(&wrong)).unwrap_err();
        assert!(matches!(refused, CredentialError::Key { .. }), "{refused}");
        assert!(!format!("{refused:?}").contains("1112"));
        let ask = |question: &SecretQuestion| {
            assert!(matches!(question, SecretQuestion::KeyPassphrase { .. }));
            Some(Secret::new("1111"))
        };
        let asking = CredentialAccess { ask: Some(&ask), ..Default::default() };
        assert!(load_key(&key, &asking).is_ok());
    }

    #[test]
    fn a_key_in_place_of_a_certificate_is_refused_in_openssls_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = protected_key(dir.path());
        let refused = certificates_of(&path).unwrap_err();
        let CredentialError::Certificate { cause, .. } = refused else { panic!("{refused}") };
        assert!(cause.to_string().contains("Expecting: CERTIFICATE"), "{cause}");
    }
}
