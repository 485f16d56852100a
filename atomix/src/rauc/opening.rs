// SPDX-License-Identifier: MIT OR Apache-2.0
//! Opens the bundle that a command names: a path, a `file://` URL or a web address; with its
//! signature verified, or shown to a person who asked for no verification.

use crate::rauc::conf::absolute;
use crate::rauc::error::RaucError;
use crate::rauc::info_view::KeySecrecy;
use crate::rauc::trust::{Expiry, check_time, keyring};
use bundle::http::{HttpOptions, HttpSource};
use bundle::{
    BundleFormat, CertificateInfo, Credential, CredentialAccess, DecryptionIdentity, FileSource,
    Limits, Manifest, Notice, PayloadAlignment, RecipientFacts, Source, UnixTime, UntrustedBundle,
    UnverifiedInfo, VerifiedBundle,
};
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::Digest;
use updater::SystemConfig;

/// Where a bundle is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this machine.
    Local(PathBuf),
    /// Behind a web address.
    Remote(String),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::Remote(url) => f.write_str(url),
        }
    }
}

/// Whether signatures are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// They are.
    Yes,
    /// `--no-verify`.
    No,
}

/// How a bundle is reached and judged.
pub struct Judging<'a> {
    /// The configuration.
    pub config: &'a SystemConfig,
    /// Takes the place of the configured keyring.
    pub keyring: Option<&'a Path>,
    /// Takes the place of the configured decryption key.
    pub key: Option<String>,
    /// Passphrase, module and PIN.
    pub access: CredentialAccess<'a>,
    /// How a server is spoken to.
    pub http: HttpOptions,
    /// Whether it is judged at all.
    pub verify: Verify,
    /// Whether expiry is.
    pub expiry: Expiry,
    /// The time.
    pub now: UnixTime,
}

impl Judging<'_> {
    /// The key that decrypts bundles, where one is named.
    fn identity(&self) -> Result<Option<DecryptionIdentity>, RaucError> {
        let configured = self.config.encryption.as_ref();
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        // The configured certificate belongs to the configured key.
        let (key, certificate) = match &self.key {
            Some(key) => (Some(key.clone()), None),
            None => (
                configured.and_then(|section| section.key.as_ref()).map(text),
                configured.and_then(|section| section.cert.as_ref()).map(text),
            ),
        };
        let Some(key) = key else { return Ok(None) };
        let parse = |text: &str| Credential::parse(text).map_err(RaucError::below);
        let certificate = certificate.as_deref().map(parse).transpose()?;
        let identity = DecryptionIdentity::load(&parse(&key)?, certificate.as_ref(), &self.access);
        identity.map(Some).map_err(RaucError::act("Failed to load decryption key"))
    }
}

/// Where the bundle is that a person names. Local ones must exist.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn resolve(name: &OsStr) -> Result<Place, RaucError> {
    let local = |path: PathBuf| {
        if path.exists() {
            return Ok(Place::Local(path));
        }
        Err(RaucError::refused(format!("No such file: {}", path.display())))
    };
    match scheme(name.as_bytes()) {
        Some("file") => local(path_of_file_url(name.as_bytes())?),
        Some(_) => Ok(Place::Remote(name.to_string_lossy().into_owned())),
        None => local(absolute(Path::new(name))?),
    }
}

/// The scheme of a URL, as RFC 3986 has it.
fn scheme(name: &[u8]) -> Option<&str> {
    let end = name.iter().position(|byte| *byte == b':')?;
    let scheme = std::str::from_utf8(name.get(..end)?).ok()?;
    let mut chars = scheme.chars();
    let is_one = chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_one.then_some(scheme)
}

/// The path of a `file:` URL, which may name no other host.
///
/// # Errors
/// `RaucError` in RAUC's words.
pub fn path_of_file_url(url: &[u8]) -> Result<PathBuf, RaucError> {
    let refused = |why: &str| {
        let url = String::from_utf8_lossy(url);
        RaucError::refused(format!("Conversion error: The URI “{url}” {why}"))
    };
    let rest = url.get(b"file:".len()..).unwrap_or_default();
    let path = match rest.strip_prefix(b"//") {
        Some(rest) => {
            let slash = rest.iter().position(|byte| *byte == b'/');
            let (host, path) = rest.split_at(slash.ok_or_else(|| refused("is invalid"))?);
            if !host.is_empty() {
                return Err(RaucError::refused(
                    "file URI with hostname detected. Did you forget to add a leading / ?",
                ));
            }
            path
        }
        None => rest,
    };
    if !path.starts_with(b"/") || path.contains(&b'#') {
        return Err(refused("is invalid"));
    }
    let mut bytes = Vec::new();
    let mut left = path;
    while let [first, rest @ ..] = left {
        left = rest;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let byte = byte.filter(|byte| ![0, b'/'].contains(byte));
        bytes.push(byte.ok_or_else(|| refused("contains invalidly escaped characters"))?);
        left = rest.get(2..).unwrap_or_default();
    }
    Ok(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

/// A bundle that was opened.
pub struct Opened {
    /// Its signature, decrypted where it came encrypted.
    pub cms: Vec<u8>,
    /// For whom the signature came encrypted.
    pub recipients: Vec<RecipientFacts>,
    /// What is known of it.
    pub content: Content,
}

/// What is known of a bundle.
pub enum Content {
    /// All of it, and it is true.
    Verified(Box<VerifiedBundle>),
    /// What it says of itself.
    Claimed(Box<UnverifiedInfo>),
}

impl Opened {
    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        match &self.content {
            Content::Verified(bundle) => bundle.manifest(),
            Content::Claimed(info) => &info.manifest,
        }
    }

    /// SHA-256 of its text.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match &self.content {
            Content::Verified(bundle) => bundle.manifest_digest(),
            Content::Claimed(info) => info.manifest_digest,
        }
    }

    /// Whether the key of a crypt bundle is hidden.
    #[must_use]
    pub fn secrecy(&self) -> KeySecrecy {
        if self.recipients.is_empty() { KeySecrecy::Open } else { KeySecrecy::Encrypted }
    }

    /// The signer's chain, where it was judged.
    #[must_use]
    pub fn chain(&self) -> Option<&[CertificateInfo]> {
        match &self.content {
            Content::Verified(bundle) => Some(&bundle.signer().chain),
            Content::Claimed(_) => None,
        }
    }
}

