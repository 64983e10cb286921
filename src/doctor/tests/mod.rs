//! Each way in which an account can be ill, with the first failed line that names it.

mod bounds;
mod clinic;

use super::{Item, Lanes, Progress, Standing, Verdict, Wish};
use crate::{
    diagnosis::{Diagnosis, LaneState, LaneStatus},
    model::{Action, FailureClass, Fingerprint, Timestamp, TlsVerify},
    oauth::scripted::{Platform, Reply},
    smtp::testing::Act,
};
use clinic::{Clinic, Issue, Odd, With, cause, of, skipped};

async fn platform() -> Platform {
    Platform::start(|request, _| {
        if request.line.starts_with("HEAD") {
            return Reply::raw(405, "text/plain", b"");
        }
        Reply::tokens("canary-access-2", Some("canary-refresh-2"))
    })
    .await
}

/// An identity platform that gives no tokens.
async fn refusing() -> Platform {
    Platform::start(|_, _| Reply::refusal("invalid_client", &[7_000_222])).await
}

const INSIDE_IMAP: [Item; 3] = [Item::Mailbox, Item::Capabilities, Item::Sent];

#[tokio::test]
async fn a_healthy_shared_mailbox_is_well_and_nothing_was_changed_or_sent() {
    let clinic = Clinic::new(With::Shared(3600), platform().await).await;
    let report = clinic.examine().await;
    assert_eq!(report.cause(), None);
    for item in [
        Item::ImapName,
        Item::Grant,
        Item::Identity,
        Item::Token,
        Item::Scopes,
        Item::ImapConnect,
        Item::ImapTls,
        Item::ImapLogin,
        Item::Mailbox,
        Item::Capabilities,
        Item::Sent,
        Item::SmtpTls,
        Item::SmtpLogin,
        Item::SendAs,
        Item::Queue,
    ] {
        assert_eq!(
            of(&report, item).verdict,
            Verdict::Ok,
            "{:?}",
            of(&report, item)
        );
    }
    assert!(
        of(&report, Item::ImapTls)
            .detail
            .starts_with("TLS 1.2, certificate of localhost")
    );
    assert!(of(&report, Item::Sent).detail.starts_with("Sent Items; "));
    assert!(
        of(&report, Item::SendAs)
            .detail
            .contains("does not prove Send As")
    );
    let rights = report.rights.unwrap();
    assert_eq!(rights.full_access, Standing::Proven);
    assert_eq!(rights.send_as, Standing::NotProven);
    // A good grant is not refreshed, and the mailbox is opened for reading only.
    assert_eq!(clinic.platform.posts(), 0);
    let commands = clinic.imap.commands.lock().unwrap().clone();
    assert!(
        commands.iter().any(|said| said == "EXAMINE \"INBOX\""),
        "{commands:?}"
    );
    assert!(
        !commands.iter().any(|said| said.starts_with("SELECT")),
        "{commands:?}"
    );
    let seen = clinic.smtp.seen();
    assert_eq!(seen.connections, 1);
    assert!(
        seen.commands
            .iter()
            .any(|said| said.starts_with("MAIL FROM:<developers@lab.test>"))
    );
    assert!(seen.commands.iter().any(|said| said == "RSET"));
    for never in ["RCPT", "DATA"] {
        assert!(
            !seen.commands.iter().any(|said| said.starts_with(never)),
            "{never}"
        );
    }
}

#[tokio::test]
async fn a_password_account_has_no_checks_of_sign_ins() {
    let clinic = Clinic::new(With::Password, platform().await).await;
    let report = clinic.examine().await;
    assert_eq!(report.cause(), None);
    assert_eq!(report.rights, None);
    assert!(!report.checks.iter().any(|check| check.item == Item::Token));
    clinic.imap.refuse(
        "AUTHENTICATE",
        "NO [AUTHENTICATIONFAILED] Invalid credentials",
    );
    let report = clinic.examine().await;
    cause(&report, Item::ImapLogin, "imap_password_refused");
    skipped(&report, &INSIDE_IMAP, Item::ImapLogin);
    assert_eq!(
        of(&report, Item::SmtpLogin).verdict,
        Verdict::Ok,
        "the other server is examined all the same"
    );
}

