// SPDX-License-Identifier: MIT OR Apache-2.0
//! New bundles with everything that one can have, and old ones whose images become indexes.

use crate::workshop::{Workshop, now};
use bundle::{
    BundleContent, BundleError, BundleFormat, CheckTime, ConvertImages, ConvertRequest,
    CreateError, CreateExtras, CreateRequest, CreatedBundle, CryptKey, ImageEncoder, Keyring,
    KeyringOptions, MinVersionError, Notice, OperationError, PostCheck, SigningIdentity,
    SquashfsCompression, Verification, convert_bundle, create_bundle_with, extract_bundle,
    rauc_words,
};
use programs::ProgramError;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use storage::ByteLen;

fn content(shop: &Workshop, images: &str) {
    std::fs::create_dir_all(shop.path("content")).unwrap();
    shop.write("content/rootfs.img", &shop.image[..409_600]);
    let head = "[update]\ncompatible=board\n[bundle]\nformat=verity\n";
    shop.write("content/manifest.raucm", format!("{head}{images}").as_bytes());
}

fn create(
    shop: &Workshop,
    extras: &CreateExtras<'_>,
    identity: &SigningIdentity,
) -> Result<CreatedBundle, CreateError> {
    let dir = shop.path("content");
    let request = CreateRequest {
        content: BundleContent::Directory(&dir),
        format: None,
        compression: SquashfsCompression::Gzip,
        identity,
        salt: [3; 32],
        timestamp: now(),
    };
    create_bundle_with(&request, extras, &shop.path("new.raucb"), &mut |_| ())
}

/// A stand-in for the index: what it was given, so that the test can tell.
fn index(image: &mut dyn Read, size: ByteLen) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    image.read_to_end(&mut all)?;
    assert_eq!(all.len() as u64, size.get());
    Ok(openssl::sha::sha256(&all).to_vec())
}

#[test]
fn rauc_takes_a_bundle_that_mksquashfs_packed_with_the_users_arguments() {
    let shop = Workshop::new();
    content(&shop, "[image.rootfs]\nfilename=rootfs.img\n");
    symlink("rootfs.img", shop.path("content/link")).unwrap();
    let args = ["-comp", "xz", "-Xbcj", "x86"].map(str::to_owned);
    let extras = CreateExtras { mksquashfs_args: &args, ..CreateExtras::default() };
    let made = create(&shop, &extras, &shop.identity()).unwrap();
    assert_eq!(made.notices, vec![]);
    shop.run("rauc", &["--keyring", "ca.pem", "info", "new.raucb"]);
    let args = ["--keyring", "ca.pem", "extract", "new.raucb", "out"];
    shop.run("rauc", &args);
    assert!(std::fs::read(shop.path("out/rootfs.img")).unwrap() == shop.image[..409_600]);
    assert!(shop.path("out/link").is_symlink());
    let names = shop.names();
    assert!(!names.iter().any(|name| name.contains("work")), "{names:?}");
    // The program's own words when it does not like them.
    std::fs::remove_file(shop.path("new.raucb")).unwrap();
    let args = ["-comp".to_owned(), "none-such".to_owned()];
    let extras = CreateExtras { mksquashfs_args: &args, ..CreateExtras::default() };
    let refused = create(&shop, &extras, &shop.identity()).unwrap_err();
    let CreateError::Program(ProgramError::Failed { end, .. }) = &refused else {
        panic!("{refused}")
    };
    assert!(end.stderr.contains("none-such"), "{}", end.stderr);
    let after = shop.names();
    let left = after.iter().filter(|name| name.contains("new.raucb")).count();
    assert_eq!(left, 0, "{after:?}");
}

#[test]
fn adaptive_images_get_their_index_and_unaligned_ones_are_refused() {
    let shop = Workshop::new();
    let images = "[image.rootfs]\nfilename=rootfs.img\nadaptive=block-hash-index\n";
    content(&shop, images);
    let made = create(&shop, &CreateExtras::default(), &shop.identity()).unwrap();
    assert_eq!(made.manifest.images[0].adaptive, ["block-hash-index"]);
    let bundle = shop.verify(shop.open("new.raucb"));
    let limit = ByteLen::kib(4);
    let made = bundle.files().unwrap().read_file("rootfs.img.block-hash-index", limit).unwrap();
    let hashes: Vec<u8> =
        shop.image[..409_600].chunks(4096).flat_map(openssl::sha::sha256).collect();
    assert_eq!(made, hashes);
    std::fs::remove_file(shop.path("new.raucb")).unwrap();
    let extras = CreateExtras { block_hash_index: Some(&index), ..CreateExtras::default() };
    create(&shop, &extras, &shop.identity()).unwrap();
    let bundle = shop.verify(shop.open("new.raucb"));
    let limit = ByteLen::kib(1);
    let made = bundle.files().unwrap().read_file("rootfs.img.block-hash-index", limit).unwrap();
    assert_eq!(made, openssl::sha::sha256(&shop.image[..409_600]));
    std::fs::remove_file(shop.path("new.raucb")).unwrap();
    shop.write("content/rootfs.img", &shop.image[..4097]);
    let refused = create(&shop, &extras, &shop.identity()).unwrap_err();
    assert!(refused.to_string().contains("not a multiple of 4096 bytes"), "{refused}");
    assert!(!shop.path("new.raucb").exists());
}

