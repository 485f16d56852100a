// SPDX-License-Identifier: MIT OR Apache-2.0
//! Versions of RAUC that a bundle may ask for.

use super::is_within_rauc_level;

#[test]
fn a_bundle_may_ask_for_what_this_is_and_for_no_more() {
    for version in ["1.14", "1.16-dev.3", "1.16", "1.16.0"] {
        assert!(is_within_rauc_level(version), "{version}");
    }
    for version in ["1.16.1", "1.17", "2", "", "new", "1.16.0.0"] {
        assert!(!is_within_rauc_level(version), "{version}");
    }
}
