//! Where the identity platform sends a person's browser back to, and the page they then see.

use axum::{
    extract::{RawQuery, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    model::{CloudService, HeldSignIn},
    token::{CallbackQuery, SignInError, SignedIn},
};

use super::{
    Desk,
    problem::ApiError,
    query::Word,
    sign_in::{held_next, held_what, words},
};

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
    if let Some(held) = &signed_in.held {
        return waiting(held);
    }
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

/// 202: nothing is used before an administrator says so.
fn waiting(held: &HeldSignIn) -> Response {
    page(
        StatusCode::ACCEPTED,
        "The sign-in waits for confirmation",
        &[&held_what(held), &held_next(held)],
        Some("sign_in_held"),
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
            held: None,
        });
        assert_eq!(page.status(), StatusCode::OK);
        let html = text(page).await;
        assert!(
            html.contains("You are signed in as anna@&lt;b&gt;."),
            "{html}"
        );
        assert!(html.contains("close this window"), "{html}");
    }

    #[tokio::test]
    async fn a_person_who_was_not_expected_reads_both_names_and_the_next_step() {
        let provider = crate::model::CloudProviderId::new(7);
        let page = welcome(&SignedIn {
            provider,
            signed_in_as: Some("anna@x".to_owned()),
            held: Some(HeldSignIn {
                provider,
                person: crate::model::Person {
                    user_name: Some("anna@x".to_owned()),
                    ..crate::model::Person::default()
                },
                expected: vec!["<i>info@x".to_owned()],
                replaces: None,
                held_at: crate::model::Timestamp::from_millis(0),
                expires_at: crate::model::Timestamp::from_millis(86_400_000),
            }),
        });
        assert_eq!(page.status(), StatusCode::ACCEPTED);
        let html = text(page).await;
        for said in [
            "anna@x",
            "&lt;i&gt;info@x",
            "provider confirm 7 --signed-in-as anna@x",
            "provider discard 7",
        ] {
            assert!(html.contains(said), "{said}: {html}");
        }
        assert!(!html.contains("<i>"), "{html}");
    }
}
