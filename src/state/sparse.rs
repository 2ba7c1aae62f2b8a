//! A value for each number, most of which are the same: memory only up to the last that is not.

/// Values by number. A number that has none has the usual one.
#[derive(Debug)]
pub struct Sparse<T> {
    usual: T,
    values: Vec<T>,
}

impl<T: Copy + PartialEq> Sparse<T> {
    /// All have the value `usual`.
    pub fn new(usual: T) -> Self {
        Sparse { usual, values: Vec::new() }
    }

    /// The value of number `i`.
    pub fn get(&self, i: u32) -> T {
        self.values.get(i as usize).copied().unwrap_or(self.usual)
    }

    /// Gives number `i` a value.
    pub fn set(&mut self, i: u32, value: T) {
        let i = i as usize;
        if let Some(there) = self.values.get_mut(i) {
            *there = value;
        } else if value != self.usual {
            self.values.resize(i + 1, self.usual);
            self.values[i] = value;
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_unusual_takes_room() {
        let mut values = Sparse::new(1i64);
        (0..1000).for_each(|i| values.set(i, 1));
        assert_eq!((values.get(7), values.bytes()), (1, 0));
        values.set(7, 0);
        values.set(3, 5);
        assert_eq!([3, 4, 7, 8].map(|i| values.get(i)), [5, 1, 0, 1]);
        values.set(3, 1);
        assert_eq!(values.get(3), 1);
    }
}
