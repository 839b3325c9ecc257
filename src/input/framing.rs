//! Gives the text of a list the ends that its parser needs: every line one line feed, and a mark behind the last row.

use std::io::{self, Read};

/// Stands behind the last row as a row of its own. Lists with NUL are refused before, so no list can hold it;
/// if it does not come out alone, an open quote has swallowed it.
pub(super) const END_MARK: &str = "\0";

/// The text, then a line feed if it lacks one, then [`END_MARK`].
pub(super) struct Framed<R> {
    inner: R,
    /// Whether carriage returns are the line ends.
    mac: bool,
    last: u8,
    /// What is still to come after the text.
    tail: Option<&'static [u8]>,
}

impl<R: Read> Framed<R> {
    /// Frames a text; `mac` makes its carriage returns line feeds.
    pub(super) fn new(inner: R, mac: bool) -> Self {
        Self { inner, mac, last: b'\n', tail: None }
    }
}

impl<R: Read> Read for Framed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(tail) = &mut self.tail {
            return tail.read(buffer);
        }
        let read = self.inner.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            let tail = self.tail.insert(if self.last == b'\n' { b"\0" } else { b"\n\0" });
            return tail.read(buffer);
        }
        if self.mac {
            buffer[..read].iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
        }
        self.last = buffer[..read].last().copied().unwrap_or(self.last);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(text: &str, mac: bool) -> String {
        let mut out = String::new();
        Framed::new(text.as_bytes(), mac).read_to_string(&mut out).unwrap();
        out
    }

    #[test]
    fn the_last_line_is_closed_and_marked() {
        assert_eq!(framed("a\nb", false), "a\nb\n\0");
        assert_eq!(framed("a\nb\n", false), "a\nb\n\0");
        assert_eq!(framed("", false), "\0");
        assert_eq!(framed("a\rb\r", true), "a\nb\n\0");
        assert_eq!(framed("a\rb\r", false), "a\rb\r\n\0");
    }
}
