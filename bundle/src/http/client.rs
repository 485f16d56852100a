// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is one request made, and where does it go? The only place that sets libcurl up.
//!
//! Redirects are followed here and not by libcurl, so that one rule holds for all of them: at most
//! 8, never from https to http, and what belongs to the first server (the user's headers, client
//! certificate, credentials of URL and netrc) is left behind for good once scheme, host or port
//! change. Handles are kept, and with them their connections; at most `handles` are out at a time.

use super::counters::Counters;
use super::error::HttpError;
use super::faults::{again, fault_behind, fault_of, judge_status};
use super::head::ResponseHead;
use super::options::{HttpNotice, HttpOptions, Proxy, Schemes, TlsVerify};
use super::token_pin::{LEDGER, Shown};
use super::transfer::{Body, Expect, Fault, Pace, Receiver};
use super::url::{HttpUrl, Scheme};
use crate::pkcs11::Pkcs11Uri;
use curl::easy::{Easy2, List, NetRc, SslVersion};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Redirects followed per request, as RAUC does.
pub(super) const MAX_REDIRECTS: usize = 8;
/// libcurl's receive buffer per handle.
const RECEIVE_BUFFER_BYTES: usize = 128 * 1024;

/// A place to fetch from, and whether it is still the server that the user named.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub url: HttpUrl,
    /// Secrets may be sent.
    home: bool,
}

impl Target {
    pub fn new(url: HttpUrl) -> Self {
        Self { url, home: true }
    }

    pub fn with_url(&self, url: HttpUrl) -> Self {
        Self { url, home: self.home }
    }

    /// The place that a redirect names.
    fn follow(&self, head: &ResponseHead, schemes: Schemes) -> Result<Self, HttpError> {
        let refuse = |source| HttpError::Redirect { url: self.url.to_string(), source };
        let location = head.location.as_deref().ok_or_else(|| refuse(None))?;
        let url = self.url.join(location).map_err(|source| refuse(Some(source)))?;
        if self.url.scheme() == Scheme::Https && url.scheme() == Scheme::Http {
            let (from, to) = (self.url.to_string(), url.to_string());
            return Err(HttpError::Downgrade { from, to });
        }
        // Who is as strict as to ask by https alone asks nobody nearer on a stranger's word.
        if schemes == Schemes::HttpsOnly {
            self.url.may_lead_to(&url).map_err(|source| refuse(Some(source)))?;
        }
        let home = self.home && url.same_origin(&self.url);
        Ok(Self { url, home })
    }
}

/// Which headers a request has beside the user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The first: info headers and the condition.
    First,
    Later,
}

/// The head of an answer.
pub(super) struct Answer {
    pub head: ResponseHead,
    /// Where it came from in the end.
    pub target: Target,
}

/// What became of a request.
pub(super) struct Got {
    pub outcome: Result<Answer, Fault>,
    /// With what it received, also after a fault.
    pub body: Body,
    /// How many bytes of it are new.
    pub received: u64,
    /// After a fault: the head of the answer that broke.
    pub broken: Option<Answer>,
}

/// One exchange of it.
struct Exchanged {
    outcome: Result<ResponseHead, Fault>,
    body: Body,
    received: u64,
    head: Option<ResponseHead>,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Easy2<Receiver>>,
    out: usize,
}

pub(super) struct Client {
    pub options: HttpOptions,
    handles: usize,
    pool: Mutex<Pool>,
    free: Condvar,
    pub counters: Arc<Counters>,
    /// The end of all patience.
    end: Option<Instant>,
}

impl Client {
    pub fn new(options: &HttpOptions, handles: usize) -> Result<Self, HttpError> {
        options.check()?;
        Ok(Self {
            options: options.clone(),
            handles: handles.max(1),
            pool: Mutex::default(),
            free: Condvar::new(),
            counters: Arc::default(),
            end: options.patience.total.and_then(|total| Instant::now().checked_add(total)),
        })
    }

