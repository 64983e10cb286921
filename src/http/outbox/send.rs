//! The send: checked, composed, frozen, committed, and only then answered.

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};

use crate::{
    mime::{self, ComposeError, Draft, DraftAttachment, Person},
    model::{Account, EmailAddress, InteractionId, OutboxId, Timestamp},
    store::{Enqueued, MessageRow, NewOutgoing},
};

use super::{
    entered::{Addressee, Mail, SendBody, Sender, addressee, entered},
    shown::Accepted,
};
use crate::http::{
    Desk, answer,
    input::{Body, Problems},
    problem::{ApiError, Logged},
};

/// `POST /api/mail/outbox`: 201 once the frozen message, its envelope and one row per recipient are
/// committed. The same key with the same mail is answered again with 200; with another mail it is 422.
pub(in crate::http) async fn send(
    State(desk): State<Desk>,
    headers: HeaderMap,
    Body(body): Body<SendBody>,
) -> Result<Response, ApiError> {
    let key = match headers.get("idempotency-key").map(|value| value.to_str()) {
        None => None,
        Some(Ok(text)) => Some(text.to_owned()),
        Some(Err(_)) => {
            return Err(ApiError::field(
                "Idempotency-Key",
                "must be printable ASCII",
            ));
        }
    };
    // Decoding and hashing tens of megabytes would hold up other requests' threads.
    let (mail, request_hash) = apart(move || {
        let mail = entered(body, key)?;
        let hash = mail.fingerprint();
        Ok((mail, hash))
    })
    .await?;
    let account = sender(&desk, &mail.sender).await?;
    allowed_from(&mail, &account.entered.address)?;
    let answered = match mail.reply_to {
        Some(id) => Some(
            desk.store
                .message_get(id)
                .await?
                .filter(|message| message.account == account.id)
                .ok_or_else(|| {
                    ApiError::field("replyToMessageId", "names no message of this account")
                })?,
        ),
        None => None,
    };
    let now = desk.clock.now();
    let mail = as_reply(mail, answered.as_ref())?;
    let recipients = mail.recipients();
    let idempotency_key = mail.idempotency_key.clone();
    let send_at = mail.send_at;
    let interaction = answered.as_ref().map(|message| message.interaction);
    let token = desk.store.thread_token(account.id, interaction);
    let mut draft = draft(mail, &account, answered.as_ref(), &token, now);
    // Where a provider replaces our Message-ID, answers still refer to this one.
    let marked = |id: &String| desk.store.is_thread_token(account.id, id);
    if !draft.references.iter().any(marked) {
        let root = format!("{token}.t");
        draft
            .references
            .insert(0, mime::new_message_id(root, &account.entered.address));
    }
    let subject = draft.subject.clone();
    let frozen = apart(move || mime::compose(&draft).map_err(not_composed)).await?;
    let size = frozen.raw.len() as u64;
    let raw = desk.blobs.keep(frozen.raw).await?;
    let new = NewOutgoing {
        account: account.id,
        idempotency_key,
        request_hash,
        message_id: frozen.message_id,
        subject,
        envelope_from: account.entered.address.clone(),
        recipients,
        raw,
        size,
        interaction: answered.map(|message: MessageRow| -> InteractionId { message.interaction }),
        send_at,
        expires_after: desk.settings.expire_after,
    };
    match desk.store.outbox_enqueue(&new, now).await? {
        Enqueued::New(id) => {
            tracing::info!(account = %account.entered.key, outbox = %id, recipients = new.recipients.len(), "took a mail to be sent");
            let location = format!("/api/mail/outbox/{id}");
            // From what is known: no read may turn a committed mail into an error that makes callers send again.
            Ok(answer::created(&location, Accepted::queued(id, &new)))
        }
        Enqueued::Repeated(id) => Ok(Json(accepted(&desk, id).await?).into_response()),
        Enqueued::KeyClash(id) => Err(ApiError::field(
            "idempotencyKey",
            format!("was used for another mail (outbox {id})"),
        )),
    }
}

/// Runs work that only computes where it holds up no other request.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(ApiError::Internal(Logged::new(&error))))
}

async fn sender(desk: &Desk, sender: &Sender) -> Result<Account, ApiError> {
    let account = match sender {
        Sender::Id(id) => desk.store.account_get(*id).await?,
        Sender::Key(key) => desk.store.account_by_key(key).await?,
    };
    account.ok_or(ApiError::NotFound { what: "account" })
}

