// SPDX-License-Identifier: MIT OR Apache-2.0
//! What did a page's form send? `multipart/form-data`, decoded as it arrives: content is handed on
//! at once, and never more is kept than one delimiter or one head.
//!
//! ```text
//! body = "--" boundary (CRLF head CRLF CRLF content CRLF "--" boundary)* "--" …
//! head = lines; Content-Disposition: form-data; name="…"[; filename="…"] is the one that is read
//! ```

/// Longest boundary: RFC 2046 has no longer one.
const MAX_BOUNDARY_BYTES: usize = 70;
/// Longest head of a field; a longer one is no browser's.
const MAX_HEAD_BYTES: usize = 4096;
/// Most fields: the form has two.
const MAX_FIELDS: usize = 8;

/// Why this is no form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// The request does not say where its fields end.
    #[error("the request is no form with files")]
    Boundary,
    /// A field does not say what it is.
    #[error("a field of the form is not named")]
    Head,
    /// A field says too much about itself.
    #[error("a field of the form has a head of more than {MAX_HEAD_BYTES} bytes")]
    LongHead,
    /// There are more fields than any form of ours has.
    #[error("the form has more than {MAX_FIELDS} fields")]
    TooMany,
    /// The end is missing, or something else stands in its place.
    #[error("the form is cut off or garbled")]
    Garbled,
}

/// What comes next in a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormPiece {
    /// A field begins.
    Field {
        /// Its name.
        name: String,
        /// The name of its file, without directories, when it is one.
        file_name: Option<String>,
    },
    /// Some of the field's content.
    Content(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the first delimiter.
    Preamble,
    /// Right behind a delimiter.
    Delimited,
    Head,
    Content,
    /// Behind the last delimiter; nothing there counts.
    End,
}

/// Decodes one form.
#[derive(Clone, Debug)]
pub struct FormReader {
    delimiter: Vec<u8>,
    buffer: Vec<u8>,
    place: Place,
    fields: usize,
}

impl FormReader {
    /// A reader for a request with this `Content-Type`.
    ///
    /// # Errors
    /// [`FormError::Boundary`].
    pub fn new(content_type: &str) -> Result<Self, FormError> {
        let boundary = parse_boundary(content_type).ok_or(FormError::Boundary)?;
        Ok(Self {
            delimiter: [b"\r\n--", boundary.as_bytes()].concat(),
            // The first delimiter has no line before it.
            buffer: b"\r\n".to_vec(),
            place: Place::Preamble,
            fields: 0,
        })
    }

    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<FormPiece>, FormError> {
        let mut pieces = Vec::new();
        if self.place == Place::End {
            return Ok(pieces);
        }
        self.buffer.extend_from_slice(bytes);
        while let Some(piece) = self.step()? {
            pieces.extend(piece);
        }
        Ok(pieces)
    }

    /// Whether the form came to its end.
    ///
    /// # Errors
    /// [`FormError::Garbled`].
    pub fn finish(&self) -> Result<(), FormError> {
        if self.place == Place::End { Ok(()) } else { Err(FormError::Garbled) }
    }

    /// One step; `None` when more bytes are needed first, `Some(None)` when there is nothing to tell.
    fn step(&mut self) -> Result<Option<Option<FormPiece>>, FormError> {
        match self.place {
            Place::Preamble | Place::Content => Ok(self.content()),
            Place::Delimited => {
                let Some(next) = self.buffer.first_chunk::<2>() else { return Ok(None) };
                self.place = match next {
                    b"\r\n" => Place::Head,
                    b"--" => Place::End,
                    _ => return Err(FormError::Garbled),
                };
                if self.place == Place::Head {
                    // The line's end stays: it ends an empty head, too.
                    return Ok(Some(None));
                }
                self.buffer.clear();
                Ok(None)
            }
            Place::Head => self.head(),
            Place::End => Ok(None),
        }
    }

    fn content(&mut self) -> Option<Option<FormPiece>> {
        let found = find(&self.buffer, &self.delimiter);
        // Without a delimiter, its beginning may be what the buffer ends with.
        let length = found.unwrap_or((self.buffer.len() + 1).saturating_sub(self.delimiter.len()));
        let content: Vec<u8> = self.buffer.drain(..length).collect();
        let piece = (self.place == Place::Content && !content.is_empty())
            .then_some(FormPiece::Content(content));
        match found {
            Some(_) => {
                self.buffer.drain(..self.delimiter.len());
                self.place = Place::Delimited;
                Some(piece)
            }
            None => piece.map(Some),
        }
    }

    fn head(&mut self) -> Result<Option<Option<FormPiece>>, FormError> {
        let Some(end) = find(&self.buffer, b"\r\n\r\n") else {
            // The end may have begun already.
            return if self.buffer.len() > MAX_HEAD_BYTES + 3 {
                Err(FormError::LongHead)
            } else {
                Ok(None)
            };
        };
        if end > MAX_HEAD_BYTES {
            return Err(FormError::LongHead);
        }
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(FormError::TooMany);
        }
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let text = str::from_utf8(&head).map_err(|_| FormError::Head)?;
        let (name, file_name) = parse_head(text).ok_or(FormError::Head)?;
        self.place = Place::Content;
        // Content that is empty ends with the delimiter's own line end, which is still to come.
        Ok(Some(Some(FormPiece::Field { name, file_name })))
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The boundary that a `Content-Type` names.
fn parse_boundary(content_type: &str) -> Option<String> {
    let (kind, _) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(content_type, "boundary")?;
    let fits = (1..=MAX_BOUNDARY_BYTES).contains(&boundary.len());
    (fits && boundary.bytes().all(|byte| (b' '..=b'~').contains(&byte))).then_some(boundary)
}

/// Name and file name of a field, by its head.
fn parse_head(head: &str) -> Option<(String, Option<String>)> {
    let mut found = head.split("\r\n").filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    });
    let (Some(value), None) = (found.next(), found.next()) else { return None };
    let kind = value.split(';').next().unwrap_or_default();
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let file_name = parameter(value, "filename").map(|path| {
        // Text browsers send the whole path.
        path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned()
    });
    Some((parameter(value, "name")?, file_name))
}

