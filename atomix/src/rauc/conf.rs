// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which `system.conf` holds for this command? Found, named or none at all, with the values that
//! the command line puts in their place.

use crate::context::SYSTEM_CONF_PATHS;
use crate::rauc::commands::ConfigUse;
use crate::rauc::error::RaucError;
use crate::rauc::request::{ConfOverride, Request};
use std::path::{Path, PathBuf};
use storage::{ByteLen, Files, HostFiles};
use updater::{SystemConfError, SystemConfig};

/// Longest `system.conf`; they are written by hand and a few KiB long.
const MAX_CONFIG: ByteLen = ByteLen::kib(256);

/// What RAUC goes by where there is no `system.conf`: a tool on a laptop, not a target.
const NO_CONFIG: &str = "[system]\ncompatible=none\nbootloader=noop\n";

/// The configuration of a command.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The file it was read from; `None` where there is none.
    pub path: Option<PathBuf>,
    /// Its text, to see later whether it changed.
    pub text: String,
    /// What it says.
    pub config: SystemConfig,
    /// What of it was read as RAUC reads it, though it says two things.
    pub oddities: Vec<SystemConfError>,
}

/// Loads the configuration that `request` goes by, below `root`.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn load(root: &Path, request: &Request) -> Result<Loaded, RaucError> {
    let named = request.path("conf");
    let required = named.is_some() || request.command.config == ConfigUse::Required;
    let path = match named {
        Some(path) => Some(absolute(&path)?),
        None if request.command.config == ConfigUse::Unused => None,
        None => Some(found(root)),
    };
    let mut loaded = match path {
        Some(path) => match read(root, &path) {
            Ok(text) => {
                let (config, oddities) = parse(&path, &text, &request.overrides)?;
                Loaded { path: Some(path), text, config, oddities }
            }
            Err(_) if !required => without_file(&request.overrides)?,
            Err(error) => return Err(failed(&path)(error)),
        },
        None => without_file(&request.overrides)?,
    };
    apply_options(&mut loaded.config, request)?;
    Ok(loaded)
}

/// The first place that has a file, or the last one to complain about.
fn found(root: &Path) -> PathBuf {
    let files = HostFiles::new(root);
    let there = |path: &&str| {
        files.resolve(Path::new(path)).is_ok_and(|path| path.symlink_metadata().is_ok())
    };
    let first = SYSTEM_CONF_PATHS.into_iter().find(there);
    PathBuf::from(first.unwrap_or(SYSTEM_CONF_PATHS[SYSTEM_CONF_PATHS.len() - 1]))
}

/// The text of a configuration file.
///
/// # Errors
/// Why it cannot be read.
pub fn read(root: &Path, path: &Path) -> Result<String, std::io::Error> {
    let bytes = HostFiles::new(root).read(path, MAX_CONFIG).map_err(std::io::Error::other)?;
    // In the system's own words, which scripts look for.
    let absent = || std::io::Error::from(nix::errno::Errno::ENOENT);
    decode(&bytes.ok_or_else(absent)?)
}

/// Comments may be in any encoding, as for RAUC; what is read may not.
fn decode(bytes: &[u8]) -> Result<String, std::io::Error> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
        match line.trim_ascii_start().starts_with(b"#") {
            true => Ok(String::from_utf8_lossy(line)),
            false => std::str::from_utf8(line).map(Into::into).map_err(std::io::Error::other),
        }
    });
    lines.collect()
}

fn failed<E: std::error::Error + Send + Sync + 'static>(
    path: &Path,
) -> impl FnOnce(E) -> RaucError {
    let path = path.display();
    RaucError::act(format!("Failed to initialize context: Failed to load system config ({path})"))
}

fn parse(
    path: &Path,
    text: &str,
    overrides: &[ConfOverride],
) -> Result<(SystemConfig, Vec<SystemConfError>), RaucError> {
    let base = path.parent().unwrap_or(Path::new("/"));
    let text = overlay(text, overrides)?;
    SystemConfig::parse_lenient(&text, base).map_err(failed(path))
}

