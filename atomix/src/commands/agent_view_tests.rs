// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is shown of a round fits a serial console of 80 columns, also where a server and the device
//! have much to say.

use super::*;
use agents::agent::{AskError, HandError};
use agents::{Check, Rule, Verdict};
use bootctl::SlotId;
use bundle::UnixTime;
use std::time::Duration;

const LONG: &str = "its manifest is 3f0c5f0c3a9be27d4416a1c08e53d7f2b690c3a9be27d4416a1c08e53d7f2b69, \
     the server named 5f0c3a9be27d4416a1c08e53d7f2b690c3a9be27d4416a1c08e53d7f2b69ffff";

fn judged(decision: Decision, rule: Rule, verdict: Verdict) -> Judgement {
    Judgement { decision, checks: vec![Check { rule, verdict, words: LONG.to_owned() }] }
}

fn waits() -> Judgement {
    let until = UnixTime(1_795_400_000);
    judged(Decision::Wait { until, why: Rule::Window }, Rule::Window, Verdict::Waits { until })
}

fn refused() -> Judgement {
    judged(Decision::Refuse { why: Rule::Manifest }, Rule::Manifest, Verdict::Refused)
}

fn failed() -> HandError {
    HandError { doing: LONG.to_owned(), source: LONG.into() }
}

fn shown(show: impl FnOnce(&mut Output<'_>)) -> String {
    let (mut data, mut people) = (Vec::new(), Vec::new());
    show(&mut Output { style: Style::Lines, data: &mut data, people: &mut people });
    let text = String::from_utf8(data).unwrap();
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "too wide: {line}\n{text}");
    }
    text
}

fn round(judgement: Judgement, ending: Ending) -> RoundEnd {
    RoundEnd { judgements: vec![judgement], ending, again: None }
}

#[test]
fn every_end_of_a_round_fits_the_columns() {
    let idle = || round(judged(Decision::Nothing, Rule::Reboot, Verdict::Passed), Ending::Judged);
    let unreachable = Ending::Unreachable { retry_after: None, source: LONG.into() };
    let polled = [
        None,
        Some(Polled::Unanswered(AskError::Redirects)),
        Some(Polled::Failed(failed())),
        Some(Polled::Nothing),
        Some(Polled::Took(round(waits(), Ending::Judged))),
        Some(Polled::Took(round(refused(), Ending::Refused(LONG.into())))),
        Some(Polled::Took(round(refused(), unreachable))),
        Some(Polled::Took(round(waits(), Ending::Installed(SlotId::B)))),
        Some(Polled::Took(round(waits(), Ending::Restarting { into: SlotId::B }))),
    ];
    for polled in polled {
        let end = OnceEnd { due: idle(), polled, next: Duration::from_secs(3600) };
        for acting in [Acting::Act, Acting::DryRun] {
            let view = RoundView::new(&end, acting);
            let text = shown(|out| show_round(&view, &end, out).unwrap());
            assert_eq!(
                text.is_empty(),
                matches!(end.polled, None | Some(Polled::Unanswered(_) | Polled::Failed(_)))
            );
        }
    }
    let held = OnceEnd {
        due: round(waits(), Ending::Judged),
        polled: None,
        next: Duration::from_secs(3600),
    };
    let view = RoundView::new(&held, Acting::Act);
    let text = shown(|out| show_round(&view, &held, out).unwrap());
    assert!(text.starts_with("not before 2026-11-23 "), "{text}");
}

#[test]
fn every_end_of_a_talk_and_every_preview_fits_the_columns() {
    for ending in [
        HawkbitEnding::Rests,
        HawkbitEnding::Restarting { into: SlotId::B },
        HawkbitEnding::Failed(failed()),
    ] {
        for judgements in [Vec::new(), vec![waits()], vec![waits(), refused()]] {
            let end = HawkbitEnd {
                judgements,
                ending: match &ending {
                    HawkbitEnding::Restarting { into } => HawkbitEnding::Restarting { into: *into },
                    HawkbitEnding::Failed(_) => HawkbitEnding::Failed(failed()),
                    HawkbitEnding::Rests | HawkbitEnding::Stopped(_) => HawkbitEnding::Rests,
                },
                took: None,
                trouble: None,
                failures: 0,
                wait: Duration::from_secs(300),
            };
            let text = shown(|out| show_talk(&end, out).unwrap());
            assert!(text.contains("into slot B") || text.contains("asked again in 300 s"));
        }
    }
    let seen = HawkbitPreview {
        judgements: vec![waits(), refused()],
        words: vec![LONG.to_owned()],
        ..HawkbitPreview::default()
    };
    let text = shown(|out| show_preview(&seen, out).unwrap());
    assert!(text.contains("way out: "), "{text}");
}
