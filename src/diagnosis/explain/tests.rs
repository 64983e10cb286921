//! Every kind of failure has its own code, a next step, and the peer's words made safe.

use std::{collections::BTreeMap, io};

use super::*;
use crate::{
    imap::{ImapError, Step},
    model::{FailureClass, Fingerprint, Timestamp},
    net::{Certificate, DialError, DialStep, Handshake, ProxyRefusal, TlsKind},
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
        shown: None,
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
fn with_the_applications_own_access_a_refused_login_speaks_of_the_service_principal() {
    let context = Context {
        provider: Some("3".into()),
        mailbox: Some("desk@contoso.example".into()),
        application: true,
        ..Context::default()
    };
    for (failure, code) in [
        (
            imap_login("AUTHENTICATE failed."),
            "imap_application_refused",
        ),
        (
            smtp_login("Authentication unsuccessful [HOST]"),
            "smtp_application_refused",
        ),
    ] {
        let said = explain(&failure, &context);
        assert_eq!((said.code, said.action), (code, Action::Administrator));
        assert!(said.next.contains("New-ServicePrincipal"), "{}", said.next);
        assert!(said.next.contains("desk@contoso.example"), "{}", said.next);
    }
}

#[test]
fn a_delegate_who_is_refused_a_shared_mailbox_is_not_just_sent_to_sign_in_again() {
    let refused = Failure::Imap(ImapError::AuthenticationRefused {
        challenge_json: None,
        code: Some("AUTHENTICATIONFAILED".into()),
        text: "Authentication failed.".into(),
    });
    let own = Context {
        provider: Some("3".into()),
        mailbox: Some("desk@contoso.example".into()),
        user: Some("desk@contoso.example".into()),
        ..Context::default()
    };
    let said = explain(&refused, &own);
    assert_eq!(
        (said.code, said.action),
        ("imap_authentication_failed", Action::SignInAgain)
    );
    let shared = Context {
        delegate: Some("anna@contoso.example".into()),
        ..own
    };
    let said = explain(&refused, &shared);
    assert_eq!(
        (said.code, said.action),
        ("imap_shared_mailbox_refused", Action::Administrator)
    );
    let step = "Add-MailboxPermission -Identity desk@contoso.example -User anna@contoso.example";
    assert!(said.next.contains(step), "{}", said.next);
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

fn refused(refusal: ProxyRefusal) -> DialError {
    DialError::ProxyRefused {
        proxy: "proxy.example:3128".into(),
        target: "mail.example:993".into(),
        refusal,
    }
}

/// What a proxy said, or did not: code, class, and a word of the next step.
#[test]
fn each_failure_of_a_proxy_has_its_code_and_next_step() {
    use FailureClass::{OperatorMustAct, RetryLater};
    let http = |status| {
        refused(ProxyRefusal::Http {
            status,
            words: "its words".into(),
        })
    };
    let socks = |reply| refused(ProxyRefusal::Socks(reply));
    let proxy = || "proxy.example:3128".to_owned();
    let unreached = |source| DialError::ProxyDial {
        proxy: proxy(),
        source: Box::new(source),
    };
    let connect = DialError::Connect {
        host: "proxy.example".into(),
        port: 3128,
        source: io::Error::other("refused"),
    };
    let resolve = DialError::Resolve {
        host: "proxy.example".into(),
        source: io::Error::other("unknown"),
    };
    let forbidden = DialError::Forbidden {
        host: "proxy.example".into(),
        address: "127.0.0.1".parse().unwrap(),
    };
    let silent = DialError::TimedOut {
        host: "proxy.example".into(),
        port: 3128,
        during: DialStep::Proxy,
    };
    let nonsense = DialError::ProxyNonsense {
        proxy: proxy(),
        what: "something that is no HTTP answer",
    };
    let broken = DialError::ProxyBroken {
        proxy: proxy(),
        source: io::ErrorKind::UnexpectedEof.into(),
    };
    let cases = [
        (
            http(407),
            "proxy_login_refused",
            OperatorMustAct,
            "password",
        ),
        (
            http(403),
            "proxy_forbids",
            OperatorMustAct,
            "mail.example:993",
        ),
        (http(400), "proxy_cannot", OperatorMustAct, "another"),
        (http(405), "proxy_cannot", OperatorMustAct, "another"),
        (http(501), "proxy_cannot", OperatorMustAct, "another"),
        (http(404), "proxy_refused", OperatorMustAct, "log"),
        (http(302), "proxy_refused", OperatorMustAct, "log"),
        (http(429), "proxy_refused", RetryLater, "log"),
        (http(500), "proxy_refused", RetryLater, "log"),
        (http(502), "proxy_no_way", RetryLater, "reaches"),
        (http(503), "proxy_no_way", RetryLater, "reaches"),
        (http(504), "proxy_no_way", RetryLater, "reaches"),
        (socks(1), "proxy_refused", RetryLater, "log"),
        (socks(2), "proxy_forbids", OperatorMustAct, "CONNECT"),
        (socks(3), "proxy_no_way", RetryLater, "routes"),
        (socks(4), "proxy_host_not_found", RetryLater, "spelling"),
        (socks(5), "proxy_host_refused", RetryLater, "port"),
        (socks(6), "proxy_no_way", RetryLater, "routes"),
        (socks(7), "proxy_cannot", OperatorMustAct, "another"),
        (socks(8), "proxy_cannot", OperatorMustAct, "name"),
        (socks(9), "proxy_refused", RetryLater, "log"),
        (
            refused(ProxyRefusal::SocksLogin),
            "proxy_login_refused",
            OperatorMustAct,
            "password",
        ),
        (
            refused(ProxyRefusal::SocksMethods),
            "proxy_login_refused",
            OperatorMustAct,
            "password",
        ),
        (unreached(connect), "proxy_not_reached", RetryLater, "runs"),
        (
            unreached(resolve),
            "proxy_not_reached",
            RetryLater,
            "spelling",
        ),
        (
            unreached(forbidden),
            "proxy_not_reached",
            OperatorMustAct,
            "XC_EMAIL_ALLOW_HOSTS",
        ),
        (silent, "proxy_silent", RetryLater, "kind"),
        (nonsense, "proxy_no_proxy", RetryLater, "kind"),
        (broken, "proxy_hung_up", RetryLater, "log"),
    ];
    for (error, code, class, next) in cases {
        let text = format!("{error:?}");
        let diagnosis = explain(&dial(error), &Context::default());
        assert_eq!(diagnosis.code, code, "{text}");
        assert_eq!(diagnosis.class, class, "{text}");
        assert!(diagnosis.what.contains("proxy.example:3128"), "{text}");
        assert!(diagnosis.next.contains(next), "{text}: {}", diagnosis.next);
    }
}

#[test]
fn a_certificate_that_is_not_the_pinned_one_shows_its_fingerprint() {
    let pin = || DialError::Pin {
        host: "mail.example".into(),
        seen: Fingerprint::new([0xab; 32]),
        shown: Box::new(Handshake {
            version: None,
            certificate: Some(Certificate {
                subject: "x".into(),
                issuer: "y".into(),
                names: vec!["imap.example".into(), "smtp.example".into()],
                not_before: Timestamp::from_millis(0),
                not_after: Timestamp::from_millis(1),
            }),
        }),
    };
    let refused = |kind| {
        let error = DialError::Tls {
            host: "mail.example".into(),
            kind,
            detail: "self-signed".into(),
            shown: None,
        };
        error.with_look(Some(pin()))
    };
    let (untrusted, wrong_name) = (refused(TlsKind::Untrusted), refused(TlsKind::WrongName));
    let named = explain(&dial(refused(TlsKind::WrongName)), &Context::default());
    assert!(
        named.next.contains("'imap.example, smtp.example'"),
        "{named:?}"
    );
    let unreadable = DialError::Authorities {
        host: "mail.example".into(),
        detail: "junk".into(),
    };
    for (error, code) in [
        (pin(), "tls_pin_mismatch"),
        (untrusted, "tls_untrusted"),
        (wrong_name, "tls_wrong_name"),
        (unreadable, "tls_authorities_unreadable"),
    ] {
        let diagnosis = explain(&dial(error), &Context::default());
        assert_eq!(diagnosis.code, code);
        assert_eq!(diagnosis.class, FailureClass::OperatorMustAct, "{code}");
        let shows = diagnosis.why.contains(&["AB"; 32].join(":"));
        assert_eq!(
            shows,
            code != "tls_authorities_unreadable",
            "{}",
            diagnosis.why
        );
    }
}

#[test]
fn a_server_that_never_greets_leads_to_port_and_tls_mode() {
    let limit = std::time::Duration::from_secs(20);
    let during = Verb::Greeting;
    for (failure, code, port) in [
        (
            Failure::Imap(ImapError::TimedOut {
                during: Step::Greeting,
            }),
            "imap_silent",
            "993 speaks TLS at once",
        ),
        (
            Failure::Smtp(SmtpError::TimedOut { during, limit }),
            "smtp_silent",
            "465 speaks TLS at once",
        ),
    ] {
        let diagnosis = explain(&failure, &Context::default());
        assert_eq!(diagnosis.code, code);
        assert!(diagnosis.next.contains(port), "{}", diagnosis.next);
    }
}

#[test]
fn who_has_to_sign_in_is_told_the_command_with_its_provider() {
    let context = Context {
        account: Some("SUPP1".into()),
        provider: Some("7".into()),
        ..Context::default()
    };
    let diagnosis = explain(&Failure::NotSignedIn, &context);
    assert!(
        diagnosis.what.contains("of account SUPP1."),
        "{diagnosis:?}"
    );
    assert!(
        diagnosis.next.contains("provider authenticate 7)"),
        "{diagnosis:?}"
    );
}
