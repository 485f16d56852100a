// SPDX-License-Identifier: MIT OR Apache-2.0
//! Deltas on a board whose slots are sealed: what slots hold is used, the old content of the target
//! too, and the protocol stays what it is: the seal first and last, everything read back, and nothing
//! bootable that is not whole.

use crate::rauc::{World, bundle_file, install};
use crate::support::{BOOT_BYTES, Board, ROOTFS_BYTES, System as Content};
use bootctl::{SlotId, SlotState, select};
use bundle::casync::{ChunkIndex, ChunkSizes, LocalStore, encode_image};
use bundle::http::HttpOptions;
use openssl::sha::sha256;
use std::fs;
use std::path::{Path, PathBuf};
use storage::{CutAt, CutPlan, Digest, HostFiles, PowerCut, PowerCutDevices, Shared};
use updater::system::{DeltaSources, InstallRequest, OwnedInstaller, System, SystemEvent};
use updater::{BootedGroup, SEAL_BYTES};

fn start(world: &World, board: &Board) -> System {
    start_until(world, board, &CutPlan::new(CutAt::Never, 0))
}

/// Slots and environment on the power of a plan.
fn start_until(world: &World, board: &Board, plan: &CutPlan) -> System {
    let devices = || Box::new(PowerCutDevices::new(board.devices.clone(), plan));
    let env = Shared::new(PowerCut::new(board.env.clone(), plan));
    fs::create_dir_all(world.path("root")).unwrap();
    let files = || Box::new(HostFiles::new(world.path("root")));
    let engine = OwnedInstaller {
        devices: devices(),
        files: files(),
        backend: Box::new(Board::backend(env)),
        recorder: None,
        booted: BootedGroup::Slot(SlotId::A),
        reason: None,
        version_floor: None,
    };
    let mut parts = world.parts_with(Some(Box::new(engine)), devices());
    parts.files = files();
    parts.sources = Box::new(DeltaSources::new("/", Box::new(HttpOptions::default)));
    let dir = world.dir.path().display();
    let keys =
        format!("compatible=Test Config\nmountprefix={dir}/mnt\ndata-directory={dir}/root/data");
    let text = crate::support::SYSTEM_CONF.replace("compatible=rock64", &keys);
    world.start_with(crate::support::config(&text), parts)
}

/// Contents in whole blocks, as the method wants them.
fn content(tag: u8) -> Content {
    Content {
        boot: crate::support::image(tag, BOOT_BYTES - 4096),
        rootfs: crate::support::image(tag.wrapping_add(7), ROOTFS_BYTES),
    }
}

const ADAPTIVE: &str = "[image.boot]\nfilename=boot.vfat\nadaptive=block-hash-index\n\
    [image.rootfs]\nfilename=rootfs.img\nadaptive=block-hash-index\n";

fn adaptive(world: &World, new: &Content) -> PathBuf {
    let files: [(&str, &[u8]); 2] = [("boot.vfat", &new.boot), ("rootfs.img", &new.rootfs)];
    bundle_file(world.dir.path(), "b.raucb", ADAPTIVE, &files)
}

fn ask(world: &World, board: &Board, file: &Path) -> (Result<(), String>, Vec<String>) {
    ask_system(&mut start(world, board), file)
}

fn ask_system(system: &mut System, file: &Path) -> (Result<(), String>, Vec<String>) {
    let request =
        InstallRequest { location: file.display().to_string(), ..InstallRequest::default() };
    let (done, events) = install(system, &request, file, &|| None);
    let notes = events.into_iter().filter_map(|event| match event {
        SystemEvent::Note(text) | SystemEvent::Warning(text) => Some(text),
        SystemEvent::Progress { .. } | SystemEvent::Message(_) | SystemEvent::HandlerLine(_) => {
            None
        }
    });
    (done.map(drop).map_err(|error| error.text()), notes.collect())
}

fn has(notes: &[String], part: &str) -> bool {
    notes.iter().any(|note| note.contains(part))
}

