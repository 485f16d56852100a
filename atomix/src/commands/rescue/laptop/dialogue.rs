// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does one get to U-Boot's prompt, and what does the board do instead? Pure: bytes and times
//! in, bytes to send and sights out.
//!
//! Nothing is believed to be the prompt that does not answer: a made-up word has to come back, and
//! U-Boot's version after it. Until then as little as possible is sent, since what listens may be
//! a shell, a login, or a file system check that asks whether it may go on: nothing while the board
//! talks, and one blank and a return where it has said nothing at all. (A return alone would repeat
//! the last command of a U-Boot.)

use super::ear::Ear;
use super::stop_text::StopText;
use bootctl::{Reason, SlotId};
use std::collections::VecDeque;
use std::time::Duration;

/// U-Boot looks at one character every 10 ms; a small buffer overflows when more come.
const TYPE_EVERY: Duration = Duration::from_millis(25);

/// What stands still for so long is no line that is being said.
const QUIET: Duration = Duration::from_millis(250);

/// After so long without a byte the board is asked whether it waits for something.
const KNOCK_AFTER: Duration = Duration::from_millis(1500);

/// And then again.
const KNOCK_EVERY: Duration = Duration::from_secs(10);

/// After so long the person is told that nothing comes.
const SILENT_AFTER: Duration = Duration::from_secs(10);

/// How long a prompt may take to answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(4);

/// After a prompt that was none, nothing is sent for so long.
const FALSE_PROMPT_PAUSE: Duration = Duration::from_secs(10);

/// A prompt that is not seen after so long was hidden by another message: a return brings it again.
const PROMPT_PATIENCE: Duration = Duration::from_secs(2);

/// Bytes over which noise is judged.
const NOISE_WINDOW: u32 = 256;

/// Percent of them that are no text on a line of the wrong speed; on a right one there are none.
const NOISE_PERCENT: u32 = 20;

/// What the board was seen to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// U-Boot began.
    Banner,
    /// It found no stored environment.
    EnvironmentLost,
    /// It waits for a stop text and none was given.
    WantsText,
    /// It says that it waits for a stop text, and does not.
    NoTime,
    /// The stop text was typed and it booted all the same.
    TextRefused,
    /// Any key would have stopped it, and none came in time.
    KeyMissed,
    /// It booted without waiting for anybody.
    Closed,
    /// The recovery button is pressed.
    Button,
    /// It was held long enough; whether it is let go and pressed again decides.
    LetGo,
    /// The selector chose a slot.
    Selected(SlotId, Reason),
    /// It shows its disk over USB, or has nothing to start.
    Recovery,
    /// Linux begins.
    Kernel,
    /// Linux asks who is there.
    Login,
    /// A shell waits.
    Shell,
    /// Something looked like the prompt and did not answer.
    FalsePrompt,
    /// Nothing came for a while.
    Silence,
    /// What comes is no text.
    Noise,
    /// U-Boot's prompt, for sure.
    Prompt,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this.
    Send(Vec<u8>),
    /// Send this and write it down nowhere.
    Secret(u8),
    /// Tell the person.
    Saw(Sight),
}

/// What was typed at this run of U-Boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Typed {
    Nothing,
    Key,
    Text,
}

/// How much of the answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Nothing,
    Word,
    /// And the version.
    Whole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Listening,
    /// The prompt is put to the test since then.
    Probing {
        since: Duration,
        answer: Answer,
    },
    AtPrompt,
}

/// The way to the prompt.
#[derive(Debug)]
pub struct Dialogue {
    stop: Option<StopText>,
    word: String,
    ear: Ear,
    phase: Phase,
    to_type: VecDeque<u8>,
    type_next: Duration,
    /// Of this run of U-Boot: whether it asked for a text or key, and whether one was typed.
    asked: bool,
    typed: Typed,
    began: bool,
    /// When the prompt should have come.
    prompt_due: Option<Duration>,
    heard_at: Option<Duration>,
    knocked_at: Option<Duration>,
    no_probe_before: Duration,
    said_silence: bool,
    bytes: u32,
    odd_bytes: u32,
    last: Option<Sight>,
    /// Why U-Boot could not be stopped when it started last.
    unstopped: Option<Sight>,
}

