// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes the seeds in `corpus/`: `cargo run --example make_seeds`, in the folder `fuzz`. Seeds of
//! other names (reproducers of what was once found) stay as they are.

mod texts;

use atomix_fuzz::SparseDisk;
use bootctl::{BootState, BundleId, Entry, Mark, Recorder, SlotId, Snapshot, Timestamp};
use bundle::{SquashfsCompression, SquashfsTree, write_squashfs};
use repart::{FatImage, FatLabel, FatOptions, FatTime};
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;
use storage::{ByteLen, MemoryStorage, PartUuid};
use uboot::{Env, encode_image, encode_script};
use uuid::Uuid;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn put(target: &str, name: &str, bytes: impl AsRef<[u8]>) {
    let folder = root().join("corpus").join(target);
    fs::create_dir_all(&folder).expect("the folder can be made");
    fs::write(folder.join(name), bytes).expect("the seed can be written");
}

/// Runs a line of the shell in `dir`, with times that do not change from run to run.
fn tool(dir: &Path, line: &str) {
    let status = Command::new("sh")
        .args(["-ec", line])
        .current_dir(dir)
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .status();
    assert!(status.expect("a shell is there").success(), "{line}");
}

fn main() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    uboot_seeds(dir.path());
    bootctl_seeds();
    bundle_seeds(dir.path());
    repart_seeds(dir.path());
    texts::make_all();
}

fn environment() -> Env {
    let mut env = Env::new();
    for (name, value) in [("bootcmd", "run atomix_select"), ("bootdelay", "2"), ("x", "a=b")] {
        env.set(name, value).expect("the variables are ordinary");
    }
    let disk = PartUuid(Uuid::from_u128(0xd15c));
    let mut state = BootState::factory(disk);
    state.remember_failed(BundleId::from_bytes([0xab; 16]));
    state.last = Some(SlotId::A);
    state.write_to(&mut env).expect("the state fits");
    env
}

fn uboot_seeds(dir: &Path) {
    let env = environment();
    let data = env.encode_data(512).expect("the variables fit");
    let used = data[..env.used_bytes() + 1].to_vec();
    put("env_data", "ours", &used);
    put("env_data", "blanks-comments-duplicates", b" \ta=1\0#b=2\0a=3\0c\0d=\0\xff=\xfe\0\0junk");
    put("env_data", "empty-name", b"=1\0\0");
    put("env_data", "unterminated", b"a=1\0");
    put("env_image", "single", encode_image(&env, 1024, None).expect("it fits"));
    let newer = encode_image(&env, 512, Some(1)).expect("it fits");
    put("env_image", "redundant", &newer);
    fs::write(dir.join("env.txt"), "bootcmd=run x\nbootdelay=3\n").expect("it can be written");
    tool(dir, "mkenvimage -s 512 -o single env.txt; mkenvimage -r -s 512 -o redundant env.txt");
    let read = |name: &str| fs::read(dir.join(name)).expect("the tool made it");
    put("env_image", "mkenvimage-single", read("single"));
    put("env_image", "mkenvimage-redundant", read("redundant"));
    put("env_image", "wrong-checksum", [&[0; 5], &newer[5..]].concat());
    let older = encode_image(&env, 512, Some(0)).expect("it fits");
    put("env_store", "both", [older.clone(), newer.clone()].concat());
    put("env_store", "equal-flags", [newer.clone(), newer.clone()].concat());
    put("env_store", "second-torn", [newer.clone(), vec![0xff; 512]].concat());
    put("env_store", "both-torn", [&newer[..256], &[0; 256], &[0xff; 512]].concat());

    put("boot_script", "ours", encode_script("slot A", b"booti\n", 7).expect("it is ordinary"));
    fs::write(dir.join("boot.cmd"), "setenv bootargs x\nbooti 1 2 3\n").expect("it can be written");
    tool(dir, "mkimage -A arm64 -O linux -T script -C none -n seed -d boot.cmd script >/dev/null");
    tool(dir, "mkimage -A arm64 -O linux -T kernel -C none -n seed -d boot.cmd kernel >/dev/null");
    put("boot_script", "mkimage-script", read("script"));
    put("boot_script", "mkimage-kernel", read("kernel"));
    put("boot_script", "truncated", &read("script")[..70]);
}

