// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix config` through the program: every fixture's verdict and tree, exit codes, and that a
//! refused configuration writes nothing.

use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn atomix(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_atomix")).args(args).output().unwrap()
}

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config-api/tests/fixtures");
    let entries = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut dirs: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    dirs.sort();
    assert!(dirs.len() >= 66);
    dirs
}

fn input(dir: &Path) -> String {
    let names = ["input.toml", "input.tar.gz", "input.tar.zst"];
    let found = names.iter().map(|name| dir.join(name)).find(|path| path.exists()).unwrap();
    found.to_str().unwrap().to_owned()
}

/// Every file below `dir` with its mode and text, every directory with its mode.
fn listing(dir: &Path, root: &Path, found: &mut BTreeMap<String, (String, Option<String>)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let mode = format!("{:04o}", path.metadata().unwrap().permissions().mode() & 0o7777);
        if path.is_dir() {
            found.insert(name, (mode, None));
            listing(&path, root, found);
        } else {
            let text = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
            found.insert(name, (mode, Some(text)));
        }
    }
}

fn expected(value: &Value) -> BTreeMap<String, (String, Option<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let files = value["tree"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(path, file)| (path.clone(), (text(&file["mode"]), Some(text(&file["text"])))));
    let directories = value["directories"].as_object().unwrap().iter();
    files.chain(directories.map(|(path, mode)| (path.clone(), (text(mode), None)))).collect()
}

#[test]
fn every_fixture_is_rendered_by_the_program_or_refused_without_a_trace() {
    let place = tempfile::tempdir().unwrap();
    for dir in fixtures() {
        let wanted = std::fs::read_to_string(dir.join("expected.json")).unwrap();
        let wanted: Value = serde_json::from_str(&wanted).unwrap();
        let out = place.path().join(dir.file_name().unwrap());
        let run = atomix(&["config", "render", &input(&dir), "--out", out.to_str().unwrap()]);
        if wanted["verdict"] == "ok" {
            assert_eq!(run.status.code(), Some(0), "{}: {run:?}", dir.display());
            let mut found = BTreeMap::new();
            listing(&out, &out, &mut found);
            assert_eq!(found, expected(&wanted), "{}", dir.display());
        } else {
            assert_eq!(run.status.code(), Some(2), "{}: {run:?}", dir.display());
            assert!(!out.exists());
        }
    }
    let valid = fixtures().len();
    let left = std::fs::read_dir(place.path()).unwrap().count();
    assert!(left < valid, "only what was rendered is there");
    let hidden = std::fs::read_dir(place.path()).unwrap();
    let hidden =
        hidden.filter(|e| e.as_ref().unwrap().file_name().to_str().unwrap().starts_with('.'));
    assert_eq!(hidden.count(), 0, "nothing is left beside");
}

#[test]
fn validate_answers_by_its_exit_code_and_as_one_object() {
    let fixture = |name: &str| {
        let dirs = fixtures();
        input(dirs.iter().find(|dir| dir.file_name().unwrap().to_str() == Some(name)).unwrap())
    };
    let good = atomix(&["config", "validate", &fixture("001-minimal"), "--json"]);
    assert_eq!(good.status.code(), Some(0));
    let answer: Value = serde_json::from_slice(&good.stdout).unwrap();
    assert_eq!((&answer["version"], &answer["valid"]), (&1.into(), &true.into()));
    let bad = atomix(&["config", "validate", &fixture("056-activation-unknown-unit"), "--json"]);
    assert_eq!(bad.status.code(), Some(10));
    let answer: Value = serde_json::from_slice(&bad.stdout).unwrap();
    assert_eq!(answer["valid"], false);
    let fault = &answer["faults"][0];
    assert_eq!((&fault["line"], &fault["column"]), (&8.into(), &20.into()));
    assert_eq!(fault["path"], "activation.required[1]");
    let text = atomix(&["config", "validate", &fixture("056-activation-unknown-unit")]);
    let lines = String::from_utf8(text.stdout).unwrap();
    assert!(lines.starts_with("input.toml:8:20: activation.required[1]\n"), "{lines}");
    assert!(lines.lines().any(|line| line.trim_end().ends_with("^^^^^")), "{lines}");
    let bundle = atomix(&["config", "validate", &fixture("065-bundle-symlink")]);
    assert_eq!(bundle.status.code(), Some(10));
    let gone = atomix(&["config", "validate", "/nowhere/config.toml"]);
    assert_eq!(gone.status.code(), Some(1));
}

