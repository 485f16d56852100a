// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which links lead nowhere? A link leads to a file of the checkout, and to a heading in it where it
//! names one; one inside the book does not leave it, since pages that are built have nothing around
//! them. The summary names each page once.

use super::{Page, lines};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Everything that is wrong, a sentence each.
pub fn violations(pages: &[Page], summary: &Path, is_file: &dyn Fn(&Path) -> bool) -> Vec<String> {
    let headings: BTreeMap<&Path, Vec<String>> =
        pages.iter().map(|page| (page.path.as_path(), anchors(&page.text))).collect();
    let book = summary.parent().unwrap_or(Path::new(""));
    let mut found = Vec::new();
    let mut listed: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for page in pages {
        for link in links(&page.text) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.path.clone() } else { beside(&page.path, file) };
            if page.path == summary {
                *listed.entry(target.clone()).or_default() += 1;
            }
            let known = headings.get(target.as_path());
            let wrong = if !is_file(&target) {
                "leads nowhere"
            } else if page.path.starts_with(book) && !target.starts_with(book) {
                "leaves the book"
            } else if !anchor.is_empty()
                && !known.is_some_and(|known| known.iter().any(|heading| heading == anchor))
            {
                "names no heading of that page"
            } else {
                continue;
            };
            found.push(format!("{}: link to {link} {wrong}", page.path.display()));
        }
    }
    for page in pages.iter().filter(|page| page.path.starts_with(book) && page.path != summary) {
        let times = listed.get(&page.path).copied().unwrap_or_default();
        if times != 1 {
            found.push(format!("{} is {times} times in the summary", page.path.display()));
        }
    }
    found
}

/// Targets of the links and pictures of a page that point into the checkout.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (_, line) in lines(text).filter(|(fence, _)| fence.is_none()) {
        let line = without_code(line);
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
        found.extend(targets.filter(|target| !target.contains("://")).map(str::to_owned));
    }
    found
}

/// A line without what stands between backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// The names that mdbook gives to the headings of a page.
fn anchors(text: &str) -> Vec<String> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for (_, line) in lines(text).filter(|(fence, _)| fence.is_none()) {
        let hashes = line.chars().take_while(|mark| *mark == '#').count();
        let heading = line.get(hashes..).and_then(|rest| rest.strip_prefix(' '));
        let Some(heading) = heading.filter(|_| hashes > 0) else { continue };
        let name = anchor(heading.trim());
        let before = times.entry(name.clone()).or_default();
        found.push(if *before == 0 { name } else { format!("{name}-{before}") });
        *before += 1;
    }
    found
}

fn anchor(heading: &str) -> String {
    let mut name = String::new();
    for letter in heading.chars() {
        if letter.is_alphanumeric() || letter == '_' || letter == '-' {
            name.extend(letter.to_lowercase());
        } else if letter.is_whitespace() {
            name.push('-');
        }
    }
    name
}

/// `file` as a link of `page` means it, without the steps up.
fn beside(page: &Path, file: &str) -> PathBuf {
    let mut path = page.parent().map(PathBuf::from).unwrap_or_default();
    for part in Path::new(file).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(summary: &str, text: &str) -> Vec<String> {
        let page = |path: &str, text: &str| Page { path: path.into(), text: text.to_owned() };
        let pages = [
            page("docs/SUMMARY.md", summary),
            page("docs/a.md", text),
            page("docs/sub/b.md", "# B\n\n## Two `words`, one\n\n## Two words one\n"),
        ];
        let files = ["docs/SUMMARY.md", "docs/a.md", "docs/sub/b.md", "docs/i.svg", "README.md"];
        violations(&pages, Path::new("docs/SUMMARY.md"), &|path| {
            files.iter().any(|file| Path::new(file) == path)
        })
    }

    const BOTH: &str = "[A](a.md) [B](sub/b.md)";

    #[test]
    fn links_that_lead_somewhere_are_none_of_its_business() {
        let text = "[b](sub/b.md#two-words-one) [c](sub/b.md#two-words-one-1) ![i](i.svg) [w](https://x.org/y)\n\
                    `[no](link)`\n```text\n[no](link)\n```\n## Here\n[up](#here)";
        assert_eq!(found(BOTH, text), Vec::<String>::new());
    }

    #[test]
    fn what_leads_nowhere_is_told_with_its_page() {
        assert_eq!(found(BOTH, "[x](x.md)"), ["docs/a.md: link to x.md leads nowhere"]);
        assert_eq!(found(BOTH, "![x](x.svg)"), ["docs/a.md: link to x.svg leads nowhere"]);
        let unnamed = ["docs/a.md: link to sub/b.md#two names no heading of that page"];
        assert_eq!(found(BOTH, "[x](sub/b.md#two)"), unnamed);
        let here = ["docs/a.md: link to #there names no heading of that page"];
        assert_eq!(found(BOTH, "## Here\n[x](#there)"), here);
        let out = ["docs/a.md: link to ../README.md leaves the book"];
        assert_eq!(found(BOTH, "[x](../README.md)"), out);
    }

    #[test]
    fn the_summary_names_each_page_once() {
        assert_eq!(found("[A](a.md)", ""), ["docs/sub/b.md is 0 times in the summary"]);
        let twice = "[A](a.md) [B](sub/b.md) [C](a.md)";
        assert_eq!(found(twice, ""), ["docs/a.md is 2 times in the summary"]);
    }
}
