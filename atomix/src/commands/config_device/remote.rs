// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device over its config API: asks, signs where somebody has to, and knows a refusal from an
//! answer.

use super::DeviceError;
use super::files::read_text;
use super::signing;
use crate::config_cli::WhoArgs;
use crate::failure::Failure;
use crate::signals::StopRequest;
use bundle::http::{ExchangeMethod, ExchangeRequest, Exchanged, HttpStop, exchange};
use config_api::auth::{DeviceId, NONCE_TTL_SECS};
use config_api::client::{
    Call, DeviceAddress, IssuedNonce, Method, Refusal, SignedHeaders, is_object, parse_nonce,
};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Until a connection stands: a device is on the same cable.
const CONNECT: Duration = Duration::from_secs(5);
/// Without a byte; the device itself gives up earlier.
const STALL: Duration = Duration::from_secs(30);
/// Longest answer: a configuration of 256 KiB, or a job with all its events and faults.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// Who asks.
pub(super) enum Credential {
    /// Nobody in particular.
    Nobody,
    /// Whoever has this key.
    Key(PathBuf),
    /// Whoever signed elsewhere.
    Signed { path: PathBuf, headers: SignedHeaders },
}

impl Credential {
    pub(super) fn of(args: &WhoArgs) -> Result<Self, Failure> {
        if let Some(path) = &args.signed {
            let text = read_text(path)?;
            let headers = SignedHeaders::parse(&text)
                .map_err(|source| DeviceError::Signed { path: path.clone(), source })?;
            return Ok(Self::Signed { path: path.clone(), headers });
        }
        Ok(args.ssh_key.clone().map_or(Self::Nobody, Self::Key))
    }
}

/// A device.
pub(super) struct Remote {
    /// Where it answers.
    pub(super) address: DeviceAddress,
    credential: Credential,
    /// Its name, where the caller said it.
    wanted: Option<DeviceId>,
    stop: Arc<StopRequest>,
}

impl Remote {
    pub(super) fn new(
        address: &str,
        device_id: Option<&str>,
        credential: Credential,
    ) -> Result<Self, Failure> {
        let address = DeviceAddress::parse(address)
            .map_err(|source| DeviceError::Address { text: shown(address), source })?;
        let wanted = device_id.map(device_id_of).transpose()?;
        Ok(Self { address, credential, wanted, stop: Arc::new(StopRequest::listen()) })
    }

    /// Who wants this to end.
    pub(super) fn stopped_by(&self) -> Option<&'static str> {
        self.stop.by()
    }

    /// Whether a key is at hand that can sign whatever is needed.
    pub(super) const fn has_key(&self) -> bool {
        matches!(self.credential, Credential::Key(_))
    }

    /// Asks for a nonce, and holds the device's name against the one that was given.
    pub(super) fn nonce(&self) -> Result<IssuedNonce, DeviceError> {
        let answer = self.expect(200, self.send(&Call::nonce(), &[])?)?;
        let issued =
            parse_nonce(&answer.body).ok_or_else(|| self.not_understood("a nonce", &answer))?;
        match &self.wanted {
            Some(wanted) if *wanted != issued.device => Err(DeviceError::OtherDevice {
                device: self.address.to_string(),
                found: issued.device.to_string(),
                wanted: wanted.to_string(),
            }),
            Some(_) | None => Ok(issued),
        }
    }

    /// Asks in the name of whoever this is; a refusal is an error.
    pub(super) fn ask(
        &self,
        call: &Call,
        wanted_status: u16,
        people: &mut dyn Write,
    ) -> Result<Exchanged, DeviceError> {
        let headers = match &self.credential {
            Credential::Nobody => call.headers(),
            Credential::Key(key) => {
                let issued = self.nonce()?;
                let message = call.message(&issued.device, &issued.nonce);
                let message = message.ok_or(DeviceError::Unsignable)?;
                let armored = signing::sign(key, &message, people, &|| self.stopped_by())?;
                call.signed(&issued.nonce, &armored).headers().to_vec()
            }
            Credential::Signed { path, headers } => {
                if !headers.are_for(call) {
                    return Err(DeviceError::SignedOther { path: path.clone() });
                }
                headers.headers().to_vec()
            }
        };
        self.expect(wanted_status, self.send(call, &headers)?)
    }

    /// Asks what everybody may ask.
    pub(super) fn look(&self, call: &Call) -> Result<Exchanged, DeviceError> {
        self.expect(200, self.send(call, &[])?)
    }

    /// A device of another version says it in other words; something else answers with a page.
    pub(super) fn not_understood(&self, wanted: &'static str, answer: &Exchanged) -> DeviceError {
        if is_object(&answer.body) {
            DeviceError::NotUnderstood { device: self.address.to_string(), wanted }
        } else {
            self.stranger(wanted, answer)
        }
    }

    pub(super) fn stranger(&self, wanted: &'static str, answer: &Exchanged) -> DeviceError {
        let kind = answer.header("content-type").unwrap_or_default().trim_ascii_start();
        let is_page = answer.body.trim_ascii_start().starts_with(b"<")
            || kind.get(..9).is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
        let what = if is_page { "a page for browsers" } else { "no word of the config API" };
        DeviceError::Stranger { device: self.address.to_string(), wanted, what }
    }

    fn expect(&self, status: u16, answer: Exchanged) -> Result<Exchanged, DeviceError> {
        if answer.status == status {
            return Ok(answer);
        }
        if (200..300).contains(&answer.status) {
            return Err(self.not_understood("what was asked for", &answer));
        }
        let device = self.address.to_string();
        let refusal = Refusal::of_answer(answer.status, answer.header("location"), &answer.body);
        Err(DeviceError::Refused { device, refusal })
    }

    fn send(&self, call: &Call, headers: &[(String, String)]) -> Result<Exchanged, DeviceError> {
        let url = self.address.url(&call.target);
        let url =
            url.map_err(|source| DeviceError::Address { text: self.address.to_string(), source })?;
        let stop = Arc::clone(&self.stop);
        let stop: HttpStop = Arc::new(move || stop.by());
        exchange(&ExchangeRequest {
            method: match call.method {
                Method::Get => ExchangeMethod::Get,
                Method::Post => ExchangeMethod::Post,
            },
            url: &url,
            headers,
            body: &call.body,
            answer_limit: MAX_ANSWER_BYTES,
            connect: CONNECT,
            stall: STALL,
            whole: None,
            tls: None,
            proxy: None,
            stop: Some(stop),
        })
        .map_err(|source| DeviceError::Exchange { device: self.address.to_string(), source })
    }
}

/// What was given for an address; it may hold a password.
fn shown(text: &str) -> String {
    text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, place)| format!("…@{place}"))
}

/// A device's name as it was given.
pub(super) fn device_id_of(text: &str) -> Result<DeviceId, DeviceError> {
    DeviceId::typed(text).ok_or_else(|| DeviceError::Id { text: text.to_owned() })
}

const _: () = assert!(NONCE_TTL_SECS > STALL.as_secs(), "a nonce outlives one silent request");
