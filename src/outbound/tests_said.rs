//! Each literal text of a submission server about the account: the lane ends in the right state for the right time, no
//! message fails by it, and mail flows again by itself when the cause goes away.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::testing::{MESSAGE, World};
use crate::{
    diagnosis::LaneState::{self, Parked, Waiting},
    model::{Action, NewTokens, TlsMode},
    smtp::testing::{Act, Server},
};

fn on(prefix: &'static str, said: &'static str) -> Server {
    Server::new(move |step| step.starts_with(prefix).then_some(Act::Say(said)))
}

/// The line that carries the password.
const LOGIN: &str = "AHN1";

#[tokio::test]
async fn what_passes_is_waited_for_and_what_a_person_must_cure_is_parked_until_it_is_cured() {
    let cases: &[(&'static str, &'static str, LaneState, &str)] = &[
        (
            LOGIN,
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information.\r\n",
            Parked,
            "smtp_auth_disabled",
        ),
        (
            LOGIN,
            "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy. Contact your administrator.\r\n",
            Parked,
            "smtp_security_defaults",
        ),
        (
            LOGIN,
            "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator.\r\n",
            Parked,
            "smtp_conditional_access",
        ),
        (
            LOGIN,
            "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.\r\n",
            Parked,
            "smtp_basic_disabled",
        ),
        (
            LOGIN,
            "535 5.7.3 Authentication unsuccessful [AM0PR01CA0001.eurprd01.prod.outlook.com]\r\n",
            Parked,
            "smtp_password_refused",
        ),
        (
            LOGIN,
            "535 5.7.139 Authentication unsuccessful, federated STS service was unreachable.\r\n",
            Waiting,
            "smtp_federation_unreachable",
        ),
        (
            LOGIN,
            "454 4.7.0 Temporary authentication failure\r\n",
            Waiting,
            "smtp_login_unavailable",
        ),
        (
            LOGIN,
            "454 4.7.0 Too many login attempts, please try again later.\r\n",
            Waiting,
            "smtp_too_many_logins",
        ),
        (
            "(greeting)",
            "421 4.3.2 Service not available\r\n",
            Waiting,
            "smtp_server_busy",
        ),
        (
            "EHLO",
            "421 4.7.66 TLS 1.0 and 1.1 are not supported.\r\n",
            Parked,
            "smtp_tls_too_old",
        ),
        (
            "MAIL",
            "530 5.7.57 SMTP; Client not authenticated to send mail.\r\n",
            Parked,
            "smtp_not_authenticated",
        ),
        (
            "MAIL",
            "550 5.1.8 Access denied, bad outbound sender\r\n",
            Parked,
            "smtp_sender_blocked",
        ),
        (
            "MAIL",
            "550 5.7.705 Access denied, tenant has exceeded threshold\r\n",
            Parked,
            "smtp_tenant_blocked",
        ),
        (
            ".",
            "550 5.7.501 Access denied, spam abuse detected\r\n",
            Parked,
            "smtp_sender_banned",
        ),
        (
            ".",
            "554 5.7.60 SMTP; Client does not have permissions to send as this sender\r\n",
            Parked,
            "smtp_send_as_denied",
        ),
        (
            ".",
            "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; x\r\n",
            Parked,
            "smtp_send_as_denied",
        ),
        (
            ".",
            "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded; x\r\n",
            Parked,
            "smtp_sender_mailbox_full",
        ),
    ];
    for (step, said, expected, code) in cases {
        let world = World::with(on(step, said), TlsMode::Tls, |settings| {
            settings.backoff.first = Duration::from_millis(100);
            settings.parked_retry = Duration::from_millis(400);
        })
        .await;
        // Its time is over at once: what is not its own fault must not let it expire.
        let id = world
            .queue_raw(&["a@y.test"], MESSAGE, Duration::from_millis(1))
            .await;
        let mut lane = world.run().await;
        let status = lane.until(*expected).await;
        assert_eq!(status.diagnosis.as_ref().unwrap().code, *code, "{said}");
        assert_eq!(
            status.action() == Some(Action::Retry),
            *expected == Waiting,
            "{said}"
        );
        let (state, _) = world.copies(id).await[0];
        assert!(
            matches!(state, "queued" | "deferred" | "claimed"),
            "{said}: {state}"
        );
        world.server.obey(|_| None);
        world.until(id, &["sent"]).await;
        assert_eq!(world.server.delivered(), [MESSAGE], "{said}");
        assert!(
            lane.until(LaneState::Ready).await.diagnosis.is_none(),
            "{said}"
        );
        lane.stopped().await;
    }
}

