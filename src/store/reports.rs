//! What becomes of new mail that is more than a person's words: its row in `mail_meanings`, what reports say
//! of our recipients, and the ids that providers gave our messages.
//!
//! A report counts where it names our message by an id that only its readers know, and a recipient of it, and
//! came after that copy's try began. It never makes anything be sent again.

use sqlx::any::AnyRow;

use super::{
    StoreError,
    ingest_ready::Ready,
    ingest_threads::Placed,
    many::Many,
    outbox::Copy,
    text::{Columns, cut, key_of, word},
    tx::Tx,
};
use crate::model::{
    AccountId, EmailAddress, EventKind, MailKind, NewEvent, RecipientState, Report, ReportAction,
    ReportedRecipient, Timestamp,
};
use serde_json::json;

/// How far a mail server's clock may be behind ours.
const SKEW_MS: i64 = 10 * 60_000;

const ADD: Many = Many {
    head: "INSERT INTO mail_meanings (message_id, account_id, kind, reason, sender_key, arrived_at, held, waiting, bounce_of, related_interaction_id) VALUES ",
    row: "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    tail: "",
};

/// What a matching report makes of a copy; `None`: it stays as it is.
fn effect(state: RecipientState, action: ReportAction) -> Option<RecipientState> {
    use RecipientState::{Bounced, DotPending, InDoubt, Sent};
    match (state, action) {
        (Sent | InDoubt | DotPending, ReportAction::Failed) => Some(Bounced),
        // Whoever reports on a copy has got it.
        (InDoubt, _) => Some(Sent),
        _ => None,
    }
}

/// Writes what there is to write of these new messages, with their ids.
pub(super) async fn record(
    tx: &mut Tx,
    account: AccountId,
    made: &[(i64, &Ready, &Placed)],
    now: Timestamp,
) -> Result<(), StoreError> {
    let special: Vec<&(i64, &Ready, &Placed)> = made
        .iter()
        .filter(|(_, mail, placed)| {
            mail.kind() != MailKind::Human || placed.held.is_some() || placed.related.is_some()
        })
        .collect();
    tx.run_many(
        ADD,
        &special,
        |query| query,
        |query, (id, mail, placed)| {
            query
                .bind(*id)
                .bind(account.get())
                .bind(mail.kind().as_str())
                .bind(cut(mail.reason(), 200))
                .bind(mail.sender_key.as_str())
                .bind(mail.internal_date)
                .bind(placed.held.as_deref().map(|why| cut(why, 300)))
                .bind(i64::from(placed.held.is_some()))
                .bind(placed.about)
                .bind(placed.related)
        },
    )
    .await?;
    for (id, mail, placed) in made {
        let Some(meaning) = mail.mail.meaning.as_deref() else {
            continue;
        };
        if let (Some(report), Some(outbox)) = (&meaning.report, placed.about) {
            apply(tx, account, *id, mail, report, outbox, now).await?;
            let renamed = report.own_id.as_deref().zip(report.returned_id.as_deref());
            learn(tx, account, renamed).await?;
        }
        // A copy of ours that came back shows what the provider made of its id.
        let renamed = meaning
            .own_id
            .as_deref()
            .zip(mail.mail.message_id.as_deref());
        learn(tx, account, renamed).await?;
    }
    Ok(())
}

/// Our id, and the one that the same message has with its readers.
async fn learn(
    tx: &mut Tx,
    account: AccountId,
    renamed: Option<(&str, &str)>,
) -> Result<(), StoreError> {
    let Some((ours, theirs)) = renamed.filter(|(ours, theirs)| ours != theirs) else {
        return Ok(());
    };
    tx.run(
        sqlx::query(
            "UPDATE mail_outbox SET provider_id = ?, provider_key = ? WHERE account_id = ? AND message_key = ? AND provider_key IS NULL",
        )
        .bind(cut(theirs, 1_000))
        .bind(key_of(theirs))
        .bind(account.get())
        .bind(key_of(ours)),
    )
    .await?;
    Ok(())
}

/// A copy that may be spoken of.
struct Told {
    id: i64,
    address: String,
    state: RecipientState,
    attempt: Option<String>,
    started_at: Option<i64>,
}

impl Told {
    fn of(row: &AnyRow) -> Result<Self, StoreError> {
        let id: i64 = row.col("id")?;
        Ok(Self {
            id,
            address: row.col("address")?,
            state: word(
                "recipient",
                id,
                &row.col::<String>("state")?,
                RecipientState::parse,
            )?,
            attempt: row.col("attempt")?,
            started_at: row.col("started_at")?,
        })
    }

    fn is(&self, reported: &ReportedRecipient) -> bool {
        reported
            .addresses
            .iter()
            .any(|address| same(address, &self.address))
    }
}

/// The same mailbox as far as its sender can know: case does not matter, also not of the local part.
fn same(one: &str, other: &str) -> bool {
    let key = |text: &str| EmailAddress::parse(text).map(|address| address.key());
    match (key(one), key(other)) {
        (Ok(one), Ok(other)) => one.to_lowercase() == other.to_lowercase(),
        _ => false,
    }
}

