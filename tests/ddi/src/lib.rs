// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does a device come through an action, whatever the server does?
//!
//! [`book::Book`] is what a server knows of one device, and [`book::answer`] what it answers: values,
//! which the fleet simulator asks too. [`stub::Stub`] puts it on a socket in this process. It takes
//! nothing that hawkBit's description does not allow, and misbehaves on demand; `cargo test --package
//! ddi` plays against it. The client is the real one with its real HTTP; the hands that install and
//! restart are played ([`device::Device`]). [`board::Board`] has all hands of an agent, on virtual
//! time, and a power supply that fails; [`wire::Wire`] is the server without a socket.
#![allow(clippy::disallowed_methods, reason = "a judge starts servers and keeps what they write")]

pub mod board;
pub mod book;
pub mod device;
pub mod stub;
pub mod wire;
