//! `transcript`.

use super::account;
use super::args::Transcript;
use super::failure::Failure;
use super::perform::Work;
use super::show::{escaped, first, rows, text_at};

/// One line for each entry: when, over which protocol and connection, who, what.
pub(super) async fn perform(asked: Transcript, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let id = account::id(&asked.account, work).await?;
    let mut query = vec![("limit", asked.limit.to_string())];
    query.extend(asked.protocol.map(|protocol| {
        let word = clap::ValueEnum::to_possible_value(&protocol);
        let word = word.map(|word| word.get_name().to_owned());
        ("protocol", word.unwrap_or_default())
    }));
    query.extend(asked.since.map(|since| ("since", since)));
    let path = format!("{}/{id}/transcript", account::PATH);
    let answer = work.client.get(&path, &query).await?;
    if work.json {
        return work.raw_json(&answer);
    }
    for row in rows(&answer) {
        let who = match text_at(row, "/direction").as_deref() {
            Some("sent") => "->",
            Some("received") => "<-",
            _ => "--",
        };
        writeln!(
            work.terminal.out,
            "{} {:5} {:>4} {who} {}",
            first(row, &["/at"]),
            first(row, &["/protocol"]),
            first(row, &["/connection"]),
            escaped(&text_at(row, "/text").unwrap_or_default()),
        )?;
    }
    if rows(&answer).is_empty() {
        writeln!(
            work.terminal.err,
            "Nothing was said since the daemon started, or not of this kind."
        )?;
    }
    Ok(())
}
