// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bundles we make are accepted by Debian's real rauc, and bad content makes no bundle at all.

use bundle::{
    BundleContent, BundleFormat, CreateError, CreateProgress, CreateRequest, CreatedBundle,
    DevelopmentPki, DevelopmentPkiOptions, SigningIdentity, SquashfsCompression, SquashfsEntry,
    SquashfsFiles, SquashfsLimits, UnixTime, create_bundle,
};
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// 2026-11-01; the real rauc judges by the machine's clock, so the keys are valid until 2191.
const NOW: UnixTime = UnixTime(1_793_491_200);

const MANIFEST: &str = "[update]\ncompatible=rock64\nversion=2026.11-test\n\n\
    [image.boot]\nfilename=boot.vfat\n\n[image.rootfs]\nfilename=rootfs.img\n";

struct Bench {
    dir: TempDir,
    identity: SigningIdentity,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = DevelopmentPkiOptions::new(NOW);
        options.not_before = UnixTime(1_500_000_000);
        options.ca_not_after = UnixTime(7_000_000_000);
        options.signer_not_after = UnixTime(7_000_000_000);
        let pki = DevelopmentPki::generate("create test", &options).unwrap();
        std::fs::write(dir.path().join("ca.pem"), &pki.ca_cert_pem).unwrap();
        let identity =
            SigningIdentity::from_pem(&pki.signer_cert_pem, &pki.signer_key_pem, &[]).unwrap();
        let bench = Self { dir, identity };
        std::fs::create_dir(bench.content()).unwrap();
        std::fs::write(bench.content().join("manifest.raucm"), MANIFEST).unwrap();
        std::fs::write(bench.content().join("boot.vfat"), vec![0x41; 300_000]).unwrap();
        std::fs::write(bench.content().join("rootfs.img"), noise(200_001)).unwrap();
        bench
    }

    fn content(&self) -> PathBuf {
        self.dir.path().join("content")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn create(&self, format: BundleFormat, name: &str) -> Result<CreatedBundle, CreateError> {
        self.create_with(format, name, &mut |_| ())
    }

    fn create_with(
        &self,
        format: BundleFormat,
        name: &str,
        progress: &mut dyn FnMut(CreateProgress),
    ) -> Result<CreatedBundle, CreateError> {
        let content = self.content();
        let request = CreateRequest {
            content: BundleContent::Directory(&content),
            format: Some(format),
            compression: SquashfsCompression::default(),
            identity: &self.identity,
            salt: [7; 32],
            timestamp: NOW,
        };
        create_bundle(&request, &self.path(name), progress)
    }
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

fn rauc(args: &[&str], paths: &[&Path]) -> (bool, String) {
    let output = Command::new("rauc").args(args).args(paths).output().expect("rauc is needed");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn real_rauc_accepts_our_bundles_and_sees_what_we_signed() {
    let bench = Bench::new();
    let keyring = format!("--keyring={}", bench.path("ca.pem").display());
    for (format, name) in [(BundleFormat::Verity, "verity"), (BundleFormat::Plain, "plain")] {
        let made = bench.create(format, name).unwrap();
        let file = bench.path(name);
        assert_eq!(std::fs::metadata(&file).unwrap().len(), made.file_len.get());
        let (accepted, said) = rauc(&["info", "--output-format=json", &keyring], &[&file]);
        assert!(accepted, "{name}: {said}");
        let rootfs = openssl::sha::sha256(&noise(200_001));
        assert!(said.contains(&storage::Digest::from_bytes(rootfs).to_string()), "{said}");
        assert!(said.contains(r#""compatible":"rock64""#), "{said}");
        let how = if name == "plain" { "Verified detached" } else { "Verified inline" };
        assert!(said.contains(how), "{said}");
    }
}

#[test]
fn real_rauc_refuses_ours_after_one_byte_of_the_signature_changed() {
    let bench = Bench::new();
    let keyring = format!("--keyring={}", bench.path("ca.pem").display());
    let made = bench.create(BundleFormat::Verity, "bundle").unwrap();
    let mut bytes = std::fs::read(bench.path("bundle")).unwrap();
    let last = usize::try_from(made.file_len.get()).unwrap() - 9;
    bytes[last] ^= 1;
    std::fs::write(bench.path("broken"), bytes).unwrap();
    let (accepted, said) = rauc(&["info", &keyring], &[&bench.path("broken")]);
    assert!(!accepted, "{said}");
}

#[test]
fn payload_unpacks_to_the_content() {
    let bench = Bench::new();
    for (format, name) in [(BundleFormat::Verity, "verity"), (BundleFormat::Plain, "plain")] {
        bench.create(format, name).unwrap();
        let tree = bench.path(&format!("{name}.tree"));
        let mut unsquashfs = Command::new("unsquashfs");
        unsquashfs.args(["-quiet", "-no-progress", "-strict-errors", "-d"]);
        let output = unsquashfs.arg(&tree).arg(bench.path(name)).output();
        assert!(output.expect("unsquashfs is needed").status.success(), "{name}");
        for image in ["boot.vfat", "rootfs.img"] {
            let unpacked = std::fs::read(tree.join(image)).unwrap();
            assert!(unpacked == std::fs::read(bench.content().join(image)).unwrap(), "{image}");
        }
        let manifest = std::fs::read_to_string(tree.join("manifest.raucm")).unwrap();
        assert!(manifest.contains("size=200001"), "{manifest}");
    }
}

#[test]
fn real_rauc_extracts_identical_files_and_notices_a_changed_payload() {
    let bench = Bench::new();
    let keyring = format!("--keyring={}", bench.path("ca.pem").display());
    for (format, name) in [(BundleFormat::Verity, "verity"), (BundleFormat::Plain, "plain")] {
        bench.create(format, name).unwrap();
        let tree = bench.path(&format!("{name}.tree"));
        // Who may write the file is not the question here: it lies in a shared folder.
        let args = ["extract", "--trust-environment", &keyring];
        let (extracted, said) = rauc(&args, &[&bench.path(name), &tree]);
        assert!(extracted, "{name}: {said}");
        for image in ["boot.vfat", "rootfs.img"] {
            let found = std::fs::read(tree.join(image)).unwrap();
            assert!(found == std::fs::read(bench.content().join(image)).unwrap(), "{image}");
        }
        let mut bytes = std::fs::read(bench.path(name)).unwrap();
        bytes[50_000] ^= 1;
        let broken = bench.path(&format!("{name}.broken"));
        std::fs::write(&broken, bytes).unwrap();
        let other = bench.path(&format!("{name}.broken.tree"));
        let (extracted, said) = rauc(&args, &[&broken, &other]);
        assert!(!extracted, "{name}: {said}");
    }
}

fn facts(made: &CreatedBundle) -> (&bundle::Manifest, storage::Digest, storage::ByteLen) {
    (&made.manifest, made.manifest_digest, made.payload_len)
}

#[test]
fn same_input_gives_the_same_payload() {
    let bench = Bench::new();
    for format in [BundleFormat::Verity, BundleFormat::Plain] {
        let name = |run: &str| format!("{format:?}-{run}");
        let one = bench.create(format, &name("one")).unwrap();
        let two = bench.create(format, &name("two")).unwrap();
        // The signature alone may differ: ECDSA draws a number.
        assert_eq!(facts(&one), facts(&two));
        let payload = usize::try_from(one.payload_len.get()).unwrap();
        let read = |run: &str| std::fs::read(bench.path(&name(run))).unwrap();
        assert!(read("one")[..payload] == read("two")[..payload]);
    }
}

#[test]
fn memory_content_makes_the_same_bundle_as_a_directory() {
    let bench = Bench::new();
    let from_dir = bench.create(BundleFormat::Verity, "dir").unwrap();
    let files = BTreeMap::from([
        ("boot.vfat".to_owned(), vec![0x41; 300_000]),
        ("rootfs.img".to_owned(), noise(200_001)),
    ]);
    let request = CreateRequest {
        content: BundleContent::Memory { manifest: MANIFEST, files: &files },
        format: Some(BundleFormat::Verity),
        compression: SquashfsCompression::default(),
        identity: &bench.identity,
        salt: [7; 32],
        timestamp: NOW,
    };
    let from_memory = create_bundle(&request, &bench.path("memory"), &mut |_| ()).unwrap();
    assert_eq!(facts(&from_dir), facts(&from_memory));
}

#[test]
fn forbidden_content_is_refused_and_leaves_no_output() {
    type Spoil = fn(&Path);
    let cases: [(&str, Spoil); 5] = [
        ("absolute link", |dir| symlink("/etc/passwd", dir.join("link")).unwrap()),
        ("link with slash", |dir| symlink("a/b", dir.join("link")).unwrap()),
        ("hidden directory", |dir| std::fs::create_dir(dir.join(".git")).unwrap()),
        ("socket", |dir| {
            drop(std::os::unix::net::UnixListener::bind(dir.join("socket")).unwrap());
        }),
        ("pipe", |dir| {
            let made = Command::new("mkfifo").arg(dir.join("pipe")).status().unwrap();
            assert!(made.success());
        }),
    ];
    for (what, spoil) in cases {
        let bench = Bench::new();
        spoil(&bench.content());
        let refused = bench.create(BundleFormat::Verity, "out");
        assert!(
            matches!(refused, Err(CreateError::ForbiddenContent { .. })),
            "{what}: {refused:?}"
        );
        assert!(!bench.path("out").exists(), "{what}");
    }
}

#[test]
fn harmless_links_and_directories_are_packed() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.content().join("extra/.hidden")).unwrap();
    // What a run of RAUC leaves behind that failed; it stood in our way.
    std::fs::create_dir_all(bench.content().join(".rauc-workdir/x")).unwrap();
    symlink("rootfs.img", bench.content().join("latest")).unwrap();
    bench.create(BundleFormat::Verity, "out").unwrap();
    let packed = std::fs::File::open(bench.path("out")).unwrap();
    let packed = SquashfsFiles::open(packed, &SquashfsLimits::BUNDLE).unwrap();
    let entries: BTreeMap<_, _> = packed.entries().collect();
    let found = |path: &str| entries.get(Path::new(path));
    let target = PathBuf::from("rootfs.img");
    assert_eq!(found("latest"), Some(&SquashfsEntry::Symlink { target }));
    assert_eq!(found("extra/.hidden"), Some(&SquashfsEntry::Directory));
    assert_eq!(found(".rauc-workdir"), None);
}

#[test]
fn wrong_manifests_make_no_bundle() {
    for (what, manifest) in [
        ("missing image", "[update]\ncompatible=x\n[image.a]\nfilename=none.img\n"),
        ("digest given", &format!("{MANIFEST}sha256={}\n", "0".repeat(64))),
        ("no compatible", "[update]\nversion=1\n"),
        ("missing hook", "[update]\ncompatible=x\n[hooks]\nfilename=hook\nhooks=install-check\n"),
    ] {
        let bench = Bench::new();
        std::fs::write(bench.content().join("manifest.raucm"), manifest).unwrap();
        let refused = bench.create(BundleFormat::Verity, "out");
        assert!(
            matches!(refused, Err(CreateError::Manifest(_) | CreateError::MissingFile { .. })),
            "{what}: {refused:?}"
        );
        assert!(!bench.path("out").exists(), "{what}");
    }
    let bench = Bench::new();
    std::fs::remove_file(bench.content().join("manifest.raucm")).unwrap();
    let refused = bench.create(BundleFormat::Verity, "out");
    assert!(matches!(refused, Err(CreateError::NoManifest { .. })), "{refused:?}");
}

#[test]
fn output_is_neither_overwritten_nor_put_into_its_own_input() {
    let bench = Bench::new();
    std::fs::write(bench.path("there"), b"precious").unwrap();
    let refused = bench.create(BundleFormat::Verity, "there").unwrap_err();
    assert!(matches!(refused, CreateError::Output { .. }) && refused.hint().is_some());
    assert_eq!(std::fs::read(bench.path("there")).unwrap(), b"precious");
    let inside = bench.create(BundleFormat::Verity, "content/../content/out");
    assert!(matches!(inside, Err(CreateError::OutputInContent { .. })), "{inside:?}");
}

#[test]
fn image_that_changes_while_packing_leaves_no_output() {
    let bench = Bench::new();
    let image = bench.content().join("rootfs.img");
    let mut spoil = |progress: CreateProgress| {
        if progress.step == bundle::CreateStep::Pack {
            std::fs::write(&image, noise(200_000)).unwrap();
        }
    };
    let refused = bench.create_with(BundleFormat::Verity, "out", &mut spoil);
    assert!(matches!(refused, Err(CreateError::Pack(_))), "{refused:?}");
    assert!(!bench.path("out").exists());
}

#[test]
fn progress_reaches_the_total_of_every_step() {
    let bench = Bench::new();
    let mut last = BTreeMap::new();
    let mut note = |progress: CreateProgress| {
        last.insert(format!("{:?}", progress.step), (progress.done, progress.total));
    };
    bench.create_with(BundleFormat::Verity, "out", &mut note).unwrap();
    assert_eq!(last.len(), 3);
    assert!(last.values().all(|(done, total)| done == total), "{last:?}");
}
