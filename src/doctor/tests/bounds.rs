//! What an examination leaves alone, its bounds, and the examination of the service itself.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{
    super::{Busy, Item, Lanes, Patient, Progress, Report, Told, Verdict, Wish},
    clinic::{Clinic, Odd, With, cause, of, skipped},
    platform,
};
use crate::{
    diagnosis::{Diagnosis, LaneState, LaneStatus},
    model::{Action, FailureClass, Timestamp},
    oauth::scripted::{Platform, Reply},
    smtp::testing::Act,
};

#[tokio::test]
async fn a_server_that_asked_for_a_rest_is_left_alone() {
    let mut clinic = Clinic::new(With::Token(3600), platform().await).await;
    let far = Timestamp::from_millis(32_503_680_000_000);
    let mut inbound = LaneStatus::starting(Timestamp::from_millis(0));
    inbound.state = LaneState::Waiting;
    inbound.retry_at = Some(far);
    inbound.diagnosis = Some(Diagnosis {
        code: "imap_throttled",
        what: "Throttled.".to_owned(),
        why: "Said so.".to_owned(),
        next: "Nothing.".to_owned(),
        class: FailureClass::HoldFor(Duration::from_secs(300)),
        action: Action::HoldUntil,
    });
    let outbound = LaneStatus::starting(Timestamp::from_millis(0));
    clinic.lanes = Some(Lanes { inbound, outbound });
    let report = clinic.examine().await;
    assert_eq!(of(&report, Item::ImapConnect).verdict, Verdict::Skipped);
    assert!(
        of(&report, Item::Mailbox)
            .detail
            .contains("asked for a rest until 3000-01-01")
    );
    assert!(clinic.imap.commands.lock().unwrap().is_empty());
    assert_eq!(of(&report, Item::SmtpLogin).verdict, Verdict::Ok);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_after_the_checks_own_time() {
    let odd = Odd {
        check: Duration::from_millis(300),
        ..Odd::default()
    };
    let clinic = Clinic::odd(With::Password, platform().await, odd).await;
    clinic
        .smtp
        .obey(|said| said.starts_with("AUTH").then_some(Act::Nothing));
    let report = clinic.examine().await;
    let check = of(&report, Item::SmtpLogin);
    assert_eq!(check.diagnosis.as_ref().unwrap().code, "check_too_slow");
    skipped(&report, &[Item::SendAs], Item::SmtpLogin);
}

#[tokio::test]
async fn one_examination_per_account_and_what_is_told_is_what_is_reported() {
    // I10.
    let clinic = Clinic::new(With::Password, platform().await).await;
    let (tell, mut told) = mpsc::channel(1);
    let progress = Progress::to(tell);
    let patient = clinic.patient();
    let first = clinic.doctor.examine(&patient, Wish::default(), &progress);
    let second = async {
        // The first is under way: it has told a check, and waits for its reader.
        let mut seen = vec![told.recv().await.unwrap()];
        let none = Progress::none();
        let again = clinic
            .doctor
            .examine(&patient, Wish::default(), &none)
            .await;
        assert_eq!(again, Err(Busy));
        let all: Vec<Patient> = vec![patient.clone()];
        assert!(
            clinic
                .doctor
                .examine_all(all, Wish::default(), &none)
                .await
                .is_empty()
        );
        while seen.last().map(|last| last.check.item) != Some(Item::Queue) {
            seen.push(told.recv().await.unwrap());
        }
        seen
    };
    let (report, seen) = tokio::join!(first, second);
    let report = report.unwrap();
    let checks: Vec<_> = seen.into_iter().map(|one| one.check).collect();
    assert_eq!(checks, report.checks);
    assert!(
        clinic.examine().await.cause().is_none(),
        "it may be examined again"
    );
}

/// Drops the examination when it has told its first check.
async fn wait_first(
    examining: impl Future<Output = Result<Report, Busy>>,
    told: &mut mpsc::Receiver<Told>,
) {
    tokio::select! {
        biased;
        _ = examining => panic!("it ended although nobody read"),
        _ = told.recv() => {}
    }
}

#[tokio::test]
async fn an_examination_that_is_dropped_leaves_the_account_free() {
    let clinic = Clinic::new(With::Password, platform().await).await;
    let (tell, mut told) = mpsc::channel(1);
    let progress = Progress::to(tell);
    let patient = clinic.patient();
    let examining = clinic.doctor.examine(&patient, Wish::default(), &progress);
    wait_first(examining, &mut told).await;
    assert!(clinic.examine().await.cause().is_none());
}

#[tokio::test]
async fn the_service_is_examined_and_a_wrong_clock_is_seen() {
    let wrong = Platform::start(|_, _| {
        Reply::raw(405, "text/plain", b"").header("date", "Mon, 23 Nov 2020 12:00:30 GMT")
    })
    .await;
    let clinic = Clinic::new(With::Token(3600), wrong).await;
    let report = clinic.doctor.examine_service(&Progress::none()).await;
    cause(&report, Item::Clock, "clock_wrong");
    assert!(of(&report, Item::Database).detail.starts_with("SQLite 3."));
    assert_eq!(of(&report, Item::Disk).item, Item::Disk);
    assert!(of(&report, Item::Roots).detail.starts_with("1 "));
    assert_eq!(
        of(&report, Item::Redirect).verdict,
        Verdict::Ok,
        "{report:#?}"
    );
    assert!(
        clinic
            .platform
            .requests()
            .iter()
            .all(|request| request.form.is_empty())
    );
}
