// SPDX-License-Identifier: MIT OR Apache-2.0
//! Manifests: what is accepted comes back, what breaks a rule is refused by name.

use bundle::{
    BundleFormat, BundleHook, CryptKey, Handler, Hooks, Image, ImageType, Manifest, ManifestError,
    ManifestUse, SlotHook, TypeOrigin, Update, VerityParams,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use storage::{ByteLen, Digest};

const INPUT: &str = "[update]\ncompatible=board\n";
const HASH: &str = "abababababababababababababababababababababababababababababababab";

fn refused(text: &str, used: ManifestUse) -> String {
    Manifest::parse(text.as_bytes(), used).unwrap_err().to_string()
}

#[test]
fn each_broken_input_has_its_own_refusal() {
    let cases = [
        ("", "manifest lacks compatible in [update]"),
        ("[update]\ncompatible=\n", "compatible in [update] in line 2 of the manifest must not"),
        ("[update]\ncompatible=b\nx=1\n", "unknown key x in [update] in line 3"),
        ("[update]\ncompatible=b\n[new]\n", "unknown section [new] in line 3"),
        ("+[bundle]\nformat=zip\n", "format in [bundle] in line 4 of the manifest must be plain"),
        ("+[bundle]\nverity-salt=HASH\n", "manifest lacks verity-hash in [bundle]"),
        ("+[bundle]\ncrypt-key=ab\n", "must be 64 hexadecimal digits"),
        ("+[bundle]\ncrypt-key=HASH\n", "filled in by the tool"),
        ("+[handler]\nargs=x\n", "manifest lacks filename in [handler]"),
        ("+[hooks]\nhooks=install-check;\n", "hooks need a filename"),
        ("+[hooks]\nfilename=h\nhooks=boom;\n", "unknown hook"),
        ("+[image.r]\nfilename=r.img\nhooks=install;\n", "hooks of images need a filename"),
        ("+[image.r]\n", "a filename is needed"),
        ("+[image.r]\nfilename=r.bin\n", "the type cannot be told"),
        ("+[image.r]\nfilename=r.img\ntype=jffs2\n", "must be a known image type"),
        ("+[image.r]\nfilename=r.img\ntype=emptyfs\n", "emptyfs has no filename"),
        ("+[image.r]\nfilename=r.img\nsize=1\n", "size is filled in by the tool"),
        ("+[image.r]\nfilename=r.img\nsize=+1\n", "must be a number of bytes"),
        ("+[image.r]\nfilename=r.img\nsize=99999999999999999999\n", "must be a number of bytes"),
        ("+[image.r]\nfilename=r.img\nsha256=HASH\n", "sha256 is filled in by the tool"),
        ("+[image.r]\nfilename=r.img\nadaptive=magic;\n", "unknown adaptive method"),
        ("+[image.r/a]\nfilename=r.img\n", "a plain bundle cannot hold artifacts"),
        ("+[image.]\nfilename=r.img\n", "unknown section [image.]"),
        ("+[image.r.]\nfilename=r.img\n", "unknown section [image.r.]"),
        ("+[image.../x]\nfilename=r.img\n", "unknown section"),
        ("+[meta.a.b]\nx=1\n", "unknown section [meta.a.b]"),
        ("+[meta.a]\nx.y=1\n", "unknown key x.y"),
    ];
    for (text, expected) in cases {
        let text = text.replace("+[", &format!("{INPUT}[")).replace("HASH", HASH);
        let found = refused(&text, ManifestUse::Input);
        assert!(found.contains(expected), "{text}\n{found}");
    }
    let twice = format!("{INPUT}[image.r]\nfilename=a.img\n[image.r]\nfilename=b.img\n");
    let found = Manifest::parse(twice.as_bytes(), ManifestUse::Input).unwrap_err();
    let ManifestError::Syntax(cause) = found else { panic!("{found}") };
    assert_eq!(cause.to_string(), "duplicate section [image.r] in line 5, first in line 3");
}

#[test]
fn file_names_cannot_leave_the_bundle() {
    for name in ["/etc/passwd", "../x.img", "a/b.img", ".hidden.img", "..", ".", "", "a\\nb.img"] {
        for group in ["[image.r]\nfilename=", "[handler]\nfilename=", "[hooks]\nfilename="] {
            let found = refused(&format!("{INPUT}{group}{name}\n"), ManifestUse::Input);
            assert!(found.contains("plain file name"), "{group}{name}: {found}");
        }
    }
    let nul = format!("{INPUT}[image.r]\nfilename=a\0b.img\n");
    assert!(Manifest::parse(nul.as_bytes(), ManifestUse::Input).is_err());
}

#[test]
fn each_use_demands_its_own_fields() {
    let verity = format!("verity-hash={HASH}\nverity-salt={HASH}\nverity-size=4096\n");
    let cases = [
        (ManifestUse::Internal, "[bundle]\nformat=verity\n".to_owned(), "must have format plain"),
        (ManifestUse::Internal, format!("[bundle]\n{verity}"), "has no hash tree"),
        (ManifestUse::Internal, "[image.r]\nfilename=r.img\n".to_owned(), "sha256 is missing"),
        (
            ManifestUse::Internal,
            format!("[image.r]\nfilename=r.img\nsha256={HASH}\n"),
            "size is missing",
        ),
        (ManifestUse::External, String::new(), "must have format verity or crypt"),
        (ManifestUse::External, "[bundle]\nformat=verity\n".to_owned(), "are missing"),
        (ManifestUse::External, format!("[bundle]\nformat=crypt\n{verity}"), "crypt-key belongs"),
        (
            ManifestUse::External,
            format!("[bundle]\nformat=verity\n{verity}crypt-key={HASH}\n"),
            "crypt-key belongs",
        ),
    ];
    for (used, rest, expected) in cases {
        let found = refused(&format!("{INPUT}{rest}"), used);
        assert!(found.contains(expected), "{rest}\n{found}");
    }
    let good = format!("{INPUT}[bundle]\nformat=verity\n{verity}");
    assert!(Manifest::parse(good.as_bytes(), ManifestUse::External).is_ok());
}

#[test]
fn rollout_is_read_and_ignored() {
    let text = format!("{INPUT}[rollout]\nanything=1\n");
    let manifest = Manifest::parse(text.as_bytes(), ManifestUse::Input).unwrap();
    assert_eq!(manifest.encode(), INPUT);
}

fn text() -> impl Strategy<Value = String> {
    "[ -~äß\t\n]{1,20}"
}

fn image(index: usize, external: bool) -> impl Strategy<Value = Image> {
    let hooks = prop_oneof![
        Just(vec![]),
        Just(vec![SlotHook::Install]),
        Just(vec![SlotHook::PreInstall, SlotHook::PostInstall]),
    ];
    let explicit = proptest::option::of(prop_oneof![Just(ImageType::Raw), Just(ImageType::Tar)]);
    let stem = "[a-zA-Z0-9_ äß;]{1,12}";
    let adaptive = proptest::bool::ANY;
    (
        hooks,
        explicit,
        stem,
        any::<[u8; 32]>(),
        any::<u64>(),
        adaptive,
        proptest::option::of("[a-z]{1,5}(\\.[a-z]{1,5})?"),
    )
        .prop_map(move |(hooks, explicit, stem, hash, size, adaptive, variant)| {
            Image {
                class: format!("class-{index}"),
                variant,
                artifact: (external && size % 5 == 0).then(|| "thing".to_owned()),
                filename: Some(format!("{stem}.ext4")),
                image_type: Some(ImageType::Ext4),
                type_origin: TypeOrigin::Derived,
                sha256: Some(Digest::from_bytes(hash)),
                size: Some(ByteLen::new(size)),
                hooks,
                adaptive: if adaptive { vec!["block-hash-index".to_owned()] } else { vec![] },
                convert: vec![],
                converted: vec![],
            }
            .with_type(explicit)
        })
}

trait WithType {
    fn with_type(self, explicit: Option<ImageType>) -> Self;
}

impl WithType for Image {
    fn with_type(mut self, explicit: Option<ImageType>) -> Self {
        if explicit.is_some() && self.artifact.is_none() {
            self.image_type = explicit;
            self.type_origin = TypeOrigin::Explicit;
        } else if self.artifact.is_some() || self.hooks.contains(&SlotHook::Install) {
            self.image_type = None;
        }
        self
    }
}

fn any_manifest() -> impl Strategy<Value = Manifest> {
    prop_oneof![Just(BundleFormat::Plain), Just(BundleFormat::Verity), Just(BundleFormat::Crypt)]
        .prop_flat_map(manifest_of)
}

fn manifest_of(format: BundleFormat) -> impl Strategy<Value = Manifest> {
    let signed = format != BundleFormat::Plain;
    let images = (0..4_usize).prop_flat_map(move |count| {
        (0..count).map(|index| image(index, signed)).collect::<Vec<_>>()
    });
    let word = "[a-zA-Z0-9_-]{1,6}";
    let entries = proptest::collection::btree_map(word, "[ -~ä\t\n]{0,9}", 0..3);
    let meta = proptest::collection::btree_map(word, entries, 0..3);
    let optional = proptest::collection::vec(proptest::option::of(text()), 5);
    let numbers = (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<u64>(), any::<bool>());
    (text(), optional, numbers, images, meta).prop_map(
        move |(compatible, optional, (hash, salt, size, check), images, meta)| {
            let [version, description, build, min_rauc_version, args] =
                optional.try_into().unwrap();
            let meta: BTreeMap<String, BTreeMap<String, String>> = meta;
            let hash = Digest::from_bytes(hash);
            let params = VerityParams { hash, salt, size: ByteLen::new(size) };
            Manifest {
                update: Update { compatible, version, description, build, min_rauc_version },
                format,
                verity: signed.then_some(params),
                crypt_key: (format == BundleFormat::Crypt).then_some(CryptKey(salt)),
                handler: check.then(|| Handler { filename: "run it".to_owned(), args }),
                hooks: Hooks {
                    filename: Some("hook".to_owned()),
                    hooks: if check { vec![BundleHook::InstallCheck] } else { vec![] },
                },
                images,
                meta,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_encoded_parses_to_the_same_manifest(manifest in any_manifest()) {
        let used = match manifest.format {
            BundleFormat::Plain => ManifestUse::Internal,
            BundleFormat::Verity | BundleFormat::Crypt => ManifestUse::External,
        };
        let text = manifest.encode();
        let again = Manifest::parse(text.as_bytes(), used).unwrap();
        prop_assert_eq!(&again, &manifest, "{}", text);
        prop_assert_eq!(again.encode(), text);
    }

    #[test]
    fn arbitrary_text_is_judged_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        lines in proptest::collection::vec("(\\[(update|bundle|image\\.[a-z./]{0,4}|meta\\.x|hooks)\\]|[a-z0-9-]{1,12}=[ -~]{0,8}|filename=[a-z./]{0,6}|compatible=x)", 0..12),
    ) {
        let text = lines.join("\n");
        for used in [ManifestUse::Input, ManifestUse::Internal, ManifestUse::External] {
            let _ = Manifest::parse(&bytes, used);
            if let Ok(manifest) = Manifest::parse(text.as_bytes(), used) {
                for image in &manifest.images {
                    let name = image.filename.as_deref().unwrap_or("x");
                    prop_assert!(!name.contains('/') && !name.starts_with('.'));
                }
            }
        }
    }
}
