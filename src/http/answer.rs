//! The shapes of good answers: lists, created rows, raw mail.

use axum::{
    Json,
    body::Bytes,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::store::Rows;

use super::{
    problem::{ApiError, Logged},
    query::Wanted,
};

/// `{"count", "rows"}` with `Content-Range: FIRST-END/COUNT` (END is not included, as in the Motion
/// server's answers) and 206 where more rows exist behind these.
pub(super) fn list<T: Serialize>(rows: Rows<T>, wanted: &Wanted) -> Result<Response, ApiError> {
    let first = wanted.page.offset;
    let shown = i64::try_from(rows.rows.len()).unwrap_or(i64::MAX);
    let end = first.saturating_add(shown);
    let mut values = Vec::with_capacity(rows.rows.len());
    for row in &rows.rows {
        let value =
            serde_json::to_value(row).map_err(|error| ApiError::Internal(Logged::new(&error)))?;
        values.push(only(value, wanted.fields.as_deref()));
    }
    let status = if end < rows.count {
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    };
    let body = Json(json!({ "count": rows.count, "rows": values }));
    let mut response = (status, body).into_response();
    if let Ok(range) = HeaderValue::from_str(&format!("{first}-{end}/{}", rows.count)) {
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    Ok(response)
}

/// Leaves only the wanted fields of a row; `id` is always shown.
fn only(mut row: Value, fields: Option<&[String]>) -> Value {
    if let (Some(fields), Value::Object(object)) = (fields, &mut row) {
        object.retain(|name, _| name == "id" || fields.contains(name));
    }
    row
}

/// 201 with the row and where it is.
pub(super) fn created<T: Serialize>(location: &str, row: T) -> Response {
    let mut response = (StatusCode::CREATED, Json(row)).into_response();
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The exact bytes of a mail, to be saved and never shown by a browser: a stranger wrote them.
pub(super) fn raw_mail(file_name: &str, bytes: Bytes) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("message/rfc822"),
    );
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{file_name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox"),
    );
    response
}
