// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of what `rauc info` shows.

use super::*;
use bundle::ManifestUse;

const MANIFEST: &[u8] = b"[update]\ncompatible=Test Config\nversion=2011.03-2\n\n\
    [bundle]\nformat=plain\n\n[hooks]\nfilename=hook.sh\nhooks=install-check;\n\n\
    [image.rootfs]\nsha256=de2f256064a0af797747c2b97505dc0b9f3df0de4f489eac731c23ae9ca9cc31\n\
    size=65536\nfilename=rootfs.img\nhooks=post-install;pre-install;\n\
    adaptive=block-hash-index;\n\n[meta.up-date]\nkey=it's\n";

fn view(manifest: &Manifest) -> InfoView<'_> {
    InfoView { manifest, digest: Digest::from_bytes([0xab; 32]), secrecy: KeySecrecy::Open }
}

fn rendered(format: InfoFormat) -> String {
    let manifest = Manifest::parse(MANIFEST, ManifestUse::Internal).unwrap();
    render(&view(&manifest), format)
}

#[test]
fn people_read_what_rauc_prints() {
    let digest = "ab".repeat(32);
    let expected = format!(
        "Compatible:     'Test Config'\nVersion:        '2011.03-2'\nDescription:    '(null)'\n\
         Build:          '(null)'\nHooks:          'install-check'\nBundle Format:  plain\n\
         Manifest Hash:  '{digest}'\n\nMetadata:\n  up-date:\n    key: it's\n\n1 Image:\n  \
         \x1b[1m[rootfs]\x1b[0m\n    Filename:  rootfs.img\n    Type:      raw (detected)\n    \
         Checksum:  de2f256064a0af797747c2b97505dc0b9f3df0de4f489eac731c23ae9ca9cc31\n    \
         Size:      65.5\u{a0}kB (65536 bytes)\n    Hooks:     pre-install post-install\n    \
         Adaptive:  block-hash-index\n"
    );
    assert_eq!(rendered(InfoFormat::Readable), expected);
}

#[test]
fn programs_find_the_keys_in_raucs_order() {
    let json = rendered(InfoFormat::Json);
    assert!(json.starts_with(r#"{"compatible":"Test Config","version":"2011.03-2","description":null,"build":null,"format":"plain","hooks":["install-check"],"hash":"abab"#), "{json}");
    let image = r#""images":[{"rootfs":{"artifact":null,"variant":null,"filename":"rootfs.img","type":"raw","checksum":"de2f256064a0af797747c2b97505dc0b9f3df0de4f489eac731c23ae9ca9cc31","size":65536,"hooks":["pre-install","post-install"],"adaptive":["block-hash-index"]}}]}"#;
    assert!(json.ends_with(image), "{json}");
    let second: serde_json::Value = serde_json::from_str(&rendered(InfoFormat::Json2)).unwrap();
    assert_eq!(second["images"][0]["slot-class"], "rootfs");
    assert_eq!(second["meta"]["up-date"]["key"], "it's");
    assert_eq!(second["hooks"]["filename"], "hook.sh");
    assert!(second["update"].get("description").is_none());
}

#[test]
fn a_shell_gets_every_value_in_quotes() {
    let text = rendered(InfoFormat::Shell);
    assert!(text.contains("RAUC_MF_HOOKS='install-check'\nRAUC_META_UP_DATE_KEY='it'\\''s'\n"));
    assert!(text.ends_with(
        "RAUC_IMAGE_HOOKS_0='pre-install post-install'\nRAUC_IMAGE_ADAPTIVE_0='block-hash-index'"
    ));
}

#[test]
fn sizes_and_dates_are_those_of_the_libraries_rauc_uses() {
    for (bytes, text) in [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0\u{a0}kB (1000 bytes)"),
        (1_250_000, "1.2\u{a0}MB (1250000 bytes)"),
        (1_350_000, "1.4\u{a0}MB (1350000 bytes)"),
        (12_345_678_901, "12.3\u{a0}GB (12345678901 bytes)"),
    ] {
        assert_eq!(long_size(bytes), text);
    }
    assert_eq!(asn1_date(UnixTime(0)), "Jan  1 00:00:00 1970 GMT");
    assert_eq!(asn1_date(UnixTime(253_402_300_799)), "Dec 31 23:59:59 9999 GMT");
}
