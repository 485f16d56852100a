// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hands do what was ordered, or nothing: another bundle, another slot, too many bytes, another
//! install at work, and who wants it to end.

use crate::cli_board::{NOW, bundles};
use crate::house::House;
use crate::update_server::Page;
use agents::agent::{Hands, InstallDone, InstallEnding, LookError, Stop, Watch};
use agents::{Downgrade, InstallOrder, Keep, Offer, Policy, Settings, Urgency};
use atomix::agent::DeviceHands;
use atomix::context::Context;
use atomix::output::{Output, Style};
use atomix::signals::StopRequest;
use bootctl::{Force, SlotId, SlotState};
use bundle::UnixTime;
use std::sync::Arc;
use storage::{ByteLen, Digest, chain};
use updater::InstallLock;

/// Ends an install when it has come so far.
pub struct Until(pub u8, pub Option<Stop>);

impl Watch for Until {
    fn written(&mut self, percent: u8, now: UnixTime) -> Option<Stop> {
        assert!(now >= NOW.0, "the device's clock");
        self.1.filter(|_| percent >= self.0)
    }
}

pub fn offer(house: &House) -> Offer {
    Offer {
        version: "2.0.0".to_owned(),
        manifest: None,
        file: None,
        size: None,
        urls: vec![format!("{}/os/update.raucb", house.server.url)],
        min_version: None,
        rollout: None,
        expires: None,
        urgency: Urgency::Ordinary,
        document: None,
    }
}

pub fn with_hands<T>(house: &House, act: impl FnOnce(&mut dyn Hands) -> T) -> T {
    let context = Context::host(house.board.root(), NOW);
    let settings = Settings::read(&context.files).unwrap().unwrap();
    let (mut data, mut people) = (Vec::new(), Vec::new());
    let mut out = Output { style: Style::Lines, data: &mut data, people: &mut people };
    let stop = Arc::new(StopRequest::of_nobody());
    let (mut hands, _memory) = DeviceHands::new(&context, &settings, &stop, &mut out);
    act(&mut hands)
}

pub fn order(house: &House) -> InstallOrder {
    let looked = with_hands(house, |hands| hands.look(&offer(house), &Policy::default(), None));
    assert!(looked.fetched > ByteLen::ZERO && looked.fetched < ByteLen::kib(256), "{looked:?}");
    let looked = looked.looked.unwrap();
    assert_eq!((looked.version.as_deref(), &*looked.compatible), (Some("2.0.0"), "small-board"));
    // Beside the images a little of what lies around them.
    let most = ByteLen::new(looked.size.get() + ByteLen::kib(128).get());
    assert!(looked.transfer > ByteLen::kib(400) && looked.transfer <= most, "{looked:?}");
    InstallOrder {
        manifest: looked.manifest,
        urls: offer(house).urls,
        slot: SlotId::B,
        transfer: looked.transfer,
        most_bytes: None,
        rate: None,
        keep: Keep::Nothing,
        downgrade: Downgrade::Refused,
        force: Force::No,
        urgency: Urgency::Ordinary,
        forced_by: None,
        resumes: false,
    }
}

pub fn install(house: &House, order: &InstallOrder, watch: &mut dyn Watch) -> InstallDone {
    with_hands(house, |hands| hands.install(order, watch))
}

fn interrupted(done: &InstallDone, says: &str) {
    let InstallEnding::Interrupted { source, .. } = &done.ending else { panic!("{done:?}") };
    assert!(chain(&**source).contains(says), "{}", chain(&**source));
}

