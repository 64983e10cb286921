//! `account …`.

use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use super::args::{AccountCommand, Changed, Login};
use super::failure::Failure;
use super::perform::Work;
use super::servers;
use super::show::{first, rows};
use super::terminal::Terminal;
use super::word;

pub(super) const PATH: &str = "/api/mail/accounts";

/// Rows asked for at a time while an account is looked for.
const PAGE: usize = 500;

pub(super) async fn perform(
    command: AccountCommand,
    work: &mut Work<'_, '_>,
) -> Result<(), Failure> {
    match command {
        AccountCommand::Add(settings) => {
            let names = Changed::from(&settings.names);
            let mut body = body(&names, &settings.login);
            servers::put(&settings.servers, work.terminal, &mut body)?;
            body.extend(
                settings
                    .backfill
                    .map(|backfill| ("backfill".to_owned(), json!(backfill.0))),
            );
            if !settings.folders.is_empty() {
                body.insert("folders".to_owned(), json!(settings.folders));
            }
            if settings.login.provider.is_none() {
                body.insert("authentication".to_owned(), json!("password"));
                password(&settings.login, work.terminal, &mut body)?;
            }
            let answer = work.client.post(PATH, Value::Object(body)).await?;
            let key = first(&answer, &["/key"]);
            let id = first(&answer, &["/id"]);
            work.done(
                &answer,
                &format!(
                    "Added account {key} (id {id}); motion-email account show {key} says how it is."
                ),
            )
        }
        AccountCommand::List => {
            let answer = work
                .client
                .get(PATH, &[("limit", PAGE.to_string())])
                .await?;
            work.table(
                &answer,
                &[
                    ("ID", &["/id"]),
                    ("KEY", &["/key"]),
                    ("NAME", &["/name"]),
                    ("ADDRESS", &["/address"]),
                    ("SERVICE", &["/service"]),
                    ("STATE", &["/status/state"]),
                    ("INBOUND", &["/status/inbound/state"]),
                    ("OUTBOUND", &["/status/outbound/state"]),
                ],
            )
        }
        AccountCommand::Show { account } => {
            let answer = work.client.get(&path(&account, work).await?, &[]).await?;
            work.record(
                &answer,
                &[
                    "id",
                    "key",
                    "name",
                    "address",
                    "service",
                    "paused",
                    "status",
                    "ListId",
                    "authentication",
                    "CloudProviderId",
                    "username",
                    "delegate",
                    "imap",
                    "smtp",
                    "proxy",
                    "backfill",
                    "folders",
                ],
            )
        }
        AccountCommand::Edit { account, settings } => {
            let mut body = body(&settings.names, &settings.login);
            servers::put(&settings.servers, work.terminal, &mut body)?;
            body.extend(
                settings
                    .backfill
                    .map(|backfill| ("backfill".to_owned(), json!(backfill.0))),
            );
            if !settings.folders.is_empty() {
                body.insert("folders".to_owned(), json!(settings.folders));
            }
            if settings.login.password_file.is_some() {
                body.insert("authentication".to_owned(), json!("password"));
                password(&settings.login, work.terminal, &mut body)?;
            }
            if body.is_empty() {
                return Err(Failure::Usage(
                    "Nothing to change is named; see --help.".to_owned(),
                ));
            }
            let path = path(&account, work).await?;
            let answer = work.client.put(&path, Value::Object(body)).await?;
            work.done(
                &answer,
                &format!("Changed account {}.", first(&answer, &["/key", "/id"])),
            )
        }
        AccountCommand::Pause { account } => verb(&account, "pause", "Paused", work).await,
        AccountCommand::Resume { account } => verb(&account, "resume", "Resumed", work).await,
        AccountCommand::Sync { account } => verb(&account, "sync", "Woke", work).await,
        AccountCommand::Folders { account } => {
            let path = format!("{}/folders", path(&account, work).await?);
            let answer = work.client.get(&path, &[]).await?;
            work.table(
                &answer,
                &[
                    ("ID", &["/id"]),
                    ("FOLDER", &["/name"]),
                    ("NEXT UID", &["/nextUid"]),
                    ("COMPARED", &["/auditedAt"]),
                    ("COMPARING", &["/audit/why"]),
                    ("REPAIRED", &["/repaired"]),
                    ("HELD", &["/held"]),
                ],
            )
        }
        AccountCommand::Reingest { account, since } => {
            let path = format!("{}/reingest", path(&account, work).await?);
            let answer = work.client.post(&path, json!({"since": since.0})).await?;
            let account = super::show::escaped(&account);
            work.done(
                &answer,
                &format!(
                    "Mail of account {account} since {} is brought in; motion-email account folders {account} says how far it is.",
                    since.0
                ),
            )
        }
        AccountCommand::Release { account, silently } => {
            let path = format!("{}/release", path(&account, work).await?);
            let body = json!({"announce": !silently});
            let answer = work.client.post(&path, body).await?;
            let done = if silently {
                "is kept without a word"
            } else {
                "is announced"
            };
            let account = super::show::escaped(&account);
            work.done(&answer, &format!("Held mail of account {account} {done}."))
        }
        AccountCommand::Remove {
            account,
            discard_queue,
        } => {
            let query = if discard_queue {
                "?discardQueue=true"
            } else {
                ""
            };
            let path = format!("{}{query}", path(&account, work).await?);
            let answer = work.client.delete(&path).await?;
            work.done(
                &answer,
                &format!("Removed account {}.", super::show::escaped(&account)),
            )
        }
    }
}

