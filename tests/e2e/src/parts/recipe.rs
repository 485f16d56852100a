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
const IMAGE: &str = "out/atomixos-25.11.img";
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
    let parts =
        [atomix::aarch64()?, initrd::with(kernel::newest()?)?, device_tree()?, bundle::keys()?];
    let example = atomix::checkout()?.join(EXAMPLE);
    let recipe = fs::read_to_string(&example).with_context(|| example.display().to_string())?;
    let files = added()?;
    // The arm64 program has the sources of the one that builds.
    let mut inputs = Inputs::new("recipe 1").text(&recipe);
    for part in &parts {
        inputs = inputs.part(part);
    }
    for (name, text) in &files {
        inputs = inputs.text(name).text(text);
    }
    part("recipe", inputs, |dir| {
        let kitchen = dir.join("kitchen");
        lay_out(&kitchen, &parts, recipe, &files)?;
        Program::nice(&atomix::native()?.to_string_lossy())
            .args(["image", "build", "--recipe", "recipe.toml", "out"])
            .env("SOURCE_DATE_EPOCH", EPOCH.to_string())
            .current_dir(&kitchen)
            .run()?;
        components::judge_by_schema(&kitchen.join(COMPONENTS))?;
        let listed = components::judge(&fs::read_to_string(kitchen.join(COMPONENTS))?)?;
        ensure!(listed.len() >= LEAST_COMPONENTS, "only {} components", listed.len());
        let kinds = ["pkg:cargo/serde@", "pkg:deb/debian/systemd@", "pkg:deb/debian/linux-image-"];
        for kind in kinds {
            let is_of = |url: &str| url.starts_with(kind);
            ensure!(listed.iter().any(|one| one["purl"].as_str().is_some_and(is_of)), "no {kind}");
        }
        fs::rename(kitchen.join(COMPONENTS), dir.join("components.json"))?;
        fs::rename(kitchen.join(IMAGE), dir.join("disk.img"))?;
        // As a larger module would be.
        fs::OpenOptions::new().write(true).open(dir.join("disk.img"))?.set_len(DISK_LEN.get())?;
        Program::new("rm").arg("-rf").arg(&kitchen).run()
    })
}

/// The recipe, and beside it all that it names.
fn lay_out(
    kitchen: &Path,
    [atomix, initrd, tree, keys]: &[PathBuf; 4],
    mut recipe: String,
    files: &[(String, String)],
) -> Result<()> {
    let lock = atomix::checkout()?.join("Cargo.lock");
    for (name, from) in [
        ("atomix", atomix.join("atomix")),
        ("initrd", initrd.join("initrd")),
        ("virt.dtb", tree.join("virt.dtb")),
        ("ca.pem", keys.join("ca.pem")),
        ("Cargo.lock", lock),
    ] {
        put(&kitchen.join(name), &fs::read(from)?, 0o644)?;
    }
    for (name, text) in files {
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

/// What the example does not have, by its path.
fn added() -> Result<Vec<(String, String)>> {
    let mut files = settings();
    files.extend(rauc_files()?);
    files.extend(units()?.into_iter().map(|(name, text)| (format!("etc/systemd/{name}"), text)));
    files.extend(PAM.map(|(name, text)| (name.to_owned(), text.to_owned())));
    files.push(("etc/machine-id".to_owned(), MACHINE_ID.to_owned()));
    Ok(files)
}
