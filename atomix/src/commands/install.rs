// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix install`: a bundle goes into the inactive slots, or a reason why not.

use crate::audit_trail::{AuditTrail, InstallNote};
use crate::cli::InstallArgs;
use crate::commands::bundle::open_verified;
use crate::commands::transfer::{self, Transfer};
use crate::context::{Context, SYSTEM_CONF_PATHS};
use crate::failure::Failure;
use crate::output::{Output, Style};
use crate::progress::InstallProgress;
use crate::signals::StopRequest;
use crate::slot_records::{image_version, slot_version};
use crate::terminal::one_line;
use bootctl::{Activation, BundleId, Force, SlotId, SlotState, describe_next};
use bundle::VerifiedBundle;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::process;
use std::sync::Arc;
use storage::{Access, ByteLen, Storage, chain};
use updater::{
    BootedGroup, BundleVersion, CompatibleRule, IndexRule, InstallEvent, InstallFacts,
    InstallGroup, InstallLock, InstallOptions, InstallPlan, InstallPolicy, InstallReport,
    Installer, OuterSteps, SEAL_BYTES, SealHealth, StopQuestion, SystemConfig, VersionRule,
    choose_target,
};

/// Runs `atomix install`.
///
/// # Errors
/// [`Failure`]; a refused or unverified bundle wrote nothing.
pub fn run(context: &Context, args: &InstallArgs, out: &mut Output) -> Result<(), Failure> {
    let config = context.system_conf()?;
    let shown = transfer::shown(args);
    let (opened, stop) = open(context, &config, args, out)?;
    let (verified, transfer) = match opened {
        Err(failure) if !args.dry_run && failure.stopped_by().is_none() => {
            note_refused(context, &shown, &failure, out)?;
            return Err(failure);
        }
        opened => opened?,
    };
    let options = options(context, &config, policy(args))?;
    let mut transfer_bytes = None;
    if args.dry_run || transfer.is_some() {
        let plan = plan(context, &config, &shown, &verified, &options)?;
        if let Some(transfer) = &transfer {
            let resume = options.policy.resume;
            transfer_bytes =
                Some(transfer.predict(&verified, &plan, resume, &context.files)?.get());
        }
        if args.dry_run {
            return show_plan(&plan, transfer_bytes, out);
        }
    }
    let stop = stop.unwrap_or_else(StopRequest::listen_shared);
    let mut progress = InstallProgress::new(out);
    if let Some(bytes) = transfer_bytes {
        let bytes = ByteLen::new(bytes);
        progress.show(&InstallEvent::Note(format!("about {bytes} will be fetched")));
    }
    let mut show = |event| {
        for text in transfer.iter().flat_map(Transfer::told) {
            progress.show(&InstallEvent::Note(text));
        }
        progress.show(&event);
    };
    let question = || stop.by();
    let parts: (_, StopQuestion) = (&options, &question);
    let report = install_until(context, &config, &shown, &verified, parts, &mut show)?;
    progress.finish();
    let next = describe_next(&context.boot_state(&config)?).slot;
    out.answer(&ReportView::new(&report), |to, view| {
        render_report(to, view, next == Some(report.target))
    })
}

/// A verified bundle, and how it comes where it is on a server.
type Opened = Result<(VerifiedBundle, Option<Transfer>), Failure>;

/// Opens and verifies what is to be installed; the outer failure is one of the request.
fn open(
    context: &Context,
    config: &SystemConfig,
    args: &InstallArgs,
    out: &mut Output,
) -> Result<(Opened, Option<Arc<StopRequest>>), Failure> {
    if !transfer::is_remote(args) {
        transfer::refuse_for_file(&args.transfer)?;
        let opened = open_verified(context, &args.bundle, None);
        return Ok((opened.map(|verified| (verified, None)), None));
    }
    // Before the client's threads are there.
    let stop = StopRequest::listen_shared();
    let transfer = Transfer::new(context, config, args, &stop)?;
    let opened = transfer.open(context);
    out.warn(&transfer.told())?;
    Ok((opened.map(|verified| (verified, Some(transfer))), Some(stop)))
}

