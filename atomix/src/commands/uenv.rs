// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix uenv`: the U-Boot environment, variable by variable and copy by copy.

use crate::cli::UenvCommand;
use crate::commands::rescue::laptop::REQUESTS;
use crate::context::Context;
use crate::failure::{Failure, chain};
use crate::output::{Output, Style, wrap};
use bootctl::BootState;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use storage::Access;
use uboot::{CopyHealth, CopyPlace, Env, EnvError};

/// Runs a verb of `atomix uenv`.
///
/// # Errors
/// [`Failure`]; nothing is written when an assignment is wrong.
pub fn run(context: &Context, command: &UenvCommand, out: &mut Output) -> Result<(), Failure> {
    match command {
        UenvCommand::Print { names } => print(context, names, out),
        UenvCommand::Set { assignments } => set(context, assignments, out),
        UenvCommand::Check => check(context, out),
    }
}

fn print(context: &Context, names: &[String], out: &mut Output) -> Result<(), Failure> {
    let loaded = context.env_store(Access::ReadOnly)?.load()?;
    out.warn(&loaded.warnings())?;
    let mut shown = BTreeMap::new();
    if names.is_empty() {
        shown.extend(loaded.env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    for name in names {
        match loaded.env.get(name) {
            Some(value) => shown.insert(name.clone(), value.to_owned()),
            None => return Err(Failure::No { what: format!("{name} is not set") }),
        };
    }
    out.answer(&VariablesView { version: 1, variables: shown }, |to, view| {
        view.variables.iter().try_for_each(|(name, value)| writeln!(to, "{name}={value}"))
    })
}

fn set(context: &Context, assignments: &[String], out: &mut Output) -> Result<(), Failure> {
    // An install or a health verdict may change the environment at the same time.
    let lock = context.env_lock()?;
    out.warn(lock.warning().map(str::to_owned).as_slice())?;
    let mut store = context.env_store(Access::ReadWrite)?;
    let mut env = match store.load() {
        Ok(loaded) => {
            out.warn(&loaded.warnings())?;
            loaded.env
        }
        // A lost environment is begun anew from the boot loader's own defaults, never from
        // nothing: a stored environment without bootcmd would not boot.
        Err(lost @ (EnvError::Lost { .. } | EnvError::BothCorrupt { .. })) => {
            context.initial_env()?.ok_or(lost)?
        }
        Err(other) => return Err(other.into()),
    };
    let mut done = Done::default();
    for assignment in assignments {
        assign(&mut env, assignment, &mut done)?;
    }
    store.store(&env)?;
    // Values may be secrets; names are enough to know what was touched.
    let names: Vec<&str> = assignments.iter().filter_map(|one| one.split('=').next()).collect();
    out.warn(&context.note_asked(format!("uenv set {}", names.join(" "))))?;
    // RAUC's tools and scripts set these too; what the selector would skip is said at once.
    match BootState::from_env_warned(&env) {
        Ok((_, odd)) => out.warn(&odd.iter().map(ToString::to_string).collect::<Vec<_>>())?,
        Err(cause) => out.warn(&[chain(&cause)])?,
    }
    out.done(&done.told())
}

/// What one commit did.
#[derive(Default)]
struct Done<'a> {
    set: usize,
    removed: usize,
    /// What was to be removed and is not there.
    absent: Vec<&'a str>,
    /// What was asked of the next boot.
    requests: Vec<&'a str>,
}

impl Done<'_> {
    fn told(&self) -> String {
        let mut told = match (self.set, self.removed) {
            (0, 0) => "nothing to remove".to_owned(),
            (set, 0) => format!("{set} set in one commit"),
            (0, removed) => format!("{removed} removed in one commit"),
            (set, removed) => format!("{set} set and {removed} removed in one commit"),
        };
        for name in &self.absent {
            told.push_str(&format!("; {name} was not set"));
        }
        for name in &self.requests {
            told.push_str(&format!("; {name} is read at the next boot"));
        }
        told
    }
}

fn assign<'a>(env: &mut Env, assignment: &'a str, done: &mut Done<'a>) -> Result<(), Failure> {
    let (name, value) = assignment.split_once('=').ok_or_else(|| Failure::Usage {
        what: format!("{assignment:?} is not NAME=VALUE"),
        hint: "write NAME= to remove a variable",
    })?;
    if value.is_empty() {
        match env.get(name) {
            Some(_) => done.removed += 1,
            None => done.absent.push(name),
        }
        env.unset(name);
        return Ok(());
    }
    done.set += 1;
    done.requests.extend(REQUESTS.contains(&name).then_some(name));
    env.set(name, value).map_err(|refused| Failure::Usage {
        what: refused.to_string(),
        hint: "a name holds no blank at its start, no # there and no =",
    })
}

