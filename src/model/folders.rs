//! Which folders of a mailbox are read.

use std::fmt;

/// Folders of one account at most.
const MOST: usize = 50;
/// Characters of a name at most.
const LONGEST: usize = 200;

/// What a folder is for (RFC 6154).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FolderKind {
    /// All mail.
    All,
    /// Put away.
    Archive,
    /// Not sent yet.
    Drafts,
    /// Taken for spam.
    Junk,
    /// Sent.
    Sent,
    /// Deleted.
    Trash,
}

impl FolderKind {
    const EACH: [Self; 6] = [
        Self::All,
        Self::Archive,
        Self::Drafts,
        Self::Junk,
        Self::Sent,
        Self::Trash,
    ];

    /// The attribute that servers mark it with.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "\\All",
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
        }
    }

    /// By attribute, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::EACH
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(text.trim()))
    }

    /// From a name, where a server marks nothing: the names that servers and programs give by themselves.
    pub fn of_name(name: &str) -> Option<Self> {
        const NAMES: [(FolderKind, &[&str]); 5] = [
            (
                FolderKind::Archive,
                &["archive", "archives", "archiv", "archivio", "archivo"],
            ),
            (
                FolderKind::Drafts,
                &[
                    "drafts",
                    "draft",
                    "entwürfe",
                    "brouillons",
                    "bozze",
                    "borradores",
                ],
            ),
            (
                FolderKind::Junk,
                &[
                    "junk",
                    "spam",
                    "junk e-mail",
                    "junk email",
                    "junk mail",
                    "bulk mail",
                    "junk-e-mail",
                    "courrier indésirable",
                    "posta indesiderata",
                    "correo no deseado",
                ],
            ),
            (
                FolderKind::Sent,
                &[
                    "sent",
                    "sent items",
                    "sent messages",
                    "sent mail",
                    "gesendet",
                    "gesendete elemente",
                    "gesendete objekte",
                    "éléments envoyés",
                    "posta inviata",
                    "elementos enviados",
                ],
            ),
            (
                FolderKind::Trash,
                &[
                    "trash",
                    "deleted items",
                    "deleted messages",
                    "papierkorb",
                    "gelöschte elemente",
                    "éléments supprimés",
                    "posta eliminata",
                    "elementos eliminados",
                ],
            ),
        ];
        let name = name.to_lowercase();
        NAMES
            .into_iter()
            .find(|(_, names)| names.contains(&name.as_str()))
            .map(|(kind, _)| kind)
    }
}

/// One folder as an administrator names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FolderChoice {
    /// The folder that new mail comes into.
    Inbox,
    /// Whichever folder is for this.
    Kind(FolderKind),
    /// By its name, as people see it.
    Named(String),
}

impl FolderChoice {
    /// `None` for an empty or over-long name, one with control characters, and an unknown attribute.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("inbox") {
            return Some(Self::Inbox);
        }
        if text.starts_with('\\') {
            return FolderKind::parse(text).map(Self::Kind);
        }
        let good = !text.is_empty()
            && text.chars().count() <= LONGEST
            && !text.chars().any(char::is_control);
        good.then(|| Self::Named(text.to_owned()))
    }
}

impl fmt::Display for FolderChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inbox => "INBOX",
            Self::Kind(kind) => kind.as_str(),
            Self::Named(name) => name,
        })
    }
}

/// The folders of an account that are read: 1 to 50, each once. The first is watched without a pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders(Vec<FolderChoice>);

impl Folders {
    /// `None` where one of them is not good, none is named, or more than 50 are.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut folders = Vec::new();
        for name in names {
            let folder = FolderChoice::parse(name)?;
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        ((1..=MOST).contains(&folders.len())).then_some(Self(folders))
    }

    /// In the order in which they were named.
    pub fn all(&self) -> &[FolderChoice] {
        &self.0
    }

    /// As they were named.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

impl Default for Folders {
    /// INBOX alone.
    fn default() -> Self {
        Self(vec![FolderChoice::Inbox])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_by_name_or_by_what_they_are_for() {
        let long = "x".repeat(LONGEST + 1);
        for (text, expected) in [
            ("inbox", Some("INBOX")),
            (" Support/VIP ", Some("Support/VIP")),
            ("\\junk", Some("\\Junk")),
            ("Gesendete Elemente", Some("Gesendete Elemente")),
            ("\\Nonsense", None),
            ("", None),
            ("a\r\nA9 LOGOUT", None),
            (long.as_str(), None),
        ] {
            let shown = FolderChoice::parse(text).map(|folder| folder.to_string());
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
        let folders = Folders::parse(["INBOX", "\\Junk", "inbox", "VIP"]).unwrap();
        assert_eq!(folders.names(), ["INBOX", "\\Junk", "VIP"]);
        assert_eq!(Folders::parse([]), None);
        let many: Vec<String> = (0..=MOST).map(|place| place.to_string()).collect();
        assert_eq!(Folders::parse(many.iter().map(String::as_str)), None);
        assert_eq!(FolderKind::of_name("Junk E-Mail"), Some(FolderKind::Junk));
        assert_eq!(FolderKind::of_name("Entwürfe"), Some(FolderKind::Drafts));
        assert_eq!(FolderKind::of_name("Project"), None);
    }
}
