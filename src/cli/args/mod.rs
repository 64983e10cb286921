//! What may be typed: the commands, their arguments and their help.

mod account;
mod doctor;
mod mail;
mod provider;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

#[cfg(test)]
pub(super) use account::Backfill;
pub(super) use account::{AccountCommand, Changed, Login, ServerFlags};
pub(super) use doctor::Doctor;
pub(super) use mail::{Message, Outbox, Send};
pub(super) use provider::{
    Authenticate, EditProvider, NewProvider, ProviderCommand, ProviderFields, ServiceWord,
};

use crate::config::{Flag, Sources};

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   the daemon refused, or what was asked for is not there; doctor: something failed
  2   doctor: nothing failed, and there are warnings
  64  the command line is not right
  69  the daemon is not reachable
  75  not now: try again later
  78  the settings are not right

Example:
  motion-email status";

const DOCTOR: &str = "\
Nothing is changed and no mail is sent: mailboxes are opened for reading only. Checks run in
order, so that the first FAIL is the cause of what is skipped behind it.

Exit codes:
  0   everything is well
  1   something failed
  2   nothing failed, and there are warnings
  69  the daemon is not reachable; what can be checked without it was checked

Example:
  motion-email doctor SUPP1 --bundle support.tar.gz";

/// The e-mail service of an XCALLY Motion server.
#[derive(Debug, Parser)]
#[command(name = "motion-email", version, after_help = EXIT_CODES, max_term_width = 110)]
#[command(disable_help_subcommand = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Where the help lists what every command takes.
const HEADING: &str = "Common options";

/// What every command takes.
#[derive(Args, Debug, Default)]
pub(super) struct Common {
    /// Read settings from this env file; may be given several times, later files win [default:
    /// /etc/motion-email/motion-email.env, where it exists]
    #[arg(long, global = true, help_heading = HEADING, value_name = "FILE")]
    pub(super) env_file: Vec<PathBuf>,
    /// The daemon's socket [default: XC_EMAIL_SOCKET, as environment and env files have it]
    #[arg(long, global = true, help_heading = HEADING, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    /// Print the daemon's answer as JSON
    #[arg(long, global = true, help_heading = HEADING)]
    pub(super) json: bool,
}

impl Common {
    /// Where the settings come from, with further flags.
    pub(super) fn sources(&self, more: Vec<Flag>) -> Sources {
        let mut flags: Vec<Flag> = self
            .socket
            .iter()
            .map(|path| Flag {
                name: "--socket",
                key: "XC_EMAIL_SOCKET",
                // The shell's idea of a relative path is meant.
                value: std::path::absolute(path)
                    .unwrap_or_else(|_| path.clone())
                    .to_string_lossy()
                    .into_owned(),
            })
            .collect();
        flags.extend(more);
        Sources::of_process(self.env_file.clone(), flags)
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the daemon in the foreground; systemd does this
    #[command(after_help = "Example:\n  motion-email run --env-file ./motion-email.env")]
    Run {
        /// How much is logged, whatever the env files say: ERROR, WARN, INFO, DEBUG, TRACE
        #[arg(long, value_name = "LEVEL")]
        log_level: Option<String>,
    },
    /// Check settings, database and directories without starting anything
    #[command(
        after_help = "Example:\n  motion-email check --env-file /etc/motion-email/motion-email.env"
    )]
    Check {
        /// Print every key with its meaning and default instead, as an env file
        #[arg(long)]
        keys: bool,
    },
    /// Cloud providers: app registrations, and signing in to them
    #[command(subcommand, after_help = "Example:\n  motion-email provider list")]
    Provider(ProviderCommand),
    /// E-mail accounts: one mailbox each
    #[command(subcommand, after_help = "Example:\n  motion-email account show SUPP1")]
    Account(AccountCommand),
    /// How the daemon and its accounts are
    #[command(after_help = "Example:\n  motion-email status")]
    Status,
    /// Examine the service and its accounts: what works, what does not, why, and the next step
    #[command(after_help = DOCTOR)]
    Doctor(Doctor),
    /// What comes due: secrets, certificates, sign-ins, and mailboxes' last contacts
    #[command(after_help = "Example:\n  motion-email calendar --limit 20")]
    Calendar(PageFlags),
    /// What was lately said between the daemon and an account's servers; secrets and mail are left out
    #[command(
        after_help = "-> is said by the daemon, <- by the server, -- is what happened around it. The number in front tells \
        connections apart. Kept in memory since the daemon started, the newest only.\n\n\
        Example:\n  motion-email transcript SUPP1 --protocol imap"
    )]
    Transcript(Transcript),
    /// Mail that came in
    #[command(
        subcommand,
        after_help = "Example:\n  motion-email message list --account SUPP1"
    )]
    Message(Message),
    /// Queue a mail; it is sent by the daemon
    #[command(
        after_help = "Example:\n  echo 'It leaves today.' | motion-email send --account SUPP1 \
        --to customer@example.com --subject 'Your order'"
    )]
    Send(Send),
    /// The queue of outgoing mail
    #[command(
        subcommand,
        after_help = "Example:\n  motion-email outbox list --state in_doubt"
    )]
    Outbox(Outbox),
    /// Lists, in which new senders are saved as contacts
    #[command(
        subcommand,
        after_help = "Example:\n  motion-email list add --name Customers"
    )]
    List(ListCommand),
    /// Contacts: the people who wrote
    #[command(subcommand, after_help = "Example:\n  motion-email contact list")]
    Contact(ContactCommand),
    /// Show the log files
    #[command(after_help = "Example:\n  motion-email logs -f --account SUPP1 --level warn")]
    Logs(Logs),
    /// Show or change how much the running daemon logs, until it starts again
    #[command(after_help = "Example:\n  motion-email log-level DEBUG")]
    LogLevel {
        /// ERROR, WARN, INFO, DEBUG or TRACE; without it the level is shown
        level: Option<String>,
    },
}

