// SPDX-License-Identifier: MIT OR Apache-2.0
//! Disks that are foreign, damaged or not as the definitions say, and images that do not fit.

use crate::cli_board::SmallBoard;
use crate::table::{After, Case, Row};
use std::fs;

const SECTOR: usize = 512;
const FLASH_AGAIN: &str = "flash the image again";
const RIGHT_DISK: &str = "check that this is the right disk";
const PRIMARY_WRITTEN: &[&str] = &[
    "/dev/mmcblk1",
    "primary copy is damaged: wrong header checksum",
    "is written again from the backup copy",
];
const BACKUP_WRITTEN: &[&str] = &[
    "/dev/mmcblk1",
    "backup copy is damaged: wrong header checksum",
    "is written again from the primary copy",
];

pub fn rows() -> Vec<Row> {
    let mut rows = table_rows();
    rows.extend(plan_rows());
    rows.extend(flash_rows());
    rows
}

fn table_rows() -> Vec<Row> {
    let repart =
        |name, make, code, says, hint| Row::command(name, make, &["repart"], code, says, hint);
    vec![
        repart(
            "disk with an MBR only",
            mbr_only,
            1,
            &["/dev/mmcblk1", "an MBR partition table"],
            RIGHT_DISK,
        ),
        repart(
            "blank disk",
            |case| case.board.edit("/dev/mmcblk1", |disk| disk.fill(0)),
            1,
            &["/dev/mmcblk1 has no partition table"],
            RIGHT_DISK,
        ),
        repart(
            "both copies of the GPT damaged",
            |case| {
                damage_primary(case);
                damage_backup(case);
            },
            1,
            &["both copies of the GPT on /dev/mmcblk1 are damaged", "primary:", "backup:"],
            FLASH_AGAIN,
        ),
        repart("primary GPT damaged", damage_primary, 0, PRIMARY_WRITTEN, "")
            .after(After::Works(table_is_whole)),
        repart("backup GPT damaged", damage_backup, 0, BACKUP_WRITTEN, "")
            .after(After::Works(table_is_whole)),
        repart("both copies of the GPT whole", |_| {}, 0, &[], ""),
        Row::command(
            "primary GPT damaged, dry run",
            damage_primary,
            &["repart", "--dry-run"],
            0,
            &["/dev/mmcblk1", "primary copy is damaged: wrong header checksum", "would be written"],
            "",
        ),
        Row::command(
            "backup GPT damaged, dry run",
            damage_backup,
            &["repart", "--dry-run"],
            0,
            &["/dev/mmcblk1", "backup copy is damaged: wrong header checksum", "would be written"],
            "",
        ),
        Row::command(
            "backup GPT damaged, dry run as JSON",
            damage_backup,
            &["--json", "repart", "--dry-run"],
            0,
            &["backup copy is damaged", "would be written"],
            "",
        )
        .because("backup GPT damaged, dry run"),
        repart(
            "disk too small for a table",
            |case| case.board.write("/dev/mmcblk1", [0; 4096]),
            1,
            &["/dev/mmcblk1 with 8 sectors", "cannot hold a GPT"],
            "name the whole disk",
        ),
        repart(
            "disk missing",
            |case| fs::remove_file(case.board.path("/dev/mmcblk1")).unwrap(),
            1,
            &["/dev/mmcblk1 does not exist"],
            "the device's path",
        )
        .because("no such device"),
    ]
}

fn plan_rows() -> Vec<Row> {
    let repart =
        |name, make, code, says, hint| Row::command(name, make, &["repart"], code, says, hint);
    vec![
        repart(
            "partition of somebody else",
            |case| {
                case.board.replace("/etc/repart.d/30-boot-b.conf", "Label=boot-b", "Label=boot-x")
            },
            3,
            &["/dev/mmcblk1", "partition 3", "boot-b", "30-boot-b.conf"],
            "not made from this board's image",
        ),
        repart(
            "definition with an unknown key",
            |case| append(case, "/etc/repart.d/30-boot-b.conf", "Colour=red\n"),
            2,
            &["30-boot-b.conf:6", "Colour"],
            "correct the file",
        ),
        repart(
            "definition with a key twice",
            |case| append(case, "/etc/repart.d/30-boot-b.conf", "Label=boot-c\n"),
            2,
            &["30-boot-b.conf:6", "Label", "before"],
            "correct the file",
        ),
        repart(
            "no definitions",
            |case| fs::remove_dir_all(case.board.path("/etc/repart.d")).unwrap(),
            2,
            &["no partition definitions in /etc/repart.d"],
            "correct the file",
        ),
        repart(
            "no room for a partition",
            |case| {
                let text = "[Partition]\nType=linux-generic\nLabel=data\nSizeMinBytes=1G\n";
                case.board.write("/etc/repart.d/50-data.conf", text);
            },
            3,
            &["/dev/mmcblk1", "not enough space", "1.0 GiB"],
            "larger disk",
        ),
    ]
}

