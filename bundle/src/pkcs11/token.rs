// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds the object that a URI names and lets its token work with it.
//!
//! A key that asks for the PIN at every use (`CKA_ALWAYS_AUTHENTICATE`) gets it between the
//! beginning of the work and its end. The library lets us in there for work in parts only, so the
//! token hashes by itself what it signs, and does not decrypt.
//!
//! Modules are initialized once per process and stay: a second initialization is an error of the
//! standard, and finalizing would end the sessions of others.

use super::pin::TokenPin;
use super::uri::{ObjectType, Pkcs11Uri};
use crate::credential::CredentialAccess;
use crate::{LibraryFault, rsa_scheme::RsaScheme};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as ModuleError, RvError};
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use openssl::sha::sha256;
use openssl::x509::X509;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What p11-kit calls the module that stands for all configured ones.
const DEFAULT_MODULE: &str = "p11-kit-proxy.so";
/// DER in front of a SHA-256 digest that RSA signs (RFC 8017, 9.2, note 1).
const SHA256_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];

/// Why a token does not give what its URI names.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The module cannot be loaded or does not start.
    #[error("cannot load the PKCS#11 module {path}", path = path.display())]
    Module {
        /// The module.
        path: PathBuf,
        /// Its words.
        #[source]
        cause: LibraryFault,
    },
    /// No token, or several, fit the URI.
    #[error("{found} tokens fit {uri}, one is needed")]
    Tokens {
        /// The URI without its query.
        uri: String,
        /// How many.
        found: usize,
    },
    /// No object, or several, fit the URI.
    #[error("{found} objects of the right kind fit {uri}, one is needed")]
    Objects {
        /// The URI without its query.
        uri: String,
        /// How many.
        found: usize,
    },
    /// The URI is about another sort of object.
    #[error("{uri} names another sort of object")]
    ObjectType {
        /// The URI without its query.
        uri: String,
    },
    /// The file with the PIN cannot be read.
    #[error("cannot read the PIN file {path}", path = path.display())]
    PinFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The token did not take the PIN. It was tried once, and is not tried again.
    #[error("token of {uri} refused the PIN")]
    Login {
        /// The URI without its query.
        uri: String,
        /// The token's words.
        #[source]
        cause: LibraryFault,
    },
    /// The object is no certificate that parses.
    #[error("object {uri} is no certificate that can be read")]
    Certificate {
        /// The URI without its query.
        uri: String,
        /// OpenSSL's words.
        #[source]
        cause: LibraryFault,
    },
    /// The key asks for the PIN at every use, and the token has no way to do that in parts.
    #[error("key wants the PIN at every use (CKA_ALWAYS_AUTHENTICATE) and cannot {act} so")]
    PinAtEveryUse {
        /// What it was to do.
        act: &'static str,
        /// The token's words.
        #[source]
        cause: LibraryFault,
    },
    /// The token failed at its work.
    #[error("token cannot {act}")]
    Failed {
        /// What it was to do.
        act: &'static str,
        /// Its words.
        #[source]
        cause: LibraryFault,
    },
}

impl TokenError {
    /// The way out, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Module { .. } => Some("set RAUC_PKCS11_MODULE to the path of the token's module"),
            Self::Tokens { .. } => Some("look at the tokens with `pkcs11-tool --list-slots`"),
            Self::Objects { .. } => Some(
                "name the token in the URI (pkcs11:token=…) and set RAUC_PKCS11_PIN: a private \
                 key is seen after the login only, and no PIN is tried on a token not named",
            ),
            Self::Login { .. } => Some("check RAUC_PKCS11_PIN; wrong PINs lock the token"),
            Self::PinAtEveryUse { .. } => Some(
                "use a key without that attribute; with it, those sign whose token knows \
                 CKM_SHA256_RSA_PKCS or CKM_ECDSA_SHA256",
            ),
            Self::ObjectType { .. }
            | Self::PinFile { .. }
            | Self::Certificate { .. }
            | Self::Failed { .. } => None,
        }
    }
}

