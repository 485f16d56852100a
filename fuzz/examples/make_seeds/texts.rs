// SPDX-License-Identifier: MIT OR Apache-2.0
//! Seeds that are text, or nearly so: settings, lists and what comes over a serial line.

use super::put;
use std::path::Path;

/// Makes all of them.
pub fn make_all() {
    text_seeds();
    serial_seeds();
    settings_seeds();
}

fn text_seeds() {
    put(
        "fw_env_config",
        "redundant",
        "# env\n/dev/mtd0 0x200000 0x10000 0x1000 0x10\n/dev/mtd0 0x210000 0x10000 0x1000 16\n",
    );
    put("fw_env_config", "file", "uboot.env 0 4000\n");
    put(
        "fw_env_config",
        "overflow",
        "/dev/mmcblk0 0xffffffffffffffff ffffffff ffffffff ffffffff\n",
    );
    put("fw_env_config", "three", "a 0 1\nb 0 1\nc 0 1\n");

    let health = "settle_secs = 20\nwindow_secs = 60\ninterval_secs = 5\non_failure = \"reboot\"\n\n\
        [[probe]]\nname = \"dns\"\nkind = \"unit\"\nunit = \"dnsmasq.service\"\ncondition = \"active\"\n\n\
        [[probe]]\nname = \"units\"\nkind = \"required-units\"\npath = \"/data/units.json\"\nlevel = \"warning\"\n\n\
        [[probe]]\nname = \"lan\"\nkind = \"interface\"\ninterface = \"eth0\"\n\n\
        [[probe]]\nname = \"script\"\nkind = \"command\"\nargv = [\"/bin/true\"]\n\n\
        [[probe]]\nname = \"file\"\nkind = \"file\"\npath = \"/etc/x\"\n\n\
        [[probe]]\nname = \"port\"\nkind = \"tcp\"\naddress = \"127.0.0.1:80\"\n";
    put("health_config", "all-kinds", health);
    put(
        "health_config",
        "unit-only",
        "[[probe]]\nname = \"a\"\nkind = \"unit\"\nunit = \"a.service\"\n",
    );
    put(
        "health_config",
        "units",
        "[[probe]]\nname = \"units\"\nkind = \"required-units\"\npath = \"/etc/units.json\"\n",
    );
    put("health_config", "no-probe", "settle_secs = 18446744073709551615\nwindow_secs = -1\n");
    put("health_config", "nested", "a = ".to_owned() + &"[".repeat(200));
    put("required_units", "names", r#"["traefik", "backup.timer", "traefik.service"]"#);
    put("required_units", "tricks", r#"["../x", "-x", "a b", "", 7]"#);
    put("required_units", "nested", "[".repeat(300));

    put("system_conf", "board", SYSTEM_CONF);
    put(
        "system_conf",
        "loop",
        "[system]\ncompatible=x\nbootloader=uboot\n[slot.a.0]\ndevice=/a\nparent=b.0\n[slot.b.0]\ndevice=/b\nparent=a.0\n",
    );
    put("system_conf", "all-groups", ALL_GROUPS);
    put("system_conf", "unknown-key", "[system]\ncompatible=x\nbootloader=noop\nnonsense=1\n");

    put(
        "slot_status",
        "rauc",
        "[system]\nboot-id=0b1c\n\n[slot.rootfs.1]\nbundle.compatible=rock64\nbundle.version=25.11\nstatus=ok\nsha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nsize=0\ninstalled.timestamp=2026-11-21T03:00:00Z\ninstalled.count=4\nactivated.timestamp=x\nactivated.count=2\n",
    );
    put("slot_status", "pending", "[slot.boot.0]\nstatus=pending\n[other]\na=b\\sc\n");
    put("slot_status", "broken", "[slot.rootfs.0]\nstatus=perhaps\n");

    put("bundle_version", "years", "25.11\0 2026.03.1");
    put("bundle_version", "pre", "1.2.3-rc.1+build\x001.2.3-rc.2");
    put("bundle_version", "equal", "1\x001.0.0");
    put("bundle_version", "huge", "18446744073709551615.0.0\x0018446744073709551616");
}

fn serial_seeds() {
    let fixture = |name: &str| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../atomix/tests/fixtures/serial");
        std::fs::read(root.join(name)).expect("a recording")
    };
    for name in ["keyed.bin", "any-key.bin", "restart.bin"] {
        let said = fixture(name);
        let short = &said[..said.len().min(8192)];
        put("serial_dialogue", name, [b"\0", short, b"\xff\xfa\xff\xfa"].concat());
        put("serial_record", name, short);
    }
    let asked = b"\0U-Boot 2025.01\r\nAutoboot in 5 seconds\r\n\xff\xc8=> \xff\xc8\
        echo atomix-0123456789abcdef; version\r\natomix-0123456789abcdef\r\nU-Boot 2025.01\r\n=> ";
    put("serial_dialogue", "prompt", asked);
    put(
        "serial_record",
        "steering",
        b"A\x1b[2J\x07B\x7f \xff\xe2\x82\xac \xc3( \xe2\x80\xae\tZ\r\n",
    );
}

fn settings_seeds() {
    let settings = "[disk]\ndevice = \"/dev/mmcblk1\"\nidentity-label = \"boot-b\"\n\
        protected-bytes = 16777216\n\n[recorder]\ndevice = \"/dev/mtd0\"\noffset = 0x220000\n\
        block-bytes = 65536\nblocks = 4\n\n[health]\nconfig = \"/etc/atomix/health.toml\"\n";
    put("settings", "board", settings);
    put("settings", "one-block", settings.replace("blocks = 4", "blocks = 1"));
    put("settings", "unknown-key", settings.replace("[health]", "colour = 1\n[health]"));

    put(
        "virtual_system",
        "starts-and-fails",
        "[[unit]]\nname = \"dnsmasq.service\"\nactive-from-secs = 3\nfails-at-secs = 50\n\n\
         [interfaces]\neth1 = [\"172.20.30.1\"]\n",
    );
    put("virtual_system", "huge", "[[unit]]\nname = \"\"\nfails-at-secs = 9223372036854775807\n");
    put("virtual_system", "no-address", "[interfaces]\neth1 = [\"172.20.30.1/24\"]\n");

    put(
        "env_text",
        "board",
        "# made by U-Boot's build\nbootcmd=run atomix_select\nbootdelay=2\n\nx=a=b\ny=\n",
    );
    put("env_text", "value-over-two-lines", "bootcmd=run a;\nrun b\n");
    put("env_text", "no-name", "=1\n a=1\na=\0\n");

    put(
        "mountinfo",
        "usual",
        "21 1 0:20 / /proc rw - proc proc rw\n\
         36 35 179:4 / /mnt/a\\040b rw,noatime shared:1 master:2 - vfat /dev/mmcblk1p4 rw\n",
    );
    put("mountinfo", "odd-escapes", "1 2 7:0 / /\\777\\08\\134\\012\\ rw - ext4 \\ rw\n");
    put(
        "mountinfo",
        "short-lines",
        "36\n36 35 179:4 /\n36 35 179 / / rw - a b c\n36 35 1:2 / / -\n",
    );

    put("gateway_address", "json", r#"{"lan": {"gateway": "172.20.30.1/24"}}"#);
    put("gateway_address", "toml", "[lan]\ngateway = \"172.20.30.1\"\n");
    put("gateway_address", "no-text", r#"{"lan": {"gateway": [172, 20, 30, 1]}}"#);
    put("gateway_address", "nested", r#"{"lan":"#.repeat(200));
}

const SYSTEM_CONF: &str = "[system]\ncompatible=rock64\nbootloader=uboot\nbundle-formats=verity plain\nstatusfile=/data/rauc.status\nmountprefix=/run/rauc\n\n[keyring]\npath=ca.pem\ncheck-purpose=codesign\n\n[slot.boot.0]\ndevice=/dev/mmcblk1p1\ntype=vfat\nbootname=A\n\n[slot.rootfs.0]\ndevice=/dev/mmcblk1p2\ntype=raw\nparent=boot.0\n\n[slot.boot.1]\ndevice=/dev/mmcblk1p3\ntype=vfat\nbootname=B\n\n[slot.rootfs.1]\ndevice=/dev/mmcblk1p4\ntype=raw\nparent=boot.1\n";

const ALL_GROUPS: &str = "[system]\ncompatible=x\nbootloader=custom\ndata-directory=/data\nmax-bundle-download-size=8M\n[keyring]\ndirectory=keys\ncheck-crl=true\nallow-partial-chain=true\n[casync]\ninstall-args=-x\n[streaming]\nsandbox-user=nobody\n[polling]\nurl=https://example.com/x\ninterval-sec=60\n[encryption]\nkey=k.pem\n[autoinstall]\npath=/a.raucb\n[handlers]\nbootloader-custom-backend=/bin/b\npre-install=/bin/p\n[log.events]\nfilename=e.log\nformat=json\n[artifacts.app]\npath=/data/app\ntype=files\n[slot.rootfs.0]\ndevice=/dev/a\ntype=ext4\nresize=true\nbootname=A\n";
