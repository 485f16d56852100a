// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which environments lie on an edge of what the selector decides by? All of them, by name.
//!
//! A name is the family, then what was varied: `attempts/A/trying/0x3`. Each family varies one
//! thing around an ordinary board, and crosses it with what decides whether it matters.

use super::case::{Around, Case, Content, Saving, Table, known};
use bootctl::{PerSlot, Reason};
use uboot::{Env, TEMPORARIES};

/// Identity of the disk that the board has.
pub const DISK: &str = "11111111-2222-3333-4444-555555abcdef";

/// That of another one.
pub const OTHER_DISK: &str = "99999999-2222-3333-4444-555555abcdef";

/// Every state, and what is none: absent, and words that are not exactly a state.
pub(super) const STATES: [&str; 13] = [
    "empty",
    "writing",
    "trying",
    "good",
    "bad",
    "unknown",
    "",
    "excellent",
    "Good",
    " good",
    "good ",
    "good -o x",
    "bad\tgood",
];

/// Every number of attempts that decides something, and what is none.
pub(super) const ATTEMPTS: [&str; 26] = [
    "0",
    "1",
    "2",
    "3",
    "8",
    "9",
    "",
    "10",
    "99999999999999999999",
    "4294967297",
    "-1",
    "+3",
    "0x3",
    "3h",
    "a",
    "F",
    "03",
    "00",
    " 3",
    "3 ",
    "\t3",
    "3 3",
    "3.0",
    "three",
    "3 -o x",
    "\u{663}",
];

/// Orders, and what someone else's tools write there.
pub(super) const ORDERS: [&str; 34] = [
    "",
    "A",
    "B",
    "A B",
    "B A",
    "A A",
    "B B",
    "A A B",
    "B B A",
    "A B A B",
    "A B A",
    "C",
    "C B A",
    "B C",
    "system0 system1",
    "a b",
    "AB",
    "A,B",
    "  B   A  ",
    "\tB\tA\t",
    "B\nA",
    "B\rA",
    "\u{b}B A",
    "\u{a0}A",
    "end A",
    "A end B",
    "# A",
    "\"B\" A",
    "'A B'",
    "B; reset",
    "${atomix_state_A}",
    "A \\",
    "*",
    "B A C D E F G H I J K L M N O P Q R S T U V W X Y Z A B A B A B",
];

/// What a last resort left behind, its pause counter at every edge, and what is nothing of it.
pub(super) const LASTS: [&str; 26] = [
    "", "A", "B", "A 1", "B 1", "A 2", "B 3", "A 4", "B 5", "A 5", "A 6", "B 0", "A 05", "A 10",
    "A x", "C", "C 2", "1", "3", "1 A", "A 1 1", " A 1", "A  1", "A\t1", "end", "B; reset",
];

/// Reasons that the boot before may have left, and what is none.
pub(super) const REASONS: [&str; 8] = [
    "",
    "load-failed",
    "LOAD-FAILED",
    " load-failed",
    "load-failed ",
    "load-failed; reset",
    "load-failed normal",
    "excellent",
];

/// Marks of an environment of ours, and what is none.
const MARKS: [&str; 9] = ["1", "", "0", "2", "01", "11", " 1", "1 ", "yes"];

/// The disk's name, its other spellings, and what is another one's.
const DISKS: [&str; 11] = [
    DISK,
    "",
    OTHER_DISK,
    "11111111-2222-3333-4444-555555ABCDEF",
    "{11111111-2222-3333-4444-555555abcdef}",
    "urn:uuid:11111111-2222-3333-4444-555555abcdef",
    "11111111222233334444555555abcdef",
    " 11111111-2222-3333-4444-555555abcdef",
    "11111111-2222-3333-4444-555555abcdef ",
    "11111111-2222-3333-4444-555555abcde",
    "00000000-0000-0000-0000-000000000000",
];

/// A bundle's identity, and what is none.
const DIGESTS: [&str; 8] = [
    "00112233445566778899aabbccddeeff",
    "00112233445566778899AABBCCDDEEFF",
    "00112233445566778899aabbccddeef",
    "00112233445566778899aabbccddeeff0",
    "zz112233445566778899aabbccddeeff",
    "0x112233445566778899aabbccddeeff",
    " 00112233445566778899aabbccddeeff",
    "-",
];

