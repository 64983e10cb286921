//! The hosts of Microsoft's clouds (learn.microsoft.com, "National clouds" and "Microsoft Graph national
//! cloud deployments"; the mail hosts by what public mail clients use). Pure.
//!
//! An app registration and its tokens belong to one cloud. These are presets: a provider's authority and
//! scope host and an account's mail hosts, where entered, replace them. Not confirmed by a published page:
//! the scope hosts of [`Cloud::Dod`] and [`Cloud::China`], and China's SMTP host, for which
//! `smtp.partner.outlook.cn` is seen too.

use crate::model::Cloud;

/// The hosts of one cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// Where people and applications sign in.
    pub login: &'static str,
    /// Exchange Online's resource in the scopes that people grant; the scopes must carry it in full, since
    /// a bare name means Microsoft Graph.
    pub scope: &'static str,
    /// The same resource in the `/.default` scope of an application that signs in by itself.
    pub application_scope: &'static str,
    /// Microsoft Graph.
    pub graph: &'static str,
    /// IMAP over TLS, port 993.
    pub imap: &'static str,
    /// SMTP submission with STARTTLS, port 587.
    pub smtp: &'static str,
}

const WORLDWIDE: Hosts = Hosts {
    login: "login.microsoftonline.com",
    scope: "outlook.office.com",
    application_scope: "outlook.office365.com",
    graph: "graph.microsoft.com",
    imap: "outlook.office365.com",
    smtp: "smtp.office365.com",
};
const PERSONAL: Hosts = Hosts {
    smtp: "smtp-mail.outlook.com",
    ..WORLDWIDE
};
const GCC_HIGH: Hosts = Hosts {
    login: "login.microsoftonline.us",
    scope: "outlook.office365.us",
    application_scope: "outlook.office365.us",
    graph: "graph.microsoft.us",
    imap: "outlook.office365.us",
    smtp: "smtp.office365.us",
};
const DOD: Hosts = Hosts {
    graph: "dod-graph.microsoft.us",
    imap: "outlook-dod.office365.us",
    smtp: "outlook-dod.office365.us",
    ..GCC_HIGH
};
const CHINA: Hosts = Hosts {
    login: "login.partner.microsoftonline.cn",
    scope: "partner.outlook.cn",
    application_scope: "partner.outlook.cn",
    graph: "microsoftgraph.chinacloudapi.cn",
    imap: "partner.outlook.cn",
    smtp: "partner.outlook.cn",
};

/// The hosts of a cloud, for a tenant as entered: `consumers` means personal Outlook.com mailboxes.
pub fn hosts(cloud: Cloud, tenant: &str) -> Hosts {
    match cloud {
        Cloud::Worldwide if is_personal(tenant) => PERSONAL,
        Cloud::Worldwide => WORLDWIDE,
        Cloud::GccHigh => GCC_HIGH,
        Cloud::Dod => DOD,
        Cloud::China => CHINA,
    }
}

/// Whether the tenant as entered stands for personal accounts: by its word or by its id.
pub(super) fn is_personal(tenant: &str) -> bool {
    let tenant = tenant.trim();
    tenant.eq_ignore_ascii_case("consumers") || super::same_id(tenant, super::PERSONAL_TENANT)
}

/// Whether the tenant as entered stands for many tenants.
pub(super) fn is_shared(tenant: &str) -> bool {
    ["common", "organizations", "consumers"]
        .iter()
        .any(|word| tenant.trim().eq_ignore_ascii_case(word))
}

/// Whether a host is Microsoft Graph's in any cloud.
pub(super) fn is_graph(host: &str) -> bool {
    [WORLDWIDE, GCC_HIGH, DOD, CHINA]
        .iter()
        .any(|hosts| hosts.graph.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cloud_has_its_own_hosts() {
        // Login, scope, application scope, Graph, IMAP, SMTP.
        let table = [
            (
                Cloud::Worldwide,
                "contoso.example",
                [
                    "login.microsoftonline.com",
                    "outlook.office.com",
                    "outlook.office365.com",
                    "graph.microsoft.com",
                    "outlook.office365.com",
                    "smtp.office365.com",
                ],
            ),
            (
                Cloud::Worldwide,
                " Consumers ",
                [
                    "login.microsoftonline.com",
                    "outlook.office.com",
                    "outlook.office365.com",
                    "graph.microsoft.com",
                    "outlook.office365.com",
                    "smtp-mail.outlook.com",
                ],
            ),
            (
                Cloud::GccHigh,
                "contoso.example",
                [
                    "login.microsoftonline.us",
                    "outlook.office365.us",
                    "outlook.office365.us",
                    "graph.microsoft.us",
                    "outlook.office365.us",
                    "smtp.office365.us",
                ],
            ),
            (
                Cloud::Dod,
                "contoso.example",
                [
                    "login.microsoftonline.us",
                    "outlook.office365.us",
                    "outlook.office365.us",
                    "dod-graph.microsoft.us",
                    "outlook-dod.office365.us",
                    "outlook-dod.office365.us",
                ],
            ),
            (
                Cloud::China,
                "contoso.example",
                [
                    "login.partner.microsoftonline.cn",
                    "partner.outlook.cn",
                    "partner.outlook.cn",
                    "microsoftgraph.chinacloudapi.cn",
                    "partner.outlook.cn",
                    "partner.outlook.cn",
                ],
            ),
        ];
        for (cloud, tenant, expected) in table {
            let found = hosts(cloud, tenant);
            let found = [
                found.login,
                found.scope,
                found.application_scope,
                found.graph,
                found.imap,
                found.smtp,
            ];
            assert_eq!(found, expected, "{cloud:?} {tenant}");
        }
        assert_eq!(
            hosts(Cloud::Worldwide, super::super::PERSONAL_TENANT),
            PERSONAL
        );
    }

    #[test]
    fn words_for_many_tenants_are_known_in_any_case() {
        for tenant in ["common", "Organizations", " consumers "] {
            assert!(is_shared(tenant), "{tenant}");
        }
        for tenant in [
            "",
            "contoso.example",
            "commons",
            super::super::PERSONAL_TENANT,
        ] {
            assert!(!is_shared(tenant), "{tenant}");
        }
        assert!(is_graph("Graph.Microsoft.US") && !is_graph("outlook.office.com"));
    }
}
