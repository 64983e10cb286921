//! `message …`, `send`, `outbox …`.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::account;
use super::args::{Message, Outbox, PageFlags, Send};
use super::failure::Failure;
use super::perform::Work;
use super::show::{escaped, first, paragraphs, text_at};

const MESSAGES: &str = "/api/mail/messages";
const OUTBOX: &str = "/api/mail/outbox";

impl PageFlags {
    /// As query parameters.
    pub(super) fn query(&self) -> Vec<(&'static str, String)> {
        vec![
            ("limit", self.limit.to_string()),
            ("offset", self.offset.to_string()),
        ]
    }
}

pub(super) async fn message(command: Message, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    match command {
        Message::List { account, page } => {
            let query = of_account(page.query(), account, work).await?;
            let mut answer = work.client.get(MESSAGES, &query).await?;
            if !work.json {
                let rows = answer.get_mut("rows").and_then(Value::as_array_mut);
                rows.into_iter().flatten().for_each(kind_shown);
            }
            work.table(
                &answer,
                &[
                    ("ID", &["/id"]),
                    ("ACCOUNT", &["/accountKey", "/AccountId"]),
                    (
                        "RECEIVED",
                        &["/receivedAt", "/internalDate", "/date", "/createdAt"],
                    ),
                    ("KIND", &["/kindShown", "/kind"]),
                    ("FROM", &["/from"]),
                    ("SUBJECT", &["/subject"]),
                ],
            )
        }
        Message::Release { id } => {
            let path = format!("{MESSAGES}/{id}/release");
            let answer = work.client.post(&path, json!({})).await?;
            work.done(&answer, &format!("Message {id} was let through."))
        }
        Message::Show { id } => {
            let mut answer = work.client.get(&format!("{MESSAGES}/{id}"), &[]).await?;
            if work.json {
                return work.raw_json(&answer);
            }
            let text = take_text(&mut answer, "text");
            // The HTML form is for browsers; `message raw` and --json have it.
            take_text(&mut answer, "html");
            work.record(
                &answer,
                &[
                    "id",
                    "AccountId",
                    "subject",
                    "from",
                    "to",
                    "cc",
                    "sentAt",
                    "receivedAt",
                    "kind",
                    "kindReason",
                    "held",
                    "bounceOf",
                    "relatedInteractionId",
                ],
            )?;
            if let Some(text) = text {
                writeln!(work.terminal.out)?;
                paragraphs(work.terminal.out, &text)?;
            }
            Ok(())
        }
        Message::Raw { id } => {
            let Work {
                client, terminal, ..
            } = work;
            let person = terminal.person.reads;
            let out = &mut terminal.out;
            client
                .bytes(&format!("{MESSAGES}/{id}/raw"), |piece| {
                    if person {
                        // A terminal obeys what strangers send it; a file or a pipe gets the bytes as they are.
                        for line in String::from_utf8_lossy(piece).split_inclusive('\n') {
                            let text = line.trim_end_matches(['\r', '\n']);
                            let end = if line.ends_with('\n') { "\n" } else { "" };
                            write!(out, "{}{end}", escaped(text))?;
                        }
                        Ok(())
                    } else {
                        Ok(out.write_all(piece)?)
                    }
                })
                .await
        }
    }
}

fn take_text(answer: &mut Value, field: &str) -> Option<String> {
    let text = text_at(answer, &format!("/{field}"));
    if let Some(object) = answer.as_object_mut() {
        object.remove(field);
    }
    text
}