/// Every edge.
#[must_use]
pub fn boundary_cases() -> Vec<Case> {
    let mut cases = attempts();
    cases.extend(pairs());
    cases.extend(orders());
    cases.extend(identities());
    cases.extend(last_resorts());
    cases.extend(notes());
    cases.extend(contents());
    cases.extend(savings());
    cases.extend(lost());
    cases.extend(beside());
    cases.extend(leftovers());
    cases.extend(many_words());
    cases
}

fn plain() -> Env {
    known("B A", ("good", "3"), ("trying", "2"))
}

/// Each state with each number of attempts, in either slot, before and behind a good one.
fn attempts() -> Vec<Case> {
    let mut cases = Vec::new();
    for state in STATES {
        for left in ATTEMPTS {
            let one = (state, left);
            let good = ("good", "3");
            let name = |slot| format!("attempts/{slot}/{state:?}/{left:?}");
            cases.push(Case::new(name("A"), known("A B", one, good)));
            // Every second one of B, and behind A: the same code, another variable.
            if (state.len() + left.len()).is_multiple_of(2) {
                cases.push(Case::new(name("B"), known("A B", ("bad", "1"), one)));
            }
        }
    }
    cases
}

/// Each state with each, with attempts and without.
fn pairs() -> Vec<Case> {
    let mut cases = Vec::new();
    for a in &STATES[..7] {
        for b in &STATES[..7] {
            for (order, left) in [("A B", ("0", "0")), ("B A", ("1", "0")), ("", ("1", "1"))] {
                let name = format!("pairs/{a:?}/{b:?}/{order:?}");
                cases.push(Case::new(name, known(order, (a, left.0), (b, left.1))));
            }
        }
    }
    cases
}

fn orders() -> Vec<Case> {
    let mut cases = Vec::new();
    for order in ORDERS {
        for (kind, a, b) in [
            ("tried", ("good", "3"), ("trying", "2")),
            ("spent", ("good", "0"), ("good", "0")),
            ("bad", ("bad", "0"), ("bad", "0")),
        ] {
            cases.push(Case::new(format!("order/{kind}/{order:?}"), known(order, a, b)));
        }
    }
    cases
}

/// Whose environment is it?
fn identities() -> Vec<Case> {
    let marks = MARKS
        .into_iter()
        .map(|mark| Case::new(format!("mark/{mark:?}"), plain()).with(&[("atomix_env", mark)]));
    let mut cases: Vec<Case> = marks.collect();
    for disk in DISKS {
        for table in [Table::Whole, Table::NoBootB, Table::Unreadable] {
            let case = Case::new(format!("disk/{table:?}/{disk:?}"), plain());
            let around = Around { table, ..Around::WHOLE };
            cases.push(case.with(&[("atomix_disk", disk)]).around(around));
        }
    }
    cases
}

fn last_resorts() -> Vec<Case> {
    let mut cases = Vec::new();
    for last in LASTS {
        for (kind, b, slots) in [
            ("both", "bad", (Content::Starts, Content::Starts)),
            ("A-unsealed", "unknown", (Content::Unsealed, Content::Starts)),
            ("B-writing", "writing", (Content::Starts, Content::Starts)),
            ("B-tried", "trying", (Content::Starts, Content::Starts)),
        ] {
            let env = known("B A", ("bad", "0"), (b, "0"));
            let case = Case::new(format!("last/{kind}/{last:?}"), env);
            cases.push(case.with(&[("atomix_last", last)]).around(holding(slots)));
        }
        // An ordinary boot, after which the pauses begin anew.
        let case = Case::new(format!("last/ordinary/{last:?}"), plain());
        cases.push(case.with(&[("atomix_last", last)]));
    }
    cases
}

/// What the boot before left as its reason.
fn notes() -> Vec<Case> {
    let mut cases = Vec::new();
    let proper = Reason::ALL.map(Reason::as_str).into_iter();
    for reason in proper.chain(REASONS.into_iter().filter(|text| *text != "load-failed")) {
        for (kind, env) in [
            ("trying", plain()),
            ("normal", known("A", ("good", "3"), ("empty", ""))),
            ("fallback", known("B A", ("good", "3"), ("trying", "0"))),
            ("reset", known("A", ("good", "0"), ("empty", ""))),
            ("unknown", known("A B", ("unknown", "3"), ("unknown", "3"))),
            ("last", known("A B", ("bad", "0"), ("bad", "0"))),
        ] {
            let case = Case::new(format!("reason/{kind}/{reason:?}"), env);
            cases.push(case.with(&[("atomix_reason", reason)]));
        }
    }
    cases
}

