// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does the agent look at a bundle, and install it? As `atomix install` does with an address, by
//! the same code: straight into the slot, going on where an interrupted install stands. What is
//! installed is the bundle that was judged, into the slot that it was judged for, or nothing.

use super::Access;
use super::stopping::Stopping;
use super::stored::Bundles;
use crate::commands::install::{self, install_until};
use crate::commands::transfer::Transfer;
use crate::context::Context;
use crate::failure::{Class, Failure};
use agents::agent::LookError;
use agents::ddi::FileHashes;
use agents::{Downgrade, InstallOrder, Keep, Looked, Offer, Policy, Settings};
use bootctl::{Activation, Force};
use bundle::http::{ByteBudget, HttpError, retry_after, shown_url};
use bundle::{BundleError, RemoteBundle, VerifiedBundle, Wanted};
use std::path::PathBuf;
use std::sync::Arc;
use storage::{ByteLen, Digest};
use updater::{
    CompatibleRule, IndexRule, InstallEvent, InstallOptions, InstallPolicy, OuterSteps, ResumeRule,
    SystemConfig, VersionRule,
};

/// Who is told how far it is.
pub type Show<'a> = &'a mut dyn FnMut(InstallEvent);

/// One fetch: everything of it by the same moment and the same settings.
pub struct Fetch<'a> {
    /// The device at that moment.
    pub context: &'a Context,
    /// The agent's.
    pub settings: &'a Settings,
    /// Who wants it to end.
    pub stop: &'a Arc<Stopping>,
    /// What may be fetched, and what was.
    pub budget: &'a Arc<ByteBudget>,
}

/// Everything may come; what comes is counted.
#[must_use]
pub fn budget_of(most: Option<ByteLen>) -> Arc<ByteBudget> {
    Arc::new(ByteBudget::new(most.unwrap_or(ByteLen::new(u64::MAX))))
}

/// What somebody else has at the place of what was judged.
pub(super) fn other(what: String) -> Failure {
    Failure::Refused { what, hint: "the agent looks again and judges what is there now" }
}

/// What cannot be believed at the place of what was judged says nothing of that: it was true when it
/// was looked at.
pub(super) fn not_it(failure: Failure) -> Failure {
    if let Failure::Bundle { .. } = failure { other(failure.chain()) } else { failure }
}

