//! What a caller enters for a mail to be sent, checked. Pure.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::model::{
    AccountId, AccountKey, EmailAddress, MessageId, RecipientKind, RecipientState, Timestamp,
};

use super::super::{
    input::{Given, Kind, Problems, Unknown, breaks_a_line},
    problem::ApiError,
};

/// Copies that one request may ask for.
const RECIPIENTS: usize = 1000;
/// Attachments that one mail may have.
const ATTACHMENTS: usize = 100;

/// The body of a send.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::http) struct SendBody {
    #[serde(rename = "AccountId")]
    account_id: Given<i64>,
    account: Given<String>,
    from: Given<String>,
    to: Given<Vec<String>>,
    cc: Given<Vec<String>>,
    bcc: Given<Vec<String>>,
    subject: Given<String>,
    text: Given<String>,
    html: Given<String>,
    reply_to_message_id: Given<i64>,
    attachments: Given<Vec<AttachmentBody>>,
    idempotency_key: Given<String>,
    send_at: Given<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// One attachment of a send.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AttachmentBody {
    file_name: Given<String>,
    content_type: Given<String>,
    content_base64: Given<String>,
    #[serde(flatten)]
    unknown: Unknown,
}
impl Kind for Vec<AttachmentBody> {
    const WORDS: &'static str = "a list of objects with fileName, contentType and contentBase64";
}

/// Which account sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    Id(AccountId),
    Key(AccountKey),
}

/// A name and an address that is safe in a header and in a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addressee {
    /// May be empty.
    pub(super) name: String,
    pub(super) address: EmailAddress,
}

/// An attachment, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attached {
    pub(super) file_name: String,
    pub(super) content_type: String,
    pub(super) content: Vec<u8>,
}

/// A mail to be sent, with every field valid by itself.
#[derive(Clone, Debug)]
pub(super) struct Mail {
    pub(super) sender: Sender,
    /// What the caller believes the From address to be.
    pub(super) from: Option<EmailAddress>,
    pub(super) to: Vec<Addressee>,
    pub(super) cc: Vec<Addressee>,
    pub(super) bcc: Vec<Addressee>,
    pub(super) subject: Option<String>,
    pub(super) text: Option<String>,
    pub(super) html: Option<String>,
    pub(super) reply_to: Option<MessageId>,
    pub(super) attachments: Vec<Attached>,
    pub(super) idempotency_key: Option<String>,
    pub(super) send_at: Option<Timestamp>,
}

impl Mail {
    /// Everybody who gets a copy, each address once, in the order To, Cc, Bcc.
    pub(super) fn recipients(&self) -> Vec<(RecipientKind, EmailAddress)> {
        let mut seen = std::collections::HashSet::new();
        [
            (RecipientKind::To, &self.to),
            (RecipientKind::Cc, &self.cc),
            (RecipientKind::Bcc, &self.bcc),
        ]
        .into_iter()
        .flat_map(|(kind, list)| list.iter().map(move |one| (kind, one.address.clone())))
        .filter(|(_, address)| seen.insert(address.key()))
        .collect()
    }

    /// What tells a repeated request from another one under the same key: a hash of every field but the
    /// key. White space and the order of fields in the JSON text do not matter.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        match &self.sender {
            Sender::Id(id) => add(id.to_string().as_bytes()),
            Sender::Key(key) => add(key.as_str().as_bytes()),
        }
        for list in [&self.to, &self.cc, &self.bcc] {
            add(list.len().to_string().as_bytes());
            for one in list {
                add(one.name.as_bytes());
                add(one.address.as_str().as_bytes());
            }
        }
        for text in [&self.subject, &self.text, &self.html] {
            add(if text.is_some() { b"1" } else { b"0" });
            add(text.as_deref().unwrap_or_default().as_bytes());
        }
        add(format!("{:?}", self.reply_to.map(|id| id.get())).as_bytes());
        add(format!("{:?}", self.send_at.map(Timestamp::millis)).as_bytes());
        for one in &self.attachments {
            add(one.file_name.as_bytes());
            add(one.content_type.as_bytes());
            add(&one.content);
        }
        hash.finalize().into()
    }
}

