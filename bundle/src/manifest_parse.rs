// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads the text of a manifest into a value; every unknown group and key is refused.

use crate::keyfile::{Entry, Group, KeyFile, KeyFileError};
use crate::manifest_rules::check_rules;
use crate::{
    BundleFormat, BundleHook, CryptKey, Handler, Hooks, Image, ImageType, Manifest, ManifestUse,
    SlotHook, TypeOrigin, Update, VerityParams,
};
use std::collections::BTreeMap;
use storage::{ByteLen, Digest};

/// Largest manifest parsed; its signature alone would need 64 KiB by default.
const MAX_MANIFEST_BYTES: usize = 256 * 1024;
/// Most images; stops a manifest that makes every later step quadratic.
const MAX_IMAGES: usize = 256;
/// Longest file name; that of Linux file systems.
const MAX_FILENAME_BYTES: usize = 255;

/// Why a manifest is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The text is no key file.
    #[error("malformed manifest")]
    Syntax(#[from] KeyFileError),
    /// The text is longer than any manifest we read.
    #[error("manifest has {found} bytes, more than the {limit} allowed")]
    TooLarge {
        /// Its length.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// More images than any bundle has.
    #[error("manifest has more than {limit} images")]
    TooManyImages {
        /// The limit.
        limit: usize,
    },
    /// A group we do not know.
    #[error("unknown section [{group}] in line {line} of the manifest")]
    UnknownGroup {
        /// Its name.
        group: String,
        /// Where.
        line: usize,
    },
    /// A key we do not know.
    #[error("unknown key {key} in [{group}] in line {line} of the manifest")]
    UnknownKey {
        /// Name of the group.
        group: String,
        /// The key.
        key: String,
        /// Where.
        line: usize,
    },
    /// A value that its key cannot have.
    #[error("{key} in [{group}] in line {line} of the manifest {rule}")]
    BadValue {
        /// Name of the group.
        group: String,
        /// The key.
        key: String,
        /// Where.
        line: usize,
        /// What it must be.
        rule: &'static str,
    },
    /// A key that must be there.
    #[error("manifest lacks {key} in [{group}]")]
    Missing {
        /// Name of the group.
        group: String,
        /// The key.
        key: &'static str,
    },
    /// Fields that do not go together in this use.
    #[error("manifest breaks a rule in [{group}]: {rule}")]
    Rule {
        /// Name of the group.
        group: String,
        /// The rule.
        rule: &'static str,
    },
}

impl Manifest {
    /// Parses `text` by the rules of `used`.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn parse(text: &[u8], used: ManifestUse) -> Result<Self, ManifestError> {
        if text.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge { found: text.len(), limit: MAX_MANIFEST_BYTES });
        }
        let file = KeyFile::parse(text)?;
        let mut manifest = Self::default();
        for group in file.groups() {
            parse_group(&mut manifest, &Fields(group))?;
        }
        check_rules(&manifest, used)?;
        Ok(manifest)
    }
}

fn parse_group(manifest: &mut Manifest, fields: &Fields) -> Result<(), ManifestError> {
    let name = fields.0.name();
    match name {
        "update" => manifest.update = parse_update(fields)?,
        "bundle" => parse_bundle(manifest, fields)?,
        "handler" => manifest.handler = parse_handler(fields)?,
        "hooks" => manifest.hooks = parse_hooks(fields)?,
        // Reserved by RAUC, read by nobody.
        "rollout" => {}
        _ => {
            if let Some(place) = name.strip_prefix("image.") {
                if manifest.images.len() >= MAX_IMAGES {
                    return Err(ManifestError::TooManyImages { limit: MAX_IMAGES });
                }
                manifest.images.push(parse_image(fields, place)?);
            } else if let Some(label) = name.strip_prefix("meta.") {
                let entries = parse_meta(fields, label)?;
                manifest.meta.insert(label.to_owned(), entries);
            } else {
                return Err(fields.unknown_group());
            }
        }
    }
    Ok(())
}

/// The entries of a group, with errors that name it.
struct Fields<'a>(&'a Group);

