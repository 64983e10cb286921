//! Every number of Entra's table with its literal text: code, who acts, next step. The words are those of
//! Microsoft's published list and of real answers, shortened.

use std::collections::BTreeSet;

use super::{Spoken, oauth, oauth::numbered};
use crate::{
    diagnosis::{Context, Failure, explain},
    model::{
        Action::{self, Administrator, HoldUntil, Retry, SignInAgain},
        FailureClass,
    },
    oauth::{
        OauthError, Refusal,
        entra::{self, Verdict},
    },
};

pub(crate) type Word = (
    &'static str,
    Option<&'static str>,
    &'static str,
    &'static str,
    Action,
    &'static str,
);
/// OAuth error and description; then code, who acts, a part of the next step.
pub(crate) type Literal = (
    &'static str,
    &'static str,
    &'static str,
    Action,
    &'static str,
);

#[rustfmt::skip]
pub(crate) const NUMBERS: &[Literal] = &[
    ("invalid_client", "AADSTS7000222: The provided client secret keys for app '11111111-2222-3333-4444-555555555555' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds.", "oauth_client_secret_expired", Administrator, "Update Client Secret"),
    ("invalid_client", "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '1'.", "oauth_client_secret_refused", Administrator, "not its Secret ID"),
    ("invalid_client", "AADSTS7000218: The request body must contain the following parameter: 'client_assertion' or 'client_secret'.", "oauth_client_secret_missing", Administrator, "Certificates & secrets"),
    ("invalid_client", "AADSTS700025: Client is public so neither 'client_assertion' nor 'client_secret' should be presented.", "oauth_client_is_public", Administrator, "platform Web"),
    ("invalid_client", "AADSTS70002: Error validating credentials. The specified client credentials do not match.", "oauth_client_secret_refused", Administrator, "secret's Value"),
    ("invalid_client", "AADSTS700027: Client assertion failed signature validation. The key was not found.", "oauth_client_certificate_refused", Administrator, "upload the certificate"),
    ("invalid_client", "AADSTS700030: Invalid certificate - subject name in certificate is not authorized.", "oauth_client_certificate_refused", Administrator, "upload the certificate"),
    ("invalid_client", "AADSTS50012: Authentication failed. Client assertion contains an invalid signature.", "oauth_client_certificate_refused", Administrator, "upload the certificate"),
    ("invalid_client", "AADSTS700021: Client assertion application identifier doesn't match 'client_id' parameter.", "oauth_client_certificate_refused", Administrator, "upload the certificate"),
    ("invalid_client", "AADSTS700024: Client assertion is not within its valid time range. Current time: 2026-01-09T02:02:12Z, assertion valid from 2027-01-09T02:02:12Z.", "oauth_clock_wrong", Administrator, "Set the clock"),
    ("invalid_request", "AADSTS7000216: 'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.", "oauth_client_secret_missing", Administrator, "Certificates & secrets"),
    ("unauthorized_client", "AADSTS7000112: Application '1'(motion) is disabled.", "oauth_application_disabled", Administrator, "Enabled for users to sign in"),
    ("unauthorized_client", "AADSTS70001: The application named motion was not found in the tenant or is disabled.", "oauth_application_disabled", Administrator, "Enterprise applications"),
    ("unauthorized_client", "AADSTS700016: Application with identifier '1' was not found in the directory 'Contoso'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant.", "oauth_application_unknown", Administrator, "Application Id and Tenant Id"),
    ("unauthorized_client", "AADSTS700011: Application with identifier '1' was not found in the directory.", "oauth_application_unknown", Administrator, "multitenant"),
    ("invalid_client", "AADSTS7000229: The client application '1' is missing service principal in the tenant 'Contoso'. See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119", "oauth_application_unknown", Administrator, "consented"),
    ("invalid_request", "AADSTS90002: Tenant 'contoso.example' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.", "oauth_tenant_unknown", Administrator, "Tenant Id"),
    ("invalid_request", "AADSTS90038: Tenant 'contoso' request is being redirected to the National Cloud 'MicrosoftOnline.US'.", "oauth_cloud_wrong", Administrator, "portal.azure.us"),
    ("invalid_request", "AADSTS900382: Confidential Client is not supported in Cross Cloud request.", "oauth_cloud_wrong", Administrator, "cloud"),
    ("invalid_request", "AADSTS900432: Confidential Client is not supported in Cross Cloud request.", "oauth_cloud_wrong", Administrator, "cloud"),
    ("invalid_request", "AADSTS90043: NationalCloudAuthCodeRedirection - The feature is disabled.", "oauth_cloud_wrong", Administrator, "cloud"),
    ("invalid_request", "AADSTS50194: Application '1'(motion) is not configured as a multi-tenant application. Usage of the /common endpoint is not supported for such apps created after '10/15/2018'. Use a tenant-specific endpoint or configure the application to be multi-tenant.", "oauth_tenant_needed", Administrator, "tenant id"),
    ("invalid_request", "AADSTS9001023: The grant type is not supported over the /common or /consumers endpoints. Please use the /organizations or tenant-specific endpoint.", "oauth_endpoint_wrong", Administrator, "tenant id"),
    ("invalid_request", "AADSTS90124: Resource is not supported over the /common or /consumers endpoints.", "oauth_endpoint_wrong", Administrator, "tenant id"),
    ("invalid_request", "AADSTS90130: Application is not supported over the /common or /consumers endpoints.", "oauth_endpoint_wrong", Administrator, "tenant id"),
    ("invalid_request", "AADSTS9002332: Application '1'(motion) is configured for use by Azure Active Directory users only. Please do not use the /consumers endpoint to serve this request.", "oauth_endpoint_wrong", Administrator, "account types"),
    ("invalid_request", "AADSTS50011: The redirect URI 'https://motion.example/callback' specified in the request does not match the redirect URIs configured for the application '1'.", "oauth_redirect_uri", Administrator, "register exactly"),
    ("invalid_request", "AADSTS70004: InvalidRedirectUri - The app returned an invalid redirect URI.", "oauth_redirect_uri", Administrator, "register exactly"),
    ("invalid_request", "AADSTS900971: No reply address provided.", "oauth_redirect_uri", Administrator, "register exactly"),
    ("invalid_resource", "AADSTS500011: The resource principal named https://outlook.office.com was not found in the tenant named Contoso.", "oauth_resource_missing", Administrator, "Exchange Online"),
    ("invalid_resource", "AADSTS50001: The application named https://outlook.office.com was not found in the tenant, or it is disabled.", "oauth_resource_missing", Administrator, "scope host"),
    ("invalid_grant", "AADSTS65001: The user or administrator has not consented to use the application with ID '1' named 'motion'. Send an interactive authorization request for this user and resource.", "sign_in_consent", SignInAgain, "Grant admin consent"),
    ("access_denied", "AADSTS65004: User declined to consent to access the app.", "sign_in_declined", SignInAgain, "accept"),
    ("invalid_client", "AADSTS65005: The application required resource access list does not contain applications discoverable by resource.", "oauth_permission_missing", Administrator, "IMAP.AccessAsUser.All"),
    ("invalid_client", "AADSTS650056: Misconfigured application. This could be due to one of the following: the client has not listed any permissions for 'Office 365 Exchange Online' in the requested permissions in the client's application registration.", "oauth_permission_missing", Administrator, "API permissions"),
    ("invalid_client", "AADSTS650057: Invalid resource. The client has requested access to a resource which is not listed in the requested permissions in the client's application registration.", "oauth_permission_missing", Administrator, "API permissions"),
    ("invalid_client", "AADSTS650052: The app is trying to access a service that your organization 'Contoso' lacks a service principal for. Contact your IT Admin to review the configuration of your service subscriptions.", "oauth_service_missing", Administrator, "licence"),
    ("invalid_client", "AADSTS650054: The application asked for permissions to access a resource that has been removed or is no longer available.", "oauth_service_missing", Administrator, "licence"),
    ("invalid_client", "AADSTS650053: The application 'motion' asked for scope 'IMAP.All' that doesn't exist on the resource '00000002-0000-0ff1-ce00-000000000000'.", "oauth_scope_wrong", Administrator, "scope host"),
    ("invalid_scope", "AADSTS70011: The provided value for the input parameter 'scope' is not valid.", "oauth_scope_wrong", Administrator, "scope host"),
    ("invalid_request", "AADSTS28002: Provided value for the input parameter scope is not valid when requesting an access token.", "oauth_scope_wrong", Administrator, "scope host"),
    ("invalid_request", "AADSTS28003: Provided value for the input parameter scope can't be empty when requesting an access token using the provided authorization code.", "oauth_scope_wrong", Administrator, "scope host"),
    ("invalid_request", "AADSTS700022: InvalidMultipleResourcesScope - The provided value for the input parameter scope isn't valid because it contains more than one resource.", "oauth_scope_wrong", Administrator, "scope host"),
    ("invalid_request", "AADSTS700023: InvalidResourcelessScope - The provided value for the input parameter scope isn't valid when request an access token.", "oauth_scope_wrong", Administrator, "scope host"),
    ("invalid_grant", "AADSTS90094: The grant requires administrator permissions. (AdminConsentRequired)", "oauth_admin_consent", Administrator, "Grant admin consent"),
    ("access_denied", "AADSTS90095: AdminConsentRequiredRequestAccess - In the Admin Consent Workflow experience, an interrupt that appears when the user is told they need to ask the admin for consent.", "oauth_admin_consent", Administrator, "Admin consent requests"),
    ("invalid_request", "AADSTS90008: The user or administrator hasn't consented to use the application. The application must require at least the 'sign-in and read user profile' permission.", "oauth_permission_missing", Administrator, "User.Read"),
    ("invalid_request", "AADSTS90099: The application '1' (motion) has not been authorized in the tenant 'contoso'. Applications must be authorized to access the external tenant before partner delegated administrators can use them.", "oauth_partner_consent", Administrator, "partner"),
    ("invalid_grant", "AADSTS50020: User account 'sam@other.example' from identity provider 'https://sts.windows.net/9/' does not exist in tenant 'Contoso' and cannot access the application '1' in that tenant.", "sign_in_wrong_account", SignInAgain, "guest"),
    ("invalid_grant", "AADSTS50034: The user account sam@contoso.example does not exist in the contoso directory. To sign into this application, the account must be added to the directory.", "sign_in_wrong_account", SignInAgain, "Use another account"),
    ("invalid_grant", "AADSTS51004: The user account 1 doesn't exist in the 2 directory. To sign into this application, the account must be added to the directory.", "sign_in_wrong_account", SignInAgain, "Use another account"),
    ("interaction_required", "AADSTS16000: User account from identity provider doesn't exist in tenant and can't access the application in that tenant. (InteractionRequired)", "sign_in_wrong_account", SignInAgain, "Use another account"),
    ("invalid_grant", "AADSTS16003: SsoUserAccountNotFoundInResourceTenant - The user hasn't been explicitly added to the tenant.", "sign_in_wrong_account", SignInAgain, "Use another account"),
    ("invalid_grant", "AADSTS50014: GuestUserInPendingState - The user account doesn't exist in the directory.", "sign_in_wrong_account", SignInAgain, "Use another account"),
    ("interaction_required", "AADSTS90072: User account from identity provider does not exist in tenant and cannot access the application. The account needs to be added as an external user in the tenant first.", "sign_in_wrong_account", SignInAgain, "Use another account"),
    ("invalid_grant", "AADSTS500208: The domain is not a valid login domain for the account type.", "sign_in_personal_account", SignInAgain, "work account"),
    ("access_denied", "AADSTS500021: Access to 'Contoso' tenant is denied.", "entra_tenant_restricted", Administrator, "Cross-tenant access"),
    ("access_denied", "AADSTS500022: Access to tenant is denied by tenant restrictions.", "entra_tenant_restricted", Administrator, "Cross-tenant access"),
    ("access_denied", "AADSTS500212: NotAllowedByOutboundPolicyTenant - The user's administrator has set an outbound access policy that doesn't allow access to the resource tenant.", "entra_tenant_restricted", Administrator, "Cross-tenant access"),
    ("access_denied", "AADSTS500213: NotAllowedByInboundPolicyTenant - The resource tenant's cross-tenant access policy doesn't allow this user to access this tenant.", "entra_tenant_restricted", Administrator, "Cross-tenant access"),
    ("invalid_grant", "AADSTS50057: The user account is disabled.", "entra_account_disabled", Administrator, "delegate"),
    ("interaction_required", "AADSTS50105: Your administrator has configured the application motion ('1') to block users unless they are specifically granted ('assigned') access to the application.", "entra_user_not_assigned", Administrator, "Users and groups"),
    ("invalid_grant", "AADSTS50126: Error validating credentials due to invalid username or password.", "sign_in_password_wrong", SignInAgain, "Sign in again"),
    ("invalid_grant", "AADSTS50056: Invalid or null password: password doesn't exist in the directory for this user.", "sign_in_password_wrong", SignInAgain, "Sign in again"),
    ("invalid_grant", "AADSTS50064: Credential validation failed (CredentialAuthenticationError).", "sign_in_password_wrong", SignInAgain, "Sign in again"),
    ("invalid_grant", "AADSTS50055: The password is expired.", "sign_in_password_expired", SignInAgain, "aka.ms/sspr"),
    ("invalid_grant", "AADSTS50144: The user's Active Directory password has expired. Generate a new password for the user or have the user use the self-service reset tool to reset their password.", "sign_in_password_expired", SignInAgain, "aka.ms/sspr"),
    ("invalid_grant", "AADSTS50053: The account is locked, you've tried to sign in too many times with an incorrect user ID or password.", "entra_locked_out", HoldUntil, "Sign-in logs"),
    ("login_required", "AADSTS50058: A silent sign-in request was sent but no user is signed in.", "sign_in_interaction", SignInAgain, "Sign in again"),
    ("invalid_grant", "AADSTS50072: Due to a configuration change made by your administrator, or because you moved to a new location, you must enroll in multi-factor authentication to access '00000002'.", "sign_in_mfa_enrol", SignInAgain, "aka.ms/mfasetup"),
    ("invalid_grant", "AADSTS50079: Due to a configuration change made by your administrator, or because you moved to a new location, you must enroll in multi-factor authentication.", "sign_in_mfa_enrol", SignInAgain, "aka.ms/mfasetup"),
    ("invalid_grant", "AADSTS50074: Strong Authentication is required.", "sign_in_mfa", SignInAgain, "second factor"),
    ("invalid_grant", "AADSTS50076: Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access '00000002'.", "sign_in_mfa", SignInAgain, "second factor"),
    ("invalid_grant", "AADSTS50078: Presented multi-factor authentication has expired due to policies configured by your administrator, you must refresh your multi-factor authentication to access '00000002'.", "sign_in_mfa_expired", SignInAgain, "Diagnose and solve problems"),
    ("interaction_required", "AADSTS50158: External security challenge was not satisfied.", "sign_in_external_challenge", SignInAgain, "Sign in again"),
    ("interaction_required", "AADSTS50161: Failed to validate authorization url of external claims provider.", "sign_in_external_challenge", SignInAgain, "Sign in again"),
    ("interaction_required", "AADSTS50097: Device authentication is required.", "entra_device_required", Administrator, "Conditional Access"),
    ("interaction_required", "AADSTS50129: Device is not workplace joined. Workplace join is required to register the device.", "entra_device_required", Administrator, "Conditional Access"),
    ("interaction_required", "AADSTS50155: Device authentication failed for this user.", "entra_device_required", Administrator, "Conditional Access"),
    ("interaction_required", "AADSTS50187: Failed to perform device authentication.", "entra_device_required", Administrator, "Conditional Access"),
    ("interaction_required", "AADSTS53000: Device is not in required device state: compliant. Conditional Access policy requires a compliant device, and the device is not compliant.", "entra_device_required", Administrator, "Conditional Access"),
    ("interaction_required", "AADSTS53001: Device is not in required device state: domain_joined.", "entra_device_required", Administrator, "Conditional Access"),
    ("interaction_required", "AADSTS53002: The application used is not an approved application for Conditional Access.", "entra_app_protection_required", Administrator, "excludes"),
    ("interaction_required", "AADSTS53005: Application needs to enforce Intune protection policies.", "entra_app_protection_required", Administrator, "excludes"),
    ("invalid_grant", "AADSTS53003: Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.", "entra_conditional_access", Administrator, "Named locations"),
    ("access_denied", "AADSTS530032: Access has been blocked due to a security policy set by your tenant administrator.", "entra_security_defaults", Administrator, "security defaults"),
    ("access_denied", "AADSTS530035: Access has been blocked by security defaults.", "entra_security_defaults", Administrator, "security defaults"),
    ("interaction_required", "AADSTS50131: Device is not in required device state or the request was blocked due to suspicious activity, access policy, or security policy decisions.", "entra_risk_blocked", Administrator, "Risky users"),
    ("interaction_required", "AADSTS53004: User needs to complete the multi-factor authentication registration process before accessing this content. (ProofUpBlockedDueToRisk)", "entra_risk_blocked", Administrator, "Risky users"),
    ("interaction_required", "AADSTS53011: User blocked due to risk on home tenant.", "entra_risk_blocked", Administrator, "Risky users"),
    ("interaction_required", "AADSTS530034: A delegated administrator was blocked from accessing the tenant due to account risk in their home tenant.", "entra_risk_blocked", Administrator, "Risky users"),
    ("interaction_required", "AADSTS50135: Password change is required due to account risk.", "entra_risk_blocked", Administrator, "Risky users"),
    ("invalid_grant", "AADSTS70000: The provided grant is invalid or malformed.", "sign_in_grant_unknown", SignInAgain, "Sign in again"),
    ("invalid_grant", "AADSTS70008: The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource.", "sign_in_expired", SignInAgain, "Sign in again"),
    ("invalid_grant", "AADSTS700082: The refresh token has expired due to inactivity. The token was issued on 2026-01-01T00:00:00.0000000Z and was inactive for 90.00:00:00.", "sign_in_idle_too_long", SignInAgain, "Sign in again"),
    ("invalid_grant", "AADSTS700084: The refresh token was issued to a single page app (SPA), and therefore has a fixed, limited lifetime of 1.00:00:00, which cannot be extended.", "sign_in_spa", SignInAgain, "under Web"),
    ("invalid_grant", "AADSTS70043: The refresh token has expired or is invalid due to sign-in frequency checks by conditional access. The token was issued on 2026-01-01 and the maximum allowed lifetime for this request is 1296000.", "sign_in_frequency", SignInAgain, "365 days"),
    ("invalid_grant", "AADSTS50173: The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed or reset their password.", "sign_in_revoked", SignInAgain, "Audit logs"),
    ("invalid_grant", "AADSTS50132: SsoArtifactInvalidOrExpired - The session is not valid due to password expiration or recent password change.", "sign_in_password_changed", SignInAgain, "Sign in again"),
    ("invalid_grant", "AADSTS50133: SsoArtifactRevoked - The session is not valid due to password expiration or recent password change.", "sign_in_password_changed", SignInAgain, "Sign in again"),
    ("invalid_grant", "AADSTS50089: Authentication failed due to flow token expired.", "sign_in_too_slow", SignInAgain, "ten minutes"),
    ("invalid_grant", "AADSTS54005: OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.", "sign_in_code_used", SignInAgain, "begin the sign-in again"),
    ("invalid_grant", "AADSTS501481: The Code_Verifier does not match the code_challenge supplied in the authorization request.", "sign_in_mixed_up", SignInAgain, "one window"),
    ("invalid_grant", "AADSTS50147: Invalid size of Code_Challenge parameter.", "sign_in_mixed_up", SignInAgain, "one window"),
    ("invalid_grant", "AADSTS501491: Invalid size of Code_Verifier parameter.", "sign_in_mixed_up", SignInAgain, "one window"),
    ("invalid_grant", "AADSTS700005: Provided Authorization Code is intended to use against other tenant, thus rejected.", "oauth_other_tenant", Administrator, "one tenant id"),
    ("invalid_request", "AADSTS9002313: Invalid request. Request is malformed or invalid.", "oauth_request_malformed", Administrator, "XC_EMAIL_HTTPS_PROXY"),
    ("invalid_request", "AADSTS90004: The request is not properly formatted. (InvalidRequestFormat)", "oauth_request_malformed", Administrator, "XC_EMAIL_HTTPS_PROXY"),
    ("invalid_request", "AADSTS90013: Invalid input received from the user.", "oauth_request_malformed", Administrator, "report"),
    ("invalid_request", "AADSTS90014: The required field 'scope' is missing from the credential.", "oauth_request_malformed", Administrator, "report"),
    ("invalid_request", "AADSTS90023: The authentication service request is not valid. (InvalidRequest)", "oauth_request_malformed", Administrator, "report"),
    ("invalid_request", "AADSTS900144: The request body must contain the following parameter: 'client_id'.", "oauth_request_malformed", Administrator, "report"),
    ("invalid_request", "AADSTS90100: The 'login_hint' parameter is empty or not valid.", "oauth_request_malformed", Administrator, "report"),
    ("invalid_request", "AADSTS900561: The endpoint only accepts POST requests. Received a GET request.", "oauth_request_malformed", Administrator, "report"),
    ("invalid_request", "AADSTS90056: The resource is disabled or does not exist: the endpoint only accepts POST.", "oauth_request_malformed", Administrator, "report"),
    ("interaction_required", "AADSTS700020: InteractionRequired - The access grant requires interaction.", "sign_in_interaction", SignInAgain, "Sign in again"),
    ("invalid_grant", "AADSTS50196: The server terminated an operation because it encountered a client request loop. Please contact your app vendor.", "entra_client_loop", HoldUntil, "ten minutes"),
    ("temporarily_unavailable", "AADSTS90033: A transient error has occurred. Please try again.", "entra_unavailable", Retry, "by itself"),
    ("temporarily_unavailable", "AADSTS50033: RetryableError - A transient error not related to the database operations.", "entra_unavailable", Retry, "by itself"),
    ("temporarily_unavailable", "AADSTS50087: A transient error has occurred during strong authentication. Please try again.", "entra_unavailable", Retry, "by itself"),
    ("temporarily_unavailable", "AADSTS50088: Limit on telecom MFA calls reached. Please try again in a few minutes.", "entra_unavailable", Retry, "by itself"),
    ("server_error", "AADSTS90006: ExternalServerRetryableError - The service is temporarily unavailable.", "entra_unavailable", Retry, "by itself"),
    ("temporarily_unavailable", "AADSTS90012: RequestTimeout - The requested has timed out.", "entra_unavailable", Retry, "by itself"),
    ("temporarily_unavailable", "AADSTS90024: RequestBudgetExceededError - A transient error has occurred. Try again.", "entra_unavailable", Retry, "by itself"),
    ("temporarily_unavailable", "AADSTS90090: GraphRetryableError - The service is temporarily unavailable.", "entra_unavailable", Retry, "by itself"),
    ("server_error", "AADSTS70012: MsaServerError - A server error occurred while authenticating an MSA (consumer) user. Try again.", "entra_unavailable", Retry, "by itself"),
    ("server_error", "AADSTS40010: RetryableError - Issue with the external identity provider.", "entra_unavailable", Retry, "by itself"),
    ("temporarily_unavailable", "AADSTS50166: ExternalClaimsProviderThrottled - Failed to send the request to the claims provider.", "entra_unavailable", Retry, "by itself"),
    ("temporarily_unavailable", "AADSTS80002: OnPremisePasswordValidatorRequestTimedout - Password validation request timed out.", "entra_unavailable", Retry, "by itself"),
    ("temporarily_unavailable", "AADSTS80014: OnPremisePasswordValidationTimeSkew - Validation request responded after maximum elapsed time exceeded.", "entra_unavailable", Retry, "by itself"),
    ("temporarily_unavailable", "AADSTS90055: TenantThrottlingError - There are too many incoming requests.", "entra_tenant_throttled", HoldUntil, "quarter of an hour"),
    ("server_error", "AADSTS50000: There was an error issuing a token or an issue with our sign-in service.", "entra_fault", Retry, "Microsoft support"),
    ("server_error", "AADSTS90036: MsodsServiceUnretryableFailure - An unexpected, non-retryable error from the service hosted by MSODS has occurred.", "entra_fault", Retry, "Microsoft support"),
    ("server_error", "AADSTS90092: GraphNonRetryableError.", "entra_fault", Retry, "Microsoft support"),
    ("unauthorized_client", "AADSTS1000031: Application motion cannot be accessed at this time. Contact your administrator.", "oauth_application_unavailable", Administrator, "Enterprise applications"),
];