async fn verb(
    account: &str,
    verb: &str,
    past: &str,
    work: &mut Work<'_, '_>,
) -> Result<(), Failure> {
    let path = format!("{}/{verb}", path(account, work).await?);
    let answer = work.client.post(&path, json!({})).await?;
    work.done(
        &answer,
        &format!("{past} account {}.", super::show::escaped(account)),
    )
}

/// The fields that are named.
fn body(names: &Changed, login: &Login) -> Map<String, Value> {
    let service = names.service.map(word);
    object([
        ("name", names.name.as_ref().map(|text| json!(text))),
        ("key", names.key.as_ref().map(|text| json!(text))),
        ("address", names.address.as_ref().map(|text| json!(text))),
        ("ListId", names.list.map(|id| json!(id))),
        ("service", service.map(|word| json!(word))),
        ("authentication", login.provider.map(|_| json!("modern"))),
        ("CloudProviderId", login.provider.map(|id| json!(id))),
        ("username", login.user.as_ref().map(|text| json!(text))),
        ("delegate", login.delegate.as_ref().map(|text| json!(text))),
        (
            "confirmedSignedInAs",
            login.confirm_signed_in_as.as_ref().map(|text| json!(text)),
        ),
    ])
}

pub(super) fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn password(
    login: &Login,
    terminal: &mut Terminal<'_>,
    body: &mut Map<String, Value>,
) -> Result<(), Failure> {
    let password = terminal.secret(
        login.password_file.as_deref(),
        "password",
        "--password-file",
    )?;
    body.insert("password".to_owned(), json!(password.expose_secret()));
    Ok(())
}

/// The path of an account that was named by key or id.
async fn path(account: &str, work: &Work<'_, '_>) -> Result<String, Failure> {
    Ok(format!("{PATH}/{}", id(account, work).await?))
}

/// The id of an account that was named by key or id.
pub(super) async fn id(account: &str, work: &Work<'_, '_>) -> Result<i64, Failure> {
    let mut found = Found::default();
    for page in 0.. {
        let query = [
            ("limit", PAGE.to_string()),
            ("offset", (page * PAGE).to_string()),
        ];
        let answer = work.client.get(PATH, &query).await?;
        let rows = rows(&answer);
        found.look(account, rows);
        if rows.len() < PAGE {
            break;
        }
    }
    found.verdict(account)
}

/// What a name that may be a key or an id has met.
#[derive(Debug, Default)]
struct Found {
    by_key: Option<i64>,
    by_id: Option<i64>,
}

impl Found {
    fn look(&mut self, account: &str, rows: &[Value]) {
        let (key, number) = match account.split_once(':') {
            Some(("key", key)) => (Some(key), None),
            Some(("id", id)) => (None, id.parse().ok()),
            _ => (Some(account), account.parse::<i64>().ok()),
        };
        for row in rows {
            let Some(id) = row.get("id").and_then(Value::as_i64) else {
                continue;
            };
            let its_key = row.get("key").and_then(Value::as_str);
            if its_key
                .zip(key)
                .is_some_and(|(its, wanted)| its.eq_ignore_ascii_case(wanted))
            {
                self.by_key = Some(id);
            }
            if number == Some(id) {
                self.by_id = Some(id);
            }
        }
    }

    fn verdict(&self, account: &str) -> Result<i64, Failure> {
        match (self.by_key, self.by_id) {
            (Some(key), Some(id)) if key != id => Err(Failure::Usage(format!(
                "{account} is the key of one account and the id of another: write key:{account} or id:{account}."
            ))),
            (Some(id), _) | (None, Some(id)) => Ok(id),
            (None, None) => Err(Failure::Nothing(format!(
                "There is no account {account}; motion-email account list shows all."
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_key_or_id_and_never_guessed() {
        let rows = [
            json!({"id": 1, "key": "SUPP1"}),
            json!({"id": 2, "key": "3"}),
            json!({"id": 3, "key": "SALES"}),
        ];
        for (account, id) in [
            ("SUPP1", Some(1)),
            ("supp1", Some(1)),
            ("1", Some(1)),
            ("2", Some(2)),
            ("3", None),
            ("key:3", Some(2)),
            ("id:3", Some(3)),
            ("4", None),
            ("NONE", None),
            ("id:SALES", None),
        ] {
            let mut found = Found::default();
            found.look(account, &rows);
            assert_eq!(found.verdict(account).ok(), id, "{account}");
        }
    }
}
