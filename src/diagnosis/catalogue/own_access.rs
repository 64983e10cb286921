//! What is said in the place of other rows where mailboxes are opened in the application's own name (client
//! credentials, RFC 6749 §4.4): nobody signs in, so nobody can sign in again.

use super::{Entry, entry};
use crate::model::Action::{Administrator, SignInAgain};

/// Codes, and what stands in their place.
const ROWS: &[(&[&str], Entry)] = &[
    (
        &[
            "sign_in_consent",
            "oauth_permission_missing",
            "oauth_admin_consent",
        ],
        entry(
            "oauth_application_consent",
            Administrator,
            "No administrator has consented to the permissions that the application of {provider} uses in its own name.",
            "Mailboxes are opened with the application's own access; no person can consent to it.",
            "An administrator opens the Entra portal, App registrations, API permissions, adds the application permissions \
             IMAP.AccessAsApp and SMTP.SendAsApp of Office 365 Exchange Online (not delegated ones), and uses Grant admin \
             consent. Nobody has to sign in. {kept}",
        ),
    ),
    (
        &[
            "imap_token_refused",
            "imap_sign_in_refused",
            "imap_authentication_failed",
            "imap_not_allowed",
            "imap_authenticated_not_connected",
        ],
        entry(
            "imap_application_refused",
            Administrator,
            "{server} does not let the application of {provider} open {mailbox} in its own name.",
            "The permission, the service principal in Exchange or its right to the mailbox is missing, or IMAP is off.",
            "Check, in this order: 1. the app registration has the application permission IMAP.AccessAsApp of Office 365 \
             Exchange Online with admin consent; 2. in Exchange Online PowerShell, New-ServicePrincipal -AppId APPLICATION-ID \
             -ObjectId OBJECT-ID with the object id of the enterprise application (not of the app registration); 3. \
             Add-MailboxPermission -Identity {mailbox} -User SERVICE-PRINCIPAL-ID -AccessRights FullAccess (counts after up to an \
             hour); 4. Set-CASMailbox -Identity {mailbox} -ImapEnabled $true. Nobody has to sign in.",
        ),
    ),
    (
        &[
            "smtp_token_refused",
            "smtp_sign_in_refused",
            "smtp_send_as_denied",
        ],
        entry(
            "smtp_application_refused",
            Administrator,
            "{server} does not let the application of {provider} send as {mailbox} in its own name.",
            "The permission, the service principal in Exchange or its right to send is missing, or authenticated SMTP is off.",
            "Check, in this order: 1. the app registration has the application permission SMTP.SendAsApp of Office 365 Exchange \
             Online with admin consent; 2. in Exchange Online PowerShell, New-ServicePrincipal -AppId APPLICATION-ID -ObjectId \
             OBJECT-ID with the object id of the enterprise application; 3. Add-RecipientPermission {mailbox} -Trustee \
             SERVICE-PRINCIPAL-ID -AccessRights SendAs (counts after up to an hour); 4. Set-CASMailbox -Identity {mailbox} \
             -SmtpClientAuthenticationDisabled $false. Nobody has to sign in. {kept}",
        ),
    ),
];

/// Whatever else would ask a person to sign in.
pub(in crate::diagnosis) const REFUSED: Entry = entry(
    "oauth_application_not_let_in",
    Administrator,
    "The identity platform gives the application of {provider} no access in its own name.",
    "Nobody signs in to this cloud provider, so this is about the application, its tenant or a policy.",
    "Check Application Id, Tenant Id, client secret or certificate and the application permissions of {provider}. {log} {kept}",
);

/// What to say in the place of this entry, where that differs.
pub(in crate::diagnosis) fn own_access(entry: &Entry) -> Option<&'static Entry> {
    let row = ROWS.iter().find(|(codes, _)| codes.contains(&entry.code));
    row.map(|(_, own)| own)
        .or_else(|| (entry.action == SignInAgain).then_some(&REFUSED))
}

/// All entries, for the tests.
#[cfg(test)]
pub(super) fn entries() -> Vec<&'static Entry> {
    ROWS.iter()
        .map(|(_, entry)| entry)
        .chain([&REFUSED])
        .collect()
}

/// All codes that another entry stands in the place of, for the tests.
#[cfg(test)]
pub(super) fn replaced() -> Vec<&'static str> {
    ROWS.iter()
        .flat_map(|(codes, _)| codes.iter().copied())
        .collect()
}
