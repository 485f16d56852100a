// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which commands and options has `rauc`? RAUC's names, in RAUC's order. No behaviour.

use crate::rauc::grammar::{Entry, Group, Takes};

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Prints nothing; RAUC lists it for the sake of the word.
    Help,
    /// Install a bundle.
    Install,
    /// Make one.
    Bundle,
    /// Sign one again.
    Resign,
    /// To casync indexes.
    Convert,
    /// For recipients.
    Encrypt,
    /// Put another signature on.
    ReplaceSignature,
    /// Take the signature out.
    ExtractSignature,
    /// Take the content out.
    Extract,
    /// Show it.
    Info,
    /// Show or mark slots.
    Status,
    /// Write an image into a slot.
    WriteSlot,
    /// Serve on D-Bus.
    Service,
    /// Mount a bundle.
    Mount,
}

/// Whether a command reads `system.conf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigUse {
    /// Only where `-c` names it.
    Unused,
    /// Where it is found.
    IfFound,
    /// It must be there.
    Required,
}

/// What is known of a command.
#[derive(Clone, Copy, Debug)]
pub struct CommandSpec {
    /// Which.
    pub verb: Verb,
    /// Its word.
    pub name: &'static str,
    /// Behind `rauc [OPTION…]` in the help.
    pub usage: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// Its own options.
    pub options: Option<Group>,
    /// Whether it reads `system.conf`.
    pub config: ConfigUse,
}

const PEM: Option<&str> = Some("PEMFILE");
const PEM_OR_URL: Option<&str> = Some("PEMFILE|PKCS11-URL");

const fn flag(long: &'static str, help: &'static str) -> Entry {
    Entry {
        long,
        short: None,
        takes: Takes::Nothing,
        value: None,
        help,
        is_hidden: false,
        keeps: long,
    }
}

const fn text(long: &'static str, help: &'static str, value: &'static str) -> Entry {
    Entry { takes: Takes::Text, value: Some(value), ..flag(long, help) }
}

const fn file(long: &'static str, help: &'static str, value: Option<&'static str>) -> Entry {
    Entry { takes: Takes::File, value, ..flag(long, help) }
}

const fn letter(short: u8, entry: Entry) -> Entry {
    Entry { short: Some(short), ..entry }
}

const fn hidden(entry: Entry) -> Entry {
    Entry { is_hidden: true, ..entry }
}

const NO_CHECK_TIME: Entry =
    flag("no-check-time", "don't check validity period of certificates against current time");
const NO_VERIFY: Entry = flag("no-verify", "disable bundle verification");
const KEYRING: Entry = file("keyring", "keyring file", PEM);
const TRUST: Entry = flag("trust-environment", "trust environment and skip bundle access checks");
const DECRYPT_KEY: Entry = file("key", "decryption key file or PKCS#11 URL", PEM_OR_URL);
const HANDLER_ARGS: Entry = text("handler-args", "extra arguments for full custom handler", "ARGS");
const MKSQUASHFS: Entry = text("mksquashfs-args", "mksquashfs extra args", "ARGS");
const SIGNING_KEYRING: Entry =
    file("signing-keyring", "post-signing verification keyring file", PEM);
const BOOT_SLOT: Entry =
    text("override-boot-slot", "override auto-detection of booted slot", "BOOTNAME");

/// The options that every command takes.
pub const MAIN: Group = Group {
    title: "Options:",
    entries: &[&[
        letter(b'c', file("conf", "config file", Some("FILENAME"))),
        Entry {
            takes: Takes::TextOrNothing,
            ..letter(
                b'C',
                text(
                    "confopt",
                    "config settings that override parameters from the config file",
                    "SECTION:KEY=VALUE",
                ),
            )
        },
        hidden(file("cert", "cert file or PKCS#11 URL", PEM_OR_URL)),
        hidden(file("key", "key file or PKCS#11 URL", PEM_OR_URL)),
        hidden(KEYRING),
        hidden(file("intermediate", "intermediate CA file or PKCS#11 URL", PEM_OR_URL)),
        file("mount", "mount prefix", Some("PATH")),
        letter(b'd', flag("debug", "enable debug output")),
        flag("version", "display version"),
        letter(b'h', flag("help", "display help and exit")),
    ]],
};

