// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix agent`: whoever tells this device of updates is asked, and what follows is done.

use crate::agent::due::{Asker, is_due, keep_next, since_boot};
use crate::agent::{Access, DeviceHands, is_forbidden};
use crate::agent_cli::{AgentCommand, HawkbitArgs, PollArgs};
use crate::commands::agent_hawkbit::HawkbitAgent;
use crate::commands::agent_status;
use crate::commands::agent_view::{self, RoundView};
use crate::commands::bundle::configured;
use crate::context::{Context, Machine};
use crate::failure::{Class, Failure};
use crate::output::Output;
use crate::signals::StopRequest;
use agents::agent::{
    Acting, AskError, Course, Ending, HandError, Hands, HttpFetch, OnceEnd, PollTerms, Polled,
    PolledServer, Reporter, RoundEnd, Speaks, once,
};
use agents::{
    AgentFacts, DEFAULT_INTERVAL, Decision, Memory, Metadata, Pace, PollSettings, SETTINGS_PATH,
    Settings, Source, Transport,
};
use bootctl::Force;
use std::error::Error;
use std::sync::Arc;

/// Runs a verb of `atomix agent`.
///
/// # Errors
/// [`Failure`].
pub fn run(context: &Context, command: &AgentCommand, out: &mut Output) -> Result<(), Failure> {
    if context.machine == Machine::Virtual && !matches!(command, AgentCommand::Status) {
        return Err(Failure::Usage {
            what: "a virtual board asks nobody for updates".to_owned(),
            hint: "work on a device, or below --root; `agent status` reads a board's record",
        });
    }
    let settings = Settings::read(&context.files).map_err(Failure::AgentSettings)?;
    let settings = settings.as_ref();
    match (command, settings, settings.map(|settings| &settings.source)) {
        (AgentCommand::Status, ..) => agent_status::status(context, settings, out),
        (AgentCommand::Poll(args), Some(settings), Some(Source::Poll(poll))) => {
            Agent { context, settings, poll }.poll(*args, out)
        }
        (AgentCommand::Run, Some(settings), Some(Source::Poll(poll))) => {
            Agent { context, settings, poll }.poll(PollArgs::default(), out)
        }
        (AgentCommand::Poll(_), Some(_), Some(Source::Hawkbit(_))) => {
            out.done("hawkBit tells of updates here; nothing to do")
        }
        (AgentCommand::Hawkbit(args), Some(settings), Some(Source::Hawkbit(hawkbit))) => {
            HawkbitAgent { context, settings, hawkbit }.follow(*args, out)
        }
        (AgentCommand::Run, Some(settings), Some(Source::Hawkbit(hawkbit))) => {
            HawkbitAgent { context, settings, hawkbit }.follow(HawkbitArgs::default(), out)
        }
        (AgentCommand::Confirm(args), Some(settings), Some(Source::Hawkbit(hawkbit))) => {
            HawkbitAgent { context, settings, hawkbit }.answer(args.action, None, out)
        }
        (AgentCommand::Deny(args), Some(settings), Some(Source::Hawkbit(hawkbit))) => {
            HawkbitAgent { context, settings, hawkbit }.answer(args.action, Some(&args.why), out)
        }
        (AgentCommand::Confirm(_) | AgentCommand::Deny(_), ..) => Err(Failure::Refused {
            what: "no hawkBit leads this device: no action waits for a yes".to_owned(),
            hint: "`atomix agent status` shows who tells of updates",
        }),
        (AgentCommand::Hawkbit(_), Some(_), Some(Source::Poll(_))) => {
            out.done("a server is polled for updates here; nothing to do")
        }
        (AgentCommand::Poll(_) | AgentCommand::Hawkbit(_) | AgentCommand::Run, ..) => {
            out.done(&format!("nobody tells of updates here: there is no {SETTINGS_PATH}"))
        }
    }
}

/// Polling on this device.
#[derive(Clone, Copy)]
struct Agent<'a> {
    context: &'a Context,
    settings: &'a Settings,
    poll: &'a PollSettings,
}

