// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is what was found a configuration at all? Asked here, before it is handed over, so that whoever
//! stands at the console sees every fault with its place; the helper judges it again.

use super::text::wrapped;
use crate::input::{Discard, Limits, Origin, read_input};
use crate::model::{faults_text, validate};
use storage::chain;

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// In one line, for the audit log.
    pub reason: String,
    /// Everything, as lines of at most 80 columns.
    pub text: String,
}

/// Judges a file of this name; gives its warnings.
///
/// # Errors
/// [`Rejected`].
pub fn judge(name: &str, content: &[u8]) -> Result<Vec<String>, Rejected> {
    let input =
        read_input(Origin::Upload(name), content, &Limits::default(), &mut Discard::default())
            .map_err(|error| {
                let reason = chain(&error);
                let text =
                    format!("{}{}", wrapped("  ", &reason), wrapped("  hint: ", error.hint()));
                Rejected { reason, text }
            })?;
    let checked = validate(&input.config_toml).map_err(|faults| Rejected {
        reason: faults.to_string(),
        text: faults_text(&faults, name, &input.config_toml),
    })?;
    Ok(checked.warnings)
}
