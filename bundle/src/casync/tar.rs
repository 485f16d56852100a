// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is the next file of this tar? ustar, GNU long names and pax headers.
//!
//! Sparse files and archives of several volumes are refused: an archive of ours must be what `tar`
//! would unpack, or not be.

use super::CasyncError;
use super::catar::MAX_TARGET;
use std::io::{self, Read};

const BLOCK: usize = 512;

/// Long names and pax headers; each holds a path, some numbers and attributes.
const MAX_EXTENSION: u64 = 1024 * 1024;

/// What a header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TarHeader {
    /// The file's name, as it stands.
    pub path: Vec<u8>,
    /// What a link points to.
    pub link: Vec<u8>,
    /// The type flag as it stands.
    pub kind: u8,
    /// Permission bits.
    pub permissions: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Length of the content.
    pub size: u64,
    /// Time of the last change, since 1970.
    pub mtime_nanos: u64,
    /// Of a device.
    pub major: u32,
    /// Of a device.
    pub minor: u32,
}

impl TarHeader {
    /// Whether this is a regular file, in any of its spellings.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self.kind, b'0' | 0 | b'7') && !self.path.ends_with(b"/")
    }

    /// Whether this is a directory; old archives know it by the `/` at the end of its name.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.kind == b'5' || (matches!(self.kind, b'0' | 0 | b'7') && self.path.ends_with(b"/"))
    }
}

/// What a pax header changes.
#[derive(Clone, Debug, Default)]
struct Overrides {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime_nanos: Option<u64>,
}

/// Reads one tar, file by file.
#[derive(Debug)]
pub struct TarReader<R> {
    input: R,
    at: u64,
    /// Content and padding that were not read yet.
    content_left: u64,
    padding: u64,
    global: Overrides,
}

impl<R: Read> TarReader<R> {
    /// Nothing is read yet.
    pub fn new(input: R) -> Self {
        Self { input, at: 0, content_left: 0, padding: 0, global: Overrides::default() }
    }

    /// The next file; `None` at the end.
    ///
    /// # Errors
    /// [`CasyncError::Tar`], or [`CasyncError::Input`] where the input fails.
    pub fn next_header(&mut self) -> Result<Option<TarHeader>, CasyncError> {
        let mut next = self.global.clone();
        loop {
            self.skip_rest()?;
            let Some(block) = self.read_block()? else { return Ok(None) };
            let mut header = self.parse(&block)?;
            match header.kind {
                b'L' | b'K' => {
                    let mut name = self.read_extension(header.size)?;
                    name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
                    let to = if header.kind == b'L' { &mut next.path } else { &mut next.link };
                    *to = Some(name);
                }
                b'x' | b'g' => {
                    let records = self.read_extension(header.size)?;
                    let to = if header.kind == b'g' { &mut self.global } else { &mut next };
                    if !take_records(to, &records) {
                        return Err(self.fault("a pax header is malformed or of a sparse file"));
                    }
                    if header.kind == b'g' {
                        next = self.global.clone();
                    }
                }
                b'S' | b'M' | b'D' | b'N' => {
                    return Err(self.fault("sparse files and several volumes are not supported"));
                }
                _ => {
                    next.apply(&mut header);
                    if header.path.len() as u64 > MAX_TARGET
                        || header.link.len() as u64 > MAX_TARGET
                    {
                        return Err(self.fault("a path is too long"));
                    }
                    // Only regular files have content, whatever the size field of others says.
                    let content =
                        if matches!(header.kind, b'0' | 0 | b'7') { header.size } else { 0 };
                    self.expect_content(content);
                    return Ok(Some(header));
                }
            }
        }
    }

