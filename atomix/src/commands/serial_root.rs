// SPDX-License-Identifier: MIT OR Apache-2.0
//! Did somebody ask for a root login on the serial console? `_RUT_OH_=1` in the environment, set
//! from the running system or at U-Boot's prompt, asks for one login at the next boot.
//!
//! The request is taken back from both copies and read back before anything is started: a crash or
//! a power cut afterwards finds no request, so there is at most one login for each. Where it cannot
//! be taken back there is no login. The variable belongs to no boot state; no transition sees it.

use crate::commands::dead_end::is_own_machine;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Output;
use crate::programs;
use std::path::Path;
use storage::{Access, ByteLen, Storage};
use uboot::{CopyHealth, Env, EnvError, EnvStore};

/// The variable that holds the request; the name is the original's.
const VARIABLE: &str = "_RUT_OH_";

/// The kernel's list of the consoles that are in use; the last one is `/dev/console`.
const ACTIVE_CONSOLES: &str = "/sys/class/tty/console/active";

/// Longest list that is read.
const MAX_CONSOLES: ByteLen = ByteLen::kib(4);

/// Longest name of a terminal device.
const MAX_TTY_NAME_BYTES: usize = 32;

/// What became of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    /// There is none.
    None,
    /// There was one; it is taken back durably.
    Taken,
}

/// Starts the login that was asked for, once.
///
/// # Errors
/// [`Failure`] when the request cannot be taken back, or names no console: no login then.
pub fn run(context: &Context, out: &mut Output) -> Result<(), Failure> {
    // Held to the end of the function.
    let lock = context.env_lock()?;
    out.warn(lock.warning().map(str::to_owned).as_slice())?;
    let mut store = context.env_store(Access::ReadWrite)?;
    if take(&mut store)? == Request::None {
        return out.done("no root login was asked for");
    }
    out.warn(&context.note_asked("root login at the serial console".to_owned()))?;
    let active = context.read_text(Path::new(ACTIVE_CONSOLES), MAX_CONSOLES)?;
    let said = context.cmdline()?;
    let tty = serial_console(active.as_deref(), said.get("console")).ok_or(Failure::Refused {
        what: "a root login was asked for, and there is no serial console".to_owned(),
        hint: "name one by console= on the kernel command line, then ask again",
    })?;
    if is_own_machine(context) {
        programs::start_unit(&format!("atomix-serial-root@{tty}.service"))?;
    }
    out.done(&format!("root login on {tty}, this once: {VARIABLE} is cleared"))
}

/// Takes the request back. A lost environment holds none; any other value than `1` is none either,
/// and stays: what gives root needs an exact word.
fn take<S: Storage>(store: &mut EnvStore<S>) -> Result<Request, Failure> {
    let mut env = match store.load() {
        Ok(loaded) => loaded.env,
        Err(EnvError::Lost { .. } | EnvError::BothCorrupt { .. }) => return Ok(Request::None),
        Err(other) => return Err(other.into()),
    };
    if !asks(&env) {
        return Ok(Request::None);
    }
    env.unset(VARIABLE);
    // Both copies: when one is lost later, the other must not ask again.
    for _ in store.copies() {
        store.store(&env)?;
    }
    let left = store.load()?;
    let sound = left.copies.iter().all(|copy| matches!(copy, CopyHealth::Valid { .. }));
    if asks(&left.env) || !sound {
        return Err(Failure::Refused {
            what: format!("a root login was asked for, and {VARIABLE} cannot be cleared"),
            hint: "see `atomix uenv check`; no login before the environment can be written",
        });
    }
    Ok(Request::Taken)
}

fn asks(env: &Env) -> bool {
    env.get(VARIABLE) == Some("1")
}

/// The last serial line among the consoles; screens are nobody's serial line. The kernel's own
/// list wins over its command line, which may name lines that do not exist.
fn serial_console(active: Option<&str>, said: Option<&str>) -> Option<String> {
    let said = said.map(|said| said.split(',').next().unwrap_or_default());
    let names = match active {
        Some(active) => active.split_whitespace().collect(),
        None => said.into_iter().collect::<Vec<_>>(),
    };
    names.into_iter().rev().find(|name| is_serial(name)).map(str::to_owned)
}