/// A tar with a file of somebody else's, set-uid, and a link that leaves its directory.
fn archive(shop: &Workshop) {
    std::fs::create_dir_all(shop.path("tree/deep")).unwrap();
    shop.write("tree/deep/file", b"archive content");
    let mode = std::fs::Permissions::from_mode(0o4755);
    std::fs::set_permissions(shop.path("tree/deep/file"), mode).unwrap();
    symlink("../../elsewhere", shop.path("tree/link")).unwrap();
    let args = ["--owner=1234", "--group=77", "--numeric-owner", "-cf", "content/app.tar"];
    shop.run("tar", &[&args[..], &["-C", "tree", "."]].concat());
}

#[test]
fn archives_are_unpacked_into_the_bundle_with_owners_and_modes() {
    let shop = Workshop::new();
    let image = "[image.apps/app]\nfilename=app.tar\nconvert=tar-extract;keep\n";
    content(&shop, image);
    archive(&shop);
    let made = create(&shop, &CreateExtras::default(), &shop.identity()).unwrap();
    assert_eq!(made.manifest.images[0].converted, ["app.tar.extracted", "app.tar"]);
    let bundle = shop.verify(shop.open("new.raucb"));
    assert_eq!(bundle.manifest(), &made.manifest);
    let files = bundle.files().unwrap();
    let facts = files.facts(Path::new("app.tar.extracted/deep/file")).unwrap();
    assert_eq!((facts.mode & 0o7777, facts.uid, facts.gid), (0o4755, 1234, 77));
    assert!(files.size("app.tar").is_ok());
    extract_bundle(&bundle, &shop.path("out")).unwrap();
    let file = shop.path("out/app.tar.extracted/deep/file");
    let found = std::fs::metadata(&file).unwrap();
    assert_eq!(found.mode() & 0o7777, 0o4755);
    if nix::unistd::geteuid().is_root() {
        assert_eq!((found.uid(), found.gid()), (1234, 77));
    }
    let link = std::fs::read_link(shop.path("out/app.tar.extracted/link")).unwrap();
    assert_eq!(link, Path::new("../../elsewhere"));
    let refused = extract_bundle(&bundle, &shop.path("out")).unwrap_err();
    assert!(matches!(refused, OperationError::Output { .. }), "{refused}");
    assert!(file.exists());
}

#[test]
fn converters_that_are_not_there_are_told_and_leave_nothing() {
    let shop = Workshop::new();
    content(&shop, "[image.apps/app]\nfilename=app.tar\nconvert=composefs\n");
    archive(&shop);
    let made = create(&shop, &CreateExtras::default(), &shop.identity());
    match made {
        // Where the program is installed the image is made.
        Ok(made) => assert_eq!(made.manifest.images[0].converted, ["app.tar.cfs"]),
        Err(CreateError::Program(ProgramError::Start { program, .. })) => {
            assert_eq!(program, "mkcomposefs");
            assert!(!shop.path("new.raucb").exists());
        }
        Err(other) => panic!("{other}"),
    }
    content(&shop, "[image.apps/app]\nfilename=app.tar\nconvert=mangle\n");
    let refused = create(&shop, &CreateExtras::default(), &shop.identity()).unwrap_err();
    let unknown = matches!(&refused, CreateError::UnknownConverter { method, .. } if method == "mangle")
        || matches!(&refused, CreateError::Output { .. });
    assert!(unknown, "{refused}");
    assert!(!shop.names().iter().any(|name| name.contains("work")));
}

