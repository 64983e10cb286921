//! One HTTP request to a token endpoint, with every bound on it.

use std::{error::Error, time::Duration};

use chrono::DateTime;
use oauth2::{HttpRequest, HttpResponse};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use super::{
    OauthError,
    error::{Reach, clean},
    way::Way,
};
use crate::transcript::{Protocol, Recorder, Secrets, Tap};

/// Bytes of an answer that are read; token answers are some kilobytes.
pub(super) const BODY_LIMIT: usize = 256 * 1024;

/// Sends the request and reads the whole answer. Statuses that say nothing about the request itself
/// (throttling, an ill server, a redirect) become errors here; the others are for the caller to read.
///
/// Of a refusal every text is masked that repeats a secret of the request. Bounded by the client's timeout. If dropped, the request may have been acted on all the same. What is
/// not secret of request and answer is kept by `recorder`.
pub(super) async fn send(
    way: &Way,
    request: HttpRequest,
    recorder: &Recorder,
) -> Result<HttpResponse, OauthError> {
    let (method, url) = (request.method().as_str(), request.uri().to_string());
    let tap = recorder
        .begin(Protocol::Oauth)
        .oauth_request(method, &url, request.body());
    let answer = exchange(way, request, &tap).await;
    match &answer {
        Ok(answer) => tap.oauth_answer(answer.status().as_u16(), answer.body()),
        Err(error) => tap.note(&format!("no answer that counts: {error}")),
    }
    answer
}

async fn exchange(way: &Way, request: HttpRequest, tap: &Tap) -> Result<HttpResponse, OauthError> {
    let secrets = Secrets::of_form(request.body());
    let request = reqwest::Request::try_from(request).map_err(|error| OauthError::Nonsense {
        status: 0,
        what: format!("the request could not be made: {}", error.without_url()),
    })?;
    let response = way.http.execute(request).await;
    let mut response = response.map_err(|error| unreachable(error, way))?;
    let status = response.status();
    let retry_after = retry_after(response.headers());
    if let Some(wait) = retry_after {
        tap.note(&format!("{} asks to wait {wait:?}", status.as_u16()));
    }
    match status.as_u16() {
        429 => return Err(OauthError::Throttled { retry_after }),
        // RFC 6749 §5.2 refuses with 400 or 401 only; these are about the server, not about us.
        408 | 425 | 500..=599 => {
            return Err(OauthError::Unavailable {
                status: status.as_u16(),
                retry_after,
            });
        }
        300..=399 => {
            return Err(OauthError::Nonsense {
                status: status.as_u16(),
                what: "a redirect, which is never followed".to_owned(),
            });
        }
        _ => {}
    }
    let mut body = Vec::new();
    while let Some(part) = response
        .chunk()
        .await
        .map_err(|error| unreachable(error, way))?
    {
        if body.len() + part.len() > BODY_LIMIT {
            return Err(OauthError::Nonsense {
                status: status.as_u16(),
                what: format!("longer than {BODY_LIMIT} bytes"),
            });
        }
        body.extend_from_slice(&part);
    }
    // A refusal's words go into the log and to administrators: some repeat what was sent (I8).
    if !status.is_success()
        && let Some(masked) = secrets.masked_json(&body)
    {
        body = masked;
    }
    let mut answer = HttpResponse::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    Ok(answer)
}

/// The headers of whatever is answered to HEAD. Bounded by the client's timeout.
pub(super) async fn headers(way: &Way, url: url::Url) -> Result<HeaderMap, OauthError> {
    let answer = way.http.head(url).send().await;
    let answer = answer.map_err(|error| unreachable(error, way))?;
    Ok(answer.headers().clone())
}

/// `Retry-After` in seconds, or as a date measured against the answer's own `Date` (RFC 9110 §10.2.3),
/// so that no clock of ours is involved.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let wanted = text(RETRY_AFTER)?.trim();
    if let Ok(seconds) = wanted.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(wanted).ok()?;
    let now = DateTime::parse_from_rfc2822(text(DATE)?).ok()?;
    (until - now).to_std().ok()
}

/// hyper-util's words where a proxy was spoken with and opened no way; it exports no type for them.
const PROXYS: [&str; 2] = ["tunnel error: ", "SOCKS error: "];

fn unreachable(error: reqwest::Error, way: &Way) -> OauthError {
    let error = error.without_url();
    let mut detail = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        detail = format!("{detail}: {cause}");
        source = cause.source();
    }
    let reach = if error.is_timeout() {
        Reach::TimedOut
    } else if error.is_dns() {
        Reach::Name
    } else if detail.contains("certificate") {
        // OpenSSL's words; native-tls gives no code of its own.
        Reach::Certificate
    } else if PROXYS.iter().any(|words| detail.contains(words)) {
        Reach::Proxy
    } else if error.is_connect() {
        Reach::Connect
    } else {
        Reach::Broken
    };
    if let Some(proxy) = &way.proxy {
        detail = format!("through the provider's own proxy {proxy}: {detail}");
    }
    OauthError::Unreachable {
        reach,
        detail: clean(&detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let check = |retry: &str, date: Option<&str>, expected: Option<u64>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, retry.parse().unwrap());
            if let Some(date) = date {
                headers.insert(DATE, date.parse().unwrap());
            }
            assert_eq!(
                retry_after(&headers),
                expected.map(Duration::from_secs),
                "{retry} {date:?}"
            );
        };
        let noon = Some("Mon, 23 Nov 2026 12:00:00 GMT");
        check("120", None, Some(120));
        check(" 7 ", noon, Some(7));
        check("Mon, 23 Nov 2026 12:00:30 GMT", noon, Some(30));
        check("Mon, 23 Nov 2026 11:00:00 GMT", noon, None);
        check("Mon, 23 Nov 2026 12:00:30 GMT", None, None);
        check("-1", noon, None);
        check("soon", noon, None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