async fn apply(
    tx: &mut Tx,
    account: AccountId,
    message: i64,
    mail: &Ready,
    report: &Report,
    outbox: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let rows = tx
        .all(
            sqlx::query(
                "SELECT r.id, r.address, r.state, r.attempt, a.started_at FROM mail_recipients r LEFT JOIN mail_attempts a ON a.attempt = r.attempt WHERE r.outbox_id = ? ORDER BY r.id",
            )
            .bind(outbox),
        )
        .await?;
    let mut copies = rows.iter().map(Told::of).collect::<Result<Vec<_>, _>>()?;
    for (place, reported) in report.recipients.iter().enumerate() {
        let copy = copies.iter_mut().find(|copy| copy.is(reported));
        let recipient = copy.as_ref().map(|copy| copy.id);
        let applied = match copy {
            None => false,
            Some(copy) => change(tx, account, message, mail, copy, outbox, reported, now).await?,
        };
        let named = reported.addresses.first().map_or("", String::as_str);
        tx.run(
            sqlx::query(
                "INSERT INTO mail_reports (message_id, place, account_id, outbox_id, recipient_id, address, action, status, diagnostic, applied, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(message)
            .bind(i64::try_from(place).unwrap_or(i64::MAX))
            .bind(account.get())
            .bind(outbox)
            .bind(recipient)
            .bind(cut(named, 320))
            .bind(reported.action.as_str())
            .bind(cut(&reported.status, 20))
            .bind(cut(&reported.diagnostic, 1_000))
            .bind(i64::from(applied))
            .bind(now.millis()),
        )
        .await?;
    }
    Ok(())
}

/// True: the copy's state changed, or a complaint about it was announced.
#[expect(clippy::too_many_arguments, reason = "one place calls it")]
async fn change(
    tx: &mut Tx,
    account: AccountId,
    message: i64,
    mail: &Ready,
    copy: &mut Told,
    outbox: i64,
    reported: &ReportedRecipient,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let began = copy.started_at.map(|at| at.saturating_sub(SKEW_MS));
    if began.is_none_or(|began| mail.internal_date < began) {
        return Ok(false);
    }
    let words = format!("{} {}", reported.status, reported.diagnostic);
    let words = words.trim();
    if reported.action == ReportAction::Complained {
        let event = NewEvent {
            kind: EventKind::MessageComplained,
            account: Some(account),
            provider: None,
            once: format!("recipient/{}/complained/{message}", copy.id),
            payload: json!({
                "outboxId": outbox,
                "recipientId": copy.id,
                "address": copy.address,
                "messageId": message,
            }),
        };
        tx.event(&event, now).await?;
    }
    let Some(state) = effect(copy.state, reported.action) else {
        return Ok(reported.action == ReportAction::Complained);
    };
    let matched = tx
        .run(
            sqlx::query(
                "UPDATE mail_recipients SET state = ?, next_at = NULL, reply_code = NULL, reply_text = ?, updated_at = ? WHERE id = ? AND state = ?",
            )
            .bind(state.as_str())
            .bind(cut(words, 2_000))
            .bind(now.millis())
            .bind(copy.id)
            .bind(copy.state.as_str()),
        )
        .await?;
    if matched != 1 {
        return Err(StoreError::Conflict(
            "a copy was changed meanwhile".to_owned(),
        ));
    }
    copy.state = state;
    let told = Copy {
        id: copy.id,
        outbox,
        address: copy.address.clone(),
        attempt: copy.attempt.clone().unwrap_or_default(),
    };
    let mut event = told.event(account, state, None, words);
    if let Some(payload) = event.payload.as_object_mut() {
        payload.insert("messageId".to_owned(), json!(message));
    }
    tx.event(&event, now).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_changes_only_copies_that_a_server_took_or_may_have_taken() {
        use RecipientState::*;
        for state in [
            Queued, Claimed, DotPending, Deferred, Sent, Failed, Expired, InDoubt, Held, Cancelled,
            Bounced,
        ] {
            for action in [
                ReportAction::Failed,
                ReportAction::Delayed,
                ReportAction::Delivered,
                ReportAction::Relayed,
                ReportAction::Expanded,
                ReportAction::Complained,
            ] {
                let expected = match (state, action) {
                    (Sent | InDoubt | DotPending, ReportAction::Failed) => Some(Bounced),
                    (InDoubt, _) => Some(Sent),
                    _ => None,
                };
                assert_eq!(effect(state, action), expected, "{state:?} {action:?}");
                // Nothing is ever sent again for it.
                assert!(expected.is_none_or(RecipientState::is_final));
            }
        }
    }

    #[test]
    fn addresses_are_the_same_in_any_case_and_nothing_else_is() {
        for (one, other, expected) in [
            ("Anna@There.test", "anna@there.test", true),
            ("anna@there.test", "anna@there.test.", false),
            ("anna@there.test", "xanna@there.test", false),
            ("", "", false),
            ("anna", "anna", false),
        ] {
            assert_eq!(same(one, other), expected, "{one} {other}");
        }
    }
}
