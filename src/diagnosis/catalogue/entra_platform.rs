//! Entra's numbers about itself, and about requests that it does not understand.

use super::{Row, entry, oauth::Mark};
use crate::model::Action::{Administrator, HoldUntil, Retry};

pub(super) const PLATFORM: &[Row<Mark>] = &[
    (
        Mark::Numbers(&[50053]),
        entry(
            "entra_locked_out",
            HoldUntil,
            "The account that signed in is locked for a while, or signs in from an address with malicious activity.",
            "Too many wrong passwords, or the address of this server is blocked.",
            "Nothing at first: it is tried again when the lock-out is over. If it lasts, an administrator reads the reason in the \
             Entra portal, Monitoring, Sign-in logs, and unlocks the account or allows the address. {kept}",
        ),
    ),
    (
        Mark::Numbers(&[90055]),
        entry(
            "entra_tenant_throttled",
            HoldUntil,
            "The tenant makes too many requests and is slowed down.",
            "",
            "Nothing: it is asked again after a quarter of an hour. If it happens every day, look for other programs of the \
             tenant in the sign-in logs.",
        ),
    ),
    (
        Mark::Numbers(&[50196]),
        entry(
            "entra_client_loop",
            HoldUntil,
            "The identity platform took the requests of {provider} for a loop and wants quiet.",
            "The same request was made again and again, here or by another program with the same application id.",
            "Nothing at first: it is left alone for ten minutes. If it comes back, sign in again, and see that no other program \
             uses the same app registration and account.",
        ),
    ),
    (
        Mark::Numbers(&[
            90033, 50033, 50087, 50088, 90006, 90012, 90024, 90090, 70012, 40010, 50166, 80002,
            80014,
        ]),
        entry(
            "entra_unavailable",
            Retry,
            "A part of the identity platform does not answer at the moment.",
            "",
            "{itself} Mail goes on while the present access token lives. If it lasts, see https://status.azure.com.",
        ),
    ),
    (
        Mark::Numbers(&[50000, 90036, 90092]),
        entry(
            "entra_fault",
            Retry,
            "The identity platform met a fault of its own.",
            "",
            "{itself} If it lasts for hours, open a case with Microsoft support and name trace and correlation id.",
        ),
    ),
    (
        Mark::Numbers(&[
            9002313, 90004, 90013, 90014, 90023, 900144, 90100, 900561, 90056,
        ]),
        entry(
            "oauth_request_malformed",
            Administrator,
            "The identity platform does not understand the request.",
            "A proxy changed it, or this program made a mistake.",
            "Check XC_EMAIL_HTTPS_PROXY and the authority of the cloud provider. {report}",
        ),
    ),
];
