// SPDX-License-Identifier: MIT OR Apache-2.0
//! Can a reader follow every link of the pages that mdbook made? Those of the text, and its pictures:
//! Debian's mdbook leaves out files of its own theme, which only look.

use anyhow::{Context as _, Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// What mdbook makes besides chapters; the first has links from wherever it is shown.
const NOT_FOUND: &str = "404.html";

/// Holds every link below `dir` to a file and a heading there.
///
/// # Errors
/// When one leads nowhere, with its page, or when there are fewer than `least` links.
pub fn check(dir: &Path, least: usize) -> Result<()> {
    let mut pages = BTreeMap::new();
    collect(dir, &mut pages)?;
    let mut wrong = Vec::new();
    let mut links = 0;
    for (page, text) in &pages {
        for link in targets(text).filter(|link| !link.contains(':')) {
            links += 1;
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let beside = page.parent().unwrap_or(dir);
            let led = if path.is_empty() { page.clone() } else { plain(&beside.join(path)) };
            let has_heading = || {
                let found = pages.get(&led);
                heading.is_empty()
                    || found.is_some_and(|text| text.contains(&format!(" id=\"{heading}\"")))
            };
            if !led.is_file() || !has_heading() {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    ensure!(wrong.is_empty(), "links that lead nowhere:\n  {}", wrong.join("\n  "));
    ensure!(links >= least, "only {links} links in {} pages", pages.len());
    Ok(())
}

fn collect(dir: &Path, pages: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, pages)?;
        } else if path.extension().is_some_and(|end| end == "html") && !path.ends_with(NOT_FOUND) {
            let text = fs::read_to_string(&path)?;
            pages.insert(path, text);
        }
    }
    Ok(())
}

/// What links and pictures name.
fn targets(page: &str) -> impl Iterator<Item = &str> {
    let tags = page.split('<').filter(|tag| tag.starts_with("a ") || tag.starts_with("img "));
    tags.filter_map(|tag| {
        let (tag, _) = tag.split_once('>')?;
        let (_, value) = tag.split_once(" href=\"").or_else(|| tag.split_once(" src=\""))?;
        value.split('"').next()
    })
}

/// Without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(out.pop()),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => out.push(part),
        }
    }
    out
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests")]
mod tests {
    use super::check;
    use std::fs;

    fn said(first: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("deep")).unwrap();
        fs::write(dir.path().join("picture.svg"), "").unwrap();
        fs::write(dir.path().join("first.html"), first).unwrap();
        let second =
            "<a class=\"x\" href=\"../first.html#there\">first</a><a href=\"#own\" id=\"own\">";
        fs::write(dir.path().join("deep/second.html"), second).unwrap();
        check(dir.path(), 3).map_or_else(|failure| failure.to_string(), |()| String::new())
    }

    #[test]
    fn links_to_a_page_a_heading_and_a_picture_are_followed() {
        let good = "<h1 id=\"there\"></h1><img src=\"picture.svg\"><a href=\"https://a.b/c\">";
        assert_eq!(said(good), "");
        let cases = [
            ("<h1 id=\"there\"></h1><a href=\"third.html\">", "first.html: third.html"),
            ("<h1 id=\"there\"></h1><a href=\"first.html#here\">", "first.html: first.html#here"),
            ("<h1 id=\"there\"></h1><img alt=\"\" src=\"p.svg\">", "first.html: p.svg"),
            ("<h1 id=\"other\"></h1>", "second.html: ../first.html#there"),
            ("<h1 id=\"there\"></h1>", "only 2 links in 2 pages"),
        ];
        for (page, says) in cases {
            assert!(said(page).contains(says), "{page}: {}", said(page));
        }
    }
}
