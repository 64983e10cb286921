//! Where the identity platform sends a person's browser back to, and the page they then see.

use axum::{
    extract::{RawQuery, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    diagnosis::{Context, Failure, explain},
    model::CloudService,
    token::{CallbackQuery, SignInError, SignedIn},
};

use super::{Desk, problem::ApiError, query::Word};

/// Redeems what the platform sent. Open to anybody: the state in the query is the proof, 256 bits, good
/// once and for ten minutes. Nothing of the request but its path and query is used.
pub(super) async fn callback(
    State(desk): State<Desk>,
    Word(service): Word,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let service = [CloudService::MicrosoftAzure, CloudService::Google]
        .into_iter()
        .find(|known| known.slug() == service)
        .ok_or(ApiError::NotFound { what: "service" })?;
    let finished = match CallbackQuery::parse(query.as_deref().unwrap_or_default()) {
        Ok(query) => desk.keeper.finish_sign_in(service, query).await,
        Err(error) => Err(error),
    };
    Ok(match finished {
        Ok(signed_in) => {
            desk.supervisor.look();
            welcome(&signed_in)
        }
        Err(error) => {
            tracing::info!(
                code = error.code(),
                "a sign-in callback was answered with a refusal"
            );
            refusal(&error)
        }
    })
}

fn welcome(signed_in: &SignedIn) -> Response {
    let who = signed_in
        .signed_in_as
        .as_deref()
        .map_or_else(String::new, |name| format!(" as {name}"));
    page(
        StatusCode::OK,
        "You are signed in",
        &[
            &format!(
                "You are signed in{who}. Mail of the accounts that use this cloud provider flows from now on."
            ),
            "You can close this window.",
        ],
        None,
    )
}

fn refusal(error: &SignInError) -> Response {
    let (status, what, next) = words(error);
    page(
        status,
        "The sign-in did not succeed",
        &[&what, &next],
        Some(error.code()),
    )
}

const AGAIN: &str = "Close this window, go back to the cloud provider in motion-email and use Authenticate again (motion-email provider authenticate ID).";

/// What a person in front of a browser is told: the status, what happened, the next step. Table-tested.
fn words(error: &SignInError) -> (StatusCode, String, String) {
    let (status, what, next) = match error {
        SignInError::Exchange(cause) => {
            let words = explain(&Failure::Oauth(cause.clone()), &Context::default());
            let what = format!("{} {}", words.what, words.why);
            let next = format!("{} Then use Authenticate again.", words.next);
            return (StatusCode::BAD_GATEWAY, what, next);
        }
        SignInError::Malformed { what } => (
            StatusCode::BAD_REQUEST,
            format!("This address is not one that a sign-in page sends people to: {what}."),
            AGAIN,
        ),
        SignInError::StateUnknown | SignInError::OtherCaller => (
            StatusCode::BAD_REQUEST,
            "No sign-in that was begun here belongs to this address.".to_owned(),
            AGAIN,
        ),
        SignInError::StateUsed => (
            StatusCode::BAD_REQUEST,
            "This sign-in was finished before; the page was loaded twice.".to_owned(),
            "If the cloud provider shows that it is signed in, all is well: close this window. Otherwise use Authenticate again.",
        ),
        SignInError::StateExpired => (
            StatusCode::BAD_REQUEST,
            "This sign-in took longer than ten minutes.".to_owned(),
            AGAIN,
        ),
        SignInError::OtherService | SignInError::OtherIssuer => (
            StatusCode::BAD_REQUEST,
            "The answer comes from another platform than the one the sign-in was begun with."
                .to_owned(),
            AGAIN,
        ),
        SignInError::Refused { error, description } => (
            StatusCode::BAD_REQUEST,
            format!(
                "The platform refused the sign-in. Its words: \u{201c}{error}\u{201d} {description}"
            ),
            "If the platform asks for an administrator's approval, let an administrator sign in once; otherwise use Authenticate again.",
        ),
        SignInError::NoRefreshToken => (
            StatusCode::BAD_REQUEST,
            "The platform gave no lasting permission (no refresh token).".to_owned(),
            "Grant offline access to the app registration, then use Authenticate again and accept everything it asks for.",
        ),
        SignInError::ScopeMissing { scope } => (
            StatusCode::BAD_REQUEST,
            format!("The permission {scope} was not granted."),
            "Add it to the app registration's delegated permissions, then use Authenticate again and leave every box ticked.",
        ),
        SignInError::ProviderMissing => (
            StatusCode::BAD_REQUEST,
            "The cloud provider was removed meanwhile.".to_owned(),
            "Add it again and use Authenticate.",
        ),
        SignInError::Store(_) | SignInError::Interrupted => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The sign-in could not be recorded.".to_owned(),
            "Wait a minute and use Authenticate again; the log of motion-email has the cause.",
        ),
    };
    (status, what, next.to_owned())
}

/// A page of plain text without scripts, pictures or links; every word escaped.
fn page(status: StatusCode, title: &str, paragraphs: &[&str], code: Option<&str>) -> Response {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{0}</title></head>\n<body><h1>{0}</h1>\n",
        escaped(title)
    );
    for paragraph in paragraphs {
        html.push_str(&format!("<p>{}</p>\n", escaped(paragraph)));
    }
    if let Some(code) = code {
        html.push_str(&format!("<p>Code: {}</p>\n", escaped(code)));
    }
    html.push_str("</body></html>\n");
    let mut response = (status, html).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    response
}

/// Text as it may stand in HTML.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), 100_000)
            .await
            .unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn words_of_a_platform_cannot_become_html() {
        // Bad input 61: `error=` with HTML.
        let page = refusal(&SignInError::Refused {
            error: "<script>alert(1)</script>".to_owned(),
            description: "\" onload='x' & <b>".to_owned(),
        });
        assert_eq!(page.status(), StatusCode::BAD_REQUEST);
        let html = text(page).await;
        assert!(
            html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
            "{html}"
        );
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
        assert!(
            html.contains("&quot; onload=&#39;x&#39; &amp; &lt;b&gt;"),
            "{html}"
        );
        assert!(html.contains("sign_in_refused"), "{html}");
    }

    #[tokio::test]
    async fn a_person_who_signed_in_is_told_as_whom() {
        let page = welcome(&SignedIn {
            provider: crate::model::CloudProviderId::new(1),
            signed_in_as: Some("anna@<b>".to_owned()),
        });
        assert_eq!(page.status(), StatusCode::OK);
        let html = text(page).await;
        assert!(
            html.contains("You are signed in as anna@&lt;b&gt;."),
            "{html}"
        );
        assert!(html.contains("close this window"), "{html}");
    }

    #[test]
    fn every_refusal_says_what_to_do_next() {
        let all = [
            SignInError::Malformed { what: "x" },
            SignInError::StateUnknown,
            SignInError::StateUsed,
            SignInError::StateExpired,
            SignInError::OtherService,
            SignInError::OtherIssuer,
            SignInError::OtherCaller,
            SignInError::NoRefreshToken,
            SignInError::ScopeMissing {
                scope: "IMAP".to_owned(),
            },
            SignInError::ProviderMissing,
            SignInError::Interrupted,
            SignInError::Exchange(crate::oauth::OauthError::Throttled { retry_after: None }),
        ];
        for error in all {
            let (status, what, next) = words(&error);
            assert!(
                status.is_client_error() || status.is_server_error(),
                "{error}"
            );
            assert!(
                what.ends_with('.') && next.contains("Authenticate"),
                "{error}"
            );
        }
    }
}
