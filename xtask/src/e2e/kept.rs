// SPDX-License-Identifier: MIT OR Apache-2.0
//! How did a scenario end when it was played last? Kept beside its log, so that an hour's run need
//! not begin anew for the one scenario that failed in it.

use super::outcome::Outcome;
use crate::error::TaskError;
use std::fs;
use std::path::{Path, PathBuf};

fn file(logs: &Path, name: &str) -> PathBuf {
    logs.join(format!("{name}.outcome.json"))
}

/// The outcome of the scenario `name`, where it was played and that run was not cut off.
#[expect(clippy::disallowed_methods, reason = "results are scratch of this machine")]
pub fn find(logs: &Path, name: &str) -> Result<Option<Outcome>, TaskError> {
    let path = file(logs, name);
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&fs::read(path)?)?))
}

/// Keeps an outcome.
#[expect(clippy::disallowed_methods, reason = "results are scratch of this machine")]
pub fn keep(logs: &Path, outcome: &Outcome) -> Result<(), TaskError> {
    Ok(fs::write(file(logs, &outcome.name), serde_json::to_vec(outcome)?)?)
}

/// Forgets an outcome: a run that is cut off must not leave the one before.
#[expect(clippy::disallowed_methods, reason = "results are scratch of this machine")]
pub fn forget(logs: &Path, name: &str) -> Result<(), TaskError> {
    let path = file(logs, name);
    if path.exists() {
        fs::remove_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_kept_until_its_scenario_is_played_again() {
        let logs = tempfile::tempdir().unwrap();
        let outcome = Outcome {
            name: "panic".to_owned(),
            commit: "abc".to_owned(),
            passed: true,
            secs: 1.5,
            told: Vec::new(),
        };
        assert_eq!(find(logs.path(), "panic").unwrap(), None);
        keep(logs.path(), &outcome).unwrap();
        assert_eq!(find(logs.path(), "panic").unwrap(), Some(outcome));
        assert_eq!(find(logs.path(), "hang").unwrap(), None);
        forget(logs.path(), "panic").unwrap();
        forget(logs.path(), "panic").unwrap();
        assert_eq!(find(logs.path(), "panic").unwrap(), None);
    }
}
