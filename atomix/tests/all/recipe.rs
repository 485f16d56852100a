// SPDX-License-Identifier: MIT OR Apache-2.0
//! A recipe becomes an image of packages: the same one twice, and none at all when anything is
//! wrong. The packages come from a signed repository of a few files that the test makes.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;

const KERNEL: &str = "linux-image-6.1-arm64";
/// A name that has to be encoded in a package URL.
const TOOL_VERSION: &str = "1:2.0+x-1";

fn run(dir: &Path, words: &[&str]) -> Vec<u8> {
    let done = Command::new(words[0]).args(&words[1..]).current_dir(dir).output().unwrap();
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

fn put(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A package in the pool.
fn package(dir: &Path, name: &str, version: &str, depends: &str, files: &[(&str, &[u8])]) {
    let tree = dir.join(format!("trees/{name}"));
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: arm64\nMaintainer: a test <t@example.org>\n\
         {depends}Description: of a test\n"
    );
    put(&tree.join("DEBIAN/control"), control);
    for (inner, content) in files {
        put(&tree.join(inner), content);
    }
    fs::create_dir_all(dir.join("pool")).unwrap();
    let deb = dir.join(format!("pool/{name}_{version}_arm64.deb"));
    run(
        dir,
        &["dpkg-deb", "--root-owner-group", "-b", tree.to_str().unwrap(), deb.to_str().unwrap()],
    );
}

/// The repository's index, signed with a key of its own.
fn sign(dir: &Path) {
    sign_until(dir, "");
}

/// The same with another line of its `Release`.
fn sign_until(dir: &Path, line: &str) {
    let binary = dir.join("dists/tiny/main/binary-arm64");
    let scanned = run(dir, &["dpkg-scanpackages", "-a", "arm64", "pool"]);
    put(&binary.join("Packages"), &scanned);
    let hash = run(dir, &["sha256sum", "dists/tiny/main/binary-arm64/Packages"]);
    let release = format!(
        "Origin: Tiny\nSuite: tiny\nCodename: tiny\nDate: Sat, 01 Nov 2025 00:00:00 UTC\n{line}\
         Architectures: arm64\nComponents: main\nSHA256:\n {} {} main/binary-arm64/Packages\n",
        std::str::from_utf8(&hash[..64]).unwrap(),
        scanned.len()
    );
    put(&dir.join("dists/tiny/Release"), release);
    let home = dir.join("gpg");
    fs::create_dir(&home).unwrap();
    run(dir, &["chmod", "700", "gpg"]);
    let gpg =
        ["gpg", "--homedir", home.to_str().unwrap(), "--batch", "--quiet", "--passphrase", ""];
    let words = |rest: &[&'static str]| [&gpg[..], rest].concat();
    run(dir, &words(&["--quick-gen-key", "a test <t@example.org>", "ed25519", "sign", "never"]));
    run(dir, &words(&["--output", "dists/tiny/InRelease", "--clearsign", "dists/tiny/Release"]));
    run(dir, &words(&["--output", "keyring.gpg", "--export"]));
    run(dir, &["gpgconf", "--homedir", home.to_str().unwrap(), "--kill", "all"]);
}

static REPOSITORY: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    sign(dir.path());
    dir
});

/// The packages that an image needs.
fn fill(dir: &Path) {
    let kernel: [(&str, &[u8]); 3] = [
        ("boot/vmlinuz-6.1-arm64", &crate::image::kernel()),
        ("usr/lib/linux-image-6.1-arm64/rockchip/rk3328-rock64.dtb", &[3; 5_000]),
        ("usr/lib/modules/6.1-arm64/modules.order", b""),
    ];
    package(dir, KERNEL, "6.1-1", "Depends: initramfs-tools\n", &kernel);
    package(dir, "linux-image-arm64", "6.1-1", &format!("Depends: {KERNEL}\n"), &[]);
    package(dir, "base-files", "13", "", &[("usr/lib/os-release", b"ID=tiny\n")]);
    let tool: [(&str, &[u8]); 2] = [("usr/bin/tool", b"#!"), ("usr/share/doc/tool/x", b"unread")];
    package(dir, "tool", TOOL_VERSION, "Depends: base-files\n", &tool);
}