/// What the slots hold is not what the environment says.
fn contents() -> Vec<Case> {
    use Content::{Returns, Starts, Unsealed};
    let mut cases = Vec::new();
    for slots in [(Starts, Unsealed), (Unsealed, Starts), (Unsealed, Unsealed)] {
        for (kind, env) in decided_kinds() {
            cases.push(Case::new(format!("content/{slots:?}/{kind}"), env).around(holding(slots)));
        }
    }
    for slots in [(Starts, Returns), (Returns, Starts), (Returns, Returns)] {
        for (kind, env) in decided_kinds() {
            let case = Case::new(format!("content/{slots:?}/{kind}"), env);
            cases.push(case.with(&[("bootargs", "of the slot")]).around(holding(slots)));
        }
    }
    cases.retain(super::expect::is_modelled);
    cases
}

/// Nothing can be saved, or it only seems so.
fn savings() -> Vec<Case> {
    use Content::{Starts, Unsealed};
    let mut cases = Vec::new();
    for saving in [Saving::Refused, Saving::Ignored] {
        for slots in [(Starts, Starts), (Unsealed, Starts), (Starts, Unsealed)] {
            for (kind, env) in decided_kinds() {
                let case = Case::new(format!("save/{saving:?}/{slots:?}/{kind}"), env);
                cases.push(case.around(Around { saving, ..holding(slots) }));
            }
        }
        for a in &STATES[..7] {
            for b in &STATES[..7] {
                let case = Case::new(
                    format!("save/{saving:?}/{a:?}/{b:?}"),
                    known("B A", (a, "1"), (b, "1")),
                );
                cases.push(case.around(Around { saving, ..Around::WHOLE }));
            }
        }
    }
    cases
}

/// The environment is gone.
fn lost() -> Vec<Case> {
    use Content::{Starts, Unsealed};
    let mut cases = Vec::new();
    for slots in [(Starts, Starts), (Unsealed, Starts), (Starts, Unsealed), (Unsealed, Unsealed)] {
        for saving in [Saving::Works, Saving::Refused, Saving::Ignored] {
            for table in [Table::Whole, Table::NoBootB, Table::Unreadable] {
                let around = Around { table, saving, ..holding(slots) };
                let place = format!("{table:?}/{saving:?}/{slots:?}");
                let erased = Case::new(format!("lost/erased/{place}"), Env::new()).around(around);
                cases.push(Case { env: None, ..erased });
                cases.push(
                    Case::new(format!("lost/no-variable/{place}"), Env::new()).around(around),
                );
                let foreign = Case::new(format!("lost/foreign/{place}"), plain()).around(around);
                cases.push(foreign.with(&[("atomix_disk", OTHER_DISK)]));
            }
        }
    }
    cases
}

