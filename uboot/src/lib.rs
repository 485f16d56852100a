// SPDX-License-Identifier: MIT OR Apache-2.0
//! Formats of the firmware: what U-Boot stores, reads and runs.
//!
//! The environment is a value ([`Env`]), its image in storage ([`parse_image`],
//! [`encode_image`]) and a transaction over one or two copies ([`EnvStore`]). Scripts are text
//! generated from facts of a board and wrapped as U-Boot wants them. Nothing here decides which
//! slot boots: the rules live in `bootctl`, and the generated selector is tested against them.

mod env;
mod env_error;
mod env_image;
mod env_store;
mod env_text;
mod fw_env_config;
mod script;
mod selector;
mod slot_script;

pub use env::Env;
pub use env_error::EnvError;
pub use env_image::{FlagScheme, Redundancy, encode_image, parse_image};
pub use env_store::{CopyHealth, EnvStore, LoadedEnv};
pub use env_text::EnvTextError;
pub use fw_env_config::{CopyPlace, FwEnvConfig, FwEnvConfigError};
pub use script::{Script, ScriptError, encode_script, parse_script};
pub use selector::{
    ButtonFacts, MassStorageFacts, SELECTOR_VERSION, SelectorFacts, TEMPORARIES, TRAIL,
    WatchdogFacts, selector_script, selector_variables,
};
pub use slot_script::{DeviceTreeFacts, LoadFacts, SlotScriptFacts, slot_script};
