//! Queries with ranks and limits. The reference is told the whole order: by the ORDER BY and then all columns of the
//! rows that are ranked, which Millstream takes of itself.
