// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does the real `rauc-hawkbit-updater` bring an update from a DDI server to the end with this
//! service? The server is gooseBit; it is also told of a bundle that the service refuses.

use crate::device::{COMPATIBLE, Device, Recipe, Setup, make_bundle};
use crate::goosebit::{Goosebit, TOKEN};
use crate::matrix::Installs;
use crate::peers;
use anyhow::{Context as _, Result, ensure};
use e2e::program::Program;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Polls until the server has an end; at the first the device tells of its board.
const POLLS: usize = 4;

const SLOT_BYTES: u64 = 4 << 20;

/// What the judge runs with.
#[derive(Clone, Debug)]
pub struct Peers {
    /// The real `rauc`, which makes the bundles.
    pub real: PathBuf,
    /// The program under test.
    pub rauc: PathBuf,
    /// What it can install on this kernel; whoever installs `verity` streams it too.
    pub installs: Installs,
    /// The real `rauc-hawkbit-updater`.
    pub updater: PathBuf,
    /// The Python that has gooseBit.
    pub python: PathBuf,
}

/// How the bundle comes to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The client downloads it.
    File,
    /// The client hands the address on, with the device's token as a header.
    Stream,
}

/// Plays all scenarios.
///
/// # Errors
/// When one does not end as it should.
pub fn judge(peers: &Peers, scratch: &Path, out: &mut dyn Write) -> Result<()> {
    let keys = peers::rauc_tests()?.join("openssl-ca");
    let rig = Rig { peers, keys: &keys, scratch };
    rig.play("hawkbit-file", "plain", Way::File, COMPATIBLE)?;
    writeln!(out, "  a downloaded bundle: installed, reported, boots next")?;
    rig.play("hawkbit-refused", "plain", Way::File, "Another board")?;
    writeln!(out, "  a bundle for another board: refused, reported with the reason")?;
    if peers.installs == Installs::All {
        rig.play("hawkbit-stream", "verity", Way::Stream, COMPATIBLE)?;
        writeln!(out, "  a streamed bundle: installed with the device's token, reported")?;
    }
    Ok(())
}

struct Rig<'a> {
    peers: &'a Peers,
    keys: &'a Path,
    scratch: &'a Path,
}

impl Rig<'_> {
    fn play(&self, name: &str, format: &str, way: Way, compatible: &str) -> Result<()> {
        let dir = self.scratch.join(name);
        let keyring = format!("path={}/dev-ca.pem\ncheck-crl=true", self.keys.display());
        let device = Device::make(&dir.join("device"), &Setup::raw(keyring, SLOT_BYTES))?;
        let image: Vec<u8> =
            (0..2_u32 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let bundle = dir.join("update.raucb");
        make_update((&self.peers.real, self.keys), (format, compatible), &image, &bundle)?;
        let server = Goosebit::start(&self.peers.python, &dir.join("server"))?;
        server.register(name)?;
        let service = device.serve(&self.peers.rauc)?;
        let client = self.client(&dir, name, way, compatible)?;
        let wanted = if compatible == COMPATIBLE { "Finished" } else { "Error" };
        let mut state = String::new();
        for poll in 0..POLLS {
            if poll == 1 {
                server.assign(&bundle, name)?;
            }
            // A refused bundle is an exit code of the client too; the server is what counts.
            append(&dir.join("client.log"), &self.poll(&client, &device))?;
            let known = server.device(name)?;
            state = known["last_state"].as_str().unwrap_or_default().to_owned();
            if state == "Finished" || state == "Error" {
                break;
            }
        }
        let reported = server.device_log(name)?;
        let story = || {
            format!(
                "{name}: the server has {state:?}, told {reported:?}; service:\n{}",
                service.said()
            )
        };
        ensure!(state == wanted, story());
        ensure!(service.property("Operation")? == "idle", story());
        let error = service.property("LastError")?;
        if wanted == "Finished" {
            ensure!(error.is_empty() && service.primary()? == "rootfs.1", "{error}; {}", story());
            ensure!(device.primary()? == "B" && device.holds(&image)?, story());
        } else {
            ensure!(
                error.contains("ompatible") && reported.contains(&error),
                "{error}; {}",
                story()
            );
            ensure!(device.primary()? == "A" && service.primary()? == "rootfs.0", story());
        }
        Ok(())
    }

    fn poll(&self, client: &Path, device: &Device) -> String {
        let ran = Program::new(&self.peers.updater.display().to_string())
            .arg("--run-once")
            .arg("--config-file")
            .arg(client)
            .env("DBUS_SYSTEM_BUS_ADDRESS", device.bus())
            .output();
        ran.unwrap_or_else(|failed| format!("{failed:#}"))
    }

    fn client(&self, dir: &Path, name: &str, way: Way, board: &str) -> Result<PathBuf> {
        let file = dir.join("client.conf");
        let stream = way == Way::Stream;
        fs::write(
            &file,
            format!(
                "[client]\nhawkbit_server={}\nssl=false\ntenant_id=DEFAULT\ntarget_name={name}\n\
                 auth_token={TOKEN}\nbundle_download_location={}\nstream_bundle={stream}\n\
                 retry_wait=1\nlog_level=debug\n\
                 [device]\nsw_version=1.0.0\nhw_boardname={board}\n",
                Goosebit::address(),
                dir.join("download.raucb").display(),
            ),
        )?;
        Ok(file)
    }
}

/// Makes a bundle with one image, signed by one of the keys of RAUC's own tests.
///
/// # Errors
/// When the real `rauc` does not.
pub fn make_update(
    (real, keys): (&Path, &Path),
    (format, compatible): (&str, &str),
    image: &[u8],
    to: &Path,
) -> Result<()> {
    let manifest = format!(
        "[update]\ncompatible={compatible}\nversion=2.0.0\n[bundle]\nformat={format}\n\
         [image.rootfs]\nfilename=rootfs.img\n"
    );
    let keys = keys.display();
    let signing = [
        format!("--cert={keys}/dev/autobuilder-1.cert.pem"),
        format!("--key={keys}/dev/private/autobuilder-1.pem"),
    ];
    fs::create_dir_all(to.parent().context("no directory")?)?;
    let recipe = Recipe {
        manifest: &manifest,
        files: &[("rootfs.img", image)],
        hook: None,
        arguments: &signing,
    };
    make_bundle(real, &recipe, to)
}

fn append(file: &Path, text: &str) -> Result<()> {
    let mut file = fs::File::options().create(true).append(true).open(file)?;
    Ok(writeln!(file, "{text}")?)
}
