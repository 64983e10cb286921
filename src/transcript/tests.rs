//! Conversations in, kept text out.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use serde_json::json;

use super::{
    Direction::{self, Note, Received, Sent},
    imap,
    mask::Secrets,
    oauth, smtp,
};

/// Who says what, in pieces as they go over the line.
type Said<'a> = (Direction, &'a [u8]);

pub(super) fn hidden(secrets: &[&str]) -> Secrets {
    secrets.iter().fold(Secrets::default(), |hidden, secret| {
        hidden.with(&(*secret).to_owned().into())
    })
}

/// What is kept of a conversation by the scribe of its protocol, each piece cut at `cut`.
macro_rules! kept {
    ($scribe:ty, $said:expr, $hidden:expr, $cut:expr) => {{
        let mut scribe = <$scribe>::default();
        let mut kept = Vec::new();
        let mut keep = |direction, text| kept.push((direction, text));
        for (direction, octets) in $said {
            let (first, second) = octets.split_at($cut.unwrap_or(0).min(octets.len()));
            for part in [first, second] {
                match direction {
                    Sent => scribe.sent(part, $hidden, &mut keep),
                    Received | Note => scribe.received(part, $hidden, &mut keep),
                }
            }
        }
        scribe.end(&mut keep);
        kept
    }};
}

