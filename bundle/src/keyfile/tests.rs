// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the key file reader takes, refuses and writes.

use super::*;
use proptest::prelude::*;

#[test]
fn groups_and_keys_keep_order_and_lines() {
    let file = KeyFile::parse(b"# c\n\n[b]\nx = 1 \ny=2\n[a]\r\nz=\r\n").unwrap();
    let names: Vec<_> = file.groups().iter().map(|g| (g.name(), g.line())).collect();
    assert_eq!(names, [("b", 3), ("a", 6)]);
    let x = file.group("b").unwrap().get("x").unwrap();
    assert_eq!((x.raw(), x.line()), ("1 ", 4));
    assert_eq!(file.group("a").unwrap().get("z").unwrap().string().unwrap(), "");
}

#[test]
fn lists_split_at_bare_semicolons_only() {
    let file = KeyFile::parse(b"[g]\na=x;y\\;z;\nb=x;;y\nc=\nd=;\n").unwrap();
    let list = |key: &str| file.group("g").unwrap().get(key).unwrap().list().unwrap();
    assert_eq!(list("a"), ["x", "y;z"]);
    assert_eq!(list("b"), ["x", "", "y"]);
    assert!(list("c").is_empty());
    assert_eq!(list("d"), [""]);
}

#[test]
fn escapes_resolve_and_unknown_ones_are_refused() {
    let file = KeyFile::parse(b"[g]\na=\\sx\\n\\t\\r\\\\;\nb=\\x\nc=\\\n").unwrap();
    let group = file.group("g").unwrap();
    assert_eq!(group.get("a").unwrap().string().unwrap(), " x\n\t\r\\;");
    for (key, line) in [("b", 3), ("c", 4)] {
        let refused = KeyFileError::BadEscape { key: key.to_owned(), line };
        assert_eq!(group.get(key).unwrap().string(), Err(refused));
    }
}

#[test]
fn every_malformed_text_is_refused_with_its_line() {
    let duplicate = KeyFileError::DuplicateGroup { group: "a".into(), line: 3, first: 1 };
    assert_eq!(duplicate.to_string(), "duplicate section [a] in line 3, first in line 1");
    let cases: [(&[u8], KeyFileError); 9] = [
        (b"[a]\nx=1\n[a]\n", duplicate),
        (
            b"[a]\nx=1\nx=2\n",
            KeyFileError::DuplicateKey { group: "a".into(), key: "x".into(), line: 3, first: 2 },
        ),
        (b"x=1\n", KeyFileError::NoGroup { line: 1 }),
        (b"[a]\nx\n", KeyFileError::BadLine { line: 2 }),
        (b"[a\n", KeyFileError::BadGroup { line: 1 }),
        (b"[a[b]\n", KeyFileError::BadGroup { line: 1 }),
        (b"[a]\nx[de]=1\n", KeyFileError::BadKey { line: 2 }),
        (b"[a]\nx=\xff\n", KeyFileError::NotText { line: 2 }),
        (b"[a]\nx=\0\n", KeyFileError::NotText { line: 2 }),
    ];
    for (text, error) in cases {
        assert_eq!(KeyFile::parse(text), Err(error), "{}", text.escape_ascii());
    }
    let large = vec![b'\n'; MAX_TEXT_BYTES + 1];
    assert!(matches!(KeyFile::parse(&large), Err(KeyFileError::TooLarge { .. })));
    let long = |lines: usize| {
        let keys: String = (1..lines).map(|number| format!("{number}=\n")).collect();
        KeyFile::parse(format!("[g]\n{keys}").as_bytes())
    };
    assert!(matches!(long(MAX_LINES + 1), Err(KeyFileError::TooManyLines { .. })));
    assert!(long(MAX_LINES).is_ok());
}

/// Blank lines counted once: a status file of many groups was read, written with a blank line
/// before each, and never read again.
#[test]
fn most_groups_that_are_read_are_written_and_read_again() {
    let mut writer = KeyFileWriter::new();
    for number in 0..MAX_LINES / 2 {
        writer.group(&number.to_string());
        writer.string("k", "v");
    }
    let written = writer.finish();
    assert!(written.lines().count() > MAX_LINES, "blank lines are written");
    assert_eq!(KeyFile::parse(written.as_bytes()).unwrap().groups().len(), MAX_LINES / 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = KeyFile::parse(&bytes);
        let _ = KeyFile::parse_as_glib(&bytes);
    }

    #[test]
    fn what_is_written_is_read_back(value in "[ -~\t\r\n]{0,40}", list in proptest::collection::vec("[ -~\t\n]{0,12}", 0..5)) {
        let mut writer = KeyFileWriter::new();
        writer.group("g");
        writer.string("s", &value);
        writer.list("l", &list);
        let file = KeyFile::parse(writer.finish().as_bytes()).unwrap();
        let group = file.group("g").unwrap();
        prop_assert_eq!(group.get("s").unwrap().string().unwrap(), value);
        prop_assert_eq!(group.get("l").unwrap().list().unwrap(), list);
    }
}

#[test]
fn as_glib_a_group_goes_on_and_a_key_is_there_once() {
    let text = b"[a]\nx=1\ny=2\n[b]\nx=3\n[a]\nz=5\n";
    assert!(matches!(KeyFile::parse(text), Err(KeyFileError::DuplicateGroup { line: 6, .. })));
    let (file, odd) = KeyFile::parse_as_glib(text).unwrap();
    let group = file.group("a").unwrap();
    let values: Vec<_> = group.entries().iter().map(|e| (e.key(), e.raw(), e.line())).collect();
    assert_eq!(values, [("x", "1", 2), ("y", "2", 3), ("z", "5", 7)]);
    assert_eq!(file.groups().len(), 2);
    assert!(matches!(odd.as_slice(), [KeyFileError::DuplicateGroup { first: 1, .. }]), "{odd:?}");
    // RAUC takes one of the two away and then finds the other.
    let twice = KeyFile::parse_as_glib(b"[a]\nx=1\n[a]\nx=2\n");
    assert!(matches!(twice, Err(KeyFileError::DuplicateKey { first: 2, line: 4, .. })));
    assert!(KeyFile::parse_as_glib(b"[a]\n[b\n").is_err());
}

/// sid's RAUC read each of these; ours refused them, or the file with them.
#[test]
fn as_glib_indents_languages_and_comments_of_any_bytes_are_no_matter() {
    let text = b" [a]\t\n\t# Ger\xe4t \x1b\n  x = 1 \n\tname[de_DE.UTF-8@euro] = z\n[b]\n";
    assert!(KeyFile::parse(text).is_err());
    let (file, odd) = KeyFile::parse_as_glib(text).unwrap();
    let group = file.group("a").unwrap();
    let values: Vec<_> = group.entries().iter().map(|e| (e.key(), e.raw(), e.line())).collect();
    assert_eq!(values, [("x", "1 ", 3)]);
    let [KeyFileError::Translation { group, key, line: 4 }] = odd.as_slice() else {
        panic!("{odd:?}");
    };
    assert_eq!((group.as_str(), key.as_str()), ("a", "name[de_DE.UTF-8@euro]"));
    for bad in ["[a]\nx[]=1\n", "[a]\nx[d e]=1\n", "[a]\n[de]=1\n", "[a]\nx=\x1b\n", "x[de]=1\n"] {
        assert!(KeyFile::parse_as_glib(bad.as_bytes()).is_err(), "{bad:?}");
    }
    assert!(KeyFile::parse_as_glib(b"[a]\nx=\xe4\n").is_err());
}
