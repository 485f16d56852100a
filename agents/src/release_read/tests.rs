// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use storage::chain;

fn good() -> Value {
    json!({
        "kind": "atomix-release", "version": 1, "product": "rock64", "sequence": 7,
        "issued": "2026-11-22T18:00:00Z", "expires": "2026-12-22T18:00:00Z",
        "bundle": {
            "version": "26.11.1", "manifest": "ab".repeat(32), "sha256": "cd".repeat(32),
            "size": 104_857_600, "urls": ["rock64.raucb", "https://cdn.example.org/r.raucb"],
        },
        "min_version": "26.5",
        "rollout": {
            "begins": "2026-11-22T18:00:00Z", "ends": "2026-11-25T18:00:00Z", "percent": 20,
        },
        "forced": true,
    })
}

fn read(value: &Value) -> Result<Release, ReadReleaseError> {
    Release::parse(value.to_string().as_bytes())
}

/// The refusal of the good one with a value at a place; `None` takes the member away.
fn refusal(place: &str, value: Option<Value>) -> String {
    let mut changed = good();
    let (parent, name) = place.rsplit_once('/').unwrap();
    let object = changed.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => object.insert(name.to_owned(), value),
        None => object.remove(name),
    };
    match read(&changed) {
        Err(refused) => chain(&refused),
        Ok(_) => panic!("taken: {changed}"),
    }
}

#[test]
fn every_member_is_read() {
    let found = read(&good()).unwrap();
    assert_eq!((found.product.as_str(), found.version.as_str()), ("rock64", "26.11.1"));
    assert_eq!(found.sequence.get(), 7);
    assert_eq!((found.issued, found.expires), (UnixTime(1_795_370_400), UnixTime(1_797_962_400)));
    assert_eq!(found.manifest, Digest::from_bytes([0xab; 32]));
    assert_eq!(found.file, Digest::from_bytes([0xcd; 32]));
    assert_eq!(found.size.get(), 104_857_600);
    assert_eq!(found.urls, ["rock64.raucb", "https://cdn.example.org/r.raucb"]);
    assert_eq!(found.min_version.as_deref(), Some("26.5"));
    let rollout =
        Rollout { begins: UnixTime(1_795_370_400), ends: UnixTime(1_795_629_600), percent: 20 };
    assert_eq!((found.rollout, found.urgency), (Some(rollout), Urgency::Forced));
}

#[test]
fn three_members_may_be_left_out_and_names_with_x_are_free() {
    let mut value = good();
    for name in ["min_version", "rollout", "forced"] {
        value.as_object_mut().unwrap().remove(name);
    }
    value["x-ticket"] = json!({ "who": ["anybody"] });
    value["bundle"]["x-builder"] = json!(7);
    let found = read(&value).unwrap();
    assert_eq!((found.min_version, found.rollout, found.urgency), (None, None, Urgency::Ordinary));
}

#[test]
fn every_other_member_must_be_there_and_of_its_type() {
    for place in [
        "/kind",
        "/version",
        "/product",
        "/sequence",
        "/issued",
        "/expires",
        "/bundle",
        "/bundle/version",
        "/bundle/manifest",
        "/bundle/sha256",
        "/bundle/size",
        "/bundle/urls",
        "/rollout/begins",
        "/rollout/ends",
        "/rollout/percent",
    ] {
        let named = format!("release{}", place.replace('/', "."));
        assert_eq!(refusal(place, None), format!("{named} is missing"));
        for value in [json!(null), json!([[]]), json!(-1), json!(1.5), json!(true)] {
            let said = refusal(place, Some(value));
            assert!(said.starts_with(&named), "{said}");
        }
    }
    for place in ["/min_version", "/rollout", "/forced"] {
        let said = refusal(place, Some(json!(null)));
        assert!(said.contains("is null where"), "{said}");
    }
    assert!(refusal("/forced", Some(json!("true"))).contains("text where true or false"));
    assert!(refusal("/sequence", Some(json!("7"))).contains("text where a whole number"));
    assert!(refusal("/sequence", Some(json!(7.0))).contains("fraction"));
}