/// A private key that stays where it is.
pub(crate) struct TokenKey {
    // The standard forbids two threads in one session.
    session: Mutex<Session>,
    key: ObjectHandle,
    kind: TokenKeyKind,
    /// Bytes of the modulus of an RSA key.
    modulus: Option<usize>,
    /// Whether it asks for the PIN at every use.
    asks_each_time: bool,
    /// The PIN that it is given then.
    pin: Option<TokenPin>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKeyKind {
    Rsa,
    Ec,
    Other,
}

pub(super) fn fault(cause: &ModuleError) -> LibraryFault {
    LibraryFault::of_words(&cause.to_string())
}

pub(super) fn failed(act: &'static str) -> impl Fn(ModuleError) -> TokenError {
    move |cause| TokenError::Failed { act, cause: fault(&cause) }
}

fn module(uri: &Pkcs11Uri, access: &CredentialAccess<'_>) -> Result<Pkcs11, TokenError> {
    static LOADED: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());
    let path = uri.module_path.as_deref().or(access.pkcs11_module);
    let path = path.unwrap_or(Path::new(DEFAULT_MODULE)).to_owned();
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = loaded.get(&path) {
        return Ok(known.clone());
    }
    let refused =
        |cause: ModuleError| TokenError::Module { path: path.clone(), cause: fault(&cause) };
    let fresh = Pkcs11::new(&path).map_err(refused)?;
    match fresh.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // Somebody else of this process was first, which is as good.
        Ok(()) | Err(ModuleError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(cause) => return Err(refused(cause)),
    }
    loaded.insert(path, fresh.clone());
    Ok(fresh)
}

/// Every token that fits the URI; just one if the URI names it.
fn slots(module: &Pkcs11, uri: &Pkcs11Uri) -> Result<Vec<Slot>, TokenError> {
    let mut fitting = Vec::new();
    for slot in module.get_slots_with_initialized_token().map_err(failed("list its slots"))? {
        let token = module.get_token_info(slot).map_err(failed("describe itself"))?;
        let fits = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == found.trim_end())
        };
        if fits(&uri.token, token.label())
            && fits(&uri.manufacturer, token.manufacturer_id())
            && fits(&uri.model, token.model())
            && fits(&uri.serial, token.serial_number())
            && uri.slot_id.is_none_or(|id| id == slot.id())
        {
            fitting.push(slot);
        }
    }
    if fitting.is_empty() || (uri.names_token() && fitting.len() > 1) {
        return Err(TokenError::Tokens { uri: uri.to_string(), found: fitting.len() });
    }
    Ok(fitting)
}

/// Whether a token that fits the URI is seen through `module_path`, or else through p11-kit. One
/// that cannot be asked is not seen.
pub(crate) fn is_seen(uri: &Pkcs11Uri, module_path: Option<PathBuf>) -> bool {
    let uri = Pkcs11Uri { module_path, ..uri.clone() };
    let found = module(&uri, &CredentialAccess::default()).and_then(|module| slots(&module, &uri));
    match found {
        Ok(_) => true,
        Err(TokenError::Tokens { found, .. }) => found > 0,
        Err(_) => false,
    }
}

/// The PIN that the token took, where there is one to give.
fn log_in(
    (module, slot, session): (&Pkcs11, Slot, &Session),
    uri: &Pkcs11Uri,
    access: &CredentialAccess<'_>,
) -> Result<Option<TokenPin>, TokenError> {
    let pin = TokenPin::of((module, slot), uri, access)?;
    if let Some(pin) = &pin {
        pin.give(session, UserType::User)?;
    }
    Ok(pin)
}

fn template(uri: &Pkcs11Uri, class: ObjectClass) -> Vec<Attribute> {
    let mut template = vec![Attribute::Class(class)];
    if let Some(label) = &uri.object {
        template.push(Attribute::Label(label.clone().into_bytes()));
    }
    if let Some(id) = &uri.id {
        template.push(Attribute::Id(id.clone()));
    }
    template
}

