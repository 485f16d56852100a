// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does one pass over all probes find?
//!
//! Every probe is asked, whatever the others found, and every trouble is kept. The round also
//! notes how often each unit was restarted so far, for the judge to compare with the round before.

use crate::manifest::parse_required_units;
use crate::probe::{AddressSource, FileFormat, Level, Probe, ProbeKind, UnitCondition};
use crate::system::{ActiveState, CommandEnd, ProbeError, System};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use storage::ByteLen;

/// A probed file is read whole; a larger one is refused so that a runaway log cannot eat the
/// memory of the verifier.
const MAX_PROBED_FILE: ByteLen = ByteLen::mib(1);
/// Lists and settings are small; see [`MAX_PROBED_FILE`].
const MAX_SETTINGS_FILE: ByteLen = ByteLen::kib(64);

/// What does not hold. The display form is for people, [`Trouble::code`] for programs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The question could not be answered.
    #[error("{0}")]
    Unanswered(String),
    /// The unit does not exist.
    #[error("{unit} does not exist")]
    UnitAbsent {
        /// Unit name.
        unit: String,
    },
    /// The unit is in the wrong state.
    #[error("{unit} is {state} ({sub})")]
    UnitState {
        /// Unit name.
        unit: String,
        /// Coarse state.
        state: String,
        /// State in the type's words.
        sub: String,
    },
    /// systemd restarted the unit while it was watched.
    #[error("{unit} was restarted {times} times while it was watched")]
    UnitRestarted {
        /// Unit name.
        unit: String,
        /// Restarts since the sample before.
        times: u32,
    },
    /// The list or setting cannot be used.
    #[error("{path} is malformed: {detail}")]
    MalformedFile {
        /// File.
        path: String,
        /// What is wrong.
        detail: String,
    },
    /// There is no such interface.
    #[error("there is no interface {interface}")]
    InterfaceAbsent {
        /// Interface name.
        interface: String,
    },
    /// The interface has no IPv4 address.
    #[error("{interface} has no IPv4 address")]
    NoAddress {
        /// Interface name.
        interface: String,
    },
    /// The interface has other addresses only.
    #[error("{interface} does not have {expected}, only {found}")]
    WrongAddress {
        /// Interface name.
        interface: String,
        /// Configured address.
        expected: IpAddr,
        /// The addresses it has.
        found: String,
    },
    /// The configured address is not there and there is no fallback.
    #[error("{path} does not say which address is expected")]
    NoExpectedAddress {
        /// File.
        path: String,
    },
    /// The command ended badly.
    #[error("{program} {how}")]
    CommandFailed {
        /// Program.
        program: String,
        /// How it ended.
        how: String,
    },
    /// The file does not exist.
    #[error("{path} does not exist")]
    FileAbsent {
        /// File.
        path: String,
    },
    /// The file lacks the text.
    #[error("{path} does not contain {text:?}")]
    TextAbsent {
        /// File.
        path: String,
        /// The text.
        text: String,
    },
    /// The slot's content is not what was installed.
    #[error("{0}")]
    Content(String),
}

impl Trouble {
    /// The stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unanswered(_) => "unanswered",
            Self::UnitAbsent { .. } => "unit-absent",
            Self::UnitState { .. } => "unit-state",
            Self::UnitRestarted { .. } => "unit-restarted",
            Self::MalformedFile { .. } => "malformed-file",
            Self::InterfaceAbsent { .. } => "interface-absent",
            Self::NoAddress { .. } => "no-address",
            Self::WrongAddress { .. } => "wrong-address",
            Self::NoExpectedAddress { .. } => "no-expected-address",
            Self::CommandFailed { .. } => "command-failed",
            Self::FileAbsent { .. } => "file-absent",
            Self::TextAbsent { .. } => "text-absent",
            Self::Content(_) => "content",
        }
    }
}

impl From<ProbeError> for Trouble {
    fn from(error: ProbeError) -> Self {
        Self::Unanswered(error.chain())
    }
}

