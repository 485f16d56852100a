// SPDX-License-Identifier: MIT OR Apache-2.0
//! With which keys, through whom and from where does the agent fetch? What its settings say, with
//! every secret looked at before it is used: one that others could have read is none.

use crate::commands::transfer::TransferRequest;
use crate::context::Context;
use crate::failure::Failure;
use agents::ddi::Credentials;
use agents::{
    Identity, Keep, Login, SecretError, Settings, Source, Token, check_certificates, check_secret,
    read_token,
};
use bundle::Wanted;
use bundle::http::{ByteBudget, ExchangeTls, HttpStop, HttpUrl, Proxy, Schemes};
use nix::unistd::geteuid;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use storage::ByteLen;
use storage::tree::HostTrees;

/// A bundle that goes straight into the slot is fetched for so long at most; then the server is asked
/// again, which may have another one by now. What is in the slot stays.
const LONGEST_STREAM: Duration = Duration::from_secs(6 * 60 * 60);
/// One that is stored first begins anew when it is fetched again.
const LONGEST_STORE: Duration = Duration::from_secs(24 * 60 * 60);

/// The word before the token of all devices behind a gateway.
const GATEWAY: &str = "GatewayToken";

/// What of the settings leads to servers.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    context: &'a Context,
    settings: &'a Settings,
}

impl<'a> Access<'a> {
    /// By these settings, with the files of this device.
    #[must_use]
    pub const fn new(context: &'a Context, settings: &'a Settings) -> Self {
        Self { context, settings }
    }

    /// Client certificate and authorities, as paths of this machine.
    ///
    /// # Errors
    /// [`Failure::Secret`] for a key that others could have read and for certificates that are none,
    /// [`Failure::Files`].
    pub fn tls(&self) -> Result<ExchangeTls, Failure> {
        let (identity, ca) = match &self.settings.source {
            Source::Poll(poll) => (poll.tls.identity.as_ref(), poll.tls.ca.as_deref()),
            Source::Hawkbit(hawkbit) => {
                let identity = match &hawkbit.login {
                    Login::Certificate(identity) => Some(identity),
                    Login::TargetToken(_) | Login::GatewayToken(_) => None,
                };
                (identity, hawkbit.ca.as_deref())
            }
        };
        if let Some(Identity { key, .. }) = identity {
            check_secret(&self.trees()?, key, self.owner())?;
        }
        for path in identity.map(|identity| identity.cert.as_path()).into_iter().chain(ca) {
            check_certificates(&self.trees()?, path)?;
        }
        let place = |path: &Path| -> Result<String, Failure> {
            Ok(self.context.files.resolve(path)?.to_string_lossy().into_owned())
        };
        Ok(ExchangeTls {
            cert: identity.map(|identity| place(&identity.cert)).transpose()?,
            key: identity.map(|identity| place(&identity.key)).transpose()?,
            ca: ca.map(place).transpose()?,
        })
    }

    /// The token of hawkBit, with the word that stands before it.
    ///
    /// # Errors
    /// [`Failure::Secret`] for a file that is no secret.
    pub fn token(&self) -> Result<Option<(&'static str, Token)>, Failure> {
        let Source::Hawkbit(hawkbit) = &self.settings.source else { return Ok(None) };
        let (word, path) = match &hawkbit.login {
            Login::TargetToken(path) => ("TargetToken", path),
            Login::GatewayToken(path) => (GATEWAY, path),
            Login::Certificate(_) => return Ok(None),
        };
        Ok(Some((word, read_token(&self.trees()?, path, self.owner())?)))
    }

    /// The same for who talks with hawkBit.
    ///
    /// # Errors
    /// As [`Access::token`].
    pub fn credentials(&self) -> Result<Credentials, Failure> {
        let Some((word, token)) = self.token()? else { return Ok(Credentials::None) };
        let token = token.as_str().to_owned();
        Ok(match word {
            GATEWAY => Credentials::Gateway(token),
            _ => Credentials::Target(token),
        })
    }

    /// A fetch of the bundle at `urls`, which should be the wanted one.
    ///
    /// # Errors
    /// As [`Access::tls`] and [`Access::token`].
    pub fn request(
        &self,
        (urls, wanted): (&[String], Wanted),
        (rate, budget): (Option<ByteLen>, &Arc<ByteBudget>),
        stop: HttpStop,
    ) -> Result<TransferRequest, Failure> {
        let token = self.token()?;
        let header =
            |(word, token): (&str, Token)| format!("Authorization: {word} {}", token.as_str());
        Ok(TransferRequest {
            urls: self.places(urls),
            rate: rate.and_then(|rate| NonZeroU64::new(rate.get())),
            budget: Some(Arc::clone(budget)),
            proxy: match &self.settings.proxy {
                Some(proxy) => Proxy::Url(proxy.clone()),
                None => Proxy::Direct,
            },
            schemes: Schemes::HttpsOnly,
            tls: self.tls()?,
            headers: token.map(header).into_iter().collect(),
            homes: self.homes(),
            wanted,
            longest: match (self.settings.policy.keep, rate) {
                (Keep::Nothing, _) => Some(LONGEST_STREAM),
                (Keep::Bundle, None) => Some(LONGEST_STORE),
                // It takes as long as its owner wants.
                (Keep::Bundle, Some(_)) => None,
            },
            stop,
        })
    }

    /// Whom the owner named: they are shown who the device is, and nobody else.
    fn homes(&self) -> Vec<String> {
        match &self.settings.source {
            Source::Poll(poll) => {
                std::iter::once(&poll.server_url).chain(&poll.mirrors).cloned().collect()
            }
            Source::Hawkbit(hawkbit) => vec![hawkbit.url.clone()],
        }
    }

