// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does every run without more faults come to rest: in a confirmed slot, or in a rescue that names
//! itself?
//!
//! Two claims over all worlds met, so that each may be the one where the faults end.
//! 1. By fair steps alone, without an agent's help, rest can be reached from everywhere. That is
//!    the same as: every terminal strongly connected component holds a place of rest, since one
//!    without would hold worlds that cannot reach any.
//! 2. With the agent's steps too there is no cycle outside rest. So no run of any kind avoids it
//!    for ever, and the longest way there, counted in boots, is a bound and not an average.

use crate::explore::{Graph, Violation};
use crate::invariant::Invariant;
use crate::model::{Model, Scenario};
use crate::step::Step;
use crate::world::{EnvId, Health, Linux, Nature, Phase, Verdict, Wear, World};
use bootctl::{Reason, SlotId, SlotState};

/// What came of the two claims.
pub(crate) struct Rest {
    pub boots: u32,
    pub violations: Vec<Violation>,
}

impl Model {
    /// Whether the board has come to rest. What runs is judged on what its commands go by.
    fn is_rest(&mut self, world: &World) -> bool {
        let (env, confirmed) = match world.phase {
            Phase::Recovery => return true,
            Phase::Off => {
                let Some(newest) = world.copies.newest else { return false };
                (newest, false)
            }
            Phase::Linux(linux) => {
                let newest = world.copies.newest;
                let env = self.protocol.recalled(newest, linux.slot, world.recorder);
                (env, linux.started && self.is_confirmed(world, env, linux))
            }
        };
        let reason = self.protocol.state(env).reason;
        confirmed
            || reason == Some(Reason::LastResort)
            // Good slots start anew for ever. That is the end where none of them works any more.
            || (reason == Some(Reason::AttemptsReset) && !self.good_slot_works(world, env))
    }

    /// Whether the running slot is confirmed, or was by this very boot: a copy lost since then
    /// takes that back, which the next boot finds out. What is unhealthy may only stay where no
    /// good slot works.
    fn is_confirmed(&self, world: &World, env: EnvId, linux: Linux) -> bool {
        match self.protocol.state(env).slot(linux.slot).state {
            SlotState::Good => true,
            SlotState::Trying => false,
            SlotState::Empty | SlotState::Writing | SlotState::Bad | SlotState::Unknown => {
                linux.verdict != Verdict::Pending
                    && (linux.health == Health::Healthy || !self.good_slot_works(world, env))
            }
        }
    }

    fn good_slot_works(&self, world: &World, env: EnvId) -> bool {
        SlotId::ALL.into_iter().any(|slot| {
            let content = world.slots.get(slot);
            self.protocol.state(env).slot(slot).state == SlotState::Good
                && content.wear == Wear::Fresh
                && content.complete().is_some_and(|system| self.nature(system) == Nature::Sound)
        })
    }
}

impl Graph {
    /// Judges both claims.
    pub(crate) fn judge_liveness(&self, model: &mut Model, scenario: &Scenario) -> Rest {
        let rest: Vec<bool> = self.worlds.iter().map(|world| model.is_rest(world)).collect();
        let reverse = self.reversed();
        let (boots, turning) = self.longest(&rest, &reverse);
        let claims = [
            (Invariant::Stuck, self.cannot_rest(&rest, &reverse)),
            (Invariant::TurnsForEver, turning),
        ];
        let broken = |(invariant, restless): (Invariant, Vec<bool>)| {
            let first = restless.iter().position(|restless| *restless)?;
            let mut steps = self.way(model, first);
            steps.extend(self.go_on(model, first, &restless));
            Some(Violation { invariant, steps, scenario: scenario.to_string() })
        };
        Rest { boots, violations: claims.into_iter().filter_map(broken).collect() }
    }

    /// One way on from a world without rest to others of that kind, until one comes again.
    fn go_on(&self, model: &mut Model, from: usize, restless: &[bool]) -> Vec<Step> {
        let (mut way, mut met, mut here) = (Vec::new(), vec![from], from);
        while let Some(edge) = self.edges(here).iter().find(|edge| restless[edge.target()]) {
            way.extend(self.step(model, here, edge.target()));
            here = edge.target();
            if met.contains(&here) {
                break;
            }
            met.push(here);
        }
        way
    }

    /// For each world the worlds before it, as offsets into one list.
    fn reversed(&self) -> Reversed {
        let mut begins = vec![0_usize; self.worlds.len() + 1];
        for from in 0..self.worlds.len() {
            for edge in self.edges(from) {
                begins[edge.target() + 1] += 1;
            }
        }
        for index in 1..begins.len() {
            begins[index] += begins[index - 1];
        }
        let mut filled = begins.clone();
        let mut sources = vec![(0, false); begins.last().copied().unwrap_or(0)];
        for from in 0..self.worlds.len() {
            for edge in self.edges(from) {
                let place = &mut filled[edge.target()];
                sources[*place] = (from, edge.is_fair());
                *place += 1;
            }
        }
        Reversed { begins, sources }
    }

    /// The worlds that cannot come to rest by fair steps.
    fn cannot_rest(&self, rest: &[bool], reverse: &Reversed) -> Vec<bool> {
        let mut can = rest.to_vec();
        let mut open: Vec<usize> = (0..can.len()).filter(|world| can[*world]).collect();
        while let Some(world) = open.pop() {
            for (source, fair) in reverse.of(world) {
                if *fair && !can[*source] {
                    can[*source] = true;
                    open.push(*source);
                }
            }
        }
        can.into_iter().map(|can| !can).collect()
    }

    /// The most boots to rest from anywhere, and the worlds that are on or before a cycle outside
    /// rest. Worlds are taken away from the end: one whose steps all lead to rest or to
    /// worlds taken before.
    fn longest(&self, rest: &[bool], reverse: &Reversed) -> (u32, Vec<bool>) {
        let mut open_steps: Vec<usize> = (0..rest.len()).map(|at| self.edges(at).len()).collect();
        let mut boots = vec![0_u32; rest.len()];
        let mut done = rest.to_vec();
        let mut open: Vec<usize> = (0..rest.len()).filter(|at| rest[*at]).collect();
        open.extend((0..rest.len()).filter(|at| !rest[*at] && open_steps[*at] == 0));
        while let Some(world) = open.pop() {
            if !rest[world] {
                done[world] = true;
                let most = self.edges(world).iter().map(|edge| edge.boots() + boots[edge.target()]);
                boots[world] = most.max().unwrap_or(0);
            }
            for (source, _) in reverse.of(world) {
                open_steps[*source] -= 1;
                if open_steps[*source] == 0 && !rest[*source] {
                    open.push(*source);
                }
            }
        }
        (boots.iter().copied().max().unwrap_or(0), done.into_iter().map(|done| !done).collect())
    }
}

struct Reversed {
    begins: Vec<usize>,
    sources: Vec<(usize, bool)>,
}

impl Reversed {
    fn of(&self, world: usize) -> &[(usize, bool)] {
        &self.sources[self.begins[world]..self.begins[world + 1]]
    }
}
