// SPDX-License-Identifier: MIT OR Apache-2.0
//! The firmware's own tools are the judges of the environment: `fw_printenv` and `fw_setenv`
//! (libubootenv) and `mkenvimage` (u-boot-tools) read what we write, and we what they write.

use proptest::collection::btree_map;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use storage::{MemoryStorage, Shared};
use tempfile::TempDir;
use uboot::{
    CopyPlace, Env, EnvStore, FlagScheme, FwEnvConfig, Redundancy, encode_image, parse_image,
};

const ENV_BYTES: u32 = 0x2000;
const COUNTER: Redundancy = Redundancy::Redundant(FlagScheme::Counter);

fn run(program: &str, args: &[&str]) -> String {
    let run = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|cause| panic!("{program} is needed by this test: {cause}"));
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{program} {args:?}: {errors}");
    assert!(!errors.contains("default"), "{program} did not accept the environment: {errors}");
    String::from_utf8(run.stdout).unwrap()
}

/// An image file with an environment and the configuration that names it.
struct Place {
    _dir: TempDir,
    image: PathBuf,
    config: PathBuf,
    script: PathBuf,
    places: Vec<CopyPlace>,
}

impl Place {
    fn of_copies(copies: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("env.img");
        let places: Vec<CopyPlace> = (0..copies)
            .map(|index| CopyPlace {
                device: image.clone(),
                offset: 0x400 + index * u64::from(ENV_BYTES),
                env_bytes: ENV_BYTES,
                erase_bytes: 0,
                sectors: 0,
            })
            .collect();
        let config = dir.path().join("fw_env.config");
        fs::write(&config, FwEnvConfig { copies: places.clone() }.encode()).unwrap();
        fs::write(&image, vec![0xff; 0x400 + 2 * 0x2000]).unwrap();
        let script = dir.path().join("script");
        Self { _dir: dir, image, config, script, places }
    }

    /// Runs `act` on the environment and keeps what it wrote.
    fn with<T>(&self, act: impl FnOnce(&mut EnvStore<Shared<MemoryStorage>>) -> T) -> T {
        let device = Shared::new(MemoryStorage::disk("env", fs::read(&self.image).unwrap()));
        let copies = self.places.iter().map(|place| (device.clone(), place.clone())).collect();
        let result = act(&mut EnvStore::open(copies).unwrap());
        fs::write(&self.image, device.with(|device| device.bytes().to_vec())).unwrap();
        result
    }

    fn fw_printenv(&self) -> BTreeMap<String, String> {
        let printed = run("fw_printenv", &["-c", path(&self.config)]);
        let pair = |line: &str| {
            let (name, value) = line.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        };
        printed.lines().map(pair).collect()
    }

