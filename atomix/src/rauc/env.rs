// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which environment variables change what `rauc` does? Read once, here, and passed on as values.

use std::ffi::OsString;
use std::path::PathBuf;

/// The bus on which the service is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bus {
    /// The machine's.
    #[default]
    System,
    /// A person's; for tests.
    Session,
}

impl Bus {
    /// RAUC's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Session => "session",
        }
    }
}

/// The variables that RAUC reads, and two of ours.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RaucEnv {
    /// `RAUC_KEY_PASSPHRASE`.
    pub key_passphrase: Option<String>,
    /// `RAUC_PKCS11_MODULE`.
    pub pkcs11_module: Option<PathBuf>,
    /// `RAUC_PKCS11_PIN`.
    pub pkcs11_pin: Option<String>,
    /// `DBUS_STARTER_BUS_TYPE`.
    pub bus: Bus,
    /// Where that bus is, if the environment says so.
    pub bus_address: Option<String>,
    /// `RAUC_TEST_CMDLINE`: instead of the kernel's command line.
    pub test_cmdline: Option<String>,
    /// `RAUC_TEST_RUNTIME_DIRECTORY`: instead of `/run/rauc`.
    pub test_runtime_directory: Option<PathBuf>,
    /// `RAUC_TEST_POLLING_SPEEDUP`, as it was given.
    pub test_polling_speedup: Option<String>,
    /// `RAUC_CURL_VERBOSE`.
    pub curl_verbose: bool,
    /// `ATOMIX_HTTP_STALL_SECS`, as it was given: see the module `patience`.
    pub http_stall_secs: Option<String>,
    /// `ATOMIX_HTTP_TRIES`, likewise.
    pub http_tries: Option<String>,
    /// Whether the locale can show more than ASCII.
    pub is_utf8: bool,
}

impl std::fmt::Debug for RaucEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Passphrase and PIN must not reach a log.
        f.debug_struct("RaucEnv")
            .field("pkcs11_module", &self.pkcs11_module)
            .field("bus", &self.bus)
            .field("test_cmdline", &self.test_cmdline)
            .field("test_runtime_directory", &self.test_runtime_directory)
            .field("test_polling_speedup", &self.test_polling_speedup)
            .finish_non_exhaustive()
    }
}

impl RaucEnv {
    /// Reads the variables that `get` knows.
    pub fn read(get: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name: &str| get(name).map(|value| value.to_string_lossy().into_owned());
        let is_session = text("DBUS_STARTER_BUS_TYPE").as_deref() == Some("session");
        let address =
            if is_session { "DBUS_SESSION_BUS_ADDRESS" } else { "DBUS_SYSTEM_BUS_ADDRESS" };
        // Who keeps what the daemon printed keeps a line end; GLib reads over that.
        let address = text(address).map(|address| address.trim().to_owned());
        // As setlocale(3): the first of these that is not empty decides.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(text);
        let locale = locale.into_iter().find(|value| !value.is_empty()).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        Self {
            key_passphrase: text("RAUC_KEY_PASSPHRASE"),
            pkcs11_module: get("RAUC_PKCS11_MODULE").map(PathBuf::from),
            pkcs11_pin: text("RAUC_PKCS11_PIN"),
            bus: if is_session { Bus::Session } else { Bus::System },
            bus_address: address.filter(|address| !address.is_empty()),
            test_cmdline: text("RAUC_TEST_CMDLINE"),
            test_runtime_directory: get("RAUC_TEST_RUNTIME_DIRECTORY").map(PathBuf::from),
            test_polling_speedup: text("RAUC_TEST_POLLING_SPEEDUP"),
            curl_verbose: get("RAUC_CURL_VERBOSE").is_some(),
            http_stall_secs: text("ATOMIX_HTTP_STALL_SECS"),
            http_tries: text("ATOMIX_HTTP_TRIES"),
            is_utf8: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    /// The variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self::read(|name| std::env::var_os(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> RaucEnv {
        let find = |name: &str| pairs.iter().find(|(known, _)| *known == name);
        RaucEnv::read(|name| find(name).map(|(_, value)| OsString::from(value)))
    }

    #[test]
    fn the_first_locale_that_is_not_empty_decides() {
        assert!(read(&[("LANG", "C.UTF-8")]).is_utf8);
        assert!(read(&[("LC_ALL", ""), ("LANG", "de_DE.utf8")]).is_utf8);
        assert!(!read(&[("LC_ALL", "C"), ("LANG", "C.UTF-8")]).is_utf8);
        assert!(!read(&[]).is_utf8);
    }

    #[test]
    fn only_the_word_session_leaves_the_system_bus_and_secrets_stay_unsaid() {
        assert_eq!(read(&[("DBUS_STARTER_BUS_TYPE", "session")]).bus, Bus::Session);
        assert_eq!(read(&[("DBUS_STARTER_BUS_TYPE", "other")]).bus, Bus::System);
        let addresses =
            [("DBUS_SESSION_BUS_ADDRESS", "unix:path=/a\n"), ("DBUS_SYSTEM_BUS_ADDRESS", "")];
        let session = [addresses[0], ("DBUS_STARTER_BUS_TYPE", "session")];
        assert_eq!(read(&session).bus_address.as_deref(), Some("unix:path=/a"));
        assert_eq!(read(&addresses).bus_address, None);
        let env = read(&[("RAUC_PKCS11_PIN", "4711"), ("RAUC_KEY_PASSPHRASE", "hush")]);
        assert_eq!(env.pkcs11_pin.as_deref(), Some("4711"));
        let shown = format!("{env:?}");
        assert!(!shown.contains("4711") && !shown.contains("hush"), "{shown}");
    }
}
