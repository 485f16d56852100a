// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix release`: tell a fleet of a bundle by a signed document on any web server.
//!
//! The bundle is in its place before the document names it, and the document is judged as a device
//! would judge it before it takes the place of the one before: whatever fails, the one that is there
//! stays. One publisher at a time: two would give one number to two documents.

use super::bundle::{identity, open_verified, trust};
use super::release_view::{PublishedView, ReleaseView, render, render_published};
use crate::cli::{PublishArgs, ReleaseCommand};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Output;
use agents::{
    Clock, Expected, MAX_RELEASE, Origin, Release, ReleaseError, Rollout, Sequence, Transport,
    Urgency, VerifiedRelease, measure, parse_release_time,
};
use bundle::{Keyring, UnixTime, VerifiedBundle, sign_attached};
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use storage::{ByteLen, Digest, Files, HostFiles};

const DAY_SECS: i64 = 24 * 60 * 60;
/// Where a document is judged to be: relative places are as good as a server with TLS.
const SOMEWHERE: &str = "https://server.invalid/";

/// Runs a verb of `atomix release`.
///
/// # Errors
/// [`Failure`]; what is there stays as it is then.
pub fn run(context: &Context, command: &ReleaseCommand, out: &mut Output) -> Result<(), Failure> {
    match command {
        ReleaseCommand::Publish(args) => publish(context, args, out),
        ReleaseCommand::Show { release, keyring } => {
            let (keyring, ..) = trust(context, keyring.as_deref())?;
            let bytes = read_document(release)?.ok_or_else(|| Failure::FileAbsent {
                path: release.clone(),
                hint: "give the path of a .release file",
            })?;
            show(release, &bytes, &keyring, &clock(context), out)
        }
    }
}

/// The clock of the machine that the command runs on; of a floor nothing is known there.
fn clock(context: &Context) -> Clock {
    let is_set = context.now.timestamp().unix_secs.is_some();
    Clock { now: context.now.0, floor: None, is_set }
}

fn show(
    path: &Path,
    bytes: &[u8],
    keyring: &Keyring,
    clock: &Clock,
    out: &mut Output,
) -> Result<(), Failure> {
    let failed = |source| Failure::Release { file: path.to_owned(), source };
    let verified = VerifiedRelease::open(bytes, keyring, clock).map_err(failed)?;
    let expired = verified.refuse_expired(clock);
    out.answer(&ReleaseView::new(&verified, expired.is_err()), render)?;
    expired.map_err(|source| Failure::No {
        what: storage::chain(&Failure::Release { file: path.to_owned(), source }),
    })
}

fn read_document(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match path.canonicalize() {
        Ok(path) => Ok(HostFiles::new("/").read(&path, MAX_RELEASE)?),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Failure::Io { act: "find", path: path.to_owned(), source }),
    }
}

fn publish(context: &Context, args: &PublishArgs, out: &mut Output) -> Result<(), Failure> {
    let identity = identity(&args.cert, &args.key, &args.intermediate)?;
    let (keyring, ..) = trust(context, args.keyring.as_deref())?;
    let bundle = open_verified(context, &args.bundle, args.keyring.as_deref())?;
    let dir = args.dir.canonicalize().map_err(|source| Failure::Io {
        act: "find",
        path: args.dir.clone(),
        source,
    })?;
    let product = &bundle.manifest().update.compatible;
    let document = dir.join(document_name(args, product)?);
    let sequence = next_sequence(args, product, &document, &keyring)?;
    let file = Placing::new(context, args, &dir, &bundle)?;
    // What is wrong with the release is found before anything is copied.
    let unmeasured = (Digest::from_bytes([0; 32]), ByteLen::new(1));
    checked(&release(context, args, &bundle, sequence, &file, unmeasured)?)?;
    let measured = file.put()?;
    let release = release(context, args, &bundle, sequence, &file, measured)?;
    let cms = sign_attached(checked(&release)?.as_bytes(), &identity, context.now.0)
        .map_err(|source| Failure::Signer { cert: args.cert.clone(), source })?;
    let verified = as_a_device(context, &document, &cms, &keyring)?;
    warn_of_early_end(&verified, out)?;
    HostFiles::new("/").replace(&document, &cms)?;
    let view = PublishedView {
        version: 1,
        document: document.display().to_string(),
        bundle: file.target.as_ref().map(|path| path.display().to_string()),
        release: ReleaseView::new(&verified, false),
    };
    out.answer(&view, render_published)
}

/// The document's name, which is no path and is not taken for a hidden file.
fn document_name(args: &PublishArgs, product: &str) -> Result<String, Failure> {
    let name = args.name.clone().unwrap_or_else(|| format!("{product}.release"));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte);
    if name.bytes().all(plain) && !name.is_empty() && !name.starts_with('.') {
        return Ok(name);
    }
    Err(Failure::Usage {
        what: format!("{name:?} cannot be the name of the document"),
        hint: "give --name with letters, digits, '.', '_', '+' and '-'",
    })
}