fn imap_kept(said: &[Said<'_>], hidden: &Secrets, cut: Option<usize>) -> Vec<(Direction, String)> {
    kept!(imap::Scribe, said, hidden, cut)
}

fn smtp_kept(said: &[Said<'_>], hidden: &Secrets, cut: Option<usize>) -> Vec<(Direction, String)> {
    kept!(smtp::Scribe, said, hidden, cut)
}

fn lines(kept: &[(Direction, String)]) -> Vec<String> {
    kept.iter()
        .map(|(direction, text)| {
            let mark = match direction {
                Sent => "C",
                Received => "S",
                Note => "N",
            };
            format!("{mark}: {text}")
        })
        .collect()
}

type Keep = fn(&[Said<'_>], &Secrets, Option<usize>) -> Vec<(Direction, String)>;

/// The same is kept wherever the pieces are cut.
fn check(keep: Keep, said: &[Said<'_>], secrets: &[&str], expected: &[&str]) {
    let hidden = hidden(secrets);
    assert_eq!(lines(&keep(said, &hidden, None)), expected);
    let longest = said.iter().map(|(_, octets)| octets.len()).max().unwrap();
    for cut in 1..longest {
        assert_eq!(lines(&keep(said, &hidden, Some(cut))), expected, "{cut}");
    }
}

#[test]
fn an_imap_sign_in_by_token_keeps_only_that_it_was_made() {
    let token = format!("eyJ0eXAi.{}", "Zm9v".repeat(300));
    let blob = STANDARD.encode(format!("user=a@b.c\x01auth=Bearer {token}\x01\x01"));
    let why = STANDARD.encode(r#"{"status":"400","schemes":"Bearer","scope":"s","token":"leak"}"#);
    check(
        imap_kept,
        &[
            (
                Received,
                b"* OK The Microsoft Exchange IMAP4 service is ready. [QQBNADkAUABSADAAMgBDAEEAMAAxADIAMwA0AC4AZQB1AHIA]\r\n",
            ),
            (Sent, b"M1 CAPABILITY\r\n"),
            (
                Received,
                b"* CAPABILITY IMAP4 IMAP4rev1 AUTH=XOAUTH2 SASL-IR\r\nM1 OK done\r\n",
            ),
            (Sent, b"M2 AUTHENTICATE XOAUTH2\r\n"),
            (Received, b"+ \r\n"),
            (Sent, format!("{blob}\r\n").as_bytes()),
            (Received, format!("+ {why}\r\n").as_bytes()),
            (Sent, b"\r\n"),
            (
                Received,
                format!("M2 NO AUTHENTICATE failed. {token} [Error=\"InvalidToken\"]\r\n").as_bytes(),
            ),
        ],
        &[&token],
        &[
            "S: * OK The Microsoft Exchange IMAP4 service is ready. [***]",
            "C: M1 CAPABILITY",
            "S: * CAPABILITY IMAP4 IMAP4rev1 AUTH=XOAUTH2 SASL-IR",
            "S: M1 OK done",
            "C: M2 AUTHENTICATE XOAUTH2",
            "S: +",
            &format!("C: (answer, {} octets)", blob.len()),
            r#"S: + {"schemes":"Bearer","scope":"s","status":"400"}"#,
            "C: (an empty answer)",
            // Of a long secret all that follows is masked.
            "S: M2 NO AUTHENTICATE failed. ***",
        ],
    );
}

#[test]
fn an_imap_login_by_password_keeps_neither_user_nor_password_nor_their_echo() {
    check(
        imap_kept,
        &[
            (Received, b"* OK hi\r\n"),
            // Pipelined, and literals in LOGIN.
            (
                Sent,
                b"A1 NOOP\r\nA2 LOGIN \"me\" \"s3 cr\\\"et\"\r\nA3 NOOP\r\n",
            ),
            (
                Received,
                b"A1 OK\r\nA2 NO not \"s3 cr\"et\" [s3 cr\\\"et]\r\n",
            ),
            (Sent, b"A4 LOGIN {2}\r\nme {8}\r\ns3 cr\"et\r\n"),
            (Received, b"+ go\r\n+ go\r\nA4 NO sorry s3+cr%22et\r\n"),
            (Sent, b"A5 authenticate plain czMgY3IiZXQ=\r\n"),
            (
                Received,
                b"A5 BAD czMgY3IiZXQ= AHMzIGNyImV0 AG1lAHMzIGNyImV0\r\n",
            ),
            (Sent, b"A6 XYZZY s3 cr\"et\r\n"),
        ],
        &["s3 cr\"et"],
        &[
            "S: * OK hi",
            "C: A1 NOOP",
            "C: A2 LOGIN (who and what are not kept)",
            // Until LOGIN is answered whatever we send may be a part of it.
            "C: (answer, 7 octets)",
            "S: A1 OK",
            "S: A2 NO not \"***\" [***]",
            "C: A4 LOGIN (who and what are not kept)",
            "C: (the command goes on, 4 octets)",
            "C: (the command goes on, 0 octets)",
            "S: + (challenge, 2 octets)",
            "S: + (challenge, 2 octets)",
            "S: A4 NO sorry ***",
            "C: A5 AUTHENTICATE PLAIN (initial response, 12 octets)",
            "S: A5 BAD *** *** ***",
            "C: (a command of 17 octets)",
        ],
    );
}

#[test]
fn of_fetched_mail_only_numbers_flags_and_dates_are_kept() {
    let said: &[Said<'_>] = &[
        (Received, b"* OK hi\r\n"),
        (Sent, b"M1 UID FETCH 1:3 (UID INTERNALDATE BODY.PEEK[])\r\n"),
        (
            Received,
            b"* 1 FETCH (UID 1 FLAGS (\\Seen) INTERNALDATE \"23-Nov-2026 10:00:00 +0000\" BODY[] {22}\r\nSubject: canary\r\n\r\n{9}\r BODY[2] \"canary \\\" canary\" X {3}\r\nxyz)\r\n",
        ),
        (Received, b"* 2 FETCH (UID 2 BODY[] \"canary\")\r\nM1 OK done\r\n"),
        // What a folder is called is kept, what is looked for is not.
        (Sent, b"M2 LIST \"\" \"Sent Items\"\r\n"),
        (Received, b"* LIST (\\Sent) \"/\" \"Sent Items\"\r\nM2 OK\r\n"),
        (Sent, b"M3 UID SEARCH SUBJECT \"canary\"\r\nM4 UID SEARCH TEXT {6}\r\ncanary\r\n"),
        // A piece of a mail where an answer should be.
        (Received, b"canary canary\r\n* Canary, we wrote\r\n* NAMESPACES x\r\n\xff\xfe\x00\r\n"),
    ];
    check(
        imap_kept,
        said,
        &[],
        &[
            "S: * OK hi",
            "C: M1 UID FETCH 1:3 (UID INTERNALDATE BODY.PEEK[])",
            "S: * 1 FETCH (UID 1 FLAGS (\\Seen) INTERNALDATE \"23-Nov-2026 10:00:00 +0000\" BODY[] {22}",
            "S: · BODY[2] \"…\" X {3}",
            "S: )",
            "S: * 2 FETCH (UID 2 BODY[] \"…\")",
            "S: M1 OK done",
            "C: M2 LIST \"\" \"Sent Items\"",
            "S: * LIST (\\Sent) \"/\" \"Sent Items\"",
            "S: M2 OK",
            "C: M3 UID SEARCH SUBJECT \"…\"",
            "C: M4 UID SEARCH TEXT {6}",
            "C: (the command goes on, 0 octets)",
            "S: (a line that is no answer, 13 octets)",
            "S: (a line that is no answer, 18 octets)",
            "S: * NAMESPACES (14 octets)",
            "S: (a line that is no answer, 3 octets)",
        ],
    );
}

#[test]
fn after_starttls_nothing_is_taken_for_clear_text() {
    check(
        imap_kept,
        &[
            (Received, b"* OK hi\r\n"),
            (Sent, b"M1 STARTTLS\r\n"),
            (Received, b"M1 OK begin\r\nM2 OK injected\r\n"),
            (Sent, b"\x16\x03\x01canary\r\n"),
            (Received, b"\x16\x03\x01canary\r\n"),
        ],
        &[],
        &["S: * OK hi", "C: M1 STARTTLS", "S: M1 OK begin"],
    );
    check(
        smtp_kept,
        &[
            (Received, b"220 hi\r\n"),
            (Sent, b"EHLO me\r\n"),
            (Received, b"250-hi\r\n250 STARTTLS\r\n"),
            (Sent, b"STARTTLS\r\n"),
            (Received, b"220 begin\r\n250 injected\r\n"),
            (Sent, b"\x16\x03\x01canary\r\n"),
            (Received, b"\x16\x03\x01canary\r\n"),
        ],
        &[],
        &[
            "S: 220 hi",
            "C: EHLO me",
            "S: 250-hi",
            "S: 250 STARTTLS",
            "C: STARTTLS",
            "S: 220 begin",
        ],
    );
}

#[test]
fn an_unclear_literal_ends_the_following_and_a_flood_of_answers_is_counted() {
    check(
        imap_kept,
        &[
            (Received, b"* OK hi\r\n"),
            (
                Received,
                b"* 1 FETCH (BODY[] {1x}\r\ncanary\r\n* OK canary\r\n",
            ),
        ],
        &[],
        &["S: * OK hi", "S: * 1 FETCH (BODY[] {1x}"],
    );
    let mut flood = vec![(Received, b"* 1 EXISTS\r\n".as_slice()); 50];
    flood.push((Received, b"M1 OK done\r\n"));
    let kept = lines(&imap_kept(&flood, &Secrets::default(), None));
    assert_eq!(kept.len(), 22);
    assert_eq!(kept[20..], ["S: (30 more answers)", "S: M1 OK done"]);
}

#[test]
fn a_sent_mail_leaves_its_addresses_and_its_length() {
    check(
        smtp_kept,
        &[
            (Received, b"220 mail.test ESMTP\r\n"),
            (Sent, b"EHLO [127.0.0.1]\r\n"),
            (Received, b"250-mail.test\r\n250 AUTH XOAUTH2 LOGIN\r\n"),
            (Sent, b"AUTH LOGIN\r\n"),
            (Received, b"334 VXNlcm5hbWU6\r\n"),
            (Sent, b"bWU=\r\n"),
            (Received, b"334 UGFzc3dvcmQ6\r\n"),
            (Sent, b"czMgY3IiZXQ=\r\n"),
            (Received, b"535 5.7.3 no such password: s3 cr\"et\r\n"),
            (
                Sent,
                b"MAIL FROM:<bounce-0123456789012345678901234567890123456789012@b.c> SIZE=40\r\n",
            ),
            (Received, b"250 ok\r\n"),
            (Sent, b"RCPT TO:<d@e.f>\r\n"),
            (Received, b"250 ok\r\n"),
            (Sent, b"DATA\r\n"),
            (Received, b"354 go\r\n"),
            (Sent, b"Subject: canary\r\n\r\n..\r\nRCPT TO:<canary@x>\r\n"),
            (Sent, b".\r\n"),
            (Received, b"250 2.0.0 queued\r\n"),
            (Sent, b"s3 cr\"et\r\nQUIT\r\n"),
            (Received, b"221 bye\r\n"),
        ],
        &["s3 cr\"et"],
        &[
            "S: 220 mail.test ESMTP",
            "C: EHLO [127.0.0.1]",
            "S: 250-mail.test",
            "S: 250 AUTH XOAUTH2 LOGIN",
            "C: AUTH LOGIN",
            "S: 334 (challenge, 12 octets)",
            "C: (answer, 4 octets)",
            "S: 334 (challenge, 12 octets)",
            "C: (answer, 12 octets)",
            "S: 535 5.7.3 no such password: ***",
            "C: MAIL FROM:<bounce-0123456789012345678901234567890123456789012@b.c> SIZE=40",
            "S: 250 ok",
            "C: RCPT TO:<d@e.f>",
            "S: 250 ok",
            "C: DATA",
            "S: 354 go",
            "C: (message, 43 octets)",
            "C: .",
            "S: 250 2.0.0 queued",
            "C: (a command of 8 octets)",
            "C: QUIT",
            "S: 221 bye",
        ],
    );
}

#[test]
fn a_message_that_is_interrupted_or_refused_leaks_nothing() {
    let before: &[Said<'_>] = &[(Received, b"220 hi\r\n"), (Sent, b"DATA\r\n")];
    let case = |then: &[Said<'_>], expected: &[&str]| {
        let said: Vec<Said<'_>> = before.iter().chain(then).copied().collect();
        let all: Vec<&str> = ["S: 220 hi", "C: DATA"]
            .iter()
            .chain(expected)
            .copied()
            .collect();
        check(smtp_kept, &said, &[], &all);
    };
    // Refused before it began: commands go on.
    case(
        &[(Received, b"554 no\r\n"), (Sent, b"RSET\r\n")],
        &["S: 554 no", "C: RSET"],
    );
    // The server speaks in the middle of it.
    case(
        &[
            (Received, b"354 go\r\n"),
            (Sent, b"canary\r\n"),
            (Received, b"421 bye\r\n"),
            (Sent, b"QUIT\r\ncanary\r\n.\r\n"),
        ],
        &["S: 354 go", "S: 421 bye"],
    );
    // It hangs up in the middle.
    case(
        &[(Received, b"354 go\r\n"), (Sent, b"canary\r\n.")],
        &["S: 354 go", "C: (message, 9 octets, without its dot)"],
    );
    // An empty one, and a server that says everything at once.
    case(
        &[
            (Received, b"354 go\r\n"),
            (Sent, b".\r\n"),
            (Received, b"250-a\r\n250 b\r\n25"),
        ],
        &[
            "S: 354 go",
            "C: (message, 0 octets)",
            "C: .",
            "S: 250-a",
            "S: 250 b",
            "S: (2 octets without an end of line)",
        ],
    );
}

#[test]
fn xoauth2_over_smtp_keeps_the_servers_reason() {
    let why = STANDARD
        .encode(r#"{"status":"401","schemes":"bearer mac","scope":"https://mail.google.com/"}"#);
    check(
        smtp_kept,
        &[
            (Sent, b"AUTH XOAUTH2 dXNlcj1hAWF1dGg9QmVhcmVyIHg=\r\n"),
            (Received, format!("334 {why}\r\n").as_bytes()),
            (Sent, b"\r\n"),
            (
                Received,
                b"535-5.7.8 not accepted\r\n535 5.7.8 Bearer abc refused\r\n",
            ),
        ],
        &[],
        &[
            "C: AUTH XOAUTH2 (initial response, 28 octets)",
            // Even here the word behind `bearer` goes: better one word too many.
            r#"S: 334 {"schemes":"bearer ***","scope":"https://mail.google.com/","status":"401"}"#,
            "C: (an empty answer)",
            "S: 535-5.7.8 not accepted",
            "S: 535 5.7.8 Bearer *** refused",
        ],
    );
}

/// What a planted secret must not be found as.
fn forms(secret: &str) -> Vec<String> {
    let encoded = STANDARD.encode(secret);
    let url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    vec![secret.to_owned(), encoded, url]
}

fn assert_gone(kept: &[(Direction, String)], secret: &str) {
    for (_, text) in kept {
        for form in forms(secret) {
            assert!(!text.contains(&form), "{form:?} in {text:?}");
        }
    }
}

proptest! {
    #[test]
    fn a_planted_secret_survives_in_no_position(
        secret in "[!-~][ -~]{6,80}[!-~]",
        noise in "[ -~]{0,40}",
        cut in 0..400_usize,
        pad in 0..5000_usize,
    ) {
        // Mail-like noise could be the secret's own beginning.
        prop_assume!(!noise.contains(&secret) && !"AUTHENTICATE LOGIN PLAIN".contains(&secret));
        let hidden = hidden(&[&secret]);
        let blob = STANDARD.encode(format!("\0{noise}\0{secret}"));
        let far = " ".repeat(pad);
        let imap = [
            (Received, b"* OK hi\r\n".to_vec()),
            (Sent, format!("A1 LOGIN \"me\" \"{secret}\"\r\n").into_bytes()),
            (Received, format!("A1 NO {noise}{secret}{noise} {blob}\r\n").into_bytes()),
            (Received, format!("* OK {far}{secret}\r\n* {secret} x\r\n* LIST () \"/\" {secret}\r\n").into_bytes()),
            (Sent, format!("A2 AUTHENTICATE PLAIN {blob}\r\n").into_bytes()),
            (Received, format!("+ {blob}\r\n+ {}\r\n", STANDARD.encode(json!({"status": secret}).to_string())).into_bytes()),
            (Sent, format!("{blob}\r\nA3 NOOP {secret}\r\n").into_bytes()),
            (Received, format!("A2 BAD {blob}\r\n* BYE {secret}\r\n").into_bytes()),
            (Sent, format!("A4 APPEND x {{{}}}\r\n{secret}\r\n", secret.len()).into_bytes()),
            (Received, format!("* 1 FETCH (BODY[] {{{}}}\r\n{secret} {secret} \"{secret}\")\r\n", secret.len()).into_bytes()),
        ];
        let said: Vec<Said<'_>> = imap.iter().map(|(who, octets)| (*who, octets.as_slice())).collect();
        assert_gone(&imap_kept(&said, &hidden, Some(cut)), &secret);
        let smtp = [
            (Received, format!("220 {secret}\r\n").into_bytes()),
            (Sent, format!("AUTH PLAIN {blob}\r\n").into_bytes()),
            (Received, format!("334 {blob}\r\n").into_bytes()),
            (Sent, format!("{blob}\r\n").into_bytes()),
            (Received, format!("535-{noise}{secret}\r\n535 {far}{blob} {noise}\r\n").into_bytes()),
            (Sent, format!("{secret}\r\nMAIL FROM:<{secret}>\r\nDATA\r\n").into_bytes()),
            (Received, b"354 go\r\n".to_vec()),
            (Sent, format!("{secret}\r\n{blob}\r\n").into_bytes()),
            (Sent, b".\r\n".to_vec()),
            (Received, format!("550 {secret}\r\n").into_bytes()),
        ];
        let said: Vec<Said<'_>> = smtp.iter().map(|(who, octets)| (*who, octets.as_slice())).collect();
        assert_gone(&smtp_kept(&said, &hidden, Some(cut)), &secret);
        let form: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair("client_secret", &secret)
            .finish();
        let request = oauth::request("POST", "https://x.test/token", form.as_bytes());
        let body = json!({"error": "x", "error_description": format!("{far}{secret}{noise} {blob}"), "scope": secret});
        let hidden = Secrets::of_form(form.as_bytes());
        let answer = oauth::answer(400, body.to_string().as_bytes(), &hidden);
        assert_gone(&[(Sent, request), (Received, answer)], &secret);
    }

    #[test]
    fn a_token_of_an_answer_is_kept_nowhere(token in "[A-Za-z0-9_.-]{8,2000}") {
        let body = json!({"access_token": token, "error_description": token, "trace_id": token});
        let answer = oauth::answer(200, body.to_string().as_bytes(), &Secrets::default());
        prop_assert!(!answer.contains(&token));
    }

    #[test]
    fn garbage_is_followed_without_a_panic_and_kept_within_bounds(
        said in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..300)), 0..20),
    ) {
        let said: Vec<Said<'_>> = said
            .iter()
            .map(|(ours, octets)| (if *ours { Sent } else { Received }, octets.as_slice()))
            .collect();
        for kept in [imap_kept(&said, &Secrets::default(), None), smtp_kept(&said, &Secrets::default(), None)] {
            for (_, text) in kept {
                prop_assert!(text.len() < 560 && !text.chars().any(char::is_control), "{text:?}");
            }
        }
    }
}