#[test]
fn a_directory_that_holds_something_is_left_alone_and_an_empty_one_is_used() {
    let place = tempfile::tempdir().unwrap();
    let config = input(&fixtures()[0]);
    let out = place.path().to_str().unwrap();
    std::fs::write(place.path().join("mine"), "x").unwrap();
    let run = atomix(&["config", "render", &config, "--out", out]);
    assert_eq!(run.status.code(), Some(3), "{run:?}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    let empty = place.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let run = atomix(&["config", "render", &config, "--out", empty.to_str().unwrap()]);
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    assert!(empty.join("quadlet/web.container").is_file());
}

/// A technician at 3 a.m. mistypes: each mistake names its own way out, on a console's width.
#[test]
fn each_mistaken_path_has_a_way_out_of_its_own() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("bundle.tar.gz"), [0x1f, 0x8b, 8, 0, 1, 2, 3]).unwrap();
    std::fs::write(at("config.zip"), b"PK\x03\x04").unwrap();
    let good = input(&fixtures()[0]);
    let (file, dir) = (at("config.zip/config.toml"), at("config.zip/tree"));
    for (words, code, hint) in [
        (vec!["validate", "/nowhere/config.toml"], 1, "look at the path"),
        (vec!["validate", place.path().to_str().unwrap()], 1, "name a file"),
        (vec!["validate", &file], 1, "a part of it is a file"),
        (vec!["render", &good, "--out", &dir], 1, "a part of it is a file"),
        (vec!["validate", &at("bundle.tar.gz")], 10, "copy it again"),
        (vec!["validate", &at("config.zip")], 10, "name it config.toml"),
        (vec!["audit", "--root", "/nowhere"], 1, "look at the path"),
    ] {
        let run = atomix(&[&["config"], &words[..]].concat());
        assert_eq!(run.status.code(), Some(code), "{run:?}");
        let said = String::from_utf8([run.stdout, run.stderr].concat()).unwrap();
        assert!(said.contains("hint: ") && said.contains(hint), "{said}");
        for line in said.lines().filter(|line| !line.contains(place.path().to_str().unwrap())) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

/// Whoever renders in a script: into a directory that was made for it, into one that is not there
/// yet, from a pipe, with whatever name.
#[test]
fn every_way_to_name_the_input_and_the_directory_gives_one_tree() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let good = input(&fixtures()[0]);
    let bundle = input(&fixtures()[26]);
    let tree = |dir: &Path| {
        let mut found = BTreeMap::new();
        listing(dir, dir, &mut found);
        found
    };
    let render = |file: &Path, out: &Path| {
        let words = ["config", "render", file.to_str().unwrap(), "--out", out.to_str().unwrap()];
        let run = atomix(&words);
        assert_eq!(run.status.code(), Some(0), "{run:?}");
        tree(out)
    };
    let wanted = render(Path::new(&good), &at("plain"));
    let from_bundle = render(Path::new(&bundle), &at("bundle"));
    assert_eq!(render(Path::new(&good), &at("a/b c/tree/")), wanted, "above it nothing was there");
    std::fs::create_dir(at("mounted")).unwrap();
    std::os::unix::fs::symlink(at("mounted"), at("link")).unwrap();
    let private = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(at("mounted"), private).unwrap();
    assert_eq!(render(Path::new(&good), &at("link")), wanted);
    assert!(at("link").is_symlink(), "it still leads to the directory");
    let mode = at("mounted").metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700, "it is its owner's");
    for (from, name) in [
        (&good, "my shop.toml"),
        (&bundle, "b 1.tgz"),
        (&bundle, "b.TAR.GZ"),
        (&bundle, "no suffix"),
        (&bundle, "-"),
    ] {
        std::fs::copy(from, at(name)).unwrap();
        let out = at(&format!("of {name}"));
        let same = if from == &good { &wanted } else { &from_bundle };
        assert_eq!(&render(&at(name), &out), same, "{name}");
    }
    for (from, same) in [(&good, &wanted), (&bundle, &from_bundle)] {
        std::fs::create_dir(at("stand in")).unwrap();
        let run = Command::new(env!("CARGO_BIN_EXE_atomix"))
            .args(["config", "render", "-", "--out", "."])
            .current_dir(at("stand in"))
            .stdin(std::fs::File::open(from).unwrap())
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(0), "{run:?}");
        assert_eq!(&tree(&at("stand in")), same);
        std::fs::remove_dir_all(at("stand in")).unwrap();
        let mut words = Command::new(env!("CARGO_BIN_EXE_atomix"));
        words.args(["config", "validate", "-", "--json"]);
        let run = words.stdin(std::fs::File::open(from).unwrap()).output().unwrap();
        assert_eq!(run.status.code(), Some(0), "{run:?}");
        let words = ["config", "validate", "-"];
        let run = Command::new(env!("CARGO_BIN_EXE_atomix"))
            .args(words)
            .stdin(std::fs::File::open(from).unwrap())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(run.stdout).unwrap(), "standard input is valid\n");
    }
}