impl Fetch<'_> {
    pub(super) fn transfer(
        &self,
        urls: &[String],
        wanted: Wanted,
        rate: Option<ByteLen>,
    ) -> Result<(SystemConfig, Transfer), Failure> {
        let config = self.context.system_conf()?;
        let access = Access::new(self.context, self.settings);
        let stop = Arc::clone(self.stop);
        let request =
            access.request((urls, wanted), (rate, self.budget), Arc::new(move || stop.by()))?;
        let transfer = Transfer::asked(self.context, &config, request)?;
        Ok((config, transfer))
    }

    /// Reads the signed beginning, or what is stored of a bundle that cannot be had in parts.
    ///
    /// # Errors
    /// [`LookError`].
    pub fn look(
        &self,
        offer: &Offer,
        policy: &Policy,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Looked, LookError> {
        let (config, transfer) =
            self.transfer(&offer.urls, wanted_by(offer), policy.rate).map_err(not_looked)?;
        let seen = transfer.look(self.context);
        transfer.told().iter().for_each(|text| tell(text));
        let (marks, all_whole) = transfer.whole_only();
        let is_it = seen.as_ref().is_ok_and(|seen| transfer.is_wanted(seen));
        if is_it || marks.is_empty() || policy.keep == Keep::Nothing {
            return match seen {
                Ok(seen) => {
                    self.measure(&offer.urls, (&config, &transfer), &seen).map_err(not_looked)
                }
                Err(Failure::Fetch(HttpError::RangesUnsupported { url, .. })) if all_whole => {
                    Err(LookError::Refused(whole_only(&url).into()))
                }
                Err(failure) => Err(not_looked(failure)),
            };
        }
        // Whoever else has it not, or fails, shuts no place out that has it and sends all of it only.
        let bundles = Bundles::new(self.context);
        let held = marks.iter().find(|mark| bundles.holds_offer(offer, mark.as_deref()));
        held.map_or(Err(LookError::Whole), |mark| self.look_at_stored(offer, mark.as_deref()))
    }

    /// Fetches all of what cannot be had in parts, and looks at that.
    ///
    /// # Errors
    /// [`LookError`].
    pub fn look_whole(
        &self,
        offer: &Offer,
        policy: &Policy,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Looked, LookError> {
        let bundles = Bundles::new(self.context);
        let mark = bundles.fetch_offer(self, offer, policy.rate, tell).map_err(not_looked)?;
        self.look_at_stored(offer, mark.as_deref())
    }

    fn look_at_stored(&self, offer: &Offer, mark: Option<&str>) -> Result<Looked, LookError> {
        let bundles = Bundles::new(self.context);
        bundles.look(offer).map_err(|failure| {
            // Nothing would tell a mended one from it: it is fetched again.
            if mark.is_none() {
                bundles.forget_offer();
            }
            not_looked(failure)
        })
    }

    fn measure(
        &self,
        urls: &[String],
        (config, transfer): (&SystemConfig, &Transfer),
        seen: &RemoteBundle,
    ) -> Result<Looked, Failure> {
        let facts = seen.facts();
        // Whatever speaks against it is for the judgement to say: here it is only measured.
        let any = InstallPolicy {
            versions: VersionRule::AllowAny,
            compatible: CompatibleRule::Ignore,
            force: Force::Yes,
            ..policy(None)
        };
        let shown = shown(urls);
        let planned = install::options(self.context, config, any).and_then(|options| {
            let plan = install::plan(self.context, config, &shown, seen.bundle(), &options)?;
            Ok((plan, options))
        });
        let transfer_bytes = match planned {
            Ok((plan, options)) => {
                let resume = options.policy.resume;
                transfer.measure(seen.bundle(), &plan, resume, &self.context.files)?
            }
            // What cannot be planned now is not cheaper than the whole file.
            Err(_) => facts.size,
        };
        Ok(Looked {
            manifest: facts.manifest,
            version: facts.version,
            compatible: facts.compatible,
            size: facts.size,
            transfer: transfer_bytes,
        })
    }

    /// Installs what was ordered.
    ///
    /// # Errors
    /// [`Failure`]; what was written stays for the next try.
    pub fn install(&self, order: &InstallOrder, show: Show<'_>) -> Result<(), Failure> {
        match order.keep {
            Keep::Nothing => self.stream(order, show),
            Keep::Bundle => self.install_stored(order, show),
        }
    }

    /// Stores what was ordered, and says what it is.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn store(&self, order: &InstallOrder, show: Show<'_>) -> Result<FileHashes, Failure> {
        Bundles::new(self.context).fetch(self, order, show)
    }

    fn stream(&self, order: &InstallOrder, show: Show<'_>) -> Result<(), Failure> {
        let (config, transfer) = self.transfer(&order.urls, ordered(order), order.rate)?;
        let opened = transfer.open(self.context);
        transfer.told().into_iter().for_each(|text| show(InstallEvent::Note(text)));
        let verified = opened.map_err(not_it)?;
        let options = self.demand(order, &config, &verified)?;
        let plan = install::plan(self.context, &config, &shown(&order.urls), &verified, &options)?;
        transfer.predict(&verified, &plan, options.policy.resume, &self.context.files)?;
        let mut show = |event| {
            transfer.told().into_iter().for_each(|text| show(InstallEvent::Note(text)));
            show(event);
        };
        self.write(order, &config, (&verified, &options), &mut show)
    }

    fn install_stored(&self, order: &InstallOrder, show: Show<'_>) -> Result<(), Failure> {
        let bundles = Bundles::new(self.context);
        let verified = match bundles.open(order)? {
            Some(verified) => verified,
            None => {
                bundles.fetch(self, order, show)?;
                let gone = || other("the stored bundle is not there any more".to_owned());
                bundles.open(order)?.ok_or_else(gone)?
            }
        };
        let config = self.context.system_conf()?;
        let options = self.demand(order, &config, &verified)?;
        let written = self.write(order, &config, (&verified, &options), show);
        drop(verified);
        if let Err(damaged) = &written
            && of_bundle(damaged).is_some_and(BundleError::is_of_this_copy)
            && let Err(failure) = bundles.discard(order)
        {
            show(InstallEvent::Warning(failure.as_warning()));
        }
        written?;
        // What is in the slot is not needed twice; where it cannot be removed the next one does.
        if let Err(failure) = bundles.clear(None) {
            show(InstallEvent::Warning(failure.as_warning()));
        }
        Ok(())
    }

    /// Whether this is what was judged.
    fn demand(
        &self,
        order: &InstallOrder,
        config: &SystemConfig,
        verified: &VerifiedBundle,
    ) -> Result<InstallOptions, Failure> {
        let found = verified.manifest_digest();
        if found != order.manifest {
            let (found, wanted) = (short(&found), short(&order.manifest));
            let what = format!("the server has bundle {found} now, not {wanted}");
            return Err(other(what));
        }
        let options = install::options(self.context, config, policy(Some(order)))?;
        let target = updater::choose_target(options.booted, &self.context.boot_state(config)?);
        if target != order.slot {
            let what = format!("slot {target} would be written now, not {}", order.slot);
            return Err(other(what));
        }
        Ok(options)
    }

    fn write(
        &self,
        order: &InstallOrder,
        config: &SystemConfig,
        (verified, options): (&VerifiedBundle, &InstallOptions),
        show: Show<'_>,
    ) -> Result<(), Failure> {
        let question = || self.stop.by();
        let parts: (_, updater::StopQuestion<'_>) = (options, &question);
        install_until(self.context, config, &shown(&order.urls), verified, parts, show).map(drop)
    }
}

/// What an offer says of its bundle. A version alone may be shared; a digest says all.
pub(super) fn wanted_by(offer: &Offer) -> Wanted {
    let version = offer.manifest.is_none().then(|| offer.version.clone());
    Wanted { manifest: offer.manifest, version, size: offer.size }
}

/// The bundle that was judged, wherever it is.
pub(super) fn ordered(order: &InstallOrder) -> Wanted {
    Wanted { manifest: Some(order.manifest), ..Wanted::default() }
}

/// Why a bundle cannot be looked at, for those who can do something about it.
fn not_looked(failure: Failure) -> LookError {
    match finality(&failure) {
        Finality::ForGood => LookError::Refused(failure.into()),
        Finality::Now => {
            LookError::Unreachable { retry_after: retry_after(&failure), source: failure.into() }
        }
        Finality::Own => LookError::Own(failure.into()),
    }
}

fn whole_only(url: &str) -> Failure {
    Failure::Refused {
        what: format!(
            "the server of {url} sends whole files only (no range requests), and keep_bundles is \
             not set"
        ),
        hint: "set keep_bundles = true in [os_upgrade.policy], or let a server with range requests \
               have the bundle",
    }
}

/// The owner's and the server's word for one order; for none, what any install begins with.
fn policy(order: Option<&InstallOrder>) -> InstallPolicy {
    let downgrade = order.map_or(Downgrade::Refused, |order| order.downgrade);
    InstallPolicy {
        versions: match downgrade {
            Downgrade::Allowed => VersionRule::AllowAny,
            Downgrade::Refused => VersionRule::RefuseOlder,
        },
        compatible: CompatibleRule::MustMatch,
        force: order.map_or(Force::No, |order| order.force),
        activation: Some(Activation::Activate),
        outer: OuterSteps::NotDone,
        indexes: IndexRule::Refuse,
        resume: ResumeRule::default(),
    }
}

fn short(digest: &Digest) -> String {
    digest.to_string().chars().take(12).collect()
}

/// The place without what is secret in it.
fn shown(urls: &[String]) -> PathBuf {
    PathBuf::from(urls.first().map(|url| shown_url(url)).unwrap_or_default())
}

/// How long a failure lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finality {
    /// As long as the bundle is this one.
    ForGood,
    /// Another try may find it otherwise.
    Now,
    /// Until this device is helped, or has done what it does: whoever has the bundle has no part in it.
    Own,
}