/// How many crates cargo compiles into the board's program.
fn crates_of_cargo() -> usize {
    let words =
        ["tree", "--offline", "--package", "atomix", "--edges", "normal", "--prefix", "none"];
    let words = [&["cargo"], &words[..], &["--target", "aarch64-unknown-linux-gnu"]].concat();
    let printed = run(Path::new(env!("CARGO_MANIFEST_DIR")), &words);
    let printed = String::from_utf8(printed).unwrap();
    let names = printed.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>());
    names.collect::<std::collections::BTreeSet<_>>().len()
}

/// A directory with a recipe and what is beside it.
fn kitchen() -> tempfile::TempDir {
    kitchen_of(REPOSITORY.path())
}

/// The same with packages of this repository.
fn kitchen_of(repository: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(repository.join("keyring.gpg"), dir.path().join("tiny.gpg")).unwrap();
    fs::write(dir.path().join("initrd"), [2; 70_000]).unwrap();
    fs::write(dir.path().join("ca.pem"), "a certificate").unwrap();
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"), dir.path().join("Cargo.lock"))
        .unwrap();
    let recipe = format!(
        "series = \"25.11\"\nversion = \"1.2.3\"\nboard = \"rock64\"\nhostname = \"gateway\"\n\
         initrd = \"initrd\"\ncargo_lock = \"Cargo.lock\"\n\
         [debian]\nsuite = \"tiny\"\nmirror = \"file://{}\"\nkeyring = \"tiny.gpg\"\n\
         kernel = \"linux-image-arm64\"\npackages = [\"tool\"]\n\
         [[file]]\npath = \"/etc/rauc/ca.cert.pem\"\nsource = \"ca.pem\"\nmode = \"0600\"\n\
         [[link]]\npath = \"/usr/bin/rauc\"\ntarget = \"tool\"\n",
        repository.display()
    );
    fs::write(dir.path().join("recipe.toml"), recipe).unwrap();
    dir
}

fn cook(dir: &Path, out: &str) -> Output {
    cook_with_umask(dir, out, "022")
}