impl Fields<'_> {
    fn unknown_group(&self) -> ManifestError {
        ManifestError::UnknownGroup { group: self.0.name().to_owned(), line: self.0.line() }
    }

    fn unknown(&self, entry: &Entry) -> ManifestError {
        ManifestError::UnknownKey {
            group: self.0.name().to_owned(),
            key: entry.key().to_owned(),
            line: entry.line(),
        }
    }

    fn bad(&self, entry: &Entry, rule: &'static str) -> ManifestError {
        ManifestError::BadValue {
            group: self.0.name().to_owned(),
            key: entry.key().to_owned(),
            line: entry.line(),
            rule,
        }
    }

    fn filename(&self, entry: &Entry) -> Result<String, ManifestError> {
        let name = entry.string()?;
        if is_safe_filename(&name) {
            return Ok(name);
        }
        Err(self.bad(entry, "must be a plain file name without a path, not hidden"))
    }

    fn bytes(&self, entry: &Entry) -> Result<ByteLen, ManifestError> {
        let text = entry.raw().trim_end();
        // `parse` alone would take a leading plus sign.
        if text.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(bytes) = text.parse()
        {
            return Ok(ByteLen::new(bytes));
        }
        Err(self.bad(entry, "must be a number of bytes"))
    }

    fn hex32(&self, entry: &Entry) -> Result<[u8; 32], ManifestError> {
        let digest: Result<Digest, _> = entry.raw().trim_end().parse();
        digest
            .map(|digest| *digest.as_bytes())
            .map_err(|_| self.bad(entry, "must be 64 hexadecimal digits"))
    }

    fn text(&self, entry: &Entry) -> Result<String, ManifestError> {
        let text = entry.string()?;
        if text.is_empty() {
            return Err(self.bad(entry, "must not be empty"));
        }
        Ok(text)
    }
}

/// A name that stays in its directory whatever it is joined to.
fn is_safe_filename(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_FILENAME_BYTES
        && !name.starts_with('.')
        && !name.chars().any(|c| c == '/' || c.is_control())
}

fn is_word(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    !text.is_empty() && text.chars().all(legal)
}

fn parse_update(fields: &Fields) -> Result<Update, ManifestError> {
    let mut update = Update::default();
    for entry in fields.0.entries() {
        match entry.key() {
            "compatible" => update.compatible = fields.text(entry)?,
            "version" => update.version = Some(fields.text(entry)?),
            "description" => update.description = Some(fields.text(entry)?),
            "build" => update.build = Some(fields.text(entry)?),
            "min-rauc-version" => update.min_rauc_version = Some(fields.text(entry)?),
            _ => return Err(fields.unknown(entry)),
        }
    }
    Ok(update)
}

fn parse_bundle(manifest: &mut Manifest, fields: &Fields) -> Result<(), ManifestError> {
    let (mut hash, mut salt, mut size) = (None, None, None);
    for entry in fields.0.entries() {
        match entry.key() {
            "format" => {
                manifest.format = BundleFormat::from_name(&entry.string()?)
                    .ok_or_else(|| fields.bad(entry, "must be plain, verity or crypt"))?;
            }
            "verity-hash" => hash = Some(Digest::from_bytes(fields.hex32(entry)?)),
            "verity-salt" => salt = Some(fields.hex32(entry)?),
            "verity-size" => size = Some(fields.bytes(entry)?),
            "crypt-key" => manifest.crypt_key = Some(CryptKey(fields.hex32(entry)?)),
            _ => return Err(fields.unknown(entry)),
        }
    }
    let missing = |key| ManifestError::Missing { group: "bundle".to_owned(), key };
    manifest.verity = match (hash, salt, size) {
        (None, None, None) => None,
        (hash, salt, size) => Some(VerityParams {
            hash: hash.ok_or_else(|| missing("verity-hash"))?,
            salt: salt.ok_or_else(|| missing("verity-salt"))?,
            size: size.ok_or_else(|| missing("verity-size"))?,
        }),
    };
    Ok(())
}

fn parse_handler(fields: &Fields) -> Result<Option<Handler>, ManifestError> {
    let (mut filename, mut args) = (None, None);
    for entry in fields.0.entries() {
        match entry.key() {
            "filename" => filename = Some(fields.filename(entry)?),
            "args" => args = Some(fields.text(entry)?),
            _ => return Err(fields.unknown(entry)),
        }
    }
    match (filename, args) {
        (Some(filename), args) => Ok(Some(Handler { filename, args })),
        (None, None) => Ok(None),
        (None, Some(_)) => {
            Err(ManifestError::Missing { group: "handler".to_owned(), key: "filename" })
        }
    }
}

