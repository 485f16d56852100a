// SPDX-License-Identifier: MIT OR Apache-2.0
//! Are artifacts whole, wherever the power goes? Two repositories, one of files and one of trees, in
//! each of which an install replaces one artifact, forgets another and removes what nobody refers
//! to, as the engine does it.
//!
//! No board is booted here: a slot that boots finds the repositories as they are. So the judgement
//! is of its own, and this is no [`crate::Scenario`]: every link must lead to whole data, the old
//! or the new ones, and data that a repeat would use again must be whole; the repeat ends where
//! the undisturbed install ends.

use crate::plan::{Place, Thoroughness};
use crate::tally::Tally;
use crate::tree_disk::{Forgotten, Item, Moment, TreeDisk};
use crate::violation::Invariant::{Artifact, Durable, I6};
use crate::violation::{OrBreaks, Violation};
use anyhow::{Context, Result};
use openssl::sha::sha256;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;
use storage::{ByteLen, Coverage, Digest};
use updater::{
    ArtifactContent, ArtifactImage, ArtifactRepository, ArtifactsSection, BoxedError, HostMachine,
    RepositoryDisk, RepositoryType, StopQuestion, TreeContent,
};

/// The operation's name on the command line.
pub const NAME: &str = "rauc-artifacts";

/// The artifact that is replaced, in both repositories, and the one that is forgotten.
const KEPT: &str = "app";
const FORGOTTEN: &str = "lib";
const FILES: &str = "/files";
const TREES: &str = "/trees";
/// Longer than a write of the repository's would be torn into: what is torn shows anyway.
const FILE_BYTES: usize = 1000;

/// How much is tried.
#[derive(Clone, Copy, Debug)]
struct Depth {
    /// Images of a cut; above it as many samples.
    images: u64,
    /// Images of a cut in a repeat; the repeat of every different image is cut.
    second: u64,
}

impl Depth {
    const fn of(thoroughness: Thoroughness) -> Self {
        match thoroughness {
            Thoroughness::Bounded => Self { images: 1024, second: 64 },
            Thoroughness::Exhaustive => Self { images: 65_536, second: 1024 },
        }
    }
}

/// Cuts the operation at every act and judges every image.
///
/// # Errors
/// When the operation fails without a cut.
pub fn explore(
    thoroughness: Thoroughness,
    seed: u64,
    only: Option<Place>,
    forgotten: Forgotten,
) -> Result<Tally> {
    let began = Instant::now();
    let mut explorer = Explorer {
        depth: Depth::of(thoroughness),
        seed,
        only,
        forgotten,
        whole: BTreeMap::new(),
        end: Item::Tree(BTreeMap::new()),
        seen: BTreeSet::new(),
        tally: Tally::default(),
    };
    let before = TreeDisk::new(&explorer.beginning(), forgotten);
    install_all(&before, 1).context("the artifacts that are there before")?;
    explorer.know(&before.items());
    let undisturbed = TreeDisk::new(&before.items(), forgotten);
    install_all(&undisturbed, 2).context("the install without a cut")?;
    explorer.know(&undisturbed.items());
    explorer.end = undisturbed.items();
    let moments = undisturbed.moments();
    explorer.tally.operations = moments.len() as u64 - 1;
    explorer.cut(&moments);
    explorer.tally.secs = began.elapsed().as_secs_f64();
    Ok(explorer.tally)
}

struct Explorer {
    depth: Depth,
    seed: u64,
    only: Option<Place>,
    forgotten: Forgotten,
    /// The data that have a name, whole, by their paths.
    whole: BTreeMap<PathBuf, Item>,
    end: Item,
    /// Judged already, and whether the operation had returned.
    seen: BTreeSet<(bool, Item)>,
    tally: Tally,
}

impl Explorer {
    fn beginning(&self) -> Item {
        let empty = Item::Tree(BTreeMap::new());
        let both =
            [FILES, TREES].map(|path| (path.trim_start_matches('/').to_owned(), empty.clone()));
        Item::Tree(both.into())
    }

