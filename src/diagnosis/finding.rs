//! What an examination finds that no peer said in words: a missing right, a clock that is wrong, a disk that
//! is full. In words for people.

use super::{Context, Diagnosis, explain::quote, warning::check_again};
use crate::model::FailureClass;

/// A right that a mailbox or the person who signed in needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Right {
    /// To open a mailbox that is not the signed-in person's own.
    FullAccess,
    /// To send as an address that is not the signed-in person's own.
    SendAs,
    /// To log in by SMTP.
    SmtpAuth,
    /// To use IMAP at all.
    ImapEnabled,
    /// The permissions of the application, agreed to.
    Consent,
}

impl Right {
    /// All of them, in the order in which they are needed.
    pub const ALL: [Self; 5] = [
        Self::Consent,
        Self::ImapEnabled,
        Self::FullAccess,
        Self::SmtpAuth,
        Self::SendAs,
    ];

    /// The provider's own name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FullAccess => "FullAccess",
            Self::SendAs => "SendAs",
            Self::SmtpAuth => "SMTP AUTH",
            Self::ImapEnabled => "IMAP enabled",
            Self::Consent => "consent",
        }
    }
}

/// Something found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A right is missing, by what the server said (its words) or by what was granted (names).
    RightMissing {
        /// The right that is most likely missing.
        right: Right,
        /// The peer's words, or the names of what is missing.
        said: String,
    },
    /// Somebody else than the expected user signed in. May be right: a user name often differs from the address.
    OtherIdentity {
        /// Who signed in.
        signed_in: String,
        /// Who was expected to.
        expected: String,
    },
    /// A server's certificate ends soon.
    CertificateEnds {
        /// Days left.
        days: i64,
    },
    /// The account takes any certificate.
    CertificateUnchecked,
    /// This machine's clock differs from the identity platform's.
    ClockSkew {
        /// Ours minus theirs.
        seconds: i64,
        /// Whether sign-ins fail for it.
        grave: bool,
    },
    /// A disk has little room.
    DiskLow {
        /// The directory.
        path: String,
        /// Octets free to us.
        free: u64,
        /// Files that can still be made.
        files: u64,
        /// Whether writing fails already or is about to.
        grave: bool,
    },
    /// A directory's room cannot be asked for; in the system's words.
    DiskUnknown {
        /// The directory.
        path: String,
        /// The system's words.
        said: String,
    },
    /// A provider's redirect URI leads elsewhere than to this service.
    RedirectElsewhere {
        /// The provider's name.
        provider: String,
        /// Its redirect URI.
        redirect: String,
        /// What is wrong with it, as the end of a sentence that begins with "it".
        wrong: &'static str,
    },
    /// No folder is marked as the place of sent mail.
    NoSentFolder,
    /// Mail waits for long.
    QueueOld {
        /// For how long, in seconds.
        seconds: u64,
    },
    /// Copies wait for a person's word.
    QueueNeedsPerson {
        /// How many.
        copies: i64,
    },
    /// An administrator has paused the account.
    Paused,
    /// No task works for the account on this node.
    NotRunning,
    /// A check took too long and was given up.
    TooSlow {
        /// Its limit in seconds.
        seconds: u64,
    },
}

impl Finding {
    /// What was found, why it matters and the next step. Pure.
    pub fn explain(&self, context: &Context) -> Diagnosis {
        let (code, what, why, next) = self.words(context);
        let class = match self {
            Self::TooSlow { .. } | Self::NotRunning | Self::QueueOld { .. } => {
                FailureClass::RetryLater
            }
            _ => FailureClass::OperatorMustAct,
        };
        Diagnosis {
            code,
            what,
            why,
            next,
            class,
            action: class.into(),
        }
    }

