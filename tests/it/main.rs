//! Integration tests: one binary, against the lab's real servers (`tests/lab/up`).
//!
//! The lab's address file is named by `MOTION_LAB`; `tests/run` sets all of it up.
#![allow(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    unreachable_pub,
    missing_docs,
    reason = "a test may panic, print and read the clock"
)]

mod application;
mod bounces;
mod calendar;
mod canary;
mod clocks;
mod commands;
mod doctor;
mod faults;
mod folders;
mod full_disk;
mod governor;
mod imap;
mod kills;
mod large;
mod names;
mod oauth;
mod operator;
mod packaging;
mod refusals;
mod renegotiation;
mod sign_in;
mod smtp;
mod spine;
mod store;
mod support;
mod sweep;
mod tidy;
mod tokens;
mod ways;