#[test]
fn versions_formats_and_signers_are_judged_before_anything_is_made() {
    let shop = Workshop::new();
    let rauc_version = "1.16".parse().ok();
    let identity = shop.identity();
    for (version, ours) in [
        ("1000-rc.1+21000101", "Minimum RAUC version in manifest (1000-rc.1+21000101) is newer"),
        ("bad_version", "Failed to parse 'min-rauc-version'. Expected"),
        ("1.13", "field in manifest is only supported since 1.14 (not '1.13')"),
    ] {
        content(&shop, "[image.rootfs]\nfilename=rootfs.img\n");
        let text = std::fs::read_to_string(shop.path("content/manifest.raucm")).unwrap();
        let line = format!("compatible=board\nmin-rauc-version={version}\n");
        let text = text.replace("compatible=board\n", &line);
        shop.write("content/manifest.raucm", text.as_bytes());
        let told = std::cell::Cell::new(None);
        let tell = |format| told.set(Some(format));
        let extras =
            CreateExtras { rauc_version, on_format: Some(&tell), ..CreateExtras::default() };
        let refused = create(&shop, &extras, &identity).unwrap_err();
        let CreateError::MinVersion(cause) = &refused else { panic!("{refused}") };
        let cause: &MinVersionError = cause;
        assert!(rauc_words(cause).unwrap().contains(ours), "{cause}");
        assert_eq!(told.get(), Some(BundleFormat::Verity));
    }
    content(&shop, "[image.rootfs]\nfilename=rootfs.img\n[rollout]\nfoo=bar\n");
    let stranger = Workshop::new();
    let keyring = Keyring::from_pem(&stranger.pki.ca_cert_pem, KeyringOptions::default()).unwrap();
    let check = PostCheck { keyring: &keyring, time: CheckTime::At(now()) };
    let extras = CreateExtras { post_check: Some(check), ..CreateExtras::default() };
    let refused = create(&shop, &extras, &identity).unwrap_err();
    assert!(matches!(refused, CreateError::PostCheck(_)), "{refused}");
    assert!(!shop.path("new.raucb").exists());
    let text = "[update]\ncompatible=board\n[image.rootfs]\nfilename=rootfs.img\n";
    shop.write("content/manifest.raucm", text.as_bytes());
    let made = create(&shop, &CreateExtras::default(), &identity).unwrap();
    assert_eq!(made.notices, [Notice::FormatMissing]);
    assert_eq!(made.manifest.format, BundleFormat::Plain);
}

/// Remembers what it was asked for.
#[derive(Default)]
struct Recorder(Vec<String>);

impl ImageEncoder for Recorder {
    fn encode_blob(
        &mut self,
        image: &Path,
    ) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        let name = image.file_name().unwrap().to_string_lossy().into_owned();
        if name == "bad.img" {
            return Err("no".into());
        }
        self.0.push(format!("blob {name} {}", std::fs::metadata(image)?.len()));
        Ok(b"index".to_vec())
    }

    fn encode_archive(
        &mut self,
        archive: &Path,
    ) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        self.0.push(format!("archive {}", archive.file_name().unwrap().to_string_lossy()));
        Ok(b"tree".to_vec())
    }
}

#[test]
fn images_become_indexes_unless_they_are_to_be_left_alone() {
    let shop = Workshop::new();
    let images = "[image.rootfs]\nfilename=rootfs.img\nadaptive=block-hash-index\n\
                  [image.boot]\nfilename=boot.ext4\n\
                  [image.appfs]\nfilename=keep.img\n[image.data]\nfilename=data.tar.gz\n";
    content(&shop, images);
    for name in ["boot.ext4", "keep.img", "data.tar.gz"] {
        shop.write(&format!("content/{name}"), &[7; 5000]);
    }
    let key = CryptKey([1; 32]);
    let extras = CreateExtras {
        block_hash_index: Some(&index),
        crypt_key: Some(&key),
        ..CreateExtras::default()
    };
    let identity = shop.identity();
    create(&shop, &extras, &identity).unwrap();
    let keyring = shop.keyring();
    let ignore = ["appfs".to_owned()];
    let scratch = shop.path("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let mut request = ConvertRequest {
        images: ConvertImages { ignore: &ignore },
        identity: &identity,
        timestamp: now(),
        salt: [8; 32],
        compression: SquashfsCompression::Gzip,
        verification: Verification::By { keyring: &keyring, time: CheckTime::At(now()) },
        extras,
        scratch: &scratch,
    };
    let mut recorder = Recorder::default();
    let to = shop.path("indexes.raucb");
    let from = || shop.open("new.raucb");
    convert_bundle(from(), &request, &mut recorder, &to, &mut |_| ()).unwrap();
    let asked = ["blob rootfs.img 409600", "blob boot.ext4 5000", "archive data.tar.gz"];
    assert_eq!(recorder.0, asked);
    let bundle = shop.verify(shop.open("indexes.raucb"));
    let images: Vec<_> = bundle
        .manifest()
        .images
        .iter()
        .map(|image| (image.filename.as_deref().unwrap(), image.image_type.unwrap().name()))
        .collect();
    let expected = [
        ("rootfs.img.caibx", "raw-caibx"),
        ("boot.ext4.caibx", "ext4-caibx"),
        ("keep.img", "raw"),
        ("data.tar.gz.caidx", "caidx"),
    ];
    assert_eq!(images, expected);
    let files: Vec<String> = bundle
        .files()
        .unwrap()
        .entries()
        .map(|(path, _)| path.to_string_lossy().into_owned())
        .collect();
    let left =
        ["boot.ext4.caibx", "data.tar.gz.caidx", "keep.img", "manifest.raucm", "rootfs.img.caibx"];
    assert_eq!(files, left);
    shop.run("rauc", &["--keyring", "ca.pem", "info", "indexes.raucb"]);
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);

    // Existing output, and a keyring that knows nobody: the encoder is not even asked.
    let stranger = Workshop::new().keyring();
    let mut recorder = Recorder::default();
    let refused = convert_bundle(from(), &request, &mut recorder, &to, &mut |_| ()).unwrap_err();
    assert!(matches!(refused, OperationError::Output { .. }), "{refused}");
    request.verification = Verification::By { keyring: &stranger, time: CheckTime::At(now()) };
    let never = shop.path("never.raucb");
    let refused = convert_bundle(from(), &request, &mut recorder, &never, &mut |_| ()).unwrap_err();
    let unknown = matches!(refused, OperationError::Bundle(BundleError::Signature(_)));
    assert!(unknown, "{refused}");
    assert!(recorder.0.is_empty() && !never.exists());
    request.verification = Verification::Skipped;
    convert_bundle(from(), &request, &mut recorder, &never, &mut |_| ()).unwrap();
    assert_eq!(recorder.0, asked);
}

