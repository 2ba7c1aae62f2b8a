//! Keys while a query runs: the terminal gives each as it is pressed, and Ctrl-C is one of them.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::time::Duration;

/// What was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D.
    End,
    /// Enter.
    Enter,
    /// Escape alone.
    Escape,
    /// Backspace.
    Back,
    /// A character.
    Char(char),
}

/// Keys one by one, as long as this lives; then the terminal is as it was before.
pub(super) struct Keys {
    before: Option<Termios>,
    held: Vec<u8>,
}

impl Keys {
    /// Begins to take keys. What is no terminal gives none.
    pub(super) fn begin() -> Self {
        let stdin = rustix::stdio::stdin();
        let before = tcgetattr(stdin).ok();
        if let Some(mut modes) = before.clone() {
            modes.local_modes -=
                LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
            modes.special_codes[SpecialCodeIndex::VMIN] = 0;
            modes.special_codes[SpecialCodeIndex::VTIME] = 0;
            // Without it keys come by the line: less comfortable, and nothing else.
            let _ = tcsetattr(stdin, OptionalActions::Now, &modes);
        }
        Keys { before, held: Vec::new() }
    }

    /// The keys that are pressed within this time, as soon as there is one.
    pub(super) fn wait(&mut self, time: Duration) -> Vec<Key> {
        if self.before.is_none() {
            std::thread::sleep(time);
            return Vec::new();
        }
        let stdin = rustix::stdio::stdin();
        let timeout = rustix::event::Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(time.subsec_nanos()),
        };
        let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
        if !matches!(poll(&mut ready, Some(&timeout)), Ok(n) if n > 0) {
            return self.rest();
        }
        let mut bytes = [0; 256];
        match rustix::io::read(stdin, &mut bytes) {
            // The terminal has gone.
            Ok(0) => vec![Key::End],
            Ok(n) => {
                self.held.extend_from_slice(&bytes[..n]);
                keys(&mut self.held)
            }
            Err(_) => Vec::new(),
        }
    }

    /// An escape behind which nothing came is the key of that name.
    fn rest(&mut self) -> Vec<Key> {
        if self.held == [0x1b] {
            self.held.clear();
            return vec![Key::Escape];
        }
        Vec::new()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that has gone needs nothing any more.
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, before);
        }
    }
}

/// The keys whose bytes are there; what is not whole yet stays.
fn keys(bytes: &mut Vec<u8>) -> Vec<Key> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = bytes.get(at) {
        let rest = &bytes[at..];
        let single = match first {
            0x03 => Some(Key::Interrupt),
            0x04 => Some(Key::End),
            b'\r' | b'\n' => Some(Key::Enter),
            0x08 | 0x7f => Some(Key::Back),
            _ => None,
        };
        if let Some(key) = single {
            found.push(key);
            at += 1;
            continue;
        }
        match first {
            0x1b if rest.len() == 1 => break,
            // Arrows and the like mean nothing here.
            0x1b if rest[1] == b'[' || rest[1] == b'O' => {
                let Some(end) = rest.iter().skip(2).position(|b| (0x40..=0x7e).contains(b)) else { break };
                at += end + 3;
            }
            0x1b => {
                found.push(Key::Escape);
                at += 1;
            }
            0x00..0x20 => at += 1,
            _ => {
                let length = match first {
                    0x00..=0x7f => 1,
                    0xe0..=0xef => 3,
                    0xf0..=0xff => 4,
                    _ => 2,
                };
                if rest.len() < length {
                    break;
                }
                let text = std::str::from_utf8(&rest[..length]).unwrap_or_default();
                found.extend(text.chars().map(Key::Char));
                at += length;
            }
        }
    }
    bytes.drain(..at.min(bytes.len()));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_keys_also_when_they_come_in_pieces() {
        let mut bytes = b"q \x03\x1b[A\x7f\r\xc3".to_vec();
        let expected = [Key::Char('q'), Key::Char(' '), Key::Interrupt, Key::Back, Key::Enter];
        assert_eq!(keys(&mut bytes), expected);
        bytes.push(0xa9);
        assert_eq!(keys(&mut bytes), [Key::Char('é')]);
        bytes.extend(b"\x1b");
        assert_eq!(keys(&mut bytes), []);
        bytes.extend(b"x\x04\xff\xff\xff\xff\x01");
        assert_eq!(keys(&mut bytes), [Key::Escape, Key::Char('x'), Key::End]);
        assert!(bytes.is_empty());
    }
}
