// SPDX-License-Identifier: MIT OR Apache-2.0
//! A job until its end: over restarts of the service, over a network that goes away and comes back,
//! and over another address.
//!
//! Where the change asks for a confirmation it is given over the address that the device has
//! afterwards, as soon as it is reached there: that is what the confirmation is to prove.

use super::DeviceError;
use super::remote::Remote;
use super::show::Show;
use crate::failure::Failure;
use crate::output::{Output, Style};
use crate::terminal::one_line;
use bundle::http::ExchangeError;
use config_api::client::{Call, DeviceAddress, parse_job};
use config_api::jobs::{Job, JobId, JobState};
use serde_json::json;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Between two looks.
const POLL: Duration = Duration::from_millis(500);
/// In this is noticed that somebody wants an end.
const TICK: Duration = Duration::from_millis(100);

/// How a job is followed.
pub(super) struct Following {
    /// The job.
    pub(super) job: JobId,
    /// Where the device may answer: where it was, and where it goes.
    pub(super) places: Vec<DeviceAddress>,
    /// The one of them that has to be reached for a confirmation.
    pub(super) confirm_at: Option<DeviceAddress>,
    /// Without any answer for so long nobody knows any more.
    pub(super) patience: Duration,
}

/// Follows a job; gives it at its end, and where the device answers.
pub(super) fn follow(
    remote: &mut Remote,
    following: &Following,
    show: &mut Show<'_, '_>,
) -> Result<Job, Failure> {
    let mut turn = 0_usize;
    let mut heard = Instant::now();
    let mut is_confirmed = false;
    let mut is_lost = false;
    let mut is_known = false;
    loop {
        left(remote, following)?;
        if let Some(place) = following.places.get(turn % following.places.len().max(1)) {
            remote.address.clone_from(place);
        }
        match look(remote, &following.job) {
            Ok(job) => {
                (heard, is_known) = (Instant::now(), true);
                if is_lost {
                    show.say("found", &format!("{} answers", remote.address));
                    is_lost = false;
                }
                show.job(&job);
                if job.state.is_final() {
                    return Ok(job);
                }
                if !is_confirmed && job.current_step == "confirm" {
                    is_confirmed = confirm(remote, following, show)?;
                }
            }
            // The look itself was broken off: nothing is wrong with the device or its job.
            Err(_) if remote.stopped_by().is_some() => {}
            // It was never there, as far as we know.
            Err(error) if !is_known && !may_pass(&error, following) => return Err(error.into()),
            Err(error) if heard.elapsed() > following.patience || !may_pass(&error, following) => {
                return Err(
                    DeviceError::Unknown { job: following.job, source: Box::new(error) }.into()
                );
            }
            Err(error) => {
                if !is_lost && heard.elapsed() > POLL * 4 {
                    let cause = storage::chain(&error);
                    show.say("lost", &format!("{cause}; the change goes on, looking for it"));
                    is_lost = true;
                }
                turn += 1;
            }
        }
        rest(remote);
    }
}

fn look(remote: &Remote, job: &JobId) -> Result<Job, DeviceError> {
    let answer = remote.look(&Call::job(job))?;
    parse_job(&answer.body).ok_or_else(|| remote.not_understood("a job", &answer))
}

/// Whether another look may come to something else. At an address that is not the device's yet
/// somebody else may answer, who knows no such job.
fn may_pass(error: &DeviceError, following: &Following) -> bool {
    if let DeviceError::Exchange { source, .. } = error {
        return match source {
            ExchangeError::Connect(_)
            | ExchangeError::Silent { .. }
            | ExchangeError::Slow { .. }
            | ExchangeError::Broken(_) => true,
            ExchangeError::Head(_) | ExchangeError::TooLarge { .. } => following.places.len() > 1,
            ExchangeError::Option { .. } | ExchangeError::Stopped { .. } => false,
        };
    }
    if let DeviceError::Refused { refusal, .. } = error {
        return following.places.len() > 1 || matches!(refusal.status, 408 | 429 | 500..);
    }
    let is_other =
        matches!(error, DeviceError::NotUnderstood { .. } | DeviceError::Stranger { .. });
    is_other && following.places.len() > 1
}

