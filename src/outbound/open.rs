//! From an account to a line that is logged in, recorded before it begins.

use tokio::time::Instant;
use uuid::Uuid;

use super::{Parts, SendError};
use crate::{
    governor::{Place, Slot, Urgency},
    model::{Account, Authentication, LaneName, Lease, Timestamp},
    smtp::{self, Line, Login, Secret, SmtpError},
    store::StoreError,
    token::Token,
};

/// An open line with its life.
pub(super) struct Open {
    pub(super) line: Line,
    /// Messages sent over it.
    pub(super) messages: u32,
    /// Before the access token expires.
    pub(super) close_by: Option<Instant>,
    /// What it touches.
    pub(super) place: Place,
    _slot: Slot,
}

impl Open {
    /// Good for another message.
    pub(super) fn lasts(&self, most_messages: u32) -> bool {
        self.line.is_usable()
            && self.messages < most_messages
            && self.close_by.is_none_or(|at| Instant::now() < at)
    }
}

/// Records that a line is being opened, so that a crash never turns into a hot loop unseen (I2).
pub(super) async fn begin(parts: &Parts, lease: &Lease) -> Result<String, StoreError> {
    let attempt = Uuid::new_v4().simple().to_string();
    parts
        .store
        .line_begin(lease, LaneName::Outbound, &attempt, parts.clock.now())
        .await?;
    Ok(attempt)
}

/// Records how that went. A record that fails costs nothing but itself.
pub(super) async fn end(
    parts: &Parts,
    lease: &Lease,
    attempt: &str,
    opened: Option<&Result<Open, SendError>>,
) -> Result<(), StoreError> {
    let (outcome, detail) = match opened {
        None => ("stopped", String::new()),
        Some(Ok(_)) => ("ok", String::new()),
        Some(Err(error)) => ("failed", words(error)),
    };
    let now = parts.clock.now();
    match parts
        .store
        .line_end(lease, attempt, outcome, &detail, now)
        .await
    {
        Err(lost @ StoreError::LeaseLost { .. }) => Err(lost),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// An error with its causes, bounded.
pub(super) fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text.chars().take(500).collect()
}

/// Waits for its turn, dials and logs in. Dropping the future hangs up.
pub(super) async fn open(
    account: &Account,
    parts: &Parts,
    urgency: Urgency,
) -> Result<Open, SendError> {
    match &account.entered.authentication {
        Authentication::Password { password, .. } => {
            let user = account.smtp_user();
            let secret = Secret::Password(password);
            log_in(account, parts, urgency, user, secret, None).await
        }
        Authentication::Modern { provider, .. } => {
            let token = parts.keeper.access_token(*provider).await?;
            match with_token(account, parts, urgency, &token).await {
                Err(SendError::Smtp(error)) if error.is_token_refused() => {
                    // Perhaps only this token is bad: once more with a fresh one.
                    parts.keeper.refused(*provider, token.version);
                    let fresh = parts.keeper.access_token(*provider).await?;
                    if fresh.version == token.version {
                        return Err(error.into());
                    }
                    with_token(account, parts, urgency, &fresh).await
                }
                other => other,
            }
        }
    }
}

async fn with_token(
    account: &Account,
    parts: &Parts,
    urgency: Urgency,
    token: &Token,
) -> Result<Open, SendError> {
    let user = account.smtp_user_of(&token.owner);
    let secret = Secret::AccessToken(&token.secret);
    let close_by = close_by(
        Instant::now(),
        parts.clock.now(),
        token.expires_at,
        parts.settings.token_lead,
    );
    log_in(account, parts, urgency, user, secret, Some(close_by)).await
}

/// Pure: `lead` before the token's end, or when four fifths of its time are over where that is later.
fn close_by(
    here: Instant,
    now: Timestamp,
    expires_at: Timestamp,
    lead: std::time::Duration,
) -> Instant {
    let left = expires_at.since(now);
    here + left.saturating_sub(lead.min(left / 5))
}

async fn log_in(
    account: &Account,
    parts: &Parts,
    urgency: Urgency,
    user: &str,
    secret: Secret<'_>,
    close_by: Option<Instant>,
) -> Result<Open, SendError> {
    let place = Place::smtp(account, user);
    let permit = parts.governor.admit(&place, urgency).await?;
    match dial(account, parts, user, secret).await {
        Ok(line) => Ok(Open {
            line,
            messages: 0,
            close_by,
            place,
            _slot: permit.opened(),
        }),
        Err(error) => {
            permit.failed_smtp(&error);
            Err(error.into())
        }
    }
}

/// A refused login leaves with a QUIT, as the protocol asks.
async fn dial(
    account: &Account,
    parts: &Parts,
    user: &str,
    secret: Secret<'_>,
) -> Result<Line, SmtpError> {
    let settings = &parts.settings.smtp;
    let (Secret::Password(hidden) | Secret::AccessToken(hidden)) = secret;
    let recorder = parts.transcripts.account(account.id).hiding(hidden);
    let net = parts.net.via(&account.entered.proxy);
    let mut line = smtp::connect(&net, &account.entered.smtp, settings, &recorder).await?;
    match line.login(&Login { user, secret }).await {
        Ok(()) => Ok(line),
        Err(error) => {
            line.quit().await;
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_line_ends_before_its_token_does() {
        let here = Instant::now();
        let now = Timestamp::from_millis(0);
        let seconds = Duration::from_secs;
        for (left, lives) in [(3600, 3540), (60, 48), (5, 4), (0, 0)] {
            let at = close_by(here, now, now.plus(seconds(left)), seconds(60));
            assert_eq!(at - here, seconds(lives), "{left}");
        }
    }
}
