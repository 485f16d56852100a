// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which units does the device's configuration require?
//!
//! The file is a JSON array of names, `["traefik", "backup.timer"]`; a name without a unit suffix
//! is a service. An absent file requires nothing, a malformed one is a failure: a device must not
//! be confirmed because its list of requirements was damaged.

/// Names in one list; more is a damaged or hostile file that would stretch every round.
const MAX_UNITS: usize = 64;
/// systemd's own limit of a unit name's length.
pub(crate) const MAX_UNIT_NAME_BYTES: usize = 255;
const SUFFIXES: [&str; 8] =
    [".service", ".socket", ".target", ".timer", ".mount", ".path", ".device", ".swap"];

/// Whether `name` can be a unit's name: no path, option or control byte can hide in it.
pub(crate) fn is_unit_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_UNIT_NAME_BYTES
        && !name.starts_with('-')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte))
}

/// Completes a bare name to a service's.
pub(crate) fn complete_unit_name(name: &str) -> String {
    if SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        name.to_owned()
    } else {
        format!("{name}.service")
    }
}

/// Reads the list; the names are complete, in the file's order, each once.
pub(crate) fn parse_required_units(content: &[u8]) -> Result<Vec<String>, String> {
    let names: Vec<String> = serde_json::from_slice(content)
        .map_err(|source| format!("not an array of names: {source}"))?;
    if names.len() > MAX_UNITS {
        return Err(format!("more than {MAX_UNITS} names"));
    }
    let mut units = Vec::new();
    for name in names {
        if !is_unit_name(&name) {
            return Err(format!("{name:?} is not a unit name"));
        }
        let unit = complete_unit_name(&name);
        if !units.contains(&unit) {
            units.push(unit);
        }
    }
    Ok(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_names_are_services_and_repeated_ones_count_once() {
        assert_eq!(
            parse_required_units(br#"["traefik", "backup.timer", "traefik.service"]"#),
            Ok(vec!["traefik.service".to_owned(), "backup.timer".to_owned()])
        );
    }

    #[test]
    fn damaged_lists_are_failures_not_empty_lists() {
        for damaged in ["", "{}", "null", "[1]", r#"[""]"#, r#"["--all"]"#, r#"["../x"]"#, "[\"a\""]
        {
            assert!(parse_required_units(damaged.as_bytes()).is_err(), "{damaged}");
        }
        let many = serde_json::to_vec(&vec!["x"; MAX_UNITS + 1]).unwrap();
        assert!(parse_required_units(&many).is_err());
    }
}
