// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mkimage` is the judge of script images: the same bytes for the same input.

use std::fs;
use std::process::Command;
use uboot::{encode_script, parse_script};

/// What mkimage makes of the same input.
fn mkimage(name: &str, text: &[u8], timestamp: u32) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (source, image) = (dir.path().join("boot.cmd"), dir.path().join("boot.scr"));
    fs::write(&source, text).unwrap();
    let run = Command::new("mkimage")
        .args(["-A", "arm64", "-O", "linux", "-T", "script", "-C", "none", "-n", name, "-d"])
        .args([&source, &image])
        .env("SOURCE_DATE_EPOCH", timestamp.to_string())
        .output()
        .expect("mkimage (u-boot-tools) is needed by this test");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    fs::read(image).unwrap()
}

#[test]
fn our_script_images_are_the_bytes_mkimage_writes() {
    let cases: [(&str, Vec<u8>, u32); 6] = [
        ("", b"a".to_vec(), 0),
        ("slot A", b"reset\n".to_vec(), 1_700_000_000),
        ("exactly thirty-two bytes of name", b"abc".to_vec(), 1),
        ("odd length", vec![b'x'; 1023], u32::MAX),
        ("one page", vec![b'y'; 4096], 1_234_567_890),
        ("any bytes", (0..=255).collect(), 42),
    ];
    for (name, text, timestamp) in &cases {
        let ours = encode_script(name, text, *timestamp).unwrap();
        assert_eq!(ours, mkimage(name, text, *timestamp), "{name:?}");
        let script = parse_script(&ours).unwrap();
        assert_eq!((&script.name[..], &script.text, script.timestamp), (*name, text, *timestamp));
    }
}

#[test]
fn mkimage_lists_our_script_image() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("boot.scr");
    fs::write(&image, encode_script("slot B", b"booti\n", 0).unwrap()).unwrap();
    let run = Command::new("mkimage").arg("-l").arg(&image).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}");
    assert!(said.contains("slot B") && said.contains("AArch64 Linux Script"), "{said}");
}
