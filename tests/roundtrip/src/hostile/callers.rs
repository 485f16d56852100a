// SPDX-License-Identifier: MIT OR Apache-2.0
//! Callers without rights, on a bus with the policies that we ship: another user's process asks the
//! service of root for all that it can.

use super::{Rig, Told};
use crate::device::{Device, Service, Tried};
use anyhow::{Context as _, Result, ensure};

/// What dbus's own configuration of the system bus says, without which ours means nothing.
const BUS: &str = r#"  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus"
           send_interface="org.freedesktop.DBus.Introspectable"/>
    <allow send_destination="org.freedesktop.DBus"
           send_interface="org.freedesktop.DBus.Properties"/>
  </policy>
"#;

const AS_RAUC_SHIPS: &str = include_str!("../../../../atomix/dist/rauc/de.pengutronix.rauc.conf");
const ROOT_ONLY: &str =
    include_str!("../../../../atomix/dist/rauc/de.pengutronix.rauc-root-only.conf");

/// A user without rights: nobody.
const STRANGER: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

/// What a policy forbids a stranger, as arguments of `dbus-send`. The bundle stands for `@`.
const WRITING: [&[&str]; 8] = [
    &["de.pengutronix.rauc.Installer.Install", "string:@"],
    &["de.pengutronix.rauc.Installer.InstallBundle", "string:@", "dict:string:string:"],
    &["de.pengutronix.rauc.Installer.Mark", "string:active", "string:other"],
    &["de.pengutronix.rauc.Installer.Mark", "string:bad", "string:booted"],
    &["de.pengutronix.rauc.Installer.InspectBundle", "string:@", "dict:string:string:"],
    &["de.pengutronix.rauc.Installer.Info", "string:@"],
    &["de.pengutronix.rauc.Poller.Poll"],
    &[
        "org.freedesktop.DBus.Properties.Set",
        "string:de.pengutronix.rauc.Installer",
        "string:LastError",
        "variant:string:all is well",
    ],
];

/// What nobody but root may do under either policy.
const CANCEL: &[&str] = &["de.atomix.Installer.Cancel"];

/// What everybody may ask.
const READING: [&[&str]; 5] = [
    &["de.pengutronix.rauc.Installer.GetSlotStatus"],
    &["de.pengutronix.rauc.Installer.GetArtifactStatus"],
    &["de.pengutronix.rauc.Installer.GetPrimary"],
    &[
        "org.freedesktop.DBus.Properties.Get",
        "string:de.pengutronix.rauc.Installer",
        "string:LastError",
    ],
    &["org.freedesktop.DBus.Properties.GetAll", "string:de.pengutronix.rauc.Installer"],
];

