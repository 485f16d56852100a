// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which configuration does every root file system of the demo's board bring? The files generated
//! from the board's facts, with the few lines that the demo changes.

use crate::failure::Failure;
use board_rock64::Board;
use bundle::BundleFormat;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What must hold for the demo's system to be healthy.
const HEALTH: &str = "\
settle_secs = 20
window_secs = 60
interval_secs = 5
on_failure = \"reboot\"

[[probe]]
name = \"dns\"
kind = \"unit\"
unit = \"dnsmasq.service\"

[[probe]]
name = \"containers\"
kind = \"unit\"
unit = \"podman.service\"

[[probe]]
name = \"lan\"
kind = \"interface\"
interface = \"eth1\"
";

/// The files by absolute path; `keyring` is PEM.
///
/// # Errors
/// [`Failure::Claim`] when the board's `system.conf` lacks a line that is to be changed.
pub fn files(
    board: &Board,
    compatible: &str,
    format: BundleFormat,
    keyring: &[u8],
) -> Result<BTreeMap<PathBuf, Vec<u8>>, Failure> {
    let mut files: BTreeMap<PathBuf, Vec<u8>> = board
        .generated_files()
        .into_iter()
        .filter(|(name, _)| name.starts_with("etc/"))
        .map(|(name, text)| (PathBuf::from("/").join(name), text.into_bytes()))
        .collect();
    let mut put = |path: &str, content: &[u8]| files.insert(PathBuf::from(path), content.to_vec());
    put("/etc/rauc/system.conf", system_conf(board, compatible, format)?.as_bytes());
    put("/etc/rauc/ca.cert.pem", keyring);
    put("/etc/atomix/health.toml", HEALTH.as_bytes());
    put("/etc/u-boot-initial-env", board.selector().as_bytes());
    Ok(files)
}

/// The board's `system.conf` with the bundle's compatible and format.
fn system_conf(board: &Board, compatible: &str, format: BundleFormat) -> Result<String, Failure> {
    let text = board.system_conf();
    let mut changed = 0;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with("compatible=") {
            changed += 1;
            lines.push(format!("compatible={compatible}"));
        } else if line.starts_with("bundle-formats=") {
            changed += 1;
            lines.push(match format {
                BundleFormat::Plain => "bundle-formats=verity plain".to_owned(),
                BundleFormat::Verity | BundleFormat::Crypt => line.to_owned(),
            });
        } else {
            lines.push(line.to_owned());
        }
    }
    if changed == 2 {
        return Ok(lines.join("\n") + "\n");
    }
    Err(Failure::Claim { claim: "system.conf names compatible and bundle formats".to_owned() })
}
