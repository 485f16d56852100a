// SPDX-License-Identifier: MIT OR Apache-2.0
//! Could the update agent log in and believe its server, if it were asked now? Its settings, and the
//! files that they name: presence, mode, content and age. Nobody is asked.

use super::{Exam, expired};
use crate::agent::{Access, UnitState};
use crate::commands::report::{ReportSigner, client_identity};
use crate::context::Context;
use crate::device_facts::DeviceFacts;
use crate::failure::{Failure, chain};
use crate::terminal::{fit, one_line};
use agents::{Downgrade, Identity, Settings, Source};
use bundle::{CertificateInfo, Keyring, KeyringOptions, UnixTime};
use std::path::Path;
use storage::{ByteLen, Files};

/// Who renews a certificate needs some time for it.
const RENEW_SECS: i64 = 30 * 86_400;

/// Most columns of an address.
const ADDRESS: usize = 48;

/// Longest file of authorities.
const MAX_CA: ByteLen = ByteLen::mib(1);

const WHAT: &str = "agent";

/// Whether a unit of the agent's is to be active.
#[derive(Clone, Copy)]
enum Runs {
    Always,
    /// While it asks.
    AtTimes,
}

impl Exam {
    pub(super) fn agent(&mut self, context: &Context) {
        let read = Settings::read(&context.files).map_err(Failure::AgentSettings);
        let Some(Some(settings)) = self.take(WHAT, read) else { return };
        let (mode, server, ca) = match &settings.source {
            Source::Poll(poll) => ("polls", &poll.server_url, &poll.tls.ca),
            Source::Hawkbit(hawkbit) => ("follows hawkBit at", &hawkbit.url, &hawkbit.ca),
        };
        self.ok(WHAT, format!("{mode} {}", fit(&one_line(server), ADDRESS)));
        self.units(context, &settings.source);
        self.version(context, &settings);
        let access = Access::new(context, &settings);
        if let Some(Some((word, _))) = self.take(WHAT, access.token()) {
            self.ok(WHAT, format!("its {word} can be used"));
        }
        // Whether its key is a secret; where not, that comes first.
        if self.take(WHAT, access.tls()).is_none() {
            return;
        }
        if let Some(identity) = client_identity(&settings) {
            self.identity(context, identity);
        }
        if let Some(ca) = ca {
            self.authorities(context, ca);
        }
    }

    /// Whether anything says which version may follow: else the agent refuses each.
    fn version(&mut self, context: &Context, settings: &Settings) {
        if settings.policy.downgrade == Downgrade::Allowed {
            return;
        }
        // What cannot be read has findings of its own.
        let Ok(facts) = DeviceFacts::read(context, None) else { return };
        let device = facts.device;
        let Some(running) = device.running() else { return };
        if running.version.is_none() && device.version_floor.is_none() {
            let hint = "let the image's os-release say IMAGE_VERSION, or system.conf \
                        min-bundle-version; or set allow_downgrade in [os_upgrade.policy]";
            let text = "nothing says which version runs: every update would be refused as older";
            self.broken(WHAT, text.to_owned(), Some(hint));
        }
    }

    /// What runs the agent, where somebody on the system's bus can tell.
    fn units(&mut self, context: &Context, source: &Source) {
        let units: &[(&str, Runs)] = match source {
            Source::Poll(_) => {
                &[("os-upgrade.timer", Runs::Always), ("os-upgrade.service", Runs::AtTimes)]
            }
            Source::Hawkbit(_) => &[("atomix-agent.service", Runs::Always)],
        };
        for (unit, runs) in units {
            match UnitState::of(context, unit) {
                Ok(None) => {}
                Ok(Some(state)) => self.unit(unit, *runs, &state),
                Err(cause) => {
                    let text = format!("cannot ask systemd about {unit}: {}", chain(&cause));
                    self.weak(WHAT, text, "`systemctl status` of the unit shows whether it runs");
                }
            }
        }
    }

    fn unit(&mut self, unit: &str, runs: Runs, state: &UnitState) {
        match (state.load.as_str(), state.active.as_str(), runs) {
            ("masked", ..) => {
                let hint = "`systemctl unmask` and start it: until then no update comes";
                self.broken(WHAT, format!("{unit} is masked"), Some(hint));
            }
            ("loaded", "failed", _) => {
                let hint = "`systemctl status` of it says why; `systemctl restart` tries again";
                self.broken(WHAT, format!("{unit} has failed"), Some(hint));
            }
            ("loaded", "inactive", Runs::Always) => {
                let hint = "`systemctl enable --now` it: until then no update comes";
                self.weak(WHAT, format!("{unit} is not started"), hint);
            }
            ("loaded", ..) => self.ok(WHAT, format!("{unit} is {}", state.active)),
            (load, ..) => {
                let hint = "the image has to have the units of atomix";
                self.broken(WHAT, format!("{unit} is {}", fit(&one_line(load), 32)), Some(hint));
            }
        }
    }

