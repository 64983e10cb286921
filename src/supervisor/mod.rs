//! Wanted accounts = running accounts. (being built)

mod handle;

pub use handle::Handle;