/// `list …`.
#[derive(Debug, Subcommand)]
pub(super) enum ListCommand {
    /// Add a list
    #[command(after_help = "Example:\n  motion-email list add --name Customers")]
    Add {
        /// Its name
        #[arg(long)]
        name: String,
    },
    /// Show all lists
    #[command(after_help = "Example:\n  motion-email list list")]
    List,
}

/// `contact …`.
#[derive(Debug, Subcommand)]
pub(super) enum ContactCommand {
    /// Show contacts, newest first
    #[command(after_help = "Example:\n  motion-email contact list --list 1 --limit 20")]
    List {
        /// Only those of this list
        #[arg(long, value_name = "ID")]
        list: Option<i64>,
        #[command(flatten)]
        page: PageFlags,
    },
}

/// How many rows, from where.
#[derive(Args, Debug)]
pub(super) struct PageFlags {
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(super) limit: u32,
    /// How many to leave out first
    #[arg(long, default_value_t = 0)]
    pub(super) offset: u32,
}

/// `transcript`.
#[derive(Args, Debug)]
pub(super) struct Transcript {
    /// The account, by key or id
    pub(super) account: String,
    /// Only what was said in this protocol; sign-in and token requests are oauth
    #[arg(long, value_enum, value_name = "PROTOCOL")]
    pub(super) protocol: Option<ProtocolWord>,
    /// Only what was said at this time or later, e.g. 2026-11-23T13:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// How many lines at most, the newest
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) limit: u32,
}

/// A protocol of the transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ProtocolWord {
    /// Mail that comes in.
    Imap,
    /// Mail that goes out.
    Smtp,
    /// Sign-in and tokens.
    Oauth,
}

/// `logs`.
#[derive(Args, Debug)]
pub(super) struct Logs {
    /// Stay, and show what is written from now on
    #[arg(short, long)]
    pub(super) follow: bool,
    /// How many lines of the past to show
    #[arg(short = 'n', long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(super) lines: u32,
    /// Only lines about this account, by key or id, as the log has it
    #[arg(long, value_name = "ACCOUNT")]
    pub(super) account: Option<String>,
    /// Only lines of this level and worse
    #[arg(long, value_name = "LEVEL")]
    pub(super) level: Option<String>,
}
