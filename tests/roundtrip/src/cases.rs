// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which bundles are tried? Every combination of what may differ, or the few of them in which every
//! pair of choices occurs.

use crate::keys::Chain;
use std::collections::BTreeSet;
use std::fmt;

/// The number of choices of each factor: format, chain, compression, hooks, adaptive, client.
const CHOICES: [usize; FACTORS] = [3, 4, 3, 4, 2, 2];

const FACTORS: usize = 6;

/// A bundle's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Signed as a whole.
    Plain,
    /// With a hash tree.
    Verity,
    /// With a hash tree over an encrypted image.
    Crypt,
}

impl Format {
    /// The word in the manifest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Verity => "verity",
            Self::Crypt => "crypt",
        }
    }
}

/// Programs that the bundle brings along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hooks {
    /// None.
    None,
    /// Instead of the comparison of compatibles.
    InstallCheck,
    /// Before and after the slot is written.
    Around,
    /// Instead of writing the slot.
    Install,
}

/// Whether the image has an index of its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adaptive {
    /// No.
    No,
    /// `block-hash-index`.
    BlockHashIndex,
}

/// Whose command line asks the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// The service's own.
    Own,
    /// The other program's.
    Peers,
}

/// One bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its format.
    pub format: Format,
    /// Who signed it.
    pub chain: Chain,
    /// squashfs's compressor.
    pub compression: &'static str,
    /// Its programs.
    pub hooks: Hooks,
    /// Its index.
    pub adaptive: Adaptive,
    /// Who asks for the install.
    pub client: Client,
}

impl fmt::Display for Case {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, chain, compression, hooks, adaptive, client } = self;
        let words = format!("{chain:?}-{compression}-{hooks:?}-{adaptive:?}-{client:?}");
        write!(to, "{}-{}", format.name(), words.to_lowercase())
    }
}

impl Case {
    /// The case of these choices; ones that there are not become the last there is.
    fn of(choices: [usize; FACTORS]) -> Self {
        let [format, chain, compression, hooks, adaptive, client] = choices;
        Self {
            format: match format {
                0 => Format::Plain,
                1 => Format::Verity,
                _ => Format::Crypt,
            },
            chain: match chain {
                0 => Chain::Root,
                1 => Chain::Intermediate,
                2 => Chain::Partial,
                _ => Chain::Ecc,
            },
            compression: match compression {
                0 => "gzip",
                1 => "xz",
                _ => "zstd",
            },
            hooks: match hooks {
                0 => Hooks::None,
                1 => Hooks::InstallCheck,
                2 => Hooks::Around,
                _ => Hooks::Install,
            },
            adaptive: if adaptive == 0 { Adaptive::No } else { Adaptive::BlockHashIndex },
            client: if client == 0 { Client::Own } else { Client::Peers },
        }
    }
}

/// Every combination.
#[must_use]
pub fn all() -> Vec<Case> {
    every_choice().into_iter().map(Case::of).collect()
}

/// Few combinations in which every pair of choices of two factors occurs.
#[must_use]
pub fn pairwise() -> Vec<Case> {
    let every = every_choice();
    let mut open: BTreeSet<Pair> = every.iter().flat_map(pairs).collect();
    let mut chosen = Vec::new();
    while !open.is_empty() {
        let gain = |choices: &&[usize; FACTORS]| {
            pairs(choices).into_iter().filter(|pair| open.contains(pair)).count()
        };
        // Of equals the last: max_by_key says so, which keeps the list the same from run to run.
        let Some(best) = every.iter().max_by_key(gain) else { break };
        for pair in pairs(best) {
            open.remove(&pair);
        }
        chosen.push(Case::of(*best));
    }
    chosen
}

/// Two factors, each with its choice.
type Pair = [(usize, usize); 2];

fn pairs(choices: &[usize; FACTORS]) -> Vec<Pair> {
    let mut found = Vec::new();
    for (one, first) in choices.iter().enumerate() {
        for (other, second) in choices.iter().enumerate().skip(one + 1) {
            found.push([(one, *first), (other, *second)]);
        }
    }
    found
}

fn every_choice() -> Vec<[usize; FACTORS]> {
    let mut every = vec![[0; FACTORS]];
    for (factor, count) in CHOICES.iter().enumerate() {
        every = every
            .into_iter()
            .flat_map(|choices| {
                (0..*count).map(move |choice| {
                    let mut next = choices;
                    if let Some(one) = next.get_mut(factor) {
                        *one = choice;
                    }
                    next
                })
            })
            .collect();
    }
    every
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_choices_occurs_in_few_cases() {
        let few = pairwise();
        assert!(few.len() <= 20, "{}", few.len());
        let every: BTreeSet<String> = all().iter().map(ToString::to_string).collect();
        assert_eq!(every.len(), 3 * 4 * 3 * 4 * 2 * 2);
        for hooks in [Hooks::None, Hooks::InstallCheck, Hooks::Around, Hooks::Install] {
            for chain in [Chain::Root, Chain::Intermediate, Chain::Partial, Chain::Ecc] {
                assert!(few.iter().any(|case| case.hooks == hooks && case.chain == chain));
            }
            for format in [Format::Plain, Format::Verity, Format::Crypt] {
                assert!(few.iter().any(|case| case.hooks == hooks && case.format == format));
            }
        }
        for client in [Client::Own, Client::Peers] {
            for compression in ["gzip", "xz", "zstd"] {
                let both = |case: &&Case| case.client == client && case.compression == compression;
                assert!(few.iter().any(|case| both(&case)));
            }
        }
    }
}
