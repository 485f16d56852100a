// SPDX-License-Identifier: MIT OR Apache-2.0
//! When is a line waited for that cannot be had, and what is said of it? Whoever listens for days
//! and unattended must not be ended by an adapter that comes back slowly, and must not wait for
//! ever without a word on what he waits for. Pure.
//!
//! What is wrong when a person has just started the program is his mistake and ends it; only an
//! adapter that is not there yet is waited for. From then on everything is: the adapter's name may
//! be another program's for a while (modem managers try every new one), its owner is set a moment
//! after it came, and a person can put right what stays wrong.

use super::error::LineError;
use crate::terminal::one_line;
use std::time::Duration;

/// What lasts shorter is the adapter's coming, and nobody's trouble.
const SETTLES_WITHIN: Duration = Duration::from_secs(2);

/// So often in a row a line may come and go without a byte before that is no news any more: the
/// log is bounded, and what a board said must not be pushed out of it by what an adapter does.
const EMPTY_ROUNDS: u32 = 3;

/// What to do about a line that is refused or lost.
#[derive(Debug)]
pub enum Wait {
    /// End with it.
    GiveUp(LineError),
    /// Say this, and try again.
    Told(String),
    /// Try again.
    Silent,
}

/// Why it is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Absent,
    NotALine,
    Denied,
    InUse,
    Fails,
}

impl Reason {
    const fn of(error: &LineError) -> Self {
        match error {
            LineError::Absent { .. } | LineError::Gone { .. } => Self::Absent,
            LineError::NotALine { .. } => Self::NotALine,
            LineError::Denied { .. } => Self::Denied,
            LineError::InUse { .. } => Self::InUse,
            LineError::Stuck { .. } | LineError::Log { .. } | LineError::Io { .. } => Self::Fails,
        }
    }
}

/// A line that is waited for.
#[derive(Debug, Default)]
pub struct Waiting {
    has_begun: bool,
    /// The reason that was given last, and since when.
    since: Option<(Reason, Duration)>,
    /// Those that were told since the line was heard last.
    told: Vec<Reason>,
    /// How often in a row it was lost again before a byte came.
    empty_rounds: u32,
}

impl Waiting {
    /// Whether it is news that the line was opened.
    pub const fn is_news(&self) -> bool {
        self.empty_rounds < EMPTY_ROUNDS
    }

    /// The line could not be opened.
    pub fn refused(&mut self, refused: LineError, now: Duration) -> Wait {
        let reason = Reason::of(&refused);
        if !self.has_begun {
            if reason != Reason::Absent {
                return Wait::GiveUp(refused);
            }
            self.has_begun = true;
            return self.tell(reason, &refused);
        }
        let since = match self.since {
            Some((before, since)) if before == reason => since,
            Some(_) | None => now,
        };
        self.since = Some((reason, since));
        if now.saturating_sub(since) < SETTLES_WITHIN || self.told.contains(&reason) {
            return Wait::Silent;
        }
        self.tell(reason, &refused)
    }

    fn tell(&mut self, reason: Reason, refused: &LineError) -> Wait {
        self.told.push(reason);
        let text = if let LineError::Absent { path } | LineError::Gone { path } = refused {
            let hint = LineError::Absent { path: path.clone() }.hint();
            one_line(&format!("waiting for {}; {hint}", path.display()))
        } else {
            format!("waiting: {}", with_way_out(refused))
        };
        Wait::Told(text)
    }

    /// The line was opened, and lost again, after bytes or without one.
    pub fn lost(&mut self, lost: LineError, has_heard: bool) -> Wait {
        if matches!(lost, LineError::Log { .. }) {
            return Wait::GiveUp(lost);
        }
        let was_news = has_heard || self.is_news();
        let empty_rounds = if has_heard { 0 } else { self.empty_rounds.saturating_add(1) };
        let is_gone = matches!(lost, LineError::Gone { .. });
        (self.has_begun, self.since, self.empty_rounds) = (true, None, empty_rounds);
        if !was_news {
            return Wait::Silent;
        }
        self.told = if is_gone { vec![Reason::Absent] } else { Vec::new() };
        let mut text = if is_gone {
            format!("{lost}; waiting for it")
        } else {
            format!("waiting: {}", with_way_out(&lost))
        };
        if !self.is_news() {
            text.push_str(" (this goes on, and is not told again until the board is heard)");
        }
        Wait::Told(text)
    }
}

