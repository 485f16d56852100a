// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happened on one image, told in the order of a boot: for people who look at a brick.

use crate::board::Board;
use crate::cut::{At, settle};
use crate::firmware::{facts, read_env};
use crate::judge::Judge;
use crate::plan::{Place, Plan};
use crate::recorded::Recorded;
use crate::scenario::Scenario;
use crate::second::seed_of;
use anyhow::Result;
use bootctl::{BootState, FirmwareFacts, SelectStep, SlotId, select};
use storage::{CutPoints, FileTree, Journal, Op, OpKind};

/// Starts that are told.
const MAX_STARTS: usize = 3;

/// Uncertain acts that are told.
const MAX_ACTS: usize = 12;

/// Tells of an image, line by line.
///
/// # Errors
/// When the harness fails.
pub fn story(
    scenario: &dyn Scenario,
    recorded: &Recorded,
    plan: &Plan,
    place: Place,
) -> Result<Vec<String>> {
    let mut board = scenario.board()?;
    let points = recorded.journal.cut_points(plan.depth.first, plan.seed);
    let told = Told { journal: &recorded.journal, files: &recorded.files, points: &points };
    let mut lines = told.cut(&mut board, place.cut, place.image, plan.seed)?;
    if let Some((cut, image)) = place.then {
        let judge = Judge {
            scenario,
            selector: plan.selector,
            end: &recorded.end,
            running: recorded.running,
        };
        lines.extend(slots(scenario, &board));
        lines.push("the board goes on, and the operation is done again".to_owned());
        let seed = seed_of(plan.seed, board.sum());
        let (photo, files, journal) = (board.photo(), board.tree().clone(), board.record());
        // What goes wrong there is not what is told here.
        let _went_on = judge.go_on(&mut board);
        board.stop_recording();
        board.put_back(&photo);
        let points = journal.cut_points(plan.depth.second, seed);
        let told = Told { journal: &journal, files: &files, points: &points };
        lines.extend(told.cut(&mut board, cut, image, seed)?);
    }
    lines.extend(slots(scenario, &board));
    match scenario.foreign() {
        Some(foreign) => {
            let names: Vec<String> =
                foreign.candidates(&board).iter().map(ToString::to_string).collect();
            lines.push(format!("the boot loader would try: {}", names.join(" ")));
        }
        None => lines.extend(starts(scenario, &board)?),
    }
    Ok(lines)
}

/// A journal that is cut.
struct Told<'a> {
    journal: &'a Journal,
    files: &'a FileTree,
    points: &'a CutPoints,
}

impl Told<'_> {
    /// Puts an image on the board and says what it is.
    fn cut(&self, board: &mut Board, cut: usize, image: u64, seed: u64) -> Result<Vec<String>> {
        settle(board, self.points, None, cut)?;
        let at = At::new(self.points, self.journal, self.files, cut, seed);
        at.put(board, image)?;
        let ops = self.journal.ops();
        let mut lines = vec![match ops.get(cut) {
            Some(op) => format!("the power goes in act {cut} of {}, {}", ops.len(), act(op)),
            None => format!("the power goes after the last of {} acts", ops.len()),
        }];
        let acts = at.describe(image);
        let more = acts.len().saturating_sub(MAX_ACTS);
        if more > 0 {
            lines.push(format!("  {more} earlier acts that were not flushed are not shown"));
        }
        lines.extend(acts.into_iter().skip(more).map(|line| format!("  {line}")));
        Ok(lines)
    }
}

fn act(op: &Op) -> String {
    match &op.kind {
        OpKind::Write { offset, data } => {
            format!("a write of {} bytes at {offset} of {}", data.len(), op.device)
        }
        OpKind::Erase { offset, len } => {
            format!("an erase of {len} bytes at {offset} of {}", op.device)
        }
        OpKind::Flush => format!("a flush of {}", op.device),
        OpKind::File(step) => {
            let step = format!("{step:?}");
            let name = step.split([' ', '{']).next().unwrap_or_default();
            format!("step {name} of a small file")
        }
    }
}

/// What the board holds.
fn slots(scenario: &dyn Scenario, board: &Board) -> Vec<String> {
    let loads = scenario.loads(board);
    let one = |slot: SlotId| {
        let whole = if scenario.is_whole(board, slot) { "whole" } else { "not whole" };
        let loads = if *loads.get(slot) { "loads" } else { "does not load" };
        format!("slot {slot} {loads} and is {whole}")
    };
    let env = match read_env(board) {
        Ok(Some(state)) => format!("environment: {}", states(&state)),
        Ok(None) => "environment: lost".to_owned(),
        Err(cause) => format!("environment: {cause:#}"),
    };
    vec![env, format!("{}; {}", one(SlotId::A), one(SlotId::B))]
}

fn states(state: &BootState) -> String {
    let slot = |slot: SlotId| {
        let record = state.slot(slot);
        format!("{slot} {} {}", record.state, record.attempts.get())
    };
    let order: Vec<String> = state.order.iter().map(ToString::to_string).collect();
    format!("{}, {}, order {:?}", slot(SlotId::A), slot(SlotId::B), order.join(" "))
}

/// What the firmware does, start after start, when nothing comes up.
fn starts(scenario: &dyn Scenario, board: &Board) -> Result<Vec<String>> {
    let loads = scenario.loads(board);
    let facts = FirmwareFacts { disk: scenario.disk(board), ..facts(loads, true) };
    let mut state = read_env(board)?;
    let mut lines = Vec::new();
    for number in 1..=MAX_STARTS {
        let chosen = select(state.as_ref(), &facts);
        let steps: Vec<String> = chosen.steps.iter().map(step).collect();
        let boots = match chosen.boots {
            Some(slot) => format!("slot {slot} starts ({})", chosen.reason),
            None => format!("nothing starts ({})", chosen.reason),
        };
        lines.push(format!("start {number}: {}; {boots}", steps.join(", ")));
        state = Some(chosen.state);
    }
    Ok(lines)
}

fn step(step: &SelectStep) -> String {
    match step {
        SelectStep::EnvironmentLost => "the environment is lost".to_owned(),
        SelectStep::ForeignDisk { .. } => "the environment is of another disk".to_owned(),
        SelectStep::Passed { slot, state, attempts } => {
            format!("{slot} is passed by ({state}, {} attempts left)", attempts.get())
        }
        SelectStep::TurnedBad { slot } => format!("{slot} turns bad"),
        SelectStep::AttemptsReset => "good slots get their attempts back".to_owned(),
        SelectStep::Spent { slot, left } => format!("{slot} spends one, {} left", left.get()),
        SelectStep::Paused { secs } => format!("a pause of {secs} s"),
        SelectStep::SaveFailed => "saving fails".to_owned(),
        SelectStep::LoadFailed { slot } => format!("{slot} does not load"),
        SelectStep::Recovery => "recovery".to_owned(),
    }
}
