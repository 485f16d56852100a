// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be known of the boot for those who only look, also where a part of it cannot be read:
//! a technician needs the rest of the answer most when something is broken. Changes nothing, and
//! never puts a default in the place of what could not be read: that is missing, with its reason.

use crate::boot_control::BootControl;
use crate::context::{BoardRecorder, Context};
use crate::failure::{Failure, chain};
use crate::output::{Output, Style};
use crate::settings::SettingsError;
use bootctl::{BootBackend, BootState, Numbered, Record, SlotId, UbootBackend};
use serde::Serialize;
use std::io::{self, Write};
use storage::Access;
use updater::SystemConfig;

/// Behind what the environment lost and the flight recorder remembers.
pub const KNOWN_BY_RECORDER: &str = " (known from the flight recorder)";

/// What could be read.
pub struct BootView {
    /// RAUC's configuration.
    pub config: Option<SystemConfig>,
    /// The boot state.
    pub state: Option<BootState>,
    /// The boot state with what the flight recorder knows better, as decisions go by it.
    pub recalled: Option<BootState>,
    /// The slot that runs now.
    pub booted: Option<SlotId>,
    /// What the flight recorder remembers, oldest first.
    pub history: Vec<Record>,
    /// How the flight recorder itself is.
    pub recorder: RecorderView,
    /// What the firmware did and is not on record, oldest first.
    pub untold: Vec<Numbered>,
    /// What does not stop anything.
    pub warnings: Vec<String>,
    /// Why something above is missing.
    pub missing: Option<Failure>,
}

/// The flight recorder itself.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RecorderView {
    /// Whether it could be read, all of it or in part.
    pub readable: bool,
    /// Blocks that could not.
    pub unreadable_blocks: u64,
    /// Records that a power cut tore.
    pub torn: u64,
    /// Places that hold something else than a record, the rest of torn ones among them.
    pub foreign: u64,
    /// Where it lies, as its errors name it.
    #[serde(skip)]
    pub device: String,
}

impl RecorderView {
    /// How `recorder` was when it was opened.
    #[must_use]
    pub fn of(recorder: &BoardRecorder) -> Self {
        Self {
            readable: true,
            unreadable_blocks: recorder.unreadable(),
            torn: recorder.torn(),
            foreign: recorder.foreign(),
            device: recorder.label().to_owned(),
        }
    }

    /// What lies in the place of records, where it is not blank.
    #[must_use]
    pub fn something_else(&self) -> Option<String> {
        match self.torn + self.foreign {
            0 => None,
            1 => Some(format!("1 place holds something else ({})", self.device)),
            places => Some(format!("{places} places hold something else ({})", self.device)),
        }
    }
}

impl BootView {
    /// Reads what can be read of `context`.
    ///
    /// # Errors
    /// [`Failure::FileAbsent`] where neither configuration is there: this is no device.
    pub fn read(context: &Context) -> Result<Self, Failure> {
        let config = context.system_conf();
        let no_settings =
            matches!(context.settings(), Err(Failure::Settings(SettingsError::Absent { .. })));
        let config = match config {
            Err(failure @ Failure::FileAbsent { .. }) if no_settings => return Err(failure),
            config => config,
        };
        let (config, mut view) = match config {
            Err(failure) => (None, Self::without_config(context, failure)),
            Ok(config) => match BootControl::open(context, Access::ReadOnly) {
                Ok(control) => {
                    let way_on = context.way_on_when_lost(&config, control.stored())?;
                    let mut view = Self::whole(control);
                    view.warnings.extend(way_on);
                    (Some(config), view)
                }
                Err(failure) => (Some(config), Self::in_parts(context, failure)),
            },
        };
        view.config = config;
        Ok(view)
    }

    fn whole(mut control: BootControl) -> Self {
        let history = control.history();
        let recorder = control.recorder().map(RecorderView::of).unwrap_or_default();
        let untold = control.recorder_facts().untold(&control.trail());
        Self {
            config: None,
            // What the firmware will find, not what is recalled for decisions.
            state: Some(control.stored().clone()),
            recalled: Some(control.state().clone()),
            booted: control.booted(),
            history,
            recorder,
            untold,
            warnings: control.warnings().to_vec(),
            missing: None,
        }
    }

    /// Without `system.conf` the boot loader's own environment still tells the state.
    fn without_config(context: &Context, failure: Failure) -> Self {
        let mut view = Self::in_parts(context, failure);
        let state = context
            .env_store(Access::ReadOnly)
            .and_then(|store| Ok(UbootBackend::new(store).load()?));
        match state {
            Ok(state) => view.state = Some(state),
            Err(failure) => view.warnings.push(failure.chain()),
        }
        view
    }

    /// Each part for itself; one that fails for another reason than `failure` is a warning.
    fn in_parts(context: &Context, failure: Failure) -> Self {
        let mut warnings = Vec::new();
        let said = failure.chain();
        let mut note = |text: String| {
            if text != said {
                warnings.push(text);
            }
        };
        let booted = context.booted().unwrap_or_else(|failure| {
            note(failure.chain());
            None
        });
        let recorder =
            context.settings().and_then(|settings| context.recorder(&settings, Access::ReadOnly));
        let mut health = RecorderView::default();
        let history = match recorder {
            Err(failure) => {
                note(failure.chain());
                Vec::new()
            }
            Ok(recorder) => {
                health = RecorderView::of(&recorder);
                recorder.entries().unwrap_or_else(|cause| {
                    health.readable = false;
                    note(chain(&cause));
                    Vec::new()
                })
            }
        };
        Self {
            config: None,
            state: None,
            recalled: None,
            booted,
            history,
            recorder: health,
            untold: Vec::new(),
            warnings,
            missing: Some(failure),
        }
    }

    /// Answers with `answer`. Where something is missing it is no answer for programs, so the
    /// data stay empty; people are shown the rest, and then the reason.
    ///
    /// # Errors
    /// What is missing, [`Failure::Print`] or [`Failure::Json`].
    pub fn conclude<T: Serialize>(
        self,
        answer: &T,
        lines: impl FnOnce(&mut dyn Write, &T) -> io::Result<()>,
        out: &mut Output,
    ) -> Result<(), Failure> {
        let Some(failure) = self.missing else { return out.answer(answer, lines) };
        if out.style == Style::Lines {
            lines(out.people, answer)?;
        }
        Err(failure)
    }
}
