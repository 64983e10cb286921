//! What a caller is told when a request is not done: RFC 9457 problem documents with a stable code
//! and the next step.

use std::{error::Error, time::Duration};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{
    blob::BlobError,
    diagnosis::{Context, Diagnosis, Failure, explain},
    model::FailureClass,
    store::StoreError,
};

/// One field of a request that cannot be taken as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct FieldProblem {
    /// The field as the caller wrote it, `imap.port` for nested ones.
    pub(super) field: String,
    /// What is wrong with it, as the end of a sentence that begins with the field's name.
    pub(super) problem: String,
}

/// Why a request was not done.
#[derive(Debug)]
pub(super) enum ApiError {
    /// No such row, or no such route.
    NotFound { what: &'static str },
    /// The request could not be read at all.
    Malformed(String),
    /// The body is larger than the route takes.
    TooLarge,
    /// The body is not declared to be JSON, which browsers cannot be tricked into sending.
    NotJson,
    /// It could be read, and these fields are wrong: all of them at once.
    Invalid(Vec<FieldProblem>),
    /// The row is in no state for it.
    Conflict {
        code: &'static str,
        detail: String,
        next: &'static str,
    },
    /// What was entered does not let it be done; in the words of `diagnosis`.
    Diagnosed(Box<Diagnosis>),
    /// The caller may not do this.
    Forbidden {
        code: &'static str,
        detail: String,
        next: &'static str,
    },
    /// A sign-in that did not succeed; in the words of `sign_in`.
    Refused {
        status: StatusCode,
        code: &'static str,
        detail: String,
        next: String,
    },
    /// Nobody has proven who is calling.
    Unauthenticated,
    /// The route knows other methods only.
    WrongMethod,
    /// The request was not finished in time; what it began may still happen.
    TooSlow,
    /// Passing trouble of ours.
    Busy {
        code: &'static str,
        detail: String,
        next: String,
        retry_after: Duration,
    },
    /// A failure of ours, already logged.
    Internal(Logged),
}

/// Proof that the cause of a failure is in the log: can only be made by logging it.
#[derive(Clone, Debug)]
pub(super) struct Logged(String);

impl Logged {
    /// Logs the whole chain of causes under a fresh id; the client gets only the id.
    pub(super) fn new(error: &(dyn Error + 'static)) -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        tracing::error!(error_id = %id, cause = %chain(error), "a request failed for a reason of our own");
        Self(id)
    }
}

/// An error and its sources, outermost first.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl ApiError {
    /// One wrong field.
    pub(super) fn field(field: &str, problem: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldProblem {
            field: field.to_owned(),
            problem: problem.into(),
        }])
    }

    fn document(self) -> (Document, Option<Duration>) {
        let mut fields = Vec::new();
        let mut error_id = None;
        let mut wait = None;
        let (status, code, detail, next): (StatusCode, &'static str, String, String) = match self {
            Self::NotFound { what } => (
                StatusCode::NOT_FOUND,
                "not_found",
                format!("There is no such {what}."),
                "Look at the list for the right id.".into(),
            ),
            Self::Malformed(detail) => (
                StatusCode::BAD_REQUEST,
                "malformed_request",
                detail,
                "Correct the request; nothing was changed.".into(),
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "The request's body is larger than this route takes.".into(),
                "Send less at once; a mail may have 35 MiB as a request, other bodies 1 MiB.".into(),
            ),
            Self::NotJson => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not_json",
                "The body must be JSON and say so.".into(),
                "Send the header Content-Type: application/json.".into(),
            ),
            Self::Invalid(problems) => {
                let detail = sentence(&problems);
                fields = problems;
                (
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "invalid_fields",
                    detail,
                    "Correct the named fields and send the request again; nothing was changed.".into(),
                )
            }
            Self::Conflict { code, detail, next } => {
                (StatusCode::CONFLICT, code, detail, next.into())
            }
            Self::Diagnosed(words) => (
                StatusCode::CONFLICT,
                words.code,
                format!("{} {}", words.what, words.why),
                words.next,
            ),
            Self::Forbidden { code, detail, next } => {
                (StatusCode::FORBIDDEN, code, detail, next.into())
            }
            Self::Refused { status, code, detail, next } => (status, code, detail, next),
            Self::Unauthenticated => (
                StatusCode::UNAUTHORIZED,
                "not_authenticated",
                "This address answers only health questions and sign-in callbacks without proof of who is calling.".into(),
                "Use the motion-email command on the server, as root or as a member of the service's group.".into(),
            ),
            Self::WrongMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This route does not know that method.".into(),
                "Use one of the methods in the Allow header.".into(),
            ),
            Self::TooSlow => (
                StatusCode::SERVICE_UNAVAILABLE,
                "request_timed_out",
                "The request was not finished in time; what it began may still happen.".into(),
                "Look whether it happened before you send it again.".into(),
            ),
            Self::Busy { code, detail, next, retry_after } => {
                wait = Some(retry_after);
                (StatusCode::SERVICE_UNAVAILABLE, code, detail, next)
            }
            Self::Internal(Logged(id)) => {
                error_id = Some(id);
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal_error",
                    "The request failed for a reason of our own.".into(),
                    "Look for the error id in the log of motion-email; it has the cause.".into(),
                )
            }
        };
        let document = Document {
            kind: format!("urn:motion-email:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail,
            code,
            next,
            fields,
            error_id,
        };
        (document, wait)
    }
}

