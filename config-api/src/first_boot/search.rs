// SPDX-License-Identifier: MIT OR Apache-2.0
//! The search, turn by turn: ask whose the device is, look at what is new, take what is decided,
//! tell. Nothing that is found or fails ends it; only a configuration in force does.

use super::console::{Console, Said};
use super::decide::{Candidate, Decision, Known, Passed, Standing, decide, passed_over};
use super::door::{Door, DoorError};
use super::judge::{Rejected, judge};
use super::look::FileSystem;
use super::text::{places, welcome, wrapped};
use super::{NAMES, Volume};
use crate::jobs::JobEvent;
use crate::promote::SeedOutcome;
use crate::protocol::{Current, Grounds, HostAddress, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use storage::{Digest, chain};

/// So long a configuration rests that could not be handed over.
const REST_SECS: u64 = 60;

/// So many refusals are written to the audit log in one run; a pile of sticks must not fill it.
const MAX_NOTED: usize = 64;

/// A file with a name of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is a configuration, with warnings.
    Valid {
        /// The file's content.
        digest: Digest,
        /// What may surprise.
        warnings: Vec<String>,
    },
    /// It is none.
    Invalid(Rejected),
    /// It cannot be read.
    Unreadable(String),
}

impl Found {
    /// What a file of this name and content is.
    #[must_use]
    pub fn judge(name: &str, content: &[u8]) -> Self {
        match judge(name, content) {
            Ok(warnings) => {
                let digest = Digest::from_bytes(openssl::sha::sha256(content));
                Self::Valid { digest, warnings }
            }
            Err(rejected) => Self::Invalid(rejected),
        }
    }
}

/// What lies in one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Its file system, where that is one we read.
    pub filesystem: Option<FileSystem>,
    /// Its files in the order of [`NAMES`].
    pub files: Vec<(&'static str, Found)>,
    /// Why nothing of it can be read.
    pub trouble: Option<String>,
}

/// Where configurations may lie.
pub trait Sources {
    /// The seed on `/boot`.
    fn seed(&mut self) -> Look;

    /// What is plugged in, in its order.
    ///
    /// # Errors
    /// In words.
    fn volumes(&mut self) -> Result<Vec<Volume>, String>;

    /// Looks at a disk or partition.
    fn look(&mut self, volume: &Volume) -> Look;

    /// Reads a file again; no volume is `/boot`.
    ///
    /// # Errors
    /// In words.
    fn read(&mut self, volume: Option<&Volume>, name: &'static str) -> Result<Vec<u8>, String>;
}

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The device has a configuration that proved itself.
    Finished,
    /// The search goes on.
    Waiting,
}

/// The search.
pub struct Search<S, D> {
    sources: S,
    door: D,
    console: Console,
    seed: Look,
    sticks: BTreeMap<Volume, Look>,
    resting: BTreeMap<Digest, u64>,
    is_asked: bool,
    /// What was told once and need not be told in each turn.
    told: BTreeSet<String>,
    noted: usize,
    /// Where the device was reached at the last look.
    addresses: Vec<HostAddress>,
    /// When something was typed that is no word.
    unknown_at: Option<u64>,
}

impl<S: Sources, D: Door> Search<S, D> {
    /// Nothing was looked at yet.
    pub fn new(sources: S, door: D) -> Self {
        Self {
            sources,
            door,
            console: Console::default(),
            seed: Look::default(),
            sticks: BTreeMap::new(),
            resting: BTreeMap::new(),
            is_asked: false,
            told: BTreeSet::new(),
            noted: 0,
            addresses: Vec::new(),
            unknown_at: None,
        }
    }

    /// Whether a configuration is being typed: what is told then would stand in its middle.
    #[must_use]
    pub const fn is_pasting(&self) -> bool {
        self.console.is_pasting()
    }

