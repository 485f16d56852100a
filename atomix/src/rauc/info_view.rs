// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does `rauc info` show a manifest? Every output format of RAUC, from a value; pure.

use crate::rauc::dict::{bundle_hooks, dict_to_json, image_hooks, image_type, manifest_dict};
use crate::rauc::json::Json;
use crate::rauc::paint::{BOLD, GREEN, PLAIN, YELLOW};
use crate::rauc::shell_text::{ShellText, variable_part};
use atomix_repart::one_line;
use bundle::{BundleFormat, CertificateInfo, Image, Manifest, TypeOrigin, UnixTime};
use std::fmt::Write as _;
use storage::Digest;
use time::OffsetDateTime;

/// An output format of `rauc info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InfoFormat {
    /// For people.
    Readable,
    /// For `eval`.
    Shell,
    /// On one line.
    Json,
    /// On many lines.
    JsonPretty,
    /// As `InspectBundle` on D-Bus.
    Json2,
}

impl InfoFormat {
    /// The format of RAUC's name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "readable" => Self::Readable,
            "shell" => Self::Shell,
            "json" => Self::Json,
            "json-pretty" => Self::JsonPretty,
            "json-2" => Self::Json2,
            _ => return None,
        })
    }
}

/// Whether the signature of a crypt bundle hides its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySecrecy {
    /// Only recipients can read it.
    Encrypted,
    /// Everybody can.
    Open,
}

/// What is shown.
#[derive(Clone, Copy, Debug)]
pub struct InfoView<'a> {
    /// The manifest.
    pub manifest: &'a Manifest,
    /// SHA-256 of its text.
    pub digest: Digest,
    /// For crypt bundles.
    pub secrecy: KeySecrecy,
}

/// The manifest in `format`, without a line end.
#[must_use]
pub fn render(view: &InfoView<'_>, format: InfoFormat) -> String {
    match format {
        InfoFormat::Readable => readable(view),
        InfoFormat::Shell => shell(view),
        InfoFormat::Json => json(view).compact(),
        InfoFormat::JsonPretty => json(view).pretty(),
        InfoFormat::Json2 => dict_to_json(&manifest_dict(view.manifest, view.digest)).pretty(),
    }
}

fn quoted(text: Option<&str>) -> String {
    format!("'{}'", text.map_or("(null)".to_owned(), one_line))
}

// Writing to a String cannot fail: the results of `writeln!` below are dropped for that reason.
fn readable(view: &InfoView<'_>) -> String {
    let manifest = view.manifest;
    let update = &manifest.update;
    let mut to = String::new();
    for (name, value) in [
        ("Compatible:", Some(update.compatible.as_str())),
        ("Version:", update.version.as_deref()),
        ("Description:", update.description.as_deref()),
        ("Build:", update.build.as_deref()),
        ("Hooks:", Some(bundle_hooks(manifest).join(" ").as_str())),
    ] {
        let _ = writeln!(to, "{name:<15} {}", quoted(value));
    }
    let secrecy = match (manifest.format, view.secrecy) {
        (BundleFormat::Crypt, KeySecrecy::Encrypted) => {
            format!("{BOLD}{GREEN} [encrypted CMS]{PLAIN}")
        }
        (BundleFormat::Crypt, KeySecrecy::Open) => {
            format!("{BOLD}{YELLOW} [unencrypted CMS]{PLAIN}")
        }
        (BundleFormat::Plain | BundleFormat::Verity, _) => String::new(),
    };
    let _ = writeln!(to, "Bundle Format:  {}{secrecy}", manifest.format);
    if manifest.format == BundleFormat::Crypt {
        to.push_str("  Crypt Key:    '<hidden>'\n");
    }
    if let Some(verity) = &manifest.verity {
        let _ = writeln!(to, "  Verity Salt:  '{}'", Digest::from_bytes(verity.salt));
        let _ = writeln!(to, "  Verity Hash:  '{}'", verity.hash);
        let _ = writeln!(to, "  Verity Size:  {}", verity.size.get());
    }
    let _ = writeln!(to, "Manifest Hash:  '{}'\n", view.digest);
    if !manifest.meta.is_empty() {
        to.push_str("Metadata:\n");
        for (label, values) in &manifest.meta {
            let _ = writeln!(to, "  {label}:");
            for (key, value) in values {
                let _ = writeln!(to, "    {key}: {}", one_line(value));
            }
        }
    }
    let count = manifest.images.len();
    let plural = if count == 1 { "" } else { "s" };
    let colon = if count > 0 { ":" } else { "" };
    let _ = writeln!(to, "\n{count} Image{plural}{colon}");
    for image in &manifest.images {
        readable_image(&mut to, image);
    }
    to
}

