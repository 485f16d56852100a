// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hostile bundles: every limit holds while reading, and nothing leads out of `files/`.

use config_api::input::{Input, InputError, Limits, Origin, Spool, read_input};
use std::io::{Read, Write};

const CONFIG: (&str, u8, &[u8]) = ("config.toml", b'0', b"version = 1\n");

/// One header block and its content.
fn member((name, kind, content): (&str, u8, &[u8])) -> Vec<u8> {
    sized(name, kind, content.len() as u64, content)
}

/// A header that says `size`, whatever follows it.
fn sized(name: &str, kind: u8, size: u64, content: &[u8]) -> Vec<u8> {
    let mut block = vec![0_u8; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0006755\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, b"/etc/passwd");
    put(257, b"ustar\x0000");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.extend(content);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn read(bytes: &[u8], limits: &Limits) -> Result<(Input, Spool), InputError> {
    let mut spool = Spool::new(tempfile::tempfile().unwrap());
    let input = read_input(Origin::Upload("x.tar.gz"), bytes, limits, &mut spool)?;
    Ok((input, spool))
}

fn of(members: &[(&str, u8, &[u8])]) -> Result<(Input, Spool), InputError> {
    let tar: Vec<u8> = members.iter().flat_map(|one| member(*one)).chain([0; 1024]).collect();
    read(&gzip(&tar), &Limits::default())
}

#[test]
fn members_that_are_no_plain_files_or_lead_out_are_refused() {
    for kind in [b'1', b'2', b'3', b'4', b'6', b'V', b'A'] {
        let error = of(&[CONFIG, ("files/x", kind, b"")]).unwrap_err();
        assert!(matches!(error, InputError::Member { .. }), "{kind}: {error}");
    }
    for kind in [b'S', b'M', b'D', b'N'] {
        let error = of(&[CONFIG, ("files/x", kind, b"")]).unwrap_err();
        assert!(matches!(error, InputError::Damaged(_)), "{kind}: {error}");
    }
    for name in [
        "/etc/x",
        "files/../x",
        "../x",
        "..",
        "x",
        "filesx/y",
        "config.toml/x",
        "files/a\nb",
        "files",
        "./x",
        "files/a/../../b",
    ] {
        let error = of(&[CONFIG, (name, b'0', b"x")]).unwrap_err();
        assert!(matches!(error, InputError::Member { .. }), "{name}: {error}");
    }
    let sparse = b"22 GNU.sparse.major=1\n";
    let error = of(&[("x", b'x', sparse), CONFIG]).unwrap_err();
    assert!(matches!(error, InputError::Damaged(_)), "{error}");
}

#[test]
fn nothing_is_there_twice() {
    let twice: [&[(&str, u8, &[u8])]; 4] = [
        &[CONFIG, CONFIG],
        &[CONFIG, ("./config.toml", b'0', b"")],
        &[CONFIG, ("files/x", b'0', b"a"), ("files//x", b'0', b"b")],
        &[CONFIG, ("files/x", b'0', b"a"), ("files/x/y", b'0', b"b")],
    ];
    for members in twice {
        let error = of(members).map(drop).unwrap_err();
        assert!(matches!(error, InputError::Member { .. }), "{error}");
    }
    let directories = [("files", b'5', &b""[..]), CONFIG, ("files/", b'5', b""), (".", b'5', b"")];
    assert!(of(&directories).is_ok());
    assert!(matches!(of(&[("files/x", b'0', b"")]), Err(InputError::NoConfig)));
}

#[test]
fn contents_are_kept_and_directories_above_them_made() {
    let members = [("files/a/b.txt", b'0', &b"bee"[..]), CONFIG, ("files/c", b'7', b"sea")];
    let (input, mut spool) = of(&members).unwrap();
    assert_eq!(input.config_toml, CONFIG.2);
    let paths: Vec<&str> = input.payload.iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["files", "files/a", "files/a/b.txt", "files/c"]);
    let mut text = String::new();
    spool.open(1).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "sea");
    text.clear();
    spool.open(0).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "bee");
}

