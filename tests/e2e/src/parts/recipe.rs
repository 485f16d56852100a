// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a recipe become? The image that `atomix image build --recipe` makes of the example in
//! the book, to which the chain's settings and units and the test's agent are added; nothing of it
//! was configured by a package's script.

use crate::board::DISK_LEN;
use crate::cache::{Inputs, part};
use crate::components;
use crate::parts::disk::{EPOCH, device_tree};
use crate::parts::rootfs::{PAM, put, rauc_files, settings, units, wanted_by};
use crate::parts::{atomix, bundle, initrd, kernel};
use crate::program::Program;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// Below the checkout.
const EXAMPLE: &str = "docs/examples/recipes/rock64-qemu.toml";

/// What the example calls its image.
pub const IMAGE: &str = "out/atomixos-25.11.img";
const COMPONENTS: &str = "out/atomixos-25.11.cdx.json";

/// Some of what an image has: the crates alone are as many.
const LEAST_COMPONENTS: usize = 250;

/// An empty one costs 20 s of presets in every boot.
const MACHINE_ID: &str = "0123456789abcdef0123456789abcdef\n";

/// The file `disk.img`, sparse, and the list of what is in it.
///
/// # Errors
/// When it cannot be built, or the list is not as it has to be.
pub fn image() -> Result<PathBuf> {
    let initrd = initrd::with(kernel::newest()?)?;
    let tree = device_tree()?;
    let recipe = Recipe::of(EXAMPLE, initrd, added()?)?;
    let inputs = recipe.inputs().part(&tree);
    part("recipe", inputs, |dir| {
        let kitchen = dir.join("kitchen");
        recipe.lay_out(&kitchen)?;
        put(&kitchen.join("virt.dtb"), &fs::read(tree.join("virt.dtb"))?, 0o644)?;
        recipe.cook(&kitchen, &[])?;
        fs::rename(kitchen.join(COMPONENTS), dir.join("components.json"))?;
        fs::rename(kitchen.join(IMAGE), dir.join("disk.img"))?;
        // As a larger module would be.
        fs::OpenOptions::new().write(true).open(dir.join("disk.img"))?.set_len(DISK_LEN.get())?;
        Program::new("rm").arg("-rf").arg(&kitchen).run()
    })
}

/// An example of the book, with what it names and what is added to it.
pub struct Recipe {
    text: String,
    initrd: PathBuf,
    atomix: PathBuf,
    keys: PathBuf,
    files: Vec<(String, String)>,
}

impl Recipe {
    /// The example of this path below the checkout.
    ///
    /// # Errors
    /// When it or a part is not there.
    pub fn of(example: &str, initrd: PathBuf, files: Vec<(String, String)>) -> Result<Self> {
        let path = atomix::checkout()?.join(example);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(Self { text, initrd, atomix: atomix::aarch64()?, keys: bundle::keys()?, files })
    }

    /// All that the image depends on.
    #[must_use]
    pub fn inputs(&self) -> Inputs {
        // The arm64 program has the sources of the one that builds.
        let mut inputs = Inputs::new("recipe 2").text(&self.text);
        for part in [&self.atomix, &self.initrd, &self.keys] {
            inputs = inputs.part(part);
        }
        for (name, text) in &self.files {
            inputs = inputs.text(name).text(text);
        }
        inputs
    }

    /// Puts `recipe.toml` into a directory, and beside it all that it names.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn lay_out(&self, kitchen: &Path) -> Result<()> {
        let lock = atomix::checkout()?.join("Cargo.lock");
        for (name, from) in [
            ("atomix", self.atomix.join("atomix")),
            ("initrd", self.initrd.join("initrd")),
            ("ca.pem", self.keys.join("ca.pem")),
            ("Cargo.lock", lock),
        ] {
            put(&kitchen.join(name), &fs::read(from)?, 0o644)?;
        }
        let mut recipe = self.text.clone();
        for (name, text) in &self.files {
            put(&kitchen.join(name), text.as_bytes(), 0o644)?;
            // The example has it already.
            if name == "etc/rauc/system.conf" {
                put(&kitchen.join("system.conf"), text.as_bytes(), 0o644)?;
                continue;
            }
            recipe.push_str(&format!("\n[[file]]\npath = \"/{name}\"\nsource = \"{name}\"\n"));
            let Some(unit) = name.strip_prefix("etc/systemd/system/") else { continue };
            for target in wanted_by(text) {
                recipe.push_str(&format!(
                    "\n[[link]]\npath = \"/etc/systemd/system/{target}.wants/{unit}\"\n\
                     target = \"../{unit}\"\n"
                ));
            }
        }
        put(&kitchen.join("recipe.toml"), recipe.as_bytes(), 0o644)
    }

    /// Makes the directory `out` of it, and judges the list of components.
    ///
    /// # Errors
    /// When it cannot be built, or the list is not as it has to be.
    pub fn cook(&self, kitchen: &Path, firmware: &[&str]) -> Result<()> {
        Program::nice(&atomix::native()?.to_string_lossy())
            .args(["image", "build", "--recipe", "recipe.toml"])
            .args(firmware)
            .arg("out")
            .env("SOURCE_DATE_EPOCH", EPOCH.to_string())
            .current_dir(kitchen)
            .run()?;
        let list = kitchen.join(COMPONENTS);
        components::judge_by_schema(&list)?;
        let listed = components::judge(&fs::read_to_string(&list)?)?;
        ensure!(listed.len() >= LEAST_COMPONENTS, "only {} components", listed.len());
        let kinds = ["pkg:cargo/serde@", "pkg:deb/debian/systemd@", "pkg:deb/debian/linux-image-"];
        for kind in kinds {
            let is_of = |url: &str| url.starts_with(kind);
            ensure!(listed.iter().any(|one| one["purl"].as_str().is_some_and(is_of)), "no {kind}");
        }
        Ok(())
    }
}

/// What the example does not have, by its path.
fn added() -> Result<Vec<(String, String)>> {
    let mut files = settings();
    files.extend(rauc_files()?);
    files.extend(units()?.into_iter().map(|(name, text)| (format!("etc/systemd/{name}"), text)));
    files.extend(PAM.map(|(name, text)| (name.to_owned(), text.to_owned())));
    files.push(("etc/machine-id".to_owned(), MACHINE_ID.to_owned()));
    Ok(files)
}
