//! Record batches to Parquet or CSV chunks within a memory budget, and back again.
//!
//! [`ChunkEncoder`] turns the rows of a batch into chunks; [`Aggregator`] computes the facts that a commit record holds
//! about them; [`read_chunk`] reads a chunk back, strictly; [`TextWriter`] writes rows for pipes. Everything here is
//! synchronous and without I/O: bytes go to a closure and come from memory.

mod aggregate;
mod cells;
mod check;
mod compression;
mod copy_text;
mod csv;
mod csv_chunks;
mod decode;
mod decode_csv;
mod decode_parquet;
mod differences;
mod encoder;
mod exact;
mod json;
mod parquet_chunks;
mod parquet_column;
mod parquet_policy;
mod parse;
mod parse_list;
mod parse_plain;
mod plain;
mod text;
mod text_statistics;
mod weight;

pub use aggregate::Aggregator;
pub use decode::{ChunkReader, read_chunk};
pub use encoder::{ChunkEncoder, ChunkEnd, EncoderSettings, Output, ROW_COPIES, Sink, VALUE_COPIES};
pub use exact::merge;
pub use text::{TextKind, TextWriter};
