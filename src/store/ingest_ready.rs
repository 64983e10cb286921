//! A message made ready for its columns, before the writer has it.

use super::{
    ingest_batch::NewMessage,
    text::{cut, cut_octets, hex, json_list, key_of, signed},
};
use crate::model::{ParsedMail, RawMail};

/// Octets of each body kept in the row; the raw mail is complete.
const BODY: usize = 1 << 20;
/// Octets of each list of addresses or ids.
const LIST: usize = 64 << 10;
/// Attachments listed per message.
const ATTACHMENTS: usize = 200;
/// How many of a mail's references are looked for, the newest first.
const REFERENCES: usize = 8;

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
}

impl Ready {
    pub(super) fn new(message: NewMessage) -> Self {
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
        Self {
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
