// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far is the install, in RAUC's words and numbers?
//!
//! RAUC counts in a tree of weighted steps: a step has a share of its parent, given by its weight
//! over the parent's number of parts, and clients see the sum of what is done, the text of the
//! step that began or ended, and how deep it lies. The texts are RAUC's because programs show and
//! compare them. A step that is not nested as announced is no failure here: the sum is bounded.

/// One per cent, in the unit that is counted in.
const PERCENT: u64 = 1_000_000;
/// A root step is the whole.
const WHOLE: u64 = 100 * PERCENT;

/// What happens during an act of a [`super::System`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SystemEvent {
    /// RAUC's property `Progress`.
    Progress {
        /// 0 to 100.
        percent: u8,
        /// The step.
        text: String,
        /// How deep it lies; the root is 1.
        depth: u32,
    },
    /// A message of the install for the person who asked for it.
    Message(String),
    /// A line for the log.
    Note(String),
    /// A line for the log that a person should see.
    Warning(String),
    /// A line that a handler printed and that is no message; RAUC prints it after `# `.
    HandlerLine(String),
}

struct Step {
    text: String,
    weight: u64,
    parts: u64,
    parts_done: u64,
    share: u64,
    done: u64,
    explicit_percent: u64,
}

/// The stack of steps, and who is told.
pub struct Steps<'a> {
    stack: Vec<Step>,
    sink: &'a mut dyn FnMut(SystemEvent),
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEnd {
    /// It did what it announced.
    Done,
    /// It failed.
    Failed,
}

impl<T, E> From<&Result<T, E>> for StepEnd {
    fn from(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Done } else { Self::Failed }
    }
}

impl<'a> Steps<'a> {
    /// No step yet; `sink` is told of each.
    pub fn new(sink: &'a mut dyn FnMut(SystemEvent)) -> Self {
        Self { stack: Vec::new(), sink }
    }

    /// Begins a step of weight 1 with `parts` steps inside it.
    pub fn begin(&mut self, text: &str, parts: u64) {
        self.begin_weighted(text, parts, 1);
    }

    /// Begins a step that counts as `weight` parts of the one around it.
    pub fn begin_weighted(&mut self, text: &str, parts: u64, weight: u64) {
        let share = match self.stack.last() {
            Some(parent) if parent.parts > 0 => {
                (weight.saturating_mul(parent.share) / parent.parts).min(parent.share)
            }
            Some(_) => 0,
            None => WHOLE,
        };
        let text = text.to_owned();
        let (parts_done, done, explicit_percent) = (0, 0, 0);
        self.stack.push(Step { text, weight, parts, parts_done, share, done, explicit_percent });
        self.tell("");
    }

    /// Ends the innermost step.
    pub fn end(&mut self, end: StepEnd) {
        let Some(mut step) = self.stack.pop() else { return };
        if let Some(parent) = self.stack.last_mut() {
            parent.parts_done = parent.parts_done.saturating_add(step.weight).min(parent.parts);
        }
        // Of an inner step that is not the root, what was told as a percentage counts already.
        let rest = step.share.saturating_sub(told(&step));
        self.add(if step.parts == 0 { rest } else { step.share.saturating_sub(step.done) });
        step.done = step.share;
        self.stack.push(step);
        self.tell(match end {
            StepEnd::Done => " done.",
            StepEnd::Failed => " failed.",
        });
        self.stack.pop();
    }

    /// Runs `act` as a step without parts.
    ///
    /// # Errors
    /// Those of `act`.
    pub fn leaf<T, E>(
        &mut self,
        text: &str,
        act: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.begin(text, 0);
        let result = act(self);
        self.end(StepEnd::from(&result));
        result
    }

    /// The innermost step is so far; smaller and equal numbers are not told.
    pub fn percent(&mut self, percent: u64) {
        let Some(step) = self.stack.last_mut() else { return };
        let percent = percent.min(100);
        if percent <= step.explicit_percent {
            return;
        }
        let before = told(step);
        step.explicit_percent = percent;
        let more = told(step).saturating_sub(before);
        let shown = self.whole_percent();
        self.add(more);
        // The end of the step tells of its hundred, and nobody sees less than one of the whole.
        if percent != 100 && self.whole_percent() != shown {
            self.tell("");
        }
    }

    /// A message of the install.
    pub fn message(&mut self, text: impl Into<String>) {
        (self.sink)(SystemEvent::Message(text.into()));
    }

    /// A line for the log.
    pub fn note(&mut self, text: impl Into<String>) {
        (self.sink)(SystemEvent::Note(text.into()));
    }

