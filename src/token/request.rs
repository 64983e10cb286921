//! One round of asking a platform for tokens: a request, and a second one with the next credential where the
//! platform refuses the first.

use tracing::warn;

use super::{issuer::Pass, keeper::Inner, slot::Slot};
use crate::{
    model::{Access, CredentialKind, Grant, NewCloudProvider},
    oauth::{Answer, Credential, OauthError},
};

/// What came of a round.
pub(super) struct Asked {
    pub(super) answer: Result<Answer, OauthError>,
    /// The platform refused the first client secret in these words and took the second.
    pub(super) swap: Option<OauthError>,
}

/// Asks. At most two requests go out, the second within the platform's rate as well.
pub(super) async fn ask(
    keeper: &Inner,
    slot: &Slot,
    entered: &NewCloudProvider,
    grant: &Grant,
    pass: Option<Pass>,
) -> Asked {
    let mut order = in_order(entered.credentials(), slot.credential()).into_iter();
    let first = order.next();
    let answer = send(keeper, entered, first, grant).await;
    let refused = answer.as_ref().err().filter(|error| error.refuses_client());
    let (Some(refused), Some(next)) = (refused.cloned(), order.next()) else {
        finish(keeper, pass, &answer);
        return Asked { answer, swap: None };
    };
    if let Some(pass) = &pass {
        pass.again().await;
    }
    let second = send(keeper, entered, Some(next), grant).await;
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
