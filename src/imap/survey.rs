//! Looking at a mailbox without changing anything in it: EXAMINE, and where sent mail is filed.

use async_imap::imap_proto::{MailboxDatum, NameAttribute, Response};

use super::{ImapError, Selected, Session, Step, mailbox_name, wire::Budget};
use crate::{
    model::{FolderChoice, FolderKind},
    net::guard::Limits,
};

/// Folders that are looked at; a server that lists more is left (bad input 16).
const FOLDERS: usize = 10_000;
/// Octets of a folder's name; a longer one is passed over (bad input 15).
const LONGEST: usize = 1_000;

impl Session {
    /// Opens a mailbox for reading only; else as [`Session::select`].
    ///
    /// # Errors
    /// As [`Session::select`].
    pub async fn examine(&mut self, name: &str) -> Result<Selected, ImapError> {
        self.open("EXAMINE", name).await
    }

    /// The folders there are, as LIST names them. One that cannot be opened is left out.
    ///
    /// # Errors
    /// As for every command; `Limit` for more than 10,000 of them.
    pub async fn folders(&mut self) -> Result<Vec<FolderListed>, ImapError> {
        let mut folders = Vec::new();
        let on = |response: &Response<'_>| {
            let Response::MailboxData(MailboxDatum::List(folder)) = response else {
                return;
            };
            if folders.len() >= FOLDERS
                || folder.name_attributes.contains(&NameAttribute::NoSelect)
                || folder.name.len() > LONGEST
                || folder.name.chars().any(char::is_control)
            {
                return;
            }
            let kind = folder.name_attributes.iter().find_map(kind);
            let last = folder.delimiter.as_deref().and_then(|delimiter| {
                let (_, last) = folder.name.rsplit_once(delimiter)?;
                Some(last)
            });
            let last = mailbox_name::decode(last.unwrap_or(&folder.name));
            folders.push(FolderListed {
                shown: mailbox_name::decode(&folder.name),
                by_name: FolderKind::of_name(&last),
                kind,
                name: folder.name.to_string(),
            });
        };
        // Exchange gives the attributes to a plain LIST only, and refuses one that asks for them.
        let budget = Budget {
            limits: Limits {
                lines: u64::try_from(FOLDERS).unwrap_or(u64::MAX) + 100,
                ..Limits::default()
            },
            ..Budget::new(self.settings.command_timeout)
        };
        self.wire
            .exec(Step::List, "LIST \"\" \"*\"", budget, on)
            .await?;
        Ok(folders)
    }

    /// The folder that the server calls its place for sent mail (the attribute `\\Sent`, RFC 6154), as it
    /// spells it. `None`: no folder has the attribute; names in people's languages are not guessed at.
    ///
    /// # Errors
    /// As [`Self::folders`].
    pub async fn sent_folder(&mut self) -> Result<Option<String>, ImapError> {
        let folders = self.folders().await?;
        let sent = |folder: &FolderListed| folder.kind == Some(FolderKind::Sent);
        Ok(folders.into_iter().find(sent).map(|folder| folder.name))
    }

    /// The name of a folder on the server: that of INBOX and a named one by itself, that of one for a purpose
    /// by the server's word, else by its name.
    ///
    /// # Errors
    /// `Unsupported` where no folder is for the purpose; else as [`Self::folders`].
    pub async fn find(&mut self, wanted: &FolderChoice) -> Result<String, ImapError> {
        match wanted {
            FolderChoice::Inbox => Ok("INBOX".to_owned()),
            FolderChoice::Named(name) => Ok(mailbox_name::encode(name)),
            FolderChoice::Kind(kind) => {
                let folders = self.folders().await?;
                let found = of_kind(&folders, *kind).ok_or(ImapError::Unsupported {
                    during: Step::Select,
                    what: "no folder of the mailbox is for this purpose; name the folder instead",
                })?;
                Ok(found.name.clone())
            }
        }
    }
}

/// A folder that can be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderListed {
    /// Its name on the server, which commands use; at most 1,000 octets, no control characters.
    pub name: String,
    /// Its name for people.
    pub shown: String,
    /// What the server says it is for.
    pub kind: Option<FolderKind>,
    /// What its name says it is for.
    pub by_name: Option<FolderKind>,
}

/// The server's word counts; names only where it marks none for this.
fn of_kind(folders: &[FolderListed], wanted: FolderKind) -> Option<&FolderListed> {
    let marked = folders.iter().find(|one| one.kind == Some(wanted));
    let free = |one: &&FolderListed| one.kind.is_none() && one.by_name == Some(wanted);
    marked.or_else(|| folders.iter().find(free))
}

fn kind(attribute: &NameAttribute<'_>) -> Option<FolderKind> {
    Some(match attribute {
        NameAttribute::All => FolderKind::All,
        NameAttribute::Archive => FolderKind::Archive,
        NameAttribute::Drafts => FolderKind::Drafts,
        NameAttribute::Junk => FolderKind::Junk,
        NameAttribute::Sent => FolderKind::Sent,
        NameAttribute::Trash => FolderKind::Trash,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::session;
    use super::*;

    #[tokio::test]
    async fn a_mailbox_is_examined_and_its_sent_folder_is_found_by_attribute() {
        let (mut session, peer) = session(
            r#"
            C: M4 EXAMINE "INBOX"
            S: * 3 EXISTS
            S: * OK [UIDVALIDITY 9] ok
            S: M4 OK [READ-ONLY] done
            C: M5 LIST "" "*"
            S: * LIST (\HasNoChildren) "/" INBOX
            S: * LIST (\HasNoChildren) "/" Sent
            S: * LIST (\HasNoChildren \Sent) "/" "Gesendete Elemente"
            S: * LIST (\HasNoChildren \Sent) "/" "Another"
            S: M5 OK done
            "#,
        )
        .await;
        let selected = session.examine("INBOX").await.unwrap();
        assert!(selected.read_only && selected.exists == 3);
        let sent = session.sent_folder().await.unwrap();
        assert_eq!(sent.as_deref(), Some("Gesendete Elemente"));
        drop(session);
        peer.finish().await;
    }

    #[test]
    fn a_folder_for_a_purpose_is_the_marked_one_and_else_the_one_with_the_name() {
        let folder = |name: &str, kind, by_name| FolderListed {
            name: name.to_owned(),
            shown: name.to_owned(),
            kind,
            by_name,
        };
        let (junk, sent) = (Some(FolderKind::Junk), Some(FolderKind::Sent));
        let marked = [
            folder("Spam", None, junk),
            folder("Unerwünscht", junk, None),
        ];
        let name =
            |folders: &[FolderListed], kind| of_kind(folders, kind).map(|one| one.name.clone());
        assert_eq!(name(&marked, FolderKind::Junk).unwrap(), "Unerwünscht");
        let named = [folder("Spam", None, junk), folder("Sent", junk, sent)];
        assert_eq!(name(&named[..1], FolderKind::Junk).unwrap(), "Spam");
        assert_eq!(
            name(&named, FolderKind::Sent),
            None,
            "it is marked for something else"
        );
    }

    #[tokio::test]
    async fn a_login_that_opens_nothing_is_seen_at_the_first_command() {
        let (mut session, peer) = session(
            r#"
            C: M4 EXAMINE "INBOX"
            S: M4 BAD User is authenticated but not connected.
            "#,
        )
        .await;
        let error = session.examine("INBOX").await.unwrap_err();
        assert!(
            matches!(&error, ImapError::Refused { text, .. } if super::super::quirks::is_not_connected(text)),
            "{error:?}"
        );
        drop(session);
        peer.finish().await;
    }
}
