// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix bundle`: is it true, what is in it, make one, take it apart.

use crate::cli::{BundleCommand, FormatName};
use crate::context::{Context, Now};
use crate::failure::Failure;
use crate::output::Output;
use crate::terminal::one_line;
use bundle::{
    BundleContent, BundleFormat, CheckTime, CreateRequest, Credential, CredentialAccess,
    DecryptionIdentity, FileSource, ImageStream, Keyring, KeyringOptions, Limits, Manifest,
    Purpose, Signer, SigningIdentity, SquashfsCompression, UntrustedBundle, VerifiedBundle,
};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::{ByteLen, Files, HostFiles};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use updater::{KeyringSection, SystemConfig};

/// Longest PEM file of a signer.
const MAX_PEM: ByteLen = ByteLen::mib(1);

/// Runs a verb of `atomix bundle`.
///
/// # Errors
/// [`Failure`]; a bundle that is not verified is neither shown as true nor taken apart.
pub fn run(context: &Context, command: &BundleCommand, out: &mut Output) -> Result<(), Failure> {
    match command {
        BundleCommand::Info { bundle, keyring, no_verify: false } => {
            let verified = open_verified(context, bundle, keyring.as_deref())?;
            show(&verified, out)
        }
        BundleCommand::Info { bundle, no_verify: true, .. } => {
            let info = open(bundle, &Limits::default())?
                .inspect_unverified()
                .map_err(|source| failed(bundle, source))?;
            out.warn(&["the signature was not verified".to_owned()])?;
            let view = InfoView::new(info.format, &info.manifest, None);
            out.answer(&view, render)
        }
        BundleCommand::Create { dir, out: output, cert, key, intermediate, format } => {
            let identity = identity(cert, key, intermediate)?;
            create(dir, output, &identity, *format, context.now, out)
        }
        BundleCommand::Extract { bundle, dir, keyring } => {
            let verified = open_verified(context, bundle, keyring.as_deref())?;
            extract(&verified, bundle, dir, out)
        }
    }
}

/// Opens and verifies a bundle against `keyring`, or against the keyring of `system.conf`.
///
/// # Errors
/// [`Failure::Bundle`]; [`Failure::Keyring`] and others of the configuration.
pub fn open_verified(
    context: &Context,
    path: &Path,
    keyring: Option<&Path>,
) -> Result<VerifiedBundle, Failure> {
    let (keyring, limits, time) = trust(context, keyring)?;
    let mut bundle = open(path, &limits)?;
    if bundle.is_encrypted()
        && let Some(identity) = decryption(context)?
    {
        bundle = bundle.decrypt(&identity).map_err(|source| failed(path, source))?;
    }
    bundle.verify(&keyring, time).map_err(|source| failed(path, source))
}

/// The CA certificates of a file with RAUC's defaults, or the keyring of `system.conf` with its rules.
///
/// # Errors
/// [`Failure::Keyring`] and others of the configuration.
pub(super) fn trust(
    context: &Context,
    keyring: Option<&Path>,
) -> Result<(Keyring, Limits, CheckTime), Failure> {
    let Some(file) = keyring else { return configured(context) };
    let pem = read_host(file)?;
    let keyring = Keyring::from_pem(&pem, KeyringOptions::default())
        .map_err(|source| Failure::Keyring { path: file.to_owned(), source })?;
    Ok((keyring, Limits::default(), check_time(context.now, None)))
}

