//! Secrets, certificates and sign-ins of a cloud provider. Pure.

use secrecy::ExposeSecret as _;

use super::{
    Entry, Kind, Severity, Subject, Warning,
    entry::{DAY_MILLIS, days_left, threshold},
};
use crate::{
    diagnosis::{Credential, Named, Occasion, remark},
    model::{Access, CloudProvider, CloudService, CredentialKind, Grant, GrantState, Timestamp},
};

/// No secret of Entra lasts longer: 24 months, with a day for time zones.
const LONGEST_SECRET: i64 = (2 * 365 + 2) * DAY_MILLIS;
/// Entra ends a refresh token that was not used for this long.
const MICROSOFT_IDLE: i64 = 90 * DAY_MILLIS;
/// Google: six months; the shortest six months have 181 days.
const GOOGLE_IDLE: i64 = 181 * DAY_MILLIS;
/// Google: a sign-in to a project in Testing.
const GOOGLE_TESTING: i64 = 7 * DAY_MILLIS;

/// The provider's lines: one for each credential, one for its sign-in. `certificate_ends` is the not-after of
/// its certificate, where that could be read.
pub(super) fn entries(
    provider: &CloudProvider,
    grant: Option<&Grant>,
    certificate_ends: Option<Timestamp>,
    now: Timestamp,
) -> Vec<Entry> {
    let credentials = credentials(provider, certificate_ends);
    let mut entries: Vec<Entry> = credentials
        .iter()
        .map(|one| Entry {
            kind: Kind::Credential(one.kind),
            due: one.ends,
            days_left: one.ends.map(|ends| days_left(ends, now)),
            warning: credential(provider, *one, &credentials, now),
            ..line(provider)
        })
        .collect();
    entries.extend(grant.and_then(|grant| sign_in(provider, grant, now)));
    entries
}

fn line(provider: &CloudProvider) -> Entry {
    Entry {
        kind: Kind::SignIn,
        subject: Subject::Provider(provider.id),
        name: provider.entered.name.clone(),
        since: None,
        last: None,
        due: None,
        days_left: None,
        warning: None,
    }
}

fn named(provider: &CloudProvider) -> Named<'_> {
    Named {
        id: provider.id.get(),
        name: &provider.entered.name,
    }
}

fn credentials(provider: &CloudProvider, certificate_ends: Option<Timestamp>) -> Vec<Credential> {
    let entered = &provider.entered;
    let same = entered.client_secret.expose_secret() == entered.second_secret.expose_secret();
    entered
        .credentials()
        .into_iter()
        // The same secret entered twice covers nothing.
        .filter(|kind| !(*kind == CredentialKind::SecondSecret && same))
        .map(|kind| Credential {
            kind,
            ends: match kind {
                CredentialKind::Certificate => certificate_ends,
                CredentialKind::FirstSecret => entered.client_secret_expires_at,
                CredentialKind::SecondSecret => entered.second_secret_expires_at,
            },
        })
        .collect()
}

/// What is to be said about one credential beside the others.
fn credential(
    provider: &CloudProvider,
    one: Credential,
    all: &[Credential],
    now: Timestamp,
) -> Option<Warning> {
    let microsoft = provider.entered.service == CloudService::MicrosoftAzure;
    let is_secret = one.kind != CredentialKind::Certificate;
    let kind = one.kind;
    let provider_named = named(provider);
    let only_shown = |occasion| Warning {
        severity: Severity::Notice,
        remark: remark(&occasion),
        once: None,
    };
    let Some(ends) = one.ends else {
        // Google's secrets have no end, and a certificate that cannot be read is the sign-in's matter.
        return (microsoft && is_secret).then(|| {
            only_shown(Occasion::SecretExpiryUnknown {
                provider: provider_named,
                kind,
            })
        });
    };
    let far = ends.millis().saturating_sub(now.millis()) > LONGEST_SECRET;
    if microsoft && is_secret && far {
        return Some(only_shown(Occasion::SecretExpiryTooFar {
            provider: provider_named,
            kind,
            ends,
        }));
    }
    let (days, severity) = threshold(ends, now)?;
    let once = |word| {
        let id = provider.id;
        Some(format!("calendar/{word}/{id}/{}/{days}", ends.millis()))
    };
    let covered = |by| Occasion::CredentialCovered {
        provider: provider_named,
        kind,
        ends,
        ended: ends <= now,
        by,
    };
    let others = || all.iter().filter(|other| other.kind != kind).copied();
    if let Some(by) = others().find(|other| other.ends.is_some_and(|until| until > ends)) {
        // The other one warns when its own time comes.
        return Some(only_shown(covered(by)));
    }
    if let Some(by) = others().find(|other| other.ends.is_none()) {
        // It may be older than this one: worth saying, no alarm.
        return Some(Warning {
            severity: severity.min(Severity::Warning),
            remark: remark(&covered(by)),
            once: once("covered"),
        });
    }
    Some(Warning {
        severity,
        remark: remark(&Occasion::CredentialEnds {
            provider: provider_named,
            service: provider.entered.service,
            kind,
            ends,
            days_left: days_left(ends, now),
        }),
        // Not by first and second: they change places.
        once: once(if is_secret { "secret" } else { "certificate" }),
    })
}

/// The grant's age, last use and idle limit. An application that opens mailboxes in its own name has no
/// refresh token that could idle.
fn sign_in(provider: &CloudProvider, grant: &Grant, now: Timestamp) -> Option<Entry> {
    if provider.entered.access == Access::Application || grant.state == GrantState::Missing {
        return None;
    }
    let service = provider.entered.service;
    let last = grant.refreshed_at.max(grant.signed_in_at);
    let alive = matches!(grant.state, GrantState::Ok | GrantState::Refreshing);
    let idle = match service {
        CloudService::MicrosoftAzure => MICROSOFT_IDLE,
        CloudService::Google => GOOGLE_IDLE,
    };
    let later =
        |from: Timestamp, millis: i64| Timestamp::from_millis(from.millis().saturating_add(millis));
    let due = last.filter(|_| alive).map(|last| later(last, idle));
    let idle = last.zip(due).and_then(|(renewed, ends)| {
        let (days, severity) = threshold(ends, now)?;
        Some(Warning {
            severity,
            remark: remark(&Occasion::SignInIdle {
                provider: named(provider),
                service,
                renewed,
                ends,
                days_left: days_left(ends, now),
            }),
            once: Some(format!(
                "calendar/idle/{}/{}/{days}",
                provider.id,
                ends.millis()
            )),
        })
    });
    let testing = grant
        .signed_in_at
        .filter(|_| alive && service == CloudService::Google)
        .map(|at| later(at, GOOGLE_TESTING))
        .filter(|ends| *ends > now)
        .map(|ends| Warning {
            severity: Severity::Notice,
            remark: remark(&Occasion::GoogleTesting {
                provider: named(provider),
                ends,
            }),
            once: None,
        });
    Some(Entry {
        since: grant.signed_in_at,
        last,
        due,
        days_left: due.map(|due| days_left(due, now)),
        warning: idle.or(testing),
        ..line(provider)
    })
}

#[cfg(test)]
#[path = "providers_tests.rs"]
mod tests;
