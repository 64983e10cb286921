//! One command against a running daemon.

use serde_json::{Value, json};

use super::args::{Command, ContactCommand, ListCommand};
use super::client::Client;
use super::failure::Failure;
use super::show::{Column, record, table};
use super::terminal::Terminal;
use super::{account, calendar, mail, provider, status, transcript};

/// What a command works with.
pub(super) struct Work<'a, 't> {
    pub(super) client: Client,
    pub(super) terminal: &'a mut Terminal<'t>,
    /// Print the daemon's JSON.
    pub(super) json: bool,
}

impl Work<'_, '_> {
    /// Prints a list answer.
    pub(super) fn table(&mut self, answer: &Value, columns: &[Column]) -> Result<(), Failure> {
        if self.json {
            return self.raw_json(answer);
        }
        Ok(table(self.terminal.out, answer, columns)?)
    }

    /// Prints a record.
    pub(super) fn record(&mut self, answer: &Value, order: &[&str]) -> Result<(), Failure> {
        if self.json {
            return self.raw_json(answer);
        }
        Ok(record(self.terminal.out, answer, order)?)
    }

    /// Prints one sentence; with `--json` the answer instead.
    pub(super) fn done(&mut self, answer: &Value, sentence: &str) -> Result<(), Failure> {
        if self.json {
            return self.raw_json(answer);
        }
        Ok(writeln!(self.terminal.out, "{sentence}")?)
    }

    /// The answer as it came; JSON's own escapes hide control characters, and nothing else is touched.
    pub(super) fn raw_json(&mut self, answer: &Value) -> Result<(), Failure> {
        if answer.is_null() {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(answer).unwrap_or_default();
        Ok(writeln!(self.terminal.out, "{text}")?)
    }
}

/// Does what a command asks; those that need no daemon are not its business.
pub(super) async fn perform(command: Command, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    match command {
        Command::Run { .. } | Command::Check { .. } | Command::Logs(_) | Command::Doctor(_) => {
            Ok(())
        }
        Command::Provider(command) => provider::perform(command, work).await,
        Command::Account(command) => account::perform(command, work).await,
        Command::Status => status::perform(work).await,
        Command::Calendar(page) => calendar::perform(&page, work).await,
        Command::Transcript(asked) => transcript::perform(asked, work).await,
        Command::Message(command) => mail::message(command, work).await,
        Command::Send(send) => mail::send(send, work).await,
        Command::Outbox(command) => mail::outbox(command, work).await,
        Command::List(command) => list(command, work).await,
        Command::Contact(command) => contact(command, work).await,
        Command::LogLevel { level } => log_level(level, work).await,
    }
}

const LISTS: &str = "/api/cm/lists";

async fn list(command: ListCommand, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    match command {
        ListCommand::Add { name } => {
            let answer = work.client.post(LISTS, json!({ "name": name })).await?;
            work.done(
                &answer,
                &format!("Added list {}.", super::show::first(&answer, &["/id"])),
            )
        }
        ListCommand::List => {
            let answer = work.client.get(LISTS, &[]).await?;
            work.table(
                &answer,
                &[
                    ("ID", &["/id"]),
                    ("NAME", &["/name"]),
                    ("CREATED", &["/createdAt"]),
                ],
            )
        }
    }
}

async fn contact(command: ContactCommand, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let ContactCommand::List { list, page } = command;
    let mut query = page.query();
    query.extend(list.map(|id| ("ListId", id.to_string())));
    let answer = work.client.get("/api/cm/contacts", &query).await?;
    work.table(
        &answer,
        &[
            ("ID", &["/id"]),
            ("LIST", &["/ListId"]),
            ("NAME", &["/name", "/firstName"]),
            ("ADDRESS", &["/address", "/email"]),
            ("SINCE", &["/createdAt"]),
        ],
    )
}

async fn log_level(level: Option<String>, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    const PATH: &str = "/api/log-level";
    let answer = match &level {
        None => work.client.get(PATH, &[]).await?,
        Some(text) => {
            let level = crate::logs::Level::parse(text).ok_or_else(|| {
                Failure::Usage(format!(
                    "{text:?} is not a level: use ERROR, WARN, INFO, DEBUG or TRACE."
                ))
            })?;
            work.client
                .put(PATH, json!({"level": level.as_str()}))
                .await?
        }
    };
    let shown = super::show::first(&answer, &["/level"]);
    let until = if level.is_some() {
        " until the daemon starts again"
    } else {
        ""
    };
    work.done(&answer, &format!("The level is {shown}{until}."))
}
