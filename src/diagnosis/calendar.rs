//! Words about what comes due: secrets, certificates, sign-ins, servers without contact.

use crate::model::{CloudService, CredentialKind, Timestamp};

/// A cloud provider or an account, as sentences name it.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// Row id, for commands.
    pub id: i64,
    /// A provider's name, an account's key.
    pub name: &'a str,
}

/// What an application proves itself with, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Which.
    pub kind: CredentialKind,
    /// When the platform stops taking it; `None`: not known.
    pub ends: Option<Timestamp>,
}

/// What there is to say.
#[derive(Clone, Copy, Debug)]
pub enum Occasion<'a> {
    /// A secret or certificate ends soon, or has ended, and nothing replaces it.
    CredentialEnds {
        /// Whose.
        provider: Named<'a>,
        /// Where it is made anew.
        service: CloudService,
        /// Which.
        kind: CredentialKind,
        /// When.
        ends: Timestamp,
        /// Begun days until then; 0 or less: it has ended.
        days_left: i64,
    },
    /// It ends soon or has ended, and another one goes on.
    CredentialCovered {
        /// Whose.
        provider: Named<'a>,
        /// Which.
        kind: CredentialKind,
        /// When.
        ends: Timestamp,
        /// Whether it has ended.
        ended: bool,
        /// What goes on.
        by: Credential,
    },
    /// Nobody entered when the secret expires.
    SecretExpiryUnknown {
        /// Whose.
        provider: Named<'a>,
        /// Which.
        kind: CredentialKind,
    },
    /// The date that was entered is further away than the portal allows.
    SecretExpiryTooFar {
        /// Whose.
        provider: Named<'a>,
        /// Which.
        kind: CredentialKind,
        /// The date.
        ends: Timestamp,
    },
    /// A sign-in that is not renewed is ended by the platform soon, or has been.
    SignInIdle {
        /// Whose.
        provider: Named<'a>,
        /// Whose rule it is.
        service: CloudService,
        /// When it was last renewed.
        renewed: Timestamp,
        /// When it ends.
        ends: Timestamp,
        /// Begun days until then; 0 or less: it has ended.
        days_left: i64,
    },
    /// A young sign-in with Google, which lasts only seven days if the project is in testing.
    GoogleTesting {
        /// Whose.
        provider: Named<'a>,
        /// When it would end.
        ends: Timestamp,
    },
    /// A mailbox without contact.
    MailboxSilent {
        /// The account.
        account: Named<'a>,
        /// The last contact; `None`: never.
        last: Option<Timestamp>,
        /// Since when it has been wanted, where there was no contact later.
        since: Timestamp,
    },
    /// An outgoing server that has taken no login.
    SendingSilent {
        /// The account.
        account: Named<'a>,
        /// The last login or answer; `None`: never.
        last: Option<Timestamp>,
        /// Since when it has been wanted, where there was none later.
        since: Timestamp,
    },
}

/// Words about what comes due, with a stable code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Stable, lower-case words joined by `_`, e.g. `secret_expires_soon`.
    pub code: &'static str,
    /// What is so, one sentence.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// The exact next step.
    pub next: String,
}