/// The name becomes part of a unit's name: letters and digits only.
fn is_serial(name: &str) -> bool {
    let screen =
        name.strip_prefix("tty").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    !screen
        && !name.is_empty()
        && name.len() <= MAX_TTY_NAME_BYTES
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use storage::{Fault, Faulty, Journal, MemoryStorage, Recording, Shared};
    use uboot::{CopyPlace, encode_image};

    const COPY_BYTES: u32 = 0x1000;

    fn store_on<S: Storage>(device: &Shared<S>) -> EnvStore<Shared<S>> {
        let place = |index: u64| CopyPlace {
            device: PathBuf::from("/dev/env"),
            offset: index * u64::from(COPY_BYTES),
            env_bytes: COPY_BYTES,
            erase_bytes: 0,
            sectors: 0,
        };
        EnvStore::open((0..2).map(|index| (device.clone(), place(index))).collect()).unwrap()
    }

    fn env(request: Option<&str>) -> Env {
        let mut env = Env::new();
        env.set("BOOT_ORDER", "A B").unwrap();
        if let Some(value) = request {
            env.set(VARIABLE, value).unwrap();
        }
        env
    }

    /// Two copies with these flags and requests.
    fn flash(first: (u8, Option<&str>), second: (u8, Option<&str>)) -> Vec<u8> {
        let copy = |(flag, request): (u8, Option<&str>)| {
            encode_image(&env(request), COPY_BYTES as usize, Some(flag)).unwrap()
        };
        [copy(first), copy(second)].concat()
    }

    fn nor(bytes: Vec<u8>) -> MemoryStorage {
        MemoryStorage::nor("env", bytes, COPY_BYTES)
    }

    fn disk(bytes: Vec<u8>) -> MemoryStorage {
        MemoryStorage::disk("env", bytes)
    }

    #[test]
    fn a_request_is_served_once_and_no_lost_copy_brings_it_back() {
        let device = Shared::new(nor(flash((1, Some("1")), (0, Some("1")))));
        assert_eq!(take(&mut store_on(&device)).unwrap(), Request::Taken);
        assert_eq!(take(&mut store_on(&device)).unwrap(), Request::None);
        for copy in [0, 1] {
            let mut bytes = device.with(|device| device.bytes().to_vec());
            bytes[copy * 0x1000 + 20] ^= 1;
            assert_eq!(take(&mut store_on(&Shared::new(nor(bytes)))).unwrap(), Request::None);
        }
    }

    #[test]
    fn only_the_exact_word_asks() {
        for value in [None, Some("0"), Some("yes"), Some("11"), Some("01")] {
            let device = Shared::new(nor(flash((1, value), (0, value))));
            assert_eq!(take(&mut store_on(&device)).unwrap(), Request::None, "{value:?}");
        }
    }

    /// What a cut leaves is a request that was not served yet, or none; never a login that was
    /// served and is asked for again, and never a lost boot state.
    #[test]
    fn after_a_cut_anywhere_there_is_at_most_one_login_for_a_request() {
        type Medium = fn(Vec<u8>) -> MemoryStorage;
        let starts: [(Medium, Vec<u8>); 4] = [
            (nor, flash((1, Some("1")), (0, None))),
            (nor, flash((0, None), (1, Some("1")))),
            (nor, flash((1, Some("1")), (1, Some("1")))),
            (disk, flash((7, Some("1")), (6, None))),
        ];
        let mut images = 0;
        for (medium, initial) in starts {
            let journal = Journal::new();
            let device = Shared::new(Recording::new(medium(initial.clone()), journal.clone()));
            assert_eq!(take(&mut store_on(&device)).unwrap(), Request::Taken);
            let acts = journal.op_count();
            for (cut, seed) in (0..=acts).flat_map(|cut| (0..8).map(move |seed| (cut, seed))) {
                for after in journal.crash_images("env", &initial, cut, seed).unwrap() {
                    images += 1;
                    let device = Shared::new(medium(after));
                    let found = store_on(&device).load().unwrap();
                    assert_eq!(found.env.get("BOOT_ORDER"), Some("A B"));
                    let second = take(&mut store_on(&device)).unwrap();
                    // A login starts after the last act only.
                    assert!(cut < acts || second == Request::None, "a served request asks again");
                    assert!(!asks(&store_on(&device).load().unwrap().env));
                }
            }
        }
        assert!(images > 500, "only {images} images");
    }

    #[test]
    fn without_a_writable_environment_there_is_no_login() {
        let medium = disk(flash((7, Some("1")), (6, None)));
        let device = Shared::new(Faulty::new(medium, Fault::Write { at: 0x1010 }));
        assert!(take(&mut store_on(&device)).is_err());
    }

    #[test]
    fn the_serial_line_is_found_among_the_consoles() {
        let found = |active, said| serial_console(active, said);
        assert_eq!(found(Some("tty0 ttyS2\n"), None).as_deref(), Some("ttyS2"));
        assert_eq!(found(Some("ttyAMA0 tty0\n"), Some("tty0")).as_deref(), Some("ttyAMA0"));
        assert_eq!(found(None, Some("ttyS2,1500000")).as_deref(), Some("ttyS2"));
        assert_eq!(found(Some("tty0\n"), Some("ttyS2")), None);
        for hostile in ["", "../x", "ttyS2@a", "a b;c", &"t".repeat(40)] {
            assert_eq!(found(None, Some(hostile)), None, "{hostile}");
        }
    }
}
