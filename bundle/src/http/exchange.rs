// SPDX-License-Identifier: MIT OR Apache-2.0
//! One request with its whole answer: for speaking with a device's own services, and of a device with
//! its fleet's server, where nothing is fetched piece by piece and nothing is asked twice.
//!
//! Never redirected, never through a proxy that the caller did not name, never with anybody's stored
//! credentials: what is sent may hold secrets, and it goes where the caller said or nowhere. An
//! answer of any status is an answer.

use super::error::TransferFault;
use super::head::{HeadError, MAX_HEAD_BYTES, parse_status, split_header};
use super::options::{HttpStop, any_header_line};
use super::url::HttpUrl;
use curl::easy::{Easy2, Handler, List, ReadError, SeekResult, SslVersion, WriteError};
use std::io::SeekFrom;
use std::time::{Duration, Instant};

/// Most headers of an answer.
const MAX_HEADERS: usize = 128;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeMethod {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
}

/// How the two ends of a connection prove who they are; by default the server alone, to the system's
/// authorities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExchangeTls {
    /// The client's certificate, a PEM file.
    pub cert: Option<String>,
    /// Its key, a PEM file; without one it lies in that of the certificate.
    pub key: Option<String>,
    /// File with the authorities to trust instead of the system's.
    pub ca: Option<String>,
}

