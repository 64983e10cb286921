//! The incoming server: reached, encrypted, logged in, the mailbox open; one connection.

use super::{
    Item, Lanes, Parts, Verdict,
    course::{Course, Found, Proof, limited},
    judge::{self, Stage},
    rights::{self, Incoming},
};
use crate::{
    diagnosis::{Context, Failure, Finding, explain},
    governor::{Held, Permit, Place, Urgency},
    imap::{self, Greeted, ImapError, Login, Secret, Session},
    model::{Account, FailureClass, Server, Timestamp, TlsVerify},
    net::DialError,
    transcript::Recorder,
};

/// The one mailbox that is read.
const FOLDER: &str = "INBOX";
/// What a server can do that is worth a word.
const ABILITIES: [&str; 5] = ["IDLE", "UIDPLUS", "MOVE", "CONDSTORE", "SPECIAL-USE"];
/// What follows the connection.
const INSIDE: [Item; 4] = [
    Item::ImapLogin,
    Item::Mailbox,
    Item::Capabilities,
    Item::Sent,
];

/// Connects, logs in, opens the mailbox for reading.
pub(super) async fn examine(
    course: &mut Course<'_>,
    parts: &Parts,
    account: &Account,
    proof: Proof<Secret<'_>>,
    context: &Context,
    recorder: &Recorder,
) -> Incoming {
    let mut permit = match parts
        .governor
        .admit(&Place::imap(account), Urgency::Examine)
        .await
    {
        Ok(permit) => Some(permit),
        Err(held) => {
            waits(course, held, &all(), context).await;
            return Incoming::NotTried;
        }
    };
    let server = &account.entered.imap;
    let Some(greeted) = connect(course, parts, server, context, recorder, &mut permit).await else {
        return Incoming::NotTried;
    };
    let secret = match proof {
        Proof::Is(secret) => secret,
        Proof::Lacks(item) => {
            course.skip(&INSIDE, item).await;
            return Incoming::NotTried;
        }
    };
    let user = account.imap_user();
    let login = Login { user, secret };
    let logged_in = limited(parts.settings.check, context, greeted.login(&login));
    let mut session = match logged_in.await {
        Ok(Ok(session)) => session,
        Ok(Err(error)) => {
            if let Some(permit) = permit.take() {
                permit.failed_imap(&error);
            }
            let words = words(&error).map(|(_, text)| Incoming::LoginRefused(text));
            let refused = matches!(error, ImapError::AuthenticationRefused { .. })
                && error.class() == FailureClass::OperatorMustAct;
            let incoming = words.filter(|_| refused).unwrap_or(Incoming::NotTried);
            // A password that is refused is no missing right.
            let by_token = matches!(secret, Secret::AccessToken(_));
            let found = refusal(account, by_token, &incoming, error, context);
            course.note(Item::ImapLogin, found).await;
            course
                .skip(INSIDE.get(1..).unwrap_or_default(), Item::ImapLogin)
                .await;
            return incoming;
        }
        Err(slow) => {
            course.note(Item::ImapLogin, slow).await;
            course
                .skip(INSIDE.get(1..).unwrap_or_default(), Item::ImapLogin)
                .await;
            return Incoming::NotTried;
        }
    };
    let _slot = permit.map(Permit::opened);
    course
        .note(Item::ImapLogin, Found::ok(format!("as {user}")))
        .await;
    let incoming = open(course, parts, account, &mut session, context).await;
    session.logout().await;
    incoming
}

async fn open(
    course: &mut Course<'_>,
    parts: &Parts,
    account: &Account,
    session: &mut Session,
    context: &Context,
) -> Incoming {
    let limit = parts.settings.check;
    let behind = [Item::Capabilities, Item::Sent];
    // The proof that the mailbox really opens: some servers accept the login and refuse all else.
    let selected = match limited(limit, context, session.examine(FOLDER)).await {
        Ok(Ok(selected)) => selected,
        Ok(Err(error)) => {
            let incoming = words(&error).map_or(Incoming::NotTried, |(code, text)| {
                Incoming::OpenRefused(code, text)
            });
            let found = refusal(account, true, &incoming, error, context);
            course.note(Item::Mailbox, found).await;
            course.skip(&behind, Item::Mailbox).await;
            return incoming;
        }
        Err(slow) => {
            course.note(Item::Mailbox, slow).await;
            course.skip(&behind, Item::Mailbox).await;
            return Incoming::NotTried;
        }
    };
    let detail = format!("{FOLDER} opens, {} messages", selected.exists);
    course.note(Item::Mailbox, Found::ok(detail)).await;
    let can: Vec<&str> = ABILITIES
        .into_iter()
        .filter(|name| session.can(name))
        .collect();
    let detail = if session.can("IDLE") {
        can.join(", ")
    } else {
        format!(
            "no IDLE: the server is asked at intervals; {}",
            can.join(", ")
        )
    };
    course.note(Item::Capabilities, Found::ok(detail)).await;
    let found = match limited(limit, context, session.sent_folder()).await {
        Ok(Ok(folder)) => {
            let (verdict, detail, finding) = judge::sent_folder(account, folder.as_deref());
            match finding {
                Some(finding) => Found::of(verdict, detail, finding.explain(context)),
                None => Found::ok(detail),
            }
        }
        // Not needed for mail to flow.
        Ok(Err(error)) => {
            let diagnosis = explain(&Failure::Imap(error), context);
            Found::of(Verdict::Warning, "", diagnosis)
        }
        Err(slow) => Found {
            verdict: Verdict::Warning,
            ..slow
        },
    };
    course.note(Item::Sent, found).await;
    Incoming::Opened
}

