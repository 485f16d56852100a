// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is written down of what a configuration gives away of the host?

use crate::audit::{AuditEvent, Text};
use crate::quadlet::HostAccess;

/// What units may do to the host: a line for each, and so few in all that one configuration
/// pushes no other event out of the log.
pub(super) fn access_events(access: &[HostAccess]) -> Vec<AuditEvent> {
    const UNITS: usize = 32;
    const DIRECTIVES: usize = 16;
    let mut units: Vec<(&str, Vec<&HostAccess>)> = Vec::new();
    for one in access {
        match units.last_mut() {
            Some((unit, all)) if *unit == one.unit => all.push(one),
            Some(_) | None => units.push((&one.unit, vec![one])),
        }
    }
    let more = |count: usize, most: usize, what: &str| {
        let rest = count.checked_sub(most).filter(|rest| *rest > 0);
        rest.map(|rest| Text::new(&format!("and {rest} more {what}")))
    };
    let event = |(unit, all): &(&str, Vec<&HostAccess>)| {
        let told = all.iter().take(DIRECTIVES);
        let told = told.map(|one| Text::new(&format!("{}={}", one.directive, one.value)));
        let directives = told.chain(more(all.len(), DIRECTIVES, "directives")).collect();
        AuditEvent::FullAccessGranted { container: Text::new(unit), directives }
    };
    let rest = more(units.len(), UNITS, "units")
        .map(|container| AuditEvent::FullAccessGranted { container, directives: Vec::new() });
    units.iter().take(UNITS).map(event).chain(rest).collect()
}
