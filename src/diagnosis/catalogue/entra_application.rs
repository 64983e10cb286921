//! Entra's numbers about the app registration: its secret, its ids, its permissions.

use super::{Row, entry, oauth::Mark};
use crate::model::Action::Administrator;

pub(super) const APPLICATION: &[Row<Mark>] = &[
    (
        Mark::Numbers(&[7000222]),
        entry(
            "oauth_client_secret_expired",
            Administrator,
            "The client secret of {provider} has expired.",
            "Secrets live two years at most.",
            "{secret}",
        ),
    ),
    (
        Mark::Numbers(&[7000215]),
        entry(
            "oauth_client_secret_refused",
            Administrator,
            "The identity platform does not accept the client secret of {provider}.",
            "Most often the Secret ID was entered in the place of the Value.",
            "Enter the secret's Value (not its Secret ID) with Update Client Secret of the cloud provider. Nobody has to sign in \
             again.",
        ),
    ),
    (
        Mark::Numbers(&[7000218, 7000216]),
        entry(
            "oauth_client_secret_missing",
            Administrator,
            "The identity platform wants a client secret or certificate, and {provider} has none.",
            "The redirect URI of the app registration is of platform Web.",
            "{secret}",
        ),
    ),
    (
        Mark::Numbers(&[700025]),
        entry(
            "oauth_client_is_public",
            Administrator,
            "The app registration of {provider} is one that may have no client secret, and one is entered.",
            "Its redirect URI is of platform Mobile and desktop applications.",
            "In the Entra portal, App registrations, Authentication: register the redirect URI under platform Web, and switch \
             Allow public client flows off; or empty the client secret of the cloud provider.",
        ),
    ),
    (
        Mark::Numbers(&[70002]),
        entry(
            "oauth_client_secret_refused",
            Administrator,
            "The identity platform does not accept the client secret or certificate of {provider}.",
            "The credentials do not belong to this application.",
            "Enter application id and the secret's Value (not its Secret ID) or the certificate again. Nobody has to sign in again.",
        ),
    ),
    (
        Mark::Numbers(&[700024]),
        entry(
            "oauth_clock_wrong",
            Administrator,
            "The identity platform finds the proof of {provider} too old or of the future.",
            "The clock of this machine is wrong.",
            "Set the clock (timedatectl set-ntp true; date shows it). {kept}",
        ),
    ),
    (
        Mark::Numbers(&[700027, 700030, 50012, 700021]),
        entry(
            "oauth_client_certificate_refused",
            Administrator,
            "The identity platform does not accept the certificate of {provider}.",
            "Its thumbprint, subject or signature is not that of a certificate of the app registration.",
            "In the Entra portal, App registrations, Certificates & secrets, Certificates: upload the certificate that the cloud \
             provider uses, and check this machine's clock (date). Nobody has to sign in again.",
        ),
    ),
    (
        Mark::Numbers(&[7000112, 70001]),
        entry(
            "oauth_application_disabled",
            Administrator,
            "The application of {provider} is disabled in the tenant.",
            "",
            "An administrator opens the Entra portal, Enterprise applications, the application, Properties, and sets Enabled for \
             users to sign in to Yes. {kept}",
        ),
    ),
    (
        Mark::Numbers(&[700016, 700011, 7000229]),
        entry(
            "oauth_application_unknown",
            Administrator,
            "The tenant does not know the application of {provider}.",
            "",
            "Check Application Id and Tenant Id of the cloud provider; if the app registration is in another tenant, it must be \
             multitenant and an administrator of this tenant must have consented. {kept}",
        ),
    ),
    (
        Mark::Numbers(&[90002]),
        entry(
            "oauth_tenant_unknown",
            Administrator,
            "The tenant of {provider} does not exist in this cloud.",
            "",
            "Check the Tenant Id of the cloud provider (Entra portal, Overview) and its cloud: worldwide, GCC High, DoD or China. \
             {kept}",
        ),
    ),
    (
        Mark::Numbers(&[90038, 900382, 900432, 90043]),
        entry(
            "oauth_cloud_wrong",
            Administrator,
            "The tenant of {provider} lives in another national cloud.",
            "",
            "Choose the tenant's cloud in the cloud provider, with an app registration made in that cloud's own portal \
             (portal.azure.us, portal.azure.cn). {kept}",
        ),
    ),
    (
        Mark::Numbers(&[50194]),
        entry(
            "oauth_tenant_needed",
            Administrator,
            "The application of {provider} is for one tenant only and was used without naming it.",
            "",
            "Enter the tenant id in the cloud provider in the place of common, or make the app registration multitenant. {kept}",
        ),
    ),
    (
        Mark::Numbers(&[9001023, 90124, 90130, 9002332]),
        entry(
            "oauth_endpoint_wrong",
            Administrator,
            "The application of {provider} cannot be used with common, organizations or consumers.",
            "",
            "Enter the tenant id (a GUID or a verified domain) in the cloud provider, or change the account types of the app \
             registration. {kept}",
        ),
    ),
    (
        Mark::Numbers(&[50011, 70004, 900971]),
        entry(
            "oauth_redirect_uri",
            Administrator,
            "The redirect URI of {provider} is not registered.",
            "It is compared letter by letter. Microsoft shows this on its own page; the browser never comes back here.",
            "In the Entra portal, App registrations, Authentication, platform Web: register exactly the redirect URI that stands \
             in the cloud provider.",
        ),
    ),
    (
        Mark::Numbers(&[500011]),
        entry(
            "oauth_resource_missing",
            Administrator,
            "The tenant of {provider} does not have the mail service that was asked for.",
            "Another tenant is meant, or this one has no Exchange Online.",
            "Check the Tenant Id and the scope host of the cloud provider, and that the tenant has a subscription with Exchange \
             Online. {kept}",
        ),
    ),
    (
        Mark::Numbers(&[50001]),
        entry(
            "oauth_resource_missing",
            Administrator,
            "The mail service that was asked for is disabled or missing.",
            "",
            "Check the scope host and the cloud of the cloud provider. {kept}",
        ),
    ),
    (
        Mark::Numbers(&[65005, 650056, 650057]),
        entry(
            "oauth_permission_missing",
            Administrator,
            "The app registration of {provider} lacks a permission that was asked for.",
            "",
            "In the Entra portal, App registrations, API permissions: add the delegated permissions IMAP.AccessAsUser.All, \
             SMTP.Send, offline_access, openid, profile and email, and grant consent. Then sign in again.",
        ),
    ),
    (
        Mark::Numbers(&[650052, 650054]),
        entry(
            "oauth_service_missing",
            Administrator,
            "The tenant of {provider} has no subscription to the service that was asked for.",
            "",
            "An administrator adds a licence with Exchange Online, or removes the permission of the missing service from the app \
             registration. {kept}",
        ),
    ),
    (
        Mark::Numbers(&[650053]),
        entry(
            "oauth_scope_wrong",
            Administrator,
            "The identity platform does not know a permission that was asked for.",
            "It does not exist on this resource.",
            "Check the scope host of the cloud provider (https://outlook.office.com for the worldwide cloud). {kept}",
        ),
    ),
    (
        Mark::Numbers(&[70011, 28002, 28003, 700022, 700023]),
        entry(
            "oauth_scope_wrong",
            Administrator,
            "The identity platform does not accept the permissions that were asked for.",
            "They are empty, malformed, or of several services at once.",
            "Check the scope host of the cloud provider. {report} {kept}",
        ),
    ),
    (
        Mark::Numbers(&[90094, 90095]),
        entry(
            "oauth_admin_consent",
            Administrator,
            "The tenant lets only administrators grant what {provider} asks for.",
            "",
            "An administrator opens the Entra portal, Enterprise applications, the application, Permissions, and uses Grant admin \
             consent (or approves the request under Admin consent requests). Then sign in again.",
        ),
    ),
    (
        Mark::Numbers(&[90008]),
        entry(
            "oauth_permission_missing",
            Administrator,
            "The app registration of {provider} lacks the permission to sign in and read the profile.",
            "",
            "In the Entra portal, App registrations, API permissions: add openid, profile and User.Read, and grant consent. Then \
             sign in again.",
        ),
    ),
    (
        Mark::Numbers(&[90099]),
        entry(
            "oauth_partner_consent",
            Administrator,
            "The application of {provider} is not authorised in this tenant.",
            "",
            "The partner that manages the tenant gives its pre-consent, or an administrator of the tenant consents to the \
             application. {kept}",
        ),
    ),
    (
        Mark::Numbers(&[1000031]),
        entry(
            "oauth_application_unavailable",
            Administrator,
            "The application of {provider} cannot be used at this time.",
            "",
            "An administrator looks at the application in the Entra portal, Enterprise applications, and at the service health. \
             {log} {kept}",
        ),
    ),
    (
        Mark::Numbers(&[700005]),
        entry(
            "oauth_other_tenant",
            Administrator,
            "The code was issued for another tenant.",
            "The authorize and the token request name different tenants.",
            "Enter one tenant id in the cloud provider and begin the sign-in again.",
        ),
    ),
];
