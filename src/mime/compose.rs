//! Our own messages: from fields to the bytes that are frozen in the queue.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Attachment, Body, Mailboxes, MessageBuilder, MultiPart, SinglePart,
        header::{self, ContentTransferEncoding, ContentType, HeaderName, HeaderValue, Headers},
    },
};
use uuid::Uuid;

use super::compose_check::{self as check, ComposeError, MOST_OCTETS, MOST_RECIPIENTS};
use crate::model::{EmailAddress, Timestamp};

/// Headers a caller may set, beside `X-` ones that are not ours. Everything else is written by us, or
/// not at all.
const OPEN_HEADERS: [&str; 7] = [
    "Auto-Submitted",
    "Importance",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Precedence",
    "Priority",
];

/// Somebody in an address header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Display name; empty is none.
    pub name: String,
    /// Address.
    pub address: EmailAddress,
}

/// A file to send along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftAttachment {
    /// As the receiver sees it; at most 255 characters.
    pub file_name: String,
    /// Media type, e.g. `application/pdf`; empty: `application/octet-stream`.
    pub content_type: String,
    /// The file itself.
    pub bytes: Vec<u8>,
}

/// A message in fields.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Without angle brackets: see [`new_message_id`].
    pub message_id: String,
    /// The Date header.
    pub date: Timestamp,
    /// The one author.
    pub from: Person,
    /// To.
    pub to: Vec<Person>,
    /// Cc.
    pub cc: Vec<Person>,
    /// Bcc: counted as recipients, never written.
    pub bcc: Vec<Person>,
    /// Reply-To.
    pub reply_to: Vec<Person>,
    /// Subject, at most 998 characters.
    pub subject: String,
    /// Plain text body.
    pub text: Option<String>,
    /// HTML body.
    pub html: Option<String>,
    /// The id answered to, without angle brackets.
    pub in_reply_to: Option<String>,
    /// The conversation's ids, oldest first.
    pub references: Vec<String>,
    /// Files, in order.
    pub attachments: Vec<DraftAttachment>,
    /// Further headers: name and value.
    pub headers: Vec<(String, String)>,
}

impl Draft {
    /// A message with nothing in it and nobody to send it to.
    pub fn new(message_id: String, from: Person, date: Timestamp) -> Self {
        Self {
            message_id,
            date,
            from,
            to: Vec::new(),
            cc: Vec::new(),
            bcc: Vec::new(),
            reply_to: Vec::new(),
            subject: String::new(),
            text: None,
            html: None,
            in_reply_to: None,
            references: Vec::new(),
            attachments: Vec::new(),
            headers: Vec::new(),
        }
    }
}

/// A message ready for the queue; its bytes never change again, also not for a retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// Without angle brackets.
    pub message_id: String,
    /// The author's address, for whoever decides who may write as whom.
    pub from: EmailAddress,
    /// Decoded subject.
    pub subject: String,
    /// Headers and body: CRLF line ends only, no line above 998 octets, no Bcc.
    pub raw: Bytes,
}

/// An id for a new message of this author: unique, and of the author's own domain.
pub fn new_message_id(unique: impl std::fmt::Display, from: &EmailAddress) -> String {
    let domain = from.domain();
    let domain = if domain.is_ascii() {
        domain.to_ascii_lowercase()
    } else {
        "localhost".to_owned()
    };
    format!("{unique}@{domain}")
}

/// Writes the message. Pure but for the MIME boundaries, which are random.
///
/// # Errors
/// The field that is not usable, by name; too many recipients; too large.
pub fn compose(draft: &Draft) -> Result<Frozen, ComposeError> {
    let recipients = draft.to.len() + draft.cc.len() + draft.bcc.len();
    match recipients {
        0 => return Err(ComposeError::NoRecipient),
        1..=MOST_RECIPIENTS => {}
        given => return Err(ComposeError::TooManyRecipients { given }),
    }
    let octets = draft.attachments.iter().map(|a| a.bytes.len());
    if octets.fold(0usize, usize::saturating_add) > MOST_OCTETS {
        return Err(ComposeError::TooLarge);
    }
    if !is_id(&draft.message_id) {
        return Err(ComposeError::field("messageId", "is not a message id"));
    }
    let raw = with_body(headers(draft)?, draft)?.formatted();
    check::lines(&raw)?;
    Ok(Frozen {
        message_id: draft.message_id.clone(),
        from: draft.from.address.clone(),
        subject: draft.subject.clone(),
        raw: raw.into(),
    })
}

