//! What a caller enters for a cloud provider, checked. Pure.

use secrecy::SecretString;
use serde::Deserialize;
use url::{Host, Url};

use crate::{
    model::{Access, ClientCertificate, Cloud, CloudService, NewCloudProvider, Timestamp},
    oauth::{OauthError, check_certificate, endpoints},
    store::CloudProviderChange,
};

use super::super::{
    accounts::proxy,
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
    cloud: Given<String>,
    access: Given<String>,
    application_id: Given<String>,
    tenant_id: Given<String>,
    client_secret: Given<String>,
    client_secret_expires_at: Given<String>,
    second_secret: Given<String>,
    second_secret_expires_at: Given<String>,
    certificate: Given<String>,
    private_key: Given<String>,
    redirect_uri: Given<String>,
    authority: Given<String>,
    scope_host: Given<String>,
    proxy: Given<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// A new provider; `callback` gives the redirect URI of a service where the caller names none. A client
/// secret of `null` is an application without one (a public client).
pub(super) fn new_provider(
    body: ProviderBody,
    now: Timestamp,
    callback: impl Fn(CloudService) -> Option<String>,
) -> Result<NewCloudProvider, ApiError> {
    let mut problems = Problems::default();
    let (service, mut change) = read(body, None, now, &mut problems);
    if change.redirect_uri.is_none()
        && let Some(service) = service
        && !problems.about("redirectUri")
    {
        change.redirect_uri = callback(service);
        if change.redirect_uri.is_none() {
            problems.add(
                "redirectUri",
                "is required as long as XC_EMAIL_PUBLIC_URL is not set",
            );
        }
    }
    let (Some(service), true) = (service, problems.0.is_empty()) else {
        return Err(ApiError::Invalid(problems.0));
    };
    let provider = change.applied_to(NewCloudProvider::new("", service, ""));
    together(&mut problems, &provider);
    problems.done()?;
    usable(&provider)?;
    Ok(provider)
}

/// A change to `stored`; what is absent stays, `null` takes back what may be missing. A new secret takes
/// the old one's date with it.
pub(super) fn changed_provider(
    body: ProviderBody,
    stored: &NewCloudProvider,
    now: Timestamp,
) -> Result<CloudProviderChange, ApiError> {
    let mut problems = Problems::default();
    let (_, change) = read(body, Some(stored), now, &mut problems);
    problems.done()?;
    let mut problems = Problems::default();
    let after = change.applied_to(stored.clone());
    together(&mut problems, &after);
    problems.done()?;
    usable(&after)?;
    Ok(change)
}

fn read(
    body: ProviderBody,
    stored: Option<&NewCloudProvider>,
    now: Timestamp,
    problems: &mut Problems,
) -> (Option<CloudService>, CloudProviderChange) {
    problems.unknown("", &body.unknown);
    let new = stored.is_none();
    let name = problems.entered("name", body.name, new);
    let name = problems.line("name", name, 100);
    let service = problems.entered("service", body.service, new);
    let service = problems.parsed(
        "service",
        service,
        "must be \"Microsoft Azure\" or \"Google\"",
        CloudService::parse,
    );
    if let (Some(stored), Some(service)) = (stored, service)
        && service != stored.service
    {
        problems.add("service", "cannot be changed; add another cloud provider");
    }
    let service = stored.map(|stored| stored.service).or(service);
    let kind = problems.optional("type", body.kind);
    matching_kind(problems, service, kind);
    let cloud = problems.optional("cloud", body.cloud);
    let cloud = problems.parsed(
        "cloud",
        cloud,
        "must be \"worldwide\", \"gcc_high\", \"dod\" or \"china\"",
        Cloud::parse,
    );
    let access = problems.optional("access", body.access);
    let access = problems.parsed(
        "access",
        access,
        "must be \"delegated\" or \"application\"",
        Access::parse,
    );
    let application_id = problems.entered("applicationId", body.application_id, new);
    let application_id = problems.line("applicationId", application_id, 200);
    let tenant_id = problems
        .optional("tenantId", body.tenant_id)
        .map(|text| text.trim().to_owned())
        .filter(|text| !new || !text.is_empty());
    if new && service == Some(CloudService::MicrosoftAzure) && tenant_id.is_none() {
        problems.add("tenantId", "is required for Microsoft Azure");
    }
    let tenant_id = problems.line("tenantId", tenant_id, 200);
    let certificate = certificate(problems, body.certificate, body.private_key, now);
    let without = matches!(certificate, Some(Some(_))) || problems.about("certificate");
    if new && !without && matches!(body.client_secret, Given::Absent) {
        problems.add(
            "clientSecret",
            "is required, unless there is a certificate (null: the application has none)",
        );
    }
    let client_secret = secret(problems, "clientSecret", body.client_secret);
    let dated = client_secret.is_some();
    let client_secret_expires_at = expiry(
        problems,
        "clientSecretExpiresAt",
        body.client_secret_expires_at,
        dated,
    );
    let second_secret = secret(problems, "secondSecret", body.second_secret);
    let dated = second_secret.is_some();
    let second_secret_expires_at = expiry(
        problems,
        "secondSecretExpiresAt",
        body.second_secret_expires_at,
        dated,
    );
    let redirect_uri = problems.optional("redirectUri", body.redirect_uri);
    let redirect_uri = web_address(problems, "redirectUri", redirect_uri);
    let authority = removable(problems, "authority", body.authority);
    let scope_host = removable(problems, "scopeHost", body.scope_host);
    let proxy = match body.proxy {
        Given::Absent => None,
        given => proxy(problems, given, stored.map(|stored| &stored.proxy)),
    };
    let change = CloudProviderChange {
        name,
        cloud,
        access,
        application_id,
        tenant_id,
        client_secret,
        client_secret_expires_at,
        second_secret,
        second_secret_expires_at,
        certificate,
        redirect_uri,
        authority,
        scope_host,
        proxy,
    };
    (service, change)
}

/// What only shows when all fields are known.
fn together(problems: &mut Problems, provider: &NewCloudProvider) {
    let google = provider.service == CloudService::Google;
    if google && provider.cloud != Cloud::Worldwide {
        problems.add("cloud", "is for Microsoft Azure only");
    }
    if provider.access == Access::Application {
        if google {
            problems.add("access", "can be \"application\" for Microsoft Azure only");
        }
        if provider.credentials().is_empty() {
            problems.add(
                "clientSecret",
                "or a certificate is required where the access is \"application\"",
            );
        }
    }
}

/// The body of a new client secret.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::http) struct SecretBody {
    client_secret: Given<String>,
    expires_at: Given<String>,
    second: Given<bool>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// A change of nothing but the secret, or of the one that waits beside it.
pub(super) fn new_secret(body: SecretBody) -> Result<CloudProviderChange, ApiError> {
    let mut problems = Problems::default();
    problems.unknown("", &body.unknown);
    let secret = problems.required("clientSecret", body.client_secret);
    let secret = problems.secret("clientSecret", secret, 1024);
    let expires_at = expiry(&mut problems, "expiresAt", body.expires_at, true);
    let second = problems.optional("second", body.second).unwrap_or(false);
    problems.done()?;
    Ok(if second {
        CloudProviderChange {
            second_secret: secret,
            second_secret_expires_at: expires_at,
            ..CloudProviderChange::default()
        }
    } else {
        CloudProviderChange {
            client_secret: secret,
            client_secret_expires_at: expires_at,
            ..CloudProviderChange::default()
        }
    })
}

/// A secret; `null` takes it away.
fn secret(problems: &mut Problems, field: &str, given: Given<String>) -> Option<SecretString> {
    if matches!(given, Given::Null) {
        return Some(SecretString::default());
    }
    let text = problems.optional(field, given);
    problems.secret(field, text, 1024)
}

/// When the platform stops taking a secret: a date (its first moment, UTC) or a time; `null`: not known.
/// A secret that is entered without one (`dated`) has none.
fn expiry(
    problems: &mut Problems,
    field: &str,
    given: Given<String>,
    dated: bool,
) -> Option<Option<Timestamp>> {
    if matches!(given, Given::Null) {
        return Some(None);
    }
    match problems.optional(field, given) {
        None => dated.then_some(None),
        Some(text) => {
            let time = read_time(text.trim());
            if time.is_none() {
                problems.add(
                    field,
                    "must be a date like 2027-05-01 or a time like 2027-05-01T08:00:00Z",
                );
            }
            time.map(Some)
        }
    }
}

fn read_time(text: &str) -> Option<Timestamp> {
    let time = chrono::DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|time| time.to_utc())
        .or_else(|| {
            let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            Some(date.and_time(chrono::NaiveTime::MIN).and_utc())
        })?;
    Some(Timestamp::from_millis(time.timestamp_millis()))
}

