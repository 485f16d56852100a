// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device, an offer to it, and what its owner allows: what the tests of decisions change one thing
//! of.

use super::*;
use crate::Memory;
use crate::test_facts::{facts, manifest};

/// Bundle 3, version 2.0, of which the server says everything.
fn offer() -> Offer {
    Offer {
        version: "2.0".to_owned(),
        manifest: Some(manifest(3)),
        file: None,
        size: Some(ByteLen::mib(100)),
        urls: vec!["https://updates.example/gateway.raucb".to_owned()],
        min_version: None,
        rollout: None,
        expires: None,
        urgency: Urgency::Ordinary,
        document: None,
    }
}

/// What the beginning of that bundle says.
fn looked() -> Looked {
    Looked {
        manifest: manifest(3),
        version: Some("2.0".to_owned()),
        compatible: "gateway".to_owned(),
        size: ByteLen::mib(100),
        transfer: ByteLen::mib(40),
    }
}

/// A device, an offer to it and what its owner allows.
pub struct Scene {
    pub facts: Facts,
    pub offer: Offer,
    pub looked: Looked,
    pub policy: Policy,
    pub memory: Memory,
    pub insist: Force,
}

impl Scene {
    pub fn new() -> Self {
        Self {
            facts: facts(),
            offer: offer(),
            looked: looked(),
            policy: Policy::default(),
            memory: Memory::default(),
            insist: Force::No,
        }
    }

    pub fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut scene = Self::new();
        change(&mut scene);
        scene
    }

    pub fn view(&self) -> View<'_> {
        View { memory: &self.memory, insist: self.insist }
    }

    pub fn claimed(&self) -> Judgement {
        judge_offer(&self.facts, &self.offer, &self.view(), &self.policy)
    }

    pub fn looked_at(&self) -> Judgement {
        judge_bundle(&self.facts, &self.offer, &self.looked, &self.view(), &self.policy)
    }

    pub fn waiting(&self) -> Judgement {
        judge_waiting(&self.facts, &self.view(), &self.policy)
    }

    pub fn forced(mut self) -> Self {
        self.offer.urgency = Urgency::Forced;
        self
    }

    pub fn insisted(mut self) -> Self {
        self.insist = Force::Yes;
        self
    }

    #[track_caller]
    pub fn refuses(&self, why: Rule) {
        let judgement = self.looked_at();
        assert_eq!(judgement.decision, Decision::Refuse { why }, "{:#?}", judgement.checks);
        assert_eq!(judgement.because().unwrap().verdict, Verdict::Refused);
    }

    #[track_caller]
    pub fn installs(&self) -> InstallOrder {
        match self.looked_at() {
            Judgement { decision: Decision::Install { order }, .. } => order,
            judgement => panic!("{judgement:#?}"),
        }
    }

    #[track_caller]
    pub fn waits(&self, for_rule: Rule) -> UnixTime {
        let judgement = self.looked_at();
        let Decision::Wait { until, why } = judgement.decision else {
            panic!("{judgement:#?}");
        };
        assert_eq!(why, for_rule);
        assert!(until > self.facts.clock.now);
        until
    }
}
