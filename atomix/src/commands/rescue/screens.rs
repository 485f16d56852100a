// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which screens are there, and what do they say before something is changed?

use super::menu::{Act, ERASE_WORD, Purpose, Screen, Then, list, question, words};
use std::path::PathBuf;
use storage::ByteLen;

/// Most bundles offered on one screen; one digit is left for another directory.
pub const MAX_OFFERED: usize = 8;

/// As many records as fill one page below the fallback.
const WHY_RECORDS: &str = "8";

/// A bundle that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where.
    pub path: PathBuf,
    /// How large.
    pub bytes: u64,
}

/// The main menu.
#[must_use]
pub fn main() -> Screen {
    let run = |line: &[&str]| Then::Do(Act::Run(words(line)));
    let lines = [
        ("Status: slots, attempts, what boots next", run(&["status"])),
        ("Boot state, variable by variable", run(&["boot", "state"])),
        ("Why the last fallback happened", run(&["why", "--last", WHY_RECORDS])),
        ("Logs: flight recorder, messages of this boot", Then::Do(Act::Logs)),
        ("Mark a slot, or choose what boots next", Then::Open(Box::new(marks()))),
        ("Install from a USB stick", Then::Do(Act::FindBundles(None))),
        ("Empty the data partition (factory reset)", Then::Open(Box::new(data()))),
        ("Doctor: what would make the next update fail", run(&["doctor"])),
        ("Root shell, or reboot", Then::Open(Box::new(leave()))),
    ];
    let lines = lines.into_iter().map(|(label, then)| (label.to_owned(), then)).collect();
    list("main menu", &[], lines, ("Quit", Then::Do(Act::Quit)))
}

/// The three boot-state verbs and the rollback.
fn marks() -> Screen {
    let mut lines = vec![(
        "Roll back: boot the other slot next".to_owned(),
        question(
            "roll back?",
            &[
                "The other slot boots next, and stays first from then on. It must be good.",
                "The slot that runs now is kept as it is.",
                "This is `atomix rollback`.",
            ],
            Act::Run(words(&["rollback"])),
        ),
    )];
    for slot in ["A", "B"] {
        lines.push((format!("Boot slot {slot} next (mark active)"), mark_active(slot)));
    }
    for slot in ["A", "B"] {
        lines.push((format!("Mark slot {slot} as good"), mark_good(slot)));
    }
    for slot in ["A", "B"] {
        lines.push((format!("Mark slot {slot} as bad"), mark_bad(slot)));
    }
    list("mark a slot", &[], lines, ("Back", Then::Back))
}

fn mark_active(slot: &str) -> Then {
    question(
        &format!("boot slot {slot} next?"),
        &[
            "The slot becomes the first in the order and gets 3 attempts.",
            "It must hold a whole system; a bad one is refused.",
            &format!("This is `atomix boot mark-active {slot}`."),
        ],
        Act::Run(words(&["boot", "mark-active", slot])),
    )
}

fn mark_good(slot: &str) -> Then {
    question(
        &format!("mark slot {slot} as good?"),
        &[
            "The slot counts as confirmed without the health check.",
            "Only the booted slot can be marked so, unless it is good already.",
            &format!("This is `atomix boot mark-good {slot}`."),
        ],
        Act::Run(words(&["boot", "mark-good", slot])),
    )
}

fn mark_bad(slot: &str) -> Then {
    question(
        &format!("mark slot {slot} as bad?"),
        &[
            "The slot is not booted any more, except as the last resort. Its bundle is not",
            "installed again by itself. The last good slot is refused.",
            &format!("This is `atomix boot mark-bad {slot}`."),
        ],
        Act::Run(words(&["boot", "mark-bad", slot])),
    )
}

fn data() -> Screen {
    let keep = Then::Do(Act::Run(words(&["repart", "--keep-data"])));
    let lines = vec![
        ("Empty it at the next boot".to_owned(), Then::Open(Box::new(erase()))),
        ("Take that request back".to_owned(), keep),
    ];
    list("data partition", &[], lines, ("Back", Then::Back))
}

fn erase() -> Screen {
    Screen::Entry {
        title: "empty the data partition?".to_owned(),
        note: vec![
            "Everything on /data is lost at the next boot: settings, accounts, logs.".to_owned(),
            "Both slots stay as they are. Nothing happens before the next boot, and".to_owned(),
            "the request can be taken back until then.".to_owned(),
            String::new(),
            format!("Type {ERASE_WORD} and Return to ask for it; Return alone goes back."),
        ],
        typed: String::new(),
        purpose: Purpose::EraseData,
    }
}

fn leave() -> Screen {
    let reboot = question(
        "reboot?",
        &[
            "The board shuts down in order and boots what `Status` says boots next.",
            "A good slot gets its attempts back.",
        ],
        Act::Reboot,
    );
    let lines = vec![
        ("Root shell; `exit` comes back here".to_owned(), Then::Do(Act::Shell)),
        ("Reboot".to_owned(), reboot),
    ];
    list("shell or reboot", &[], lines, ("Back", Then::Back))
}

/// The bundles that were found.
#[must_use]
pub fn candidates(found: &[Candidate], looked: &[String]) -> Screen {
    let place = if looked.is_empty() { "nowhere".to_owned() } else { looked.join(", ") };
    let mut note = vec![format!("Looked in {place}.")];
    if found.is_empty() {
        note.push("No *.raucb is there. Plug the stick in and look again, or name a".to_owned());
        note.push("directory.".to_owned());
    } else {
        note.push("The bundle is verified first, then you are asked again.".to_owned());
    }
    if found.len() > MAX_OFFERED {
        let more = found.len() - MAX_OFFERED;
        note.push(format!("{more} more are not shown: name their directory."));
    }
    let offer = |bundle: &Candidate| {
        let size = ByteLen::new(bundle.bytes);
        let label = format!("{} ({size})", bundle.path.display());
        (label, Then::Do(Act::Inspect(bundle.path.clone())))
    };
    let mut lines: Vec<_> = found.iter().take(MAX_OFFERED).map(offer).collect();
    lines.push(("Look in another directory".to_owned(), Then::Open(Box::new(directory()))));
    let note: Vec<&str> = note.iter().map(String::as_str).collect();
    list("install from a USB stick", &note, lines, ("Back", Then::Back))
}

fn directory() -> Screen {
    Screen::Entry {
        title: "look in another directory".to_owned(),
        note: vec!["Type its path and Return; Return alone goes back.".to_owned()],
        typed: String::new(),
        purpose: Purpose::Directory,
    }
}

/// A bundle that was verified, with what an install of it would do.
#[must_use]
pub fn offer(bundle: PathBuf, said: &[String]) -> Screen {
    let lines = vec![(
        "Install it now".to_owned(),
        question(
            "install?",
            &[
                "The inactive slots are written and read back; the running system stays. When",
                "it is done the new system boots next and has 3 attempts to prove itself.",
                "Do not pull the stick and keep the power on; a cut leaves this system bootable.",
            ],
            Act::Install(bundle),
        ),
    )];
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    list("this bundle is true", &said, lines, ("Back", Then::Back))
}

/// What a command said.
#[must_use]
pub fn text(title: &str, lines: Vec<String>) -> Screen {
    Screen::Text { title: title.to_owned(), lines, top: 0 }
}
