//! Where a cloud provider's identity platform lives and what we ask of it. Pure.

use url::{Host, Url};

use crate::model::{Access, Cloud, CloudService, NewCloudProvider};

use super::{
    OauthError,
    clouds::{hosts, is_personal, is_shared},
};

/// Google's public hosts.
const GOOGLE_AUTHORIZE: &str = "https://accounts.google.com";
const GOOGLE_TOKEN: &str = "https://oauth2.googleapis.com";
/// Identity scopes, to learn who signed in.
const IDENTITY_SCOPES: [&str; 3] = ["openid", "profile", "email"];

/// Why no sign-in can be begun for application access.
pub(super) const NOBODY_SIGNS_IN: &str = "with application access nobody signs in: the application uses its own \
     secret or certificate; choose delegated access to sign in as a person";

/// The addresses and scopes of one cloud provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Where a person's browser is sent.
    pub authorize: Url,
    /// Where codes, refresh tokens and client credentials become access tokens.
    pub token: Url,
    /// Where device codes are given out. `None`: the platform gives none for mail (Google).
    pub device: Option<Url>,
    /// Where the person comes back to, exactly as registered with the platform. `None`: not entered; device
    /// codes and application access do without.
    pub redirect: Option<Url>,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// The scopes among them without which mail does not flow; empty for application access, whose one
    /// scope stands for all that the tenant's administrator consented to.
    pub mail_scopes: Vec<String>,
}

/// Works out the addresses from what an administrator entered, or names the field that cannot be used.
///
/// All addresses are `https`, except that a loopback host may use `http`. For Microsoft the same tenant
/// is used for both legs (AADSTS700005 otherwise).
///
/// # Errors
/// [`OauthError::Configuration`], also for what the platform is known to refuse: application access
/// without a tenant of one's own (AADSTS9001023), personal accounts in a national cloud, and what Google
/// does not have.
pub fn endpoints(provider: &NewCloudProvider) -> Result<Endpoints, OauthError> {
    if provider.application_id.trim().is_empty() {
        return Err(unusable("application id", "it is empty"));
    }
    let redirect = match provider.redirect_uri.trim() {
        "" => None,
        text => Some(web_address("redirect URI", text)?),
    };
    let authority = provider
        .authority
        .as_deref()
        .map(|text| web_address("authority", text))
        .transpose()?;
    match provider.service {
        CloudService::MicrosoftAzure => microsoft(provider, authority, redirect),
        CloudService::Google => google(provider, authority, redirect),
    }
}

fn microsoft(
    provider: &NewCloudProvider,
    authority: Option<Url>,
    redirect: Option<Url>,
) -> Result<Endpoints, OauthError> {
    let tenant = tenant(provider)?;
    let hosts = hosts(provider.cloud, tenant);
    let base = or_public(authority, "authority", &format!("https://{}", hosts.login))?;
    let scope_host = match provider.access {
        Access::Delegated => hosts.scope,
        Access::Application => hosts.application_scope,
    };
    let scope_host = match provider.scope_host.as_deref() {
        Some(text) => web_address("scope host", text)?,
        None => web_address("scope host", &format!("https://{scope_host}"))?,
    };
    let scope_host = scope_host.as_str().trim_end_matches('/');
    let (scopes, mail_scopes) = match provider.access {
        Access::Delegated => {
            let mail_scopes = vec![
                format!("{scope_host}/IMAP.AccessAsUser.All"),
                format!("{scope_host}/SMTP.Send"),
            ];
            let scopes = IDENTITY_SCOPES
                .into_iter()
                .chain(["offline_access"])
                .map(str::to_owned)
                .chain(mail_scopes.iter().cloned())
                .collect();
            (scopes, mail_scopes)
        }
        Access::Application => (vec![format!("{scope_host}/.default")], Vec::new()),
    };
    Ok(Endpoints {
        authorize: below(&base, &[tenant, "oauth2", "v2.0", "authorize"])?,
        token: below(&base, &[tenant, "oauth2", "v2.0", "token"])?,
        device: Some(below(&base, &[tenant, "oauth2", "v2.0", "devicecode"])?),
        redirect,
        scopes,
        mail_scopes,
    })
}

