// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a status or a failure of libcurl mean for whoever asked: is another try of use?

use super::error::{HttpError, TransferFault};
use super::head::ResponseHead;
use super::transfer::{Expect, Fault};
use std::time::Duration;

/// What another try may help against.
pub(super) fn again(cause: &str) -> Fault {
    Fault::Again { cause: TransferFault(cause.to_owned()), after: None }
}

/// Whether an answer with this status is the one asked for.
pub(super) fn judge_status(head: &ResponseHead, expect: &Expect, url: String) -> Result<(), Fault> {
    let status = head.status;
    Err(match (status, expect) {
        (206, Expect::Range { .. } | Expect::Ranges { .. }) | (200, Expect::Whole { .. }) => {
            return Ok(());
        }
        (204, _) => HttpError::NoContent { url }.into(),
        (304, _) => HttpError::NotModified { url }.into(),
        (401, _) => HttpError::Unauthorized { url }.into(),
        (404, _) => HttpError::NotFound { url }.into(),
        (408 | 425 | 429 | 500 | 502 | 503 | 504, _) => Fault::Again {
            cause: TransferFault(format!("unexpected HTTP response code {status}")),
            after: head.retry_after_secs.map(Duration::from_secs),
        },
        _ => HttpError::Status { url, status }.into(),
    })
}

/// Which failures of libcurl pass by themselves.
pub(super) fn fault_of(failure: &curl::Error) -> Fault {
    let text = match failure.extra_description() {
        Some(extra) => format!("{}: {}", failure.description(), without_pin(extra)),
        None => failure.description().to_owned(),
    };
    let handshake = failure.is_ssl_connect_error() || failure.is_recv_error();
    let refused = handshake && (text.contains(" alert ") || text.contains("certificate"));
    let hopeless = refused
        || failure.is_peer_failed_verification()
        || failure.is_ssl_certproblem()
        || failure.is_ssl_cacert_badfile()
        || failure.is_ssl_engine_notfound()
        || failure.is_ssl_engine_initfailed()
        || failure.is_ssl_engine_setfailed()
        || failure.is_ssl_cipher()
        || failure.is_url_malformed()
        || failure.is_unsupported_protocol()
        || failure.is_bad_function_argument()
        || failure.is_unknown_option();
    let cause = TransferFault(text);
    if hopeless { hopeless_for(cause) } else { Fault::Again { cause, after: None } }
}

/// The same, where a proxy has answered `code` to the wish for a tunnel; 0: there was none.
pub(super) fn fault_behind(code: u32, fault: Fault) -> Fault {
    match fault {
        // It asks for a password, or does not let anybody there.
        Fault::Again { cause, .. } if (300..500).contains(&code) && ![408, 429].contains(&code) => {
            hopeless_for(cause)
        }
        Fault::Again { .. } | Fault::Fatal(_) | Fault::Unwanted => fault,
    }
}

/// The place and the number of tries are filled in by whoever repeats.
pub(super) fn hopeless_for(source: TransferFault) -> Fault {
    HttpError::Transfer { url: String::new(), offset: 0, tries: 1, retry_after: None, source }
        .into()
}

/// libcurl repeats the key's URI in its messages.
fn without_pin(text: &str) -> String {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("pin-value=") {
        let (head, tail) = rest.split_at(at + "pin-value=".len());
        clean.push_str(head);
        clean.push_str("***");
        let end = tail.find(|c: char| "&;'\" ]".contains(c)).unwrap_or(tail.len());
        rest = tail.get(end..).unwrap_or_default();
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_cut_out_of_messages() {
        let text = "cannot load 'pkcs11:token=a?pin-value=1111&x=y' and pin-value=22";
        let expected = "cannot load 'pkcs11:token=a?pin-value=***&x=y' and pin-value=***";
        assert_eq!(without_pin(text), expected);
    }
}