/// Checks a send; `key` is the `Idempotency-Key` header, which may be used instead of the field.
pub(super) fn entered(body: SendBody, key: Option<String>) -> Result<Mail, ApiError> {
    let mut problems = Problems::default();
    let mail = read(body, key, &mut problems);
    problems.done()?;
    // `read` gives nothing only where it noted why.
    mail.ok_or_else(|| ApiError::Malformed("The mail could not be read.".into()))
}

fn read(body: SendBody, key: Option<String>, problems: &mut Problems) -> Option<Mail> {
    problems.unknown("", &body.unknown);
    let sender = sender(problems, body.account_id, body.account);
    let from = problems.optional("from", body.from).and_then(|text| {
        let address = EmailAddress::parse(&text).ok();
        if address.is_none() {
            problems.add("from", "must be an e-mail address");
        }
        address
    });
    let reply_to = problems
        .optional("replyToMessageId", body.reply_to_message_id)
        .map(MessageId::new);
    let to = addressees(problems, "to", body.to);
    let cc = addressees(problems, "cc", body.cc);
    let bcc = addressees(problems, "bcc", body.bcc);
    let all = to.len() + cc.len() + bcc.len();
    // A reply without addresses goes to whoever wrote the message.
    let wrong = ["to", "cc", "bcc"]
        .iter()
        .any(|field| problems.about(field));
    if all == 0 && reply_to.is_none() && !wrong {
        problems.add("to", "is required: a mail needs at least one recipient");
    } else if all > RECIPIENTS {
        problems.add(
            "to",
            format!("with cc and bcc may hold at most {RECIPIENTS} addresses"),
        );
    }
    let subject = problems.optional("subject", body.subject);
    if let Some(subject) = &subject {
        // Line and paragraph separators are text here: they leave encoded.
        if subject.chars().any(char::is_control) {
            problems.add("subject", "must be one line without control characters");
        } else if subject.len() > 998 {
            problems.add("subject", "must have at most 998 bytes");
        }
    }
    if subject.is_none() && reply_to.is_none() {
        problems.add("subject", "is required unless it is a reply");
    }
    let text = problems.optional("text", body.text);
    let html = problems.optional("html", body.html);
    let attachments = attachments(problems, body.attachments);
    let wrong = ["text", "html", "attachments"]
        .iter()
        .any(|field| problems.about(field));
    if text.is_none() && html.is_none() && attachments.is_empty() && !wrong {
        problems.add(
            "text",
            "is required where there is neither html nor an attachment",
        );
    }
    let idempotency_key = idempotency_key(problems, body.idempotency_key, key);
    let send_at = problems.optional("sendAt", body.send_at).and_then(|text| {
        let time = chrono::DateTime::parse_from_rfc3339(text.trim()).ok();
        if time.is_none() {
            problems.add(
                "sendAt",
                "must be a date and time like 2026-01-31T08:00:00Z",
            );
        }
        time.map(|time| Timestamp::from_millis(time.timestamp_millis()))
    });
    Some(Mail {
        sender: sender?,
        from,
        to,
        cc,
        bcc,
        subject,
        text,
        html,
        reply_to,
        attachments,
        idempotency_key,
        send_at,
    })
}

fn sender(problems: &mut Problems, id: Given<i64>, key: Given<String>) -> Option<Sender> {
    let id = problems.optional("AccountId", id);
    let key = problems.optional("account", key);
    match (id, key) {
        (Some(_), Some(_)) => {
            problems.add("account", "must not be there together with AccountId");
            None
        }
        (Some(id), None) => Some(Sender::Id(AccountId::new(id))),
        (None, Some(text)) => {
            let key = AccountKey::parse(&text);
            if key.is_none() {
                problems.add("account", "must be an account's key");
            }
            key.map(Sender::Key)
        }
        (None, None) => {
            if !problems.about("AccountId") && !problems.about("account") {
                problems.add(
                    "AccountId",
                    "is required (or account with the account's key)",
                );
            }
            None
        }
    }
}

