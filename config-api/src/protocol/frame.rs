// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where does one message end? Its length comes first and is bounded before anything is read.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest message: the largest typed change, or all faults of a configuration, stay below.
pub const MAX_FRAME_BYTES: usize = 1 << 20;

/// Why a message cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Empty, or longer than a message may be.
    #[error("a message of {length} bytes")]
    Length {
        /// The length.
        length: u64,
    },
    /// Not the JSON that is expected.
    #[error("the message is not understood")]
    Json(#[source] serde_json::Error),
}

/// The length that a frame announces.
///
/// # Errors
/// [`FrameError::Length`].
pub fn decode_length(header: [u8; 4]) -> Result<usize, FrameError> {
    let length = u32::from_be_bytes(header);
    match usize::try_from(length) {
        Ok(fitting @ 1..=MAX_FRAME_BYTES) => Ok(fitting),
        Ok(_) | Err(_) => Err(FrameError::Length { length: length.into() }),
    }
}

/// A message as a frame.
///
/// # Errors
/// [`FrameError`].
pub fn encode_frame<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let json = serde_json::to_vec(message).map_err(FrameError::Json)?;
    let too_long = FrameError::Length { length: json.len() as u64 };
    let length = u32::try_from(json.len()).ok().filter(|_| json.len() <= MAX_FRAME_BYTES);
    Ok([&length.ok_or(too_long)?.to_be_bytes()[..], &json].concat())
}

/// Reads a frame's content.
///
/// # Errors
/// [`FrameError::Json`].
pub fn parse_frame<T: DeserializeOwned>(content: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(content).map_err(FrameError::Json)
}
