// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `atomix image` makes of the same parts is the same, as an image, in a bundle and alone.

use config_api::first_boot::look;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use storage::MemoryStorage;

const INIT: &str = "/nix/store/abc-nixos-system/init";

fn atomix(dir: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_atomix")).args(words).current_dir(dir).output().unwrap()
}

fn parts(dir: &Path) {
    fs::create_dir_all(dir.join("boot/dtbs/rockchip")).unwrap();
    fs::write(dir.join("boot/Image"), kernel()).unwrap();
    fs::write(dir.join("boot/initrd"), vec![2; 70_000]).unwrap();
    fs::write(dir.join("boot/dtbs/rockchip/rk3328-rock64.dtb"), vec![3; 5_000]).unwrap();
    fs::write(dir.join("rootfs"), vec![4; 1 << 20]).unwrap();
}

/// As much of one as is looked at.
pub fn kernel() -> Vec<u8> {
    let mut kernel = vec![1; 90_000];
    kernel[16..24].copy_from_slice(&90_000_u64.to_le_bytes());
    kernel[56..60].copy_from_slice(b"ARM\x64");
    kernel
}

fn of_parts<'a>(verb: &'a str, version: &'a str, out: &'a str) -> Vec<&'a str> {
    let common = ["--boot", "boot", "--rootfs", "rootfs", "--init", INIT, "--image-version"];
    [&["image", verb][..], &common, &[version, out]].concat()
}

#[test]
fn a_bundle_carries_the_boot_partition_of_the_flashed_image() {
    let dir = tempfile::tempdir().unwrap();
    parts(dir.path());
    for (verb, out) in [("build", "image"), ("content", "content")] {
        let made = atomix(dir.path(), &of_parts(verb, "1.2.3", out));
        assert!(made.status.success(), "{verb}: {}", String::from_utf8_lossy(&made.stderr));
    }
    let boot = fs::read(dir.path().join("content/boot.vfat")).unwrap();
    let image = fs::read(dir.path().join("image")).unwrap();
    let at = 16 << 20;
    assert!(image[at..at + boot.len()] == boot[..], "the boot partitions differ");
    assert_eq!(
        fs::read(dir.path().join("content/rootfs.img")).unwrap(),
        fs::read(dir.path().join("rootfs")).unwrap()
    );
    assert_eq!(
        fs::read_to_string(dir.path().join("content/manifest.raucm")).unwrap(),
        "[update]\ncompatible=rock64\nversion=1.2.3\n\n[bundle]\nformat=verity\n\n\
         [image.boot]\nfilename=boot.vfat\n\n[image.rootfs]\nfilename=rootfs.img\n"
    );
}

#[test]
fn the_script_alone_is_the_one_in_the_boot_partition() {
    let dir = tempfile::tempdir().unwrap();
    parts(dir.path());
    assert!(atomix(dir.path(), &of_parts("content", "1", "content")).status.success());
    let made = atomix(dir.path(), &["image", "script", "--init", INIT, "boot.scr"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let script = fs::read(dir.path().join("boot.scr")).unwrap();
    let boot = fs::read(dir.path().join("content/boot.vfat")).unwrap();
    assert!(String::from_utf8_lossy(&script).contains(&format!("init={INIT} ")));
    assert!(boot.windows(script.len()).any(|window| window == script));
}

#[test]
fn each_board_has_its_own_script_tree_and_manifest() {
    let dir = tempfile::tempdir().unwrap();
    parts(dir.path());
    fs::write(dir.path().join("boot/dtbs/qemu-virt.dtb"), vec![5; 5_000]).unwrap();
    let emulated =
        [&of_parts("content", "1", "content")[..], &["--board-name", "rock64-qemu"]].concat();
    let made = atomix(dir.path(), &emulated);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let manifest = fs::read_to_string(dir.path().join("content/manifest.raucm")).unwrap();
    assert!(manifest.contains("compatible=qemu-virt\n"), "{manifest}");
    let boot = fs::read(dir.path().join("content/boot.vfat")).unwrap();
    let has = |bytes: &[u8]| boot.windows(bytes.len()).any(|window| window == bytes);
    assert!(has(&[5; 5_000]) && has(b"load virtio 0:") && !has(b"load mmc "));

    let watched = [&emulated[..], &["--watchdog"]].concat();
    let refused = atomix(dir.path(), &watched);
    assert_eq!(refused.status.code(), Some(2), "no such watchdog");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("leave out --watchdog"), "{said}");
    let script = ["image", "script", "--board-name", "rock65", "boot.scr"];
    assert_eq!(atomix(dir.path(), &script).status.code(), Some(2), "no such board");
}

#[test]
fn a_version_that_would_be_more_lines_of_the_manifest_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    parts(dir.path());
    let refused = atomix(dir.path(), &of_parts("content", "1\n[hooks]", "content"));
    assert_eq!(refused.status.code(), Some(2));
    assert!(!dir.path().join("content").exists());
}