/// A parameter behind the `;` of a header's value.
fn parameter(value: &str, wanted: &str) -> Option<String> {
    let (_, mut rest) = value.split_once(';')?;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (found, left) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(';').unwrap_or(after.len())),
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(found.trim_end().to_owned());
        }
        rest = left.trim_start().strip_prefix(';')?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "multipart/form-data; boundary=----x";

    fn body(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut body = String::new();
        for (head, content) in parts {
            body += &format!("------x\r\nContent-Disposition: {head}\r\n\r\n{content}\r\n");
        }
        (body + "------x--\r\n").into_bytes()
    }

    /// Name, file name and content of a field.
    type Sent = (String, Option<String>, Vec<u8>);

    /// The fields with their whole contents, however the body is cut.
    fn read(body: &[u8], cut: usize) -> Result<Vec<Sent>, FormError> {
        let mut reader = FormReader::new(KIND)?;
        let mut fields: Vec<Sent> = Vec::new();
        for part in body.chunks(cut) {
            for piece in reader.push(part)? {
                match piece {
                    FormPiece::Field { name, file_name } => {
                        fields.push((name, file_name, Vec::new()));
                    }
                    FormPiece::Content(content) => {
                        fields.last_mut().unwrap().2.extend(content);
                    }
                }
            }
        }
        reader.finish().map(|()| fields)
    }

    #[test]
    fn fields_are_the_same_however_their_bytes_arrive() {
        let tricky = "a\r\n-----x\r\n------\r\n\r\n----x--\n";
        let sent = body(&[
            ("form-data; name=\"config\"", tricky),
            ("form-data; filename=\"/home/me/b 1.tar.gz\"; name=file", ""),
        ]);
        let expected = vec![
            ("config".to_owned(), None, tricky.as_bytes().to_vec()),
            ("file".to_owned(), Some("b 1.tar.gz".to_owned()), Vec::new()),
        ];
        for cut in 1..sent.len() {
            assert_eq!(read(&sent, cut).as_ref(), Ok(&expected), "{cut}");
        }
        let late = [b"hello\r\n".as_slice(), &sent].concat();
        assert_eq!(read(&late, 7), Ok(expected), "what stands before the first field is nothing");
    }

    #[test]
    fn what_no_browser_sends_is_refused() {
        let cut = body(&[("form-data; name=a", "b")]);
        assert_eq!(read(&cut[..cut.len() - 6], 9), Err(FormError::Garbled));
        assert_eq!(read(b"", 1), Err(FormError::Garbled));
        assert_eq!(read(b"------x??", 1), Err(FormError::Garbled));
        for head in ["attachment; name=a", "form-data", "form-data; filename=\"x", "form-data; n"] {
            assert_eq!(read(&body(&[(head, "")]), 9), Err(FormError::Head), "{head}");
        }
        assert_eq!(read(b"------x\r\n\r\nno head\r\n------x--", 9), Err(FormError::Head));
        let long = format!("form-data; name={}", "n".repeat(MAX_HEAD_BYTES));
        assert_eq!(read(&body(&[(&long, "")]), 99_999), Err(FormError::LongHead));
        assert_eq!(read(&body(&[(&long, "")]), 9), Err(FormError::LongHead));
        for length in MAX_HEAD_BYTES - 8..MAX_HEAD_BYTES + 8 {
            let mut head = String::from("Content-Disposition: form-data; name=");
            head += &"n".repeat(length - head.len());
            let sent = format!("------x\r\n{head}\r\n\r\n\r\n------x--");
            let whole = read(sent.as_bytes(), 99_999);
            assert_eq!(read(sent.as_bytes(), 1), whole, "{length}");
            // The line end before the head counts with it.
            assert_eq!(whole.is_ok(), length + 2 <= MAX_HEAD_BYTES, "{length}");
        }
        assert_eq!(read(&body(&[("form-data; name=a", ""); 9]), 99), Err(FormError::TooMany));
        for kind in [
            "",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"\u{e4}\"",
            "multipart/mixed; boundary=x",
            "application/x-www-form-urlencoded; boundary=x",
            &format!("multipart/form-data; boundary={}", "x".repeat(71)),
        ] {
            assert_eq!(FormReader::new(kind).err(), Some(FormError::Boundary), "{kind}");
        }
        assert!(FormReader::new("Multipart/Form-Data; charset=utf-8; boundary=\"a b\"").is_ok());
    }

    #[test]
    fn never_more_is_kept_than_a_delimiter_or_a_head() {
        let mut reader = FormReader::new(KIND).unwrap();
        reader.push(b"------x\r\nContent-Disposition: form-data; name=a\r\n\r\n").unwrap();
        for _ in 0..1000 {
            reader.push(&[b'\r'; 1024]).unwrap();
            assert!(reader.buffer.len() < reader.delimiter.len());
        }
        assert!(reader.buffer.capacity() < 8192, "{}", reader.buffer.capacity());
    }
}
