// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can somebody do about a refusal, and who ends a wait? One way out for each rule; it names
//! only what overrules that rule.

use super::{Decision, Judgement, Rule};

impl Rule {
    /// What to do about an update that this rule holds up.
    #[must_use]
    pub const fn way_out(self) -> &'static str {
        match self {
            Self::Same => "nothing is to be done: the device has it",
            Self::Slot => {
                "`atomix boot state` shows the slots; boot a good one, or let the one that runs \
                 prove itself"
            }
            Self::Product => "the server has to offer the bundle of this product",
            Self::Manifest | Self::Size | Self::Version => {
                "publish the bundle again: what the server says of it is not what it is"
            }
            Self::Failed => {
                "offer a mended bundle; `--once --insist` at the device or a server that forces \
                 it anew tries this one again"
            }
            Self::Downgrade => {
                "offer a newer version, or set `allow_downgrade = true` in [os_upgrade.policy]"
            }
            Self::MinVersion => "offer a version in between first, which takes what runs now",
            Self::Expiry => "publish the release again with a later expiry, or set the clock",
            Self::UpdateBytes => "raise `max_update_mib` in [os_upgrade.policy]",
            Self::Clock => {
                "set the clock; `--once --insist` at the device or a server that forces it does \
                 not wait"
            }
            Self::Rollout => "its turn comes by itself; `--once --insist` at the device is first",
            Self::Trial => {
                "`atomix boot mark-good` confirms what runs; `--once --insist` or a server that \
                 forces it does not wait"
            }
            Self::Begun => {
                "let one install come to its end: the server takes them back; `--once --insist` at \
                 the device does not wait"
            }
            Self::Window => {
                "it opens by itself; `--once --insist` at the device or a server that forces it \
                 does not wait"
            }
            Self::Metered => {
                "use a link that is not paid by the byte (`/etc/atomix/metered` says which is), \
                 or `--once --insist` at the device"
            }
            Self::DayBytes => {
                "raise `max_day_mib` in [os_upgrade.policy], or `--once --insist` at the device"
            }
            Self::Reboot => "restart the device, or change `reboot` in [os_upgrade.policy]",
            Self::Inhibitors => "`systemd-inhibit --list` shows who asks for that; end it there",
        }
    }
}

impl Judgement {
    /// What to do about it, where it is refused, waits, or is left to somebody else.
    #[must_use]
    pub fn way_out(&self) -> Option<&'static str> {
        match &self.decision {
            Decision::Refuse { why } | Decision::Wait { why, .. } => Some(why.way_out()),
            Decision::UpToDate
            | Decision::Look
            | Decision::Install { .. }
            | Decision::LeaveTrial { .. }
            | Decision::Reboot { .. }
            | Decision::Nothing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::scene::Scene;
    use crate::test_facts::{NOON, manifest};
    use crate::{Days, Link, MeteredRule, RebootRule, Rollout, Window};
    use bootctl::SlotState;
    use bundle::UnixTime;
    use std::time::Duration;
    use storage::ByteLen;

    type Change = fn(&mut Scene);

    fn on_trial(scene: &mut Scene) {
        scene.facts.a.state = SlotState::Trying;
        scene.facts.b.state = SlotState::Good;
    }

    /// What makes each rule refuse or wait, whether it does so for a person who insists and for a
    /// server that forces, and a word of the way out.
    const HELD: [(Rule, &str, Change); 21] = [
        (Rule::Slot, "boot state", |scene| scene.facts.booted = None),
        (Rule::Product, "this product", |scene| scene.looked.compatible = "kiosk".to_owned()),
        (Rule::Manifest, "publish", |scene| scene.offer.manifest = Some(manifest(4))),
        (Rule::Size, "publish", |scene| scene.offer.size = Some(ByteLen::mib(99))),
        (Rule::Version, "publish", |scene| scene.offer.version = "2.1".to_owned()),
        (Rule::Failed, "forces", |scene| scene.facts.failed = vec![manifest(3).into()]),
        (Rule::Failed, "--insist", |scene| scene.memory.refused = Some(manifest(3))),
        (Rule::Downgrade, "allow_downgrade = true", |scene| {
            scene.facts.a.version = Some("3.0".to_owned());
        }),
        (Rule::Downgrade, "allow_downgrade = true", |scene| scene.facts.a.version = None),
        (Rule::MinVersion, "in between", |scene| scene.offer.min_version = Some("1.1".to_owned())),
        (Rule::Expiry, "later expiry", |scene| scene.offer.expires = Some(UnixTime(NOON.0 - 1))),
        (Rule::UpdateBytes, "max_update_mib", |scene| {
            scene.policy.most_update = Some(ByteLen::mib(39));
        }),
        (Rule::DayBytes, "max_day_mib", |scene| scene.policy.most_day = Some(ByteLen::mib(39))),
        (Rule::Clock, "set the clock", |scene| {
            (scene.facts.clock.is_set, scene.facts.up) = (false, Duration::ZERO);
            scene.policy.windows = vec![Window::new(Days::EVERY, 0, 0, 0).unwrap()];
        }),
        (Rule::Rollout, "--insist", |scene| {
            let (begins, ends) = (NOON, UnixTime(NOON.0 + 3600));
            scene.offer.rollout = Some(Rollout { begins, ends, percent: 0 });
        }),
        (Rule::Trial, "mark-good", |scene| {
            on_trial(scene);
            scene.facts.up = Duration::ZERO;
        }),
        (Rule::Begun, "--insist", |scene| {
            (5..=7).for_each(|number| scene.memory.begins(manifest(number), &scene.facts));
        }),
        (Rule::Window, "forces", |scene| {
            scene.policy.windows = vec![Window::new(Days::EVERY, 120, 240, 0).unwrap()];
        }),
        (Rule::Metered, "/etc/atomix/metered", |scene| {
            scene.facts.link = Link::Metered;
            scene.policy.metered = MeteredRule::Defer;
        }),
        (Rule::Reboot, "[os_upgrade.policy]", |scene| {
            on_trial(scene);
            scene.policy.reboot = RebootRule::Never;
        }),
        (Rule::Inhibitors, "systemd-inhibit", |scene| {
            on_trial(scene);
            scene.facts.inhibitors = vec!["backup".to_owned()];
        }),
    ];

    /// Fails when a rule that refuses or waits leads nowhere, and when it leads to somebody who does
    /// not overrule it.
    #[test]
    fn every_refusal_and_every_wait_has_words_and_a_way_out() {
        for (rule, word, change) in HELD {
            let judged = Scene::with(change).looked_at();
            let because = judged.because().map(|check| check.rule);
            assert_eq!(because, Some(rule), "{:#?}", judged.checks);
            assert!(!judged.because().unwrap().words.is_empty(), "{rule:?}");
            let way = judged.way_out().unwrap();
            assert!(way.contains(word), "{rule:?}: {way}");
            assert!(judged.lines().join(" ").contains("way out: "), "{rule:?}");
            assert_eq!(judged.to_json()["way_out"], way);
            let still_holds = |scene: Scene| scene.looked_at().way_out() == Some(way);
            if way.contains("--insist") {
                assert!(!still_holds(Scene::with(change).insisted()), "{rule:?}: {way}");
            }
            if way.contains("forces") {
                assert!(!still_holds(Scene::with(change).forced()), "{rule:?}: {way}");
            }
        }
        let untold = |rule: &&Rule| !HELD.iter().any(|(held, ..)| held == *rule);
        assert_eq!(Rule::ALL.iter().filter(untold).collect::<Vec<_>>(), [&Rule::Same]);
        assert_eq!(Scene::new().looked_at().way_out(), None);
    }
}