#[test]
fn what_is_refused_leaves_no_directory_behind() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (good, bad) = (input(&fixtures()[0]), input(&fixtures()[32]));
    std::fs::copy(input(&fixtures()[26]), at("bundle.tar.zst")).unwrap();
    std::fs::write(at("plain.tar"), [0; 1024]).unwrap();
    std::fs::write(at("file"), "x").unwrap();
    std::fs::create_dir(at("empty")).unwrap();
    let before = std::fs::read_dir(place.path()).unwrap().count();
    for (file, out, code) in [
        (bad.as_str(), "a/b/tree", 2),
        (&bad, "empty", 2),
        (&at("bundle.tar.zst"), "a/tree", 2),
        (&at("plain.tar"), "a/tree", 2),
        (&at("empty"), "a/tree", 1),
        (&at("gone.toml"), "a/tree", 1),
        (&good, "file", 3),
        (&good, "file/tree", 1),
        (&good, ".", 3),
    ] {
        let run = atomix(&["config", "render", file, "--out", &at(out)]);
        assert_eq!(run.status.code(), Some(code), "{file} {out}: {run:?}");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), before, "{file} {out}");
        assert_eq!(std::fs::read_dir(at("empty")).unwrap().count(), 0);
    }
}

/// A session's finding: faults fit a serial console, warnings beside them did not.
#[test]
fn warnings_fit_a_serial_console_whatever_their_words_are() {
    let place = tempfile::tempdir().unwrap();
    let long = place.path().join("long.toml");
    let name = "a-container-with-a-very-long-name-that-takes-its-place-and-more";
    let text = format!(
        "version = 1\n[users.admin]\nisAdmin = true\nssh_key = \"ssh-ed25519 \
         AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f admin\"\n\
         [activation]\nrequired = [\"{name}\"]\n[containers.container.{name}]\n\
         privileged = false\n[containers.container.{name}.Container]\n\
         Image = \"docker.io/library/a:1\"\nPublishPort = \"[2001:db8:1:2:3:4:5:6]:9000:80\"\n"
    );
    std::fs::write(&long, text).unwrap();
    let long = long.to_str().unwrap().to_owned();
    let mut warned = 0;
    for file in fixtures().iter().map(|dir| input(dir)).chain([long.clone()]) {
        let out = place.path().join("out");
        let told = [
            atomix(&["config", "validate", &file]),
            atomix(&["config", "render", &file, "--out", out.to_str().unwrap()]),
        ];
        for ran in told {
            let told = String::from_utf8(ran.stderr).unwrap();
            let wide = told.lines().find(|line| {
                // The place of a file is as long as it is.
                line.chars().count() > 80
                    && !line.starts_with("atomix: ")
                    && !line.contains("hint: ")
            });
            assert_eq!(wide, None, "{file}");
            warned += told.lines().filter(|line| line.starts_with("warning: ")).count();
        }
        let _ = std::fs::remove_dir_all(out);
    }
    assert!(warned > 4, "nothing warned: {warned}");
    let told = String::from_utf8(atomix(&["config", "validate", &long]).stderr).unwrap();
    let words: String = told.split_whitespace().collect();
    assert!(words.contains(&format!("container.{name}.Container.PublishPortrewrote")), "{told}");
}

