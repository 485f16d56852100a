// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is fetching single blocks cheaper than fetching the image?
//!
//! A pure decision. Blocks of an image lie compressed in larger blocks of the bundle, and each
//! stretch of them is a request of its own: a delta can cost more than the whole.

use std::fmt;
use storage::ByteLen;

/// What a request costs besides its answer: heads in both directions, and a way to the server
/// during which a middling line would have carried about this much.
const REQUEST_BYTES: u64 = 2048;

/// What an update by blocks would fetch from the bundle, and what the image would: bytes as they
/// lie there, compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeltaCost {
    /// Bytes of the bundle that hold blocks which no slot has.
    pub blocks: ByteLen,
    /// Bytes of the bundle that hold the index.
    pub index: ByteLen,
    /// Requests for the blocks: stretches that do not touch.
    pub requests: u64,
    /// Bytes of the bundle that hold the whole image.
    pub image: ByteLen,
}

/// What to fetch, and why; the text is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeltaChoice {
    /// Blocks only.
    Blocks(DeltaCost),
    /// The whole image, since the index alone is as large.
    ImageForIndex(DeltaCost),
    /// The whole image, since fetching the blocks would cost as much.
    ImageForBlocks(DeltaCost),
}

impl DeltaChoice {
    /// Whether blocks are fetched.
    #[must_use]
    pub const fn is_delta(&self) -> bool {
        matches!(self, Self::Blocks(_))
    }
}

impl fmt::Display for DeltaChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocks(cost) => write!(
                f,
                "block-hash-index: fetching {} in {} requests instead of the image's {}",
                cost.blocks, cost.requests, cost.image
            ),
            Self::ImageForIndex(cost) => write!(
                f,
                "block-hash-index: taking the whole image of {}, since its index alone has {}",
                cost.image, cost.index
            ),
            Self::ImageForBlocks(cost) => write!(
                f,
                "block-hash-index: taking the whole image of {}, since fetching the changed blocks costs {} in {} requests",
                cost.image, cost.blocks, cost.requests
            ),
        }
    }
}

/// Decides before the index is fetched: its size is known, what it says is not.
#[must_use]
pub fn choose_before_index(index: ByteLen, image: ByteLen) -> Option<DeltaChoice> {
    let cost = DeltaCost { index, image, ..DeltaCost::default() };
    (index >= image).then_some(DeltaChoice::ImageForIndex(cost))
}

/// Decides when the index is there. It is paid for then, so only what is still to be fetched counts.
#[must_use]
pub fn choose(cost: DeltaCost) -> DeltaChoice {
    let requests = cost.requests.saturating_mul(REQUEST_BYTES);
    if cost.blocks.get().saturating_add(requests) < cost.image.get() {
        DeltaChoice::Blocks(cost)
    } else {
        DeltaChoice::ImageForBlocks(cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cheaper_way_is_taken_and_the_reason_told() {
        let mib = ByteLen::mib;
        let cost = DeltaCost { blocks: mib(5), index: mib(1), requests: 40, image: mib(100) };
        assert_eq!(choose(cost), DeltaChoice::Blocks(cost));
        let all = DeltaCost { blocks: mib(100), requests: 100, ..cost };
        assert_eq!(choose(all), DeltaChoice::ImageForBlocks(all));
        // Few bytes, and each of them a request of its own.
        let scattered = DeltaCost { blocks: mib(60), requests: 30_000, ..cost };
        assert!(!choose(scattered).is_delta());
        let text = choose(scattered).to_string();
        assert!(
            text.contains("taking the whole image") && text.contains("30000 requests"),
            "{text}"
        );
        assert!(choose_before_index(mib(1), mib(2)).is_none());
        let early = choose_before_index(mib(2), mib(2)).unwrap();
        assert!(early.to_string().contains("index alone"), "{early}");
    }
}
