// SPDX-License-Identifier: MIT OR Apache-2.0
//! Manifests, configurations, status files, environments and flight recorders.

use crate::measure::{KIB, MIB, alone, cut, grows_slowly, holds, lines};

fn many_sections(count: usize) -> Vec<u8> {
    lines(count, |number| format!("[meta.s{number}]\nk={number}\n"))
}

fn many_keys(count: usize) -> Vec<u8> {
    [b"[meta.s]\n".to_vec(), lines(count, |number| format!("k{number}={number}\n"))].concat()
}

fn one_line(bytes: usize) -> Vec<u8> {
    [&b"[update]\ncompatible="[..], &vec![b'x'; bytes]].concat()
}

fn many_images(count: usize) -> Vec<u8> {
    let digest = "0".repeat(64);
    let head = "[update]\ncompatible=x\n[bundle]\nformat=plain\n";
    let image = |number| format!("[image.c{number}]\nfilename=f.img\nsha256={digest}\nsize=1\n");
    [head.as_bytes(), &lines(count, image)].concat()
}

#[test]
fn manifests_and_key_files() {
    let _alone = alone();
    let worst = |most: usize| {
        [
            ("sections", cut(many_sections(9_999), most)),
            ("keys", cut(many_keys(19_000), most)),
            ("one long line", one_line(most - 64)),
            ("escapes", one_line(0).into_iter().chain(b"\\s;".repeat(most / 4)).collect()),
            ("images", many_images(256)),
            ("empty lines", vec![b'\n'; 19_999]),
        ]
    };
    holds("manifest", 16 * MIB, &worst(256 * KIB));
    holds("key_file", 32 * MIB, &worst(MIB));
    // One grammar, and the target of key files looks every group up, which takes the square.
    grows_slowly("manifest", "sections", many_sections, 1_500);
    grows_slowly("manifest", "keys", many_keys, 2_500);
    grows_slowly("manifest", "one long line", one_line, 60_000);
}

fn many_users(count: usize) -> Vec<u8> {
    lines(count, |number| format!("[users.u{number}]\n"))
}

fn many_containers(count: usize) -> Vec<u8> {
    lines(count, |n| format!("[containers.container.c{n}.Container]\nImage='x'\nVolume='d:/d'\n"))
}

fn many_volumes(count: usize) -> Vec<u8> {
    let volumes = lines(count, |number| format!("[containers.volume.v{number}.Volume]\n"));
    [volumes, many_containers(64)].concat()
}

#[test]
fn configurations() {
    let _alone = alone();
    let most = 256 * KIB;
    let flat = |most| cut(lines(30_000, |number| format!("k{number}=1\n")), most);
    let worst = [
        ("users", cut(many_users(20_000), most)),
        ("containers", cut(many_containers(5_000), most)),
        ("volumes", cut(many_volumes(6_000), most)),
        ("unknown keys", flat(most)),
        ("one long list", [b"a=[".to_vec(), b"1,".repeat(most / 2 - 4), b"]".to_vec()].concat()),
        ("one long text", [b"a='".to_vec(), vec![b'x'; most - 8], b"'".to_vec()].concat()),
        ("empty lines", vec![b'\n'; most]),
        ("brackets", vec![b'['; most]),
    ];
    holds("config_toml", 32 * MIB, &worst);
    grows_slowly("config_toml", "users", many_users, 2_000);
    grows_slowly("config_toml", "containers", many_containers, 500);
    grows_slowly("config_toml", "volumes", many_volumes, 1_000);
}

fn many_slots(count: usize) -> Vec<u8> {
    let head = "[system]\ncompatible=x\nbootloader=uboot\n[slot.r.0]\ndevice=/r\nbootname=A\n";
    let slot = |number| format!("[slot.c{number}.0]\ndevice=/{number}\nparent=r.0\n");
    [head.as_bytes(), &lines(count, slot)].concat()
}

fn many_repositories(count: usize) -> Vec<u8> {
    let pair = |number| {
        format!(
            "[artifacts.a{number}]\npath=/a{number}\ntype=files\n[slot.d{number}.0]\ndevice=/d{number}\n"
        )
    };
    [many_slots(1), lines(count, pair)].concat()
}