fn without_file(overrides: &[ConfOverride]) -> Result<Loaded, RaucError> {
    let text = overlay(NO_CONFIG, overrides)?;
    let config = SystemConfig::parse(&text, &current_dir()?)
        .map_err(RaucError::act("Failed to initialize context"))?;
    Ok(Loaded { path: None, text: NO_CONFIG.to_owned(), config, oddities: Vec::new() })
}

fn current_dir() -> Result<PathBuf, RaucError> {
    std::env::current_dir().map_err(RaucError::act("cannot tell the current directory"))
}

/// A path as seen from the current directory.
///
/// # Errors
/// [`RaucError`] where there is none.
pub fn absolute(path: &Path) -> Result<PathBuf, RaucError> {
    Ok(current_dir()?.join(path))
}

/// Options that take the place of configured values.
fn apply_options(config: &mut SystemConfig, request: &Request) -> Result<(), RaucError> {
    if let Some(mount) = request.path("mount") {
        config.system.mountprefix = absolute(&mount)?;
    }
    Ok(())
}

/// The text of a key file in which `overrides` take the place of what it says.
///
/// # Errors
/// `RaucError` for names and values that would be more than one line.
pub fn overlay(text: &str, overrides: &[ConfOverride]) -> Result<String, RaucError> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for ConfOverride { section, key, value } in overrides {
        let is_odd = |part: &str| part.chars().any(char::is_control);
        if is_odd(section) || is_odd(key) || is_odd(value) || section.contains(']') {
            return Err(RaucError::refused("Error in parsing override: control character"));
        }
        let header = format!("[{section}]");
        let new = format!("{key}={value}");
        // A group may go on further down and a key be there twice: the last value would hold.
        let (mut start, mut inside, mut is_set) = (None, false, false);
        for (at, line) in lines.iter_mut().enumerate() {
            if line.trim_ascii_start().starts_with('[') {
                inside = line.trim_ascii() == header;
                start = start.or(inside.then_some(at));
            } else if inside && line.split_once('=').is_some_and(|(k, _)| k.trim() == key) {
                line.clone_from(&new);
                is_set = true;
            }
        }
        match start {
            None => lines.extend([header, new]),
            Some(start) if !is_set => lines.insert(start + 1, new),
            Some(_) => {}
        }
    }
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(section: &str, key: &str, value: &str) -> ConfOverride {
        let [section, key, value] = [section, key, value].map(str::to_owned);
        ConfOverride { section, key, value }
    }

    #[test]
    fn a_value_is_replaced_added_or_given_a_group() {
        let text = "[a]\nx=1\n[b]\nx = 2\n";
        let overrides = [set("b", "x", "3"), set("a", "y", "4"), set("c", "z", "5=6")];
        assert_eq!(overlay(text, &overrides).unwrap(), "[a]\ny=4\nx=1\n[b]\nx=3\n[c]\nz=5=6\n");
        assert!(overlay(text, &[set("a", "x", "1\n[evil]")]).is_err());
        let twice = overlay("[a]\nx=1\n[b]\n[a]\nx=2\n", &[set("a", "x", "3")]).unwrap();
        assert_eq!(twice, "[a]\nx=3\n[b]\n[a]\nx=3\n");
        let indented = overlay(" [a]\n  x = 1\n# x=2\n", &[set("a", "x", "3")]).unwrap();
        assert_eq!(indented, " [a]\nx=3\n# x=2\n");
    }

    #[test]
    fn only_comments_may_be_in_another_encoding() {
        assert_eq!(decode(b" # Ger\xe4t\n[a]\n").unwrap(), " # Ger\u{fffd}t\n[a]\n");
        assert!(decode(b"[a]\nx=Ger\xe4t\n").is_err());
    }

    #[test]
    fn without_a_file_an_override_still_holds() {
        let loaded = without_file(&[set("system", "bundle-formats", "verity")]).unwrap();
        assert_eq!(loaded.config.system.bundle_formats, [bundle::BundleFormat::Verity]);
        assert!(loaded.config.slots.is_empty());
    }
}
