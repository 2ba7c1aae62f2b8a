//! What stateful operators keep between steps. May use `delta` and `disk`; knows no SQL and no
//! operator. Slots (`usize`) are numbered by the owner: these structures map a slot to its content.
//!
//! [`arena`] byte strings in one buffer · [`bag`] an ordered multiset of rows a slot · [`budget`] how much may be in memory ·
//! [`clock_hand`] which slots have not been used for longest · [`cold`] what has gone to disk · [`columns`] rows in chunks of columns · [`distinct`] how many different
//! values a slot holds, [`seen`] where none are taken back · [`exact_sum`] a sum of floats from which values can be taken back · [`key_table`] key → slot,
//! where single keys go · [`keyed_rows`] key → its row, and what a step has changed · [`keys`] key → slot for vectors of
//! accumulators · [`numbers`] lists of slots · [`ranked`] an ordered multiset that knows the positions of its rows · [`row_lists`] a list of rows a slot ·
//! [`sparse`] a value a number, mostly the same · [`words`] numbers and times as machine words · [`zero`] keys of which the two zeros are one.

pub mod arena;
pub mod bag;
mod blocks;
pub mod budget;
pub mod clock_hand;
pub mod cold;
pub mod columns;
pub mod distinct;
pub mod exact_sum;
pub mod key_table;
pub mod keyed_rows;
pub mod keys;
pub mod numbers;
pub mod ranked;
pub mod row_lists;
pub mod seen;
pub mod sparse;
pub mod words;
pub mod zero;