/// Whether a probe holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It does.
    Ok,
    /// It does not, for these reasons.
    Failed(Vec<Trouble>),
}

/// A probe and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeResult {
    /// The probe's name.
    pub probe: String,
    /// What its failure means.
    pub level: Level,
    /// Whether it holds.
    pub outcome: Outcome,
    /// Restarts so far of every unit the probe watches.
    pub restarts: BTreeMap<String, u32>,
}

/// The results of one pass, in the configuration's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// One result per probe.
    pub results: Vec<ProbeResult>,
}

impl Round {
    /// Whether every required probe holds.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.results
            .iter()
            .all(|result| result.level == Level::Warning || result.outcome == Outcome::Ok)
    }
}

/// Asks every probe once.
pub fn run_round(probes: &[Probe], system: &mut dyn System) -> Round {
    Round { results: probes.iter().map(|probe| ask(probe, system)).collect() }
}

fn ask(probe: &Probe, system: &mut dyn System) -> ProbeResult {
    let mut restarts = BTreeMap::new();
    let troubles = match &probe.kind {
        ProbeKind::Unit { unit, condition } => ask_unit(unit, *condition, system, &mut restarts),
        ProbeKind::RequiredUnits { path } => ask_required_units(path, system, &mut restarts),
        ProbeKind::InterfaceAddress { interface } => ask_interface(interface, system),
        ProbeKind::GatewayAddress { interface, source } => ask_gateway(interface, source, system),
        ProbeKind::Command { argv, timeout } => match system.run(argv, *timeout) {
            Ok(end) => judge_command(argv, &end),
            Err(error) => vec![error.into()],
        },
        ProbeKind::File { path, contains } => ask_file(path, contains.as_deref(), system),
        ProbeKind::TcpPort { address, timeout } => match system.connect(*address, *timeout) {
            Ok(()) => Vec::new(),
            Err(error) => vec![error.into()],
        },
    };
    let outcome = if troubles.is_empty() { Outcome::Ok } else { Outcome::Failed(troubles) };
    ProbeResult { probe: probe.name.clone(), level: probe.level, outcome, restarts }
}

fn ask_unit(
    unit: &str,
    condition: UnitCondition,
    system: &mut dyn System,
    restarts: &mut BTreeMap<String, u32>,
) -> Vec<Trouble> {
    let status = match system.unit(unit) {
        Ok(status) => status,
        Err(error) => return vec![error.into()],
    };
    if !status.exists {
        return vec![Trouble::UnitAbsent { unit: unit.to_owned() }];
    }
    restarts.insert(unit.to_owned(), status.restarts);
    let holds = match (condition, &status.active) {
        (_, ActiveState::Active | ActiveState::Reloading) => true,
        (UnitCondition::Ran, ActiveState::Inactive) => status.was_started,
        (UnitCondition::NotFailed, ActiveState::Inactive) => true,
        (UnitCondition::Active, ActiveState::Inactive) => false,
        (
            UnitCondition::Active | UnitCondition::Ran | UnitCondition::NotFailed,
            ActiveState::Failed
            | ActiveState::Activating
            | ActiveState::Deactivating
            | ActiveState::Other(_),
        ) => false,
    };
    if holds {
        return Vec::new();
    }
    vec![Trouble::UnitState {
        unit: unit.to_owned(),
        state: status.active.word().to_owned(),
        sub: status.sub,
    }]
}

fn ask_required_units(
    path: &Path,
    system: &mut dyn System,
    restarts: &mut BTreeMap<String, u32>,
) -> Vec<Trouble> {
    let content = match system.read_file(path, MAX_SETTINGS_FILE) {
        Ok(Some(content)) => content,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![error.into()],
    };
    match parse_required_units(&content) {
        Ok(units) => units
            .iter()
            .flat_map(|unit| ask_unit(unit, UnitCondition::Active, system, restarts))
            .collect(),
        Err(detail) => {
            vec![Trouble::MalformedFile { path: path.display().to_string(), detail }]
        }
    }
}