#[tokio::test]
async fn a_limit_holds_the_queue_for_its_time_whoever_asks_and_fails_nothing() {
    let cases: &[(&'static str, &'static str, u64, &str)] = &[
        (
            ".",
            "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; x\r\n",
            3600,
            "smtp_sending_limit",
        ),
        (
            "RCPT",
            "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients\r\n",
            3600,
            "smtp_sending_limit",
        ),
        (
            "RCPT",
            "550 5.7.233 Your message can't be sent because your tenant exceeded its daily limit for sending email to external recipients\r\n",
            3600,
            "smtp_sending_limit",
        ),
        (
            "MAIL",
            "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded\r\n",
            60,
            "smtp_concurrency",
        ),
        (
            ".",
            "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information.\r\n",
            60,
            "smtp_concurrency",
        ),
        (
            "MAIL",
            "421 4.4.2 Message submission rate for this client has exceeded the configured limit\r\n",
            60,
            "smtp_submission_rate",
        ),
        (
            "RCPT",
            "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)\r\n",
            900,
            "smtp_suspicious_traffic",
        ),
        (
            "MAIL",
            "550 5.7.508 Access denied, [2001:db8::1] has exceeded permitted limits within 2001:db8::/64 range\r\n",
            3600,
            "smtp_address_range_limit",
        ),
    ];
    for (step, said, seconds, code) in cases {
        let mut world = World::new(on(step, said)).await;
        let id = world.queue(&["a@y.test"]).await;
        let mut lane = world.run().await;
        let status = lane.until(Waiting).await;
        assert_eq!(status.diagnosis.as_ref().unwrap().code, *code, "{said}");
        assert_eq!(status.action(), Some(Action::HoldUntil), "{said}");
        let held = status.retry_at.unwrap().since(status.since).as_secs();
        assert!(
            (*seconds - 2..=*seconds + 5).contains(&held),
            "{said}: {held}"
        );
        world.server.obey(|_| None);
        world.wake.send_modify(|count| *count += 1);
        world.queue(&["b@y.test"]).await;
        let moved = tokio::time::timeout(Duration::from_millis(200), lane.status.changed()).await;
        assert!(
            moved.is_err() || lane.status.borrow().state == Waiting,
            "{said}"
        );
        assert_eq!(world.server.seen().connections, 1, "{said}");
        let (state, _) = world.copies(id).await[0];
        assert!(matches!(state, "queued" | "deferred"), "{said}: {state}");
        lane.stopped().await;
        // What is asked of all that come from this machine, or of a tenant, outlives one account's task.
        let shown = world.parts.governor.shown().rests;
        let of: Vec<&str> = shown.iter().map(|rest| rest.of.as_str()).collect();
        let wide = said.contains("5.7.233") || said.contains("4.7.500") || said.contains("5.7.508");
        assert_eq!(of.len(), 1, "{said}");
        assert_eq!(of[0] != "login", wide, "{said} {of:?}");
        if wide {
            let mut lane = world.run().await;
            let status = lane.until(Waiting).await;
            let code = status.diagnosis.unwrap().code;
            assert!(matches!(code, "held_host" | "held_tenant"), "{said} {code}");
            assert_eq!(world.server.seen().connections, 1, "{said}");
            lane.stopped().await;
            world.parts.governor = crate::governor::Governor::new(
                crate::governor::Settings::default(),
                world.parts.clock.clone(),
            );
        }
        // A new task, as after the account is edited, goes on at once.
        let lane = world.run().await;
        world.until(id, &["sent"]).await;
        lane.stopped().await;
    }
}

#[tokio::test]
async fn what_is_about_one_message_or_recipient_stops_no_other() {
    let cases: &[(&'static str, &'static str, &str)] = &[
        (
            "RCPT TO:<bad",
            "550 5.7.124 Sender not in allowed-senders list\r\n",
            "failed",
        ),
        (
            "RCPT TO:<bad",
            "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found\r\n",
            "failed",
        ),
        (
            "RCPT TO:<bad",
            "550 5.2.121 Recipient's per hour message receive limit from specific sender exceeded\r\n",
            "deferred",
        ),
        (
            "RCPT TO:<bad",
            "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded\r\n",
            "deferred",
        ),
        (
            "RCPT TO:<bad",
            "450 4.2.1 The user you are trying to contact is receiving mail too quickly.\r\n",
            "deferred",
        ),
    ];
    for (step, said, outcome) in cases {
        let world = World::with(on(step, said), TlsMode::Tls, |settings| {
            settings.retry.first = Duration::from_secs(3600);
            settings.retry.cap = Duration::from_secs(3600);
        })
        .await;
        let bad = world.queue(&["bad@y.test"]).await;
        let good = world.queue(&["good@y.test"]).await;
        let mut lane = world.run().await;
        world.until(bad, &[outcome]).await;
        world.until(good, &["sent"]).await;
        assert!(
            lane.until(LaneState::Ready).await.diagnosis.is_none(),
            "{said}"
        );
        lane.stopped().await;
    }
}

