//! `account …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::model::{Fingerprint, ProxyChoice};

/// What is done with accounts. ACCOUNT is a key or an id (`key:12`, `id:12` where both would fit).
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AccountCommand {
    /// Add an account; it starts at once
    #[command(
        after_help = "With --provider it signs in with that cloud provider's grant, else with a password, which is asked for or \
        read from --password-file. For a shared mailbox --user is the mailbox and --delegate who signed in.\n\n\
        Example:\n  motion-email account add --name Support --key SUPP1 --address support@example.com --list 1 \
        --service outlook365 --provider 1 --user support@example.com --delegate anna@example.com\n\n\
        A server of one's own, through a proxy, its certificate checked against the company's authority:\n  \
        motion-email account add --name Support --key SUPP2 --address support@example.com --list 1 --service custom \
        --imap-host imap.example.com --smtp-host smtp.example.com --ca-file ./company-ca.pem \
        --proxy socks5://proxy.example.com:1080"
    )]
    Add(Box<Settings<Needed>>),
    /// Show all accounts
    #[command(after_help = "Example:\n  motion-email account list")]
    List,
    /// Show one account and how its lanes are
    #[command(after_help = "Example:\n  motion-email account show SUPP1")]
    Show {
        /// Key or id
        account: String,
    },
    /// Change an account; what is not named stays
    #[command(
        after_help = "Example:\n  motion-email account edit SUPP1 --password-file ./new-password"
    )]
    Edit {
        /// Key or id
        account: String,
        #[command(flatten)]
        settings: Box<Settings<Changed>>,
    },
    /// Stop both lanes; nothing is lost, mail waits
    #[command(after_help = "Example:\n  motion-email account pause SUPP1")]
    Pause {
        /// Key or id
        account: String,
    },
    /// Start a paused account
    #[command(after_help = "Example:\n  motion-email account resume SUPP1")]
    Resume {
        /// Key or id
        account: String,
    },
    /// Look for mail and try the queue now
    #[command(after_help = "Example:\n  motion-email account sync SUPP1")]
    Sync {
        /// Key or id
        account: String,
    },
    /// Show the folders that are read, how far, and what the last comparison with the server said
    #[command(after_help = "Example:\n  motion-email account folders SUPP1")]
    Folders {
        /// Key or id
        account: String,
    },
    /// Bring in all mail that arrived since a date; what is there already stays as it is
    #[command(after_help = "Example:\n  motion-email account reingest SUPP1 --since 2026-01-31")]
    Reingest {
        /// Key or id
        account: String,
        /// A date (2026-01-31), or with a time (2026-01-31T08:00:00Z)
        #[arg(long, value_name = "DATE", value_parser = Backfill::since)]
        since: Backfill,
    },
    /// Announce mail that was held because its folder was renumbered and most of it is unknown
    #[command(
        after_help = "What is held, and in which folder, the list of an account's folders says.\n\n\
        Example:\n  motion-email account release SUPP1\n  motion-email account release SUPP1 --silently"
    )]
    Release {
        /// Key or id
        account: String,
        /// Keep it without announcing it as received
        #[arg(long)]
        silently: bool,
    },
    /// Remove an account
    #[command(after_help = "Example:\n  motion-email account remove SUPP1")]
    Remove {
        /// Key or id
        account: String,
        /// Also where mail of it is still to be sent, which is then not sent
        #[arg(long)]
        discard_queue: bool,
    },
}

/// An account's settings; `Names` are those that a new account needs.
#[derive(Args, Debug)]
pub(in crate::cli) struct Settings<Names: Args> {
    #[command(flatten)]
    pub(in crate::cli) names: Names,
    #[command(flatten)]
    pub(in crate::cli) login: Login,
    #[command(flatten)]
    pub(in crate::cli) servers: ServerFlags,
    /// Which mail of the past is wanted: none, all, or from a date on (2026-01-31, or with a time) [default: none]
    #[arg(long, value_name = "none|all|DATE", value_parser = Backfill::parse)]
    pub(in crate::cli) backfill: Option<Backfill>,
    /// A folder that is read, repeatable, all of them: a name, or what it is for (\\Junk, \\Archive, \\Sent, \\Trash,
    /// \\Drafts, \\All); the first is watched without a pause [default: INBOX]
    #[arg(long = "folder", value_name = "FOLDER")]
    pub(in crate::cli) folders: Vec<String>,
}