/// A valid configuration in a file of its own, with what is given for the network.
fn site(dir: &Path, network: &str) -> String {
    let file = dir.join("site.toml");
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIBGoVskIFs63KKKMnX0pH1k1PYTOqw4q2I6LVuMKocG";
    let text = format!(
        "version = 1\n# of the shop\n[users.admin]\nisAdmin = true\nssh_key = \"{key}\"\n\
         {network}\n[activation]\nrequired = [\"web\"]\n\
         [containers.container.web]\nprivileged = false\n\
         [containers.container.web.Container]\nImage = \"docker.io/library/nginx:1\"\n"
    );
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn said(run: &Output) -> (Option<i32>, String) {
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    (run.status.code(), text + &String::from_utf8_lossy(&run.stderr))
}

#[test]
fn the_lans_range_is_shown_and_set_with_every_key_that_has_to_agree() {
    let dir = tempfile::tempdir().unwrap();
    let file = site(
        dir.path(),
        "[network.interfaces.eth1] # the LAN\nmode = \"static\"\naddress = \"172.20.30.1/24\"\n",
    );
    let shown = said(&atomix(&["config", "lan-range", &file]));
    let wanted = "device  172.20.30.1/24\npool    172.20.30.10 to 172.20.30.254\n";
    assert_eq!(shown, (Some(0), wanted.to_owned()));
    let set = said(&atomix(&["config", "lan-range", &file, "10.20.0.1/24"]));
    let wanted = "device  10.20.0.1/24\npool    10.20.0.10 to 10.20.0.254\nwritten\n";
    assert_eq!(set, (Some(0), wanted.to_owned()));
    let text = std::fs::read_to_string(&file).unwrap();
    for kept in ["# of the shop", "[network.interfaces.eth1] # the LAN", "nginx:1"] {
        assert!(text.contains(kept), "{text}");
    }
    assert!(text.contains("\naddress = \"10.20.0.1/24\"\n"), "{text}");
    assert_eq!(atomix(&["config", "validate", &file]).status.code(), Some(0), "{text}");
    // The pool alone, and the same again, which writes nothing.
    let pool = ["config", "lan-range", &file, "--pool", "10.20.0.50-10.20.0.60", "--json"];
    let answer = |run: &Output| -> Value { serde_json::from_slice(&run.stdout).unwrap() };
    let first = answer(&atomix(&pool));
    assert_eq!((&first["pool_last"], &first["written"]), (&"10.20.0.60".into(), &true.into()));
    let again = answer(&atomix(&pool));
    assert_eq!((&again["subnet"], &again["written"]), (&"10.20.0.0/24".into(), &false.into()));
}

#[test]
fn a_range_that_would_not_be_valid_is_not_written_and_a_secret_file_stays_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = site(dir.path(), "");
    let before = std::fs::read(&file).unwrap();
    for (arguments, says) in [
        (&["10.20.0.0/24"][..], "is the address of the subnet itself"),
        (&["10.20.0.1/24", "--pool", "10.9.0.10-10.9.0.20"], "outside of the LAN 10.20.0.0/24"),
        (&["--pool", "172.20.30.1-172.20.30.9"], "include the gateway 172.20.30.1"),
        (&["10.20.0.1"], "such as 10.20.0.1/24"),
        (&["10.20.0.1/8"], "the prefix is from /16 to /30"),
    ] {
        let run = atomix(&[&["config", "lan-range", &file], arguments].concat());
        let (code, text) = said(&run);
        assert!(code == Some(2) && text.contains(says), "{arguments:?}: {code:?} {text}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), before);
    // Through a link, which stays one.
    let link = dir.path().join("link.toml");
    std::os::unix::fs::symlink("site.toml", &link).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let link = link.to_str().unwrap();
    assert_eq!(atomix(&["config", "lan-range", link, "10.20.0.1/24"]).status.code(), Some(0));
    assert!(std::fs::symlink_metadata(link).unwrap().is_symlink());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, text) = said(&atomix(&["config", "lan-range", "/nowhere/x.toml"]));
    assert!(code == Some(2) && text.contains("hint: give the path of a config.toml"), "{text}");
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config-api/tests/fixtures");
    let bundle = std::fs::read_dir(bundle)
        .unwrap()
        .map(|dir| dir.unwrap().path().join("input.tar.gz"))
        .find(|path| {
            path.exists()
                && atomix(&["config", "validate", path.to_str().unwrap()]).status.success()
        });
    let bundle = bundle.unwrap();
    let run = atomix(&["config", "lan-range", bundle.to_str().unwrap(), "10.20.0.1/24"]);
    let (code, text) = said(&run);
    assert!(code == Some(3) && text.contains("is a bundle"), "{code:?} {text}");
}