/// Installs a verified bundle; the progress sink gets every step.
///
/// # Errors
/// [`Failure::Lock`] while another install runs, [`Failure::Install`].
pub fn install(
    context: &Context,
    config: &SystemConfig,
    path: &Path,
    verified: &VerifiedBundle,
    options: &InstallOptions,
    progress: &mut dyn FnMut(InstallEvent),
) -> Result<InstallReport, Failure> {
    install_until(context, config, path, verified, (options, &|| None), progress)
}

/// As [`install`], for as long as nobody wants it to end.
///
/// # Errors
/// As [`install`].
pub(crate) fn install_until(
    context: &Context,
    config: &SystemConfig,
    path: &Path,
    verified: &VerifiedBundle,
    (options, stop): (&InstallOptions, StopQuestion<'_>),
    progress: &mut dyn FnMut(InstallEvent),
) -> Result<InstallReport, Failure> {
    let lock = InstallLock::acquire(&context.root, process::id())?;
    let installed = with_installer(context, config, progress, |installer| {
        installer.install_until(&lock, verified, options, stop)
    })
    .and_then(|done| done.map_err(|source| Failure::Install { bundle: path.to_owned(), source }));
    note(context, verified, options.booted, &installed, progress);
    installed
}

/// Writes the install to the audit log.
fn note(
    context: &Context,
    verified: &VerifiedBundle,
    booted: BootedGroup,
    installed: &Result<InstallReport, Failure>,
    progress: &mut dyn FnMut(InstallEvent),
) {
    let slot = match (installed, booted) {
        (Ok(report), _) => report.target.to_string(),
        (Err(_), BootedGroup::Slot(booted)) => booted.other().to_string(),
        (Err(_), BootedGroup::External) => "none".to_owned(),
    };
    let failure = installed.as_ref().err().map(|failure| chain(failure));
    let note = InstallNote {
        bundle: &verified.manifest_digest().to_string(),
        version: verified.manifest().update.version.as_deref().unwrap_or_default(),
        slot: &slot,
        failure: failure.as_deref(),
    };
    if let Some(warning) = AuditTrail::below(&context.root).installed(context.now.0, &note) {
        progress(InstallEvent::Warning(warning));
    }
}

/// A bundle that is not true is refused before anything is written; that somebody tried is
/// remembered.
fn note_refused(
    context: &Context,
    path: &Path,
    failure: &Failure,
    out: &mut Output,
) -> Result<(), Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let why = chain(failure);
    let note = InstallNote { bundle: &name, version: "", slot: "none", failure: Some(&why) };
    let warning = AuditTrail::below(&context.root).installed(context.now.0, &note);
    out.warn(warning.as_slice())
}

