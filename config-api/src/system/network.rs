// SPDX-License-Identifier: MIT OR Apache-2.0
//! The network of this machine: files, what makes services read them, and the firewall.

use super::live::{Failed, LiveServices, MAX_FILE_BYTES};
use crate::activate::ServiceError;
use crate::appliers::{
    Action, FORWARDING, Firewall, Group, HostNetwork, LanSettings, MacAddress, NETWORK_DIR,
    UnitMode, is_forwarding, lan_group, make_dirs, network_group, parse_chain, plan_group,
    render_firewall, time_group, write_files,
};
use crate::promote::{Generation, Moment, Owner};
use std::path::Path;
use storage::tree::{Trees, dir_of, replace_file};
use verifier::{ActiveState, UnitJob};

/// Where it is written that a service has read its files. Gone with the boot, as the files are.
pub(super) const APPLIED: &str = "run/atomix/applied";

impl LiveServices {
    pub(super) fn apply_network(
        &mut self,
        generation: Generation,
        until: Moment,
    ) -> Result<(), ServiceError> {
        let lan: LanSettings = self.own_settings(generation, "lan-settings.json")?;
        let host: HostNetwork = self.own_settings(generation, "host-network.json")?;
        let present =
            self.parts.root.list(Path::new(NETWORK_DIR)).failed("cannot list networkd's files")?;
        let interface = self.parts.zones.lan.as_str().to_owned();
        let mac = self.kernel_file(&format!("/sys/class/net/{interface}/address"))?;
        let mac = mac.and_then(|mac| MacAddress::parse(&String::from_utf8_lossy(&mac)));
        let hosts = self.hosts()?;
        for group in [
            network_group(&host, &lan, &present),
            lan_group(&lan, mac.as_ref(), &hosts),
            time_group(&lan),
        ] {
            self.apply_group(&group, until)?;
        }
        self.keep_forwarding_off(until)
    }

    /// Forwarding is off, or the activation fails. A build of the system's puts it on, as Podman
    /// gives it a bridge; left so, every later activation would fail until the next boot.
    pub(super) fn keep_forwarding_off(&mut self, until: Moment) -> Result<(), ServiceError> {
        for path in FORWARDING {
            if !is_forwarding(self.kernel_file(path)?.as_deref()) {
                continue;
            }
            let name = path.trim_start_matches("/proc/sys/").replace('/', ".");
            let set = ["sysctl", "-q", "-w", &format!("{name}=0")];
            self.run(&set, b"", until).failed("cannot switch forwarding off")?;
            if is_forwarding(self.kernel_file(path)?.as_deref()) {
                let what = format!("the kernel forwards between networks, by {path}");
                return Err(ServiceError { what, source: None });
            }
        }
        Ok(())
    }

    /// The system's own hosts file; where it is a link into an image, what it leads to.
    fn hosts(&self) -> Result<String, ServiceError> {
        let bytes = self.kernel_file("/etc/hosts")?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn apply_group(&mut self, group: &Group, until: Moment) -> Result<(), ServiceError> {
        let stamp_path = Path::new(APPLIED).join(group.name);
        let root = &mut self.parts.root;
        let owner = self.parts.owners.root;
        let stamp = root.read(&stamp_path, MAX_FILE_BYTES).failed("cannot read what is applied")?;
        let stamp = stamp.and_then(|stamp| String::from_utf8(stamp).ok());
        let changed = write_files(root, group, owner).failed("cannot write a system file")?;
        // Files that somebody else changed have to be read again as well.
        let plan = plan_group(group, stamp.as_deref().filter(|_| !changed));
        if plan.actions.is_empty() {
            return Ok(());
        }
        self.forget_stamp(&stamp_path)?;
        for action in plan.actions {
            self.act(action, until)?;
        }
        self.note_stamp(&stamp_path, &plan.stamp)
    }

    /// Written once everything was done that it stands for.
    pub(super) fn note_stamp(&mut self, path: &Path, stamp: &str) -> Result<(), ServiceError> {
        let meta = self.parts.owners.meta(Owner::Root, 0o600);
        let dir_meta = self.parts.owners.meta(Owner::Root, 0o755);
        make_dirs(&mut self.parts.root, dir_of(path), dir_meta)
            .failed("cannot note what is applied")?;
        replace_file(&mut self.parts.root, path, stamp.as_bytes(), meta)
            .failed("cannot note what is applied")
    }

    pub(super) fn forget_stamp(&mut self, path: &Path) -> Result<(), ServiceError> {
        self.parts.root.remove(path).failed("cannot forget what is applied")
    }

    fn act(&mut self, action: Action, until: Moment) -> Result<(), ServiceError> {
        match action {
            Action::ReloadNetworks => {
                let reload = ["networkctl", "reload"];
                self.run(&reload, b"", until).failed("networkd does not reload").map(|_| ())
            }
            Action::ReloadSystemd => self.parts.manager.reload().failed("systemd does not reload"),
            Action::TryRestart(unit) => {
                let before = self.parts.manager.unit(unit).failed("no answer")?.active;
                // What does not run reads its files when it starts. At boot that may be a start which
                // waits for this very program: whoever waited for its end would wait for himself.
                if before == ActiveState::Inactive {
                    return Ok(());
                }
                let has_failed = before == ActiveState::Failed;
                // One that failed, perhaps for want of these files, is not running, yet wanted.
                let job = if has_failed { UnitJob::Restart } else { UnitJob::TryRestart };
                self.job(UnitMode::Rootful, job, unit, until)?;
                let after = self.parts.manager.unit(unit).failed("no answer")?.active;
                if [ActiveState::Failed, ActiveState::Inactive].contains(&after) {
                    let what = format!("{unit} does not start with its new files");
                    return Err(ServiceError { what, source: None });
                }
                Ok(())
            }
        }
    }

    pub(super) fn apply_firewall(
        &mut self,
        generation: Option<Generation>,
        until: Moment,
    ) -> Result<(), ServiceError> {
        let firewall: Option<Firewall> = match generation {
            Some(generation) => self
                .settings(generation, "firewall-inbound.json")
                .failed("cannot read the configuration")?,
            None => None,
        };
        let list = ["nft", "-j", "list", "chain", "inet", "filter", "input"];
        let answer = self.run(&list, b"", until).failed("cannot list the firewall's rules")?;
        let rules = parse_chain(&answer).failed("cannot list the firewall's rules")?;
        let commands = render_firewall(firewall.as_ref(), &self.parts.zones, &rules);
        let apply = ["nft", "-f", "-"];
        self.run(&apply, commands.as_bytes(), until).failed("the firewall refuses the rules")?;
        Ok(())
    }
}
