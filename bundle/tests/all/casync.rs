// SPDX-License-Identifier: MIT OR Apache-2.0
//! What casync made, we put together bit by bit; what we made, casync puts together; and both cut
//! the same bytes into the same chunks. Judged by the real program.

use bundle::casync::{
    Assembly, CatarImage, ChunkIndex, ChunkSizes, LocalStore, Ownership, Seed, encode_image,
    encode_tree, extract_catar, read_tar, scan_tree,
};
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap_or_else(|failure| {
        panic!("{program} must be installed: {failure}");
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from(state >> 56).unwrap()
    };
    (0..len).map(|_| next()).collect()
}

/// Noise, text, a long run of zeros, noise again: 9 MiB.
fn image() -> Vec<u8> {
    let mut image = noise(3_000_000, 1);
    image.extend("the same line again and again\n".repeat(40_000).into_bytes());
    image.extend(vec![0; 2_500_000]);
    image.extend(noise(2_700_000, 2));
    image
}

fn names(store: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in fs::read_dir(store).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            names.insert(file.unwrap().file_name().into_string().unwrap());
        }
    }
    names
}

fn assemble(index: &ChunkIndex, seeds: Vec<Seed>, store: &Path) -> (Vec<u8>, Assembly) {
    let store = Arc::new(LocalStore::new(store));
    let mut assembly = Assembly::new(index, seeds, store).unwrap();
    let mut bytes = Vec::new();
    assembly.read_to_end(&mut bytes).unwrap();
    (bytes, assembly)
}

fn index_of(path: &Path) -> ChunkIndex {
    ChunkIndex::parse(&fs::read(path).unwrap()).unwrap()
}

/// `list` says of each file: type, mode, owner, size, time, name and target.
fn listing(dir: &Path) -> String {
    run("casync", &["mtree", text(dir)])
}

#[test]
fn image_of_casync_is_put_together_whatever_its_compression() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("b.img");
    fs::write(&file, image()).unwrap();
    for compression in ["zstd", "xz", "gzip"] {
        let (index, store) =
            (dir.path().join(format!("{compression}.caibx")), dir.path().join(compression));
        let arguments =
            [&format!("--compression={compression}"), &format!("--store={}", text(&store))];
        run("casync", &["make", arguments[0], arguments[1], text(&index), text(&file)]);
        let (bytes, assembly) = assemble(&index_of(&index), Vec::new(), &store);
        assert!(bytes == image(), "{compression}");
        // Zeros are made here; casync fetches them once.
        let fetched = assembly.tally().fetched_chunks;
        assert_eq!(fetched + 1, names(&store).len() as u64, "{compression}");
    }
}

#[test]
fn sha256_and_other_sizes_are_read_from_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let (file, index) = (dir.path().join("b.img"), dir.path().join("b.caibx"));
    fs::write(&file, image()).unwrap();
    let store = dir.path().join("s.castr");
    let flag = format!("--store={}", text(&store));
    let flags = ["make", "--digest=sha256", "--chunk-size=4096:16384:65536", &flag];
    run("casync", &[&flags[..], &[text(&index), text(&file)]].concat());
    let parsed = index_of(&index);
    assert_eq!(parsed.sizes(), ChunkSizes::new(4096, 16_384, 65_536).unwrap());
    assert!(assemble(&parsed, Vec::new(), &store).0 == image());
    assert_eq!(parsed.encode(), fs::read(&index).unwrap());
}