const SIGNING: &[Entry] = &[
    file("cert", "signing cert file or PKCS#11 URL", PEM_OR_URL),
    file("key", "signing key file or PKCS#11 URL", PEM_OR_URL),
    file("intermediate", "intermediate CA file or PKCS#11 URL", PEM_OR_URL),
    SIGNING_KEYRING,
];

const ACCESS: &[Entry] = &[
    text("tls-cert", "TLS client certificate file or PKCS#11 URL", "PEMFILE|PKCS11-URL"),
    text("tls-key", "TLS client key file or PKCS#11 URL", "PEMFILE|PKCS11-URL"),
    file("tls-ca", "TLS CA file", PEM),
    flag("tls-no-verify", "do not verify TLS server certificate"),
    letter(
        b'H',
        text("http-header", "HTTP request header (multiple uses supported)", "'HEADER: VALUE'"),
    ),
];

const INSTALL: &[Entry] = &[
    flag("ignore-compatible", "disable compatible check"),
    flag("ignore-version-limit", "disable version check"),
    text("transaction-id", "custom transaction id", "UUID"),
    text("require-manifest-hash", "require a specific manifest hash", "HASH"),
    flag("progress", "show progress bar"),
];

const RESIGN: &[Entry] =
    &[flag("append", "append instead of replace signature"), KEYRING, NO_VERIFY, NO_CHECK_TIME];

const CONVERT: &[Entry] = &[
    TRUST,
    KEYRING,
    NO_VERIFY,
    MKSQUASHFS,
    text("casync-args", "casync extra args", "ARGS"),
    text("ignore-image", "ignore image during conversion", "SLOTCLASS"),
];

const INFO: &[Entry] = &[
    KEYRING,
    NO_VERIFY,
    NO_CHECK_TIME,
    DECRYPT_KEY,
    text("output-format", "output format (readable, shell, json, json-pretty, json-2)", "FORMAT"),
    flag("dump-cert", "dump certificate"),
    flag("dump-recipients", "dump recipients"),
];

const STATUS: &[Entry] = &[
    flag("detailed", "show more status details"),
    text("output-format", "output format (readable, shell, json, json-pretty)", "FORMAT"),
];

const IMAGE_TYPE: Entry = text("image-type", "Select explicit image type to use.", "TYPE");

const WRITE_SLOT: &[Entry] = &[
    letter(b't', IMAGE_TYPE),
    // RAUC once gave the option this letter by accident.
    hidden(letter(b'l', Entry { long: "image-type-compat", ..IMAGE_TYPE })),
];