/// Puts an occasion into words. Pure.
pub fn remark(occasion: &Occasion<'_>) -> Remark {
    match *occasion {
        Occasion::CredentialEnds {
            provider,
            service,
            kind,
            ends,
            days_left,
        } => credential_ends(provider, service, kind, ends, days_left),
        Occasion::CredentialCovered {
            provider,
            kind,
            ends,
            ended,
            by,
        } => Remark {
            code: "secret_covered",
            what: format!(
                "The {} of cloud provider {} {} on {}; the {} goes on {}.",
                noun(kind),
                provider.name,
                if ended { "expired" } else { "expires" },
                day(ends),
                noun(by.kind),
                by.ends.map_or_else(
                    || "(nobody entered until when)".to_owned(),
                    |until| format!("until {}", day(until))
                ),
            ),
            why: "What proves the application is changed by itself when the platform refuses the old one.".to_owned(),
            next: match by.ends {
                Some(_) => "Nothing: mail goes on.".to_owned(),
                None => format!(
                    "Read in the portal when the {} expires and enter the date: {}.",
                    noun(by.kind),
                    enter_date(provider, by.kind)
                ),
            },
        },
        Occasion::SecretExpiryUnknown { provider, kind } => Remark {
            code: "secret_expiry_unknown",
            what: format!(
                "Nobody entered when the {} of cloud provider {} expires.",
                noun(kind),
                provider.name
            ),
            why: "The platform does not tell it; an expired secret is the most common reason why all mail of a tenant stops.".to_owned(),
            next: format!(
                "Read the date in the Entra admin centre (App registrations, your application, Certificates & secrets, column \
                 Expires) and enter it: {}.",
                enter_date(provider, kind)
            ),
        },
        Occasion::SecretExpiryTooFar {
            provider,
            kind,
            ends,
        } => Remark {
            code: "secret_expiry_too_far",
            what: format!(
                "The {} of cloud provider {} is said to expire on {}, which is more than 24 months away.",
                noun(kind),
                provider.name,
                day(ends)
            ),
            why: "The Entra portal makes no secret that lasts longer than 24 months, so the date is probably mistyped.".to_owned(),
            next: format!(
                "Compare it with the column Expires in the Entra admin centre (App registrations, your application, \
                 Certificates & secrets) and correct it: {}.",
                enter_date(provider, kind)
            ),
        },
        Occasion::SignInIdle {
            provider,
            service,
            renewed,
            ends,
            days_left,
        } => sign_in_idle(provider, service, renewed, ends, days_left),
        Occasion::GoogleTesting { provider, ends } => Remark {
            code: "google_testing_limit",
            what: format!(
                "The sign-in of cloud provider {} ends on {} if its Google project has the publishing status Testing.",
                provider.name,
                day(ends)
            ),
            why: "Google ends sign-ins of projects in Testing after seven days, and tells nobody.".to_owned(),
            next: "In the Google Cloud console, Google Auth Platform, Audience: user type Internal, or publishing status In \
                   production; then sign in again (motion-email provider authenticate "
                .to_owned()
                + &format!("{}).", provider.id),
        },
        Occasion::MailboxSilent {
            account,
            last,
            since,
        } => Remark {
            code: "mailbox_contact_old",
            what: match last {
                Some(last) => format!(
                    "The mailbox of account {} was last in contact with its server on {}.",
                    account.name,
                    minute(last)
                ),
                None => format!(
                    "The mailbox of account {} has had no contact since the account is wanted ({}).",
                    account.name,
                    minute(since)
                ),
            },
            why: "New mail may lie there unread; nothing is lost, it is read when the server lets it.".to_owned(),
            next: format!(
                "motion-email account show {0} says what its inbound lane waits for; motion-email account sync {0} tries at once.",
                account.name
            ),
        },
        Occasion::SendingSilent {
            account,
            last,
            since,
        } => Remark {
            code: "sending_contact_old",
            what: match last {
                Some(last) => format!(
                    "The outgoing server of account {} last took a login or a mail on {}.",
                    account.name,
                    minute(last)
                ),
                None => format!(
                    "The outgoing server of account {} has taken no login since the account is wanted ({}).",
                    account.name,
                    minute(since)
                ),
            },
            why: "Answers to customers would wait in the queue; none is lost, they go when the server takes the login again.".to_owned(),
            next: format!(
                "motion-email account show {0} says what its outbound lane waits for; motion-email account sync {0} tries at once.",
                account.name
            ),
        },
    }
}

fn credential_ends(
    provider: Named<'_>,
    service: CloudService,
    kind: CredentialKind,
    ends: Timestamp,
    days_left: i64,
) -> Remark {
    let ended = days_left <= 0;
    let certificate = kind == CredentialKind::Certificate;
    let (noun, name) = (noun(kind), provider.name);
    Remark {
        code: match (certificate, ended) {
            (false, false) => "secret_expires_soon",
            (false, true) => "secret_expired",
            (true, false) => "certificate_expires_soon",
            (true, true) => "certificate_expired",
        },
        what: if ended {
            format!(
                "The {noun} of cloud provider {name} expired on {}.",
                day(ends)
            )
        } else {
            format!(
                "The {noun} of cloud provider {name} expires on {}, in {}.",
                day(ends),
                days(days_left)
            )
        },
        why: if ended {
            "The platform gives no new access tokens for it: accounts stop when the present ones end, within the hour."
        } else {
            "From then on the platform gives no access tokens, and all accounts of this provider stop."
        }
        .to_owned(),
        next: renew(provider, service, kind),
    }
}

