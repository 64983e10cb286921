//! What a refusal asks of whom: one table over the platform's words and numbers.
//!
//! Microsoft says that programs should go by `error` and that numbers may change; yet one word,
//! `invalid_grant`, covers a dead grant, a policy that an administrator can lift while the grant stays
//! good, and trouble that passes by itself. So a number from the published list decides where it is
//! known, and the word decides everywhere else (learn.microsoft.com, "Microsoft Entra authentication and
//! authorization error codes"; Google knows the words only).

use std::time::Duration;

use super::error::Refusal;

/// What to do about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The grant is dead: a person has to sign in (again).
    SignIn,
    /// An administrator has to change something; the refresh token survives.
    Administrator,
    /// Passing trouble.
    Retry,
    /// Stay away for this long.
    Hold(Duration),
}

/// After "client request loop detected": several minutes.
const LOOP_HOLD: Duration = Duration::from_secs(10 * 60);
/// After a lock-out or a throttled tenant.
const LONG_HOLD: Duration = Duration::from_secs(15 * 60);
/// The device flow: five seconds more between two polls.
const SLOW_DOWN: Duration = Duration::from_secs(5);

/// Judges a refusal: the first number the table knows, else the finer word, else the word.
pub fn verdict(refusal: &Refusal) -> Verdict {
    refusal
        .codes
        .iter()
        .find_map(|&code| by_code(code))
        .or_else(|| refusal.suberror.as_deref().and_then(by_suberror))
        .unwrap_or_else(|| by_error(&refusal.error, refusal.status))
}

/// Whether the refusal is about what the application proves itself with (see
/// [`OauthError::refuses_client`](super::OauthError::refuses_client)).
pub(super) fn refuses_client(refusal: &Refusal) -> bool {
    let known = refusal.codes.iter().find_map(|&code| match code {
        // Secret: wrong, expired, absent. Assertion: signature, subject, issuer, audience, time. Neither sent.
        50012 | 70002 | 700021 | 700023 | 700024 | 700027 | 700030 | 7000215 | 7000216
        | 7000218 | 7000222 => Some(true),
        // A public client, an application that is disabled or not found, a wrong tenant or cloud: some come
        // with the word `invalid_client`, and another credential helps with none.
        90002 | 90038 | 700016 | 700025 | 900382 | 900432 | 7000112 | 7000229 => Some(false),
        _ => None,
    });
    known.unwrap_or(refusal.error == "invalid_client")
}

/// The published numbers, by what they ask for. Read from the beginning.
const NUMBERS: &[(Verdict, &[u32])] = &[
    // Our requests looked like a loop to Microsoft: being quiet is the only cure.
    (Verdict::Hold(LOOP_HOLD), &[50196]),
    // Smart lock-out; tenant throttled.
    (Verdict::Hold(LONG_HOLD), &[50053, 90055]),
    // Directory unavailable, timeouts, throttled helpers, service faults.
    (
        Verdict::Retry,
        &[
            40010, 50000, 50033, 50087, 50088, 50166, 70012, 80002, 80014, 90006, 90012, 90024,
            90033, 90036, 90090, 90092,
        ],
    ),
    // Client secret or certificate: expired, wrong, missing, not wanted.
    (
        Verdict::Administrator,
        &[
            50012, 70002, 700021, 700024, 700025, 700027, 700030, 7000215, 7000216, 7000218,
            7000222,
        ],
    ),
    // Application disabled or not found; tenant or cloud wrong; endpoint does not fit the application.
    (
        Verdict::Administrator,
        &[
            50194, 70001, 90002, 90038, 90043, 90124, 90130, 700005, 700011, 700016, 900382,
            900432, 1000031, 7000112, 7000229, 9001023, 9002332,
        ],
    ),
    // Redirect URI; resource or licence missing; permission or scope not registered; admin consent.
    (
        Verdict::Administrator,
        &[
            50001, 50011, 65005, 70004, 70011, 28002, 28003, 90008, 90094, 90095, 90099, 500011,
            650052, 650053, 650054, 650056, 650057, 700022, 700023, 900971,
        ],
    ),
    // Tenant restrictions, account disabled, not assigned to the application.
    (
        Verdict::Administrator,
        &[50057, 50105, 500021, 500022, 500212, 500213],
    ),
    // Conditional Access: device, approved app, location, risk. Lifted by policy, not by signing in.
    (
        Verdict::Administrator,
        &[
            50097, 50129, 50131, 50135, 50155, 50187, 53000, 53001, 53002, 53003, 53004, 53005,
            53011, 530032, 530034, 530035,
        ],
    ),
    // Malformed request: our mistake or a proxy's.
    (
        Verdict::Administrator,
        &[
            90004, 90013, 90014, 90023, 90056, 90100, 900144, 900561, 9002313,
        ],
    ),
    // Grant expired, revoked, idle too long, of another client; sign-in frequency; password changed.
    (
        Verdict::SignIn,
        &[
            50089, 50132, 50133, 50173, 54005, 70000, 70008, 70043, 700082, 700084,
        ],
    ),
    // Interaction wanted: consent, MFA, password, session, another account, PKCE mix-up.
    (
        Verdict::SignIn,
        &[
            16000, 16003, 50014, 50020, 50034, 50055, 50056, 50058, 50064, 50072, 50074, 50076,
            50078, 50079, 50126, 50144, 50147, 50158, 50161, 51004, 65001, 65004, 90072, 500208,
            501481, 501491, 700020,
        ],
    ),
];

