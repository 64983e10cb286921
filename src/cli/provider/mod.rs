//! `provider …`.

mod fields;
mod sign_in;

use serde_json::{Value, json};

use super::args::ProviderCommand;
use super::calendar;
use super::failure::Failure;
use super::perform::Work;
use super::show::{first, rows};

const PATH: &str = "/api/cloudProviders";

pub(super) async fn perform(
    command: ProviderCommand,
    work: &mut Work<'_, '_>,
) -> Result<(), Failure> {
    match command {
        ProviderCommand::Add(new) => {
            let body = fields::new_body(&new, work.terminal)?;
            let answer = work.client.post(PATH, Value::Object(body)).await?;
            let id = first(&answer, &["/id"]);
            let uri = first(&answer, &["/redirectUri"]);
            let next = match answer.get("access").and_then(Value::as_str) {
                Some("application") => {
                    "It uses the application's own access: nobody has to sign in.".to_owned()
                }
                _ => format!("Next: motion-email provider authenticate {id}"),
            };
            let text = format!(
                "Added cloud provider {id}.\nIts redirect URI, which has to be registered with the application: {uri}\n{next}"
            );
            done(&answer, &text, work)
        }
        ProviderCommand::Edit(edit) => {
            let body = fields::changed_body(&edit, work.terminal)?;
            let path = format!("{PATH}/{}", edit.id);
            let answer = work.client.put(&path, Value::Object(body)).await?;
            done(
                &answer,
                &format!("Changed cloud provider {}.", edit.id),
                work,
            )
        }
        ProviderCommand::UpdateSecret {
            id,
            client_secret_file,
            secret_expires,
            second,
        } => {
            let secret = fields::client_secret(client_secret_file.as_deref(), work.terminal)?;
            let mut body = json!({ "clientSecret": secret });
            if let (Some(expires), Some(body)) = (secret_expires, body.as_object_mut()) {
                body.insert("expiresAt".to_owned(), fields::expiry(&expires));
            }
            if let (true, Some(body)) = (second, body.as_object_mut()) {
                body.insert("second".to_owned(), json!(true));
            }
            let answer = work
                .client
                .post(&format!("{PATH}/{id}/secret"), body)
                .await?;
            let text = if second {
                "The second client secret waits beside the first."
            } else {
                "The new client secret is used from now on."
            };
            done(&answer, text, work)
        }
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
                    ("HELD", &["/heldSignIn/signedInAs"]),
                ],
            )
        }
        ProviderCommand::Show { id } => {
            let mut answer = work.client.get(&format!("{PATH}/{id}"), &[]).await?;
            if work.json {
                return work.raw_json(&answer);
            }
            let warnings = answer
                .as_object_mut()
                .and_then(|object| object.remove("warnings"));
            work.record(
                &answer,
                &[
                    "id",
                    "name",
                    "service",
                    "type",
                    "cloud",
                    "access",
                    "applicationId",
                    "tenantId",
                    "hasClientSecret",
                    "clientSecretExpiresAt",
                    "hasSecondSecret",
                    "secondSecretExpiresAt",
                    "certificate",
                    "redirectUri",
                    "authority",
                    "scopeHost",
                    "proxy",
                    "grant",
                    "heldSignIn",
                ],
            )?;
            let warnings = warnings.unwrap_or_default();
            Ok(calendar::warnings(work.terminal.out, rows(&warnings))?)
        }
        ProviderCommand::Authenticate(wish) => sign_in::authenticate(wish, work).await,
        ProviderCommand::Confirm { id, signed_in_as } => {
            let body = json!({ "signedInAs": signed_in_as });
            let answer = work
                .client
                .post(&format!("{PATH}/{id}/confirm"), body)
                .await?;
            let user = first(&answer, &["/grant/signedInAs"]);
            work.done(&answer, &format!("Confirmed: signed in as {user}."))
        }
        ProviderCommand::Discard { id } => {
            let path = format!("{PATH}/{id}/discard");
            let answer = work.client.post(&path, json!({})).await?;
            work.done(&answer, "Discarded; what worked before goes on.")
        }
        ProviderCommand::Remove { id } => {
            let answer = work.client.delete(&format!("{PATH}/{id}")).await?;
            work.done(&answer, &format!("Removed cloud provider {id}."))
        }
    }
}

/// A change that was made, and what the daemon warns of.
fn done(answer: &Value, sentence: &str, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    work.done(answer, sentence)?;
    let warnings = answer.get("warnings").unwrap_or(&Value::Null);
    Ok(calendar::warnings(work.terminal.err, rows(warnings))?)
}