/// A request.
#[derive(Clone)]
pub struct ExchangeRequest<'r> {
    /// The method.
    pub method: ExchangeMethod,
    /// Where to; user information in it is not sent.
    pub url: &'r HttpUrl,
    /// Headers beside those of HTTP itself: names and values, as they are sent.
    pub headers: &'r [(String, String)],
    /// The body of a `POST` or `PUT`.
    pub body: &'r [u8],
    /// Longest body of an answer.
    pub answer_limit: usize,
    /// Until a connection stands.
    pub connect: Duration,
    /// Without a byte in either direction.
    pub stall: Duration,
    /// For all of it: servers that drip never fall silent.
    pub whole: Option<Duration>,
    /// Keys and authorities.
    pub tls: Option<&'r ExchangeTls>,
    /// The proxy; by default none, whatever the environment says.
    pub proxy: Option<&'r str>,
    /// Asked about once a second.
    pub stop: Option<HttpStop>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// 200 to 599.
    pub status: u16,
    /// Names in small letters, and values.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Exchanged {
    /// The first header of this name, in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// A header or the place cannot be sent.
    #[error("cannot ask: {reason}")]
    Option {
        /// Why.
        reason: String,
    },
    /// Nobody answers there: nothing was sent.
    #[error("cannot connect")]
    Connect(#[source] TransferFault),
    /// It went silent: whether the request was taken is not known.
    #[error("no byte came for {secs} s")]
    Silent {
        /// For so long.
        secs: u64,
    },
    /// It dripped: whether the request was taken is not known.
    #[error("the answer was not whole after {secs} s")]
    Slow {
        /// So long.
        secs: u64,
    },
    /// It broke: whether the request was taken is not known.
    #[error("the connection broke")]
    Broken(#[source] TransferFault),
    /// What came is no answer of HTTP.
    #[error("this is no answer of HTTP")]
    Head(#[source] HeadError),
    /// More than anything that was asked for.
    #[error("the answer has more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The caller wanted it to end.
    #[error("stopped by {by}")]
    Stopped {
        /// Who.
        by: &'static str,
    },
}

/// Sends a request and reads its answer to the end.
///
/// # Errors
/// [`ExchangeError`].
pub fn exchange(request: &ExchangeRequest<'_>) -> Result<Exchanged, ExchangeError> {
    let receiver = Receiver {
        body: request.body.to_vec(),
        sent: 0,
        lines: Vec::new(),
        is_whole: false,
        answer: Vec::new(),
        limit: request.answer_limit,
        stall: request.stall,
        moved: (0.0, Instant::now()),
        whole: request.whole.map(|whole| (whole, Instant::now())),
        is_connected: false,
        connect: request.connect,
        stop: request.stop.clone(),
        fault: None,
    };
    let mut handle = Easy2::new(receiver);
    set_up(&mut handle, request)?;
    let done = handle.perform();
    let receiver = handle.get_mut();
    if let Some(fault) = receiver.fault.take() {
        return Err(fault);
    }
    let head = std::mem::take(&mut receiver.lines);
    match done {
        // A refusal may come, and the connection end, before all of a body is sent.
        Err(failure) if !(receiver.is_whole && failure.is_send_error()) => {
            Err(fault_of(&failure, request))
        }
        Ok(()) | Err(_) => answer_of(&head, std::mem::take(&mut receiver.answer)),
    }
}

fn set_up(
    handle: &mut Easy2<Receiver>,
    request: &ExchangeRequest<'_>,
) -> Result<(), ExchangeError> {
    let mut lines = Vec::new();
    for (name, value) in request.headers {
        let line = any_header_line(name, value);
        lines.push(line.map_err(|error| ExchangeError::Option { reason: error.to_string() })?);
    }
    if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        // Without a value libcurl leaves out the one that it would add to a POST.
        lines.push("Content-Type:".to_owned());
    }
    configure(handle, request, &lines)
        .map_err(|failure| ExchangeError::Option { reason: failure.description().to_owned() })
}

fn configure(
    handle: &mut Easy2<Receiver>,
    request: &ExchangeRequest<'_>,
    lines: &[String],
) -> Result<(), curl::Error> {
    handle.url(&request.url.without_user())?;
    handle.path_as_is(true)?;
    match request.method {
        ExchangeMethod::Get => handle.get(true)?,
        ExchangeMethod::Post | ExchangeMethod::Put => {
            handle.post(true)?;
            handle.post_field_size(request.body.len() as u64)?;
        }
    }
    if request.method == ExchangeMethod::Put {
        // An upload of libcurl's own would first ask whether it may.
        handle.custom_request("PUT")?;
    }
    handle.useragent(concat!("atomix/", env!("CARGO_PKG_VERSION")))?;
    handle.follow_location(false)?;
    handle.progress(true)?;
    handle.http_09_allowed(false)?;
    handle.connect_timeout(request.connect)?;
    // An empty one: whatever the environment says.
    handle.proxy(request.proxy.unwrap_or_default())?;
    if request.proxy.is_some() {
        // It sees the tunnel only.
        handle.http_proxy_tunnel(true)?;
        handle.noproxy("")?;
    }
    handle.ssl_version(SslVersion::Tlsv12)?;
    if let Some(tls) = request.tls {
        configure_tls(handle, tls)?;
    }
    let mut list = List::new();
    for line in lines {
        list.append(line)?;
    }
    handle.http_headers(list)
}

fn configure_tls(handle: &mut Easy2<Receiver>, tls: &ExchangeTls) -> Result<(), curl::Error> {
    if let Some(ca) = &tls.ca {
        handle.cainfo(ca)?;
        // The crate has set the system's directory beside; this one has no certificates.
        handle.capath("/dev/null")?;
    }
    if let Some(cert) = &tls.cert {
        handle.ssl_cert(cert)?;
        handle.ssl_key(tls.key.as_ref().unwrap_or(cert))?;
    }
    Ok(())
}

fn answer_of(head: &[u8], body: Vec<u8>) -> Result<Exchanged, ExchangeError> {
    let (status, headers) = read_head(head).map_err(ExchangeError::Head)?;
    Ok(Exchanged { status, headers, body })
}

fn read_head(head: &[u8]) -> Result<(u16, Vec<(String, String)>), HeadError> {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end());
    let status = parse_status(lines.next().unwrap_or_default())?;
    let mut headers = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        if headers.len() >= MAX_HEADERS {
            return Err(HeadError::TooLarge);
        }
        let (name, value) = split_header(line)?;
        headers.push((name, String::from_utf8_lossy(value).into_owned()));
    }
    Ok((status, headers))
}

