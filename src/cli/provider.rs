//! `provider …`.

use std::io::Write;
use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::args::{NewProvider, ProviderCommand};
use super::failure::Failure;
use super::perform::Work;
use super::show::{escaped, first, text_at};

const PATH: &str = "/api/cloudProviders";

/// How long a person may take to sign in; the sign-in page itself gives up earlier.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// How often the grant is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) async fn perform(
    command: ProviderCommand,
    work: &mut Work<'_, '_>,
) -> Result<(), Failure> {
    match command {
        ProviderCommand::Add(new) => add(new, work).await,
        ProviderCommand::List => {
            let answer = work.client.get(PATH, &[]).await?;
            work.table(
                &answer,
                &[
                    ("ID", &["/id"]),
                    ("NAME", &["/name"]),
                    ("SERVICE", &["/service"]),
                    ("TYPE", &["/type"]),
                    ("GRANT", &["/grant/state"]),
                    ("SIGNED IN AS", &["/grant/signedInAs"]),
                ],
            )
        }
        ProviderCommand::Show { id } => {
            let answer = work.client.get(&format!("{PATH}/{id}"), &[]).await?;
            work.record(
                &answer,
                &[
                    "id",
                    "name",
                    "service",
                    "type",
                    "applicationId",
                    "tenantId",
                    "redirectUri",
                    "grant",
                ],
            )
        }
        ProviderCommand::Authenticate {
            id,
            login_hint,
            no_wait,
        } => authenticate(id, login_hint, no_wait, work).await,
        ProviderCommand::Remove { id } => {
            let answer = work.client.delete(&format!("{PATH}/{id}")).await?;
            work.done(&answer, &format!("Removed cloud provider {id}."))
        }
    }
}

async fn add(new: NewProvider, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let secret = work.terminal.secret(
        new.client_secret_file.as_deref(),
        "client secret",
        "--client-secret-file",
    )?;
    let mut body = Map::new();
    let service = match new.service {
        super::args::ServiceWord::Microsoft => "microsoft",
        super::args::ServiceWord::Google => "google",
    };
    body.insert("name".to_owned(), json!(new.name));
    body.insert("service".to_owned(), json!(service));
    body.insert("applicationId".to_owned(), json!(new.application_id));
    body.insert("clientSecret".to_owned(), json!(secret.expose_secret()));
    for (field, value) in [
        ("type", new.kind),
        ("tenantId", new.tenant_id),
        ("redirectUri", new.redirect_uri),
        ("authority", new.authority),
        ("scopeHost", new.scope_host),
    ] {
        if let Some(value) = value {
            body.insert(field.to_owned(), json!(value));
        }
    }
    let answer = work.client.post(PATH, Value::Object(body)).await?;
    let id = first(&answer, &["/id"]);
    let uri = first(&answer, &["/redirectUri"]);
    work.done(
        &answer,
        &format!(
            "Added cloud provider {id}.\nIts redirect URI, which has to be registered with the application: {uri}\n\
             Next: motion-email provider authenticate {id}"
        ),
    )
}

async fn authenticate(
    id: i64,
    login_hint: Option<String>,
    no_wait: bool,
    work: &mut Work<'_, '_>,
) -> Result<(), Failure> {
    let path = format!("{PATH}/{id}");
    let grant_path = format!("{path}/grant");
    let before = work.client.get(&grant_path, &[]).await?;
    let body = login_hint.map_or_else(|| json!({}), |hint| json!({"loginHint": hint}));
    let answer = work
        .client
        .post(&format!("{path}/authenticate"), body)
        .await?;
    if work.json {
        return work.raw_json(&answer);
    }
    let Some(url) = text_at(&answer, "/authorizeUrl") else {
        return Err(Failure::Nothing(
            "The daemon gave no address to sign in at.".to_owned(),
        ));
    };
    writeln!(
        work.terminal.out,
        "Open this address in a browser and sign in:\n\n{}\n",
        escaped(&url)
    )?;
    work.terminal.out.flush()?;
    if no_wait {
        return Ok(());
    }
    let begun = Instant::now();
    let end = begun + PATIENCE;
    let mut told = 0;
    while Instant::now() < end {
        let grant = work.client.get(&grant_path, &[]).await?;
        if is_new(&before, &grant) {
            progress(work, None)?;
            let user = first(&grant, &["/signedInAs"]);
            writeln!(work.terminal.out, "Signed in as {user}.")?;
            return Ok(());
        }
        let seconds = begun.elapsed().as_secs();
        // A person sees the seconds pass, a log gets a line now and then.
        if work.terminal.person.follows || seconds >= told + 30 || told == 0 {
            told = seconds.max(1);
            progress(work, Some(seconds))?;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    progress(work, None)?;
    Err(Failure::Later(format!(
        "Nobody signed in within {} minutes. Run the command again for a new address.",
        PATIENCE.as_secs() / 60
    )))
}

/// Whether somebody has signed in since `before`.
fn is_new(before: &Value, now: &Value) -> bool {
    let fine = |grant: &Value| text_at(grant, "/state").as_deref() == Some("ok");
    fine(now) && (!fine(before) || before != now)
}

fn progress(work: &mut Work<'_, '_>, seconds: Option<u64>) -> Result<(), Failure> {
    let err = &mut work.terminal.err;
    match (seconds, work.terminal.person.follows) {
        (Some(seconds), true) => write!(
            err,
            "\rWaiting for the sign-in: {seconds} s (Ctrl-C ends the waiting only) "
        )?,
        (Some(seconds), false) => writeln!(err, "Waiting for the sign-in: {seconds} s")?,
        (None, true) => writeln!(err)?,
        (None, false) => {}
    }
    Ok(err.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_is_new_when_the_grant_became_usable_or_changed() {
        let old = json!({"state": "ok", "updatedAt": "1"});
        for (before, now, new) in [
            (
                json!({"state": "missing"}),
                json!({"state": "missing"}),
                false,
            ),
            (json!({"state": "missing"}), json!({"state": "ok"}), true),
            (
                json!({"state": "needs_sign_in"}),
                json!({"state": "ok"}),
                true,
            ),
            (
                json!({"state": "needs_sign_in"}),
                json!({"state": "refreshing"}),
                false,
            ),
            (old.clone(), old.clone(), false),
            (old.clone(), json!({"state": "ok", "updatedAt": "2"}), true),
        ] {
            assert_eq!(is_new(&before, &now), new, "{before} {now}");
        }
    }
}
