//! One round of asking a platform for tokens: a request, and a second one with the next credential where the
//! platform refuses the first.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::{issuer::Pass, keeper::Inner, slot::Slot};
use crate::{
    model::{Access, CredentialKind, Grant, NewCloudProvider},
    oauth::{Answer, Credential, OauthError, Reach},
};

/// What came of a round.
pub(super) struct Asked {
    pub(super) answer: Result<Answer, OauthError>,
    /// The platform refused the first client secret in these words and took the second.
    pub(super) swap: Option<OauthError>,
}

/// The time of one round. Nobody waits longer for an answer, since another node will ask then.
#[derive(Clone, Copy)]
pub(super) struct Round {
    until: Instant,
    /// With less time left no request is begun: it would be given up for its answer to be lost.
    least: Duration,
}

impl Round {
    /// Begins now. No request is begun in the last eighth.
    pub(super) fn begin(length: Duration) -> Self {
        Self {
            until: Instant::now() + length,
            least: length / 8,
        }
    }

    fn is_time(self) -> bool {
        self.until.saturating_duration_since(Instant::now()) >= self.least
    }

    async fn bound(
        self,
        asking: impl Future<Output = Result<Answer, OauthError>>,
    ) -> Result<Answer, OauthError> {
        let late = |detail: &str| OauthError::Unreachable {
            reach: Reach::TimedOut,
            detail: detail.to_owned(),
        };
        if !self.is_time() {
            return Err(late("the time for asking was over before it began"));
        }
        let answer = timeout_at(self.until, asking).await;
        answer.unwrap_or_else(|_| Err(late("no answer came in the time that one round may take")))
    }
}

/// Asks, for the time of the round at most. At most two requests go out, the second within the platform's rate as well.
pub(super) async fn ask(
    keeper: &Inner,
    slot: &Slot,
    entered: &NewCloudProvider,
    grant: &Grant,
    pass: Option<Pass>,
    round: Round,
) -> Asked {
    let mut order = in_order(entered.credentials(), slot.credential()).into_iter();
    let first = order.next();
    let answer = round.bound(send(keeper, entered, first, grant)).await;
    let refused = answer.as_ref().err().filter(|error| error.refuses_client());
    let (Some(refused), Some(next)) = (refused.cloned(), order.next()) else {
        finish(keeper, pass, &answer);
        return Asked { answer, swap: None };
    };
    if let Some(pass) = &pass {
        pass.again().await;
    }
    if !round.is_time() {
        // The refusal stands, and leaves nothing in doubt.
        finish(keeper, pass, &answer);
        return Asked { answer, swap: None };
    }
    let second = round.bound(send(keeper, entered, Some(next), grant)).await;
    finish(keeper, pass, &second);
    let provider = slot.provider;
    match second {
        Ok(answer) => {
            slot.set_credential(next);
            let of_secrets =
                first == Some(CredentialKind::FirstSecret) && next == CredentialKind::SecondSecret;
            if !of_secrets {
                warn!(%provider, error = %refused, refused = name(first), used = name(Some(next)), "the identity platform refuses a credential and takes the next one: enter a new one in its place");
            }
            Asked {
                answer: Ok(answer),
                swap: of_secrets.then_some(refused),
            }
        }
        Err(error) if error.refuses_client() => {
            warn!(%provider, error = %error, refused = name(Some(next)), "the identity platform refuses the next credential as well");
            // What comes first is what an administrator looks at first.
            Asked {
                answer: Err(refused),
                swap: None,
            }
        }
        // The credential was taken; the grant, the load or the line is what is wrong.
        Err(error) => Asked {
            answer: Err(error),
            swap: None,
        },
    }
}

/// Tells the platform's gate, and the other grants if it was not well before.
fn finish(keeper: &Inner, pass: Option<Pass>, answer: &Result<Answer, OauthError>) {
    let Some(pass) = pass else { return };
    if let Some(issuer) = pass.ended(answer.as_ref().err()) {
        let slots: Vec<_> = keeper.slots().values().cloned().collect();
        for slot in slots {
            slot.issuer_healed(&issuer);
        }
        keeper.tell();
    }
}

/// The credential that worked last before the others.
fn in_order(
    mut credentials: Vec<CredentialKind>,
    preferred: Option<CredentialKind>,
) -> Vec<CredentialKind> {
    credentials.sort_by_key(|kind| Some(*kind) != preferred);
    credentials
}

fn name(kind: Option<CredentialKind>) -> &'static str {
    match kind {
        Some(CredentialKind::Certificate) => "certificate",
        Some(CredentialKind::FirstSecret) => "client secret",
        Some(CredentialKind::SecondSecret) => "second client secret",
        None => "none",
    }
}

async fn send(
    keeper: &Inner,
    entered: &NewCloudProvider,
    kind: Option<CredentialKind>,
    grant: &Grant,
) -> Result<Answer, OauthError> {
    let credential = kind.map_or(Credential::None, |kind| Credential::of(entered, kind));
    let oauth = keeper.oauth.of(grant.provider);
    match (entered.access, &grant.refresh_token) {
        (Access::Application, _) => oauth.client_credentials(entered, credential).await,
        (Access::Delegated, Some(token)) => oauth.refresh(entered, credential, token).await,
        (Access::Delegated, None) => Err(OauthError::Configuration {
            field: "access",
            detail: "it is delegated, and nobody has signed in".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_round_ends_in_time_and_begins_nothing_at_its_end() {
        let seconds = Duration::from_secs;
        let refused = || OauthError::Throttled { retry_after: None };
        // (when it is asked, how long the answer takes, whether it was begun, when it is known)
        for (asked, takes, begun, known) in [
            (0, 39, true, 39),
            (0, 41, true, 40),
            (34, 3, true, 37),
            (35, 9, true, 40),
            (36, 1, false, 36),
            (50, 1, false, 50),
        ] {
            let (round, start) = (Round::begin(seconds(40)), Instant::now());
            tokio::time::sleep(seconds(asked)).await;
            let mut was_begun = false;
            let asking = async {
                was_begun = true;
                tokio::time::sleep(seconds(takes)).await;
                Err(refused())
            };
            let answer = round.bound(asking).await;
            let answered = matches!(answer, Err(OauthError::Throttled { .. }));
            let case = (asked, takes);
            let took = start.elapsed().as_secs();
            assert_eq!((was_begun, took), (begun, known), "{case:?}");
            assert_eq!(answered, begun && asked + takes <= 40, "{case:?}");
        }
    }

    #[test]
    fn the_credential_that_worked_last_is_used_first() {
        use CredentialKind::{Certificate, FirstSecret, SecondSecret};
        let all = vec![Certificate, FirstSecret, SecondSecret];
        for (preferred, expected) in [
            (None, [Certificate, FirstSecret, SecondSecret]),
            (Some(Certificate), [Certificate, FirstSecret, SecondSecret]),
            (Some(FirstSecret), [FirstSecret, Certificate, SecondSecret]),
            (Some(SecondSecret), [SecondSecret, Certificate, FirstSecret]),
        ] {
            assert_eq!(in_order(all.clone(), preferred), expected);
        }
        assert!(in_order(Vec::new(), Some(FirstSecret)).is_empty());
    }
}