async fn of_account(
    mut query: Vec<(&'static str, String)>,
    account: Option<String>,
    work: &Work<'_, '_>,
) -> Result<Vec<(&'static str, String)>, Failure> {
    if let Some(account) = account {
        let id = account::id(&account, work).await?;
        query.push(("AccountId", id.to_string()));
    }
    Ok(query)
}

pub(super) async fn send(send: Send, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let mut body = Map::new();
    // The body is read before anything is asked of the daemon: its mistakes are found first.
    let text = match (send.text, &send.text_file, &send.html_file) {
        (Some(text), _, _) => Some(text),
        (None, Some(file), _) => Some(work.terminal.body(file)?),
        (None, None, Some(_)) => None,
        (None, None, None) => Some(work.terminal.body(Path::new("-"))?),
    };
    let html = match &send.html_file {
        Some(file) => Some(work.terminal.body(file)?),
        None => None,
    };
    let account = account::id(&send.account, work).await?;
    // A key of the command's own makes it harmless that an HTTP client may send a request twice.
    let key = send
        .idempotency_key
        .unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    body.insert("AccountId".to_owned(), json!(account));
    body.insert("idempotencyKey".to_owned(), json!(key));
    for (field, addresses) in [("to", send.to), ("cc", send.cc), ("bcc", send.bcc)] {
        if !addresses.is_empty() {
            body.insert(field.to_owned(), json!(addresses));
        }
    }
    for (field, value) in [("subject", send.subject), ("text", text), ("html", html)] {
        if let Some(value) = value {
            body.insert(field.to_owned(), json!(value));
        }
    }
    if let Some(message) = send.reply_to_message {
        body.insert("replyToMessageId".to_owned(), json!(message));
    }
    let answer = work.client.post(OUTBOX, Value::Object(body)).await?;
    let id = first(&answer, &["/id"]);
    work.done(
        &answer,
        &format!("Queued as {id}; motion-email outbox show {id} says what became of it."),
    )
}

pub(super) async fn outbox(command: Outbox, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    match command {
        Outbox::List {
            account,
            state,
            page,
        } => {
            let mut query = of_account(page.query(), account, work).await?;
            query.extend(state.map(|state| ("state", state)));
            let mut answer = work.client.get(OUTBOX, &query).await?;
            if !work.json {
                for row in answer
                    .get_mut("rows")
                    .and_then(Value::as_array_mut)
                    .into_iter()
                    .flatten()
                {
                    summarize(row);
                }
            }
            work.table(
                &answer,
                &[
                    ("ID", &["/id"]),
                    ("ACCOUNT", &["/accountKey", "/AccountId"]),
                    ("QUEUED", &["/createdAt"]),
                    ("TO", &["/recipientsShown", "/to"]),
                    ("STATE", &["/stateShown", "/state"]),
                    ("SUBJECT", &["/subject"]),
                ],
            )
        }
        Outbox::Show { id } => {
            let answer = work.client.get(&format!("{OUTBOX}/{id}"), &[]).await?;
            work.record(
                &answer,
                &[
                    "id",
                    "AccountId",
                    "state",
                    "subject",
                    "from",
                    "createdAt",
                    "recipients",
                    "attempts",
                    "reports",
                ],
            )
        }
    }
}

/// Adds what a row shows of its kind: nothing for a person's mail, and whether it is held.
fn kind_shown(row: &mut Value) {
    let held = row.get("held").is_some_and(Value::is_string)
        && row.get("released").and_then(Value::as_bool) != Some(true);
    let kind = first(row, &["/kind"]);
    let shown = match (kind.as_str(), held) {
        ("human", false) => String::new(),
        (_, false) => kind,
        (_, true) => format!("{kind}, held"),
    };
    if let Some(object) = row.as_object_mut() {
        object.insert("kindShown".to_owned(), json!(shown));
    }
}

/// Adds what a row shows of its recipients: their addresses, and each state with how many are in it.
fn summarize(row: &mut Value) {
    let recipients = row.get("recipients").and_then(Value::as_array);
    let recipients = recipients.map_or(&[][..], Vec::as_slice);
    if recipients.is_empty() {
        return;
    }
    let addresses: Vec<_> = recipients
        .iter()
        .map(|one| first(one, &["/address"]))
        .collect();
    let mut states: Vec<(String, usize)> = Vec::new();
    for one in recipients {
        let state = first(one, &["/state"]);
        match states.iter_mut().find(|(known, _)| *known == state) {
            Some((_, count)) => *count += 1,
            None => states.push((state, 1)),
        }
    }
    let states: Vec<_> = match states.as_slice() {
        [(state, _)] => vec![state.clone()],
        _ => states
            .iter()
            .map(|(state, count)| format!("{count} {state}"))
            .collect(),
    };
    if let Some(object) = row.as_object_mut() {
        object.insert("recipientsShown".to_owned(), json!(addresses.join(", ")));
        object.insert("stateShown".to_owned(), json!(states.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_each_state_with_its_number_of_recipients() {
        let recipient = |address: &str, state: &str| json!({"address": address, "state": state});
        for (recipients, state) in [
            (vec![recipient("a", "sent")], "sent"),
            (vec![recipient("a", "sent"), recipient("b", "sent")], "sent"),
            (
                vec![
                    recipient("a", "sent"),
                    recipient("b", "failed"),
                    recipient("c", "sent"),
                ],
                "2 sent, 1 failed",
            ),
        ] {
            let mut row = json!({ "recipients": recipients });
            summarize(&mut row);
            assert_eq!(row["stateShown"], state);
        }
    }
}