#[test]
fn what_was_judged_is_installed_and_nothing_else() {
    let house = House::original();
    house.server.offer("2.0.0", bundles::good());
    let order = order(&house);
    let before = house.board.read("/dev/mmcblk1p4");
    let other = InstallOrder { manifest: Digest::from_bytes([7; 32]), ..order.clone() };
    interrupted(&install(&house, &other, &mut Until(0, None)), "the server has bundle");
    let stored = InstallOrder { keep: Keep::Bundle, ..other };
    interrupted(&install(&house, &stored, &mut Until(0, None)), "another bundle");
    let wrong = InstallOrder { slot: SlotId::A, ..order.clone() };
    interrupted(&install(&house, &wrong, &mut Until(0, None)), "slot B would be written now");
    let cheap = InstallOrder { most_bytes: Some(ByteLen::kib(100)), ..order.clone() };
    let done = install(&house, &cheap, &mut Until(0, None));
    interrupted(&done, "bytes would be fetched");
    assert!(done.fetched < ByteLen::kib(100));
    let lock = InstallLock::acquire(house.board.root(), 4711).unwrap();
    let busy = install(&house, &order, &mut Until(0, None));
    let InstallEnding::Failed(source) = &busy.ending else { panic!("{busy:?}") };
    assert!(chain(&**source).contains("cannot start an install"), "no server is missed by it");
    drop(lock);
    assert!(house.board.read("/dev/mmcblk1p4") == before);
    assert_eq!(house.board.state().b.state, SlotState::Good, "nothing was begun");
    let done = install(&house, &order, &mut Until(0, None));
    assert!(matches!(done.ending, InstallEnding::Written), "{done:?}");
    assert!(done.fetched >= order.transfer.min(ByteLen::kib(500)));
    assert!(house.holds_good());
}

/// Fails when a look takes more than its caller allows.
#[test]
fn a_look_is_held_to_its_bytes() {
    let house = House::original();
    house.server.offer("2.0.0", bundles::good());
    let most = Some(ByteLen::kib(8));
    let looked = with_hands(&house, |hands| hands.look(&offer(&house), &Policy::default(), most));
    let Err(LookError::Unreachable { source, .. }) = &looked.looked else { panic!("{looked:?}") };
    assert!(chain(&**source).contains("8192"), "{}", chain(&**source));
    // What was under way when they were spent.
    assert!(looked.fetched < ByteLen::kib(128), "{looked:?}");
}

#[test]
fn who_wants_an_install_to_end_is_told_apart() {
    let house = House::original();
    let bundle = bundles::Recipe { rootfs_bytes: 8 << 20, ..bundles::Recipe::default() };
    house.board.write("/dev/mmcblk1p4", vec![0; 8 << 20]);
    house.server.offer("2.0.0", bundle.make());
    let slow = InstallOrder { rate: Some(ByteLen::mib(4)), ..order(&house) };
    for stop in [Stop::Server, Stop::Program] {
        let done = install(&house, &slow, &mut Until(0, Some(stop)));
        assert!(matches!(done.ending, InstallEnding::Stopped(by) if by == stop), "{done:?}");
        assert_ne!(house.board.state().b.state, SlotState::Trying);
    }
    // What remains is gone on with.
    let order = InstallOrder { rate: None, resumes: true, ..slow };
    let done = install(&house, &order, &mut Until(0, None));
    assert!(matches!(done.ending, InstallEnding::Written), "{done:?}");
}

#[test]
fn only_what_the_vendor_signed_is_refused_for_good_at_a_look() {
    let house = House::original();
    let stranger = bundles::Recipe::default().signed_by(bundles::stranger());
    house.server.offer("2.0.0", stranger);
    let look = |urls: Vec<String>| {
        let offer = Offer { urls, ..offer(&house) };
        with_hands(&house, |hands| hands.look(&offer, &Policy::default(), None).looked)
    };
    let strangers = look(offer(&house).urls).unwrap_err();
    assert!(matches!(strangers, LookError::Unreachable { .. }), "{strangers:?}");
    house
        .server
        .offer("2.0.0", bundles::resigned(|text| text.replace("format=verity", "format=odd")));
    let refused = look(offer(&house).urls).unwrap_err();
    assert!(matches!(refused, LookError::Refused(_)), "{refused:?}");
    let plain = vec!["http://127.0.0.1:9/b.raucb".to_owned()];
    let refused = look(plain).unwrap_err();
    assert!(matches!(refused, LookError::Refused(_)), "{refused:?}");
    let gone = look(vec![format!("{}/gone.raucb", house.server.url)]).unwrap_err();
    assert!(matches!(gone, LookError::Unreachable { .. }), "{gone:?}");
}

