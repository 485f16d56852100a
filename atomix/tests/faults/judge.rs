// SPDX-License-Identifier: MIT OR Apache-2.0
//! Three questions after each fault: does the board still boot a whole slot, is what was said
//! true, and does the same operation come to its end without the fault?

use crate::cli_board::{Ran, disk_identity};
use crate::media::{Act, Did, Fault, Media};
use crate::operations::{DISK, Operation, boot_state};
use bootctl::{AttemptsLeft, BootState, FirmwareFacts, PerSlot, Reason, SlotId, SlotState, select};
use std::path::Path;
use std::sync::Arc;
use storage::MemoryStorage;

/// Without its first sector no firmware recognises the file system of a boot slot; neither where a
/// worn medium shows a bit in it that was not written.
const SECTOR_BYTES: usize = 512;

/// Runs of the selector before the firmware gives up.
const MAX_RESETS: usize = 16;

/// Boot slot and rootfs of a group.
type Group = [Content; 2];

/// What a device holds.
#[derive(Clone)]
pub struct Content(Arc<MemoryStorage>);

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.bytes() == other.0.bytes()
    }
}

impl Eq for Content {}

/// Where a board is, as far as an operation is about it.
#[derive(Clone, PartialEq, Eq)]
pub struct End {
    pub state: Option<BootState>,
    pub groups: PerSlot<Group>,
    /// Nothing where it is drawn by lot.
    pub disk: Option<Content>,
    /// The status file without what changes with each install.
    pub status: String,
}

fn group(media: &Media, slot: SlotId) -> Group {
    let numbers = if slot == SlotId::A { [1, 2] } else { [3, 4] };
    numbers.map(|number| Content(media.content(&format!("{DISK}p{number}"))))
}

impl End {
    pub fn of(media: &Media, root: &Path) -> Self {
        let status = std::fs::read_to_string(root.join("data/rauc/status.raucs"));
        let lines = status.unwrap_or_default();
        let lines = lines.lines().filter(|line| !line.contains(".count="));
        Self {
            state: boot_state(media),
            groups: PerSlot { a: group(media, SlotId::A), b: group(media, SlotId::B) },
            disk: Some(Content(media.content(DISK))),
            status: lines.collect::<Vec<_>>().join("\n"),
        }
    }

    /// The same for an operation that was begun twice: what it counts is left out, and what of the
    /// disk is drawn by lot.
    pub fn is_like(&self, other: &Self, operation: &Operation) -> bool {
        let same = |end: &Self| Self {
            disk: end.disk.clone().filter(|_| operation.state.is_some()),
            state: end.state.clone().map(|mut state| {
                if operation.state.is_none() {
                    state.disk = None;
                }
                state
            }),
            ..end.clone()
        };
        same(self) == same(other)
    }
}

/// One fault, where it hit.
pub struct Hit<'a> {
    pub fault: Fault,
    pub did: &'a Did,
}

/// The promise: what is broken of it. `wholes` are the contents that a group may have when it
/// loads; what `before` held of the slot that runs must be there.
pub fn promise(operation: &Operation, now: &End, before: &End, end: &End) -> Vec<String> {
    let mut broken = Vec::new();
    let running = operation.booted;
    if now.groups.get(running) != before.groups.get(running) {
        broken.push(format!("slot {running} runs and was written"));
    }
    let sealed = |slot| {
        let sector = &now.groups.get(slot)[0].0.bytes()[..SECTOR_BYTES];
        sector.iter().filter(|byte| **byte != 0).count() > 1
    };
    for slot in SlotId::ALL.into_iter().filter(|slot| sealed(*slot)) {
        let found = now.groups.get(slot);
        if found != before.groups.get(slot) && found != end.groups.get(slot) {
            broken.push(format!("slot {slot} loads and is not whole"));
        }
    }
    if let Some(state) = &now.state {
        for slot in SlotId::ALL {
            if state.slot(slot).state == SlotState::Trying && !sealed(slot) {
                broken.push(format!("slot {slot} is trying without its seal"));
            }
            let new =
                state.slot(slot).bundle != before.state.as_ref().and_then(|b| b.slot(slot).bundle);
            let trying = state.slot(slot).state == SlotState::Trying;
            if new && trying && now.groups.get(slot) != end.groups.get(slot) {
                broken.push(format!("slot {slot} is trying and not what was installed"));
            }
        }
    }
    let loads = PerSlot { a: sealed(SlotId::A), b: sealed(SlotId::B) };
    let disk = Some(disk_identity());
    let spent = now.state.clone().map(|mut state| {
        (state.a.attempts, state.b.attempts) = (AttemptsLeft::ZERO, AttemptsLeft::ZERO);
        state
    });
    let works = FirmwareFacts { disk, save_works: true, loads };
    let unsaved = FirmwareFacts { save_works: false, ..works };
    for (case, env, facts) in [
        ("as it is", &now.state, works),
        ("with a flash that cannot be written", &now.state, unsaved),
        ("without its environment", &None, works),
        ("without its flash", &None, unsaved),
        ("with all attempts spent", &spent, works),
    ] {
        match boots(env.clone(), &facts) {
            None => broken.push(format!("{case} nothing boots")),
            Some(slot) if !*loads.get(slot) => {
                broken.push(format!("{case} slot {slot} boots and does not load"));
            }
            Some(slot) => {
                let state = env.as_ref().map(|state| state.slot(slot).state);
                if matches!(state, Some(SlotState::Empty | SlotState::Writing)) {
                    broken.push(format!("{case} slot {slot} boots and is {state:?}"));
                }
            }
        }
    }
    broken
}

