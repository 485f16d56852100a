// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each boot does with the configuration: bring it in order first of all, then apply its
//! parts, each when the system is ready for it.

use crate::cli::{ApplyArgs, HelperArgs, Part};
use crate::helper::{HelperError, device};
use crate::run::tell;
use config_api::activate::ApplyStep;

/// Brings the configurations in order.
pub fn recover(args: &HelperArgs) -> Result<(), HelperError> {
    if let Some(warning) = device(args)?.recover_at_boot()? {
        tell(&warning);
    }
    Ok(())
}

/// Applies parts of the one that counts.
pub fn apply(args: &ApplyArgs) -> Result<(), HelperError> {
    let steps: Vec<ApplyStep> = args.parts.iter().map(|part| step_of(*part)).collect();
    let failures = device(&args.device)?.apply_at_boot(&steps, args.limit)?;
    for failure in &failures {
        tell(&format!("{}: {}", failure.unit, failure.why));
    }
    if failures.is_empty() { Ok(()) } else { Err(HelperError::Parts(failures.len())) }
}

const fn step_of(part: Part) -> ApplyStep {
    match part {
        Part::Accounts => ApplyStep::Users,
        Part::Network => ApplyStep::Network,
        Part::Firewall => ApplyStep::Firewall,
        Part::Units => ApplyStep::Quadlets,
        Part::Updates => ApplyStep::Updates,
    }
}