fn readable_image(to: &mut String, image: &Image) {
    let _ = writeln!(to, "  {BOLD}[{}]{PLAIN}", one_line(&image.class));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(to, "    {name:<10} {value}");
    };
    if let Some(variant) = &image.variant {
        line("Variant:", &one_line(variant));
    }
    if let Some(artifact) = &image.artifact {
        line("Artifact:", &one_line(artifact));
    }
    match &image.filename {
        Some(filename) => line("Filename:", &one_line(filename)),
        None => line("(no image file)", ""),
    }
    if image.artifact.is_none() {
        let detected = match image.type_origin {
            TypeOrigin::Derived if image.image_type.is_some() => " (detected)",
            TypeOrigin::Derived | TypeOrigin::Explicit => "",
        };
        line("Type:", &format!("{}{detected}", image_type(image).unwrap_or("(null)")));
    }
    if image.filename.is_some() {
        let digest = image.sha256.map_or("(null)".to_owned(), |digest| digest.to_string());
        line("Checksum:", &digest);
        line("Size:", &long_size(image.size.map_or(0, storage::ByteLen::get)));
    }
    line("Hooks:", &image_hooks(image).join(" "));
    if !image.adaptive.is_empty() {
        line("Adaptive:", &one_line(&image.adaptive.join(" ")));
    }
    if !image.convert.is_empty() {
        line("Convert:", &one_line(&image.convert.join(" ")));
    }
    if !image.converted.is_empty() {
        let quoted: Vec<String> = image.converted.iter().map(|n| quoted(Some(n))).collect();
        line("Converted:", &quoted.join(" "));
    }
}

/// A size as GLib's long format has it, with its no-break space: `65.5 kB (65536 bytes)`.
#[must_use]
pub fn long_size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 6] = [
        (1_000_000_000_000_000_000, "EB"),
        (1_000_000_000_000_000, "PB"),
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1_000, "kB"),
    ];
    let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| bytes >= *unit) else {
        return if bytes == 1 { "1 byte".to_owned() } else { format!("{bytes} bytes") };
    };

    #[expect(clippy::cast_precision_loss, reason = "as GLib does; it is one digit")]
    let parts = bytes as f64 / unit as f64;
    format!("{parts:.1}\u{a0}{name} ({bytes} bytes)")
}

fn shell(view: &InfoView<'_>) -> String {
    let manifest = view.manifest;
    let update = &manifest.update;
    let mut text = ShellText::default();
    text.set("RAUC_MF_COMPATIBLE", &update.compatible);
    text.set("RAUC_MF_VERSION", update.version.as_deref().unwrap_or_default());
    text.set("RAUC_MF_DESCRIPTION", update.description.as_deref().unwrap_or_default());
    text.set("RAUC_MF_BUILD", update.build.as_deref().unwrap_or_default());
    text.set("RAUC_MF_HASH", &view.digest.to_string());
    text.set("RAUC_MF_FORMAT", manifest.format.name());
    text.set("RAUC_MF_IMAGES", &manifest.images.len().to_string());
    text.set("RAUC_MF_HOOKS", &bundle_hooks(manifest).join(" "));
    for (label, values) in &manifest.meta {
        for (key, value) in values {
            if let (Some(label), Some(key)) = (variable_part(label), variable_part(key)) {
                text.set(&format!("RAUC_META_{label}_{key}"), value);
            }
        }
    }
    for (number, image) in manifest.images.iter().enumerate() {
        let digest = image.sha256.map(|digest| digest.to_string()).unwrap_or_default();
        let size = image.size.map_or(0, storage::ByteLen::get).to_string();
        for (name, value) in [
            ("RAUC_IMAGE_NAME", image.filename.as_deref().unwrap_or_default()),
            ("RAUC_IMAGE_CLASS", &image.class),
            ("RAUC_IMAGE_ARTIFACT", image.artifact.as_deref().unwrap_or_default()),
            ("RAUC_IMAGE_VARIANT", image.variant.as_deref().unwrap_or_default()),
            ("RAUC_IMAGE_DIGEST", &digest),
            ("RAUC_IMAGE_SIZE", &size),
            ("RAUC_IMAGE_HOOKS", &image_hooks(image).join(" ")),
        ] {
            text.set_at(name, number, value);
        }
        for (name, values) in [
            ("RAUC_IMAGE_ADAPTIVE", &image.adaptive),
            ("RAUC_IMAGE_CONVERT", &image.convert),
            ("RAUC_IMAGE_CONVERTED", &image.converted),
        ] {
            if !values.is_empty() {
                text.set_at(name, number, &values.join(" "));
            }
        }
    }
    text.finish()
}

