// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAUC's configuration: every documented key is read, every rule refuses with its line.

use bundle::BundleFormat;
use proptest::prelude::*;
use std::path::Path;
use storage::ByteLen;
use updater::{
    AfterInstall, Bootloader, LogFormat, RepositoryType, SlotAccess, SlotType, StatusPlace,
    SystemConfError, SystemConfig, VariantSource,
};

const HEAD: &str = "[system]\ncompatible=x\nbootloader=noop\n";

fn parse(text: &str) -> Result<SystemConfig, SystemConfError> {
    SystemConfig::parse(text, Path::new("/etc/rauc"))
}

const FULL: &str = "# all of it
[system]
compatible=rock64
bootloader=uboot
min-bundle-version=25.11
bundle-formats=-plain +verity
mountprefix=/mnt/x
data-directory=data
activate-installed=false
prevent-late-fallback=true
variant-file=variant
boot-attempts=5
boot-attempts-primary=0
max-bundle-download-size=16M
max-bundle-signature-size=128K
perform-pre-check=true
[keyring]
path=ca.pem
directory=/keys
check-crl=true
allow-partial-chain=true
use-bundle-signing-time=true
check-purpose=codesign
allowed-signer-cns=One;Two;
[casync]
storepath=http://store
tmppath=/tmp
install-args=-v
use-desync=true
[streaming]
sandbox-user=updater
tls-cert=/c
tls-key=pkcs11:x
tls-ca=/ca
send-headers=boot-id;uptime
[polling]
url=https://server/x
interval-sec=60
max-interval-sec=61
candidate-criteria=different-version
install-criteria=always
reboot-criteria=updated-slots;failed-update
reboot-cmd=systemctl reboot
inhibit-files=/run/a;/run/b
[encryption]
key=k.pem
cert=c.pem
[autoinstall]
path=auto.raucb
[handlers]
system-info=info
pre-install=/pre
post-install=/post
bootloader-custom-backend=/backend
[log.main]
filename=main.log
format=json-pretty
events=boot;install
max-size=1M
max-files=3
[artifacts.apps]
path=apps
type=trees
description=Apps
[slot.boot.0]
device=/dev/mmcblk1p1
type=vfat
description=Boot
bootname=A
allow-mounted=true
force-install-same=false
extra-mount-opts=ro
extra-mkfs-opts=-F32
[slot.rootfs.0]
device=rel/rootfs
parent=boot.0
readonly=true
resize=true
[slot.mbr.0]
device=/dev/mmcblk1
type=boot-mbr-switch
region-start=4M
region-size=8M
[slot.emmc.0]
device=/dev/mmcblk2
type=boot-emmc
size-limit=1K
";

#[test]
fn every_documented_key_is_read_and_relative_paths_start_at_the_file() {
    let conf = parse(FULL).unwrap();
    let system = &conf.system;
    assert_eq!(system.bootloader, Bootloader::Uboot);
    assert_eq!(system.bundle_formats, [BundleFormat::Crypt, BundleFormat::Verity]);
    assert_eq!(system.status, StatusPlace::Central("/etc/rauc/data/central.raucs".into()));
    assert_eq!(system.after_install, AfterInstall::Leave);
    assert_eq!(system.variant, Some(VariantSource::File("/etc/rauc/variant".into())));
    assert_eq!((system.boot_attempts, system.boot_attempts_primary), (5, 3));
    assert_eq!(system.max_bundle_signature_size, ByteLen::kib(128));
    let keyring = conf.keyring.as_ref().unwrap();
    assert_eq!(keyring.path.as_deref(), Some(Path::new("/etc/rauc/ca.pem")));
    assert_eq!(keyring.allowed_signer_cns.as_deref().unwrap(), ["One", "Two"]);
    assert_eq!(conf.polling.as_ref().unwrap().max_interval_secs, 61);
    assert_eq!(conf.streaming.as_ref().unwrap().send_headers, ["boot-id", "uptime"]);
    assert_eq!(conf.autoinstall.as_deref(), Some(Path::new("/etc/rauc/auto.raucb")));
    assert_eq!(conf.logs["main"].format, LogFormat::JsonPretty);
    assert_eq!(conf.logs["main"].filename, Path::new("/etc/rauc/data/main.log"));
    assert_eq!(conf.artifacts["apps"].repository_type, RepositoryType::Trees);
    let boot = &conf.slots[&"boot.0".parse().unwrap()];
    assert_eq!((boot.slot_type, boot.install_same), (SlotType::Vfat, false));
    let rootfs = &conf.slots[&"rootfs.0".parse().unwrap()];
    assert_eq!(rootfs.device, Path::new("/etc/rauc/rel/rootfs"));
    assert_eq!(rootfs.access, SlotAccess::ReadOnly);
    let settings: Vec<String> =
        conf.unsupported().into_iter().map(|s| format!("{}:{}", s.group, s.key)).collect();
    assert_eq!(
        settings,
        [
            "handlers:system-info",
            "handlers:pre-install",
            "handlers:post-install",
            "system:boot-attempts",
            "slot.rootfs.0:resize"
        ]
    );
    assert_eq!(
        conf.unused(),
        [
            "[casync]",
            "[streaming]",
            "[polling]",
            "[encryption]",
            "[autoinstall]",
            "[log.main]",
            "[artifacts.apps]",
            "allow-mounted in [slot.boot.0]",
            "extra-mount-opts in [slot.boot.0]",
            "extra-mkfs-opts in [slot.boot.0]",
            "size-limit in [slot.emmc.0]",
        ]
    );
}