/// A connection is not made now, for what others have met.
pub(super) async fn waits(course: &mut Course<'_>, held: Held, items: &[Item], context: &Context) {
    let left = held.left();
    let Held {
        kind, whose, said, ..
    } = held;
    let failure = Failure::Held {
        kind,
        whose,
        said,
        left,
    };
    if let Some((first, behind)) = items.split_first() {
        course.note(*first, Found::failed(&failure, context)).await;
        course.skip(behind, *first).await;
    }
}

/// Connection and certificate; `None` where what follows was skipped.
async fn connect(
    course: &mut Course<'_>,
    parts: &Parts,
    server: &Server,
    context: &Context,
    recorder: &Recorder,
    permit: &mut Option<Permit>,
) -> Option<Greeted> {
    course.begin();
    let settings = &parts.settings.imap;
    let limit = parts.settings.check;
    let connected = imap::connect(&parts.net, server, settings, recorder);
    let connected = limited(limit, context, connected).await;
    if let Ok(Err(error)) = &connected
        && let Some(permit) = permit.take()
    {
        permit.failed_imap(error);
    }
    let reached = judge::reached(&server.host, server.port, server.tls);
    let after_tls: Vec<Item> = [Item::ImapTls].into_iter().chain(INSIDE).collect();
    match connected {
        Ok(Ok(greeted)) => {
            course.note(Item::ImapConnect, Found::ok(reached)).await;
            let judged = judge::handshake(greeted.handshake(), &server.verify, parts.clock.now());
            course.note(Item::ImapTls, shown(judged, context)).await;
            Some(greeted)
        }
        Ok(Err(error)) if judge::imap_stage(&error) == Stage::Tls => {
            course.note(Item::ImapConnect, Found::ok(reached)).await;
            let detail = match &error {
                ImapError::Dial(dial) => refused_certificate(dial, parts.clock.now()),
                _ => String::new(),
            };
            let mut found = Found::failed(&Failure::Imap(error), context);
            found.detail.push_str(&detail);
            course.note(Item::ImapTls, found).await;
            course.skip(&INSIDE, Item::ImapTls).await;
            None
        }
        Ok(Err(error)) => {
            let found = Found::failed(&Failure::Imap(error), context);
            course.note(Item::ImapConnect, found).await;
            course.skip(&after_tls, Item::ImapConnect).await;
            None
        }
        Err(slow) => {
            course.note(Item::ImapConnect, slow).await;
            course.skip(&after_tls, Item::ImapConnect).await;
            None
        }
    }
}

/// Judged, as a check.
pub(super) fn shown(
    (verdict, detail, finding): (Verdict, String, Option<Finding>),
    context: &Context,
) -> Found {
    match finding {
        Some(finding) => Found::of(verdict, detail, finding.explain(context)),
        None => Found::ok(detail),
    }
}

/// Which certificate it was that was refused: the error holds it, so the doctor asks the server for nothing more.
pub(super) fn refused_certificate(error: &DialError, now: Timestamp) -> String {
    let seen = error.shown();
    seen.map_or_else(String::new, |seen| described(seen, now))
}

/// The end of a sentence about a certificate that was refused.
fn described(seen: &crate::net::Handshake, now: Timestamp) -> String {
    let (_, detail, _) = judge::handshake(seen, &TlsVerify::Full, now);
    let names = seen
        .certificate
        .as_ref()
        .map(|certificate| certificate.names.join(", "))
        .filter(|names| !names.is_empty())
        .map_or_else(String::new, |names| format!(", for {names}"));
    format!(" It shows: {detail}{names}.")
}

/// A refusal by the right that it names, or else as the catalogue has it.
fn refusal(
    account: &Account,
    by_token: bool,
    incoming: &Incoming,
    error: ImapError,
    context: &Context,
) -> Found {
    let modern = account.provider().is_some() && by_token;
    let said = match incoming {
        Incoming::LoginRefused(text) | Incoming::OpenRefused(_, text) => text.clone(),
        Incoming::NotTried | Incoming::Opened => String::new(),
    };
    match rights::of_imap(judge::is_shared(account), incoming).filter(|_| modern) {
        Some(right) => {
            // The rights are those of the person whose token it is.
            let context = Context {
                user: Some(account.smtp_user().to_owned()),
                mailbox: Some(account.imap_user().to_owned()),
                ..context.clone()
            };
            let finding = Finding::RightMissing { right, said };
            Found::of(Verdict::Failed, "", finding.explain(&context))
        }
        None => Found::failed(&Failure::Imap(error), context),
    }
}

/// Response code and words of a refusal.
fn words(error: &ImapError) -> Option<(Option<String>, String)> {
    match error {
        ImapError::Refused { code, text, .. }
        | ImapError::AuthenticationRefused { code, text, .. }
        | ImapError::Bye { code, text, .. } => Some((code.clone(), text.clone())),
        _ => None,
    }
}

/// Until when the server asked for a rest, if it did.
pub(super) fn rests(lanes: Option<&Lanes>, now: Timestamp) -> Option<Timestamp> {
    let lane = &lanes?.inbound;
    let held = matches!(lane.diagnosis.as_ref()?.class, FailureClass::HoldFor(_));
    lane.retry_at.filter(|until| held && *until > now)
}

/// Every check of the incoming server, for one that is left alone.
pub(super) fn all() -> Vec<Item> {
    [Item::ImapConnect, Item::ImapTls]
        .into_iter()
        .chain(INSIDE)
        .collect()
}