fn bootctl_seeds() {
    let env = environment();
    let variables = |pairs: &[(&str, &str)]| {
        let mut env = env.clone();
        for (name, value) in pairs {
            env.set(name, value).expect("the variables are ordinary");
        }
        let used = env.used_bytes() + 1;
        env.encode_data(used).expect("it is that long")
    };
    put("boot_state", "factory", variables(&[]));
    let trying = [
        ("BOOT_ORDER", "B A"),
        ("BOOT_B_LEFT", "2"),
        ("atomix_state_B", "trying"),
        ("atomix_digest_B", "00112233445566778899aabbccddeeff"),
        ("atomix_reason", "trying"),
    ];
    put("boot_state", "trying", variables(&trying));
    let writing = [("BOOT_ORDER", "A"), ("atomix_state_B", "writing"), ("atomix_last", "A 3")];
    put("boot_state", "writing", variables(&writing));
    let both_bad = [("atomix_state_A", "bad"), ("atomix_state_B", "bad"), ("atomix_last", "B 5")];
    put("boot_state", "both-bad", variables(&both_bad));
    let odd = [("BOOT_ORDER", "C B B A"), ("BOOT_A_LEFT", "0x7"), ("atomix_disk", "none")];
    put("boot_state", "odd-values", variables(&odd));

    for (name, text) in [
        ("slot-a", "console=ttyS2 rauc.slot=A atomix.reason=normal atomix.selector=1 panic=10"),
        ("fallback", "rauc.slot=B atomix.reason=fallback root=PARTLABEL=rootfs-b \"x=a b\" quiet"),
        ("external", "rauc.external root=/dev/nfs rauc.slot=A rauc.slot=B"),
        ("open-quote", "a=\"b rauc.slot=A"),
    ] {
        put("kernel_cmdline", name, text);
    }

    for (name, text) in [
        (
            "efi-verbose",
            "BootNext: 0002\nBootCurrent: 0001\nTimeout: 2 seconds\nBootOrder: 0001,0002,0009\n\
             Boot0001* A\tHD(1,GPT,11-22,0x800,0x1000)/File(\\EFI\\A.EFI)\nBoot0002  B\n",
        ),
        ("efi-no-order", "BootCurrent: 0001\nBoot0001* A\n"),
        ("efi-odd", "BootOrder: 0001,,G,00001\nBoot0001* \tx\nBoot000\u{e9}* y\nBoot0001* z\n"),
        ("grub", "A_TRY=0\nA_OK=1\nB_TRY=1\nB_OK=1\nORDER=B A\n"),
        ("grub-odd", "ORDER=\n=x\nA_OK=1=2 \n\nnothing\n"),
        ("uboot", "BOOT_ORDER=A B\n"),
        ("uboot-left", "BOOT_A_LEFT=0x1f\n"),
        ("barebox", "20\n3\n"),
        ("barebox-odd", " 4294967297x\n99999999999999999999999\n"),
    ] {
        put("boot_programs", name, text);
    }

    let head =
        "Panic#1 Part1\n<5>[    0.0] Kernel command line: rauc.slot=B atomix.reason=trying\n";
    for (name, text) in [
        (
            "panic",
            "<0>[    5.1] Kernel panic - not syncing: Attempted to kill init!\n\
             <4>[    5.2] Call trace:\n<4>[    5.2]  dump_backtrace+0x98/0x118 (P)\n\
             <4>[    5.2]  show_stack+0x20/0x38 (C)\n<4>[    5.2]  do_exit+0x8c0/0xa18\n",
        ),
        (
            "oops",
            "<1>[    2.0] Unable to handle kernel NULL pointer dereference\n\
             <0>[    2.1] Internal error: Oops: 0000000096000004 [#1] SMP\nCall Trace:\n f+0x1/0x2\n",
        ),
        ("escapes", "kernel BUG at \u{1b}[31mfs/inode.c:1\r\nCall trace:\n \u{7}+0x0\n"),
        ("alive", "<6>[    5.0] Run /sbin/init as init process\n"),
    ] {
        put("dead_kernel", name, format!("{head}{text}"));
    }

    let flash = MemoryStorage::nor("seed", vec![0xff; 8192], 4096);
    let flash = storage::Shared::new(flash);
    let mut recorder = Recorder::open(flash.clone(), 4096).expect("the region fits");
    let mut keep = |name: &str, entries: &[Entry]| {
        for (second, entry) in (1_700_000_000..).zip(entries) {
            recorder.append(Timestamp::from_unix(second), entry).expect("memory does not fail");
        }
        put("recorder", name, flash.with(|flash| flash.bytes().to_vec()));
    };
    let disk = PartUuid(Uuid::from_u128(0xd15c));
    let bundle = BundleId::from_bytes([1; 16]);
    let version = "2026.11".to_owned();
    let slot = SlotId::B;
    keep(
        "story",
        &[
            Entry::FirstBoot { disk },
            Entry::States(Snapshot::from(&BootState::factory(disk))),
            Entry::InstallBegan { slot, version: version.clone(), bundle },
            Entry::InstallFinished { slot, version, bundle },
            Entry::Booted {
                slot,
                reason: bootctl::Reason::Trying,
                attempts: bootctl::AttemptsLeft::DEFAULT,
            },
            Entry::Verdict {
                slot,
                verdict: bootctl::HealthVerdict::Unhealthy,
                cause: "no address".to_owned(),
            },
            Entry::FellBack { from: slot, to: SlotId::A, cause: "attempts".to_owned() },
            Entry::InstallFailed { slot, cause: "cut".to_owned() },
            Entry::DeadEnd { slot, cause: "panic".to_owned() },
        ],
    );
    let marks = vec![Entry::Marked { slot, mark: Mark::Good }; 150];
    keep("wrapped", &marks);
    put("recorder", "blank", [0xff; 64]);
    let mut torn = flash.with(|flash| flash.bytes().to_vec());
    torn[40..60].fill(0);
    put("recorder", "torn", torn);
}