/// Certificate and private key, which come and go together; `null` takes both away.
fn certificate(
    problems: &mut Problems,
    certificate: Given<String>,
    private_key: Given<String>,
    now: Timestamp,
) -> Option<Option<ClientCertificate>> {
    if matches!(
        (&certificate, &private_key),
        (Given::Null, Given::Null | Given::Absent)
    ) {
        return Some(None);
    }
    let certificate = problems.optional("certificate", certificate);
    let private_key = problems.optional("privateKey", private_key);
    match (certificate, private_key) {
        (None, None) => None,
        (Some(_), None) => {
            problems.add("privateKey", "is required with a certificate");
            None
        }
        (None, Some(_)) => {
            problems.add("certificate", "is required with a private key");
            None
        }
        (Some(certificate), Some(private_key)) => {
            let entered = ClientCertificate {
                certificate,
                private_key: private_key.into(),
            };
            match unusable_certificate(&entered, now) {
                Some(problem) => {
                    problems.add("certificate", problem);
                    None
                }
                None => Some(Some(entered)),
            }
        }
    }
}

/// Why a certificate or its key cannot be used.
fn unusable_certificate(entered: &ClientCertificate, now: Timestamp) -> Option<String> {
    let error = check_certificate(entered, now).err()?;
    Some(format!("cannot be used: {error}"))
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
