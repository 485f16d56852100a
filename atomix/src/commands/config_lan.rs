// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix config lan-range`: which addresses does a configuration give to the LAN, and how is that
//! changed without a second look at every key that has to agree? A file is written only when it is
//! valid before and after, whole or not at all; what its author wrote around the addresses stays.

use crate::commands::config::{demand_valid, judge};
use crate::config_cli::LanRangeArgs;
use crate::failure::Failure;
use crate::output::Output;
use config_api::helper::apply_change;
use config_api::input::Discard;
use config_api::model::{Checked, InterfaceName, Lan, MAX_CONFIG_BYTES};
use config_api::protocol::{Change, NetworkPatch};
use serde::Serialize;
use serde_json::json;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use storage::{ByteLen, Files, HostFiles, chain};

/// The LAN's interface.
const LAN_INTERFACE: &str = "eth1";

/// Addresses at the start of a subnet that a pool leaves to machines with fixed ones.
const FIXED_ADDRESSES: u32 = 9;

/// The device's address in the LAN with the length of the subnet's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LanAddress {
    address: Ipv4Addr,
    prefix: u8,
}

/// First and last address that the device gives out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    first: Ipv4Addr,
    last: Ipv4Addr,
}

/// The answer, version 1.
#[derive(Serialize)]
struct Range {
    version: u8,
    gateway: String,
    subnet: String,
    pool_first: Ipv4Addr,
    pool_last: Ipv4Addr,
    /// Whether the file is another now.
    written: bool,
}

/// Shows the range of a file, or sets it.
///
/// # Errors
/// [`Failure::Usage`] where the file is not valid or would not be, [`Failure::Refused`] where it is a
/// bundle, and whatever reading and writing end with.
pub fn run(args: &LanRangeArgs, out: &mut Output) -> Result<(), Failure> {
    let (path, text) = read(&args.file)?;
    let read = judge(&args.file, text.as_slice(), &mut Discard::default())?;
    let (input, before) = demand_valid(&args.file, read, "nothing was changed", out)?;
    if args.address.is_none() && args.pool.is_none() {
        return tell(&before.config.lan, false, out);
    }
    if input.config_toml != text {
        return Err(Failure::Refused {
            what: format!("{} is a bundle", args.file.display()),
            hint: "unpack it, and name the config.toml in it",
        });
    }
    let patch = patch(args, &before)?;
    let new = apply_change(&String::from_utf8_lossy(&text), &Change::PatchNetwork { body: patch });
    let new = new.map_err(|error| Failure::Usage {
        what: format!("{}: {}", args.file.display(), chain(&error)),
        hint: "write network.dnsmasq as a table of its own",
    })?;
    let read = judge(&args.file, new.as_bytes(), &mut Discard::default())?;
    let (_, after) = demand_valid(&args.file, read, "nothing was written", out)?;
    let is_new = new.as_bytes() != text;
    if is_new {
        write(&path, new.as_bytes())?;
    }
    out.warn_in_columns(&after.warnings)?;
    tell(&after.config.lan, is_new, out)
}

fn tell(lan: &Lan, written: bool, out: &mut Output) -> Result<(), Failure> {
    let range = Range {
        version: 1,
        gateway: lan.gateway.to_string(),
        subnet: lan.gateway.subnet(),
        pool_first: lan.dhcp_start,
        pool_last: lan.dhcp_end,
        written,
    };
    out.answer(&range, |lines, range| {
        writeln!(lines, "device  {}", range.gateway)?;
        writeln!(lines, "pool    {} to {}", range.pool_first, range.pool_last)?;
        if range.written { writeln!(lines, "written") } else { Ok(()) }
    })
}

/// Every key that has to agree with what was asked for.
fn patch(args: &LanRangeArgs, before: &Checked) -> Result<NetworkPatch, Failure> {
    let mut patch = NetworkPatch::default();
    let mut dnsmasq = serde_json::Map::new();
    if let Some(lan) = args.address {
        let gateway = format!("{}/{}", lan.address, lan.prefix);
        let interfaces = &before.config.host_network.interfaces;
        if interfaces.iter().any(|one| is_lan(&one.name)) {
            patch.interfaces = Some(json!({ LAN_INTERFACE: { "address": gateway } }));
        }
        dnsmasq.insert("gateway_cidr".to_owned(), gateway.into());
    }
    let pool = match (args.pool, args.address) {
        (Some(pool), _) => Some(pool),
        (None, Some(lan)) => Some(lan.pool().ok_or_else(|| Failure::Usage {
            what: format!("{}/{} has no room for a pool", lan.address, lan.prefix),
            hint: "give the pool by --pool, or a shorter prefix",
        })?),
        (None, None) => None,
    };
    if let Some(pool) = pool {
        dnsmasq.insert("dhcp_start".to_owned(), pool.first.to_string().into());
        dnsmasq.insert("dhcp_end".to_owned(), pool.last.to_string().into());
    }
    patch.dnsmasq = Some(dnsmasq.into());
    Ok(patch)
}

