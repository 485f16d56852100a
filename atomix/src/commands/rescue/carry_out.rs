// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does an act of the menu do? Each runs the command that the command line would run, and
//! keeps what it says, so that it can be read page by page.

use super::draw::fold;
use super::media::{Found, Media, find_in};
use super::menu::{Act, Menu};
use super::screens::{candidates, offer, text};
use crate::boot_view::BootView;
use crate::cli::Cli;
use crate::commands::dead_end::is_own_machine;
use crate::commands::flight_record::{describe, when};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Output, Style};
use crate::programs;
use crate::run::on_context;
use clap::Parser;
use std::cell::RefCell;
use std::io::{self, Write};
use std::path::Path;

/// Whether the menu goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It does.
    Show,
    /// It ends.
    End,
}

/// Does what was chosen; what it says becomes a screen. `live` gets what long work says meanwhile.
pub fn carry_out(
    context: &Context,
    act: Act,
    menu: &mut Menu,
    media: &mut Media,
    live: &mut dyn Write,
) -> Next {
    match act {
        Act::Run(line) => {
            let said = Said::default();
            let (mut data, mut people) = (&said, &said);
            let ended = run_line(context, &line, &mut data, &mut people);
            menu.open(text(&line.join(" "), said.conclude(ended)));
        }
        Act::Logs => menu.open(text("logs", logs(context))),
        Act::FindBundles(None) => look(menu, media.find(context)),
        Act::FindBundles(Some(dir)) => match find_in(&dir) {
            Ok(found) => look(menu, found),
            Err(failure) => {
                let title = format!("{}", dir.display());
                menu.open(text(&title, Said::default().conclude(Err(failure))));
            }
        },
        Act::Inspect(bundle) => inspect(context, &bundle, menu),
        Act::Install(bundle) => install(context, &bundle, menu, live),
        Act::Shell => {
            if let Err(failure) = programs::shell() {
                menu.open(text("shell", Said::default().conclude(Err(failure))));
            }
        }
        Act::Reboot => return reboot(context, menu),
        Act::Quit => return Next::End,
    }
    Next::Show
}

fn look(menu: &mut Menu, found: Found) {
    menu.open(candidates(&found.bundles, &found.looked));
    if !found.troubles.is_empty() {
        let lines = found.troubles.iter().flat_map(|trouble| fold(trouble)).collect();
        menu.open(text("some media could not be looked at", lines));
    }
}

/// The offer is made only for a bundle that is true and that would be installed.
fn inspect(context: &Context, bundle: &Path, menu: &mut Menu) {
    let path = bundle.display().to_string();
    let said = Said::default();
    let (mut data, mut people) = (&said, &said);
    let ended = run_line(context, &words(&["bundle", "info"], &path), &mut data, &mut people)
        .and_then(|()| {
            run_line(context, &words(&["install", "--dry-run"], &path), &mut data, &mut people)
        });
    let is_fit = ended.is_ok();
    let lines = said.conclude(ended);
    if is_fit {
        // The whole text can be read; the offer below it keeps what an install would do.
        let plan = lines.iter().rev().take(4).rev().cloned().collect::<Vec<_>>();
        menu.open(offer(bundle.to_owned(), &plan));
    }
    menu.open(text(&path, lines));
}

fn install(context: &Context, bundle: &Path, menu: &mut Menu, live: &mut dyn Write) {
    let path = bundle.display().to_string();
    let said = Said::default();
    let mut data = &said;
    let ended = run_line(context, &words(&["install"], &path), &mut data, live);
    // What led here is over: the bundle is installed, or was refused with a reason.
    menu.back_to_main();
    menu.open(text(&format!("install {path}"), said.conclude(ended)));
}

fn reboot(context: &Context, menu: &mut Menu) -> Next {
    let asked = if is_own_machine(context) {
        programs::reboot()
    } else {
        Err(Failure::Refused {
            what: "what is looked at is not this machine".to_owned(),
            hint: "restart the board itself",
        })
    };
    match asked {
        Ok(()) => Next::End,
        Err(failure) => {
            menu.open(text("reboot", Said::default().conclude(Err(failure))));
            Next::Show
        }
    }
}

/// The flight recorder whole, then what our units said in this boot.
fn logs(context: &Context) -> Vec<String> {
    let mut lines = vec!["flight recorder, oldest first".to_owned()];
    match BootView::read(context) {
        Ok(seen) => {
            for record in &seen.history {
                let at = when(record.at).unwrap_or_else(|| "clock unset".to_owned());
                let entry = describe(&record.entry);
                lines.extend(fold(&format!("{:5} {at} {entry}", record.sequence)));
            }
            let missing = seen.missing.map(|failure| failure.as_warning());
            lines.extend(seen.warnings.iter().chain(&missing).flat_map(|text| fold(text)));
        }
        Err(failure) => lines.extend(Said::default().conclude(Err(failure))),
    }
    lines.extend([String::new(), "messages of our units in this boot".to_owned()]);
    if !is_own_machine(context) {
        lines.push("none: what is looked at is not this machine".to_owned());
        return lines;
    }
    match programs::journal() {
        Ok(journal) => lines.extend(fold(&journal)),
        Err(failure) => lines.extend(fold(&failure.chain())),
    }
    lines
}

fn words(line: &[&str], path: &str) -> Vec<String> {
    line.iter().map(|word| (*word).to_owned()).chain(["--".to_owned(), path.to_owned()]).collect()
}

fn run_line(
    context: &Context,
    line: &[String],
    data: &mut dyn Write,
    people: &mut dyn Write,
) -> Result<(), Failure> {
    let whole = std::iter::once("atomix").chain(line.iter().map(String::as_str));
    let cli = Cli::try_parse_from(whole).map_err(|usage| Failure::Usage {
        what: usage.to_string(),
        hint: "type the command in the shell",
    })?;
    on_context(context, &cli.command, &mut Output { style: Style::Lines, data, people })
}

/// What a command said, on both of its streams in their order.
#[derive(Default)]
struct Said(RefCell<Vec<u8>>);

impl Write for &Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Said {
    /// The text, with the failure and its way out at the end.
    fn conclude(&self, ended: Result<(), Failure>) -> Vec<String> {
        let said = self.0.borrow();
        let mut lines = fold(&String::from_utf8_lossy(&said));
        if let Err(failure) = ended {
            lines.extend(fold(&format!("atomix: {}", failure.chain())));
            lines.extend(failure.hint().iter().flat_map(|hint| fold(&format!("hint: {hint}"))));
        }
        if lines.is_empty() {
            lines.push("done".to_owned());
        }
        lines
    }
}
