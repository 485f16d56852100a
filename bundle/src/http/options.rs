// SPDX-License-Identifier: MIT OR Apache-2.0
//! How shall a server be spoken to? Headers, keys, patience.
//!
//! Nothing here is shown by `Debug`: headers, PIN and key URIs are secrets.

use super::average::Elsewhere;
use super::error::HttpError;
use super::limits::{Bounds, ByteBudget, RateLimit};
use super::url::HttpUrl;
use crate::pkcs11::{Pkcs11Uri, Pkcs11UriError};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Asked about once a second while a transfer runs, and before each; `Some` ends it with that reason.
pub type HttpStop = Arc<dyn Fn() -> Option<&'static str> + Send + Sync>;

/// Told what a user may want to know.
pub type HttpNotices = Arc<dyn Fn(&HttpNotice) + Send + Sync>;

/// Something that happened while fetching and is no failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpNotice {
    /// The server sent us elsewhere.
    Redirected {
        /// From.
        from: String,
        /// To.
        to: String,
    },
    /// The redirect leads to another server: headers of the user, client certificate and
    /// credentials stay behind.
    CredentialsDropped {
        /// The other server's file.
        to: String,
    },
    /// A transfer broke and goes on after a pause.
    Retry {
        /// The file.
        url: String,
        /// The next missing byte.
        offset: u64,
        /// What happened.
        cause: String,
        /// The pause.
        pause: Duration,
    },
    /// A mirror is given up, and the next takes its place.
    MirrorLeft {
        /// The one given up.
        from: String,
        /// The one asked from now on.
        to: String,
        /// Why.
        cause: String,
    },
    /// A place has the file and sends nothing but the whole of it: whoever stores files may have it
    /// from there, whatever the other places have.
    WholeOnly {
        /// The file.
        url: String,
        /// By what its server tells it from another version, where it does.
        mark: Option<String>,
    },
}

impl fmt::Display for HttpNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redirected { from, to } => write!(f, "redirected from {from} to {to}"),
            Self::CredentialsDropped { to } => write!(
                f,
                "{to} is another server: no headers, client certificate or credentials are sent there"
            ),
            Self::Retry { url, offset, cause, pause } => write!(
                f,
                "fetching {url} broke at byte {offset}: {cause}; going on in {} ms",
                pause.as_millis()
            ),
            Self::MirrorLeft { from, to, cause } => {
                write!(f, "leaving the mirror {from} for {to}: {cause}")
            }
            Self::WholeOnly { url, .. } => write!(f, "{url} is sent as a whole only"),
        }
    }
}

/// Whether the server has to prove who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVerify {
    /// By a certificate of a known authority.
    #[default]
    Verify,
    /// Anybody may answer. The bundle is still verified.
    NoVerify,
}

/// How long to wait and how often to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Until a connection stands.
    pub connect: Duration,
    /// A transfer that brought fewer than `min_bytes_per_sec` over this time is given up.
    pub stall: Duration,
    /// Also the slowest that a whole request may be, so that dripping servers end some time.
    pub min_bytes_per_sec: u64,
    /// Repetitions of the first request.
    pub first_tries: u32,
    /// Repetitions without progress of every later one.
    pub tries: u32,
    /// Pause before the first repetition; it doubles up to `longest_pause`.
    pub pause: Duration,
    /// See `pause`.
    pub longest_pause: Duration,
    /// The end of all patience for a source, counted from its opening.
    pub total: Option<Duration>,
    /// Whether there is another place to ask.
    pub elsewhere: Elsewhere,
    /// Over so much time of waiting it is measured whether that one is asked.
    pub average: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            stall: Duration::from_secs(60),
            min_bytes_per_sec: 512,
            first_tries: 5,
            tries: 8,
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(10),
            total: None,
            elsewhere: Elsewhere::Nowhere,
            average: Duration::from_secs(5 * 60),
        }
    }
}

/// Who stands between us and the server.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Proxy {
    /// Whom the environment names (`https_proxy`, `http_proxy`, `all_proxy`, `no_proxy`), as for
    /// every program that uses libcurl.
    #[default]
    Environment,
    /// Nobody, whatever the environment says.
    Direct,
    /// The proxy at this `http://` or `https://` URL, whatever the environment says. It makes
    /// tunnels and sees no request; user and password of the URL are for it alone.
    Url(String),
}

