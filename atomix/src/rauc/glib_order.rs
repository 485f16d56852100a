// SPDX-License-Identifier: MIT OR Apache-2.0
//! In which order does RAUC list what it keeps in a hash table? Slots and repositories: scripts
//! count them (`RAUC_REPO_NAME_2`), and RAUC's own tests do. The order is that of GLib's table of
//! texts, filled in the order of the names given here.
//!
//! GLib hashes a text by `h * 33 + byte` from 5381, takes `h * 11` modulo a prime below the table's
//! size, and looks 1, 3, 6, 10 … places further while the place is taken. The table has 8 places
//! and grows to the next power of two above 4/3 of its content when it is full.

/// The largest prime below each table size from 8 on, which GLib takes.
const PRIMES: [u32; 9] = [7, 13, 31, 61, 127, 251, 509, 1021, 2039];
/// The smallest table has `1 << 3` places.
const SMALLEST: usize = 3;

fn hash(name: &str) -> u32 {
    let step = |hash: u32, byte: u8| {
        // GLib adds a signed byte.
        let byte = i32::from(byte.cast_signed()).cast_unsigned();
        hash.wrapping_mul(33).wrapping_add(byte)
    };
    match name.bytes().fold(5381, step) {
        // These two mark places that are free.
        0 | 1 => 2,
        hash => hash,
    }
}

/// The places of a table, each with the number of a name.
struct Table {
    places: Vec<Option<usize>>,
    prime: u32,
}

impl Table {
    fn of(shift: usize) -> Option<Self> {
        let prime = *PRIMES.get(shift.checked_sub(SMALLEST)?)?;
        Some(Self { places: vec![None; 1 << shift], prime })
    }

    /// The first place for a hash for which `is_free` holds.
    fn place(&self, hash: u32, is_free: impl Fn(usize) -> bool) -> usize {
        let mut at = (hash.wrapping_mul(11) % self.prime) as usize;
        let mut step = 0;
        while !is_free(at) && step < self.places.len() {
            step += 1;
            at = (at + step) & (self.places.len() - 1);
        }
        at
    }
}

/// The numbers of `names` in GLib's order; their own order where there are more than GLib's
/// smaller tables hold.
#[must_use]
pub fn order(names: &[&str]) -> Vec<usize> {
    ordered(names).unwrap_or_else(|| (0..names.len()).collect())
}

fn ordered(names: &[&str]) -> Option<Vec<usize>> {
    let hashes: Vec<u32> = names.iter().map(|name| hash(name)).collect();
    let mut table = Table::of(SMALLEST)?;
    for number in 0..names.len() {
        let at = table
            .place(*hashes.get(number)?, |at| table.places.get(at).is_some_and(Option::is_none));
        *table.places.get_mut(at)? = Some(number);
        let count = number + 1;
        if table.places.len() <= count + count / 16 {
            table = grown(&table, &hashes, count)?;
        }
    }
    Some(table.places.into_iter().flatten().collect())
}

/// GLib moves each entry to its new place and what it finds there after it.
fn grown(old: &Table, hashes: &[u32], count: usize) -> Option<Table> {
    // As GLib computes `count * 1.333` in whole numbers.
    let wanted = count * 1333 / 1000;
    let shift = (usize::BITS - wanted.leading_zeros()) as usize;
    let mut table = Table::of(shift.max(SMALLEST))?;
    for (place, number) in table.places.iter_mut().zip(&old.places) {
        *place = *number;
    }
    let mut settled = vec![false; table.places.len()];
    for start in 0..old.places.len() {
        if *settled.get(start)? {
            continue;
        }
        let mut moving = table.places.get_mut(start)?.take();
        while let Some(number) = moving {
            let at = table
                .place(*hashes.get(number)?, |at| settled.get(at).is_some_and(|settled| !settled));
            *settled.get_mut(at)? = true;
            moving = table.places.get_mut(at)?.replace(number);
        }
    }
    Some(table)
}

/// `items` in GLib's order of their names.
#[must_use]
pub fn in_order<T>(items: Vec<T>, name: impl Fn(&T) -> &str) -> Vec<T> {
    let names: Vec<&str> = items.iter().map(name).collect();
    let mut rank = vec![0; items.len()];
    for (position, number) in order(&names).into_iter().enumerate() {
        if let Some(rank) = rank.get_mut(number) {
            *rank = position;
        }
    }
    let mut ranked: Vec<(usize, T)> = rank.into_iter().zip(items).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, item)| item).collect()
}

#[cfg(test)]
#[path = "glib_order_vectors.rs"]
mod vectors;

#[cfg(test)]
mod tests {
    use super::*;

    /// What GLib 2.74 itself gave for these names, inserted in this order.
    #[test]
    fn the_order_is_glibs() {
        for (names, expected) in vectors::VECTORS {
            assert_eq!(in_order(names.to_vec(), |name| name), *expected, "{names:?}");
        }
    }

    #[test]
    fn nothing_is_lost_however_many_there_are() {
        for count in [0, 1, 7, 8, 9, 100, 1500, 3000] {
            let names: Vec<String> = (0..count).map(|number| format!("slot.{number}")).collect();
            let mut found = order(&names.iter().map(String::as_str).collect::<Vec<_>>());
            found.sort_unstable();
            assert_eq!(found, (0..count).collect::<Vec<_>>());
        }
    }
}
