// SPDX-License-Identifier: MIT OR Apache-2.0
//! Do the fields of this manifest go together, in this use? Pure; one rule per line.

use crate::{BundleFormat, Image, ImageType, Manifest, ManifestError, ManifestUse, SlotHook};

/// A rule of the bundle as a whole, or of one image: broken when true.
type Rule = (bool, &'static str);

pub(crate) fn check_rules(manifest: &Manifest, used: ManifestUse) -> Result<(), ManifestError> {
    if manifest.update.compatible.is_empty() {
        return Err(ManifestError::Missing { group: "update".to_owned(), key: "compatible" });
    }
    first_broken("bundle", &bundle_rules(manifest, used))?;
    first_broken("hooks", &hook_rules(manifest))?;
    for image in &manifest.images {
        let group = image.group();
        first_broken(&group, &image_rules(manifest, image))?;
        first_broken(&group, &image_use_rules(image, used))?;
    }
    Ok(())
}

fn first_broken(group: &str, rules: &[Rule]) -> Result<(), ManifestError> {
    match rules.iter().find(|(broken, _)| *broken) {
        Some((_, rule)) => Err(ManifestError::Rule { group: group.to_owned(), rule }),
        None => Ok(()),
    }
}

fn bundle_rules(manifest: &Manifest, used: ManifestUse) -> Vec<Rule> {
    let plain = manifest.format == BundleFormat::Plain;
    let computed = manifest.verity.is_some() || manifest.crypt_key.is_some();
    match used {
        ManifestUse::Input => {
            vec![(
                computed,
                "verity-hash, verity-salt, verity-size and crypt-key are filled in by the tool",
            )]
        }
        ManifestUse::Internal => vec![
            (!plain, "a manifest inside a plain bundle must have format plain"),
            (computed, "a plain bundle has no hash tree and no key"),
        ],
        ManifestUse::External => vec![
            (plain, "a manifest in a signature must have format verity or crypt"),
            (manifest.verity.is_none(), "verity-hash, verity-salt and verity-size are missing"),
            (
                manifest.crypt_key.is_some() != (manifest.format == BundleFormat::Crypt),
                "crypt-key belongs to format crypt, and only to it",
            ),
        ],
    }
}

fn hook_rules(manifest: &Manifest) -> Vec<Rule> {
    let hooks = &manifest.hooks;
    let image_hooks = manifest.images.iter().any(|image| !image.hooks.is_empty());
    vec![
        (hooks.filename.is_none() && !hooks.hooks.is_empty(), "hooks need a filename"),
        (hooks.filename.is_none() && image_hooks, "hooks of images need a filename here"),
    ]
}

fn image_rules(manifest: &Manifest, image: &Image) -> Vec<Rule> {
    let installs = image.hooks.contains(&SlotHook::Install);
    let emptyfs = image.image_type == Some(ImageType::Emptyfs);
    let named = image.filename.is_some();
    let plain = manifest.format == BundleFormat::Plain;
    let same = manifest.images.iter().filter(|other| other.group() == image.group()).count();
    vec![
        (same > 1, "occurs more than once"),
        (installs && image.hooks.len() > 1, "an install hook excludes the others"),
        (emptyfs && named, "an image of type emptyfs has no filename"),
        (!emptyfs && !named && !installs, "a filename is needed"),
        (
            image.image_type.is_none() && !installs && image.artifact.is_none(),
            "the type cannot be told from the filename; set type",
        ),
        (!image.adaptive.is_empty() && !named, "adaptive needs a filename"),
        (!image.convert.is_empty() && !named, "convert needs a filename"),
        (plain && image.artifact.is_some(), "a plain bundle cannot hold artifacts"),
        (plain && !image.convert.is_empty(), "a plain bundle cannot hold converted images"),
    ]
}

fn image_use_rules(image: &Image, used: ManifestUse) -> Vec<Rule> {
    let file = image.filename.is_some();
    match used {
        ManifestUse::Input => vec![
            (image.sha256.is_some(), "sha256 is filled in by the tool"),
            (image.size.is_some(), "size is filled in by the tool"),
            (!image.converted.is_empty(), "converted is filled in by the tool"),
        ],
        ManifestUse::Internal | ManifestUse::External => vec![
            (file && image.sha256.is_none(), "sha256 is missing"),
            (file && image.size.is_none(), "size is missing"),
            (
                image.converted.len() != image.convert.len(),
                "converted must name one result for each entry of convert",
            ),
        ],
    }
}