/// The command that enters a date alone.
fn enter_date(provider: Named<'_>, kind: CredentialKind) -> String {
    let flag = match kind {
        CredentialKind::SecondSecret => "--second-secret-expires",
        CredentialKind::FirstSecret | CredentialKind::Certificate => "--secret-expires",
    };
    format!("motion-email provider edit {} {flag} DATE", provider.id)
}

/// Where a new one is made, and how it is told here.
fn renew(provider: Named<'_>, service: CloudService, kind: CredentialKind) -> String {
    let id = provider.id;
    let second = match kind {
        CredentialKind::SecondSecret => " --second",
        CredentialKind::FirstSecret | CredentialKind::Certificate => "",
    };
    let command = format!("motion-email provider update-secret {id}{second} --secret-expires DATE");
    match (service, kind) {
        (_, CredentialKind::Certificate) => format!(
            "Make a new certificate with its key and upload it in the Entra admin centre (App registrations, your application, \
             Certificates & secrets, Certificates), beside the old one; then \
             motion-email provider edit {id} --certificate FILE --private-key FILE. Nobody has to sign in again."
        ),
        (CloudService::MicrosoftAzure, _) => format!(
            "In the Entra admin centre: App registrations, your application, Certificates & secrets, New client secret; copy \
             its Value (not the Secret ID), which is shown only once. Then {command}. \
             The old one works until it expires, and nobody has to sign in again."
        ),
        (CloudService::Google, _) => format!(
            "In the Google Cloud console: Google Auth Platform, Clients, your client, Add secret; then {command}. \
             Nobody has to sign in again."
        ),
    }
}

fn sign_in_idle(
    provider: Named<'_>,
    service: CloudService,
    renewed: Timestamp,
    ends: Timestamp,
    days_left: i64,
) -> Remark {
    let (name, id) = (provider.name, provider.id);
    let limit = match service {
        CloudService::MicrosoftAzure => "90 days",
        CloudService::Google => "six months",
    };
    let why = format!(
        "The platform ends sign-ins that are not used for {limit}. This daemon renews them about hourly, with or without \
         accounts, so something has kept it from that since then."
    );
    if days_left <= 0 {
        return Remark {
            code: "grant_idle_limit_over",
            what: format!(
                "The sign-in of cloud provider {name} was last renewed on {} and has probably ended on {}.",
                day(renewed),
                day(ends)
            ),
            why,
            next: format!("Sign in again: motion-email provider authenticate {id}."),
        };
    }
    Remark {
        code: "grant_idle_limit_near",
        what: format!(
            "The sign-in of cloud provider {name} was last renewed on {} and ends on {}, in {}.",
            day(renewed),
            day(ends),
            days(days_left)
        ),
        why,
        next: format!(
            "motion-email logs --level warn says what keeps it from being renewed; cure that, or sign in again with \
             motion-email provider authenticate {id}."
        ),
    }
}

fn noun(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::Certificate => "certificate",
        CredentialKind::FirstSecret => "client secret",
        CredentialKind::SecondSecret => "second client secret",
    }
}

fn days(count: i64) -> String {
    match count {
        1 => "1 day".to_owned(),
        count => format!("{count} days"),
    }
}

/// The date, in UTC as the portals show it.
fn day(at: Timestamp) -> String {
    let text = at.rfc3339();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// Date and time to the minute, UTC.
fn minute(at: Timestamp) -> String {
    let text: String = at.rfc3339().chars().take(16).collect();
    format!("{} UTC", text.replace('T', " "))
}

#[cfg(test)]
#[path = "calendar_tests.rs"]
mod tests;
