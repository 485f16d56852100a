// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which scenarios does a run play? Pure.
//!
//! [`CI_SET`] is the one place that says what `cargo xtask e2e` plays without names. Every other
//! test of the crate carries `#[ignore]`, and the two are compared before each run: a scenario is
//! in the set or says that it is not, and none is skipped in silence.

/// What is played without names, in this order.
pub const CI_SET: [&str; 0] = [];

/// A test as its program lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scenario {
    /// The test's name.
    pub name: String,
    /// The program that holds it.
    pub program: String,
    /// Whether it carries `#[ignore]`.
    pub long: bool,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The set for CI.
    Ci,
    /// Everything.
    All,
    /// What these names stand for.
    Named(Vec<String>),
}

/// The scenarios of a test program, from its `--list` and from its `--list --ignored`.
pub fn read_list(program: &str, listed: &str, ignored: &str) -> Vec<Scenario> {
    let names = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
    };
    let long = names(ignored);
    let of = |name: String| {
        let long = long.contains(&name);
        Scenario { name, program: program.to_owned(), long }
    };
    names(listed).into_iter().map(of).collect()
}

/// Where the set and the marks in the sources differ, one sentence each.
pub fn violations(all: &[Scenario]) -> Vec<String> {
    let mut found = Vec::new();
    for scenario in all {
        let name = &scenario.name;
        match (CI_SET.contains(&name.as_str()), scenario.long) {
            (true, true) => found.push(format!("{name} is in CI_SET and carries #[ignore]")),
            (false, false) => found.push(format!(
                "{name} is not in CI_SET: add it, or mark it #[ignore = \"long: cargo xtask e2e --all\"]"
            )),
            (true, false) | (false, true) => {}
        }
    }
    let gone = CI_SET.iter().filter(|name| !all.iter().any(|scenario| scenario.name == **name));
    found.extend(gone.map(|name| format!("{name} of CI_SET is no test")));
    found
}

/// What is played; a name that stands for nothing is the error.
pub fn select(all: &[Scenario], wanted: &Wanted) -> Result<Vec<Scenario>, String> {
    match wanted {
        Wanted::All => Ok(all.to_vec()),
        Wanted::Ci => {
            let find = |name: &&str| all.iter().find(|scenario| scenario.name == **name).cloned();
            Ok(CI_SET.iter().filter_map(find).collect())
        }
        Wanted::Named(names) => {
            let mut chosen = Vec::new();
            for name in names {
                let hits = named(all, name);
                if hits.is_empty() {
                    return Err(name.clone());
                }
                chosen.extend(hits);
            }
            chosen.dedup();
            Ok(chosen)
        }
    }
}

/// The original suite's name if it is one, else every test with the text in its name or program.
fn named(all: &[Scenario], name: &str) -> Vec<Scenario> {
    let text = name.replace('-', "_");
    let original = format!("rauc_{text}_");
    let hits = |of: &dyn Fn(&Scenario) -> bool| -> Vec<Scenario> {
        all.iter().filter(|scenario| of(scenario)).cloned().collect()
    };
    let found = hits(&|scenario| scenario.name.starts_with(&original));
    if found.is_empty() {
        return hits(&|scenario| scenario.name.contains(&text) || scenario.program == text);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Scenario> {
        let listed = "rauc_update_works: test\nan_update_fails: test\nlate: test\n\n3 tests\n";
        read_list("chain", listed, "late: test\n")
    }

    #[test]
    fn a_list_is_read_with_its_marks() {
        let read = all();
        assert_eq!(read.len(), 3);
        assert!(read[2].long && !read[0].long && read[1].name == "an_update_fails");
    }

    #[test]
    fn the_original_suites_name_means_its_test_and_other_text_every_match() {
        let names = |name: &str| {
            let wanted = Wanted::Named(vec![name.to_owned()]);
            let chosen = select(&all(), &wanted)?;
            Ok::<_, String>(chosen.into_iter().map(|one| one.name).collect::<Vec<_>>())
        };
        assert_eq!(names("update").unwrap(), ["rauc_update_works"]);
        assert_eq!(names("an-update").unwrap(), ["an_update_fails"]);
        assert_eq!(names("chain").unwrap().len(), 3);
        assert_eq!(names("nothing").unwrap_err(), "nothing");
    }

    #[test]
    fn a_test_that_is_neither_in_the_set_nor_marked_is_a_violation() {
        let found = violations(&all());
        assert!(found.iter().any(|text| text.starts_with("an_update_fails is not in CI_SET")));
        assert!(!found.iter().any(|text| text.starts_with("late ")), "{found:?}");
        assert!(CI_SET.is_empty() || found.iter().any(|text| text.ends_with("is no test")));
    }
}