/// What the firmware starts in the end.
fn boots(mut env: Option<BootState>, facts: &FirmwareFacts) -> Option<SlotId> {
    for _ in 0..MAX_RESETS {
        let selection = select(env.as_ref(), facts);
        if selection.boots.is_some() || selection.reason != Reason::LoadFailed {
            return selection.boots;
        }
        env = Some(selection.state);
    }
    None
}

/// Whether a device is said to be unreadable.
fn warns(stderr: &str, device: &str) -> bool {
    let mut warnings = stderr.lines().filter(|line| line.starts_with("warning: "));
    warnings.any(|line| line.contains(device) && line.contains("Input/output error"))
}

/// Whether what was said is true: what is not.
pub fn truth(
    operation: &Operation,
    hit: &Hit<'_>,
    ran: &Ran,
    undisturbed: &Ran,
    reached_end: bool,
) -> Vec<String> {
    let mut untrue = Vec::new();
    let failure = ran.stderr.lines().find_map(|line| line.strip_prefix("atomix: "));
    let device = hit.did.device.display().to_string();
    if ran.code == undisturbed.code {
        // It went on: then it did what it says, and what it could not do beside is told.
        let on_older_copy = hit.fault == Fault::Dead && warns(&ran.stderr, &device);
        if !reached_end && !on_older_copy {
            untrue.push(format!("exit {}, and it is not done", ran.code));
        }
        let told = |text: &str| text.lines().any(|line| line.contains(&device));
        let differs = operation.only_looks && ran.stdout != undisturbed.stdout;
        if differs && !told(&ran.stderr) && !told(&ran.stdout) {
            untrue.push("another answer, and no word of the device".to_owned());
        }
        return untrue;
    }
    let Some(failure) = failure else {
        untrue.push(format!("exit {} without a word", ran.code));
        return untrue;
    };
    // A refusal by what is left of the boot state, which was said before.
    if ran.code == 3 && hit.fault == Fault::Dead && warns(&ran.stderr, &device) {
        return untrue;
    }
    if !failure.contains(&device) {
        untrue.push(format!("the device {device} is not named"));
    }
    // What was read wrong once and right again has no cause left to name.
    if failure.contains("does not read as it did") {
        return untrue;
    }
    // Of the table's copies the health is told and not the error.
    if failure.contains("does not read back as planned") && failure.contains("it cannot be read") {
        return untrue;
    }
    let (word, cause): (&str, &[&str]) = match hit.fault {
        Fault::Eio | Fault::LostWrites => (hit.did.act.word(), &["Input/output"]),
        // The access that fails may be survived; one of those after it is told of then.
        Fault::Dead => ("", &["Input/output"]),
        Fault::Short if hit.did.act == Act::Read => ("read", &["unexpected end of file"]),
        Fault::Short => (hit.did.act.word(), &["Input/output"]),
        Fault::NoSpace => (hit.did.act.word(), &["No space left"]),
        Fault::ReadOnly => ("", &["Read-only", "read-only"]),
        Fault::BadSector => ("read", &["Input/output"]),
        Fault::Gone => ("", &["does not exist"]),
        Fault::WrongBytes => ("", &[""]),
    };
    // An erase is a way of writing.
    let verbs = if word == "erase" { ["erase", "write"] } else { [word, word] };
    if !verbs.iter().any(|verb| failure.contains(verb)) {
        untrue.push(format!("it does not say that it cannot {word}"));
    }
    if !cause.iter().any(|cause| failure.contains(cause)) {
        untrue.push(format!("the cause is not {cause:?}"));
    }
    if hit.fault == Fault::WrongBytes && failure.contains("Input/output") {
        untrue.push("it tells of an I/O error that was none".to_owned());
    }
    let codes: &[u8] = if hit.fault == Fault::WrongBytes { &[1, 4] } else { &[1] };
    if !codes.contains(&ran.code) {
        untrue.push(format!("exit {} instead of {codes:?}", ran.code));
    }
    untrue
}
