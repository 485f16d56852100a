// SPDX-License-Identifier: MIT OR Apache-2.0
//! What RAUC says in dictionaries, once: `a{sv}` on D-Bus and JSON of the second form are the same
//! tree, written twice. Keys keep the order of RAUC's reference; RAUC's own is arbitrary.

use crate::rauc::json::Json;
use bundle::{BundleHook, Image, Manifest};
use std::collections::{BTreeMap, HashMap};
use storage::Digest;
use zbus::zvariant::{self, OwnedValue};

/// A dictionary of text keys.
pub type Dict = Vec<(&'static str, Node)>;

/// A value of a dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// `s`.
    Text(String),
    /// `t`.
    Size(u64),
    /// `u`.
    Count(u32),
    /// `b`.
    Flag(bool),
    /// `as`.
    Texts(Vec<String>),
    /// `a{sv}`.
    Dict(Dict),
    /// `aa{sv}`.
    Dicts(Vec<Dict>),
    /// `a{sa{ss}}`.
    Labels(BTreeMap<String, BTreeMap<String, String>>),
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Node {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Text(text) => Json::from(text.as_str()),
            Self::Size(size) => Json::Number((*size).into()),
            Self::Count(count) => Json::Number((*count).into()),
            Self::Flag(flag) => Json::Bool(*flag),
            Self::Texts(texts) => Json::texts(texts),
            Self::Dict(dict) => dict_to_json(dict),
            Self::Dicts(dicts) => Json::List(dicts.iter().map(dict_to_json).collect()),
            Self::Labels(labels) => {
                let members = labels.iter().map(|(label, values)| {
                    let values = values.iter();
                    let values = values.map(|(key, value)| (key.clone(), Json::from(&**value)));
                    (label.clone(), Json::Object(values.collect()))
                });
                Json::Object(members.collect())
            }
        }
    }

    fn to_variant(&self) -> Result<OwnedValue, zvariant::Error> {
        let value: zvariant::Value<'_> = match self {
            Self::Text(text) => text.as_str().into(),
            Self::Size(size) => (*size).into(),
            Self::Count(count) => (*count).into(),
            Self::Flag(flag) => (*flag).into(),
            Self::Texts(texts) => texts.clone().into(),
            Self::Dict(dict) => dict_to_variants(dict)?.into(),
            Self::Dicts(dicts) => {
                dicts.iter().map(dict_to_variants).collect::<Result<Vec<_>, _>>()?.into()
            }
            Self::Labels(labels) => {
                let labels: HashMap<String, HashMap<String, String>> = labels
                    .iter()
                    .map(|(label, values)| (label.clone(), values.clone().into_iter().collect()))
                    .collect();
                labels.into()
            }
        };
        value.try_into()
    }
}

/// A dictionary as a JSON object.
#[must_use]
pub fn dict_to_json(dict: &Dict) -> Json {
    Json::object(dict.iter().map(|(key, value)| (*key, value.to_json())).collect())
}

/// A dictionary as `a{sv}`.
///
/// # Errors
/// [`zvariant::Error`] for values that hold file descriptors; there are none.
pub fn dict_to_variants(dict: &Dict) -> Result<HashMap<String, OwnedValue>, zvariant::Error> {
    dict.iter().map(|(key, value)| Ok(((*key).to_owned(), value.to_variant()?))).collect()
}

fn put(dict: &mut Dict, key: &'static str, text: Option<&str>) {
    if let Some(text) = text {
        dict.push((key, text.into()));
    }
}

/// The names of a manifest's own hooks.
#[must_use]
pub fn bundle_hooks(manifest: &Manifest) -> Vec<String> {
    let name = |hook: &BundleHook| match hook {
        BundleHook::InstallCheck => "install-check".to_owned(),
    };
    manifest.hooks.hooks.iter().map(name).collect()
}

/// The names of an image's hooks, in the order in which they run.
#[must_use]
pub fn image_hooks(image: &Image) -> Vec<String> {
    let known = bundle::SlotHook::ALL.into_iter().filter(|hook| image.hooks.contains(hook));
    known.map(|hook| hook.name().to_owned()).collect()
}

/// The name of an image's type, as far as it has one.
#[must_use]
pub fn image_type(image: &Image) -> Option<&'static str> {
    image.image_type.map(bundle::ImageType::name)
}

/// A manifest as `InspectBundle` and `json-2` show it; never the key of the payload.
#[must_use]
pub fn manifest_dict(manifest: &Manifest, digest: Digest) -> Dict {
    let mut update = Vec::new();
    put(&mut update, "compatible", Some(&manifest.update.compatible));
    put(&mut update, "version", manifest.update.version.as_deref());
    put(&mut update, "description", manifest.update.description.as_deref());
    put(&mut update, "build", manifest.update.build.as_deref());
    let mut bundle = vec![("format", Node::from(manifest.format.name()))];
    if let Some(verity) = &manifest.verity {
        bundle.push(("verity-hash", Node::Text(verity.hash.to_string())));
        bundle.push(("verity-salt", Node::Text(Digest::from_bytes(verity.salt).to_string())));
        bundle.push(("verity-size", Node::Size(verity.size.get())));
    }
    let mut dict = vec![
        ("manifest-hash", Node::Text(digest.to_string())),
        ("update", Node::Dict(update)),
        ("bundle", Node::Dict(bundle)),
    ];
    if let Some(filename) = &manifest.hooks.filename {
        let hooks = Node::Texts(bundle_hooks(manifest));
        dict.push((
            "hooks",
            Node::Dict(vec![("filename", filename.as_str().into()), ("hooks", hooks)]),
        ));
    }
    if let Some(handler) = &manifest.handler {
        let mut entry = Vec::new();
        put(&mut entry, "filename", Some(&handler.filename));
        put(&mut entry, "args", handler.args.as_deref());
        dict.push(("handler", Node::Dict(entry)));
    }
    dict.push(("images", Node::Dicts(manifest.images.iter().map(image_dict).collect())));
    dict.push(("meta", Node::Labels(manifest.meta.clone())));
    dict
}

fn image_dict(image: &Image) -> Dict {
    let mut dict = Vec::new();
    put(&mut dict, "slot-class", Some(&image.class));
    put(&mut dict, "artifact", image.artifact.as_deref());
    put(&mut dict, "variant", image.variant.as_deref());
    put(&mut dict, "filename", image.filename.as_deref());
    put(&mut dict, "type", image_type(image));
    if let Some(digest) = image.sha256 {
        dict.push(("checksum", Node::Text(digest.to_string())));
    }
    if let Some(size) = image.size.filter(|size| size.get() > 0) {
        dict.push(("size", Node::Size(size.get())));
    }
    dict.push(("hooks", Node::Texts(image_hooks(image))));
    for (key, names) in [
        ("adaptive", &image.adaptive),
        ("convert", &image.convert),
        ("converted", &image.converted),
    ] {
        if !names.is_empty() {
            dict.push((key, Node::Texts(names.clone())));
        }
    }
    dict
}
