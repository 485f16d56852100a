// SPDX-License-Identifier: MIT OR Apache-2.0
//! The script in a slot, started by the selector.

use super::{known, saved};
use crate::hush::{End, Firmware};
use uboot::{DeviceTreeFacts, LoadFacts, SlotScriptFacts, slot_script};

fn slot_facts(device_tree: DeviceTreeFacts) -> SlotScriptFacts {
    let file = |path: &str, address| LoadFacts { path: path.to_owned(), address };
    SlotScriptFacts {
        interface: "mmc".to_owned(),
        device: 0,
        kernel: file("Image", 0x0208_0000),
        initrd: file("initrd", 0x0800_0000),
        device_tree,
        common_args: "console=ttyS2,1500000".to_owned(),
        root_args: ["root=PARTLABEL=rootfs-a".to_owned(), "root=PARTLABEL=rootfs-b".to_owned()],
    }
}

fn with_slot_script() -> Firmware {
    let mut board = known("B A", ("good", "3"), ("trying", "1"));
    let tree = LoadFacts { path: "board.dtb".to_owned(), address: 0x01e0_0000 };
    board.slot_script = Some(slot_script(&slot_facts(DeviceTreeFacts::File(tree))));
    board
}

#[test]
fn a_slot_script_starts_the_slot_it_lies_in_with_the_arguments_of_the_selector() {
    let mut board = with_slot_script();
    let args = |slot, root, reason| End::Started {
        slot: String::from(slot),
        args: format!(
            "console=ttyS2,1500000 gpt panic=5 root=PARTLABEL={root} \
             rauc.slot={slot} atomix.reason={reason} atomix.selector=1"
        ),
    };
    assert_eq!(board.power_on(), args("B", "rootfs-b", "trying"));
    let boot = board.trace.pop();
    assert_eq!(boot.as_deref(), Some("booti 0x2080000 0x8000000:6 0x1e00000"));
    assert_eq!(board.power_on(), args("A", "rootfs-a", "fallback"));
}

#[test]
fn every_file_a_slot_script_cannot_load_is_the_next_attempt() {
    for file in ["Image", "board.dtb", "initrd"] {
        let mut board = with_slot_script();
        board.missing.insert(file.to_owned());
        assert_eq!(board.power_on(), End::Reset, "{file}");
        assert_eq!(saved(&board, "atomix_reason"), "load-failed");
        assert!(!board.trace.iter().any(|act| act.starts_with("booti")), "{file}");
        assert_eq!(saved(&board, "bootargs"), "");
    }
}

#[test]
fn a_slot_script_can_hand_on_the_device_tree_of_the_firmware() {
    let mut board = with_slot_script();
    board.slot_script = Some(slot_script(&slot_facts(DeviceTreeFacts::Firmware)));
    board.saved.as_mut().unwrap().insert("fdtcontroladdr".to_owned(), "40000000".to_owned());
    board.power_on();
    let boot = board.trace.pop();
    assert_eq!(boot.as_deref(), Some("booti 0x2080000 0x8000000:6 40000000"));
}