#[test]
fn keys_on_a_token_have_no_place_in_a_directory() {
    let conf = parse(&format!("{HEAD}[encryption]\nkey=pkcs11:token=rauc;object=k\ncert=c.pem\n"));
    let section = conf.unwrap().encryption.unwrap();
    assert_eq!(section.key.as_deref(), Some(Path::new("pkcs11:token=rauc;object=k")));
    assert!(section.cert.unwrap().ends_with("c.pem"));
}

#[test]
fn absent_keys_have_raucs_defaults() {
    let system = parse(HEAD).unwrap().system;
    assert_eq!(system.mountprefix, Path::new("/mnt/rauc/"));
    assert_eq!(system.status, StatusPlace::PerSlot);
    assert_eq!(system.after_install, AfterInstall::Activate);
    assert_eq!(system.bundle_formats.len(), 3);
    assert_eq!(system.max_bundle_signature_size, ByteLen::kib(64));
    assert_eq!(system.grubenv, Path::new("/boot/grub/grubenv"));
    assert!(system.efi_use_bootnext && !system.perform_pre_check);
    let conf = parse(HEAD).unwrap();
    assert!(conf.unused().is_empty() && conf.unsupported().is_empty());
}

/// What follows the head, and words of the refusal.
const REFUSALS: [(&str, &str); 36] = [
    ("typo=1\n", "line 4: unknown key typo in [system]"),
    ("[atomix]\n", "line 4: unknown group [atomix]"),
    ("[slot.a]\ndevice=/x\n", "line 4: unknown group [slot.a]"),
    ("[slot.a.0.1]\ndevice=/x\n", "line 4: unknown group [slot.a.0.1]"),
    ("[system]\n", "duplicate section [system] in line 4, first in line 1"),
    ("compatible=y\n", "duplicate key compatible in [system] in line 4"),
    ("boot-attempts=3\n", "line 4: boot-attempts in [system] needs bootloader=uboot or barebox"),
    ("grubenv=x\n", "needs bootloader=grub"),
    ("efi-use-bootnext=true\n", "needs bootloader=efi"),
    ("barebox-statename=x\n", "needs bootloader=barebox"),
    ("bundle-formats=plain -verity\n", "line 4: bundle-formats=plain -verity in [system]"),
    ("bundle-formats=\n", "bundle-formats="),
    ("bundle-formats=-plain -verity -crypt\n", "a list that leaves a format"),
    ("bundle-formats=zip\n", "names of plain, verity, crypt"),
    (
        "data-directory=/d\nstatusfile=per-slot\n",
        "line 5: statusfile in [system] cannot be per-slot",
    ),
    ("variant-name=a\nvariant-file=/b\n", "line 5: variant-file in [system] is the second source"),
    ("max-bundle-signature-size=0\n", "a size above zero"),
    ("max-bundle-download-size=1X\n", "a size: a whole number"),
    ("activate-installed=yes\n", "true or false"),
    ("min-bundle-version=new\n", "is not a version"),
    ("[polling]\nurl=ftp://x\n", "begins with http"),
    ("[polling]\nurl=http://x\ninterval-sec=59\n", "at least 60"),
    ("[polling]\nurl=http://x\nmax-interval-sec=86400\n", "more than interval-sec"),
    ("[polling]\nurl=http://x\ninstall-criteria=never\n", "criteria RAUC knows"),
    ("[streaming]\nsend-headers=password\n", "header names RAUC knows"),
    ("[log.a]\nfilename=x\n", "there is no data-directory"),
    ("[log.a]\nfilename=/x\nevents=all;boot\n", "all alone"),
    ("[log.a]\nfilename=/x\nmax-files=0\n", "between 1 and 1000"),
    ("[artifacts.a]\npath=x\n", "line 4: [artifacts.a] needs key type"),
    ("[artifacts.a]\npath=x\ntype=composefs\n", "line 6: type=composefs in [artifacts.a]"),
    (
        "[artifacts.a]\npath=x\ntype=files\n[slot.a.0]\ndevice=/x\n",
        "repository named like a slot class",
    ),
    ("[slot.a.0]\ntype=raw\n", "line 4: [slot.a.0] needs key device"),
    ("[slot.a.0]\ndevice=/x\ntype=jffs2\n", "line 6: type=jffs2 in [slot.a.0]"),
    ("[slot.a.0]\ndevice=/x\nbootname=A B\n", "a name without white space"),
    ("[slot.a.0]\ndevice=/x\ntype=boot-gpt-switch\n", "needs key region-start"),
    ("[slot.a.0]\ndevice=/dev/mmcblk0boot0\ntype=boot-emmc\n", "without boot0 or boot1"),
];