/// The words without a number; status and finer word where they matter.
#[rustfmt::skip]
pub(crate) const WORDS: &[Word] = &[
    ("invalid_grant", None, "", "sign_in_needed", SignInAgain, "Authenticate"),
    ("invalid_grant", None, "Token has been expired or revoked.", "sign_in_revoked", SignInAgain, "OAuth consent screen"),
    ("invalid_grant", Some("bad_token"), "", "sign_in_needed", SignInAgain, "Authenticate"),
    ("invalid_grant", Some("user_password_expired"), "", "sign_in_password_expired", SignInAgain, "aka.ms/sspr"),
    ("invalid_grant", Some("consent_required"), "", "sign_in_consent", SignInAgain, "Accept"),
    ("invalid_grant", Some("protection_policy_required"), "", "entra_app_protection_required", Administrator, "excludes"),
    ("invalid_grant", Some("device_authentication_failed"), "", "entra_device_required", Administrator, "excludes"),
    ("invalid_grant", Some("client_mismatch"), "", "oauth_application_wrong", Administrator, "application id"),
    ("interaction_required", None, "", "sign_in_interaction", SignInAgain, "Authenticate"),
    ("login_required", None, "", "sign_in_interaction", SignInAgain, "Authenticate"),
    ("consent_required", None, "", "sign_in_consent", SignInAgain, "Accept"),
    ("invalid_client", None, "", "oauth_client_secret_refused", Administrator, "Update Client Secret"),
    ("unauthorized_client", None, "", "oauth_application_refused", Administrator, "application id"),
    ("invalid_scope", None, "", "oauth_scope_wrong", Administrator, "scope host"),
    ("invalid_resource", None, "", "oauth_resource_missing", Administrator, "scope host"),
    ("invalid_request", None, "", "oauth_request_malformed", Administrator, "XC_EMAIL_HTTPS_PROXY"),
    ("unsupported_grant_type", None, "", "oauth_request_malformed", Administrator, "report"),
    ("unsupported_response_type", None, "", "oauth_request_malformed", Administrator, "platform Web"),
    ("access_denied", None, "", "sign_in_declined", SignInAgain, "accept"),
    ("temporarily_unavailable", None, "", "oauth_unavailable", Retry, "by itself"),
    ("server_error", None, "", "oauth_unavailable", Retry, "by itself"),
    ("authorization_pending", None, "", "sign_in_pending", Retry, "by itself"),
    ("slow_down", None, "", "oauth_slow_down", HoldUntil, "by itself"),
    ("expired_token", None, "", "sign_in_code_expired", SignInAgain, "again"),
    ("authorization_declined", None, "", "sign_in_declined", SignInAgain, "accept"),
    ("bad_verification_code", None, "", "sign_in_code_wrong", SignInAgain, "again"),
    ("something_new", None, "Nobody knows this word.", "oauth_refused", Administrator, "Sign-in logs"),
];

