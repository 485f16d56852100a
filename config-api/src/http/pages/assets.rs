// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files that pages load: from this program alone, since a device that is being set up may
//! reach nobody else. Who made the foreign ones stands in `config-api/assets/README.md`.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// A file with its type.
struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static [u8],
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

const ASSETS: [Asset; 5] = [
    Asset {
        name: "boot.css",
        kind: "text/css; charset=utf-8",
        content: include_bytes!("../../../assets/boot.css"),
    },
    Asset { name: "boot.js", kind: SCRIPT, content: include_bytes!("../../../assets/boot.js") },
    Asset {
        name: "htmx.min.js",
        kind: SCRIPT,
        content: include_bytes!("../../../assets/htmx.min.js"),
    },
    Asset {
        name: "htmx-ext-sse.min.js",
        kind: SCRIPT,
        content: include_bytes!("../../../assets/htmx-ext-sse.min.js"),
    },
    Asset {
        name: "icon.svg",
        kind: "image/svg+xml",
        content: include_bytes!("../../../assets/icon.svg"),
    },
];

/// The file of this name.
pub(super) fn asset(name: &str) -> Option<Response> {
    let asset = ASSETS.iter().find(|asset| asset.name == name)?;
    let mut response = asset.content.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    Some(response)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    /// What npm gave us, and nothing else, is what we hand on.
    #[test]
    fn foreign_files_are_the_published_ones_with_their_licences() {
        let readme = include_str!("../../../assets/README.md");
        let pinned: BTreeMap<&str, &str> = readme
            .lines()
            .filter_map(|line| {
                let cells: Vec<&str> = line.split('|').map(str::trim).collect();
                let name = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
                Some((name, cells.get(3)?.strip_prefix('`')?.strip_suffix('`')?))
            })
            .collect();
        let files: [(&str, &[u8]); 4] = [
            ("htmx.min.js", include_bytes!("../../../assets/htmx.min.js")),
            ("htmx.LICENSE", include_bytes!("../../../assets/htmx.LICENSE")),
            ("htmx-ext-sse.min.js", include_bytes!("../../../assets/htmx-ext-sse.min.js")),
            ("htmx-ext-sse.LICENSE", include_bytes!("../../../assets/htmx-ext-sse.LICENSE")),
        ];
        for (name, content) in files {
            let digest = hex::encode(openssl::sha::sha256(content));
            assert_eq!(pinned.get(name), Some(&digest.as_str()), "{name}");
        }
        assert_eq!(pinned.len(), files.len());
    }

    /// The colours of one scheme, by name.
    fn colours(css: &str) -> BTreeMap<&str, [f64; 3]> {
        let part = |hex: &str, at: usize| {
            let value = u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let share = f64::from(value) / 255.0;
            if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        let lines = css.lines().filter_map(|line| {
            let (name, value) = line.trim().strip_prefix("--")?.split_once(": #")?;
            let hex = value.strip_suffix(';')?;
            Some((name, [part(hex, 0), part(hex, 2), part(hex, 4)]))
        });
        lines.collect()
    }

    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let light = |[r, g, b]: [f64; 3]| 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
        let (one, other) = (light(one), light(other));
        one.max(other) / one.min(other)
    }

    /// WCAG 2: 4.5 for text, 3 for the edges of what is operated.
    #[test]
    fn every_text_can_be_read_in_both_schemes() {
        let css = include_str!("../../../assets/boot.css");
        let (light, dark) = css.split_once("prefers-color-scheme: dark").unwrap();
        for (scheme, part) in [("light", light), ("dark", dark)] {
            let colours = colours(part);
            let text = [
                ("text", "page"),
                ("text", "panel"),
                ("quiet", "page"),
                ("quiet", "panel"),
                ("link", "page"),
                ("link", "panel"),
                ("bad", "page"),
                ("bad", "panel"),
                ("good", "panel"),
                ("text", "mark"),
                ("button-text", "button"),
            ];
            let edges = [("edge", "page"), ("edge", "panel"), ("focus", "page"), ("bad", "panel")];
            let pairs =
                text.map(|pair| (pair, 4.5)).into_iter().chain(edges.map(|pair| (pair, 3.0)));
            for ((front, back), least) in pairs {
                let found = contrast(colours[front], colours[back]);
                assert!(found >= least, "{scheme}: {front} on {back} has {found:.2}");
            }
        }
        let known = contrast(colours("--a: #777777;")["a"], colours("--b: #ffffff;")["b"]);
        assert!((known - 4.48).abs() < 0.01, "{known}");
    }
}
