// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whom do we believe? Trust anchors, revocation lists and the rules for a signer's chain.
//!
//! The verdict is OpenSSL's; this module only sets its rules and keeps its words. Never reads a
//! clock: the moment to judge by is an argument.

use crate::passing_file::PassingFile;
use crate::{CertificateInfo, ChainFault, LibraryFault, Notice, SignatureError, UnixTime};
use cms::cert::x509::Certificate;
use cms::cert::x509::ext::pkix::{ExtendedKeyUsage, KeyUsage};
use der::Decode;
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::ssl::SslFiletype;
use openssl::stack::{Stack, StackRef};
use openssl::x509::store::{X509Lookup, X509Store, X509StoreBuilder};
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use openssl::x509::{X509, X509Crl, X509PurposeId, X509Ref, X509StoreContext};
use std::path::PathBuf;

/// The PEM header of a revocation list.
const CRL_BEGIN: &str = "-----BEGIN X509 CRL-----";

/// What the signer's certificate must be meant for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// S/MIME signing, RAUC's default.
    #[default]
    SmimeSign,
    /// Code signing by RAUC's rule: the leaf and every CA that limits itself must allow it.
    CodeSign,
    /// Anything.
    Any,
    /// TLS client.
    SslClient,
    /// TLS server.
    SslServer,
    /// Netscape TLS server.
    NsSslServer,
    /// S/MIME encryption.
    SmimeEncrypt,
    /// CRL signing.
    CrlSign,
    /// OCSP helper.
    OcspHelper,
    /// Time stamp signing.
    TimestampSign,
}

impl Purpose {
    /// The purpose of RAUC's `check-purpose` value, or `None` for an unknown one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "smimesign" => Self::SmimeSign,
            "codesign" => Self::CodeSign,
            "any" => Self::Any,
            "sslclient" => Self::SslClient,
            "sslserver" => Self::SslServer,
            "nssslserver" => Self::NsSslServer,
            "smimeencrypt" => Self::SmimeEncrypt,
            "crlsign" => Self::CrlSign,
            "ocsphelper" => Self::OcspHelper,
            "timestampsign" => Self::TimestampSign,
            _ => return None,
        })
    }

    fn id(self) -> X509PurposeId {
        match self {
            Self::SmimeSign => X509PurposeId::SMIME_SIGN,
            // OpenSSL's own rule exists since 3.2 only and differs; ours is applied to the chain.
            Self::CodeSign | Self::Any => X509PurposeId::ANY,
            Self::SslClient => X509PurposeId::SSL_CLIENT,
            Self::SslServer => X509PurposeId::SSL_SERVER,
            Self::NsSslServer => X509PurposeId::NS_SSL_SERVER,
            Self::SmimeEncrypt => X509PurposeId::SMIME_ENCRYPT,
            Self::CrlSign => X509PurposeId::CRL_SIGN,
            Self::OcspHelper => X509PurposeId::OCSP_HELPER,
            Self::TimestampSign => X509PurposeId::TIMESTAMP_SIGN,
        }
    }
}

/// Whether revocation lists are consulted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CrlCheck {
    /// They are ignored.
    #[default]
    Ignore,
    /// Every certificate of the chain needs one, and must not be on it.
    WholeChain,
}

/// What may end a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrustAnchors {
    /// Self-signed certificates of the keyring only.
    #[default]
    RootsOnly,
    /// Any certificate of the keyring.
    AnyInKeyring,
}

/// Rules of a keyring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyringOptions {
    /// Whether revocation lists are consulted.
    pub crl_check: CrlCheck,
    /// What may end a chain.
    pub trust_anchors: TrustAnchors,
    /// What the signer must be meant for.
    pub purpose: Purpose,
    /// Where there is a list, the signer's first common name must be on it.
    pub allowed_signer_cns: Option<Vec<String>>,
    /// An OpenSSL hashed directory with further certificates and lists.
    pub directory: Option<PathBuf>,
}

/// The moment by which certificates are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckTime {
    /// This one.
    At(UnixTime),
    /// The signed signing time; a signature without one is refused.
    SigningTime,
    /// None: expiry is not looked at.
    Skip,
}