/// The line that carries the access token begins so: `user=`.
const TOKEN: &str = "dXNlcj";

async fn by_token(server: Server) -> World {
    let quick = |settings: &mut super::Settings| {
        settings.backoff.first = Duration::from_millis(100);
        settings.parked_retry = Duration::from_millis(400);
    };
    World::logging_in(server, TlsMode::Tls, quick, None).await
}

/// Bad input 64.
#[tokio::test]
async fn a_json_challenge_is_answered_with_an_empty_line_and_classified_by_what_follows() {
    let json = r#"{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}"#;
    let challenge: &'static str = format!("334 {}\r\n", STANDARD.encode(json)).leak();
    for (refusal, expected, code) in [
        (
            "454 4.7.0 Too many login attempts, please try again later.\r\n",
            Waiting,
            "smtp_too_many_logins",
        ),
        (
            "535 5.7.8 Username and Password not accepted.\r\n",
            Parked,
            "smtp_sign_in_refused",
        ),
        (
            "535 5.7.3 Authentication unsuccessful\r\n",
            Parked,
            "smtp_token_refused",
        ),
    ] {
        let world = by_token(Server::new(move |step| match step {
            "" => Some(Act::Say(refusal)),
            _ => step.starts_with(TOKEN).then_some(Act::Say(challenge)),
        }))
        .await;
        let id = world.queue(&["a@y.test"]).await;
        let mut lane = world.run().await;
        let diagnosis = lane.until(expected).await.diagnosis.unwrap();
        assert_eq!(diagnosis.code, code, "{refusal}");
        if expected == Parked {
            let why = &diagnosis.why;
            assert!(why.contains("mail.google.com"), "{refusal}: {why}");
        }
        assert!(world.server.seen().commands.iter().any(String::is_empty));
        world.server.obey(|_| None);
        world.until(id, &["sent"]).await;
        lane.stopped().await;
    }
}

/// Bad input 64.
#[tokio::test]
async fn a_challenge_of_a_mebibyte_is_bounded_and_passing_trouble() {
    let challenge: &'static str = format!("334 {}\r\n", "QUJD".repeat(256 * 1024)).leak();
    // In the place of the invitation, and of the reason.
    for step in ["AUTH", TOKEN] {
        let world = by_token(on(step, challenge)).await;
        let id = world.queue(&["a@y.test"]).await;
        let mut lane = world.run().await;
        let diagnosis = lane.until(Waiting).await.diagnosis.unwrap();
        assert_eq!(diagnosis.action, Action::Retry, "{diagnosis:?}");
        assert!(diagnosis.why.len() < 1000, "{}", diagnosis.why.len());
        // No token follows what was no invitation.
        let said = world.server.seen().commands;
        let token = said.iter().any(|command| command.starts_with(TOKEN));
        assert_eq!(token, step == TOKEN, "{said:?}");
        assert_eq!(world.copies(id).await[0].1, 0, "no attempt is counted");
        world.server.obey(|_| None);
        world.until(id, &["sent"]).await;
        lane.stopped().await;
    }
}

/// A user name (UPN) often differs from the address; Exchange refuses a token with another name than its owner's.
#[tokio::test]
async fn smtp_is_told_the_tokens_own_name_once_that_was_confirmed_for_the_entered_one() {
    let name = "s.upp@x.onmicrosoft.test";
    for told in ["supp@x.test", name] {
        let world = by_token(Server::new(|_| None)).await;
        let (store, provider) = (&world.parts.store, world.account.provider().unwrap());
        let tokens = NewTokens {
            access_token: "good".into(),
            access_expires_at: world.now().plus(Duration::from_secs(3600)),
            refresh_token: Some("refresh".into()),
            scopes: None,
            signed_in_as: Some(name.into()),
            tenant_id: Some("tenant".into()),
            object_id: Some("object".into()),
        };
        let adopted = store.grant_adopt(provider, &tokens, world.now());
        adopted.await.unwrap();
        if told == name {
            let confirmed = store.grant_confirm_name(provider, name, "supp@x.test");
            assert!(confirmed.await.unwrap());
        }
        let id = world.queue(&["a@y.test"]).await;
        let lane = world.run().await;
        world.until(id, &["sent"]).await;
        lane.stopped().await;
        let said = world.server.seen().commands;
        let token = said.iter().find(|command| command.starts_with(TOKEN));
        let token = STANDARD.decode(token.expect("a token")).unwrap();
        let token = String::from_utf8(token).unwrap();
        assert!(token.starts_with(&format!("user={told}\u{1}")), "{token}");
    }
}
