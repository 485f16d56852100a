// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::MemorySource;
use crate::casync::catar_build::read_whole;
use crate::casync::{CatarImage, TreeContent, TreeNode};
use std::sync::Arc;

fn file(content: &[u8]) -> TreeNode {
    let source = Arc::new(MemorySource::new("m", content.to_vec()));
    let kind = CatarKind::File { len: content.len() as u64 };
    TreeNode::new(CatarEntry::new(kind, 0o644), TreeContent::Part { source, offset: 0 })
}

fn directory(children: Vec<(&[u8], TreeNode)>) -> TreeNode {
    let entry = CatarEntry::new(CatarKind::Directory, 0o755);
    let mut node = TreeNode::new(entry, TreeContent::None);
    node.children = children.into_iter().map(|(name, node)| (name.to_vec(), node)).collect();
    node
}

fn other(kind: CatarKind) -> TreeNode {
    TreeNode::new(CatarEntry::new(kind, 0o600), TreeContent::None)
}

fn sample() -> Vec<u8> {
    let link = CatarKind::Symlink { target: b"../x".to_vec() };
    let tree = directory(vec![
        (b"a", file(b"hello")),
        (b"b", directory(vec![(b"c", file(b"")), (b"d", other(link))])),
        (b"e", other(CatarKind::Device { block: true, major: 8, minor: 1 })),
        (b"f", other(CatarKind::Fifo)),
    ]);
    read_whole(&CatarImage::build("t", &tree, FeatureFlags::UNIX).unwrap())
}

fn walk(bytes: &[u8]) -> Result<Vec<String>, CasyncError> {
    let mut reader = CatarReader::new(bytes);
    let mut steps = Vec::new();
    while let Some(item) = reader.next_item()? {
        let mut content = Vec::new();
        reader.content().read_to_end(&mut content).map_err(CasyncError::cause)?;
        steps.push(match item {
            CatarItem::Leave => "leave".to_owned(),
            CatarItem::Enter { name, entry } => {
                let name = String::from_utf8(name.unwrap_or_default()).unwrap();
                format!("{name} {:?} {}", entry.kind, String::from_utf8(content).unwrap())
            }
        });
    }
    Ok(steps)
}

#[test]
fn what_is_built_is_read() {
    let steps = walk(&sample()).unwrap();
    let expected = [
        " Directory ",
        "a File { len: 5 } hello",
        "b Directory ",
        "c File { len: 0 } ",
        "d Symlink { target: [46, 46, 47, 120] } ",
        "leave",
        "e Device { block: true, major: 8, minor: 1 } ",
        "f Fifo ",
        "leave",
    ];
    assert_eq!(steps, expected);
}

#[test]
fn every_shorter_or_longer_archive_is_refused() {
    let bytes = sample();
    for len in 0..bytes.len() {
        assert!(walk(&bytes[..len]).is_err(), "{len}");
    }
    assert!(walk(&[&bytes[..], b"x"].concat()).is_err());
}

/// Puts another name of the same length in the place of `a`.
fn renamed(name: &[u8]) -> Vec<u8> {
    let padded = vec![b'a'; name.len()];
    let tree = directory(vec![(&padded, file(b"x")), (b"z", file(b"y"))]);
    let mut bytes = read_whole(&CatarImage::build("t", &tree, FeatureFlags::UNIX).unwrap());
    let head = FILENAME.to_le_bytes();
    let at = bytes.windows(8).position(|window| window == head).unwrap() + 8;
    bytes[at..at + name.len()].copy_from_slice(name);
    bytes
}

#[test]
fn evil_names_are_refused() {
    assert_eq!(walk(&renamed(b"a")).unwrap().len(), 4);
    for name in [&b".."[..], b".", b"a/b", b"/etc", b"../x", b"a\0b"] {
        let refused = walk(&renamed(name)).unwrap_err();
        let fits = matches!(refused, CasyncError::Refused { .. } | CasyncError::Archive { .. });
        assert!(fits, "{name:?} {refused}");
    }
    // A name that is not behind the one before it, such as the same twice.
    assert!(walk(&renamed(b"z")).is_err());
    assert!(matches!(walk(&renamed(b"zz")), Err(CasyncError::Archive { .. })));
}

#[test]
fn lengths_that_lie_stop_before_anything_is_allocated() {
    let bytes = sample();
    for (at, window) in (0..).zip(bytes.windows(16)) {
        let kind = u64::from_le_bytes(window[8..].try_into().unwrap());
        if ![FILENAME, PAYLOAD, SYMLINK, GOODBYE, DEVICE].contains(&kind) {
            continue;
        }
        for size in [0, 15, 1 << 40, u64::MAX] {
            let mut changed = bytes.clone();
            changed[at..at + 8].copy_from_slice(&size.to_le_bytes());
            assert!(walk(&changed).is_err(), "{at} {size}");
        }
    }
}

#[test]
fn archive_deeper_than_the_limit_is_refused() {
    let mut tree = directory(Vec::new());
    for _ in 0..MAX_DEPTH + 2 {
        tree = directory(vec![(b"d", tree)]);
    }
    let refused = CatarImage::build("t", &tree, FeatureFlags::UNIX);
    assert!(matches!(refused, Err(CasyncError::Tree { .. })));
    // Entries alone, as somebody else would write them.
    let level = {
        let one = directory(vec![(b"d", directory(Vec::new()))]);
        let bytes = read_whole(&CatarImage::build("t", &one, FeatureFlags::UNIX).unwrap());
        bytes[..64 + 16 + 2].to_vec()
    };
    let refused = walk(&level.repeat(MAX_DEPTH + 2)).unwrap_err();
    assert!(matches!(refused, CasyncError::Refused { what, .. } if what.contains("deep")));
}