#[test]
fn values_out_of_their_bounds_are_refused() {
    for (place, value) in [
        ("/sequence", json!(0)),
        ("/sequence", json!(9_007_199_254_740_992_u64)),
        ("/product", json!("")),
        ("/product", json!(" rock64")),
        ("/product", json!("rock\u{202e}64")),
        ("/product", json!("r".repeat(129))),
        ("/bundle/version", json!("1\n2")),
        ("/bundle/manifest", json!("AB".repeat(32))),
        ("/bundle/sha256", json!("ab".repeat(31))),
        ("/bundle/size", json!(0)),
        ("/bundle/urls", json!([])),
        ("/bundle/urls", json!(vec!["a"; 17])),
        ("/bundle/urls", json!(["a b"])),
        ("/bundle/urls", json!([""])),
        ("/bundle/urls", json!(["a".repeat(2049)])),
        ("/min_version", json!("newest")),
        ("/rollout/percent", json!(101)),
        ("/rollout/percent", json!(256)),
        ("/rollout/ends", json!("2026-11-22T17:59:59Z")),
        ("/expires", json!("2026-11-22T18:00:00Z")),
        ("/issued", json!("2026-11-22T18:00:00+00:00")),
        ("/issued", json!("2026-11-22T18:00:00.0Z")),
        ("/issued", json!("2026-11-22t18:00:00z")),
        ("/issued", json!("2026-11-22T19:00:00+01:00")),
        ("/issued", json!("2026-02-30T18:00:00Z")),
        ("/issued", json!("1969-12-31T23:59:59Z")),
        ("/issued", json!(1_795_370_400)),
    ] {
        let said = refusal(place, Some(value.clone()));
        assert!(
            said.starts_with(&format!("release{}", place.replace('/', "."))),
            "{value}: {said}"
        );
    }
}

/// What this program does not know may forbid what it would do.
#[test]
fn a_member_that_nobody_knows_is_refused_everywhere() {
    for place in ["/only_region", "/bundle/arch", "/rollout/group"] {
        let said = refusal(place, Some(json!("x")));
        assert!(said.contains("is not known"), "{said}");
    }
}

#[test]
fn other_documents_of_the_signer_are_no_releases() {
    assert!(refusal("/kind", Some(json!("atomix-report"))).contains("another kind"));
    assert!(refusal("/version", Some(json!(2))).contains("version 2"));
    // The manifest of a bundle, which the same key signs in the same way.
    assert!(Release::parse(b"[update]\ncompatible=rock64\n").is_err());
    let long = vec![b' '; 65 * 1024];
    assert!(matches!(Release::parse(&long), Err(ReadReleaseError::TooLong { .. })));
}

fn any_release() -> impl Strategy<Value = Release> {
    let name = "[!-~]([ -~]{0,20}[!-~])?";
    let moments = (0_i64..200_000_000_000, 1_i64..10_000_000, 0_i64..10_000_000);
    let rollout = prop::option::of((0_i64..200_000_000_000, 0_i64..10_000_000, 0_u8..=100));
    let bundle = (any::<[u8; 32]>(), any::<[u8; 32]>(), 1..=u64::MAX);
    let urls = prop::collection::vec("[a-z0-9./?=&%-]{1,30}", 1..=16);
    let version = prop::option::of("[0-9]{1,5}\\.[0-9]{1,5}");
    (name, name, 1_u64..1 << 53, moments, bundle, urls, version, rollout, any::<bool>()).prop_map(
        |(
            product,
            version,
            sequence,
            (issued, life, _),
            bundle,
            urls,
            min_version,
            rollout,
            force,
        )| {
            Release {
                product,
                sequence: Sequence::new(sequence).unwrap(),
                issued: UnixTime(issued),
                expires: UnixTime(issued + life),
                version,
                manifest: Digest::from_bytes(bundle.0),
                file: Digest::from_bytes(bundle.1),
                size: ByteLen::new(bundle.2),
                urls,
                min_version,
                rollout: rollout.map(|(begins, lasts, percent)| Rollout {
                    begins: UnixTime(begins),
                    ends: UnixTime(begins + lasts),
                    percent,
                }),
                urgency: if force { Urgency::Forced } else { Urgency::Ordinary },
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same(release in any_release()) {
        let text = release.encode().unwrap();
        prop_assert_eq!(Release::parse(text.as_bytes()).unwrap(), release);
    }

    #[test]
    fn no_content_breaks_it(content in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Release::parse(&content);
    }

    /// One byte changed is refused, or read as something that is written as itself again.
    #[test]
    fn a_changed_byte_is_refused_or_means_what_it_says(at in any::<prop::sample::Index>(), with: u8) {
        let mut text = good().to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = with;
        if let Ok(release) = Release::parse(&text) {
            let again = release.encode().unwrap();
            prop_assert_eq!(Release::parse(again.as_bytes()).unwrap(), release);
        }
    }
}