fn is_lan(name: &InterfaceName) -> bool {
    name.as_str() == LAN_INTERFACE
}

/// The file behind every link, and what it holds.
fn read(file: &Path) -> Result<(PathBuf, Vec<u8>), Failure> {
    let absent =
        || Failure::FileAbsent { path: file.to_owned(), hint: "give the path of a config.toml" };
    // Resolved here: `HostFiles` refuses `..`, and a link's target is what is to be replaced.
    let path = file.canonicalize().map_err(|source| {
        if source.kind() == io::ErrorKind::NotFound {
            absent()
        } else {
            Failure::Io { act: "find", path: file.to_owned(), source }
        }
    })?;
    let limit = ByteLen::new(MAX_CONFIG_BYTES as u64);
    let text = HostFiles::new("/").read(&path, limit)?.ok_or_else(absent)?;
    Ok((path, text))
}

/// A configuration may hold secrets: what only its owner could read stays so.
fn write(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let failed = |source| Failure::Io { act: "look at", path: path.to_owned(), source };
    let mode = path.metadata().map_err(failed)?.permissions().mode();
    let mut files = HostFiles::new("/");
    if mode & 0o077 == 0 {
        files.replace_secret(path, text)?;
    } else {
        files.replace(path, text)?;
    }
    Ok(())
}

impl LanAddress {
    /// Reads `10.20.0.1/24`.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub fn of(text: &str) -> Result<Self, String> {
        let form = || "an IPv4 address and a prefix, such as 10.20.0.1/24".to_owned();
        let (address, prefix) = text.split_once('/').ok_or_else(form)?;
        let address = address.parse().map_err(|_| form())?;
        match prefix.parse() {
            Ok(prefix @ 16..=30) => Ok(Self { address, prefix }),
            Ok(_) => Err("the prefix is from /16 to /30".to_owned()),
            Err(_) => Err(form()),
        }
    }

    /// The addresses on the side of the device's own where more are.
    fn pool(self) -> Option<Pool> {
        let own = u32::from(self.address);
        let mask = u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
        let (first, last) = ((own & !mask).checked_add(1)?, (own | mask).checked_sub(1)?);
        let is_roomy = mask > 4 * FIXED_ADDRESSES;
        let low = if is_roomy { first.checked_add(FIXED_ADDRESSES)? } else { first };
        let sides = [(low, last.min(own.checked_sub(1)?)), (low.max(own.checked_add(1)?), last)];
        let (first, last) = sides
            .into_iter()
            .filter(|(first, last)| first <= last)
            .max_by_key(|(first, last)| last - first)?;
        Some(Pool { first: first.into(), last: last.into() })
    }
}

impl Pool {
    /// Reads `10.20.0.10-10.20.0.99`.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub fn of(text: &str) -> Result<Self, String> {
        let form = || "two IPv4 addresses, such as 10.20.0.10-10.20.0.99".to_owned();
        let (first, last) = text.split_once('-').ok_or_else(form)?;
        let read = |text: &str| text.parse().map_err(|_| form());
        Ok(Self { first: read(first)?, last: read(last)? })
    }
}

#[cfg(test)]
mod tests {
    use super::{LanAddress, Pool};

    fn pool(address: &str) -> Option<String> {
        let pool = LanAddress::of(address).unwrap().pool();
        pool.map(|pool| format!("{}-{}", pool.first, pool.last))
    }

    #[test]
    fn a_pool_leaves_the_device_out_and_some_addresses_before_it() {
        for (address, wanted) in [
            ("10.20.0.1/24", "10.20.0.10-10.20.0.254"),
            ("10.20.0.254/24", "10.20.0.10-10.20.0.253"),
            ("10.20.0.100/24", "10.20.0.101-10.20.0.254"),
            ("10.20.0.5/16", "10.20.0.10-10.20.255.254"),
            ("192.168.7.1/29", "192.168.7.2-192.168.7.6"),
            ("192.168.7.2/30", "192.168.7.1-192.168.7.1"),
        ] {
            assert_eq!(pool(address).as_deref(), Some(wanted), "{address}");
        }
    }

    #[test]
    fn what_is_no_range_says_what_one_looks_like() {
        for text in ["", "10.20.0.1", "10.20.0/24", "10.20.0.1/x", "::1/64", "10.20.0.1/24/24"] {
            assert!(LanAddress::of(text).unwrap_err().contains("such as 10.20.0.1/24"), "{text}");
        }
        for text in ["10.20.0.1/8", "10.20.0.1/31", "10.20.0.1/32"] {
            assert!(LanAddress::of(text).unwrap_err().contains("/16 to /30"), "{text}");
        }
        for text in ["", "10.20.0.9", "10.20.0.9-", "-10.20.0.9", "10.20.0.9-10.20.0.9-1"] {
            assert!(Pool::of(text).unwrap_err().contains("10.20.0.10-10.20.0.99"), "{text}");
        }
    }
}