fn cook_with_umask(dir: &Path, out: &str, mask: &str) -> Output {
    Command::new("sh")
        .args(["-c", "umask \"$1\"; shift; exec \"$@\"", "sh", mask, env!("CARGO_BIN_EXE_atomix")])
        .args(["image", "build", "--recipe", "recipe.toml", out])
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .current_dir(dir)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_same_recipe_twice_is_the_same_image_with_its_components_and_sums() {
    let dir = kitchen();
    // Whoever builds: what his mask takes away is given back.
    for (out, mask) in [("one", "022"), ("two", "077")] {
        let made = cook_with_umask(dir.path(), out, mask);
        assert!(made.status.success(), "{}", said(&made));
        run(&dir.path().join(out), &["sha256sum", "--check", "--strict", "SHA256SUMS"]);
    }
    for name in ["atomixos-25.11.img", "atomixos-25.11.cdx.json", "SHA256SUMS"] {
        run(dir.path(), &["cmp", &format!("one/{name}"), &format!("two/{name}")]);
    }
    let list = fs::read(dir.path().join("one/atomixos-25.11.cdx.json")).unwrap();
    let list: serde_json::Value = serde_json::from_slice(&list).unwrap();
    assert_eq!((&list["bomFormat"], &list["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    let components = list["components"].as_array().unwrap();
    let is_crate =
        |one: &&serde_json::Value| one["bom-ref"].as_str().unwrap().starts_with("pkg:cargo/");
    let crates = components.iter().filter(is_crate).count();
    assert_eq!(crates, crates_of_cargo(), "the crates of the built program");
    let is_file = |one: &&serde_json::Value| one["type"] == "file";
    let files: Vec<_> = components.iter().filter(is_file).collect();
    for (one, (name, from)) in
        files.iter().zip([("/boot/initrd", "initrd"), ("/etc/rauc/ca.cert.pem", "ca.pem")])
    {
        let sum = run(dir.path(), &["sha256sum", from]);
        assert_eq!(one["name"], name);
        assert_eq!(one["hashes"][0]["content"].as_str().unwrap().as_bytes(), &sum[..64]);
    }
    assert_eq!(files.len(), 2);
    assert_eq!(components.len(), crates + 2 + 3, "also tool, base-files and the kernel");
    let tool = components.iter().find(|one| one["name"] == "tool").unwrap();
    assert_eq!(tool["purl"], "pkg:deb/debian/tool@1%3A2.0%2Bx-1?arch=arm64");
    let deb =
        run(REPOSITORY.path(), &["sha256sum", &format!("pool/tool_{TOOL_VERSION}_arm64.deb")]);
    assert_eq!(tool["hashes"][0]["content"].as_str().unwrap().as_bytes(), &deb[..64]);
    let kept = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(kept, 7, "something else than the two outputs was left");
}

#[test]
fn the_image_has_the_packages_and_what_the_recipe_adds() {
    let dir = kitchen();
    let made = cook(dir.path(), "out");
    assert!(made.status.success(), "{}", said(&made));
    let file = fs::File::open(dir.path().join("out/atomixos-25.11.img")).unwrap();
    let mut image = Vec::new();
    // Slot A lies in there; the rest is empty.
    file.take(192 << 20).read_to_end(&mut image).unwrap();
    // The slot's root file system; a squashfs says its own length.
    let magic =
        (0..image.len()).step_by(4096).find(|at| image[*at..].starts_with(b"hsqs")).unwrap();
    fs::write(dir.path().join("rootfs"), &image[magic..]).unwrap();
    run(
        dir.path(),
        &["unsquashfs", "-no-xattrs", "-quiet", "-no-progress", "-d", "root", "rootfs"],
    );
    let root = dir.path().join("root");
    assert_eq!(fs::read_to_string(root.join("etc/hostname")).unwrap(), "gateway\n");
    let release = fs::read_to_string(root.join("etc/os-release")).unwrap();
    assert_eq!(release, "ID=tiny\nIMAGE_VERSION=1.2.3\n", "what follows a flashed slot");
    assert_eq!(fs::read_to_string(root.join("etc/rauc/ca.cert.pem")).unwrap(), "a certificate");
    assert_eq!(fs::read_link(root.join("usr/bin/rauc")).unwrap(), Path::new("tool"));
    assert_eq!(fs::read_link(root.join("init")).unwrap(), Path::new("/sbin/init"));
    assert!(root.join("data").is_dir() && root.join("usr/lib/modules/6.1-arm64").is_dir());
    assert!(!root.join("usr/share/doc").exists() && !root.join("boot/vmlinuz-6.1-arm64").exists());
    let status = fs::read_to_string(root.join("var/lib/dpkg/status")).unwrap();
    assert_eq!(status.matches("Status: install ok unpacked").count(), 3, "{status}");
    let listed = run(dir.path(), &["unsquashfs", "-lln", "rootfs"]);
    let listed = String::from_utf8_lossy(&listed);
    let line = listed.lines().find(|line| line.ends_with("etc/rauc/ca.cert.pem")).unwrap();
    assert!(line.starts_with("-rw------- 0/0 "), "{line}");
    for (part, byte) in [("kernel", 1_u8), ("initrd", 2), ("device tree", 3)] {
        let there = image.chunks(512).any(|sector| sector.iter().all(|one| *one == byte));
        assert!(there, "the {part} is missing");
    }
}

#[test]
fn the_emulated_board_has_its_own_layout_and_a_device_tree_that_is_brought_along() {
    let dir = kitchen();
    let path = dir.path().join("recipe.toml");
    let rock64 = fs::read_to_string(&path).unwrap();
    let without = rock64.replace("\"rock64\"", "\"rock64-qemu\"");
    fs::write(&path, &without).unwrap();
    let refused = cook(dir.path(), "out");
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("`device_tree` brings one along"), "{}", said(&refused));
    fs::write(&path, format!("device_tree = \"virt.dtb\"\n{without}")).unwrap();
    let refused = cook(dir.path(), "out");
    assert!(said(&refused).contains("cannot read virt.dtb"), "{}", said(&refused));
    fs::write(dir.path().join("virt.dtb"), [5; 5_000]).unwrap();
    let made = cook(dir.path(), "out");
    assert!(made.status.success(), "{}", said(&made));
    let listed = run(dir.path(), &["sfdisk", "--dump", "out/atomixos-25.11.img"]);
    let listed = String::from_utf8_lossy(&listed);
    let rootfs = listed.lines().find(|line| line.contains("name=\"rootfs-a\"")).unwrap();
    // 112 MiB; the Rock64 has it at 144.
    assert!(rootfs.contains("start=      229376,"), "{rootfs}");
    let mut image = Vec::new();
    let file = fs::File::open(dir.path().join("out/atomixos-25.11.img")).unwrap();
    file.take(112 << 20).read_to_end(&mut image).unwrap();
    let has = |byte: u8| image.chunks(512).any(|sector| sector.iter().all(|one| *one == byte));
    assert!(has(5) && !has(3), "which device tree?");
}

/// What a fault says, its way out and its exit code.
type Fault<'a> = (&'a str, &'a str, &'a str, &'a str, i32);

#[test]
fn a_fault_is_told_with_its_way_out_and_leaves_nothing() {
    const FAULTS: [Fault<'_>; 11] = [
        (
            "\"Cargo.lock\"",
            "\"old.lock\"",
            "which this program was built from",
            "give the Cargo.lock",
            2,
        ),
        ("[\"tool\"]", "[\"tol\"]", "Unable to locate package tol", "correct its name", 1),
        ("\"linux-image-arm64\"", "\"tool\"", "vmlinuz", "linux-image-arm64", 1),
        ("[\"tool\"]", "[]", "names no package", "made of", 2),
        ("[\"tool\"]", "[\"-oDebug=1\"]", "is no package", "correct that line", 2),
        ("\"25.11\"", "\"../../x\"", "line 1", "correct that line", 2),
        ("\"/etc/rauc/", "\"/etc/../../", "line 14", "correct that line", 2),
        ("\"initrd\"", "\"initrds\"", "is no regular file", "name a file", 2),
        ("\"ca.pem\"", "\"none.pem\"", "none.pem", "look at the path", 1),
        ("file://", "file:///nowhere", "index of packages", "cannot be reached", 1),
        ("\"tiny.gpg\"", "\"ca.pem\"", "index of packages", "keyring of that suite", 1),
    ];
    let dir = kitchen();
    let path = dir.path().join("recipe.toml");
    let good = fs::read_to_string(&path).unwrap();
    // Of another source: a crate has another version there.
    let lock = fs::read_to_string(dir.path().join("Cargo.lock")).unwrap();
    let old = lock.replace("name = \"zbus\"\nversion = \"", "name = \"zbus\"\nversion = \"0.");
    fs::write(dir.path().join("old.lock"), old).unwrap();
    fs::create_dir(dir.path().join("initrds")).unwrap();
    let before = fs::read_dir(dir.path()).unwrap().count();
    for (from, to, says, hint, code) in FAULTS {
        assert!(good.contains(from), "{from}");
        fs::write(&path, good.replacen(from, to, 1)).unwrap();
        let refused = cook(dir.path(), "out");
        let text = said(&refused);
        assert_eq!(refused.status.code(), Some(code), "{to}: {text}");
        assert!(text.contains(says) && text.contains(hint), "{to}: {text}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), before, "{to}: something was left");
    }
}

#[test]
fn what_is_there_is_not_written_over_and_an_example_is_a_recipe() {
    let dir = kitchen();
    fs::create_dir(dir.path().join("out")).unwrap();
    let refused = cook(dir.path(), "out");
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("is there already"), "{}", said(&refused));
    fs::remove_file(dir.path().join("Cargo.lock")).unwrap();
    for name in ["rock64", "rock64-qemu"] {
        let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/recipes");
        fs::copy(format!("{examples}/{name}.toml"), dir.path().join("recipe.toml")).unwrap();
        // It was read: the first file that it wants and that is not there is told.
        let refused = cook(dir.path(), "new");
        assert!(said(&refused).contains("cannot read Cargo.lock"), "{}", said(&refused));
    }
}

/// A repository with one package more, whose tree is made by hand, and a kitchen that wants it.
fn with_package(name: &str, furnish: impl Fn(&Path)) -> (tempfile::TempDir, tempfile::TempDir) {
    let repository = tempfile::tempdir().unwrap();
    fill(repository.path());
    let tree = repository.path().join("trees/evil");
    fs::create_dir_all(&tree).unwrap();
    furnish(&tree);
    package(repository.path(), "evil", "1", "Depends: base-files\n", &[]);
    sign(repository.path());
    let dir = kitchen_of(repository.path());
    let path = dir.path().join("recipe.toml");
    let recipe = fs::read_to_string(&path).unwrap();
    fs::write(&path, recipe.replace("[\"tool\"]", &format!("[\"{name}\", \"evil\"]"))).unwrap();
    (repository, dir)
}

/// One package's link led the next one's files wherever it wanted on the machine of whoever builds.
#[test]
fn a_link_of_one_package_leads_no_other_out_of_the_tree() {
    let outside = tempfile::tempdir().unwrap();
    for target in [outside.path().to_str().unwrap().to_owned(), "../".repeat(30) + "tmp"] {
        let (_kept, dir) = with_package("tool", |tree| {
            fs::create_dir_all(tree.join("usr")).unwrap();
            // `tool` has files in it, and is unpacked behind it.
            std::os::unix::fs::symlink(&target, tree.join("usr/bin")).unwrap();
        });
        let refused = cook(dir.path(), "out");
        let text = said(&refused);
        assert_eq!(refused.status.code(), Some(2), "{text}");
        for words in
            ["/usr/bin lies behind", "leaves the root file system", "tool_", "leave that package"]
        {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!dir.path().join("out").exists());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        assert!(!Path::new("/tmp/tool").exists());
    }
}

/// What is done with the tree behind the packages followed their links too: permissions were changed
/// and files were read where the builder has his own.
#[test]
fn no_step_follows_a_packages_link_out_of_the_tree() {
    use std::os::unix::fs::PermissionsExt as _;
    for (link, to) in [
        ("tmp", ""),
        ("data", ""),
        ("usr/share/base-passwd", ""),
        ("usr/share/base-passwd/passwd.master", "passwd.master"),
        ("usr/lib/os-release", "os-release"),
        ("usr/lib/modules/6.1-arm64/modules.mine", "modules.mine"),
        ("usr/lib/modules/mine", ""),
        ("usr/lib/linux-image-0", ""),
        ("boot/vmlinuz-0", "vmlinuz-0"),
    ] {
        let outside = tempfile::tempdir().unwrap();
        for name in ["passwd.master", "os-release", "modules.mine", "vmlinuz-0"] {
            put(&outside.path().join(name), crate::image::kernel());
            fs::set_permissions(outside.path().join(name), fs::Permissions::from_mode(0o600))
                .unwrap();
        }
        fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let (_kept, dir) = with_package("tool", |tree| {
            let path = tree.join(link);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(outside.path().join(to), path).unwrap();
        });
        let refused = cook(dir.path(), "out");
        let text = said(&refused);
        assert_eq!(refused.status.code(), Some(2), "{link}: {text}");
        assert!(text.contains(&format!("/{link}")) && text.contains("link"), "{link}: {text}");
        assert!(text.contains("leave the package out"), "{link}: {text}");
        assert!(!dir.path().join("out").exists(), "{link}");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(outside.path()), 0o700, "{link}");
        let mut left = fs::read_dir(outside.path()).unwrap().map(|one| one.unwrap().path());
        assert!(left.all(|path| mode(&path) == 0o600), "{link}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 4, "{link}");
    }
}

/// A recipe of somebody else would have put any file of the builder into an image.
#[test]
fn a_recipe_takes_no_file_from_elsewhere() {
    let dir = kitchen();
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    let path = dir.path().join("recipe.toml");
    let good = fs::read_to_string(&path).unwrap();
    for source in [elsewhere.path().to_str().unwrap(), "../ca.pem", "a/../../ca.pem", "./ca.pem"] {
        fs::write(&path, good.replace("\"ca.pem\"", &format!("{source:?}"))).unwrap();
        let refused = cook(dir.path(), "out");
        let text = said(&refused);
        assert_eq!(refused.status.code(), Some(2), "{source}: {text}");
        assert!(text.contains("is no file beside the recipe"), "{source}: {text}");
    }
    fs::write(&path, &good).unwrap();
    for name in ["ca.pem", "initrd", "Cargo.lock", "tiny.gpg"] {
        let kept = fs::read(dir.path().join(name)).unwrap();
        fs::remove_file(dir.path().join(name)).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join(name)).unwrap();
        let refused = cook(dir.path(), "out");
        let text = said(&refused);
        assert_eq!(refused.status.code(), Some(2), "{name}: {text}");
        assert!(text.contains(&format!("{name} is a link to a file outside")), "{text}");
        assert!(text.contains("put a copy"), "{text}");
        // A link to what lies beside the recipe is one more name.
        fs::remove_file(dir.path().join(name)).unwrap();
        fs::write(dir.path().join("kept"), kept).unwrap();
        std::os::unix::fs::symlink("kept", dir.path().join(name)).unwrap();
        let made = cook(dir.path(), &format!("of-{name}"));
        assert!(made.status.success(), "{name}: {}", said(&made));
        fs::rename(dir.path().join("kept"), dir.path().join(name)).unwrap();
    }
}

/// As `/bin` and `/usr/bin` are merged by `base-files`, and a directory that nobody may write to.
#[test]
fn a_link_within_the_tree_is_followed_and_modes_stay() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_kept, dir) = with_package("tool", |tree| {
        fs::create_dir_all(tree.join("usr/sbin")).unwrap();
        std::os::unix::fs::symlink("usr/sbin", tree.join("sbin")).unwrap();
        put(&tree.join("opt/closed/in"), "x");
        fs::set_permissions(tree.join("opt/closed"), fs::Permissions::from_mode(0o555)).unwrap();
        fs::create_dir_all(tree.join("zone")).unwrap();
    });
    let made = cook(dir.path(), "out");
    assert!(made.status.success(), "{}", said(&made));
    let listed = String::from_utf8(run(dir.path(), &["sh", "-c", LIST])).unwrap();
    let line = |end: &str| listed.lines().find(|line| line.ends_with(end)).unwrap_or_default();
    assert!(line("root/sbin -> usr/sbin").starts_with("lrwx"), "{listed}");
    assert!(line("root/opt/closed").starts_with("dr-xr-xr-x"), "{listed}");
    assert!(line("root/opt/closed/in").starts_with("-rw-r--r--"), "{listed}");
}

/// The files of the root file system in an image.
const LIST: &str = "at=$(grep -abo hsqs out/atomixos-25.11.img | head -n 1 | cut -d: -f1); \
     tail -c +$((at + 1)) out/atomixos-25.11.img > rootfs; unsquashfs -d root -lln rootfs";

/// An index from before a year of fixes was taken like one of today.
#[test]
fn an_index_that_is_past_its_day_is_taken_of_a_snapshot_only() {
    let repository = tempfile::tempdir().unwrap();
    fill(repository.path());
    sign_until(repository.path(), "Valid-Until: Sat, 08 Nov 2025 00:00:00 UTC\n");
    let dir = kitchen_of(repository.path());
    let refused = cook(dir.path(), "out");
    let text = said(&refused);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("is expired") && text.contains("snapshot = true"), "{text}");
    let path = dir.path().join("recipe.toml");
    let recipe = fs::read_to_string(&path).unwrap();
    fs::write(&path, recipe.replace("[debian]\n", "[debian]\nsnapshot = true\n")).unwrap();
    let made = cook(dir.path(), "out");
    assert!(made.status.success(), "{}", said(&made));
}
