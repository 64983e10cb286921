//! Which conversation the new mails of a batch belong to, and which of them are held. In this order: what a
//! report speaks of; a message that a mail refers to, ours or theirs, if the sender takes part there; the
//! token in one of our ids; as the last resort the subject of an answer that names nothing, from somebody who
//! takes part. Whoever names a conversation without any of it begins a new one, with a hint. Headers are what
//! senders make them: nothing here decides whether a mail is stored.

use std::collections::{BTreeSet, HashMap};

use super::{
    StoreError,
    ingest_judge::{self as judge, Talk},
    ingest_known::{self as known, Sent},
    ingest_ready::Ready,
    many::Many,
    text::{Columns, cut},
    thread_token::Token,
    tx::Tx,
};
use crate::model::{AccountId, MeaningRules, Timestamp};

const TOUCH: Many = Many {
    head: "UPDATE mail_interactions SET updated_at = ? WHERE id IN (",
    row: "?",
    tail: ")",
};
const ADD: Many = Many {
    head: "INSERT INTO mail_interactions (account_id, subject, subject_key, created_at, updated_at) VALUES ",
    row: "(?, ?, ?, ?, ?)",
    tail: " RETURNING id, subject",
};

/// A conversation: one that is there, or the place of a new one among those that are to be made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Thread {
    Known(i64),
    New(usize),
}

/// Where a mail belongs.
pub(super) struct Placed {
    pub(super) interaction: i64,
    /// A conversation that it names without taking part in it.
    pub(super) related: Option<i64>,
    /// Why nobody is told of it.
    pub(super) held: Option<String>,
    /// Our message that it reports on.
    pub(super) about: Option<i64>,
}

/// What the tables say, before the first mail is placed.
struct Known {
    received: HashMap<String, Thread>,
    sent: HashMap<String, Sent>,
    live: BTreeSet<i64>,
    opened: HashMap<String, i64>,
    subjects: HashMap<String, i64>,
    talks: HashMap<Thread, Talk>,
    automatic: HashMap<String, Vec<i64>>,
    own: String,
}

/// The conversation of each of `mails`, in order.
pub(super) async fn interactions(
    tx: &mut Tx,
    account: AccountId,
    mails: &[&Ready],
    rules: MeaningRules,
    now: Timestamp,
) -> Result<Vec<Placed>, StoreError> {
    let mut known = Known::read(tx, account, mails, rules, now).await?;
    let mut subjects: Vec<&Ready> = Vec::new();
    let mut touched = BTreeSet::new();
    let mut placed = Vec::with_capacity(mails.len());
    for mail in mails {
        let about = mail
            .report_keys
            .iter()
            .find_map(|key| known.sent.get(key))
            .copied();
        let (found, related) = known.thread(mail, about);
        let thread = found.unwrap_or_else(|| {
            subjects.push(mail);
            Thread::New(subjects.len() - 1)
        });
        if let Thread::Known(id) = thread {
            touched.insert(id);
        }
        let held = known.held(mail, thread, rules, now);
        // What comes behind it in the batch may answer it.
        if let Some(key) = &mail.message_key {
            known.received.entry(key.clone()).or_insert(thread);
        }
        known.talks.entry(thread).or_default().add(mail);
        placed.push((thread, related, held, about.map(|sent| sent.outbox)));
    }
    let touched: Vec<i64> = touched.into_iter().collect();
    tx.run_many(
        TOUCH,
        &touched,
        |query| query.bind(now.millis()),
        |query, id| query.bind(*id),
    )
    .await?;
    let new = add(tx, account, &subjects, now).await?;
    let id = |thread: Thread| match thread {
        Thread::Known(id) => Some(id),
        Thread::New(place) => new.get(place).copied().flatten(),
    };
    placed
        .into_iter()
        .map(|(thread, related, held, about)| {
            let what = "conversation";
            Ok(Placed {
                interaction: id(thread).ok_or(StoreError::Missing { what })?,
                related: related.and_then(id),
                held,
                about,
            })
        })
        .collect()
}