/// The running rootfs is the new one's, and the target's old boot slot is the new one's too, but for
/// the seal, which is gone when it is read.
#[test]
fn blocks_come_from_the_slots_and_the_seal_s_block_from_the_bundle() {
    let world = World::new();
    let (a, old) = (content(1), content(2));
    let new = Content { boot: old.boot.clone(), rootfs: a.rootfs.clone() };
    let board = Board::new(&a, &old);
    let (done, notes) = ask(&world, &board, &adaptive(&world, &new));
    done.unwrap();
    assert!(board.holds(SlotId::A, &a) && board.holds(SlotId::B, &new));
    let state = board.state();
    assert_eq!((state.primary(), state.b.state), (Some(SlotId::B), SlotState::Trying));
    let blocks = ROOTFS_BYTES / 4096;
    assert!(has(&notes, &format!("{blocks} from the active slot, 0 from the bundle")), "{notes:?}");
    // The whole boot image is one block of the bundle: what the seal's block costs is the image.
    assert!(has(&notes, "taking the whole image"), "{notes:?}");
    let digest = Digest::from_bytes(sha256(&new.rootfs));
    let kept = format!("root/data/slot.rootfs.1/hash-{digest}/block-hash-index");
    assert!(world.path(&kept).exists());
    let text = world.text("root/data/rauc/status.raucs");
    assert!(text.contains(&format!("sha256={digest}")), "{text}");
}

/// What is kept about what the target holds, in the place where the next install looks.
fn keep_indexes(world: &World, old: &Content) {
    for (slot, bytes) in [("boot.1", &old.boot), ("rootfs.1", &old.rootfs)] {
        let len = storage::ByteLen::new(bytes.len() as u64);
        let index = bundle::adaptive::index_of_stream(&mut &bytes[..], len).unwrap();
        let dir = world.path(&format!("root/data/slot.{slot}/hash-unknown"));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("block-hash-index"), index).unwrap();
    }
}

/// An index that speaks of what the target held before, seal included, as after a refused install.
#[test]
fn a_target_that_is_not_what_its_kept_index_says_costs_bytes_and_nothing_else() {
    let world = World::new();
    let (a, old) = (content(1), content(2));
    let new = Content { boot: old.boot.clone(), rootfs: old.rootfs.clone() };
    let board = Board::new(&a, &old);
    keep_indexes(&world, &old);
    let (done, notes) = ask(&world, &board, &adaptive(&world, &new));
    done.unwrap();
    assert!(board.holds(SlotId::B, &new));
    let (boot, rootfs) = (new.boot.len() / 4096 - 1, new.rootfs.len() / 4096);
    let boot = format!("{boot} blocks from the target slot, 0 from the active slot, 1 from the");
    assert!(has(&notes, &boot) && has(&notes, "1 out of date"), "{notes:?}");
    assert!(has(&notes, &format!("{rootfs} blocks from the target slot")), "{notes:?}");
}

const INDEXED: &str =
    "[image.boot]\nfilename=boot.vfat\n[image.rootfs]\nfilename=rootfs.img.caibx\n";

fn indexed(world: &World, new: &Content, index: &ChunkIndex) -> PathBuf {
    let (boot, index) = (&*new.boot, index.encode());
    let files: [(&str, &[u8]); 2] = [("boot.vfat", boot), ("rootfs.img.caibx", &index)];
    bundle_file(world.dir.path(), "b.raucb", INDEXED, &files)
}

fn chunks(world: &World, bytes: &[u8]) -> ChunkIndex {
    let store = LocalStore::new(&world.path("b.castr"));
    let sizes = ChunkSizes::new(4096, 8192, 32 * 1024).unwrap();
    encode_image(bytes, sizes, &store, &mut |_| true).unwrap().0
}

#[test]
fn a_casync_index_is_put_together_and_the_status_has_the_content_s_digest() {
    let world = World::new();
    let (a, old, new) = (content(1), content(2), content(3));
    let board = Board::new(&a, &old);
    let file = indexed(&world, &new, &chunks(&world, &new.rootfs));
    let (done, notes) = ask(&world, &board, &file);
    done.unwrap();
    assert!(board.holds(SlotId::A, &a) && board.holds(SlotId::B, &new), "{notes:?}");
    assert_eq!(board.state().primary(), Some(SlotId::B));
    assert!(has(&notes, "casync: fetched"), "{notes:?}");
    let text = world.text("root/data/rauc/status.raucs");
    let digest = Digest::from_bytes(sha256(&new.rootfs));
    assert!(text.contains(&format!("sha256={digest}\nsize={ROOTFS_BYTES}\n")), "{text}");
}