/// Which URLs are asked, those of redirects and mirrors included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schemes {
    /// Both; a redirect never leads from https to http.
    #[default]
    HttpAndHttps,
    /// https alone: anything else is [`HttpError::Insecure`]. Nor does a redirect lead nearer to this
    /// device than the server is that names it ([`super::UrlError::TooNear`]).
    HttpsOnly,
}

/// How to speak to a server.
#[derive(Clone)]
pub struct HttpOptions {
    /// `User-Agent`.
    pub user_agent: String,
    /// Client certificate: a PEM file or a `pkcs11:` URI.
    pub tls_cert: Option<String>,
    /// Its key: a PEM file or a `pkcs11:` URI.
    pub tls_key: Option<String>,
    /// PIN of the key's token, or passphrase of its file. Used for a token only if the URI names
    /// the token: a wrong guess locks it.
    pub tls_pin: Option<String>,
    /// File with the authorities to trust instead of the system's.
    pub tls_ca: Option<String>,
    /// Whether the server has to prove who it is.
    pub tls_verify: TlsVerify,
    /// Headers for every request, each `Name: value`. They never leave the origin asked for.
    pub headers: Vec<String>,
    /// Whose headers, client certificate and key these are, where that is not simply the place asked
    /// first: nearer mirrors may be asked before the server that gave the credentials. URLs; their
    /// origins count.
    pub homes: Vec<String>,
    /// Headers for the first request only, and for none but [`Self::homes`], where there are any: name
    /// and value.
    pub info_headers: Vec<(String, String)>,
    /// Entity tag of the file that is known: it answers with [`HttpError::NotModified`].
    pub if_none_match: Option<String>,
    /// How long and how often to try.
    pub patience: Patience,
    /// Who stands between.
    pub proxy: Proxy,
    /// Which URLs are asked.
    pub schemes: Schemes,
    /// Most bytes per second, over all connections of everybody who shares it.
    pub rate_limit: Option<Arc<RateLimit>>,
    /// Most bytes of everybody who shares it: more end the transfer with
    /// [`HttpError::OverBudget`]. Who can predict what is to come asks
    /// [`ByteBudget::demand`] before.
    pub budget: Option<Arc<ByteBudget>>,
    /// Asked while transfers run.
    pub stop: Option<HttpStop>,
    /// Told about redirects and repetitions.
    pub notices: Option<HttpNotices>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            user_agent: concat!("atomix/", env!("CARGO_PKG_VERSION")).to_owned(),
            tls_cert: None,
            tls_key: None,
            tls_pin: None,
            tls_ca: None,
            tls_verify: TlsVerify::Verify,
            headers: Vec::new(),
            homes: Vec::new(),
            info_headers: Vec::new(),
            if_none_match: None,
            patience: Patience::default(),
            proxy: Proxy::Environment,
            schemes: Schemes::HttpAndHttps,
            rate_limit: None,
            budget: None,
            stop: None,
            notices: None,
        }
    }
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOptions")
            .field("user_agent", &self.user_agent)
            .field("headers", &self.headers.len())
            .field("info_headers", &self.info_headers.len())
            .field("tls_verify", &self.tls_verify)
            .finish_non_exhaustive()
    }
}

/// Headers that our own reading of the answers depends on.
const OURS: [&str; 10] = [
    "range",
    "if-range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "accept-encoding",
    "content-length",
    "transfer-encoding",
    "connection",
];

impl HttpOptions {
    /// The same for `url` instead of `home`, which they were given for: headers, client
    /// certificate, key, and how the server proves itself only if both are of one origin; what
    /// belongs to the first request of a bundle never. For chunk stores, which may lie elsewhere; a
    /// `home` that is no URL is of no origin. [`Self::homes`], where there are any, count instead.
    ///
    /// Another server has to prove itself to the system's authorities, as for RAUC, which hands its
    /// stores to programs that know no options for TLS: one that is trusted for lack of
    /// a certificate would get the credentials of its URL, and an authority of one's own
    /// knows no public server.
    ///
    /// # Errors
    /// [`HttpError::Url`].
    pub fn for_other(&self, home: &str, url: &str) -> Result<Self, HttpError> {
        let url = HttpUrl::parse(url).map_err(HttpError::Url)?;
        let mut options = Self { info_headers: Vec::new(), if_none_match: None, ..self.clone() };
        if !self.knows(home, &url) {
            options.headers.clear();
            (options.tls_cert, options.tls_key, options.tls_pin) = (None, None, None);
            (options.tls_ca, options.tls_verify) = (None, TlsVerify::Verify);
        }
        Ok(options)
    }

