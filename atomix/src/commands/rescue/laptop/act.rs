// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done at the prompt, in which order? Each act reads, shows what it will change, changes,
//! saves, restarts the board and takes what the board then does as the proof.

use super::asking::Answer;
use super::command::Command;
use super::found::{Found, value_of};
use super::plan::{Plan, plan_boot, plan_root_login, plan_state};
use super::report::Report;
use super::session::Session;
use super::stop_text::{self, StopText};
use super::watch::{End, Seen};
use crate::failure::Failure;
use crate::line_cli::LineArgs;
use crate::output::{Output, Style};
use bootctl::{Force, SlotId};
use std::env;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

/// USB mass storage ends by itself after ten minutes without a transfer; a disk may take hours.
const UMS_PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Runs `atomix rescue --tty`.
///
/// # Errors
/// [`Failure`] with what the board did instead.
pub fn run(tty: &Path, args: &LineArgs, out: &mut Output) -> Result<(), Failure> {
    let has_act = args.status || args.root_shell || args.ums || args.env_repair;
    let is_console = args.boot.is_none() && !has_act;
    if is_console && (out.style == Style::Json || !io::stdin().is_terminal()) {
        return Err(Failure::Usage {
            what: "the board's console needs a terminal".to_owned(),
            hint: "name an action, such as --status; `atomix serial capture` only listens",
        });
    }
    // A console types nothing by itself.
    let stop = if is_console {
        None
    } else {
        let variable = env::var_os(stop_text::VARIABLE);
        StopText::given(args.stop_string.as_deref(), variable.as_deref())?
    };
    let mut session = Session::open(tty, args, out)?;
    if is_console {
        session.console()?;
        return session.tell("the console is closed; the board goes on as it is");
    }
    session.reach_prompt(stop)?;
    let found = session.read()?;
    for warning in found.state().1 {
        session.tell(&format!("warning: {}", crate::terminal::one_line(&warning)))?;
    }
    let report = if args.status {
        status(&mut session, args, &found)?
    } else if let Some(slot) = args.boot {
        let force = if args.force { Force::Yes } else { Force::No };
        boot(&mut session, &found, slot, force)?
    } else if args.root_shell {
        root_shell(&mut session, &found)?
    } else if args.ums {
        mass_storage(&mut session, &found)?
    } else {
        repair(&mut session, args, &found)?
    };
    session.out.answer(&report, Report::render)?;
    // A program that reads JSON has no use for a console.
    let is_person = session.out.style == Style::Lines && io::stdin().is_terminal();
    if args.root_shell && is_person {
        session.console()?;
    }
    Ok(())
}

fn status(session: &mut Session, args: &LineArgs, found: &Found) -> Result<Report, Failure> {
    let mut report = Report::new("status", found);
    report.outcome = go_on(session, args, "nothing was changed")?;
    Ok(report)
}

/// Ends an act that proves nothing by a boot.
fn go_on(session: &mut Session, args: &LineArgs, done: &str) -> Result<String, Failure> {
    if args.stay {
        return Ok(format!(
            "{done}; the board stays at U-Boot's prompt, and restarts by itself after 5 minutes \
             without a key"
        ));
    }
    let seen = session.restart()?;
    Ok(format!("{done}; {}", told(&seen)))
}

fn boot(
    session: &mut Session,
    found: &Found,
    slot: SlotId,
    force: Force,
) -> Result<Report, Failure> {
    demand_selector(session, found)?;
    let plan = or_leave(session, plan_boot(found, slot, force))?;
    let mut report = Report::new("boot", found);
    let kept = save(session, &plan)?;
    let seen = session.restart()?;
    match (seen.selected, seen.end) {
        (Some((taken, _)), Some(End::Started)) if taken == slot => {}
        // The last resort waits for minutes.
        (Some((taken, _)), None) if taken == slot => {}
        _ => {
            return Err(Failure::NotVerified {
                what: format!("slot {slot} was asked for and saved, but {}", told(&seen)),
                hint: "run it again with --status: it says what the selector goes by",
            });
        }
    }
    report.changes = plan.changes;
    report.outcome = format!("{kept}; {}", told(&seen));
    Ok(report)
}

fn root_shell(session: &mut Session, found: &Found) -> Result<Report, Failure> {
    let plan = plan_root_login(found)?;
    let mut report = Report::new("root-shell", found);
    let kept = save(session, &plan)?;
    let seen = session.restart()?;
    report.changes = plan.changes;
    report.outcome = format!(
        "{kept}; {}; once Linux is up it takes the request back and opens one root login on this \
         line",
        told(&seen)
    );
    if seen.end == Some(End::Started) {
        return Ok(report);
    }
    Err(Failure::NotVerified {
        what: format!("a root login was asked for and saved, but {}", told(&seen)),
        hint: "run it again with --status: it says which slot can be started",
    })
}

