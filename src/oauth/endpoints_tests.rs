//! Addresses and scopes from what an administrator enters.

use super::{example_provider as provider, *};
use crate::oauth::PERSONAL_TENANT;

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
    check(
        |p| p.redirect_uri = "motion.example/cb".into(),
        "redirect URI",
    );
}

#[test]
fn each_cloud_signs_in_at_its_own_host_for_its_own_resource() {
    let check = |cloud, login: &str, scope: &str, application: &str| {
        let mut entered = provider(CloudService::MicrosoftAzure);
        entered.cloud = cloud;
        let tenant = &entered.tenant_id;
        let path = format!("https://{login}/{tenant}/oauth2/v2.0");
        let found = endpoints(&entered).unwrap();
        assert_eq!(found.authorize.as_str(), format!("{path}/authorize"));
        assert_eq!(found.token.as_str(), format!("{path}/token"));
        assert_eq!(found.device.unwrap().as_str(), format!("{path}/devicecode"));
        assert_eq!(
            found.mail_scopes,
            [
                format!("https://{scope}/IMAP.AccessAsUser.All"),
                format!("https://{scope}/SMTP.Send")
            ]
        );
        entered.access = Access::Application;
        let found = endpoints(&entered).unwrap();
        assert_eq!(found.scopes, [format!("https://{application}/.default")]);
        assert!(found.mail_scopes.is_empty());
        // Either host gives way to what was entered.
        entered.access = Access::Delegated;
        entered.authority = Some("https://login.chinacloudapi.cn".into());
        entered.scope_host = Some("https://mail.example".into());
        let found = endpoints(&entered).unwrap();
        assert_eq!(found.token.host_str(), Some("login.chinacloudapi.cn"));
        assert_eq!(found.mail_scopes[1], "https://mail.example/SMTP.Send");
    };
    check(
        Cloud::Worldwide,
        "login.microsoftonline.com",
        "outlook.office.com",
        "outlook.office365.com",
    );
    let government = "outlook.office365.us";
    check(
        Cloud::GccHigh,
        "login.microsoftonline.us",
        government,
        government,
    );
    check(
        Cloud::Dod,
        "login.microsoftonline.us",
        government,
        government,
    );
    let china = "partner.outlook.cn";
    check(
        Cloud::China,
        "login.partner.microsoftonline.cn",
        china,
        china,
    );
}

#[test]
fn a_tenant_that_does_not_fit_access_or_cloud_is_found_before_asking() {
    let check = |cloud, access, tenant: &str, fits: bool| {
        let mut entered = provider(CloudService::MicrosoftAzure);
        (entered.cloud, entered.access) = (cloud, access);
        entered.tenant_id = tenant.into();
        match endpoints(&entered) {
            Ok(_) => assert!(fits, "{cloud:?} {access:?} {tenant}"),
            Err(OauthError::Configuration { field, .. }) => {
                assert!(!fits, "{cloud:?} {access:?} {tenant}");
                assert_eq!(field, "tenant id");
            }
            Err(other) => panic!("{other:?}"),
        }
    };
    let id = "11111111-2222-3333-4444-555555555555";
    for tenant in [
        "common",
        "organizations",
        "consumers",
        "contoso.example",
        id,
    ] {
        check(Cloud::Worldwide, Access::Delegated, tenant, true);
    }
    for tenant in ["common", "ORGANIZATIONS", "Consumers", PERSONAL_TENANT] {
        check(Cloud::Worldwide, Access::Application, tenant, false);
    }
    for cloud in [Cloud::GccHigh, Cloud::Dod, Cloud::China] {
        check(cloud, Access::Delegated, "consumers", false);
        check(cloud, Access::Delegated, PERSONAL_TENANT, false);
        check(cloud, Access::Delegated, "organizations", true);
        check(cloud, Access::Application, "common", false);
        check(cloud, Access::Application, id, true);
    }
}

#[test]
fn what_google_does_not_have_is_found_before_asking() {
    let check = |change: fn(&mut NewCloudProvider), expected: &str| {
        let mut entered = provider(CloudService::Google);
        change(&mut entered);
        match endpoints(&entered) {
            Err(OauthError::Configuration { field, .. }) => assert_eq!(field, expected),
            other => panic!("{expected}: {other:?}"),
        }
    };
    check(|p| p.access = Access::Application, "access");
    check(|p| p.cloud = Cloud::China, "cloud");
    let mut entered = provider(CloudService::Google);
    entered.redirect_uri = String::new();
    let found = endpoints(&entered).unwrap();
    assert_eq!((found.device, found.redirect), (None, None));
}
