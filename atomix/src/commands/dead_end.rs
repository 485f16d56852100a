// SPDX-License-Identifier: MIT OR Apache-2.0
//! Must the running system give up on itself? What units ask in emergency mode and when a boot's
//! verdict does not come.
//!
//! Decides and records; the reboot is the unit's, whose start fails (`FailureAction=`), so that it
//! also comes where this program is what is broken. A person who asked for a shell on the kernel
//! command line is never rebooted.

use crate::boot_control::BootControl;
use crate::context::{Context, Machine};
use crate::failure::Failure;
use crate::output::Output;
use crate::programs;
use crate::terminal::one_line;
use bootctl::{
    BootState, Command, Entry, KernelCmdline, Reason, SlotId, SlotState, is_left_when_unhealthy,
};
use std::path::Path;
use std::time::Duration;
use storage::{Access, ByteLen, Files};

/// Where a boot that goes on without being confirmed says so; gone with the boot.
const VERDICT_PATH: &str = "/run/atomix/verdict";

/// Longest file there that is read; it holds a line.
const MAX_VERDICT: ByteLen = ByteLen::kib(4);

/// What is recorded of a boot without a verdict.
const NO_VERDICT: &str = "no verdict within 15 minutes of its start";

/// The words by which systemd starts a shell instead of the system.
const SHELL_WORDS: [&str; 8] = ["emergency", "-b", "rescue", "single", "-s", "s", "S", "1"];

/// The targets that are such shells.
const SHELL_TARGETS: [&str; 2] = ["emergency.target", "rescue.target"];

/// Whether there is a verdict of this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum VerdictSeen {
    Yes,
    No,
}

/// What the deadline means for a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deadline {
    /// Nothing, and why.
    Stay(&'static str),
    /// The slot is left.
    Leave,
}

/// Writes down that this boot was judged and goes on unconfirmed, as configured.
///
/// # Errors
/// [`Failure::Files`].
pub fn keep_verdict(context: &Context, summary: &str) -> Result<(), Failure> {
    Ok(context.files.clone().replace(Path::new(VERDICT_PATH), summary.as_bytes())?)
}

/// The system ended in `cause`, and nobody sits there. A slot that is not on trial waits `pause`
/// first: what it lacks, the other one lacks as well, and each turn of the two costs the flash some
/// of its erase cycles.
///
/// # Errors
/// [`Failure::Refused`], by which the unit reboots; nothing where a person asked for it.
pub fn give_up(
    context: &Context,
    cause: &str,
    pause: Duration,
    out: &mut Output,
) -> Result<(), Failure> {
    if context.cmdline().is_ok_and(|line| wants_shell(&line)) {
        return out.done("the kernel command line asked for this shell: the board stays");
    }
    let failed = if is_own_machine(context) { programs::failed_units() } else { Vec::new() };
    let cause = match failed.as_slice() {
        [] => cause.to_owned(),
        units => format!("{cause}, failed: {}", units.join(" ")),
    };
    let line = context.cmdline().unwrap_or_default();
    let slot = context.booted().ok().flatten();
    let end = leave(context, slot, &cause, out);
    let state = state_of(context, slot, out).zip(slot);
    let state = state.map(|(state, slot)| state.slot(slot).state);
    if !pause.is_zero() && !is_on_trial(&line, state) {
        out.done(&format!("the board reboots in {} s", pause.as_secs()))?;
        std::thread::sleep(pause);
    }
    end
}

/// Whether the slot has still to prove itself. Where its state cannot be read the selector's word
/// on the command line decides.
fn is_on_trial(line: &KernelCmdline, state: Option<SlotState>) -> bool {
    match state {
        Some(state) => state == SlotState::Trying,
        None => line.reason() == Some(Reason::Trying),
    }
}

fn state_of(context: &Context, slot: Option<SlotId>, out: &mut Output) -> Option<BootState> {
    slot.and_then(|_| match BootControl::open(context, Access::ReadOnly) {
        Ok(control) => Some(control.state().clone()),
        Err(failure) => {
            let _ = out.warn(&[failure.as_warning()]);
            None
        }
    })
}

