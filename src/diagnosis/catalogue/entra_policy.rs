//! Entra's numbers about policies of the tenant: lifted by an administrator, the sign-in survives.

use super::{Row, entry, oauth::Mark};
use crate::model::Action::Administrator;

pub(super) const POLICY: &[Row<Mark>] = &[
    (
        Mark::Numbers(&[500021, 500022, 500212, 500213]),
        entry(
            "entra_tenant_restricted",
            Administrator,
            "A policy between tenants forbids the sign-in.",
            "Tenant restrictions or cross-tenant access settings.",
            "An administrator allows this application and account in the Entra portal, External Identities, Cross-tenant access \
             settings, or in the proxy that restricts tenants. {kept}",
        ),
    ),
    (
        Mark::Numbers(&[50057]),
        entry(
            "entra_account_disabled",
            Administrator,
            "The account that signed in is disabled.",
            "The own account of a shared mailbox always is.",
            "An administrator enables the account (Entra portal, Users, Account enabled). For a shared mailbox sign in as a \
             delegate with FullAccess, not as the shared mailbox itself. {kept}",
        ),
    ),
    (
        Mark::Numbers(&[50105]),
        entry(
            "entra_user_not_assigned",
            Administrator,
            "The account that signed in is not assigned to the application of {provider}.",
            "",
            "An administrator opens the Entra portal, Enterprise applications, the application, Users and groups, and adds the \
             account; or sets Properties, Assignment required, to No. {kept}",
        ),
    ),
    (
        Mark::Numbers(&[50097, 50129, 50155, 50187, 53000, 53001]),
        entry(
            "entra_device_required",
            Administrator,
            "A policy of the tenant demands a compliant or joined device, which a server is not.",
            "",
            "An administrator excludes this app registration, or the account that signs in, from that policy: Entra portal, \
             Protection, Conditional Access. {log} {kept}",
        ),
    ),
    (
        Mark::Numbers(&[53002, 53005]),
        entry(
            "entra_app_protection_required",
            Administrator,
            "A policy of the tenant demands an approved or protected app, which a server cannot be.",
            "",
            "An administrator excludes this app registration from that policy: Entra portal, Protection, Conditional Access, the \
             policy, Target resources. {log} {kept}",
        ),
    ),
    (
        Mark::Numbers(&[53003]),
        entry(
            "entra_conditional_access",
            Administrator,
            "Conditional Access of the tenant blocks the sign-in.",
            "Most often a policy about places: the server's address is not among the allowed ones.",
            "An administrator opens the Entra portal, Monitoring, Sign-in logs, finds the entry by the correlation id, tab \
             Conditional Access, and excludes this account or adds this server's address to Named locations. Diagnose and solve \
             problems in the portal names the policy. {kept}",
        ),
    ),
    (
        Mark::Numbers(&[530032, 530035]),
        entry(
            "entra_security_defaults",
            Administrator,
            "The security policy of the tenant (security defaults) blocks the sign-in.",
            "",
            "An administrator opens the Entra portal, Overview, Properties, Manage security defaults, and uses Conditional Access \
             in their place, with an exception for this account. {kept}",
        ),
    ),
    (
        Mark::Numbers(&[50131, 53004, 53011, 530034, 50135]),
        entry(
            "entra_risk_blocked",
            Administrator,
            "The tenant holds the account that signed in, or its sign-in, to be at risk.",
            "",
            "An administrator opens the Entra portal, Protection, Identity Protection, Risky users, and dismisses or remediates \
             the risk (a new password); then sign in again. {log} {kept}",
        ),
    ),
];
