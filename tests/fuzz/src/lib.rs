//! What the fuzzers run, and the tests that replay their corpus without one.
//!
//! Both targets take any bytes: they must answer or refuse, and what they answer must hold.

mod copy;
mod records;

pub use copy::copy_stream;
pub use records::record;
