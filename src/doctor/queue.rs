//! What the account's own lanes last said, and what waits in its queue.

use super::{
    Item, Lanes, Parts, Verdict,
    course::{Course, Found},
    incoming::shown,
    judge,
};
use crate::{
    diagnosis::{Context, Failure, Finding, LaneState, LaneStatus},
    model::{Account, RecipientState},
    store::StoreError,
};

/// Notes both lanes and the queue. Gives what servers said about mails that they did not take.
pub(super) async fn examine(
    course: &mut Course<'_>,
    parts: &Parts,
    account: &Account,
    lanes: Option<&Lanes>,
    context: &Context,
) -> Vec<String> {
    course.begin();
    match lanes {
        Some(lanes) => {
            course.note(Item::Inbound, lane(&lanes.inbound)).await;
            course.note(Item::Outbound, lane(&lanes.outbound)).await;
        }
        None => {
            let finding = if account.paused {
                Finding::Paused
            } else {
                Finding::NotRunning
            };
            let found = || Found::of(Verdict::Warning, "", finding.explain(context));
            course.note(Item::Inbound, found()).await;
            course.note(Item::Outbound, found()).await;
        }
    }
    let mut said: Vec<String> = lanes
        .and_then(|lanes| lanes.outbound.diagnosis.as_ref())
        .map(|diagnosis| diagnosis.why.clone())
        .into_iter()
        .collect();
    let found = match waiting(parts, account).await {
        Ok((found, refusals)) => {
            said.extend(refusals);
            shown(found, context)
        }
        Err(error) => Found::failed(&Failure::Store(error), context),
    };
    course.note(Item::Queue, found).await;
    said
}

async fn waiting(
    parts: &Parts,
    account: &Account,
) -> Result<(judge::Judged, Vec<String>), StoreError> {
    let store = &parts.store;
    let counts = store.outbox_counts(account.id).await?;
    let count = |state: RecipientState| -> i64 {
        let found = counts.iter().filter(|(counted, _)| *counted == state);
        found.map(|(_, n)| n).sum()
    };
    let waiting = [
        RecipientState::Queued,
        RecipientState::Claimed,
        RecipientState::DotPending,
        RecipientState::Deferred,
    ]
    .into_iter()
    .map(count)
    .sum();
    let now = parts.clock.now();
    let oldest = store.outbox_oldest(account.id).await?;
    let oldest = oldest.map(|since| now.since(since));
    let refusals = store.outbox_refusals(account.id).await?;
    let said = refusals.into_iter().map(|row| row.text).collect();
    let judged = judge::queue(waiting, count(RecipientState::InDoubt), oldest);
    Ok((judged, said))
}

/// A lane's own word.
fn lane(status: &LaneStatus) -> Found {
    let contact = status.last_contact.map_or_else(
        || "no proven contact yet".to_owned(),
        |at| format!("last proven contact {}", at.rfc3339()),
    );
    let detail = format!("{}, {contact}", status.state.as_str());
    match &status.diagnosis {
        None => Found::ok(detail),
        Some(diagnosis) => {
            let verdict = match status.state {
                LaneState::Parked | LaneState::Stopped => Verdict::Failed,
                LaneState::Starting
                | LaneState::Connecting
                | LaneState::Working
                | LaneState::Ready
                | LaneState::Waiting => Verdict::Warning,
            };
            let detail = format!("{detail}: {}", diagnosis.what);
            Found::of(verdict, detail, diagnosis.clone())
        }
    }
}