/// From is always the account's own address; a caller that means another one is told so (bad input 50).
fn allowed_from(mail: &Mail, address: &EmailAddress) -> Result<(), ApiError> {
    match &mail.from {
        Some(from) if from != address => Err(ApiError::Forbidden {
            code: "from_not_allowed",
            detail: format!("This account sends as {address} only."),
            next: "Leave `from` out, or send through the account of that address.",
        }),
        Some(_) | None => Ok(()),
    }
}

async fn accepted(desk: &Desk, id: OutboxId) -> Result<Accepted, ApiError> {
    let row = desk.store.outbox_get(id).await?;
    row.map(|(row, _)| Accepted::from(row))
        .ok_or(ApiError::NotFound {
            what: "outgoing message",
        })
}

/// Fills what a reply leaves out: recipients (Reply-To, else From) and the subject.
fn as_reply(mut mail: Mail, answered: Option<&MessageRow>) -> Result<Mail, ApiError> {
    let Some(answered) = answered else {
        return Ok(mail);
    };
    let parsed = &answered.parsed;
    if mail.recipients().is_empty() {
        let writers = if parsed.reply_to.is_empty() {
            std::slice::from_ref(&parsed.from)
        } else {
            parsed.reply_to.as_slice()
        };
        mail.to = writers
            .iter()
            .filter_map(|writer| addressee(&writer.address))
            .take(100)
            .collect();
        if mail.to.is_empty() {
            let mut problems = Problems::default();
            problems.add(
                "to",
                "is required: the message that is answered names no usable address",
            );
            problems.done()?;
        }
    }
    if mail.subject.is_none() {
        mail.subject = Some(reply_subject(&parsed.subject));
    }
    Ok(mail)
}

/// `Re: ` in front, once, and no longer than a subject may be.
fn reply_subject(subject: &str) -> String {
    let subject = subject.trim();
    let has_prefix = subject
        .get(..3)
        .is_some_and(|start| start.eq_ignore_ascii_case("re:"));
    let mut reply = if has_prefix {
        subject.to_owned()
    } else {
        format!("Re: {subject}")
    };
    while reply.len() > 998 {
        reply.pop();
    }
    reply
}

/// The composer names fields as the API does.
fn not_composed(error: ComposeError) -> ApiError {
    match error {
        ComposeError::Field { field, problem } => ApiError::field(&field, problem),
        ComposeError::NoRecipient => ApiError::field("to", "is required"),
        ComposeError::TooManyRecipients { .. } => {
            ApiError::field("to", "with cc and bcc holds too many addresses")
        }
        ComposeError::TooLarge => ApiError::TooLarge,
        ComposeError::Unsafe { .. } => ApiError::Internal(Logged::new(&error)),
    }
}

fn draft(
    mail: Mail,
    account: &Account,
    answered: Option<&MessageRow>,
    token: &str,
    now: Timestamp,
) -> Draft {
    let list = |addressees: Vec<Addressee>| {
        addressees
            .into_iter()
            .map(|one| Person {
                name: one.name,
                address: one.address,
            })
            .collect()
    };
    let answered_id = answered.and_then(|message| message.parsed.message_id.clone());
    let references = answered.map_or_else(Vec::new, |message| {
        let mut ids = message.parsed.references.clone();
        ids.extend(message.parsed.message_id.clone());
        ids
    });
    let from = &account.entered.address;
    Draft {
        message_id: mime::new_message_id(token, from),
        date: now,
        from: Person {
            name: account.entered.name.clone(),
            address: account.entered.address.clone(),
        },
        to: list(mail.to),
        cc: list(mail.cc),
        bcc: list(mail.bcc),
        reply_to: Vec::new(),
        subject: mail.subject.unwrap_or_default(),
        text: mail.text,
        html: mail.html,
        in_reply_to: answered_id,
        references,
        attachments: mail
            .attachments
            .into_iter()
            .map(|one| DraftAttachment {
                file_name: one.file_name,
                content_type: one.content_type,
                bytes: one.content,
            })
            .collect(),
        headers: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_gets_one_prefix_and_stays_within_a_subjects_length() {
        let check = |subject: &str, expected: &str| assert_eq!(reply_subject(subject), expected);
        check("Order 5", "Re: Order 5");
        check("RE: Order 5", "RE: Order 5");
        check("re:Order", "re:Order");
        check("", "Re: ");
        check("日本", "Re: 日本");
        let long = reply_subject(&"ü".repeat(600));
        assert!(long.len() <= 998 && long.starts_with("Re: ü"));
    }
}
