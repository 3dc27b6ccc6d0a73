//! The rules of the house, read from the workspace's metadata and sources. A failure says which rule and where.

mod claims;
mod deployment;
mod sources;
mod workspace;