fn headers(draft: &Draft) -> Result<MessageBuilder, ComposeError> {
    check::header_text(|| "subject".into(), &draft.subject, 998)?;
    let author = mailbox(|| "from".into(), &draft.from)?;
    // The envelope is the queue's business; the builder insists on one.
    let envelope = Envelope::new(Some(author.email.clone()), vec![author.email.clone()])
        .map_err(|_| ComposeError::NoRecipient)?;
    let date = u64::try_from(draft.date.millis()).unwrap_or(0);
    let mut builder = Message::builder()
        .envelope(envelope)
        .date(UNIX_EPOCH + Duration::from_millis(date))
        .from(author)
        .subject(draft.subject.replace('\t', " "))
        .message_id(Some(format!("<{}>", draft.message_id)));
    // Providers replace Message-ID; reports on the message, and copies of it, still have this one.
    builder = raw_header(builder, "X-ME-Id", format!("<{}>", draft.message_id));
    builder = people(builder, "To", "to", &draft.to)?;
    builder = people(builder, "Cc", "cc", &draft.cc)?;
    builder = people(builder, "Reply-To", "replyTo", &draft.reply_to)?;
    for (n, bcc) in draft.bcc.iter().enumerate() {
        mailbox(|| format!("bcc[{n}]"), bcc)?;
    }
    if draft.to.is_empty() && draft.cc.is_empty() {
        // RFC 5322 §3.6.3 allows no To at all; many receivers take that for spam.
        builder = raw_header(builder, "To", "undisclosed-recipients:;".into());
    }
    let answered: Vec<String> = draft.in_reply_to.iter().cloned().collect();
    builder = ids(builder, "In-Reply-To", "inReplyTo", &answered)?;
    builder = ids(builder, "References", "references", &draft.references)?;
    for (n, (name, value)) in draft.headers.iter().enumerate() {
        builder = own_header(builder, n, name, value)?;
    }
    Ok(builder)
}

/// One address a line: the builder would put a thousand of them into one.
fn people(
    builder: MessageBuilder,
    header: &'static str,
    field: &str,
    people: &[Person],
) -> Result<MessageBuilder, ComposeError> {
    let mut encoded = Vec::with_capacity(people.len());
    for (n, person) in people.iter().enumerate() {
        let mailbox = mailbox(|| format!("{field}[{n}]"), person)?;
        let mut alone = Headers::new();
        alone.set(header::To::from(Mailboxes::from(mailbox)));
        let line = alone.to_string();
        let value = line.strip_prefix("To: ").unwrap_or(&line);
        encoded.push(value.trim_end().to_owned());
    }
    if encoded.is_empty() {
        return Ok(builder);
    }
    Ok(raw_header(builder, header, encoded.join(",\r\n ")))
}

/// Ids came from strangers' mail: one that is no id is left out, the rest is folded one a line.
fn ids(
    builder: MessageBuilder,
    header: &'static str,
    field: &str,
    ids: &[String],
) -> Result<MessageBuilder, ComposeError> {
    for id in ids {
        check::header_text(|| field.to_owned(), id, usize::MAX)?;
    }
    // The oldest and the newest say most about a thread; RFC 5322 §3.6.4 sets no bound, receivers do.
    let good: Vec<String> = ids
        .iter()
        .filter(|id| is_id(id))
        .map(|id| format!("<{id}>"))
        .collect();
    let kept = match good.split_first() {
        Some((oldest, rest)) if good.len() > 100 => {
            let newest = rest.get(rest.len() - 99..).unwrap_or_default();
            [std::slice::from_ref(oldest), newest].concat()
        }
        _ => good,
    };
    if kept.is_empty() {
        return Ok(builder);
    }
    Ok(raw_header(builder, header, kept.join("\r\n ")))
}

/// `left@right` of printable ASCII without spaces and brackets, short enough for one line.
pub(super) fn is_id(text: &str) -> bool {
    text.len() <= 900
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>'))
        && text
            .split_once('@')
            .is_some_and(|(left, right)| !left.is_empty() && !right.is_empty())
}

