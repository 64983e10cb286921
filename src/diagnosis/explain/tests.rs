//! Every kind of failure has its own code, a next step, and the peer's words made safe.

use std::{collections::BTreeMap, io};

use super::*;
use crate::{
    imap::{ImapError, Step},
    net::{DialError, TlsKind},
    oauth::{OauthError, Refusal},
    smtp::{Reply, SmtpError, Verb},
};

fn dial(error: DialError) -> Failure {
    Failure::Imap(ImapError::Dial(error))
}

fn tls(kind: TlsKind) -> Failure {
    dial(DialError::Tls {
        host: "mail.example".into(),
        kind,
        detail: "detail".into(),
    })
}

fn imap_login(text: &str) -> Failure {
    Failure::Imap(ImapError::AuthenticationRefused {
        challenge_json: None,
        code: None,
        text: text.into(),
    })
}

fn reply(code: u16, enhanced: &str, text: &str) -> Reply {
    Reply::from_line(&format!("{code} {enhanced} {text}")).unwrap()
}

fn smtp_login(text: &str) -> Failure {
    Failure::Smtp(SmtpError::AuthenticationRefused {
        reply: reply(535, "5.7.139", text),
        challenge_json: None,
    })
}

fn smtp_refused(enhanced: &str, text: &str) -> Failure {
    Failure::Smtp(SmtpError::Refused {
        during: Verb::Dot,
        reply: reply(554, enhanced, text),
    })
}

fn entra(error: &str, code: u32) -> Failure {
    Failure::Oauth(OauthError::Refused(Box::new(Refusal {
        status: 400,
        error: error.into(),
        description: format!("AADSTS{code}: words"),
        codes: vec![code],
        suberror: None,
        trace_id: Some("trace-1".into()),
        correlation_id: None,
    })))
}

fn cases() -> Vec<(Failure, &'static str)> {
    let resolve = DialError::Resolve {
        host: "no.example".into(),
        source: io::Error::other("unknown"),
    };
    let connect = DialError::Connect {
        host: "mail.example".into(),
        port: 993,
        source: io::Error::other("refused"),
    };
    vec![
        (dial(resolve), "host_not_found"),
        (dial(connect), "host_refused"),
        (tls(TlsKind::WrongName), "tls_wrong_name"),
        (tls(TlsKind::Untrusted), "tls_untrusted"),
        (tls(TlsKind::Expired), "tls_expired"),
        (tls(TlsKind::Other), "tls_failed"),
        (imap_login("AUTHENTICATE failed."), "imap_password_refused"),
        (
            Failure::Imap(ImapError::Refused {
                during: Step::Select,
                code: None,
                text: "User is authenticated but not connected.".into(),
            }),
            "imap_authenticated_not_connected",
        ),
        (
            smtp_login("the user credentials were incorrect."),
            "smtp_password_refused",
        ),
        (
            smtp_login(
                "Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
            ),
            "smtp_auth_disabled",
        ),
        (
            smtp_login("basic authentication is disabled."),
            "smtp_basic_disabled",
        ),
        (
            smtp_refused("5.7.60", "SMTP; Client does not have permissions"),
            "smtp_send_as_denied",
        ),
        (
            smtp_refused("5.2.0", "SubmissionQuotaExceededException"),
            "smtp_sending_limit",
        ),
        (
            smtp_refused(
                "5.2.2",
                "MapiExceptionShutoffQuotaExceeded QuotaExceededException",
            ),
            "smtp_sender_mailbox_full",
        ),
        (smtp_refused("5.0.0", "no"), "smtp_refused"),
        (
            entra("invalid_client", 7_000_222),
            "oauth_client_secret_expired",
        ),
        (
            entra("invalid_client", 7_000_215),
            "oauth_client_secret_refused",
        ),
        (entra("invalid_grant", 700_082), "sign_in_idle_too_long"),
        (entra("invalid_grant", 1), "sign_in_needed"),
        (
            entra("unauthorized_client", 700_016),
            "oauth_application_unknown",
        ),
        (Failure::NotSignedIn, "not_signed_in"),
        (Failure::ProviderMissing, "provider_missing"),
        (Failure::TokenWaits("x".into()), "token_waits"),
        (
            Failure::Storage("no space left on device".into()),
            "raw_mail_storage",
        ),
        (Failure::Bug("x".into()), "bug"),
    ]
}

#[test]
fn each_failure_has_its_code_and_a_next_step() {
    for (failure, code) in cases() {
        let diagnosis = explain(&failure, &Context::default());
        assert_eq!(diagnosis.code, code, "{failure:?}");
        for text in [&diagnosis.what, &diagnosis.why, &diagnosis.next] {
            assert!(
                text.len() > 10 || text.starts_with('\''),
                "{code}: {text:?}"
            );
        }
        assert!(diagnosis.what.ends_with('.'), "{code}: {}", diagnosis.what);
    }
}

#[test]
fn with_a_cloud_provider_a_refused_login_speaks_of_the_token() {
    let context = Context {
        provider: Some("Entra".into()),
        user: Some("shared@example.test".into()),
        ..Context::default()
    };
    let code = |failure: &Failure| explain(failure, &context).code;
    assert_eq!(
        code(&imap_login("AUTHENTICATE failed.")),
        "imap_token_refused"
    );
    assert_eq!(
        code(&smtp_login("Authentication unsuccessful [HOST]")),
        "smtp_token_refused"
    );
}

#[test]
fn a_peers_words_cannot_draw_on_the_operators_screen() {
    let text = "no\r\n\u{1b}[2Jway \u{202e}gnp.exe";
    let diagnosis = explain(&imap_login(text), &Context::default());
    assert!(
        !diagnosis
            .why
            .contains(|c: char| c.is_control() || c == '\u{202e}'),
        "{:?}",
        diagnosis.why
    );
    let endless = explain(&imap_login(&"x".repeat(100_000)), &Context::default());
    assert!(endless.why.len() < 1000);
}

#[test]
fn codes_are_stable_words() {
    let codes: BTreeMap<&str, usize> =
        cases().iter().fold(BTreeMap::new(), |mut seen, (_, code)| {
            *seen.entry(*code).or_default() += 1;
            seen
        });
    for code in codes.keys() {
        assert!(
            code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{code}"
        );
    }
}