fn bundle_seeds(dir: &Path) {
    let fixtures = root().join("../tests/fixtures/rauc-1.8");
    let fixture = |name: &str| fs::read(fixtures.join(name)).expect("the fixture is there");
    let (verity, plain, ca) =
        (fixture("verity.raucb"), fixture("plain.raucb"), fixture("ca.cert.pem"));
    for (name, bytes) in [("rauc-verity", &verity), ("rauc-plain", &plain)] {
        put("bundle", name, bytes);
        let (rest, length) = bytes.split_last_chunk::<8>().expect("it has a trailer");
        let cms = rest.len() - usize::try_from(u64::from_be_bytes(*length)).expect("it is small");
        put("signature", name, &rest[cms..]);
    }
    put("bundle", "huge-signature-size", [&[0; 64], &[0xff; 8][..]].concat());
    put("bundle", "no-signature", [0; 64]);
    put("bundle_edits", "verity-untouched", [0]);
    put("bundle_edits", "plain-untouched", [1]);
    put("bundle_edits", "verity-superblock", [0, 0x30, 0, 1, 0, 0x10, 0xff]);
    put("bundle_edits", "plain-last-byte", [1, 0x41, 0x53, 1]);
    put("keyring", "ca", &ca);
    put("keyring", "twice", [ca.clone(), ca.clone()].concat());
    put("keyring", "truncated", &ca[..300]);
    put(
        "keyring",
        "crl-header",
        [&ca, &b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"[..]].concat(),
    );

    let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let external = format!(
        "[update]\ncompatible=rock64\nversion=1.2\ndescription=a\\nb\nbuild=7\n\n[bundle]\n\
         format=verity\nverity-hash={digest}\nverity-salt={digest}\nverity-size=4096\n\n\
         [hooks]\nfilename=hook.sh\nhooks=install-check;\n\n[image.rootfs]\nsha256={digest}\n\
         size=9\nfilename=rootfs.img\nhooks=pre-install;post-install;\nadaptive=block-hash-index;\n\n\
         [image.boot.big]\nsha256={digest}\nsize=1\nfilename=boot.vfat\n\n[meta.atomix]\nlevel=3\n"
    );
    let internal = format!(
        "[update]\ncompatible=x\n[bundle]\nformat=plain\n[handler]\nfilename=h\nargs='a b'\n\
         [image.rootfs]\nfilename=r.tar.gz\nsha256={digest}\nsize=0\ntype=tar\n"
    );
    let input = "[update]\ncompatible=x\n[bundle]\nformat=verity\n[image.a/b]\nfilename=x.img\nconvert=tar-extract;\n";
    for (name, text) in [("external", external.as_str()), ("internal", &internal), ("input", input)]
    {
        put("manifest", name, text);
        put("key_file", name, text);
    }
    put("manifest", "duplicate-section", "[update]\ncompatible=x\n[update]\ncompatible=y\n");
    put(
        "manifest",
        "path-tricks",
        "[update]\ncompatible=x\n[image.r]\nfilename=../../etc/passwd\n",
    );
    put("key_file", "escapes", "[g]\na=\\s\\t\\n\\r\\\\ x;y\\;z;\nb = \\q\nc=true\n# d\n");
    put("key_file", "not-text", b"[g]\na=\xff\n");

    let squashfs = |compression| {
        let mut tree = SquashfsTree::new();
        let rootfs = vec![0x5a; 5000];
        tree.add_file("rootfs.img", 0o644, Cursor::new(rootfs)).expect("the path is free");
        tree.add_file("boot.vfat", 0o644, Cursor::new([7; 100])).expect("the path is free");
        tree.add_directory("dir", 0o755).expect("the path is free");
        tree.add_symlink("dir/link", "../rootfs.img").expect("the path is free");
        let mut image = Cursor::new(Vec::new());
        write_squashfs(tree, compression, 1_700_000_000, &mut image).expect("memory does not fail");
        image.into_inner()
    };
    for (name, compression) in [
        ("ours-zstd", SquashfsCompression::Zstd),
        ("ours-gzip", SquashfsCompression::Gzip),
        ("ours-stored", SquashfsCompression::Stored),
    ] {
        put("squashfs", name, squashfs(compression));
    }
    let tree = "mkdir -p t/d; head -c 150000 /dev/zero >t/zeros; echo hi >t/d/f; ln -sf f t/d/l; \
                head -c 5000 /dev/zero | tr '\\0' x >t/rootfs.img; head -c 100 /dev/zero >t/boot.vfat";
    tool(dir, tree);
    let mut first = Vec::new();
    for compression in ["gzip", "xz", "zstd"] {
        let options = "-noappend -quiet -no-progress -all-root -mkfs-time 0 -all-time 0 -no-xattrs";
        tool(
            dir,
            &format!(
                "unset SOURCE_DATE_EPOCH; mksquashfs t {compression} -comp {compression} {options} >/dev/null"
            ),
        );
        first = fs::read(dir.join(compression)).expect("the tool made it");
        put("squashfs", &format!("mksquashfs-{compression}"), &first);
    }
    put("squashfs", "truncated", &first[..300]);
    let mut crowded = squashfs(SquashfsCompression::Stored);
    crowded[4..8].fill(0xff);
    put("squashfs", "many-inodes", crowded);

    for compression in [SquashfsCompression::Stored, SquashfsCompression::Zstd] {
        put(
            "verity_payload",
            &format!("{compression:?}"),
            [&[0], &squashfs(compression)[..]].concat(),
        );
    }
    for (name, place) in [("tampered-data", 200_u32), ("tampered-tree", 8200)] {
        let change = [&[2][..], &place.to_le_bytes(), &[1]].concat();
        let image = squashfs(SquashfsCompression::Stored);
        put("verity_payload", name, [change, image].concat());
    }
    let claimed = [&[1][..], &4096_u64.to_le_bytes(), &[9; 32], &[0; 12288]].concat();
    put("verity_payload", "wrong-root", &claimed);
    let huge = [&[1][..], &u64::MAX.to_le_bytes(), &[9; 32], &[0; 64]].concat();
    put("verity_payload", "huge-tree", huge);
}

fn repart_seeds(dir: &Path) {
    let disk = |name: &str, line: &str| -> Vec<u8> {
        tool(dir, line);
        SparseDisk::encode(&fs::read(dir.join(name)).expect("the tool made it"))
    };
    let sgdisk = "rm -f gpt; truncate -s 16M gpt; sgdisk -U 11111111-2222-3333-4444-555555555555 \
         -n 1:2048:+1M -c 1:boot-a -t 1:BC13C2FF-59E6-4262-A352-B275FD6F7172 -u 1:aaaaaaaa-2222-3333-4444-555555555555 \
         -n 2:4096:+1M -c 2:rootfs-a -t 2:B921B045-1DF0-41C3-AF44-4C6F280D3FAE -u 2:bbbbbbbb-2222-3333-4444-555555555555 gpt >/dev/null";
    let whole = disk("gpt", sgdisk);
    put("partition_table", "sgdisk", &whole);
    put("partition_table", "grown-disk", [&(1_u32 << 16).to_le_bytes(), &whole[4..]].concat());
    let primary_lost =
        disk("gpt", "dd if=/dev/zero of=gpt bs=512 seek=1 count=1 conv=notrunc status=none");
    put("partition_table", "primary-lost", primary_lost);
    let hybrid = disk("gpt", &format!("{sgdisk}; sgdisk -h 1 gpt >/dev/null"));
    put("partition_table", "hybrid", hybrid);
    put("partition_table", "no-table", SparseDisk::encode(&vec![0; 1 << 20]));

    let small = |name: &str, kib: u32, bits: u32| {
        disk(
            name,
            &format!(
                "rm -f {name}; truncate -s {kib}K {name}; mkfs.vfat --invariant -F {bits} -s 1 -f 1 -n SEED {name} >/dev/null; \
             export MTOOLS_SKIP_CHECK=1; mmd -i {name} ::dtbs; head -c 3000 /dev/zero | tr '\\0' d | mcopy -i {name} - ::dtbs/rk3328.dtb; \
             echo hello | mcopy -i {name} - '::a rather long name.txt'"
            ),
        )
    };
    put("fat", "mkfs-12", small("fat12", 512, 12));
    put("fat", "mkfs-16", small("fat16", 4096, 16));
    put("fat", "mkfs-32", small("fat32", 34000, 32));
    let options =
        FatOptions { label: FatLabel::from_text("seed"), serial: 1, time: FatTime::EPOCH };
    let mut fat = FatImage::create(ByteLen::mib(1), &options).expect("the size suits");
    fat.create_dir("dtbs").expect("there is room");
    fat.write_file("dtbs/board.dtb", &mut &[1; 1500][..]).expect("there is room");
    fat.write_file("Image", &mut &[2; 3000][..]).expect("there is room");
    let ours = fat.finish().expect("memory does not fail");
    put("fat", "ours", SparseDisk::encode(ours.bytes()));
    put("fat", "no-fat", SparseDisk::encode(&vec![1; 1024]));

    put("repart_definition", "board", include_definitions());
    put(
        "repart_definition",
        "broken",
        "[Partition]\nType=xbootldr\nSizeMinBytes=2M\nSizeMaxBytes=1M\n\0Label=x\n\0[Partition]\nType=nonsense\n",
    );
    put(
        "repart_definition",
        "huge",
        "[Partition]\nType=linux-generic\nSizeMinBytes=16777215T\nWeight=1000000\nPaddingMinBytes=8E\n",
    );
}

fn include_definitions() -> String {
    let boot = "[Partition]\n# the kernel\nType=xbootldr\nLabel=boot-b\nFormat=vfat\nSizeMinBytes=2M\nSizeMaxBytes=2M\n";
    let root = "[Partition]\nType=root-arm64\nLabel=rootfs-b\nUUID=aaaaaaaa-2222-3333-4444-555555555555\nSizeMinBytes=4M\nSizeMaxBytes=8M\n";
    let data = "[Partition]\nType=linux-generic\nLabel=data\nFormat=f2fs\nSizeMinBytes=1M\nPaddingMinBytes=1M\nWeight=500\n";
    [boot, root, data].join("\0")
}
