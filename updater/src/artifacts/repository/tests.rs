// SPDX-License-Identifier: MIT OR Apache-2.0
//! Repositories in a directory, filled by real programs.

use super::*;
use crate::{BoxedError, HostMachine, ProgramCall, TreeContent};
use openssl::sha::sha256;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use storage::{ByteLen, Digest};
use tempfile::TempDir;

fn repository(kind: RepositoryType) -> (TempDir, ArtifactsSection) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("repo");
    fs::create_dir(&path).unwrap();
    (dir, ArtifactsSection { path, repository_type: kind, description: Some("d".to_owned()) })
}

fn image(name: &str, bytes: &[u8]) -> ArtifactImage {
    let digest = Digest::from_bytes(sha256(bytes));
    ArtifactImage { name: name.to_owned(), size: ByteLen::new(bytes.len() as u64), digest }
}

fn install(
    section: &ArtifactsSection,
    image: &ArtifactImage,
    content: ArtifactContent<'_>,
) -> Result<ArtifactOutcome, ArtifactError> {
    let mut repository = ArtifactRepository::open("repo", section)?;
    repository.keep_only(&BTreeSet::from([image.name.as_str()]))?;
    let outcome =
        repository.install(image, content, &mut HostMachine::new(), &|| None, &mut |_| {})?;
    repository.prune()?;
    assert_eq!(repository.status(), ArtifactRepository::open("repo", section)?.status());
    Ok(outcome)
}

fn text(path: &Path) -> String {
    File::open(path).and_then(io::read_to_string).unwrap()
}

fn run(program: &str, args: &[&str], dir: &Path) {
    let call = ProgramCall::new("env").arg("-C").arg(dir).arg(program).args(args);
    assert!(HostMachine::new().run(call, &|| None).unwrap().success(), "{program} {args:?}");
}

#[test]
fn a_file_is_installed_reused_replaced_and_forgotten() {
    let (_dir, section) = repository(RepositoryType::Files);
    let (one, two) = (image("app", b"content-a"), image("app", b"content-b"));
    for (image, bytes, outcome) in [
        (&one, b"content-a", ArtifactOutcome::Installed),
        (&one, b"content-a", ArtifactOutcome::Reused),
        (&two, b"content-b", ArtifactOutcome::Installed),
    ] {
        let done = install(&section, image, ArtifactContent::Stream(&mut bytes.as_slice()));
        assert_eq!(done.unwrap(), outcome);
        assert_eq!(text(&section.path.join("app")).as_bytes(), bytes);
        let target = fs::read_link(section.path.join("app")).unwrap();
        assert_eq!(target, PathBuf::from(format!(".artifact-app-{}", image.digest)));
        assert_eq!(fs::read_dir(&section.path).unwrap().count(), 2, "the old data are gone");
    }
    let other = image("lib", b"c");
    install(&section, &other, ArtifactContent::Stream(&mut b"c".as_slice())).unwrap();
    let status = ArtifactRepository::open("repo", &section).unwrap().status();
    assert_eq!((status.kind, &*status.name, status.artifacts.len()), ("files", "repo", 1));
    let instance = ArtifactInstance { checksum: other.digest.to_string(), active: true };
    assert_eq!(status.artifacts[0].instances, [instance]);
    assert!(!section.path.join("app").exists());
}

