// SPDX-License-Identifier: MIT OR Apache-2.0
//! Did somebody ask for an empty data partition? The request waits in the environment for the next
//! boot, since only the initrd can make a new file system where nothing is mounted.
//!
//! The variable `atomix_reset_data` stands beside the boot state and is no part of it: the selector
//! does not read it, no transition changes it, and a lost environment has lost it. Any other value
//! than `1` asks for nothing: what cannot be undone needs an exact word.

use uboot::{Env, EnvError};

/// The variable that holds the request.
const VARIABLE: &str = "atomix_reset_data";

/// Whether the data partition is to be made anew at the next boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataReset {
    /// Nobody asked.
    NotRequested,
    /// It is to be wiped and to get a new file system.
    Requested,
}

impl DataReset {
    /// Reads the request.
    #[must_use]
    pub fn from_env(env: &Env) -> Self {
        match env.get(VARIABLE) {
            Some("1") => Self::Requested,
            Some(_) | None => Self::NotRequested,
        }
    }

    /// Writes or removes the request; all other variables stay.
    ///
    /// # Errors
    /// [`EnvError`] when the environment refuses the value.
    pub fn write_to(self, env: &mut Env) -> Result<(), EnvError> {
        match self {
            Self::Requested => env.set(VARIABLE, "1"),
            Self::NotRequested => {
                env.unset(VARIABLE);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_word_asks_and_a_request_can_be_taken_back() {
        let mut env = Env::new();
        for (value, wanted) in [
            ("1", DataReset::Requested),
            ("0", DataReset::NotRequested),
            ("yes", DataReset::NotRequested),
            ("11", DataReset::NotRequested),
        ] {
            env.set(VARIABLE, value).unwrap();
            assert_eq!(DataReset::from_env(&env), wanted, "{value}");
        }
        DataReset::Requested.write_to(&mut env).unwrap();
        assert_eq!(DataReset::from_env(&env), DataReset::Requested);
        DataReset::NotRequested.write_to(&mut env).unwrap();
        assert_eq!(env, Env::new());
    }
}