    /// Whether `url` is of an origin that they were given for.
    fn knows(&self, home: &str, url: &HttpUrl) -> bool {
        let is_home = |home: &str| HttpUrl::parse(home).is_ok_and(|home| home.same_origin(url));
        if self.homes.is_empty() {
            is_home(home)
        } else {
            self.homes.iter().any(|home| is_home(home))
        }
    }

    /// The same for the first place of a bundle: what belongs to its first request goes along where
    /// it is of an origin that they were given for.
    ///
    /// # Errors
    /// [`HttpError::Url`].
    pub(super) fn for_first(&self, url: &str) -> Result<Self, HttpError> {
        let mut options = self.for_mirror(url, url)?;
        if self.knows(url, &HttpUrl::parse(url).map_err(HttpError::Url)?) {
            options.info_headers.clone_from(&self.info_headers);
            options.if_none_match.clone_from(&self.if_none_match);
        }
        Ok(options)
    }

    /// The same for a mirror at `url` of what `home` names: headers, client certificate and key go
    /// along only where both are of one origin. How servers prove themselves stays, as for redirects:
    /// whoever names mirrors names the authority for all of them.
    ///
    /// # Errors
    /// [`HttpError::Url`].
    pub fn for_mirror(&self, home: &str, url: &str) -> Result<Self, HttpError> {
        let (tls_ca, tls_verify) = (self.tls_ca.clone(), self.tls_verify);
        Ok(Self { tls_ca, tls_verify, ..self.for_other(home, url)? })
    }

    /// What one request is held to.
    pub(super) fn bounds(&self) -> Bounds {
        let (stop, rate) = (self.stop.clone(), self.rate_limit.clone());
        Bounds { stop, rate, budget: self.budget.clone() }
    }

    /// Fails before the first request if an option cannot be used.
    pub(crate) fn check(&self) -> Result<(), HttpError> {
        self.user_headers()?;
        self.first_headers()?;
        check_value("User-Agent", &self.user_agent)?;
        let refuse = |option, reason: &str| HttpError::Option { option, reason: reason.to_owned() };
        if self.tls_cert.is_some() != self.tls_key.is_some() && self.tls_cert.is_none() {
            return Err(refuse("tls-key", "it needs tls-cert"));
        }
        if let Proxy::Url(url) = &self.proxy {
            HttpUrl::parse(url).map_err(|cause| refuse("proxy", &cause.to_string()))?;
        }
        for (option, value) in
            [("tls-cert", &self.tls_cert), ("tls-key", &self.tls_key), ("tls-ca", &self.tls_ca)]
        {
            if value.as_ref().is_some_and(|value| value.is_empty() || value.contains('\0')) {
                return Err(refuse(option, "it is empty"));
            }
        }
        for (option, value) in [("tls-cert", &self.tls_cert), ("tls-key", &self.tls_key)] {
            let Some(value) = value.as_ref().filter(|value| Pkcs11Uri::is_uri(value)) else {
                continue;
            };
            let uri: Pkcs11Uri = value.parse().map_err(|cause: Pkcs11UriError| {
                HttpError::Option { option, reason: cause.to_string() }
            })?;
            if (uri.pin_value.is_some() || uri.pin_source.is_some()) && !uri.names_token() {
                // The engine would try it on every token there is, and wrong PINs lock them.
                return Err(refuse(option, "it has a PIN and does not name the token"));
            }
        }
        Ok(())
    }

    /// The user's headers in the notation of libcurl.
    pub(crate) fn user_headers(&self) -> Result<Vec<String>, HttpError> {
        self.headers
            .iter()
            .map(|line| {
                let (name, value) = line.split_once(':').ok_or_else(|| HttpError::Option {
                    option: "http-header",
                    reason: "it is not of the form 'Name: value'".to_owned(),
                })?;
                header_line(name.trim(), value.trim())
            })
            .collect()
    }

    /// The headers of the first request beside them.
    pub(crate) fn first_headers(&self) -> Result<Vec<String>, HttpError> {
        let info = self.info_headers.iter().map(|(name, value)| header_line(name, value.trim()));
        let mut lines = info.collect::<Result<Vec<_>, _>>()?;
        if let Some(tag) = &self.if_none_match {
            check_value("If-None-Match", tag)?;
            lines.push(format!("If-None-Match: {tag}"));
        }
        Ok(lines)
    }

