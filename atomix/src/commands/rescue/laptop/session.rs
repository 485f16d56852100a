// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rim: bytes and times of a real line for those who decide, and their bytes onto it. Says
//! what happens while it happens; a person waits with a finger on the power switch.

use super::asking::{Answer, Asking, Reply};
use super::command::Command;
use super::dialogue::{Dialogue, Sight, Step};
use super::found::{Found, loaded_slot, questions};
use super::stop_text::StopText;
use super::watch::{Seen, Watch};
use super::words::{explain, no_prompt};
use crate::failure::Failure;
use crate::line_cli::LineArgs;
use crate::output::Output;
use crate::serial_line::{Baud, Clock, Ended, Heard, LineLog, Port, bridge};
use std::path::Path;
use std::time::Duration;
use storage::ByteLen;

/// How often times are looked at while nothing comes.
const TICK: Duration = Duration::from_millis(10);

/// How long a command may take; saving erases flash, loading reads a card that may be broken.
const COMMAND_PATIENCE: Duration = Duration::from_secs(30);

/// A log of a session; one that is longer is `serial capture`'s work.
const LOG_MAX: ByteLen = ByteLen::mib(64);

/// A board at the other end of a line.
pub struct Session<'a, 'b> {
    port: Port,
    log: Option<LineLog>,
    clock: Clock,
    baud: Baud,
    patience: Duration,
    /// Random, so that no text on the board holds it.
    word: String,
    asked: u32,
    env_lost: bool,
    /// Where people are told.
    pub out: &'a mut Output<'b>,
}

