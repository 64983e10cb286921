//! The part of a transaction that can be given up at any moment: everything before the dot. Talks to
//! the server and to nobody else.

use std::time::Duration;

use crate::{
    model::{EmailAddress, RecipientId},
    smtp::{Concern, Line, MailOptions, SmtpError},
};

/// One recipient of a claimed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) id: RecipientId,
    pub(super) address: EmailAddress,
    /// This attempt's number, from 1.
    pub(super) number: u32,
    /// For how long servers had put it off when it was claimed.
    pub(super) put_off: Duration,
}

/// How far a transfer came.
#[derive(Debug, Default)]
pub(super) struct Transferred {
    /// The server took them; the dot decides.
    pub(super) accepted: Vec<Target>,
    /// Refused, each for itself.
    pub(super) refused: Vec<(Target, SmtpError)>,
    /// Not named to the server in this transaction.
    pub(super) untried: Vec<Target>,
    /// What ended the transfer for all that were not refused. Without it, and with somebody accepted,
    /// only the dot is missing.
    pub(super) failed: Option<SmtpError>,
}

/// MAIL, RCPT, DATA and the body. Cancel-safe in that no dot was sent; the line is dead then.
pub(super) async fn transfer(
    line: &mut Line,
    from: &EmailAddress,
    targets: Vec<Target>,
    raw: &[u8],
    most_recipients: usize,
) -> Transferred {
    let mut done = Transferred::default();
    let options = MailOptions::new(raw, targets.iter().map(|target| &target.address));
    if let Err(error) = line.mail(from, &options).await {
        done.untried = targets;
        done.failed = Some(error);
        return done;
    }
    let mut rest = targets.into_iter();
    while done.accepted.len() < most_recipients {
        let Some(target) = rest.next() else { break };
        match line.rcpt(&target.address).await {
            Ok(_) => done.accepted.push(target),
            Err(error) if !line.is_usable() || error.concern() == Concern::Account => {
                done.untried.push(target);
                done.failed = Some(error);
                break;
            }
            Err(error) => {
                let no_more = error
                    .reply()
                    .is_some_and(crate::smtp::Reply::is_too_many_recipients);
                done.refused.push((target, error));
                if no_more {
                    break;
                }
            }
        }
    }
    done.untried.extend(rest);
    if done.failed.is_some() || done.accepted.is_empty() {
        return done;
    }
    if let Err(error) = body(line, raw).await {
        done.failed = Some(error);
    }
    done
}

async fn body(line: &mut Line, raw: &[u8]) -> Result<(), SmtpError> {
    line.data().await?;
    line.body(raw).await
}
