//! Reports about other mail: delivery status (RFC 3464, RFC 6533), complaints (RFC 5965), receipts (RFC 8098),
//! and through [`super::report_text`] what servers wrote before there was a standard, or write without it.

use mailparse::ParsedMail as Tree;

use super::{
    headers::{Fields, bare, ids},
    meaning::kind_of_actions,
    report_text,
};
use crate::model::{MailKind, Report, ReportAction, ReportedRecipient};

/// Octets of a report that are read: what it returns of a large mail does not matter.
const READ: usize = 512 * 1024;
/// Recipients of one report.
pub(super) const RECIPIENTS: usize = 100;
/// Ids that may name the mail it is about.
const IDS: usize = 8;
/// Parts that are looked at.
const PARTS: usize = 50;
/// Fields of the returned part that may name it.
const RETURNED: &[&str] = &[
    "message-id",
    "x-me-id",
    "references",
    "in-reply-to",
    "to",
    "subject",
    "from",
    "x-microsoft-original-message-id",
    "resent-message-id",
    "x-original-message-id",
];

/// The parts of a report that say something.
#[derive(Default)]
struct Parts {
    /// Its words.
    text: String,
    /// `message/delivery-status` and its like, decoded.
    status: Option<String>,
    /// `message/feedback-report`.
    feedback: Option<String>,
    /// `message/disposition-notification`.
    disposition: Option<String>,
    /// The returned mail or its headers.
    returned: Option<Vec<u8>>,
}

/// The report that a mail is, with its kind and the sign that said so; `None` where it is none.
pub(super) fn read(raw: &[u8], fields: &Fields) -> Option<(MailKind, String, Report)> {
    let content_type = fields
        .first("content-type")
        .unwrap_or_default()
        .to_lowercase();
    let standard = content_type.starts_with("multipart/report");
    let suspected = standard || report_text::is_suspect(fields);
    if !suspected {
        return None;
    }
    let parts = parts(raw.get(..READ).unwrap_or(raw));
    let mut report = Report::default();
    if let Some(returned) = &parts.returned {
        name_by_returned(&mut report, returned);
    }
    if let Some(feedback) = &parts.feedback {
        complaint(&mut report, feedback);
        return Some((
            MailKind::Complaint,
            "multipart/report: feedback-report".to_owned(),
            report,
        ));
    }
    if let Some(status) = &parts.status {
        delivery_status(&mut report, status);
        let actions: Vec<ReportAction> = report.recipients.iter().map(|one| one.action).collect();
        let kind = kind_of_actions(&actions);
        return Some((kind, "multipart/report: delivery-status".to_owned(), report));
    }
    if let Some(disposition) = &parts.disposition {
        let groups = groups(disposition);
        for value in groups
            .iter()
            .flat_map(|group| group.all("original-message-id"))
        {
            for id in ids(value) {
                name(&mut report, id);
            }
        }
        return Some((
            MailKind::Receipt,
            "multipart/report: disposition-notification".to_owned(),
            report,
        ));
    }
    let (recipients, reason, kind) = report_text::read(fields, &parts.text)?;
    if report.ids.is_empty() {
        // Returned headers that stand in the words: qmail, Exim, many appliances.
        if let Some(returned) = report_text::quoted_mail(&parts.text) {
            name_by_returned(&mut report, returned.as_bytes());
        }
    }
    report.recipients = recipients;
    Some((kind, reason, report))
}

fn name(report: &mut Report, id: String) {
    if report.ids.len() < IDS && !report.ids.contains(&id) {
        report.ids.push(id);
    }
}

/// Only the headers of what was returned: a report in a report in a report is about the first one.
fn name_by_returned(report: &mut Report, returned: &[u8]) {
    let fields = Fields::read(returned, RETURNED);
    report.own_id = fields
        .first("x-me-id")
        .and_then(|value| ids(value).into_iter().next());
    report.returned_id = fields
        .first("message-id")
        .and_then(|value| ids(value).into_iter().next());
    for id in report
        .own_id
        .clone()
        .into_iter()
        .chain(report.returned_id.clone())
    {
        name(report, id);
    }
    for header in [
        "x-microsoft-original-message-id",
        "x-original-message-id",
        "resent-message-id",
    ] {
        for id in fields.all(header).flat_map(ids) {
            name(report, id);
        }
    }
    // The first reference is the sign of the conversation that we put there.
    if let Some(id) = fields
        .first("references")
        .and_then(|value| ids(value).into_iter().next())
    {
        name(report, id);
    }
}

/// Groups of fields between empty lines.
fn groups(text: &str) -> Vec<Fields> {
    const STATUS: &[&str] = &[
        "original-envelope-id",
        "final-recipient",
        "original-recipient",
        "action",
        "status",
        "diagnostic-code",
        "original-message-id",
        "x-supplementary-info",
        "x-actual-recipient",
        "feedback-type",
        "original-rcpt-to",
        "removal-recipient",
        "original-mail-from",
    ];
    let text = text.replace("\r\n", "\n");
    text.split("\n\n")
        .filter(|group| !group.trim().is_empty())
        .take(RECIPIENTS + 5)
        .map(|group| Fields::read(group.trim_start().as_bytes(), STATUS))
        .collect()
}

