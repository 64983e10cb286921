//! Entra's numbers that ask for the person who signed in.

use super::{Row, entry, oauth::Mark};
use crate::model::Action::SignInAgain;

pub(super) const PERSON: &[Row<Mark>] = &[
    (
        Mark::Numbers(&[65001]),
        entry(
            "sign_in_consent",
            SignInAgain,
            "Nobody has consented to the application of {provider} for this person.",
            "",
            "{sign_in} Accept the permissions; if only an administrator may, they use Grant admin consent in the Entra portal, \
             Enterprise applications, Permissions.",
        ),
    ),
    (
        Mark::Numbers(&[65004]),
        entry(
            "sign_in_declined",
            SignInAgain,
            "The person declined the permissions.",
            "",
            "Sign in again and accept.",
        ),
    ),
    (
        Mark::Numbers(&[50020]),
        entry(
            "sign_in_wrong_account",
            SignInAgain,
            "The person who signed in does not belong to the tenant of {provider}.",
            "A browser that is signed in with another account takes that one by itself.",
            "Sign in again with the right account (Use another account), or an administrator adds this one as a guest.",
        ),
    ),
    (
        Mark::Numbers(&[50034, 51004, 16000, 16003, 50014, 90072]),
        entry(
            "sign_in_wrong_account",
            SignInAgain,
            "The account that signed in does not exist in the tenant of {provider}.",
            "",
            "Sign in again with an account of this tenant (Use another account); check the Tenant Id of the cloud provider.",
        ),
    ),
    (
        Mark::Numbers(&[500208]),
        entry(
            "sign_in_personal_account",
            SignInAgain,
            "A personal account was used where only work accounts are allowed.",
            "",
            "Sign in again with a work account, or allow personal accounts in the app registration and use the tenant common.",
        ),
    ),
    (
        Mark::Numbers(&[50126, 50056, 50064]),
        entry(
            "sign_in_password_wrong",
            SignInAgain,
            "User name or password of the sign-in are wrong.",
            "",
            "{sign_in}",
        ),
    ),
    (
        Mark::Numbers(&[50055, 50144]),
        entry(
            "sign_in_password_expired",
            SignInAgain,
            "The password of the person who signed in has expired.",
            "",
            "They set a new password (https://aka.ms/sspr). {sign_in}",
        ),
    ),
    (
        Mark::Numbers(&[50058]),
        entry(
            "sign_in_interaction",
            SignInAgain,
            "The identity platform wants to see the person who signed in.",
            "There is no session in the browser.",
            "{sign_in}",
        ),
    ),
    (
        Mark::Numbers(&[50072, 50079]),
        entry(
            "sign_in_mfa_enrol",
            SignInAgain,
            "The person who signed in must register for multi-factor authentication first.",
            "An administrator has changed the rules, or they come from a new place.",
            "They register at https://aka.ms/mfasetup. {sign_in}",
        ),
    ),
    (
        Mark::Numbers(&[50074, 50076]),
        entry(
            "sign_in_mfa",
            SignInAgain,
            "The tenant now demands multi-factor authentication.",
            "An administrator has changed the rules, or the account has moved.",
            "{sign_in} Pass the second factor this time.",
        ),
    ),
    (
        Mark::Numbers(&[50078]),
        entry(
            "sign_in_mfa_expired",
            SignInAgain,
            "The multi-factor authentication of the sign-in is too old for the tenant's policy.",
            "A sign-in frequency of Conditional Access disconnects accounts every so many days.",
            "{sign_in} To end it for good, an administrator opens the Entra portal, Protection, Conditional Access, the policy, \
             Session, and excludes this account or sets Sign-in frequency to 365 days; Diagnose and solve problems in the portal \
             names the policy.",
        ),
    ),
    (
        Mark::Numbers(&[50158, 50161]),
        entry(
            "sign_in_external_challenge",
            SignInAgain,
            "Another service (a second factor or terms of use) has to see the person who signed in.",
            "",
            "{sign_in}",
        ),
    ),
    (
        Mark::Numbers(&[70000]),
        entry(
            "sign_in_grant_unknown",
            SignInAgain,
            "The identity platform does not know the stored sign-in of {provider}.",
            "It is of another application or tenant, or was damaged.",
            "{sign_in}",
        ),
    ),
    (
        Mark::Numbers(&[70008]),
        entry(
            "sign_in_expired",
            SignInAgain,
            "The sign-in of {provider} has expired or was revoked.",
            "",
            "{sign_in}",
        ),
    ),
    (
        Mark::Numbers(&[700082]),
        entry(
            "sign_in_idle_too_long",
            SignInAgain,
            "The sign-in of {provider} was not used for 90 days, so it ended.",
            "The service was stopped or the accounts were switched off for that long.",
            "{sign_in} While it is in use it is kept alive by itself.",
        ),
    ),
    (
        Mark::Numbers(&[700084]),
        entry(
            "sign_in_spa",
            SignInAgain,
            "The sign-in of {provider} ended after 24 hours, as every one will.",
            "The redirect URI is registered under platform Single-page application.",
            "An administrator opens the Entra portal, App registrations, Authentication, removes the redirect URI from \
             Single-page application and adds it under Web. {sign_in}",
        ),
    ),
    (
        Mark::Numbers(&[70043]),
        entry(
            "sign_in_frequency",
            SignInAgain,
            "The tenant's policy ended the sign-in of {provider}: its sign-in frequency is over.",
            "Conditional Access disconnects accounts every so many days (often 15 to 90).",
            "{sign_in} To end it for good, an administrator opens the Entra portal, Protection, Conditional Access, the policy, \
             Session, and excludes this account or sets Sign-in frequency to 365 days; Diagnose and solve problems in the portal \
             names the policy.",
        ),
    ),
    (
        Mark::Numbers(&[50173]),
        entry(
            "sign_in_revoked",
            SignInAgain,
            "The sign-in of {provider} was revoked.",
            "An administrator reset the password or used Revoke sessions, or the person signed out everywhere.",
            "{sign_in} If it happens again and again, an administrator looks for who revokes it: Entra portal, Monitoring, Audit \
             logs, and Diagnose and solve problems.",
        ),
    ),
    (
        Mark::Numbers(&[50132, 50133]),
        entry(
            "sign_in_password_changed",
            SignInAgain,
            "The sign-in of {provider} ended with the password that it was made with.",
            "The password was changed or has expired.",
            "{sign_in}",
        ),
    ),
    (
        Mark::Numbers(&[50089]),
        entry(
            "sign_in_too_slow",
            SignInAgain,
            "The sign-in took too long.",
            "",
            "Begin the sign-in again and finish it within ten minutes.",
        ),
    ),
    (
        Mark::Numbers(&[54005]),
        entry(
            "sign_in_code_used",
            SignInAgain,
            "The code of this sign-in was used already.",
            "The page was loaded twice.",
            "If {provider} shows who signed in, all is well; otherwise begin the sign-in again.",
        ),
    ),
    (
        Mark::Numbers(&[501481, 50147, 501491]),
        entry(
            "sign_in_mixed_up",
            SignInAgain,
            "The answer belongs to another sign-in than the one that was begun last.",
            "Two were begun in two windows.",
            "Close all but one window and begin the sign-in again. {report}",
        ),
    ),
    (
        Mark::Numbers(&[700020]),
        entry(
            "sign_in_interaction",
            SignInAgain,
            "The identity platform wants to see the person who signed in.",
            "",
            "{sign_in}",
        ),
    ),
];