#[test]
fn chunks_and_index_are_those_that_casync_makes_and_casync_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let (file, theirs) = (dir.path().join("b.img"), dir.path().join("theirs.caibx"));
    fs::write(&file, image()).unwrap();
    let their_store = dir.path().join("theirs.castr");
    let flag = format!("--store={}", text(&their_store));
    run("casync", &["make", &flag, text(&theirs), text(&file)]);
    let our_store = dir.path().join("ours.castr");
    let store = LocalStore::new(&our_store);
    let made = encode_image(&image()[..], ChunkSizes::DEFAULT, &store, &mut |_| true);
    let (index, tally) = made.unwrap();
    assert_eq!(index.encode(), fs::read(&theirs).unwrap());
    assert_eq!(names(&our_store), names(&their_store));
    assert_eq!(tally.new_chunks, names(&our_store).len() as u64);
    let again = encode_image(&image()[..], ChunkSizes::DEFAULT, &store, &mut |_| true);
    assert_eq!(again.unwrap().1.new_chunks, 0);

    let (ours, out) = (dir.path().join("ours.caibx"), dir.path().join("out.img"));
    fs::write(&ours, index.encode()).unwrap();
    run("casync", &["extract", &format!("--store={}", text(&our_store)), text(&ours), text(&out)]);
    assert!(fs::read(&out).unwrap() == image());
}

#[test]
fn device_that_holds_an_older_image_saves_most_of_the_fetching() {
    let dir = tempfile::tempdir().unwrap();
    let mut new = image();
    new[1_000_000] ^= 1;
    new.splice(7_000_000..7_000_000, noise(1000, 9));
    let (file, index) = (dir.path().join("b.img"), dir.path().join("b.caibx"));
    fs::write(&file, &new).unwrap();
    let store = dir.path().join("s.castr");
    run("casync", &["make", &format!("--store={}", text(&store)), text(&index), text(&file)]);
    let old = dir.path().join("old.img");
    fs::write(&old, image()).unwrap();
    let index = index_of(&index);
    let content = Arc::new(bundle::casync::SeedContent::open(&old).unwrap());
    let seed = Seed::scan(content, &index, &mut |_| true).unwrap();
    let (bytes, assembly) = assemble(&index, vec![seed], &store);
    assert!(bytes == new);
    let tally = assembly.tally();
    assert!((2..=4).contains(&tally.fetched_chunks), "{tally:?}");
}

fn make_tree(dir: &Path) {
    fs::create_dir_all(dir.join("usr/lib/deep")).unwrap();
    fs::create_dir_all(dir.join("empty")).unwrap();
    fs::write(dir.join("usr/lib/library"), noise(700_000, 3)).unwrap();
    fs::write(dir.join("usr/lib/deep/umläut €"), noise(90_000, 4)).unwrap();
    fs::write(dir.join("usr/none"), b"").unwrap();
    for number in 0..40 {
        fs::write(dir.join(format!("usr/f{number}")), format!("file {number}")).unwrap();
    }
    symlink("../lib/library", dir.join("usr/link")).unwrap();
    fs::set_permissions(dir.join("usr/lib/library"), PermissionsExt::from_mode(0o4755)).unwrap();
    fs::set_permissions(dir.join("empty"), PermissionsExt::from_mode(0o1777)).unwrap();
    fs::hard_link(dir.join("usr/lib/library"), dir.join("usr/same")).unwrap();
}

fn ownership() -> Ownership {
    if nix::unistd::geteuid().is_root() { Ownership::Apply } else { Ownership::Ignore }
}

#[test]
fn tree_of_casync_is_unpacked_as_casync_unpacks_it() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    make_tree(&from);
    let (index, store) = (dir.path().join("t.caidx"), dir.path().join("s.castr"));
    for with in ["--with=unix", "--with=best"] {
        let flag = format!("--store={}", text(&store));
        run("casync", &["make", with, &flag, text(&index), text(&from)]);
        let (archive, _) = assemble(&index_of(&index), Vec::new(), &store);
        let ours = dir.path().join(format!("ours{with}"));
        fs::create_dir(&ours).unwrap();
        extract_catar(&archive[..], &ours, ownership(), &mut |_| true).unwrap();
        let fine = with == "--with=best";
        let shown = |dir: &Path| if fine { listing(dir) } else { in_seconds(dir) };
        assert!(shown(&ours) == shown(&from), "{with}\n{}\n{}", shown(&ours), shown(&from));
    }
    // And without an index.
    let archive = dir.path().join("t.catar");
    run("casync", &["make", "--with=unix", text(&archive), text(&from)]);
    let scanned = scan_tree(&from, &mut |_| true).unwrap();
    let built = CatarImage::build("t", &scanned, bundle::casync::FeatureFlags::UNIX).unwrap();
    let mut bytes = vec![0; usize::try_from(bundle::Source::len(&built).get()).unwrap()];
    bundle::Source::read_at(&built, 0, &mut bytes).unwrap();
    assert!(bytes == fs::read(&archive).unwrap(), "the archive is not casync's");
}

