// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAUC's `noop`: a boot loader that cannot be told, and of which nothing is known.

use super::{NamedBoot, NamedError, NamedFailure, NamedMark};

const NAME: &str = "noop";

/// Accepts every change, keeps none, and says so.
#[derive(Debug, Default)]
pub(super) struct NoopNamed {
    warnings: Vec<String>,
}

const fn unknown(what: &'static str) -> NamedError {
    NamedError::new(NAME, NamedFailure::Unsupported { what, backend: NAME })
}

impl NamedBoot for NoopNamed {
    fn name(&self) -> &'static str {
        NAME
    }

    fn current(&mut self) -> Result<Option<String>, NamedError> {
        Ok(None)
    }

    fn is_good(&mut self, _bootname: &str) -> Result<bool, NamedError> {
        Err(unknown("state"))
    }

    fn primary(&mut self) -> Result<Option<String>, NamedError> {
        Err(unknown("primary entry"))
    }

    fn set_state(&mut self, bootname: &str, mark: NamedMark) -> Result<(), NamedError> {
        self.warnings.push(format!(
            "noop bootloader: ignore setting slot {bootname} status to {}",
            mark.as_str()
        ));
        Ok(())
    }

    fn set_primary(&mut self, bootname: &str) -> Result<(), NamedError> {
        let warning = format!("noop bootloader: ignore setting slot {bootname} as primary");
        self.warnings.push(warning);
        Ok(())
    }

    fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_claimed_about_a_boot_loader_that_cannot_be_asked() {
        let mut noop = NoopNamed::default();
        noop.set_state("A", NamedMark::Good).unwrap();
        noop.set_primary("A").unwrap();
        assert_eq!(noop.warnings().len(), 2);
        let state = noop.is_good("A").unwrap_err();
        assert!(matches!(state.failure(), NamedFailure::Unsupported { .. }));
        assert_eq!(state.to_string(), "Obtaining state from bootloader 'noop' not supported yet");
        assert_eq!(
            noop.primary().unwrap_err().to_string(),
            "Obtaining primary entry from bootloader 'noop' not supported yet"
        );
    }
}
