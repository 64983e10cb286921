//! What is to be announced. Pure.

use serde_json::json;

use super::{
    Entry, Kind, Settings, Subject,
    gather::{Facts, Mailbox},
    mailboxes::silent_since,
};
use crate::{
    diagnosis::Remark,
    model::{AccountId, EventKind, NewEvent, Timestamp},
    store::{Announcement, Silence},
};

/// An announcement and how it is told in the log.
pub(super) struct Saying {
    pub(super) announcement: Announcement,
    /// The provider's name or the account's key.
    pub(super) name: String,
    /// What is said; `None`: a silence is over.
    pub(super) remark: Option<Remark>,
}

/// All that holds at this moment and is worth an announcement, whether or not it was announced before.
/// `judged`: silences may be judged.
pub(super) fn sayings(
    facts: &Facts,
    settings: &Settings,
    now: Timestamp,
    judged: bool,
) -> Vec<Saying> {
    let mut sayings = Vec::new();
    for (one, grant) in &facts.providers {
        for entry in super::provider(one, grant.as_ref(), now) {
            sayings.extend(saying(entry, None));
        }
    }
    for mailbox in &facts.mailboxes {
        let account = mailbox.row.contacts.account;
        let [inbound, _] = mailbox.entries(settings, now);
        if inbound.warning.is_none() {
            sayings.extend(recovered(mailbox, now));
        } else if judged {
            let since = silent_since(&mailbox.row, now);
            sayings.extend(saying(inbound, Some(Silence::Since(account, since))));
        }
    }
    sayings
}

fn saying(entry: Entry, silence: Option<Silence>) -> Option<Saying> {
    let warning = entry.warning?;
    let once = warning.once?;
    let remark = warning.remark;
    let (account, provider) = match entry.subject {
        Subject::Account(id) => (Some(id), None),
        Subject::Provider(id) => (None, Some(id)),
    };
    let event = NewEvent {
        kind: match entry.kind {
            Kind::Credential(_) => EventKind::SecretExpires,
            Kind::SignIn => EventKind::SignInIdle,
            Kind::Inbound | Kind::Outbound => EventKind::MailboxStale,
        },
        account,
        provider,
        once,
        payload: json!({
            "kind": entry.kind.as_str(),
            "severity": warning.severity.as_str(),
            "code": remark.code,
            "what": remark.what,
            "why": remark.why,
            "next": remark.next,
            "due": entry.due.map(Timestamp::rfc3339),
            "daysLeft": entry.days_left,
            "last": entry.last.map(Timestamp::rfc3339),
        }),
    };
    Some(Saying {
        announcement: Announcement { event, silence },
        name: entry.name,
        remark: Some(remark),
    })
}

/// A silence that was announced, and a contact since.
fn recovered(mailbox: &Mailbox, now: Timestamp) -> Option<Saying> {
    let row = &mailbox.row;
    let since = row.stale_since.filter(|_| !row.paused)?;
    let last = row.contacts.inbound?;
    if last <= since && since <= now {
        return None;
    }
    let account: AccountId = row.contacts.account;
    Some(Saying {
        announcement: Announcement {
            event: NewEvent {
                kind: EventKind::MailboxRecovered,
                account: Some(account),
                provider: None,
                once: format!("calendar/mailbox/{account}/{}/recovered", since.millis()),
                payload: json!({
                    "kind": Kind::Inbound.as_str(),
                    "silentSince": since.rfc3339(),
                    "last": last.rfc3339(),
                }),
            },
            silence: Some(Silence::Over(account, since)),
        },
        name: row.key.clone(),
        remark: None,
    })
}