/// All field problems as one line, for callers that show only the detail.
fn sentence(problems: &[FieldProblem]) -> String {
    let parts: Vec<String> = problems
        .iter()
        .map(|one| format!("{} {}", one.field, one.problem))
        .collect();
    format!("{}.", parts.join("; "))
}

/// The body of a problem answer (RFC 9457 §3).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    next: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldProblem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_id: Option<String>,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (document, wait) = self.document();
        let status =
            StatusCode::from_u16(document.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(wait) = wait {
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(wait.as_secs().max(1)),
            );
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Taken { what } => Self::Conflict {
                code: "already_taken",
                detail: format!("The {what} is already taken."),
                next: "Choose another one.",
            },
            StoreError::Missing { what } => Self::NotFound { what },
            StoreError::InUse { what, by } => Self::Conflict {
                code: "in_use",
                detail: format!("The {what} is in use by {by}."),
                next: "Remove or change what uses it first.",
            },
            StoreError::Conflict(detail) => Self::Conflict {
                code: "state_conflict",
                detail,
                next: "Read it again and decide anew.",
            },
            StoreError::LeaseLost { .. } | StoreError::Damaged { .. } | StoreError::Sql { .. } => {
                Self::Internal(Logged::new(&error))
            }
            StoreError::OutcomeUnknown { .. } => {
                tracing::warn!(cause = %chain(&error), "a request's commit has an unknown outcome");
                Self::Busy {
                    code: "outcome_unknown",
                    detail:
                        "The database lost the answer: the change may or may not have happened."
                            .into(),
                    next: "Look whether it happened before you send the request again.".into(),
                    retry_after: Duration::from_secs(2),
                }
            }
            StoreError::Unavailable { .. } | StoreError::Closed => {
                tracing::warn!(cause = %chain(&error), "a request met a database that does not answer");
                let words = explain(&Failure::Store(error), &Context::default());
                Self::Busy {
                    code: words.code,
                    detail: words.what,
                    next: words.next,
                    retry_after: Duration::from_secs(5),
                }
            }
        }
    }
}

impl From<Diagnosis> for ApiError {
    fn from(diagnosis: Diagnosis) -> Self {
        Self::Diagnosed(Box::new(diagnosis))
    }
}

impl From<BlobError> for ApiError {
    fn from(error: BlobError) -> Self {
        if error.class() != FailureClass::RetryLater {
            return Self::Internal(Logged::new(&error));
        }
        tracing::error!(cause = %chain(&error), "a request met mail storage that does not answer");
        Self::Busy {
            code: "blob_unavailable",
            detail: "The storage of large mails did not take or give data.".into(),
            next: "Check that its disk has room and may be written; then send the request again."
                .into(),
            retry_after: Duration::from_secs(5),
        }
    }
}
