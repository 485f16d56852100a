// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix report`: what the fleet is told of this device, for people, for files, and on the side
//! of whoever receives it.

use crate::commands::config_device::files::write_new;
use crate::context::Context;
use crate::device_facts::DeviceFacts;
use crate::failure::{Failure, chain};
use crate::output::{Output, wrap};
use crate::report_cli::{MakeReportArgs, ReportCommand};
use crate::terminal::{fit, one_line};
use agents::{
    AgentFacts, DeviceKey, Identity, KeyOrigin, Login, MemoryStore, REPORT_KEY_PATH, Report,
    ReportError, ReportedSlot, SIGNED_REPORT_MAX, Settings, Source, sign_report, verify_report,
};
use bundle::SigningIdentity;
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;
use storage::{ByteLen, Digest, Files, FilesError, HostFiles, open_own_lock};

/// Of two that make a key at once, one would sign with a key that is not kept.
const LOCK_PATH: &str = "/run/atomix/report-key.lock";

/// Longest PEM file.
const MAX_PEM: ByteLen = ByteLen::kib(256);

/// What is left of a line of 80 columns behind its title.
const VALUE_COLUMNS: usize = 67;

/// Records of the flight recorder that people are shown.
const SHOWN_RECORDS: usize = 6;

/// Runs a verb of `atomix report`.
///
/// # Errors
/// [`Failure`]; [`Failure::Report`] of a report that is not believed.
pub fn run(context: &Context, command: &ReportCommand, out: &mut Output) -> Result<(), Failure> {
    match command {
        ReportCommand::Make(args) => make(context, args, out),
        ReportCommand::Verify { file, certificate } => verify(context, file, certificate, out),
        ReportCommand::Key => show_key(context, out),
    }
}

/// Who signs.
pub struct ReportSigner {
    /// Signs.
    pub identity: SigningIdentity,
    /// SHA-256 of the public key.
    pub fingerprint: Digest,
    /// What the report should say of the key.
    pub trouble: Option<String>,
}

impl ReportSigner {
    /// The device's own key, made where there is none; one that is kept nowhere where it cannot be
    /// kept, since the truth of such a device is wanted most.
    ///
    /// # Errors
    /// [`Failure::ReportKey`] where no key can be made.
    pub fn own(context: &Context) -> Result<Self, Failure> {
        let (key, trouble) = match own_key(context) {
            Ok((key, KeyOrigin::Kept | KeyOrigin::Made)) => (key, None),
            Ok((key, KeyOrigin::MadeAnew { why })) => {
                (key, Some(format!("the key of reports was made anew: {why}")))
            }
            Err(failure) => {
                let why = format!("this report's key is kept nowhere: {}", failure.chain());
                (DeviceKey::passing()?, Some(why))
            }
        };
        Ok(Self { identity: key.identity, fingerprint: key.fingerprint, trouble })
    }

    /// Who signs by the agent's settings: the holder of the client certificate that the server knows
    /// already, else the device's own key. A certificate that cannot be used is told in the report.
    ///
    /// # Errors
    /// As [`ReportSigner::own`].
    pub fn configured(context: &Context, settings: Option<&Settings>) -> Result<Self, Failure> {
        match settings.and_then(client_identity) {
            None => Self::own(context),
            Some(identity) => Self::by_identity(context, identity).or_else(|failure| {
                let mut own = Self::own(context)?;
                let why = format!("not signed with the client certificate: {}", failure.chain());
                own.trouble =
                    Some(own.trouble.map_or_else(|| why.clone(), |also| format!("{why}; {also}")));
                Ok(own)
            }),
        }
    }

    /// By files of the device.
    ///
    /// # Errors
    /// As [`ReportSigner::by_certificate`].
    pub(super) fn by_identity(context: &Context, identity: &Identity) -> Result<Self, Failure> {
        let read = |path: &Path| {
            let absent = || Failure::FileAbsent {
                path: path.to_owned(),
                hint: "put the client certificate and its key there",
            };
            context.files.read(path, MAX_PEM)?.ok_or_else(absent)
        };
        Self::of_pem(&identity.cert, &read(&identity.cert)?, &read(&identity.key)?)
    }

    /// The key of a certificate, by files of this machine.
    ///
    /// # Errors
    /// [`Failure::Signer`], [`Failure::FileAbsent`] or [`Failure::Files`].
    pub fn by_certificate(cert: &Path, key: &Path) -> Result<Self, Failure> {
        Self::of_pem(cert, &read_here(cert, MAX_PEM)?, &read_here(key, MAX_PEM)?)
    }

    fn of_pem(cert: &Path, cert_pem: &[u8], key_pem: &[u8]) -> Result<Self, Failure> {
        let failed = |source| Failure::Signer { cert: cert.to_owned(), source };
        // What follows the first certificate in its file leads to the CA.
        let identity = SigningIdentity::from_pem(cert_pem, key_pem, cert_pem).map_err(failed)?;
        let fingerprint = identity.describe().map_err(failed)?.spki_sha256;
        Ok(Self { identity, fingerprint, trouble: None })
    }
}

