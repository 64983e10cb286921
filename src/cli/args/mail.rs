//! `message …`, `send`, `outbox …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::PageFlags;

/// What is done with mail that came in.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Message {
    /// Show messages, newest first
    #[command(after_help = "Example:\n  motion-email message list --account SUPP1 --limit 20")]
    List {
        /// Only those of this account, by key or id
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        page: PageFlags,
    },
    /// Show one message
    #[command(after_help = "Example:\n  motion-email message show 7")]
    Show {
        /// The message's id
        id: i64,
    },
    /// Let a held message through: automations are told of it after all
    #[command(after_help = "Example:\n  motion-email message release 7")]
    Release {
        /// The message's id
        id: i64,
    },
    /// Write a message's bytes exactly as they were received to standard output
    #[command(after_help = "Example:\n  motion-email message raw 7 > mail.eml")]
    Raw {
        /// The message's id
        id: i64,
    },
}

/// A mail to queue.
#[derive(Args, Debug)]
pub(in crate::cli) struct Send {
    /// The account it is sent from, by key or id
    #[arg(long)]
    pub(in crate::cli) account: String,
    /// A recipient; may be given several times
    #[arg(long, required_unless_present_any = ["cc", "bcc"])]
    pub(in crate::cli) to: Vec<String>,
    /// A recipient of a copy; may be given several times
    #[arg(long)]
    pub(in crate::cli) cc: Vec<String>,
    /// A recipient whom the others do not see; may be given several times
    #[arg(long)]
    pub(in crate::cli) bcc: Vec<String>,
    /// The subject [default with --reply-to-message: that of the message]
    #[arg(long, required_unless_present = "reply_to_message")]
    pub(in crate::cli) subject: Option<String>,
    /// The text
    #[arg(long, conflicts_with = "text_file")]
    pub(in crate::cli) text: Option<String>,
    /// A file with the text; - for standard input [default: standard input, unless there is --html-file]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) text_file: Option<PathBuf>,
    /// A file with the HTML form of the text
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) html_file: Option<PathBuf>,
    /// The message that this one answers
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) reply_to_message: Option<i64>,
    /// Makes repeating the command harmless: the same key queues one mail [default: a new one each time]
    #[arg(long, value_name = "KEY")]
    pub(in crate::cli) idempotency_key: Option<String>,
}

/// What is done with outgoing mail.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Outbox {
    /// Show outgoing mail, newest first
    #[command(after_help = "Example:\n  motion-email outbox list --account SUPP1 --state queued")]
    List {
        /// Only that of this account, by key or id
        #[arg(long)]
        account: Option<String>,
        /// Only what is in this state
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        page: PageFlags,
    },
    /// Show one outgoing mail, its recipients and attempts
    #[command(after_help = "Example:\n  motion-email outbox show 7")]
    Show {
        /// Its id
        id: i64,
    },
}
