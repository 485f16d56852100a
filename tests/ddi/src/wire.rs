// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server without a socket, which changes its mind after so many requests, answers wrongly at
//! random, and may be asked while the power fails.

use crate::board::Fuse;
use crate::book::{Book, Place, Request, TOKEN, answer};
use agents::ddi::{DdiAnswer, DdiMethod, DdiRequest, Exchange, NoAnswer};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Where links of it begin.
pub const SERVER: &str = "http://server.example";

/// Something that happens at the server before its request of this number.
pub type Turn = (u32, Box<dyn Fn(&mut Book)>);

/// The server.
#[derive(Default)]
pub struct Wire {
    /// What it knows.
    pub book: Rc<RefCell<Book>>,
    /// When the power of the device fails.
    pub fuse: Fuse,
    /// What happens there, by the number of the request.
    pub turns: RefCell<Vec<Turn>>,
    /// Answers by which the next requests go wrong: a status, or 0 for none behind the work.
    pub faults: Rc<RefCell<Vec<u16>>>,
    asked: Cell<u32>,
}

impl Exchange for Wire {
    fn send(&self, request: &DdiRequest) -> Result<DdiAnswer, NoAnswer> {
        self.fuse.burn();
        let number = self.asked.replace(self.asked.get() + 1);
        let due = |(at, _): &mut Turn| *at <= number;
        for (_, turn) in self.turns.borrow_mut().extract_if(.., due) {
            turn(&mut self.book.borrow_mut());
        }
        let fault = self.faults.borrow_mut().pop();
        if let Some(status) = fault.filter(|status| *status >= 300) {
            return Ok(DdiAnswer { status, retry_after: None, body: Vec::new() });
        }
        let (status, body) = self.work(request);
        self.fuse.burn();
        if fault == Some(0) {
            return Err(NoAnswer { reason: "the connection was lost".to_owned() });
        }
        Ok(DdiAnswer { status, retry_after: None, body })
    }
}

impl Wire {
    fn work(&self, request: &DdiRequest) -> (u16, Vec<u8>) {
        let method = match request.method {
            DdiMethod::Get => "GET",
            DdiMethod::Post => "POST",
            DdiMethod::Put => "PUT",
        };
        let path = request.url.strip_prefix(SERVER).unwrap_or_default();
        let asked = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            token: Some(format!("TargetToken {TOKEN}")),
            is_json: request.body.is_some(),
            body: request.body.clone().unwrap_or_default(),
        };
        let mut book = self.book.borrow_mut();
        book.log.push(format!("{method} {path}"));
        answer(&mut book, Place { server: SERVER, device: "dev1" }, &asked)
    }
}
