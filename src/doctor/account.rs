//! One account, from its servers' names to its queue.

use super::{
    Item, Parts, Patient, Progress, Report, Wish,
    course::{Course, Found, Proof, limited},
    grant, incoming, judge, outgoing, queue,
    rights::{self, Evidence, Incoming, Outgoing},
};
use crate::{
    diagnosis::{Context, Failure},
    imap,
    model::{Authentication, LaneName, Server},
    smtp::{self, Login},
};

/// Every check in order. One IMAP connection, then one SMTP connection.
pub(super) async fn examine(
    patient: &Patient,
    parts: &Parts,
    wish: Wish,
    progress: &Progress,
) -> Report {
    let account = &patient.account;
    let entered = &account.entered;
    let mut parts = parts.clone();
    parts.net = parts.net.via(&entered.proxy);
    let parts = &parts;
    let mut course = Course::new(Some(account), progress);
    let provider = account.provider();
    let application = provider.is_some_and(|id| parts.keeper.is_application(id));
    let context = |lane| Context {
        application,
        ..Context::of(account, lane)
    };
    let (by_imap, by_smtp) = (context(LaneName::Inbound), context(LaneName::Outbound));
    let imap_known = name(&mut course, parts, Item::ImapName, &entered.imap, &by_imap).await;
    let smtp_known = name(&mut course, parts, Item::SmtpName, &entered.smtp, &by_smtp).await;
    let given = match account.provider() {
        Some(provider) => {
            grant::examine(&mut course, parts, account, provider, wish, &by_imap).await
        }
        None => grant::Given::default(),
    };
    let proofs = match (&entered.authentication, &given.token) {
        (Authentication::Password { password, .. }, _) => (
            Proof::Is(imap::Secret::Password(password)),
            Proof::Is(Login {
                user: account.smtp_user(),
                secret: smtp::Secret::Password(password),
            }),
        ),
        (Authentication::Modern { .. }, Some(token)) => (
            Proof::Is(imap::Secret::AccessToken(&token.secret)),
            Proof::Is(Login {
                user: account.smtp_user_of(&token.owner),
                secret: smtp::Secret::AccessToken(&token.secret),
            }),
        ),
        (Authentication::Modern { .. }, None) => {
            (Proof::Lacks(Item::Token), Proof::Lacks(Item::Token))
        }
    };
    let recorder = parts.transcripts.account(account.id);
    let recorder = match &proofs.0 {
        Proof::Is(imap::Secret::Password(secret) | imap::Secret::AccessToken(secret)) => {
            recorder.hiding(secret)
        }
        Proof::Lacks(_) => recorder,
    };
    let rest = incoming::rests(patient.lanes.as_ref(), parts.clock.now());
    let seen_in = match (imap_known, rest) {
        (false, _) => {
            course.skip(&incoming::all(), Item::ImapName).await;
            Incoming::NotTried
        }
        (true, Some(until)) => {
            for item in incoming::all() {
                let why = format!("the server asked for a rest until {}", until.rfc3339());
                course.note(item, Found::skipped(why)).await;
            }
            Incoming::NotTried
        }
        (true, None) => {
            incoming::examine(&mut course, parts, account, proofs.0, &by_imap, &recorder).await
        }
    };
    let seen_out = if smtp_known {
        outgoing::examine(&mut course, parts, account, proofs.1, &by_smtp, &recorder).await
    } else {
        course.skip(&outgoing::all(), Item::SmtpName).await;
        Outgoing::NotTried
    };
    let lanes = patient.lanes.as_ref();
    let refusals = queue::examine(&mut course, parts, account, lanes, &by_smtp).await;
    let rights = account.provider().map(|_| {
        rights::judge(&Evidence {
            shared: judge::is_shared(account),
            scopes: given.missing,
            incoming: seen_in,
            outgoing: seen_out,
            refusals,
        })
    });
    course.end(rights)
}

/// Whether a server's name has an address.
async fn name(
    course: &mut Course<'_>,
    parts: &Parts,
    item: Item,
    server: &Server,
    context: &Context,
) -> bool {
    course.begin();
    let work = parts.net.locate(&server.host);
    let (known, found) = match limited(parts.settings.check, context, work).await {
        Ok(Ok(found)) => (true, Found::ok(judge::place(&server.host, &found))),
        Ok(Err(error)) => {
            let failure = match context.lane {
                Some(LaneName::Outbound) => Failure::Smtp(error.into()),
                Some(LaneName::Inbound) | None => Failure::Imap(error.into()),
            };
            (false, Found::failed(&failure, context))
        }
        Err(slow) => (false, slow),
    };
    course.note(item, found).await;
    known
}