fn own_header(
    builder: MessageBuilder,
    n: usize,
    name: &str,
    value: &str,
) -> Result<MessageBuilder, ComposeError> {
    let field = || format!("headers[{n}]");
    let is_name = (1..=76).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let upper = name.to_ascii_uppercase();
    let open = upper.starts_with("X-") && !upper.starts_with("X-ME-")
        || OPEN_HEADERS.iter().any(|h| h.eq_ignore_ascii_case(name));
    if !is_name || !open {
        return Err(ComposeError::field(field(), "is not a header to be set"));
    }
    check::header_text(field, value, 998)?;
    let name = HeaderName::new_from_ascii(name.to_owned())
        .map_err(|_| ComposeError::field(field(), "is not a header to be set"))?;
    Ok(builder.raw_header(HeaderValue::new(name, value.replace('\t', " "))))
}

/// A header whose value is safe and folded already.
fn raw_header(builder: MessageBuilder, name: &'static str, value: String) -> MessageBuilder {
    let name = HeaderName::new_from_ascii_str(name);
    builder.raw_header(HeaderValue::dangerous_new_pre_encoded(
        name,
        value.clone(),
        value,
    ))
}

fn mailbox(
    field: impl Fn() -> String,
    person: &Person,
) -> Result<lettre::message::Mailbox, ComposeError> {
    check::header_text(|| format!("{}.name", field()), &person.name, 256)?;
    let name = person.name.replace('\t', " ");
    let name = name.trim();
    let address: Address = person
        .address
        .as_str()
        .parse()
        .map_err(|_| ComposeError::field(field(), "is not an address"))?;
    Ok(lettre::message::Mailbox::new(
        (!name.is_empty()).then(|| name.to_owned()),
        address,
    ))
}

fn with_body(builder: MessageBuilder, draft: &Draft) -> Result<Message, ComposeError> {
    let text = draft.text.as_deref().map(|t| check::body_text("text", t));
    let html = draft.html.as_deref().map(|t| check::body_text("html", t));
    let plain = |text: String| part(ContentType::TEXT_PLAIN, text);
    let marked_up = |html: String| part(ContentType::TEXT_HTML, html);
    let multi = |kind: fn() -> lettre::message::MultiPartBuilder| {
        kind().boundary(format!("me-{}", Uuid::new_v4().simple()))
    };
    let built = match (text.transpose()?, html.transpose()?) {
        (Some(text), Some(html)) => {
            let both = multi(MultiPart::alternative)
                .singlepart(plain(text))
                .singlepart(marked_up(html));
            if draft.attachments.is_empty() {
                builder.multipart(both)
            } else {
                let mixed = multi(MultiPart::mixed).multipart(both);
                builder.multipart(attach(mixed, &draft.attachments)?)
            }
        }
        (text, html) => {
            let one = match html {
                Some(html) => marked_up(html),
                None => plain(text.unwrap_or_default()),
            };
            if draft.attachments.is_empty() {
                builder.singlepart(one)
            } else {
                let mixed = multi(MultiPart::mixed).singlepart(one);
                builder.multipart(attach(mixed, &draft.attachments)?)
            }
        }
    };
    built.map_err(|_| ComposeError::field("from", "is not usable"))
}

fn part(kind: ContentType, text: String) -> SinglePart {
    SinglePart::builder().header(kind).body(text)
}

fn attach(mut mixed: MultiPart, files: &[DraftAttachment]) -> Result<MultiPart, ComposeError> {
    for (n, file) in files.iter().enumerate() {
        let field = |name: &str| format!("attachments[{n}].{name}");
        check::header_text(|| field("fileName"), &file.file_name, 255)?;
        check::header_text(|| field("contentType"), &file.content_type, 200)?;
        let kind = match file.content_type.trim() {
            "" => "application/octet-stream",
            kind => kind,
        };
        // A multipart or message of the caller's would have to be parsed to be safe.
        let lower = kind.to_ascii_lowercase();
        let kind = if lower.starts_with("multipart/") || lower.starts_with("message/") {
            "application/octet-stream"
        } else {
            kind
        };
        let kind = ContentType::parse(kind)
            .ok()
            .filter(|_| kind.is_ascii())
            .ok_or_else(|| ComposeError::field(field("contentType"), "is not a media type"))?;
        let body = Body::new_with_encoding(file.bytes.clone(), ContentTransferEncoding::Base64)
            .map_err(|_| ComposeError::field(field("bytes"), "cannot be encoded"))?;
        mixed = mixed.singlepart(Attachment::new(file.file_name.clone()).body(body, kind));
    }
    Ok(mixed)
}

#[cfg(test)]
#[path = "compose_tests.rs"]
mod tests;