impl Rig<'_> {
    pub(super) fn strangers(&self, out: &mut Told<'_>) -> Result<()> {
        let bundle = self.bundle("for-strangers", "verity")?.display().to_string();
        let device = self.device(&self.setup())?;
        device.guard(&policy(ROOT_ONLY)?)?;
        let service = device.serve(self.rauc)?;
        for call in WRITING.into_iter().chain([CANCEL]) {
            let call: Vec<String> = call.iter().map(|word| word.replace('@', &bundle)).collect();
            refused(&device, &service, &call)?;
        }
        for call in READING {
            let call: Vec<String> = call.iter().map(|word| (*word).to_owned()).collect();
            let tried = send(&service, &call)?;
            ensure!(tried.code == Some(0), "may not look: {call:?}: {}", tried.complained);
        }
        self.command_lines(&device, &service, &bundle)?;
        self.impostor(&device)?;
        // Root may do all of it by the same policy.
        service.client(self.rauc, &["install", &bundle])?;
        ensure!(device.primary()? == "B", "root's install does not boot");
        out.line("a stranger, where only root may act: looks, is refused all else")?;
        drop(service);
        self.shipped(&bundle, out)
    }

    /// The command line of the same program, started by a stranger.
    fn command_lines(&self, device: &Device, service: &Service<'_>, bundle: &str) -> Result<()> {
        let rauc = self.rauc.display().to_string();
        let run = |words: &[&str]| {
            let arguments = [&STRANGER[..], &[rauc.as_str()], words].concat();
            service.try_program("setpriv", &arguments)
        };
        let status = run(&["status"])?;
        ensure!(status.code == Some(0), "no status for a stranger: {status:?}");
        for words in [&["install", bundle][..], &["status", "mark-active", "other"]] {
            let tried = run(words)?;
            let wanted = if words.contains(&"install") { Some(2) } else { Some(1) };
            ensure!(tried.code == wanted, "{words:?}: exit code {:?}", tried.code);
            ensure!(
                tried.complained.contains("Rejected send message"),
                "{words:?}: not told why: {}",
                tried.complained
            );
            untouched(device, service).with_context(|| format!("{words:?}"))?;
        }
        Ok(())
    }

    /// A stranger's own service, which would take the place of root's when that ends.
    fn impostor(&self, device: &Device) -> Result<()> {
        let mut arguments: Vec<String> = STRANGER.map(str::to_owned).to_vec();
        arguments.push(self.rauc.display().to_string());
        arguments.extend(["service".to_owned(), "--override-boot-slot=A".to_owned()]);
        arguments.push(format!("--conf={}", device.conf().display()));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        // It may not even read what it needs; the name is what counts, and stays root's.
        let tried = crate::device::try_on(&device.bus(), "setpriv", &arguments)?;
        ensure!(tried.code == Some(1), "a stranger's service: {tried:?}");
        Ok(())
    }

    /// RAUC's own policy: everybody may install what is signed. Only our method is root's.
    fn shipped(&self, bundle: &str, out: &mut Told<'_>) -> Result<()> {
        let device = self.device(&self.setup())?;
        device.guard(&policy(AS_RAUC_SHIPS)?)?;
        let service = device.serve(self.rauc)?;
        refused(&device, &service, &[CANCEL.concat()])?;
        let rauc = self.rauc.display().to_string();
        let arguments = [&STRANGER[..], &[rauc.as_str(), "install", bundle]].concat();
        let tried = service.try_program("setpriv", &arguments)?;
        ensure!(tried.code == Some(0) && device.primary()? == "B", "RAUC allows it: {tried:?}");
        // Root's call arrives; there is nothing to cancel.
        let refused =
            service.call("de.atomix.Installer.Cancel").err().context("cancelled what?")?;
        ensure!(format!("{refused:#}").contains("no installation is running"), "{refused:#}");
        out.line("a stranger, by RAUC's policy: installs, and may not cancel")
    }
}

/// The policies of a bus: dbus's own, and those of a file of ours.
fn policy(shipped: &str) -> Result<String> {
    let (_, inside) = shipped.split_once("<busconfig>").context("no busconfig")?;
    let (inside, _) = inside.split_once("</busconfig>").context("no end of it")?;
    Ok(format!("{BUS}{inside}"))
}

fn send(service: &Service<'_>, call: &[String]) -> Result<Tried> {
    let mut arguments: Vec<&str> = STRANGER.to_vec();
    arguments.extend(["dbus-send", "--system", "--print-reply", "--reply-timeout=20000"]);
    arguments.extend(["--dest=de.pengutronix.rauc", "/"]);
    arguments.extend(call.iter().map(String::as_str));
    service.try_program("setpriv", &arguments)
}

/// A call that the bus does not let through, and that leaves nothing.
fn refused(device: &Device, service: &Service<'_>, call: &[String]) -> Result<()> {
    let tried = send(service, call)?;
    ensure!(tried.code == Some(1), "{call:?}: exit code {:?}", tried.code);
    let denied = "org.freedesktop.DBus.Error.AccessDenied";
    ensure!(tried.complained.contains(denied), "{call:?}: {}", tried.complained);
    untouched(device, service).with_context(|| format!("{call:?}"))
}

fn untouched(device: &Device, service: &Service<'_>) -> Result<()> {
    ensure!(service.property("Operation")? == "idle", "an install runs");
    ensure!(service.property("LastError")?.is_empty(), "it left an error");
    ensure!(device.primary()? == "A" && device.state("B")? == "bad", "a mark was changed");
    ensure!(device.state("A")? == "good", "the running slot was marked");
    ensure!(device.holds(&[0; 4096])?, "the slot was written");
    Ok(())
}