fn refusal(error: &str, fine: Option<&str>, text: &str) -> Refusal {
    Refusal {
        status: 400,
        error: error.into(),
        description: text.into(),
        codes: entra::numbers_in(text),
        suberror: fine.map(Into::into),
        trace_id: Some("0f4e1f0a-1111-2222-3333-444455556666".into()),
        correlation_id: Some("77aa88bb-1111-2222-3333-444455556666".into()),
    }
}

fn check(refusal: Refusal, code: &str, action: Action, next: &str) {
    let error = OauthError::Refused(Box::new(refusal));
    let said = explain(&Failure::Oauth(error.clone()), &Context::default());
    assert_eq!((said.code, said.action), (code, action), "{error}");
    assert!(said.next.contains(next), "{code}: {}", said.next);
    // What the program does about it and what it says are one.
    assert_eq!(said.class, error.class());
    assert_eq!(
        error.needs_sign_in(),
        action == SignInAgain,
        "{error}: {action:?}"
    );
    for id in ["0f4e1f0a", "77aa88bb"] {
        assert!(said.why.contains(id), "{code}: {}", said.why);
    }
}

#[test]
fn every_number_of_entra_has_its_code_its_class_and_its_next_step() {
    for (error, text, code, action, next) in NUMBERS {
        check(refusal(error, None, text), code, *action, next);
        // The same where the numbers stand in the text only, as behind a browser.
        let bare = Refusal {
            codes: Vec::new(),
            ..refusal(error, None, text)
        };
        let failure = Failure::Oauth(OauthError::Refused(Box::new(bare)));
        assert_eq!(explain(&failure, &Context::default()).code, *code, "{text}");
    }
}