#[test]
fn every_rule_refuses_with_its_line() {
    for (tail, words) in REFUSALS {
        let refusal = parse(&format!("{HEAD}{tail}")).expect_err(tail).to_string();
        assert!(refusal.contains(words), "{tail:?}: {refusal}");
    }
    assert_eq!(parse(""), Err(SystemConfError::Empty));
    assert_eq!(parse("[keyring]\n"), Err(SystemConfError::MissingGroup { group: "system" }));
    let custom = parse("[system]\ncompatible=x\nbootloader=custom\n").unwrap_err();
    assert!(custom.to_string().contains("bootloader-custom-backend"), "{custom}");
}

#[test]
fn rules_over_several_slots_hold() {
    let slots = |lines: &[&str]| {
        let mut text = HEAD.to_owned();
        for (index, line) in lines.iter().enumerate() {
            text.push_str(&format!("[slot.s.{index}]\ndevice=/dev/{index}\n{line}\n"));
        }
        parse(&text)
    };
    let words = |lines: &[&str]| slots(lines).unwrap_err().to_string();
    assert!(words(&["parent=s.9"]).contains("parent s.9, which does not exist"));
    assert!(words(&["parent=s.1", "parent=s.0"]).contains("form a loop"));
    assert!(words(&["parent=s.0"]).contains("form a loop"));
    assert!(words(&["", "parent=s.0\nbootname=A"]).contains("must not have a bootname"));
    assert!(words(&["bootname=A", "bootname=A"]).contains("has the bootname A of slot s.0"));
    assert!(words(&["", "parent=x"]).contains("a slot name CLASS.IDX"));
    let same = format!("{HEAD}[slot.a.0]\ndevice=/dev/x\n[slot.b.0]\ndevice=/dev/x\n");
    assert!(parse(&same).unwrap_err().to_string().contains("has the device /dev/x of slot a.0"));
}

#[test]
fn what_rauc_takes_and_we_refuse_is_read_as_by_rauc_and_told() {
    let text = format!(
        "{HEAD}[slot.a.0]\ndevice=/d\n[slot.b.0]\ndevice=/d\nbootname=\n\
         [system]\nmountprefix=/m\ncompatible[de]=y\n"
    );
    assert!(parse(&text).is_err());
    let (config, odd) = SystemConfig::parse_lenient(&text, Path::new("/etc/rauc")).unwrap();
    assert_eq!(config.system.compatible, "x");
    assert_eq!(config.system.mountprefix, Path::new("/m"));
    assert_eq!(config.slots.len(), 2);
    let told: Vec<String> = odd.iter().map(ToString::to_string).collect();
    let [group, key, empty, device] = told.as_slice() else { panic!("{told:?}") };
    assert!(group.contains("duplicate section [system]"), "{group}");
    assert!(key.contains("is not read: compatible[de]"), "{key}");
    assert_eq!(empty, "line 8: bootname in [slot.b.0] has no value");
    assert!(device.contains("has the device /d of slot a.0"), "{device}");
    let unknown = format!("{text}[slot.b.0]\nodd=1\n");
    assert!(SystemConfig::parse_lenient(&unknown, Path::new("/")).is_err());
    let twice = format!("{text}compatible=x\n");
    assert!(SystemConfig::parse_lenient(&twice, Path::new("/")).is_err());
}

/// Keys, the text behind the head, and how often something is told. RAUC 1.15 takes each for a
/// key that is not there.
const EMPTY: [(&str, &str, usize); 10] = [
    ("mountprefix", "", 1),
    ("path directory", "[keyring]", 2),
    ("storepath tmppath install-args", "[casync]", 3),
    ("sandbox-user tls-cert tls-key tls-ca", "[streaming]", 4),
    ("key cert", "[encryption]", 2),
    ("path", "[autoinstall]", 1),
    ("system-info pre-install post-install", "[handlers]", 3),
    ("type bootname parent", "[slot.a.0]\ndevice=/d", 3),
    ("description extra-mount-opts extra-mkfs-opts", "[slot.a.0]\ndevice=/d", 0),
    ("description parent-class", "[artifacts.a]\npath=/p\ntype=files", 1),
];

