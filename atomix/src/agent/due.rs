// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is it time for the next question? For rounds that a timer starts: the timer comes often, and the
//! agent's own pace says when the server is asked. Kept until the next boot, in the time since it,
//! which no clock can turn back.

use crate::context::Context;
use crate::failure::Failure;
use agents::Pace;
use nix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::time::Duration;
use storage::{ByteLen, Files};

/// Seconds after the boot at which the next question is due.
const NEXT_PATH: &str = "/run/atomix/agent/next-question";

/// Set by systemd for what a timer starts (`systemd.exec`, since version 252).
const TRIGGER: &str = "TRIGGER_UNIT";

const MAX_NUMBER: ByteLen = ByteLen::new(32);

/// Who wants this round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Somebody who wants it now.
    Person,
    /// A timer, which comes often.
    Timer,
}

impl Asker {
    /// Whoever started this process.
    #[must_use]
    pub fn of_process() -> Self {
        let timer = std::env::var_os(TRIGGER)
            .is_some_and(|unit| Path::new(&unit).extension().is_some_and(|kind| kind == "timer"));
        if timer { Self::Timer } else { Self::Person }
    }
}

/// The time since the boot, with the time that the device was suspended.
#[must_use]
pub fn since_boot() -> Duration {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
    // No board has another system.
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;
    // Every kernel that this program runs on has this clock.
    clock_gettime(CLOCK).map(Duration::from).unwrap_or_default()
}

/// Whether the server is to be asked at `now` after the boot; the first time at the device's own
/// place in the interval. A time that no pace gives is none.
#[must_use]
pub fn is_due(context: &Context, pace: &Pace, device: &str, now: Duration) -> bool {
    // One that cannot be read is asked for too early, once.
    let kept = context.read_text(Path::new(NEXT_PATH), MAX_NUMBER).ok().flatten();
    match kept.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs) {
        Some(next) => now >= next || next.saturating_sub(now) > pace.longest(),
        None => now >= pace.first(device),
    }
}

/// Keeps when the next one is due.
///
/// # Errors
/// [`Failure::Files`]; the next round of the timer then asks again.
pub fn keep_next(context: &Context, now: Duration, wait: Duration) -> Result<(), Failure> {
    let next = now.saturating_add(wait).as_secs();
    context.files.clone().replace(Path::new(NEXT_PATH), format!("{next}\n").as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Now;
    use agents::Policy;
    use bundle::UnixTime;

    #[test]
    fn a_timer_that_comes_often_asks_at_the_agents_pace() {
        let dir = tempfile::tempdir().unwrap();
        let context = Context::host(dir.path(), Now(UnixTime(0)));
        let pace = Pace::new(Duration::from_secs(3600), &Policy::default());
        let at = |secs| is_due(&context, &pace, "d", Duration::from_secs(secs));
        let first = pace.first("d").as_secs();
        assert!(!at(0) && !at(first - 1) && at(first + 1), "spread over the interval after a boot");
        keep_next(&context, Duration::from_secs(first), Duration::from_secs(1000)).unwrap();
        assert!(!at(first + 999) && at(first + 1000));
        // Of another boot, or nonsense.
        keep_next(&context, Duration::from_secs(1_000_000), Duration::ZERO).unwrap();
        assert!(at(10));
        context.files.clone().replace(Path::new(NEXT_PATH), b"soon").unwrap();
        assert!(at(first + 1));
        // A week is what the owner may want.
        let week = Duration::from_secs(7 * 86_400);
        keep_next(&context, Duration::ZERO, week).unwrap();
        let weekly = Pace::of_owner(week, &Policy::default());
        let is_due = |secs| is_due(&context, &weekly, "d", Duration::from_secs(secs));
        assert!(!is_due(10) && !is_due(7 * 86_400 - 1) && is_due(7 * 86_400));
        assert!(at(10), "no hourly pace gives it");
    }
}
