// SPDX-License-Identifier: MIT OR Apache-2.0
//! The picture of disk and flash, drawn from the files that `board-rock64` generates of its facts
//! (a test there holds these). Boxes have room for their words: they are not to scale.

use crate::error::TaskError;
use std::fmt::Write;
use std::path::Path;

const GENERATED: &str = "board-rock64/generated/etc";
const PARTITIONS: [&str; 5] = ["10-boot-a", "20-rootfs-a", "30-boot-b", "40-rootfs-b", "50-data"];
const MIB: u64 = 1 << 20;
const WIDTH: u32 = 780;
const HEIGHT: u32 = 60;

/// One box: its name, what else is in it, where it begins, and whether an image brings it.
struct Part {
    name: String,
    note: String,
    start: u64,
    class: &'static str,
}

/// What lies on the disk and in the flash, in the order of their places.
pub struct Facts {
    disk: Vec<Part>,
    flash: Vec<Part>,
}

/// The facts, as the generated files have them.
pub fn facts(read: &dyn Fn(&str) -> Result<String, TaskError>) -> Result<Facts, TaskError> {
    let file = |name: &str| read(&format!("{GENERATED}/{name}"));
    let settings: toml::Value = toml::from_str(&file("atomix/atomix.toml")?).map_err(|source| {
        TaskError::Policy { path: Path::new(GENERATED).join("atomix/atomix.toml"), source }
    })?;
    let number = |table: &str, key: &str| {
        let value = settings.get(table).and_then(|table| table.get(key));
        value
            .and_then(toml::Value::as_integer)
            .and_then(|value| u64::try_from(value).ok())
            .unwrap_or_default()
    };
    let mut start = number("disk", "protected-bytes");
    let mut disk = vec![Part::new("U-Boot", start, 0, "image")];
    for (name, index) in PARTITIONS.iter().zip(1..) {
        let text = file(&format!("repart.d/{name}.conf"))?;
        let label = format!("{index} {}", value(&text, "Label="));
        let size = value(&text, "SizeMaxBytes=").trim_end_matches('M').parse().unwrap_or(0) * MIB;
        let class = if label.ends_with("-a") { "image" } else { "first" };
        disk.push(Part::new(&label, size, start, class));
        start += size;
    }
    let mut flash = Vec::new();
    for line in file("fw_env.config")?.lines().filter(|line| line.starts_with('/')) {
        let numbers: Vec<u64> = line.split_whitespace().skip(1).filter_map(hexadecimal).collect();
        let [start, size, ..] = numbers[..] else { continue };
        flash.push(Part::new(&format!("environment {}", flash.len() + 1), size, start, "image"));
    }
    let loader = flash.first().map_or(0, |first| first.start);
    flash.insert(0, Part::new("free for a boot loader", loader, 0, "free"));
    let recorder = number("recorder", "block-bytes") * number("recorder", "blocks");
    flash.push(Part::new("flight recorder", recorder, number("recorder", "offset"), "first"));
    Ok(Facts { disk, flash })
}

impl Part {
    fn new(name: &str, size: u64, start: u64, class: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            note: if size == 0 { "the rest".to_owned() } else { bytes(size) },
            start,
            class,
        }
    }
}

fn value<'a>(text: &'a str, key: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default()
}

fn hexadecimal(word: &str) -> Option<u64> {
    u64::from_str_radix(word.trim_start_matches("0x"), 16).ok()
}

fn bytes(size: u64) -> String {
    if size.is_multiple_of(MIB) {
        format!("{} MiB", size / MIB)
    } else {
        format!("{} KiB", size / 1024)
    }
}

/// The picture.
pub fn picture(facts: &Facts) -> String {
    let mut svg = String::from(HEAD);
    row(&mut svg, 40, "eMMC (GPT)", &facts.disk);
    row(&mut svg, 160, "SPI NOR flash", &facts.flash);
    svg.push_str(LEGEND);
    svg.push_str("</svg>\n");
    svg
}

const HEAD: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 300" width="800" height="300" font-family="sans-serif" font-size="12">
<!-- Drawn from board-rock64/generated. UPDATE=1 cargo xtask test book draws it anew. -->
<title>What lies where on the disk and in the flash of a Rock64</title>
<style>rect{stroke:#333}.free{fill:#ddd}.image{fill:#cfe3ff}.first{fill:#d8f0d0}text{fill:#111}.small{font-size:10px}</style>
<rect width="800" height="300" style="fill:#fff;stroke:none"/>
"#;

const LEGEND: &str = r#"<rect x="10" y="254" width="14" height="14" class="image"/><text x="30" y="266">in the flashed image; the environment: written by selector and Linux</text>
<rect x="10" y="276" width="14" height="14" class="first"/><text x="30" y="288">made by the first boot; the recorder: written by Linux</text>
"#;

fn row(svg: &mut String, y: u32, title: &str, parts: &[Part]) {
    let count = u32::try_from(parts.len()).unwrap_or(1).max(1);
    let width = WIDTH / count;
    let mut text = format!("<text x=\"10\" y=\"{}\" font-weight=\"bold\">{title}</text>\n", y - 10);
    for (part, index) in parts.iter().zip(0..) {
        let Part { name, note, start, class } = part;
        let (x, middle) = (10 + index * width, 10 + index * width + width / 2);
        // Writing into a text cannot fail.
        let _infallible = write!(
            text,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{HEIGHT}\" class=\"{class}\"/>\n\
             <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{name}</text>\n\
             <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{note}</text>\n\
             <text x=\"{x}\" y=\"{}\" class=\"small\">{}</text>\n",
            y + 26,
            y + 44,
            y + HEIGHT + 14,
            place(*start),
        );
    }
    svg.push_str(&text);
}

fn place(start: u64) -> String {
    if start.is_multiple_of(MIB) { bytes(start) } else { format!("{start:#x}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_stand_where_the_files_say() {
        let facts = facts(&|name| {
            Ok(match name.rsplit('/').next().unwrap_or_default() {
                "atomix.toml" => "[disk]\nprotected-bytes = 16777216\n\
                                  [recorder]\noffset = 0x220000\nblock-bytes = 0x10000\nblocks = 4\n",
                "fw_env.config" => "# c\n/dev/mtd0 0x200000 0x8000 0x10000\n/dev/mtd0 0x210000 0x8000 0x10000\n",
                "50-data.conf" => "Label=data\n",
                "10-boot-a.conf" => "Label=boot-a\nSizeMaxBytes=128M\n",
                _ => "Label=other\nSizeMaxBytes=1024M\n",
            }
            .to_owned())
        })
        .unwrap();
        let starts =
            |parts: &[Part]| parts.iter().map(|part| part.start / 65536).collect::<Vec<_>>();
        assert_eq!(starts(&facts.disk), [0, 256, 2304, 18688, 35072, 51456]);
        assert_eq!(starts(&facts.flash), [0, 32, 33, 34]);
        let drawn = picture(&facts);
        for words in ["1 boot-a", "128 MiB", "the rest", "32 KiB", "256 KiB", "0x210000"] {
            assert!(drawn.contains(words), "{words}: {drawn}");
        }
    }
}