#[test]
fn an_empty_value_is_none_where_it_is_for_rauc() {
    for (keys, group, count) in EMPTY {
        let bare = format!("{HEAD}{group}\n");
        let lines: String = keys.split(' ').map(|key| format!("{key}=\n")).collect();
        let base = Path::new("/etc/rauc");
        let (config, told) = SystemConfig::parse_lenient(&format!("{bare}{lines}"), base).unwrap();
        assert_eq!(config, parse(&bare).unwrap(), "{keys}");
        assert_eq!(told.len(), count, "{keys}: {told:?}");
    }
    let refused = "data-directory statusfile min-bundle-version bundle-formats variant-name \
                   variant-file variant-dtb boot-attempts perform-pre-check grubenv";
    for key in refused.split_whitespace().chain(["[keyring]\ncheck-purpose", "[log.a]\nfilename"]) {
        let text = format!("{HEAD}{key}=\n");
        let read = SystemConfig::parse_lenient(&text, Path::new("/"));
        assert_eq!(read.is_err(), key != "grubenv", "{key}: {read:?}");
    }
}

#[test]
fn values_mean_what_they_mean_for_rauc() {
    let read = |tail: &str| {
        let text = format!("[system]\ncompatible=x \nbootloader=uboot\n{tail}");
        SystemConfig::parse_lenient(&text, Path::new("/")).map(|(config, _)| config)
    };
    // Manifests keep the blank as well: the two are compared.
    assert_eq!(read("").unwrap().system.compatible, "x ");
    assert_eq!(read("boot-attempts=+5 of them\n").unwrap().system.boot_attempts, 5);
    for number in ["-1", "0x3", "99999999999", "three"] {
        assert!(read(&format!("boot-attempts={number}\n")).is_err(), "{number}");
    }
    let names = |list: &str| {
        let config = read(&format!("[keyring]\nallowed-signer-cns={list}\n")).unwrap();
        config.keyring.unwrap().allowed_signer_cns
    };
    // Nobody is on such a list; taken for no list it would let everybody in.
    assert_eq!(names(""), Some(vec![]));
    assert_eq!(names(";"), Some(vec![String::new()]));
    assert_eq!(names("a; b"), Some(vec!["a".to_owned(), " b".to_owned()]));
    let log =
        |tail: &str| read(&format!("[log.a.b]\nfilename=/l\n{tail}")).unwrap().logs["a.b"].clone();
    assert_eq!((log("").events, log("events=\n").events), (vec!["all".to_owned()], vec![]));
    assert_eq!(log("max-size=4KiB\n").max_size, ByteLen::kib(4));
    let slot = |tail: &str| read(&format!("[slot.a.0]\ndevice=/d\n{tail}\n"));
    let both = slot("ignore-checksum=maybe\ninstall-same=false").unwrap();
    assert!(!both.slots[&"a.0".parse().unwrap()].install_same);
    assert!(slot("extra-mkfs-opts=-L 'a").is_err());
    let zero = "[system]\ncompatible=x\nbootloader=grub\nboot-attempts=0\n";
    assert!(parse(zero).is_ok());
    for tail in ["region-start=1", "region-size=1", "size-limit=1", "efi-loader=x"] {
        assert!(slot(tail).is_err(), "{tail}");
    }
}

#[test]
fn grandparents_are_flattened_to_the_root() {
    let text = format!(
        "{HEAD}[slot.boot.0]\ndevice=/b\nbootname=A\n[slot.root.0]\ndevice=/r\nparent=boot.0\n\
         [slot.app.0]\ndevice=/a\nparent=root.0\n"
    );
    let conf = parse(&text).unwrap();
    let group = conf.install_groups().unwrap().remove(0);
    let members: Vec<String> = group.members.iter().map(|slot| slot.name.to_string()).collect();
    assert_eq!(members, ["app.0", "root.0", "boot.0"]);
    assert_eq!(group.seal.to_string(), "boot.0");
}

#[test]
fn bootnames_other_than_a_and_b_are_named_when_groups_are_needed() {
    let text = format!("{HEAD}[slot.root.0]\ndevice=/r\nbootname=system0\n");
    let refusal = parse(&text).unwrap().install_groups().unwrap_err();
    assert!(refusal.to_string().contains("system0, which is neither A nor B"), "{refusal}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_text_is_read_or_refused_without_panic(text in "[ -~\n]{0,400}") {
        let _ = parse(&text);
        let _ = parse(&format!("{FULL}{text}"));
    }
}