/// With the file that the page about building shows.
#[test]
fn a_series_is_a_directory_of_image_list_and_checksums_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    parts(dir.path());
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/building.md");
    let page = fs::read_to_string(page).unwrap();
    let listed = page.split_once("```json\n").unwrap().1.split_once("```").unwrap().0;
    fs::write(dir.path().join("components.json"), listed).unwrap();
    let build = |series: &str, out: &str| {
        let words = ["--series", series, "--components", "components.json"];
        atomix(dir.path(), &[&of_parts("build", "1.2.3", out)[..], &words].concat())
    };
    let made = build("25.11", "out");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let out = dir.path().join("out");
    let sums = Command::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(&out)
        .output()
        .unwrap();
    let sums = String::from_utf8(sums.stdout).unwrap();
    assert_eq!(sums, "atomixos-25.11.img: OK\natomixos-25.11.cdx.json: OK\n");
    let list = fs::read_to_string(out.join("atomixos-25.11.cdx.json")).unwrap();
    assert!(list.contains("pkg:deb/debian/dash@0.5") && list.contains("\"1.5\""), "{list}");

    assert_eq!(build("25.11", "out").status.code(), Some(2), "it is there already");
    assert_eq!(build("../25", "other").status.code(), Some(2), "no series");
    fs::write(dir.path().join("components.json"), listed.replace("[]", "[\"b\"]")).unwrap();
    let refused = build("25.11", "other");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no such component"));
    let half = [&of_parts("build", "1", "other")[..], &["--series", "25.11"]].concat();
    assert_eq!(atomix(dir.path(), &half).status.code(), Some(2), "a series without a list");
    // Neither the name nor a directory that it was begun in.
    let left = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.filter(|name| name != "out").count(), 3);
}

#[test]
fn what_u_boot_would_not_start_becomes_no_image() {
    let dir = tempfile::tempdir().unwrap();
    parts(dir.path());
    let gzip = [b"\x1f\x8b\x08".as_slice(), &[1; 90_000]].concat();
    let mut large = kernel();
    large[16..24].copy_from_slice(&(100_u64 << 20).to_le_bytes());
    for (kernel, says, hint) in [
        (gzip, "is no arm64 kernel: it is compressed with gzip", "uncompressed `Image`"),
        (vec![1; 90_000], "is no arm64 kernel", "uncompressed `Image`"),
        (large, "takes 104857600 bytes of memory", "more in modules"),
    ] {
        fs::write(dir.path().join("boot/Image"), kernel).unwrap();
        for (verb, out) in [("build", "image"), ("content", "content")] {
            let refused = atomix(dir.path(), &of_parts(verb, "1", out));
            let said = String::from_utf8_lossy(&refused.stderr).replace("\n", " ");
            let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(!refused.status.success() && said.contains(says), "{said}");
            assert!(said.contains("boot/Image") && said.contains(hint), "{said}");
            assert!(!dir.path().join(out).exists());
        }
    }
}

const CONFIG: &str = include_str!("../../../config-api/tests/fixtures/001-minimal/input.toml");

/// The file of this name in the boot partition of `image`, as a device reads it.
fn seed_in(image: &Path, name: &str) -> Option<Vec<u8>> {
    let (at, len) = (16 << 20, 128 << 20);
    let boot = fs::read(image).unwrap()[at..at + len].to_vec();
    let mut found = Vec::new();
    let until = Instant::now() + Duration::from_secs(60);
    let boot = Box::new(MemoryStorage::disk("boot", boot));
    look(boot, until, &mut |name, content| found.push((name, content.unwrap()))).unwrap().unwrap();
    assert!(found.len() < 2, "one seed at most");
    found.pop().map(|(found, content)| (found == name).then_some(content).unwrap())
}

