//! How the API shows cloud providers and their grants. Never a secret (I8).

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::{
    model::{CloudProvider, Grant, GrantState, HeldSignIn, Timestamp},
    oauth::certificate_facts,
    token::SignInFailure,
};

use super::super::sign_in::{ShownFailure, ShownHeld};

/// A cloud provider with where its grant stands.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ShownProvider {
    id: i64,
    name: String,
    service: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    cloud: &'static str,
    access: &'static str,
    application_id: String,
    tenant_id: String,
    has_client_secret: bool,
    client_secret_expires_at: Option<String>,
    has_second_secret: bool,
    second_secret_expires_at: Option<String>,
    certificate: Option<ShownCertificate>,
    redirect_uri: String,
    authority: Option<String>,
    scope_host: Option<String>,
    /// Without its password; `null`: as the process has it.
    proxy: Option<String>,
    created_at: String,
    updated_at: String,
    grant: ShownGrant,
    held_sign_in: Option<ShownHeld>,
}

/// A certificate as it is found again in the portal; its key is never shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownCertificate {
    /// SHA-1, as the portal shows it.
    thumbprint: Option<String>,
    subject: Option<String>,
    not_after: Option<String>,
}

/// A grant without its tokens.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ShownGrant {
    state: &'static str,
    signed_in_as: Option<String>,
    tenant_id: Option<String>,
    object_id: Option<String>,
    confirmed_for: Vec<String>,
    signed_in_at: Option<String>,
    refreshed_at: Option<String>,
    access_expires_at: Option<String>,
    scopes: Option<String>,
    reason: Option<String>,
    updated_at: Option<String>,
}

/// The grant alone, with the sign-in that waits for confirmation.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct GrantAnswer {
    #[serde(flatten)]
    grant: ShownGrant,
    held_sign_in: Option<ShownHeld>,
    /// The last sign-in, where it failed.
    sign_in_failure: Option<ShownFailure>,
}

impl ShownProvider {
    pub(in crate::http) fn new(
        provider: &CloudProvider,
        grant: Option<&Grant>,
        held: Option<&HeldSignIn>,
    ) -> Self {
        let entered = &provider.entered;
        let time = |time: Option<Timestamp>| time.map(Timestamp::rfc3339);
        let there = |secret: &SecretString| !secret.expose_secret().is_empty();
        Self {
            id: provider.id.get(),
            name: entered.name.clone(),
            service: entered.service.as_str(),
            kind: entered.service.kind(),
            cloud: entered.cloud.as_str(),
            access: entered.access.as_str(),
            application_id: entered.application_id.clone(),
            tenant_id: entered.tenant_id.clone(),
            has_client_secret: there(&entered.client_secret),
            client_secret_expires_at: time(entered.client_secret_expires_at),
            has_second_secret: there(&entered.second_secret),
            second_secret_expires_at: time(entered.second_secret_expires_at),
            certificate: entered.certificate.as_ref().map(|certificate| {
                // Checked when it was entered: what cannot be read any more is shown without its facts.
                let facts = certificate_facts(certificate).ok();
                ShownCertificate {
                    thumbprint: facts.as_ref().map(|facts| facts.thumbprint.clone()),
                    subject: facts.as_ref().map(|facts| facts.subject.clone()),
                    not_after: facts.map(|facts| facts.not_after.rfc3339()),
                }
            }),
            redirect_uri: entered.redirect_uri.clone(),
            authority: entered.authority.clone(),
            scope_host: entered.scope_host.clone(),
            proxy: entered.proxy.shown(),
            created_at: provider.created_at.rfc3339(),
            updated_at: provider.updated_at.rfc3339(),
            grant: ShownGrant::new(grant),
            held_sign_in: held.map(ShownHeld::new),
        }
    }
}

impl ShownGrant {
    fn new(grant: Option<&Grant>) -> Self {
        let time =
            |time: fn(&Grant) -> Option<Timestamp>| grant.and_then(time).map(Timestamp::rfc3339);
        Self {
            state: grant.map_or(GrantState::Missing, |g| g.state).as_str(),
            signed_in_as: grant.and_then(|g| g.signed_in_as.clone()),
            tenant_id: grant.and_then(|g| g.tenant_id.clone()),
            object_id: grant.and_then(|g| g.object_id.clone()),
            confirmed_for: grant.map(|g| g.confirmed_for.clone()).unwrap_or_default(),
            signed_in_at: time(|g| g.signed_in_at),
            refreshed_at: time(|g| g.refreshed_at),
            access_expires_at: time(|g| g.access_expires_at),
            scopes: grant.and_then(|g| g.scopes.clone()),
            reason: grant.and_then(|g| g.reason.clone()),
            updated_at: grant.map(|g| g.updated_at.rfc3339()),
        }
    }
}

impl GrantAnswer {
    pub(in crate::http) fn new(
        grant: Option<&Grant>,
        held: Option<&HeldSignIn>,
        failure: Option<&SignInFailure>,
    ) -> Self {
        Self {
            grant: ShownGrant::new(grant),
            held_sign_in: held.map(ShownHeld::new),
            sign_in_failure: failure.map(ShownFailure::new),
        }
    }
}