/// What a new account needs.
#[derive(Args, Debug)]
pub(in crate::cli) struct Needed {
    /// Its name, for people
    #[arg(long)]
    pub(in crate::cli) name: String,
    /// Its unique key, 1 to 5 letters or digits
    #[arg(long)]
    pub(in crate::cli) key: String,
    /// The mailbox address, which mail is sent from
    #[arg(long)]
    pub(in crate::cli) address: String,
    /// The list in which new senders are saved
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) list: i64,
    /// Whose servers
    #[arg(long, value_enum, ignore_case = true)]
    pub(in crate::cli) service: MailService,
}

/// The same for an account that is there.
#[derive(Args, Debug)]
pub(in crate::cli) struct Changed {
    /// Its name, for people
    #[arg(long)]
    pub(in crate::cli) name: Option<String>,
    /// Its unique key, 1 to 5 letters or digits
    #[arg(long)]
    pub(in crate::cli) key: Option<String>,
    /// The mailbox address, which mail is sent from
    #[arg(long)]
    pub(in crate::cli) address: Option<String>,
    /// The list in which new senders are saved
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) list: Option<i64>,
    /// Whose servers
    #[arg(long, value_enum, ignore_case = true)]
    pub(in crate::cli) service: Option<MailService>,
}

impl From<&Needed> for Changed {
    fn from(needed: &Needed) -> Self {
        Self {
            name: Some(needed.name.clone()),
            key: Some(needed.key.clone()),
            address: Some(needed.address.clone()),
            list: Some(needed.list),
            service: Some(needed.service),
        }
    }
}

/// How it logs in.
#[derive(Args, Debug)]
pub(in crate::cli) struct Login {
    /// Sign in with this cloud provider's grant
    #[arg(long, value_name = "ID", conflicts_with = "password_file")]
    pub(in crate::cli) provider: Option<i64>,
    /// The user name at the servers [default: the address]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) user: Option<String>,
    /// Who signed in, where that is not the mailbox itself (shared mailboxes)
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) delegate: Option<String>,
    /// Who gave the cloud provider's grant, where that name differs and is right
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) confirm_signed_in_as: Option<String>,
    /// A file with the password; - for standard input [default: it is asked for]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) password_file: Option<PathBuf>,
}

/// Where it connects to; each is the service's own unless given.
#[derive(Args, Debug, Default)]
pub(in crate::cli) struct ServerFlags {
    /// The IMAP server's name
    #[arg(long, value_name = "HOST")]
    pub(in crate::cli) imap_host: Option<String>,
    /// The IMAP server's port
    #[arg(long, value_name = "PORT")]
    pub(in crate::cli) imap_port: Option<u16>,
    /// When TLS begins at the IMAP server
    #[arg(long, value_enum)]
    pub(in crate::cli) imap_tls: Option<TlsWord>,
    /// How the IMAP server's certificate is judged
    #[arg(long, value_enum)]
    pub(in crate::cli) imap_verify: Option<VerifyWord>,
    /// A file with the authorities that the IMAP server's certificate is checked against (PEM)
    #[arg(long, value_name = "FILE", conflicts_with = "imap_pin")]
    pub(in crate::cli) imap_ca_file: Option<PathBuf>,
    /// The SHA-256 fingerprint of the IMAP server's certificate; again for each further one
    #[arg(long, value_name = "FINGERPRINT", value_parser = fingerprint)]
    pub(in crate::cli) imap_pin: Vec<String>,
    /// The SMTP server's name
    #[arg(long, value_name = "HOST")]
    pub(in crate::cli) smtp_host: Option<String>,
    /// The SMTP server's port
    #[arg(long, value_name = "PORT")]
    pub(in crate::cli) smtp_port: Option<u16>,
    /// When TLS begins at the SMTP server
    #[arg(long, value_enum)]
    pub(in crate::cli) smtp_tls: Option<TlsWord>,
    /// How the SMTP server's certificate is judged
    #[arg(long, value_enum)]
    pub(in crate::cli) smtp_verify: Option<VerifyWord>,
    /// A file with the authorities that the SMTP server's certificate is checked against (PEM)
    #[arg(long, value_name = "FILE", conflicts_with = "smtp_pin")]
    pub(in crate::cli) smtp_ca_file: Option<PathBuf>,
    /// The SHA-256 fingerprint of the SMTP server's certificate; again for each further one
    #[arg(long, value_name = "FINGERPRINT", value_parser = fingerprint)]
    pub(in crate::cli) smtp_pin: Vec<String>,
    /// The same authorities for both servers
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["imap_ca_file", "smtp_ca_file", "imap_pin", "smtp_pin"]
    )]
    pub(in crate::cli) ca_file: Option<PathBuf>,
    /// The proxy to both servers: http://host:port, socks5://host:port, direct, or process for the daemon's own setting
    #[arg(long, value_name = "URL|direct|process", value_parser = proxy)]
    pub(in crate::cli) proxy: Option<String>,
    /// A file with the proxy's URL, where it has a password in it; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "proxy")]
    pub(in crate::cli) proxy_file: Option<PathBuf>,
}

