// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a recipe say? Every word that becomes part of a path, of an argument or of a source
//! line is checked as it is read, so that a fault is told with its line and nothing later has to
//! ask again.

use crate::image_cli::BoardName;
use serde::Deserialize;
use std::path::Path;

/// A recipe.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Of the operating system; part of the files' names.
    pub series: Series,
    /// Of the product.
    pub version: Version,
    /// What it is for.
    pub board: BoardName,
    /// Name of the device.
    pub hostname: Hostname,
    /// The initrd, beside the recipe.
    pub initrd: Beside,
    /// The device tree, beside the recipe; the one of the kernel's package when there is none.
    pub device_tree: Option<Beside>,
    /// The lock file of the program that is put in, beside the recipe: of the source of this one.
    pub cargo_lock: Option<Beside>,
    /// Where the packages come from.
    pub debian: Debian,
    /// Files on top of the packages.
    #[serde(default)]
    pub file: Vec<ExtraFile>,
    /// Symbolic links on top of the packages.
    #[serde(default)]
    pub link: Vec<ExtraLink>,
}

/// Packages and their source.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debian {
    /// Debian's release.
    pub suite: Suite,
    /// A mirror; what this machine's apt uses when there is none.
    pub mirror: Option<Mirror>,
    /// Who must have signed its index; Debian's keyring when there is none.
    pub keyring: Option<Beside>,
    /// Whether `mirror` stands still, as an archive of snapshots does: its index may be past the day
    /// until which it was vouched for.
    #[serde(default)]
    pub snapshot: bool,
    /// The kernel's package, or one that depends on it.
    pub kernel: PackageName,
    /// What is in the root file system, with everything that it needs.
    pub packages: Vec<PackageName>,
}

/// A file that no package has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtraFile {
    /// Its place in the root file system.
    pub path: InnerPath,
    /// What is in it, beside the recipe.
    pub source: Beside,
    /// Its permissions, octal; 0644 when not given.
    #[serde(default)]
    pub mode: Mode,
}

/// A symbolic link that no package has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtraLink {
    /// Its place in the root file system.
    pub path: InnerPath,
    /// Where it leads on the device.
    pub target: LinkTarget,
}

/// A word of the recipe that was checked.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $holds:expr, $must:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let holds: fn(&str) -> bool = $holds;
                if holds(&text) { Ok(Self(text)) } else { Err(format!("{text:?} {}", $must)) }
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

word!(
    /// The operating system's series.
    Series,
    |text| is_word(text, 32, "._-"),
    "is no series: letters, digits, `.`, `_` and `-`, for example 25.11"
);
word!(
    /// The product's version.
    Version,
    |text| is_word(text, 64, "._-+~"),
    "is no version: letters, digits and `.`, `_`, `-`, `+`, `~`"
);
word!(
    /// A device's name.
    Hostname,
    |text| is_word(text, 63, "-") && !text.ends_with('-'),
    "is no host name: letters, digits and `-`, at most 63"
);
word!(
    /// A release of Debian.
    Suite,
    |text| is_word(text, 64, "-"),
    "is no suite: a name as trixie"
);
word!(
    /// A package.
    PackageName,
    |text| text.len() >= 2 && is_word(text, 128, "+.-") && !text.contains(char::is_uppercase),
    "is no package: lower-case letters, digits, `+`, `.` and `-`"
);
word!(
    /// A mirror's address. It is a word of a source line, whose options stand in brackets.
    Mirror,
    |text| {
        let known = ["http://", "https://", "file:///"].iter().any(|scheme| text.starts_with(scheme));
        known && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"[]\"#".contains(&byte))
    },
    "is no mirror: an address that begins with https://, http:// or file:///"
);
word!(
    /// A place in the root file system.
    InnerPath,
    |text| {
        let rest = text.strip_prefix('/').unwrap_or_default();
        let is_name = |name: &str| !["", ".", ".."].contains(&name);
        rest.split('/').all(is_name) && !text.contains(char::is_control)
    },
    "is no place in the root file system: an absolute path without `..`"
);
word!(
    /// What a link says.
    LinkTarget,
    |text| !text.is_empty() && text.len() < 4096 && !text.contains(char::is_control),
    "is no target of a link"
);

