//! Integration tests: one binary, against the lab's real servers (`tests/lab/up`).
//!
//! The lab's address file is named by `MOTION_LAB`; `tests/run` sets all of it up.

mod faults;
mod imap;
mod kills;
mod operator;
mod packaging;
mod refusals;
mod smtp;
mod spine;
mod store;
mod support;
mod tidy;
mod tokens;
