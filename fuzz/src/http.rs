// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a server answers, and where it sends us.

use crate::text::lossy;
use bundle::http::{HttpUrl, MAX_URL_BYTES, ResponseHead, parse_parts};

/// Length of the file that parts are of.
const TOTAL: u64 = 10_000;

/// A head, and the same bytes as a body in parts: whatever is believed lies inside the file and
/// inside the body.
pub fn http_head(data: &[u8]) {
    if let Ok(head) = ResponseHead::parse(data) {
        assert!((100..600).contains(&head.status));
        if let Some(range) = head.content_range {
            assert!(head.status == 206 && range.first <= range.last && range.last < range.total);
        }
    }
    let Ok(parts) = parse_parts("multipart/byteranges; boundary=B", data, TOTAL) else { return };
    for part in parts {
        assert!(part.start < part.end && part.end <= data.len());
        assert!(part.first + (part.end - part.start) as u64 <= TOTAL);
    }
}

/// Three texts with NUL between: a URL, a redirect from there, and a file in its directory. What
/// is made of them reads as itself again and never leaves its origin unnoticed.
pub fn http_url(data: &[u8]) {
    let text = lossy(data);
    let mut texts = text.split('\0');
    let Ok(url) = HttpUrl::parse(texts.next().unwrap_or_default()) else { return };
    same_again(&url);
    if let Ok(next) = url.join(texts.next().unwrap_or_default()) {
        same_again(&next);
        assert_eq!(next.same_origin(&url), url.same_origin(&next));
    }
    if let Ok(file) = url.file(texts.next().unwrap_or_default()) {
        same_again(&file);
        assert!(file.same_origin(&url));
        let directory = url.without_user();
        let directory = directory.split('?').next().unwrap_or_default();
        assert!(file.without_user().starts_with(directory), "{file:?} left {url:?}");
    }
}

fn same_again(url: &HttpUrl) {
    let text = url.without_user();
    assert!(text.is_ascii() && !text.contains(['\\', ' ', '#']), "{text:?}");
    if text.len() > MAX_URL_BYTES {
        // Path and query have that limit on their own.
        return;
    }
    let again = HttpUrl::parse(&text).expect("what was cleaned is clean");
    assert_eq!(again.without_user(), text);
    assert!(again.same_origin(url));
}