    /// Looks at everything once and takes what is to be taken. `now` is in seconds, from anywhere.
    pub fn turn(&mut self, now: u64, say: &mut dyn FnMut(&str)) -> Turn {
        let current = match self.door.current() {
            Ok(current) => current,
            Err(error) => {
                self.tell_once(&format!("cannot ask what is in force: {}", chain(&error)), say);
                self.tell_once("hint: systemctl status atomix-config-helper; trying again", say);
                return Turn::Waiting;
            }
        };
        match standing(&current) {
            Standing::Owned => {
                say("The device has its configuration; the search is over.\n");
                return Turn::Finished;
            }
            Standing::Trying => {
                self.tell_once("a configuration is being tried", say);
                return Turn::Waiting;
            }
            Standing::Unclaimed => {
                self.told.remove("a configuration is being tried");
            }
        }
        let is_moved = self.addresses != current.addresses;
        self.addresses.clone_from(&current.addresses);
        if self.told.insert("welcome".to_owned()) {
            say(&welcome(&self.addresses));
        } else if is_moved {
            self.tell_addresses(say);
        }
        self.look_around(say);
        self.resting.retain(|_, until| *until > now);
        self.take_one(&current, now, say)
    }

    /// Takes a line from the console.
    pub fn hear(&mut self, line: &str, now: u64, say: &mut dyn FnMut(&str)) {
        match self.console.hear(line) {
            Said::Nothing => {}
            Said::Begin => {
                say("Send the lines of config.toml, then a lone dot; .stop to forget.\n")
            }
            Said::Stopped => say("Forgotten.\n"),
            Said::TooLong => say("That is too long for a configuration; end it with a dot.\n"),
            Said::Help => say(&welcome(&self.addresses)),
            Said::Unknown(word) => {
                // Whoever pastes without the word before it is told so once, not at every line.
                if self.unknown_at.replace(now).is_none_or(|then| now > then + 1) {
                    let way_out = "no word of mine; send help, or paste before a configuration";
                    say(&wrapped("", &format!("{word}: {way_out}")));
                }
            }
            Said::Again => {
                self.is_asked = true;
                self.told.retain(|told| told == "welcome");
                say("What failed before is tried once more.\n");
            }
            Said::Status => self.tell_status(say),
            Said::Config(text) => self.take_pasted(&text, say),
        }
    }

    fn take_pasted(&mut self, text: &str, say: &mut dyn FnMut(&str)) {
        match judge("config.toml", text.as_bytes()) {
            Err(rejected) => {
                say(&rejected.text);
                say("Nothing was taken. Correct it and send paste again.\n");
            }
            Ok(warnings) => {
                tell_warnings(&warnings, say);
                let grounds = Grounds::FirstBoot { place: "console".to_owned(), asked: true };
                self.hand_over("config.toml", text.as_bytes(), grounds, say);
            }
        }
    }

    /// Looks at what is new, and forgets what is gone.
    fn look_around(&mut self, say: &mut dyn FnMut(&str)) {
        let seed = self.sources.seed();
        if seed != self.seed {
            self.tell_look("/boot", &seed, say);
            self.seed = seed;
        }
        let volumes = match self.sources.volumes() {
            Ok(volumes) => volumes,
            Err(error) => return self.tell_once(&format!("cannot look for sticks: {error}"), say),
        };
        let gone: Vec<Volume> =
            self.sticks.keys().filter(|known| !volumes.contains(known)).cloned().collect();
        for volume in gone {
            self.sticks.remove(&volume);
            self.told.retain(|told| !told.starts_with(&format!("{} ", volume.name)));
            say(&wrapped("", &format!("{} is gone.", volume.name)));
        }
        for volume in volumes {
            if self.sticks.contains_key(&volume) {
                continue;
            }
            let look = self.sources.look(&volume);
            // A disk with partitions has no file system of its own, as a rule.
            if !volume.is_disk() || look.filesystem.is_some() || look.trouble.is_some() {
                self.tell_look(&volume.name, &look, say);
            }
            self.sticks.insert(volume, look);
        }
    }

