// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix agent hawkbit`: the device and its hawkBit server.

use crate::agent::{Access, DeviceHands, Operator};
use crate::agent_cli::HawkbitArgs;
use crate::commands::agent::outcome_of_round;
use crate::commands::agent_view;
use crate::context::Context;
use crate::device_name::device_name;
use crate::failure::Failure;
use crate::output::Output;
use crate::signals::StopRequest;
use agents::agent::{
    Ending, HandError, HawkbitEnd, HawkbitEnding, HawkbitTerms, RoundEnd, hawkbit_once,
    preview_hawkbit, run_hawkbit,
};
use agents::ddi::{ActionId, DdiError, DdiState, DdiTrouble, HttpExchange, HttpWay, Server, Stage};
use agents::{ConfirmRule, HawkbitSettings, Judgement, MemoryStore, Settings, Transport};
use bootctl::Force;
use std::sync::Arc;

/// hawkBit on this device.
#[derive(Clone, Copy)]
pub struct HawkbitAgent<'a> {
    /// The device.
    pub context: &'a Context,
    /// The agent's.
    pub settings: &'a Settings,
    /// Whom it follows.
    pub hawkbit: &'a HawkbitSettings,
}

impl HawkbitAgent<'_> {
    /// Follows the server until it is stopped, or asks once.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn follow(&self, args: HawkbitArgs, out: &mut Output<'_>) -> Result<(), Failure> {
        // Before the client's threads are there.
        let stop = StopRequest::listen_shared();
        let (mut hands, mut memory) = DeviceHands::new(self.context, self.settings, &stop, out);
        let exchange = self.exchange(&stop)?;
        let server = self.server()?;
        let operator = Operator::of(self.context);
        let terms = HawkbitTerms {
            policy: &self.settings.policy,
            server: &server,
            exchange: &exchange,
            operator: match self.hawkbit.confirm {
                ConfirmRule::Auto => None,
                ConfirmRule::Operator => Some(&operator),
            },
        };
        let insist = if args.insist { Force::Yes } else { Force::No };
        if args.dry_run {
            let seen = preview_hawkbit(&mut hands, terms, &mut memory, insist);
            let seen = seen.map_err(Failure::Hand)?;
            agent_view::show_preview(&seen, hands.out())?;
            return outcome_of_offer((seen.judgements, seen.took), seen.trouble);
        }
        if !args.once {
            run_hawkbit(&mut hands, terms, &mut memory);
            return Ok(());
        }
        let end = hawkbit_once(&mut hands, terms, &mut memory, insist);
        agent_view::show_talk(&end, hands.out())?;
        outcome(end)
    }

    /// Keeps the operator's word on the action that waits for one: a yes, or a no with its reason.
    ///
    /// # Errors
    /// [`Failure::Refused`] where no such action waits.
    pub fn answer(
        &self,
        action: i64,
        no: Option<&str>,
        out: &mut Output<'_>,
    ) -> Result<(), Failure> {
        let hint = "`atomix agent status` shows the action; `confirm = \"operator\"` in \
                    [os_upgrade.hawkbit] has it wait";
        let refused = |what: String| Err(Failure::Refused { what, hint });
        if self.hawkbit.confirm == ConfirmRule::Auto {
            return refused("this device says yes by itself".to_owned());
        }
        let (_, memory, _) = MemoryStore::load(&self.context.files);
        let known = DdiState::from_record(memory.action.as_ref()).ok();
        let waits = known
            .and_then(|known| known.action)
            .is_some_and(|known| known.id == ActionId(action) && known.stage == Stage::Confirming);
        if !waits {
            return refused(format!("action {action} does not wait for a yes"));
        }
        Operator::of(self.context).say(ActionId(action), no)?;
        out.done(&format!("kept; the agent tells hawkBit about action {action} when it asks next"))
    }

    /// The device's place there, by the name that its owner gave it or by its own.
    fn server(&self) -> Result<Server, Failure> {
        let owners = self.hawkbit.target_id.as_deref();
        let named = device_name(self.context, owners, &mut Vec::new());
        // Under a name that is not its own it would take the actions of all the others.
        let Some(name) = &named.name else {
            return Err(Failure::Usage {
                what: format!("hawkBit cannot know this device: {}", named.words()),
                hint: "set target_id in [os_upgrade.hawkbit]",
            });
        };
        let place = (self.hawkbit.tenant.as_str(), name.as_str());
        Server::new(&self.hawkbit.url, Transport::HttpsOnly, place).map_err(cannot_talk)
    }

    fn exchange(&self, stop: &Arc<StopRequest>) -> Result<HttpExchange, Failure> {
        let access = Access::new(self.context, self.settings);
        let stop = Arc::clone(stop);
        let way = HttpWay {
            tls: access.tls()?,
            proxy: self.settings.proxy.clone(),
            stop: Some(Arc::new(move || stop.by())),
        };
        Ok(HttpExchange::new(access.credentials()?, way))
    }
}

fn cannot_talk(odd: DdiError) -> Failure {
    Failure::Hand(HandError { doing: "talk with hawkBit".to_owned(), source: odd.into() })
}

/// What a talk means for an exit code.
fn outcome(end: HawkbitEnd) -> Result<(), Failure> {
    match end.ending {
        HawkbitEnding::Failed(failed) => Err(Failure::Hand(failed)),
        HawkbitEnding::Rests => outcome_of_offer((end.judgements, end.took), end.trouble),
        HawkbitEnding::Restarting { .. } | HawkbitEnding::Stopped(_) => Ok(()),
    }
}

/// As for a polled server. What became of the offer counts first: that the server could not be told of
/// it as well is its smaller part.
fn outcome_of_offer(
    (judgements, took): (Vec<Judgement>, Option<Ending>),
    trouble: Option<DdiTrouble>,
) -> Result<(), Failure> {
    let ending = took.unwrap_or(Ending::Judged);
    outcome_of_round(RoundEnd { judgements, ending, again: None })?;
    trouble.map_or(Ok(()), |trouble| Err(Failure::Hawkbit(trouble)))
}