#[test]
fn a_wrong_image_leaves_the_repository_as_it_was() {
    let (_dir, section) = repository(RepositoryType::Files);
    let good = image("app", b"good");
    install(&section, &good, ArtifactContent::Stream(&mut b"good".as_slice())).unwrap();
    let before = ArtifactRepository::open("repo", &section).unwrap().status();
    let wanted = image("app", b"wanted");
    for (bytes, told) in
        [(&b"wantet"[..], "SHA-256"), (b"want", "4 bytes"), (b"wanted.", "7 bytes")]
    {
        let error = install(&section, &wanted, ArtifactContent::Stream(&mut &*bytes)).unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert_eq!(error.class(), crate::ErrorClass::NotVerified);
        assert_eq!(ArtifactRepository::open("repo", &section).unwrap().status(), before);
        assert_eq!(fs::read_dir(&section.path).unwrap().count(), 2);
    }
    // Data that were damaged since are not reused.
    let data = section.path.join(format!(".artifact-app-{}", good.digest));
    fs::OpenOptions::new().write(true).open(&data).unwrap().set_len(1).unwrap();
    let again = install(&section, &good, ArtifactContent::Stream(&mut b"good".as_slice()));
    assert_eq!(again.unwrap(), ArtifactOutcome::Installed);
    assert_eq!(text(&section.path.join("app")), "good");
}

struct OneFile;

impl TreeContent for OneFile {
    fn extract_into(&mut self, dir: &Path, _stop: StopQuestion<'_>) -> Result<(), BoxedError> {
        run("sh", &["-c", "echo tree >file"], dir);
        Ok(())
    }
}

#[test]
fn trees_come_from_archives_of_any_compression_and_from_readers() {
    let (dir, section) = repository(RepositoryType::Trees);
    let source = dir.path().join("source");
    fs::create_dir(&source).unwrap();
    run("sh", &["-c", "echo tree >file; ln -s file link; chmod 640 file"], &source);
    for flag in ["-c", "-cz", "-cJ", "-cj"] {
        let archive = dir.path().join("archive");
        run("tar", &[flag, "-f", &archive.to_string_lossy(), "."], &source);
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut File::open(&archive).unwrap(), &mut bytes).unwrap();
        let wanted = image("tree", &bytes);
        let done = install(&section, &wanted, ArtifactContent::Stream(&mut bytes.as_slice()));
        assert_eq!(done.unwrap(), ArtifactOutcome::Installed, "{flag}");
        assert_eq!(text(&section.path.join("tree/link")), "tree\n");
        // A tree of other bytes than those signed gets no name.
        let other = image("tree", b"other");
        let done = install(&section, &other, ArtifactContent::Stream(&mut bytes.as_slice()));
        assert!(matches!(done, Err(ArtifactError::Length { .. })), "{done:?}");
        assert_eq!(fs::read_dir(&section.path).unwrap().count(), 2);
    }
    use std::os::unix::fs::PermissionsExt;
    let facts = fs::metadata(section.path.join("tree/file")).unwrap();
    assert_eq!(facts.permissions().mode() & 0o777, 0o640);
    let read = image("tree", b"another tar");
    install(&section, &read, ArtifactContent::Tree(&mut OneFile)).unwrap();
    assert!(!section.path.join("tree/link").exists());
    assert_eq!(text(&section.path.join("tree/file")), "tree\n");
}

#[test]
fn data_in_use_are_kept_until_nobody_uses_them() {
    let (_dir, section) = repository(RepositoryType::Files);
    install(&section, &image("a", b"1"), ArtifactContent::Stream(&mut b"1".as_slice())).unwrap();
    let used = fs::canonicalize(section.path.join("a")).unwrap();
    let open = File::open(&used).unwrap();
    install(&section, &image("b", b"2"), ArtifactContent::Stream(&mut b"2".as_slice())).unwrap();
    assert_eq!(text(&used), "1");
    let mut repository = ArtifactRepository::open("repo", &section).unwrap();
    let instances = repository.status().artifacts;
    assert_eq!((instances.len(), instances[0].instances[0].active), (2, false));
    assert!(repository.prune().unwrap()[0].starts_with("Skipping removal of artifact 'a'"));
    drop(open);
    assert!(repository.prune().unwrap()[0].starts_with("Removing unused artifact 'a'"));
    assert!(!used.exists() && repository.status().artifacts.len() == 1);
}

