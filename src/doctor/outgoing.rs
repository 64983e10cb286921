//! The outgoing server: reached, encrypted, logged in, the sender's address named and taken back; nothing is sent.

use super::{
    Item, Parts, Verdict,
    course::{Course, Found, Proof, limited},
    incoming::{refused_certificate, shown, waits},
    judge::{self, Stage},
    rights::{self, Outgoing},
};
use crate::{
    diagnosis::{Context, Failure, Finding, Right},
    governor::{Permit, Place, Urgency},
    model::{Account, Server, Service},
    smtp::{self, Line, Login, MailOptions, SmtpError},
    transcript::Recorder,
};

const INSIDE: [Item; 2] = [Item::SmtpLogin, Item::SendAs];

/// Connects, logs in, says MAIL FROM and RSET.
pub(super) async fn examine(
    course: &mut Course<'_>,
    parts: &Parts,
    account: &Account,
    proof: Proof<Login<'_>>,
    context: &Context,
    recorder: &Recorder,
) -> Outgoing {
    let user = match &proof {
        Proof::Is(login) => login.user,
        Proof::Lacks(_) => account.smtp_user(),
    };
    let place = Place::smtp(account, user);
    let mut permit = match parts.governor.admit(&place, Urgency::Examine).await {
        Ok(permit) => Some(permit),
        Err(held) => {
            waits(course, held, &all(), context).await;
            return Outgoing::NotTried;
        }
    };
    let server = &account.entered.smtp;
    let Some(mut line) = connect(course, parts, server, context, recorder, &mut permit).await
    else {
        return Outgoing::NotTried;
    };
    let login = match proof {
        Proof::Is(login) => login,
        Proof::Lacks(item) => {
            course.skip(&INSIDE, item).await;
            line.quit().await;
            return Outgoing::NotTried;
        }
    };
    let user = login.user;
    let limit = parts.settings.check;
    let outgoing = match limited(limit, context, line.login(&login)).await {
        Ok(Ok(())) => {
            let _slot = permit.map(Permit::opened);
            course
                .note(Item::SmtpLogin, Found::ok(format!("as {user}")))
                .await;
            let sender_refused = sender(course, parts, account, &mut line, context).await;
            Outgoing::LoggedIn { sender_refused }
        }
        Ok(Err(error)) => {
            if let Some(permit) = permit {
                permit.failed_smtp(&error);
            }
            let (found, outgoing) = refused(account, error, context);
            course.note(Item::SmtpLogin, found).await;
            course.skip(&[Item::SendAs], Item::SmtpLogin).await;
            outgoing
        }
        Err(slow) => {
            course.note(Item::SmtpLogin, slow).await;
            course.skip(&[Item::SendAs], Item::SmtpLogin).await;
            Outgoing::NotTried
        }
    };
    line.quit().await;
    outgoing
}

fn refused(account: &Account, error: SmtpError, context: &Context) -> (Found, Outgoing) {
    let SmtpError::AuthenticationRefused { reply, .. } = &error else {
        return (
            Found::failed(&Failure::Smtp(error), context),
            Outgoing::NotTried,
        );
    };
    let said = reply.to_string();
    let right = rights::of_smtp_login(&said).filter(|_| account.provider().is_some());
    let found = match right {
        // Only what the server said in so many words; a mere suspicion has better words in the catalogue.
        Some((right, rights::Standing::Missing)) => {
            let finding = Finding::RightMissing {
                right,
                said: said.clone(),
            };
            Found::of(Verdict::Failed, "", finding.explain(context))
        }
        _ => Found::failed(&Failure::Smtp(error), context),
    };
    (found, Outgoing::LoginRefused(said))
}

/// Names the sender and takes it back. The server's words where it refuses the address.
async fn sender(
    course: &mut Course<'_>,
    parts: &Parts,
    account: &Account,
    line: &mut Line,
    context: &Context,
) -> Option<String> {
    let address = &account.entered.address;
    let probe = async {
        line.mail(address, &MailOptions::default()).await?;
        line.rset().await
    };
    let limit = parts.settings.check;
    let (found, said) = match limited(limit, context, probe).await {
        Ok(Ok(())) => (Found::ok(accepted(account)), None),
        Ok(Err(SmtpError::Refused { during, reply })) => {
            let said = reply.to_string();
            let found = if rights::denies_send_as(&said) {
                let finding = Finding::RightMissing {
                    right: Right::SendAs,
                    said: said.clone(),
                };
                Found::of(Verdict::Failed, "", finding.explain(context))
            } else {
                let error = SmtpError::Refused { during, reply };
                Found::failed(&Failure::Smtp(error), context)
            };
            (found, Some(said))
        }
        Ok(Err(error)) => (Found::failed(&Failure::Smtp(error), context), None),
        Err(slow) => (slow, None),
    };
    course.note(Item::SendAs, found).await;
    said
}

/// What an accepted MAIL FROM proves, and what not.
fn accepted(account: &Account) -> String {
    let address = &account.entered.address;
    let own = address.as_str().eq_ignore_ascii_case(account.smtp_user());
    match account.entered.service {
        _ if own => format!("{address} is accepted; nothing was sent"),
        Service::Outlook365 | Service::Hotmail => format!(
            "{address} is accepted, which does not prove Send As: Exchange judges it at the end of a mail; nothing was sent"
        ),
        _ => format!(
            "{address} is accepted, which does not prove that it may send: some servers judge later; nothing was sent"
        ),
    }
}

async fn connect(
    course: &mut Course<'_>,
    parts: &Parts,
    server: &Server,
    context: &Context,
    recorder: &Recorder,
    permit: &mut Option<Permit>,
) -> Option<Line> {
    course.begin();
    let settings = &parts.settings.smtp;
    let limit = parts.settings.check;
    let connected = smtp::connect(&parts.net, server, settings, recorder);
    let connected = limited(limit, context, connected).await;
    if let Ok(Err(error)) = &connected
        && let Some(permit) = permit.take()
    {
        permit.failed_smtp(error);
    }
    let reached = judge::reached(&server.host, server.port, server.tls);
    let after_tls: Vec<Item> = [Item::SmtpTls].into_iter().chain(INSIDE).collect();
    match connected {
        Ok(Ok(line)) => {
            course.note(Item::SmtpConnect, Found::ok(reached)).await;
            let judged = judge::handshake(line.handshake(), &server.verify, parts.clock.now());
            course.note(Item::SmtpTls, shown(judged, context)).await;
            Some(line)
        }
        Ok(Err(error)) if judge::smtp_stage(&error) == Stage::Tls => {
            course.note(Item::SmtpConnect, Found::ok(reached)).await;
            let detail = match &error {
                SmtpError::Dial(dial) => refused_certificate(dial, parts.clock.now()),
                _ => String::new(),
            };
            let mut found = Found::failed(&Failure::Smtp(error), context);
            found.detail.push_str(&detail);
            course.note(Item::SmtpTls, found).await;
            course.skip(&INSIDE, Item::SmtpTls).await;
            None
        }
        Ok(Err(error)) => {
            let found = Found::failed(&Failure::Smtp(error), context);
            course.note(Item::SmtpConnect, found).await;
            course.skip(&after_tls, Item::SmtpConnect).await;
            None
        }
        Err(slow) => {
            course.note(Item::SmtpConnect, slow).await;
            course.skip(&after_tls, Item::SmtpConnect).await;
            None
        }
    }
}

/// Every check of the outgoing server.
pub(super) fn all() -> Vec<Item> {
    [Item::SmtpConnect, Item::SmtpTls]
        .into_iter()
        .chain(INSIDE)
        .collect()
}