const fn group(title: &'static str, entries: &'static [&'static [Entry]]) -> Option<Group> {
    Some(Group { title, entries })
}

const fn command(
    verb: Verb,
    name: &'static str,
    usage: &'static str,
    summary: &'static str,
    options: Option<Group>,
    config: ConfigUse,
) -> CommandSpec {
    CommandSpec { verb, name, usage, summary, options, config }
}

/// Every command.
pub const COMMANDS: &[CommandSpec] = &[
    command(Verb::Help, "help", "<COMMAND>", "Print help", None, ConfigUse::Unused),
    command(
        Verb::Install,
        "install",
        "install <BUNDLE>",
        "Install a bundle",
        group("Install options:", &[INSTALL, ACCESS]),
        // The service has the configuration.
        ConfigUse::Unused,
    ),
    command(
        Verb::Bundle,
        "bundle",
        "bundle <INPUTDIR> <BUNDLENAME>",
        "Create a bundle from a content directory",
        group("Bundle options:", &[&[MKSQUASHFS], SIGNING]),
        ConfigUse::Unused,
    ),
    command(
        Verb::Resign,
        "resign",
        "resign <INBUNDLE> <OUTBUNDLE>",
        "Resign an already signed bundle",
        group("Resign options:", &[RESIGN, SIGNING]),
        ConfigUse::Unused,
    ),
    command(
        Verb::Convert,
        "convert",
        "convert <INBUNDLE> <OUTBUNDLE>",
        "Convert to casync index bundle and store",
        group("Convert options:", &[CONVERT, SIGNING]),
        ConfigUse::Unused,
    ),
    command(
        Verb::Encrypt,
        "encrypt",
        "encrypt <INBUNDLE> <OUTBUNDLE>",
        "Encrypt a crypt bundle",
        group("Encryption options:", &[&[file("to", "recipient cert(s)", PEM), KEYRING]]),
        ConfigUse::Unused,
    ),
    command(
        Verb::ReplaceSignature,
        "replace-signature",
        "replace-signature <INBUMDLE> <INPUTSIG> <OUTBUNDLE>",
        "Replaces the signature of an already signed bundle",
        group("Replace signature options:", &[&[TRUST, KEYRING, NO_VERIFY, SIGNING_KEYRING]]),
        ConfigUse::Unused,
    ),
    command(
        Verb::ExtractSignature,
        "extract-signature",
        "extract-signature <BUNDLENAME> <OUTPUTSIG>",
        "Extract the bundle signature",
        group("Extract signature options:", &[&[DECRYPT_KEY, KEYRING, TRUST]]),
        ConfigUse::Unused,
    ),
    command(
        Verb::Extract,
        "extract",
        "extract <BUNDLENAME> <OUTPUTDIR>",
        "Extract the bundle content",
        group("Extract options:", &[&[DECRYPT_KEY, KEYRING, TRUST]]),
        ConfigUse::IfFound,
    ),
    command(
        Verb::Info,
        "info",
        "info <BUNDLE>",
        "Print bundle info",
        group("Info options:", &[INFO, ACCESS]),
        ConfigUse::IfFound,
    ),
    command(
        Verb::Status,
        "status",
        "status",
        "Show system status\n\n\
         List of status commands (default slot is the currently booted slot):\n  \
         mark-good [booted | other | <SLOT_NAME>]    Mark the slot as good\n  \
         mark-bad [booted | other | <SLOT_NAME>]     Mark the slot as bad\n  \
         mark-active [booted | other | <SLOT_NAME>]  Mark the slot as active",
        group("Status options:", &[STATUS]),
        ConfigUse::Unused,
    ),
    command(
        Verb::WriteSlot,
        "write-slot",
        "write-slot <SLOTNAME> <IMAGE>",
        "Manually write image to slot (using slot update handler).\n\
         This bypasses all other update logic and is for development or special use only!",
        group("Write-Slot options:", &[WRITE_SLOT]),
        ConfigUse::Required,
    ),
    command(
        Verb::Service,
        "service",
        "service",
        "Start RAUC service",
        group("Service options:", &[&[HANDLER_ARGS, KEYRING, BOOT_SLOT]]),
        ConfigUse::Required,
    ),
    command(
        Verb::Mount,
        "mount",
        "mount <BUNDLENAME>",
        "Mount a bundle (for development purposes)",
        None,
        ConfigUse::Required,
    ),
];

/// Below the options in the general help.
pub const DESCRIPTION: &str = "\
Command-specific help:
  rauc <COMMAND> --help

List of rauc bundle handling commands:
  bundle                  Create a bundle
  resign                  Resign an already signed bundle
  convert                 Convert classic to casync bundle
  encrypt                 Encrypt a crypt bundle
  replace-signature       Replaces the signature of an already signed bundle
  extract-signature       Extract the bundle signature
  extract                 Extract the bundle content
  info                    Show bundle information

List of rauc target commands:
  service                 Start RAUC service
  install                 Install a bundle
  status                  Show status
  mount                   Mount a bundle
  write-slot              Write image to slot and bypass all update logic

Environment variables:
  RAUC_KEY_PASSPHRASE     Passphrase to use for accessing key files (signing only)
  RAUC_PKCS11_MODULE      Library filename for PKCS#11 module (signing only)
  RAUC_PKCS11_PIN         PIN to use for accessing PKCS#11 keys (signing only)";
