//! Where a cloud provider's identity platform lives and what we ask of it. Pure.

use url::{Host, Url};

use crate::model::{CloudService, NewCloudProvider};

use super::OauthError;

/// The identity platform's public hosts.
const MICROSOFT: &str = "https://login.microsoftonline.com";
const GOOGLE_AUTHORIZE: &str = "https://accounts.google.com";
const GOOGLE_TOKEN: &str = "https://oauth2.googleapis.com";
/// Exchange Online's resource; the scopes must carry it in full, a bare name would mean Microsoft Graph.
const MICROSOFT_SCOPE_HOST: &str = "https://outlook.office.com";
/// Identity scopes, to learn who signed in.
const IDENTITY_SCOPES: [&str; 3] = ["openid", "profile", "email"];

/// The addresses and scopes of one cloud provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Where a person's browser is sent.
    pub authorize: Url,
    /// Where codes and refresh tokens become access tokens.
    pub token: Url,
    /// Where the person comes back to, exactly as registered with the platform.
    pub redirect: Url,
    /// What is asked for at sign-in.
    pub scopes: Vec<String>,
    /// The scopes among them without which mail does not flow.
    pub mail_scopes: Vec<String>,
}

/// Works out the addresses from what an administrator entered, or names the field that cannot be used.
///
/// All addresses are `https`, except that a loopback host may use `http`. For Microsoft the same tenant
/// is used for both legs (AADSTS700005 otherwise).
pub fn endpoints(provider: &NewCloudProvider) -> Result<Endpoints, OauthError> {
    if provider.application_id.trim().is_empty() {
        return Err(unusable("application id", "it is empty"));
    }
    let redirect = web_address("redirect URI", &provider.redirect_uri)?;
    let authority = provider
        .authority
        .as_deref()
        .map(|text| web_address("authority", text))
        .transpose()?;
    match provider.service {
        CloudService::MicrosoftAzure => microsoft(provider, authority, redirect),
        CloudService::Google => google(authority, redirect),
    }
}

fn microsoft(
    provider: &NewCloudProvider,
    authority: Option<Url>,
    redirect: Url,
) -> Result<Endpoints, OauthError> {
    let tenant = provider.tenant_id.trim();
    let is_tenant = !tenant.is_empty()
        && !tenant.starts_with('.')
        && tenant
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_'));
    if !is_tenant {
        return Err(unusable(
            "tenant id",
            "it is neither an id nor a domain name",
        ));
    }
    let base = or_public(authority, "authority", MICROSOFT)?;
    let scope_host = match provider.scope_host.as_deref() {
        Some(text) => web_address("scope host", text)?,
        None => web_address("scope host", MICROSOFT_SCOPE_HOST)?,
    };
    let scope_host = scope_host.as_str().trim_end_matches('/');
    let mail_scopes = vec![
        format!("{scope_host}/IMAP.AccessAsUser.All"),
        format!("{scope_host}/SMTP.Send"),
    ];
    Ok(Endpoints {
        authorize: below(&base, &[tenant, "oauth2", "v2.0", "authorize"])?,
        token: below(&base, &[tenant, "oauth2", "v2.0", "token"])?,
        redirect,
        scopes: IDENTITY_SCOPES
            .into_iter()
            .chain(["offline_access"])
            .map(str::to_owned)
            .chain(mail_scopes.iter().cloned())
            .collect(),
        mail_scopes,
    })
}

fn google(authority: Option<Url>, redirect: Url) -> Result<Endpoints, OauthError> {
    let authorize = or_public(authority.clone(), "authority", GOOGLE_AUTHORIZE)?;
    let token = or_public(authority, "authority", GOOGLE_TOKEN)?;
    let mail_scopes = vec!["https://mail.google.com/".to_owned()];
    Ok(Endpoints {
        authorize: below(&authorize, &["o", "oauth2", "v2", "auth"])?,
        token: below(&token, &["token"])?,
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
fn web_address(field: &'static str, text: &str) -> Result<Url, OauthError> {
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
mod tests {
    use super::{example_provider as provider, *};

    #[test]
    fn microsofts_addresses_carry_the_tenant_and_full_scopes() {
        let found = endpoints(&provider(CloudService::MicrosoftAzure)).unwrap();
        assert_eq!(
            found.authorize.as_str(),
            "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/authorize"
        );
        assert_eq!(
            found.token.as_str(),
            "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token"
        );
        assert_eq!(
            found.scopes.join(" "),
            "openid profile email offline_access https://outlook.office.com/IMAP.AccessAsUser.All \
             https://outlook.office.com/SMTP.Send"
        );
    }

    #[test]
    fn googles_addresses_are_its_own() {
        let found = endpoints(&provider(CloudService::Google)).unwrap();
        assert_eq!(
            found.authorize.as_str(),
            "https://accounts.google.com/o/oauth2/v2/auth"
        );
        assert_eq!(found.token.as_str(), "https://oauth2.googleapis.com/token");
        assert_eq!(
            found.scopes.join(" "),
            "https://mail.google.com/ openid email"
        );
    }

    #[test]
    fn national_clouds_and_labs_replace_the_hosts() {
        let mut entered = provider(CloudService::MicrosoftAzure);
        entered.authority = Some("http://127.0.0.1:14080/base/".into());
        entered.scope_host = Some("https://outlook.office365.us/".into());
        let found = endpoints(&entered).unwrap();
        assert_eq!(
            found.token.as_str(),
            "http://127.0.0.1:14080/base/contoso.onmicrosoft.com/oauth2/v2.0/token"
        );
        assert_eq!(
            found.mail_scopes,
            [
                "https://outlook.office365.us/IMAP.AccessAsUser.All",
                "https://outlook.office365.us/SMTP.Send"
            ]
        );
    }

    #[test]
    fn a_field_that_cannot_be_used_is_named() {
        let check = |change: fn(&mut NewCloudProvider), expected: &str| {
            let mut entered = provider(CloudService::MicrosoftAzure);
            change(&mut entered);
            match endpoints(&entered) {
                Err(OauthError::Configuration { field, .. }) => assert_eq!(field, expected),
                other => panic!("{expected}: {other:?}"),
            }
        };
        check(|p| p.application_id = " ".into(), "application id");
        check(|p| p.tenant_id = String::new(), "tenant id");
        check(|p| p.tenant_id = "a/b".into(), "tenant id");
        check(|p| p.tenant_id = "..".into(), "tenant id");
        check(
            |p| p.authority = Some("http://login.example".into()),
            "authority",
        );
        check(
            |p| p.authority = Some("https://u:p@login.example".into()),
            "authority",
        );
        check(
            |p| p.authority = Some("https://login.example/?a=b".into()),
            "authority",
        );
        check(
            |p| p.authority = Some("file:///etc/passwd".into()),
            "authority",
        );
        check(
            |p| p.scope_host = Some("outlook.office.com".into()),
            "scope host",
        );
        check(
            |p| p.redirect_uri = "http://motion.example/cb".into(),
            "redirect URI",
        );
        check(|p| p.redirect_uri = String::new(), "redirect URI");
    }
}
