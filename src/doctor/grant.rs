//! The sign-in: whether there is one, whose it is, whether it still gives tokens, and what it may do.

use super::{
    Item, Parts, Verdict, Wish,
    course::{Course, Found},
};
use crate::{
    diagnosis::{Context, Failure, Finding, Right},
    model::{Access, Account, CloudProvider, CloudProviderId, Grant, GrantState},
    oauth,
    store::StoreError,
    token::{Token, TokenError},
};

/// What a grant gave.
#[derive(Default)]
pub(super) struct Given {
    pub(super) token: Option<Token>,
    /// What the grant lacks; `None`: there is no grant to ask.
    pub(super) missing: Option<Vec<String>>,
}

/// Looks at the grant of a provider and takes an access token.
pub(super) async fn examine(
    course: &mut Course<'_>,
    parts: &Parts,
    account: &Account,
    provider: CloudProviderId,
    wish: Wish,
    context: &Context,
) -> Given {
    course.begin();
    let behind = [Item::Identity, Item::Token, Item::Scopes];
    let (provider, grant) = match stored(parts, provider).await {
        Ok((Some(provider), grant)) => (provider, grant),
        Ok((None, _)) => {
            let found = Found::failed(&Failure::ProviderMissing, context);
            course.note(Item::Grant, found).await;
            course.skip(&behind, Item::Grant).await;
            return Given::default();
        }
        Err(error) => {
            let found = Found::failed(&Failure::Store(error), context);
            course.note(Item::Grant, found).await;
            course.skip(&behind, Item::Grant).await;
            return Given::default();
        }
    };
    let name = provider.entered.name.clone();
    // Where no person signs in, the first token makes the grant.
    let by_itself = provider.entered.access == Access::Application;
    if by_itself && grant.is_none() {
        course
            .note(
                Item::Grant,
                Found::ok(format!("cloud provider {name} needs no person")),
            )
            .await;
        let token = note_token(course, parts, provider.id, wish, context).await;
        return Given {
            token,
            missing: None,
        };
    }
    let Some(grant) = grant.filter(|grant| by_itself || grant.state != GrantState::Missing) else {
        let found = Found::failed(&Failure::NotSignedIn, context);
        course.note(Item::Grant, found).await;
        course.skip(&behind, Item::Grant).await;
        return Given::default();
    };
    if grant.state == GrantState::NeedsSignIn {
        let reason = grant.reason.clone().unwrap_or_default();
        let found = Found::failed(&Failure::SignInNeeded(reason), context);
        course.note(Item::Grant, found).await;
        identity(course, account, &grant, context).await;
        course.skip(&[Item::Token], Item::Grant).await;
        return Given {
            token: None,
            missing: Some(scopes(course, &provider, &grant, context).await),
        };
    }
    course
        .note(
            Item::Grant,
            Found::ok(format!("cloud provider {name} is signed in")),
        )
        .await;
    if !by_itself {
        identity(course, account, &grant, context).await;
    }
    let token = note_token(course, parts, provider.id, wish, context).await;
    // A refresh may have named other scopes.
    let grant = match parts.store.grant_get(provider.id).await {
        Ok(Some(newer)) => newer,
        Ok(None) | Err(_) => grant,
    };
    Given {
        token,
        missing: Some(scopes(course, &provider, &grant, context).await),
    }
}

async fn stored(
    parts: &Parts,
    id: CloudProviderId,
) -> Result<(Option<CloudProvider>, Option<Grant>), StoreError> {
    let provider = parts.store.provider_get(id).await?;
    let grant = parts.store.grant_get(id).await?;
    Ok((provider, grant))
}

async fn note_token(
    course: &mut Course<'_>,
    parts: &Parts,
    provider: CloudProviderId,
    wish: Wish,
    context: &Context,
) -> Option<Token> {
    match token(parts, provider, wish).await {
        Ok((token, how)) => {
            let left = token.expires_at.since(parts.clock.now()).as_secs() / 60;
            let detail = format!("good for {left} more minutes, {how}");
            course.note(Item::Token, Found::ok(detail)).await;
            Some(token)
        }
        Err(error) => {
            let found = Found::failed(&Failure::from(error), context);
            course.note(Item::Token, found).await;
            None
        }
    }
}

/// The kept token where it is good, else a refreshed one; with the wish for it always a refreshed one. A good
/// grant costs no request.
async fn token(
    parts: &Parts,
    provider: CloudProviderId,
    wish: Wish,
) -> Result<(Token, &'static str), TokenError> {
    let token = parts.keeper.access_token(provider).await?;
    if !wish.refresh {
        return Ok((token, "not refreshed for this"));
    }
    parts.keeper.refused(provider, token.version);
    let fresh = parts.keeper.access_token(provider).await?;
    if fresh.version != token.version {
        return Ok((fresh, "refreshed just now"));
    }
    match parts.keeper.trouble(provider) {
        Some(error) => Err(TokenError::Oauth(error)),
        None => Ok((fresh, "refreshed a moment ago, so not again")),
    }
}

async fn identity(course: &mut Course<'_>, account: &Account, grant: &Grant, context: &Context) {
    let expected = account.smtp_user();
    let found = match grant.signed_in_as.as_deref() {
        None | Some("") => Found::ok("the platform does not say who signed in"),
        Some(user) if user.eq_ignore_ascii_case(expected) => Found::ok(user),
        Some(user) if grant.owner().name_confirmed_for(expected).is_some() => {
            Found::ok(format!("{user}, confirmed for {expected}"))
        }
        Some(user) => {
            let finding = Finding::OtherIdentity {
                signed_in: user.to_owned(),
                expected: expected.to_owned(),
            };
            Found::of(Verdict::Warning, "", finding.explain(context))
        }
    };
    course.note(Item::Identity, found).await;
}

/// The scopes that mail needs and the grant lacks.
async fn scopes(
    course: &mut Course<'_>,
    provider: &CloudProvider,
    grant: &Grant,
    context: &Context,
) -> Vec<String> {
    let missing = oauth::missing_scopes(&provider.entered, grant.scopes.as_deref());
    let (found, missing) = match missing {
        Ok(missing) if missing.is_empty() => (Found::ok(granted(provider, grant)), missing),
        Ok(missing) => {
            let finding = Finding::RightMissing {
                right: Right::Consent,
                said: missing.join(", "),
            };
            let found = Found::of(Verdict::Failed, "", finding.explain(context));
            (found, missing)
        }
        Err(error) => (Found::failed(&Failure::Oauth(error), context), Vec::new()),
    };
    course.note(Item::Scopes, found).await;
    missing
}

/// What a grant without gaps allows.
fn granted(provider: &CloudProvider, grant: &Grant) -> String {
    match (provider.entered.access, grant.scopes.as_deref()) {
        (Access::Application, _) => {
            "the application's own; whether they were agreed to shows at the mailbox".to_owned()
        }
        (Access::Delegated, Some(scopes)) => scopes.to_owned(),
        (Access::Delegated, None) => "as asked for; the platform did not name them".to_owned(),
    }
}