    fn words(&self, context: &Context) -> (&'static str, String, String, String) {
        let user = context.user.as_deref().unwrap_or("the user");
        let mailbox = context.mailbox.as_deref().unwrap_or("the mailbox");
        let server = context.server.as_deref().unwrap_or("the server");
        let key = context.account.as_deref().unwrap_or("KEY");
        let provider_id = context.provider.as_deref().unwrap_or("ID");
        match self {
            Self::RightMissing { right, said } => {
                right_words(*right, said, user, mailbox, provider_id)
            }
            Self::OtherIdentity {
                signed_in,
                expected,
            } => (
                "signed_in_as_other",
                format!("{signed_in} signed in, {expected} is what the account names."),
                "That is right where a user name differs from the address, and wrong where the browser was signed in as \
                 somebody else."
                    .to_owned(),
                format!(
                    "If {signed_in} is the same person or the intended delegate, enter that name in the account; \
                     otherwise sign in again as {expected} (motion-email provider authenticate {provider_id})."
                ),
            ),
            Self::CertificateEnds { days } => (
                "tls_ends_soon",
                format!("The certificate of {server} ends in {days} days."),
                "After that day the server is refused and mail stops.".to_owned(),
                "Its owner has to renew it before; nothing is to be done here.".to_owned(),
            ),
            Self::CertificateUnchecked => (
                "tls_accept_any",
                format!("The account takes any certificate of {server}."),
                "Whoever stands between this machine and the server can read the mail and the login.".to_owned(),
                check_again(key),
            ),
            Self::ClockSkew { seconds, grave } => (
                "clock_wrong",
                format!(
                    "This machine's clock is {} {} the identity platform's.",
                    span(seconds.unsigned_abs()),
                    if *seconds < 0 { "behind" } else { "ahead of" }
                ),
                if *grave {
                    "Sign-ins and client certificates are refused when the clocks differ by five minutes, and certificates \
                     are judged by the wrong day."
                } else {
                    "From five minutes on, sign-ins are refused."
                }
                .to_owned(),
                "Let the machine set its clock by itself: timedatectl set-ntp true; timedatectl timesync-status shows how \
                 it goes."
                    .to_owned(),
            ),
            Self::DiskLow { path, free, files, grave } => (
                if *grave { "disk_full" } else { "disk_low" },
                format!(
                    "The disk of {path} has room for {} MiB and {files} files.",
                    free >> 20
                ),
                "Without room no mail is taken in and no log line is written; mail stays on the server meanwhile.".to_owned(),
                format!("Make room, or move the directory to a larger disk: df -h {path}; df -i {path}"),
            ),
            Self::DiskUnknown { path, said } => (
                "disk_unknown",
                format!("The room of {path} cannot be asked for."),
                format!("The system says: {}", quote(said)),
                "Check that the directory is there and that the service's user may enter it.".to_owned(),
            ),
            Self::RedirectElsewhere { provider, redirect, wrong } => (
                "redirect_elsewhere",
                format!("The redirect URI of cloud provider {provider} is {redirect}: it {wrong}."),
                "A person who signs in is sent there, and the sign-in is not finished.".to_owned(),
                "Set the provider's redirect URI to the address at which browsers reach this service, and register the same \
                 one with the platform; XC_EMAIL_PUBLIC_URL is the beginning of it."
                    .to_owned(),
            ),
            Self::NoSentFolder => (
                "no_sent_folder",
                format!("No folder of {mailbox} is marked as the place of sent mail."),
                "The server gives no folder the attribute \\Sent, so that nobody can say where a copy of sent mail would be."
                    .to_owned(),
                "Nothing has to be done for sending; if copies are wanted in the mailbox, mark a folder on the server."
                    .to_owned(),
            ),
            Self::QueueOld { seconds } => (
                "queue_old",
                format!("The oldest mail in the queue waits for {}.", span(*seconds)),
                "It was refused for now, or the account cannot send at the moment.".to_owned(),
                "Look at it: motion-email outbox list --state deferred. It is tried again by itself.".to_owned(),
            ),
            Self::QueueNeedsPerson { copies } => (
                "queue_in_doubt",
                format!("{copies} copies may or may not have been delivered."),
                "The server vanished between the end of the mail and its answer.".to_owned(),
                "Ask a recipient, or look into the mailbox's folder of sent mail: motion-email outbox list --state in_doubt"
                    .to_owned(),
            ),
            Self::Paused => (
                "account_paused",
                "The account is paused.".to_owned(),
                "An administrator paused it; it neither takes nor sends mail.".to_owned(),
                format!("motion-email account resume {key}"),
            ),
            Self::NotRunning => (
                "account_not_running",
                "No task works for the account on this node.".to_owned(),
                "It was just added, another node works for it, its row cannot be used, or the database takes no commits.".to_owned(),
                "Wait a few seconds and look at motion-email status; on a cluster ask the other node.".to_owned(),
            ),
            Self::TooSlow { seconds } => (
                "check_too_slow",
                format!("The check was given up after {seconds} seconds."),
                format!("{server} answers, but far too slowly, or keeps the line open without an answer."),
                "Try again; if it stays so, ask the provider or look at the network between (a firewall that inspects mail \
                 does this)."
                    .to_owned(),
            ),
        }
    }
}

