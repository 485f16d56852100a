// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configuration as it is written, before validation.
//!
//! All kinds of probe share one table here, so that a key of the wrong kind is reported with its
//! line instead of being lost in a tagged enum.

use crate::config::{ConfigProblem, Reaction, Timing};
use crate::manifest::is_unit_name;
use crate::probe::{AddressSource, FileFormat, Level, Probe, ProbeKind, UnitCondition};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

const DEFAULT_TIMEOUT_SECS: u64 = 10;
/// A probe that takes longer hides every other probe's trouble for that long.
const MAX_TIMEOUT_SECS: u64 = 60;
/// The kernel's limit of an interface name's length, without its NUL.
const MAX_INTERFACE_NAME_BYTES: usize = 15;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HealthFragment {
    settle_secs: Option<Spanned<u64>>,
    window_secs: Option<Spanned<u64>>,
    interval_secs: Option<Spanned<u64>>,
    #[serde(default)]
    on_failure: ReactionWord,
    #[serde(default, rename = "probe")]
    probes: Vec<Spanned<ProbeFragment>>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ReactionWord {
    #[default]
    Reboot,
    Stay,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LevelWord {
    #[default]
    Required,
    Warning,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ConditionWord {
    Active,
    Ran,
    NotFailed,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KindWord {
    Unit,
    RequiredUnits,
    Interface,
    Gateway,
    Command,
    File,
    Tcp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProbeFragment {
    name: String,
    kind: KindWord,
    #[serde(default)]
    level: LevelWord,
    unit: Option<Spanned<String>>,
    condition: Option<Spanned<ConditionWord>>,
    path: Option<Spanned<PathBuf>>,
    interface: Option<Spanned<String>>,
    key: Option<Spanned<String>>,
    fallback: Option<Spanned<IpAddr>>,
    argv: Option<Spanned<Vec<String>>>,
    timeout_secs: Option<Spanned<u64>>,
    contains: Option<Spanned<String>>,
    address: Option<Spanned<SocketAddr>>,
}

/// The line of a byte offset, counted from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

impl HealthFragment {
    pub(crate) fn reaction(&self) -> Reaction {
        match self.on_failure {
            ReactionWord::Reboot => Reaction::Reboot,
            ReactionWord::Stay => Reaction::Stay,
        }
    }

    pub(crate) fn timing(&self, text: &str, problems: &mut Vec<ConfigProblem>) -> Timing {
        let default = Timing::default();
        let secs = |given: &Option<Spanned<u64>>, default: Duration| {
            given.as_ref().map_or(default, |secs| Duration::from_secs(*secs.get_ref()))
        };
        if let Some(interval) = &self.interval_secs
            && *interval.get_ref() == 0
        {
            let line = line_of(text, interval.span().start);
            problems.push(ConfigProblem { line, message: "interval_secs is 0".to_owned() });
        }
        Timing {
            settle: secs(&self.settle_secs, default.settle),
            window: secs(&self.window_secs, default.window),
            interval: secs(&self.interval_secs, default.interval),
        }
    }

    pub(crate) fn probes(self, text: &str, problems: &mut Vec<ConfigProblem>) -> Vec<Probe> {
        let mut names = BTreeSet::new();
        let mut probes = Vec::new();
        for spanned in self.probes {
            let line = line_of(text, spanned.span().start);
            let fragment = spanned.into_inner();
            let mut reader = Reader { text, line, name: fragment.name.clone(), problems };
            if fragment.name.is_empty() {
                reader.complain(line, "the name is empty".to_owned());
            }
            if !names.insert(fragment.name.clone()) {
                reader.complain(line, "the name is used twice".to_owned());
            }
            let (name, level) = (fragment.name.clone(), fragment.level);
            let level = match level {
                LevelWord::Required => Level::Required,
                LevelWord::Warning => Level::Warning,
            };
            if let Some(kind) = reader.kind(fragment) {
                probes.push(Probe { name, level, kind });
            }
        }
        probes
    }
}

/// Takes keys out of one probe's table and complains about what is missing or left over.
struct Reader<'a> {
    text: &'a str,
    line: usize,
    name: String,
    problems: &'a mut Vec<ConfigProblem>,
}

impl Reader<'_> {
    fn complain(&mut self, line: usize, what: String) {
        let message = format!("probe {:?}: {what}", self.name);
        self.problems.push(ConfigProblem { line, message });
    }

    fn wanted<T>(&mut self, key: &str, value: &mut Option<Spanned<T>>) -> Option<(usize, T)> {
        match value.take() {
            Some(spanned) => Some((line_of(self.text, spanned.span().start), spanned.into_inner())),
            None => {
                self.complain(self.line, format!("{key} is missing"));
                None
            }
        }
    }

    fn kind(&mut self, mut f: ProbeFragment) -> Option<ProbeKind> {
        let kind = match f.kind {
            KindWord::Unit => self.unit(&mut f),
            KindWord::RequiredUnits => {
                self.path(&mut f).map(|path| ProbeKind::RequiredUnits { path })
            }
            KindWord::Interface => {
                self.interface(&mut f).map(|interface| ProbeKind::InterfaceAddress { interface })
            }
            KindWord::Gateway => self.gateway(&mut f),
            KindWord::Command => self.command(&mut f),
            KindWord::File => {
                let contains = f.contains.take().map(Spanned::into_inner);
                self.path(&mut f).map(|path| ProbeKind::File { path, contains })
            }
            KindWord::Tcp => {
                let timeout = self.timeout(&mut f);
                self.wanted("address", &mut f.address)
                    .map(|(_, address)| ProbeKind::TcpPort { address, timeout })
            }
        };
        self.refuse_leftovers(&f);
        kind
    }

    /// Whatever its kind did not take does not belong to the probe.
    fn refuse_leftovers(&mut self, f: &ProbeFragment) {
        let left = [
            ("unit", f.unit.as_ref().map(Spanned::span)),
            ("condition", f.condition.as_ref().map(Spanned::span)),
            ("path", f.path.as_ref().map(Spanned::span)),
            ("interface", f.interface.as_ref().map(Spanned::span)),
            ("key", f.key.as_ref().map(Spanned::span)),
            ("fallback", f.fallback.as_ref().map(Spanned::span)),
            ("argv", f.argv.as_ref().map(Spanned::span)),
            ("timeout_secs", f.timeout_secs.as_ref().map(Spanned::span)),
            ("contains", f.contains.as_ref().map(Spanned::span)),
            ("address", f.address.as_ref().map(Spanned::span)),
        ];
        for (key, span) in left {
            if let Some(span) = span {
                let line = line_of(self.text, span.start);
                self.complain(line, format!("{key} does not belong to this kind"));
            }
        }
    }

    fn unit(&mut self, f: &mut ProbeFragment) -> Option<ProbeKind> {
        let condition = match f.condition.take().map(Spanned::into_inner) {
            None | Some(ConditionWord::Active) => UnitCondition::Active,
            Some(ConditionWord::Ran) => UnitCondition::Ran,
            Some(ConditionWord::NotFailed) => UnitCondition::NotFailed,
        };
        let (line, unit) = self.wanted("unit", &mut f.unit)?;
        if !is_unit_name(&unit) || !unit.contains('.') {
            self.complain(line, format!("{unit:?} is not a whole unit name"));
            return None;
        }
        Some(ProbeKind::Unit { unit, condition })
    }

    fn gateway(&mut self, f: &mut ProbeFragment) -> Option<ProbeKind> {
        let fallback = f.fallback.take().map(Spanned::into_inner);
        let key = self.wanted("key", &mut f.key);
        let interface = self.interface(f);
        let path = self.path(f)?;
        let format = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => FileFormat::Json,
            Some("toml") => FileFormat::Toml,
            Some(_) | None => {
                self.complain(self.line, "path ends in neither .json nor .toml".to_owned());
                return None;
            }
        };
        let keys = key?.1.split('.').map(str::to_owned).collect();
        let source = AddressSource { path, format, keys, fallback };
        Some(ProbeKind::GatewayAddress { interface: interface?, source })
    }

    fn command(&mut self, f: &mut ProbeFragment) -> Option<ProbeKind> {
        let timeout = self.timeout(f);
        let (line, argv) = self.wanted("argv", &mut f.argv)?;
        if !argv.first().is_some_and(|program| Path::new(program).is_absolute()) {
            self.complain(line, "argv does not begin with an absolute path".to_owned());
            return None;
        }
        Some(ProbeKind::Command { argv, timeout })
    }

    fn timeout(&mut self, f: &mut ProbeFragment) -> Duration {
        let Some(spanned) = f.timeout_secs.take() else {
            return Duration::from_secs(DEFAULT_TIMEOUT_SECS);
        };
        let line = line_of(self.text, spanned.span().start);
        let secs = spanned.into_inner();
        if secs == 0 || secs > MAX_TIMEOUT_SECS {
            self.complain(line, format!("timeout_secs is not within 1 to {MAX_TIMEOUT_SECS}"));
        }
        Duration::from_secs(secs)
    }

    fn path(&mut self, f: &mut ProbeFragment) -> Option<PathBuf> {
        let (line, path) = self.wanted("path", &mut f.path)?;
        if !path.is_absolute() {
            self.complain(line, "path is not absolute".to_owned());
            return None;
        }
        Some(path)
    }

    fn interface(&mut self, f: &mut ProbeFragment) -> Option<String> {
        let (line, interface) = self.wanted("interface", &mut f.interface)?;
        let fits = !interface.is_empty() && interface.len() <= MAX_INTERFACE_NAME_BYTES;
        if !fits || interface.bytes().any(|byte| byte == b'/' || byte.is_ascii_whitespace()) {
            self.complain(line, format!("{interface:?} is not an interface name"));
            return None;
        }
        Some(interface)
    }
}