#[tokio::test]
async fn a_name_without_address_skips_everything_behind_it() {
    let odd = Odd {
        host: "no-such-host.invalid",
        ..Odd::default()
    };
    let clinic = Clinic::odd(With::Token(3600), platform().await, odd).await;
    let report = clinic.examine().await;
    cause(&report, Item::ImapName, "host_not_found");
    skipped(
        &report,
        &[Item::ImapConnect, Item::ImapTls, Item::ImapLogin],
        Item::ImapName,
    );
    skipped(&report, &[Item::SmtpConnect, Item::SendAs], Item::SmtpName);
    assert_eq!(of(&report, Item::Token).verdict, Verdict::Ok);
}

#[tokio::test]
async fn each_bad_certificate_is_named_and_shown() {
    let other: Issue = |_| crate::net::testing::Authority::new("Other CA").issue("localhost", 90);
    let cases: [(Issue, &str, &str); 3] = [
        (
            |authority| authority.issue("mail.other.test", 90),
            "tls_wrong_name",
            "certificate of mail.other.test",
        ),
        (
            |authority| authority.issue("localhost", -1),
            "tls_expired",
            "ended 1 days ago",
        ),
        (other, "tls_untrusted", "issued by Other CA"),
    ];
    for (certificate, code, shows) in cases {
        let odd = Odd {
            certificate,
            ..Odd::default()
        };
        let clinic = Clinic::odd(With::Password, platform().await, odd).await;
        let report = clinic.examine().await;
        cause(&report, Item::ImapTls, code);
        assert_eq!(of(&report, Item::ImapConnect).verdict, Verdict::Ok);
        for item in [Item::ImapTls, Item::SmtpTls] {
            let check = of(&report, item);
            assert!(check.detail.contains(shows), "{check:?}");
        }
        skipped(&report, &[Item::ImapLogin, Item::Mailbox], Item::ImapTls);
        // One that refuses the certificate, one that looks at it.
        assert_eq!(clinic.taken(), [2, 2], "{code}");
        // Nothing secret is said on the line that only looks at the certificate.
        let said = clinic.imap.commands.lock().unwrap().clone();
        assert!(said.iter().all(|said| said == "CAPABILITY"), "{said:?}");
        let said = clinic.smtp.seen().commands;
        assert!(
            said.iter()
                .all(|said| said.starts_with("EHLO") || said == "QUIT"),
            "{said:?}"
        );
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_the_pinned_one_is_shown_without_a_second_connection() {
    let mut clinic = Clinic::new(With::Password, platform().await).await;
    let pins = vec![Fingerprint::new([7; 32])];
    clinic.account.entered.imap.verify = TlsVerify::Pinned(pins);
    let report = clinic.examine().await;
    cause(&report, Item::ImapTls, "tls_pin_mismatch");
    let detail = &of(&report, Item::ImapTls).detail;
    assert!(detail.contains("for localhost."), "{detail}");
    assert_eq!(clinic.taken(), [1, 1]);
    assert!(clinic.imap.commands.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_a_warning() {
    let odd = Odd {
        certificate: |authority| authority.issue("localhost", 10),
        ..Odd::default()
    };
    let clinic = Clinic::odd(With::Password, platform().await, odd).await;
    let report = clinic.examine().await;
    assert_eq!(report.verdict(), Verdict::Warning);
    let check = of(&report, Item::ImapTls);
    assert_eq!(check.verdict, Verdict::Warning);
    assert_eq!(check.diagnosis.as_ref().unwrap().code, "tls_ends_soon");
}

#[tokio::test]
async fn a_server_that_hangs_up_is_named_by_its_connection() {
    let clinic = Clinic::new(With::Password, platform().await).await;
    *clinic.imap.mute.lock().unwrap() = true;
    let report = clinic.examine().await;
    assert_eq!(report.cause().unwrap().item, Item::ImapConnect);
    skipped(
        &report,
        &[Item::ImapTls, Item::ImapLogin],
        Item::ImapConnect,
    );
}

#[tokio::test]
async fn a_token_without_a_mailbox_names_full_access_for_a_shared_and_imap_for_an_own_mailbox() {
    for (with, code, full_access, imap_enabled) in [
        (
            With::Shared(3600),
            "right_missing_full_access",
            Standing::Missing,
            Standing::Suspected,
        ),
        (
            With::Token(3600),
            "right_missing_imap",
            Standing::NotNeeded,
            Standing::Missing,
        ),
    ] {
        let clinic = Clinic::new(with, platform().await).await;
        clinic
            .imap
            .refuse("EXAMINE", "BAD User is authenticated but not connected.");
        let report = clinic.examine().await;
        cause(&report, Item::Mailbox, code);
        skipped(&report, &[Item::Capabilities, Item::Sent], Item::Mailbox);
        let rights = report.rights.unwrap();
        assert_eq!(
            (rights.full_access, rights.imap_enabled),
            (full_access, imap_enabled)
        );
        let said = report.cause().unwrap().diagnosis.as_ref().unwrap();
        assert!(
            said.why.contains("authenticated but not connected"),
            "{said:?}"
        );
        assert!(said.next.contains("ImapEnabled $true"), "{said:?}");
    }
}

#[tokio::test]
async fn smtp_auth_that_is_switched_off_is_named() {
    let clinic = Clinic::new(With::Shared(3600), platform().await).await;
    clinic.smtp.obey(|said| {
        said.starts_with("AUTH").then_some(Act::Say(
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information.\r\n",
        ))
    });
    let report = clinic.examine().await;
    cause(&report, Item::SmtpLogin, "right_missing_smtp_auth");
    skipped(&report, &[Item::SendAs], Item::SmtpLogin);
    let rights = report.rights.unwrap();
    assert_eq!(
        (rights.smtp_auth, rights.send_as),
        (Standing::Missing, Standing::NotTested)
    );
    assert_eq!(of(&report, Item::Mailbox).verdict, Verdict::Ok);
    let next = &report.cause().unwrap().diagnosis.as_ref().unwrap().next;
    assert!(
        next.contains("-Identity andrea@lab.test -SmtpClientAuthenticationDisabled $false"),
        "{next}"
    );
}

#[tokio::test]
async fn a_refused_sender_names_send_as() {
    let clinic = Clinic::new(With::Shared(3600), platform().await).await;
    clinic.smtp.obey(|said| {
        said.starts_with("MAIL").then_some(Act::Say(
            "550 5.7.60 SMTP; Client does not have permissions to send as this sender\r\n",
        ))
    });
    let report = clinic.examine().await;
    cause(&report, Item::SendAs, "right_missing_send_as");
    assert_eq!(report.rights.unwrap().send_as, Standing::Missing);
}

#[tokio::test]
async fn what_a_lane_was_told_about_the_sender_counts_as_evidence() {
    let mut clinic = Clinic::new(With::Shared(3600), platform().await).await;
    let mut outbound = LaneStatus::starting(Timestamp::from_millis(0));
    outbound.state = LaneState::Parked;
    outbound.diagnosis = Some(Diagnosis {
        code: "smtp_send_as_denied",
        what: "Refused.".to_owned(),
        why:
            "'554 5.2.252 SendAsDenied; andrea@lab.test not allowed to send as developers@lab.test'"
                .to_owned(),
        next: "Grant it.".to_owned(),
        class: FailureClass::OperatorMustAct,
        action: Action::Administrator,
    });
    let inbound = LaneStatus {
        state: LaneState::Ready,
        ..LaneStatus::starting(Timestamp::from_millis(0))
    };
    clinic.lanes = Some(Lanes { inbound, outbound });
    let report = clinic.examine().await;
    cause(&report, Item::Outbound, "smtp_send_as_denied");
    assert_eq!(of(&report, Item::Inbound).verdict, Verdict::Ok);
    assert_eq!(report.rights.unwrap().send_as, Standing::Missing);
}

#[tokio::test]
async fn a_permission_that_was_not_granted_is_named() {
    let odd = Odd {
        scopes: "https://outlook.office.com/IMAP.AccessAsUser.All openid",
        ..Odd::default()
    };
    let clinic = Clinic::odd(With::Token(3600), platform().await, odd).await;
    let report = clinic.examine().await;
    cause(&report, Item::Scopes, "right_missing_consent");
    assert!(report.cause().unwrap().detail.contains("SMTP.Send"));
    assert_eq!(report.rights.unwrap().consent, Standing::Missing);
}

#[tokio::test]
async fn another_person_who_signed_in_is_a_warning() {
    let odd = Odd {
        signed_in_as: "someone@lab.test",
        ..Odd::default()
    };
    let clinic = Clinic::odd(With::Token(3600), platform().await, odd).await;
    let report = clinic.examine().await;
    assert_eq!(report.verdict(), Verdict::Warning);
    let said = of(&report, Item::Identity);
    assert_eq!(said.diagnosis.as_ref().unwrap().code, "signed_in_as_other");
    assert!(said.detail.contains("someone@lab.test"), "{said:?}");
}

#[tokio::test]
async fn a_stale_token_is_refreshed_once_and_a_good_one_only_when_asked_for() {
    let clinic = Clinic::new(With::Token(-5), platform().await).await;
    let report = clinic.examine().await;
    assert_eq!(of(&report, Item::Token).verdict, Verdict::Ok, "{report:#?}");
    assert_eq!(clinic.platform.posts(), 1);
    clinic.examine().await;
    assert_eq!(clinic.platform.posts(), 1, "the new token is good");
    let report = clinic.examine_with(Wish { refresh: true }).await;
    assert!(
        of(&report, Item::Token)
            .detail
            .contains("refreshed just now")
    );
    assert_eq!(clinic.platform.posts(), 2);
}

#[tokio::test]
async fn a_platform_that_refuses_is_the_cause_and_the_servers_are_reached_all_the_same() {
    let clinic = Clinic::new(With::Token(-5), refusing().await).await;
    let report = clinic.examine().await;
    assert_eq!(report.cause().unwrap().item, Item::Token);
    skipped(
        &report,
        &[Item::ImapLogin, Item::Mailbox, Item::SmtpLogin],
        Item::Token,
    );
    assert_eq!(of(&report, Item::ImapTls).verdict, Verdict::Ok);
    assert_eq!(
        clinic.imap.commands.lock().unwrap().as_slice(),
        ["CAPABILITY"]
    );
}

#[tokio::test]
async fn without_a_sign_in_that_is_the_cause() {
    let platform = platform().await;
    let clinic = Clinic::new(With::Token(3600), platform).await;
    let nobody = clinic.platform.provider("Nobody");
    let now = Timestamp::from_millis(0);
    let row = clinic.store.provider_add(&nobody, now).await.unwrap();
    let mut patient = clinic.patient();
    if let crate::model::Authentication::Modern { provider, .. } =
        &mut patient.account.entered.authentication
    {
        *provider = row.id;
    }
    assert!(clinic.provider.is_some_and(|provider| provider != row.id));
    let told = Progress::none();
    let report = clinic
        .doctor
        .examine(&patient, Wish::default(), &told)
        .await
        .unwrap();
    cause(&report, Item::Grant, "not_signed_in");
    skipped(
        &report,
        &[Item::Identity, Item::Token, Item::Scopes],
        Item::Grant,
    );
}
