// SPDX-License-Identifier: MIT OR Apache-2.0
//! The power goes at every write, flush and file change of RAUC's install on slots without a seal.
//! Afterwards the boot loader names a slot that is whole, the status calls nothing done that is
//! not, and the same install converges. That the boot loader keeps its own marks whole is its
//! backend's matter and tested there; here each mark happens or does not.

use crate::rauc::{TWO_GROUPS, World, bundle_file, image, install, install_well, status_of};
use std::path::Path;
use storage::{CutAt, CutPlan};
use updater::SlotStatusState;
use updater::system::InstallRequest;

const CENTRAL: &str = "statusfile=@/central.raucs";
/// Different fates for what was not flushed at the cut.
const SEEDS: [u64; 2] = [1, 77];

fn install_until(world: &World, file: &Path, at: CutAt, seed: u64) -> CutPlan {
    let plan = CutPlan::new(at, seed);
    let config = world.config(CENTRAL, TWO_GROUPS);
    let mut system = world.start_with(config, world.parts_until(&plan));
    let (done, _) = install(&mut system, &InstallRequest::default(), file, &|| None);
    assert!(done.is_ok() || plan.is_cut(), "{}", done.unwrap_err().text());
    plan
}

#[test]
fn power_cut_at_every_act_leaves_a_whole_primary_and_a_status_that_does_not_lie() {
    // Several writes each.
    let images = [image(1, 3_500_000), image(8, 1_200_000)];
    let slots = ["rootfs", "appfs"];
    let make = |world: &World| {
        bundle_file(
            world.dir.path(),
            "b.raucb",
            "[image.rootfs]\nfilename=r.img\n[image.appfs]\nfilename=a.img\n",
            &[("r.img", &images[0]), ("a.img", &images[1])],
        )
    };
    let shared = World::new();
    let file = make(&shared);
    let operations = install_until(&shared, &file, CutAt::Never, 0).operations();
    assert!(operations > 12, "{operations} acts");
    for seed in SEEDS {
        for at in 0..operations {
            let world = World::new();
            let context = format!("cut at {at} with seed {seed}");
            let plan = install_until(&world, &file, CutAt::Operation(at), seed);
            assert!(plan.is_cut(), "{context}: the install has fewer acts");
            let whole = |number: usize| {
                world.slot(&format!("{}-1", slots[number])).starts_with(&images[number])
            };
            let memory = world.boot.memory.lock().unwrap().clone();
            assert!(memory.primary == "A" || (whole(0) && whole(1)), "{context}");
            assert!(!memory.good.contains("B") || memory.primary == "B" || at == 0, "{context}");
            for slot in slots {
                let booted = world.slot(&format!("{slot}-0"));
                assert!(booted.iter().all(|byte| *byte == b'o'), "{context}: {slot}.0 changed");
            }
            let mut system = world.start(world.config(CENTRAL, TWO_GROUPS));
            for (number, slot) in slots.into_iter().enumerate() {
                let status = status_of(&mut system, &format!("{slot}.1"));
                let done = status.state == Some(SlotStatusState::Ok);
                assert!(!done || whole(number), "{context}: {slot}.1 is called ok");
            }
            install_well(&mut system, &file);
            assert!(whole(0) && whole(1), "{context}: repeat does not converge");
            assert_eq!(world.boot.memory.lock().unwrap().primary, "B", "{context}");
        }
    }
}