    fn tell_look(&mut self, place: &str, look: &Look, say: &mut dyn FnMut(&str)) {
        let kind = look.filesystem.map_or_else(String::new, |kind| format!(" ({kind})"));
        if let Some(trouble) = &look.trouble {
            say(&wrapped("", &format!("{place}{kind}: {trouble}")));
            self.note_refused(place, trouble);
        } else if look.files.is_empty() && place != "/boot" {
            let what = match look.filesystem {
                Some(_) => "no config.toml and no bundle in its topmost directory",
                None => "neither vfat nor ext4",
            };
            say(&wrapped("", &format!("{place}{kind}: {what}")));
        }
        for (name, found) in &look.files {
            let place = format!("{place} {name}");
            match found {
                Found::Valid { warnings, .. } => {
                    say(&wrapped("", &format!("{place}{kind}: a configuration")));
                    tell_warnings(warnings, say);
                }
                Found::Invalid(rejected) => {
                    say(&wrapped("", &format!("{place}{kind}: not taken, since it is not valid")));
                    say(&rejected.text);
                    self.note_refused(&place, &rejected.reason);
                }
                Found::Unreadable(why) => {
                    say(&wrapped("", &format!("{place}{kind}: not taken: {why}")));
                    self.note_refused(&place, why);
                }
            }
        }
    }

    /// All that could be taken, in its order, with where it is read from.
    fn candidates(&self) -> Vec<(Candidate, Option<Volume>, &'static str)> {
        let sticks = self.sticks.iter().map(|(volume, look)| (Some(volume), look));
        let mut all = Vec::new();
        for (volume, look) in std::iter::once((None, &self.seed)).chain(sticks) {
            for (name, found) in &look.files {
                if let Found::Valid { digest, .. } = found {
                    let place = volume.map_or("/boot", |volume| volume.name.as_str());
                    let candidate = Candidate { place: format!("{place} {name}"), digest: *digest };
                    all.push((candidate, volume.cloned(), *name));
                }
            }
        }
        all
    }

    fn take_one(&mut self, current: &Current, now: u64, say: &mut dyn FnMut(&str)) -> Turn {
        let all = self.candidates();
        let list: Vec<Candidate> = all.iter().map(|(candidate, ..)| candidate.clone()).collect();
        let resting: BTreeSet<Digest> = self.resting.keys().copied().collect();
        let is_asked = std::mem::take(&mut self.is_asked);
        let known = Known {
            standing: Standing::Unclaimed,
            seeds: &current.seeds,
            resting: &resting,
            is_asked,
        };
        for candidate in &list {
            if let Some(Passed::Taken(seed)) = passed_over(&known, candidate) {
                let fate = match seed.outcome {
                    SeedOutcome::Failed => "and did not prove itself",
                    SeedOutcome::Pending | SeedOutcome::Succeeded => "already",
                };
                let words = format!(
                    "{} was taken {fate}. Change it, send again, or give another one.",
                    candidate.place
                );
                self.tell_once(&words, say);
            }
        }
        let at = match decide(&known, &list) {
            Decision::Finished => return Turn::Finished,
            Decision::Wait => return Turn::Waiting,
            Decision::Take(at) => at,
        };
        let Some((candidate, volume, name)) = all.into_iter().nth(at) else { return Turn::Waiting };
        if list.len() > 1 {
            say(&wrapped("", &format!("{} comes first of {}.", candidate.place, list.len())));
        }
        let read = self.sources.read(volume.as_ref(), name);
        let content = read.ok().filter(|content| {
            Digest::from_bytes(openssl::sha::sha256(content)) == candidate.digest
        });
        let Some(content) = content else {
            say(&wrapped("", &format!("{} changed meanwhile.", candidate.place)));
            // Looked at anew in the next turn.
            match volume {
                Some(volume) => drop(self.sticks.remove(&volume)),
                None => self.seed = Look::default(),
            }
            return Turn::Waiting;
        };
        let grounds = Grounds::FirstBoot { place: candidate.place.clone(), asked: is_asked };
        if !self.hand_over(name, &content, grounds, say) {
            self.resting.insert(candidate.digest, now.saturating_add(REST_SECS));
        }
        Turn::Waiting
    }

