// SPDX-License-Identifier: MIT OR Apache-2.0
//! What servers answer, and where they send us.

use crate::measure::{MIB, alone, cut, grows_slowly, holds, lines};

#[test]
fn answers_of_servers() {
    let _alone = alone();
    let head = |count: usize| {
        let headers = lines(count, |number| format!("X-{number}: some value of some length\r\n"));
        [b"HTTP/1.1 206 Partial\r\n".to_vec(), headers].concat()
    };
    let parts = |count: usize| {
        let part = |at| format!("--B\r\nContent-Range: bytes {at}-{at}/10000\r\n\r\nx\r\n");
        [lines(count, part), b"--B--".to_vec()].concat()
    };
    let worst = [
        ("headers", head(255)),
        ("one long header", cut(head(1), 60).into_iter().chain(vec![b'y'; 65_000]).collect()),
        ("parts", parts(256)),
        ("too many parts", parts(2000)),
    ];
    holds("http_head", 4 * MIB, &worst);
    grows_slowly("http_head", "parts", parts, 60);
    let dots = |count: usize| [b"http://h/".to_vec(), b"a/../".repeat(count)].concat();
    let far = |count: usize| [dots(1), b"\0".to_vec(), b"../".repeat(count)].concat();
    let wide = "http://h/".to_owned() + &"\u{fc}".repeat(1200);
    let worst = [("dots", dots(1600)), ("far", far(2700)), ("wide", wide.into_bytes())];
    holds("http_url", MIB, &worst);
    grows_slowly("http_url", "dots", dots, 400);
}
