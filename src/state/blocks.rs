//! A list that grows a block at a time: what is in it is never copied, and no room that is given up stays as a hole.

use std::ops::{Index, IndexMut};

/// Values of a block.
const BLOCK: usize = 1 << BITS;
const BITS: u32 = 13;

/// The list.
#[derive(Debug)]
pub(super) struct Blocks<T> {
    /// All but the last are full; the first grows like any list, as many lists stay small.
    blocks: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Blocks { blocks: Vec::new(), len: 0 }
    }
}

impl<T> Blocks<T> {
    /// How many values there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// One more value behind all others.
    #[inline]
    pub(super) fn push(&mut self, value: T) {
        match self.blocks.get_mut(self.len >> BITS) {
            Some(last) => last.push(value),
            None => self.begin(value),
        }
        self.len += 1;
    }

    #[cold]
    fn begin(&mut self, value: T) {
        let mut block = Vec::with_capacity(if self.len == 0 { 1 } else { BLOCK });
        block.push(value);
        self.blocks.push(block);
    }

    /// All values.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.blocks.iter_mut().flatten()
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.capacity() * size_of::<T>()).sum()
    }
}

impl<T> Index<usize> for Blocks<T> {
    type Output = T;

    #[inline]
    fn index(&self, at: usize) -> &T {
        &self.blocks[at >> BITS][at & (BLOCK - 1)]
    }
}

impl<T> IndexMut<usize> for Blocks<T> {
    #[inline]
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut self.blocks[at >> BITS][at & (BLOCK - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_number() {
        let mut list = Blocks::default();
        for n in 0..3 * BLOCK + 5 {
            assert_eq!(list.len(), n);
            list.push(n);
        }
        list.iter_mut().filter(|n| **n % 7 == 0).for_each(|n| *n += 1);
        list[BLOCK] = 3;
        let expected = |n| if n == BLOCK { 3 } else { n + usize::from(n % 7 == 0) };
        assert!((0..list.len()).all(|n| list[n] == expected(n)));
        assert_eq!(list.bytes(), 4 * BLOCK * size_of::<usize>());
    }
}
