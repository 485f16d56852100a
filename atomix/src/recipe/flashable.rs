// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does somebody get who is to flash a board? A directory with the image, the list of its
//! components and the checksums of both. It is made beside its place and gets its name last: a run
//! that was cut leaves no image that could be flashed.

use crate::recipe::components::Components;
use crate::recipe::model::Series;
use crate::recipe::packages::sha256;
use crate::recipe::{RecipeError, tree};
use std::path::{Path, PathBuf};

/// A directory that is to be.
#[derive(Debug)]
pub struct Flashable<'a> {
    out: &'a Path,
    scratch: tempfile::TempDir,
}

impl<'a> Flashable<'a> {
    /// Begins with it, so that a place that cannot be written is known before the work.
    ///
    /// # Errors
    /// [`RecipeError`] where there is something already, or nothing can be made.
    pub fn begin(out: &'a Path) -> Result<Self, RecipeError> {
        must_be_absent(out)?;
        let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let scratch = tempfile::Builder::new()
            .prefix(".atomix-image-")
            .tempdir_in(parent)
            .map_err(tree::failed("make a directory in", parent))?;
        Ok(Self { out, scratch })
    }

    /// Ends it: `assemble` makes the image.
    ///
    /// # Errors
    /// [`RecipeError`], and those of `assemble`; nothing is under the name then.
    pub fn finish<E: From<RecipeError>>(
        self,
        series: &Series,
        version: &str,
        components: Components,
        assemble: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        let made = self.scratch.path().join("made");
        tree::make_dir(&made)?;
        let base = format!("atomixos-{}", series.as_ref());
        let names = [format!("{base}.img"), format!("{base}.cdx.json")];
        let [image, list] = names.each_ref().map(|name| made.join(name));
        assemble(&image)?;
        tree::write(&list, &format!("{}\n", components.document(&base, version)))?;
        tree::write(&made.join("SHA256SUMS"), &sums(&made, &names)?)?;
        // Somebody may have made it meanwhile: an empty directory would be replaced.
        must_be_absent(self.out)?;
        Ok(tree::rename(&made, self.out)?)
    }
}

/// As `sha256sum --check` reads them.
fn sums(dir: &Path, names: &[String]) -> Result<String, RecipeError> {
    let line = |name: &String| Ok(format!("{}  {name}\n", sha256(&dir.join(name))?));
    names.iter().map(line).collect()
}

fn must_be_absent(out: &Path) -> Result<(), RecipeError> {
    if std::fs::symlink_metadata(out).is_err() {
        return Ok(());
    }
    let (path, what) = (PathBuf::from(out), "is there already".to_owned());
    Err(RecipeError::File { path, what, hint: "give the name of a new directory" })
}
