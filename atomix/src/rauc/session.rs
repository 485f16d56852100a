// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that one command of `rauc` goes by, and what follows from it for whoever opens a
//! bundle: keys, keyring, time, and how a server is spoken to.

use crate::rauc::conf::Loaded;
use crate::rauc::engine::Access;
use crate::rauc::env::RaucEnv;
use crate::rauc::error::RaucError;
use crate::rauc::opening::{Judging, Verify};
use crate::rauc::patience::patience;
use crate::rauc::request::Request;
use crate::rauc::run::RAUC_VERSION;
use crate::rauc::trust::Expiry;
use bundle::http::{HttpOptions, TlsVerify};
use bundle::{CredentialAccess, Secret, SecretQuestion, UnixTime};
use std::path::PathBuf;
use updater::SystemConfig;

/// Everything a command goes by.
pub struct Session {
    /// What was asked.
    pub request: Request,
    /// The configuration.
    pub loaded: Loaded,
    /// The environment.
    pub env: RaucEnv,
    /// The time.
    pub now: UnixTime,
}

/// Secrets of keys, and the keyring of the command line.
pub struct Keys {
    passphrase: Option<Secret>,
    pin: Option<Secret>,
    module: Option<PathBuf>,
    keyring: Option<PathBuf>,
}

impl Keys {
    /// The keys of an environment, and the keyring that takes the place of the configured one.
    #[must_use]
    pub fn new(env: &RaucEnv, keyring: Option<PathBuf>) -> Self {
        Self {
            passphrase: env.key_passphrase.as_ref().map(Secret::new),
            pin: env.pkcs11_pin.as_ref().map(Secret::new),
            module: env.pkcs11_module.clone(),
            keyring,
        }
    }

    /// How credentials are opened.
    #[must_use]
    pub fn access(&self) -> CredentialAccess<'_> {
        CredentialAccess {
            key_passphrase: self.passphrase.as_ref(),
            pkcs11_module: self.module.as_deref(),
            pkcs11_pin: self.pin.as_ref(),
            ask: Some(&ask),
        }
    }

    /// The keyring of the command line.
    #[must_use]
    pub fn keyring(&self) -> Option<&std::path::Path> {
        self.keyring.as_deref()
    }
}

/// Asks whoever sits at the terminal.
fn ask(question: &SecretQuestion) -> Option<Secret> {
    let terminal = console::Term::stderr();
    if !terminal.is_term() {
        return None;
    }
    let prompt = match question {
        SecretQuestion::KeyPassphrase { path } => {
            format!("Enter pass phrase for {}:", path.display())
        }
        SecretQuestion::TokenPin { token } => format!("Enter PIN for token {token:?}:"),
    };
    terminal.write_str(&prompt).ok()?;
    terminal.read_secure_line().ok().map(Secret::new)
}

impl Session {
    /// The keys of this command.
    #[must_use]
    pub fn keys(&self) -> Keys {
        Keys::new(&self.env, self.request.path("keyring"))
    }

    /// How a server is reached by the options of the command line.
    #[must_use]
    pub fn access(&self) -> Access {
        let given = &self.request.given;
        Access {
            tls_cert: given.text("tls-cert"),
            tls_key: given.text("tls-key"),
            tls_ca: given.text("tls-ca"),
            tls_no_verify: given.has("tls-no-verify"),
            http_headers: self.request.texts("http-header"),
        }
    }

    /// How a server is spoken to by the options of this process's own command line, `access`.
    #[must_use]
    pub fn http(&self, access: &Access) -> HttpOptions {
        let options = http_options(&self.loaded.config, &self.env, access);
        HttpOptions { tls_pin: self.env.pkcs11_pin.clone(), ..options }
    }

    /// How a bundle is judged by this command; `--key` and `--no-check-time` are for those that
    /// know them.
    #[must_use]
    pub fn judging<'a>(&'a self, keys: &'a Keys) -> Judging<'a> {
        let given = &self.request.given;
        Judging {
            config: &self.loaded.config,
            keyring: keys.keyring(),
            key: None,
            access: keys.access(),
            http: HttpOptions {
                patience: patience(&self.env).unwrap_or_default(),
                ..HttpOptions::default()
            },
            verify: if given.has("no-verify") { Verify::No } else { Verify::Yes },
            expiry: Expiry::Judged,
            now: self.now,
        }
    }
}

/// How a server is spoken to: what was asked for goes before what is configured. Whoever asks
/// may be anybody on the bus: the PIN of this process is for the configured token alone.
#[must_use]
pub fn http_options(config: &SystemConfig, env: &RaucEnv, access: &Access) -> HttpOptions {
    let configured = config.streaming.as_ref();
    let or = |asked: &Option<String>, configured: Option<&String>| {
        asked.clone().or_else(|| configured.cloned())
    };
    let is_own = |asked: &Option<String>, configured: Option<&String>| {
        asked.is_none() || asked.as_ref() == configured
    };
    let has_own_keys = is_own(&access.tls_cert, configured.and_then(|s| s.tls_cert.as_ref()))
        && is_own(&access.tls_key, configured.and_then(|s| s.tls_key.as_ref()));
    HttpOptions {
        user_agent: format!("rauc/{RAUC_VERSION}"),
        tls_cert: or(&access.tls_cert, configured.and_then(|s| s.tls_cert.as_ref())),
        tls_key: or(&access.tls_key, configured.and_then(|s| s.tls_key.as_ref())),
        tls_ca: or(&access.tls_ca, configured.and_then(|s| s.tls_ca.as_ref())),
        tls_verify: if access.tls_no_verify { TlsVerify::NoVerify } else { TlsVerify::Verify },
        tls_pin: env.pkcs11_pin.clone().filter(|_| has_own_keys),
        headers: access.http_headers.clone(),
        // Every command has looked at the environment before it began.
        patience: patience(env).unwrap_or_default(),
        ..HttpOptions::default()
    }
}

/// How a server is spoken to by the configuration and the environment of this process alone.
///
/// # Errors
/// RAUC's error for a number in the environment that cannot be used.
pub fn configured_http(config: &SystemConfig) -> Result<HttpOptions, RaucError> {
    let env = RaucEnv::of_process();
    let patience = patience(&env)?;
    Ok(HttpOptions { patience, ..http_options(config, &env, &Access::default()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_pin_goes_to_the_configured_token_alone() {
        let text = "[system]\ncompatible=x\nbootloader=noop\n\
                    [streaming]\ntls-key=pkcs11:token=own\n";
        let config = SystemConfig::parse(text, Path::new("/")).unwrap();
        let env = RaucEnv { pkcs11_pin: Some("1234".to_owned()), ..RaucEnv::default() };
        let pin = |cert: Option<&str>, key: Option<&str>| {
            let [tls_cert, tls_key] = [cert, key].map(|uri| uri.map(str::to_owned));
            let access = Access { tls_cert, tls_key, ..Access::default() };
            http_options(&config, &env, &access).tls_pin.is_some()
        };
        assert!(pin(None, None) && pin(None, Some("pkcs11:token=own")));
        assert!(!pin(None, Some("pkcs11:token=other")));
        assert!(!pin(Some("pkcs11:token=other"), None));
    }
}