/// Opens everything that an install acts upon.
pub(crate) fn with_installer<T>(
    context: &Context,
    config: &SystemConfig,
    progress: &mut dyn FnMut(InstallEvent),
    act: impl FnOnce(&mut Installer<'_>) -> T,
) -> Result<T, Failure> {
    let settings = context.settings()?;
    let mut backend = context.backend(config, Access::ReadWrite)?;
    let state = backend.load()?;
    // Told before the install's first commit repairs what they are about.
    let mut warnings = backend.warnings();
    warnings.extend(context.way_on_when_lost(config, &state)?);
    for warning in warnings {
        progress(InstallEvent::Warning(warning));
    }
    let mut recorder = match context.recorder(&settings, Access::ReadWrite) {
        Ok(mut recorder) => {
            if let Some(front) = context.disk_when_unnamed(&state) {
                recorder.of_disk(front);
            }
            Some(recorder)
        }
        // An update must not depend on the memory of earlier ones.
        Err(failure) => {
            progress(InstallEvent::Warning(failure.as_warning()));
            None
        }
    };
    let mut files = context.files.clone();
    let mut installer = Installer {
        config,
        devices: &*context.devices,
        files: &mut files,
        backend: &mut *backend,
        recorder: recorder.as_mut(),
        at: context.now.timestamp(),
        progress,
    };
    Ok(act(&mut installer))
}

/// What the person asking allows.
#[must_use]
pub fn policy(args: &InstallArgs) -> InstallPolicy {
    InstallPolicy {
        versions: if args.allow_downgrade {
            VersionRule::AllowAny
        } else {
            VersionRule::RefuseOlder
        },
        compatible: if args.ignore_compatible {
            CompatibleRule::Ignore
        } else {
            CompatibleRule::MustMatch
        },
        force: if args.force { Force::Yes } else { Force::No },
        activation: args.stage.then_some(Activation::Stage),
        outer: OuterSteps::NotDone,
        indexes: IndexRule::Refuse,
        resume: transfer::resume_rule(&args.transfer),
    }
}

/// What is allowed, and where this system came from.
///
/// # Errors
/// [`Failure`] of the configuration.
pub fn options(
    context: &Context,
    config: &SystemConfig,
    policy: InstallPolicy,
) -> Result<InstallOptions, Failure> {
    let booted = context.booted_group(config)?.ok_or(Failure::NotBootedFromSlot)?;
    let variant = updater::read_variant(config, &context.files).map_err(Failure::Variant)?;
    let version_floor = version_floor(context, config)?;
    let reason = context.cmdline()?.reason();
    Ok(InstallOptions { booted, reason, variant, version_floor, policy })
}

/// The newest version that a good slot holds: what is older is a downgrade. The floor rises at
/// mark-good only, so an unconfirmed system sets none; a rollback does not lower it. Of a slot that
/// was flashed nobody recorded a version: where it runs, its image's own word counts.
pub(crate) fn version_floor(
    context: &Context,
    config: &SystemConfig,
) -> Result<Option<BundleVersion>, Failure> {
    let state = context.boot_state(config)?;
    let mut floors = Vec::new();
    for slot in SlotId::ALL {
        let version = match state.slot(slot).state {
            SlotState::Good | SlotState::Unknown => slot_version(context, config, &state, slot),
            SlotState::Trying | SlotState::Bad | SlotState::Empty | SlotState::Writing => continue,
        };
        if version.is_none() && context.booted()? == Some(slot) {
            floors.extend(image_version(context));
        } else if state.slot(slot).state == SlotState::Good {
            floors.extend(version.and_then(|text| text.parse().ok()));
        }
    }
    Ok(floors.into_iter().reduce(BundleVersion::newer))
}

/// What an install would do, decided without opening anything for writing.
///
/// # Errors
/// [`Failure::Install`] where it would be refused.
pub(crate) fn plan(
    context: &Context,
    config: &SystemConfig,
    path: &Path,
    verified: &VerifiedBundle,
    options: &InstallOptions,
) -> Result<InstallPlan, Failure> {
    let facts = install_facts(context, config, verified, options)?;
    updater::plan_install(config, verified.manifest(), &facts, &options.policy)
        .map_err(|source| Failure::Install { bundle: path.to_owned(), source: source.into() })
}

fn show_plan(
    plan: &InstallPlan,
    transfer_bytes: Option<u64>,
    out: &mut Output,
) -> Result<(), Failure> {
    let view = PlanView {
        version: 1,
        target: plan.group.slot_id.to_string(),
        bundle_version: plan.version.clone(),
        images: plan
            .images
            .iter()
            .map(|planned| PlannedView {
                slot: planned.slot.name.to_string(),
                device: planned.slot.device.display().to_string(),
                bytes: planned.size.get(),
            })
            .collect(),
        transfer_bytes,
    };
    out.answer(&view, |to, view| {
        writeln!(
            to,
            "would install {} into slot {}:",
            shown_version(view.bundle_version.as_deref()),
            view.target
        )?;
        view.images.iter().try_for_each(|image| {
            let size = ByteLen::new(image.bytes);
            writeln!(to, "  {:10} {:24} {size}", image.slot, image.device)
        })?;
        match view.transfer_bytes {
            Some(bytes) => writeln!(to, "about {} would be fetched", ByteLen::new(bytes)),
            None => Ok(()),
        }
    })
}

/// Whether the boot loader finds the start of the group's boot slot.
///
/// # Errors
/// [`Failure::Seal`].
pub fn seal_health(context: &Context, group: &InstallGroup) -> Result<SealHealth, Failure> {
    for slot in group.members.iter().filter(|slot| slot.name == group.seal) {
        let mut head = [0; SEAL_BYTES];
        let device = context.devices.open(&slot.device, Access::ReadOnly);
        device.and_then(|device| device.read_at(0, &mut head)).map_err(|source| Failure::Seal {
            slot: slot.name.clone(),
            device: slot.device.clone(),
            source,
        })?;
        if head.iter().any(|byte| *byte != 0) {
            return Ok(SealHealth::Sealed);
        }
    }
    Ok(SealHealth::Broken)
}

/// What an install would find, read without opening anything for writing.
fn install_facts(
    context: &Context,
    config: &SystemConfig,
    verified: &VerifiedBundle,
    options: &InstallOptions,
) -> Result<InstallFacts, Failure> {
    let state = context.boot_state(config)?;
    let target = choose_target(options.booted, &state);
    let mut slot_sizes = BTreeMap::new();
    let mut seal = SealHealth::Broken;
    for group in install_groups(config)?.iter().filter(|group| group.slot_id == target) {
        for slot in &group.members {
            let device = context.devices.open(&slot.device, Access::ReadOnly)?;
            slot_sizes.insert(slot.name.clone(), device.len());
        }
        seal = seal_health(context, group)?;
    }
    Ok(InstallFacts {
        booted: options.booted,
        reason: options.reason,
        state,
        bundle: BundleId::from(verified.manifest_digest()),
        slot_sizes,
        seal,
        variant: options.variant.clone(),
        version_floor: options.version_floor.clone(),
    })
}

/// The install groups of `system.conf`.
///
/// # Errors
/// [`Failure::SystemConf`] when the slots do not make groups.
pub fn install_groups(config: &SystemConfig) -> Result<Vec<InstallGroup>, Failure> {
    config
        .install_groups()
        .map_err(|source| Failure::SystemConf { path: SYSTEM_CONF_PATHS[0].into(), source })
}

#[derive(Serialize)]
struct PlanView {
    version: u32,
    target: String,
    bundle_version: Option<String>,
    images: Vec<PlannedView>,
    /// Of a bundle on a server.
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer_bytes: Option<u64>,
}

#[derive(Serialize)]
struct PlannedView {
    slot: String,
    device: String,
    bytes: u64,
}

/// What an install did, as JSON, version 1.
#[derive(Serialize)]
struct ReportView {
    version: u32,
    event: &'static str,
    target: String,
    bundle_version: Option<String>,
    slots: Vec<SlotReportView>,
}

#[derive(Serialize)]
struct SlotReportView {
    slot: String,
    written_bytes: u64,
    equal_bytes: u64,
}

impl ReportView {
    fn new(report: &InstallReport) -> Self {
        Self {
            version: 1,
            event: "installed",
            target: report.target.to_string(),
            bundle_version: report.version.clone(),
            slots: report
                .slots
                .iter()
                .map(|slot| SlotReportView {
                    slot: slot.slot.to_string(),
                    written_bytes: slot.count.written.get(),
                    equal_bytes: slot.count.skipped.get(),
                })
                .collect(),
        }
    }
}

fn shown_version(version: Option<&str>) -> String {
    version.map_or_else(|| "(no version)".to_owned(), one_line)
}

fn render_report(to: &mut dyn Write, view: &ReportView, boots_next: bool) -> io::Result<()> {
    let then = if boots_next { "it boots next" } else { "it does not boot next" };
    writeln!(
        to,
        "installed {} into slot {}; {then}",
        shown_version(view.bundle_version.as_deref()),
        view.target
    )?;
    view.slots.iter().try_for_each(|slot| {
        writeln!(
            to,
            "  {:10} {} written, {} already equal, all read back",
            slot.slot,
            ByteLen::new(slot.written_bytes),
            ByteLen::new(slot.equal_bytes)
        )
    })
}

/// Progress goes to people as a bar or lines, to programs as events.
pub const fn wants_events(style: Style) -> bool {
    matches!(style, Style::Json)
}
