// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever is written into a configuration: judging it ends without a panic, and what is accepted
//! renders to unit files whose lines are exactly the values of the model.

use config_api::input::Payload;
use config_api::model::{faults_text, validate};
use config_api::quadlet::SECTIONS;
use config_api::render::render;
use proptest::prelude::*;

const HEAD: &str = "version = 1\n[users.admin]\nisAdmin = true\nssh_key = \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIBGoVskIFs63KKKMnX0pH1k1PYTOqw4q2I6LVuMKocG\"\n[activation]\nrequired = [\"web\"]\n";

/// Texts that mean something to systemd, Podman or TOML, and any others.
fn value() -> impl Strategy<Value = String> {
    const SPECIAL: [&str; 30] = [
        "\\",
        "\n",
        "%h",
        "%%",
        "${FILES_DIR}",
        "${CONFIG_DIR}",
        "${X}",
        "$$",
        "\"",
        "[Service]",
        "Network=host",
        "..",
        "/",
        ":",
        "80:80",
        "[::1]:1:1",
        "web.service",
        "-",
        ",",
        "=",
        " ",
        "--privileged",
        "d.volume",
        "true",
        "7",
        "é🔑",
        "\u{2028}",
        "\u{85}",
        ";",
        "#",
    ];
    let piece = prop_oneof![
        3 => proptest::sample::select(&SPECIAL[..]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

/// A directive of a section, by chance, with values by chance.
fn directive(section: &'static str) -> impl Strategy<Value = String> {
    let specs = SECTIONS.iter().find(|directives| directives.section == section).unwrap().specs;
    let values = proptest::collection::vec(value(), 1..3);
    (proptest::sample::select(specs), values).prop_map(|(spec, values)| {
        let values: Vec<String> = values.iter().map(|text| toml_text(text)).collect();
        let list = if spec.many { format!("[{}]", values.join(", ")) } else { values[0].clone() };
        format!("{} = {list}\n", spec.name)
    })
}

/// A string of TOML that means exactly `text`.
fn toml_text(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

fn file() -> impl Strategy<Value = String> {
    let section = |name| proptest::collection::vec(directive(name), 0..3);
    (any::<bool>(), section("Container"), section("Unit"), section("Volume"), section("Build"))
        .prop_map(|(privileged, container, unit, volume, build)| {
            format!(
                "{HEAD}[containers.container.web]\nprivileged = {privileged}\n\
                 [containers.container.web.Unit]\n{}\
                 [containers.container.web.Container]\nImage = \"x/web:1\"\n{}\
                 [containers.volume.d.Volume]\n{}[containers.build.b.Build]\n{}",
                unit.concat(),
                container.concat(),
                volume.concat(),
                build.concat()
            )
        })
}

fn judge(text: &str) -> Result<(), TestCaseError> {
    let checked = match validate(text.as_bytes()) {
        Ok(checked) => checked,
        Err(faults) => {
            let told = faults_text(&faults, "config.toml", text.as_bytes());
            prop_assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
            return Ok(());
        }
    };
    let tree = render(&checked.config, text.as_bytes(), &Payload::default(), "/data/config");
    let again = render(&checked.config, text.as_bytes(), &Payload::default(), "/data/config");
    prop_assert_eq!(&tree, &again);
    prop_assert_eq!(tree.bytes("config.toml"), Some(text.as_bytes()));
    for unit in &checked.config.units {
        let bytes = tree.bytes(&format!("quadlet/{}", unit.file_name())).unwrap().to_vec();
        let rendered = String::from_utf8(bytes).unwrap();
        let lines: Vec<&str> = rendered.split('\n').filter(|line| !line.is_empty()).collect();
        let mut wanted = Vec::new();
        for section in &unit.sections {
            wanted.push(format!("[{}]", section.name));
            for directive in &section.directives {
                for value in &directive.values {
                    let value = value.replace("${CONFIG_DIR}", "/data/config");
                    let value = value.replace("${FILES_DIR}", "/data/config/files");
                    wanted.push(format!("{}={value}", directive.name));
                }
            }
        }
        prop_assert_eq!(&lines, &wanted);
        prop_assert!(!lines.iter().any(|line| line.trim_end().ends_with('\\')));
        let forced = lines.iter().filter(|line| line.starts_with("Network=")).count();
        let is_container = unit.file_name() == "web.container";
        prop_assert!(!is_container || forced == 1, "{rendered}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_accepted_renders_to_the_lines_of_the_model(text in file()) {
        judge(&text)?;
    }

    #[test]
    fn any_text_is_judged(text in "[\\[\\]{}=.,\"'\\\\#\n a-c0-9é]{0,80}") {
        judge(&text)?;
        judge(&format!("{HEAD}{text}"))?;
    }

    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = validate(&bytes);
    }
}
