//! What a failed refresh means for its grant. Pure.

use crate::{
    diagnosis::LOST_ANSWER,
    oauth::{OauthError, Reach, Refusal},
};

/// What becomes of the grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Only a person who signs in again can help; for this reason.
    Dead(String),
    /// The platform refuses the grant in words that it also uses for trouble that passes: asked once more,
    /// later, and believed then.
    Doubtful,
    /// It stays good; the platform did not do what was asked.
    Refused,
    /// It stays good, but whether the platform did it is not known: the next refresh may meet a refresh
    /// token that has been replaced.
    Unknown,
}

/// What is known of the grant besides.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    /// An earlier refresh's outcome is not known.
    pub(super) interrupted: bool,
    /// The platform refused this very refresh token before, in words that left doubt.
    pub(super) doubted: bool,
    /// The application itself has the access: there is nobody to sign in.
    pub(super) application: bool,
}

/// Judges.
pub(super) fn judge(error: &OauthError, before: Before) -> Judgement {
    if before.application {
        return Judgement::Refused;
    }
    let OauthError::Refused(refusal) = error else {
        return if before.interrupted || outcome_unknown(error) {
            Judgement::Unknown
        } else {
            Judgement::Refused
        };
    };
    if !error.needs_sign_in() {
        // The platform looked at the application, the policy or the load, and not yet at the refresh token.
        return if before.interrupted {
            Judgement::Unknown
        } else {
            Judgement::Refused
        };
    }
    if before.interrupted {
        return Judgement::Dead(format!(
            "{LOST_ANSWER} before it could be recorded, and the platform does not take the older refresh token any more; {error}"
        ));
    }
    if before.doubted || certain(refusal) {
        return Judgement::Dead(error.to_string());
    }
    Judgement::Doubtful
}

/// Whether the request may have been carried out although there is no answer to use.
fn outcome_unknown(error: &OauthError) -> bool {
    match error {
        OauthError::Unreachable { reach, .. } => matches!(reach, Reach::TimedOut | Reach::Broken),
        // 503 says that it was not carried out (RFC 9110 §15.6.4); a gateway's error or a crash do not.
        OauthError::Unavailable { status, .. } => *status != 503,
        OauthError::Nonsense { .. } => true,
        OauthError::Configuration { .. }
        | OauthError::Throttled { .. }
        | OauthError::Refused(_) => false,
    }
}

/// Whether one of the platform's numbers or finer words says that the grant is dead. Its plain word alone,
/// `invalid_grant`, covers trouble that passes as well.
fn certain(refusal: &Refusal) -> bool {
    // The same refusal with a word that says nothing about the grant: what is left is the numbers' verdict.
    let numbers_only = Refusal {
        error: "server_error".to_owned(),
        ..refusal.clone()
    };
    OauthError::Refused(Box::new(numbers_only)).needs_sign_in()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(error: &str, codes: &[u32], suberror: Option<&str>) -> OauthError {
        OauthError::Refused(Box::new(Refusal {
            status: 400,
            error: error.into(),
            description: "the platform's own words".into(),
            codes: codes.to_vec(),
            suberror: suberror.map(Into::into),
            trace_id: None,
            correlation_id: None,
        }))
    }

    fn unreachable(reach: Reach) -> OauthError {
        OauthError::Unreachable {
            reach,
            detail: String::new(),
        }
    }

    fn unavailable(status: u16) -> OauthError {
        OauthError::Unavailable {
            status,
            retry_after: None,
        }
    }

    const QUIET: Before = Before {
        interrupted: false,
        doubted: false,
        application: false,
    };

    #[test]
    fn a_number_is_believed_at_once_and_a_bare_word_the_second_time() {
        let doubted = Before {
            doubted: true,
            ..QUIET
        };
        let check = |codes: &[u32], suberror, first: bool| {
            let error = refused("invalid_grant", codes, suberror);
            let dead = Judgement::Dead(error.to_string());
            let at_first = if first {
                dead.clone()
            } else {
                Judgement::Doubtful
            };
            assert_eq!(judge(&error, QUIET), at_first, "{codes:?} {suberror:?}");
            assert_eq!(judge(&error, doubted), dead, "{codes:?} {suberror:?}");
        };
        check(&[700_082], None, true);
        check(&[50173], None, true);
        check(&[70000], None, true);
        check(&[], Some("bad_token"), true);
        check(&[], None, false);
        check(&[123_456_789], None, false);
    }

    #[test]
    fn a_refusal_after_a_lost_answer_says_so_and_is_final() {
        let before = Before {
            interrupted: true,
            ..QUIET
        };
        let error = refused("invalid_grant", &[], None);
        let Judgement::Dead(reason) = judge(&error, before) else {
            panic!("not final");
        };
        assert!(
            reason.starts_with("the answer to an earlier refresh was lost"),
            "{reason}"
        );
        assert!(reason.contains("invalid_grant"), "{reason}");
        assert!(reason.contains("the platform's own words"), "{reason}");
        // Passing trouble does not make it known what became of the earlier one.
        for error in [
            unavailable(503),
            unreachable(Reach::Name),
            refused("invalid_client", &[7_000_215], None),
            OauthError::Throttled { retry_after: None },
        ] {
            assert_eq!(judge(&error, before), Judgement::Unknown, "{error}");
        }
    }

    #[test]
    fn an_answer_that_did_not_come_leaves_the_outcome_open() {
        let nonsense = OauthError::Nonsense {
            status: 200,
            what: "cut off".into(),
        };
        for (error, judgement) in [
            (unreachable(Reach::Name), Judgement::Refused),
            (unreachable(Reach::Connect), Judgement::Refused),
            (unreachable(Reach::Proxy), Judgement::Refused),
            (unreachable(Reach::Certificate), Judgement::Refused),
            (unreachable(Reach::TimedOut), Judgement::Unknown),
            (unreachable(Reach::Broken), Judgement::Unknown),
            (unavailable(503), Judgement::Refused),
            (unavailable(500), Judgement::Unknown),
            (unavailable(504), Judgement::Unknown),
            (nonsense, Judgement::Unknown),
            (
                OauthError::Throttled { retry_after: None },
                Judgement::Refused,
            ),
            (
                refused("invalid_client", &[7_000_215], None),
                Judgement::Refused,
            ),
        ] {
            assert_eq!(judge(&error, QUIET), judgement, "{error}");
        }
    }

    #[test]
    fn an_application_is_never_asked_to_sign_in() {
        let before = Before {
            application: true,
            interrupted: true,
            doubted: true,
        };
        for error in [
            refused("invalid_grant", &[700_082], None),
            refused("consent_required", &[65001], None),
            unavailable(500),
        ] {
            assert_eq!(judge(&error, before), Judgement::Refused, "{error}");
        }
    }
}
