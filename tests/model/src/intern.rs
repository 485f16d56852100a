// SPDX-License-Identifier: MIT OR Apache-2.0
//! How are millions of states kept small? Each value that many of them share is kept once and
//! named by a number. Values are never forgotten, so that a number stays true.

use crate::quick_hash::Quick;
use std::collections::HashMap;
use std::hash::Hash;
use std::marker::PhantomData;

/// The name of a value in an [`Interner`] of its type.
pub struct Id<T> {
    number: u32,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<T> Eq for Id<T> {}

impl<T> Hash for Id<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

impl<T> std::fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{}", self.number)
    }
}

/// Values, each kept once.
pub struct Interner<T> {
    numbers: HashMap<T, u32, Quick>,
    values: Vec<T>,
}

impl<T: Clone + Eq + Hash> Interner<T> {
    /// One that holds `first`, which makes it never empty.
    pub fn new(first: T) -> (Self, Id<T>) {
        let numbers = HashMap::from_iter([(first.clone(), 0)]);
        (Self { numbers, values: vec![first] }, Id { number: 0, of: PhantomData })
    }

    /// The name of `value`.
    pub fn name(&mut self, value: T) -> Id<T> {
        if let Some(number) = self.numbers.get(&value) {
            return Id { number: *number, of: PhantomData };
        }
        // Four thousand million boot states do not fit into memory; the number cannot wrap before.
        let number = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value.clone());
        self.numbers.insert(value, number);
        Id { number, of: PhantomData }
    }

    /// The value of that name. Names come from this interner alone; another's would be answered
    /// with its first value.
    pub fn value(&self, id: Id<T>) -> &T {
        usize::try_from(id.number)
            .ok()
            .and_then(|at| self.values.get(at))
            .unwrap_or(&self.values[0])
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }
}