fn flash_rows() -> Vec<Row> {
    let flash: &[&str] = &["flash", "BUNDLE", "/dev/mmcblk1p4"];
    let elsewhere: &[&str] = &["flash", "BUNDLE", "/dev/other"];
    let not_ours = |name, make, says| {
        Row::command(name, make, elsewhere, 3, says, "atomix image build").because(name)
    };
    let without = |name, make, says| {
        Row::command(name, make, elsewhere, 3, says, "--without-boot-loader").because(name)
    };
    vec![
        without(
            "image without its first stage",
            |case| offer_disk(case, |disk| blank_in(disk, 64)),
            &["BUNDLE", "no idbloader in sector 64"],
        ),
        without(
            "image without U-Boot",
            |case| offer_disk(case, |disk| blank_in(disk, 16384)),
            &["BUNDLE", "no U-Boot in sector 16384"],
        ),
        Row::command(
            "image that ends before U-Boot's place",
            |case| offer_disk(case, |disk| disk[64 * SECTOR] = 1),
            elsewhere,
            3,
            &["BUNDLE", "no U-Boot in sector 16384"],
            "--without-boot-loader",
        )
        .because("image without U-Boot"),
        Row::command(
            "image larger than the disk",
            whole_disk,
            flash,
            3,
            &["does not fit /dev/mmcblk1p4"],
            "larger disk",
        ),
        Row::command(
            "disk to flash is mounted",
            |case| {
                whole_disk(case);
                let line = "36 35 179:4 / /mnt/b rw - ext4 /dev/mmcblk1p4 rw\n";
                case.board.write("/proc/self/mountinfo", line);
            },
            flash,
            5,
            &["/dev/mmcblk1p4, mounted at /mnt/b, is in use"],
            "unmount it",
        ),
        not_ours("bundle instead of an image", other_disk, &["BUNDLE", "no partition table"]),
        not_ours(
            "image with a damaged primary GPT",
            |case| offer_disk(case, |disk| disk[SECTOR + 60] ^= 1),
            &["BUNDLE", "primary copy is damaged: wrong header checksum"],
        ),
        not_ours(
            "image that is cut short",
            |case| offer_disk(case, |disk| disk.truncate(3 * 1024 * 1024)),
            &["BUNDLE", "primary:"],
        ),
        not_ours(
            "image without a protective MBR",
            |case| offer_disk(case, |disk| disk[..SECTOR].fill(0)),
            &["BUNDLE", "protective MBR"],
        ),
        not_ours(
            "image of another board",
            |case| offer_table(case, &["esp", "root"]),
            &["BUNDLE", "partitions esp, root", "boot-a, rootfs-a"],
        ),
        Row::command(
            "flash during an install",
            |case| {
                whole_disk(case);
                case.board.write("/dev/other", vec![0; 8 * 1024 * 1024]);
                case.held.push(Box::new(crate::state_rows::lock(&case.board)));
            },
            elsewhere,
            5,
            &["another install is running (process 4711)"],
            "wait until it ends",
        )
        .because("a second install at once"),
        Row::command(
            "image of this board onto another disk",
            |case| {
                whole_disk(case);
                case.board.write("/dev/other", vec![0; 9 * 1024 * 1024]);
            },
            elsewhere,
            0,
            &[],
            "",
        )
        .after(After::Works(|board| {
            let image = with_loader(board.read("/dev/mmcblk1"));
            assert!(board.read("/dev/other").starts_with(&image));
        })),
    ]
}

/// The board's own disk as the image.
fn whole_disk(case: &mut Case) {
    case.offer(with_loader(case.board.read("/dev/mmcblk1")));
}

/// A Rock64's processor and first stage look for the next one where the small board's disk has
/// nothing, and ends.
fn with_loader(mut disk: Vec<u8>) -> Vec<u8> {
    disk.resize(16385 * SECTOR, 0);
    for sector in [64, 16384] {
        disk[sector * SECTOR..(sector + 1) * SECTOR].fill(0x3b);
    }
    disk
}

fn blank_in(disk: &mut Vec<u8>, sector: usize) {
    *disk = with_loader(std::mem::take(disk));
    disk[sector * SECTOR..(sector + 1) * SECTOR].fill(0);
}

/// The bundle that every row offers, and a disk that is nobody's.
fn other_disk(case: &mut Case) {
    case.board.write("/dev/other", vec![0; 8 * 1024 * 1024]);
}

fn offer_disk(case: &mut Case, change: impl FnOnce(&mut Vec<u8>)) {
    other_disk(case);
    let mut disk = case.board.read("/dev/mmcblk1");
    change(&mut disk);
    case.offer(disk);
}

fn offer_table(case: &mut Case, labels: &[&str]) {
    other_disk(case);
    case.offer(crate::cli_board::disk_with_labels(labels));
}

fn append(case: &Case, path: &str, text: &str) {
    case.board.edit(path, |bytes| bytes.extend_from_slice(text.as_bytes()));
}

/// One partition of type 0x83 and nothing of a GPT.
fn mbr_only(case: &mut Case) {
    case.board.edit("/dev/mmcblk1", |disk| {
        disk.fill(0);
        disk[450] = 0x83;
        disk[454..462].copy_from_slice(&[0, 8, 0, 0, 0, 8, 0, 0]);
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    });
}

fn damage_primary(case: &mut Case) {
    case.board.edit("/dev/mmcblk1", |disk| disk[SECTOR + 60] ^= 1);
}

fn damage_backup(case: &mut Case) {
    case.board.edit("/dev/mmcblk1", |disk| {
        let at = disk.len() - SECTOR + 60;
        disk[at] ^= 1;
    });
}

/// Both copies are whole again, and the partitions are those that were there.
fn table_is_whole(board: &SmallBoard) {
    let whole = SmallBoard::new();
    assert!(board.read("/dev/mmcblk1") == whole.read("/dev/mmcblk1"), "the table is not as it was");
}
