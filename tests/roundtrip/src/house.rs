// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device that the real `atomix agent hawkbit` updates from gooseBit: the small board of
//! `atomix`' own tests, whose power supply is played, behind a server with TLS.
//!
//! Nothing of the program is played: it polls, streams the bundle into the slot, changes the boot
//! order, and tells the server what the verifier said after the restart.

use crate::cli_board::{ROOTFS_BYTES, SmallBoard, bundles, image};
use crate::goosebit::{Goosebit, TOKEN};
use crate::nginx::Nginx;
use crate::peers;
use anyhow::{Context as _, Result, ensure};
use bootctl::SlotState;
use e2e::program::Program;
use serde_json::json;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Free, since the network is ours alone.
const PORT: u16 = 8443;
/// So slow that a kill comes before the end of an install, however fast the machine is.
const SLOW_KIB: u32 = 64;
/// Until an install has begun.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where the device has its token.
const TOKEN_FILE: &str = "/data/config/hawkbit/token";
/// Where it has the authority of the server.
const CA_FILE: &str = "/data/config/hawkbit/ca.pem";

/// How an update of the device goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    /// The verifier marks it good.
    Good,
    /// It never gets so far, and the selector gives it up.
    FallsBack,
    /// The power fails in the middle of the install, again and again.
    Cut,
}

/// Lets the program update a device in each way.
///
/// # Errors
/// When gooseBit does not know in the end what became of it.
pub fn judge(program: &Path, scratch: &Path, out: &mut dyn Write) -> Result<()> {
    for (name, story, words) in [
        ("command-good", Story::Good, "streamed, restarted, marked good, and then a success"),
        ("command-bad", Story::FallsBack, "a fall back is a failure with the recorder's reason"),
        ("command-cut", Story::Cut, "killed while it installs, it goes on and succeeds"),
    ] {
        let house = House::build(program, name, &scratch.join(name))?;
        house.update(story)?;
        // Its workers outlive it where it is only killed, and keep the port.
        house.front.stop()?;
        writeln!(out, "  atomix agent hawkbit: {words}")?;
    }
    Ok(())
}

struct House<'a> {
    program: &'a Path,
    name: &'static str,
    board: SmallBoard,
    bundle: PathBuf,
    server: Goosebit,
    front: Nginx,
}

impl<'a> House<'a> {
    fn build(program: &'a Path, name: &'static str, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let server = Goosebit::start(&peers::goosebit_python()?, &dir.join("server"))?;
        server.register(name)?;
        let front = front(dir)?;
        let board = SmallBoard::new();
        let conf = "/etc/rauc/system.conf";
        board.replace(conf, "[keyring]\n", "[keyring]\nuse-bundle-signing-time=true\n");
        board.replace(conf, "perform-pre-check=true\n", "");
        board.write("/sys/class/net/eth0/address", "02:00:5e:10:20:30\n");
        board.write(TOKEN_FILE, TOKEN);
        fs::set_permissions(board.path(TOKEN_FILE), fs::Permissions::from_mode(0o600))?;
        board.write(CA_FILE, fs::read(dir.join("tls.pem"))?);
        let bundle = dir.join("update.raucb");
        fs::write(&bundle, bundles::good())?;
        let house = Self { program, name, board, bundle, server, front };
        house.settings(None);
        Ok(house)
    }

    /// The owner's settings, with so many KiB per second where that is to be slow.
    fn settings(&self, rate_kib: Option<u32>) {
        let mut settings = json!({
            "mode": "hawkbit",
            "hawkbit": {
                "url": format!("https://127.0.0.1:{PORT}"),
                "target_id": self.name,
                "target_token_file": TOKEN_FILE,
                "ca_file": CA_FILE,
            },
        });
        if let Some(rate) = rate_kib {
            settings["policy"] = json!({ "rate_limit_kib": rate });
        }
        self.board.write("/data/config/os-upgrade.json", settings.to_string());
    }

    fn silent(&self, words: &[&str]) -> Command {
        let mut command = self.command(words);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        // It was given another name, to take RAUC's place.
        command.arg0("atomix").arg("--root").arg(self.board.root()).args(words);
        command
    }

