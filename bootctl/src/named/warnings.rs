// SPDX-License-Identifier: MIT OR Apache-2.0
//! What should be told to a person: each act's own warnings each time, what is found at every look
//! once. A service looks many times a day for months.

/// Most lasting warnings that are remembered as told; after them they are told again.
const TOLD_MAX: usize = 64;

/// Warnings that wait to be fetched.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    waiting: Vec<String>,
    told: Vec<String>,
}

impl Warnings {
    /// Of something that was done.
    pub(super) fn add(&mut self, warning: String) {
        if !self.waiting.contains(&warning) {
            self.waiting.push(warning);
        }
    }

    /// Of something that is so, and will be found again.
    pub(super) fn add_lasting(&mut self, warning: String) {
        if self.told.contains(&warning) {
            return;
        }
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        self.told.push(warning.clone());
        self.add(warning);
    }

    /// Those that came since the last time.
    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_are_told_each_time_and_what_lasts_once() {
        let mut warnings = Warnings::default();
        for lasting in ["a copy is lost", "a copy is lost"] {
            warnings.add("ignored".to_owned());
            warnings.add_lasting(lasting.to_owned());
        }
        assert_eq!(warnings.take(), ["ignored", "a copy is lost"]);
        warnings.add("ignored".to_owned());
        warnings.add_lasting("a copy is lost".to_owned());
        assert_eq!(warnings.take(), ["ignored"]);
        (0..1000).for_each(|number| warnings.add_lasting(number.to_string()));
        assert!(warnings.told.len() <= TOLD_MAX);
    }
}
