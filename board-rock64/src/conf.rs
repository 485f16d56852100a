// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which files repeat the board's facts? Facts in, text out; all of them are compared with the
//! copies under `generated/`.

use crate::board::{Board, Network, PartitionFacts, Role};
use crate::firmware::InitPath;
use crate::watchdog::SYSTEMD_CONF;
use bootctl::SlotId;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use storage::ByteLen;
use uboot::{CopyPlace, FwEnvConfig};

/// Smallest `data` partition worth having; the same as the original's.
const DATA_MIN: ByteLen = ByteLen::mib(64);

const HEAD: &str = "# Generated from board-rock64; change it there.\n";

impl Board {
    /// The places of the two environment copies.
    #[must_use]
    pub fn fw_env_config(&self) -> FwEnvConfig {
        let place = |offset| CopyPlace {
            device: PathBuf::from(self.flash.device),
            offset,
            env_bytes: self.flash.env_bytes,
            erase_bytes: self.flash.erase_bytes,
            sectors: 1,
        };
        FwEnvConfig { copies: self.flash.env_offsets.map(place).to_vec() }
    }

    /// Partition definitions by file name.
    #[must_use]
    pub fn repart_definitions(&self) -> BTreeMap<String, String> {
        self.partitions
            .iter()
            .map(|partition| {
                let name = format!("{}0-{}.conf", partition.number, partition.label);
                (name, definition(partition))
            })
            .collect()
    }

    /// RAUC's `system.conf`. Every image is read and checked once before the first write: a
    /// damaged download must not cost the slot that a fallback would need.
    #[must_use]
    pub fn system_conf(&self) -> String {
        let mut text = format!(
            "{HEAD}[system]\ncompatible={}\nbootloader=uboot\nbundle-formats=-plain +verity\n\
             perform-pre-check=true\nstatusfile=/data/rauc/status.raucs\n\n[keyring]\npath=/etc/rauc/ca.cert.pem\n",
            self.compatible
        );
        for (index, slot) in SlotId::ALL.into_iter().enumerate() {
            let device = |role| {
                self.partition(role).map(|found| self.partition_device(found)).unwrap_or_default()
            };
            // Writing into a String cannot fail.
            let _ = write!(
                text,
                "\n[slot.boot.{index}]\ndevice={}\ntype=vfat\nbootname={}\n\
                 \n[slot.rootfs.{index}]\ndevice={}\ntype=raw\nparent=boot.{index}\n",
                device(Role::Boot(slot)),
                slot.boot_name(),
                device(Role::Rootfs(slot)),
            );
        }
        text
    }

    /// Our own settings, `/etc/atomix/atomix.toml`.
    #[must_use]
    pub fn atomix_toml(&self) -> String {
        let identity = self.partition(Role::Boot(SlotId::B)).map_or("", |found| found.label);
        let (disk, flash) = (&self.disk, &self.flash);
        format!(
            "{HEAD}[disk]\ndevice = \"{}\"\nidentity-label = \"{identity}\"\n\
             protected-bytes = {}\n\n[recorder]\ndevice = \"{}\"\noffset = {:#x}\n\
             block-bytes = {:#x}\nblocks = {}\n\n[health]\nconfig = \"/etc/atomix/health.toml\"\n",
            disk.device,
            disk.gap.get(),
            flash.device,
            flash.recorder.offset,
            flash.erase_bytes,
            flash.recorder.blocks,
        )
    }

    /// The health probes, `/etc/atomix/health.toml`: what the original demanded of a boot. Its
    /// missing LAN dongle still fails a boot here; its WAN is still only a warning.
    #[must_use]
    pub fn health_toml(&self) -> String {
        let Network { wan, lan, gateway } = &self.network;
        format!(
            "{HEAD}settle_secs = 20\nwindow_secs = 60\ninterval_secs = 5\non_failure = \"reboot\"\n\
             {}{}{}{}\
             \n[[probe]]\nname = \"wan\"\nkind = \"interface\"\ninterface = \"{wan}\"\n\
             level = \"warning\"\n\
             \n[[probe]]\nname = \"lan\"\nkind = \"gateway\"\ninterface = \"{lan}\"\n\
             path = \"/data/config/lan-settings.json\"\nkey = \"gateway_ip\"\n\
             fallback = \"{gateway}\"\n\
             \n[[probe]]\nname = \"required\"\nkind = \"required-units\"\n\
             path = \"/data/config/health-required.json\"\n",
            unit_probe("dnsmasq", "active"),
            unit_probe("chronyd", "active"),
            unit_probe("atomix-config-network", "not-failed"),
            unit_probe("atomix-config-firewall", "not-failed"),
        )
    }

    /// Every file that repeats a fact, by its path below `generated/`. The slot script stands
    /// there with the default init; each release has its own.
    #[must_use]
    pub fn generated_files(&self) -> BTreeMap<String, String> {
        let mut files: BTreeMap<String, String> = self
            .repart_definitions()
            .into_iter()
            .map(|(name, text)| (format!("etc/repart.d/{name}"), text))
            .collect();
        let single = [
            ("etc/atomix/atomix.toml", self.atomix_toml()),
            ("etc/atomix/health.toml", self.health_toml()),
            ("etc/fw_env.config", format!("{HEAD}{}", self.fw_env_config().encode())),
            ("etc/rauc/system.conf", self.system_conf()),
            ("u-boot/atomix.config", format!("{HEAD}{}", self.uboot_fragment())),
            ("u-boot/boot.cmd", format!("{HEAD}{}", self.slot_script(&InitPath::default()))),
            ("u-boot/selector.env", format!("{HEAD}{}", self.selector())),
        ];
        files.extend(single.map(|(name, text)| (name.to_owned(), text)));
        let watchdog = self.watchdog_conf();
        files.extend(watchdog.map(|text| (SYSTEMD_CONF.to_owned(), format!("{HEAD}{text}"))));
        files
    }
}

fn unit_probe(name: &str, condition: &str) -> String {
    format!(
        "\n[[probe]]\nname = \"{name}\"\nkind = \"unit\"\nunit = \"{name}.service\"\n\
         condition = \"{condition}\"\n"
    )
}

fn definition(partition: &PartitionFacts) -> String {
    let mut text =
        format!("{HEAD}[Partition]\nType={}\nLabel={}\n", partition.type_guid, partition.label);
    let _ = match partition.size {
        Some(size) => writeln!(text, "SizeMinBytes={0}\nSizeMaxBytes={0}", mebibytes(size)),
        None => writeln!(text, "SizeMinBytes={}", mebibytes(DATA_MIN)),
    };
    if let Some(format) = partition.format {
        let _ = writeln!(text, "Format={}", format.name());
    }
    text
}

/// Partitions are whole mebibytes; a test holds it.
fn mebibytes(size: ByteLen) -> String {
    format!("{}M", size.get() / ByteLen::mib(1).get())
}