/// Why a keyring cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The PEM text holds a certificate that does not parse.
    #[error("keyring has a malformed certificate")]
    BadCertificate(#[source] LibraryFault),
    /// The PEM text holds a revocation list that does not parse.
    #[error("keyring has a malformed revocation list")]
    BadCrl(#[source] LibraryFault),
    /// No certificate at all: nothing could ever be verified.
    #[error("keyring has no certificate")]
    Empty,
}

/// Trust anchors with their rules.
pub struct Keyring {
    anchors: Vec<X509>,
    crls_pem: Vec<u8>,
    options: KeyringOptions,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring")
            .field("anchors", &self.anchors.len())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Keyring {
    /// Reads certificates and revocation lists from PEM text; text may be empty when
    /// [`KeyringOptions::directory`] is set.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn from_pem(pem: &[u8], options: KeyringOptions) -> Result<Self, KeyringError> {
        let anchors = X509::stack_from_pem(pem)
            .map_err(|cause| KeyringError::BadCertificate(cause.into()))?;
        if anchors.is_empty() && options.directory.is_none() {
            return Err(KeyringError::Empty);
        }
        let text = String::from_utf8_lossy(pem);
        let mut crls_pem = Vec::new();
        for (at, _) in text.match_indices(CRL_BEGIN) {
            let crl = text.get(at..).unwrap_or_default();
            let crl = X509Crl::from_pem(crl.as_bytes())
                .map_err(|cause| KeyringError::BadCrl(cause.into()))?;
            crls_pem.extend(crl.to_pem().map_err(|cause| KeyringError::BadCrl(cause.into()))?);
        }
        Ok(Self { anchors, crls_pem, options })
    }

    /// What the certificates of the PEM text say of themselves, for people.
    ///
    /// # Errors
    /// [`KeyringError::BadCertificate`].
    pub fn anchors(&self) -> Result<Vec<CertificateInfo>, KeyringError> {
        let described: Result<_, _> =
            self.anchors.iter().map(|anchor| CertificateInfo::of(anchor)).collect();
        described.map_err(|cause| KeyringError::BadCertificate(cause.into()))
    }

    /// Judges `signer` and returns its chain, leaf first. `untrusted` are certificates that came
    /// with the signature; they can link a chain, never end it.
    pub(crate) fn judge(
        &self,
        signer: &X509Ref,
        untrusted: &StackRef<X509>,
        time: Option<UnixTime>,
    ) -> Result<(Vec<CertificateInfo>, Vec<Notice>), SignatureError> {
        let store = self.store(time)?;
        let mut context =
            X509StoreContext::new().map_err(|cause| SignatureError::Library(cause.into()))?;
        let (fault, chain) = context
            .init(&store, signer, untrusted, |context| {
                let good = context.verify_cert()?;
                let fault = (!good).then(|| {
                    let certificate = context.current_cert().map(CertificateInfo::of);
                    ChainFault::new(
                        context.error(),
                        certificate.and_then(Result::ok).map(|info| info.subject),
                    )
                });
                let mut chain = Vec::new();
                for certificate in context.chain().into_iter().flatten() {
                    chain.push(certificate.to_owned());
                }
                Ok((fault, chain))
            })
            .map_err(|cause| SignatureError::Library(cause.into()))?;
        if let Some(fault) = fault {
            return Err(SignatureError::Chain(fault));
        }
        let mut notices = Vec::new();
        if self.options.purpose == Purpose::CodeSign {
            notices.extend(check_code_signing(&chain)?);
        }
        if self.options.crl_check == CrlCheck::Ignore && !self.crls_pem.is_empty() {
            notices.push(Notice::CrlIgnored);
        }
        self.check_common_name(signer)?;
        let chain: Result<_, _> = chain
            .iter()
            .map(|certificate| {
                CertificateInfo::of(certificate)
                    .map_err(|cause| SignatureError::Library(cause.into()))
            })
            .collect();
        Ok((chain?, notices))
    }

    fn store(&self, time: Option<UnixTime>) -> Result<X509Store, SignatureError> {
        let library = |cause: ErrorStack| SignatureError::Library(cause.into());
        let mut builder = X509StoreBuilder::new().map_err(library)?;
        for anchor in &self.anchors {
            builder.add_cert(anchor.clone()).map_err(library)?;
        }
        if let Some(directory) = &self.options.directory {
            let lookup = builder.add_lookup(X509Lookup::hash_dir()).map_err(library)?;
            lookup.add_dir(&directory.to_string_lossy(), SslFiletype::PEM).map_err(library)?;
        }
        let mut param = X509VerifyParam::new().map_err(library)?;
        let mut flags = X509VerifyFlags::empty();
        if self.options.trust_anchors == TrustAnchors::AnyInKeyring {
            flags |= X509VerifyFlags::PARTIAL_CHAIN;
        }
        if self.options.crl_check == CrlCheck::WholeChain {
            flags |= X509VerifyFlags::CRL_CHECK
                | X509VerifyFlags::CRL_CHECK_ALL
                | X509VerifyFlags::EXTENDED_CRL_SUPPORT;
            self.add_crls(&mut builder)?;
        }
        match time {
            Some(UnixTime(seconds)) => param.set_time(seconds),
            None => flags |= X509VerifyFlags::NO_CHECK_TIME,
        }
        param.set_flags(flags).map_err(library)?;
        param.set_purpose(self.options.purpose.id()).map_err(library)?;
        builder.set_param(&param).map_err(library)?;
        Ok(builder.build())
    }

    /// The safe bindings load revocation lists from a path only, so they pass through a file
    /// that is gone afterwards; the alternative was a call of our own into the C library.
    fn add_crls(&self, builder: &mut X509StoreBuilder) -> Result<(), SignatureError> {
        if self.crls_pem.is_empty() {
            return Ok(());
        }
        let file = PassingFile::holding(&self.crls_pem).map_err(SignatureError::CrlStore)?;
        let lookup = builder
            .add_lookup(X509Lookup::file())
            .map_err(|cause| SignatureError::Library(cause.into()))?;
        lookup
            .load_crl_file(file.path(), SslFiletype::PEM)
            .map_err(|cause| SignatureError::Library(cause.into()))?;
        Ok(())
    }

    fn check_common_name(&self, signer: &X509Ref) -> Result<(), SignatureError> {
        let Some(allowed) = &self.options.allowed_signer_cns else { return Ok(()) };
        let name = signer.subject_name();
        let first = name.entries_by_nid(Nid::COMMONNAME).next();
        // A NUL would let "good\0.evil" pass as "good" for readers that stop there.
        let found = first
            .and_then(|entry| entry.data().to_string().ok())
            .filter(|name| !name.contains('\0'))
            .unwrap_or_default();
        if allowed.contains(&found) {
            return Ok(());
        }
        Err(SignatureError::SignerNotAllowed { found })
    }
}

/// RAUC's own rule for `codesign`: the leaf must be for code signing (and, when it limits its
/// key, for digital signatures); a CA that limits itself must include code signing.
fn check_code_signing(chain: &[X509]) -> Result<Option<Notice>, SignatureError> {
    let mut notice = None;
    const CODE_SIGNING: der::asn1::ObjectIdentifier =
        der::asn1::ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
    for (depth, certificate) in chain.iter().enumerate() {
        let refused = |what| SignatureError::NotForCodeSigning { depth, what };
        let der = certificate.to_der().map_err(|cause| SignatureError::Library(cause.into()))?;
        let parsed =
            Certificate::from_der(&der).map_err(|_| refused("certificate does not parse"))?;
        let tbs = parsed.tbs_certificate;
        let usage: Option<(bool, ExtendedKeyUsage)> =
            tbs.get().map_err(|_| refused("extended key usage does not parse"))?;
        match usage {
            Some((_, usage)) if usage.0.contains(&CODE_SIGNING) => {}
            Some(_) => return Err(refused("extended key usage lacks codeSigning")),
            None if depth == 0 => return Err(refused("extended key usage is missing")),
            None => {}
        }
        let key: Option<(bool, KeyUsage)> =
            tbs.get().map_err(|_| refused("key usage does not parse"))?;
        match key {
            Some((_, key)) if depth == 0 && !key.digital_signature() => {
                return Err(refused("key usage lacks digitalSignature"));
            }
            None if depth == 0 => notice = Some(Notice::KeyUsageMissing),
            _ => {}
        }
    }
    Ok(notice)
}

/// A stack of certificates for the library.
pub(crate) fn stack_of(certificates: &[X509]) -> Result<Stack<X509>, ErrorStack> {
    let mut stack = Stack::new()?;
    for certificate in certificates {
        stack.push(certificate.clone())?;
    }
    Ok(stack)
}
