// SPDX-License-Identifier: MIT OR Apache-2.0
//! Handlers and hooks: which run when, with which variables, what their exit codes and words mean,
//! and where they find the files of the bundle.

use crate::rauc::*;
use std::collections::BTreeMap;
use std::fs;
use updater::system::{InstallRequest, SystemEvent};

const CENTRAL: &str = "statusfile=@/central.raucs";

/// What a program wrote with `env`, RAUC's variables only.
fn variables(world: &World, name: &str) -> BTreeMap<String, String> {
    let text = world.text(name).replace(&world.dir.path().display().to_string(), "@");
    let lines = text.lines().filter(|line| line.starts_with("RAUC_"));
    lines.filter_map(|line| line.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect()
}

fn expect(found: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    let found: Vec<(&str, &str)> = found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn handlers_get_rauc_s_variables_and_the_image_that_is_really_chosen() {
    let world = World::new();
    for name in ["pre", "post"] {
        world.script(name, &format!("#!/bin/sh\nenv > @/{name}.env\n"));
    }
    world.script(
        "info",
        "#!/bin/sh\necho RAUC_SYSTEM_VARIANT=big\necho RAUC_SYSTEM_VERSION=7\n\
         echo RAUC_EXTRA=hello\necho RAUC_SLOTS=not this\necho RAUC_HTTP_A_B=x >&2\n",
    );
    let handlers = format!(
        "{TWO_GROUPS}[handlers]\nsystem-info=@/info\npre-install=@/pre\npost-install=@/post\n"
    );
    let mut system = world.start(world.config(CENTRAL, &handlers));
    assert_eq!(system.facts().variant(), Some("big"));
    assert_eq!(system.info_headers(None), [("RAUC-A-B".to_owned(), "x".to_owned())]);
    let file = bundle_file(
        world.dir.path(),
        "b.raucb",
        "[image.rootfs]\nfilename=small.img\n[image.rootfs.big]\nfilename=big.img\n\
         [meta.update]\npoll-time=86400\n",
        &[("small.img", b"small"), ("big.img", b"big")],
    );
    install_well(&mut system, &file);
    assert_eq!(&world.slot("rootfs-1")[..3], b"big");
    let pre = variables(&world, "pre.env");
    assert_eq!(pre, variables(&world, "post.env"));
    let digest = "df2afeec4b1ca0edcab9e09d4c2dc34ef6d7ab3d5b2b0f2d8e1df3a63e4f6ad2";
    let found = pre.get("RAUC_IMAGE_DIGEST_2").cloned().unwrap_or_default();
    assert_eq!(found.len(), digest.len());
    expect(
        &pre,
        &[
            ("RAUC_BUNDLE_MOUNT_POINT", "@/mnt/bundle"),
            ("RAUC_CURRENT_BOOTNAME", "A"),
            ("RAUC_EXTRA", "hello"),
            ("RAUC_HTTP_A_B", "x"),
            ("RAUC_IMAGE_CLASS_2", "rootfs"),
            ("RAUC_IMAGE_DIGEST_2", &found),
            ("RAUC_IMAGE_NAME_2", "big.img"),
            ("RAUC_META_UPDATE_POLL_TIME", "86400"),
            ("RAUC_MOUNT_PREFIX", "@/mnt"),
            ("RAUC_SLOTS", "1 2 3 4"),
            ("RAUC_SLOT_BOOTNAME_1", ""),
            ("RAUC_SLOT_BOOTNAME_2", "B"),
            ("RAUC_SLOT_BOOTNAME_3", ""),
            ("RAUC_SLOT_BOOTNAME_4", "A"),
            ("RAUC_SLOT_CLASS_1", "appfs"),
            ("RAUC_SLOT_CLASS_2", "rootfs"),
            ("RAUC_SLOT_CLASS_3", "appfs"),
            ("RAUC_SLOT_CLASS_4", "rootfs"),
            ("RAUC_SLOT_DEVICE_1", "@/images/appfs-1"),
            ("RAUC_SLOT_DEVICE_2", "@/images/rootfs-1"),
            ("RAUC_SLOT_DEVICE_3", "@/images/appfs-0"),
            ("RAUC_SLOT_DEVICE_4", "@/images/rootfs-0"),
            ("RAUC_SLOT_NAME_1", "appfs.1"),
            ("RAUC_SLOT_NAME_2", "rootfs.1"),
            ("RAUC_SLOT_NAME_3", "appfs.0"),
            ("RAUC_SLOT_NAME_4", "rootfs.0"),
            ("RAUC_SLOT_PARENT_1", "rootfs.1"),
            ("RAUC_SLOT_PARENT_2", ""),
            ("RAUC_SLOT_PARENT_3", "rootfs.0"),
            ("RAUC_SLOT_PARENT_4", ""),
            ("RAUC_SLOT_TYPE_1", "raw"),
            ("RAUC_SLOT_TYPE_2", "raw"),
            ("RAUC_SLOT_TYPE_3", "raw"),
            ("RAUC_SLOT_TYPE_4", "raw"),
            ("RAUC_SYSTEM_COMPATIBLE", "Test Config"),
            ("RAUC_SYSTEM_CONFIG", "@/system.conf"),
            ("RAUC_SYSTEM_VARIANT", "big"),
            ("RAUC_SYSTEM_VERSION", "7"),
            ("RAUC_TARGET_SLOTS", "1 2"),
            ("RAUC_TRANSACTION_ID", "01234567-89ab-cdef-0123-456789abcdef"),
            ("RAUC_UPDATE_SOURCE", "@/mnt/bundle"),
        ],
    );
    let order = world.diary.of(&["run pre", "run post", "boot"]);
    assert_eq!(order, ["run pre", "boot bad B", "boot primary B", "run post"]);
}

const HOOK: &str = "#!/bin/sh\nset -e\nenv > @/$1.env\npwd > /dev/null\n\
    test -n \"$RAUC_IMAGE_NAME\" && cp \"$RAUC_IMAGE_NAME\" @/seen\n\
    ls -ld \"$RAUC_BUNDLE_MOUNT_POINT\" > @/$1.ls\nsleep 300 &\n";

#[test]
fn slot_hooks_run_around_the_writing_with_rauc_s_variables_and_see_their_image() {
    let world = World::new();
    let hook = world.script("hook", &HOOK.replace("&& cp", "|| exit 0; cp"));
    let hook = fs::read(hook).unwrap();
    let slots = TWO_GROUPS.replace("[slot.rootfs.1]\n", "[slot.rootfs.1]\ntype=ext4\n");
    let mut system = world.start(world.config(CENTRAL, &slots));
    let file = bundle_file(
        world.dir.path(),
        "b.raucb",
        "[hooks]\nfilename=hook\nhooks=install-check\n\
         [image.rootfs]\nfilename=root.ext4\nhooks=pre-install;post-install\n\
         [image.appfs]\nfilename=app.img\nhooks=install\n[meta.a]\nb=c\n",
        &[("hook", &hook), ("root.ext4", b"rootfs bytes"), ("app.img", b"app bytes")],
    );
    let began = std::time::Instant::now();
    let events = install_well(&mut system, &file);
    // The hooks leave a child behind that holds their pipes.
    assert!(began.elapsed().as_secs() < 200, "the install waited for a background child");
    assert!(events.contains(&SystemEvent::Note("Running bundle hook 'install-check'".to_owned())));
    expect(
        &variables(&world, "install-check.env"),
        &[
            ("RAUC_META_A_B", "c"),
            ("RAUC_MF_BUILD", ""),
            ("RAUC_MF_COMPATIBLE", "Test Config"),
            ("RAUC_MF_VERSION", "1.2.3"),
            ("RAUC_MOUNT_PREFIX", "@/mnt"),
            ("RAUC_SYSTEM_COMPATIBLE", "Test Config"),
            ("RAUC_SYSTEM_VARIANT", ""),
            ("RAUC_SYSTEM_VERSION", ""),
        ],
    );
    let pre = variables(&world, "slot-pre-install.env");
    assert_eq!(pre, variables(&world, "slot-post-install.env"));
    let (digest, hashes) =
        (pre["RAUC_IMAGE_DIGEST"].clone(), pre["RAUC_BUNDLE_SPKI_HASHES"].clone());
    assert!(digest.len() == 64 && hashes.split(' ').count() >= 2 && hashes.contains(':'));
    expect(
        &pre,
        &[
            ("RAUC_BUNDLE_MOUNT_POINT", "@/mnt/bundle"),
            ("RAUC_BUNDLE_SPKI_HASHES", &hashes),
            ("RAUC_IMAGE_CLASS", "rootfs"),
            ("RAUC_IMAGE_DIGEST", &digest),
            ("RAUC_IMAGE_NAME", "@/mnt/bundle/root.ext4"),
            ("RAUC_IMAGE_SIZE", "12"),
            ("RAUC_MOUNT_PREFIX", "@/mnt"),
            ("RAUC_SLOT_BOOTNAME", "B"),
            ("RAUC_SLOT_CLASS", "rootfs"),
            ("RAUC_SLOT_DEVICE", "@/images/rootfs-1"),
            ("RAUC_SLOT_MOUNT_POINT", "@/mnt/rootfs.1"),
            ("RAUC_SLOT_NAME", "rootfs.1"),
            ("RAUC_SLOT_PARENT", ""),
            ("RAUC_SLOT_STATE", "inactive"),
            ("RAUC_SLOT_TYPE", "ext4"),
            ("RAUC_SYSTEM_COMPATIBLE", "Test Config"),
            ("RAUC_SYSTEM_VARIANT", ""),
            ("RAUC_SYSTEM_VERSION", ""),
        ],
    );
    let install = variables(&world, "slot-install.env");
    assert_eq!(install["RAUC_SLOT_NAME"], "appfs.1");
    assert_eq!((&*install["RAUC_SLOT_BOOTNAME"], &*install["RAUC_SLOT_PARENT"]), ("B", "rootfs.1"));
    assert!(!install.contains_key("RAUC_SLOT_MOUNT_POINT"));
    assert_eq!(world.text("seen"), "app bytes");
    assert!(
        world.text("slot-install.ls").starts_with("drwxr-xr-x"),
        "{}",
        world.text("slot-install.ls")
    );
    assert!(world.slot("appfs-1").iter().all(|byte| *byte == b'o'), "the hook does the writing");
    assert!(!world.path("mnt/bundle").exists());
}

/// Fails when the words of a handler decide what the program that it starts will find.
#[test]
fn a_program_that_a_handler_starts_finds_the_images() {
    let world = World::new();
    world.script("other", "#!/bin/sh\ncp \"$RAUC_BUNDLE_MOUNT_POINT/r.img\" @/seen\n");
    world.script("pre", "#!/bin/sh\nexec @/other\n");
    let handlers = format!("{TWO_GROUPS}[handlers]\npre-install=@/pre\n");
    let mut system = world.start(world.config(CENTRAL, &handlers));
    install_well(&mut system, &rootfs_bundle(&world, b"rootfs bytes"));
    assert_eq!(world.text("seen"), "rootfs bytes");
}

#[test]
fn exit_code_of_the_bundle_s_check_tells_no_from_failure() {
    let world = World::new();
    let mut system = world.start(world.config(CENTRAL, TWO_GROUPS));
    let mut ask = |script: &str, name: &str| {
        // Not even compatible: the check of the bundle stands in for that.
        let file = make_bundle(
            world.dir.path(),
            name,
            "[update]\ncompatible=Other\n[hooks]\nfilename=hook\nhooks=install-check\n\
             [image.appfs]\nfilename=a.img\n",
            &[("hook", format!("#!/bin/sh\n{script}\n").as_bytes()), ("a.img", b"x")],
        );
        let (done, _) = install(&mut system, &InstallRequest::default(), &file, &|| None);
        done.map_err(|error| (error.text(), error.is_rejection()))
    };
    assert_eq!(
        ask("echo first >&2; echo too hot today >&2; exit 10", "1.raucb").unwrap_err(),
        ("Bundle rejected: Hook returned: 'too hot today'".to_owned(), true)
    );
    assert_eq!(
        ask("exit 11", "2.raucb").unwrap_err().0,
        "Install-check hook failed: Hook returned with exit code 11: Child process exited with code 11"
    );
    assert_eq!(
        ask("echo x >&2; exit 9", "3.raucb").unwrap_err(),
        (
            "Install-check hook failed: failed to run bundle hook: \
             Child process exited with code 9"
                .to_owned(),
            false
        )
    );
    assert!(ask("kill -9 $$", "4.raucb").unwrap_err().0.ends_with("killed by signal 9"));
    ask("exit 0", "5.raucb").unwrap();
}

#[test]
fn a_failing_hook_or_handler_fails_the_install_in_rauc_s_words() {
    let world = World::new();
    world.script("bad", "#!/bin/sh\necho '<< error no power'\necho hello\nexit 3\n");
    let file = bundle_file(
        world.dir.path(),
        "b.raucb",
        "[hooks]\nfilename=hook\n[image.rootfs]\nfilename=r.img\nhooks=post-install\n",
        &[("hook", b"#!/bin/sh\nexit 4\n"), ("r.img", b"x")],
    );
    let run = |handler: &str| {
        let sections = format!("{TWO_GROUPS}[handlers]\n{handler}");
        let mut system = world.start(world.config(CENTRAL, &sections));
        world.diary.clear();
        let (done, events) = install(&mut system, &InstallRequest::default(), &file, &|| None);
        (done.unwrap_err().text(), events)
    };
    let (text, events) = run("pre-install=@/bad\n");
    assert_eq!(text, "Pre-install handler error: Child process exited with code 3");
    assert!(messages(&events).contains(&"Error: no power".to_owned()));
    assert!(events.contains(&SystemEvent::HandlerLine("hello".to_owned())));
    assert_eq!(world.diary.of(&["boot"]), Vec::<String>::new());
    let (text, _) = run("");
    assert_eq!(
        text,
        "Installation error: Failed updating slot rootfs.1: failed to run slot hook: \
         Child process exited with code 4"
    );
    assert_eq!(world.diary.of(&["boot"]), ["boot bad B"]);
}

#[test]
fn handler_of_the_bundle_replaces_everything_and_gets_both_kinds_of_arguments() {
    let world = World::new();
    let script = world.script(
        "full",
        "#!/bin/sh\ncat \"$RAUC_BUNDLE_MOUNT_POINT/a.bin\" > @/out\nwhile [ $# -gt 0 ]; do echo \"[$1]\" >> @/out; shift; done\n",
    );
    let script = fs::read(script).unwrap();
    let file = bundle_file(
        world.dir.path(),
        "b.raucb",
        "[handler]\nfilename=full\nargs=-a \"b c\"\n",
        &[("full", &script), ("a.bin", b"content ")],
    );
    let mut system = world.start(world.config(CENTRAL, TWO_GROUPS));
    let request = InstallRequest {
        handler_args: Some("--extra 'd'".to_owned()),
        ..InstallRequest::default()
    };
    let (done, _) = install(&mut system, &request, &file, &|| None);
    done.unwrap();
    assert_eq!(world.text("out"), "content [-a]\n[b c]\n[--extra]\n[d]\n");
    assert_eq!(world.diary.of(&["boot"]), Vec::<String>::new());
    assert!(!world.path("mnt/bundle").exists());
}

#[test]
fn system_info_that_is_missing_or_fails_stops_the_start() {
    let world = World::new();
    let start = || {
        let config =
            world.config(CENTRAL, &format!("{TWO_GROUPS}[handlers]\nsystem-info=@/info\n"));
        let parts = world.parts(None);
        let started = updater::system::System::start(config, parts, &mut |_| {}, &|| None);
        started.err().map(|error| error.text())
    };
    let missing = start().unwrap();
    assert!(missing.starts_with("System info handler script/binary '"), "{missing}");
    world.script("info", "#!/bin/sh\nexit 5\n");
    assert_eq!(
        start().unwrap(),
        "Failed to read system-info variables: Child process exited with code 5"
    );
    world.script("info", "#!/bin/sh\n");
    assert_eq!(start(), None);
}