fn ask_interface(interface: &str, system: &mut dyn System) -> Vec<Trouble> {
    match system.addresses(interface) {
        Ok(Some(addresses)) if addresses.iter().any(IpAddr::is_ipv4) => Vec::new(),
        Ok(Some(_)) => vec![Trouble::NoAddress { interface: interface.to_owned() }],
        Ok(None) => vec![Trouble::InterfaceAbsent { interface: interface.to_owned() }],
        Err(error) => vec![error.into()],
    }
}

/// One of several addresses is enough: a second address on the interface is not an illness.
fn ask_gateway(interface: &str, source: &AddressSource, system: &mut dyn System) -> Vec<Trouble> {
    let expected = match expected_address(source, system) {
        Ok(expected) => expected,
        Err(trouble) => return vec![trouble],
    };
    match system.addresses(interface) {
        Ok(Some(addresses)) if addresses.contains(&expected) => Vec::new(),
        Ok(Some(addresses)) if addresses.is_empty() => {
            vec![Trouble::NoAddress { interface: interface.to_owned() }]
        }
        Ok(Some(addresses)) => {
            let found = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            vec![Trouble::WrongAddress { interface: interface.to_owned(), expected, found }]
        }
        Ok(None) => vec![Trouble::InterfaceAbsent { interface: interface.to_owned() }],
        Err(error) => vec![error.into()],
    }
}

fn expected_address(source: &AddressSource, system: &mut dyn System) -> Result<IpAddr, Trouble> {
    let path = source.path.display().to_string();
    let absent = || Trouble::NoExpectedAddress { path: path.clone() };
    let malformed = |detail: String| Trouble::MalformedFile { path: path.clone(), detail };
    let Some(content) = system.read_file(&source.path, MAX_SETTINGS_FILE)? else {
        return source.fallback.ok_or_else(absent);
    };
    let document: serde_json::Value = match source.format {
        FileFormat::Json => {
            serde_json::from_slice(&content).map_err(|error| malformed(error.to_string()))?
        }
        FileFormat::Toml => {
            toml::from_slice(&content).map_err(|error| malformed(error.to_string()))?
        }
    };
    let mut value = &document;
    for key in &source.keys {
        match value.get(key) {
            Some(inner) => value = inner,
            None => return source.fallback.ok_or_else(absent),
        }
    }
    let text = value.as_str().unwrap_or_default();
    // `172.20.30.1/24` names the same address as `172.20.30.1`.
    let address = text.split_once('/').map_or(text, |(address, _)| address);
    address.parse().map_err(|_| malformed(format!("{} is not an address", source.keys.join("."))))
}

fn judge_command(argv: &[String], end: &CommandEnd) -> Vec<Trouble> {
    let how = match end {
        CommandEnd::Exited { code: 0, .. } => return Vec::new(),
        CommandEnd::Exited { code, stderr } if stderr.trim().is_empty() => {
            format!("exited with {code}")
        }
        CommandEnd::Exited { code, stderr } => format!("exited with {code}: {}", stderr.trim()),
        CommandEnd::Signalled { signal } => format!("was ended by signal {signal}"),
        CommandEnd::TimedOut => "did not end in time and was killed".to_owned(),
    };
    vec![Trouble::CommandFailed { program: argv.first().cloned().unwrap_or_default(), how }]
}

fn ask_file(path: &Path, contains: Option<&str>, system: &mut dyn System) -> Vec<Trouble> {
    let shown = || path.display().to_string();
    let content = match system.read_file(path, MAX_PROBED_FILE) {
        Ok(Some(content)) => content,
        Ok(None) => return vec![Trouble::FileAbsent { path: shown() }],
        Err(error) => return vec![error.into()],
    };
    match contains {
        Some(text) if !String::from_utf8_lossy(&content).contains(text) => {
            vec![Trouble::TextAbsent { path: shown(), text: text.to_owned() }]
        }
        Some(_) | None => Vec::new(),
    }
}
