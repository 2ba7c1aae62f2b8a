//! Byte strings in one buffer: what a row or a key is kept as, without an allocation for each.

/// Where a byte string stands in an [`Arena`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    start: u64,
    len: u32,
}

impl Span {
    /// Its length in bytes.
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Whether it is empty.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// Garbage that is worth a rebuild, in bytes.
const MUCH_GARBAGE: usize = 1 << 16;

/// Byte strings, appended; freed ones leave garbage until their owner moves the living ones to a fresh arena.
#[derive(Debug, Default)]
pub struct Arena {
    bytes: Vec<u8>,
    garbage: usize,
}

impl Arena {
    /// Appends `bytes`.
    pub fn push(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len() as u64;
        self.bytes.extend_from_slice(bytes);
        Span { start, len: bytes.len() as u32 }
    }

    /// The bytes at `span`, which this arena gave.
    pub fn get(&self, span: Span) -> &[u8] {
        &self.bytes[span.start as usize..][..span.len as usize]
    }

    /// The bytes at `span` are no longer needed.
    pub fn free(&mut self, span: Span) {
        self.garbage += span.len as usize;
    }

    /// Whether more than half is garbage, and enough to be worth moving the rest.
    pub fn is_wasteful(&self) -> bool {
        self.garbage > MUCH_GARBAGE && self.garbage * 2 > self.bytes.len()
    }

    /// A fresh arena with room for what lives in this one.
    pub fn successor(&self) -> Arena {
        Arena { bytes: Vec::with_capacity(self.bytes.len() - self.garbage), garbage: 0 }
    }

    /// Bytes that are in use.
    pub fn live_bytes(&self) -> usize {
        self.bytes.len() - self.garbage
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_stay_where_they_are_until_they_are_moved() {
        let mut arena = Arena::default();
        let long = vec![7; MUCH_GARBAGE];
        let (a, b, c) = (arena.push(b"one"), arena.push(&long), arena.push(b""));
        assert_eq!((arena.get(a), arena.get(c)), (&b"one"[..], &b""[..]));
        arena.free(b);
        assert!(!arena.is_wasteful());
        let d = arena.push(b"two");
        arena.free(d);
        assert!(arena.is_wasteful());
        let mut next = arena.successor();
        let a = next.push(arena.get(a));
        assert_eq!((next.get(a), next.is_wasteful()), (&b"one"[..], false));
    }
}