fn parse_hooks(fields: &Fields) -> Result<Hooks, ManifestError> {
    let mut hooks = Hooks::default();
    for entry in fields.0.entries() {
        match entry.key() {
            "filename" => hooks.filename = Some(fields.filename(entry)?),
            "hooks" => {
                for name in entry.list()? {
                    if name != "install-check" {
                        return Err(fields.bad(entry, "has an unknown hook"));
                    }
                    hooks.hooks.push(BundleHook::InstallCheck);
                }
            }
            _ => return Err(fields.unknown(entry)),
        }
    }
    Ok(hooks)
}

fn parse_image(fields: &Fields, place: &str) -> Result<Image, ManifestError> {
    let (place, variant) = match place.split_once('.') {
        Some((place, variant)) => (place, Some(variant)),
        None => (place, None),
    };
    let (class, artifact) = match place.split_once('/') {
        Some((repository, artifact)) => (repository, Some(artifact)),
        None => (place, None),
    };
    let good_variant = |text: &str| text.split('.').all(is_word);
    if !is_word(class) || !artifact.is_none_or(is_word) || !variant.is_none_or(good_variant) {
        return Err(fields.unknown_group());
    }
    let mut image = Image {
        class: class.to_owned(),
        variant: variant.map(str::to_owned),
        artifact: artifact.map(str::to_owned),
        ..Image::default()
    };
    for entry in fields.0.entries() {
        image_entry(&mut image, fields, entry)?;
    }
    // As RAUC: what an install hook writes, and what a repository keeps, has the type it is given.
    let needs_none = image.hooks.contains(&SlotHook::Install) || image.artifact.is_some();
    if image.image_type.is_none() && !needs_none {
        image.image_type = image.filename.as_deref().and_then(ImageType::of_filename);
    }
    Ok(image)
}

fn image_entry(image: &mut Image, fields: &Fields, entry: &Entry) -> Result<(), ManifestError> {
    match entry.key() {
        "filename" => image.filename = Some(fields.filename(entry)?),
        "type" if image.artifact.is_none() => {
            let image_type = entry.string()?.parse();
            image.image_type =
                Some(image_type.map_err(|_| fields.bad(entry, "must be a known image type"))?);
            image.type_origin = TypeOrigin::Explicit;
        }
        "sha256" => image.sha256 = Some(Digest::from_bytes(fields.hex32(entry)?)),
        "size" => image.size = Some(fields.bytes(entry)?),
        "hooks" => {
            for name in entry.list()? {
                let hook = SlotHook::ALL.into_iter().find(|hook| hook.name() == name);
                image.hooks.push(hook.ok_or_else(|| fields.bad(entry, "has an unknown hook"))?);
            }
        }
        "adaptive" => {
            image.adaptive = entry.list()?;
            let known = ["block-hash-index", "adaptive-test-method"];
            if !image.adaptive.iter().all(|name| known.contains(&name.as_str())) {
                return Err(fields.bad(entry, "has an unknown adaptive method"));
            }
        }
        "convert" => image.convert = entry.list()?,
        "converted" => {
            image.converted = entry.list()?;
            if !image.converted.iter().all(|name| is_safe_filename(name)) {
                return Err(fields.bad(entry, "must be plain file names without a path"));
            }
        }
        // Legacy, dropped by RAUC too.
        "version" | "description" | "build" => {}
        _ => return Err(fields.unknown(entry)),
    }
    Ok(())
}

fn parse_meta(fields: &Fields, label: &str) -> Result<BTreeMap<String, String>, ManifestError> {
    if !is_word(label) {
        return Err(fields.unknown_group());
    }
    let mut entries = BTreeMap::new();
    for entry in fields.0.entries() {
        if !is_word(entry.key()) {
            return Err(fields.unknown(entry));
        }
        entries.insert(entry.key().to_owned(), entry.string()?);
    }
    Ok(entries)
}
