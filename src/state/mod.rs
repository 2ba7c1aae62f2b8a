//! What stateful operators keep between steps. May use `delta` and `disk`; knows no SQL and no
//! operator. Slots (`usize`) are numbered by the owner: these structures map a slot to its content.
//!
//! [`bag`] an ordered multiset of rows a slot · [`distinct`] how many different values a slot holds
//! · [`exact_sum`] a sum of floats from which values can be taken back · [`keys`] key → slot · [`ranked`] an
//! ordered multiset that knows the positions of its rows.

pub mod bag;
pub mod distinct;
pub mod exact_sum;
pub mod keys;
pub mod ranked;