#[test]
fn what_does_not_belong_is_removed_and_what_a_cut_left_does_no_harm() {
    let (_dir, section) = repository(RepositoryType::Trees);
    let path = |name: &str| section.path.join(name);
    // A tree under way, a link under way, strangers, a link to nowhere.
    fs::create_dir_all(path(".artifact-t-ab.tmp/deep")).unwrap();
    fs::create_dir(path("stranger")).unwrap();
    symlink("nowhere", path("t.tmp-link")).unwrap();
    symlink(".artifact-gone-ab", path("gone")).unwrap();
    fs::create_dir(path(".artifact-a-b-c-0f")).unwrap();
    symlink(".artifact-a-b-c-0f", path("a-b-c")).unwrap();
    symlink(".artifact-a-b-c-0f", path("thief")).unwrap();
    let mut repository = ArtifactRepository::open("repo", &section).unwrap();
    assert_eq!(repository.notes().len(), 3, "{:?}", repository.notes());
    assert_eq!(repository.status().artifacts[0].name, "a-b-c");
    repository.prune().unwrap();
    let left = repository.names().unwrap();
    assert_eq!(left, [".artifact-a-b-c-0f", "a-b-c", "gone", "thief"]);
}

#[test]
fn a_tree_that_is_half_removed_has_no_longer_the_name_of_a_whole_one() {
    let (_dir, section) = repository(RepositoryType::Trees);
    let data = section.path.join(".artifact-t-0f");
    fs::create_dir_all(data.join("deep/er")).unwrap();
    let left = section.path.join(".artifact-t-0f.tmp");
    let mut repository = ArtifactRepository::open("repo", &section).unwrap();
    repository.take_away(&data).unwrap();
    assert!(!data.exists() && !left.exists());
    // What a cut left is no tree to reuse, and is removed.
    fs::create_dir_all(left.join("deep")).unwrap();
    let mut repository = ArtifactRepository::open("repo", &section).unwrap();
    assert!(repository.status().artifacts.is_empty());
    repository.prune().unwrap();
    assert!(!left.exists());
}

#[test]
fn what_is_no_tree_is_no_tree_to_reuse() {
    let (_dir, section) = repository(RepositoryType::Trees);
    let image = image("t", b"some tar");
    let data = section.path.join(format!(".artifact-t-{}", image.digest));
    // Even the very archive is none.
    io::Write::write_all(&mut File::create_new(&data).unwrap(), b"some tar").unwrap();
    let done = install(&section, &image, ArtifactContent::Tree(&mut OneFile)).unwrap();
    assert_eq!(done, ArtifactOutcome::Installed);
    assert_eq!(text(&section.path.join("t/file")), "tree\n");
    let done = install(&section, &image, ArtifactContent::Tree(&mut OneFile)).unwrap();
    assert_eq!(done, ArtifactOutcome::Reused);
}

#[test]
fn names_that_lead_away_and_other_content_are_refused() {
    let (_dir, section) = repository(RepositoryType::Files);
    for name in ["", ".x", "a/b", "..", "x.tmp-link"] {
        let done =
            install(&section, &image(name, b"1"), ArtifactContent::Stream(&mut b"1".as_slice()));
        assert!(matches!(done, Err(ArtifactError::Name { .. })), "{name}");
    }
    let done = install(&section, &image("x", b"1"), ArtifactContent::Tree(&mut OneFile));
    assert!(matches!(done, Err(ArtifactError::Format { kind: "files", .. })));
    let gone = ArtifactsSection { path: "/nowhere/repo".into(), ..section };
    let error = ArtifactRepository::open("files", &gone).unwrap_err().to_string();
    assert_eq!(error, "Destination path '/nowhere/repo' not found for artifact repo 'files'");
}

#[test]
fn a_name_of_data_is_split_at_its_last_dash() {
    assert_eq!(parse_data_name(".artifact-a-b-0f"), Some(("a-b", "0f")));
    assert_eq!(parse_data_name(".artifact--0f"), Some(("", "0f")));
    for name in [".artifact-a-", ".artifact-a-0F", ".artifact-a", "a-0f", ".artifact-a-0f.tmp"] {
        assert_eq!(parse_data_name(name), None, "{name}");
    }
}
