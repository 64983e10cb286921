//! Looking at a mailbox without changing anything in it: EXAMINE, and where sent mail is filed.

use async_imap::imap_proto::{MailboxDatum, NameAttribute, Response};

use super::{ImapError, Selected, Session, Step, wire::Budget};

/// Folders that are looked at; a mailbox with more is read no further.
const FOLDERS: usize = 10_000;

impl Session {
    /// Opens a mailbox for reading only; else as [`Session::select`].
    ///
    /// # Errors
    /// As [`Session::select`].
    pub async fn examine(&mut self, name: &str) -> Result<Selected, ImapError> {
        self.open("EXAMINE", name).await
    }

    /// The folder that the server calls its place for sent mail (the attribute `\\Sent`, RFC 6154), as it
    /// spells it. `None`: no folder has the attribute; names in people's languages are not guessed at.
    ///
    /// # Errors
    /// As for every command.
    pub async fn sent_folder(&mut self) -> Result<Option<String>, ImapError> {
        let mut sent = None;
        let mut seen = 0_usize;
        let on = |response: &Response<'_>| {
            if let Response::MailboxData(MailboxDatum::List(folder)) = response {
                seen = seen.saturating_add(1);
                if folder.name_attributes.contains(&NameAttribute::Sent) && seen <= FOLDERS {
                    let name = folder.name.chars().filter(|c| !c.is_control());
                    sent.get_or_insert_with(|| name.take(200).collect());
                }
            }
        };
        // Exchange gives the attributes to a plain LIST only, and refuses one that asks for them.
        let budget = Budget::new(self.settings.command_timeout);
        self.wire
            .exec(Step::List, "LIST \"\" \"*\"", budget, on)
            .await?;
        Ok(sent)
    }
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