    /// All changes at once; lines need `=`, others are ignored by libubootenv in silence.
    fn fw_setenv(&self, changes: &BTreeMap<String, String>) {
        let lines = changes.iter().map(|(name, value)| format!("{name}={value}\n"));
        fs::write(&self.script, lines.collect::<String>()).unwrap();
        run("fw_setenv", &["-c", path(&self.config), "-s", path(&self.script)]);
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn env_of(variables: &BTreeMap<String, String>) -> Env {
    let mut env = Env::new();
    for (name, value) in variables {
        env.set(name, value).unwrap();
    }
    env
}

fn map_of(env: &Env) -> BTreeMap<String, String> {
    env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Names as U-Boot has them; values of printable text with every kind of quote.
fn variables() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map("[A-Za-z][A-Za-z0-9_]{0,20}", "[!-~ä€]([ -~ä€]{0,40}[!-~])?", 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn fw_printenv_reads_what_we_store_and_we_read_what_fw_setenv_stores(
        first in variables(), second in variables(), changes in variables(), copies in 1u64..=2,
    ) {
        let place = Place::of_copies(copies);
        place.with(|store| store.store(&env_of(&first)).unwrap());
        prop_assert_eq!(&place.fw_printenv(), &first);
        place.with(|store| store.store(&env_of(&second)).unwrap());
        prop_assert_eq!(&place.fw_printenv(), &second);

        place.fw_setenv(&changes);
        let mut expected = second.clone();
        expected.extend(changes);
        let loaded = place.with(|store| store.load().unwrap());
        prop_assert_eq!(map_of(&loaded.env), expected);
        prop_assert!(loaded.warnings().is_empty());
        place.with(|store| store.store(&env_of(&first)).unwrap());
        prop_assert_eq!(&place.fw_printenv(), &first);
    }

    #[test]
    fn mkenvimage_makes_the_images_we_make(variables in variables(), size in 2048usize..70_000) {
        // Its text form reads a backslash at a line's end as "goes on in the next line".
        prop_assume!(!variables.values().any(|value| value.ends_with('\\')));
        let dir = tempfile::tempdir().unwrap();
        let (text, image) = (dir.path().join("env.txt"), dir.path().join("env.bin"));
        let lines = variables.iter().map(|(name, value)| format!("{name}={value}\n"));
        fs::write(&text, lines.collect::<String>()).unwrap();
        let size_text = size.to_string();
        let env = env_of(&variables);
        for (option, redundancy, flag) in
            [(None, Redundancy::Single, None), (Some("-r"), COUNTER, Some(1))]
        {
            let made = |padding: &str| {
                let mut args: Vec<&str> = option.into_iter().collect();
                args.extend(["-p", padding, "-s", &size_text, "-o", path(&image), path(&text)]);
                run("mkenvimage", &args);
                fs::read(&image).unwrap()
            };
            // With its usual padding only the content is the same.
            prop_assert_eq!(parse_image(&made("0xff"), redundancy).unwrap(), (flag, env.clone()));
            prop_assert_eq!(made("0"), encode_image(&env, size, flag).unwrap());
        }
    }
}

#[test]
fn both_choose_the_same_of_two_valid_copies() {
    let place = Place::of_copies(2);
    for (first, second) in [(1, 2), (2, 1), (5, 5), (255, 0), (0, 255), (254, 255)] {
        let copy = |flag: u8, value: &str| {
            let env = env_of(&BTreeMap::from([("copy".to_owned(), value.to_owned())]));
            encode_image(&env, 0x2000, Some(flag)).unwrap()
        };
        let image = [vec![0; 0x400], copy(first, "1"), copy(second, "2")].concat();
        fs::write(&place.image, image).unwrap();
        let ours = place.with(|store| map_of(&store.load().unwrap().env));
        assert_eq!(ours, place.fw_printenv(), "flags {first} and {second}");
    }
}

#[test]
fn the_counter_wraps_with_both_writers_by_turns() {
    let place = Place::of_copies(2);
    for number in 0..520 {
        let value = BTreeMap::from([("n".to_owned(), number.to_string())]);
        if number % 32 == 31 {
            place.fw_setenv(&value);
        } else {
            place.with(|store| store.store(&env_of(&value)).unwrap());
        }
        assert_eq!(place.with(|store| map_of(&store.load().unwrap().env)), value);
        if number % 16 == 0 {
            assert_eq!(place.fw_printenv(), value);
        }
    }
}

#[test]
fn a_variable_fw_setenv_removes_is_gone() {
    let place = Place::of_copies(2);
    let both = BTreeMap::from([("a", "1"), ("b", "2")].map(|(n, v)| (n.to_owned(), v.to_owned())));
    place.with(|store| store.store(&env_of(&both)).unwrap());
    run("fw_setenv", &["-c", path(&place.config), "a"]);
    let left = place.with(|store| map_of(&store.load().unwrap().env));
    assert_eq!(left, BTreeMap::from([("b".to_owned(), "2".to_owned())]));
}

#[test]
fn sizes_in_the_configuration_are_hexadecimal_for_the_tools_too() {
    let place = Place::of_copies(1);
    let value = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
    place.with(|store| store.store(&env_of(&value)).unwrap());
    let line = format!("{} 1024 2000\n", path(&place.image));
    assert_eq!(FwEnvConfig::parse(&line).unwrap().copies, place.places);
    fs::write(&place.config, line).unwrap();
    assert_eq!(place.fw_printenv(), value);
}
