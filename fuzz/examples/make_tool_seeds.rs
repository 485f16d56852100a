// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes the seeds `tool-…` in `corpus/` with the real tools, beside those of `make_seeds`:
//! `cargo run --example make_tool_seeds`, in the folder `fuzz`. Wants rauc, openssl, mksquashfs,
//! mkfs.vfat, mtools, sgdisk, mkenvimage, fw_setenv and mkimage.
//!
//! Bundles are signed by keys that are gone when this ends, and stay as they are once made.

use atomix_fuzz::SparseDisk;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn corpus(target: &str, name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("corpus").join(target).join(format!("tool-{name}"))
}

fn put(target: &str, name: &str, bytes: impl AsRef<[u8]>) {
    fs::write(corpus(target, name), bytes).expect("the seed can be written");
}

fn read(dir: &Path, name: &str) -> Vec<u8> {
    fs::read(dir.join(name)).expect("the tool made it")
}

/// Runs lines of the shell in `dir`, with times that do not change from run to run.
fn tool(dir: &Path, lines: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-euc", lines]).current_dir(dir).env("SOURCE_DATE_EPOCH", "1700000000");
    assert!(shell.status().expect("a shell is there").success(), "{lines}");
}

fn main() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let dir = dir.path();
    bundles(dir);
    squashfs(dir);
    fat(dir);
    partition_tables(dir);
    environments(dir);
    images(dir);
    texts();
}

/// What rauc itself signs: RSA, a chain with an intermediate, a manifest with hooks; and encrypts.
fn bundles(dir: &Path) {
    if corpus("bundle", "rauc-rsa-chain").exists() {
        return;
    }
    tool(
        dir,
        "mkdir pki content
         printf '[v3]\\nbasicConstraints=critical,CA:TRUE\\n[end]\\nkeyUsage=digitalSignature,keyEncipherment\\n[req]\\ndistinguished_name=n\\n[n]\\n' >pki/cnf
         cert() { # name, issuer, section
           openssl req -new -newkey rsa:2048 -nodes -config pki/cnf -subj /CN=$1 -keyout pki/$1.key -out pki/$1.csr 2>/dev/null
           openssl x509 -req -days 3650 -in pki/$1.csr -CA pki/$2.pem -CAkey pki/$2.key -CAcreateserial -extfile pki/cnf -extensions $3 -out pki/$1.pem 2>/dev/null; }
         openssl req -x509 -newkey rsa:2048 -nodes -config pki/cnf -extensions v3 -days 3650 -subj /CN=ca -keyout pki/ca.key -out pki/ca.pem 2>/dev/null
         cert inter ca v3; cert signer inter end
         head -c 6000 /dev/urandom >content/rootfs.img; echo '#!/bin/sh' >content/hook.sh; chmod 755 content/hook.sh
         for format in plain verity crypt; do
           printf '[update]\\ncompatible=x\\nversion=1\\n[bundle]\\nformat=%s\\n[hooks]\\nfilename=hook.sh\\n[image.rootfs]\\nfilename=rootfs.img\\nhooks=post-install\\n' $format >content/manifest.raucm
           rauc bundle --cert=pki/signer.pem --key=pki/signer.key --intermediate=pki/inter.pem content $format.raucb >/dev/null 2>&1
         done
         rauc encrypt --keyring=pki/ca.pem --to=pki/signer.pem crypt.raucb encrypted.raucb >/dev/null 2>&1
         rauc extract-signature --keyring=pki/ca.pem verity.raucb chain.cms >/dev/null 2>&1
         openssl cms -sign -binary -nodetach -in content/hook.sh -signer pki/signer.pem -inkey pki/signer.key -outform DER -cades -out cades.cms
         openssl cms -sign -binary -in content/hook.sh -signer pki/signer.pem -inkey pki/signer.key -signer pki/inter.pem -inkey pki/inter.key -outform DER -out two.cms
         openssl cms -encrypt -binary -in content/hook.sh -outform DER -out enveloped.cms pki/signer.pem
         cat pki/ca.pem pki/inter.pem >pki/both.pem",
    );
    put("bundle", "rauc-rsa-chain", read(dir, "verity.raucb"));
    put("bundle", "rauc-plain-rsa", read(dir, "plain.raucb"));
    put("bundle", "rauc-encrypted", read(dir, "encrypted.raucb"));
    for (name, file) in [
        ("rauc-chain", "chain"),
        ("cades", "cades"),
        ("two-signers", "two"),
        ("enveloped", "enveloped"),
    ] {
        put("signature", name, read(dir, &format!("{file}.cms")));
    }
    put("keyring", "rsa-chain", read(dir, "pki/both.pem"));
}

