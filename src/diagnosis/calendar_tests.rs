//! Each occasion's code, dates and next step.

use super::*;

const DUE: Timestamp = Timestamp::from_millis(1_800_000_000_000); // 2027-01-15 08:00 UTC

fn provider() -> Named<'static> {
    Named {
        id: 7,
        name: "Our tenant",
    }
}

#[test]
fn each_occasion_has_its_code_its_date_and_a_command_or_a_way() {
    let ends = |kind, days_left| Occasion::CredentialEnds {
        provider: provider(),
        service: CloudService::MicrosoftAzure,
        kind,
        ends: DUE,
        days_left,
    };
    let idle = |days_left| Occasion::SignInIdle {
        provider: provider(),
        service: CloudService::Google,
        renewed: DUE,
        ends: DUE,
        days_left,
    };
    use CredentialKind::{Certificate, FirstSecret, SecondSecret};
    let table = [
        (
            ends(FirstSecret, 6),
            "secret_expires_soon",
            "in 6 days",
            "update-secret 7",
        ),
        (
            ends(SecondSecret, 1),
            "secret_expires_soon",
            "in 1 day.",
            "New client secret",
        ),
        (
            ends(FirstSecret, 0),
            "secret_expired",
            "2027-01-15",
            "update-secret 7",
        ),
        (
            ends(Certificate, 30),
            "certificate_expires_soon",
            "certificate of",
            "upload it",
        ),
        (
            ends(Certificate, -3),
            "certificate_expired",
            "2027-01-15",
            "provider edit 7 --certificate FILE",
        ),
        (
            Occasion::CredentialCovered {
                provider: provider(),
                kind: FirstSecret,
                ends: DUE,
                ended: false,
                by: Credential {
                    kind: SecondSecret,
                    ends: Some(DUE),
                },
            },
            "secret_covered",
            "the second client secret goes on until 2027-01-15",
            "Nothing",
        ),
        (
            Occasion::SecretExpiryUnknown {
                provider: provider(),
                kind: FirstSecret,
            },
            "secret_expiry_unknown",
            "Our tenant",
            "provider edit 7 --secret-expires DATE",
        ),
        (
            Occasion::SecretExpiryTooFar {
                provider: provider(),
                kind: SecondSecret,
                ends: DUE,
            },
            "secret_expiry_too_far",
            "24 months",
            "provider edit 7 --second-secret-expires DATE",
        ),
        (
            idle(30),
            "grant_idle_limit_near",
            "in 30 days",
            "authenticate 7",
        ),
        (
            idle(0),
            "grant_idle_limit_over",
            "2027-01-15",
            "authenticate 7",
        ),
        (
            Occasion::GoogleTesting {
                provider: provider(),
                ends: DUE,
            },
            "google_testing_limit",
            "2027-01-15",
            "authenticate 7",
        ),
        (
            Occasion::MailboxSilent {
                account: Named {
                    id: 1,
                    name: "SUPP1",
                },
                last: Some(DUE),
                since: DUE,
            },
            "mailbox_contact_old",
            "2027-01-15 08:00 UTC",
            "account show SUPP1",
        ),
        (
            Occasion::MailboxSilent {
                account: Named {
                    id: 1,
                    name: "SUPP1",
                },
                last: None,
                since: DUE,
            },
            "mailbox_contact_old",
            "has had no contact since",
            "account sync SUPP1",
        ),
        (
            Occasion::SendingSilent {
                account: Named {
                    id: 1,
                    name: "SUPP1",
                },
                last: Some(DUE),
                since: DUE,
            },
            "sending_contact_old",
            "2027-01-15 08:00 UTC",
            "account show SUPP1",
        ),
        (
            Occasion::SendingSilent {
                account: Named {
                    id: 1,
                    name: "SUPP1",
                },
                last: None,
                since: DUE,
            },
            "sending_contact_old",
            "has taken no login since",
            "account sync SUPP1",
        ),
    ];
    for (occasion, code, what, next) in table {
        let said = remark(&occasion);
        assert_eq!(said.code, code);
        assert!(said.what.contains(what), "{said:?}");
        assert!(said.next.contains(next), "{said:?}");
        assert!(!said.why.is_empty());
    }
}
