// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands of `rauc` that make bundles, or files out of them: `bundle`, `resign`, `convert`,
//! `encrypt`, `replace-signature`, `extract-signature`, `extract`.

use crate::rauc::conf::absolute;
use crate::rauc::error::RaucError;
use crate::rauc::opening::{Content, Judging, Place, Verify, find, open};
use crate::rauc::output::Streams;
use crate::rauc::request::exactly;
use crate::rauc::run::RAUC_VERSION;
use crate::rauc::session::{Keys, Session};
use crate::rauc::trust::{Expiry, check_time, keyring, keyring_of_file, read};
use bundle::{
    Appending, BundleContent, CheckTime, CreateExtras, CreateRequest, Credential, CryptKey,
    Keyring, Notice, PostCheck, Recipients, ResignRequest, SigningIdentity, SquashfsCompression,
    UntrustedBundle, Verification,
};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const CERT_AND_KEY: &str = "Cert and key files must be provided";
const INPUT: &str = "An input bundle must be provided";

fn words<const N: usize>(
    session: &Session,
    missing: [&str; N],
) -> Result<[OsString; N], RaucError> {
    exactly(&session.request.words, missing).map_err(RaucError::Refused)
}

/// Random bytes for salts and keys.
pub(super) fn random() -> Result<[u8; 32], RaucError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|_| RaucError::refused("the system gives no random bytes"))?;
    Ok(bytes)
}

/// Who signs.
pub(super) fn identity(session: &Session, keys: &Keys) -> Result<SigningIdentity, RaucError> {
    let request = &session.request;
    let (Some(cert), Some(key)) = (request.given.text("cert"), request.given.text("key")) else {
        return Err(RaucError::refused(CERT_AND_KEY));
    };
    let parse = |text: &str| Credential::parse(text).map_err(RaucError::below);
    let intermediates = request.paths("intermediate");
    SigningIdentity::load(&parse(&cert)?, &parse(&key)?, &intermediates, &keys.access())
        .map_err(RaucError::below)
}

/// The keyring that judges a fresh signature: its own, else that of the command.
pub(super) fn signing_keyring(session: &Session) -> Result<Option<Keyring>, RaucError> {
    let request = &session.request;
    let path = request.path("signing-keyring").or_else(|| request.path("keyring"));
    path.map(|path| keyring_of_file(&path)).transpose()
}

/// The keyring that judges the bundle that comes in, where one shall.
pub(super) fn incoming_keyring(judging: &Judging<'_>) -> Result<Option<Keyring>, RaucError> {
    match judging.verify {
        Verify::Yes => keyring(judging.config, judging.keyring).map(Some),
        Verify::No => Ok(None),
    }
}

pub(super) fn verification<'a>(keyring: Option<&'a Keyring>, time: CheckTime) -> Verification<'a> {
    keyring.map_or(Verification::Skipped, |keyring| Verification::By { keyring, time })
}

pub(super) fn warn(notices: &[Notice], out: &mut Streams<'_>) {
    for notice in notices {
        out.warn(&notice.to_string());
    }
}

fn local(path: &OsString) -> Result<Place, RaucError> {
    absolute(Path::new(path)).map(Place::Local)
}

/// The bundle that comes in, of a format that the configuration allows.
fn incoming(path: &OsString, judging: &Judging<'_>) -> Result<UntrustedBundle, RaucError> {
    find(&local(path)?, judging)
}