fn right_words(
    right: Right,
    said: &str,
    user: &str,
    mailbox: &str,
    provider_id: &str,
) -> (&'static str, String, String, String) {
    let said = quote(said);
    match right {
        Right::FullAccess => (
            "right_missing_full_access",
            format!("{user} may not open the mailbox {mailbox}: Full Access is missing, or IMAP is switched off for it."),
            format!("The token is good and the server refuses the mailbox: {said}"),
            format!(
                "An Exchange administrator runs: Add-MailboxPermission -Identity {mailbox} -User {user} -AccessRights \
                 FullAccess; and checks IMAP: Set-CASMailbox -Identity {mailbox} -ImapEnabled $true. Both take up to an \
                 hour. Check the spelling of the mailbox in the account too."
            ),
        ),
        Right::ImapEnabled => (
            "right_missing_imap",
            format!("The mailbox {mailbox} cannot be opened by IMAP though the login is good."),
            format!("IMAP is switched off for it, it has no licence, or too many clients are connected: {said}"),
            format!(
                "An Exchange administrator runs: Set-CASMailbox -Identity {mailbox} -ImapEnabled $true; and checks that it \
                 has an Exchange Online licence. A change takes up to an hour."
            ),
        ),
        Right::SmtpAuth => (
            "right_missing_smtp_auth",
            format!("{user} may not log in by SMTP: SMTP AUTH is switched off."),
            format!("The server says: {said}"),
            format!(
                "An Exchange administrator runs: Set-CASMailbox -Identity {user} -SmtpClientAuthenticationDisabled $false \
                 (it overrides the tenant's switch). A change takes up to an hour."
            ),
        ),
        Right::SendAs => (
            "right_missing_send_as",
            format!("{user} may not send as {mailbox}: Send As is missing."),
            format!("The server said: {said}"),
            format!(
                "An Exchange administrator runs: Add-RecipientPermission -Identity {mailbox} -Trustee {user} -AccessRights \
                 SendAs. Full Access does not include it. A change takes up to an hour."
            ),
        ),
        Right::Consent => (
            "right_missing_consent",
            format!("Permissions are missing in the grant: {said}."),
            "They are not among the application's API permissions, or nobody with the right to do so has agreed to them."
                .to_owned(),
            format!(
                "In the Entra admin centre add them to the application (API permissions, Office 365 Exchange Online, delegated), \
                 press Grant admin consent, and sign in again (motion-email provider authenticate {provider_id})."
            ),
        ),
    }
}

/// A time as people say it.
fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} seconds"),
        120..=7199 => format!("{} minutes", seconds / 60),
        7200..=172_799 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_finding_has_a_code_of_its_own_and_a_next_step_that_names_whom_it_is_about() {
        let context = Context {
            user: Some("andrea@lab.test".to_owned()),
            mailbox: Some("developers@lab.test".to_owned()),
            server: Some("imap.lab.test:993".to_owned()),
            account: Some("DEV".to_owned()),
            provider: Some("7".to_owned()),
            ..Context::default()
        };
        let mut codes = BTreeSet::new();
        for right in Right::ALL {
            let said = "BAD\r\nno\u{1b}".to_owned();
            let shown = Finding::RightMissing { right, said }.explain(&context);
            assert!(codes.insert(shown.code), "{}", shown.code);
            let all = format!("{}{}{}", shown.what, shown.why, shown.next);
            assert!(!all.chars().any(char::is_control), "{all}");
            let person = all.contains("andrea@lab.test") || all.contains("developers@lab.test");
            assert_eq!(person, right != Right::Consent, "{all}");
            assert_eq!(shown.class, FailureClass::OperatorMustAct);
        }
        for finding in [
            Finding::ClockSkew {
                seconds: -301,
                grave: true,
            },
            Finding::DiskLow {
                path: "/x".to_owned(),
                free: 5 << 20,
                files: 9,
                grave: false,
            },
            Finding::CertificateEnds { days: 13 },
            Finding::CertificateUnchecked,
            Finding::NoSentFolder,
            Finding::QueueOld { seconds: 90_000 },
            Finding::QueueNeedsPerson { copies: 2 },
            Finding::Paused,
            Finding::NotRunning,
            Finding::TooSlow { seconds: 45 },
        ] {
            let shown = finding.explain(&context);
            assert!(codes.insert(shown.code), "{}", shown.code);
            assert!(!shown.next.is_empty() && !shown.why.is_empty());
            // A command can be typed as it stands.
            assert!(!shown.next.contains("KEY"), "{}", shown.next);
        }
        let other = Finding::OtherIdentity {
            signed_in: "a".to_owned(),
            expected: "b".to_owned(),
        };
        let (right, said) = (Right::Consent, String::new());
        for finding in [other, Finding::RightMissing { right, said }] {
            let next = finding.explain(&context).next;
            assert!(next.contains("provider authenticate 7"), "{next}");
        }
        let behind = Finding::ClockSkew {
            seconds: -301,
            grave: true,
        }
        .explain(&context);
        assert!(behind.what.contains("5 minutes behind"), "{}", behind.what);
    }
}
