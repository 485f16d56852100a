// SPDX-License-Identifier: MIT OR Apache-2.0
//! What lies between the edges? Environments drawn from a number, the same for the same number.

use super::boundary::{ATTEMPTS, DISK, LASTS, ORDERS, OTHER_DISK, REASONS, STATES};
use super::case::{Around, Case, Content, Saving, Table, known};
use super::expect::is_modelled;
use bootctl::PerSlot;

/// Environment `number` of `seed`; half of its values are what we write, half are anything.
#[must_use]
pub fn seeded_case(seed: u64, number: u32) -> Case {
    let mut draw = Draw(seed.rotate_left(32) ^ u64::from(number));
    let order = draw.usual(&ORDERS[..5], &ORDERS);
    let [a, b] = [(); 2].map(|()| {
        (draw.usual(&STATES[..6], &STATES), draw.usual(&["0", "0", "1", "2", "3"], &ATTEMPTS))
    });
    let mark = draw.one_of(&["1", "1", "1", "1", "1", "1", "1", "1", "1", ""]);
    let disk = draw.one_of(&[DISK, DISK, DISK, DISK, DISK, DISK, OTHER_DISK, ""]);
    let case = Case::new(format!("seeded/{seed}/{number}"), known(order, a, b)).with(&[
        ("atomix_env", mark),
        ("atomix_disk", disk),
        ("atomix_last", draw.usual(&LASTS[..9], &LASTS)),
        ("atomix_reason", draw.usual(&["normal", "", "load-failed", "trying"], &REASONS)),
        ("atomix_returned", draw.one_of(&["", "", "A", "B"])),
        ("_RUT_OH_", draw.one_of(&["", "", "", "1"])),
        ("atomix_reset_data", draw.one_of(&["", "", "", "1"])),
        ("fdt_high", draw.one_of(&["", "", "", "0x1fffffff"])),
    ]);
    let saving = [Saving::Works; 7].into_iter().chain([Saving::Refused, Saving::Ignored]);
    let around = Around {
        table: draw.one_of(&[Table::Whole, Table::Whole, Table::Whole, Table::NoBootB]),
        slots: PerSlot { a: draw.content(), b: draw.content() },
        saving: draw.one_of(&saving.collect::<Vec<_>>()),
    };
    let case = case.around(around);
    if is_modelled(&case) { case } else { case.around(Around::WHOLE) }
}

/// Numbers that look random (splitmix64).
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end.max(1) as u64).unwrap_or(0)
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn usual<T: Copy>(&mut self, usual: &[T], all: &[T]) -> T {
        if self.below(2) == 0 { self.one_of(usual) } else { self.one_of(all) }
    }

    fn content(&mut self) -> Content {
        let all = [Content::Starts; 5].into_iter().chain([Content::Unsealed, Content::Returns]);
        self.one_of(&all.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_draws_the_same_environment_and_another_one_another() {
        assert_eq!(seeded_case(1, 7), seeded_case(1, 7));
        assert_ne!(seeded_case(1, 7).env, seeded_case(1, 8).env);
        assert_ne!(seeded_case(1, 7).env, seeded_case(2, 7).env);
    }
}