/// Finds the bundle's signature, and decrypts it where it is encrypted and a key is known.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn find(place: &Place, judging: &Judging<'_>) -> Result<UntrustedBundle, RaucError> {
    let max_signature = judging.config.system.max_bundle_signature_size;
    let mut limits = Limits { max_signature, ..Limits::default() };
    let source: Arc<dyn Source> = match place {
        Place::Local(path) => Arc::new(FileSource::open(path).map_err(RaucError::below)?),
        Place::Remote(url) => {
            limits.alignment = PayloadAlignment::Required;
            Arc::new(HttpSource::open(url, &judging.http).map_err(RaucError::below)?)
        }
    };
    find_in(source, &limits, judging)
}

/// As [`find`], in a source that is open.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn find_in(
    source: Arc<dyn Source>,
    limits: &Limits,
    judging: &Judging<'_>,
) -> Result<UntrustedBundle, RaucError> {
    let untrusted = UntrustedBundle::open(source, limits).map_err(RaucError::below)?;
    // To load a key from a token may spend one of the few tries of its PIN.
    if !untrusted.is_encrypted() {
        return Ok(untrusted);
    }
    match judging.identity()? {
        Some(identity) => untrusted.decrypt(&identity).map_err(RaucError::below),
        None => Ok(untrusted),
    }
}

/// Opens a bundle and judges it; `note` is told what people should hear.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn open(
    place: &Place,
    judging: &Judging<'_>,
    note: &mut dyn FnMut(&Notice),
) -> Result<Opened, RaucError> {
    judge(find(place, judging)?, judging, note)
}

/// As [`open`], for a bundle that was found.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn judge(
    untrusted: UntrustedBundle,
    judging: &Judging<'_>,
    note: &mut dyn FnMut(&Notice),
) -> Result<Opened, RaucError> {
    let cms = untrusted.signature().to_vec();
    let recipients = untrusted.recipients().map_err(RaucError::below)?;
    let content = match judging.verify {
        Verify::No => {
            let info = untrusted.inspect_unverified().map_err(RaucError::below)?;
            Content::Claimed(Box::new(info))
        }
        Verify::Yes => {
            let keyring = keyring(judging.config, judging.keyring)?;
            let time = check_time(judging.config, judging.expiry, judging.now);
            let bundle = untrusted.verify(&keyring, time).map_err(RaucError::below)?;
            bundle.notices().iter().for_each(note);
            Content::Verified(Box::new(bundle))
        }
    };
    let opened = Opened { cms, recipients, content };
    demand_allowed(opened.manifest().format, &judging.config.system.bundle_formats)?;
    Ok(opened)
}

/// Refuses a format that the configuration does not allow.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn demand_allowed(format: BundleFormat, allowed: &[BundleFormat]) -> Result<(), RaucError> {
    if allowed.contains(&format) {
        return Ok(());
    }
    Err(RaucError::refused(format!("Bundle format '{format}' not allowed")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_scheme_before_a_colon_makes_an_address() {
        assert_eq!(scheme(b"http://x"), Some("http"));
        assert_eq!(scheme(b"file:/x"), Some("file"));
        for path in [&b"/a:b"[..], b"a/b:c", b"1a:b", b":", b"a b:c", b"bundle.raucb"] {
            assert_eq!(scheme(path), None, "{}", String::from_utf8_lossy(path));
        }
        let place = resolve(OsStr::new("https://host/x.raucb")).unwrap();
        assert_eq!(place, Place::Remote("https://host/x.raucb".to_owned()));
    }

    #[test]
    fn file_urls_are_unwrapped_or_refused_in_raucs_words() {
        let path = |url: &str| path_of_file_url(url.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(path("file:///a/b%20c"), Ok(PathBuf::from("/a/b c")));
        assert_eq!(path("file:/a"), Ok(PathBuf::from("/a")));
        assert!(path("file://good-bundle.raucb").unwrap_err().starts_with("Conversion error:"));
        assert!(path("file://host/a").unwrap_err().contains("hostname detected"));
        for odd in ["file:///a%2fb", "file:///a%00", "file:///a%", "file:///a%zz", "file:a"] {
            assert!(path(odd).unwrap_err().starts_with("Conversion error:"), "{odd}");
        }
        assert!(
            resolve(OsStr::new("foo.raucb")).unwrap_err().to_string().contains("No such file:")
        );
    }
}