fn by_code(code: u32) -> Option<Verdict> {
    NUMBERS
        .iter()
        .find_map(|(verdict, numbers)| numbers.contains(&code).then_some(*verdict))
}

/// All numbers with their verdicts, for tests that hold other tables against this one.
#[cfg(test)]
pub(crate) fn numbers() -> impl Iterator<Item = (u32, Verdict)> {
    NUMBERS
        .iter()
        .flat_map(|(verdict, numbers)| numbers.iter().map(|number| (*number, *verdict)))
}

/// The numbers that stand in a description (`AADSTS70008: …`), in their order, at most eight: what comes
/// back through a browser, or was kept as text, has no list of its own.
pub fn numbers_in(description: &str) -> Vec<u32> {
    let number = |text: &str| {
        let digits = text.chars().take_while(char::is_ascii_digit);
        digits.collect::<String>().parse().ok()
    };
    let mut found = Vec::new();
    for text in description.split("AADSTS").skip(1) {
        match number(text) {
            Some(number) if !found.contains(&number) => found.push(number),
            _ => {}
        }
    }
    found.truncate(8);
    found
}

fn by_suberror(suberror: &str) -> Option<Verdict> {
    match suberror {
        "bad_token"
        | "token_expired"
        | "user_password_expired"
        | "consent_required"
        | "basic_action"
        | "additional_action" => Some(Verdict::SignIn),
        "protection_policy_required" | "device_authentication_failed" | "client_mismatch" => {
            Some(Verdict::Administrator)
        }
        _ => None,
    }
}