/// By which certificate the device is known to its server.
pub(super) fn client_identity(settings: &Settings) -> Option<&Identity> {
    match &settings.source {
        Source::Poll(poll) => poll.tls.identity.as_ref(),
        Source::Hawkbit(hawkbit) => match &hawkbit.login {
            Login::Certificate(identity) => Some(identity),
            Login::TargetToken(_) | Login::GatewayToken(_) => None,
        },
    }
}

/// How the device is told of updates, and by which name.
fn mode_and_name(settings: &Settings) -> (&'static str, Option<&str>) {
    match &settings.source {
        Source::Poll(_) => ("poll", None),
        Source::Hawkbit(hawkbit) => ("hawkbit", hawkbit.target_id.as_deref()),
    }
}

fn own_key(context: &Context) -> Result<(DeviceKey, KeyOrigin), Failure> {
    let path = context.files.resolve(Path::new(LOCK_PATH))?;
    let failed = |source| Failure::Io { act: "lock", path: path.clone(), source };
    let lock = open_own_lock(&path).map_err(failed)?;
    lock.lock().map_err(failed)?;
    Ok(DeviceKey::load_or_make(&mut context.files.clone())?)
}

fn make(context: &Context, args: &MakeReportArgs, out: &mut Output) -> Result<(), Failure> {
    let settings = Settings::read(&context.files);
    let known = settings.as_ref().ok().and_then(Option::as_ref);
    let (mode, name) = known.map(mode_and_name).unzip();
    let mut facts = DeviceFacts::read(context, args.device_id.as_deref().or(name.flatten()))?;
    facts.missed(settings.as_ref().err().map(|cause| chain(cause)));
    let signer = match (&args.cert, &args.key, &args.out) {
        (Some(cert), Some(key), _) => Some(ReportSigner::by_certificate(cert, key)?),
        (_, _, Some(_)) => Some(ReportSigner::configured(context, known)?),
        // Looking makes no key.
        (_, _, None) => None,
    };
    let fingerprint = match &signer {
        Some(signer) => Some(signer.fingerprint),
        None => known_key(context, known, &mut facts),
    };
    if let Some(trouble) = signer.as_ref().and_then(|signer| signer.trouble.clone()) {
        out.warn(std::slice::from_ref(&trouble))?;
        facts.missed(Some(trouble));
    }
    let agent = match mode {
        Some(mode) => AgentFacts::of(mode, &MemoryStore::load(&context.files).1),
        None => AgentFacts::default(),
    };
    let report = Report::new(&facts.for_report(fingerprint, agent));
    if let (Some(path), Some(signer)) = (&args.out, &signer) {
        let signed = sign_report(&report, &signer.identity, context.now.0)?;
        write_new(path, &signed, 0o644)?;
        writeln!(out.people, "signed with key {}", signer.fingerprint)?;
    }
    out.answer(&report, render)
}

/// The key that would sign, where there is one already.
fn known_key(
    context: &Context,
    settings: Option<&Settings>,
    facts: &mut DeviceFacts,
) -> Option<Digest> {
    if let Some(identity) = settings.and_then(client_identity) {
        match ReportSigner::by_identity(context, identity) {
            Ok(signer) => return Some(signer.fingerprint),
            Err(failure) => facts.missed(Some(failure.chain())),
        }
    }
    DeviceKey::kept(&context.files).unwrap_or_else(|cause| {
        facts.missed(Some(chain(&cause)));
        None
    })
}

fn verify(
    context: &Context,
    file: &Path,
    certificate: &Path,
    out: &mut Output,
) -> Result<(), Failure> {
    let certificates = read_here(certificate, MAX_PEM)?;
    let signed = read_here(file, SIGNED_REPORT_MAX).map_err(|failure| {
        let Failure::Files(FilesError::TooLarge { limit, .. }) = &failure else { return failure };
        Failure::NotVerified {
            what: format!("{} has more than {limit}: it is no report", file.display()),
            hint: "give the file that the device sent",
        }
    })?;
    let verified = verify_report(&signed, &certificates, context.now.0)?;
    if let Some(leaf) = verified.signer.chain.first() {
        writeln!(out.people, "signed with key {}", leaf.spki_sha256)?;
    }
    out.answer(&verified.report, render)
}

/// The key as JSON, version 1.
#[derive(Serialize)]
struct KeyView {
    version: u32,
    fingerprint: String,
    path: &'static str,
    made_now: bool,
    certificate: String,
}

