// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel knows the new partitions when we return, whoever has to be told in which way.

use crate::disk::{SMALL, apply_plain, make_plan};
use repart::{
    KernelChange, KernelDisk, KernelError, KnownPartition, Table, read_table, tell_kernel,
};
use std::io;
use storage::ByteLen;

/// A kernel that behaves as told.
struct Kernel {
    known: Vec<KnownPartition>,
    /// What it finds when it reads the table; nothing while a partition is in use.
    table: Option<Vec<KnownPartition>>,
    /// Whether it takes single partitions.
    takes: bool,
    /// Partitions that appear only after this many waits.
    late: Vec<(u32, KnownPartition)>,
    waits: u32,
    calls: Vec<String>,
}

impl Kernel {
    fn of(known: Vec<KnownPartition>) -> Self {
        Self { known, table: None, takes: true, late: Vec::new(), waits: 0, calls: Vec::new() }
    }
}

impl KernelDisk for Kernel {
    fn known(&self) -> io::Result<Option<Vec<KnownPartition>>> {
        Ok(Some(self.known.clone()))
    }

    fn read_again(&mut self) -> io::Result<()> {
        self.calls.push("read again".to_owned());
        self.known = self.table.clone().ok_or(io::ErrorKind::ResourceBusy)?;
        Ok(())
    }

    fn tell(&mut self, change: KernelChange) -> io::Result<()> {
        self.calls.push(format!("{change:?}"));
        if !self.takes {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        match change {
            KernelChange::Add { number, start, len } => self.known.push(part(number, start, len)),
            KernelChange::Resize { number, len, .. } => {
                self.known.iter_mut().find(|part| part.number == number).unwrap().len = len;
            }
        }
        Ok(())
    }

    fn wait(&mut self) -> bool {
        self.waits += 1;
        let waits = self.waits;
        self.known.extend(
            self.late.iter().filter(|(after, _)| *after == waits).map(|(_, part)| part.clone()),
        );
        waits < 5
    }
}

fn part(number: u32, start: ByteLen, len: ByteLen) -> KnownPartition {
    KnownPartition {
        number,
        start,
        len,
        device: (254, u64::from(number)),
        node: format!("vda{number}"),
    }
}

fn parts(table: &Table) -> Vec<KnownPartition> {
    let bytes = |sectors: u64| ByteLen::new(sectors * 512);
    table
        .partitions
        .iter()
        .map(|one| part(one.number, bytes(one.first_lba.0), bytes(one.sectors())))
        .collect()
}

/// The table after a first boot, and the partitions that were there before.
fn first_boot() -> (Table, Vec<KnownPartition>) {
    let mut disk = SMALL.flashed(8);
    let before = parts(&read_table(&disk).unwrap());
    apply_plain(&make_plan(&disk, SMALL, "vfat"), &mut disk).unwrap();
    (read_table(&disk).unwrap(), before)
}

#[test]
fn a_kernel_that_may_read_the_table_again_is_told_nothing_more() {
    let (table, before) = first_boot();
    let mut kernel = Kernel { table: Some(parts(&table)), ..Kernel::of(before) };
    assert_eq!(tell_kernel(&table, &mut kernel).unwrap(), [3, 4, 5]);
    assert_eq!(kernel.calls, ["read again"]);
    kernel.calls.clear();
    assert_eq!(tell_kernel(&table, &mut kernel).unwrap(), [0; 0]);
    assert_eq!(kernel.calls, [""; 0], "who knows all is left alone");
}

/// `blockdev --rereadpt` ends with EBUSY as soon as the root of the running system is mounted.
#[test]
fn a_busy_disk_gets_its_new_partitions_one_by_one() {
    let (table, before) = first_boot();
    let mut kernel = Kernel::of(before);
    assert_eq!(tell_kernel(&table, &mut kernel).unwrap(), [3, 4, 5]);
    assert_eq!(kernel.known, parts(&table));
    assert_eq!(kernel.calls.len(), 4);
    // The last partition grew.
    kernel.known.last_mut().unwrap().len = ByteLen::mib(1);
    kernel.calls.clear();
    assert_eq!(tell_kernel(&table, &mut kernel).unwrap(), [5]);
    assert!(kernel.calls[1].starts_with("Resize"), "{:?}", kernel.calls);
}

#[test]
fn a_partition_that_appears_late_is_waited_for_and_not_for_ever() {
    let (table, before) = first_boot();
    let all = parts(&table);
    let late = vec![(3, all[4].clone())];
    let mut kernel = Kernel { table: Some(all[..4].to_vec()), late, ..Kernel::of(before.clone()) };
    // It says yes to whatever it is told, and does nothing.
    struct Deaf(Kernel);
    impl KernelDisk for Deaf {
        fn known(&self) -> io::Result<Option<Vec<KnownPartition>>> {
            self.0.known()
        }
        fn read_again(&mut self) -> io::Result<()> {
            self.0.read_again()
        }
        fn tell(&mut self, _change: KernelChange) -> io::Result<()> {
            Ok(())
        }
        fn wait(&mut self) -> bool {
            self.0.wait()
        }
    }
    let mut deaf = Deaf(kernel);
    assert_eq!(tell_kernel(&table, &mut deaf).unwrap(), [3, 4, 5]);
    assert_eq!(deaf.0.waits, 3);
    kernel = Kernel::of(before);
    let gone = tell_kernel(&table, &mut Deaf(kernel)).unwrap_err();
    assert!(matches!(gone, KernelError::Missing { number: 3 }) && gone.hint().is_some(), "{gone}");
}

#[test]
fn a_kernel_that_refuses_or_has_it_elsewhere_is_an_error_with_a_way_out() {
    let (table, before) = first_boot();
    let mut kernel = Kernel { takes: false, ..Kernel::of(before) };
    let refused = tell_kernel(&table, &mut kernel).unwrap_err();
    assert!(matches!(refused, KernelError::Refused { number: 3, .. }) && refused.hint().is_some());
    let mut moved = parts(&table);
    moved[3].start = ByteLen::mib(6);
    let refused = tell_kernel(&table, &mut Kernel::of(moved.clone())).unwrap_err();
    assert!(matches!(refused, KernelError::Moved { number: 4, .. }) && refused.hint().is_some());
    // A whole new reading puts it right where nothing is in use.
    let mut kernel = Kernel { table: Some(parts(&table)), ..Kernel::of(moved) };
    assert_eq!(tell_kernel(&table, &mut kernel).unwrap(), [4]);
}