/// What is wrong with the bundle, where that is the cause.
fn of_bundle(failure: &Failure) -> Option<&BundleError> {
    if let Failure::Bundle { source, .. } = failure {
        Some(source)
    } else if let Failure::Install { source, .. } = failure {
        source.of_bundle()
    } else {
        None
    }
}

/// What is the bundle's own fault, or the rules', stays so; networks, disks, budgets, a running
/// install and a bundle that was exchanged do not. Nor do bytes that are not the signed ones: whoever
/// has no key could else have a good bundle refused for ever by one wrong byte of it.
#[must_use]
pub fn finality(failure: &Failure) -> Finality {
    let of_bundle = of_bundle(failure);
    if of_bundle.is_some_and(BundleError::is_of_this_copy) {
        return Finality::Now;
    }
    if let Failure::Install { .. } | Failure::Bundle { .. } = failure {
        return match failure.class() {
            Class::Refused | Class::NotVerified => Finality::ForGood,
            Class::Failed if of_bundle.is_some() => Finality::Now,
            Class::Failed | Class::Usage | Class::Busy | Class::No => Finality::Own,
        };
    }
    if let Failure::Fetch(HttpError::Url(_) | HttpError::Insecure { .. }) = failure {
        return Finality::ForGood;
    }
    // What came cannot be stored, or cannot be asked for with this device's settings.
    if let Failure::Fetch(HttpError::Store { .. } | HttpError::Option { .. }) = failure {
        return Finality::Own;
    }
    // Nobody is there, or somebody has something else at that place now.
    let is_elsewhere = matches!(failure, Failure::Fetch(_) | Failure::Refused { .. });
    if is_elsewhere { Finality::Now } else { Finality::Own }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::FilesError;
    use updater::LockError;

    /// Fails when a full `/data` or a technician's install is told as a server that is away.
    #[test]
    fn what_is_the_devices_own_is_told_apart_from_servers_and_from_bundles() {
        let own = [
            Failure::NoRoom { what: "a bundle".to_owned() },
            Failure::Lock(LockError::Busy { holder: None }),
            Failure::Fetch(HttpError::Store { url: String::new(), reason: "full".to_owned() }),
            Failure::Fetch(HttpError::Option { option: "proxy", reason: "none".to_owned() }),
            Failure::Files(FilesError::Escapes { path: "x".into() }),
            Failure::Io {
                act: "store",
                path: place(),
                source: std::io::ErrorKind::StorageFull.into(),
            },
        ];
        for failure in own {
            assert_eq!(finality(&failure), Finality::Own, "{}", failure.chain());
            assert!(matches!(not_looked(failure), LookError::Own(_)));
        }
        let now = [
            Failure::Fetch(HttpError::Stopped { reason: "SIGTERM" }),
            Failure::Bundle { bundle: place(), source: BundleError::PlainStreamed },
            other("another bundle".to_owned()),
        ];
        for failure in now {
            assert_ne!(finality(&failure), Finality::Own, "{}", failure.chain());
        }
    }

    fn place() -> PathBuf {
        PathBuf::from("/b")
    }
}
