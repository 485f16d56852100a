// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes a manifest, in the order of groups and keys in which RAUC does.
//!
//! Deviates: `min-rauc-version` is kept (RAUC drops it, so that the installing side never sees
//! the condition), and meta groups are sorted, so that one value has one text.

use crate::keyfile::KeyFileWriter;
use crate::{BundleFormat, BundleHook, Image, Manifest, SlotHook, TypeOrigin};

impl Manifest {
    /// The text of this manifest.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut writer = KeyFileWriter::new();
        let update = &self.update;
        writer.group("update");
        writer.string("compatible", &update.compatible);
        optional(&mut writer, "version", update.version.as_deref());
        optional(&mut writer, "description", update.description.as_deref());
        optional(&mut writer, "build", update.build.as_deref());
        optional(&mut writer, "min-rauc-version", update.min_rauc_version.as_deref());
        if self.format != BundleFormat::Plain {
            writer.group("bundle");
            if let Some(key) = &self.crypt_key {
                writer.string("crypt-key", &hex::encode(key.0));
            }
            writer.string("format", self.format.name());
            if let Some(verity) = &self.verity {
                writer.string("verity-hash", &verity.hash.to_string());
                writer.string("verity-salt", &hex::encode(verity.salt));
                writer.string("verity-size", &verity.size.get().to_string());
            }
        }
        if let Some(handler) = &self.handler {
            writer.group("handler");
            writer.string("filename", &handler.filename);
            optional(&mut writer, "args", handler.args.as_deref());
        }
        if let Some(filename) = &self.hooks.filename {
            writer.group("hooks");
            writer.string("filename", filename);
            let names: Vec<_> =
                self.hooks.hooks.iter().map(|BundleHook::InstallCheck| "install-check").collect();
            list(&mut writer, "hooks", &names);
        }
        for image in &self.images {
            encode_image(&mut writer, image);
        }
        for (label, entries) in &self.meta {
            writer.group(&format!("meta.{label}"));
            for (key, value) in entries {
                writer.string(key, value);
            }
        }
        writer.finish()
    }
}

fn encode_image(writer: &mut KeyFileWriter, image: &Image) {
    writer.group(&image.group());
    if let Some(sha256) = image.sha256 {
        writer.string("sha256", &sha256.to_string());
    }
    if let Some(size) = image.size {
        writer.string("size", &size.get().to_string());
    }
    optional(writer, "filename", image.filename.as_deref());
    if let (TypeOrigin::Explicit, Some(image_type)) = (image.type_origin, image.image_type) {
        writer.string("type", image_type.name());
    }
    let hooks: Vec<_> = image.hooks.iter().copied().map(SlotHook::name).collect();
    list(writer, "hooks", &hooks);
    list(writer, "adaptive", &image.adaptive);
    list(writer, "convert", &image.convert);
    list(writer, "converted", &image.converted);
}

fn optional(writer: &mut KeyFileWriter, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        writer.string(key, value);
    }
}

fn list<T: AsRef<str>>(writer: &mut KeyFileWriter, key: &str, values: &[T]) {
    if !values.is_empty() {
        writer.list(key, values);
    }
}
