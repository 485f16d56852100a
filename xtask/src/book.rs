// SPDX-License-Identifier: MIT OR Apache-2.0
//! The book under `docs/`: every page is listed in `SUMMARY.md` and every relative link leads to
//! a file. The same would be found by `mdbook build`, which Debian does not package.

use crate::error::TaskError;
use std::fs;
use std::path::{Path, PathBuf};

const BOOK: &str = "docs";

/// Checks the book.
pub fn check() -> Result<(), TaskError> {
    let summary = read(&Path::new(BOOK).join("SUMMARY.md"))?;
    let listed: Vec<PathBuf> = links(&summary).map(PathBuf::from).collect();
    let mut violations = Vec::new();
    for page in pages(Path::new(BOOK))? {
        let name = page.strip_prefix(BOOK).unwrap_or(&page).to_owned();
        if name != Path::new("SUMMARY.md") && !listed.contains(&name) {
            violations.push(format!("{} is not in SUMMARY.md", page.display()));
        }
        let text = read(&page)?;
        let from = page.parent().unwrap_or(Path::new(BOOK));
        for link in links(&text).filter(|link| !from.join(link).exists()) {
            violations.push(format!("{}: link to {link} leads nowhere", page.display()));
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(TaskError::Rules { violations }) }
}

#[expect(clippy::disallowed_methods, reason = "a maintainer's tool reads its own checkout")]
fn read(path: &Path) -> Result<String, TaskError> {
    fs::read_to_string(path).map_err(|source| TaskError::Read { path: path.to_owned(), source })
}

fn pages(dir: &Path) -> Result<Vec<PathBuf>, TaskError> {
    let failed = |source| TaskError::Read { path: dir.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            found.extend(pages(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Targets of inline links that point into the checkout, without their fragments.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter_map(|link| {
        let file = link.split('#').next().unwrap_or_default();
        (!file.is_empty() && !link.contains("://")).then_some(file)
    })
}

#[cfg(test)]
mod tests {
    use super::links;

    #[test]
    fn only_links_into_the_checkout_are_followed() {
        let text = "[a](a.md) [b](https://example.org) [c](#here) [d](d/e.md#f)";
        assert_eq!(links(text).collect::<Vec<_>>(), ["a.md", "d/e.md"]);
    }
}
