//! The command line as a whole.

mod commands;
mod fake;
mod grammar;
mod servers;
mod sign_in;
mod told;
mod transcript;
