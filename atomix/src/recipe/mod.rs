// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does an image come from Debian's packages, without Nix? A recipe names them; Debian's own
//! tools fetch and unpack them; what `atomix image build` always does makes the image of it.
//!
//! Nobody has to be root and nothing of the machine's package database is read or changed. The
//! packages' scripts do not run: a tree that was only unpacked is the same on every machine. What
//! is made appears under its name in one act, once all of it is there.

mod components;
mod error;
mod flashable;
mod model;
mod packages;
mod steps;
mod tree;

pub use components::Components;
pub use error::RecipeError;
pub use flashable::Flashable;
pub use model::Series;
pub use steps::{Assemble, build};