/// `rauc bundle`.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn bundle(session: &Session, out: &mut Streams<'_>) -> Result<(), RaucError> {
    let missing =
        ["An input directory name must be provided", "An output bundle name must be provided"];
    let [input, output] = words(session, missing)?;
    let (input, output) = (PathBuf::from(input), PathBuf::from(output));
    if session.request.path("cert").is_none() || session.request.path("key").is_none() {
        return Err(RaucError::refused(CERT_AND_KEY));
    }
    if !input.is_dir() {
        return Err(RaucError::refused("Input path must point to a directory!"));
    }
    let failed = || "Failed to create bundle";
    if output.symlink_metadata().is_ok() {
        let output = output.display();
        return Err(RaucError::refused(format!("{}: bundle {output} already exists", failed())));
    }
    let keys = session.keys();
    let post_keyring = signing_keyring(session)?;
    let crypt_key = CryptKey(random()?);
    let arguments = mksquashfs_arguments(session)?;
    // The format is told before the identity is loaded, as by RAUC, which loads that at the end.
    let told = std::cell::Cell::new(None);
    let extras = CreateExtras {
        crypt_key: Some(&crypt_key),
        mksquashfs_args: &arguments,
        post_check: post_check(post_keyring.as_ref(), session),
        rauc_version: RAUC_VERSION.parse().ok(),
        on_format: Some(&|format| told.set(Some(format))),
        block_hash_index: Some(&bundle::adaptive::index_of_stream),
    };
    let identity = identity(session, &keys);
    let identity = match identity {
        Ok(identity) => identity,
        Err(error) => {
            if let Some(format) = format_of(&input) {
                out.print(&format!("Creating '{format}' format bundle"));
            }
            return Err(RaucError::act(failed())(error));
        }
    };
    let request = CreateRequest {
        content: BundleContent::Directory(&input),
        format: None,
        compression: SquashfsCompression::default(),
        identity: &identity,
        salt: random()?,
        timestamp: session.now,
    };
    let created = bundle::create_bundle_with(&request, &extras, &output, &mut |_| {});
    if let Some(format) = told.get() {
        out.print(&format!("Creating '{format}' format bundle"));
    }
    let created = created.map_err(RaucError::act(failed()))?;
    warn(&created.notices, out);
    Ok(())
}

/// The format that a content directory asks for.
fn format_of(input: &Path) -> Option<bundle::BundleFormat> {
    let text = read(&input.join("manifest.raucm")).ok()?;
    let manifest = bundle::Manifest::parse(&text, bundle::ManifestUse::Input).ok()?;
    Some(manifest.format)
}

pub(super) fn mksquashfs_arguments(session: &Session) -> Result<Vec<String>, RaucError> {
    let line = session.request.given.text("mksquashfs-args").unwrap_or_default();
    updater::split_shell_words(&line)
        .map_err(RaucError::act("Failed to parse mksquashfs extra args"))
}

pub(super) fn post_check<'a>(
    keyring: Option<&'a Keyring>,
    session: &Session,
) -> Option<PostCheck<'a>> {
    keyring.map(|keyring| PostCheck { keyring, time: CheckTime::At(session.now) })
}

/// `rauc resign`.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn resign(session: &Session, out: &mut Streams<'_>) -> Result<(), RaucError> {
    let [input, output] = words(session, [INPUT, "An output bundle must be provided"])?;
    let keys = session.keys();
    let given = &session.request.given;
    let expiry = if given.has("no-check-time") { Expiry::Ignored } else { Expiry::Judged };
    let judging = Judging { expiry, ..session.judging(&keys) };
    let identity = identity(session, &keys)?;
    let untrusted = incoming(&input, &judging)?;
    let incoming_keyring = incoming_keyring(&judging)?;
    let signing_keyring = signing_keyring(session)?;
    let request = ResignRequest {
        identity: &identity,
        timestamp: session.now,
        appending: if given.has("append") { Appending::Append } else { Appending::Replace },
        verification: verification(
            incoming_keyring.as_ref(),
            check_time(judging.config, expiry, session.now),
        ),
        post_check: post_check(signing_keyring.as_ref(), session),
    };
    let rewritten = bundle::resign_bundle(&untrusted, &request, Path::new(&output))
        .map_err(RaucError::act("Failed to resign bundle"))?;
    out.print(&format!("Resigning '{}' format bundle", rewritten.format));
    warn(&rewritten.notices, out);
    Ok(())
}

