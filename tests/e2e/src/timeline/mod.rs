// SPDX-License-Identifier: MIT OR Apache-2.0
//! How did each boot of a scenario go? Lines of the serial line and what the rig did become
//! events, events become boots; [`text`] and [`svg`] show them. Pure.

pub mod svg;
pub mod text;

use std::collections::BTreeMap;

/// What happened, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Seconds since the scenario began.
    pub secs: f64,
    /// What it was.
    pub what: What,
}

/// What can happen to a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The rig switched the power on.
    PowerOn,
    /// The rig let a board go on that had been saved while this slot ran.
    Resumed(String),
    /// U-Boot has begun.
    Firmware,
    /// The selector has chosen.
    Selected(Selected),
    /// A stage was reached.
    Reached(Stage),
    /// What ended the boot, or is about to.
    Ended(End),
    /// The rig did something worth a mark.
    Note(String),
}

/// The selector's choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// The slot.
    pub slot: String,
    /// Its reason.
    pub reason: String,
    /// The slot's attempts after this one, as saved.
    pub left: Option<u8>,
}

/// How far a boot came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The selector has chosen.
    Chosen,
    /// U-Boot has handed over.
    Kernel,
    /// The initrd speaks.
    Initrd,
    /// The root file system is there.
    Root,
    /// systemd runs services.
    Agent,
    /// The verifier has confirmed the slot.
    Confirmed,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 6] =
        [Self::Chosen, Self::Kernel, Self::Initrd, Self::Root, Self::Agent, Self::Confirmed];
}

/// How a boot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Linux restarted in order.
    Reboot,
    /// Something reset the board without Linux saying so, such as the watchdog.
    Reset,
    /// The kernel gave up.
    Panic,
    /// U-Boot could not start the slot.
    LoadFailed,
    /// The power was cut.
    Cut,
    /// It was switched off in order.
    Off,
    /// It still ran when the scenario was over.
    Running,
}

impl End {
    /// One word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reboot => "reboot",
            Self::Reset => "reset",
            Self::Panic => "panic",
            Self::LoadFailed => "no load",
            Self::Cut => "CUT",
            Self::Off => "off",
            Self::Running => "up",
        }
    }
}

/// One boot.
#[derive(Clone, Debug, PartialEq)]
pub struct Boot {
    /// When it began, in seconds since the scenario began.
    pub at: f64,
    /// Whether the power came on; else something reset it.
    pub powered: bool,
    /// What the selector chose; nothing when it came to no choice.
    pub selected: Option<Selected>,
    /// When which stage was reached, in seconds since the scenario began.
    pub stages: BTreeMap<Stage, f64>,
    /// How it ended.
    pub end: End,
    /// When.
    pub ended_at: f64,
}

impl Boot {
    /// Seconds from the boot's begin to a stage.
    #[must_use]
    pub fn after(&self, stage: Stage) -> Option<f64> {
        self.stages.get(&stage).map(|at| at - self.at)
    }
}

/// The boots of a scenario and the rig's notes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// The boots, in order.
    pub boots: Vec<Boot>,
    /// What the rig did, with its second.
    pub notes: Vec<(f64, String)>,
    /// When the scenario was over.
    pub over: f64,
}

/// What a line of the serial console tells; `left` is what was saved when it came.
#[must_use]
pub fn read_line(line: &str, left: Option<&str>) -> Option<What> {
    if line.starts_with("U-Boot 20") {
        return Some(What::Firmware);
    }
    if let Some((_, rest)) = line.split_once("atomix: slot ") {
        if rest.contains("cannot be started") {
            return Some(What::Ended(End::LoadFailed));
        }
        let (slot, reason) = rest.split_once(", ")?;
        let left = left.and_then(|left| left.parse().ok());
        let (slot, reason) = (slot.to_owned(), reason.trim().to_owned());
        return Some(What::Selected(Selected { slot, reason, left }));
    }
    // The initrd says both with its uptime; what it says first shows that it runs.
    let signs = [
        ("Starting kernel", What::Reached(Stage::Kernel)),
        (": root is ", What::Reached(Stage::Root)),
        ("initrd: ", What::Reached(Stage::Initrd)),
        ("Kernel panic", What::Ended(End::Panic)),
        ("reboot: Restarting system", What::Ended(End::Reboot)),
        ("reboot: Power down", What::Ended(End::Off)),
    ];
    signs.into_iter().find_map(|(sign, what)| line.contains(sign).then_some(what))
}