#[test]
fn mounted_tree_saves_fetching_of_a_new_tree() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    make_tree(&old);
    run("cp", &["-a", text(&old), text(&new)]);
    fs::write(new.join("usr/f7"), b"changed").unwrap();
    let (index, store) = (dir.path().join("t.caidx"), dir.path().join("s.castr"));
    let flag = format!("--store={}", text(&store));
    run("casync", &["make", "--with=unix", &flag, text(&index), text(&new)]);
    let index = index_of(&index);
    let tree = scan_tree(&old, &mut |_| true).unwrap();
    let image = Arc::new(CatarImage::build("old", &tree, index.features()).unwrap());
    let seed = Seed::scan(image, &index, &mut |_| true).unwrap();
    let (_, assembly) = assemble(&index, vec![seed], &store);
    let plan = assembly.plan();
    assert!(plan.fetch_at_most.get() * 3 < plan.len.get(), "{plan:?}");
}

#[test]
fn tar_becomes_the_index_that_casync_makes_of_the_unpacked_tree() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    make_tree(&from);
    let (unpacked, index) = (dir.path().join("unpacked"), dir.path().join("t.caidx"));
    let their_store = dir.path().join("s.castr");
    fs::create_dir(&unpacked).unwrap();
    for (format, compress, name) in [
        ("gnu", "--no-auto-compress", "t.tar"),
        ("posix", "--zstd", "t.tar.zst"),
        ("ustar", "--gzip", "t.tar.gz"),
        ("gnu", "--xz", "t.tar.xz"),
    ] {
        let tar = dir.path().join(name);
        let format = format!("--format={format}");
        run(
            "tar",
            &["-c", "--numeric-owner", &format, compress, "-f", text(&tar), "-C", text(&from), "."],
        );
        run("tar", &["-x", "-p", "-f", text(&tar), "-C", text(&unpacked), "--numeric-owner"]);
        let flag = format!("--store={}", text(&their_store));
        run("casync", &["make", "--with=unix", &flag, text(&index), text(&unpacked)]);
        let spool = tempfile::tempfile().unwrap();
        let tree = read_tar(fs::File::open(&tar).unwrap(), spool, &mut |_| true).unwrap();
        let store = LocalStore::new(&dir.path().join("ours.castr"));
        let (ours, _) = encode_tree(&tree, ChunkSizes::DEFAULT, &store, &mut |_| true).unwrap();
        assert!(ours.encode() == fs::read(&index).unwrap(), "{name}");
    }
    // casync unpacks what we made.
    let (ours, out) = (dir.path().join("ours.caidx"), dir.path().join("out"));
    fs::copy(&index, &ours).unwrap();
    let flag = format!("--store={}", text(&dir.path().join("ours.castr")));
    run("casync", &["extract", &flag, text(&ours), text(&out)]);
    assert!(in_seconds(&out) == in_seconds(&unpacked));
}

/// A listing with its times cut to seconds, which is what such an archive keeps.
fn in_seconds(dir: &Path) -> String {
    let word = |word: &str| match word.split_once('.').filter(|_| word.starts_with("time=")) {
        Some((seconds, _)) => seconds.to_owned(),
        None => word.to_owned(),
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    listing(dir).lines().map(line).collect::<Vec<_>>().join("\n")
}
