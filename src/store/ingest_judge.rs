//! Who takes part in a conversation, and when mail in it is held. Pure.

use std::collections::HashSet;

use super::ingest_ready::Ready;
use crate::model::{MailKind, MeaningRules, Timestamp, plain_subject};

/// Mail that arrived longer ago is history: nobody answers it by itself any more.
const RECENT_MS: i64 = 24 * 3_600_000;
/// Hosts that a mail may have passed (RFC 5321 §6.3 has servers count to a hundred).
const HOPS: u32 = 50;
/// How often a mail may say that it was delivered to the same address, or was marked by it.
const PASSES: usize = 3;

/// One mail of a conversation, as it is counted.
pub(super) struct Said {
    pub(super) sender: String,
    pub(super) subject: String,
    pub(super) kind: MailKind,
    pub(super) at: i64,
}

/// What is known of a conversation. Addresses are in lower case.
#[derive(Default)]
pub(super) struct Talk {
    /// Who wrote in it, and whom we wrote to.
    pub(super) spoke: HashSet<String>,
    /// Who else was named as a recipient of its mail.
    pub(super) named: HashSet<String>,
    pub(super) said: Vec<Said>,
}

impl Talk {
    /// Its sender took part, or it is also for somebody who did. `own` is the account's own address: being
    /// written to us says nothing.
    pub(super) fn takes_part(&self, mail: &Ready, own: &str) -> bool {
        let parsed = &mail.mail;
        let lower = |address: &str| address.trim().to_lowercase();
        let senders = std::iter::once(&parsed.from).chain(&parsed.reply_to);
        let known = |address: &String| self.spoke.contains(address) || self.named.contains(address);
        let mut senders = senders
            .map(|one| lower(&one.address))
            .filter(|one| !one.is_empty());
        if senders.any(|one| one == own || known(&one)) {
            return true;
        }
        let mut readers = parsed
            .to
            .iter()
            .chain(&parsed.cc)
            .map(|one| lower(&one.address));
        readers.any(|one| one != own && self.spoke.contains(&one))
    }

    pub(super) fn add(&mut self, mail: &Ready) {
        let parsed = &mail.mail;
        self.spoke.insert(mail.sender.clone());
        let named = parsed.reply_to.iter().chain(&parsed.to).chain(&parsed.cc);
        self.named
            .extend(named.map(|one| one.address.trim().to_lowercase()));
        self.said.push(Said {
            sender: mail.sender.clone(),
            subject: plain_subject(&parsed.subject),
            kind: mail.kind(),
            at: mail.internal_date,
        });
    }

    /// Why a mail that would be the next one here is held: two programs may be answering each other.
    pub(super) fn held(&self, mail: &Ready, rules: MeaningRules, now: Timestamp) -> Option<String> {
        if !is_recent(mail, now) {
            return None;
        }
        let window = i64::try_from(rules.loop_window.as_millis()).unwrap_or(i64::MAX);
        let from = mail.internal_date.saturating_sub(window);
        let subject = plain_subject(&mail.mail.subject);
        let minutes = rules.loop_window.as_secs().div_ceil(60);
        let (mut automatic, mut repeated) = (0_u32, 0_u32);
        for said in &self.said {
            if said.sender == mail.sender && said.at >= from {
                automatic = automatic.saturating_add(u32::from(said.kind.answers_by_itself()));
                repeated = repeated.saturating_add(u32::from(said.subject == subject));
            }
        }
        let over = |count: u32, most: u32| most > 0 && count >= most;
        if mail.kind().answers_by_itself() && over(automatic, rules.loop_automatic) {
            return Some(format!(
                "{automatic} automatic answers of this sender in this conversation within {minutes} minutes"
            ));
        }
        over(repeated, rules.loop_repeated).then(|| {
            format!(
                "{repeated} mails of this sender with this subject in this conversation within {minutes} minutes"
            )
        })
    }
}

fn is_recent(mail: &Ready, now: Timestamp) -> bool {
    mail.internal_date > now.millis().saturating_sub(RECENT_MS)
}

/// Why a mail is held for its own headers: it went in a circle.
pub(super) fn circled(mail: &Ready, now: Timestamp) -> Option<String> {
    let meaning = mail.mail.meaning.as_ref()?;
    if !is_recent(mail, now) {
        return None;
    }
    if meaning.hops > HOPS {
        return Some(format!("it passed {} servers", meaning.hops));
    }
    let passed = &meaning.passed;
    let times = |address: &String| passed.iter().filter(|one| *one == address).count();
    let again = passed.iter().find(|address| times(address) >= PASSES)?;
    Some(format!(
        "it was delivered to {again} {} times before",
        times(again)
    ))
}

/// Automatic mail is counted by sender, whatever it says it belongs to.
pub(super) fn may_storm(mail: &Ready, now: Timestamp) -> bool {
    mail.kind() != MailKind::Human && is_recent(mail, now)
}

/// Why automatic mail is held: `earlier` are the arrivals of its sender's automatic mail.
pub(super) fn storms(mail: &Ready, earlier: &[i64], rules: MeaningRules) -> Option<String> {
    let minute = mail.internal_date.saturating_sub(60_000)..=mail.internal_date;
    let count = earlier.iter().filter(|at| minute.contains(at)).count();
    let most = usize::try_from(rules.storm_per_minute).unwrap_or(usize::MAX);
    (most > 0 && count >= most)
        .then(|| format!("{count} automatic mails of this sender within a minute"))
}

#[cfg(test)]
#[path = "ingest_judge_tests.rs"]
mod tests;
