// SPDX-License-Identifier: MIT OR Apache-2.0
//! A signature by an administrator's key. `ssh-keygen` makes it: it knows agents, passphrases and
//! tokens that want to be touched, and the key never comes near us (decision 0048).

use super::DeviceError;
use config_api::auth::{NAMESPACE, NONCE_TTL_SECS, parse_armored};
use programs::{OutputStream, ProgramCall};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// More than the longest signature.
const MAX_SIGNATURE_BYTES: usize = 64 * 1024;

/// Part of the one line that somebody has to see while it waits: a token wants to be touched. All
/// else is told with the failure.
const WAITS: &str = "user presence";

/// Signs `message`; what the program says meanwhile (a token wants to be touched) goes to `people`.
///
/// # Errors
/// [`DeviceError::Sign`], [`DeviceError::NoSignature`].
pub(super) fn sign(
    key: &Path,
    message: &[u8],
    people: &mut dyn Write,
    stop: &dyn Fn() -> Option<&'static str>,
) -> Result<String, DeviceError> {
    let failed = |source| DeviceError::Sign { key: key.to_owned(), source };
    let mut input = message;
    let mut armored = Vec::new();
    let mut line = Vec::new();
    let mut told = |stream, bytes: &[u8]| match stream {
        OutputStream::Stdout => {
            let room = MAX_SIGNATURE_BYTES.saturating_sub(armored.len());
            armored.extend(bytes.iter().take(room));
        }
        OutputStream::Stderr => tell(&mut line, bytes, people),
    };
    let call = ProgramCall::new("ssh-keygen")
        .args(["-Y", "sign", "-n", NAMESPACE, "-f"])
        .arg(key)
        .input(&mut input)
        // It asks for a passphrase on the terminal, which it may read in our group alone.
        .in_our_group()
        // Later the nonce would be of no use.
        .timeout(Duration::from_secs(NONCE_TTL_SECS))
        .output(&mut told);
    let end = programs::run(call, stop).map_err(failed)?;
    if let Some(mode) = end.stderr.lines().find_map(open_mode).filter(|_| !end.success()) {
        return Err(DeviceError::KeyOpen { key: key.to_owned(), mode: mode.to_owned() });
    }
    end.check("ssh-keygen").map_err(failed)?;
    let armored = String::from_utf8(armored).map_err(|_| DeviceError::NoSignature)?;
    parse_armored(&armored).map_err(|_| DeviceError::NoSignature)?;
    Ok(armored)
}

/// `ssh-keygen` has its words in English alone.
fn open_mode(line: &str) -> Option<&str> {
    let (mode, rest) = line.trim().strip_prefix("Permissions ")?.split_once(' ')?;
    (rest.starts_with("for ") && rest.ends_with("are too open.")).then_some(mode)
}

fn tell(line: &mut Vec<u8>, bytes: &[u8], people: &mut dyn Write) {
    for byte in bytes {
        if !matches!(byte, b'\n' | b'\r') {
            line.push(*byte);
            continue;
        }
        let text = String::from_utf8_lossy(line).into_owned();
        line.clear();
        if text.contains(WAITS) {
            // Nobody who cannot be told is helped by an end.
            let _ = writeln!(people, "{text}");
        }
    }
}