/// The one object of `class` that fits, with a session on its token. `login` says whether the
/// object is worth a login when it is not found without.
fn find(
    uri: &Pkcs11Uri,
    access: &CredentialAccess<'_>,
    class: ObjectClass,
) -> Result<(Session, ObjectHandle, Option<TokenPin>), TokenError> {
    let module = module(uri, access)?;
    let wanted = template(uri, class);
    let mut found = Vec::new();
    for slot in slots(&module, uri)? {
        let session = module.open_ro_session(slot).map_err(failed("open a session"))?;
        let private = class == ObjectClass::PRIVATE_KEY;
        let mut pin = None;
        if private && uri.names_token() {
            pin = log_in((&module, slot, &session), uri, access)?;
        }
        let mut objects = session.find_objects(&wanted).map_err(failed("look for objects"))?;
        if objects.is_empty() && !private && uri.names_token() {
            log_in((&module, slot, &session), uri, access)?;
            objects = session.find_objects(&wanted).map_err(failed("look for objects"))?;
        }
        found.extend(objects.into_iter().map(|object| (slot, object)));
        if let [(_, object)] = found.as_slice()
            && uri.names_token()
        {
            return Ok((session, *object, pin));
        }
    }
    match found.as_slice() {
        [(slot, object)] => {
            let session = module.open_ro_session(*slot).map_err(failed("open a session"))?;
            Ok((session, *object, None))
        }
        others => Err(TokenError::Objects { uri: uri.to_string(), found: others.len() }),
    }
}

/// The certificate that `uri` names.
pub(crate) fn load_certificate(
    uri: &Pkcs11Uri,
    access: &CredentialAccess<'_>,
) -> Result<X509, TokenError> {
    if uri.object_type.is_some_and(|sort| sort != ObjectType::Certificate) {
        return Err(TokenError::ObjectType { uri: uri.to_string() });
    }
    let (session, object, _) = find(uri, access, ObjectClass::CERTIFICATE)?;
    let values = session
        .get_attributes(object, &[AttributeType::Value])
        .map_err(failed("read the certificate"))?;
    let Some(Attribute::Value(der)) = values.first() else {
        return Err(failed("read the certificate")(ModuleError::InvalidValue));
    };
    X509::from_der(der)
        .map_err(|cause| TokenError::Certificate { uri: uri.to_string(), cause: cause.into() })
}

/// The private key that `uri` names.
pub(crate) fn load_key(
    uri: &Pkcs11Uri,
    access: &CredentialAccess<'_>,
) -> Result<TokenKey, TokenError> {
    // A URI of a certificate names its key too: people give one URI for both.
    if uri.object_type == Some(ObjectType::Other) {
        return Err(TokenError::ObjectType { uri: uri.to_string() });
    }
    let (session, key, pin) = find(uri, access, ObjectClass::PRIVATE_KEY)?;
    let values = session
        .get_attributes(key, &[AttributeType::KeyType])
        .map_err(failed("describe the key"))?;
    let kind = match values.first() {
        Some(Attribute::KeyType(kind)) if *kind == KeyType::RSA => TokenKeyKind::Rsa,
        Some(Attribute::KeyType(kind)) if *kind == KeyType::EC => TokenKeyKind::Ec,
        _ => TokenKeyKind::Other,
    };
    // Public, but not every token tells it of a private key.
    let values = session.get_attributes(key, &[AttributeType::Modulus]).unwrap_or_default();
    let modulus = match values.first() {
        Some(Attribute::Modulus(bytes)) => {
            Some(bytes.len().saturating_sub(usize::from(bytes.first() == Some(&0))))
        }
        _ => None,
    };
    // A token that does not know the attribute does not ask.
    let values =
        session.get_attributes(key, &[AttributeType::AlwaysAuthenticate]).unwrap_or_default();
    let asks_each_time = matches!(values.first(), Some(Attribute::AlwaysAuthenticate(true)));
    let pin = pin.filter(|_| asks_each_time);
    Ok(TokenKey { session: Mutex::new(session), key, kind, modulus, asks_each_time, pin })
}

impl TokenKey {
    pub(crate) fn kind(&self) -> TokenKeyKind {
        self.kind
    }

    pub(crate) fn rsa_len(&self) -> Option<usize> {
        self.modulus
    }

    fn session(&self) -> std::sync::MutexGuard<'_, Session> {
        // One call each; nothing half done is left by one that panicked.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The RSA signature (PKCS#1 1.5) over the SHA-256 of a message.
    pub(crate) fn sign_rsa_sha256(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        if self.asks_each_time {
            return self.sign_with_pin(&Mechanism::Sha256RsaPkcs, message);
        }
        let info = [&SHA256_INFO[..], &sha256(message)].concat();
        self.session().sign(&Mechanism::RsaPkcs, self.key, &info).map_err(failed("sign"))
    }

