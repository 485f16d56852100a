// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does U-Boot leave the trail of its decisions that the model leaves, start after start?

use super::choice::{Case, DISK, record};
use super::rig::{Rig, updated};
use ::uboot::{Env, TRAIL};
use bootctl::{BootState, SlotState, read_trail};
use e2e::sandbox::{Fault, SANDBOX};

/// Starts a board again and again and compares what each start leaves.
fn compare(rig: &Rig, case: &Case, starts: usize) -> Env {
    rig.prepare(case);
    let mut modelled = case.stored(&SANDBOX).unwrap_or_default();
    let mut state = case.read(&SANDBOX);
    for start in 0..starts {
        let now = Case { env: state.clone(), odd: Vec::new(), ..case.clone() };
        let model = now.choice(&SANDBOX);
        model.write_to(&mut modelled).unwrap();
        let ran = rig.run(&case.loads, Fault::None);
        let left = rig.store().load().unwrap().env;
        for name in TRAIL {
            assert_eq!(left.get(name), modelled.get(name), "{name} after start {start}: {ran:?}");
        }
        assert_eq!(ran.left.as_ref(), Some(&model.state), "start {start} of {case:?}");
        state = Some(model.state);
    }
    modelled
}

#[test]
fn the_sandbox_leaves_the_trail_that_the_model_leaves() {
    let rig = Rig::new();
    // An update that never comes up, the slot before it, and then by turns for ever.
    let env = compare(&rig, &Case::of(Some(updated()), (true, true)), 24);
    let words: Vec<String> =
        read_trail(&env).iter().map(|one| format!("{}.{}", one.number, one.decision)).collect();
    assert_eq!(words.len(), 14, "{words:?}");
    assert_eq!(words.last().unwrap(), "23.A0.fallback");
    // A slot that does not load, then an environment that is lost.
    compare(&rig, &Case::of(Some(updated()), (true, false)), 5);
    compare(&rig, &Case::of(None, (true, true)), 3);
    let bad = BootState {
        a: record(SlotState::Bad, 3),
        b: record(SlotState::Bad, 0),
        disk: Some(DISK),
        ..BootState::lost()
    };
    let env = compare(&rig, &Case::of(Some(bad), (true, true)), 2);
    assert_eq!(env.get("atomix_trail"), Some("00.A.last-resort 01.B.last-resort"));
}

#[test]
fn the_sandbox_clears_away_what_somebody_left_in_the_trail() {
    let rig = Rig::new();
    let full = "00.A2.normal ".repeat(13);
    let odd: [&[(&'static str, &'static str)]; 6] = [
        &[("atomix_trail", "x"), ("atomix_trail_ones", "8"), ("atomix_trail_tens", "9")],
        &[("atomix_trail_ones", "-o"), ("atomix_trail_tens", "because")],
        &[("atomix_trail", "1 2 3 4 5 6 7 8 9 10 11 12"), ("atomix_trail_ones", "8")],
        &[("atomix_trail", "1 2 3 4 5 6 7 8 9 10 11 12 13"), ("atomix_trail_ones", "9")],
        &[("atomix_digit", "7"), ("atomix_count", "reset"), ("atomix_remember", "reset")],
        &[("atomix_trail_before", "a b c"), ("atomix_trail_ones", "3")],
    ];
    for odd in odd {
        let case = Case { odd: odd.to_vec(), ..Case::of(Some(updated()), (true, true)) };
        compare(&rig, &case, 3);
    }
    // Text that a shell could obey is not compared; the choice must be the same.
    for odd in ["\"A", "'A", "; reset", "A \\", "${atomix_s}", full.trim()] {
        let odd = vec![("atomix_trail", Box::leak(odd.to_owned().into_boxed_str()) as &str)];
        let case = Case { odd, ..Case::of(Some(updated()), (true, true)) };
        rig.prepare(&case);
        rig.check_stored(&case.loads);
    }
}