fn mass_storage(session: &mut Session, found: &Found) -> Result<Report, Failure> {
    demand_selector(session, found)?;
    session.demand(&Command::Default(&["atomix_recover"]))?;
    let script = session.ask(&Command::Print("atomix_recover"))?;
    let shows_disk = value_of("atomix_recover", &script).is_some_and(|text| text.contains("ums "));
    if !shows_disk {
        return or_leave(
            session,
            Err(Failure::Refused {
                what:
                    "this board's U-Boot cannot show its disk over USB: it has no USB gadget port"
                        .to_owned(),
                hint: "take the card or module out, or boot the other slot by --boot",
            }),
        );
    }
    let mut report = Report::new("ums", found);
    let meanwhile = "the board's disk appears as a USB disk here: `lsblk` names it, `atomix flash \
                     IMAGE /dev/sdX` writes it. Eject it when you are done; after 10 minutes \
                     without a transfer it ends by itself";
    let command = Command::Run("atomix_recover");
    if !session.attend(&command, "UMS: LUN 0", meanwhile, UMS_PATIENCE)? {
        let failed = Failure::Board {
            what: "the board does not show its disk over USB".to_owned(),
            hint: "plug a cable into the board's USB port that can be a device, then try again"
                .to_owned(),
        };
        return or_leave(session, Err(failed));
    }
    let seen = session.restart()?;
    report.outcome = format!("the disk was shown over USB until it was let go; {}", told(&seen));
    Ok(report)
}

fn repair(session: &mut Session, args: &LineArgs, found: &Found) -> Result<Report, Failure> {
    demand_selector(session, found)?;
    let mut report = Report::new("env-repair", found);
    let (state, warnings) = found.state();
    let mut plan = Plan::default();
    let what = if found.is_ours() {
        // Other variables stay: they are somebody's.
        plan = plan_state(found, &state)?;
        match (warnings.is_empty(), plan.commands.is_empty()) {
            (true, true) => {
                "the environment in force is whole and ours; both copies are written \
                             again, so that a damaged one is replaced"
            }
            _ => {
                "the environment is ours with odd values; they are written as they are read, \
                  which permits nothing more"
            }
        }
    } else if found.is_lost {
        "neither copy of the environment is whole: the slots' states are lost, and the selector \
         begins anew with what loads"
    } else {
        "the environment is not one of ours: it is replaced by the defaults, and the selector \
         begins anew with what loads"
    };
    session.tell(what)?;
    if !found.is_ours() {
        session.demand(&Command::DefaultAll)?;
    }
    let kept = save(session, &plan)?;
    // The two copies are written in turn.
    session.demand(&Command::Save)?;
    report.changes = plan.changes;
    let done = format!("{what}; {kept}, twice: each copy is new");
    if args.stay {
        report.outcome = go_on(session, args, &done)?;
        return Ok(report);
    }
    let seen = session.restart()?;
    if seen.env_lost || seen.selected.is_none() {
        return Err(Failure::NotVerified {
            what: format!("the environment was saved twice, but {}", told(&seen)),
            hint: "the flash that holds it does not keep what is written: replace the board",
        });
    }
    report.outcome = format!("{done}; {}", told(&seen));
    Ok(report)
}

/// Types and saves a plan, then reads back what can be read back; what was done in words.
fn save(session: &mut Session, plan: &Plan) -> Result<String, Failure> {
    for change in &plan.changes {
        session.tell(&crate::terminal::one_line(change))?;
    }
    for command in &plan.commands {
        session.demand(command)?;
    }
    session.demand(&Command::Save)?;
    let loaded = session.ask(&Command::Load)?;
    let has_load = !loaded.lines.iter().any(|line| line.starts_with("Usage:"));
    if has_load && loaded.status != 0 {
        return Err(Failure::NotVerified {
            what: "what was saved cannot be read back".to_owned(),
            hint: "the flash that holds the environment is worn out or missing",
        });
    }
    for (name, value) in &plan.wanted {
        let found = read_back(name, &session.ask(&Command::Print(name))?);
        if found != *value {
            return Err(Failure::NotVerified {
                what: format!("{name} was set to {value:?} and reads {found:?}"),
                hint: "the flash that holds the environment is worn out or missing",
            });
        }
    }
    Ok(if has_load {
        "saved and read back".to_owned()
    } else {
        "saved; this U-Boot cannot read it back, its restart is the proof".to_owned()
    })
}

fn read_back(name: &str, answer: &Answer) -> String {
    value_of(name, answer).unwrap_or_default()
}

/// Without our selector nothing of what is set would be obeyed.
fn demand_selector(session: &mut Session, found: &Found) -> Result<(), Failure> {
    if found.has_selector {
        return Ok(());
    }
    or_leave(
        session,
        Err(Failure::Refused {
            what: "this board's U-Boot carries no selector of atomix".to_owned(),
            hint: "write the U-Boot of an atomix image to the board first; --status only looks",
        }),
    )
}

/// A refused act leaves no board at the prompt.
fn or_leave<T>(session: &mut Session, planned: Result<T, Failure>) -> Result<T, Failure> {
    if planned.is_err() {
        let seen = session.restart()?;
        session.tell(&format!("nothing was changed; {}", told(&seen)))?;
    }
    planned
}

/// What a boot showed, in words.
fn told(seen: &Seen) -> String {
    let lost = if seen.env_lost { "no copy of the environment was whole, and " } else { "" };
    let chosen = match (seen.selected, seen.end) {
        (Some((slot, reason)), Some(End::Started)) => {
            format!("the board started slot {slot} ({reason})")
        }
        (Some((slot, reason)), Some(End::NotLoaded)) => {
            format!("the board took slot {slot} ({reason}), which could not be started")
        }
        (_, Some(End::Recovery)) => "the board found nothing to start".to_owned(),
        (Some((slot, reason)), None) => {
            format!("the board took slot {slot} ({reason}) and has not started it yet")
        }
        (None, Some(End::Started | End::NotLoaded) | None) => {
            "the board was not heard to choose a slot".to_owned()
        }
    };
    format!("{lost}{chosen}")
}