/// `rauc replace-signature`.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn replace_signature(session: &Session, out: &mut Streams<'_>) -> Result<(), RaucError> {
    let missing =
        [INPUT, "An input signature file must be provided", "An output bundle must be provided"];
    let [input, signature, output] = words(session, missing)?;
    let keys = session.keys();
    let judging = session.judging(&keys);
    let untrusted = incoming(&input, &judging)?;
    let incoming_keyring = incoming_keyring(&judging)?;
    let signature = read(Path::new(&signature))?;
    // As RAUC: without verification the new signature is not judged either.
    let signing_keyring = match judging.verify {
        Verify::Yes => signing_keyring(session)?,
        Verify::No => None,
    };
    let time = check_time(judging.config, Expiry::Judged, session.now);
    let rewritten = bundle::replace_signature(
        &untrusted,
        &signature,
        verification(incoming_keyring.as_ref(), time),
        post_check(signing_keyring.as_ref(), session),
        Path::new(&output),
    )
    .map_err(RaucError::act("Failed to replace signature"))?;
    warn(&rewritten.notices, out);
    Ok(())
}

/// `rauc encrypt`.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn encrypt(session: &Session, out: &mut Streams<'_>) -> Result<(), RaucError> {
    let recipients = session.request.paths("to");
    if recipients.is_empty() {
        return Err(RaucError::refused(
            "One or multiple recipient certificates must be provided (via --to)",
        ));
    }
    let [input, output] = words(session, [INPUT, "An output bundle name must be provided"])?;
    let keys = session.keys();
    let judging = session.judging(&keys);
    let untrusted = incoming(&input, &judging)?;
    let keyring = incoming_keyring(&judging)?;
    let time = check_time(judging.config, Expiry::Judged, session.now);
    let failed = || "Failed to create bundle";
    let recipients = Recipients::load(recipients.iter().map(PathBuf::as_path))
        .map_err(RaucError::act(failed()))?;
    let verification = verification(keyring.as_ref(), time);
    let rewritten =
        bundle::encrypt_bundle(&untrusted, &recipients, verification, Path::new(&output))
            .map_err(RaucError::act(failed()))?;
    let count = recipients.count();
    let plural = if count == 1 { "" } else { "s" };
    out.note(&format!("Encrypted for {count} recipient{plural}"));
    warn(&rewritten.notices, out);
    out.print(&format!("Encrypted bundle written to {}", Path::new(&output).display()));
    Ok(())
}

/// `rauc extract-signature`.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn extract_signature(session: &Session, out: &mut Streams<'_>) -> Result<(), RaucError> {
    let [input, output] = words(session, [INPUT, "An output signature file must be provided"])?;
    let keys = session.keys();
    let key = session.request.given.text("key");
    let judging = Judging { key, ..session.judging(&keys) };
    let place = local(&input)?;
    let untrusted = find(&place, &judging)?;
    // Judged on a handle of its own, which verifying uses up.
    open(&place, &judging, &mut |notice| out.warn(&notice.to_string()))?;
    bundle::extract_signature(&untrusted, Path::new(&output))
        .map_err(RaucError::act("Failed to extract signature"))
}

/// `rauc extract`.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn extract(session: &Session, out: &mut Streams<'_>) -> Result<(), RaucError> {
    let [input, output] = words(session, [INPUT, "An output directory must be provided"])?;
    let keys = session.keys();
    let key = session.request.given.text("key");
    let judging = Judging { key, ..session.judging(&keys) };
    let opened = open(&local(&input)?, &judging, &mut |notice| out.warn(&notice.to_string()))?;
    let Content::Verified(verified) = &opened.content else {
        return Err(RaucError::refused("the bundle was not verified"));
    };
    // Without the slash at its end, which would ask for a directory that is there.
    let output: PathBuf = Path::new(&output).components().collect();
    bundle::extract_bundle(verified, &output).map_err(RaucError::act("Failed to extract bundle"))
}

/// `rauc convert`.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn convert(session: &Session, out: &mut Streams<'_>) -> Result<(), RaucError> {
    let request = &session.request;
    if request.path("cert").is_none() || request.path("key").is_none() {
        return Err(RaucError::refused(CERT_AND_KEY));
    }
    let [input, output] = words(session, [INPUT, "An output bundle name must be provided"])?;
    let keys = session.keys();
    let judging = session.judging(&keys);
    let untrusted = incoming(&input, &judging)?;
    crate::rauc::convert::run(session, &keys, &judging, untrusted, Path::new(&output), out)?;
    out.print(&format!("Bundle written to {}", Path::new(&output).display()));
    Ok(())
}
