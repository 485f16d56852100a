// SPDX-License-Identifier: MIT OR Apache-2.0
//! A bundle that is stored before it is installed: from where does it come, how often, and when is it
//! gone?

use crate::cli_board::bundles;
use crate::house::House;
use crate::orders::{Until, install, offer, order, with_hands};
use crate::update_server::{Asked, Page};
use agents::agent::{InstallEnding, StoreDone};
use agents::{InstallOrder, InstallRecord, InstallStage, Keep, Memory};
use serde_json::json;
use storage::ByteLen;

const STORED: &str = "/data/atomix/bundles";

fn house() -> (House, InstallOrder) {
    let house = House::new("original", &json!({ "reboot": "never", "keep_bundles": true }));
    house.server.offer("2.0.0", bundles::good());
    let order = InstallOrder { keep: Keep::Bundle, ..order(&house) };
    house.server.asked();
    (house, order)
}

fn store(house: &House, order: &InstallOrder) -> StoreDone {
    let done = with_hands(house, |hands| hands.store(order, &mut Until(0, None)));
    assert!(done.ending.is_ok(), "{done:?}");
    done
}

fn whole(house: &House, path: &str) -> usize {
    let is_whole = |asked: &&Asked| asked.path == path && asked.range_bytes().is_none();
    house.server.asked().iter().filter(is_whole).count()
}

fn stored(house: &House) -> usize {
    std::fs::read_dir(house.board.path(STORED)).map_or(0, Iterator::count)
}

/// The first place was fetched whole although the look had left it.
#[test]
fn the_place_where_the_look_ended_is_fetched() {
    let (house, order) = house();
    let former = bundles::Recipe { version: "1.0.0", ..bundles::Recipe::default() }.make();
    house.server.put("/former.raucb", Page::new(200, former));
    let former = format!("{}/former.raucb", house.server.url);
    let urls = [vec![former], offer(&house).urls].concat();
    let order = InstallOrder { urls, ..order };
    store(&house, &order);
    assert_eq!(whole(&house, "/former.raucb"), 0);
    let done = install(&house, &order, &mut Until(0, None));
    assert!(matches!(done.ending, InstallEnding::Written), "{done:?}");
    assert!(house.holds_good());
}

/// A mirror needs no key for a true head and one wrong byte behind it. Each attempt began with it, and
/// cost a whole bundle, for ever.
#[test]
fn a_place_with_one_wrong_byte_keeps_no_other_from_being_asked() {
    let (house, order) = house();
    let mut wrong = bundles::good();
    wrong[bundles::verity_layout().0 / 2] ^= 1;
    house.server.put("/wrong.raucb", Page::new(200, wrong));
    let wrong = format!("{}/wrong.raucb", house.server.url);
    let urls = [vec![wrong], offer(&house).urls].concat();
    let order = InstallOrder { urls, ..order };
    let done = install(&house, &order, &mut Until(0, None));
    assert!(matches!(done.ending, InstallEnding::Written), "{done:?}");
    assert!(house.holds_good());
    assert_eq!(whole(&house, "/wrong.raucb"), 1);
}

#[test]
fn what_is_stored_and_holds_is_not_fetched_again_and_what_rotted_is() {
    let (house, order) = house();
    let first = store(&house, &order);
    assert!(first.fetched > ByteLen::kib(400), "{first:?}");
    let again = store(&house, &order);
    assert_eq!(again.fetched, ByteLen::ZERO);
    assert_eq!(again.ending.as_ref().unwrap(), first.ending.as_ref().unwrap());
    assert_eq!(whole(&house, "/os/update.raucb"), 1);
    // One bit far behind what the signature is read from.
    let path = format!("{STORED}/{}.raucb", order.manifest);
    let rot = || {
        let mut rotted = house.board.read(&path);
        rotted[bundles::verity_layout().0 / 2] ^= 1;
        house.board.write(&path, rotted);
    };
    rot();
    assert_eq!(store(&house, &order).fetched, first.fetched);
    // And after it was looked at.
    rot();
    let done = install(&house, &order, &mut Until(0, None));
    assert!(matches!(done.ending, InstallEnding::Interrupted { .. }), "{done:?}");
    assert_eq!((whole(&house, "/os/update.raucb"), stored(&house)), (1, 0));
    let done = install(&house, &order, &mut Until(0, None));
    assert!(matches!(done.ending, InstallEnding::Written), "{done:?}");
    assert!(house.holds_good());
    assert_eq!((whole(&house, "/os/update.raucb"), stored(&house)), (1, 0));
}

#[test]
fn what_is_stored_is_gone_once_nothing_is_under_way() {
    let (house, order) = house();
    store(&house, &order);
    let record = InstallRecord {
        manifest: order.manifest,
        version: None,
        url: None,
        etag: None,
        slot: order.slot,
        from: None,
        urgency: order.urgency,
        stage: InstallStage::Begun,
    };
    let mut memory = Memory::default();
    memory.install = Some(record);
    with_hands(&house, |hands| hands.remember(&memory)).unwrap();
    assert_eq!(stored(&house), 1, "it is under way");
    memory.install = None;
    with_hands(&house, |hands| hands.remember(&memory)).unwrap();
    assert_eq!(stored(&house), 0);
}
