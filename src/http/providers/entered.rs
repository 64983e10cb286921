//! What a caller enters for a cloud provider, checked. Pure.

use serde::Deserialize;
use url::{Host, Url};

use crate::{
    model::{CloudService, NewCloudProvider},
    oauth::{OauthError, endpoints},
    store::CloudProviderChange,
};

use super::super::{
    input::{Given, Problems, Unknown},
    problem::ApiError,
};

/// The body of a new cloud provider, and of a change to one.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::http) struct ProviderBody {
    name: Given<String>,
    service: Given<String>,
    #[serde(rename = "type")]
    kind: Given<String>,
    application_id: Given<String>,
    tenant_id: Given<String>,
    client_secret: Given<String>,
    redirect_uri: Given<String>,
    authority: Given<String>,
    scope_host: Given<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// A new provider; `callback` gives the redirect URI of a service where the caller names none.
pub(super) fn new_provider(
    body: ProviderBody,
    callback: impl Fn(CloudService) -> Option<String>,
) -> Result<NewCloudProvider, ApiError> {
    let mut problems = Problems::default();
    problems.unknown("", &body.unknown);
    let name = problems.required("name", body.name);
    let name = problems.line("name", name, 100);
    let service = problems.required("service", body.service);
    let service = the_service(&mut problems, "service", service);
    let kind = problems.optional("type", body.kind);
    matching_kind(&mut problems, service, kind);
    let application_id = problems.required("applicationId", body.application_id);
    let application_id = problems.line("applicationId", application_id, 200);
    let tenant_id = problems
        .optional("tenantId", body.tenant_id)
        .filter(|text| !text.trim().is_empty());
    if service == Some(CloudService::MicrosoftAzure) && tenant_id.is_none() {
        problems.add("tenantId", "is required for Microsoft Azure");
    }
    let tenant_id = problems.line("tenantId", tenant_id, 200);
    let secret = problems.required("clientSecret", body.client_secret);
    let client_secret = problems.secret("clientSecret", secret, 1024);
    let redirect_uri = problems.optional("redirectUri", body.redirect_uri);
    let redirect_uri = match redirect_uri {
        Some(text) => web_address(&mut problems, "redirectUri", Some(text)),
        None => service.and_then(|service| {
            let uri = callback(service);
            if uri.is_none() {
                problems.add(
                    "redirectUri",
                    "is required as long as XC_EMAIL_PUBLIC_URL is not set",
                );
            }
            uri
        }),
    };
    let authority = problems.optional("authority", body.authority);
    let authority = web_address(&mut problems, "authority", authority);
    let scope_host = problems.optional("scopeHost", body.scope_host);
    let scope_host = web_address(&mut problems, "scopeHost", scope_host);
    let provider = match (name, service, application_id, client_secret, redirect_uri) {
        (
            Some(name),
            Some(service),
            Some(application_id),
            Some(client_secret),
            Some(redirect_uri),
        ) => NewCloudProvider {
            tenant_id: tenant_id.unwrap_or_default(),
            client_secret,
            redirect_uri,
            authority,
            scope_host,
            ..NewCloudProvider::new(&name, service, &application_id)
        },
        _ => return Err(ApiError::Invalid(problems.0)),
    };
    problems.done()?;
    usable(&provider)?;
    Ok(provider)
}

/// A change to `stored`; what is absent stays, `null` takes back `authority` and `scopeHost`.
pub(super) fn changed_provider(
    body: ProviderBody,
    stored: &NewCloudProvider,
) -> Result<CloudProviderChange, ApiError> {
    let mut problems = Problems::default();
    problems.unknown("", &body.unknown);
    let service = problems.optional("service", body.service);
    let given = service.is_some();
    let service = the_service(&mut problems, "service", service);
    if given && service.is_some_and(|service| service != stored.service) {
        problems.add("service", "cannot be changed; add another cloud provider");
    }
    let kind = problems.optional("type", body.kind);
    matching_kind(&mut problems, Some(stored.service), kind);
    let name = problems.optional("name", body.name);
    let name = problems.line("name", name, 100);
    let application_id = problems.optional("applicationId", body.application_id);
    let application_id = problems.line("applicationId", application_id, 200);
    let tenant_id = problems.optional("tenantId", body.tenant_id);
    let tenant_id = problems.line("tenantId", tenant_id, 200);
    let secret = problems.optional("clientSecret", body.client_secret);
    let client_secret = problems.secret("clientSecret", secret, 1024);
    let redirect_uri = problems.optional("redirectUri", body.redirect_uri);
    let redirect_uri = web_address(&mut problems, "redirectUri", redirect_uri);
    let authority = removable(&mut problems, "authority", body.authority);
    let scope_host = removable(&mut problems, "scopeHost", body.scope_host);
    problems.done()?;
    let change = CloudProviderChange {
        name,
        application_id,
        tenant_id,
        client_secret,
        redirect_uri,
        authority,
        scope_host,
        ..CloudProviderChange::default()
    };
    let mut after = stored.clone();
    if let Some(text) = &change.application_id {
        after.application_id.clone_from(text);
    }
    if let Some(text) = &change.tenant_id {
        after.tenant_id.clone_from(text);
    }
    if let Some(text) = &change.redirect_uri {
        after.redirect_uri.clone_from(text);
    }
    if let Some(text) = &change.authority {
        after.authority.clone_from(text);
    }
    if let Some(text) = &change.scope_host {
        after.scope_host.clone_from(text);
    }
    usable(&after)?;
    Ok(change)
}