impl Known {
    async fn read(
        tx: &mut Tx,
        account: AccountId,
        mails: &[&Ready],
        rules: MeaningRules,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let distinct = |keys: &mut dyn Iterator<Item = &'_ String>| -> Vec<String> {
            keys.cloned().collect::<BTreeSet<_>>().into_iter().collect()
        };
        fn borrowed(keys: &[String]) -> Vec<&str> {
            keys.iter().map(String::as_str).collect()
        }
        let referred = distinct(&mut mails.iter().flat_map(|mail| &mail.reference_keys));
        let received = known::received(tx, account, &borrowed(&referred)).await?;
        let open = mails.iter().flat_map(|mail| mail.reference_keys.iter());
        let open = open.filter(|key| !received.contains_key(*key));
        let mut open = open.chain(mails.iter().flat_map(|mail| mail.report_keys.iter()));
        let open = distinct(&mut open);
        let sent = known::sent(tx, account, &borrowed(&open)).await?;
        let tokens = || mails.iter().filter_map(|mail| mail.token.as_ref());
        let rows: BTreeSet<i64> = tokens()
            .filter_map(|token| match token {
                Token::Interaction(id) => Some(*id),
                Token::Opened(_) => None,
            })
            .collect();
        let rows: Vec<i64> = rows.into_iter().collect();
        let live = known::live(tx, account, &rows).await?;
        let begun = distinct(&mut tokens().filter_map(|token| match token {
            Token::Opened(unique) => Some(unique),
            Token::Interaction(_) => None,
        }));
        let opened = known::opened(tx, account, &borrowed(&begun)).await?;
        let since = now.millis().saturating_sub(millis(rules.subject_window));
        let wanted = !rules.subject_window.is_zero();
        let answers = mails.iter().filter(|mail| wanted && mail.is_bare_answer());
        let keys = distinct(&mut answers.map(|mail| &mail.subject_key));
        let since = Timestamp::from_millis(since);
        let subjects = known::by_subject(tx, account, since, &borrowed(&keys)).await?;
        let found: BTreeSet<i64> = received
            .values()
            .copied()
            .chain(sent.values().filter_map(|sent| sent.interaction))
            .chain(live.iter().copied())
            .chain(opened.values().copied())
            .chain(subjects.values().copied())
            .collect();
        let found: Vec<i64> = found.into_iter().collect();
        let own = if found.is_empty() {
            String::new()
        } else {
            known::own_address(tx, account).await?
        };
        let talks = known::talks(tx, &found).await?;
        let storms: Vec<&&Ready> = mails
            .iter()
            .filter(|mail| judge::may_storm(mail, now))
            .collect();
        let first = storms
            .iter()
            .map(|mail| mail.internal_date)
            .min()
            .unwrap_or(0);
        let senders = distinct(&mut storms.iter().map(|mail| &mail.sender_key));
        let since = first.saturating_sub(60_000);
        let automatic = known::automatic(tx, account, since, &borrowed(&senders)).await?;
        let thread = |(key, id): (String, i64)| (key, Thread::Known(id));
        Ok(Self {
            received: received.into_iter().map(thread).collect(),
            sent,
            live,
            opened,
            subjects,
            talks: talks
                .into_iter()
                .map(|(id, talk)| (Thread::Known(id), talk))
                .collect(),
            automatic,
            own,
        })
    }

    /// The conversation it belongs to, if to one, and the one that it only names.
    fn thread(&self, mail: &Ready, about: Option<Sent>) -> (Option<Thread>, Option<Thread>) {
        // Whoever knows the random id of our message got it from us.
        if let Some(interaction) = about.and_then(|sent| sent.interaction) {
            return (Some(Thread::Known(interaction)), None);
        }
        let keys = || mail.reference_keys.iter();
        let received = keys().find_map(|key| self.received.get(key)).copied();
        let sent = keys()
            .filter_map(|key| self.sent.get(key))
            .find_map(|sent| sent.interaction);
        let named = received.or(sent.map(Thread::Known));
        let takes_part = |thread: &Thread| {
            self.talks
                .get(thread)
                .is_some_and(|talk| talk.takes_part(mail, &self.own))
        };
        if let Some(thread) = named.filter(takes_part) {
            return (Some(thread), None);
        }
        let by_token = match &mail.token {
            Some(Token::Interaction(id)) => self.live.get(id).copied(),
            Some(Token::Opened(unique)) => self.opened.get(unique).copied(),
            None => None,
        };
        if let Some(id) = by_token {
            return (Some(Thread::Known(id)), None);
        }
        let by_subject = self
            .subjects
            .get(&mail.subject_key)
            .filter(|_| mail.is_bare_answer());
        let spoke = |thread: &Thread| {
            self.talks
                .get(thread)
                .is_some_and(|talk| talk.spoke.contains(&mail.sender))
        };
        (by_subject.map(|id| Thread::Known(*id)).filter(spoke), named)
    }

    fn held(
        &mut self,
        mail: &Ready,
        thread: Thread,
        rules: MeaningRules,
        now: Timestamp,
    ) -> Option<String> {
        let talk = self.talks.get(&thread);
        let held = judge::circled(mail, now).or_else(|| talk?.held(mail, rules, now));
        if !judge::may_storm(mail, now) {
            return held;
        }
        let earlier = self.automatic.entry(mail.sender_key.clone()).or_default();
        let storms = judge::storms(mail, earlier, rules);
        earlier.push(mail.internal_date);
        held.or(storms)
    }
}

fn millis(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// New conversations, one for each of these mails; their ids in the same order.
async fn add(
    tx: &mut Tx,
    account: AccountId,
    mails: &[&Ready],
    now: Timestamp,
) -> Result<Vec<Option<i64>>, StoreError> {
    let subjects: Vec<(String, &str)> = mails
        .iter()
        .map(|mail| (cut(&mail.mail.subject, 1_000), mail.subject_key.as_str()))
        .collect();
    let rows = tx
        .all_many(
            ADD,
            true,
            &subjects,
            |query| query,
            |query, (subject, key)| {
                query
                    .bind(account.get())
                    .bind(subject.as_str())
                    .bind(*key)
                    .bind(now.millis())
                    .bind(now.millis())
            },
        )
        .await?;
    // Rows with one subject are alike: whichever is taken first is right.
    let mut made: HashMap<String, Vec<i64>> = HashMap::new();
    for row in rows.iter().rev() {
        made.entry(row.col("subject")?)
            .or_default()
            .push(row.col("id")?);
    }
    let ids = subjects
        .iter()
        .map(|(subject, _)| made.get_mut(subject).and_then(Vec::pop));
    Ok(ids.collect())
}