#[test]
fn an_image_brings_its_first_configuration_where_a_device_looks_for_it() {
    let dir = tempfile::tempdir().unwrap();
    parts(dir.path());
    fs::write(dir.path().join("gateway-7.toml"), CONFIG).unwrap();
    fs::create_dir(dir.path().join("site")).unwrap();
    fs::write(dir.path().join("site/config.toml"), CONFIG).unwrap();
    for (suffix, flag) in [("gz", "--gzip"), ("zst", "--zstd")] {
        let made = Command::new("tar")
            .args(["--create", flag, "--file"])
            .args([&format!("site.tar.{suffix}"), "--directory", "site", "config.toml"])
            .current_dir(dir.path())
            .status();
        assert!(made.unwrap().success());
    }
    let build = |out: &str, seed: &[&str]| {
        let made = atomix(dir.path(), &[&of_parts("build", "1.2.3", out)[..], seed].concat());
        assert!(made.status.success(), "{out}: {}", String::from_utf8_lossy(&made.stderr));
        dir.path().join(out)
    };
    assert_eq!(seed_in(&build("bare", &[]), "config.toml"), None);
    for (file, name) in [
        ("gateway-7.toml", "config.toml"),
        ("site.tar.gz", "config.tar.gz"),
        ("site.tar.zst", "config.tar.zst"),
    ] {
        let wanted = fs::read(dir.path().join(file)).unwrap();
        let image = build(&format!("image-{file}"), &["--seed", file]);
        assert_eq!(seed_in(&image, name), Some(wanted), "{file}");
    }
}

#[test]
fn a_configuration_that_a_device_would_refuse_becomes_no_image() {
    let dir = tempfile::tempdir().unwrap();
    parts(dir.path());
    fs::write(dir.path().join("wrong.toml"), format!("{CONFIG}\n[colour]\n")).unwrap();
    fs::write(dir.path().join("cut.tar.gz"), [0x1f, 0x8b, 8]).unwrap();
    let mut large = CONFIG.as_bytes().to_vec();
    large.resize((32 << 20) + 1, b'#');
    fs::write(dir.path().join("large.toml"), large).unwrap();
    for (seed, code, says) in [
        ("wrong.toml", 2, "wrong.toml is not valid; no image was built"),
        ("cut.tar.gz", 2, "cut.tar.gz"),
        ("large.toml", 2, "larger than 32.0 MiB"),
        ("absent.toml", 1, "absent.toml"),
    ] {
        let words = [&of_parts("build", "1", "image")[..], &["--seed", seed]].concat();
        let refused = atomix(dir.path(), &words);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(code), "{seed}: {said}");
        assert!(said.contains(says), "{seed}: {said}");
        assert!(!dir.path().join("image").exists(), "{seed}");
    }
}

#[test]
fn nothing_is_written_over() {
    let dir = tempfile::tempdir().unwrap();
    parts(dir.path());
    fs::write(dir.path().join("boot.scr"), "mine").unwrap();
    fs::create_dir(dir.path().join("content")).unwrap();
    assert_eq!(atomix(dir.path(), &["image", "script", "boot.scr"]).status.code(), Some(1));
    assert_eq!(atomix(dir.path(), &of_parts("content", "1", "content")).status.code(), Some(1));
    assert_eq!(fs::read_to_string(dir.path().join("boot.scr")).unwrap(), "mine");
}

/// The page that tells how an image is built has one block that says `tested`.
#[test]
fn the_lines_of_the_page_about_building_run() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/building.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("```sh tested\n").unwrap();
    let (lines, _) = rest.split_once("```").unwrap();
    let dir = tempfile::tempdir().unwrap();
    parts(dir.path());
    fs::create_dir(dir.path().join("root")).unwrap();
    fs::write(dir.path().join("root/init"), "the first program").unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_atomix")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let done = Command::new("sh")
        .args(["-euc", lines])
        .env("PATH", path)
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("compatible   rock64") && said.contains("version      1.2.3"), "{said}");
}
