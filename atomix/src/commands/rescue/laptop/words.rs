// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a sight mean to the person with the cable in the hand?

use super::dialogue::Sight;
use crate::failure::Failure;
use crate::serial_line::Baud;
use std::time::Duration;

/// How the prompt of a board is opened that takes no text. The selector looks at the button when it
/// says that one may let go, 3 s after and 6 s after: it has to be up at the first of the two, and
/// down at the second.
macro_rules! button_way {
    () => {
        "hold the recovery button while you switch the board on, until you are told to let go (5 \
         s); let go at once, count to 4, then press it and hold it until the prompt comes"
    };
}

/// How a board gets time to be stopped, whether its system runs or not.
const TIME_WAY: &str = concat!(
    "where the system runs, `atomix uenv set bootdelay=3` gives it time; where it does not, ",
    button_way!()
);

/// What to say while it happens; nothing for what leads on by itself.
#[must_use]
pub fn explain(sight: Sight) -> Option<String> {
    Some(match sight {
        Sight::Banner => "U-Boot starts".to_owned(),
        Sight::EnvironmentLost => {
            "U-Boot found no whole copy of its environment and goes by its defaults".to_owned()
        }
        Sight::WantsText => "U-Boot waits for its stop text, and none was given: --stop-string or \
                             ATOMIX_STOP_STRING"
            .to_owned(),
        Sight::NoTime => "U-Boot asks for its stop text and gives no time to type it".to_owned(),
        Sight::TextRefused => {
            "U-Boot was not stopped by this text; the next start is another chance".to_owned()
        }
        Sight::KeyMissed => "U-Boot booted before a key reached it".to_owned(),
        Sight::Closed => {
            concat!("this board's U-Boot listens to nobody on the serial line: ", button_way!())
                .to_owned()
        }
        Sight::Button => "the recovery button is pressed: hold it until you are told to let go, \
                          5 s"
        .to_owned(),
        Sight::LetGo => "let go of the recovery button now, count to 4, then press it and hold it \
                         until the prompt comes"
            .to_owned(),
        Sight::Selected(slot, reason) => format!("the selector takes slot {slot}: {reason}"),
        Sight::Recovery => "the board is in recovery: it starts anew by itself".to_owned(),
        Sight::Kernel => "Linux starts".to_owned(),
        Sight::Login => "Linux asks for a login: `atomix rescue` there serves you as well; to \
                         reach U-Boot, switch the board off and on"
            .to_owned(),
        Sight::Shell => {
            "a shell waits: `atomix rescue` there serves you as well; to reach U-Boot, \
                         type `reboot`, or switch the board off and on"
                .to_owned()
        }
        Sight::FalsePrompt => "what looked like U-Boot's prompt does not answer".to_owned(),
        Sight::Silence => "nothing comes: is the board on, is ground connected, does its TX go to \
                           the adapter's RX and its RX to the adapter's TX"
            .to_owned(),
        Sight::Noise => "what comes is no text: is --baud the board's speed (Rock64: 1500000), is \
                         ground connected, can this adapter do it"
            .to_owned(),
        Sight::Prompt => "U-Boot's prompt answers".to_owned(),
    })
}

/// Why the prompt was not reached, and the way out.
#[must_use]
pub fn no_prompt(last: Option<Sight>, patience: Duration, baud: Baud) -> Failure {
    let secs = patience.as_secs();
    let failed = |what: &str, hint: &str| Failure::Board {
        what: format!("U-Boot's prompt was not reached in {secs} s: {what}"),
        hint: hint.to_owned(),
    };
    match last {
        None => failed(
            &format!("nothing at all came at {baud} baud"),
            "look at power, ground, and whether TX goes to RX, and whether this is the adapter: \
             `ls -l /dev/serial/by-id`; then start again and switch the board on",
        ),
        Some(Sight::Noise) => failed(
            &format!("what came at {baud} baud is no text"),
            "give the board's speed by --baud (Rock64: 1500000); cheap adapters cannot do it",
        ),
        Some(Sight::WantsText) => Failure::Refused {
            what: "this board's U-Boot wants a stop text, and none was given".to_owned(),
            hint: "set ATOMIX_STOP_STRING to the text whose hash the image was built with",
        },
        Some(Sight::NoTime) => Failure::Refused {
            what: "this board's U-Boot gives no time to type its stop text".to_owned(),
            hint: TIME_WAY,
        },
        Some(Sight::TextRefused) => Failure::Refused {
            what: "this board's U-Boot was not stopped by the stop text that was given".to_owned(),
            hint: concat!("give the text that the image was built for, or ", button_way!()),
        },
        Some(Sight::KeyMissed) => Failure::Refused {
            what: "this board's U-Boot gives no time to stop it by a key".to_owned(),
            hint: TIME_WAY,
        },
        Some(Sight::Closed) => Failure::Refused {
            what: "this board's U-Boot listens to nobody on the serial line".to_owned(),
            hint: button_way!(),
        },
        Some(Sight::Login | Sight::Shell) => failed(
            "Linux runs and waits for somebody",
            "log in and run `atomix rescue` there, or start again and switch the board off and on",
        ),
        Some(Sight::Kernel | Sight::Selected(..)) => failed(
            "Linux was started before",
            "start again and switch the board off and on; U-Boot can be stopped only while it \
             starts",
        ),
        Some(Sight::FalsePrompt) => failed(
            "something looked like it and did not answer",
            "connect the adapter's TX to the board's RX: it is heard but cannot answer",
        ),
        Some(
            Sight::Banner
            | Sight::EnvironmentLost
            | Sight::Button
            | Sight::LetGo
            | Sight::Recovery
            | Sight::Silence
            | Sight::Prompt,
        ) => failed(
            "U-Boot was heard, and did not stop",
            "start again and switch the board off and on",
        ),
    }
}