    /// Whether the device tried it; what became of that is in its record.
    fn hand_over(
        &mut self,
        name: &str,
        content: &[u8],
        grounds: Grounds,
        say: &mut dyn FnMut(&str),
    ) -> bool {
        say(&wrapped("", &format!("Trying {} ...", place_of(&grounds))));
        let outcome = self.door.apply(name, content, grounds, &mut |event| say(&progress(&event)));
        match outcome {
            Ok(Outcome::Succeeded { result }) => {
                say("It is in force, and its services are healthy.\n");
                if let Some(url) = result.forwarding_url {
                    say(&wrapped("", &format!("From its LAN the device is at {url}")));
                }
                true
            }
            Ok(Outcome::Failed { error, faults, .. }) => {
                say(&wrapped("It failed: ", &error));
                for fault in faults {
                    say(&wrapped("  ", &fault.to_string()));
                }
                say("The search goes on.\n");
                false
            }
            Err(error) => {
                say(&wrapped("It was not taken: ", &chain(&error)));
                false
            }
        }
    }

    fn note_refused(&mut self, place: &str, reason: &str) {
        if self.noted < MAX_NOTED {
            self.noted += 1;
            // Who stands here is told anyway; without the helper nothing can be taken either.
            let _noted: Result<(), DoorError> = self.door.note_refused(place, reason);
        }
    }

    fn tell_once(&mut self, words: &str, say: &mut dyn FnMut(&str)) {
        if self.told.insert(words.to_owned()) {
            say(&wrapped("", words));
        }
    }

    fn tell_addresses(&self, say: &mut dyn FnMut(&str)) {
        if self.addresses.is_empty() {
            return say("This device has no address now.\n");
        }
        say("Its pages for browsers:\n");
        say(&places(&self.addresses));
    }

    fn tell_status(&mut self, say: &mut dyn FnMut(&str)) {
        self.tell_addresses(say);
        match self.door.current() {
            Ok(current) => {
                for seed in current.seeds.list() {
                    let digest: String = seed.digest.to_string().chars().take(12).collect();
                    let outcome = match seed.outcome {
                        SeedOutcome::Pending => "is being tried",
                        SeedOutcome::Succeeded => "proved itself",
                        SeedOutcome::Failed => "did not prove itself",
                    };
                    say(&wrapped("taken: ", &format!("{} ({digest}) {outcome}", seed.place)));
                }
            }
            Err(error) => say(&wrapped("", &chain(&error))),
        }
        let places: Vec<String> = self.sticks.keys().map(|volume| volume.name.clone()).collect();
        say(&wrapped(
            "plugged in: ",
            &if places.is_empty() { "nothing".into() } else { places.join(", ") },
        ));
        let found: Vec<String> =
            self.candidates().into_iter().map(|(candidate, ..)| candidate.place).collect();
        let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
        say(&wrapped("configurations: ", &found));
        say(&wrapped("names: ", &NAMES.join(" ")));
    }
}

/// Whose the device is.
fn standing(current: &Current) -> Standing {
    if current.running.is_some() || current.unproven {
        Standing::Trying
    } else if current.provisioned {
        Standing::Owned
    } else {
        Standing::Unclaimed
    }
}

fn place_of(grounds: &Grounds) -> &str {
    match grounds {
        Grounds::FirstBoot { place, .. } => place,
        Grounds::FirstClaim | Grounds::Signed { .. } => "a configuration",
    }
}

fn progress(event: &JobEvent) -> String {
    let words = [&event.service, &event.message].into_iter().flatten().cloned().collect::<Vec<_>>();
    wrapped("  ", &format!("{} {}", event.step, words.join(": ")))
}

fn tell_warnings(warnings: &[String], say: &mut dyn FnMut(&str)) {
    for warning in warnings {
        say(&wrapped("  warning: ", warning));
    }
}
