//! Which right is missing, judged from what the servers said. Pure.

use crate::{diagnosis::Right, imap::quirks};

/// Where one right stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Seen to work.
    Proven,
    /// A server said so.
    Missing,
    /// What a server said fits this and something else.
    Suspected,
    /// Nothing speaks against it, and only sending a mail would show it.
    NotProven,
    /// The account does not need it.
    NotNeeded,
    /// Not reached: something before it failed.
    NotTested,
}

impl Standing {
    /// The shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Missing => "missing",
            Self::Suspected => "suspected",
            Self::NotProven => "not_proven",
            Self::NotNeeded => "not_needed",
            Self::NotTested => "not_tested",
        }
    }
}

/// All rights of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// To open the mailbox of somebody else.
    pub full_access: Standing,
    /// To send as somebody else.
    pub send_as: Standing,
    /// To log in by SMTP.
    pub smtp_auth: Standing,
    /// To use IMAP.
    pub imap_enabled: Standing,
    /// The application's permissions.
    pub consent: Standing,
}

/// How far IMAP came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    NotTried,
    /// The mailbox is open.
    Opened,
    /// The login was refused with a good token; the server's words.
    LoginRefused(String),
    /// The login was taken and the mailbox was not opened; response code and words.
    OpenRefused(Option<String>, String),
}

/// How far SMTP came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outgoing {
    NotTried,
    /// The login was refused; code, enhanced code and words in one.
    LoginRefused(String),
    /// Logged in; what MAIL FROM was answered, where it was refused.
    LoggedIn {
        sender_refused: Option<String>,
    },
}

/// All that was seen.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    /// The mailbox is not the signed-in person's own.
    pub(super) shared: bool,
    /// A token was had; what the grant lacks.
    pub(super) scopes: Option<Vec<String>>,
    pub(super) incoming: Incoming,
    pub(super) outgoing: Outgoing,
    /// What servers last said about mails in the queue, and what the outbound lane says.
    pub(super) refusals: Vec<String>,
}

/// The right that IMAP's answer names, if any.
pub(super) fn of_imap(shared: bool, incoming: &Incoming) -> Option<Right> {
    let own = if shared {
        Right::FullAccess
    } else {
        Right::ImapEnabled
    };
    match incoming {
        Incoming::NotTried | Incoming::Opened => None,
        // An own mailbox may refuse a login for many reasons: the catalogue says which.
        Incoming::LoginRefused(_) => shared.then_some(Right::FullAccess),
        Incoming::OpenRefused(_, text) if quirks::is_not_connected(text) => Some(own),
        Incoming::OpenRefused(code, text) => {
            let said = text.to_ascii_lowercase();
            let denied = matches!(
                code.as_deref(),
                Some("NOPERM" | "NONEXISTENT" | "AUTHORIZATIONFAILED")
            ) || said.contains("permission denied")
                || said.contains("access denied");
            denied.then_some(own)
        }
    }
}

/// The right that a refused SMTP login names, and whether the server said so in so many words.
pub(super) fn of_smtp_login(text: &str) -> Option<(Right, Standing)> {
    let said = text.to_ascii_lowercase();
    if said.contains("smtpclientauthentication is disabled") {
        return Some((Right::SmtpAuth, Standing::Missing));
    }
    // Other causes that wear the same code have words of their own.
    let other = [
        "credentials were incorrect",
        "security defaults",
        "did not meet the criteria",
        "basic authentication is disabled",
        "sts service",
        "sts url",
    ];
    if said.contains("5.7.139") && !other.iter().any(|words| said.contains(words)) {
        return Some((Right::SmtpAuth, Standing::Missing));
    }
    said.contains("5.7.3 ")
        .then_some((Right::SmtpAuth, Standing::Suspected))
}

/// Whether these words say that Send As is missing.
pub(super) fn denies_send_as(text: &str) -> bool {
    let said = text.to_ascii_lowercase();
    [
        "5.7.60",
        "sendasdenied",
        "5.2.252",
        "not have permissions to send as",
        "not allowed to send as",
        "sender address rejected: not owned by user",
    ]
    .iter()
    .any(|words| said.contains(words))
}

/// Where each right stands.
pub(super) fn judge(evidence: &Evidence) -> Rights {
    let shared = evidence.shared;
    let (full_access, imap_enabled) = match &evidence.incoming {
        Incoming::NotTried => (Standing::NotTested, Standing::NotTested),
        Incoming::Opened => (Standing::Proven, Standing::Proven),
        refused @ (Incoming::LoginRefused(_) | Incoming::OpenRefused(..)) => {
            match of_imap(shared, refused) {
                Some(Right::FullAccess) if matches!(refused, Incoming::LoginRefused(_)) => {
                    (Standing::Suspected, Standing::Suspected)
                }
                Some(Right::FullAccess) => (Standing::Missing, Standing::Suspected),
                Some(_) => (Standing::NotTested, Standing::Missing),
                None => (Standing::NotTested, Standing::NotTested),
            }
        }
    };
    let (smtp_auth, sender_refused) = match &evidence.outgoing {
        Outgoing::NotTried => (Standing::NotTested, None),
        Outgoing::LoggedIn { sender_refused } => (Standing::Proven, sender_refused.as_deref()),
        Outgoing::LoginRefused(text) => (
            of_smtp_login(text).map_or(Standing::NotTested, |(_, standing)| standing),
            None,
        ),
    };
    let denied = sender_refused
        .into_iter()
        .chain(evidence.refusals.iter().map(String::as_str))
        .any(denies_send_as);
    Rights {
        full_access: needed(shared, full_access),
        send_as: match (denied, smtp_auth) {
            (true, _) => Standing::Missing,
            (false, _) if !shared => Standing::NotNeeded,
            (false, Standing::Proven) => Standing::NotProven,
            (false, _) => Standing::NotTested,
        },
        smtp_auth,
        imap_enabled,
        consent: match &evidence.scopes {
            None => Standing::NotTested,
            Some(missing) if missing.is_empty() => Standing::Proven,
            Some(_) => Standing::Missing,
        },
    }
}

