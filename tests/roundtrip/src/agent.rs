// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does our own client of hawkBit's interface come to the end of an update with gooseBit? The client
//! and its HTTP are the real ones; the hands that install and restart are played first, and are those
//! of the program itself then ([`crate::house`]).

use crate::device::COMPATIBLE;
use crate::goosebit::{Goosebit, TOKEN};
use crate::hawkbit::make_update;
use crate::house;
use crate::peers;
use agents::ddi::{BootOutcome, Credentials, Deployment, Effect, FileHasher, Stage};
use anyhow::{Context as _, Result, ensure};
use bootctl::SlotId;
use curl::easy::{Easy, List};
use ddi::device::Device;
use std::io::Write;
use std::path::Path;

/// Plays an update that succeeds and one that falls back.
///
/// # Errors
/// When gooseBit does not know in the end what became of it.
pub fn judge(
    real: &Path,
    program: Option<&Path>,
    scratch: &Path,
    out: &mut dyn Write,
) -> Result<()> {
    let fell_back = BootOutcome::FellBack { why: "slot B was given up: watchdog".to_owned() };
    play(real, scratch, ("agent-good", BootOutcome::Good), "Finished")?;
    writeln!(out, "  an update: offered, reported, and a success once it is marked good")?;
    play(real, scratch, ("agent-bad", fell_back), "Error")?;
    writeln!(out, "  a fall back: reported with its reason")?;
    // The real RAUC, which is its own peer where no program is given, has no agent.
    program.map_or(Ok(()), |program| house::judge(program, scratch, out))
}

fn play(
    real: &Path,
    scratch: &Path,
    (name, outcome): (&str, BootOutcome),
    wanted: &str,
) -> Result<()> {
    let dir = scratch.join(name);
    let bundle = dir.join("update.raucb");
    let keys = peers::rauc_tests()?.join("openssl-ca");
    make_update((real, &keys), ("plain", COMPATIBLE), &[7; 1 << 16], &bundle)?;
    let server = Goosebit::start(&peers::goosebit_python()?, &dir.join("server"))?;
    server.register(name)?;
    let url = format!("http://{}", Goosebit::address());
    let mut device = Device::new(&url, name, Credentials::target(TOKEN)?)?.on_board(COMPATIBLE);
    // The first poll tells of the board.
    device.poll()?;
    server.assign(&bundle, name)?;
    device.poll()?;
    let offered = device.asked.iter().find_map(|effect| {
        if let Effect::Offer(found, _) = effect { Some(found.clone()) } else { None }
    });
    let offered = offered.with_context(|| format!("no offer, but {:?}", device.asked))?;
    check_hashes(&offered)?;
    device.begin()?;
    device.write()?;
    let state = |server: &Goosebit| -> Result<String> {
        Ok(server.device(name)?["last_state"].as_str().unwrap_or_default().to_owned())
    };
    ensure!(state(&server)? == "Running", "written, and gooseBit says {}", state(&server)?);
    device.boot(BootOutcome::OnTrial)?;
    device.poll()?;
    ensure!(device.is_at(Stage::Trial(SlotId::B)), "{:?}", device.action());
    ensure!(state(&server)? == "Running", "on trial, and gooseBit says {}", state(&server)?);
    device.boot(outcome)?;
    device.poll()?;
    let (found, told) = (state(&server)?, server.device_log(name)?);
    ensure!(found == wanted && device.is_idle(), "gooseBit says {found}: {told}");
    ensure!(told.contains("Downloaded 90%"), "{told}");
    if wanted == "Error" {
        ensure!(told.contains("watchdog"), "the reason is missing: {told}");
    }
    Ok(())
}

/// Fetches the artifact as a whole, with the device's token, and compares it with gooseBit's hash.
fn check_hashes(offered: &Deployment) -> Result<()> {
    let mut hasher = FileHasher::new()?;
    let mut easy = Easy::new();
    easy.url(&offered.artifact.url)?;
    let mut list = List::new();
    list.append(&format!("Authorization: TargetToken {TOKEN}"))?;
    easy.http_headers(list)?;
    {
        let mut transfer = easy.transfer();
        transfer.write_function(|piece| match hasher.update(piece) {
            Ok(()) => Ok(piece.len()),
            Err(_) => Ok(0),
        })?;
        transfer.perform()?;
    }
    Ok(offered.artifact.check_file(&hasher.finish()?)?)
}
