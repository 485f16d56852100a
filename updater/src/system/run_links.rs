// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where do other programs find the active slots and the artifact repositories? By links below
//! `/run/rauc`: `slots/active/<class>` to the device, `artifacts/<repo>` to the directory. Each is
//! made beside its place and renamed over it, so that it is always there.

use super::progress::Steps;
use super::{SlotState, System, SystemError, SystemEvent};
use crate::artifacts::replace_link;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

impl System {
    /// Makes the links of this system, once at the start of a service. What fails is told and
    /// leaves the rest.
    ///
    /// # Errors
    /// As [`System::determine_slot_states`].
    pub fn publish_links(&mut self, sink: &mut dyn FnMut(SystemEvent)) -> Result<(), SystemError> {
        let states = self.determine_slot_states()?.clone();
        let mut steps = Steps::new(sink);
        let run = self.parts.surroundings.runtime_dir.clone();
        let active = self.config.slots.values().filter_map(|slot| match states.of(&slot.name) {
            SlotState::Booted | SlotState::Active => {
                Some((slot.name.class.as_str(), slot.device.as_path()))
            }
            SlotState::Inactive => None,
        });
        make_links(&run.join("slots/active"), active, &mut steps);
        let repositories = self
            .config
            .artifacts
            .iter()
            .map(|(name, repository)| (name.as_str(), repository.path.as_path()));
        make_links(&run.join("artifacts"), repositories, &mut steps);
        Ok(())
    }
}

fn make_links<'a>(
    dir: &Path,
    links: impl Iterator<Item = (&'a str, &'a Path)>,
    steps: &mut Steps<'_>,
) {
    if let Err(error) = DirBuilder::new().recursive(true).mode(0o755).create(dir) {
        steps.warn(format!("Failed to create {}: {error}", dir.display()));
        return;
    }
    for (name, target) in links {
        if let Err(error) = replace_link(&dir.join(name), target) {
            steps.warn(format!("Failed to create symlink {}: {error}", dir.join(name).display()));
        }
    }
}
