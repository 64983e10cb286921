//! How the API shows the outgoing queue.

use serde::Serialize;

use crate::{
    diagnosis::{Context, Diagnosis, explain_copy},
    model::{OutboxId, RecipientState},
    store::{AttemptRow, NewOutgoing, OutboxRow, RecipientRow, ReportRow},
};

/// An outgoing message with where each copy stands.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShownOutgoing {
    id: i64,
    #[serde(rename = "AccountId")]
    account: i64,
    #[serde(rename = "InteractionId")]
    interaction: Option<i64>,
    message_id: String,
    subject: String,
    from: String,
    size: u64,
    /// The state of the copy that most needs looking at.
    state: &'static str,
    recipients: Vec<ShownRecipient>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<ShownAttempt>>,
    /// What incoming reports said of its recipients.
    #[serde(skip_serializing_if = "Option::is_none")]
    reports: Option<Vec<ShownReport>>,
    created_at: String,
    expires_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownRecipient {
    id: i64,
    kind: &'static str,
    address: String,
    state: &'static str,
    attempts: u32,
    next_at: Option<String>,
    reply_code: Option<u16>,
    reply_text: Option<String>,
    /// What the reply means and what to do, where the copy was refused, waits or is in doubt.
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnosis: Option<ShownDiagnosis>,
    updated_at: String,
}

#[derive(Serialize)]
struct ShownDiagnosis {
    code: &'static str,
    what: String,
    why: String,
    next: String,
    action: &'static str,
}

impl From<Diagnosis> for ShownDiagnosis {
    fn from(said: Diagnosis) -> Self {
        Self {
            code: said.code,
            what: said.what,
            why: said.why,
            next: said.next,
            action: said.action.as_str(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownAttempt {
    attempt: String,
    started_at: String,
    dot_at: Option<String>,
    ended_at: Option<String>,
    outcome: Option<String>,
    reply: Option<String>,
}

/// The answer to a send: what was accepted, and where each copy stands.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Accepted {
    id: i64,
    message_id: String,
    recipients: Vec<AcceptedRecipient>,
}

#[derive(Serialize)]
struct AcceptedRecipient {
    address: String,
    state: &'static str,
}

impl ShownOutgoing {
    /// With what reports said of it; only where one message is shown.
    pub(super) fn with_reports(mut self, reports: Vec<ReportRow>) -> Self {
        self.reports = Some(reports.into_iter().map(Into::into).collect());
        self
    }

    /// `attempts` only where one message is shown; `context` of the account's outbound lane.
    pub(super) fn new(
        row: OutboxRow,
        attempts: Option<Vec<AttemptRow>>,
        context: &Context,
    ) -> Self {
        Self {
            id: row.id.get(),
            account: row.account.get(),
            interaction: row.interaction.map(|id| id.get()),
            message_id: row.message_id,
            subject: row.subject,
            from: row.envelope_from.to_string(),
            size: row.size,
            state: worst(row.recipients.iter().map(|one| one.state)).as_str(),
            recipients: row
                .recipients
                .into_iter()
                .map(|one| ShownRecipient::new(one, context))
                .collect(),
            attempts: attempts.map(|list| list.into_iter().map(Into::into).collect()),
            reports: None,
            created_at: row.created_at.rfc3339(),
            expires_at: row.expires_at.rfc3339(),
        }
    }
}

impl ShownRecipient {
    fn new(row: RecipientRow, context: &Context) -> Self {
        let text = row.reply_text.as_deref().unwrap_or_default();
        let said = explain_copy(row.state, row.reply_code, text, context);
        Self {
            diagnosis: said.map(Into::into),
            id: row.id.get(),
            kind: row.kind.as_str(),
            address: row.address.to_string(),
            state: row.state.as_str(),
            attempts: row.attempts,
            next_at: row.next_at.map(|time| time.rfc3339()),
            reply_code: row.reply_code,
            reply_text: row.reply_text,
            updated_at: row.updated_at.rfc3339(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownReport {
    #[serde(rename = "MessageId")]
    message: i64,
    recipient_id: Option<i64>,
    address: String,
    action: String,
    status: String,
    diagnostic: String,
    applied: bool,
    created_at: String,
}

impl From<ReportRow> for ShownReport {
    fn from(row: ReportRow) -> Self {
        Self {
            message: row.message.get(),
            recipient_id: row.recipient.map(|id| id.get()),
            address: row.address,
            action: row.action,
            status: row.status,
            diagnostic: row.diagnostic,
            applied: row.applied,
            created_at: row.created_at.rfc3339(),
        }
    }
}

impl From<AttemptRow> for ShownAttempt {
    fn from(row: AttemptRow) -> Self {
        Self {
            attempt: row.attempt,
            started_at: row.started_at.rfc3339(),
            dot_at: row.dot_at.map(|time| time.rfc3339()),
            ended_at: row.ended_at.map(|time| time.rfc3339()),
            outcome: row.outcome,
            reply: row.reply,
        }
    }
}

impl Accepted {
    /// What has just been committed.
    pub(super) fn queued(id: OutboxId, new: &NewOutgoing) -> Self {
        Self {
            id: id.get(),
            message_id: new.message_id.clone(),
            recipients: new
                .recipients
                .iter()
                .map(|(_, address)| AcceptedRecipient {
                    address: address.to_string(),
                    state: RecipientState::Queued.as_str(),
                })
                .collect(),
        }
    }
}

impl From<OutboxRow> for Accepted {
    fn from(row: OutboxRow) -> Self {
        Self {
            id: row.id.get(),
            message_id: row.message_id,
            recipients: row
                .recipients
                .into_iter()
                .map(|one| AcceptedRecipient {
                    address: one.address.to_string(),
                    state: one.state.as_str(),
                })
                .collect(),
        }
    }
}

/// The first of these states that any copy is in: a person's business before the machine's, open
/// before settled.
fn worst(states: impl Iterator<Item = RecipientState> + Clone) -> RecipientState {
    const ORDER: [RecipientState; 10] = [
        RecipientState::InDoubt,
        RecipientState::Failed,
        RecipientState::Bounced,
        RecipientState::Expired,
        RecipientState::Held,
        RecipientState::DotPending,
        RecipientState::Claimed,
        RecipientState::Deferred,
        RecipientState::Queued,
        RecipientState::Cancelled,
    ];
    ORDER
        .into_iter()
        .find(|state| states.clone().any(|one| one == *state))
        .unwrap_or(RecipientState::Sent)
}
