//! Reports of servers that do not write RFC 3464: Exim, qmail, old Exchange and Notes, appliances. What they
//! write is for people; only what they all have written for decades is looked for.

use super::{
    headers::{Fields, bare},
    meaning::is_server,
    report::RECIPIENTS,
};
use crate::model::{MailKind, ReportAction, ReportedRecipient};

/// How servers begin the subject of a report that mail was not delivered; lower case.
const FAILED: [&str; 19] = [
    "undelivered mail returned to sender",
    "undeliverable",
    "undeliverable mail",
    "mail delivery failed",
    "mail delivery failure",
    "delivery status notification",
    "delivery failure",
    "delivery failed",
    "failure notice",
    "returned mail",
    "returned email",
    "mail could not be delivered",
    "message could not be delivered",
    "non delivery report",
    "non-delivery report",
    "unzustellbar",
    "nicht zustellbar",
    "non remis",
    "nondeliverable mail",
];
/// And of one that it is still tried.
const DELAYED: [&str; 6] = [
    "warning: message",
    "delayed mail",
    "delivery delayed",
    "delivery status notification (delay)",
    "mail delivery delayed",
    "verzögert:",
];
/// Lines that stand before the returned mail.
const RETURNED: [&str; 9] = [
    "--- below this line is a copy of the message",
    "------ this is a copy of the message, including all the headers",
    "------ this is a copy of the message's headers",
    "----- original message -----",
    "---- original message ----",
    "original message headers:",
    "ursprüngliche nachrichtenkopfzeilen:",
    "----- message header follows -----",
    "--- the header of the original message is following",
];

/// The headers alone let it be a report: a server wrote it, or names who did not get a mail.
pub(super) fn is_suspect(fields: &Fields) -> bool {
    if fields.has("x-failed-recipients") || fields.has("x-mailer-daemon-error") {
        return true;
    }
    let from = bare(fields.first("from").unwrap_or_default());
    let nobody = fields
        .first("return-path")
        .is_some_and(|path| path.trim() == "<>");
    (is_server(from) || nobody) && action(fields).is_some()
}

fn action(fields: &Fields) -> Option<ReportAction> {
    let subject = fields.first("subject").unwrap_or_default().to_lowercase();
    let begins = |starts: &[&str]| starts.iter().any(|start| subject.starts_with(start));
    if begins(&DELAYED) {
        return Some(ReportAction::Delayed);
    }
    begins(&FAILED).then_some(ReportAction::Failed)
}

/// The recipients that it names, the sign that it is a report, and its kind.
pub(super) fn read(
    fields: &Fields,
    text: &str,
) -> Option<(Vec<ReportedRecipient>, String, MailKind)> {
    let named: Vec<String> = fields
        .all("x-failed-recipients")
        .flat_map(|value| value.split(','))
        .map(|one| bare(one).to_owned())
        .filter(|one| one.contains('@'))
        .collect();
    let qmail = text.trim_start().starts_with("Hi. This is the") && text.contains("program at");
    let action = if qmail || !named.is_empty() {
        // Exim warns of delays with the same header.
        action(fields).unwrap_or(ReportAction::Failed)
    } else {
        action(fields)?
    };
    let reason = if qmail {
        "words of qmail"
    } else if named.is_empty() {
        "subject and sender of a server's report"
    } else {
        "x-failed-recipients"
    };
    let before = before_returned(text);
    let addresses = if named.is_empty() {
        addresses_in(before)
    } else {
        named
    };
    let recipients = addresses
        .into_iter()
        .take(RECIPIENTS)
        .map(|address| ReportedRecipient {
            diagnostic: words_about(before, &address),
            status: status_in(&words_about(before, &address)),
            addresses: vec![address],
            action,
        })
        .collect();
    Some((recipients, reason.to_owned(), MailKind::Bounce))
}

/// What stands before the returned mail.
fn before_returned(text: &str) -> &str {
    returned_at(text).map_or(text, |(at, _)| text.get(..at).unwrap_or(text))
}

/// The returned mail, where it stands in the words.
pub(super) fn quoted_mail(text: &str) -> Option<String> {
    let (_, end) = returned_at(text)?;
    let quoted = text.get(end..)?.trim_start();
    Some(quoted.chars().take(32 * 1024).collect())
}

/// Where the line before the returned mail begins and ends.
fn returned_at(text: &str) -> Option<(usize, usize)> {
    let mut at = 0_usize;
    for line in text.split_inclusive('\n') {
        let lower = line.trim().to_lowercase();
        if RETURNED.iter().any(|mark| lower.starts_with(mark)) {
            return Some((at, at + line.len()));
        }
        at += line.len();
    }
    None
}

/// Addresses at the beginning of a line of their own, as all of these servers write them.
fn addresses_in(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in text.lines().take(2_000) {
        let line = line.trim();
        let word = line.split_whitespace().next().unwrap_or_default();
        let word = word.strip_prefix("mailto:").unwrap_or(word);
        let word = word.trim_matches(['<', '>', ':', ',', ';', '"', '\'', '(', ')']);
        let word = word.split("<mailto:").next().unwrap_or(word);
        let is_address = word.len() <= 320
            && word.split_once('@').is_some_and(|(left, right)| {
                !left.is_empty() && right.contains('.') && !right.contains('@')
            });
        if is_address && found.len() < RECIPIENTS && !found.iter().any(|one| one == word) {
            found.push(word.to_owned());
        }
    }
    found
}

/// The lines behind an address, up to an empty one.
fn words_about(text: &str, address: &str) -> String {
    let mut lines = text.lines().skip_while(|line| !line.contains(address));
    let first = lines.next().unwrap_or_default();
    let (_, rest) = first.split_once(address).unwrap_or_default();
    let rest = rest.trim_start_matches(['>', ':', ' ', '<']).trim();
    let more = lines.take_while(|line| !line.trim().is_empty()).take(8);
    let words: Vec<&str> = std::iter::once(rest)
        .chain(more.map(str::trim))
        .filter(|line| !line.is_empty())
        .collect();
    words.join(" ").chars().take(1_000).collect()
}

/// An enhanced status (RFC 3463) among the words, or nothing.
fn status_in(words: &str) -> String {
    let is_status = |word: &&str| {
        let parts: Vec<&str> = word.split('.').collect();
        matches!(parts.as_slice(), ["4" | "5", a, b] if [a, b].iter().all(|part| (1..=3).contains(&part.len()) && part.bytes().all(|o| o.is_ascii_digit())))
    };
    words
        .split(|c: char| !(c.is_ascii_digit() || c == '.'))
        .map(|word| word.trim_matches('.'))
        .find(is_status)
        .unwrap_or_default()
        .to_owned()
}

/// The words of an HTML report: tags become line ends.
pub(super) fn without_tags(html: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for c in html.chars().take(64 * 1024) {
        match c {
            '<' => {
                inside = true;
                text.push('\n');
            }
            '>' => inside = false,
            c if !inside => text.push(c),
            _ => {}
        }
    }
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}