/// All compressors and what options change in the tables: tables stored, so that mutations reach
/// them; no fragments and fragments only; every kind of inode, small and extended.
fn squashfs(dir: &Path) {
    tool(
        dir,
        "mkdir -p tree/d/e tree/many; echo hi >tree/d/f; ln tree/d/f tree/d/linked; ln -s f tree/d/l
         head -c 20000 /dev/zero >tree/zeros; seq 3000 >tree/rootfs.img; truncate -s 100000 tree/hole
         for n in $(seq 300); do : >tree/many/n$n; done",
    );
    let basic = "-noappend -quiet -no-progress -all-root -mkfs-time 0 -all-time 0";
    let kinds = "-p 'c c 644 0 0 1 3' -p 'b b 644 0 0 7 0' -p 'p i 644 0 0 f' -p 's i 644 0 0 s'";
    let stored = "-noI -noD -noF -noX";
    for (name, options) in [
        ("gzip-all-stored", format!("-comp gzip -b 4096 {stored} {kinds}")),
        ("xz-bcj", "-comp xz -b 8192 -Xbcj arm,armthumb -Xdict-size 100%".to_owned()),
        ("xz-tables-stored", "-comp xz -b 4096 -noI".to_owned()),
        ("zstd-level-19", "-comp zstd -Xcompression-level 19 -b 16384".to_owned()),
        ("zstd-tables-stored", format!("-comp zstd -b 4096 -noI {kinds}")),
        ("gzip-window", "-comp gzip -Xwindow-size 8 -Xstrategy huffman_only -b 4096".to_owned()),
        ("lz4", "-comp lz4 -b 4096".to_owned()),
        ("lzo", "-comp lzo -b 4096".to_owned()),
        ("no-fragments", "-comp gzip -noI -b 4096 -no-fragments -no-exports".to_owned()),
        ("only-fragments", "-comp zstd -noI -b 8192 -always-use-fragments".to_owned()),
    ] {
        tool(
            dir,
            &format!("unset SOURCE_DATE_EPOCH; mksquashfs tree image {basic} {options} >/dev/null"),
        );
        put("squashfs", name, read(dir, "image"));
    }
    let image = read(dir, "image");
    put("verity_payload", "mksquashfs", [&[0], &image[..]].concat());
}

/// Of every width; long and short names, what was removed, files in many pieces, both tables.
fn fat(dir: &Path) {
    for (name, kib, options) in [
        ("fat12-two-tables", 256, "-F 12 -s 1 -f 2 -r 64"),
        ("fat16-pieces", 4400, "-F 16 -s 1 -f 1"),
        ("fat32-pieces", 34000, "-F 32 -s 1 -f 1"),
        ("fat12-clusters-of-4k", 1024, "-F 12 -s 8 -f 2"),
        ("fat16-sectors-of-4k", 18000, "-F 16 -S 4096 -s 1 -f 1"),
    ] {
        tool(
            dir,
            &format!(
                "rm -f fat; truncate -s {kib}K fat; mkfs.vfat --invariant {options} -n TOOL fat >/dev/null
                 export MTOOLS_SKIP_CHECK=1; mmd -i fat ::d ::d/e ::d/e/f
                 for n in 1 2 3 4; do head -c 600 /dev/zero | tr '\\0' $n | mcopy -i fat - ::d/$n; done
                 mdel -i fat ::d/1 ::d/3; head -c 2500 /dev/zero | tr '\\0' p | mcopy -i fat - ::pieces
                 echo x | mcopy -i fat - '::d/e/A name of more than thirteen units.text'; mattrib -i fat +h +r ::d/2"
            ),
        );
        put("fat", name, SparseDisk::encode(&read(dir, "fat")));
    }
}

fn partition_tables(dir: &Path) {
    for (name, commands) in [
        ("small-table", "-S 16 -n 1:2048:+1M"),
        ("large-table", "-S 256 -n 1:4096:+1M -n 9:0:+1M -c 9:ninth"),
        ("attributes", "-n 1:2048:+1M -A 1:set:2 -A 1:set:60 -n 3:0:+1M -t 3:8300 -n 2:0:+1M -s"),
        ("moved-tables", "-j 2048 -n 1:8192:+1M"),
        ("unaligned", "-a 1 -n 1:34:2047 -n 2:2048:2049 -n 3:2050:2050"),
    ] {
        tool(
            dir,
            &format!("rm -f gpt; truncate -s 16M gpt; sgdisk {commands} gpt >/dev/null 2>&1"),
        );
        put("partition_table", name, SparseDisk::encode(&read(dir, "gpt")));
    }
}