    /// What has the name of whole data here is whole.
    fn know(&mut self, items: &Item) {
        for repository in [FILES, TREES] {
            for (name, item) in names_in(items, repository) {
                if !matches!(item, Item::Link(_)) {
                    self.whole.insert(Path::new(repository).join(name), item.clone());
                }
            }
        }
    }

    fn cut(&mut self, moments: &[Moment]) {
        for (cut, moment) in moments.iter().enumerate() {
            let images = moment.images(self.depth.images);
            self.tally.cuts += 1;
            self.tally.images += images;
            let every = images < self.depth.images;
            self.tally.covered.count(if every { Coverage::Every } else { Coverage::Sampled });
            for image in 0..images {
                let place = Place { cut, image, then: None };
                if self.only.is_some_and(|only| (only.cut, only.image) != (cut, image)) {
                    continue;
                }
                let items = moment.image(image, self.depth.images, self.seed);
                let finished = cut + 1 == moments.len();
                if self.seen.insert((finished, items.clone())) {
                    self.tally.distinct += 1;
                    self.judge(&items, finished, place);
                }
            }
        }
    }

    fn judge(&mut self, items: &Item, finished: bool, place: Place) {
        match self.judged(items, finished) {
            Err(violation) => self.tally.brick(place, violation),
            Ok(repeated) => {
                if self.only.is_none_or(|only| only.then.is_some()) {
                    self.cut_again(&repeated.moments(), place);
                }
            }
        }
    }

    /// Looks at an image and does the operation again on it.
    fn judged(&self, items: &Item, finished: bool) -> Result<TreeDisk, Violation> {
        self.look(items)?;
        if finished && *items != self.end {
            return Err(Violation::new(Durable, "the install had returned, and something is gone"));
        }
        let again = TreeDisk::new(items, self.forgotten);
        install_all(&again, 2).or_breaks(I6, "the install after the cut")?;
        if again.items() != self.end {
            return Err(Violation::new(I6, "the install ends elsewhere after the cut"));
        }
        Ok(again)
    }

    fn cut_again(&mut self, moments: &[Moment], place: Place) {
        self.tally.recoveries += 1;
        for (cut, moment) in moments.iter().enumerate() {
            let images = moment.images(self.depth.second);
            self.tally.cuts += 1;
            self.tally.images += images;
            self.tally.second += images;
            for image in 0..images {
                let then = Some((cut, image));
                if self.only.is_some_and(|only| only.then != then) {
                    continue;
                }
                let items = moment.image(image, self.depth.second, self.seed);
                let finished = cut + 1 == moments.len();
                if self.seen.insert((finished, items.clone())) {
                    self.tally.distinct += 1;
                    if let Err(violation) = self.judged(&items, finished) {
                        self.tally.brick(Place { then, ..place }, violation);
                    }
                }
            }
        }
    }

    /// What a program finds that opens an artifact by its name.
    fn look(&self, items: &Item) -> Result<(), Violation> {
        for repository in [FILES, TREES] {
            let mut names = names_in(items, repository);
            if !names.clone().any(|(name, _)| name == KEPT) {
                return Err(Violation::new(Artifact, format!("{KEPT} is gone from {repository}")));
            }
            let broken = names.find_map(|(name, item)| self.broken(items, repository, name, item));
            if let Some(what) = broken {
                return Err(Violation::new(Artifact, format!("{what} in {repository}")));
            }
        }
        Ok(())
    }

    fn broken(&self, items: &Item, repository: &str, name: &str, item: &Item) -> Option<String> {
        match (name.strip_prefix('.'), item) {
            // Under way: nobody opens it, and the next pruning removes it.
            _ if name.ends_with(".tmp") || name.ends_with(".tmp-link") => None,
            (Some(_), item) => {
                let is_whole = self.whole.get(&Path::new(repository).join(name)) == Some(item);
                (!is_whole).then(|| format!("{name} has the name of whole data and is not whole"))
            }
            (None, Item::Link(target)) => {
                let there = items.at(&Path::new(repository).join(target)).is_some();
                (!there).then(|| format!("{name} leads to nothing"))
            }
            (None, Item::File(_) | Item::Tree(_)) => Some(format!("{name} is no link")),
        }
    }
}

