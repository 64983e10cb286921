//! What a mail is about beside its words: who or what wrote it, what it reports, and when mail is held.

use std::time::Duration;

/// Who or what wrote a mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MailKind {
    /// A person, as far as its headers tell.
    #[default]
    Human,
    /// A program answered by itself: an absence note, an acknowledgement.
    AutoReply,
    /// A program wrote by itself, or to many: newsletters, notifications.
    Bulk,
    /// It came over a mailing list.
    List,
    /// A server says that a mail was not, or not yet, delivered.
    Bounce,
    /// A provider passes on that a reader called a mail spam.
    Complaint,
    /// A mail was delivered or read.
    Receipt,
}

impl MailKind {
    const ALL: [Self; 7] = [
        Self::Human,
        Self::AutoReply,
        Self::Bulk,
        Self::List,
        Self::Bounce,
        Self::Complaint,
        Self::Receipt,
    ];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::AutoReply => "autoReply",
            Self::Bulk => "bulk",
            Self::List => "list",
            Self::Bounce => "bounce",
            Self::Complaint => "complaint",
            Self::Receipt => "receipt",
        }
    }

    /// From the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// A program speaks about another mail; nobody is to be remembered as its author.
    pub fn is_report(self) -> bool {
        matches!(self, Self::Bounce | Self::Complaint | Self::Receipt)
    }

    /// A program answers what it gets: two of them may answer each other for ever.
    pub fn answers_by_itself(self) -> bool {
        self == Self::AutoReply || self.is_report()
    }
}

/// What a report says of one recipient (RFC 3464 §2.3.3, RFC 5965).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportAction {
    /// Given up.
    Failed,
    /// Still tried.
    Delayed,
    /// In the mailbox.
    Delivered,
    /// Passed to a system that sends no reports.
    Relayed,
    /// Passed to several addresses in its stead.
    Expanded,
    /// Its reader called it spam.
    Complained,
}

impl ReportAction {
    const ALL: [Self; 6] = [
        Self::Failed,
        Self::Delayed,
        Self::Delivered,
        Self::Relayed,
        Self::Expanded,
        Self::Complained,
    ];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
            Self::Complained => "complained",
        }
    }

    /// From the word, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|action| action.as_str().eq_ignore_ascii_case(text.trim()))
    }
}

/// What a report says of one recipient of another mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedRecipient {
    /// Its addresses, the one first written to last; one is enough for a match.
    pub addresses: Vec<String>,
    /// What became of its copy.
    pub action: ReportAction,
    /// Enhanced status (RFC 3463), or empty.
    pub status: String,
    /// The remote server's words, at most 1,000 characters; may be empty.
    pub diagnostic: String,
}

/// A report about another mail, as far as it could be read. A stranger wrote it: it counts only where it
/// matches what was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Ids that may name the mail, without angle brackets; the likeliest first, at most 8.
    pub ids: Vec<String>,
    /// Our own header in the returned part: the id we gave it.
    pub own_id: Option<String>,
    /// Message-ID of the returned part: what a provider may have made of ours.
    pub returned_id: Option<String>,
    /// One entry per recipient, at most 100.
    pub recipients: Vec<ReportedRecipient>,
}

/// What the headers and the structure of a mail say of its nature.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// Who or what wrote it.
    pub kind: MailKind,
    /// Which sign said so; empty for [`MailKind::Human`].
    pub reason: String,
    /// The report it is.
    pub report: Option<Report>,
    /// Our own header on the mail itself: a copy of what we sent came back to us.
    pub own_id: Option<String>,
    /// Hosts it passed, as counted in Received.
    pub hops: u32,
    /// Addresses it says it was delivered to before, or that marked it against loops; at most 50.
    pub passed: Vec<String>,
}

/// When mail is held, and how conversations are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeaningRules {
    /// The time in which mail of one sender in one conversation is counted.
    pub loop_window: Duration,
    /// Automatic answers of one sender in one conversation within the window; 0: any number.
    pub loop_automatic: u32,
    /// Mails of one sender with the same subject in one conversation within the window; 0: any number.
    pub loop_repeated: u32,
    /// Automatic mails of one sender in a minute; 0: any number.
    pub storm_per_minute: u32,
    /// How old a conversation may be that is found by subject; zero: none is.
    pub subject_window: Duration,
}

impl Default for MeaningRules {
    fn default() -> Self {
        Self {
            loop_window: Duration::from_secs(3600),
            loop_automatic: 5,
            loop_repeated: 30,
            storm_per_minute: 60,
            subject_window: Duration::from_secs(14 * 86_400),
        }
    }
}

/// A subject as it is compared: without the prefixes of answers and forwards, lower case, one space
/// between words.
pub fn plain_subject(subject: &str) -> String {
    let mut rest = subject.trim();
    while let Some(next) = without_prefix(rest) {
        rest = next;
    }
    let words: Vec<String> = rest.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ")
}

/// True where a mail program marked the subject as that of an answer.
pub fn is_answer_subject(subject: &str) -> bool {
    const ANSWERS: [&str; 10] = [
        "re", "aw", "antw", "sv", "rv", "odp", "r", "ynt", "回复", "答复",
    ];
    prefix(subject.trim()).is_some_and(|(word, _)| ANSWERS.contains(&word.as_str()))
}

fn without_prefix(subject: &str) -> Option<&str> {
    const PREFIXES: [&str; 18] = [
        "re", "aw", "antw", "sv", "rv", "odp", "r", "ynt", "回复", "答复", "fw", "fwd", "wg", "vs",
        "tr", "enc", "doorst", "转发",
    ];
    prefix(subject)
        .filter(|(word, _)| PREFIXES.contains(&word.as_str()))
        .map(|(_, rest)| rest)
}

/// The word before the first colon, without a count like `[2]`, and what follows.
fn prefix(subject: &str) -> Option<(String, &str)> {
    let (word, rest) = subject.split_once([':', '：'])?;
    let word = word.split(['[', '(']).next().unwrap_or_default().trim();
    (word.chars().count() <= 6).then(|| (word.to_lowercase(), rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for kind in MailKind::ALL {
            assert_eq!(MailKind::parse(kind.as_str()), Some(kind));
        }
        for action in ReportAction::ALL {
            assert_eq!(
                ReportAction::parse(&action.as_str().to_uppercase()),
                Some(action)
            );
        }
    }

    #[test]
    fn subjects_are_compared_without_what_mail_programs_put_before_them() {
        for (subject, plain, answer) in [
            ("Order 5", "order 5", false),
            ("Re: Order  5 ", "order 5", true),
            ("RE: AW: Fwd: Order 5", "order 5", true),
            ("Re[2]: Order 5", "order 5", true),
            ("Fwd: Order 5", "order 5", false),
            ("回复：订单", "订单", true),
            ("Invoice: March", "invoice: march", false),
            ("Re:", "", true),
            ("", "", false),
            ("::::", "::::", false),
        ] {
            assert_eq!(plain_subject(subject), plain, "{subject}");
            assert_eq!(is_answer_subject(subject), answer, "{subject}");
        }
    }
}
