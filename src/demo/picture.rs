//! The demo's pictures as text: the path, and what a wire carried.

use std::fmt::Write;
use std::net::Ipv6Addr;

use crate::demo::frame::{Frame, flag};
use crate::demo::lab::{CLIENT, SERVER, locator};

/// Bytes in a line.
const SHOWN: usize = 16;

/// The chain with two proxies.
pub fn path() -> String {
    let [p1, p2] = [1, 2].map(|i| format!("{}/80", locator(i)));
    format!(
        "
     curl              proxy P1             proxy P2             nginx
  +----------+      +--------------+     +--------------+     +----------+
  | {CLIENT:<9}|--1---|{p1:^14}|--2--|{p2:^14}|--3--| {SERVER:<9}|
  +----------+      +--------------+     +--------------+     +----------+
"
    )
}

/// What one wire carried of one flow: the first request and the first answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// What the SYN said about the path, in the order of travel, the final destination last.
    pub segments: Vec<Ipv6Addr>,
    /// First bytes towards the server.
    pub request: Vec<u8>,
    /// First bytes towards the client.
    pub answer: Vec<u8>,
}

impl Wire {
    /// Sums up `frames`, once both directions of a flow to the server's `port` have carried data.
    pub fn new(frames: &[Frame], port: u16) -> Option<Self> {
        let syn = frames
            .iter()
            .find(|frame| frame.destination.port() == port && frame.has(flag::SYN))?;
        let segments = syn.routing.as_ref().map_or_else(
            || vec![*syn.destination.ip()],
            |srh| srh.segments.iter().rev().copied().collect(),
        );
        let first = |to_server: bool| {
            let port_of = |frame: &Frame| {
                if to_server {
                    frame.destination.port()
                } else {
                    frame.source.port()
                }
            };
            frames
                .iter()
                .find(|frame| port_of(frame) == port && !frame.payload.is_empty())
                .map(|frame| frame.payload.clone())
        };
        Some(Self {
            segments,
            request: first(true)?,
            answer: first(false)?,
        })
    }

    /// The segments, then at most `rows` lines of each direction.
    pub fn draw(&self, rows: usize) -> String {
        let segments: Vec<_> = self.segments.iter().map(Ipv6Addr::to_string).collect();
        let srh = match segments.as_slice() {
            [_] => "no SRH".to_owned(),
            _ => format!("SRH [{}]", segments.join(", ")),
        };
        let mut text = format!("    {srh}\n");
        for (arrow, bytes) in [("->", &self.request), ("<-", &self.answer)] {
            for (row, line) in bytes.chunks(SHOWN).take(rows).enumerate() {
                let arrow = if row == 0 { arrow } else { "" };
                let _infallible = writeln!(text, "    {arrow:2} {}", dump(line));
            }
        }
        text
    }
}

/// At most [`SHOWN`] bytes, hexadecimal and as text.
fn dump(shown: &[u8]) -> String {
    let mut line = String::new();
    for byte in shown {
        let _infallible = write!(line, "{byte:02x} ");
    }
    let text: String = shown
        .iter()
        .map(|&byte| {
            if (0x20..0x7f).contains(&byte) {
                char::from(byte)
            } else {
                '.'
            }
        })
        .collect();
    format!("{line:<width$} |{text}|", width = 3 * SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_hexadecimal_and_as_text() {
        let line = dump(b"GET /\r\n");
        assert!(line.starts_with("47 45 54 20 2f 0d 0a  "));
        assert!(line.ends_with(" |GET /..|"));
        let wire = Wire {
            segments: vec![SERVER],
            request: vec![b'a'; 40],
            answer: b"b".to_vec(),
        };
        let text = wire.draw(2);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert_eq!(lines[0], "    no SRH");
        assert!(lines[1].starts_with("    -> 61 "), "{text}");
        assert!(lines[2].starts_with("       61 "), "{text}");
        assert!(lines[3].ends_with(" |b|"), "{text}");
    }

    #[test]
    fn the_picture_is_narrow_enough_for_a_terminal() {
        assert!(path().lines().all(|line| line.len() <= 79), "{}", path());
    }
}
