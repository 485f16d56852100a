// SPDX-License-Identifier: MIT OR Apache-2.0
//! A report goes over HTTP as it was signed, the receiver needs nothing but the certificate, and
//! each answer has its rule.

use crate::report_support::{Device, NOW};
use agents::{
    Delivery, DeviceKey, ReportAnswer, ReportRecord, ReportRequest, ReportTries, ReportWay,
    sign_report, verify_report,
};
use bundle::http::HttpUrl;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

/// What a receiver heard: the lines of the head, and the body.
type Heard = (Vec<String>, Vec<u8>);

/// A receiver that gives one answer.
fn receiver(answer: &str) -> (String, JoinHandle<Heard>) {
    let answer = answer.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/fleet/reports", listener.local_addr().unwrap());
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim_end().is_empty() {
                break;
            }
            head.push(line.trim_end().to_owned());
        }
        let length = head.iter().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        // Who has heard enough hangs up.
        let _ = stream.write_all(answer.as_bytes());
        (head, body)
    });
    (url, heard)
}

fn request(key: &DeviceKey) -> (agents::Report, ReportRequest) {
    let mut device = Device::new();
    device.key = Some(key.fingerprint);
    let report = device.report();
    let signed = sign_report(&report, &key.identity, NOW).unwrap();
    let request = ReportRequest::new(&report, signed);
    (report, request)
}

fn send(request: &ReportRequest, url: &str) -> ReportAnswer {
    let url = HttpUrl::parse(url).unwrap();
    request.send(&ReportWay { url: &url, tls: None, proxy: None, stop: None })
}

#[test]
fn what_arrives_is_what_the_device_signed() {
    let key = DeviceKey::passing().unwrap();
    let (report, request) = request(&key);
    let (url, heard) = receiver("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok");
    let mut record = ReportRecord::default();
    record.note(&report);
    let answer = send(&request, &url);
    let (head, body) = heard.join().unwrap();
    assert_eq!(head[0], "POST /fleet/reports HTTP/1.1");
    assert!(head.contains(&"Content-Type: application/cms".to_owned()), "{head:?}");
    assert!(head.contains(&format!("X-Report-News: {}", report.news())), "{head:?}");
    assert_eq!(verify_report(&body, &key.certificate_pem, NOW).unwrap().report, report);
    assert_eq!(ReportTries::default().judge(&answer, "dev1", NOW), Delivery::Delivered);
    record.arrived(request.news);
    assert_eq!(record.pending, None);
}

#[test]
fn a_server_that_is_busy_is_asked_later_and_a_redirect_is_not_followed() {
    let (_, request) = request(&DeviceKey::passing().unwrap());
    let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 700\r\nContent-Length: 0\r\n\r\n";
    let (url, heard) = receiver(busy);
    let answer = send(&request, &url);
    heard.join().unwrap();
    assert_eq!(answer, ReportAnswer::Status { code: 503, retry_after_secs: Some(700) });
    let moved = "HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n";
    let (url, heard) = receiver(moved);
    let answer = send(&request, &url);
    heard.join().unwrap();
    let Delivery::Later { why, not_before } = ReportTries::default().judge(&answer, "dev1", NOW)
    else {
        panic!("{answer:?}")
    };
    assert!(why.contains("redirect") && not_before.0 >= NOW.0 + 86_400, "{why}");
}

#[test]
fn an_answer_without_an_end_is_given_up() {
    let (_, request) = request(&DeviceKey::passing().unwrap());
    let endless = format!("HTTP/1.1 200 Ok\r\n\r\n{}", " ".repeat(3 << 20));
    let (url, heard) = receiver(&endless);
    let answer = send(&request, &url);
    heard.join().unwrap();
    let ReportAnswer::None { why } = &answer else { panic!("{answer:?}") };
    assert!(why.contains("more than 1048576 bytes"), "{why}");
}

#[test]
fn nobody_there_is_told_in_words() {
    let (_, request) = request(&DeviceKey::passing().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let answer = send(&request, &url);
    let ReportAnswer::None { why } = &answer else { panic!("{answer:?}") };
    assert!(why.contains("cannot connect"), "{why}");
}