fn json(view: &InfoView<'_>) -> Json {
    let manifest = view.manifest;
    let update = &manifest.update;
    Json::object(vec![
        ("compatible", Json::from(update.compatible.as_str())),
        ("version", Json::maybe(update.version.as_deref())),
        ("description", Json::maybe(update.description.as_deref())),
        ("build", Json::maybe(update.build.as_deref())),
        ("format", Json::from(manifest.format.name())),
        ("hooks", Json::texts(&bundle_hooks(manifest))),
        ("hash", Json::Text(view.digest.to_string())),
        ("images", Json::List(manifest.images.iter().map(json_image).collect())),
    ])
}

fn json_image(image: &Image) -> Json {
    let digest = image.sha256.map(|digest| digest.to_string());
    let size = image.size.map_or(0, storage::ByteLen::get);
    let mut members = vec![
        ("artifact", Json::maybe(image.artifact.as_deref())),
        ("variant", Json::maybe(image.variant.as_deref())),
        ("filename", Json::maybe(image.filename.as_deref())),
        ("type", Json::maybe(image_type(image))),
        ("checksum", Json::maybe(digest.as_deref())),
        ("size", Json::Number(size.into())),
        ("hooks", Json::texts(&image_hooks(image))),
        ("adaptive", Json::texts(&image.adaptive)),
    ];
    for (key, names) in [("convert", &image.convert), ("converted", &image.converted)] {
        if !names.is_empty() {
            members.push((key, Json::texts(names)));
        }
    }
    Json::object(vec![(image.class.clone(), Json::object(members))])
}

/// The chain of a signer for people, with the line end that RAUC prints behind it.
#[must_use]
pub fn chain_text(chain: &[CertificateInfo]) -> String {
    let mut to = "Certificate Chain:\n".to_owned();
    for (depth, certificate) in chain.iter().enumerate() {
        let _ = writeln!(to, "{depth:2} Subject: {}", certificate.subject);
        let _ = writeln!(to, "   Issuer: {}", certificate.issuer);
        let _ = writeln!(to, "   SPKI sha256: {}", certificate.spki_with_colons());
        let _ = writeln!(to, "   Not Before: {}", asn1_date(certificate.not_before));
        let _ = writeln!(to, "   Not After:  {}", asn1_date(certificate.not_after));
    }
    to
}

/// A date as OpenSSL prints it: `Jan  1 00:00:00 1970 GMT`.
fn asn1_date(at: UnixTime) -> String {
    let Ok(date) = OffsetDateTime::from_unix_timestamp(at.0) else { return at.0.to_string() };
    let month = date.month().to_string();
    let (hour, minute, second) = date.to_hms();
    let month: String = month.chars().take(3).collect();
    let (day, year) = (date.day(), date.year());
    format!("{month} {day:2} {hour:02}:{minute:02}:{second:02} {year} GMT")
}

#[cfg(test)]
#[path = "info_view_tests.rs"]
mod tests;