/// Confirms over the address that counts; false where that is not reached yet.
fn confirm(
    remote: &mut Remote,
    following: &Following,
    show: &mut Show<'_, '_>,
) -> Result<bool, Failure> {
    let job = following.job;
    if let Some(place) = following.confirm_at.as_ref().filter(|place| **place != remote.address) {
        let back = std::mem::replace(&mut remote.address, place.clone());
        if look(remote, &job).is_err() {
            remote.address = back;
            return Ok(false);
        }
    }
    if !remote.has_key() {
        let address = &remote.address;
        show.say(
            "confirm",
            &format!("it waits: atomix config confirm {job} --device {address} --ssh-key KEY"),
        );
        return Ok(true);
    }
    match remote.ask(&Call::confirm(&job), 200, show.out.people) {
        Ok(_) => {
            show.say("confirmed", &format!("confirmed over {}", remote.address));
            Ok(true)
        }
        // It is over by now, or the way broke: the next look tells, and asks again if it waits.
        Err(DeviceError::Exchange { .. }) => Ok(false),
        Err(DeviceError::Refused { refusal, .. })
            if matches!(refusal.status, 404 | 429 | 500..) =>
        {
            Ok(false)
        }
        Err(error) => {
            let what = storage::chain(&error);
            show.say("confirm", &format!("not confirmed: {what}; the device goes back by itself"));
            left(remote, following)?;
            Ok(true)
        }
    }
}

/// Somebody wants to go: the change goes on.
fn left(remote: &Remote, following: &Following) -> Result<(), Failure> {
    let Some(by) = remote.stopped_by() else { return Ok(()) };
    let (job, device) = (following.job, remote.address.to_string());
    Err(DeviceError::Left { job, device, by }.into())
}

fn rest(remote: &Remote) {
    let end = Instant::now() + POLL;
    while remote.stopped_by().is_none() && Instant::now() < end {
        sleep(TICK);
    }
}

/// The end in words, or as a failure. What the device says stays in the lines that it is put into: an
/// operator takes the others for ours.
pub(super) fn conclude(job: &Job, remote: &Remote, out: &mut Output) -> Result<(), Failure> {
    let device = remote.address.to_string();
    out.event(&json!({ "version": 1, "event": "done", "device": device, "job": job }))?;
    if job.state == JobState::Succeeded {
        let result = job.result.clone().unwrap_or_default();
        if out.style == Style::Lines {
            out.warn_in_columns(&result.warnings)?;
            let secs = job.duration_seconds.unwrap_or_default();
            let place = result.forwarding_url.map_or(device, |place| one_line(&place));
            let lan = format!("in force and healthy after {secs:.1} s; on its LAN it is {place}");
            writeln!(out.data, "{lan}")?;
        }
        return Ok(());
    }
    for fault in &job.faults {
        writeln!(out.people, "{}", one_line(&fault.to_string()))?;
        if let Some(hint) = &fault.hint {
            writeln!(out.people, "  hint: {}", one_line(hint))?;
        }
    }
    let error = job.error.clone().unwrap_or_else(|| "no reason is told".to_owned());
    Err(DeviceError::JobFailed { device, error, rollback: job.rollback_status }.into())
}

#[cfg(test)]
mod tests {
    use super::super::remote::Credential;
    use super::*;
    use serde_json::Value;

    /// What people read of a job that ended like that, on both streams.
    fn told(job: Value) -> String {
        let job: Job = serde_json::from_value(job).unwrap();
        let remote = Remote::new("192.0.2.7", None, Credential::Nobody).unwrap();
        let (mut data, mut people) = (Vec::new(), Vec::new());
        let mut out = Output { style: Style::Lines, data: &mut data, people: &mut people };
        let mut show = Show::new(&mut out);
        show.say("lost", "words\nhint: forged");
        show.job(&job);
        show.finish();
        let ended = conclude(&job, &remote, &mut out);
        let failure = ended.err().map(|failure| failure.chain()).unwrap_or_default();
        String::from_utf8([data, people, failure.into_bytes()].concat()).unwrap()
    }

    /// An attacker's finding: what a device said began lines that looked like ours.
    #[test]
    fn nothing_that_a_device_says_begins_a_line_of_its_own() {
        let id = "0a1b2c3d-0000-4000-8000-000000000000";
        let forged = "x\nhint: forged\r\u{2028}in force and healthy on forged";
        let event = json!({
            "step": forged, "elapsed_seconds": 1.0, "message": forged, "service": forged,
            "status": forged,
        });
        let fault =
            json!({ "line": 1, "column": 1, "path": forged, "problem": forged, "hint": forged });
        let failed = json!({
            "id": id, "state": "failed", "current_step": forged, "events": [event],
            "error": forged, "faults": [fault],
        });
        let result = json!({ "warnings": [forged], "forwarding_url": forged });
        let done = json!({
            "id": id, "state": "succeeded", "current_step": "x", "result": result,
        });
        for (job, lines) in [(failed, 5), (done, 4)] {
            let told = told(job);
            assert!(told.contains("forged"), "{told}");
            let begun = |line: &str| {
                ["hint: forged", "in force and healthy on"]
                    .iter()
                    .any(|words| line.trim_start().starts_with(words))
            };
            assert!(!told.lines().any(begun), "{told}");
            assert!(!told.contains(['\r', '\u{2028}']), "{told}");
            assert!(told.lines().count() <= lines, "{told}");
        }
    }
}
