// SPDX-License-Identifier: MIT OR Apache-2.0
//! May a container see this path of the host?

use super::Refused;

/// Stands for the directory of the rendered configuration.
pub(crate) const CONFIG_TOKEN: &str = "${CONFIG_DIR}";

/// Stands for the directory of the bundle's payload.
pub(crate) const FILES_TOKEN: &str = "${FILES_DIR}";

/// Where data for containers may be on the host. Anything else is the system's.
const DATA_PLACES: [&str; 4] = ["/data/containers", "/srv", "/mnt", "/media"];

/// Single files that containers commonly read.
const COMMON_FILES: [&str; 2] = ["/etc/localtime", "/etc/timezone"];

/// Whose path it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostPlace {
    /// The bundle's own, or one for data.
    Data,
    /// One file that may be read.
    ReadOnly,
    /// The system's.
    System,
}

/// What place a path is.
///
/// # Errors
/// Paths that are relative or do not say plainly where they lead.
pub(crate) fn host_place(path: &str) -> Result<HostPlace, Refused> {
    // Quadlet takes some paths apart with quotes and escapes, others not.
    if path.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\')) {
        let hint = "name the file differently";
        return Err(Refused::new(format!("has a space, quote or backslash in it: {path:?}"), hint));
    }
    let rest = [FILES_TOKEN, "${CONFIG_DIR}/files", "/data/config/files"]
        .into_iter()
        .find_map(|token| path.strip_prefix(token))
        .filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let absolute = rest.is_some() || path.starts_with('/') || path.starts_with(CONFIG_TOKEN);
    if !absolute {
        return Err(Refused::new(
            format!("is no absolute path: {path:?}"),
            "begin with / or ${FILES_DIR}",
        ));
    }
    if path.split('/').any(|part| part == ".." || part == ".") || path.contains(['*', '?']) {
        let hint = "write the path as it is";
        return Err(Refused::new(format!("has . or .. or a pattern in it: {path:?}"), hint));
    }
    if rest.is_some() {
        return Ok(HostPlace::Data);
    }
    let path = path.trim_end_matches('/');
    let below = |place: &str| path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/'));
    if COMMON_FILES.contains(&path) {
        return Ok(HostPlace::ReadOnly);
    }
    if DATA_PLACES.iter().any(|place| below(place) || path == *place) {
        return Ok(HostPlace::Data);
    }
    Ok(HostPlace::System)
}
