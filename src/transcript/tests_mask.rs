//! Texts in, masked texts out: what OAuth says, what looks like a token, what a terminal must not see.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use serde_json::json;

use super::{
    mask::{Secrets, masked},
    oauth,
    tests::hidden,
    text::finished,
};

#[test]
fn of_oauth_names_are_kept_and_values_that_hold_no_secret() {
    let form = b"grant_type=refresh_token&refresh_token=canary-rt&client_id=app&client_secret=canary%2Fcs&scope=a+b";
    assert_eq!(
        oauth::request(
            "POST",
            "https://u:p@login.example:8443/72f988bf-86f1-41af-91ab-2d7cd011db47/oauth2/v2.0/token?code=canary",
            form
        ),
        "POST login.example:8443/72f988bf-86f1-41af-91ab-2d7cd011db47/oauth2/v2.0/token \
         grant_type=refresh_token, fields: refresh_token client_id client_secret scope"
    );
    assert_eq!(
        oauth::request("POST", "nonsense canary", b"grant_type=canary&a%0Ab=1&\xff"),
        "POST (no address), fields:  and 2 more"
    );
    let hidden = Secrets::of_form(form);
    let check = |body: serde_json::Value, expected: &str| {
        let text = oauth::answer(400, body.to_string().as_bytes(), &hidden);
        assert_eq!(text, expected);
    };
    check(
        json!({"error": "invalid_grant", "error_description": "AADSTS70008: canary-rt and canary/cs and canary%2Fcs",
            "error_codes": [70008, "7"], "trace_id": "0b5a9b0a-5a3a-4d3b-8f3e-1c2d3e4f5a6b", "error_uri": "https://x"}),
        "400 error=invalid_grant error_codes=70008 \"7\" trace_id=0b5a9b0a-5a3a-4d3b-8f3e-1c2d3e4f5a6b \
         error_description=AADSTS70008: *** and *** and ***, other fields: error_uri",
    );
    check(
        json!({"access_token": "canary-at", "refresh_token": "canary-r2", "id_token": "eyJhbGciOi.x.y", "expires_in": 3599,
            "scope": "https://outlook.office.com/IMAP.AccessAsUser.All canary-at", "token_type": "Bearer"}),
        "400 expires_in=3599 scope=https://outlook.office.com/IMAP.AccessAsUser.All ***, \
         other fields: access_token id_token refresh_token token_type",
    );
    for body in [
        &b"<html>canary</html>"[..],
        b"",
        b"[1]",
        b"\"canary\"",
        b"{\"a\":",
    ] {
        let text = oauth::answer(502, body, &Secrets::default());
        assert_eq!(
            text,
            format!("502 ({} octets that are no JSON object)", body.len())
        );
    }
}

#[test]
fn what_looks_like_a_token_is_masked_anywhere() {
    let long = "a1-_".repeat(11);
    for (text, expected) in [
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("auth=Bearer  x y", "auth=Bearer  *** y"),
        (
            "\"Bearer\", and \"bearer:\"abc",
            "\"Bearer\", and \"bearer:\"***",
        ),
        ("key eyJ9 end", "key *** end"),
        (&format!("[{long}]"), "[***]"),
        (&format!("a.{long}.b c"), "*** c"),
        (
            "AS8PR04CA0123.eurprd04.prod.outlook.com ok",
            "AS8PR04CA0123.eurprd04.prod.outlook.com ok",
        ),
        (
            "Trace ID: 0b5a9b0a-5a3a-4d3b-8f3e-1c2d3e4f5a6b",
            "Trace ID: 0b5a9b0a-5a3a-4d3b-8f3e-1c2d3e4f5a6b",
        ),
        (
            "https://outlook.office365.us/IMAP.AccessAsUser.All",
            "https://outlook.office365.us/IMAP.AccessAsUser.All",
        ),
        ("é ü 漢字 bearer ü", "é ü 漢字 bearer ü"),
    ] {
        assert_eq!(finished(text, None, &Secrets::default(), true), expected);
    }
}

#[test]
fn short_secrets_are_masked_as_words_and_long_ones_by_their_beginning() {
    let check = |secret: &str, text: &str, expected: &str| {
        assert_eq!(finished(text, None, &hidden(&[secret]), false), expected);
    };
    check("abc", "abc abcd 'abc' dabc", "*** abcd '***' dabc");
    check("", "abc", "abc");
    check("pässword", "p pässword q", "p *** q");
    check("pässword", "p p%C3%A4ssword q", "p *** q");
    let long = "correct horse ".repeat(30);
    check(&long, &format!("x {} y", long.get(..100).unwrap()), "x ***");
    check(
        "hunter2",
        &format!("x {}", STANDARD.encode("\0me\0hunter2")),
        "x ***",
    );
}

#[test]
fn control_characters_never_reach_a_terminal_and_never_join_what_they_part() {
    let text = "a\u{1b}[2Jb\0c\u{9b}d\re";
    assert_eq!(
        finished(text, None, &Secrets::default(), true),
        "a·[2Jb·c·d·e"
    );
}

proptest! {
    #[test]
    fn masking_leaves_the_rest_as_it_is(text in "[ -~]{0,200}") {
        prop_assert_eq!(masked(&text, &Secrets::default(), false, false), text);
    }
}
