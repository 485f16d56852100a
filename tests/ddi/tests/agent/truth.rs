// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever goes wrong on the way, the server's word in the end is the device's truth.

use super::*;

#[test]
fn a_dead_server_is_asked_ever_less_and_hears_the_result() {
    let policy = Policy::default();
    let mut scene = pair(&policy);
    scene.once();
    scene.board.boot();
    scene.board.verify();
    *scene.wire.faults.borrow_mut() = vec![503; 12];
    scene.live(30);
    assert_eq!((scene.open(), scene.board.good()), (Open::Finished, Some("2.0.0")));
    let longest = scene.board.slept.iter().max().unwrap();
    assert!(*longest > 900, "{:?}", scene.board.slept);
    assert!(scene.board.slept.iter().all(|secs| *secs >= 30), "{:?}", scene.board.slept);
}

/// Answers of a server in trouble. 404 and 410 are not among them: they are its word that the action
/// is gone.
const FAULTS: [u16; 14] = [0, 401, 403, 409, 429, 500, 503, 200, 200, 200, 200, 200, 200, 200];

/// Numbers that are the same each time, by their seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 % u64::from(limit)).unwrap()
    }
}

/// Whatever fails, and whenever the power does: in the end the server says what is so.
#[test]
fn the_servers_word_is_the_devices_truth() {
    for seed in 1..=400_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let keep = if dice.below(4) == 0 { Keep::Bundle } else { Keep::Nothing };
        let policy = Policy { keep, ..Policy::default() };
        let mut scene = pair(&policy);
        if dice.below(2) == 0 {
            scene.board.bad.insert("2.0.0".to_owned());
        }
        let (kind, at) = (dice.below(4), dice.below(30));
        let turn: Box<dyn Fn(&mut ddi::book::Book)> = match kind {
            0 => Box::new(|book| {
                if book.actions[0].open == Open::Running {
                    book.actions[0].change(|action| action.open = Open::Canceling);
                }
            }),
            1 => Box::new(|book| {
                if book.actions[0].open == Open::Running {
                    book.actions[0].change(|action| action.open = Open::Canceled);
                }
                book.actions.push(numbered(8, "3.0.0", ("attempt", "attempt")));
            }),
            _ => Box::new(|_| {}),
        };
        scene.wire.turns.borrow_mut().push((at, turn));
        let mut were_good = BTreeSet::new();
        for life in 0..40 {
            if life < 6 {
                scene.board.fuse.set(Some(dice.below(90)));
                let fault = |dice: &mut Dice| FAULTS[dice.below(14) as usize];
                *scene.wire.faults.borrow_mut() = (0..12).map(|_| fault(&mut dice)).collect();
            }
            scene.live(1 + dice.below(6));
            if dice.below(2) == 0 || life > 10 {
                scene.board.verify();
            }
            let finished = |id| {
                let book = scene.wire.book.borrow();
                book.actions.iter().any(|one| one.id == id && one.open == Open::Finished)
            };
            were_good.extend(scene.board.good().map(str::to_owned));
            for (id, version) in [(ID, "2.0.0"), (8, "3.0.0")] {
                let truth = !finished(id) || were_good.contains(version);
                assert!(truth, "seed {seed}: {:#?}", scene.board.log);
            }
        }
        let context = format!("seed {seed}: {:#?}\n{:#?}", scene.action(ID), scene.board.log);
        match scene.open() {
            Open::Finished => {
                let version = scene.board.good();
                assert!(version == Some("2.0.0") || version == Some("3.0.0"), "{context}");
            }
            Open::Failed => assert_ne!(scene.board.good(), Some("2.0.0"), "{context}"),
            Open::Canceled => {
                assert!(kind == 1 || scene.board.next() == Some("1.0.0"), "{context}")
            }
            Open::Running | Open::Canceling | Open::Confirmation => panic!("{context}"),
        }
        if kind == 1 && scene.wire.turns.borrow().is_empty() {
            assert_eq!(scene.action(8).open, Open::Finished, "{context}");
            assert_eq!(scene.board.good(), Some("3.0.0"), "{context}");
        }
        let tried = scene.board.written.iter().filter(|version| *version == "2.0.0").count();
        assert!(tried <= 2, "{context}");
        scene.assert_strict();
    }
}

/// The same over real HTTP.
#[test]
fn an_update_goes_through_over_http() {
    let stub = Stub::start().unwrap();
    stub.assign(ID, Open::Running);
    let credentials = Credentials::target(TOKEN).unwrap();
    let exchange = HttpExchange::new(credentials, HttpWay::default());
    let transport = Transport::PlainForDevelopment;
    let server = Server::new(&stub.url(), transport, ("DEFAULT", "dev1")).unwrap();
    let policy = Policy::default();
    let mut board = Board::default();
    let round = |board: &mut Board| {
        let terms =
            HawkbitTerms { policy: &policy, server: &server, exchange: &exchange, operator: None };
        let mut memory = board.memory.clone();
        hawkbit_once(board, terms, &mut memory, Force::No)
    };
    round(&mut board);
    board.boot();
    board.verify();
    round(&mut board);
    assert_eq!((stub.action(ID).unwrap().open, board.good()), (Open::Finished, Some("2.0.0")));
    assert!(stub.book().refused.is_empty(), "{:?}", stub.book().refused);
}
