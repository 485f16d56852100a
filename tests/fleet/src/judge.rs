// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is that what a fleet may do to its servers and to itself? The bounds. Most are broken by mistakes
//! made on purpose in each run (`--teeth`); what [`crate::run`] does not list there was seen red by hand.

use crate::catalog::FETCHED;
use crate::meter::as_f64;
use crate::outcome::{Outcome, Share};

/// The fullest minute against the mean one, and the fullest second but for chance.
const MOST_RATIO: f64 = 3.0;
/// So many standard deviations chance adds to the fullest second of some hours.
const CHANCE: f64 = 5.0;
/// Below so many requests in the mean minute chance is all that is seen.
const LEAST_MEAN: f64 = 20.0;
/// Most devices of a thousand that a bad release may hurt before it is taken back, and where nobody
/// takes it back from its 5 %.
const MOST_HURT: [u32; 2] = [15, 50];
/// So many of a thousand have a reason not to be updated.
const MOST_LEFT: u32 = 30;
/// Minutes until 95 % are updated.
const MOST_MINUTES: u64 = 180;
/// Of a thousand bytes of what is installed, how many are sent: links lose some.
const MOST_SENT: u64 = 1300;
/// Of how many standard deviations a share may be off.
const DEVIATIONS: f64 = 4.0;

/// Everything that is not as it should be, in words.
#[must_use]
pub fn judge(outcome: &Outcome) -> Vec<String> {
    let mut wrong = Vec::new();
    herd(outcome, &mut wrong);
    updated(outcome, &mut wrong);
    failures(outcome, &mut wrong);
    if let Some(share) = outcome.share {
        drawn(share, &mut wrong);
    }
    wrong
}

fn herd(outcome: &Outcome, wrong: &mut Vec<String>) {
    for one in &outcome.measured {
        if one.to.is_none() {
            wrong.push(format!("{}: 95 % of its devices are never updated", one.server));
        }
        if one.mean_minute < LEAST_MEAN {
            continue;
        }
        if one.ratio > MOST_RATIO {
            wrong.push(format!(
                "{}, {}: a herd: {} requests in one minute, {:.0} in the mean one",
                one.server, one.span, one.peak_minute, one.mean_minute
            ));
        }
        let even = MOST_RATIO * one.mean_second;
        let most = even + CHANCE * even.sqrt();
        if as_f64(one.peak_second) > most {
            wrong.push(format!(
                "{}, {}: a herd: {} requests in one second, {:.1} in the mean one",
                one.server, one.span, one.peak_second, one.mean_second
            ));
        }
    }
}

fn updated(outcome: &Outcome, wrong: &mut Vec<String>) {
    if let Some(first) = outcome.unexplained.first() {
        let all = outcome.unexplained.len();
        wrong.push(format!("{all} devices are not updated without a good reason: {first}"));
    }
    let left: u32 = outcome.not_updated.values().sum();
    if u64::from(left) * 1000 > u64::from(outcome.devices) * u64::from(MOST_LEFT) {
        wrong.push(format!("{left} devices are not updated"));
    }
    let is_released = outcome.updated > 0 || left > 0;
    if is_released && outcome.minutes_to_95.is_none_or(|minutes| minutes > MOST_MINUTES) {
        let when = outcome.minutes_to_95.map_or("no".to_owned(), |minutes| minutes.to_string());
        wrong.push(format!("95 % are updated after {when} minutes"));
    }
    let sent: u64 = outcome.totals.iter().map(|one| one.bytes).sum();
    let most = u64::from(outcome.installs) * FETCHED.get() / 1000 * MOST_SENT;
    if sent > most && outcome.installs > 0 {
        let (sent, installs) = (sent >> 20, outcome.installs);
        wrong.push(format!("{sent} MiB for {installs} installs of {} MiB", FETCHED.get() >> 20));
    }
    if outcome.words_refused > 0 {
        wrong.push(format!("hawkBit's server refused {} words of devices", outcome.words_refused));
    }
}

fn failures(outcome: &Outcome, wrong: &mut Vec<String>) {
    let Outcome { devices, hurt, .. } = *outcome;
    if outcome.installed_known_failed > 0 {
        let times = outcome.installed_known_failed;
        wrong.push(format!("what had failed on a device was installed there again {times} times"));
    }
    if outcome.hurt_again > 0 {
        wrong.push(format!("{} devices fell back more than once", outcome.hurt_again));
    }
    if outcome.sequences_sunk > 0 {
        let times = outcome.sequences_sunk;
        wrong.push(format!("an older document was followed {times} times"));
    }
    let [stopped, unwatched] = MOST_HURT;
    let most = match outcome.scenario {
        "bad" => stopped,
        "unwatched" => unwatched,
        _ => {
            if hurt > 0 {
                wrong.push(format!("{hurt} devices fell back from a sound release"));
            }
            return;
        }
    };
    if outcome.scenario == "bad" && outcome.stopped_after.is_none() {
        wrong.push("the operator never learned that the release is bad".to_owned());
    }
    if hurt == 0 {
        wrong.push("nobody was hurt by the bad release: nothing was shown".to_owned());
    }
    if u64::from(hurt) * 1000 > u64::from(devices) * u64::from(most) {
        wrong.push(format!("the bad release hurt {hurt} devices"));
    }
}

/// The drawn devices are as many as the percentage says, but for chance.
fn drawn(share: Share, wrong: &mut Vec<String>) {
    let (of, part) = (f64::from(share.of), f64::from(share.percent) / 100.0);
    let (mean, deviation) = (of * part, (of * part * (1.0 - part)).sqrt());
    if (f64::from(share.taken) - mean).abs() > DEVIATIONS * deviation {
        wrong.push(format!(
            "{} of {} devices are in a rollout of {} %",
            share.taken, share.of, share.percent
        ));
    }
}