#[test]
fn a_store_that_lacks_a_chunk_leaves_a_target_that_nothing_loads() {
    let world = World::new();
    let (a, old, new) = (content(1), content(2), content(3));
    let board = Board::new(&a, &old);
    let index = chunks(&world, &new.rootfs);
    let file = indexed(&world, &new, &index);
    let (first, last) = (index.chunks().first().unwrap().id, index.chunks().last().unwrap().id);
    assert_ne!(first, last);
    fs::remove_file(world.path("b.castr").join(last.store_path(".cacnk"))).unwrap();
    let (done, _) = ask(&world, &board, &file);
    let text = done.unwrap_err();
    assert!(text.contains("is not in"), "{text}");
    let state = board.state();
    assert_eq!((state.primary(), state.b.state), (Some(SlotId::A), SlotState::Writing));
    assert!(board.bytes("boot", SlotId::B)[..SEAL_BYTES].iter().all(|byte| *byte == 0));
    assert!(board.holds(SlotId::A, &a));
}

#[test]
fn a_store_that_is_not_there_costs_the_target_nothing() {
    let world = World::new();
    let (a, old, new) = (content(1), content(2), content(3));
    let board = Board::new(&a, &old);
    let file = indexed(&world, &new, &chunks(&world, &new.rootfs));
    fs::remove_dir_all(world.path("b.castr")).unwrap();
    let before = board.env.with(|flash| flash.bytes().to_vec());
    let (done, _) = ask(&world, &board, &file);
    let text = done.unwrap_err();
    assert!(text.contains("is not in"), "{text}");
    assert_eq!(board.env.with(|flash| flash.bytes().to_vec()), before);
    assert!(board.holds(SlotId::B, &old));
}

#[test]
fn content_that_does_not_fit_is_refused_before_anything_is_touched() {
    let world = World::new();
    let (a, old) = (content(1), content(2));
    let board = Board::new(&a, &old);
    let large = crate::support::image(5, ROOTFS_BYTES + 4096);
    let file = indexed(&world, &content(3), &chunks(&world, &large));
    let before = board.env.with(|flash| flash.bytes().to_vec());
    let (done, _) = ask(&world, &board, &file);
    let text = done.unwrap_err();
    assert!(text.contains("does not fit slot rootfs.1"), "{text}");
    assert_eq!(board.env.with(|flash| flash.bytes().to_vec()), before);
    assert!(board.holds(SlotId::B, &old));
}

/// I1, I2, I6 for deltas: the target is its own seed, so after each cut it holds another mixture.
#[test]
fn power_cut_at_every_act_of_a_delta_boots_a_whole_slot_and_the_repeat_converges() {
    let (a, old) = (content(1), content(2));
    let new = Content { boot: old.boot.clone(), rootfs: a.rootfs.clone() };
    let mut cuts = 0;
    for at in 0.. {
        let world = World::new();
        let board = Board::new(&a, &old);
        keep_indexes(&world, &old);
        let file = adaptive(&world, &new);
        let plan = CutPlan::new(CutAt::Operation(at), at);
        let _cut_or_done = ask_system(&mut start_until(&world, &board, &plan), &file);
        let whole = |slot| match slot {
            SlotId::A => board.holds(slot, &a),
            SlotId::B => board.holds(slot, &old) || board.holds(slot, &new),
        };
        for slot in SlotId::ALL {
            assert!(!board.loads(slot) || whole(slot), "cut at {at}: {slot} loads half a system");
        }
        let (state, facts) = (board.state(), board.firmware_facts());
        for boots in [select(Some(&state), &facts).boots, select(None, &facts).boots] {
            assert!(boots.is_some_and(whole), "cut at {at}: {boots:?} boots from {state:?}");
        }
        if !plan.is_cut() {
            break;
        }
        cuts += 1;
        if select(Some(&state), &facts).boots == Some(SlotId::A) {
            ask(&world, &board, &file).0.unwrap();
        }
        assert!(board.holds(SlotId::A, &a) && board.holds(SlotId::B, &new), "cut at {at}");
    }
    assert!(cuts > 20, "{cuts} cuts");
}
