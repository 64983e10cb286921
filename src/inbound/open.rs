//! From an account to a selected mailbox.

use crate::{
    governor::{Place, Urgency},
    imap::{self, ImapError, Login, Secret, Selected, Session},
    inbound::{Parts, SyncError},
    model::{Account, Authentication, FolderChoice, Timestamp},
    token::Token,
};

/// A session with the mailbox open.
pub(super) struct Opened {
    pub(super) session: Session,
    /// The folder that was opened: its name on the server and what SELECT said. `None` where none was to be.
    pub(super) selected: Option<(String, Selected)>,
    /// The access token it was opened with.
    pub(super) token: Option<Stamp>,
}

/// Which token, and when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) version: i64,
    pub(super) expires_at: Timestamp,
}

/// Waits for its turn, dials, logs in, selects `folder`. Dropping the future hangs up.
pub(super) async fn open(
    account: &Account,
    parts: &Parts,
    folder: Option<&FolderChoice>,
    urgency: Urgency,
) -> Result<Opened, SyncError> {
    match &account.entered.authentication {
        Authentication::Password { password, .. } => {
            let secret = Secret::Password(password);
            log_in(account, parts, folder, urgency, secret, None).await
        }
        Authentication::Modern { provider, .. } => {
            let token = parts.keeper.access_token(*provider).await?;
            match with_token(account, parts, folder, urgency, &token).await {
                Err(SyncError::Imap(error)) if error.is_token_refused() => {
                    // Perhaps only this token is bad: once more with a fresh one.
                    parts.keeper.refused(*provider, token.version);
                    let fresh = parts.keeper.access_token(*provider).await?;
                    if fresh.version == token.version {
                        return Err(error.into());
                    }
                    with_token(account, parts, folder, urgency, &fresh).await
                }
                other => other,
            }
        }
    }
}

/// The successor of a session: `None` where there is no newer token than `known`, so that it would
/// live no longer.
pub(super) async fn succeed(
    account: &Account,
    parts: &Parts,
    folder: Option<&FolderChoice>,
    known: i64,
) -> Result<Option<Opened>, SyncError> {
    if let Authentication::Modern { provider, .. } = &account.entered.authentication {
        let token = parts.keeper.access_token(*provider).await?;
        if token.version == known {
            return Ok(None);
        }
    }
    open(account, parts, folder, Urgency::Renewal)
        .await
        .map(Some)
}

async fn with_token(
    account: &Account,
    parts: &Parts,
    folder: Option<&FolderChoice>,
    urgency: Urgency,
    token: &Token,
) -> Result<Opened, SyncError> {
    let stamp = Stamp {
        version: token.version,
        expires_at: token.expires_at,
    };
    log_in(
        account,
        parts,
        folder,
        urgency,
        Secret::AccessToken(&token.secret),
        Some(stamp),
    )
    .await
}

async fn log_in(
    account: &Account,
    parts: &Parts,
    folder: Option<&FolderChoice>,
    urgency: Urgency,
    secret: Secret<'_>,
    token: Option<Stamp>,
) -> Result<Opened, SyncError> {
    let permit = parts.governor.admit(&Place::imap(account), urgency).await?;
    match select(account, parts, folder, secret).await {
        Ok((mut session, selected)) => {
            session.keep(Box::new(permit.opened()));
            Ok(Opened {
                session,
                selected,
                token,
            })
        }
        Err(error) => {
            permit.failed_imap(&error);
            Err(error.into())
        }
    }
}

async fn select(
    account: &Account,
    parts: &Parts,
    folder: Option<&FolderChoice>,
    secret: Secret<'_>,
) -> Result<(Session, Option<(String, Selected)>), ImapError> {
    let settings = &parts.settings.imap;
    let (Secret::Password(hidden) | Secret::AccessToken(hidden)) = secret;
    let recorder = parts.transcripts.account(account.id).hiding(hidden);
    let net = parts.net.via(&account.entered.proxy);
    let greeted = imap::connect(&net, &account.entered.imap, settings, &recorder).await?;
    let user = account.imap_user();
    let mut session = greeted.login(&Login { user, secret }).await?;
    // The proof that the mailbox really opens: some servers accept the login and refuse all else.
    let selected = match folder {
        None => None,
        Some(folder) => {
            let name = session.find(folder).await?;
            let selected = session.select(&name).await?;
            Some((name, selected))
        }
    };
    Ok((session, selected))
}
