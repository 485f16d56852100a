// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which tests that pages name do not exist? A page that says "shown by" lies when the test was
//! renamed or removed. A test's name is a claim of five words or more between backticks.

use super::Page;
use std::collections::BTreeSet;

/// How many words of a name make it a claim: shorter ones are functions, variables and keys.
const WORDS: usize = 5;
/// Names of RAUC's own tests, which are no functions of ours.
const FOREIGN: &str = "test_";

/// Names of tests that no source defines.
pub fn violations(pages: &[Page], sources: &[String]) -> Vec<String> {
    let known: BTreeSet<&str> = sources.iter().flat_map(|text| functions(text)).collect();
    let mut found = Vec::new();
    for page in pages {
        let marked = page.text.split('`').skip(1).step_by(2);
        let names = marked.filter_map(|words| words.rsplit([':', ' ']).next());
        for name in names.filter(|name| is_claim(name) && !known.contains(name)) {
            found.push(format!("{}: there is no test {name}", page.path.display()));
        }
    }
    found
}

fn is_claim(name: &str) -> bool {
    let words = name.split('_').filter(|word| !word.is_empty()).count();
    let plain =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    words >= WORDS && name.chars().all(plain) && !name.starts_with(FOREIGN)
}

/// Names behind each `fn`.
fn functions(source: &str) -> impl Iterator<Item = &str> {
    source.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let sources = ["#[test]\nfn what_is_cut_is_done_again() {}\nfn a<T>() {}".to_owned()];
        violations(&[Page { path: "docs/a.md".into(), text: text.to_owned() }], &sources)
    }

    #[test]
    fn a_test_that_exists_may_be_named() {
        let text = "`what_is_cut_is_done_again`, `tests::what_is_cut_is_done_again`, \
                    `a.rs: what_is_cut_is_done_again`, `atomix_reset_data`, \
                    `test_a_b_c_d_e`, words_without_any_mark_at_all";
        assert_eq!(found(text), Vec::<String>::new());
    }

    #[test]
    fn one_that_does_not_is_told() {
        let wanted = ["docs/a.md: there is no test what_is_cut_is_gone_for_good"];
        assert_eq!(found("`what_is_cut_is_gone_for_good`"), wanted);
    }
}