/// The key of `system.conf` that opens encrypted bundles, where there is one.
///
/// # Errors
/// [`Failure`] of the configuration, or where the key cannot be used.
pub fn decryption(context: &Context) -> Result<Option<DecryptionIdentity>, Failure> {
    // Where there is no configuration a keyring was named; the bundle then stays closed, and says so.
    let Ok(config) = context.system_conf() else { return Ok(None) };
    let Some(section) = config.encryption else { return Ok(None) };
    let place = |path: &Path| -> Result<Credential, Failure> {
        let text = path.to_string_lossy();
        match Credential::parse(&text) {
            Ok(Credential::File(_)) => Ok(Credential::File(context.files.resolve(path)?)),
            Ok(token) => Ok(token),
            Err(refused) => Err(unusable(&refused)),
        }
    };
    let Some(key) = section.key.as_deref().map(place).transpose()? else { return Ok(None) };
    let certificate = section.cert.as_deref().map(place).transpose()?;
    let access = CredentialAccess::default();
    DecryptionIdentity::load(&key, certificate.as_ref(), &access)
        .map(Some)
        .map_err(|refused| unusable(&refused))
}

fn unusable(refused: &dyn std::error::Error) -> Failure {
    Failure::Usage {
        what: format!("system.conf: the key of [encryption] cannot be used: {refused}"),
        hint: "check [encryption] key and cert",
    }
}

/// The keyring, limits and time rule of `system.conf`.
///
/// # Errors
/// [`Failure`] of the configuration.
pub fn configured(context: &Context) -> Result<(Keyring, Limits, CheckTime), Failure> {
    let config: SystemConfig = context.system_conf()?;
    let section = config.keyring.as_ref().ok_or(Failure::Usage {
        what: "system.conf has no [keyring], so no bundle can be trusted".to_owned(),
        hint: "add [keyring] path=… with the vendor's CA certificate",
    })?;
    let options = keyring_options(context, section)?;
    let keyring = match &section.path {
        Some(path) => context.keyring(path, options)?,
        None => Keyring::from_pem(&[], options).map_err(|source| Failure::Keyring {
            path: section.directory.clone().unwrap_or_default(),
            source,
        })?,
    };
    let limits =
        Limits { max_signature: config.system.max_bundle_signature_size, ..Limits::default() };
    Ok((keyring, limits, check_time(context.now, Some(section))))
}

/// A device whose clock was never set judges certificates by the signed signing time: expiry
/// cannot be proven, and must not keep it from its updates.
fn check_time(now: Now, section: Option<&KeyringSection>) -> CheckTime {
    let by_signature = section.is_some_and(|section| section.use_bundle_signing_time);
    if by_signature || now.timestamp().unix_secs.is_none() {
        CheckTime::SigningTime
    } else {
        CheckTime::At(now.0)
    }
}

fn keyring_options(context: &Context, section: &KeyringSection) -> Result<KeyringOptions, Failure> {
    let purpose = match &section.check_purpose {
        None => Purpose::default(),
        Some(name) => Purpose::from_name(name).ok_or_else(|| Failure::Usage {
            what: format!("system.conf: check-purpose={name} is not known"),
            hint: "use codesign, smimesign or any",
        })?,
    };
    // Below `--root` it is the board's directory, never that of the machine it is looked at on.
    let directory = section.directory.as_deref();
    let directory = directory.map(|dir| context.files.resolve(dir)).transpose()?;
    Ok(section.options(purpose, directory))
}

fn open(path: &Path, limits: &Limits) -> Result<UntrustedBundle, Failure> {
    let source = FileSource::open(path).map_err(|source| failed(path, source.into()))?;
    UntrustedBundle::open(Arc::new(source), limits).map_err(|source| failed(path, source))
}

fn failed(path: &Path, source: bundle::BundleError) -> Failure {
    Failure::Bundle { bundle: path.to_owned(), source }
}

fn read_host(path: &Path) -> Result<Vec<u8>, Failure> {
    let absent =
        || Failure::FileAbsent { path: path.to_owned(), hint: "give the path of a PEM file" };
    // Resolved here, since `HostFiles` refuses the `..` that a person may well type.
    let resolved = path.canonicalize().map_err(|source| {
        if source.kind() == io::ErrorKind::NotFound {
            absent()
        } else {
            Failure::Io { act: "find", path: path.to_owned(), source }
        }
    })?;
    HostFiles::new("/").read(&resolved, MAX_PEM)?.ok_or_else(absent)
}