    /// Whether all patience is used up.
    pub fn is_late(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// Asks for `expect` and follows redirects.
    pub fn get(&self, target: &Target, turn: Turn, expect: &Expect, mut body: Body) -> Got {
        let ended =
            |fault: Fault, body| Got { outcome: Err(fault), body, received: 0, broken: None };
        let mut target = target.clone();
        let first = target.url.clone();
        let deadline = Pace::deadline(&self.options.patience, expect, self.end);
        for _ in 0..=MAX_REDIRECTS {
            if let Some(reason) = self.options.stop_reason() {
                return ended(HttpError::Stopped { reason }.into(), body);
            }
            if self.options.schemes == Schemes::HttpsOnly && target.url.scheme() == Scheme::Http {
                let url = target.url.to_string();
                return ended(HttpError::Insecure { url }.into(), body);
            }
            let one = self.exchange(&target, turn, (expect, deadline), body);
            let received = one.received;
            body = one.body;
            let head = match one.outcome {
                Ok(head) => head,
                Err(fault) => {
                    let broken = one.head.map(|head| Answer { head, target });
                    return Got { outcome: Err(fault), body, received, broken };
                }
            };
            if !matches!(head.status, 301 | 302 | 303 | 307 | 308) {
                let judged = judge_status(&head, expect, target.url.to_string());
                let outcome = judged.map(|()| Answer { head, target });
                return Got { outcome, body, received, broken: None };
            }
            match target.follow(&head, self.options.schemes) {
                Ok(next) => target = self.tell_redirect(&target, next),
                Err(refused) => return ended(refused.into(), body),
            }
        }
        let (url, limit) = (first.to_string(), MAX_REDIRECTS);
        ended(HttpError::TooManyRedirects { url, limit }.into(), body)
    }

    fn tell_redirect(&self, from: &Target, to: Target) -> Target {
        let (from_url, to_url) = (from.url.to_string(), to.url.to_string());
        self.options.notice(&HttpNotice::Redirected { from: from_url, to: to_url.clone() });
        if from.home && !to.home {
            self.options.notice(&HttpNotice::CredentialsDropped { to: to_url });
        }
        to
    }

    fn exchange(
        &self,
        target: &Target,
        turn: Turn,
        (expect, deadline): (&Expect, Instant),
        body: Body,
    ) -> Exchanged {
        let receiver = Receiver::new(
            target.url.to_string(),
            (expect.clone(), body),
            Pace::new(&self.options.patience, expect, deadline),
            self.options.bounds(),
            Arc::clone(&self.counters),
        );
        let (place, mut handle) = self.take(receiver);
        let trial = match target.home {
            true => LEDGER.begin(&self.options).map(Some),
            false => Ok(None),
        };
        let (trial, done) = match trial {
            Ok(trial) => (trial, self.set_up(&mut handle, target, turn, expect)),
            Err(before) => {
                let (option, reason) = ("tls-key", before.reason().to_owned());
                (None, Err(HttpError::Option { option, reason }.into()))
            }
        };
        let done = match done {
            Ok(()) => {
                self.counters.requests.fetch_add(1, Ordering::Relaxed);
                let done = handle.perform();
                self.note_answer(&mut handle);
                // Where no server has answered, the head is that of a proxy.
                if handle.response_code().is_ok_and(|code| code != 0) {
                    handle.get_mut().settle();
                }
                if let Some(trial) = trial {
                    trial.end(shown(handle.get_ref(), &done));
                }
                let tunnel = handle.http_connectcode().unwrap_or_default();
                done.map_err(|failure| fault_behind(tunnel, fault_of(&failure)))
            }
            Err(failure) => Err(failure),
        };
        let receiver = handle.get_mut();
        receiver.measure();
        let head = receiver.head.take();
        let outcome = match (receiver.fault.take(), done, &head) {
            (Some(fault), _, _) => Err(fault),
            // An error page that is too long to read is still an answer.
            (None, Ok(()) | Err(_), Some(head)) if !is_success(head) => Ok(head.clone()),
            (None, Err(fault), _) => Err(fault),
            (None, Ok(()), Some(head)) if receiver.complete() => Ok(head.clone()),
            (None, Ok(()), _) => Err(again("the answer ended early")),
        };
        let received = receiver.accepted_bytes();
        let body = std::mem::replace(&mut receiver.body, Body::Memory(Vec::new()));
        self.give_back(handle);
        drop(place);
        Exchanged { outcome, body, received, head }
    }

    /// How near the server is that answered; one that only leads elsewhere does not count.
    fn note_answer(&self, handle: &mut Easy2<Receiver>) {
        if handle.response_code().is_ok_and(|code| (200..300).contains(&code))
            && let (Ok(begun), Ok(asked)) = (handle.starttransfer_time(), handle.pretransfer_time())
        {
            self.counters.note_answer(begun.saturating_sub(asked));
        }
    }

    fn set_up(
        &self,
        handle: &mut Easy2<Receiver>,
        target: &Target,
        turn: Turn,
        expect: &Expect,
    ) -> Result<(), Fault> {
        let mut lines = Vec::new();
        if target.home {
            lines.extend(self.options.user_headers()?);
            if turn == Turn::First {
                lines.extend(self.options.first_headers()?);
            }
        }
        self.configure(handle, target, lines, expect).map_err(|failure| match fault_of(&failure) {
            Fault::Again { cause, .. }
            | Fault::Fatal(HttpError::Transfer { source: cause, .. }) => {
                HttpError::Option { option: "of libcurl", reason: cause.0 }.into()
            }
            Fault::Fatal(failure) => failure.into(),
            Fault::Unwanted => Fault::Unwanted,
        })
    }

    fn configure(
        &self,
        handle: &mut Easy2<Receiver>,
        target: &Target,
        lines: Vec<String>,
        expect: &Expect,
    ) -> Result<(), curl::Error> {
        // Forgets every option and keeps connections, sessions and names.
        handle.reset();
        handle.url(&target.url.without_user())?;
        handle.get(true)?;
        handle.useragent(&self.options.user_agent)?;
        handle.follow_location(false)?;
        handle.progress(true)?;
        handle.http_09_allowed(false)?;
        handle.connect_timeout(self.options.patience.connect)?;
        handle.buffer_size(RECEIVE_BUFFER_BYTES)?;
        handle.max_connects(2)?;
        match &self.options.proxy {
            Proxy::Environment => {}
            // An empty name keeps libcurl from looking at the environment.
            Proxy::Direct => handle.proxy("")?,
            Proxy::Url(url) => {
                handle.proxy(url)?;
                handle.noproxy("")?;
            }
        }
        // Whoever it is sees the tunnel only.
        handle.http_proxy_tunnel(true)?;
        handle.ssl_version(SslVersion::Tlsv12)?;
        match expect {
            Expect::Range { first, last, .. } => handle.range(&format!("{first}-{last}"))?,
            Expect::Ranges { ranges, .. } => {
                let texts = ranges.iter().map(|(first, end)| format!("{first}-{}", end - 1));
                handle.range(&texts.collect::<Vec<_>>().join(","))?;
            }
            Expect::Whole { .. } => {}
        }
        if let Some(ca) = &self.options.tls_ca {
            handle.cainfo(ca)?;
            // The crate has set the system's directory beside; this one has no certificates.
            handle.capath("/dev/null")?;
        }
        handle.ssl_verify_peer(self.options.tls_verify == TlsVerify::Verify)?;
        let mut list = List::new();
        for line in lines {
            list.append(&line)?;
        }
        handle.http_headers(list)?;
        if target.home { self.add_secrets(handle, &target.url) } else { Ok(()) }
    }

    /// What only the server that the user named may get.
    fn add_secrets(&self, handle: &mut Easy2<Receiver>, url: &HttpUrl) -> Result<(), curl::Error> {
        handle.netrc(NetRc::Optional)?;
        if let Some(user) = url.user() {
            handle.username(&user.user)?;
            handle.password(&user.password)?;
        }
        if let Some(cert) = &self.options.tls_cert {
            if Pkcs11Uri::is_uri(cert) {
                handle.ssl_cert_type("ENG")?;
            }
            handle.ssl_cert(cert)?;
        }
        let Some(key) = self.options.tls_key.as_ref().or(self.options.tls_cert.as_ref()) else {
            return Ok(());
        };
        let in_token = Pkcs11Uri::is_uri(key);
        if in_token {
            // The engine `pkcs11` of OpenSSL, which libcurl loads by itself.
            handle.ssl_key_type("ENG")?;
        }
        handle.ssl_key(key)?;
        match &self.options.tls_pin {
            Some(pin) if !in_token || names_token(key) => handle.key_password(pin),
            _ => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        // Handles are whole or out, whoever panicked.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, receiver: Receiver) -> (Place<'_>, Easy2<Receiver>) {
        let mut pool = self.lock();
        while pool.out >= self.handles {
            pool = self.free.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
        pool.out += 1;
        let place = Place(self);
        match pool.idle.pop() {
            Some(mut handle) => {
                *handle.get_mut() = receiver;
                (place, handle)
            }
            None => (place, Easy2::new(receiver)),
        }
    }

    fn give_back(&self, handle: Easy2<Receiver>) {
        self.lock().idle.push(handle);
    }
}

/// One of the handles is out. It is free again when this ends, also where whoever had it panics:
/// others wait for it without end.
struct Place<'a>(&'a Client);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.lock().out -= 1;
        self.0.free.notify_one();
    }
}

