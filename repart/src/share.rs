// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is free space divided? Pure arithmetic on whole units (MiB).

/// What one partition wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Smallest size.
    pub(crate) min: u64,
    /// Largest size, at least `min`.
    pub(crate) max: u64,
    /// Space to leave free behind.
    pub(crate) padding: u64,
    /// Share of what is left, relative to the other claims.
    pub(crate) weight: u64,
}

impl Claim {
    /// The same claim for a partition that has `size` already.
    pub(crate) fn at_least(self, size: u64) -> Self {
        Self { min: self.min.max(size), max: self.max.max(size), ..self }
    }
}

/// Divides `space` so that every claim gets its minimum and its padding, and the rest goes by
/// weight up to each maximum. What rounding leaves goes to the last claim that takes it, so that
/// sharing again changes nothing.
///
/// Returns the space needed when it does not suffice.
pub(crate) fn share(space: u64, claims: &[Claim]) -> Result<Vec<u64>, u64> {
    let need = claims
        .iter()
        .fold(0_u64, |sum, claim| sum.saturating_add(claim.min).saturating_add(claim.padding));
    if need > space {
        return Err(need);
    }
    let padding: u64 = claims.iter().map(|claim| claim.padding).sum();
    let mut sizes: Vec<Option<u64>> = vec![None; claims.len()];
    let mut rest = space - padding;
    loop {
        let open = |sizes: &[Option<u64>]| -> u64 {
            let open = claims.iter().zip(sizes).filter(|(_, size)| size.is_none());
            open.map(|(claim, _)| claim.weight).sum()
        };
        let total = open(&sizes);
        let fair = |claim: &Claim| match total {
            0 => 0,
            _ => u128::from(rest) * u128::from(claim.weight) / u128::from(total),
        };
        // Minima first: they take from the others. Then maxima: they give back. One at a time,
        // because each fixing changes every other fair share.
        let undecided = || claims.iter().enumerate().zip(&sizes).filter(|(_, size)| size.is_none());
        let below = undecided().find(|((_, claim), _)| fair(claim) < u128::from(claim.min));
        let above = undecided().find(|((_, claim), _)| fair(claim) > u128::from(claim.max));
        let fixed = match (below, above) {
            (Some(((index, claim), _)), _) => (index, claim.min),
            (None, Some(((index, claim), _))) => (index, claim.max),
            (None, None) => break,
        };
        if let Some(size) = sizes.get_mut(fixed.0) {
            *size = Some(fixed.1);
        }
        rest = rest.saturating_sub(fixed.1);
    }
    Ok(settle(claims, &sizes, rest))
}

/// Gives the undecided claims their fair share of `rest` and the remainder to the last takers.
fn settle(claims: &[Claim], sizes: &[Option<u64>], rest: u64) -> Vec<u64> {
    let open = claims.iter().zip(sizes).filter(|(_, size)| size.is_none());
    let total: u64 = open.map(|(claim, _)| claim.weight).sum();
    let fair = |claim: &Claim| {
        let share = u128::from(rest) * u128::from(claim.weight) / u128::from(total.max(1));
        // At most `rest`, because a weight is at most the total.
        u64::try_from(share).unwrap_or(rest)
    };
    let mut settled: Vec<u64> =
        claims.iter().zip(sizes).map(|(claim, size)| size.unwrap_or_else(|| fair(claim))).collect();
    let given: u64 = claims
        .iter()
        .zip(sizes)
        .filter(|(_, size)| size.is_none())
        .map(|(claim, _)| fair(claim))
        .sum();
    let mut left = rest.saturating_sub(given);
    for (claim, size) in claims.iter().zip(&mut settled).rev() {
        if claim.weight > 0 {
            let more = left.min(claim.max.saturating_sub(*size));
            *size += more;
            left -= more;
        }
    }
    settled
}
