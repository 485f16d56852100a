// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why did `rauc` fail? One line, with RAUC's words where scripts look for them.

use bundle::{OperationError, rauc_words};
use std::error::Error;

/// Why a command of `rauc` failed.
#[derive(Debug, thiserror::Error)]
pub enum RaucError {
    /// Refused, in words of RAUC.
    #[error("{0}")]
    Refused(String),
    /// An act failed because of something below.
    #[error("{act}")]
    Failed {
        /// What was tried, in words of RAUC.
        act: String,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Something below failed and says enough.
    #[error(transparent)]
    Below(Box<dyn Error + Send + Sync>),
}

impl RaucError {
    /// A refusal.
    #[must_use]
    pub fn refused(words: impl Into<String>) -> Self {
        Self::Refused(words.into())
    }

    /// A cause that says enough.
    #[must_use]
    pub fn below(source: impl Error + Send + Sync + 'static) -> Self {
        Self::Below(Box::new(source))
    }

    /// For `map_err`: what was tried.
    pub fn act<E: Error + Send + Sync + 'static>(act: impl Into<String>) -> impl FnOnce(E) -> Self {
        let act = act.into();
        move |source| Self::Failed { act, source: Box::new(source) }
    }

    /// The failure with its causes, on one line.
    #[must_use]
    pub fn chain(&self) -> String {
        chain_of(self)
    }
}

/// An error with its causes, on one line; RAUC's sentence before ours where it has one.
#[must_use]
pub fn chain_of(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut add = |text: String| {
        // Layers that add nothing repeat the layer below, with or without RAUC's capital letter.
        let lower = text.to_lowercase();
        if !text.is_empty() && !parts.iter().any(|known| known.to_lowercase().contains(&lower)) {
            parts.push(text);
        }
    };
    let mut next = Some(beneath(error));
    while let Some(error) = next {
        if let Some(words) = rauc_words(error) {
            add(words);
        }
        add(error.to_string());
        next = error.source();
    }
    parts.join(": ")
}

/// The error that a transparent wrapper shows: what it is decides RAUC's words for it.
fn beneath<'e>(error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    if let Some(RaucError::Below(below)) = error.downcast_ref::<RaucError>() {
        return beneath(&**below);
    }
    match error.downcast_ref::<OperationError>() {
        Some(OperationError::Bundle(below)) => below,
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_names_the_act_first_and_every_cause_once() {
        let cause = std::io::Error::other("no space left");
        let failed = RaucError::act("Failed to create bundle")(cause);
        assert_eq!(failed.chain(), "Failed to create bundle: no space left");
        let below = RaucError::below(std::io::Error::other("no space left"));
        assert_eq!(below.chain(), "no space left");
        let signers = bundle::SignatureError::SignerCount { found: 2 };
        let words = RaucError::below(OperationError::Bundle(signers.into())).chain();
        assert_eq!(words, "Unsupported number of signers: 2");
    }
}
