// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a tree hold? A value that can be compared, for tests and for the crash simulator.

use super::{Entry, Kind, Meta, Trees};
use crate::FilesError;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

/// One name of a tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// A directory.
    Dir(Meta),
    /// A regular file.
    File(Meta, Arc<[u8]>),
    /// A symbolic link.
    Link(PathBuf),
}

/// Everything below a directory, by path; the directory itself is not in it.
pub type TreeImage = BTreeMap<PathBuf, Node>;

/// Reads a whole tree; devices, pipes and sockets are left out.
///
/// # Errors
/// [`FilesError`].
pub fn scan(trees: &dyn Trees) -> Result<TreeImage, FilesError> {
    let mut image = TreeImage::new();
    let mut open = vec![PathBuf::new()];
    while let Some(dir) = open.pop() {
        for name in trees.list(&dir)? {
            let path = dir.join(name);
            let Some(Entry { kind, meta }) = trees.entry(&path)? else { continue };
            let node = match kind {
                Kind::Dir => {
                    open.push(path.clone());
                    Node::Dir(meta)
                }
                Kind::File(_) => {
                    let mut content = Vec::new();
                    trees
                        .open(&path)?
                        .read_to_end(&mut content)
                        .map_err(|source| FilesError::Read { path: path.clone(), source })?;
                    Node::File(meta, content.into())
                }
                Kind::Link => Node::Link(trees.link_target(&path)?),
                Kind::Other => continue,
            };
            image.insert(path, node);
        }
    }
    Ok(image)
}