/// The time for a verdict is over.
///
/// # Errors
/// [`Failure::Refused`], by which the unit reboots; nothing where the boot may go on.
pub fn deadline(context: &Context, out: &mut Output) -> Result<(), Failure> {
    let line = context.cmdline().unwrap_or_default();
    let slot = context.booted().ok().flatten();
    // What cannot be read must neither end a good slot nor keep a trying one.
    let state = state_of(context, slot, out);
    let seen = match context.files.read(Path::new(VERDICT_PATH), MAX_VERDICT) {
        Ok(Some(_)) => VerdictSeen::Yes,
        Ok(None) | Err(_) => VerdictSeen::No,
    };
    match judge_deadline(&line, slot, state.as_ref(), seen) {
        Deadline::Stay(why) => out.done(&format!("the board stays: {why}")),
        Deadline::Leave => {
            // An update on trial is counted anyway, also where its state is out of reach.
            let told = match (&state, slot) {
                (Some(state), Some(slot)) if !is_on_trial(&line, Some(state.slot(slot).state)) => {
                    BootControl::open(context, Access::ReadWrite)
                        .and_then(|mut control| tell_selector(&mut control, slot))
                }
                (Some(_) | None, Some(_) | None) => Ok(()),
            };
            match told {
                Ok(()) => leave(context, slot, NO_VERDICT, out),
                // Any failure of this program reboots, and the selector would come back here.
                Err(failure) => {
                    out.warn(&[failure.as_warning()])?;
                    out.done("the board stays: the way to the better slot cannot be stored")
                }
            }
        }
    }
}

/// Before an unhealthy slot is left, the selector's half must know where to go: also what was
/// recalled of a lost environment, without which it would take the same slot again. An update on
/// trial is counted anyway, and left without.
///
/// # Errors
/// [`Failure`]; the slot is then not to be left.
pub fn tell_selector(control: &mut BootControl, slot: SlotId) -> Result<(), Failure> {
    match control.state().slot(slot).state {
        SlotState::Trying => Ok(()),
        SlotState::Empty
        | SlotState::Writing
        | SlotState::Good
        | SlotState::Bad
        | SlotState::Unknown => Ok(control.apply(&Command::Leave { slot })?),
    }
}

/// A slot that said nothing is left if it is on trial, or if there is a better one. A good one is
/// never rebooted here: it may be the last that reaches the network.
fn judge_deadline(
    line: &KernelCmdline,
    slot: Option<SlotId>,
    state: Option<&BootState>,
    seen: VerdictSeen,
) -> Deadline {
    let Some(slot) = slot else {
        return Deadline::Stay("it was not booted from a slot");
    };
    if wants_shell(line) {
        return Deadline::Stay("the kernel command line asked for a shell");
    }
    let leaves = state.is_some_and(|state| is_left_when_unhealthy(state, slot, line.reason()));
    match (state.map(|state| state.slot(slot).state), seen) {
        (Some(SlotState::Good), VerdictSeen::Yes | VerdictSeen::No) => {
            Deadline::Stay("the slot is confirmed")
        }
        (Some(_), VerdictSeen::No) if leaves => Deadline::Leave,
        (Some(_), VerdictSeen::Yes) if leaves => {
            Deadline::Stay("the slot was judged, and the settings let it run")
        }
        (Some(_), VerdictSeen::Yes | VerdictSeen::No) => {
            Deadline::Stay("the slot is not on trial, and no better one is known")
        }
        (None, VerdictSeen::No) if is_on_trial(line, None) => Deadline::Leave,
        (None, VerdictSeen::Yes | VerdictSeen::No) => {
            Deadline::Stay("nothing says that the slot is on trial")
        }
    }
}

/// Whether the command line asks systemd for a shell.
fn wants_shell(line: &KernelCmdline) -> bool {
    line.get("systemd.unit").is_some_and(|unit| SHELL_TARGETS.contains(&unit))
        || SHELL_WORDS.iter().any(|word| line.has(word) && line.get(word).is_none())
}

/// Records the cause where that is possible, and fails.
fn leave(
    context: &Context,
    slot: Option<SlotId>,
    cause: &str,
    out: &mut Output,
) -> Result<(), Failure> {
    if let Some(slot) = slot
        && let Err(failure) = record(context, slot, cause)
    {
        // The reboot must not depend on the memory of it.
        out.warn(&[failure.as_warning()])?;
    }
    let who = slot.map_or("this system".to_owned(), |slot| format!("slot {slot}"));
    Err(Failure::Refused {
        what: format!("{who} gives up: {}", one_line(cause)),
        hint: "its unit reboots the board; `atomix why` tells the reason afterwards",
    })
}