    /// The owner's mirrors by the name of the file, then the server's own places.
    fn places(&self, urls: &[String]) -> Vec<String> {
        let mirrors: &[String] = match &self.settings.source {
            Source::Poll(poll) => &poll.mirrors,
            Source::Hawkbit(_) => &[],
        };
        let name = urls.first().and_then(|url| file_name(url));
        let near = name.into_iter().flat_map(|name| {
            let file = move |mirror: &String| {
                Some(HttpUrl::parse(mirror).ok()?.file(&name).ok()?.without_user())
            };
            mirrors.iter().filter_map(file)
        });
        let mut places: Vec<String> = Vec::new();
        for place in near.chain(urls.iter().cloned()) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    fn trees(&self) -> Result<HostTrees, Failure> {
        Ok(HostTrees::open(&self.context.root)?)
    }

    /// Root's on a device; of a tree elsewhere whoever works on it.
    fn owner(&self) -> u32 {
        if self.context.root == Path::new("/") { 0 } else { geteuid().as_raw() }
    }
}

/// The last part of a URL's path.
fn file_name(url: &str) -> Option<String> {
    let path = url.split_once("://")?.1.split(['?', '#']).next()?;
    let (_, name) = path.split_once('/')?;
    let name = name.rsplit('/').next()?;
    (!name.is_empty() && name != "." && name != "..").then(|| name.to_owned())
}

impl From<SecretError> for Failure {
    fn from(source: SecretError) -> Self {
        Self::Secret(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Now;
    use bundle::UnixTime;
    use std::path::PathBuf;
    use storage::Files;

    fn settings(text: &str) -> Settings {
        Settings::parse(text.as_bytes()).unwrap()
    }

    fn places(settings: &Settings, urls: &[&str]) -> Vec<String> {
        let context = Context::host(Path::new("/nowhere"), Now(UnixTime(0)));
        let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
        Access::new(&context, settings).places(&urls)
    }

    #[test]
    fn the_owners_mirrors_are_asked_by_the_files_name_before_the_servers_places() {
        let near = settings(
            r#"{"server_url": "https://u.example", "mode": "poll", "metadata": "original",
                "mirrors": ["https://lan.example/os", "https://b.example/x"]}"#,
        );
        assert_eq!(
            places(&near, &["https://u.example/a/b.raucb?sig=1", "https://cdn.example/b.raucb"]),
            [
                "https://lan.example/os/b.raucb",
                "https://b.example/x/b.raucb",
                "https://u.example/a/b.raucb?sig=1",
                "https://cdn.example/b.raucb",
            ]
        );
        // No file's name, no mirror; and nothing is asked twice.
        assert_eq!(places(&near, &["https://u.example/a/"]), ["https://u.example/a/"]);
        assert_eq!(places(&near, &["https://lan.example/os/b"]).len(), 2);
        let alone = settings(r#"{"server_url": "https://u.example"}"#);
        assert_eq!(places(&alone, &["https://x.example/b"]), ["https://x.example/b"]);
    }

    #[test]
    fn a_key_that_others_could_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let context = Context::host(dir.path(), Now(UnixTime(0)));
        let token = "/data/config/hawkbit/token";
        let settings = settings(&format!(
            r#"{{"mode": "hawkbit", "hawkbit": {{"url": "https://h.example",
                "target_token_file": "{token}"}}}}"#
        ));
        let access = Access::new(&context, &settings);
        let refused = access.token().err().unwrap();
        assert!(refused.chain().contains("there is no file"), "{}", refused.chain());
        let path: PathBuf = dir.path().join("data/config/hawkbit/token");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::File::create_new(&path).unwrap();
        for (mode, says) in [(0o644, "is to be user"), (0o600, "holds no token")] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let refused = access.token().err().unwrap();
            assert!(refused.chain().contains(says), "{}", refused.chain());
            assert!(refused.hint().is_some());
        }
    }

    /// Fails when a lost or junk file is found out by a connection that does not come, which sends a
    /// technician to the server.
    #[test]
    fn certificates_that_are_lost_or_junk_are_named_before_anybody_is_asked() {
        let path = "/data/config/hawkbit/ca.pem";
        for text in [
            format!(
                r#"{{"server_url": "https://u.example", "mode": "poll", "metadata": "original",
                    "tls": {{"ca_file": "{path}"}}}}"#
            ),
            format!(
                r#"{{"mode": "hawkbit", "hawkbit": {{"url": "https://h.example", "ca_file": "{path}",
                    "target_token_file": "/data/config/hawkbit/token"}}}}"#
            ),
        ] {
            let settings = settings(&text);
            let dir = tempfile::tempdir().unwrap();
            let context = Context::host(dir.path(), Now(UnixTime(0)));
            let access = Access::new(&context, &settings);
            let lost = access.tls().err().unwrap();
            assert!(
                lost.chain().ends_with(&format!("there is no file {path}")),
                "{}",
                lost.chain()
            );
            assert_eq!(lost.class().exit_code(), 2);
            for junk in
                ["", "none", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
            {
                context.files.clone().replace(Path::new(path), junk.as_bytes()).unwrap();
                let refused = access.tls().err().unwrap();
                assert!(refused.chain().ends_with(&format!("{path} holds no certificates")));
                assert_eq!(refused.class().exit_code(), 2);
                assert!(refused.hint().unwrap().contains("PEM"));
            }
        }
    }
}