fn show_key(context: &Context, out: &mut Output) -> Result<(), Failure> {
    let (key, origin) = own_key(context)?;
    if let KeyOrigin::MadeAnew { why } = &origin {
        out.warn(&[format!("the old key cannot be used ({why}); servers know another one")])?;
    }
    let view = KeyView {
        version: 1,
        fingerprint: key.fingerprint.to_string(),
        path: REPORT_KEY_PATH,
        made_now: origin != KeyOrigin::Kept,
        certificate: String::from_utf8_lossy(&key.certificate_pem).into_owned(),
    };
    out.answer(&view, |to, view| {
        writeln!(to, "fingerprint  {}", view.fingerprint)?;
        write!(to, "{}", view.certificate)
    })
}

/// A file of this machine, wherever it lies.
fn read_here(path: &Path, most: ByteLen) -> Result<Vec<u8>, Failure> {
    let absent = || Failure::FileAbsent { path: path.to_owned(), hint: "give the path of a file" };
    let resolved = match path.canonicalize() {
        Ok(resolved) => resolved,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Err(absent()),
        Err(source) => return Err(Failure::Io { act: "find", path: path.to_owned(), source }),
    };
    HostFiles::new("/").read(&resolved, most)?.ok_or_else(absent)
}

/// The report in one screen; JSON has the whole.
fn render(to: &mut dyn Write, report: &Report) -> io::Result<()> {
    let device = &report.device;
    line(to, "device", &format!("{}, {}", device.id, device.compatible))?;
    line(to, "key", device.key.as_deref().unwrap_or("none yet"))?;
    let boot = &report.boot;
    let reason = boot.reason.as_deref().unwrap_or("reason not known");
    let slot = boot.slot.as_deref().unwrap_or("no slot");
    let next = boot.next.as_deref().unwrap_or("not known");
    let least = if boot.counted_all { "" } else { "at least " };
    let count = format!("{least}{}", boot.count);
    line(to, "booted", &format!("{slot} ({reason}), next {next}, boots {count}"))?;
    report.slots.iter().try_for_each(|slot| render_slot(to, slot))?;
    if let Some(update) = &report.last_update {
        line(to, "last update", &update.in_words())?;
    }
    line(to, "health", &report.health())?;
    render_troubles(to, report)?;
    if let Some(words) = report.environment_words() {
        line(to, "environment", &words)?;
    }
    line(to, "clock", if report.time.is_set { "set" } else { "not set" })?;
    if let Some(mode) = &report.agent.mode {
        let decision = report.agent.last_decision.as_deref().unwrap_or("nothing decided yet");
        line(to, "agent", &format!("{mode}: {decision}"))?;
    }
    render_records(to, report)
}

fn render_troubles(to: &mut dyn Write, report: &Report) -> io::Result<()> {
    if let Some(trouble) = &report.last_trouble {
        line(to, "trouble", &trouble.text)?;
    }
    match report.failed.first() {
        Some(newest) => {
            line(to, "failed here", &format!("{}, the newest {newest}", report.failed.len()))
        }
        None => Ok(()),
    }
}

fn render_slot(to: &mut dyn Write, slot: &ReportedSlot) -> io::Result<()> {
    let version = slot.version.as_deref().unwrap_or("version not known");
    let digits: String = slot.bundle_digits().unwrap_or("-").chars().take(12).collect();
    let (state, left) = (&slot.state, slot.attempts_left);
    let text = format!("{state}, attempts left {left}, {version}, bundle {digits}");
    line(to, &format!("slot {}", slot.name), &text)
}

fn render_records(to: &mut dyn Write, report: &Report) -> io::Result<()> {
    let recorder = &report.recorder;
    if !recorder.readable {
        line(to, "recorder", "cannot be read")?;
    }
    // What is missing is told before what is there, and gives way to nothing.
    let room = SHOWN_RECORDS.saturating_sub(report.missing.len());
    for record in recorder.records.iter().take(room) {
        let at = record.at.as_deref().and_then(|at| at.get(5..16)).unwrap_or("clock unset");
        let text = format!("{} {at} {}", record.sequence, record.text);
        writeln!(to, "{}", fit(&one_line(&text), VALUE_COLUMNS + 13))?;
    }
    report.missing.iter().take(SHOWN_RECORDS).try_for_each(|missing| {
        let shown = fit(&one_line(missing), VALUE_COLUMNS);
        writeln!(to, "not read     {shown}")
    })
}

/// A line that may go on in a second one.
fn line(to: &mut dyn Write, title: &str, text: &str) -> io::Result<()> {
    let words: Vec<String> =
        one_line(text).split(' ').map(|word| fit(word, VALUE_COLUMNS)).collect();
    wrap(to, &format!("{title:12} "), &fit(&words.join(" "), 2 * VALUE_COLUMNS))
}

impl From<agents::KeyError> for Failure {
    fn from(source: agents::KeyError) -> Self {
        Self::ReportKey(source)
    }
}

impl From<ReportError> for Failure {
    fn from(source: ReportError) -> Self {
        Self::Report(source)
    }
}