/// Variables as JSON, version 1.
#[derive(Serialize)]
struct VariablesView {
    version: u32,
    variables: BTreeMap<String, String>,
}

/// One environment copy as JSON, version 1.
#[derive(Serialize)]
struct CopyView {
    copy: usize,
    device: String,
    offset: u64,
    bytes: u32,
    health: String,
    in_force: bool,
}

#[derive(Serialize)]
struct CheckView {
    version: u32,
    copies: Vec<CopyView>,
    used_bytes: Option<usize>,
    capacity_bytes: usize,
}

fn check(context: &Context, out: &mut Output) -> Result<(), Failure> {
    let places = context.fw_env_config()?.copies;
    let store = context.env_store(Access::ReadOnly)?;
    let capacity_bytes = store.capacity();
    let view = |copies: &[CopyHealth], active: Option<usize>, used_bytes| CheckView {
        version: 1,
        copies: view_copies(&places, copies, active),
        used_bytes,
        capacity_bytes,
    };
    let loaded = match store.load() {
        Ok(loaded) => loaded,
        // Which copy has which fault is what a technician came for. It is no answer for programs:
        // they get the failure.
        Err(cause) => {
            if out.style == Style::Lines {
                render_check(out.people, &view(&store.copies(), None, None))?;
            }
            return Err(cause.into());
        }
    };
    let used = Some(loaded.env.used_bytes());
    out.answer(&view(&loaded.copies, Some(loaded.active), used), render_check)?;
    let broken = loaded.warnings();
    if broken.is_empty() {
        return Ok(());
    }
    Err(Failure::No { what: broken.join("; ") })
}

fn view_copies(
    places: &[CopyPlace],
    copies: &[CopyHealth],
    active: Option<usize>,
) -> Vec<CopyView> {
    let view = |(index, (place, health)): (usize, (&CopyPlace, &CopyHealth))| CopyView {
        copy: index + 1,
        device: place.device.display().to_string(),
        offset: place.offset,
        bytes: place.env_bytes,
        health: describe(health),
        in_force: Some(index) == active,
    };
    places.iter().zip(copies).enumerate().map(view).collect()
}

/// What is wrong with which copy.
#[must_use]
pub fn faults_of_copies(copies: &[CopyHealth]) -> Vec<String> {
    let broken = |(index, health): (usize, &CopyHealth)| match health {
        CopyHealth::Valid { .. } => None,
        CopyHealth::Blank
        | CopyHealth::Corrupt { .. }
        | CopyHealth::Foreign
        | CopyHealth::Malformed(_)
        | CopyHealth::Unreadable(_) => Some(format!("copy {}: {}", index + 1, describe(health))),
    };
    copies.iter().enumerate().filter_map(broken).collect()
}

fn describe(health: &CopyHealth) -> String {
    match health {
        CopyHealth::Valid { flag: Some(flag) } => format!("valid, flag {flag}"),
        CopyHealth::Valid { flag: None } => "valid, single copy".to_owned(),
        CopyHealth::Blank => "blank".to_owned(),
        CopyHealth::Corrupt { expected_crc, found_crc } => {
            format!("corrupt, checksum {found_crc:08x} expected {expected_crc:08x}")
        }
        CopyHealth::Foreign => "no environment, other bytes are there".to_owned(),
        CopyHealth::Malformed(cause) => format!("malformed, {cause}"),
        CopyHealth::Unreadable(cause) => format!("unreadable, {cause}"),
    }
}

fn render_check(to: &mut dyn Write, view: &CheckView) -> io::Result<()> {
    for copy in &view.copies {
        let mark = if copy.in_force { '*' } else { ' ' };
        let place = format!("{} at {:#x}, {} bytes", copy.device, copy.offset, copy.bytes);
        wrap(to, &format!("{mark} copy {}  ", copy.copy), &format!("{place}: {}", copy.health))?;
    }
    if let Some(used) = view.used_bytes {
        writeln!(to, "  used    {used} of {} bytes", view.capacity_bytes)?;
    }
    Ok(())
}