fn fault_of(failure: &curl::Error, request: &ExchangeRequest<'_>) -> ExchangeError {
    let text = failure.extra_description().unwrap_or_else(|| failure.description()).to_owned();
    let cause = TransferFault(text);
    if failure.is_couldnt_resolve_host()
        || failure.is_couldnt_connect()
        || failure.is_ssl_connect_error()
        || failure.is_peer_failed_verification()
    {
        ExchangeError::Connect(cause)
    } else if failure.is_operation_timedout() {
        // The only time limit that libcurl itself has here.
        let secs = request.connect.as_secs();
        ExchangeError::Connect(TransferFault(format!("nobody answers within {secs} s")))
    } else if failure.is_unsupported_protocol() {
        // A mail server, a login, TLS: it said something that begins no answer of HTTP/1.
        ExchangeError::Head(HeadError::Status)
    } else {
        ExchangeError::Broken(cause)
    }
}

struct Receiver {
    body: Vec<u8>,
    sent: usize,
    /// The lines of the last head.
    lines: Vec<u8>,
    is_whole: bool,
    answer: Vec<u8>,
    limit: usize,
    stall: Duration,
    /// Bytes in both directions, and since when there are so many.
    moved: (f64, Instant),
    /// For all of it, and since when.
    whole: Option<(Duration, Instant)>,
    is_connected: bool,
    connect: Duration,
    stop: Option<HttpStop>,
    fault: Option<ExchangeError>,
}

impl Receiver {
    fn end(&mut self, fault: ExchangeError) -> bool {
        self.fault.get_or_insert(fault);
        false
    }
}

impl Handler for Receiver {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, ReadError> {
        let rest = self.body.get(self.sent..).unwrap_or_default();
        let (count, from) = (rest.len().min(into.len()), rest);
        for (to, byte) in into.iter_mut().zip(from) {
            *to = *byte;
        }
        self.sent += count;
        self.is_connected = true;
        Ok(count)
    }

    fn seek(&mut self, whence: SeekFrom) -> SeekResult {
        let SeekFrom::Start(at) = whence else { return SeekResult::CantSeek };
        match usize::try_from(at) {
            Ok(at) if at <= self.body.len() => {
                self.sent = at;
                SeekResult::Ok
            }
            Ok(_) | Err(_) => SeekResult::Fail,
        }
    }

    fn header(&mut self, line: &[u8]) -> bool {
        self.is_connected = true;
        if line.starts_with(b"HTTP/") {
            // After an interim answer: only the last head counts.
            self.lines.clear();
            self.is_whole = false;
        }
        if self.is_whole {
            return true;
        }
        if self.lines.len().saturating_add(line.len()) > MAX_HEAD_BYTES {
            return self.end(ExchangeError::Head(HeadError::TooLarge));
        }
        self.lines.extend_from_slice(line);
        self.is_whole = line.trim_ascii().is_empty();
        true
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, WriteError> {
        if self.answer.len().saturating_add(bytes.len()) > self.limit {
            let limit = self.limit;
            self.end(ExchangeError::TooLarge { limit });
            return Ok(0);
        }
        self.answer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn progress(&mut self, _: f64, received: f64, _: f64, sent: f64) -> bool {
        if let Some(by) = self.stop.as_ref().and_then(|stop| stop()) {
            return self.end(ExchangeError::Stopped { by });
        }
        if let Some((limit, since)) = self.whole
            && since.elapsed() >= limit
        {
            return self.end(ExchangeError::Slow { secs: limit.as_secs() });
        }
        let moved = received + sent;
        if moved > self.moved.0 {
            self.moved = (moved, Instant::now());
        }
        // Until a connection stands, its own limit counts.
        let limit = if self.is_connected { self.stall } else { self.stall + self.connect };
        if self.moved.1.elapsed() >= limit {
            return self.end(ExchangeError::Silent { secs: limit.as_secs() });
        }
        true
    }
}
