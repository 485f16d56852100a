// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which agent is told of updates, and which is not? One unit for each way; what a configuration
//! does not name is stopped before the other is started, so that never two write the same slot.

use super::error::ApplierError;
use super::settings::read_settings;
use serde::Deserialize;

/// The timer that asks, and what it starts.
const POLL_UNITS: [&str; 2] = ["os-upgrade.timer", "os-upgrade.service"];
/// The agent that hawkBit leads.
const HAWKBIT_UNIT: &str = "atomix-agent.service";

/// What decides it of `os-upgrade.json`; all else is for the agent to judge, which reads it again.
#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    mode: Mode,
}

/// Without a mode it is a file of the former contract.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Poll,
    Hawkbit,
}

/// Who tells of updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateWay {
    /// There are none.
    Nobody,
    /// A server that is asked.
    Polling,
    /// hawkBit.
    Hawkbit,
}

impl UpdateWay {
    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Polling => "polling",
            Self::Hawkbit => "hawkBit",
        }
    }
}

/// A unit that is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentUnit {
    /// Its name.
    pub name: &'static str,
    /// Whether a configuration fails on an image without it. One that polls does not: images may ask
    /// in a way of their own, and files of the former contract are valid on all.
    pub is_required: bool,
}

/// What has to be done about the agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentPlan {
    /// Who tells.
    pub way: UpdateWay,
    /// These stop first.
    pub stopped: Vec<&'static str>,
    /// This one runs, started from what `stamp` stands for.
    pub wanted: Option<AgentUnit>,
    /// Another text for every content of the file.
    pub stamp: String,
}

/// What has to be done for the content of `os-upgrade.json`; for nothing, no agent runs.
///
/// # Errors
/// [`ApplierError::Invalid`].
pub fn plan_agents(content: Option<&[u8]>) -> Result<AgentPlan, ApplierError> {
    let written = content.map(|bytes| read_settings::<Written>("os-upgrade.json", bytes));
    let mode = written.transpose()?.map(|written| written.mode);
    let [timer, started_by_it] = POLL_UNITS;
    let poll = AgentUnit { name: timer, is_required: false };
    let hawkbit = AgentUnit { name: HAWKBIT_UNIT, is_required: true };
    let (way, stopped, wanted) = match mode {
        None => (UpdateWay::Nobody, vec![timer, started_by_it, HAWKBIT_UNIT], None),
        Some(Mode::Poll) => (UpdateWay::Polling, vec![HAWKBIT_UNIT], Some(poll)),
        Some(Mode::Hawkbit) => (UpdateWay::Hawkbit, vec![timer, started_by_it], Some(hawkbit)),
    };
    let stamp = blake3::hash(content.unwrap_or_default()).to_hex().to_string();
    Ok(AgentPlan { way, stopped, wanted, stamp })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> AgentPlan {
        plan_agents(Some(text.as_bytes())).unwrap()
    }

    #[test]
    fn whatever_is_said_one_agent_runs_at_most() {
        let all = [POLL_UNITS[0], POLL_UNITS[1], HAWKBIT_UNIT];
        let nobody = plan_agents(None).unwrap();
        assert_eq!((nobody.stopped, nobody.wanted), (all.to_vec(), None));
        for (text, wanted) in [
            (r#"{"server_url": "https://u"}"#, "os-upgrade.timer"),
            (
                r#"{"server_url": "https://u", "mode": "poll", "metadata": "signed"}"#,
                "os-upgrade.timer",
            ),
            (r#"{"mode": "hawkbit", "hawkbit": {}}"#, "atomix-agent.service"),
        ] {
            let plan = plan(text);
            assert_eq!(plan.wanted.unwrap().name, wanted);
            assert!(!plan.stopped.contains(&wanted), "{text}");
            // What the timer started may run on beside its timer.
            let others = all.iter().filter(|unit| **unit != wanted);
            let kept = (wanted == POLL_UNITS[0]).then_some(POLL_UNITS[1]);
            assert!(
                others.filter(|unit| Some(**unit) != kept).all(|unit| plan.stopped.contains(unit))
            );
        }
    }

    #[test]
    fn another_content_is_another_start_and_no_content_of_ours_is_an_error() {
        let one = plan(r#"{"server_url": "https://u"}"#);
        assert_eq!(one, plan(r#"{"server_url": "https://u"}"#));
        assert_ne!(one.stamp, plan(r#"{"server_url": "https://v"}"#).stamp);
        for text in ["", "7", r#"{"mode": "pull"}"#, r#"{"mode": null}"#] {
            assert!(plan_agents(Some(text.as_bytes())).is_err(), "{text}");
        }
    }
}