#[test]
fn system_configurations_and_status_files() {
    let _alone = alone();
    let status = |count| {
        lines(count, |number| format!("[slot.c{number}.0]\nstatus=ok\nbundle.version={number}\n"))
    };
    let worst = [
        ("slots of one group", many_slots(6_000)),
        ("repositories and slots", many_repositories(3_000)),
        ("a list", [many_slots(1), b"a=".to_vec(), b"x;".repeat(400_000)].concat()),
        ("keys", many_keys(19_000)),
    ];
    holds("system_conf", 32 * MIB, &worst);
    let worst = [("slots", cut(status(6_000), 256 * KIB)), ("other groups", many_sections(9_999))];
    holds("slot_status", 16 * MIB, &worst);
    grows_slowly("system_conf", "slots of one group", many_slots, 1_500);
    grows_slowly("system_conf", "repositories and slots", many_repositories, 700);
    grows_slowly("slot_status", "slots", status, 1_000);
}

#[test]
fn environments_and_boot_scripts() {
    let _alone = alone();
    let same = |bytes: usize| [b"a=1\0".repeat(bytes / 4), vec![0; 2]].concat();
    let different =
        |bytes: usize| [lines(bytes / 9, |number| format!("{number:x}=1\0")), vec![0; 2]].concat();
    let long = |bytes: usize| [&b"a="[..], &vec![b'x'; bytes - 4], &[0; 2]].concat();
    let worst = [
        ("one variable again and again", same(MIB)),
        ("variables", different(MIB)),
        ("one long variable", long(MIB)),
    ];
    let framed = |data: &[u8]| [&[0; 5], data].concat();
    let images: Vec<_> = worst.iter().map(|(what, data)| (*what, framed(data))).collect();
    holds("env_data", 32 * MIB, &worst);
    holds("env_image", 32 * MIB, &images);
    grows_slowly("env_data", "one variable again and again", same, 100_000);
    grows_slowly("env_data", "variables", different, 100_000);
    grows_slowly("env_data", "one long variable", long, 100_000);
    let script = |bytes: usize| {
        let mut image = vec![0; 72 + bytes];
        image[..4].copy_from_slice(&0x2705_1956_u32.to_be_bytes());
        let sizes = [u32::try_from(bytes + 8), u32::try_from(bytes)].map(Result::unwrap);
        image[12..16].copy_from_slice(&sizes[0].to_be_bytes());
        image[28..32].copy_from_slice(&[5, 22, 6, 0]);
        image[64..68].copy_from_slice(&sizes[1].to_be_bytes());
        image
    };
    let mut liar = script(100);
    liar[12..16].fill(0xff);
    liar[64..68].fill(0xff);
    holds("boot_script", 8 * MIB, &[("the longest", script(MIB)), ("a lie", liar)]);
    grows_slowly("boot_script", "text", script, 200_000);
}

/// A region full of beginnings of records, or of whole ones: the target mends the checksums.
fn records(bytes: usize, payload: u8) -> Vec<u8> {
    let mut record = b"AXR1".to_vec();
    record.extend([payload, 0, 9, 1]);
    record.extend([1; 16]);
    record.extend(vec![0; usize::from(payload)]);
    record.extend([0; 4]);
    record.resize(record.len().next_multiple_of(4), 0xff);
    cut(record.repeat(bytes / record.len() + 1), bytes)
}

#[test]
fn flight_recorders() {
    let _alone = alone();
    let worst = [
        ("the shortest records", records(64 * KIB, 0)),
        ("records", records(64 * KIB, 24)),
        ("beginnings of records", b"AXR1".repeat(16 * KIB)),
        ("zeros", vec![0; 64 * KIB]),
    ];
    holds("recorder", 4 * MIB, &worst);
    grows_slowly("recorder", "records", |blocks| records(blocks * 4096, 24), 4);
    grows_slowly("recorder", "beginnings", |blocks| b"AXR1".repeat(blocks * 1024), 4);
}
