//! What is to be announced. Pure.

use serde_json::json;

use super::{
    Entry, Kind, Settings, Subject,
    gather::{Facts, Mailbox},
    mailboxes::{last, silent_since, stale_since, word},
};
use crate::{
    diagnosis::Remark,
    model::{EventKind, LaneName, NewEvent, Timestamp},
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
        let lanes = [LaneName::Inbound, LaneName::Outbound];
        for (entry, lane) in mailbox.entries(settings, now).into_iter().zip(lanes) {
            if entry.warning.is_none() {
                sayings.extend(recovered(mailbox, lane, now));
            } else if judged {
                let since = silent_since(&mailbox.row, lane, now);
                sayings.extend(saying(entry, Some(Silence::Since(account, lane, since))));
            }
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
            Kind::Inbound => EventKind::MailboxStale,
            Kind::Outbound => EventKind::SendingStale,
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
fn recovered(mailbox: &Mailbox, lane: LaneName, now: Timestamp) -> Option<Saying> {
    let row = &mailbox.row;
    let since = stale_since(row, lane).filter(|_| !row.paused)?;
    let last = last(row, lane)?;
    if last <= since && since <= now {
        return None;
    }
    let account = row.contacts.account;
    let (kind, what) = match lane {
        LaneName::Inbound => (EventKind::MailboxRecovered, Kind::Inbound),
        LaneName::Outbound => (EventKind::SendingRecovered, Kind::Outbound),
    };
    Some(Saying {
        announcement: Announcement {
            event: NewEvent {
                kind,
                account: Some(account),
                provider: None,
                once: format!(
                    "calendar/{}/{account}/{}/recovered",
                    word(lane),
                    since.millis()
                ),
                payload: json!({
                    "kind": what.as_str(),
                    "silentSince": since.rfc3339(),
                    "last": last.rfc3339(),
                }),
            },
            silence: Some(Silence::Over(account, lane, since)),
        },
        name: row.key.clone(),
        remark: None,
    })
}
