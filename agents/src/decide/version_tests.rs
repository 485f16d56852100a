// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which versions may follow the one that runs, and which where nobody knows it?

use super::scene::Scene;
use super::*;

#[test]
fn an_older_version_needs_permission_and_no_force_replaces_it() {
    let older = |scene: &mut Scene| {
        scene.offer.version = "0.9".to_owned();
        scene.looked.version = Some("0.9".to_owned());
    };
    Scene::with(older).refuses(Rule::Downgrade);
    Scene::with(older).forced().insisted().refuses(Rule::Downgrade);
    assert_eq!(
        Scene::with(older).claimed().decision,
        Decision::Refuse { why: Rule::Downgrade },
        "and nothing of it is fetched"
    );
    let mut allowed = Scene::with(older);
    allowed.policy.downgrade = Downgrade::Allowed;
    assert_eq!(allowed.installs().downgrade, Downgrade::Allowed);
    let no_order = |scene: &mut Scene| {
        scene.offer.version = "nightly".to_owned();
        scene.looked.version = Some("nightly".to_owned());
    };
    Scene::with(no_order).refuses(Rule::Downgrade);
    let mut unordered = Scene::with(no_order);
    unordered.facts.a.version = Some("weekly".to_owned());
    unordered.installs();
}

/// Fails when a device that lost its records, or was just flashed, takes any old bundle that was ever
/// signed for it.
#[test]
fn where_no_record_says_what_runs_the_floor_decides_or_a_permission() {
    let unknown = |floor: Option<&str>| {
        Scene::with(|scene| {
            scene.facts.a.version = None;
            scene.facts.version_floor = floor.map(|text| text.parse().unwrap());
        })
    };
    unknown(Some("2.0")).installs();
    unknown(Some("2.0.1")).forced().insisted().refuses(Rule::Downgrade);
    unknown(None).forced().insisted().refuses(Rule::Downgrade);
    let words = unknown(None).claimed().because().unwrap().words.clone();
    assert!(words.contains("min-bundle-version"), "{words}");
    for floor in [None, Some("2.0.1")] {
        let mut allowed = unknown(floor);
        allowed.policy.downgrade = Downgrade::Allowed;
        allowed.installs();
    }
}