/// The timeline of a scenario that was over at second `over`; events may come in any order.
#[must_use]
pub fn timeline(mut events: Vec<Event>, over: f64) -> Timeline {
    events.sort_by(|one, other| one.secs.total_cmp(&other.secs));
    let mut made = Timeline { over, ..Timeline::default() };
    let mut open: Option<Open> = None;
    for Event { secs, what } in events {
        match what {
            What::PowerOn => {
                made.boots.extend(open.take().map(|open| open.close(secs, End::Cut)));
                open = Some(Open::new(secs, true));
            }
            What::Resumed(slot) => {
                let chosen = Selected { slot, reason: "resumed".to_owned(), left: None };
                let stages = BTreeMap::from([(Stage::Agent, secs)]);
                let new = Open::new(secs, false);
                let boot = Boot { selected: Some(chosen), stages, ..new.boot };
                open = Some(Open { boot, spoke: true, said: None });
            }
            // The first words of U-Boot belong to the power that has just come.
            What::Firmware => match &mut open {
                Some(open) if !open.spoke => open.spoke = true,
                Some(_) | None => {
                    made.boots.extend(open.take().map(|open| open.close(secs, End::Reset)));
                    open = Some(Open { spoke: true, ..Open::new(secs, false) });
                }
            },
            What::Selected(selected) => {
                if let Some(Open { boot, .. }) = &mut open {
                    boot.stages.entry(Stage::Chosen).or_insert(secs);
                    boot.selected = Some(selected);
                }
            }
            What::Reached(stage) => {
                if let Some(Open { boot, .. }) = &mut open {
                    boot.stages.entry(stage).or_insert(secs);
                }
            }
            What::Ended(end @ (End::Cut | End::Off)) => {
                made.boots.extend(open.take().map(|open| open.close(secs, end)));
            }
            What::Ended(end) => {
                if let Some(Open { said, .. }) = &mut open {
                    said.get_or_insert(end);
                }
            }
            What::Note(text) => made.notes.push((secs, text)),
        }
    }
    made.boots.extend(open.map(|open| open.close(over, End::Running)));
    made
}

/// A boot that has not ended yet.
struct Open {
    boot: Boot,
    /// Whether U-Boot has begun.
    spoke: bool,
    /// What it said of its own end.
    said: Option<End>,
}

impl Open {
    fn new(at: f64, powered: bool) -> Self {
        let (stages, end) = (BTreeMap::new(), End::Running);
        let boot = Boot { at, powered, selected: None, stages, end, ended_at: at };
        Self { boot, spoke: false, said: None }
    }

