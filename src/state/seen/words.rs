//! Values that are machine words, each of a slot and with a set of up to 32 marks: one look-up in a table that is nothing but its
//! entries, 16 bytes each.

/// Entries of the smallest table, as a power of two.
const LEAST: u32 = 4;
/// Rows whose entries are fetched together: their cache misses overlap.
const AHEAD: usize = 16;

/// A value and what is known of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word {
    pub(super) slot: u32,
    pub(super) value: u64,
    pub(super) marks: u32,
}

/// A [`Word`] as it is kept: the value; the slot and below it the marks. Zeros where there is none, as a word has a mark.
type Entry = [u64; 2];

/// The table: linear probing, never more than five eighths full.
#[derive(Debug, Default)]
pub(super) struct Words {
    entries: Vec<Entry>,
    /// What is left of a hash without its lowest so many bits is where an entry is looked for first. The highest bits, so that
    /// a larger table has the entries in the same order, and is filled from front to back.
    shift: u32,
    used: usize,
}

impl Words {
    /// Adds to the value of each row the row's marks, of which there is at least one or the row is passed over. `new(row, marks)`
    /// is told which of them the value did not have.
    pub(super) fn add(
        &mut self,
        values: &[u64],
        slots: &[usize],
        marks: &[u32],
        mut new: impl FnMut(usize, u32),
    ) {
        let mut homes = [0; AHEAD];
        let rows = values.chunks(AHEAD).zip(slots.chunks(AHEAD)).zip(marks.chunks(AHEAD));
        for (n, ((values, slots), marks)) in rows.enumerate() {
            self.reserve(values.len());
            // Looking at the homes of all first lets the processor fetch them side by side.
            let mut touched = 0;
            for ((home, value), slot) in homes.iter_mut().zip(values).zip(slots) {
                *home = self.home(*slot as u32, *value);
                touched |= self.entries[*home][1];
            }
            std::hint::black_box(touched);
            let rows = homes.iter().zip(values).zip(slots).zip(marks).enumerate();
            for (i, (((home, value), slot), marks)) in rows.filter(|(_, (_, marks))| **marks != 0) {
                let of = (*slot as u64) << 32;
                let place = self.place(*home, *value, of);
                let known = self.entries[place][1] as u32;
                let added = marks & !known;
                if added != 0 {
                    self.entries[place] = [*value, of | u64::from(known | added)];
                    self.used += usize::from(known == 0);
                    new(n * AHEAD + i, added);
                }
            }
        }
    }

    /// Where the entry of a value is, or else the free place for it, looked for from its home on. `of`: the slot as it is kept.
    fn place(&self, home: usize, value: u64, of: u64) -> usize {
        let last = self.entries.len() - 1;
        let mut at = home;
        loop {
            let [known, known_of] = self.entries[at];
            if known_of == 0 || known == value && (known_of ^ of) >> 32 == 0 {
                return at;
            }
            at = (at + 1) & last;
        }
    }

    /// Where an entry is looked for first.
    fn home(&self, slot: u32, value: u64) -> usize {
        let mixed = value ^ u64::from(slot).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb) >> self.shift) as usize
    }

    /// Makes room for so many entries more.
    fn reserve(&mut self, more: usize) {
        if room(self.used + more) > self.entries.len() {
            let old = self.renew(self.used + more);
            old.into_iter().filter(|[_, of]| *of != 0).for_each(|entry| self.put(entry));
        }
    }

    /// Becomes an empty table with room for so many entries; gives the old one's.
    fn renew(&mut self, entries: usize) -> Vec<Entry> {
        let bits = room(entries).next_power_of_two().trailing_zeros().max(LEAST);
        // Zeros that are written: a page that the system has not given yet, and that is read before it is written to, costs two
        // faults, the second of which stops all threads.
        let mut fresh = Vec::with_capacity(1 << bits);
        fresh.resize(1 << bits, [0; 2]);
        self.shift = u64::BITS - bits;
        self.used = 0;
        std::mem::replace(&mut self.entries, fresh)
    }

    /// Adds an entry that is not there; there is room.
    fn put(&mut self, entry: Entry) {
        let [value, of] = entry;
        let place = self.place(self.home((of >> 32) as u32, value), value, of);
        self.entries[place] = entry;
        self.used += 1;
    }

    /// Keeps the entries of slots that `renumbered` gives a new number.
    pub(super) fn retain(&mut self, renumbered: impl Fn(u32) -> Option<u32>) {
        let stay = self.iter().filter(|word| renumbered(word.slot).is_some()).count();
        for Word { slot, value, marks } in self.renew(stay).into_iter().filter_map(word) {
            if let Some(slot) = renumbered(slot) {
                self.put([value, u64::from(slot) << 32 | u64::from(marks)]);
            }
        }
    }

    /// All entries, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Word> {
        self.entries.iter().copied().filter_map(word)
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }
}

/// Places that so many entries need.
fn room(entries: usize) -> usize {
    entries * 8 / 5 + 1
}

/// What is kept in a place.
fn word([value, of]: Entry) -> Option<Word> {
    let word = Word { slot: (of >> 32) as u32, value, marks: of as u32 };
    (of != 0).then_some(word)
}