fn names_in<'i>(
    items: &'i Item,
    repository: &str,
) -> impl Iterator<Item = (&'i String, &'i Item)> + Clone {
    let names = match items.at(Path::new(repository)) {
        Some(Item::Tree(names)) => Some(names),
        Some(Item::File(_) | Item::Link(_)) | None => None,
    };
    names.into_iter().flatten()
}

/// Installs the artifacts of version 1, both in each repository, or of version 2, which has one.
fn install_all(disk: &TreeDisk, version: u8) -> Result<()> {
    let names: &[&str] = if version == 1 { &[KEPT, FORGOTTEN] } else { &[KEPT] };
    for (path, kind) in [(FILES, RepositoryType::Files), (TREES, RepositoryType::Trees)] {
        let path = PathBuf::from(path);
        let section = ArtifactsSection { path, repository_type: kind, description: None };
        let mut repository = ArtifactRepository::open_on(disk.clone(), "repo", &section)?;
        repository.keep_only(&names.iter().copied().collect())?;
        for name in names {
            let bytes = vec![version ^ name.as_bytes()[0]; FILE_BYTES];
            let digest = Digest::from_bytes(sha256(&bytes));
            let size = ByteLen::new(bytes.len() as u64);
            let image = ArtifactImage { name: (*name).to_owned(), size, digest };
            let (mut stream, mut tree) = (&*bytes, Tree { disk: disk.clone(), bytes: &bytes });
            let content = match kind {
                RepositoryType::Files => ArtifactContent::Stream(&mut stream),
                RepositoryType::Trees => ArtifactContent::Tree(&mut tree),
            };
            repository.install(&image, content, &mut HostMachine::new(), &|| None, &mut |_| {})?;
        }
        repository.prune()?;
    }
    Ok(())
}

/// A tree of two files and a directory, as the bundle's reader unpacks it: nothing of it synced.
struct Tree<'a> {
    disk: TreeDisk,
    bytes: &'a [u8],
}

impl TreeContent for Tree<'_> {
    fn extract_into(&mut self, dir: &Path, _stop: StopQuestion<'_>) -> Result<(), BoxedError> {
        self.disk.create(&dir.join("one"))?.write_all(self.bytes)?;
        self.disk.make_dir(&dir.join("deep"))?;
        self.disk.create(&dir.join("deep/two"))?.write_all(self.bytes)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bricks(forgotten: Forgotten) -> Tally {
        explore(Thoroughness::Bounded, 1, None, forgotten).unwrap()
    }

    #[test]
    fn no_cut_shows_half_an_artifact() {
        let tally = bricks(Forgotten::Nothing);
        assert_eq!(tally.bricks, 0, "{:?}", tally.failures);
        assert!(tally.operations > 40 && tally.distinct > 50 && tally.recoveries > 5, "{tally:?}");
    }

    #[test]
    fn a_sync_that_is_left_out_is_found() {
        for forgotten in [Forgotten::Contents, Forgotten::Names] {
            let tally = bricks(forgotten);
            assert!(tally.by_invariant.contains_key(&Artifact), "{forgotten:?} {tally:?}");
        }
    }

    #[test]
    fn one_image_can_be_judged_alone() {
        let all = bricks(Forgotten::Contents);
        let first = all.failures.first().unwrap().place;
        let alone = explore(Thoroughness::Bounded, 1, Some(first), Forgotten::Contents).unwrap();
        assert_eq!(alone.bricks, 1, "{alone:?}");
        assert!(alone.distinct <= 2 && all.distinct > 2, "{alone:?}");
    }
}
