//! (being built)
mod data_dir;
mod reexec;
mod signals;
mod watchdog;