/// Variables beside the boot state: kept, or forgotten with the board they belonged to.
fn beside() -> Vec<Case> {
    let all = [
        ("fdt_high", "0xffffffffffffffff"),
        ("initrd_high", "0x1fffffff"),
        ("bootm_low", "0x10000000"),
        ("bootm_size", "0x1000"),
        ("bootm_mapsize", "0x1000"),
        ("_RUT_OH_", "1"),
        ("atomix_reset_data", "1"),
        ("START_UMS", "1"),
        ("serial#", "ab 12"),
        ("atomix_returned", "B"),
        ("atomix_digest_A", "00112233445566778899aabbccddeeff"),
        ("atomix_failed", "00112233445566778899aabbccddeeff"),
        ("atomix_of_tomorrow", "1"),
        ("bootargs", "root=/dev/other"),
        ("escaped", "a\\;b\\\\c\\"),
        ("bootcmd", "run other"),
        ("bootdelay", "-1"),
        ("preboot", "setenv BOOT_ORDER B"),
        ("bootcount", "7"),
        ("bootlimit", "3"),
        ("altbootcmd", "reset"),
        ("upgrade_available", "1"),
    ];
    let whose: [(&str, &[(&str, &str)]); 4] = [
        ("ours", &[]),
        ("foreign", &[("atomix_disk", OTHER_DISK)]),
        ("unbound", &[("atomix_disk", "")]),
        ("lost", &[("atomix_env", "")]),
    ];
    let mut cases = Vec::new();
    for (kind, marks) in whose {
        for one in all {
            let case = Case::new(format!("beside/{kind}/{}", one.0), plain());
            cases.push(case.with(&[one]).with(marks));
        }
        cases.push(Case::new(format!("beside/{kind}/all"), plain()).with(&all).with(marks));
    }
    for digest in DIGESTS {
        let full = [digest; 8].join(" ");
        let over = [digest; 9].join(" ");
        for (kind, name, value) in [
            ("A", "atomix_digest_A", digest),
            ("B", "atomix_digest_B", digest),
            ("full", "atomix_failed", &full),
            ("over", "atomix_failed", &over),
        ] {
            let case = Case::new(format!("digest/{kind}/{digest:?}"), plain());
            cases.push(case.with(&[(name, value)]));
        }
    }
    for returned in ["A", "B", "C", "A B", " A", "1"] {
        let case = Case::new(format!("returned/{returned:?}"), plain());
        cases.push(case.with(&[("atomix_returned", returned)]));
    }
    for reset in [DISK, "1", "yes", "A; reset"] {
        let case = Case::new(format!("reset-data/{reset:?}"), plain());
        cases.push(case.with(&[("atomix_reset_data", reset)]));
    }
    cases
}

/// What an earlier run or a hostile hand left in the selector's own variables.
fn leftovers() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in TEMPORARIES.into_iter().chain(["atomix_s"]) {
        for (kind, env) in decided_kinds() {
            for value in ["B", "1"] {
                let case = Case::new(format!("leftover/{name}={value}/{kind}"), env.clone());
                cases.push(case.with(&[(name, value)]));
            }
        }
    }
    for name in ["bootcmd", "atomix_select", "atomix_choose", "atomix_try", "atomix_start"] {
        let case = Case::new(format!("leftover/{name}"), plain());
        cases.push(case.with(&[(name, "setenv atomix_slot A; run atomix_load_A; source 0x0")]));
    }
    cases
}

/// More words than a command of U-Boot takes, and more text than anybody expects.
fn many_words() -> Vec<Case> {
    let words = |first: &str| format!("{first}{}", " x".repeat(100));
    let long = "9".repeat(3000);
    let stale = [("atomix_left", "3"), ("atomix_state", "good"), ("atomix_note", "load-failed")];
    let mut cases = Vec::new();
    for (name, first) in [
        ("BOOT_ORDER", "A"),
        ("BOOT_A_LEFT", "3"),
        ("BOOT_B_LEFT", "3"),
        ("atomix_state_A", "good"),
        ("atomix_state_B", "good"),
        ("atomix_last", "A"),
        ("atomix_reason", "load-failed"),
        ("atomix_disk", DISK),
        ("atomix_env", "1"),
    ] {
        for (kind, env) in decided_kinds() {
            for (text, value) in [("words", words(first)), ("long", long.clone())] {
                let case = Case::new(format!("huge/{name}/{text}/{kind}"), env.clone());
                cases.push(case.with(&stale).with(&[(name, &value)]));
            }
        }
    }
    cases
}

/// One environment for each way in which the selector comes to its choice.
fn decided_kinds() -> [(&'static str, Env); 9] {
    [
        ("normal", known("A", ("good", "3"), ("empty", ""))),
        ("trying", plain()),
        ("fallback", known("B A", ("good", "3"), ("trying", "0"))),
        ("spent", known("B", ("bad", "0"), ("trying", "0"))),
        ("reset", known("A B", ("good", "0"), ("good", "0"))),
        ("outside", known("A", ("bad", "0"), ("good", "0"))),
        ("unknown", known("A B", ("unknown", "1"), ("unknown", "0"))),
        ("last", known("A B", ("bad", "0"), ("bad", "0"))),
        ("nothing", known("A B", ("empty", "3"), ("writing", "3"))),
    ]
}

fn holding(slots: (Content, Content)) -> Around {
    Around { slots: PerSlot { a: slots.0, b: slots.1 }, ..Around::WHOLE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edge_has_a_name_of_its_own() {
        let cases = boundary_cases();
        let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
