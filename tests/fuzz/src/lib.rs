//! What the fuzzers run, and the tests that replay their corpus without one.
//!
//! Both targets take any bytes: they must answer or refuse, and what they answer must hold.

mod records;
mod rows;

pub use records::record;
pub use rows::rows;
