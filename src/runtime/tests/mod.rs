//! Tests of jobs as a whole.

mod machine;
mod whole;
