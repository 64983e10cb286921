//! `provider authenticate`: a person signs in, and what comes of it.

use std::io::Write;
use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::super::args::Authenticate;
use super::super::failure::Failure;
use super::super::perform::Work;
use super::super::show::{escaped, first, text_at};
use super::PATH;

/// How long a person is waited for: an address is good for ten minutes, and who came in the last of them is
/// still being signed in.
const PATIENCE: Duration = Duration::from_secs(11 * 60);

/// How often a person may paste an address that is not the one.
const PASTES: usize = 5;

/// How often the grant is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a daemon that does not answer is waited for: that of a restart.
const RESTART: Duration = Duration::from_secs(60);

/// What a look at the grant shows.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    SignedIn,
    Held,
    Failed,
}

pub(super) async fn authenticate(
    wish: Authenticate,
    work: &mut Work<'_, '_>,
) -> Result<(), Failure> {
    let path = format!("{PATH}/{}", wish.id);
    if wish.device {
        return by_code(&path, &wish, work).await;
    }
    let grant_path = format!("{path}/grant");
    let before = work.client.get(&grant_path, &[]).await?;
    let mut body = Map::new();
    if let Some(hint) = &wish.login_hint {
        body.insert("loginHint".to_owned(), json!(hint));
    }
    if wish.new_identity {
        body.insert("newIdentity".to_owned(), json!(true));
    }
    let answer = work
        .client
        .post(&format!("{path}/authenticate"), Value::Object(body))
        .await?;
    if work.json && !wish.paste {
        return work.raw_json(&answer);
    }
    let Some(url) = text_at(&answer, "/authorizeUrl") else {
        return Err(Failure::Nothing(
            "The daemon gave no address to sign in at.".to_owned(),
        ));
    };
    let url = escaped(&url);
    if wish.paste {
        return paste(&path, &url, &answer, work).await;
    }
    writeln!(
        work.terminal.out,
        "Open this address in a browser and sign in:\n\n{url}\n"
    )?;
    work.terminal.out.flush()?;
    if wish.no_wait {
        return Ok(());
    }
    wait(&path, &grant_path, &before, &wish, work).await
}

/// The person opens the address anywhere and brings back where the browser ended.
async fn paste(
    path: &str,
    url: &str,
    begun: &Value,
    work: &mut Work<'_, '_>,
) -> Result<(), Failure> {
    let ends = first(begun, &["/redirectUri"]);
    // Standard output is the answer's; with --json a program reads it.
    writeln!(
        work.terminal.err,
        "Open this address in a browser, on any computer, and sign in:\n\n{url}\n\n\
         The browser then goes to {ends} and may say that the page cannot be reached: that is expected.\n\
         Copy the whole address from its address bar and paste it here within ten minutes."
    )?;
    let mut left = PASTES;
    let answer = loop {
        let address = work.terminal.pasted("Address (not shown)")?;
        let body = json!({ "url": address.expose_secret() });
        left = left.saturating_sub(1);
        match work.client.post(&format!("{path}/redirected"), body).await {
            // The sign-in waits all the same: something else was copied.
            Err(Failure::Refused { problem, .. })
                if left > 0 && work.terminal.person.types && other_text(&problem) =>
            {
                let what = first(&problem, &["/detail"]);
                writeln!(work.terminal.err, "{what} Paste it once more.")?;
            }
            answer => break answer?,
        }
    };
    if work.json {
        return work.raw_json(&answer);
    }
    match answer
        .pointer("/heldSignIn")
        .filter(|held| held.is_object())
    {
        Some(held) => ask(path, held, work).await,
        None => signed_in(&answer, work),
    }
}

/// What was pasted is no answer of the platform's, so that it used nothing up.
fn other_text(problem: &Value) -> bool {
    let code = text_at(problem, "/code");
    matches!(
        code.as_deref(),
        Some("sign_in_malformed" | "sign_in_other_address")
    )
}

