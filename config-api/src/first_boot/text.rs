// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a technician reads at a serial console of 80 columns and 24 lines.

use crate::plain_text;

/// Columns of the console.
pub const WIDTH: usize = plain_text::COLUMNS;

/// What is said first, and when somebody asks for help: where is searched, and how to help.
#[must_use]
pub fn welcome() -> String {
    "\
This device has no configuration. It looks for one, in this order:

  1  /boot of the running slot
  2  USB sticks and cards, any label, vfat or ext4; plug one in at any time
  3  what is typed here

A file in the topmost directory, called config.toml, or a bundle of it called
config.tar.gz, config.tgz, config.tar.zst, config.tar.zstd or config.tzst.
Or open http://ADDRESS:8080 of this device in a browser.

To type a configuration here: send paste, then the lines of config.toml, then a
line with nothing but a dot. Other words: status, again, help.
"
    .to_owned()
}

/// Words in lines of the console's width, with `first` before the first of them and as many spaces
/// before the others.
pub(super) fn wrapped(first: &str, text: &str) -> String {
    plain_text::wrapped(first, &" ".repeat(first.chars().count()), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_welcome_fits_a_serial_console() {
        assert!(welcome().lines().count() <= 22);
        assert!(welcome().lines().all(|line| line.chars().count() <= WIDTH));
    }
}