/// Who has no key must not be able to have a good bundle refused for ever.
#[test]
fn bytes_that_nobody_signed_say_nothing_of_the_bundle_whose_place_they_take() {
    let house = House::original();
    house.server.offer("2.0.0", bundles::good());
    let order = order(&house);
    let mut wrong = bundles::good();
    wrong[bundles::verity_layout().0 / 2] ^= 1;
    let stranger = bundles::Recipe::default().signed_by(bundles::stranger());
    let places = [(wrong, "signed hash"), (stranger, "issuer certificate"), (vec![7; 600_000], "")];
    for (served, says) in places {
        house.server.offer("2.0.0", served);
        interrupted(&install(&house, &order, &mut Until(0, None)), says);
    }
    house.server.offer("2.0.0", bundles::good());
    let done = install(&house, &order, &mut Until(0, None));
    assert!(matches!(done.ending, InstallEnding::Written), "{done:?}");
    assert!(house.holds_good());
}

#[test]
fn what_the_vendor_signed_and_should_not_have_is_refused_for_good() {
    let house = House::original();
    let line = |text: &str| text.lines().rfind(|line| line.starts_with("sha256=")).unwrap().len();
    let wrong = bundles::resigned(|text| {
        let (at, len) = (text.rfind("sha256=").unwrap(), line(&text));
        let other = format!("sha256={}", "7".repeat(64));
        format!("{}{other}{}", &text[..at], &text[at + len..])
    });
    house.server.offer("2.0.0", wrong);
    let done = install(&house, &order(&house), &mut Until(0, None));
    assert!(matches!(done.ending, InstallEnding::Refused(_)), "{done:?}");
}

#[test]
fn a_place_with_a_former_bundle_keeps_nobody_from_the_offered_one() {
    let house = House::original();
    house.server.offer("2.0.0", bundles::good());
    let former = bundles::Recipe { version: "1.0.0", ..bundles::Recipe::default() }.make();
    house.server.put("/former.raucb", Page::new(200, former));
    house.server.put("/junk.raucb", Page::new(200, vec![9; 700_000]));
    let place = |name: &str| format!("{}/{name}.raucb", house.server.url);
    let urls = vec![place("junk"), place("former"), place("os/update")];
    let offer = Offer { urls: urls.clone(), ..offer(&house) };
    let looked = with_hands(&house, |hands| hands.look(&offer, &Policy::default(), None));
    let looked = looked.looked.unwrap();
    assert_eq!(looked.version.as_deref(), Some("2.0.0"));
    let order = InstallOrder { urls, ..order(&house) };
    let done = install(&house, &order, &mut Until(0, None));
    assert!(matches!(done.ending, InstallEnding::Written), "{done:?}");
}

#[test]
fn a_slot_is_given_up_only_while_it_runs_and_the_other_one_is_good() {
    let house = House::original();
    house.server.offer("2.0.0", bundles::good());
    let order = order(&house);
    assert!(matches!(install(&house, &order, &mut Until(0, None)).ending, InstallEnding::Written));
    let give_up = |slot| with_hands(&house, |hands| hands.give_up(slot));
    let withdraw = |slot| with_hands(&house, |hands| hands.withdraw(slot));
    assert!(chain(&give_up(SlotId::B).unwrap_err()).contains("slot B does not run"));
    give_up(SlotId::A).unwrap_err();
    withdraw(SlotId::B).unwrap();
    assert_eq!(house.board.state().order.first(), Some(&SlotId::A));
    withdraw(SlotId::A).unwrap_err();
    assert_eq!(house.board.run(&["boot", "mark-active", "B"]).code, 0);
    assert_eq!(house.board.power_on(), SlotId::B);
    give_up(SlotId::B).unwrap();
    let state = house.board.state();
    assert_eq!(state.b.state, SlotState::Bad);
    assert!(state.failed.contains(&order.manifest.into()), "{state:?}");
    assert_eq!(house.board.power_on(), SlotId::A);
}