fn needed(shared: bool, standing: Standing) -> Standing {
    if shared {
        standing
    } else {
        Standing::NotNeeded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(shared: bool, incoming: Incoming, outgoing: Outgoing) -> Evidence {
        Evidence {
            shared,
            scopes: Some(Vec::new()),
            incoming,
            outgoing,
            refusals: Vec::new(),
        }
    }

    #[test]
    fn imap_names_the_right_that_is_missing() {
        let not_connected = "User is authenticated but not connected.";
        let open = |code: Option<&str>, text: &str| {
            Incoming::OpenRefused(code.map(str::to_owned), text.to_owned())
        };
        let login = |text: &str| Incoming::LoginRefused(text.to_owned());
        for (shared, incoming, expected) in [
            (true, Incoming::Opened, None),
            (true, Incoming::NotTried, None),
            (true, open(None, not_connected), Some(Right::FullAccess)),
            (false, open(None, not_connected), Some(Right::ImapEnabled)),
            (true, open(Some("NOPERM"), "no"), Some(Right::FullAccess)),
            (
                true,
                open(Some("NONEXISTENT"), "no"),
                Some(Right::FullAccess),
            ),
            (
                true,
                open(None, "Permission denied"),
                Some(Right::FullAccess),
            ),
            (true, open(None, "Server Unavailable. 15"), None),
            (true, login("AUTHENTICATE failed."), Some(Right::FullAccess)),
            (false, login("AUTHENTICATE failed."), None),
        ] {
            assert_eq!(
                of_imap(shared, &incoming),
                expected,
                "{shared} {incoming:?}"
            );
        }
    }

    #[test]
    fn smtp_names_the_right_that_is_missing() {
        use Standing::{Missing, Suspected};
        for (text, expected) in [
            (
                "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information.",
                Some(Missing),
            ),
            (
                "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.",
                Some(Missing),
            ),
            ("535 5.7.139 Authentication unsuccessful", Some(Missing)),
            (
                "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy. Contact your administrator.",
                None,
            ),
            (
                "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator.",
                None,
            ),
            (
                "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.",
                None,
            ),
            (
                "535 5.7.3 Authentication unsuccessful [AM0PR01CA0001.eurprd01.prod.outlook.com]",
                Some(Suspected),
            ),
            ("535 5.7.8 Error: authentication failed:", None),
            ("535 5.7.30 something else", None),
        ] {
            let expected = expected.map(|standing| (Right::SmtpAuth, standing));
            assert_eq!(of_smtp_login(text), expected, "{text}");
        }
        for (text, expected) in [
            (
                "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
                true,
            ),
            (
                "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message",
                true,
            ),
            (
                "554 5.2.252 SendAsDenied; a@x not allowed to send as b@y; STOREDRV",
                true,
            ),
            (
                "553 5.7.1 <a@x>: Sender address rejected: not owned by user b@x",
                true,
            ),
            ("550 5.1.1 no such user", false),
            (
                "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException",
                false,
            ),
        ] {
            assert_eq!(denies_send_as(text), expected, "{text}");
        }
    }

    #[test]
    fn the_report_says_of_each_right_what_was_proven_and_what_was_not() {
        use Standing::{Missing, NotNeeded, NotProven, NotTested, Proven, Suspected};
        let logged_in = Outgoing::LoggedIn {
            sender_refused: None,
        };
        let not_connected =
            Incoming::OpenRefused(None, "User is authenticated but not connected.".to_owned());
        let check = |evidence: &Evidence, expected: [Standing; 5], what: &str| {
            let seen = judge(evidence);
            let seen = [
                seen.full_access,
                seen.send_as,
                seen.smtp_auth,
                seen.imap_enabled,
                seen.consent,
            ];
            assert_eq!(seen, expected, "{what}");
        };
        let well = evidence(true, Incoming::Opened, logged_in.clone());
        check(&well, [Proven, NotProven, Proven, Proven, Proven], "shared");
        let own = evidence(false, Incoming::Opened, logged_in.clone());
        check(&own, [NotNeeded, NotNeeded, Proven, Proven, Proven], "own");
        let closed = evidence(true, not_connected.clone(), logged_in.clone());
        check(
            &closed,
            [Missing, NotProven, Proven, Suspected, Proven],
            "closed",
        );
        let off = evidence(false, not_connected, logged_in.clone());
        check(
            &off,
            [NotNeeded, NotNeeded, Proven, Missing, Proven],
            "imap off",
        );
        let mut denied = well.clone();
        denied.refusals = vec!["550 5.7.60 Client does not have permissions".to_owned()];
        check(
            &denied,
            [Proven, Missing, Proven, Proven, Proven],
            "denied before",
        );
        let mut poor = evidence(true, Incoming::NotTried, Outgoing::NotTried);
        poor.scopes = Some(vec!["SMTP.Send".to_owned()]);
        check(
            &poor,
            [NotTested, NotTested, NotTested, NotTested, Missing],
            "consent",
        );
        poor.scopes = None;
        check(&poor, [NotTested; 5], "nothing");
        let refused = Outgoing::LoginRefused("535 5.7.139 no".to_owned());
        let switched = evidence(true, Incoming::LoginRefused("no".to_owned()), refused);
        check(
            &switched,
            [Suspected, NotTested, Missing, Suspected, Proven],
            "both",
        );
    }
}
