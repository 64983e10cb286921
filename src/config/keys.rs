//! The one table of keys: everything else (loading, the documented env file, the reload's report) goes by it.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::Config;
use super::parse::{self, Wrong, show_duration, show_size};
use crate::{logs, model::Proxy};

/// One key.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What it does, for the documented env file.
    pub(super) about: &'static [&'static str],
    /// What may be given, for the env file and for mistakes.
    pub(super) allowed: &'static str,
    /// A running daemon takes a change over at a reload.
    pub(super) live: bool,
    /// Its value is never shown.
    pub(super) secret: bool,
    /// Reads a value into its field.
    pub(super) set: fn(&mut Config, &str) -> Result<(), Wrong>,
    /// The field as a value that `set` reads.
    pub(super) text: fn(&Config) -> String,
}

impl Key {
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }
}

fn proxy_text(proxy: Option<&Proxy>) -> String {
    proxy
        .map(|proxy| proxy.url().expose_secret().to_owned())
        .unwrap_or_default()
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// A key with a table's usual answers: not secret, a restart.
macro_rules! key {
    ($name:literal, [$($about:literal),+], $allowed:literal, $set:expr, $text:expr $(, $flag:ident)*) => {
        Key {
            name: $name,
            about: &[$($about),+],
            allowed: $allowed,
            set: $set,
            text: $text,
            $($flag: true,)*
            ..PLAIN
        }
    };
}

const PLAIN: Key = Key {
    name: "",
    about: &[],
    allowed: "",
    live: false,
    secret: false,
    set: |_, _| Ok(()),
    text: |_| String::new(),
};

pub(super) const KEYS: &[Key] = &[
    key!(
        "XC_DEBUG_LEVEL",
        ["How much is logged. `motion-email log-level LEVEL` changes it until the next start."],
        "ERROR, WARN, INFO, DEBUG or TRACE, in any case",
        |config, text| {
            config.level = logs::Level::parse(text).ok_or("is not a level")?;
            Ok(())
        },
        |config| config.level.to_string(),
        live
    ),
    key!(
        "XC_EMAIL_LOG_DIR",
        [
            "Where email-combined.YYYY-MM-DD.log and email-error.YYYY-MM-DD.log are written, named by the local date.",
            "Made if absent; shared with the other services of the Motion server."
        ],
        "an absolute path",
        |config, text| parse::path(text).map(|path| config.log_dir = path),
        |config| config.log_dir.display().to_string()
    ),
    key!(
        "XC_EMAIL_LOG_KEEP_DAYS",
        ["Log files whose date is more than this many days back are removed."],
        "1 to 3650",
        |config, text| parse::number(text, 1, 3650).map(|days| config.log_keep_days = days),
        |config| config.log_keep_days.to_string()
    ),
    key!(
        "XC_EMAIL_LOG_FORMAT",
        [
            "text: [2026-11-23 13:41:01] [INFO] email - mailbox synced account=SUPP1 new=3; json: one object per line."
        ],
        "text or json",
        |config, text| {
            config.log_format = logs::Format::parse(text).ok_or("is not a log format")?;
            Ok(())
        },
        |config| config.log_format.as_str().to_owned()
    ),
    key!(
        "XC_EMAIL_DATA_DIR",
        ["Where the daemon keeps what it has to keep; the defaults of the next four lie in it."],
        "an absolute path",
        |config, text| parse::path(text).map(|path| config.data_dir = path),
        |config| config.data_dir.display().to_string()
    ),
    key!(
        "XC_EMAIL_DATABASE_URL",
        [
            "The database, of its own: sqlite:///path/to/file.db or mysql://user:password@host:3306/database (MariaDB, MySQL).",
            "Special characters of a password are written as %40 (@), %23 (#), %2F (/)."
        ],
        "a sqlite:// or mysql:// URL",
        |config, text| {
            parse::database_url(text).map(|url| config.database_url = SecretString::from(url))
        },
        |config| config.database_url.expose_secret().to_owned(),
        secret
    ),
    key!(
        "XC_EMAIL_DATABASE_URL_FILE",
        [
            "A file that holds the database URL, instead of the key above: the password is then in no env file."
        ],
        "an absolute path, or nothing",
        |config, text| {
            config.database_url_file = match text {
                "" => None,
                path => Some(parse::path(path)?),
            };
            Ok(())
        },
        |config| {
            let file = config.database_url_file.as_ref();
            file.map(|path| path.display().to_string())
                .unwrap_or_default()
        }
    ),
    key!(
        "XC_EMAIL_BLOB_URL",
        ["Where raw mail lies that is too large for a database row."],
        "an absolute path or a file:/// URL",
        |config, text| parse::blob_url(text).map(|url| config.blob_url = url),
        |config| config.blob_url.to_string()
    ),
    key!(
        "XC_EMAIL_KEY_FILE",
        [
            "The key that encrypts passwords and tokens in the database; made at the first start, mode 0600.",
            "Back it up apart from the database: without it every account has to sign in again."
        ],
        "an absolute path",
        |config, text| parse::path(text).map(|path| config.key_file = path),
        |config| config.key_file.display().to_string()
    ),
    key!(
        "XC_EMAIL_LISTEN",
        ["Where the HTTP API listens, for the Motion server's reverse proxy."],
        "an IP address with a port, like 127.0.0.1:9380 or [::1]:9380",
        |config, text| parse::address(text).map(|address| config.listen = address),
        |config| config.listen.to_string()
    ),
    key!(
        "XC_EMAIL_SOCKET",
        ["The Unix socket that the command line talks to; root and the daemon's group may use it."],
        "an absolute path of at most 107 bytes",
        |config, text| parse::socket(text).map(|path| config.socket = path),
        |config| config.socket.display().to_string()
    ),
    key!(
        "XC_EMAIL_PUBLIC_URL",
        [
            "The Motion server as browsers see it, like https://motion.example.com. New cloud providers get their redirect URI",
            "from it: PUBLIC_URL/api/cloudProviders/oauth2/microsoft/callback (and /google/callback)."
        ],
        "an http:// or https:// URL without query, or nothing",
        |config, text| parse::public_url(text).map(|url| config.public_url = url),
        |config| {
            let url = config.public_url.as_ref();
            url.map(|url| url.as_str().trim_end_matches('/').to_owned())
                .unwrap_or_default()
        }
    ),
    key!(
        "XC_EMAIL_BASE_PATH",
        ["The path under which the reverse proxy forwards the API, where it is not the root."],
        "a path like /email-service, or nothing",
        |config, text| parse::base_path(text).map(|path| config.base_path = path),
        |config| config.base_path.clone()
    ),
    key!(
        "XC_EMAIL_NODE_NAME",
        ["This daemon's name among those that share a database; the default is the host's name."],
        "1 to 64 letters, digits, dots, hyphens, underscores; different on each node",
        |config, text| parse::node_name(text).map(|name| config.node_name = name),
        |config| config.node_name.clone()
    ),
    key!(
        "XC_EMAIL_HTTPS_PROXY",
        [
            "The proxy for requests to Microsoft's and Google's identity platforms.",
            "Special characters of a password are written as %40 (@), %23 (#), %2F (/). A SOCKS 5 proxy resolves the names itself."
        ],
        "http://host:port, socks5://host:port, either with user:password@ before the host, or nothing",
        |config, text| parse::proxy(text).map(|proxy| config.https_proxy = proxy),
        |config| proxy_text(config.https_proxy.as_ref()),
        secret
    ),
    key!(
        "XC_EMAIL_MAIL_PROXY",
        [
            "The proxy for IMAP and SMTP servers; an account may name its own, or none. HTTP proxies have to allow CONNECT to the",
            "mail ports (993, 465, 587). The proxy resolves the servers' names."
        ],
        "http://host:port, socks5://host:port, either with user:password@ before the host, or nothing",
        |config, text| parse::proxy(text).map(|proxy| config.mail_proxy = proxy),
        |config| proxy_text(config.mail_proxy.as_ref()),
        secret
    ),
    key!(
        "XC_EMAIL_NO_PROXY",
        [
            "Hosts that the two proxies above are not used for; a domain stands for all below it. This machine itself never is.",
            "An account's own proxy is used for every host."
        ],
        "host names, domains, addresses and networks (10.0.0.0/8) between commas, or nothing",
        |config, text| parse::exceptions(text).map(|hosts| config.no_proxy = hosts),
        |config| config.no_proxy.join(",")
    ),
    key!(
        "XC_EMAIL_ALLOW_HOSTS",
        [
            "Mail hosts on this machine itself or on its link (127.0.0.1, localhost, 169.254.…), which are refused otherwise."
        ],
        "host names and addresses between commas, or nothing",
        |config, text| parse::hosts(text).map(|hosts| config.allow_hosts = hosts),
        |config| config.allow_hosts.join(",")
    ),
    key!(
        "XC_EMAIL_CA_FILE",
        [
            "The certificate authorities that mail servers and identity platforms are checked against (PEM)."
        ],
        "an absolute path",
        |config, text| parse::path(text).map(|path| config.ca_file = path),
        |config| config.ca_file.display().to_string()
    ),
    key!(
        "XC_EMAIL_IDLE_REISSUE",
        ["How long a connection waits for the server to announce mail before it looks by itself."],
        "1s to 29m (seconds, or with ms, s, m, h, d)",
        |config, text| {
            parse::duration(text, SECOND, 29 * MINUTE).map(|time| config.idle_reissue = time)
        },
        |config| show_duration(config.idle_reissue)
    ),
    key!(
        "XC_EMAIL_AUDIT_INTERVAL",
        [
            "How often each folder is compared with the server as a whole; the newest messages are on every",
            "connection."
        ],
        "1m to 30d",
        |config, text| {
            parse::duration(text, MINUTE, 30 * 24 * HOUR).map(|time| config.audit_interval = time)
        },
        |config| show_duration(config.audit_interval)
    ),
    key!(
        "XC_EMAIL_WATCHED_FOLDERS",
        [
            "Folders of an account, beside its first, that are watched on a connection of their own; further ones",
            "are visited in turn. Providers bound the connections of a mailbox."
        ],
        "0 to 10",
        |config, text| parse::number(text, 0, 10).map(|count| config.watched_folders = count),
        |config| config.watched_folders.to_string()
    ),
    key!(
        "XC_EMAIL_POLL_INTERVAL",
        ["How often a server is asked that cannot announce mail."],
        "1s to 1h",
        |config, text| parse::duration(text, SECOND, HOUR).map(|time| config.poll_interval = time),
        |config| show_duration(config.poll_interval)
    ),
    key!(
        "XC_EMAIL_IMAP_CONNECTIONS",
        [
            "IMAP connections that one login may have at the same time, all its accounts and folders together. Gmail allows 15,",
            "Exchange 16 to 20, Dovecot 10 by default, and all of them count those of the person's own programs, too."
        ],
        "1 to 100",
        |config, text| parse::number(text, 1, 100).map(|count| config.imap_connections = count),
        |config| config.imap_connections.to_string()
    ),
    key!(
        "XC_EMAIL_SMTP_CONNECTIONS",
        ["SMTP connections that one login may have at the same time. Exchange Online allows 3."],
        "1 to 100",
        |config, text| parse::number(text, 1, 100).map(|count| config.smtp_connections = count),
        |config| config.smtp_connections.to_string()
    ),
    key!(
        "XC_EMAIL_HOST_OPENINGS",
        [
            "Connections to one server that are opened at the same time, at most. Fewer are while it has not shown what it bears,",
            "and after it refused some or was slow."
        ],
        "1 to 1000",
        |config, text| parse::number(text, 1, 1000).map(|count| config.host_openings = count),
        |config| config.host_openings.to_string()
    ),
    key!(
        "XC_EMAIL_RETRY_FIRST",
        ["How long a message waits after its first failed attempt; each further wait is longer."],
        "1s to 1h, not more than XC_EMAIL_RETRY_CAP",
        |config, text| parse::duration(text, SECOND, HOUR).map(|time| config.retry_first = time),
        |config| show_duration(config.retry_first)
    ),
    key!(
        "XC_EMAIL_RETRY_CAP",
        ["The longest wait between two attempts of a message."],
        "1s to 1d",
        |config, text| parse::duration(text, SECOND, DAY).map(|time| config.retry_cap = time),
        |config| show_duration(config.retry_cap)
    ),
    key!(
        "XC_EMAIL_EXPIRE_AFTER",
        ["A message that could not be delivered for this long has failed."],
        "1m to 30d",
        |config, text| {
            parse::duration(text, MINUTE, 30 * DAY).map(|time| config.expire_after = time)
        },
        |config| show_duration(config.expire_after)
    ),
    key!(
        "XC_EMAIL_PARKED_RETRY",
        ["How often an account that waits for an operator is tried again by itself."],
        "1s to 1d",
        |config, text| parse::duration(text, SECOND, DAY).map(|time| config.parked_retry = time),
        |config| show_duration(config.parked_retry)
    ),
    key!(
        "XC_EMAIL_SMTP_PROOF_INTERVAL",
        [
            "How often an account that has nothing to send logs in to its outgoing server all the same, so that a changed password",
            "or a withdrawn right is known before somebody answers a customer."
        ],
        "1s to 7d",
        |config, text| {
            parse::duration(text, SECOND, 7 * DAY).map(|time| config.smtp_proof_interval = time)
        },
        |config| show_duration(config.smtp_proof_interval)
    ),
    key!(
        "XC_EMAIL_CONTACT_NOTICE_AFTER",
        [
            "A mailbox whose server has not answered for this long is noticed: in status, log and events. It never takes less",
            "than twice the time between two looks (XC_EMAIL_IDLE_REISSUE, XC_EMAIL_POLL_INTERVAL). For the outgoing server",
            "XC_EMAIL_SMTP_PROOF_INTERVAL is added."
        ],
        "1s to 7d; XC_EMAIL_CONTACT_WARN_AFTER where that is less",
        |config, text| {
            parse::duration(text, SECOND, 7 * DAY).map(|time| config.contact_notice_after = time)
        },
        |config| show_duration(config.contact_notice_after)
    ),
    key!(
        "XC_EMAIL_CONTACT_WARN_AFTER",
        [
            "And after this long it is warned about; for the outgoing server XC_EMAIL_SMTP_PROOF_INTERVAL is added."
        ],
        "1s to 7d",
        |config, text| {
            parse::duration(text, SECOND, 7 * DAY).map(|time| config.contact_warn_after = time)
        },
        |config| show_duration(config.contact_warn_after)
    ),
    key!(
        "XC_EMAIL_DRAIN",
        [
            "How long a stopping daemon waits for what it is doing. The unit's TimeoutStopSec= has to be longer."
        ],
        "1s to 10m",
        |config, text| parse::duration(text, SECOND, 10 * MINUTE).map(|time| config.drain = time),
        |config| show_duration(config.drain)
    ),
    key!(
        "XC_EMAIL_LOOP_WINDOW",
        [
            "Two programs that answer each other are stopped: mail of one sender in one conversation is counted for so long, and",
            "what exceeds the next two numbers is held: stored and shown, but no automation is told until a person releases it."
        ],
        "1m to 1d",
        |config, text| {
            parse::duration(text, MINUTE, DAY).map(|time| config.meaning.loop_window = time)
        },
        |config| show_duration(config.meaning.loop_window)
    ),
    key!(
        "XC_EMAIL_LOOP_AUTOMATIC",
        [
            "So many answers of a program (absence notes, acknowledgements) are let through within that time."
        ],
        "0 to 1000; 0: any number",
        |config, text| {
            parse::number(text, 0, 1000).map(|count| config.meaning.loop_automatic = count)
        },
        |config| config.meaning.loop_automatic.to_string()
    ),
    key!(
        "XC_EMAIL_LOOP_REPEATED",
        ["And so many mails with the same subject, whoever wrote them."],
        "0 to 1000; 0: any number",
        |config, text| {
            parse::number(text, 0, 1000).map(|count| config.meaning.loop_repeated = count)
        },
        |config| config.meaning.loop_repeated.to_string()
    ),
    key!(
        "XC_EMAIL_STORM_PER_MINUTE",
        [
            "So many automatic mails of one sender are let through in a minute; the ones above are held."
        ],
        "0 to 100000; 0: any number",
        |config, text| {
            parse::number(text, 0, 100_000).map(|count| config.meaning.storm_per_minute = count)
        },
        |config| config.meaning.storm_per_minute.to_string()
    ),
    key!(
        "XC_EMAIL_SUBJECT_WINDOW",
        [
            "An answer whose mail program names nothing that it answers finds its conversation by subject and sender, if",
            "anything came in it for so long; 0s: never."
        ],
        "0s to 365d",
        |config, text| {
            parse::duration(text, Duration::ZERO, 365 * DAY)
                .map(|time| config.meaning.subject_window = time)
        },
        |config| show_duration(config.meaning.subject_window)
    ),
    key!(
        "XC_EMAIL_MAX_MESSAGE_SIZE",
        [
            "Larger incoming mail is set aside: headers and a reason here, the mail still on the server."
        ],
        "1MiB to 2GiB (bytes, or with KiB, MiB, GiB)",
        |config, text| {
            parse::size(text, 1 << 20, 2 << 30).map(|bytes| config.max_message_size = bytes)
        },
        |config| show_size(config.max_message_size)
    ),
];