fn by_error(error: &str, status: u16) -> Verdict {
    match error {
        "invalid_grant"
        | "interaction_required"
        | "login_required"
        | "consent_required"
        | "access_denied"
        // Of a sign-in with a device code: it has to be begun anew.
        | "authorization_declined"
        | "expired_token"
        | "bad_verification_code" => Verdict::SignIn,
        "authorization_pending" => Verdict::Retry,
        "slow_down" => Verdict::Hold(SLOW_DOWN),
        "temporarily_unavailable" | "server_error" => Verdict::Retry,
        // invalid_client, unauthorized_client, invalid_scope, invalid_request, invalid_resource,
        // unsupported_grant_type and words we do not know: no retry of ours will cure them.
        _ if status < 500 => Verdict::Administrator,
        _ => Verdict::Retry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(error: &str, codes: &[u32], suberror: Option<&str>) -> Refusal {
        Refusal {
            status: 400,
            error: error.into(),
            description: String::new(),
            codes: codes.to_vec(),
            suberror: suberror.map(Into::into),
            trace_id: None,
            correlation_id: None,
        }
    }

    #[test]
    fn numbers_decide_where_they_are_known() {
        let check = |codes: &[u32], expected: Verdict| {
            assert_eq!(
                verdict(&refusal("invalid_grant", codes, None)),
                expected,
                "{codes:?}"
            );
        };
        check(&[70008], Verdict::SignIn);
        check(&[700082], Verdict::SignIn);
        check(&[50173], Verdict::SignIn);
        check(&[50076], Verdict::SignIn);
        check(&[7000222], Verdict::Administrator);
        check(&[7000215], Verdict::Administrator);
        check(&[53003], Verdict::Administrator);
        check(&[50057], Verdict::Administrator);
        check(&[90033], Verdict::Retry);
        check(&[90024], Verdict::Retry);
        check(&[50196], Verdict::Hold(LOOP_HOLD));
        check(&[90055], Verdict::Hold(LONG_HOLD));
        check(&[1, 90033], Verdict::Retry);
        check(&[50196, 70008], Verdict::Hold(LOOP_HOLD));
        check(&[123_456_789], Verdict::SignIn);
    }

    #[test]
    fn a_refused_credential_is_told_from_other_trouble() {
        let check = |error: &str, codes: &[u32], expected: bool| {
            let judged = refuses_client(&refusal(error, codes, None));
            assert_eq!(judged, expected, "{error} {codes:?}");
        };
        for code in [
            50012, 70002, 700021, 700023, 700024, 700027, 700030, 7_000_215, 7_000_216, 7_000_218,
            7_000_222,
        ] {
            check("invalid_client", &[code], true);
            check("something_new", &[code], true);
        }
        check("invalid_client", &[], true);
        check("invalid_client", &[123_456_789], true);
        check("invalid_client", &[700_025], false);
        check("invalid_client", &[7_000_112], false);
        check("unauthorized_client", &[700_016], false);
        check("invalid_grant", &[70008], false);
        check("invalid_grant", &[], false);
        check("unauthorized_client", &[], false);
    }

    #[test]
    fn words_decide_where_there_are_no_numbers() {
        let check = |error: &str, suberror: Option<&str>, expected: Verdict| {
            let judged = verdict(&refusal(error, &[], suberror));
            assert_eq!(judged, expected, "{error} {suberror:?}");
        };
        check("invalid_grant", None, Verdict::SignIn);
        check("interaction_required", None, Verdict::SignIn);
        check("authorization_declined", None, Verdict::SignIn);
        check("expired_token", None, Verdict::SignIn);
        check("bad_verification_code", None, Verdict::SignIn);
        check("consent_required", None, Verdict::SignIn);
        check("invalid_client", None, Verdict::Administrator);
        check("unauthorized_client", None, Verdict::Administrator);
        check("invalid_scope", None, Verdict::Administrator);
        check("something_new", None, Verdict::Administrator);
        check("temporarily_unavailable", None, Verdict::Retry);
        check("server_error", None, Verdict::Retry);
        check("authorization_pending", None, Verdict::Retry);
        check("slow_down", None, Verdict::Hold(SLOW_DOWN));
        check("expired_token", None, Verdict::SignIn);
        check("authorization_declined", None, Verdict::SignIn);
        check("invalid_grant", Some("bad_token"), Verdict::SignIn);
        check(
            "invalid_grant",
            Some("protection_policy_required"),
            Verdict::Administrator,
        );
    }

    #[test]
    fn numbers_are_found_in_text() {
        let text = "AADSTS50076: Due to a change\\r\\nAADSTS: none, AADSTS70043, AADSTS50076 again";
        assert_eq!(numbers_in(text), [50076, 70043]);
        assert!(numbers_in("AADSTS99999999999999").is_empty());
        assert_eq!(numbers_in(&"AADSTS1 ".repeat(9)), [1]);
    }

    #[test]
    fn no_number_has_two_verdicts() {
        let mut seen = std::collections::BTreeSet::new();
        for (number, _) in numbers() {
            assert!(seen.insert(number), "{number} stands twice");
        }
        assert!(seen.len() > 120);
    }
}