    /// The client certificate, with its key.
    fn identity(&mut self, context: &Context, identity: &Identity) {
        let signer = ReportSigner::by_identity(context, identity).and_then(|signer| {
            let failed = |source| Failure::Signer { cert: identity.cert.clone(), source };
            signer.identity.describe().map_err(failed)
        });
        if let Some(certificate) = self.take(WHAT, signer) {
            let hint = "have the certificate renewed: the server will not know this device";
            self.age(context, "the client certificate", &certificate, hint);
        }
    }

    /// The authorities that the server's certificate is judged by.
    fn authorities(&mut self, context: &Context, path: &Path) {
        let hint =
            "put the server's CA certificate there (PEM), or take `ca_file` out of the settings";
        let pem = match context.files.read(path, MAX_CA) {
            Ok(Some(pem)) => pem,
            Ok(None) => {
                let text = format!("there is no file {}", path.display());
                return self.broken(WHAT, text, Some(hint));
            }
            Err(cause) => return self.broken(WHAT, chain(&cause), Some(hint)),
        };
        let anchors = Keyring::from_pem(&pem, KeyringOptions::default())
            .and_then(|keyring| keyring.anchors());
        match anchors {
            Ok(anchors) => {
                // One that is still valid is enough.
                if let Some(last) = anchors.iter().max_by_key(|anchor| anchor.not_after.0) {
                    let hint = "put a CA certificate there that is still valid";
                    self.age(context, "the server's CA", last, hint);
                }
            }
            Err(cause) => {
                let text =
                    format!("{} holds no CA certificates: {}", path.display(), chain(&cause));
                self.broken(WHAT, text, Some(hint));
            }
        }
    }

    fn age(
        &mut self,
        context: &Context,
        whose: &str,
        certificate: &CertificateInfo,
        hint: &'static str,
    ) {
        let named = format!("{whose} ({})", fit(&one_line(&certificate.subject), ADDRESS));
        // Without a clock no age is known; that it was never set has a finding of its own.
        if context.now.timestamp().unix_secs.is_none() {
            return self.ok(WHAT, format!("{named} can be read"));
        }
        let now = context.now.0;
        let soon = UnixTime(now.0.saturating_add(RENEW_SECS));
        if expired(now, certificate.not_after) {
            self.broken(WHAT, format!("{named} has expired"), Some(hint));
        } else if certificate.not_before.0 > now.0 {
            let hint = "look at the clock, and at the certificate";
            self.weak(WHAT, format!("{named} is not yet valid"), hint);
        } else if expired(soon, certificate.not_after) {
            self.weak(WHAT, format!("{named} expires in less than 30 days"), hint);
        } else {
            self.ok(WHAT, format!("{named} is valid"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_unit_that_brings_no_update_is_found() {
        for (load, active, runs, verdict, words) in [
            ("loaded", "active", Runs::Always, Verdict::Ok, "is active"),
            ("loaded", "inactive", Runs::Always, Verdict::Weak, "enable --now"),
            ("loaded", "inactive", Runs::AtTimes, Verdict::Ok, "is inactive"),
            ("loaded", "failed", Runs::Always, Verdict::Broken, "says why"),
            ("loaded", "failed", Runs::AtTimes, Verdict::Broken, "says why"),
            ("masked", "inactive", Runs::Always, Verdict::Broken, "unmask"),
            ("not-found", "inactive", Runs::AtTimes, Verdict::Broken, "is not-found"),
        ] {
            let mut exam = Exam::default();
            let state = UnitState { load: load.to_owned(), active: active.to_owned() };
            exam.unit("os-upgrade.timer", runs, &state);
            let [found] = exam.findings.as_slice() else { panic!("{load} {active}") };
            let text = format!("{} {}", found.text, found.hint.as_deref().unwrap_or_default());
            assert_eq!(found.verdict, verdict, "{text}");
            assert!(text.contains("os-upgrade.timer") && text.contains(words), "{text}");
        }
    }
}
