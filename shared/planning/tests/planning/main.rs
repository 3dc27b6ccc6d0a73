//! Plans over an in-memory table that answers questions as a database would.

#[cfg(test)]
mod checker;
#[cfg(test)]
mod conditions;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod table;