fn record(context: &Context, slot: SlotId, cause: &str) -> Result<(), Failure> {
    let mut recorder = context.recorder(&context.settings()?, Access::ReadWrite)?;
    let entry = Entry::DeadEnd { slot, cause: cause.to_owned() };
    recorder.append(context.now.timestamp(), &entry)?;
    Ok(())
}

/// Whether the context is the machine that this runs on.
pub fn is_own_machine(context: &Context) -> bool {
    context.machine == Machine::Real && context.root == Path::new("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// B runs, in `running`, beside an A in `other`.
    fn beside(running: SlotState, other: SlotState) -> BootState {
        let mut state = BootState::lost();
        (state.a.state, state.b.state) = (other, running);
        state
    }

    fn line(text: &str) -> KernelCmdline {
        KernelCmdline::parse(text)
    }

    #[test]
    fn only_what_said_nothing_and_is_on_trial_or_beside_a_better_slot_is_left() {
        for running in SlotState::ALL {
            for other in SlotState::ALL {
                for seen in [VerdictSeen::Yes, VerdictSeen::No] {
                    let line = line("rauc.slot=B atomix.reason=env-lost");
                    let state = beside(running, other);
                    let judged = judge_deadline(&line, Some(SlotId::B), Some(&state), seen);
                    let better = other == SlotState::Good && running != SlotState::Good;
                    let leaves = running == SlotState::Trying || better;
                    let leaves = leaves && seen == VerdictSeen::No;
                    assert_eq!(judged == Deadline::Leave, leaves, "{running} {other} {seen:?}");
                }
            }
        }
    }

    #[test]
    fn the_last_resort_is_not_left_for_a_good_slot_that_does_not_load() {
        let line = line("rauc.slot=B atomix.reason=last-resort");
        let state = beside(SlotState::Bad, SlotState::Good);
        let judged = judge_deadline(&line, Some(SlotId::B), Some(&state), VerdictSeen::No);
        assert!(matches!(judged, Deadline::Stay(_)));
    }

    /// An update whose kernel cannot reach the environment can neither confirm itself nor be seen
    /// as trying.
    #[test]
    fn a_slot_whose_state_is_out_of_reach_is_left_when_the_selector_called_it_trying() {
        let judge =
            |text: &str| judge_deadline(&line(text), Some(SlotId::B), None, VerdictSeen::No);
        assert_eq!(judge("atomix.reason=trying"), Deadline::Leave);
        for text in ["atomix.reason=normal", "atomix.reason=env-lost", ""] {
            assert!(matches!(judge(text), Deadline::Stay(_)), "{text}");
        }
    }

    #[test]
    fn only_a_slot_on_trial_is_left_without_a_pause() {
        for state in SlotState::ALL {
            let line = line("rauc.slot=B atomix.reason=trying");
            assert_eq!(is_on_trial(&line, Some(state)), state == SlotState::Trying, "{state}");
        }
        assert!(is_on_trial(&line("atomix.reason=trying"), None));
        assert!(!is_on_trial(&line("atomix.reason=normal"), None));
    }

    #[test]
    fn nobody_is_rebooted_who_asked_for_a_shell_or_came_from_elsewhere() {
        let trying = beside(SlotState::Trying, SlotState::Good);
        for text in ["emergency", "x single y", "systemd.unit=rescue.target", "1", "-b"] {
            let judged =
                judge_deadline(&line(text), Some(SlotId::B), Some(&trying), VerdictSeen::No);
            assert!(matches!(judged, Deadline::Stay(_)), "{text}");
            assert!(wants_shell(&line(text)), "{text}");
        }
        let judged = judge_deadline(&line(""), None, None, VerdictSeen::No);
        assert!(matches!(judged, Deadline::Stay(_)));
    }

    #[test]
    fn other_words_ask_for_no_shell() {
        for text in ["", "rescue=no", "systemd.unit=multi-user.target", "rd.rescue", "panic=1"] {
            assert!(!wants_shell(&line(text)), "{text}");
        }
    }
}
