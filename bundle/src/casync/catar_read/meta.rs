// SPDX-License-Identifier: MIT OR Apache-2.0
//! The records between an entry and its content: names of owners, extended attributes, access
//! control lists, capabilities, labels.
//!
//! Lists become the extended attributes by which the kernel takes them
//! (`include/uapi/linux/posix_acl_xattr.h`).

use super::super::catar::{
    ACL_DEFAULT, ACL_DEFAULT_GROUP, ACL_DEFAULT_USER, ACL_GROUP, ACL_GROUP_OBJ, ACL_USER,
    CatarEntry, FCAPS, GROUP, HEAD_BYTES, QUOTA_PROJID, SELINUX, USER, XATTR,
};
use super::super::index::word_at;
use super::{CasyncError, CatarReader};
use std::io::Read;

/// All records of one entry together. The kernel takes 64 KiB per attribute, and no file has more
/// than a few.
const MAX_META: u64 = 512 * 1024;

const ACL_VERSION: u32 = 2;
const ACL_USER_OBJ_TAG: u16 = 0x01;
const ACL_USER_TAG: u16 = 0x02;
const ACL_GROUP_OBJ_TAG: u16 = 0x04;
const ACL_GROUP_TAG: u16 = 0x08;
const ACL_MASK_TAG: u16 = 0x10;
const ACL_OTHER_TAG: u16 = 0x20;
const ACL_NO_ID: u32 = u32::MAX;

type AclEntry = (u16, u16, u32);

#[derive(Default)]
struct Acls {
    access: Vec<AclEntry>,
    group_obj: Option<u16>,
    default: Vec<AclEntry>,
}

impl<R: Read> CatarReader<R> {
    /// Reads all records of `entry` up to the first that is none of them.
    pub(super) fn read_meta(&mut self, entry: &mut CatarEntry) -> Result<(), CasyncError> {
        let mut total = 0_u64;
        let mut acls = Acls::default();
        loop {
            let (size, kind) = self.read_head()?;
            let known = matches!(
                kind,
                USER | GROUP
                    | XATTR
                    | FCAPS
                    | SELINUX
                    | QUOTA_PROJID
                    | ACL_USER
                    | ACL_GROUP
                    | ACL_GROUP_OBJ
                    | ACL_DEFAULT
                    | ACL_DEFAULT_USER
                    | ACL_DEFAULT_GROUP
            );
            if !known {
                self.head = Some((size, kind));
                break;
            }
            total = total.saturating_add(size);
            if total > MAX_META {
                return Err(self.refused("an entry has too many attributes"));
            }
            let body = self.read_bytes(size - HEAD_BYTES)?;
            let fits = match kind {
                USER => take_name(&mut entry.user, &body),
                GROUP => take_name(&mut entry.group, &body),
                XATTR => take_xattr(entry, &body),
                FCAPS => push_xattr(entry, b"security.capability", &body),
                SELINUX => match body.strip_suffix(b"\0") {
                    Some(_) => push_xattr(entry, b"security.selinux", &body),
                    None => false,
                },
                // Quotas belong to a file system, not to its content; RAUC's slots have none.
                QUOTA_PROJID => body.len() == 8,
                _ => take_acl(&mut acls, kind, &body).is_some(),
            };
            if !fits {
                return Err(self.corrupt("an attribute is malformed or stands twice"));
            }
        }
        if !acls.access.is_empty() || acls.group_obj.is_some() {
            let list = access_list(acls.access, acls.group_obj, entry.permissions);
            push_xattr(entry, b"system.posix_acl_access", &encode_list(list));
        }
        if !acls.default.is_empty() {
            push_xattr(entry, b"system.posix_acl_default", &encode_list(acls.default));
        }
        Ok(())
    }
}

fn take_name(to: &mut Option<String>, body: &[u8]) -> bool {
    let name = body.strip_suffix(b"\0").and_then(|name| std::str::from_utf8(name).ok());
    let plain = |name: &&str| {
        let rest = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        (1..=255).contains(&name.len()) && name.chars().all(rest)
    };
    match name.filter(plain) {
        Some(name) if to.is_none() => {
            *to = Some(name.to_owned());
            true
        }
        Some(_) | None => false,
    }
}

fn take_xattr(entry: &mut CatarEntry, body: &[u8]) -> bool {
    let Some(end) = body.iter().position(|byte| *byte == 0) else { return false };
    let (name, value) = body.split_at(end);
    // Those that have records of their own must not come in by this door too.
    let own = [&b"security.capability"[..], b"security.selinux"];
    if own.contains(&name) || name.starts_with(b"system.posix_acl_") {
        return false;
    }
    push_xattr(entry, name, value.get(1..).unwrap_or_default())
}

/// Refuses names that are no attribute's, long values, and a second of the same name.
fn push_xattr(entry: &mut CatarEntry, name: &[u8], value: &[u8]) -> bool {
    let named = name.iter().position(|byte| *byte == b'.').is_some_and(|at| at > 0);
    let twice = entry.xattrs.iter().any(|(known, _)| known == name);
    if !named || twice || name.len() > 255 || value.len() > 64 * 1024 {
        return false;
    }
    entry.xattrs.push((name.to_vec(), value.to_vec()));
    true
}

fn take_acl(acls: &mut Acls, kind: u64, body: &[u8]) -> Option<()> {
    let permission = |at: usize| u16::try_from(word_at(body, at)?).ok().filter(|bits| *bits <= 7);
    let named = |tag: u16| {
        let id = u32::try_from(word_at(body, 0)?).ok().filter(|id| *id != ACL_NO_ID)?;
        Some((tag, permission(8)?, id))
    };
    match kind {
        ACL_USER => acls.access.push(named(ACL_USER_TAG)?),
        ACL_GROUP => acls.access.push(named(ACL_GROUP_TAG)?),
        ACL_DEFAULT_USER => acls.default.push(named(ACL_USER_TAG)?),
        ACL_DEFAULT_GROUP => acls.default.push(named(ACL_GROUP_TAG)?),
        ACL_GROUP_OBJ => acls.group_obj = Some(permission(0)?),
        _ => {
            let tags = [ACL_USER_OBJ_TAG, ACL_GROUP_OBJ_TAG, ACL_OTHER_TAG, ACL_MASK_TAG];
            for (number, tag) in tags.into_iter().enumerate() {
                // All ones say that the list has no such line.
                if word_at(body, number * 8)? != u64::MAX {
                    acls.default.push((tag, permission(number * 8)?, ACL_NO_ID));
                }
            }
        }
    }
    Some(())
}

/// The permission bits of the mode complete the list; those of its group are the mask.
fn access_list(mut list: Vec<AclEntry>, group: Option<u16>, mode: u32) -> Vec<AclEntry> {
    let bits = |shift: u32| u16::try_from(mode >> shift & 7).unwrap_or(0);
    list.push((ACL_USER_OBJ_TAG, bits(6), ACL_NO_ID));
    list.push((ACL_GROUP_OBJ_TAG, group.unwrap_or(bits(3)), ACL_NO_ID));
    list.push((ACL_MASK_TAG, bits(3), ACL_NO_ID));
    list.push((ACL_OTHER_TAG, bits(0), ACL_NO_ID));
    list
}

fn encode_list(mut list: Vec<AclEntry>) -> Vec<u8> {
    list.sort_unstable_by_key(|(tag, _, id)| (*tag, *id));
    let mut bytes = ACL_VERSION.to_le_bytes().to_vec();
    for (tag, permission, id) in list {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&permission.to_le_bytes());
        bytes.extend_from_slice(&id.to_le_bytes());
    }
    bytes
}
