// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix rescue`: what does the technician at the serial line need?
//!
//! A menu for 24 lines of 80 columns, by arrow keys and by plain numbers; without a terminal, or
//! on one that can do nothing, by numbers line by line. The menu is a value (`menu`), its screens
//! are text (`draw`), and what is chosen runs the commands of this program (`carry_out`).

mod carry_out;
mod draw;
mod keys;
pub mod laptop;
mod media;
mod menu;
mod screens;
#[cfg(test)]
mod walk;

use crate::cli::RescueArgs;
use crate::context::{Context, Now};
use crate::failure::Failure;
use crate::line_cli::LineArgs;
use crate::output::{Output, Style};
use bundle::UnixTime;
use carry_out::{Next, carry_out};
use console::Term;
use draw::{Keys, draw, warn_if_small};
use keys::Decoder;
use media::Media;
use menu::{Act, Key, Menu};
use std::io::{self, BufRead, IsTerminal};
use std::time::SystemTime;

/// Serves the technician on this device.
///
/// # Errors
/// [`Failure`] of the terminal; what a chosen command fails with is shown in the menu.
pub fn run(context: &Context, args: &RescueArgs, out: &mut Output) -> Result<(), Failure> {
    demand_no_act(&args.line)?;
    if out.style == Style::Json {
        return Err(Failure::Usage {
            what: "the menu has no JSON".to_owned(),
            hint: "run the command itself: status, why, doctor, boot, install",
        });
    }
    let desk = Desk { context, opened: clock() };
    let mut menu = Menu::new(screens::main());
    let mut media = Media::default();
    let term = Term::stdout();
    let has_keys = term.is_term() && io::stdin().is_terminal() && !console::is_dumb();
    let ended = if has_keys {
        by_keys(&desk, &term, &mut menu, &mut media, out)
    } else {
        by_lines(&desk, &mut io::stdin().lock(), &mut menu, &mut media, out)
    };
    media.release();
    ended
}

/// What drives a board over a line has another command on the board itself.
fn demand_no_act(line: &LineArgs) -> Result<(), Failure> {
    let (option, hint) = match line {
        LineArgs { status: true, .. } => {
            ("--status", "on the board itself: `atomix status`, or `atomix rescue` alone")
        }
        LineArgs { boot: Some(_), .. } => {
            ("--boot", "on the board itself: `atomix boot mark-active SLOT`, then reboot")
        }
        LineArgs { root_shell: true, .. } => {
            ("--root-shell", "on the board itself: `atomix uenv set _RUT_OH_=1`, then reboot")
        }
        LineArgs { ums: true, .. } => {
            ("--ums", "on the board itself: `atomix uenv set START_UMS=1`, then reboot")
        }
        LineArgs { env_repair: true, .. } => {
            ("--env-repair", "on the board itself: `atomix uenv check`, and any change repairs it")
        }
        LineArgs {
            status: false,
            boot: None,
            root_shell: false,
            ums: false,
            env_repair: false,
            ..
        } => {
            return Ok(());
        }
    };
    Err(Failure::Usage {
        what: format!("{option} is for a board at the other end of a serial line: --tty <DEVICE>"),
        hint,
    })
}

/// What the menu works on, for as long as it is open.
struct Desk<'a> {
    context: &'a Context,
    opened: SystemTime,
}

impl Desk<'_> {
    /// The device as a command sees it that begins now: a menu stays open for hours, and the clock
    /// may be set meanwhile.
    fn context(&self) -> Context {
        let since = match clock().duration_since(self.opened) {
            Ok(later) => i64::try_from(later.as_secs()).unwrap_or(i64::MAX),
            Err(earlier) => -i64::try_from(earlier.duration().as_secs()).unwrap_or(i64::MAX),
        };
        self.context.at(Now(UnixTime(self.context.now.0.0.saturating_add(since))))
    }
}

#[expect(clippy::disallowed_methods, reason = "a menu outlives the time its program began at")]
fn clock() -> SystemTime {
    SystemTime::now()
}

fn by_keys(
    desk: &Desk<'_>,
    term: &Term,
    menu: &mut Menu,
    media: &mut Media,
    out: &mut Output,
) -> Result<(), Failure> {
    let mut decoder = Decoder::default();
    loop {
        term.clear_screen()?;
        let mut rows = draw(menu.screen(), Keys::Single);
        // A serial line has no size: what is unknown is taken for a whole screen.
        if let Some((lines, columns)) = term.size_checked() {
            warn_if_small(&mut rows, lines.into(), columns.into());
        }
        term.write_str(&rows.join("\n"))?;
        let act = loop {
            let key = match term.read_key_raw() {
                Ok(read) => decoder.take(&read),
                // The line is gone.
                Err(gone) if gone.kind() == io::ErrorKind::UnexpectedEof => Some(Key::Leave),
                Err(other) => return Err(other.into()),
            };
            if let Some(key) = key {
                break menu.press(key);
            }
        };
        let Some(act) = act else { continue };
        term.clear_screen()?;
        announce(&act, out)?;
        if carry_out(&desk.context(), act, menu, media, out.people) == Next::End {
            return Ok(());
        }
    }
}

fn by_lines(
    desk: &Desk<'_>,
    input: &mut dyn BufRead,
    menu: &mut Menu,
    media: &mut Media,
    out: &mut Output,
) -> Result<(), Failure> {
    loop {
        write!(out.data, "{}", draw(menu.screen(), Keys::Lines).join("\n"))?;
        out.data.flush()?;
        let mut line = String::new();
        let act = match input.read_line(&mut line)? {
            0 => Some(Act::Quit),
            _ => menu.press_line(&line),
        };
        writeln!(out.data)?;
        let Some(act) = act else { continue };
        announce(&act, out)?;
        if carry_out(&desk.context(), act, menu, media, out.people) == Next::End {
            return Ok(());
        }
    }
}

/// What takes a while says so before it begins.
fn announce(act: &Act, out: &mut Output) -> Result<(), Failure> {
    let said = match act {
        Act::Install(bundle) => {
            format!("installing {}; leave stick and power alone", bundle.display())
        }
        Act::Inspect(bundle) => format!("verifying {}", bundle.display()),
        Act::FindBundles(_) => "looking for bundles".to_owned(),
        Act::Shell => "`exit` comes back to the menu".to_owned(),
        Act::Reboot => "rebooting".to_owned(),
        Act::Run(_) | Act::Logs | Act::Quit => return Ok(()),
    };
    writeln!(out.data, "{said}")?;
    Ok(out.data.flush()?)
}