impl<'a, 'b> Session<'a, 'b> {
    /// Opens the line.
    ///
    /// # Errors
    /// [`Failure::Line`], or [`Failure::Io`] without randomness.
    pub fn open(tty: &Path, args: &LineArgs, out: &'a mut Output<'b>) -> Result<Self, Failure> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|source| Failure::Io {
            act: "get randomness from",
            path: "the system".into(),
            source: std::io::Error::other(source.to_string()),
        })?;
        let word: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let log = args.log.as_deref().map(|path| LineLog::open(path, LOG_MAX)).transpose()?;
        let mut session = Self {
            port: Port::open(tty, args.baud)?,
            log,
            clock: Clock::start(),
            baud: args.baud,
            patience: Duration::from_secs(u64::from(args.timeout)),
            word: format!("atomix-{word}"),
            asked: 0,
            env_lost: false,
            out,
        };
        let listening = format!("listening to {} at {} baud", tty.display(), args.baud);
        session.tell(&listening)?;
        Ok(session)
    }

    /// Tells the person, and the log.
    ///
    /// # Errors
    /// [`Failure::Line`] of the log or [`Failure::Print`].
    pub fn tell(&mut self, text: &str) -> Result<(), Failure> {
        if let Some(log) = &mut self.log {
            log.note(self.clock.now(), text)?;
        }
        writeln!(self.out.people, "{text}")?;
        Ok(self.out.people.flush()?)
    }

    /// Waits for U-Boot's prompt, and makes it come where that is possible.
    ///
    /// # Errors
    /// [`Failure`] with what was seen instead.
    pub fn reach_prompt(&mut self, stop: Option<StopText>) -> Result<(), Failure> {
        self.tell("switch the board off and on, or reset it, so that U-Boot starts")?;
        let mut dialogue = Dialogue::new(stop, &self.word);
        let begin = self.clock.elapsed();
        let mut buffer = [0; 4096];
        loop {
            let now = self.clock.elapsed().saturating_sub(begin);
            if now >= self.patience {
                return Err(no_prompt(dialogue.last(), self.patience, self.baud));
            }
            let mut steps = match self.port.hear(&mut buffer, TICK)? {
                Heard::Nothing => Vec::new(),
                Heard::Bytes(count) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    self.write_down(bytes)?;
                    dialogue.hear(now, bytes)
                }
            };
            steps.extend(dialogue.wait(now));
            for step in steps {
                match step {
                    Step::Send(bytes) => self.port.say(&bytes)?,
                    Step::Secret(byte) => self.port.say(&[byte])?,
                    Step::Saw(sight) => {
                        self.note(sight)?;
                        if sight == Sight::Prompt {
                            return Ok(());
                        }
                        // The next start ends the same way, until a person does something else.
                        let unstopped = dialogue.last();
                        if matches!(sight, Sight::Selected(..))
                            && matches!(unstopped, Some(Sight::WantsText | Sight::NoTime))
                        {
                            return Err(no_prompt(unstopped, self.patience, self.baud));
                        }
                    }
                }
            }
        }
    }

    fn note(&mut self, sight: Sight) -> Result<(), Failure> {
        if sight == Sight::Banner || sight == Sight::EnvironmentLost {
            self.env_lost = sight == Sight::EnvironmentLost;
        }
        match explain(sight) {
            Some(text) => self.tell(&text),
            None => Ok(()),
        }
    }

    /// Types a command and waits for its answer.
    ///
    /// # Errors
    /// [`Failure::Board`] when the answer does not come, or [`Failure::Line`].
    pub fn ask(&mut self, command: &Command) -> Result<Answer, Failure> {
        let mut asking = self.begin(command)?;
        let begin = self.clock.elapsed();
        let mut buffer = [0; 4096];
        while self.clock.elapsed().saturating_sub(begin) < COMMAND_PATIENCE {
            let Heard::Bytes(count) = self.port.hear(&mut buffer, TICK)? else { continue };
            let bytes = buffer.get(..count).unwrap_or_default();
            self.write_down(bytes)?;
            match asking.hear(bytes) {
                None => {}
                Some(Reply::Answer(answer)) => return Ok(answer),
                Some(Reply::Restarted) => return Err(lost_answer("restarted during", command)),
                Some(Reply::TooLong) => {
                    return Err(lost_answer("does not end its answer to", command));
                }
            }
        }
        Err(lost_answer("does not answer", command))
    }

    fn begin(&mut self, command: &Command) -> Result<Asking, Failure> {
        self.asked += 1;
        let (bytes, asking) = Asking::new(command, &format!("{}-{}", self.word, self.asked));
        self.port.say(&bytes)?;
        Ok(asking)
    }

    /// Types a command that has to succeed.
    ///
    /// # Errors
    /// As [`Session::ask`], and [`Failure::Board`] with what U-Boot said.
    pub fn demand(&mut self, command: &Command) -> Result<Answer, Failure> {
        let answer = self.ask(command)?;
        if answer.status == 0 {
            return Ok(answer);
        }
        let said = answer.lines.join(" ");
        Err(Failure::Board {
            what: format!("U-Boot refuses `{command}`: {}", said.trim()),
            hint: "look at the log of the line; the board may have a worn or missing flash"
                .to_owned(),
        })
    }

    /// Reads what the environment says and what the selector would find.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub fn read(&mut self) -> Result<Found, Failure> {
        let mut found = Found { is_lost: self.env_lost, ..Found::default() };
        let mut slot = None;
        for question in questions() {
            let is_script = matches!(question, Command::Run(_));
            if is_script && !found.has_selector {
                continue;
            }
            let answer = self.ask(&question)?;
            slot = loaded_slot(&question).or(slot);
            found.take(&question, &answer, slot);
        }
        Ok(found)
    }

    /// Restarts the board and watches it choose a slot.
    ///
    /// # Errors
    /// [`Failure::Line`] or [`Failure::Print`].
    pub fn restart(&mut self) -> Result<Seen, Failure> {
        self.tell("restarting the board")?;
        self.port.say(b"reset\r")?;
        self.watch()
    }

    fn watch(&mut self) -> Result<Seen, Failure> {
        let mut watch = Watch::default();
        let begin = self.clock.elapsed();
        let mut buffer = [0; 4096];
        while self.clock.elapsed().saturating_sub(begin) < self.patience {
            let Heard::Bytes(count) = self.port.hear(&mut buffer, TICK)? else { continue };
            let bytes = buffer.get(..count).unwrap_or_default();
            self.write_down(bytes)?;
            if watch.hear(bytes) {
                break;
            }
        }
        Ok(watch.seen)
    }

    /// Types a command that goes on until somebody ends it, and tells `meanwhile` once a line
    /// begins with `sign`. True when it was told.
    ///
    /// # Errors
    /// As [`Session::ask`]; also when neither sign nor end comes.
    pub fn attend(
        &mut self,
        command: &Command,
        sign: &str,
        meanwhile: &str,
        patience: Duration,
    ) -> Result<bool, Failure> {
        let mut asking = self.begin(command)?;
        let begin = self.clock.elapsed();
        let mut buffer = [0; 4096];
        let mut is_told = false;
        loop {
            let limit = if is_told { patience } else { COMMAND_PATIENCE };
            if self.clock.elapsed().saturating_sub(begin) >= limit {
                return Err(lost_answer("does not end", command));
            }
            let Heard::Bytes(count) = self.port.hear(&mut buffer, TICK)? else { continue };
            let bytes = buffer.get(..count).unwrap_or_default();
            self.write_down(bytes)?;
            let reply = asking.hear(bytes);
            // An answer that is whole has taken the lines along.
            let is_in_reply = matches!(&reply, Some(Reply::Answer(answer))
                if answer.lines.iter().any(|line| line.starts_with(sign)));
            if !is_told && (is_in_reply || asking.has_line(sign)) {
                is_told = true;
                self.tell(meanwhile)?;
            }
            match reply {
                None => {}
                // The end of it, whatever it was.
                Some(Reply::Answer(_) | Reply::Restarted) => return Ok(is_told),
                Some(Reply::TooLong) => return Err(lost_answer("does not end", command)),
            }
        }
    }

    /// Hands the terminal to the board until the person types the escape.
    ///
    /// # Errors
    /// [`Failure::Line`].
    pub fn console(&mut self) -> Result<Ended, Failure> {
        self.tell("this terminal is the board's console now; Ctrl-] ends it")?;
        let (log, clock) = (&mut self.log, &self.clock);
        let ended = bridge(&mut self.port, &mut |bytes| match log {
            Some(log) => log.hear(clock.now(), bytes),
            None => Ok(()),
        })?;
        Ok(ended)
    }

    fn write_down(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if let Some(log) = &mut self.log {
            log.hear(self.clock.now(), bytes)?;
        }
        Ok(())
    }
}

fn lost_answer(what: &str, command: &Command) -> Failure {
    Failure::Board {
        what: format!("U-Boot {what} `{command}`"),
        hint: "start again; nothing is saved unless it was said".to_owned(),
    }
}