/// Trees in a bundle outlive its conversion with all that they have.
#[test]
fn unpacked_archives_stay_as_they_are_when_other_images_become_indexes() {
    let shop = Workshop::new();
    let images = "[image.apps/app]\nfilename=app.tar\nconvert=tar-extract\n\
                  [image.rootfs]\nfilename=rootfs.img\n";
    content(&shop, images);
    archive(&shop);
    let identity = shop.identity();
    let old = create(&shop, &CreateExtras::default(), &identity).unwrap();
    let keyring = shop.keyring();
    let request = ConvertRequest {
        images: ConvertImages::default(),
        identity: &identity,
        timestamp: now(),
        salt: [8; 32],
        compression: SquashfsCompression::Gzip,
        verification: Verification::By { keyring: &keyring, time: CheckTime::At(now()) },
        extras: CreateExtras::default(),
        scratch: shop.dir.path(),
    };
    let mut recorder = Recorder::default();
    let to = shop.path("indexes.raucb");
    let made = convert_bundle(shop.open("new.raucb"), &request, &mut recorder, &to, &mut |_| ());
    if !nix::unistd::geteuid().is_root() {
        assert!(matches!(made, Err(OperationError::Create(CreateError::Unsupported { .. }))));
        return;
    }
    assert_eq!(made.unwrap().manifest.images[0], old.manifest.images[0]);
    assert_eq!(recorder.0, ["blob rootfs.img 409600"]);
    let bundle = shop.verify(shop.open("indexes.raucb"));
    let files = bundle.files().unwrap();
    let facts = files.facts(Path::new("app.tar.extracted/deep/file")).unwrap();
    assert_eq!((facts.mode & 0o7777, facts.uid, facts.gid), (0o4755, 1234, 77));
    assert!(files.facts(Path::new("app.tar.extracted/link")).is_some());
    assert!(!shop.names().iter().any(|name| name.contains("work") || name.contains("convert-")));
}

#[test]
fn an_encoder_that_fails_leaves_neither_bundle_nor_scratch() {
    let shop = Workshop::new();
    content(&shop, "[image.rootfs]\nfilename=bad.img\n");
    shop.write("content/bad.img", &[7; 5000]);
    let identity = shop.identity();
    create(&shop, &CreateExtras::default(), &identity).unwrap();
    let before = shop.names();
    let request = ConvertRequest {
        images: ConvertImages::default(),
        identity: &identity,
        timestamp: now(),
        salt: [8; 32],
        compression: SquashfsCompression::Gzip,
        verification: Verification::Skipped,
        extras: CreateExtras::default(),
        scratch: shop.dir.path(),
    };
    let refused = convert_bundle(
        shop.open("new.raucb"),
        &request,
        &mut Recorder::default(),
        &shop.path("never.raucb"),
        &mut |_| (),
    )
    .unwrap_err();
    assert!(matches!(refused, OperationError::Convert { .. }), "{refused}");
    assert_eq!(shop.names(), before);
}
