//! What an examination says.

use std::time::Duration;

use super::Rights;
use crate::{diagnosis::Diagnosis, model::AccountId};

/// How a check went. Ordered from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Not done, because it depends on one that failed, or does not apply now.
    Skipped,
    /// Well.
    Ok,
    /// Works, and somebody should look at it.
    Warning,
    /// Does not work.
    Failed,
}

impl Verdict {
    /// The shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

macro_rules! items {
    ($($(#[$about:meta])* $name:ident $id:literal $title:literal;)*) => {
        /// What is checked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Item {
            $($(#[$about])* $name,)*
        }

        impl Item {
            /// The stable word for programs.
            pub fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// For people.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

items! {
    /// The database answers and takes commits.
    Database "database" "Database";
    /// Room of one directory.
    Disk "disk" "Disk";
    /// Our clock against the identity platform's.
    Clock "clock" "Clock";
    /// Trusted certificates.
    Roots "tls_roots" "Trusted certificates";
    /// Redirect URIs of the providers.
    Redirect "redirect_uri" "Redirect URI";
    /// The incoming server's name.
    ImapName "imap_name" "IMAP server's name";
    /// The outgoing server's name.
    SmtpName "smtp_name" "SMTP server's name";
    /// Somebody has signed in and the platform has not taken it back.
    Grant "grant" "Sign-in";
    /// Who signed in.
    Identity "identity" "Signed-in user";
    /// A good access token.
    Token "token" "Access token";
    /// What was granted.
    Scopes "scopes" "Permissions granted";
    /// The incoming server is reached and greets.
    ImapConnect "imap_connect" "IMAP connection";
    /// Version and certificate of the incoming server.
    ImapTls "imap_tls" "IMAP certificate";
    /// The login of the incoming server.
    ImapLogin "imap_login" "IMAP login";
    /// The mailbox opens.
    Mailbox "imap_mailbox" "Mailbox";
    /// What the incoming server can do.
    Capabilities "imap_capabilities" "IMAP abilities";
    /// Where sent mail is filed.
    Sent "sent_folder" "Sent folder";
    /// The outgoing server is reached and greets.
    SmtpConnect "smtp_connect" "SMTP connection";
    /// Version and certificate of the outgoing server.
    SmtpTls "smtp_tls" "SMTP certificate";
    /// The login of the outgoing server.
    SmtpLogin "smtp_login" "SMTP login";
    /// The address may be sent from.
    SendAs "send_as" "Sender address";
    /// What the inbound lane says of itself.
    Inbound "inbound_lane" "Taking mail in";
    /// What the outbound lane says of itself.
    Outbound "outbound_lane" "Sending mail";
    /// What waits.
    Queue "queue" "Queue";
}

/// One check and its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was checked.
    pub item: Item,
    /// How it went.
    pub verdict: Verdict,
    /// What was seen, one line; may hold a peer's words, never a secret.
    pub detail: String,
    /// For warnings and failures: what, why and what next.
    pub diagnosis: Option<Diagnosis>,
    /// How long it took.
    pub took: Duration,
}

/// All checks of one account or of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Id and key of the account; `None`: the service itself.
    pub account: Option<(AccountId, String)>,
    /// In the order in which they were done.
    pub checks: Vec<Check>,
    /// Where each right stands, with Modern Authentication.
    pub rights: Option<Rights>,
}

impl Report {
    /// The worst verdict; a report in which everything was skipped is not well.
    pub fn verdict(&self) -> Verdict {
        let worst = self.checks.iter().map(|check| check.verdict).max();
        worst.unwrap_or(Verdict::Skipped)
    }

    /// The first failed check: the cause of those that were skipped behind it.
    pub fn cause(&self) -> Option<&Check> {
        self.checks
            .iter()
            .find(|check| check.verdict == Verdict::Failed)
    }
}
