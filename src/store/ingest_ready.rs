//! A message made ready for its columns, before the writer has it.

use super::{
    ingest_batch::NewMessage,
    seal::Keys,
    text::{cut, cut_octets, hex, json_list, key_of, signed},
    thread_token::Token,
};
use crate::model::{AccountId, MailKind, ParsedMail, RawMail, is_answer_subject, plain_subject};

/// Octets of each body kept in the row; the raw mail is complete.
const BODY: usize = 1 << 20;
/// Octets of each list of addresses or ids.
const LIST: usize = 64 << 10;
/// Attachments listed per message.
const ATTACHMENTS: usize = 200;
/// How many of a mail's references are looked for, the newest first.
const REFERENCES: usize = 8;
/// Digits of a subject's key.
const SUBJECT_KEY: usize = 16;

/// A message ready for its columns: everything that takes thought happens before the writer.
pub(super) struct Ready {
    pub(super) uid: i64,
    pub(super) internal_date: i64,
    pub(super) size: i64,
    pub(super) sha256: String,
    pub(super) raw: RawMail,
    pub(super) mail: ParsedMail,
    pub(super) parse_error: Option<String>,
    pub(super) message_key: Option<String>,
    pub(super) reference_keys: Vec<String>,
    pub(super) truncated: bool,
    pub(super) reference_ids: String,
    pub(super) reply_to: String,
    pub(super) to_list: String,
    pub(super) cc_list: String,
    /// The sender's address in lower case.
    pub(super) sender: String,
    pub(super) sender_key: String,
    pub(super) subject_key: String,
    /// The first of its references that carries a token of ours.
    pub(super) token: Option<Token>,
    /// Keys of the ids that a report may name our message by.
    pub(super) report_keys: Vec<String>,
}

impl Ready {
    pub(super) fn new(message: NewMessage, keys: &Keys, account: AccountId) -> Self {
        let (mut mail, parse_error) = match message.parsed {
            Ok(mail) => (mail, None),
            Err(why) => (ParsedMail::default(), Some(cut(&why, 2_000))),
        };
        let mut truncated = mail.truncated;
        for body in [&mut mail.text, &mut mail.html].into_iter().flatten() {
            let (kept, was_cut) = cut_octets(body, BODY);
            *body = kept;
            truncated |= was_cut;
        }
        truncated |= mail.attachments.len() > ATTACHMENTS;
        mail.attachments.truncate(ATTACHMENTS);
        let (reference_ids, a) = json_list(&mail.references, LIST);
        let (reply_to, b) = json_list(&mail.reply_to, LIST);
        let (to_list, c) = json_list(&mail.to, LIST);
        let (cc_list, d) = json_list(&mail.cc, LIST);
        let newest_first = mail.references.iter().rev();
        let mut reference_keys: Vec<String> = Vec::new();
        for id in mail.in_reply_to.iter().chain(newest_first) {
            let key = key_of(id);
            if reference_keys.len() < REFERENCES && !reference_keys.contains(&key) {
                reference_keys.push(key);
            }
        }
        let sender = mail.from.address.trim().to_lowercase();
        let mut subject_key = key_of(&plain_subject(&mail.subject));
        subject_key.truncate(SUBJECT_KEY);
        let ids = mail.in_reply_to.iter().chain(mail.references.iter().rev());
        let token = ids.filter_map(|id| keys.thread_of(account, id)).next();
        let report = mail
            .meaning
            .as_ref()
            .and_then(|meaning| meaning.report.as_ref());
        let report_keys = report.map_or_else(Vec::new, |report| {
            report.ids.iter().map(|id| key_of(id)).collect()
        });
        Self {
            sender_key: key_of(&sender),
            sender,
            subject_key,
            token,
            report_keys,
            uid: i64::from(message.uid.get()),
            internal_date: message.internal_date.millis(),
            size: signed(message.size),
            sha256: hex(&message.sha256),
            raw: message.raw,
            message_key: mail.message_id.as_deref().map(key_of),
            reference_keys,
            truncated: truncated | a | b | c | d,
            reference_ids,
            reply_to,
            to_list,
            cc_list,
            parse_error,
            mail,
        }
    }

    /// Who or what wrote it.
    pub(super) fn kind(&self) -> MailKind {
        self.mail
            .meaning
            .as_ref()
            .map_or(MailKind::Human, |meaning| meaning.kind)
    }

    /// Which sign said so.
    pub(super) fn reason(&self) -> &str {
        self.mail
            .meaning
            .as_ref()
            .map_or("", |meaning| meaning.reason.as_str())
    }

    /// An answer by its subject, from a person whose mail program names nothing that it answers.
    pub(super) fn is_bare_answer(&self) -> bool {
        self.reference_keys.is_empty()
            && self.kind() == MailKind::Human
            && is_answer_subject(&self.mail.subject)
            && !plain_subject(&self.mail.subject).is_empty()
    }

    pub(super) fn weight(&self) -> usize {
        let body = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let raw = raw_weight(Some(&self.raw));
        let lists = self.to_list.len() + self.cc_list.len() + self.reference_ids.len();
        1_000 + raw + body(&self.mail.text) + body(&self.mail.html) + lists
    }
}

pub(super) fn raw_weight(raw: Option<&RawMail>) -> usize {
    match raw {
        Some(RawMail::Row(bytes)) => bytes.len(),
        _ => 0,
    }
}