    /// A warning for the log.
    pub fn warn(&mut self, text: impl Into<String>) {
        (self.sink)(SystemEvent::Warning(text.into()));
    }

    /// Any event.
    pub fn event(&mut self, event: SystemEvent) {
        (self.sink)(event);
    }

    /// Adds to everything around the innermost step.
    fn add(&mut self, amount: u64) {
        for step in &mut self.stack {
            step.done = step.done.saturating_add(amount).min(step.share);
        }
    }

    fn whole_percent(&self) -> u64 {
        self.stack.first().map_or(0, |root| root.done / PERCENT)
    }

    fn tell(&mut self, end: &str) {
        let Some(step) = self.stack.last() else { return };
        let mut percent = self.whole_percent();
        if self.stack.len() > 1 || end.is_empty() {
            // Only the end of the root is the end.
            percent = percent.min(99);
        }
        let event = SystemEvent::Progress {
            percent: u8::try_from(percent).unwrap_or(100),
            text: format!("{}{end}", step.text),
            depth: u32::try_from(self.stack.len()).unwrap_or(u32::MAX),
        };
        (self.sink)(event);
    }
}

/// What a percentage told of a step is worth.
const fn told(step: &Step) -> u64 {
    step.share.saturating_mul(step.explicit_percent) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(act: impl FnOnce(&mut Steps<'_>)) -> Vec<(u8, String, u32)> {
        let mut seen = Vec::new();
        let mut sink = |event| {
            if let SystemEvent::Progress { percent, text, depth } = event {
                seen.push((percent, text, depth));
            }
        };
        act(&mut Steps::new(&mut sink));
        seen
    }

    #[test]
    fn shares_follow_weights_and_only_the_end_of_the_root_is_a_hundred() {
        let seen = run(|steps| {
            steps.begin("Installing", 10);
            for _ in 0..4 {
                steps.begin("Part", 0);
                steps.end(StepEnd::Done);
            }
            steps.begin_weighted("Updating slots", 10, 6);
            steps.begin_weighted("Checking slot", 0, 1);
            steps.end(StepEnd::Done);
            steps.begin_weighted("Copying image", 0, 9);
            steps.percent(50);
            steps.percent(50);
            steps.percent(100);
            steps.end(StepEnd::Done);
            steps.end(StepEnd::Done);
            steps.end(StepEnd::Done);
        });
        let last: Vec<_> = seen.iter().skip(9).map(|(p, t, d)| (*p, t.as_str(), *d)).collect();
        assert_eq!(
            last,
            [
                (40, "Updating slots", 2),
                (40, "Checking slot", 3),
                (46, "Checking slot done.", 3),
                (46, "Copying image", 3),
                (73, "Copying image", 3),
                (99, "Copying image done.", 3),
                (99, "Updating slots done.", 2),
                (100, "Installing done.", 1),
            ]
        );
    }

    #[test]
    fn a_percentage_that_changes_nothing_of_the_whole_is_not_told() {
        let seen = run(|steps| {
            steps.begin("Installing", 10);
            steps.begin("Part", 0);
            (1..100).for_each(|percent| steps.percent(percent));
        });
        let told: Vec<u8> = seen.iter().skip(1).map(|(percent, _, _)| *percent).collect();
        assert_eq!(told, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn a_failed_step_says_so_and_counts_as_passed() {
        let seen = run(|steps| {
            steps.begin("Installing", 10);
            let refused: Result<(), ()> = steps.leaf("Checking bundle", |_| Err(()));
            assert!(refused.is_err());
            steps.end(StepEnd::Failed);
        });
        assert_eq!(seen[2], (10, "Checking bundle failed.".to_owned(), 2));
        assert_eq!(seen[3], (100, "Installing failed.".to_owned(), 1));
    }

    #[test]
    fn wrong_nesting_never_leaves_the_hundred() {
        let seen = run(|steps| {
            steps.begin("Root", 1);
            for _ in 0..5 {
                steps.begin_weighted("Too heavy", 1, 9);
                steps.percent(70);
                steps.end(StepEnd::Done);
            }
            steps.begin("Root without parts", 0);
            steps.begin("Inside", 0);
            steps.end(StepEnd::Done);
            steps.end(StepEnd::Done);
            steps.end(StepEnd::Done);
            steps.end(StepEnd::Done);
        });
        assert!(seen.iter().all(|(percent, _, _)| *percent <= 100));
        assert!(seen.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{seen:?}");
    }
}
