//! What travels in messages: the schemas that others build on, and messages of every version that must stay readable.

mod golden;
mod schemas;