/// The number of the release: greater than that of the document which it replaces.
fn next_sequence(
    args: &PublishArgs,
    product: &str,
    document: &Path,
    keyring: &Keyring,
) -> Result<Sequence, Failure> {
    let wanted = args.sequence.map(|number| {
        Sequence::new(number).ok_or_else(|| Failure::Usage {
            what: format!("{number} is no number of a release"),
            hint: "give --sequence a number from 1 to 9007199254740991",
        })
    });
    let wanted = wanted.transpose()?;
    let Some(before) = read_document(document)? else {
        return Ok(wanted.unwrap_or(Sequence::FIRST));
    };
    let failed = |source| Failure::Release { file: document.to_owned(), source };
    // However long ago it was signed.
    let any_time = Clock { now: UnixTime(0), floor: None, is_set: false };
    let before = VerifiedRelease::open(&before, keyring, &any_time).map_err(|source| {
        Failure::NotVerified {
            what: storage::chain(&failed(source)),
            hint: "move it away, and give --sequence a greater number than it had",
        }
    })?;
    let before = before.release();
    if before.product != product {
        let (wanted, found) = (product.to_owned(), before.product.clone());
        return Err(failed(ReleaseError::OtherProduct { wanted, found }));
    }
    match wanted.or_else(|| before.sequence.next()) {
        Some(number) if number > before.sequence => Ok(number),
        Some(_) | None => Err(Failure::Refused {
            what: format!(
                "{path} has sequence {number} already, and devices take none that is not greater",
                path = document.display(),
                number = before.sequence
            ),
            hint: "leave --sequence out, or give a greater one",
        }),
    }
}

/// Where the bundle comes to lie, and where devices find it.
struct Placing<'a> {
    context: &'a Context,
    args: &'a PublishArgs,
    manifest: Digest,
    /// In the directory; nothing where it lies elsewhere.
    target: Option<PathBuf>,
    urls: Vec<String>,
}

impl<'a> Placing<'a> {
    fn new(
        context: &'a Context,
        args: &'a PublishArgs,
        dir: &Path,
        bundle: &VerifiedBundle,
    ) -> Result<Self, Failure> {
        let name = args.bundle.file_name().unwrap_or_default().to_string_lossy();
        let beside = args.bundle.canonicalize().ok().and_then(|path| Some(path.parent()? == dir));
        let brought = args.copy || args.link;
        if !brought && args.url.is_empty() && beside != Some(true) {
            return Err(Failure::Usage {
                what: format!("{} is not in {}", args.bundle.display(), dir.display()),
                hint: "bring it there with --copy or --link, or say with --url where it is",
            });
        }
        let urls = if args.url.is_empty() { vec![encoded(&name)] } else { args.url.clone() };
        let target = (brought || args.url.is_empty()).then(|| dir.join(name.as_ref()));
        Ok(Self { context, args, manifest: bundle.manifest_digest(), target, urls })
    }

    /// Brings the bundle into its place, and tells digest and length of what lies there. All of it
    /// was verified then.
    fn put(&self) -> Result<(Digest, ByteLen), Failure> {
        let source = &self.args.bundle;
        let Some(target) = self.target.as_ref().filter(|_| self.args.copy || self.args.link) else {
            return self.measured(source);
        };
        if target.exists() {
            let (found, wanted) = (self.measured(target)?, digest_of(source)?);
            if found == wanted {
                return Ok(found);
            }
            return Err(Failure::Refused {
                what: format!("{} is another bundle", target.display()),
                hint: "give the new bundle a name of its own: devices may be reading the old one",
            });
        }
        if self.args.copy { self.copy(target) } else { self.link(target) }
    }

    fn link(&self, target: &Path) -> Result<(Digest, ByteLen), Failure> {
        let measured = self.measured(&self.args.bundle)?;
        let failed = |source| Failure::Io { act: "link", path: target.to_owned(), source };
        std::fs::hard_link(&self.args.bundle, target).map_err(failed)?;
        File::open(target).and_then(|file| file.sync_all()).map_err(failed)?;
        sync_directory_of(target).map_err(failed)?;
        Ok(measured)
    }

