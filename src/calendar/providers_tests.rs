//! Tables: which credential and which sign-in deserves which warning.

use secrecy::SecretString;

use super::*;
use crate::model::{CloudProviderId, NewCloudProvider};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn in_days(days: f64) -> Timestamp {
    Timestamp::from_millis(NOW.millis() + (days * DAY_MILLIS as f64) as i64)
}

fn provider_of(
    service: CloudService,
    first: Option<f64>,
    second: Option<Option<f64>>,
) -> CloudProvider {
    CloudProvider {
        id: CloudProviderId::new(7),
        entered: NewCloudProvider {
            client_secret: SecretString::from("one"),
            client_secret_expires_at: first.map(in_days),
            second_secret: SecretString::from(if second.is_some() { "two" } else { "" }),
            second_secret_expires_at: second.flatten().map(in_days),
            ..NewCloudProvider::new("Tenant", service, "app")
        },
        created_at: NOW,
        updated_at: NOW,
    }
}

fn microsoft(first: Option<f64>, second: Option<Option<f64>>) -> CloudProvider {
    provider_of(CloudService::MicrosoftAzure, first, second)
}

/// Code, severity, and whether it is announced, of each credential.
fn judged(
    provider: &CloudProvider,
    certificate_ends: Option<Timestamp>,
) -> Vec<Option<(&'static str, Severity, bool)>> {
    entries(provider, None, certificate_ends, NOW)
        .into_iter()
        .map(|entry| {
            let warning = entry.warning?;
            Some((
                warning.remark.code,
                warning.severity,
                warning.once.is_some(),
            ))
        })
        .collect()
}

#[test]
fn a_secret_is_said_at_60_30_7_1_and_0_days() {
    use Severity::{Notice, Urgent, Warning};
    let soon = "secret_expires_soon";
    for (days, expected) in [
        (700.0, None),
        (61.0, None),
        (60.0, Some((soon, Notice, true))),
        (30.0, Some((soon, Warning, true))),
        (7.0, Some((soon, Urgent, true))),
        (6.0, Some((soon, Urgent, true))),
        (1.0, Some((soon, Urgent, true))),
        (0.0, Some(("secret_expired", Urgent, true))),
        (-200.0, Some(("secret_expired", Urgent, true))),
        (731.0, None),
        (733.0, Some(("secret_expiry_too_far", Notice, false))),
    ] {
        assert_eq!(
            judged(&microsoft(Some(days), None), None),
            [expected],
            "{days}"
        );
    }
}

#[test]
fn each_threshold_of_each_date_has_a_key_of_its_own() {
    let once = |provider: &CloudProvider| {
        let entries = entries(provider, None, None, NOW);
        entries[0].warning.clone().unwrap().once.unwrap()
    };
    let end = in_days(5.0);
    let key = |days| format!("calendar/secret/7/{}/{days}", end.millis());
    assert_eq!(once(&microsoft(Some(5.0), None)), key(7));
    // A new secret with another date counts anew; the same date is the same secret, first or second.
    assert_ne!(once(&microsoft(Some(6.0), None)), key(7));
    let swapped = microsoft(Some(4.0), Some(Some(5.0)));
    let second = entries(&swapped, None, None, NOW).swap_remove(1);
    assert_eq!(second.warning.unwrap().once.unwrap(), key(7));
}

#[test]
fn a_secret_that_another_one_outlives_disquiets_nobody() {
    use Severity::{Notice, Urgent, Warning};
    let covered = Some(("secret_covered", Notice, false));
    let unknown = Some(("secret_expiry_unknown", Notice, false));
    let urgent = Some(("secret_expires_soon", Urgent, true));
    for (first, second, expected) in [
        (Some(5.0), Some(Some(400.0)), [covered, None]),
        (Some(-5.0), Some(Some(400.0)), [covered, None]),
        (Some(400.0), Some(Some(5.0)), [None, covered]),
        // The one that goes on warns for itself.
        (Some(2.0), Some(Some(5.0)), [covered, urgent]),
        (Some(5.0), Some(Some(5.0)), [urgent, urgent]),
        (
            Some(-9.0),
            Some(Some(-5.0)),
            [covered, Some(("secret_expired", Urgent, true))],
        ),
        // Nobody knows when the second ends: worth a line, no alarm.
        (
            Some(5.0),
            Some(None),
            [Some(("secret_covered", Warning, true)), unknown],
        ),
        (Some(200.0), Some(None), [None, unknown]),
        (None, Some(Some(200.0)), [unknown, None]),
    ] {
        let provider = microsoft(first, second);
        assert_eq!(judged(&provider, None), expected, "{first:?} {second:?}");
    }
    let mut twice = microsoft(Some(5.0), Some(Some(400.0)));
    twice.entered.second_secret = twice.entered.client_secret.clone();
    assert_eq!(
        judged(&twice, None),
        [urgent],
        "the same secret entered twice"
    );
}