#[test]
fn every_limit_holds_while_reading() {
    let limits = Limits { upload: 2000, expanded: 8192, members: 4, member: 3000 };
    let tar = |members: &[Vec<u8>]| gzip(&members.concat());
    let small = || member(CONFIG);
    let too_many: Vec<Vec<u8>> =
        (0..5).map(|n| member((&format!("files/{n}"), b'0', b""))).collect();
    assert!(matches!(read(&tar(&too_many), &limits), Err(InputError::TooMany { limit: 4 })));
    let large = tar(&[small(), member(("files/x", b'0', &[0; 3001]))]);
    assert!(matches!(read(&large, &limits), Err(InputError::MemberTooLarge { limit: 3000, .. })));
    // A lie about the size is not believed either: nothing is reserved for it.
    let lie = tar(&[small(), sized("files/x", b'0', 1 << 40, b"")]);
    assert!(matches!(read(&lie, &limits), Err(InputError::MemberTooLarge { .. })));
    let sum: Vec<Vec<u8>> =
        (0..3).map(|n| member((&format!("files/{n}"), b'0', &[0; 2900]))).collect();
    assert!(matches!(read(&tar(&sum), &limits), Err(InputError::Expands { limit: 8192 })));
    // Zeros behind the end of the archive are expanded too, and so count.
    let bomb = tar(&[small(), vec![0; 1 << 20]]);
    assert!(matches!(read(&bomb, &limits), Err(InputError::Expands { .. })));
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    let noise: Vec<u8> = (0..2900).map(|_| noise()).collect();
    let long = tar(&[small(), member(("files/x", b'0', &noise))]);
    assert!(matches!(read(&long, &limits), Err(InputError::TooLong { limit: 2000 })));
    assert!(read(&tar(&[small()]), &limits).is_ok());
}

#[test]
fn damage_is_told_and_an_upload_that_is_no_bundle_is_toml() {
    let good = gzip(&[member(CONFIG), vec![0; 1024]].concat());
    for cut in [good.len() - 1, good.len() / 2, 11] {
        assert!(matches!(read(&good[..cut], &Limits::default()), Err(InputError::Damaged(_))));
    }
    let mut flipped = good.clone();
    let at = flipped.len() - 6;
    flipped[at] ^= 1;
    assert!(matches!(read(&flipped, &Limits::default()), Err(InputError::Damaged(_))));
    let any = |origin, bytes: &[u8]| {
        let mut spool = Spool::new(tempfile::tempfile().unwrap());
        read_input(origin, bytes, &Limits::default(), &mut spool)
    };
    assert!(any(Origin::Upload("config"), b"version = 1").is_ok());
    assert!(matches!(any(Origin::File("config"), b"version = 1"), Err(InputError::Unknown)));
    assert!(any(Origin::File("x.TOML"), &good).is_ok(), "it is judged as TOML");
    assert!(any(Origin::File("bundle"), &good).is_ok(), "it is known by its first bytes");
    let wide = zstd_of_window(&[member(CONFIG), vec![0; 1024]].concat());
    assert!(matches!(any(Origin::File("x.tzst"), &wide), Err(InputError::Damaged(_))));
}

/// gzip and tar themselves take zeros for padding; anything else could be read by somebody.
#[test]
fn zeros_behind_a_gzip_stream_are_padding_and_nothing_else_is() {
    let tar = [member(CONFIG), vec![0; 1024]].concat();
    let good = gzip(&tar);
    let with = |tail: &[u8]| read(&[&good[..], tail].concat(), &Limits::default());
    for zeros in [1, 7, 512, 100_000] {
        assert_eq!(with(&vec![0; zeros]).unwrap().0.config_toml, CONFIG.2, "{zeros}");
    }
    for tail in
        [&b"x"[..], b"\0x", b"\0\0\x1f\x8b", &[&[0; 100_000][..], b"x"].concat(), &good[..9]]
    {
        assert!(matches!(with(tail), Err(InputError::Damaged(_))), "{tail:?}");
    }
    let (first, second) = tar.split_at(700);
    let two = [gzip(first), gzip(second), vec![0; 3]].concat();
    assert_eq!(read(&two, &Limits::default()).unwrap().0.config_toml, CONFIG.2);
    let empty = gzip(&[]).repeat(70_000);
    let many = read(&[&empty, &good[..]].concat(), &Limits::default());
    assert!(matches!(many, Err(InputError::Damaged(_))), "a decoder each is too much");
    let limits = Limits { upload: good.len() as u64 + 10, ..Limits::default() };
    let padded = [&good[..], &[0; 100]].concat();
    assert!(matches!(read(&padded, &limits), Err(InputError::TooLong { .. })));
}

/// A frame whose header asks for 128 MiB of window.
fn zstd_of_window(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.write_all(&vec![0; 1 << 20]).unwrap();
    encoder.finish().unwrap()
}