word!(
    /// A file of the builder, in the directory of the recipe or below it: whose recipe it is, it
    /// puts nothing else of his machine into an image.
    Beside,
    |text| {
        let is_name = |name: &str| !["", ".", ".."].contains(&name);
        text.split('/').all(is_name) && !text.contains(char::is_control)
    },
    "is no file beside the recipe: a relative path without `.` and `..`"
);

impl Beside {
    /// From the recipe's directory.
    pub fn relative(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl InnerPath {
    /// Below the root.
    pub fn relative(&self) -> &Path {
        Path::new(self.0.trim_start_matches('/'))
    }
}

/// Begins with a letter or digit, so that no tool takes it for an option.
fn is_word(text: &str, most: usize, also: &str) -> bool {
    let fits = |one: char| one.is_ascii_alphanumeric() || also.contains(one);
    text.len() <= most
        && text.starts_with(|one: char| one.is_ascii_alphanumeric())
        && text.chars().all(fits)
}

/// Permissions without set-user-id and its kin: what needs them comes from a package.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub struct Mode(pub u32);

impl Default for Mode {
    fn default() -> Self {
        Self(0o644)
    }
}

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let octal = text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
        let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| octal && *mode <= 0o777);
        mode.map(Self).ok_or_else(|| format!("{text:?} is no mode: octal, \"0644\" for example"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "series = \"25.11\"\nversion = \"1.2.3\"\nboard = \"rock64\"\nhostname = \"gateway\"\n\
        initrd = \"initrd\"\n[debian]\nsuite = \"trixie\"\nkernel = \"linux-image-arm64\"\npackages = [\"dash\"]\n";

    fn fault(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from));
        toml::from_str::<Recipe>(&GOOD.replace(from, to)).unwrap_err().to_string()
    }

    #[test]
    fn a_fault_is_told_with_its_line() {
        toml::from_str::<Recipe>(GOOD).unwrap();
        for (from, to, line, says) in [
            ("25.11", "../25", "line 1", "is no series"),
            ("rock64", "rock65", "line 3", "unknown variant"),
            ("gateway", "-gateway", "line 4", "is no host name"),
            ("\"trixie\"", "\"trixie main [trusted=yes]\"", "line 7", "is no suite"),
            ("linux-image-arm64", "--allow-unauthenticated", "line 8", "is no package"),
            ("dash", "-oAPT::Key=1", "line 9", "is no package"),
            ("initrd =", "initramfs =", "line 5", "unknown field"),
            ("= \"initrd\"", "= \"/etc/shadow\"", "line 5", "is no file beside the recipe"),
            ("= \"initrd\"", "= \"../initrd\"", "line 5", "is no file beside the recipe"),
            ("= \"initrd\"", "= \"a/../../initrd\"", "line 5", "is no file beside the recipe"),
        ] {
            let told = fault(from, to);
            assert!(told.contains(line) && told.contains(says), "{to}: {told}");
        }
    }

    #[test]
    fn no_place_is_outside_of_the_root_and_no_mode_gives_rights() {
        for path in ["etc/passwd", "/../etc/passwd", "/etc/../../x", "/", "/etc//x", "/a\nb", ""] {
            assert!(InnerPath::try_from(path.to_owned()).is_err(), "{path:?}");
        }
        assert_eq!(Mode::try_from("0755".to_owned()).unwrap(), Mode(0o755));
        for mode in ["4755", "u+s", "+755", "00755", ""] {
            assert!(Mode::try_from(mode.to_owned()).is_err(), "{mode:?}");
        }
        for mirror in ["ftp://x/", "https://x/ [trusted=yes]", "file:/etc", "http://x/#"] {
            assert!(Mirror::try_from(mirror.to_owned()).is_err(), "{mirror:?}");
        }
    }
}
