//! How the API shows cloud providers and their grants. Never a secret (I8).

use serde::Serialize;

use crate::model::{CloudProvider, Grant, GrantState};

/// A cloud provider with where its grant stands.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ShownProvider {
    id: i64,
    name: String,
    service: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    application_id: String,
    tenant_id: String,
    redirect_uri: String,
    authority: Option<String>,
    scope_host: Option<String>,
    created_at: String,
    updated_at: String,
    grant: ShownGrant,
}

/// A grant without its tokens.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ShownGrant {
    state: &'static str,
    signed_in_as: Option<String>,
    access_expires_at: Option<String>,
    scopes: Option<String>,
    reason: Option<String>,
    updated_at: Option<String>,
}

impl ShownProvider {
    pub(in crate::http) fn new(provider: &CloudProvider, grant: Option<&Grant>) -> Self {
        let entered = &provider.entered;
        Self {
            id: provider.id.get(),
            name: entered.name.clone(),
            service: entered.service.as_str(),
            kind: entered.service.kind(),
            application_id: entered.application_id.clone(),
            tenant_id: entered.tenant_id.clone(),
            redirect_uri: entered.redirect_uri.clone(),
            authority: entered.authority.clone(),
            scope_host: entered.scope_host.clone(),
            created_at: provider.created_at.rfc3339(),
            updated_at: provider.updated_at.rfc3339(),
            grant: ShownGrant::new(grant),
        }
    }
}

impl ShownGrant {
    pub(in crate::http) fn new(grant: Option<&Grant>) -> Self {
        Self {
            state: grant.map_or(GrantState::Missing, |g| g.state).as_str(),
            signed_in_as: grant.and_then(|g| g.signed_in_as.clone()),
            access_expires_at: grant
                .and_then(|g| g.access_expires_at)
                .map(|time| time.rfc3339()),
            scopes: grant.and_then(|g| g.scopes.clone()),
            reason: grant.and_then(|g| g.reason.clone()),
            updated_at: grant.map(|g| g.updated_at.rfc3339()),
        }
    }
}
