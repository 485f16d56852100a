// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a scenario begin and end? With a board of its own, and with the same checks for all:
//! no unit has failed that the scenario does not name, the timeline is printed and drawn, the
//! numbers are kept, the logs stay.

use crate::console;
use crate::live::Board;
use crate::machine::Machine;
use crate::measures::{Told, measures};
use crate::parts::bundle;
use crate::program::build_dir;
use crate::progress::say;
use crate::timeline::{svg, text};
use crate::wiring::Wiring;
use anyhow::{Context as _, Result};
use std::fs;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

/// Names the file to which every scenario adds its line of numbers.
pub const RESULTS_VARIABLE: &str = "ATOMIX_E2E_RESULTS";

/// When set, the scenario's board is given to the person at the terminal instead of to its test.
pub const INTERACTIVE_VARIABLE: &str = "ATOMIX_E2E_INTERACTIVE";

/// Where a scenario begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    /// Erased but for what was flashed, and off.
    Flashed,
    /// In use, and off.
    Provisioned,
    /// In use, and running.
    Running,
}

/// A scenario before it begins.
pub struct Scenario {
    name: String,
    begin: Begin,
    starts_off: bool,
    initrd_hook: Option<String>,
    root_hook: Option<String>,
    allowed: Vec<String>,
    wiring: Wiring,
    more_args: Vec<String>,
    stick: Option<PathBuf>,
    disk: Option<PathBuf>,
}

impl Scenario {
    /// A board in use: its first boot is over, slot A is confirmed and runs. Hooks take effect at
    /// the next boot.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            begin: Begin::Running,
            starts_off: false,
            initrd_hook: None,
            root_hook: None,
            allowed: Vec::new(),
            wiring: Wiring::Plain,
            more_args: Vec::new(),
            stick: None,
            disk: None,
        }
    }

    /// A freshly flashed board instead, with an erased card.
    #[must_use]
    pub fn flashed(mut self) -> Self {
        self.begin = Begin::Flashed;
        self
    }

    /// As [`Scenario::flashed`], with the `disk.img` of another part.
    #[must_use]
    pub fn flashed_with(mut self, part: PathBuf) -> Self {
        self.disk = Some(part);
        self.flashed()
    }

    /// Slot A is booted when the scenario begins, with its hooks, instead of found running.
    #[must_use]
    pub fn booted(mut self) -> Self {
        if self.begin == Begin::Running {
            self.begin = Begin::Provisioned;
        }
        self
    }

    /// The power is off when the scenario begins.
    #[must_use]
    pub fn starts_off(mut self) -> Self {
        self.starts_off = true;
        self.booted()
    }

    /// A script that the initrd runs before anything else, knowing `$slot`.
    #[must_use]
    pub fn initrd_hook(mut self, script: &str) -> Self {
        self.initrd_hook = Some(script.to_owned());
        self
    }

    /// A script that the initrd runs when the root is there, writable at `/root`, knowing `$slot`.
    #[must_use]
    pub fn root_hook(mut self, script: &str) -> Self {
        self.root_hook = Some(script.to_owned());
        self
    }

    /// This unit may fail in this scenario, by its full name.
    #[must_use]
    pub fn allow_failed(mut self, unit: &str) -> Self {
        self.allowed.push(unit.to_owned());
        self
    }

    /// How disk and card are attached.
    #[must_use]
    pub fn wiring(mut self, wiring: Wiring) -> Self {
        self.wiring = wiring;
        self.booted()
    }

    /// Arguments of the emulator beside the usual ones.
    #[must_use]
    pub fn more_args(mut self, arguments: &[&str]) -> Self {
        self.more_args.extend(arguments.iter().map(|one| (*one).to_owned()));
        self.booted()
    }

    /// What is plugged in instead of the update.
    #[must_use]
    pub fn stick(mut self, path: &Path) -> Self {
        self.stick = Some(path.to_owned());
        self
    }

    /// Plays the scenario.
    ///
    /// # Errors
    /// Those of `body`; or a unit has failed that was not allowed to.
    pub fn run(self, body: impl FnOnce(&mut Board) -> Result<()>) -> Result<()> {
        if std::env::var_os(INTERACTIVE_VARIABLE).is_some() {
            return console::attend(&mut self.booted().board()?);
        }
        let starts_off = self.starts_off;
        let (name, begin) = (self.name.clone(), self.begin);
        let mut board = self.board()?;
        // A failed assertion has a timeline too; it says most where it is needed.
        let done = catch_unwind(AssertUnwindSafe(|| {
            if !starts_off {
                match begin {
                    Begin::Flashed => board.power_on("A, env-lost")?,
                    Begin::Provisioned => board.power_on("A, normal")?,
                    Begin::Running => board.resume()?,
                }
            }
            body(&mut board)?;
            board.check_units_if_up()
        }));
        let passed = matches!(done, Ok(Ok(())));
        let told = conclude(&name, board, passed).context("the timeline");
        match done {
            Ok(Ok(())) => told,
            Ok(Err(cause)) => Err(cause.context(name)),
            Err(panic) => resume_unwind(panic),
        }
    }

    fn board(self) -> Result<Board> {
        let dir = scratch()?.join(&self.name);
        let mut machine = match self.begin {
            Begin::Flashed => match &self.disk {
                Some(part) => Machine::flashed_with(&dir, part)?,
                None => Machine::flashed(&dir)?,
            },
            Begin::Provisioned => Machine::provisioned(&dir)?,
            Begin::Running => Machine::running(&dir)?,
        };
        machine.stick = Some(match self.stick {
            Some(stick) => stick,
            None => bundle::update()?.join("stick.squashfs"),
        });
        machine.initrd_hook = self.initrd_hook;
        machine.root_hook = self.root_hook;
        machine.wiring = self.wiring;
        machine.more_args = self.more_args;
        say(&format!("{}: logs are in {}", self.name, dir.display()));
        Ok(Board::new(machine, self.allowed))
    }
}

/// The directory for what tests leave: `tmp` in cargo's target directory.
///
/// # Errors
/// When this program does not lie in one.
pub fn scratch() -> Result<PathBuf> {
    Ok(build_dir()?.join("tmp"))
}

/// Prints, draws and keeps what happened; the disk stays only where it may tell why a test failed.
fn conclude(name: &str, board: Board, passed: bool) -> Result<()> {
    let (machine, timeline, mut numbers) = board.end();
    say(&text::draw(name, &timeline));
    let picture = machine.dir().join("timeline.svg");
    fs::write(&picture, svg::draw(name, &timeline))?;
    numbers.extend(measures(&timeline));
    if let Some(path) = std::env::var_os(RESULTS_VARIABLE) {
        let told = Told {
            scenario: name,
            secs: timeline.over,
            boots: timeline.boots.len(),
            measures: numbers,
            picture: picture.display().to_string(),
        };
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
        writeln!(file, "{}", serde_json::to_string(&told)?)?;
    }
    if passed {
        fs::remove_file(machine.disk())?;
    }
    Ok(())
}
