// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a unit read as a file of Quadlet's?

use crate::model::Unit;

/// Sections with a blank line between them; one line per value; the tokens replaced.
pub(super) fn unit_text(unit: &Unit, config_dir: &str) -> String {
    let files_dir = format!("{config_dir}/files");
    let mut out = String::new();
    for (index, section) in unit.sections.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        out.push_str(&format!("[{}]\n", section.name));
        for directive in &section.directives {
            for value in &directive.values {
                let value = value.replace("${CONFIG_DIR}", config_dir);
                let value = value.replace("${FILES_DIR}", &files_dir);
                out.push_str(&format!("{}={value}\n", directive.name));
            }
        }
    }
    out
}
