// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which worlds can come to be, and on which way? Breadth first from the flashed board, so that the
//! way to each world, and to each violation, is a shortest one. A world that breaks an invariant is
//! not gone on from.

use crate::actor::Tally;
use crate::invariant::Invariant;
use crate::model::{Model, Scenario};
use crate::protocol::ModelError;
use crate::quick_hash::Quick;
use crate::step::{Act, Kind, Step};
use crate::world::{System, World};
use bootctl::SlotId;
use std::collections::{BTreeMap, HashMap};

/// Where an edge of the graph leads; boots are counted on it.
#[derive(Clone, Copy)]
pub(crate) struct Edge {
    target: u32,
    kind: Kind,
    boots: bool,
}

impl Edge {
    pub(crate) fn target(self) -> usize {
        at(self.target)
    }

    pub(crate) const fn is_fair(self) -> bool {
        matches!(self.kind, Kind::Fair)
    }

    pub(crate) const fn boots(self) -> u32 {
        if self.boots { 1 } else { 0 }
    }
}

/// A broken invariant and the shortest way there.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What is broken.
    pub invariant: Invariant,
    /// From the flashed board on.
    pub steps: Vec<Step>,
    /// In which scenario, in words.
    pub scenario: String,
}

/// All worlds of a scenario and the steps between them that are no faults.
pub struct Graph {
    pub(crate) worlds: Vec<World>,
    parents: Vec<u32>,
    edges: Vec<Edge>,
    begins: Vec<usize>,
    /// Steps, faults included.
    pub(crate) transitions: u64,
    /// The longest of the shortest ways.
    pub(crate) depth: u32,
    /// Steps, by who made them.
    pub(crate) tally: Tally,
    broken: BTreeMap<Invariant, (usize, Step)>,
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Every world is known.
    Everything,
    /// An invariant is broken.
    FirstViolation,
}

/// An index as the graph keeps it.
fn at(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

impl Graph {
    /// Every world that `model` can come to.
    pub(crate) fn explore(model: &mut Model, until: Until) -> Self {
        let start = model.flashed();
        let mut numbers = HashMap::<World, u32, Quick>::from_iter([(start, 0)]);
        let mut graph = Self {
            worlds: vec![start],
            parents: vec![0],
            edges: Vec::new(),
            begins: vec![0],
            transitions: 0,
            depth: 0,
            tally: Tally::default(),
            broken: BTreeMap::new(),
        };
        let (mut open, mut layer_end) = (0, 1);
        let mut steps = Vec::new();
        while let Some(world) = graph.worlds.get(open).copied() {
            if open == layer_end {
                graph.depth += 1;
                layer_end = graph.worlds.len();
            }
            steps.clear();
            model.steps(&world, &mut steps);
            for step in &steps {
                graph.take(open, step, &mut numbers);
            }
            graph.begins.push(graph.edges.len());
            if until == Until::FirstViolation && !graph.broken.is_empty() {
                break;
            }
            open += 1;
        }
        graph
    }

    fn take(&mut self, from: usize, step: &Step, numbers: &mut HashMap<World, u32, Quick>) {
        self.transitions += 1;
        self.tally.count(step);
        if let Some(invariant) = step.broken {
            self.broken.entry(invariant).or_insert((from, *step));
            return;
        }
        // The graph ends before its numbers do: so many worlds fit into no memory.
        let next = u32::try_from(self.worlds.len()).unwrap_or(u32::MAX);
        let target = *numbers.entry(step.world).or_insert(next);
        if target == next {
            self.worlds.push(step.world);
            self.parents.push(u32::try_from(from).unwrap_or(u32::MAX));
        }
        if step.kind != Kind::Fault {
            let boots = matches!(step.act, Act::Boot(_));
            self.edges.push(Edge { target, kind: step.kind, boots });
        }
    }

    /// The steps from a world that are no faults.
    pub(crate) fn edges(&self, from: usize) -> &[Edge] {
        let begin = self.begins.get(from).copied().unwrap_or(self.edges.len());
        let end = self.begins.get(from + 1).copied().unwrap_or(self.edges.len());
        self.edges.get(begin..end).unwrap_or_default()
    }

    /// The violations met while exploring, each with its way.
    pub(crate) fn violations(&self, model: &mut Model, scenario: &Scenario) -> Vec<Violation> {
        self.broken
            .iter()
            .map(|(invariant, (from, last))| {
                let mut steps = self.way(model, *from);
                steps.push(*last);
                Violation { invariant: *invariant, steps, scenario: scenario.to_string() }
            })
            .collect()
    }

    /// A shortest way to a world. The graph keeps no steps; they are made again.
    pub(crate) fn way(&self, model: &mut Model, to: usize) -> Vec<Step> {
        let mut way = Vec::new();
        let mut to = to;
        while to != 0 {
            let from = self.parents.get(to).copied().map_or(0, at);
            way.extend(self.step(model, from, to));
            to = from;
        }
        way.reverse();
        way
    }
}

impl Graph {
    /// The step that leads from one world to another.
    pub(crate) fn step(&self, model: &mut Model, from: usize, to: usize) -> Option<Step> {
        let (before, after) = (self.worlds.get(from)?, self.worlds.get(to)?);
        let mut steps = Vec::new();
        model.steps(before, &mut steps);
        steps.into_iter().find(|step| step.world == *after)
    }
}

/// What one scenario came to.
#[derive(Clone, Debug, Default)]
pub struct Explored {
    /// Worlds.
    pub states: usize,
    /// Steps between them.
    pub transitions: u64,
    /// The longest of the shortest ways from the flashed board.
    pub depth: u32,
    /// Different boot states among the worlds.
    pub boot_states: usize,
    /// How many boots it can take, without more faults, to a confirmed slot or named rescue.
    pub boots_to_rest: u32,
    /// Worlds in which A holds an update that was confirmed there: A to B and back.
    pub updated_back: usize,
    /// Steps, by who made them.
    pub tally: Tally,
    /// What was broken, each with a shortest way.
    pub violations: Vec<Violation>,
}

fn is_updated_back(world: &World) -> bool {
    let content = world.slots.get(SlotId::A);
    content.is_proven() && content.complete() != Some(System::FACTORY)
}

/// Explores a scenario and judges it.
///
/// # Errors
/// [`ModelError`].
pub fn explore(scenario: &Scenario, until: Until) -> Result<Explored, ModelError> {
    let mut model = Model::new(scenario)?;
    let graph = Graph::explore(&mut model, until);
    let mut violations = graph.violations(&mut model, scenario);
    let mut boots_to_rest = 0;
    if until == Until::Everything || violations.is_empty() {
        let rest = graph.judge_liveness(&mut model, scenario);
        boots_to_rest = rest.boots;
        violations.extend(rest.violations);
    }
    Ok(Explored {
        states: graph.worlds.len(),
        transitions: graph.transitions,
        depth: graph.depth,
        boot_states: model.boot_states(),
        boots_to_rest,
        updated_back: graph.worlds.iter().filter(|world| is_updated_back(world)).count(),
        tally: graph.tally,
        violations,
    })
}
