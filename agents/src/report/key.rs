// SPDX-License-Identifier: MIT OR Apache-2.0
//! With which key does a device sign its reports, where it has no client certificate? One that it
//! makes itself, once: ECDSA over P-256, certified by itself, for no other use.
//!
//! Key and certificate are one file, so a power cut leaves both or neither, and the next start makes
//! what is missing. Nobody vouches for such a key: whoever keeps reports notes its fingerprint when
//! the device is enrolled (`atomix report key`), and a device that loses `/data` has another one.

use bundle::{LibraryFault, SignError, SigningIdentity};
use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectKeyIdentifier};
use openssl::x509::{X509, X509Name};
use std::path::Path;
use storage::{ByteLen, Digest, Files, FilesError, chain};

/// Where it is kept, closed to everybody but root.
pub const REPORT_KEY_PATH: &str = "/data/atomix/agent/report.key";

/// Longer than any file of ours; stops one that fills memory.
const FILE_MAX: ByteLen = ByteLen::kib(16);

/// In the certificate; the device's name is in the report, which only its receiver has to see.
const COMMON_NAME: &str = "atomix device report";

/// The end of validity for those that have none (RFC 5280, 4.1.2.5). A device that is made before
/// its clock was ever set could not choose a better one.
const NO_END: &str = "99991231235959Z";

/// Bits of a serial number; drawn, so that two keys of one device are told apart.
const SERIAL_BITS: i32 = 64;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// OpenSSL refused.
    #[error("cannot make a key")]
    Library(#[source] LibraryFault),
    /// What was made cannot sign.
    #[error("cannot use the key that was made")]
    Use(#[from] SignError),
    /// The file cannot be read or written.
    #[error("cannot keep the key of reports")]
    Files(#[from] FilesError),
    /// The medium gave back something else.
    #[error("{REPORT_KEY_PATH} does not hold what was written")]
    ReadBack,
}

/// Where the key came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOrigin {
    /// It was there.
    Kept,
    /// It was made now.
    Made,
    /// It was made now in the place of one that cannot be used: receivers know another one.
    MadeAnew {
        /// Why that cannot be used, in words.
        why: String,
    },
}

/// A key to sign reports with, and its certificate.
#[derive(Debug)]
pub struct DeviceKey {
    /// Signs.
    pub identity: SigningIdentity,
    /// What a receiver verifies by, PEM.
    pub certificate_pem: Vec<u8>,
    /// SHA-256 of the public key.
    pub fingerprint: Digest,
}

impl DeviceKey {
    /// The device's own key, made where there is none. Whoever calls this holds the lock of the
    /// key: of two that make one, one would sign with a key that is not kept.
    ///
    /// # Errors
    /// [`KeyError`]. A file that cannot be read is never written over: it may be read again later.
    pub fn load_or_make(files: &mut dyn Files) -> Result<(Self, KeyOrigin), KeyError> {
        let path = Path::new(REPORT_KEY_PATH);
        let origin = match files.read(path, FILE_MAX) {
            Ok(Some(bytes)) => match Self::open(&bytes) {
                Ok(key) => return Ok((key, KeyOrigin::Kept)),
                Err(cause) => KeyOrigin::MadeAnew { why: chain(&cause) },
            },
            Ok(None) => KeyOrigin::Made,
            Err(cause @ FilesError::TooLarge { .. }) => KeyOrigin::MadeAnew { why: chain(&cause) },
            Err(cause) => return Err(cause.into()),
        };
        let made = make().map_err(|cause| KeyError::Library(cause.into()))?;
        files.replace_secret(path, &made)?;
        if files.read(path, FILE_MAX)?.as_ref() != Some(&made) {
            return Err(KeyError::ReadBack);
        }
        Ok((Self::open(&made)?, origin))
    }

    /// The fingerprint of the key that is kept; makes none.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn kept(files: &dyn Files) -> Result<Option<Digest>, KeyError> {
        let bytes = files.read(Path::new(REPORT_KEY_PATH), FILE_MAX)?;
        bytes.map(|bytes| Ok(Self::open(&bytes)?.fingerprint)).transpose()
    }

    /// A key that is kept nowhere, for a device whose `/data` is lost: its truth is wanted most.
    ///
    /// # Errors
    /// [`KeyError::Library`] or [`KeyError::Use`].
    pub fn passing() -> Result<Self, KeyError> {
        Self::open(&make().map_err(|cause| KeyError::Library(cause.into()))?)
    }

    /// Reads certificate and key out of one text.
    fn open(pem: &[u8]) -> Result<Self, KeyError> {
        let identity = SigningIdentity::from_pem(pem, pem, &[])?;
        let fingerprint = identity.describe()?.spki_sha256;
        let library = |cause: ErrorStack| KeyError::Library(cause.into());
        let certificate_pem = X509::from_pem(pem).and_then(|one| one.to_pem()).map_err(library)?;
        Ok(Self { identity, certificate_pem, fingerprint })
    }
}

/// Certificate and key in one text.
fn make() -> Result<Vec<u8>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
    let mut name = X509Name::builder()?;
    name.append_entry_by_nid(Nid::COMMONNAME, COMMON_NAME)?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(SERIAL_BITS, MsbOption::MAYBE_ZERO, false)?;
    let mut certificate = X509::builder()?;
    certificate.set_version(2)?;
    certificate.set_serial_number(&*Asn1Integer::from_bn(&serial)?)?;
    certificate.set_subject_name(&name)?;
    certificate.set_issuer_name(&name)?;
    certificate.set_pubkey(&key)?;
    certificate.set_not_before(&*Asn1Time::from_unix(0)?)?;
    certificate.set_not_after(&*Asn1Time::from_str_x509(NO_END)?)?;
    certificate.append_extension(BasicConstraints::new().critical().build()?)?;
    certificate.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
    let id = SubjectKeyIdentifier::new().build(&certificate.x509v3_context(None, None))?;
    certificate.append_extension(id)?;
    certificate.sign(&key, MessageDigest::sha256())?;
    let mut pem = certificate.build().to_pem()?;
    pem.extend(key.private_key_to_pem_pkcs8()?);
    Ok(pem)
}
