//! A statement's rows, decoded straight into Arrow builders.

mod append_all;
mod column;
mod decoder;
mod misfit;
mod number;
mod numeric;
mod oversized;
mod refusals;
mod strip;
mod temporal;
#[cfg(test)]
mod tests;

pub(crate) use decoder::{Progress, RowDecoder};