#[test]
fn every_word_of_a_platform_has_its_code_its_class_and_its_next_step() {
    for (error, fine, text, code, action, next) in WORDS {
        check(refusal(error, *fine, text), code, *action, next);
    }
}

#[test]
fn an_application_with_access_of_its_own_is_asked_for_consent_and_nobody_to_sign_in() {
    let context = Context {
        application: true,
        provider: Some("3".into()),
        ..Context::default()
    };
    let numbers = NUMBERS
        .iter()
        .map(|(error, text, code, action, _)| (refusal(error, None, text), *code, *action));
    let words = WORDS
        .iter()
        .map(|(error, fine, text, code, action, _)| (refusal(error, *fine, text), *code, *action));
    for (refusal, code, action) in numbers.chain(words) {
        let error = OauthError::Refused(Box::new(refusal));
        let said = explain(&Failure::Oauth(error.clone()), &context);
        assert_ne!(said.action, SignInAgain, "{error}");
        let consent = [
            "sign_in_consent",
            "oauth_permission_missing",
            "oauth_admin_consent",
        ];
        if consent.contains(&code) {
            assert_eq!(
                (said.code, said.action),
                ("oauth_application_consent", Administrator),
                "{error}"
            );
            assert!(said.next.contains("IMAP.AccessAsApp"), "{}", said.next);
        } else if action != SignInAgain {
            assert_eq!((said.code, said.action), (code, action), "{error}");
            continue;
        }
        for person in ["sign in again", "authenticate 3", "person who signed in"] {
            let all = format!("{} {}", said.what, said.next).to_lowercase();
            assert!(!all.contains(person), "{code}: {all}");
        }
        assert!(said.why.contains("0f4e1f0a"), "{}", said.why);
    }
    // The same where of a refusal only the text was kept.
    let kept = Failure::SignInNeeded("AADSTS65001: no consent".into());
    assert_eq!(explain(&kept, &context).code, "oauth_application_consent");
}

