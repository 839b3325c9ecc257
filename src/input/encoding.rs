//! The first of two passes over a list: which encoding, which line ends, and whether it is text at all.

use std::io::{self, Read, Seek, SeekFrom};

use encoding_rs::{UTF_16BE, UTF_16LE, WINDOWS_1252};
use encoding_rs_io::{DecodeReaderBytes, DecodeReaderBytesBuilder};

/// Bytes per read: large enough that system calls do not count, small beside everything else.
const CHUNK_BYTES: usize = 64 * 1024;

/// How the bytes of a list become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// With or without byte order mark.
    Utf8,
    /// With byte order mark, as Windows PowerShell 5.1 redirects.
    Utf16Le,
    /// With byte order mark.
    Utf16Be,
    /// What is not UTF-8: the plain "CSV" of Excel in western locales.
    Windows1252,
}

/// What ends the lines of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnd {
    /// A line feed, throughout.
    Lf,
    /// A line feed, at least once behind a carriage return.
    CrLf,
    /// A carriage return alone, as on old Macs.
    Cr,
}

/// What the first pass found.
#[derive(Debug)]
pub(super) struct Survey {
    pub encoding: Encoding,
    /// Bytes of the byte order mark.
    bom: u64,
    /// The line of the first NUL, if there is one.
    pub nul: Option<u64>,
    /// Whether it is a ZIP archive, as Excel workbooks are.
    pub archive: bool,
    /// What ends its lines.
    pub ends: LineEnd,
    /// Whether it is ASCII throughout and holds a `?`.
    pub questions: bool,
}

impl Survey {
    /// Reads the whole list once, in small memory.
    pub(super) fn take<R: Read + Seek>(reader: &mut R) -> io::Result<Self> {
        let mut survey = Self::begin(reader)?;
        let mut tally = Tally::default();
        let mut decoded = survey.decode(reader)?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = decoded.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            tally.feed(&chunk[..read]);
        }
        if !tally.utf8.holds() {
            survey.encoding = Encoding::Windows1252;
        }
        survey.ends = match (tally.crlf, tally.cr, tally.lf) {
            (true, ..) => LineEnd::CrLf,
            (false, 1.., 0) => LineEnd::Cr,
            (false, ..) => LineEnd::Lf,
        };
        survey.nul = tally.nul.map(|(cr, lf)| if survey.ends == LineEnd::Cr { cr + 1 } else { lf + 1 });
        survey.questions = survey.encoding == Encoding::Utf8 && tally.ascii && tally.question;
        Ok(survey)
    }

    fn begin<R: Read + Seek>(reader: &mut R) -> io::Result<Self> {
        reader.seek(SeekFrom::Start(0))?;
        let mut start = Vec::with_capacity(4);
        reader.by_ref().take(4).read_to_end(&mut start)?;
        let (encoding, bom) = match start.as_slice() {
            [0xEF, 0xBB, 0xBF, ..] => (Encoding::Utf8, 3),
            [0xFF, 0xFE, ..] => (Encoding::Utf16Le, 2),
            [0xFE, 0xFF, ..] => (Encoding::Utf16Be, 2),
            _ => (Encoding::Utf8, 0),
        };
        let archive = start == *b"PK\x03\x04";
        Ok(Self { encoding, bom, nul: None, archive, ends: LineEnd::Lf, questions: false })
    }

    /// The list from its start, as UTF-8 without byte order mark.
    pub(super) fn decode<R: Read + Seek>(&self, mut reader: R) -> io::Result<DecodeReaderBytes<R, Vec<u8>>> {
        reader.seek(SeekFrom::Start(self.bom))?;
        let encoding = match self.encoding {
            Encoding::Utf8 => None,
            Encoding::Utf16Le => Some(UTF_16LE),
            Encoding::Utf16Be => Some(UTF_16BE),
            Encoding::Windows1252 => Some(WINDOWS_1252),
        };
        let mut builder = DecodeReaderBytesBuilder::new();
        builder.encoding(encoding).bom_sniffing(false);
        builder.build_with_buffer(reader, vec![0; CHUNK_BYTES])
    }
}

/// What is counted while the first pass runs.
#[derive(Debug)]
struct Tally {
    utf8: Utf8,
    cr: u64,
    lf: u64,
    crlf: bool,
    last: u8,
    /// Carriage returns and line feeds before the first NUL.
    nul: Option<(u64, u64)>,
    ascii: bool,
    question: bool,
}