/// `a@b.test` or `Anna Muster <a@b.test>`, each with its place in the list where it is wrong.
fn addressees(problems: &mut Problems, field: &str, given: Given<Vec<String>>) -> Vec<Addressee> {
    let list = problems.optional(field, given).unwrap_or_default();
    if list.len() > RECIPIENTS {
        problems.add(field, format!("may hold at most {RECIPIENTS} addresses"));
        return Vec::new();
    }
    let mut found = Vec::with_capacity(list.len());
    for (place, text) in list.iter().enumerate() {
        match addressee(text) {
            Some(one) => found.push(one),
            None => problems.add(
                &format!("{field}[{place}]"),
                "must be an address like a@b.test or Name <a@b.test>",
            ),
        }
    }
    found
}

/// Reads one mailbox (a part of RFC 5322 §3.4: no groups, no comments).
pub(super) fn addressee(text: &str) -> Option<Addressee> {
    let text = text.trim();
    let (name, address) = match text.strip_suffix('>').and_then(|t| t.rsplit_once('<')) {
        Some((name, address)) => (name.trim().trim_matches('"').trim(), address),
        None => ("", text),
    };
    if name.len() > 250 || name.chars().any(breaks_a_line) || name.contains(['<', '>']) {
        return None;
    }
    Some(Addressee {
        name: name.to_owned(),
        address: EmailAddress::parse(address).ok()?,
    })
}

fn attachments(problems: &mut Problems, given: Given<Vec<AttachmentBody>>) -> Vec<Attached> {
    let list = problems.optional("attachments", given).unwrap_or_default();
    if list.len() > ATTACHMENTS {
        problems.add(
            "attachments",
            format!("may hold at most {ATTACHMENTS} files"),
        );
        return Vec::new();
    }
    let mut found = Vec::with_capacity(list.len());
    for (place, body) in list.into_iter().enumerate() {
        let path = format!("attachments[{place}]");
        problems.unknown(&format!("{path}."), &body.unknown);
        let field = format!("{path}.fileName");
        let name = problems.required(&field, body.file_name);
        let file_name = problems.line(&field, name, 255);
        let field = format!("{path}.contentType");
        let kind = problems.optional(&field, body.content_type);
        let kind = kind.unwrap_or_else(|| "application/octet-stream".to_owned());
        if !is_media_type(&kind) {
            problems.add(&field, "must be a media type like application/pdf");
        }
        let field = format!("{path}.contentBase64");
        let encoded = problems.required(&field, body.content_base64);
        let content = encoded.and_then(|encoded| {
            let content = STANDARD.decode(encoded.as_bytes()).ok();
            if content.is_none() {
                problems.add(&field, "must be base64 with padding and without line ends");
            }
            content
        });
        if let (Some(file_name), Some(content)) = (file_name, content) {
            found.push(Attached {
                file_name,
                content_type: kind.to_ascii_lowercase(),
                content,
            });
        }
    }
    found
}

/// `type/subtype` of RFC 2045 §5.1 tokens, without parameters.
fn is_media_type(text: &str) -> bool {
    let token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    text.len() <= 127
        && text
            .split_once('/')
            .is_some_and(|(kind, sub)| token(kind) && token(sub))
}

fn idempotency_key(
    problems: &mut Problems,
    field: Given<String>,
    header: Option<String>,
) -> Option<String> {
    let field = problems.optional("idempotencyKey", field);
    if let (Some(field), Some(header)) = (&field, &header)
        && field != header
    {
        problems.add("idempotencyKey", "differs from the Idempotency-Key header");
    }
    let key = field.or(header)?;
    let good = (1..=200).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    if !good {
        problems.add(
            "idempotencyKey",
            "must be 1 to 200 printable ASCII characters without spaces",
        );
    }
    good.then_some(key)
}

/// A state to filter by, as the API writes it.
pub(super) fn state(text: &str) -> Option<RecipientState> {
    RecipientState::parse(text)
}

#[cfg(test)]
#[path = "entered_tests.rs"]
mod tests;