    /// The ECDSA signature over the SHA-256 of a message: r and s, of equal length.
    pub(crate) fn sign_ecdsa_sha256(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        if self.asks_each_time {
            return self.sign_with_pin(&Mechanism::EcdsaSha256, message);
        }
        let digest = sha256(message);
        self.session().sign(&Mechanism::Ecdsa, self.key, &digest).map_err(failed("sign"))
    }

    /// A signature by a mechanism of parts, with the PIN in its midst.
    fn sign_with_pin(&self, how: &Mechanism, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let session = self.session();
        let unable = |cause| TokenError::PinAtEveryUse { act: "sign", cause: fault(&cause) };
        session.sign_init(how, self.key).map_err(unable)?;
        if let Some(pin) = &self.pin {
            pin.give(&session, UserType::ContextSpecific)?;
        }
        session.sign_update(message).map_err(unable)?;
        session.sign_final().map_err(unable)
    }

    /// What was encrypted with the public key; `None` when the token refuses these bytes. Which of
    /// its refusals are about the bytes is up to the token, so only those that cannot be are told.
    pub(crate) fn decrypt_rsa(
        &self,
        scheme: &RsaScheme,
        bytes: &[u8],
    ) -> Result<Option<Vec<u8>>, TokenError> {
        if self.asks_each_time {
            let words = "no PIN can be given to a token that decrypts";
            let cause = LibraryFault::of_words(words);
            return Err(TokenError::PinAtEveryUse { act: "decrypt", cause });
        }
        let mechanism = match scheme {
            RsaScheme::Pkcs1 => Mechanism::RsaPkcs,
            RsaScheme::Oaep { hash, mask, label } => {
                let (hash_alg, _) = mechanisms(*hash);
                let (_, mgf) = mechanisms(*mask);
                let source = match label.as_slice() {
                    [] => PkcsOaepSource::empty(),
                    label => PkcsOaepSource::data_specified(label),
                };
                Mechanism::RsaPkcsOaep(PkcsOaepParams::new(hash_alg, mgf, source))
            }
        };
        match self.session().decrypt(&mechanism, self.key, bytes) {
            Ok(plain) => Ok(Some(plain)),
            Err(cause) if is_about_the_token(&cause) => Err(failed("decrypt")(cause)),
            Err(_) => Ok(None),
        }
    }

    /// The secret shared with the owner of the public `point` (uncompressed, raw).
    pub(crate) fn agree(&self, point: &[u8]) -> Result<Vec<u8>, TokenError> {
        let coordinate = point.len().saturating_sub(1) / 2;
        let len = u64::try_from(coordinate).unwrap_or_default();
        let secret = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
            Attribute::Token(false),
            Attribute::ValueLen(len.into()),
        ];
        let params = Ecdh1DeriveParams::new(EcKdf::null(), point);
        let session = self.session();
        let act = failed("agree on a secret");
        let derived =
            session.derive_key(&Mechanism::Ecdh1Derive(params), self.key, &secret).map_err(&act)?;
        let values = session.get_attributes(derived, &[AttributeType::Value]).map_err(&act)?;
        session.destroy_object(derived).map_err(&act)?;
        match values.into_iter().next() {
            Some(Attribute::Value(secret)) => Ok(secret),
            _ => Err(act(ModuleError::InvalidValue)),
        }
    }
}

/// Whether a token would say that whatever the bytes were.
fn is_about_the_token(cause: &ModuleError) -> bool {
    matches!(
        cause,
        ModuleError::Pkcs11(
            RvError::DeviceRemoved
                | RvError::TokenNotPresent
                | RvError::SessionClosed
                | RvError::SessionHandleInvalid
                | RvError::UserNotLoggedIn
                | RvError::KeyHandleInvalid
                | RvError::KeyTypeInconsistent
                | RvError::KeyFunctionNotPermitted
                | RvError::MechanismInvalid
                | RvError::MechanismParamInvalid,
            _
        )
    )
}

fn mechanisms(hash: crate::rsa_scheme::Hash) -> (MechanismType, PkcsMgfType) {
    use crate::rsa_scheme::Hash;
    match hash {
        Hash::Sha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
        Hash::Sha224 => (MechanismType::SHA224, PkcsMgfType::MGF1_SHA224),
        Hash::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
        Hash::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
        Hash::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
    }
}