impl Dialogue {
    /// Begins at second 0; `word` is one that nobody else would say.
    #[must_use]
    pub fn new(stop: Option<StopText>, word: &str) -> Self {
        Self {
            stop,
            word: word.to_owned(),
            ear: Ear::default(),
            phase: Phase::Listening,
            to_type: VecDeque::new(),
            type_next: Duration::ZERO,
            asked: false,
            typed: Typed::Nothing,
            began: false,
            prompt_due: None,
            heard_at: None,
            knocked_at: None,
            no_probe_before: Duration::ZERO,
            said_silence: false,
            bytes: 0,
            odd_bytes: 0,
            last: None,
            unstopped: None,
        }
    }

    /// What the board did last, as far as it was seen.
    #[must_use]
    pub fn last(&self) -> Option<Sight> {
        // Why it could not be stopped says more than what it did then.
        self.unstopped.or(self.last)
    }

    /// Takes what was heard.
    pub fn hear(&mut self, now: Duration, bytes: &[u8]) -> Vec<Step> {
        let mut steps = Vec::new();
        for byte in bytes {
            self.heard_at = Some(now);
            self.judge_noise(*byte, &mut steps);
            if let Some(line) = self.ear.hear(*byte) {
                self.take_line(now, line.trim_end(), &mut steps);
            } else if !self.asked && self.ear.open().contains("Hit any key to stop autoboot") {
                self.asked = true;
                self.typed = Typed::Key;
                self.prompt_due = Some(now + PROMPT_PATIENCE);
                steps.push(Step::Send(b" ".to_vec()));
            }
            if let Phase::Probing { answer: Answer::Whole, .. } = self.phase
                && self.ear.is_at_prompt()
            {
                self.phase = Phase::AtPrompt;
                self.saw(Sight::Prompt, &mut steps);
            }
        }
        steps
    }

    /// Lets time pass.
    pub fn wait(&mut self, now: Duration) -> Vec<Step> {
        let mut steps = Vec::new();
        if now >= self.type_next
            && let Some(byte) = self.to_type.pop_front()
        {
            self.type_next = now + TYPE_EVERY;
            self.prompt_due = Some(now + PROMPT_PATIENCE);
            steps.push(Step::Secret(byte));
        }
        let Some(heard_at) = self.heard_at else {
            self.wait_in_silence(now, &mut steps);
            return steps;
        };
        match self.phase {
            Phase::Probing { since, .. } if now >= since + ANSWER_PATIENCE => {
                self.phase = Phase::Listening;
                self.no_probe_before = now + FALSE_PROMPT_PAUSE;
                self.saw(Sight::FalsePrompt, &mut steps);
            }
            Phase::Listening if now >= heard_at + QUIET => self.look_at_open_line(now, &mut steps),
            Phase::Listening | Phase::Probing { .. } | Phase::AtPrompt => {}
        }
        steps
    }

    fn wait_in_silence(&mut self, now: Duration, steps: &mut Vec<Step>) {
        let next = self.knocked_at.map_or(KNOCK_AFTER, |at| at + KNOCK_EVERY);
        if now >= next {
            self.knocked_at = Some(now);
            steps.push(Step::Send(b" \r".to_vec()));
        }
        if now >= SILENT_AFTER && !self.said_silence {
            self.said_silence = true;
            steps.push(Step::Saw(Sight::Silence));
        }
    }

    fn look_at_open_line(&mut self, now: Duration, steps: &mut Vec<Step>) {
        let open = self.ear.open();
        let open = open.trim_end();
        if self.ear.is_at_prompt() {
            if now >= self.no_probe_before && self.to_type.is_empty() {
                self.phase = Phase::Probing { since: now, answer: Answer::Nothing };
                steps.push(Step::Send(format!("echo {}; version\r", self.word).into_bytes()));
            }
        } else if self.prompt_due.is_some_and(|due| now >= due) {
            self.prompt_due = None;
            steps.push(Step::Send(b" \r".to_vec()));
        } else if open.ends_with("login:") || open.ends_with("Password:") {
            self.saw_once(Sight::Login, steps);
        } else if open.ends_with('#') || open.ends_with('$') {
            self.saw_once(Sight::Shell, steps);
        }
    }

