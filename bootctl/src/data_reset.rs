// SPDX-License-Identifier: MIT OR Apache-2.0
//! Did somebody ask for an empty data partition, and on which disk? The request waits in the
//! environment for the next boot, since only the initrd can make a new file system where nothing is
//! mounted.
//!
//! The variable `atomix_reset_data` stands beside the boot state and is no part of it: no transition
//! changes it. The environment outlives its disk, which may be replaced before that boot, so the
//! value names the partition to wipe: its partition UUID, lower-case with dashes. A bare `1`, which
//! a person can type at U-Boot's prompt, names none: it is meant for the disk that the same
//! environment is bound to (`atomix_disk`). Whoever wipes has to compare. Any other value asks for
//! nothing: what cannot be undone needs an exact word.

use storage::PartUuid;
use uboot::{Env, EnvError};

/// The variable that holds the request.
const VARIABLE: &str = "atomix_reset_data";

/// The value that names no partition.
const BARE: &str = "1";

/// Which data partition is to be wiped and to get a new file system at the next boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataReset {
    /// Nobody asked.
    NotRequested,
    /// The one with this identity and no other.
    Partition(PartUuid),
    /// The one on the disk that the environment is bound to.
    BoundDisk,
}

impl DataReset {
    /// Reads the request.
    #[must_use]
    pub fn from_env(env: &Env) -> Self {
        match env.get(VARIABLE) {
            Some(BARE) => Self::BoundDisk,
            Some(text) => match text.parse::<PartUuid>() {
                Ok(partition) if partition.to_string() == text => Self::Partition(partition),
                Ok(_) | Err(_) => Self::NotRequested,
            },
            None => Self::NotRequested,
        }
    }

    /// Writes or removes the request; all other variables stay.
    ///
    /// # Errors
    /// [`EnvError`] when the environment refuses the value.
    pub fn write_to(self, env: &mut Env) -> Result<(), EnvError> {
        match self {
            Self::Partition(partition) => env.set(VARIABLE, &partition.to_string()),
            Self::BoundDisk => env.set(VARIABLE, BARE),
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

    const DATA: &str = "11111111-2222-3333-4444-5555555555ab";

    #[test]
    fn only_the_exact_word_asks_and_a_request_can_be_taken_back() {
        let partition = DataReset::Partition(DATA.parse().unwrap());
        let mut env = Env::new();
        for (value, wanted) in [
            (DATA, partition),
            ("1", DataReset::BoundDisk),
            ("0", DataReset::NotRequested),
            ("yes", DataReset::NotRequested),
            ("11", DataReset::NotRequested),
            (&DATA.replace('-', ""), DataReset::NotRequested),
            (&format!("{{{DATA}}}"), DataReset::NotRequested),
            (&DATA[1..], DataReset::NotRequested),
        ] {
            env.set(VARIABLE, value).unwrap();
            assert_eq!(DataReset::from_env(&env), wanted, "{value}");
        }
        for request in [partition, DataReset::BoundDisk] {
            request.write_to(&mut env).unwrap();
            assert_eq!(DataReset::from_env(&env), request);
        }
        DataReset::NotRequested.write_to(&mut env).unwrap();
        assert_eq!(env, Env::new());
    }

    #[test]
    fn a_request_names_its_partition_as_the_system_does() {
        let mut env = Env::new();
        let written = DATA.to_uppercase().parse().map(DataReset::Partition).unwrap();
        written.write_to(&mut env).unwrap();
        assert_eq!(env.get(VARIABLE), Some(DATA));
    }
}