/// What mkenvimage packs and what fw_setenv leaves behind after changes.
fn environments(dir: &Path) {
    tool(
        dir,
        "printf 'bootcmd=run a\\nlong=%s\\n# comment\\nesc=a\\\\\\\\b\\n' $(seq -s, 99) >env.txt
         mkenvimage -p 0xff -s 1024 -o padded env.txt; mkenvimage -b -s 512 -o big-endian env.txt
         printf 'env 0x0 0x200\\nenv 0x200 0x200\\n' >fw.config; head -c 1024 /dev/zero >env; : >default
         for n in 1 2 3; do fw_setenv -c fw.config -f default a$n value-$n; done; fw_setenv -c fw.config a1
         head -c 512 env >first; tail -c 512 env >second",
    );
    put("env_image", "mkenvimage-padded", read(dir, "padded"));
    put("env_image", "mkenvimage-big-endian", read(dir, "big-endian"));
    put("env_image", "fw_setenv-first", read(dir, "first"));
    put("env_image", "fw_setenv-second", read(dir, "second"));
    put("env_store", "fw_setenv", read(dir, "env"));
    put("env_data", "mkenvimage", &read(dir, "padded")[4..]);
    put("env_data", "fw_setenv", &read(dir, "second")[5..]);
    put("fw_env_config", "fw_setenv", read(dir, "fw.config"));
}

fn images(dir: &Path) {
    tool(
        dir,
        "echo 'booti 1 2 3' >cmd; gzip -9nk cmd; : >empty
         mk() { name=$1; shift; mkimage -n \"$name\" \"$@\" $name >/dev/null; }
         mk gzip -A arm64 -O linux -T kernel -C gzip -a 0x80000 -e 0x80000 -d cmd.gz
         mk multi -A arm64 -O u-boot -T script -C none -d cmd:cmd:cmd
         mk ramdisk -A arm -O linux -T ramdisk -C none -d cmd
         mk a-name-of-more-than-thirty-two-bytes -A arm64 -O linux -T script -C none -d cmd",
    );
    for name in ["gzip", "multi", "ramdisk", "a-name-of-more-than-thirty-two-bytes"] {
        put("boot_script", name, read(dir, name));
    }
}

/// Texts of the shapes that the manuals of RAUC and systemd-repart show.
fn texts() {
    let digest = "b14c1457dc10469418b4154fef29a90e1ffb4dddd308bf0f2456d436963ef5b3";
    put(
        "manifest",
        "manual-shape",
        format!(
            "[update]\ncompatible=FooCorp Super BarBazzer\nversion=2016.08-1\ndescription=Introduces x\nbuild=20160803\n\n\
             [bundle]\nformat=crypt\ncrypt-key={digest}\nverity-hash={digest}\nverity-salt={digest}\nverity-size=8192\n\n\
             [hooks]\nfilename=hook\nhooks=install-check\n\n[handler]\nfilename=custom.sh\nargs=-v\n\n\
             [image.rootfs]\nfilename=rootfs.ext4\nsize=419430400\nsha256={digest}\nvariant=rev-2\n\n\
             [image.rootfs.rev-2]\nfilename=rootfs-2.tar.xz\nsize=4\nsha256={digest}\nhooks=install\n\n\
             [image.appfs]\nfilename=appfs.caibx\nsize=219430400\nsha256={digest}\nadaptive=block-hash-index\n\n\
             [image.bootloader]\nfilename=barebox.img\nsize=8\nsha256={digest}\n\n[meta.foocorp]\nrelease=daily\n"
        ),
    );
    put(
        "system_conf",
        "manual-shape",
        "[system]\ncompatible=FooCorp Super BarBazzer\nbootloader=barebox\nbundle-formats=-plain\n\
         max-bundle-signature-size=64k\nvariant-file=/sys/v\nactivate-installed=false\nprevent-late-fallback=lock-counter\n\n\
         [handlers]\nsystem-info=/usr/lib/rauc/info.sh\npost-install=/usr/lib/rauc/post.sh\n\n\
         [keyring]\npath=/etc/rauc/keyring.pem\nuse-bundle-signing-time=true\ncheck-purpose=codesign\n\n\
         [streaming]\nsend-headers=boot-id;machine-id;uptime\n\n\
         [slot.rescue.0]\ndescription=Rescue\ndevice=/dev/mtd4\ntype=raw\nbootname=factory0\nreadonly=true\n\n\
         [slot.rootfs.0]\ndescription=Root A\ndevice=/dev/sda0\ntype=ext4\nbootname=system0\n\n\
         [slot.appfs.0]\nparent=rootfs.0\ndevice=/dev/sda2\ntype=ext4\n\n\
         [slot.boot.0]\ndevice=/dev/mmcblk1\ntype=boot-gpt-switch\nregion-start=1M\nregion-size=128M\n",
    );
    put(
        "repart_definition",
        "manual-shape",
        "[Partition]\nType=root-arm64\nLabel=root\nSizeMinBytes=512M\nSizeMaxBytes=512M\nWeight=500\n\0\
         ; comment\n[Partition]\nType=0FC63DAF-8483-4772-8E79-3D69D8477DE4\nUUID=773f91ef-66d4-49b5-bd83-d683bf40ad16\n\
         PaddingMinBytes=4096\nSizeMinBytes=10M\n\0[Partition]\nType=var\nFormat=vfat\n",
    );
}
