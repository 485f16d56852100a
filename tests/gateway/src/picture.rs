// SPDX-License-Identifier: MIT OR Apache-2.0
//! What makes a gateway the one that its configuration describes, and is it still all there?

use crate::host::wait_until;
use crate::rig::{PLACE, Rig, address, api, lease, names};
use crate::scan::Protocol;
use anyhow::{Context as _, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// For services that start after the boot.
const LATE: Duration = Duration::from_secs(90);

/// What each boot does, in its order.
const PARTS: [&str; 5] = ["recover", "accounts", "network", "firewall", "units"];

/// Files that the configuration makes, beside the image's.
const FILES: &str = "cd /etc && find systemd/network dnsmasq.d atomixos containers hosts -type f \
                     -exec sha256sum {} + | sort -k2";

/// Without the number of the cable's other end, whose length moves the columns.
const ADDRESSES: &str = "ip -4 -br address show | sed 's/@[^ ]*//; s/  */ /g'";

/// The gateway, by what is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture(BTreeMap<&'static str, String>);

impl Picture {
    /// Looks at it, once its containers run.
    pub fn take(rig: &Rig<'_>) -> Result<Self> {
        let machine = &rig.machine;
        for words in [
            &["systemctl", "is-active", "web.service"][..],
            &["systemctl", "--user", "--machine=appsvc@", "is-active", "shop.service"],
            &["systemctl", "is-active", "dnsmasq.service", "chronyd.service"],
        ] {
            let what = words.join(" ");
            wait_until(&what, LATE, || Ok(machine.run(words).is_ok().then_some(())))?;
        }
        let exported = rig.laptop.sign(address(PLACE)?, "GET", "/api/config/export", b"")?;
        ensure!(exported.status == 200, "export: {}", exported.status);
        let rules = ["-s", "list", "chain", "inet", "filter", "input"];
        Ok(Self(BTreeMap::from([
            ("rules", rig.nft(&rules)?),
            ("files", machine.run(&["sh", "-c", FILES])?),
            ("account", machine.run(&["getent", "passwd", "admin"])?),
            ("groups", machine.run(&["id", "-nG", "admin"])?),
            ("addresses", machine.run(&["sh", "-c", ADDRESSES])?),
            ("routes", machine.run(&["ip", "-4", "route", "show"])?),
            ("configuration", String::from_utf8_lossy(&exported.body).into_owned()),
        ])))
    }
}

/// Whether the gateway is what it was, and came to be so by its units in their order.
pub fn stands(rig: &mut Rig<'_>, before: &Picture) -> Result<()> {
    let after = Picture::take(rig)?;
    for (what, was) in &before.0 {
        let is = after.0.get(what).with_context(|| format!("no {what}"))?;
        ensure!(is == was, "the {what} were\n{was}and are\n{is}");
    }
    in_order(rig)?;
    let found = rig.seen_outside(Protocol::Tcp, "22,80,443,4444,8080")?;
    ensure!(found == BTreeSet::from([443]), "the world finds {found:?}");
    api(rig)?;
    lease(rig)?;
    names(rig)
}

fn in_order(rig: &Rig<'_>) -> Result<()> {
    let machine = &rig.machine;
    let jobs = machine.run(&["systemctl", "--no-pager", "list-jobs"])?;
    ensure!(jobs.trim() == "No jobs running.", "{jobs}");
    let failed = machine.run(&["systemctl", "--no-pager", "--failed", "--plain", "--no-legend"])?;
    // The kernel is the machine's.
    let failed = failed.lines().find(|line| !line.starts_with("systemd-modules-load.service"));
    ensure!(failed.is_none(), "{failed:?}");
    let moment = |unit: &str, which: &str| -> Result<u64> {
        let unit = format!("atomix-config-{unit}.service");
        Ok(machine.property(&unit, &format!("ExecMain{which}TimestampMonotonic"))?.parse()?)
    };
    for (first, second) in PARTS.iter().zip(PARTS.iter().skip(1)) {
        let (end, begin) = (moment(first, "Exit")?, moment(second, "Start")?);
        ensure!(0 < end && end <= begin, "{first} ends at {end}, {second} begins at {begin}");
    }
    for part in &PARTS[..4] {
        let (end, begin) = (moment(part, "Exit")?, moment("helper", "Start")?);
        ensure!(end <= begin, "{part} ends at {end}, the helper begins at {begin}");
    }
    for half in ["helper", "api"] {
        let unit = format!("atomix-config-{half}.service");
        ensure!(machine.property(&unit, "NRestarts")? == "0", "{unit} had to be started anew");
    }
    Ok(())
}
