//! Plans over an in-memory table that answers questions as a database would.

mod checker;
mod plans;
mod properties;
mod table;