/// The tenant as entered, if it can be one and fits access and cloud.
fn tenant(provider: &NewCloudProvider) -> Result<&str, OauthError> {
    let tenant = provider.tenant_id.trim();
    let is_tenant = !tenant.is_empty()
        && !tenant.starts_with('.')
        && tenant
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_'));
    let wrong = |detail| Err(unusable("tenant id", detail));
    if !is_tenant {
        return wrong("it is neither an id nor a domain name");
    }
    if provider.access == Access::Application && (is_shared(tenant) || is_personal(tenant)) {
        return wrong(
            "an application that signs in by itself does so in one tenant (AADSTS9001023 otherwise): \
             enter the tenant's id or domain name",
        );
    }
    if provider.cloud != Cloud::Worldwide && is_personal(tenant) {
        return wrong(
            "personal accounts live in the worldwide cloud only: choose that cloud, or enter the \
             organization's tenant id or domain name",
        );
    }
    Ok(tenant)
}

fn google(
    provider: &NewCloudProvider,
    authority: Option<Url>,
    redirect: Option<Url>,
) -> Result<Endpoints, OauthError> {
    if provider.access == Access::Application {
        return Err(unusable(
            "access",
            "Google gives mail to the person who signs in only: choose delegated access, then use \
             Authenticate and sign in as the mailbox",
        ));
    }
    if provider.cloud != Cloud::Worldwide {
        return Err(unusable("cloud", "Google has the worldwide one only"));
    }
    if provider.certificate.is_some() {
        return Err(unusable(
            "certificate",
            "Google takes a client secret in its place: remove the certificate and enter the secret",
        ));
    }
    let authorize = or_public(authority.clone(), "authority", GOOGLE_AUTHORIZE)?;
    let token = or_public(authority, "authority", GOOGLE_TOKEN)?;
    let mail_scopes = vec!["https://mail.google.com/".to_owned()];
    Ok(Endpoints {
        authorize: below(&authorize, &["o", "oauth2", "v2", "auth"])?,
        token: below(&token, &["token"])?,
        device: None,
        redirect,
        scopes: mail_scopes
            .iter()
            .cloned()
            .chain(["openid", "email"].map(str::to_owned))
            .collect(),
        mail_scopes,
    })
}

fn or_public(given: Option<Url>, field: &'static str, public: &str) -> Result<Url, OauthError> {
    given.map_or_else(|| web_address(field, public), Ok)
}

fn below(base: &Url, segments: &[&str]) -> Result<Url, OauthError> {
    let mut url = base.clone();
    url.path_segments_mut()
        .map_err(|()| unusable("authority", "it has no path"))?
        .pop_if_empty()
        .extend(segments);
    Ok(url)
}

/// An absolute web address without user, password, query or fragment.
pub(super) fn web_address(field: &'static str, text: &str) -> Result<Url, OauthError> {
    let url = Url::parse(text.trim()).map_err(|error| unusable(field, &error.to_string()))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(unusable(field, "it must not have a query or a fragment"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(unusable(field, "it must not have a user name or password"));
    }
    match (url.scheme(), url.host()) {
        (_, None) => Err(unusable(field, "it has no host")),
        ("https", Some(_)) => Ok(url),
        ("http", Some(host)) if is_loopback(&host) => Ok(url),
        _ => Err(unusable(
            field,
            "it must begin with https:// (http:// only for this machine itself)",
        )),
    }
}

/// Whether a host is this machine by name or number.
pub(super) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

pub(super) fn unusable(field: &'static str, detail: &str) -> OauthError {
    OauthError::Configuration {
        field,
        detail: detail.to_owned(),
    }
}

/// For tests: a provider as an administrator enters it.
#[cfg(test)]
pub(super) fn example_provider(service: CloudService) -> NewCloudProvider {
    NewCloudProvider {
        tenant_id: "contoso.onmicrosoft.com".into(),
        client_secret: String::from("s3cret").into(),
        redirect_uri: "https://motion.example/api/cloudProviders/oauth2/microsoft/callback".into(),
        ..NewCloudProvider::new("Contoso", service, "app-1")
    }
}

#[cfg(test)]
#[path = "endpoints_tests.rs"]
mod tests;