impl<'a> Agent<'a> {
    const fn terms(&self) -> PollTerms<'a> {
        PollTerms { policy: &self.settings.policy, poll: self.poll }
    }

    fn poll(&self, args: PollArgs, out: &mut Output<'_>) -> Result<(), Failure> {
        // Before the client's threads are there.
        let stop = StopRequest::listen_shared();
        let mut server = server(self.context, self.settings, self.poll, &stop)?;
        let terms = self.terms();
        if !args.once && !args.dry_run {
            let (mut hands, mut memory) = DeviceHands::new(self.context, self.settings, &stop, out);
            agents::agent::run(&mut hands, &mut server, terms, &mut memory);
            return Ok(());
        }
        self.one_round(args, &stop, &mut server, out)
    }

    fn one_round(
        &self,
        args: PollArgs,
        stop: &Arc<StopRequest>,
        server: &mut PolledServer<HttpFetch>,
        out: &mut Output<'_>,
    ) -> Result<(), Failure> {
        let terms = self.terms();
        let asker = if args.dry_run { Asker::Person } else { Asker::of_process() };
        let (mut hands, mut memory) = DeviceHands::new(self.context, self.settings, stop, out);
        if asker == Asker::Timer && !self.is_due(&mut hands, &memory)? {
            return self.tend(&mut hands, &mut memory);
        }
        let insist = if args.insist { Force::Yes } else { Force::No };
        let acting = if args.dry_run { Acting::DryRun } else { Acting::Act };
        let end = once(&mut hands, server, terms, &mut memory, (insist, acting));
        if acting == Acting::Act
            && let Err(failure) = keep_next(self.context, since_boot(), end.next)
        {
            hands.tell(&failure.as_warning());
        }
        let view = RoundView::new(&end, acting);
        agent_view::show_round(&view, &end, hands.out())?;
        let outcome = outcome(end);
        match asker {
            Asker::Person => outcome,
            Asker::Timer => for_timer(outcome),
        }
    }

    fn is_due(&self, hands: &mut DeviceHands<'_, '_>, memory: &Memory) -> Result<bool, Failure> {
        let facts = hands.facts(memory).map_err(Failure::Hand)?;
        let interval = self.poll.interval.unwrap_or(DEFAULT_INTERVAL);
        let pace = Pace::of_owner(interval, &self.settings.policy);
        Ok(is_due(self.context, &pace, &facts.device_id, since_boot()))
    }

    /// What is to be looked after between two questions: a restart that is due, a report.
    fn tend(&self, hands: &mut DeviceHands<'_, '_>, memory: &mut Memory) -> Result<(), Failure> {
        let course = &mut Course::new(hands, memory, &self.settings.policy);
        let due = course.due();
        if let (Some(url), false) =
            (&self.poll.report_url, matches!(due.ending, Ending::Restarting { .. }))
        {
            let facts = course.facts().map_err(Failure::Hand)?;
            let agent = AgentFacts::of("poll", course.memory());
            let _again = Reporter::to(url.clone()).report(course, &facts, &agent);
        }
        outcome_of_round(due)
    }
}

/// The server that the settings name.
fn server(
    context: &Context,
    settings: &Settings,
    poll: &PollSettings,
    stop: &Arc<StopRequest>,
) -> Result<PolledServer<HttpFetch>, Failure> {
    let stop = Arc::clone(stop);
    let fetch = HttpFetch {
        tls: Access::new(context, settings).tls()?,
        proxy: settings.proxy.clone(),
        stop: Some(Arc::new(move || stop.by())),
    };
    let speaks = match poll.metadata {
        Metadata::Original => Speaks::Original,
        Metadata::Signed => Speaks::Signed(Box::new(configured(context)?.0)),
    };
    PolledServer::new(fetch, speaks, &poll.server_url, Transport::HttpsOnly).map_err(Failure::Ask)
}

/// What a round means for an exit code.
fn outcome(end: OnceEnd) -> Result<(), Failure> {
    outcome_of_round(end.due)?;
    match end.polled {
        None | Some(Polled::Nothing) => Ok(()),
        Some(Polled::Unanswered(why)) => Err(Failure::Ask(why)),
        Some(Polled::Failed(failed)) => Err(Failure::Hand(failed)),
        Some(Polled::Took(end)) => outcome_of_round(end),
    }
}

/// What the course of an offer means for one.
pub(super) fn outcome_of_round(end: RoundEnd) -> Result<(), Failure> {
    let last = end.judgements.last();
    match end.ending {
        Ending::Judged => match last.map(|judged| (&judged.decision, judged.words())) {
            Some((Decision::Refuse { why }, words)) => Err(Failure::Refused {
                what: format!("the offered update is {words}"),
                hint: why.way_out(),
            }),
            Some(_) | None => Ok(()),
        },
        Ending::Unreachable { source, .. } => Err(of_bundle(source, false)),
        Ending::Refused(source) => Err(of_bundle(source, true)),
        Ending::Failed(failed) if is_forbidden(&failed) => Ok(()),
        Ending::Failed(failed) => Err(Failure::Hand(failed)),
        Ending::Installed(_) | Ending::Restarting { .. } | Ending::Stopped(_) => Ok(()),
    }
}

/// A failure of our own hands, as they had it.
fn of_bundle(source: Box<dyn Error + Send + Sync>, is_refused: bool) -> Failure {
    match source.downcast::<Failure>() {
        Ok(failure) => *failure,
        Err(source) => {
            let source = HandError { doing: "use the offered bundle".to_owned(), source };
            if is_refused {
                let what = storage::chain(&source);
                return Failure::Refused { what, hint: "the server has to offer another one" };
            }
            Failure::Hand(source)
        }
    }
}

/// A network that is not there, and an offer that is not taken, are no failure of a unit: they are
/// told, counted, and asked for again.
fn for_timer(outcome: Result<(), Failure>) -> Result<(), Failure> {
    match outcome {
        Err(Failure::Ask(AskError::NoAnswer(_) | AskError::Status { .. }))
        | Err(Failure::Fetch(_)) => Ok(()),
        Err(Failure::Refused { .. }) => Ok(()),
        Err(failure) if failure.class() == Class::Busy => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hand(source: Failure) -> Result<(), Failure> {
        Err(Failure::Hand(HandError { doing: "install".to_owned(), source: source.into() }))
    }

    /// Fails when a full `/data` hides as a round that went well, or when a unit goes red for what is
    /// only to be waited for.
    #[test]
    fn a_unit_fails_for_what_somebody_has_to_mend_and_waits_for_the_rest() {
        let full = for_timer(hand(Failure::NoRoom { what: "a bundle".to_owned() })).unwrap_err();
        assert_eq!(full.class(), Class::Failed);
        assert!(full.hint().unwrap().contains("make room"));
        for_timer(hand(Failure::Lock(updater::LockError::Busy { holder: Some(1) }))).unwrap();
        for_timer(Err(Failure::Refused { what: String::new(), hint: "" })).unwrap();
    }
}