fn delivery_status(report: &mut Report, text: &str) {
    for group in groups(text) {
        if let Some(id) = group.first("original-envelope-id") {
            name(report, bare(id).to_owned());
        }
        if report.recipients.len() >= RECIPIENTS {
            break;
        }
        let addresses: Vec<String> = [
            "final-recipient",
            "x-actual-recipient",
            "original-recipient",
        ]
        .into_iter()
        .filter_map(|field| group.first(field))
        .filter_map(typed_address)
        .collect();
        let status = group.first("status").unwrap_or_default();
        let status = status.split_whitespace().next().unwrap_or_default();
        let action = match group.first("action") {
            Some(word) => ReportAction::parse(word.split([' ', '(']).next().unwrap_or_default()),
            // A few servers leave the action out; the class of the status says it then.
            None => match status.chars().next() {
                Some('5') => Some(ReportAction::Failed),
                Some('4') => Some(ReportAction::Delayed),
                _ => None,
            },
        };
        let (Some(action), false) = (action, addresses.is_empty()) else {
            continue;
        };
        // A complaint is never said this way.
        if action == ReportAction::Complained {
            continue;
        }
        let diagnostic = group.first("diagnostic-code").unwrap_or_default();
        let diagnostic = diagnostic
            .split_once(';')
            .map_or(diagnostic, |(_, words)| words);
        report.recipients.push(ReportedRecipient {
            addresses,
            action,
            status: status.chars().take(20).collect(),
            diagnostic: diagnostic.trim().chars().take(1_000).collect(),
        });
    }
}

fn complaint(report: &mut Report, text: &str) {
    for group in groups(text) {
        for id in group.all("original-message-id").flat_map(ids) {
            name(report, id);
        }
        let wanted = ["original-rcpt-to", "removal-recipient"];
        for address in wanted.into_iter().flat_map(|field| group.all(field)) {
            let address = bare(address);
            if report.recipients.len() < RECIPIENTS && address.contains('@') {
                report.recipients.push(ReportedRecipient {
                    addresses: vec![address.to_owned()],
                    action: ReportAction::Complained,
                    status: String::new(),
                    diagnostic: group
                        .first("feedback-type")
                        .unwrap_or_default()
                        .chars()
                        .take(100)
                        .collect(),
                });
            }
        }
    }
}

/// `rfc822; a@b` or `utf-8; ü@b` or, against the standard, a bare address. Exim and others put comments and
/// brackets around it.
fn typed_address(value: &str) -> Option<String> {
    let (kind, address) = match value.split_once(';') {
        Some((kind, address)) => (kind.trim().to_ascii_lowercase(), address),
        None => ("rfc822".to_owned(), value),
    };
    if !matches!(
        kind.as_str(),
        "rfc822" | "utf-8" | "system" | "smtp" | "unknown" | "dns" | "x400" | "local"
    ) {
        return None;
    }
    let address = bare(address);
    let address = address.strip_prefix("RFC822;").unwrap_or(address).trim();
    let address = if kind == "utf-8" {
        from_xtext(address)
    } else {
        address.to_owned()
    };
    let fits =
        address.len() <= 320 && address.contains('@') && !address.contains(char::is_whitespace);
    fits.then_some(address)
}

/// `\x{FC}` of RFC 6533 §3 as the character.
fn from_xtext(address: &str) -> String {
    let mut read = String::with_capacity(address.len());
    let mut rest = address;
    while let Some((before, after)) = rest.split_once("\\x{") {
        read.push_str(before);
        let sign = after.split_once('}').and_then(|(code, end)| {
            let sign = u32::from_str_radix(code, 16)
                .ok()
                .and_then(char::from_u32)?;
            (!sign.is_control()).then_some((sign, end))
        });
        match sign {
            Some((sign, end)) => {
                read.push(sign);
                rest = end;
            }
            None => {
                read.push_str("\\x{");
                rest = after;
            }
        }
    }
    read.push_str(rest);
    read
}

/// The parts of the mail itself, not of mails in it.
fn parts(raw: &[u8]) -> Parts {
    let mut found = Parts::default();
    let Ok(tree) = mailparse::parse_mail(raw) else {
        return found;
    };
    let mut waiting: Vec<(&Tree<'_>, usize)> = vec![(&tree, 0)];
    let mut seen = 0_usize;
    while let Some((part, depth)) = waiting.pop() {
        seen += 1;
        if seen > PARTS {
            break;
        }
        let kind = part.ctype.mimetype.to_ascii_lowercase();
        if kind.starts_with("multipart/") && !part.subparts.is_empty() {
            if depth < 4 {
                waiting.extend(part.subparts.iter().rev().map(|one| (one, depth + 1)));
            }
            continue;
        }
        let words = || part.get_body().ok();
        match kind.as_str() {
            "message/delivery-status" | "message/global-delivery-status" => {
                found.status = found.status.take().or_else(words);
            }
            "message/feedback-report" => found.feedback = found.feedback.take().or_else(words),
            "message/disposition-notification" | "message/global-disposition-notification" => {
                found.disposition = found.disposition.take().or_else(words);
            }
            "message/rfc822"
            | "message/global"
            | "text/rfc822-headers"
            | "message/global-headers"
            | "message/rfc822-headers"
            | "message/news" => {
                found.returned = found.returned.take().or_else(|| part.get_body_raw().ok());
            }
            "text/html" if found.text.is_empty() => {
                found.text = words()
                    .map(|html| report_text::without_tags(&html))
                    .unwrap_or_default();
            }
            "text/plain" if found.text.len() < 64 * 1024 => {
                found.text.push_str(&words().unwrap_or_default());
                found.text.push('\n');
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