    pub(crate) fn stop_reason(&self) -> Option<&'static str> {
        self.stop.as_ref().and_then(|stop| stop())
    }

    pub(crate) fn notice(&self, notice: &HttpNotice) {
        if let Some(notices) = &self.notices {
            notices(notice);
        }
    }
}

fn header_line(name: &str, value: &str) -> Result<String, HttpError> {
    if OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
        let reason = format!("{name} is set by the program itself");
        return Err(HttpError::Option { option: "http-header", reason });
    }
    any_header_line(name, value)
}

/// A header in the notation of libcurl, whatever it is about.
pub(super) fn any_header_line(name: &str, value: &str) -> Result<String, HttpError> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        let reason = "its name is not the name of a header".to_owned();
        return Err(HttpError::Option { option: "http-header", reason });
    }
    check_value("http-header", value)?;
    // libcurl takes `Name:` as "leave this header out" and `Name;` as one without a value.
    Ok(if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") })
}

fn check_value(option: &'static str, value: &str) -> Result<(), HttpError> {
    if value.contains(|c: char| c.is_control() && c != '\t') {
        let reason = "it contains a control character".to_owned();
        return Err(HttpError::Option { option, reason });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_smuggle_or_disturb_are_refused() {
        let lines = |line: &str| {
            HttpOptions { headers: vec![line.to_owned()], ..HttpOptions::default() }.user_headers()
        };
        assert_eq!(lines("Test-Header:  Test-Value ").unwrap(), ["Test-Header: Test-Value"]);
        assert_eq!(lines("Empty:").unwrap(), ["Empty;"]);
        for line in
            ["X", ": y", "X y: z", "A: b\r\nC: d", "range: bytes=0-", "Accept-Encoding: gzip"]
        {
            let refused = lines(line).unwrap_err();
            assert!(matches!(refused, HttpError::Option { option: "http-header", .. }), "{line}");
        }
    }

    #[test]
    fn a_pin_without_a_token_is_refused() {
        let check = |uri: &str| {
            let uri = Some(uri.to_owned());
            HttpOptions { tls_cert: uri.clone(), tls_key: uri, ..HttpOptions::default() }.check()
        };
        check("pkcs11:token=a;object=b?pin-value=1234").unwrap();
        check("pkcs11:object=b").unwrap();
        for uri in [
            "pkcs11:object=b?pin-value=1234",
            "PKCS11:object=b?pin-source=/run/pin",
            "pkcs11:object=token=a?pin-value=1234",
            "pkcs11:to%6ben=a?pin-value=1234",
        ] {
            let refused = check(uri).unwrap_err();
            assert!(matches!(refused, HttpError::Option { option: "tls-cert", .. }), "{uri}");
            assert!(!refused.to_string().contains("1234"));
        }
    }

    #[test]
    fn secrets_are_for_one_origin() {
        let options = HttpOptions {
            headers: vec!["A: b".to_owned()],
            info_headers: vec![("RAUC-Serial".to_owned(), "1".to_owned())],
            tls_cert: Some("c".to_owned()),
            tls_key: Some("k".to_owned()),
            tls_ca: Some("ca".to_owned()),
            tls_verify: TlsVerify::NoVerify,
            ..HttpOptions::default()
        };
        let home = "https://u:p@h/b.raucb";
        let near = options.for_other(home, "https://h:443/store").unwrap();
        assert_eq!((near.headers.len(), near.info_headers.len()), (1, 0));
        assert!(near.tls_key.is_some());
        assert_eq!((near.tls_ca.as_deref(), near.tls_verify), (Some("ca"), TlsVerify::NoVerify));
        for url in ["https://h:444/s", "http://h/s", "https://cdn/s"] {
            let far = options.for_other(home, url).unwrap();
            assert!(far.headers.is_empty() && far.tls_cert.is_none() && far.tls_key.is_none());
            assert_eq!((far.tls_ca, far.tls_verify), (None, TlsVerify::Verify));
        }
        let far = options.for_other("/media/b.raucb", "https://h/store").unwrap();
        assert_eq!((far.headers.len(), far.tls_ca, far.tls_verify), (0, None, TlsVerify::Verify));
        assert!(far.tls_key.is_none());
    }

    #[test]
    fn debug_shows_no_secret() {
        let options = HttpOptions {
            headers: vec!["Authorization: Bearer abc".to_owned()],
            tls_pin: Some("1111".to_owned()),
            tls_key: Some("pkcs11:token=t?pin-value=2222".to_owned()),
            ..HttpOptions::default()
        };
        let shown = format!("{options:?}");
        for secret in ["abc", "1111", "2222"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