    /// The content of the file whose header came last.
    pub fn content(&mut self) -> impl Read + '_ {
        Content(self)
    }

    pub(super) const fn fault(&self, what: &'static str) -> CasyncError {
        CasyncError::Tar { offset: self.at, what }
    }

    const fn expect_content(&mut self, len: u64) {
        self.content_left = len;
        self.padding = (BLOCK as u64 - len % BLOCK as u64) % BLOCK as u64;
    }

    fn skip_rest(&mut self) -> Result<(), CasyncError> {
        io::copy(&mut Content(self), &mut io::sink()).map_err(CasyncError::cause)?;
        let padding = std::mem::take(&mut self.padding);
        self.read_exactly(padding).map(drop)
    }

    fn read_extension(&mut self, size: u64) -> Result<Vec<u8>, CasyncError> {
        if size > MAX_EXTENSION {
            return Err(self.fault("a header is too long"));
        }
        self.expect_content(size);
        let mut bytes = Vec::new();
        self.content().read_to_end(&mut bytes).map_err(CasyncError::cause)?;
        Ok(bytes)
    }

    /// The next header block; `None` at the blocks of zeros that end an archive, or at its end.
    fn read_block(&mut self) -> Result<Option<Vec<u8>>, CasyncError> {
        let block = self.read_up_to(BLOCK as u64)?;
        if block.is_empty() || (block.len() == BLOCK && block.iter().all(|byte| *byte == 0)) {
            return Ok(None);
        }
        if block.len() < BLOCK {
            return Err(self.fault("it ends within a header"));
        }
        Ok(Some(block))
    }

    fn read_up_to(&mut self, len: u64) -> Result<Vec<u8>, CasyncError> {
        let mut bytes = Vec::new();
        (&mut self.input).take(len).read_to_end(&mut bytes).map_err(CasyncError::cause)?;
        self.at = self.at.saturating_add(bytes.len() as u64);
        Ok(bytes)
    }

    fn read_exactly(&mut self, len: u64) -> Result<Vec<u8>, CasyncError> {
        let bytes = self.read_up_to(len)?;
        if bytes.len() as u64 != len {
            return Err(self.fault("it ends within a file"));
        }
        Ok(bytes)
    }

    fn parse(&self, block: &[u8]) -> Result<TarHeader, CasyncError> {
        let field = |at: usize, len: usize| block.get(at..at + len).unwrap_or_default();
        let number = |at, len| {
            parse_number(field(at, len)).ok_or_else(|| self.fault("a number is malformed"))
        };
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| u64::from(if (148..156).contains(&at) { b' ' } else { *byte }))
            .sum();
        if number(148, 8)? != sum {
            return Err(self.fault("a header's checksum does not match; it is no tar or damaged"));
        }
        let posix = field(257, 6) == b"ustar\0";
        let prefix = if posix { text(field(345, 155)) } else { Vec::new() };
        let mut path = text(field(0, 100));
        if !prefix.is_empty() {
            path = [prefix, path].join(&b'/');
        }
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let kind = block.get(156).copied().unwrap_or(0);
        let device = matches!(kind, b'3' | b'4');
        Ok(TarHeader {
            path,
            link: text(field(157, 100)),
            kind,
            permissions: small(number(100, 8)? & 0o7777),
            uid: number(108, 8)?,
            gid: number(116, 8)?,
            size: number(124, 12)?,
            mtime_nanos: number(136, 12)?.saturating_mul(1_000_000_000),
            major: if device { small(number(329, 8)?) } else { 0 },
            minor: if device { small(number(337, 8)?) } else { 0 },
        })
    }
}

impl Overrides {
    fn apply(self, header: &mut TarHeader) {
        header.path = self.path.unwrap_or(std::mem::take(&mut header.path));
        header.link = self.link.unwrap_or(std::mem::take(&mut header.link));
        header.size = self.size.unwrap_or(header.size);
        header.uid = self.uid.unwrap_or(header.uid);
        header.gid = self.gid.unwrap_or(header.gid);
        header.mtime_nanos = self.mtime_nanos.unwrap_or(header.mtime_nanos);
    }
}

fn text(field: &[u8]) -> Vec<u8> {
    field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

/// Octal digits, or GNU's big-endian bytes behind a set top bit. Negative times become 0.
fn parse_number(field: &[u8]) -> Option<u64> {
    match field.split_first() {
        Some((0xff, _)) => Some(0),
        Some((0x80, rest)) => rest.iter().try_fold(0_u64, |value, byte| {
            value.checked_mul(256).map(|value| value | u64::from(*byte))
        }),
        Some(_) | None => {
            let digits = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
            if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
        }
    }
}

/// Records `length key=value\n`.
fn take_records(to: &mut Overrides, mut records: &[u8]) -> bool {
    while !records.is_empty() {
        let Some((value, key, rest)) = split_record(records) else { return false };
        records = rest;
        let decimal = std::str::from_utf8(value).ok();
        let number = || decimal.and_then(|text| text.parse::<u64>().ok());
        match key {
            b"path" => to.path = Some(value.to_vec()),
            b"linkpath" => to.link = Some(value.to_vec()),
            b"size" => to.size = number(),
            b"uid" => to.uid = number(),
            b"gid" => to.gid = number(),
            b"mtime" => to.mtime_nanos = decimal.map(parse_time),
            key if key.starts_with(b"GNU.sparse.") => return false,
            _ => {}
        }
    }
    true
}

fn split_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().take(20).position(|byte| *byte == b' ')?;
    let len = std::str::from_utf8(records.get(..space)?).ok()?.parse::<usize>().ok()?;
    let body = records.get(space + 1..len)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    Some((body.get(equals + 1..)?, body.get(..equals)?, records.get(len..)?))
}

/// Seconds with a fraction; times before 1970 become 0.
fn parse_time(text: &str) -> u64 {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let nanos: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let seconds = seconds.parse::<u64>().unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos.parse().unwrap_or(0))
}

struct Content<'a, R>(&'a mut TarReader<R>);

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let reader = &mut *self.0;
        let count = (&mut reader.input).take(reader.content_left).read(buf)?;
        if count == 0 && reader.content_left > 0 && !buf.is_empty() {
            return Err(reader.fault("it ends within a file").into_io());
        }
        reader.content_left -= count as u64;
        reader.at = reader.at.saturating_add(count as u64);
        Ok(count)
    }
}
