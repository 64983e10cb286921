//! One account's task. (being built)

mod status;

pub use status::AccountStatus;