    fn take_line(&mut self, now: Duration, line: &str, steps: &mut Vec<Step>) {
        if let Phase::Probing { since, answer } = self.phase {
            let more = match answer {
                Answer::Nothing if line == self.word => Some(Answer::Word),
                Answer::Word if line.starts_with("U-Boot ") => Some(Answer::Whole),
                Answer::Nothing | Answer::Word | Answer::Whole => None,
            };
            if let Some(answer) = more {
                self.phase = Phase::Probing { since, answer };
                return;
            }
        }
        if line.starts_with("U-Boot ") {
            (self.asked, self.typed, self.began) = (false, Typed::Nothing, true);
            self.forget_typing();
            self.phase = Phase::Listening;
            self.saw(Sight::Banner, steps);
        } else if line.contains("bad CRC, using default environment") {
            steps.push(Step::Saw(Sight::EnvironmentLost));
        } else if line.starts_with("Autoboot in ") {
            self.take_question(now, line, steps);
        } else if line.starts_with("recovery button:") {
            self.saw(Sight::Button, steps);
        } else if line.starts_with("let go for USB mass storage") {
            self.saw(Sight::LetGo, steps);
        } else if line == "atomix: recovery over USB" || line == "atomix: nothing can be started" {
            self.saw(Sight::Recovery, steps);
        } else if let Some((slot, reason)) = parse_selection(line) {
            self.take_selection(slot, reason, steps);
        } else if is_kernel(line) {
            self.began = false;
            self.saw_once(Sight::Kernel, steps);
        }
    }

    fn take_question(&mut self, now: Duration, line: &str, steps: &mut Vec<Step>) {
        self.asked = true;
        if line == "Autoboot in 0 seconds" {
            return self.saw(Sight::NoTime, steps);
        }
        let Some(stop) = &self.stop else { return self.saw(Sight::WantsText, steps) };
        // It throws away what came before it asked, and then hashes every character.
        self.to_type = stop.bytes().iter().copied().collect();
        self.type_next = now + TYPE_EVERY;
        self.typed = Typed::Text;
    }

    fn take_selection(&mut self, slot: SlotId, reason: Reason, steps: &mut Vec<Step>) {
        self.forget_typing();
        self.saw(Sight::Selected(slot, reason), steps);
        match self.typed {
            Typed::Text => self.saw(Sight::TextRefused, steps),
            Typed::Key => self.saw(Sight::KeyMissed, steps),
            Typed::Nothing if self.began && !self.asked => self.saw(Sight::Closed, steps),
            Typed::Nothing => {}
        }
        self.began = false;
    }

    fn forget_typing(&mut self) {
        self.to_type.clear();
        self.prompt_due = None;
    }

    fn judge_noise(&mut self, byte: u8, steps: &mut Vec<Step>) {
        let is_text = matches!(byte, 0x07..=0x0d | 0x1b | b' '..=b'~');
        self.bytes += 1;
        self.odd_bytes += u32::from(!is_text);
        if self.bytes == NOISE_WINDOW {
            if self.odd_bytes * 100 > NOISE_WINDOW * NOISE_PERCENT {
                self.saw_once(Sight::Noise, steps);
            }
            (self.bytes, self.odd_bytes) = (0, 0);
        }
    }

    fn saw(&mut self, sight: Sight, steps: &mut Vec<Step>) {
        self.last = Some(sight);
        match sight {
            Sight::Banner | Sight::Prompt => self.unstopped = None,
            Sight::WantsText
            | Sight::NoTime
            | Sight::TextRefused
            | Sight::KeyMissed
            | Sight::Closed => self.unstopped = Some(sight),
            Sight::EnvironmentLost
            | Sight::Button
            | Sight::LetGo
            | Sight::Selected(..)
            | Sight::Recovery
            | Sight::Kernel
            | Sight::Login
            | Sight::Shell
            | Sight::FalsePrompt
            | Sight::Silence
            | Sight::Noise => {}
        }
        steps.push(Step::Saw(sight));
    }

    fn saw_once(&mut self, sight: Sight, steps: &mut Vec<Step>) {
        if self.last != Some(sight) {
            self.saw(sight, steps);
        }
    }
}

/// The selector's line, if it is one.
#[must_use]
pub fn parse_selection(line: &str) -> Option<(SlotId, Reason)> {
    let (slot, reason) = line.strip_prefix("atomix: slot ")?.split_once(", ")?;
    Some((slot.parse().ok()?, reason.parse().ok()?))
}

fn is_kernel(line: &str) -> bool {
    line.starts_with("Starting kernel ...")
        || line.contains("] Booting Linux on ")
        || line.contains("] Linux version ")
}
