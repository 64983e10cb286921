//! The command line as a whole.

mod commands;
mod fake;
mod grammar;
mod sign_in;
