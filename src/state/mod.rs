//! What stateful operators keep between steps. May use `delta` and `disk`; knows no SQL and no
//! operator. Slots (`usize`) are numbered by the owner: these structures map a slot to its content.
//!
//! [`bag`] an ordered multiset of rows a slot · [`distinct`] how many different values a slot holds
//! · [`exact_sum`] a sum of floats from which values can be taken back · [`keys`] key → slot
//! · [`keyed_rows`] key → its row, and what a step has changed.

pub mod bag;
pub mod distinct;
pub mod exact_sum;
pub mod keyed_rows;
pub mod keys;