pub(super) fn identity(
    cert: &Path,
    key: &Path,
    more: &[PathBuf],
) -> Result<SigningIdentity, Failure> {
    let mut intermediates = Vec::new();
    for path in more {
        intermediates.extend(read_host(path)?);
    }
    SigningIdentity::from_pem(&read_host(cert)?, &read_host(key)?, &intermediates)
        .map_err(|source| Failure::Signer { cert: cert.to_owned(), source })
}

fn create(
    dir: &Path,
    output: &Path,
    identity: &SigningIdentity,
    format: FormatName,
    now: Now,
    out: &mut Output,
) -> Result<(), Failure> {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).map_err(|source| Failure::Io {
        act: "draw a random salt for",
        path: output.to_owned(),
        source: io::Error::other(source.to_string()),
    })?;
    let request = CreateRequest {
        content: BundleContent::Directory(dir),
        format: Some(match format {
            FormatName::Verity => BundleFormat::Verity,
            FormatName::Plain => BundleFormat::Plain,
        }),
        compression: SquashfsCompression::default(),
        identity,
        salt,
        timestamp: now.0,
    };
    let made = bundle::create_bundle(&request, output, &mut |_| {})
        .map_err(|source| Failure::Create { bundle: output.to_owned(), source })?;
    out.done(&format!("created {} of {}", output.display(), made.file_len))
}

/// Every image of the manifest as a file. A block that was tampered with ends it: what is left
/// then are whole images, all of them verified.
fn extract(
    verified: &VerifiedBundle,
    path: &Path,
    dir: &Path,
    out: &mut Output,
) -> Result<(), Failure> {
    let io = |act, at: &Path| {
        let path = at.to_owned();
        move |source| Failure::Io { act, path, source }
    };
    std::fs::create_dir(dir).map_err(io("make", dir))?;
    let mut done = BTreeSet::new();
    for image in &verified.manifest().images {
        // Two slots may be written from one file.
        let Some(name) = image.filename.as_ref().filter(|name| done.insert(*name)) else {
            continue;
        };
        let target = dir.join(name);
        let mut stream = verified.open_image(image).map_err(|source| failed(path, source))?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&target)
            .map_err(io("make", &target))?;
        let copied = io::copy(&mut stream, &mut file).map_err(|source| {
            if source.get_ref().is_some_and(|inner| inner.is::<bundle::BundleError>()) {
                failed(path, ImageStream::cause(source))
            } else {
                io("extract", &target)(source)
            }
        });
        copied.inspect_err(|_| forget(&target))?;
        file.sync_all().map_err(io("flush", &target))?;
    }
    out.done(&format!("extracted {} into {}", path.display(), dir.display()))
}

/// Half an image under the name of a whole one could be flashed. When it cannot be removed, the
/// failure that is told anyway names it.
#[expect(clippy::disallowed_methods, reason = "an output of this command, not a file of a board")]
fn forget(target: &Path) {
    let _ = std::fs::remove_file(target);
}

/// Shows a verified bundle.
///
/// # Errors
/// [`Failure::Print`] or [`Failure::Json`].
pub fn show(verified: &VerifiedBundle, out: &mut Output) -> Result<(), Failure> {
    let signed = Signed {
        manifest_digest: verified.manifest_digest().to_string(),
        payload_bytes: verified.payload_len().get(),
        signer: SignerView::new(verified.signer()),
    };
    let view = InfoView::new(verified.format(), verified.manifest(), Some(signed));
    out.answer(&view, render)
}

/// A bundle as JSON, version 1.
#[derive(Serialize)]
struct InfoView {
    version: u32,
    compatible: String,
    bundle_version: Option<String>,
    description: Option<String>,
    build: Option<String>,
    format: String,
    images: Vec<ImageView>,
    signed: Option<Signed>,
}

