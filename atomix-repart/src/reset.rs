// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is a request for an empty data partition meant for the disk in front of us? Pure.
//!
//! The environment lies outside the disk, and the disk of another board may be in its place by now.
//! Its data was never asked for: what names another partition, or none on an environment of another
//! disk, is not done, and the request is taken back.

use crate::DiskSettings;
use bootctl::DataReset;
use repart::Table;
use std::path::Path;
use storage::PartUuid;

/// What becomes of a request for an empty data partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reset {
    /// There is none.
    NotRequested,
    /// It is part of the plan.
    Planned,
    /// Not now, and why.
    Waits(String),
    /// Never here, and why.
    Refused(String),
}

/// The partitions of a disk by which a request is compared, as its table has them now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DiskInFront {
    /// The one that may be wiped.
    pub(crate) data: Option<PartUuid>,
    /// The one whose identity is the disk's.
    pub(crate) identity: Option<PartUuid>,
}

impl DiskInFront {
    pub(crate) fn new(settings: &DiskSettings, table: &Table) -> Self {
        let find = |label: &str| {
            let found = table.partitions.iter().find(|partition| partition.label == label);
            found.map(|partition| partition.part_uuid)
        };
        Self { data: find(&settings.data_label), identity: find(&settings.identity_label) }
    }
}

/// Judges a request; `bound` is the disk that the environment names, `mounted` where data is.
pub(crate) fn judge_reset(
    request: DataReset,
    front: &DiskInFront,
    bound: Option<PartUuid>,
    mounted: Option<&Path>,
) -> Reset {
    let (what, asked, found) = match request {
        DataReset::NotRequested => return Reset::NotRequested,
        DataReset::Partition(partition) => ("partition", Some(partition), front.data),
        DataReset::BoundDisk => ("disk", bound, front.identity),
    };
    // Nothing is never equal to nothing.
    if asked.is_none() || asked != found {
        let text =
            |id: Option<PartUuid>| id.map_or_else(|| "unknown".to_owned(), |id| id.to_string());
        let (asked, found) = (text(asked), text(found));
        return Reset::Refused(format!(
            "data is kept: the request to wipe it was made for {what} {asked}; this one is {found}"
        ));
    }
    match mounted {
        None => Reset::Planned,
        // A mounted file system is never wiped under its user.
        Some(place) => Reset::Waits(format!(
            "data is mounted on {}: it is made anew at the next boot",
            place.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(number: u128) -> Option<PartUuid> {
        Some(PartUuid(Uuid::from_u128(number)))
    }

    const DATA: u128 = 0xda;
    const DISK: u128 = 0xd1;

    fn judge(request: DataReset, bound: Option<PartUuid>) -> Reset {
        let front = DiskInFront { data: id(DATA), identity: id(DISK) };
        judge_reset(request, &front, bound, None)
    }

    #[test]
    fn a_named_partition_is_wiped_where_it_is_and_nowhere_else() {
        let of = |number| DataReset::Partition(PartUuid(Uuid::from_u128(number)));
        for bound in [id(DISK), id(7), None] {
            assert_eq!(judge(of(DATA), bound), Reset::Planned);
            assert!(matches!(judge(of(DISK), bound), Reset::Refused(_)), "not data's identity");
            let Reset::Refused(why) = judge(of(7), bound) else { panic!("wiped another") };
            assert!(why.contains("-000000000007") && why.contains("-0000000000da"), "{why}");
        }
        let bare_disk = DiskInFront { data: None, identity: id(DISK) };
        let reset = judge_reset(of(DATA), &bare_disk, id(DISK), None);
        assert!(matches!(reset, Reset::Refused(_)));
    }

    #[test]
    fn a_bare_request_counts_only_in_the_environment_of_this_disk() {
        assert_eq!(judge(DataReset::BoundDisk, id(DISK)), Reset::Planned);
        for bound in [id(DATA), id(7), None] {
            assert!(matches!(judge(DataReset::BoundDisk, bound), Reset::Refused(_)), "{bound:?}");
        }
        let unknown = DiskInFront { data: id(DATA), identity: None };
        for bound in [id(DISK), None] {
            let reset = judge_reset(DataReset::BoundDisk, &unknown, bound, None);
            assert!(matches!(reset, Reset::Refused(_)), "{bound:?}: nothing equals nothing");
        }
    }

    #[test]
    fn mounted_data_waits_and_no_request_is_none() {
        let front = DiskInFront { data: id(DATA), identity: id(DISK) };
        let mounted = Some(Path::new("/data"));
        for request in [DataReset::BoundDisk, DataReset::Partition(PartUuid(Uuid::from_u128(DATA)))]
        {
            let reset = judge_reset(request, &front, id(DISK), mounted);
            assert!(matches!(reset, Reset::Waits(why) if why.contains("/data")));
        }
        assert_eq!(judge(DataReset::NotRequested, id(DISK)), Reset::NotRequested);
    }
}
