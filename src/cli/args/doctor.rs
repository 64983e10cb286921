//! `doctor`.

use std::path::PathBuf;

use clap::Args;

/// What is examined, and what is made of it.
#[derive(Args, Debug)]
pub(in crate::cli) struct Doctor {
    /// Only this account, by key or id, and the service itself; without it all accounts
    pub(in crate::cli) account: Option<String>,
    /// Refresh sign-ins although their access tokens are still good
    #[arg(long)]
    pub(in crate::cli) refresh: bool,
    /// Write a support bundle (.tar.gz) without secrets, mail or other people's addresses
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) bundle: Option<PathBuf>,
    /// Replace the bundle's file if it exists
    #[arg(long, requires = "bundle")]
    pub(in crate::cli) force: bool,
}