#[derive(Serialize)]
struct ImageView {
    class: String,
    filename: Option<String>,
    image_type: String,
    bytes: Option<u64>,
    sha256: Option<String>,
}

#[derive(Serialize)]
struct Signed {
    manifest_digest: String,
    payload_bytes: u64,
    signer: SignerView,
}

/// Who signed something.
#[derive(Serialize)]
pub(super) struct SignerView {
    signing_time: Option<String>,
    chain: Vec<CertificateView>,
}

#[derive(Serialize)]
struct CertificateView {
    subject: String,
    issuer: String,
    spki_sha256: String,
    not_before: String,
    not_after: String,
}

impl SignerView {
    pub(super) fn new(signer: &Signer) -> Self {
        Self {
            signing_time: signer.signing_time.map(|time| date(time.0)),
            chain: signer
                .chain
                .iter()
                .map(|certificate| CertificateView {
                    subject: certificate.subject.clone(),
                    issuer: certificate.issuer.clone(),
                    spki_sha256: certificate.spki_with_colons(),
                    not_before: date(certificate.not_before.0),
                    not_after: date(certificate.not_after.0),
                })
                .collect(),
        }
    }
}

impl InfoView {
    fn new(format: BundleFormat, manifest: &Manifest, signed: Option<Signed>) -> Self {
        Self {
            version: 1,
            compatible: manifest.update.compatible.clone(),
            bundle_version: manifest.update.version.clone(),
            description: manifest.update.description.clone(),
            build: manifest.update.build.clone(),
            format: format.to_string(),
            images: manifest
                .images
                .iter()
                .map(|image| ImageView {
                    class: image.class.clone(),
                    filename: image.filename.clone(),
                    image_type: image
                        .image_type
                        .map_or_else(|| "no type".to_owned(), |kind| kind.to_string()),
                    bytes: image.size.map(ByteLen::get),
                    sha256: image.sha256.map(|digest| digest.to_string()),
                })
                .collect(),
            signed,
        }
    }
}

/// Seconds since 1970 as RFC 3339, or the bare number where no calendar holds it.
#[must_use]
pub fn date(secs: i64) -> String {
    OffsetDateTime::from_unix_timestamp(secs)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| secs.to_string())
}

fn render(to: &mut dyn Write, view: &InfoView) -> io::Result<()> {
    let or_none = |text: &Option<String>| text.as_deref().map_or("-".to_owned(), one_line);
    writeln!(to, "compatible   {}", one_line(&view.compatible))?;
    writeln!(to, "version      {}", or_none(&view.bundle_version))?;
    writeln!(to, "description  {}", or_none(&view.description))?;
    writeln!(to, "format       {}", view.format)?;
    for image in &view.images {
        let size = image.bytes.map_or_else(|| "-".to_owned(), |b| ByteLen::new(b).to_string());
        let name = or_none(&image.filename);
        writeln!(to, "image        {:8} {name} ({}), {size}", image.class, image.image_type)?;
        if let Some(digest) = &image.sha256 {
            writeln!(to, "             {digest}")?;
        }
    }
    let Some(signed) = &view.signed else {
        return writeln!(to, "signature    NOT VERIFIED");
    };
    writeln!(to, "manifest     {}", signed.manifest_digest)?;
    writeln!(to, "payload      {}", ByteLen::new(signed.payload_bytes))?;
    render_signer(to, &signed.signer)
}

/// The lines about a signature that holds.
pub(super) fn render_signer(to: &mut dyn Write, signer: &SignerView) -> io::Result<()> {
    let time = signer.signing_time.as_deref().unwrap_or("-");
    writeln!(to, "signature    verified, signed {time}")?;
    for (depth, certificate) in signer.chain.iter().enumerate() {
        writeln!(to, "  {depth} {}", certificate.subject)?;
        writeln!(to, "    valid {} to {}", certificate.not_before, certificate.not_after)?;
    }
    Ok(())
}