/// What a transfer showed of the PIN it had. Certificates and keys in files say PEM.
fn shown(receiver: &Receiver, done: &Result<(), curl::Error>) -> Shown {
    if receiver.head.is_some() {
        return Shown::Opens;
    }
    let Err(failure) = done else { return Shown::Nothing };
    let of_engine = failure.is_ssl_certproblem()
        && !failure.extra_description().is_some_and(|text| text.contains("PEM"));
    let is_refusal = of_engine || failure.is_ssl_engine_setfailed();
    if is_refusal { Shown::Refused } else { Shown::Nothing }
}

/// Whether a `pkcs11:` URI says which token it means.
fn names_token(uri: &str) -> bool {
    uri.parse().is_ok_and(|uri: Pkcs11Uri| uri.names_token())
}

fn is_success(head: &ResponseHead) -> bool {
    (200..300).contains(&head.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_gives_its_handle_back() {
        let client = Client::new(&HttpOptions::default(), 1).unwrap();
        let gone = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _place = Place({
                client.lock().out += 1;
                &client
            });
            panic!("as a callback of somebody might");
        }));
        assert!(gone.is_err());
        assert_eq!(client.lock().out, 0);
    }

    /// `location` as the redirect of a server elsewhere.
    fn led_to(location: &str, schemes: Schemes) -> Result<Target, HttpError> {
        let from = Target::new(HttpUrl::parse("https://updates.example.org/a").unwrap());
        let head = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n");
        from.follow(&ResponseHead::parse(head.as_bytes()).unwrap(), schemes)
    }

    #[test]
    fn who_asks_by_https_alone_is_not_led_to_his_own_services() {
        let near = ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"];
        for host in near.into_iter().chain(["0x7f.1", "0.0.0.0"]) {
            let location = format!("https://{host}/b");
            let refused = led_to(&location, Schemes::HttpsOnly);
            assert!(matches!(refused, Err(HttpError::Redirect { source: Some(_), .. })), "{host}");
            assert!(led_to(&location, Schemes::HttpAndHttps).is_ok(), "as RAUC does");
        }
        for location in ["/b", "https://10.1.2.3/b", "https://mirror.example.org/b"] {
            assert!(led_to(location, Schemes::HttpsOnly).is_ok(), "{location}");
        }
    }

    #[test]
    fn pin_goes_to_named_tokens_only() {
        assert!(names_token("pkcs11:token=rauc;object=client-1"));
        assert!(names_token("pkcs11:object=a;serial=12"));
        for uri in ["pkcs11:", "pkcs11:object=token=x", "pkcs11:object=a?token=b"] {
            assert!(!names_token(uri), "{uri}");
        }
    }
}