#[test]
fn the_table_of_words_and_the_table_of_verdicts_know_the_same_numbers() {
    let judged: BTreeSet<u32> = entra::numbers().map(|(number, _)| number).collect();
    let worded: Vec<u32> = numbered().iter().map(|(number, _)| *number).collect();
    let tested: BTreeSet<u32> = NUMBERS
        .iter()
        .flat_map(|(_, text, ..)| entra::numbers_in(text))
        .collect();
    let unique: BTreeSet<u32> = worded.iter().copied().collect();
    assert_eq!(worded.len(), unique.len(), "a number stands twice");
    assert_eq!(judged, unique);
    assert_eq!(judged, tested);
    for (number, verdict) in entra::numbers() {
        let spoken = Spoken {
            error: "",
            description: "",
            numbers: &[number],
            fine: None,
        };
        let action = oauth(spoken).unwrap().action;
        let expected = match verdict {
            Verdict::SignIn => SignInAgain,
            Verdict::Administrator => Administrator,
            Verdict::Retry => Retry,
            Verdict::Hold(_) => HoldUntil,
        };
        assert_eq!(action, expected, "{number}");
    }
}

#[test]
fn a_grant_that_was_refused_is_explained_from_the_words_that_were_kept() {
    let text = format!(
        "AADSTS70043: The refresh token has expired or is invalid due to sign-in frequency checks by conditional access. \
         {} Trace ID: 0f4e1f0a-1 Correlation ID: 77aa88bb-2 Timestamp: 2026-01-09 02:02:12Z",
        "x".repeat(600)
    );
    let error = OauthError::Refused(Box::new(refusal("invalid_grant", None, &text)));
    let context = Context {
        provider: Some("3".into()),
        ..Context::default()
    };
    let said = explain(&Failure::SignInNeeded(error.to_string()), &context);
    assert_eq!((said.code, said.action), ("sign_in_frequency", SignInAgain));
    assert_eq!(said.class, FailureClass::OperatorMustAct);
    assert!(said.what.contains("cloud provider 3"), "{}", said.what);
    assert!(
        said.next.contains("provider authenticate 3"),
        "{}",
        said.next
    );
    assert!(said.why.contains("trace 0f4e1f0a-1"), "{}", said.why);
    assert!(said.why.contains("correlation 77aa88bb-2"), "{}", said.why);
    let google =
        "the identity platform refused with invalid_grant: Token has been expired or revoked.";
    let said = explain(&Failure::SignInNeeded(google.into()), &context);
    assert_eq!(said.code, "sign_in_revoked");
    // A number that is not the person's matter never makes it one; the grant is refused all the same.
    let said = explain(&Failure::SignInNeeded("AADSTS53003: no".into()), &context);
    assert_eq!((said.code, said.action), ("sign_in_needed", SignInAgain));
}

#[test]
fn without_words_the_status_decides() {
    let at = |status| {
        let refusal = Refusal {
            status,
            ..refusal("odd", None, "AADSTS999999: unheard of")
        };
        explain(
            &Failure::Oauth(OauthError::Refused(Box::new(refusal))),
            &Context::default(),
        )
    };
    assert_eq!(
        (at(400).code, at(400).action),
        ("oauth_refused", Administrator)
    );
    assert_eq!((at(500).code, at(500).action), ("oauth_refused", Retry));
    assert!(at(400).why.contains("unheard of"));
}