    /// Under its name only when it is whole and was verified.
    fn copy(&self, target: &Path) -> Result<(Digest, ByteLen), Failure> {
        let failed = |source| Failure::Io { act: "write", path: target.to_owned(), source };
        let dir = target.parent().unwrap_or(Path::new("/"));
        let mut temp = tempfile::Builder::new()
            .prefix(".atomix-")
            // The user's mask counts; a web server has to read it.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(dir)
            .map_err(failed)?;
        let mut from = open(&self.args.bundle)?;
        measure(&mut from, &mut temp).map_err(failed)?;
        temp.as_file().sync_all().map_err(failed)?;
        let measured = self.measured(temp.path())?;
        temp.persist_noclobber(target).map_err(|error| failed(error.error))?;
        sync_directory_of(target).map_err(failed)?;
        Ok(measured)
    }

    /// Verifies all of the bundle that devices get, and measures it.
    fn measured(&self, path: &Path) -> Result<(Digest, ByteLen), Failure> {
        let failed = |source| Failure::Bundle { bundle: path.to_owned(), source };
        let bundle = open_verified(self.context, path, self.args.keyring.as_deref())?;
        bundle.check_payload(&mut |_| {}).map_err(failed)?;
        if bundle.manifest_digest() != self.manifest {
            return Err(Failure::Refused {
                what: format!("{} is another bundle than at first", path.display()),
                hint: "let nobody write it meanwhile",
            });
        }
        digest_of(path)
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|source| Failure::Io { act: "read", path: path.to_owned(), source })
}

fn digest_of(path: &Path) -> Result<(Digest, ByteLen), Failure> {
    measure(&mut open(path)?, &mut io::sink()).map_err(|source| Failure::Io {
        act: "read",
        path: path.to_owned(),
        source,
    })
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// A file's name as the last part of a URL.
fn encoded(name: &str) -> String {
    let mut url = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"._~-".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

fn release(
    context: &Context,
    args: &PublishArgs,
    bundle: &VerifiedBundle,
    sequence: Sequence,
    file: &Placing<'_>,
    (digest, size): (Digest, ByteLen),
) -> Result<Release, Failure> {
    let update = &bundle.manifest().update;
    let version = update.version.clone().ok_or(Failure::Refused {
        what: format!("the manifest of {} has no version", args.bundle.display()),
        hint: "create the bundle with version=… in its manifest",
    })?;
    let issued = context.now.0;
    Ok(Release {
        product: update.compatible.clone(),
        sequence,
        issued,
        expires: UnixTime(issued.0.saturating_add(DAY_SECS * i64::from(args.expires_days))),
        version,
        manifest: file.manifest,
        file: digest,
        size,
        urls: file.urls.clone(),
        min_version: args.min_version.clone(),
        rollout: rollout(args, issued)?,
        urgency: if args.forced { Urgency::Forced } else { Urgency::Ordinary },
    })
}

fn rollout(args: &PublishArgs, issued: UnixTime) -> Result<Option<Rollout>, Failure> {
    let Some(ends) = &args.ends else { return Ok(None) };
    let time = |text: &str| {
        parse_release_time(text).ok_or_else(|| Failure::Usage {
            what: format!("{text:?} is no time"),
            hint: "give UTC in the form 2026-11-22T18:00:00Z",
        })
    };
    let begins = args.begins.as_deref().map(time).transpose()?.unwrap_or(issued);
    Ok(Some(Rollout { begins, ends: time(ends)?, percent: args.percent.unwrap_or(100) }))
}

/// The JSON, when devices can read it.
fn checked(release: &Release) -> Result<String, Failure> {
    let unfit = |refused: &dyn std::error::Error| Failure::Usage {
        what: format!("no device would take this release: {}", storage::chain(refused)),
        hint: "correct the option, or the manifest of the bundle",
    };
    let text = release.encode().map_err(|refused| unfit(&refused))?;
    Release::parse(text.as_bytes()).map_err(|refused| unfit(&refused))?;
    Ok(text)
}

/// Judges the document as the devices will.
fn as_a_device(
    context: &Context,
    document: &Path,
    cms: &[u8],
    keyring: &Keyring,
) -> Result<VerifiedRelease, Failure> {
    let failed = |source| Failure::Release { file: document.to_owned(), source };
    let clock = clock(context);
    let verified = VerifiedRelease::open(cms, keyring, &clock).map_err(failed)?;
    let origin = Origin::document(SOMEWHERE, Transport::HttpsOnly)
        .map_err(|source| failed(ReleaseError::Place { index: 0, source }))?;
    let product = verified.release().product.clone();
    let expected = Expected { product: &product, seen: None, clock: &clock, origin: &origin };
    verified.accept(&expected).map_err(failed)?;
    Ok(verified)
}

fn warn_of_early_end(verified: &VerifiedRelease, out: &mut Output) -> Result<(), Failure> {
    let expires = verified.release().expires;
    let early = verified.signer().chain.iter().find(|one| one.not_after < expires);
    match early {
        Some(one) => out.warn(&[format!("certificate {:?} ends before the release", one.subject)]),
        None => Ok(()),
    }
}