    fn run(&self, words: &[&str]) -> Result<String> {
        let ran = self.command(words).output()?;
        let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        ensure!(ran.status.success(), "{words:?}: {}: {said}", ran.status);
        Ok(said)
    }

    /// One round of the agent.
    fn once(&self) -> Result<String> {
        self.run(&["agent", "hawkbit", "--once"])
    }

    fn state(&self) -> Result<String> {
        let known = self.server.device(self.name)?;
        Ok(known["last_state"].as_str().unwrap_or_default().to_owned())
    }

    fn update(&self, story: Story) -> Result<()> {
        let mut said = self.once()?;
        self.server.assign(&self.bundle, self.name)?;
        if story == Story::Cut {
            self.kill_while_it_installs()?;
        }
        said.push_str(&self.once()?);
        let context = |said: &str| {
            let told = self.server.device_log(self.name).unwrap_or_default();
            format!("{}: the device said {said}; the server was told {told}", self.name)
        };
        ensure!(self.board.read("/dev/mmcblk1p4") == image(70, ROOTFS_BYTES), context(&said));
        ensure!(self.state()? == "Running", "written is not succeeded: {}", context(&said));
        ensure!(self.board.power_on().to_string() == "B", context(&said));
        said.push_str(&self.once()?);
        ensure!(self.state()? == "Running", "booted is not succeeded: {}", context(&said));
        let wanted = match story {
            Story::Good | Story::Cut => {
                self.run(&["boot", "mark-good", "booted"])?;
                "Finished"
            }
            Story::FallsBack => {
                let slots = [(); 3].map(|()| self.board.power_on().to_string());
                ensure!(slots == ["B", "B", "A"], "{slots:?}: {}", context(&said));
                "Error"
            }
        };
        said.push_str(&self.once()?);
        let (state, told) = (self.state()?, self.server.device_log(self.name)?);
        ensure!(state == wanted, "the server has {state}: {}", context(&said));
        if story == Story::FallsBack {
            ensure!(told.contains("slot B was given up"), "no reason: {}", context(&said));
        }
        ensure!(!said.contains(TOKEN) && !told.contains(TOKEN), "the token is shown");
        // What is over is not told again.
        said.push_str(&self.once()?);
        let again = self.server.device_log(self.name)?;
        ensure!(again == told, "told again: {}", context(&said));
        Ok(())
    }

    /// The power fails at moments of which nobody knows what the program does then, and once more while
    /// the slot is half written, as the boot state says.
    fn kill_while_it_installs(&self) -> Result<()> {
        self.settings(Some(SLOW_KIB));
        let mut child = self.silent(&["agent", "hawkbit", "--once"]).spawn()?;
        let begun = Instant::now();
        while self.board.state().b.state != SlotState::Writing {
            ensure!(child.try_wait()?.is_none(), "the round ended before anything was written");
            ensure!(begun.elapsed() < PATIENCE, "no install began");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill()?;
        let status = child.wait().context("the killed program cannot be waited for")?;
        ensure!(status.signal().is_some(), "it had ended by itself: {status}");
        let state = self.board.state().b.state;
        ensure!(state == SlotState::Writing, "killed in an install, slot B is {state}");
        self.settings(None);
        for millis in [20, 60, 120, 200, 300] {
            let mut child = self.silent(&["agent", "hawkbit", "--once"]).spawn()?;
            std::thread::sleep(Duration::from_millis(millis));
            child.kill()?;
            child.wait().context("the killed program cannot be waited for")?;
        }
        Ok(())
    }
}

/// A server with TLS before gooseBit, of which gooseBit is not told, as in many a house.
fn front(dir: &Path) -> Result<Nginx> {
    let (cert, key) = (dir.join("tls.pem"), dir.join("tls.key"));
    Program::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=gooseBit", "-addext", "subjectAltName=IP:127.0.0.1"])
        .arg("-out")
        .arg(&cert)
        .arg("-keyout")
        .arg(&key)
        .run()?;
    let more = format!(
        "  server {{ listen 127.0.0.1:{PORT} ssl; ssl_certificate {}; ssl_certificate_key {};\n    \
         location / {{ proxy_pass http://{}; proxy_set_header Host 127.0.0.1; }} }}\n",
        cert.display(),
        key.display(),
        Goosebit::address(),
    );
    Nginx::start_beside(dir, &dir.join("front"), &more)
}
