//! Examinations: `POST /api/doctor` (the service and all accounts, or one) and
//! `POST /api/mail/accounts/{id}/doctor` (one account).
//!
//! Who asks for `application/x-ndjson` gets a line `{"check": …}` as each check ends and `{"report": …}` last;
//! everybody else gets the report alone. The report is `null` where that account
//! is being examined already.

mod shown;

use std::convert::Infallible;

use axum::{
    Json,
    body::{Body as Answer, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    doctor::{Lanes, Patient, Progress, Report, Verdict, Wish},
    model::Account,
    store::Page,
};

use super::{
    Desk, accounts,
    input::{Given, MaybeBody, Problems, Unknown},
    problem::ApiError,
    query::Word,
};

/// Accounts that are examined in one go at most.
const EVERYBODY: Page = Page {
    limit: 1000,
    offset: 0,
};
/// Lines that wait for a slow reader; then the examination waits.
const LINES: usize = 64;
const NDJSON: &str = "application/x-ndjson";

/// What may be wished of an examination.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct WishBody {
    refresh: Given<bool>,
    account: Given<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

struct Wished {
    wish: Wish,
    account: Option<String>,
}

fn wished(body: WishBody, may_choose: bool) -> Result<Wished, ApiError> {
    let mut problems = Problems::default();
    problems.unknown("", &body.unknown);
    let refresh = problems.optional("refresh", body.refresh);
    let account = problems.optional("account", body.account);
    if account.is_some() && !may_choose {
        problems.add("account", "is chosen by the path of this route");
    }
    problems.done()?;
    Ok(Wished {
        wish: Wish {
            refresh: refresh.unwrap_or(false),
        },
        account,
    })
}

/// One account.
pub(super) async fn account(
    State(desk): State<Desk>,
    Word(text): Word,
    headers: HeaderMap,
    MaybeBody(body): MaybeBody<WishBody>,
) -> Result<Response, ApiError> {
    let Wished { wish, .. } = wished(body, false)?;
    let account = accounts::by_id_or_key(&desk, &text).await?;
    let patient = patient(&desk, account);
    if wants_lines(&headers) {
        return Ok(lines(move |progress| async move {
            match desk.doctor.examine(&patient, wish, &progress).await {
                Ok(report) => shown::report(&report),
                Err(_busy) => Value::Null,
            }
        }));
    }
    match desk.doctor.examine(&patient, wish, &Progress::none()).await {
        Ok(report) => Ok(Json(shown::report(&report)).into_response()),
        Err(busy) => Err(ApiError::Conflict {
            code: "account_is_examined",
            detail: format!("{busy}."),
            next: "Wait until that examination has ended; it takes a minute at most.",
        }),
    }
}

/// The service, and one account or all.
pub(super) async fn everything(
    State(desk): State<Desk>,
    headers: HeaderMap,
    MaybeBody(body): MaybeBody<WishBody>,
) -> Result<Response, ApiError> {
    let Wished { wish, account } = wished(body, true)?;
    let accounts = match account {
        Some(text) => vec![accounts::by_id_or_key(&desk, &text).await?],
        None => desk.store.account_list(EVERYBODY).await?.rows,
    };
    let patients: Vec<Patient> = accounts
        .into_iter()
        .map(|account| patient(&desk, account))
        .collect();
    if wants_lines(&headers) {
        return Ok(lines(move |progress| async move {
            examine(&desk, patients, wish, &progress).await
        }));
    }
    Ok(Json(examine(&desk, patients, wish, &Progress::none()).await).into_response())
}

async fn examine(desk: &Desk, patients: Vec<Patient>, wish: Wish, progress: &Progress) -> Value {
    let asked = patients.len();
    let service = desk.doctor.examine_service(progress).await;
    let accounts = desk.doctor.examine_all(patients, wish, progress).await;
    let worst = accounts
        .iter()
        .chain([&service])
        .map(Report::verdict)
        .max()
        .unwrap_or(Verdict::Skipped);
    json!({
        "verdict": worst.as_str(),
        "service": shown::report(&service),
        "accounts": accounts.iter().map(shown::report).collect::<Vec<Value>>(),
        "leftOut": asked.saturating_sub(accounts.len()),
    })
}

fn patient(desk: &Desk, account: Account) -> Patient {
    let lanes = desk.supervisor.status(account.id).map(|status| Lanes {
        inbound: status.inbound,
        outbound: status.outbound,
    });
    Patient { account, lanes }
}

fn wants_lines(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|kind| kind.split(';').next().unwrap_or_default().trim() == NDJSON)
}

/// An answer whose lines come as checks end. A caller that hangs up ends the examination: its task is owned by
/// the answer's body.
fn lines<W, F>(work: W) -> Response
where
    W: FnOnce(Progress) -> F,
    F: Future<Output = Value> + Send + 'static,
{
    let (tell, mut told) = mpsc::channel(LINES);
    let (say, said) = mpsc::channel::<Bytes>(LINES);
    let work = work(Progress::to(tell));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // Ends when the examination has, which then drops its end of the channel.
        let forward = async {
            while let Some(one) = told.recv().await {
                // Nobody reads any more: this task is about to be dropped.
                let _ = say.send(line(&json!({ "check": shown::told(&one) }))).await;
            }
        };
        let (report, ()) = tokio::join!(work, forward);
        let _ = say.send(line(&json!({ "report": report }))).await;
    });
    let body = stream::unfold((said, tasks), |(mut said, tasks)| async move {
        let line = said.recv().await?;
        Some((Ok::<Bytes, Infallible>(line), (said, tasks)))
    });
    let mut response = Answer::from_stream(body).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    response
}

fn line(value: &Value) -> Bytes {
    Bytes::from(format!("{value}\n"))
}