    /// What it said of its own end counts more than what came after it.
    fn close(self, at: f64, otherwise: End) -> Boot {
        Boot { end: self.said.unwrap_or(otherwise), ended_at: at, ..self.boot }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn event(secs: f64, what: What) -> Event {
        Event { secs, what }
    }

    pub(crate) fn selected(slot: &str, reason: &str, left: u8) -> What {
        let (slot, reason) = (slot.to_owned(), reason.to_owned());
        What::Selected(Selected { slot, reason, left: Some(left) })
    }

    /// A boot that confirms, a trying one that panics, one that is cut, and what is left.
    pub(crate) fn story() -> Timeline {
        let reached = |stage| What::Reached(stage);
        let events = vec![
            event(0.0, What::PowerOn),
            event(0.1, What::Firmware),
            event(0.5, selected("A", "normal", 2)),
            event(0.6, reached(Stage::Kernel)),
            event(4.0, reached(Stage::Initrd)),
            event(4.5, reached(Stage::Root)),
            event(12.0, reached(Stage::Agent)),
            event(22.0, reached(Stage::Confirmed)),
            event(25.0, What::Note("installed".to_owned())),
            event(26.0, What::Ended(End::Reboot)),
            event(26.1, What::Firmware),
            event(26.6, selected("B", "trying", 2)),
            event(26.7, reached(Stage::Kernel)),
            event(31.0, What::Ended(End::Panic)),
            event(36.0, What::Firmware),
            event(36.5, selected("B", "trying", 1)),
            event(36.6, reached(Stage::Kernel)),
            event(39.0, What::Ended(End::Cut)),
            event(40.0, What::PowerOn),
            event(40.1, What::Firmware),
            event(40.5, selected("B", "trying", 0)),
            event(40.6, reached(Stage::Kernel)),
            event(60.0, What::Firmware),
            event(60.5, selected("A", "fallback", 1)),
        ];
        timeline(events, 70.0)
    }

    #[test]
    fn each_boot_has_its_slot_its_stages_and_its_end() {
        let Timeline { boots, notes, .. } = story();
        let ends: Vec<End> = boots.iter().map(|boot| boot.end).collect();
        assert_eq!(ends, [End::Reboot, End::Panic, End::Cut, End::Reset, End::Running]);
        let powered: Vec<bool> = boots.iter().map(|boot| boot.powered).collect();
        assert_eq!(powered, [true, false, false, true, false]);
        let left = boots.iter().map(|boot| boot.selected.as_ref().and_then(|chosen| chosen.left));
        assert_eq!(left.collect::<Vec<_>>(), [Some(2), Some(2), Some(1), Some(0), Some(1)]);
        assert_eq!(boots[0].after(Stage::Confirmed), Some(22.0));
        assert_eq!(boots[1].after(Stage::Agent), None);
        assert_eq!((boots[1].at, boots[1].ended_at), (26.1, 36.0));
        assert_eq!(notes, [(25.0, "installed".to_owned())]);
    }

    #[test]
    fn lines_of_the_console_are_read() {
        assert_eq!(read_line("U-Boot 2025.01 (Nov 21)", None), Some(What::Firmware));
        assert_eq!(
            read_line("atomix: slot B, trying", Some("2")),
            Some(selected("B", "trying", 2))
        );
        let failed = What::Ended(End::LoadFailed);
        assert_eq!(read_line("atomix: slot B cannot be started", None), Some(failed));
        let root = read_line("initrd: 5.1 s: slot a: root is /dev/vda2", None);
        assert_eq!(root, Some(What::Reached(Stage::Root)));
        let initrd = read_line("initrd: 4.6 s: slot a: console=ttyAMA0", None);
        assert_eq!(initrd, Some(What::Reached(Stage::Initrd)));
        let panic = read_line("[    5.2] Kernel panic - not syncing: init", None);
        assert_eq!(panic, Some(What::Ended(End::Panic)));
        assert_eq!(read_line("Loading Environment from MMC... OK", None), None);
    }

    #[test]
    fn a_board_that_goes_on_has_no_time_to_boot() {
        let events = vec![
            event(1.0, What::Resumed("A".to_owned())),
            event(9.0, What::Ended(End::Reboot)),
            event(9.5, What::Firmware),
        ];
        let boots = timeline(events, 10.0).boots;
        assert_eq!((boots.len(), boots[0].powered, boots[0].end), (2, false, End::Reboot));
        assert_eq!(boots[0].after(Stage::Agent), Some(0.0));
    }

    #[test]
    fn a_boot_that_never_speaks_is_still_a_boot() {
        let silent = vec![
            event(1.0, What::PowerOn),
            event(2.0, What::Ended(End::Cut)),
            event(3.0, What::PowerOn),
        ];
        let boots = timeline(silent, 4.0).boots;
        assert_eq!(boots.iter().map(|boot| boot.end).collect::<Vec<_>>(), [End::Cut, End::Running]);
    }
}