/// The body of a new client secret.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::http) struct SecretBody {
    client_secret: Given<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// A change of nothing but the secret.
pub(super) fn new_secret(body: SecretBody) -> Result<CloudProviderChange, ApiError> {
    let mut problems = Problems::default();
    problems.unknown("", &body.unknown);
    let secret = problems.required("clientSecret", body.client_secret);
    let client_secret = problems.secret("clientSecret", secret, 1024);
    problems.done()?;
    Ok(CloudProviderChange {
        client_secret,
        ..CloudProviderChange::default()
    })
}

/// The body of a sign-in's beginning.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::http) struct AuthenticateBody {
    login_hint: Given<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// The user name that the platform's page is pre-filled with.
pub(super) fn login_hint(body: AuthenticateBody) -> Result<Option<String>, ApiError> {
    let mut problems = Problems::default();
    problems.unknown("", &body.unknown);
    let hint = problems.optional("loginHint", body.login_hint);
    let hint = problems.line("loginHint", hint, 254);
    problems.done()?;
    Ok(hint)
}

fn the_service(problems: &mut Problems, field: &str, text: Option<String>) -> Option<CloudService> {
    let text = text?;
    let service = CloudService::parse(&text);
    if service.is_none() {
        problems.add(field, "must be \"Microsoft Azure\" or \"Google\"");
    }
    service
}

fn matching_kind(problems: &mut Problems, service: Option<CloudService>, kind: Option<String>) {
    if let (Some(service), Some(kind)) = (service, kind)
        && !service.kind().eq_ignore_ascii_case(kind.trim())
    {
        problems.add(
            "type",
            format!("must be \"{}\" for {service}", service.kind()),
        );
    }
}

fn removable(problems: &mut Problems, field: &str, given: Given<String>) -> Option<Option<String>> {
    if matches!(given, Given::Null) {
        return Some(None);
    }
    let text = problems.optional(field, given);
    web_address(problems, field, text).map(Some)
}

/// An `https` address, or `http` on this machine; kept as written, since platforms compare redirect
/// URIs letter by letter.
fn web_address(problems: &mut Problems, field: &str, text: Option<String>) -> Option<String> {
    let text = problems.line(field, text, 1000)?;
    match unusable(&text) {
        Some(problem) => {
            problems.add(field, problem);
            None
        }
        None => Some(text),
    }
}

fn unusable(text: &str) -> Option<&'static str> {
    let Ok(url) = Url::parse(text) else {
        return Some("must be a web address with https://");
    };
    let at_home = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Some("must be a web address with https://"),
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && at_home) {
        Some("must begin with https:// (http:// is for this machine only)")
    } else if !url.username().is_empty() || url.password().is_some() {
        Some("must not hold a user name or password")
    } else if url.query().is_some() || url.fragment().is_some() {
        Some("must not have a ? or # part")
    } else {
        None
    }
}

/// The last word has the module that will use it.
fn usable(provider: &NewCloudProvider) -> Result<(), ApiError> {
    match endpoints(provider) {
        Ok(_) => Ok(()),
        Err(OauthError::Configuration { field, detail }) => {
            let name = match field {
                "application id" => "applicationId",
                "tenant id" => "tenantId",
                "redirect URI" => "redirectUri",
                "scope host" => "scopeHost",
                other => other,
            };
            Err(ApiError::field(name, format!("cannot be used: {detail}")))
        }
        Err(other) => Err(ApiError::Internal(super::super::problem::Logged::new(
            &other,
        ))),
    }
}

#[cfg(test)]
#[path = "entered_tests.rs"]
mod tests;
