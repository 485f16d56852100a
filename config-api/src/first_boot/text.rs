// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a technician reads at a serial console of 80 columns and 24 lines.

use crate::plain_text;
use crate::protocol::HostAddress;

/// The port of the boot pages.
const PORT: u16 = crate::client::DEFAULT_PORT;

/// What is said first, and when somebody asks for help: where is searched, and how to help.
/// `addresses` are the device's as far as they are known.
#[must_use]
pub fn welcome(addresses: &[HostAddress]) -> String {
    let pages = match addresses {
        [] => {
            format!("Or open http://ADDRESS:{PORT} of this device in a browser; it has none yet.\n")
        }
        known => format!("Or open in a browser:\n{}", places(known)),
    };
    format!(
        "\
This device has no configuration. It looks for one, in this order:

  1  /boot of the running slot
  2  USB sticks and cards, any label, vfat or ext4; plug one in at any time
  3  what is typed here

A file in the topmost directory, called config.toml, or a bundle of it called
config.tar.gz, config.tgz, config.tar.zst, config.tar.zstd or config.tzst.
{pages}
To type a configuration here: send paste, then the lines of config.toml, then a
line with nothing but a dot. Other words: status, again, help.
"
    )
}

/// The boot pages, a line for each address.
pub(super) fn places(addresses: &[HostAddress]) -> String {
    let line = |place: &HostAddress| {
        wrapped("  ", &format!("http://{}:{PORT} ({})", place.address, place.interface))
    };
    addresses.iter().map(line).collect()
}

/// Words in lines of the console's width, with `first` before the first of them and as many spaces
/// before the others.
pub(super) fn wrapped(first: &str, text: &str) -> String {
    plain_text::wrapped(first, &" ".repeat(first.chars().count()), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn the_welcome_fits_a_serial_console() {
        let address = Ipv4Addr::new(255, 255, 255, 255);
        let most = vec![HostAddress { interface: "i".repeat(15), address }; 4];
        for known in 0..=most.len() {
            let text = welcome(&most[..known]);
            assert!(text.lines().count() <= 22, "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= plain_text::COLUMNS), "{text}");
        }
    }
}