impl Default for Tally {
    fn default() -> Self {
        Self { utf8: Utf8::default(), cr: 0, lf: 0, crlf: false, last: 0, nul: None, ascii: true, question: false }
    }
}

impl Tally {
    fn feed(&mut self, chunk: &[u8]) {
        if self.nul.is_none()
            && let Some(at) = chunk.iter().position(|byte| *byte == 0)
        {
            let before = &chunk[..at];
            self.nul = Some((self.cr + count(before, b'\r'), self.lf + count(before, b'\n')));
        }
        let cr = count(chunk, b'\r');
        self.crlf = self.crlf
            || (self.last == b'\r' && chunk.first() == Some(&b'\n'))
            || (cr > 0 && chunk.windows(2).any(|pair| pair == b"\r\n"));
        self.cr += cr;
        self.lf += count(chunk, b'\n');
        self.ascii = self.ascii && chunk.is_ascii();
        self.question = self.question || chunk.contains(&b'?');
        self.last = chunk.last().copied().unwrap_or(self.last);
        self.utf8.feed(chunk);
    }
}

/// Whether a stream of chunks is UTF-8.
#[derive(Debug, Default)]
struct Utf8 {
    broken: bool,
    /// The beginning of a character that the last chunk cut.
    carry: Vec<u8>,
}

impl Utf8 {
    const fn holds(&self) -> bool {
        !self.broken && self.carry.is_empty()
    }

    fn feed(&mut self, chunk: &[u8]) {
        if self.broken {
            return;
        }
        let mut rest = chunk;
        // At most three bytes complete a character that was cut.
        while !self.carry.is_empty() {
            let Some((next, tail)) = rest.split_first() else { return };
            self.carry.push(*next);
            rest = tail;
            match std::str::from_utf8(&self.carry) {
                Ok(_) => self.carry.clear(),
                Err(error) if error.error_len().is_none() => {}
                Err(_) => {
                    self.broken = true;
                    return;
                }
            }
        }
        if let Err(error) = std::str::from_utf8(rest) {
            self.broken = error.error_len().is_some();
            self.carry = rest[error.valid_up_to()..].to_vec();
        }
    }
}

fn count(bytes: &[u8], wanted: u8) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == wanted)).sum()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn survey(bytes: &[u8]) -> Survey {
        Survey::take(&mut Cursor::new(bytes)).unwrap()
    }

    fn text(bytes: &[u8]) -> String {
        let mut text = String::new();
        survey(bytes).decode(Cursor::new(bytes)).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn every_accepted_encoding_becomes_the_same_text() {
        let utf16 = |big: bool| -> Vec<u8> {
            let units = "\u{feff}Köln\n".encode_utf16();
            units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
        };
        for bytes in [
            "Köln\n".as_bytes(),
            "\u{feff}Köln\n".as_bytes(),
            b"K\xF6ln\n",
            b"\xEF\xBB\xBFK\xF6ln\n",
            &utf16(false),
            &utf16(true),
        ] {
            assert_eq!(text(bytes), "Köln\n", "{bytes:?}");
        }
        assert_eq!(survey(b"K\xF6ln").encoding, Encoding::Windows1252);
        assert_eq!(survey("Köln".as_bytes()).encoding, Encoding::Utf8);
    }

    #[test]
    fn a_character_cut_between_two_chunks_is_still_utf8() {
        for shift in 0..4 {
            let mut list = "a".repeat(CHUNK_BYTES - shift);
            list.push_str("€😀");
            assert_eq!(survey(list.as_bytes()).encoding, Encoding::Utf8, "{shift}");
        }
        let cut = &"a€".as_bytes()[..3];
        assert_eq!(survey(cut).encoding, Encoding::Windows1252, "a character cut by the end of the file");
    }

    #[test]
    fn the_line_of_a_nul_is_known_in_any_line_end() {
        assert_eq!(survey(b"id\r\na\0").nul, Some(2));
        assert_eq!(survey(b"id\ra\rb\0").nul, Some(3));
        assert_eq!(survey(b"id\n").nul, None);
    }

    #[test]
    fn line_ends_are_told_apart() {
        assert_eq!(survey(b"a\rb\r").ends, LineEnd::Cr);
        assert_eq!(survey(b"a\r\nb").ends, LineEnd::CrLf);
        assert_eq!(survey(b"a\rb\n").ends, LineEnd::Lf);
        let mut split = vec![b'a'; CHUNK_BYTES - 1];
        split.extend_from_slice(b"\r\n");
        assert_eq!(survey(&split).ends, LineEnd::CrLf);
    }
}
