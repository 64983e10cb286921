//! What every request passes: panics caught, time bounded, answers marked as private, one log line.

use std::{any::Any, time::Duration};

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::problem::{ApiError, Logged};

/// Ends a request that is not answered within `limit` (the body's arrival included). What it gave to
/// the store's writer still happens: the answer says so.
pub(super) async fn bounded(limit: Duration, request: Request, next: Next) -> Response {
    tokio::time::timeout(limit, next.run(request))
        .await
        .unwrap_or_else(|_| ApiError::TooSlow.into_response())
}

/// Marks every answer: never cached, never guessed at, never framed, nothing told to other sites.
pub(super) async fn marked(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
        .headers_mut()
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'",
        ));
    response
}

/// One line per request: what changed something at info, the rest at debug. Never the query string,
/// which may hold codes and keys.
pub(super) async fn told(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "-".to_owned(), |path| path.as_str().to_owned());
    let place = request.uri().path().chars().take(200).collect::<String>();
    let began = tokio::time::Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let ms = began.elapsed().as_millis();
    // An examination is asked for by POST and changes nothing.
    let looks = matches!(method, Method::GET | Method::HEAD) || path.ends_with("/doctor");
    let changed = !looks && response.status().is_success();
    if changed {
        tracing::info!(%method, path = %place, status, ms, "changed through the API");
    } else {
        tracing::debug!(%method, path = %path, status, ms, "answered an API request");
    }
    response
}

/// Turns a panic in a handler into an answer; the other requests and the accounts are untouched (I6).
pub(super) fn survived(panic: Box<dyn Any + Send + 'static>) -> Response {
    let words = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned());
    ApiError::Internal(Logged::new(&Panicked(words))).into_response()
}

/// A handler's panic, as an error that can be logged.
#[derive(Debug, thiserror::Error)]
#[error("a handler panicked: {0}")]
struct Panicked(String);