/// The person types a code at the platform's page; the daemon asks whether they have, also after we are gone.
async fn by_code(path: &str, wish: &Authenticate, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let (path_of_code, grant_path) = (format!("{path}/device"), format!("{path}/grant"));
    let before = if work.json || wish.no_wait {
        Value::Null
    } else {
        work.client.get(&grant_path, &[]).await?
    };
    let body = if wish.new_identity {
        json!({"newIdentity": true})
    } else {
        json!({})
    };
    let begun = work.client.post(&path_of_code, body).await?;
    if work.json {
        return work.raw_json(&begun);
    }
    let (code, page) = (
        first(&begun, &["/userCode"]),
        first(&begun, &["/verificationUri"]),
    );
    writeln!(
        work.terminal.out,
        "Open {page} in a browser on any computer, type the code\n\n    {code}\n\nand sign in before {}.\n",
        first(&begun, &["/expiresAt"])
    )?;
    work.terminal.out.flush()?;
    if wish.no_wait {
        return Ok(());
    }
    let since = Instant::now();
    let (mut told, mut answered) = (0, since);
    loop {
        let now = match look(&path_of_code, &mut answered, work).await {
            Ok(Some(now)) => now,
            Ok(None) => {
                tell(work, "daemon", since, &mut told)?;
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            // A code is known to the daemon that asked for it only.
            Err(Failure::Refused { status: 404, .. }) => {
                let grant = work.client.get(&grant_path, &[]).await?;
                progress(work, "code", None)?;
                return match seen(&before, &grant) {
                    Seen::SignedIn => signed_in(&grant, work),
                    Seen::Held => {
                        let held = grant.get("heldSignIn").cloned().unwrap_or_default();
                        ask(path, &held, work).await
                    }
                    Seen::Failed | Seen::Nothing => Err(forgotten(wish, "started anew")),
                };
            }
            Err(other) => return Err(other),
        };
        match text_at(&now, "/state").as_deref() {
            Some("waiting") if text_at(&now, "/userCode") == text_at(&begun, "/userCode") => {}
            Some("signed_in") => {
                progress(work, "code", None)?;
                return signed_in(&now, work);
            }
            Some("held") => {
                progress(work, "code", None)?;
                let held = now.get("heldSignIn").cloned().unwrap_or_default();
                return ask(path, &held, work).await;
            }
            Some("failed") => {
                progress(work, "code", None)?;
                if text_at(&now, "/code").as_deref() == Some("sign_in_interrupted") {
                    return Err(forgotten(wish, "stopped"));
                }
                let (what, next) = (first(&now, &["/what"]), first(&now, &["/next"]));
                return Err(Failure::Nothing(format!("{what} {next}")));
            }
            _ => {
                progress(work, "code", None)?;
                return Err(Failure::Later(
                    "Another sign-in was begun for this cloud provider meanwhile.".to_owned(),
                ));
            }
        }
        tell(work, "code", since, &mut told)?;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The daemon was `stopped` or started anew under a sign-in by code.
fn forgotten(wish: &Authenticate, how: &str) -> Failure {
    Failure::Later(format!(
        "The daemon was {how} meanwhile, and this code is of no use any more. For a new one: {}",
        again(wish)
    ))
}

/// The command that begins the same sign-in once more.
fn again(wish: &Authenticate) -> String {
    let mut text = format!("motion-email provider authenticate {}", wish.id);
    if wish.device {
        text += " --device";
    }
    if let Some(hint) = &wish.login_hint {
        text += &format!(" --login-hint {hint}");
    }
    if wish.new_identity {
        text += " --new-identity";
    }
    text
}

/// One look; `None` while a daemon that answered a moment ago does not, since it may be starting anew.
async fn look(
    path: &str,
    answered: &mut Instant,
    work: &mut Work<'_, '_>,
) -> Result<Option<Value>, Failure> {
    match work.client.get(path, &[]).await {
        Ok(now) => {
            *answered = Instant::now();
            Ok(Some(now))
        }
        Err(Failure::Unreachable { .. }) if answered.elapsed() < RESTART => Ok(None),
        Err(other) => Err(other),
    }
}

/// A person sees the seconds pass, a log gets a line now and then.
fn tell(
    work: &mut Work<'_, '_>,
    what: &str,
    since: Instant,
    told: &mut u64,
) -> Result<(), Failure> {
    let seconds = since.elapsed().as_secs();
    if work.terminal.person.follows || seconds >= *told + 30 || *told == 0 {
        *told = seconds.max(1);
        progress(work, what, Some(seconds))?;
    }
    Ok(())
}

/// Looks at the grant until somebody has signed in.
async fn wait(
    path: &str,
    grant_path: &str,
    before: &Value,
    wish: &Authenticate,
    work: &mut Work<'_, '_>,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let end = begun + PATIENCE;
    let (mut told, mut answered) = (0, begun);
    while Instant::now() < end {
        // The state is in the database: a sign-in by address outlives the daemon.
        let Some(grant) = look(grant_path, &mut answered, work).await? else {
            tell(work, "daemon", begun, &mut told)?;
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        };
        match seen(before, &grant) {
            Seen::SignedIn => {
                progress(work, "sign-in", None)?;
                return signed_in(&grant, work);
            }
            Seen::Held => {
                progress(work, "sign-in", None)?;
                let held = grant.get("heldSignIn").cloned().unwrap_or_default();
                return ask(path, &held, work).await;
            }
            Seen::Failed => {
                progress(work, "sign-in", None)?;
                let what = first(&grant, &["/signInFailure/what"]);
                let next = first(&grant, &["/signInFailure/next"]);
                return Err(Failure::Nothing(format!("{what} {next}")));
            }
            Seen::Nothing => {}
        }
        tell(work, "sign-in", begun, &mut told)?;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    progress(work, "sign-in", None)?;
    Err(Failure::Later(format!(
        "Nobody signed in within the ten minutes that the address is good for. For a new one: {}",
        again(wish)
    )))
}

fn signed_in(answer: &Value, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let user = first(answer, &["/signedInAs"]);
    Ok(writeln!(work.terminal.out, "Signed in as {user}.")?)
}

/// Somebody else than expected signed in: a person at the terminal decides, others are told how.
async fn ask(path: &str, held: &Value, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let what = first(held, &["/what"]);
    let next = first(held, &["/next"]);
    if !work.terminal.person.types {
        return Err(Failure::Nothing(format!("{what} {next}")));
    }
    let name = first(held, &["/signedInAs"]);
    writeln!(work.terminal.err, "{what}")?;
    let typed = work.terminal.line(&format!(
        "If this is right, type the name of who signed in ({name}); Enter alone leaves it held"
    ))?;
    if typed.trim().is_empty() {
        return Err(Failure::Nothing(next));
    }
    let body = json!({ "signedInAs": typed.trim() });
    let answer = work.client.post(&format!("{path}/confirm"), body).await?;
    let user = first(&answer, &["/grant/signedInAs"]);
    Ok(writeln!(
        work.terminal.out,
        "Confirmed: signed in as {user}."
    )?)
}

/// What has happened since `before`.
fn seen(before: &Value, now: &Value) -> Seen {
    let new = |path: &str| {
        let since = text_at(now, path);
        since.is_some() && since != text_at(before, path)
    };
    let fine = |grant: &Value| text_at(grant, "/state").as_deref() == Some("ok");
    // A grant also becomes good again by a refresh, or by a new client secret.
    let by_a_person = match text_at(now, "/signedInAt") {
        Some(_) => new("/signedInAt"),
        None => !fine(before),
    };
    if new("/heldSignIn/since") {
        Seen::Held
    } else if fine(now) && by_a_person {
        Seen::SignedIn
    } else if new("/signInFailure/at") {
        Seen::Failed
    } else {
        Seen::Nothing
    }
}

/// Seconds pass on standard error; `None` ends the line.
fn progress(work: &mut Work<'_, '_>, what: &str, seconds: Option<u64>) -> Result<(), Failure> {
    let err = &mut work.terminal.err;
    match (seconds, work.terminal.person.follows) {
        (Some(seconds), true) => write!(
            err,
            "\rWaiting for the {what}: {seconds} s (Ctrl-C ends the waiting only) "
        )?,
        (Some(seconds), false) => writeln!(err, "Waiting for the {what}: {seconds} s")?,
        (None, true) => writeln!(err)?,
        (None, false) => {}
    }
    Ok(err.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_begins_again_has_the_same_wishes() {
        let wish = |device, hint: Option<&str>, new_identity| Authenticate {
            id: 4,
            login_hint: hint.map(str::to_owned),
            new_identity,
            paste: false,
            device,
            no_wait: false,
        };
        for (wish, more) in [
            (wish(false, None, false), ""),
            (wish(true, None, true), " --device --new-identity"),
            (wish(false, Some("a@b.c"), false), " --login-hint a@b.c"),
        ] {
            let text = format!("motion-email provider authenticate 4{more}");
            assert_eq!(again(&wish), text);
        }
    }

    #[test]
    fn a_sign_in_is_seen_when_the_grant_became_usable_is_newer_or_is_held() {
        let old = json!({"state": "ok", "signedInAt": "1", "updatedAt": "1"});
        let held =
            |since: &str| json!({"state": "ok", "signedInAt": "1", "heldSignIn": {"since": since}});
        for (before, now, expected) in [
            (
                json!({"state": "missing"}),
                json!({"state": "missing"}),
                Seen::Nothing,
            ),
            (
                json!({"state": "missing"}),
                json!({"state": "ok"}),
                Seen::SignedIn,
            ),
            (
                json!({"state": "needs_sign_in"}),
                json!({"state": "ok"}),
                Seen::SignedIn,
            ),
            (
                json!({"state": "needs_sign_in"}),
                json!({"state": "refreshing"}),
                Seen::Nothing,
            ),
            (old.clone(), old.clone(), Seen::Nothing),
            // Good again by itself, or by a new secret.
            (
                json!({"state": "refreshing", "signedInAt": "1"}),
                old.clone(),
                Seen::Nothing,
            ),
            (
                json!({"state": "needs_sign_in", "signedInAt": "1"}),
                old.clone(),
                Seen::Nothing,
            ),
            (
                json!({"state": "needs_sign_in", "signedInAt": "1"}),
                json!({"state": "ok", "signedInAt": "2"}),
                Seen::SignedIn,
            ),
            (
                old.clone(),
                json!({"state": "ok", "signedInAt": "1", "signInFailure": {"at": "2"}}),
                Seen::Failed,
            ),
            (
                json!({"state": "ok", "signedInAt": "1", "signInFailure": {"at": "2"}}),
                json!({"state": "ok", "signedInAt": "1", "signInFailure": {"at": "2"}}),
                Seen::Nothing,
            ),
            // A refresh is no sign-in.
            (
                old.clone(),
                json!({"state": "ok", "signedInAt": "1", "updatedAt": "2"}),
                Seen::Nothing,
            ),
            (
                old.clone(),
                json!({"state": "ok", "signedInAt": "2"}),
                Seen::SignedIn,
            ),
            (old, held("5"), Seen::Held),
            (held("5"), held("5"), Seen::Nothing),
            (held("5"), held("6"), Seen::Held),
        ] {
            assert_eq!(seen(&before, &now), expected, "{before} {now}");
        }
    }
}