fn with_way_out(error: &LineError) -> String {
    one_line(&format!("{}; {}", storage::chain(error), error.hint()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error, ErrorKind};
    use std::path::PathBuf;

    fn path() -> PathBuf {
        PathBuf::from("/dev/ttyUSB0")
    }

    fn absent() -> LineError {
        LineError::Absent { path: path() }
    }

    fn in_use() -> LineError {
        LineError::InUse { path: path() }
    }

    fn denied() -> LineError {
        LineError::Denied { path: path(), source: Error::from(ErrorKind::PermissionDenied) }
    }

    fn fails() -> LineError {
        LineError::Io { act: "open", path: path(), source: Error::from(ErrorKind::Other) }
    }

    /// What is told while the same is refused for ten seconds, with the second it is told in.
    fn ten_seconds(
        waiting: &mut Waiting,
        begin: u64,
        refused: fn() -> LineError,
    ) -> Vec<(u64, String)> {
        let mut told = Vec::new();
        for tenth in 0..100 {
            let now = Duration::from_millis(begin * 1000 + tenth * 100);
            match waiting.refused(refused(), now) {
                Wait::Told(text) => told.push((now.as_secs() - begin, text)),
                Wait::Silent => {}
                Wait::GiveUp(error) => panic!("gave up at {now:?}: {error}"),
            }
        }
        told
    }

    #[test]
    fn what_is_wrong_at_the_start_ends_it_and_only_an_absent_adapter_is_waited_for() {
        for wrong in [in_use(), denied(), fails(), LineError::NotALine { path: path() }] {
            let waited = Waiting::default().refused(wrong, Duration::ZERO);
            assert!(matches!(waited, Wait::GiveUp(_)), "{waited:?}");
        }
        let told = ten_seconds(&mut Waiting::default(), 0, absent);
        let [(0, text)] = told.as_slice() else { panic!("{told:?}") };
        assert!(text.starts_with("waiting for /dev/ttyUSB0; plug in the adapter; `ls "), "{text}");
    }

    #[test]
    fn an_adapter_that_comes_slowly_is_waited_out_and_what_lasts_is_told_once() {
        for lost in [absent(), LineError::Gone { path: path() }, fails()] {
            let mut waiting = Waiting::default();
            assert!(matches!(waiting.lost(lost, true), Wait::Told(_)));
            for (begin, refused, part) in [
                (0, in_use as fn() -> LineError, "end the other terminal program"),
                (10, denied, "become a member of the group"),
                (20, fails, "unplug and plug in the adapter"),
            ] {
                let told = ten_seconds(&mut waiting, begin, refused);
                let [(2, text)] = told.as_slice() else { panic!("{told:?}") };
                assert!(text.starts_with("waiting: ") && text.contains(part), "{text}");
                // It comes and goes.
                assert_eq!(ten_seconds(&mut waiting, begin, refused), []);
            }
        }
    }

    #[test]
    fn what_passes_is_not_told() {
        let mut waiting = Waiting::default();
        waiting.refused(absent(), Duration::ZERO);
        for millis in (0..60_000).step_by(200) {
            let refused = if millis % 3000 < 1500 { in_use() } else { denied() };
            let waited = waiting.refused(refused, Duration::from_millis(millis));
            assert!(matches!(waited, Wait::Silent), "{millis}: {waited:?}");
        }
    }

    #[test]
    fn a_line_that_comes_and_goes_without_a_byte_is_told_three_times() {
        let mut waiting = Waiting::default();
        for lost in [fails as fn() -> LineError, || LineError::Gone { path: path() }] {
            let mut told = Vec::new();
            for _ in 0..100 {
                if let Wait::Told(text) = waiting.lost(lost(), false) {
                    told.push(text);
                }
            }
            let [.., last] = told.as_slice() else { panic!("nothing told") };
            assert!(told.len() == 3 && last.ends_with("until the board is heard)"), "{told:?}");
            assert!(!waiting.is_news());
            assert!(matches!(waiting.lost(lost(), true), Wait::Told(_)));
            assert!(waiting.is_news());
        }
    }

    #[test]
    fn a_full_disk_is_not_waited_out() {
        let source = Error::from(ErrorKind::StorageFull);
        let lost = LineError::Log { act: "write", path: PathBuf::from("x.log"), source };
        assert!(matches!(Waiting::default().lost(lost, true), Wait::GiveUp(_)));
    }
}