/// A fingerprint as the API shows it.
fn fingerprint(text: &str) -> Result<String, String> {
    Fingerprint::parse(text)
        .map(|pin| pin.to_string())
        .ok_or_else(|| {
            "use 64 hexadecimal digits, with colons or without (openssl x509 -fingerprint -sha256)"
                .to_owned()
        })
}

/// A proxy without a password: the command line is seen by everybody on this machine.
pub(super) fn proxy(text: &str) -> Result<String, String> {
    if text.eq_ignore_ascii_case("process") {
        return Ok("process".to_owned());
    }
    match ProxyChoice::parse(text) {
        Ok(ProxyChoice::Through(proxy)) if proxy.login().is_some() => Err(
            "has a login in it, which everybody on this machine could see: use --proxy-file"
                .to_owned(),
        ),
        Ok(choice) => Ok(choice.shown().unwrap_or_default()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whose servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum MailService {
    /// Exchange Online
    Outlook365,
    /// Gmail and Google Workspace
    Gmail,
    /// Yahoo Mail
    Yahoo,
    /// Outlook.com and Hotmail
    Hotmail,
    /// Any other; needs the hosts
    Custom,
}

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum TlsWord {
    /// From the first byte
    Tls,
    /// After STARTTLS, which is then mandatory
    Starttls,
}

/// How a certificate is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum VerifyWord {
    /// Chain and name are checked against this machine's authorities
    Full,
    /// Chain and name are checked against the account's own authorities (--ca-file)
    Ca,
    /// It must be one of those whose fingerprints are given (--imap-pin, --smtp-pin)
    Pinned,
    /// Any certificate is taken: for tests only
    #[value(name = "accept_any")]
    AcceptAny,
}

/// Which mail of the past, as the API takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Backfill(pub(in crate::cli) String);

impl Backfill {
    /// A date or time only.
    pub(in crate::cli) fn since(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "none" | "all" => Err("use a date like 2026-01-31, or 2026-01-31T08:00:00Z".to_owned()),
            _ => Self::parse(text),
        }
    }

    /// `none`, `all`, a date (from its local midnight on), or a time as in RFC 3339.
    pub(in crate::cli) fn parse(text: &str) -> Result<Self, String> {
        use chrono::{DateTime, Local, NaiveDate, NaiveTime, SecondsFormat};
        let word = text.trim().to_ascii_lowercase();
        if matches!(word.as_str(), "none" | "all") {
            return Ok(Self(word));
        }
        let time = DateTime::parse_from_rfc3339(text.trim()).ok().or_else(|| {
            let date = NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").ok()?;
            let midnight = date.and_time(NaiveTime::MIN).and_local_timezone(Local);
            Some(midnight.earliest()?.fixed_offset())
        });
        time.map(|time| Self(time.to_utc().to_rfc3339_opts(SecondsFormat::Secs, true)))
            .ok_or_else(|| {
                "use none, all, a date like 2026-01-31, or 2026-01-31T08:00:00Z".to_owned()
            })
    }
}
