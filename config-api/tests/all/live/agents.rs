// SPDX-License-Identifier: MIT OR Apache-2.0
//! The agent of updates: the one that a configuration names runs, and never two.

use super::*;
use crate::stand_in::{AGENTS, agent_state};

/// The same with where its updates come from; nothing where it says nothing of them.
struct WithUpdates(Option<&'static str>);

impl Source for WithUpdates {
    fn each(
        &mut self,
        put: &mut dyn FnMut(Item<'_>) -> Result<(), PromoteError>,
    ) -> Result<(), PromoteError> {
        Given { web: "[Container]\n", firewall: OPEN }.each(put)?;
        let Some(text) = self.0 else { return Ok(()) };
        let content = Content::Bytes(text.as_bytes());
        put(Item { path: Path::new("os-upgrade.json"), owner: Owner::Root, mode: 0o600, content })
    }
}

impl Machine {
    /// Has an agent's unit, which does not run.
    fn install_agent(&self, unit: &str) {
        fs::write(self.dir.path().join(agent_state(unit)), "stopped").unwrap();
    }

    /// The units of agents that run.
    fn running_agents(&self) -> Vec<&'static str> {
        let state = |unit: &str| fs::read_to_string(self.dir.path().join(agent_state(unit)));
        AGENTS.into_iter().filter(|unit| state(unit).is_ok_and(|text| text.is_empty())).collect()
    }

    /// What was asked of systemd about agents since the last question.
    fn agent_jobs(&self) -> Vec<String> {
        let of_agents = |line: &String| AGENTS.iter().any(|unit| line.ends_with(unit));
        self.take_log().into_iter().filter(of_agents).collect()
    }
}

const POLL: &str = r#"{"server_url": "https://u"}"#;
const OTHER_POLL: &str = r#"{"server_url": "https://u", "mode": "poll", "metadata": "signed"}"#;
const HAWKBIT: &str = r#"{"mode": "hawkbit", "hawkbit": {}}"#;

#[test]
fn the_agent_that_the_configuration_names_runs_and_the_other_one_stops_before() {
    let machine = Machine::new();
    AGENTS.iter().for_each(|unit| machine.install_agent(unit));
    let apply = |updates| {
        let (_, report) = machine.promote(&mut WithUpdates(updates));
        assert_eq!(report, Report::default());
        (machine.agent_jobs(), machine.running_agents())
    };
    let [timer, asking, agent] = AGENTS;
    let line = |verb: &str, unit: &str| format!("system {verb} {unit}");
    let stop_poll = || [line("stop", timer), line("stop", asking)];
    // What the timer started and what it is asked for again runs on.
    let started = (vec![line("stop", agent), line("start", timer)], vec![timer]);
    assert_eq!(apply(Some(POLL)), started);
    fs::write(machine.dir.path().join(agent_state(asking)), "").unwrap();
    assert_eq!(apply(Some(POLL)), (vec![line("stop", agent)], vec![timer, asking]));
    let anew = (vec![line("stop", agent), line("restart", timer)], vec![timer, asking]);
    assert_eq!(apply(Some(OTHER_POLL)), anew);
    // To hawkBit: whoever polls has stopped before its agent starts.
    let jobs = [&stop_poll()[..], &[line("start", agent)]].concat();
    assert_eq!(apply(Some(HAWKBIT)), (jobs, vec![agent]));
    assert_eq!(apply(Some(HAWKBIT)), (stop_poll().to_vec(), vec![agent]), "it is left alone");
    // Nothing is noted of a start that nobody knows of: it is asked for again.
    fs::remove_file(machine.dir.path().join("run/atomix/applied/updates")).unwrap();
    let jobs = [&stop_poll()[..], &[line("restart", agent)]].concat();
    assert_eq!(apply(Some(HAWKBIT)), (jobs, vec![agent]));
    let back = (vec![line("stop", agent), line("start", timer)], vec![timer]);
    assert_eq!(apply(Some(POLL)), back);
    let jobs = [&stop_poll()[..], &[line("stop", agent)]].concat();
    assert_eq!(apply(None), (jobs, vec![]), "without the section nobody asks");
}

#[test]
fn an_agent_that_the_image_lacks_fails_hawkbits_configuration_and_no_other() {
    let machine = Machine::new();
    machine.promote(&mut WithUpdates(Some(POLL)));
    assert_eq!(machine.agent_jobs(), [""; 0], "an image may poll in a way of its own");
    machine.install_agent(AGENTS[0]);
    let (_, report) = machine.promote(&mut WithUpdates(Some(POLL)));
    assert_eq!((report, machine.running_agents()), (Report::default(), vec![AGENTS[0]]));
    let (_, report) = machine.promote(&mut WithUpdates(Some(HAWKBIT)));
    assert!(report.failures[0].why.contains("no atomix-agent.service"), "{report:?}");
    assert_eq!(report.rollback, Some(Rollback::Completed));
    assert_eq!(machine.running_agents(), [AGENTS[0]], "the one before asks again");
}

/// The agent is started after the unit that applies the configuration, which must not wait for it.
#[test]
fn at_boot_an_agent_is_started_and_not_waited_for() {
    let machine = Machine::new();
    AGENTS.iter().for_each(|unit| machine.install_agent(unit));
    machine.promote(&mut WithUpdates(Some(HAWKBIT)));
    machine.take_log();
    fs::remove_dir_all(machine.dir.path().join("run")).unwrap();
    fs::write(machine.dir.path().join(agent_state(AGENTS[2])), "queued").unwrap();
    let facts = read_boot_facts(&Kernel(HostFiles::new(machine.dir.path()))).unwrap();
    let trees = Box::new(HostTrees::open(&machine.dir.path().join("data")).unwrap());
    let mut store = Store::recover(trees, owners(), &facts.boot, facts.now).unwrap().store;
    let mut services = machine.services();
    let mut driver = Driver {
        store: &mut store,
        services: &mut services,
        confirm_secs: None,
        progress: &mut |_| {},
    };
    assert_eq!(driver.apply_at_boot(&[ApplyStep::Updates], 3), []);
    let jobs = machine.agent_jobs();
    assert_eq!(jobs.last().unwrap(), "system start atomix-agent.service", "{jobs:?}");
}