#[test]
fn a_certificate_is_judged_by_its_own_end() {
    use Severity::{Notice, Urgent};
    let mut provider = microsoft(Some(5.0), None);
    provider.entered.certificate = Some(crate::model::ClientCertificate {
        certificate: String::new(),
        private_key: SecretString::default(),
    });
    let covered = Some(("secret_covered", Notice, false));
    assert_eq!(judged(&provider, Some(in_days(300.0))), [None, covered]);
    provider.entered.client_secret = SecretString::default();
    for (days, code) in [
        (6.0, "certificate_expires_soon"),
        (-1.0, "certificate_expired"),
    ] {
        let found = judged(&provider, Some(in_days(days)));
        assert_eq!(found, [Some((code, Urgent, true))]);
    }
    // No certificate lasts too long, and one that cannot be read is not the calendar's matter.
    assert_eq!(judged(&provider, Some(in_days(3_000.0))), [None]);
    assert_eq!(judged(&provider, None), [None]);
}

#[test]
fn google_secrets_have_no_end_unless_somebody_enters_one() {
    let google = |first| provider_of(CloudService::Google, first, None);
    assert_eq!(judged(&google(None), None), [None]);
    assert_eq!(judged(&google(Some(900.0)), None), [None]);
    let urgent = Some(("secret_expires_soon", Severity::Urgent, true));
    assert_eq!(judged(&google(Some(3.0)), None), [urgent]);
}

fn grant(state: GrantState, signed_in: f64, refreshed: Option<f64>) -> Grant {
    Grant {
        provider: CloudProviderId::new(7),
        state,
        version: 1,
        access_token: None,
        access_expires_at: None,
        refresh_token: None,
        attempt: None,
        attempt_started_at: None,
        signed_in_as: None,
        tenant_id: None,
        object_id: None,
        confirmed_for: Vec::new(),
        signed_in_at: Some(in_days(signed_in)),
        refreshed_at: refreshed.map(in_days),
        scopes: None,
        reason: None,
        updated_at: NOW,
    }
}

#[test]
fn a_sign_in_is_counted_from_its_last_renewal() {
    use GrantState::{Missing, NeedsSignIn, Ok, Refreshing};
    use Severity::{Notice, Urgent, Warning};
    let near = "grant_idle_limit_near";
    for (state, refreshed, left, expected) in [
        (Ok, Some(-0.04), Some(90), None),
        (Refreshing, Some(-29.0), Some(61), None),
        (Ok, Some(-30.0), Some(60), Some((near, Notice))),
        (Ok, Some(-60.0), Some(30), Some((near, Warning))),
        (Ok, Some(-83.0), Some(7), Some((near, Urgent))),
        (
            Refreshing,
            Some(-90.0),
            Some(0),
            Some(("grant_idle_limit_over", Urgent)),
        ),
        // From before renewals were noted: the sign-in counts.
        (Ok, None, Some(-10), Some(("grant_idle_limit_over", Urgent))),
        (NeedsSignIn, Some(-100.0), None, None),
        (Missing, None, None, None),
    ] {
        let grant = grant(state, -100.0, refreshed);
        let mut found = entries(&microsoft(Some(300.0), None), Some(&grant), None, NOW);
        let entry = found.pop().filter(|entry| entry.kind == Kind::SignIn);
        assert_eq!(entry.is_some(), state != Missing);
        let entry = entry.as_ref();
        assert_eq!(
            entry.and_then(|entry| entry.days_left),
            left,
            "{state:?} {refreshed:?}"
        );
        let warning = entry.and_then(|entry| entry.warning.as_ref());
        let seen = warning.map(|warning| (warning.remark.code, warning.severity));
        assert_eq!(seen, expected, "{state:?} {refreshed:?}");
    }
}

#[test]
fn an_application_that_acts_for_itself_has_no_sign_in_to_lose() {
    let mut provider = microsoft(Some(300.0), None);
    provider.entered.access = Access::Application;
    let grant = grant(GrantState::Ok, -100.0, Some(-100.0));
    assert_eq!(entries(&provider, Some(&grant), None, NOW).len(), 1);
}

#[test]
fn google_gives_six_months_and_seven_days_in_testing() {
    let google = provider_of(CloudService::Google, None, None);
    let code = |signed_in, refreshed| {
        let grant = grant(GrantState::Ok, signed_in, Some(refreshed));
        let entry = entries(&google, Some(&grant), None, NOW).pop().unwrap();
        let warning = entry.warning?;
        Some((warning.remark.code, warning.once.is_some()))
    };
    assert_eq!(code(-3.0, -0.1), Some(("google_testing_limit", false)));
    assert_eq!(code(-7.0, -0.1), None);
    assert_eq!(code(-200.0, -100.0), None);
    assert_eq!(code(-200.0, -130.0), Some(("grant_idle_limit_near", true)));
}
