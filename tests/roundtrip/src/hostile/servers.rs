// SPDX-License-Identifier: MIT OR Apache-2.0
//! Servers that do not send what they should, or not in time, or from elsewhere.

use super::{Refusal, Rig, Told};
use crate::daemon::until;
use crate::matrix::Extent;
use crate::nginx::Nginx;
use crate::tricks::{self, Trick};
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::time::{Duration, Instant};

/// What is said of each trick.
const TRICKS: [(Trick, &str); 8] = [
    (Trick::IgnoresRanges, "range"),
    (Trick::Truncates, "bytes missing"),
    (Trick::Stalls, "no progress for 2 seconds"),
    (Trick::Drips, "no progress for 2 seconds"),
    (Trick::Changes, "changed"),
    (Trick::ChangesSilently, "data block"),
    (Trick::ChangesUntagged, "data block"),
    (Trick::LiesAboutLength, "signature"),
];

/// Less patience than a board has, whose tries and pauses take minutes.
const SHORT: [(&str, &str); 2] = [("ATOMIX_HTTP_STALL_SECS", "2"), ("ATOMIX_HTTP_TRIES", "1")];

/// An install that is told to stop does so within this, whatever its server does: much less than
/// the patience with a server, and enough for a busy machine.
const STOPS_WITHIN: Duration = Duration::from_secs(30);

/// Free, since the network is ours alone.
const TLS_PORT: u16 = 8443;

impl Rig<'_> {
    pub(super) fn tricking(&self, out: &mut Told<'_>) -> Result<()> {
        let first = fs::read(self.bundle("first", "verity")?)?;
        // The same hash tree and signature, other bytes in the image.
        let mut second = first.clone();
        second.iter_mut().take(first.len() / 2).skip(first.len() / 4).for_each(|byte| *byte ^= 1);
        for (trick, says) in TRICKS {
            let url = tricks::serve(trick, first.clone(), second.clone())?;
            self.tricked(&format!("server: {trick:?}"), &url, says, &SHORT, out)?;
        }
        if self.extent == Extent::Exhaustive {
            // All tries with their pauses take a minute.
            let url = tricks::serve(Trick::Truncates, first.clone(), second)?;
            self.tricked(
                "server: Truncates, the default patience",
                &url,
                "bytes missing",
                &[],
                out,
            )?;
        }
        self.stalled(&first, out)
    }

    fn tricked(
        &self,
        what: &str,
        url: &str,
        says: &str,
        variables: &[(&str, &str)],
        out: &mut Told<'_>,
    ) -> Result<()> {
        let setup = self.setup();
        let refusal = Refusal { what, bundle: url, setup, says, arguments: &[], variables };
        self.refuse(&refusal, out)
    }

    /// A server that has stopped sending, and the patience of a board: the install can be ended.
    fn stalled(&self, bundle: &[u8], out: &mut Told<'_>) -> Result<()> {
        let url = tricks::serve(Trick::Stalls, bundle.to_vec(), Vec::new())?;
        let device = self.device(&self.setup())?;
        let service = device.serve(self.rauc)?;
        let rauc = self.rauc.display().to_string();
        let (tried, took) = std::thread::scope(|scope| {
            let client = scope.spawn(|| service.try_program(&rauc, &["install", &url]));
            let copies =
                || service.property("Progress").is_ok_and(|progress| progress.contains("Copying"));
            let copied = until("the image is copied", copies, || Ok(None));
            let begun = Instant::now();
            // In any case, or the client waits for minutes.
            service.call("de.atomix.Installer.Cancel")?;
            let tried = client.join().map_err(|_| anyhow::anyhow!("the client panicked"))??;
            copied.map(|()| (tried, begun.elapsed()))
        })?;
        let error = self.told(&tried, &device, &service)?;
        ensure!(took < STOPS_WITHIN, "stopped only after {} s", took.as_secs());
        out.line(&format!("server: Stalls, and a cancel: {error} ({} ms)", took.as_millis()))
    }

    /// A server behind TLS sends us to one without.
    pub(super) fn redirected(&self, out: &mut Told<'_>) -> Result<()> {
        let bundle = fs::read(self.bundle("redirected", "verity")?)?;
        let files = self.dir.join("served");
        fs::create_dir_all(&files)?;
        fs::write(files.join("update.raucb"), bundle)?;
        let plain = Nginx::url();
        let more = format!(
            "server {{ listen 127.0.0.1:{TLS_PORT} ssl; ssl_certificate {}; ssl_certificate_key {};\n\
             root {}; location /away {{ return 302 {plain}/update.raucb; }}\n\
             location /along {{ return 302 /update.raucb; }} }}\n",
            self.keys.cert("web").display(),
            self.keys.key("web").display(),
            files.display(),
        );
        let server = Nginx::start_beside(&files, &self.dir.join("redirecting"), &more)?;
        let tls = format!("https://127.0.0.1:{TLS_PORT}");
        let authority = format!("--tls-ca={}", self.keys.cert("root").display());
        // By the same server it is installed, also after a redirect; so is it without TLS.
        for url in [format!("{tls}/along"), format!("{plain}/update.raucb")] {
            let device = self.device(&self.setup())?;
            let service = device.serve(self.rauc)?;
            service.client(self.rauc, &["install", &authority, &url])?;
            ensure!(device.primary()? == "B", "{url}: not installed");
        }
        let refusals = [
            ("server: https leads to http", "/away", &[authority.as_str()][..], "http"),
            ("server: https by a stranger", "/update.raucb", &[], "certificate"),
        ];
        for (what, path, arguments, says) in refusals {
            let refusal = Refusal {
                what,
                bundle: &format!("{tls}{path}"),
                setup: self.setup(),
                says,
                arguments,
                variables: &SHORT,
            };
            self.refuse(&refusal, out)?;
        }
        server.stop().map(drop).context("the redirecting server")
    }
}
