//! What mail needs against what was granted. Pure.

use url::Url;

use crate::model::{CloudService, NewCloudProvider};

use super::{OauthError, clouds::is_graph, endpoints::endpoints};

/// Every scope that mail needs and `granted` (space-separated) lacks, as it was asked for, in our order;
/// people may untick scopes. Empty for application access, whose consent shows at the mailbox only.
///
/// Microsoft's are compared by their last part in any case, since its answers use another of its host names
/// or none; one that carries Microsoft Graph's host opens no mailbox and does not count. No list at all
/// means "as asked" (RFC 6749 §5.1).
///
/// # Errors
/// [`OauthError::Configuration`]: the provider cannot be used as entered.
pub fn missing_scopes(
    provider: &NewCloudProvider,
    granted: Option<&str>,
) -> Result<Vec<String>, OauthError> {
    let wanted = endpoints(provider)?.mail_scopes;
    let Some(granted) = granted else {
        return Ok(Vec::new());
    };
    let granted: Vec<String> = granted
        .split_whitespace()
        .filter_map(|scope| name(provider.service, scope))
        .collect();
    Ok(wanted
        .into_iter()
        .filter(|scope| name(provider.service, scope).is_none_or(|name| !granted.contains(&name)))
        .collect())
}

/// What two spellings of one scope have in common; `None` for a scope of another resource.
fn name(service: CloudService, scope: &str) -> Option<String> {
    let scope = scope.trim_end_matches('/');
    let of_graph = || Url::parse(scope).is_ok_and(|scope| scope.host_str().is_some_and(is_graph));
    match service {
        CloudService::MicrosoftAzure if of_graph() => None,
        CloudService::MicrosoftAzure => scope.rsplit('/').next(),
        CloudService::Google => Some(scope),
    }
    .map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Access, oauth::endpoints::example_provider};

    const IMAP: &str = "https://outlook.office.com/IMAP.AccessAsUser.All";
    const SMTP: &str = "https://outlook.office.com/SMTP.Send";
    const GMAIL: &str = "https://mail.google.com/";

    #[test]
    fn every_scope_that_was_not_granted_is_named() {
        let check = |service, granted: Option<&str>, expected: &[&str]| {
            let missing = missing_scopes(&example_provider(service), granted).unwrap();
            assert_eq!(missing, expected, "{granted:?}");
        };
        let microsoft = CloudService::MicrosoftAzure;
        check(microsoft, None, &[]);
        check(microsoft, Some(""), &[IMAP, SMTP]);
        check(microsoft, Some("openid profile email"), &[IMAP, SMTP]);
        check(microsoft, Some(IMAP), &[SMTP]);
        check(microsoft, Some(&format!("email {SMTP}")), &[IMAP]);
        check(microsoft, Some(&format!("{SMTP}  openid {IMAP}")), &[]);
        // Another of its hosts, another case, a slash at the end, short names.
        check(
            microsoft,
            Some(
                "openid https://outlook.office365.com/imap.accessasuser.all https://OUTLOOK.office365.com/SMTP.SEND/",
            ),
            &[],
        );
        check(microsoft, Some("SMTP.Send imap.accessasuser.all"), &[]);
        check(microsoft, Some("SMTP.Send Mail.Send"), &[IMAP]);
        // Names that only begin or end alike.
        check(
            microsoft,
            Some("XSMTP.Send SMTP.SendAsApp IMAP.AccessAsUser"),
            &[IMAP, SMTP],
        );
        // A token for Graph does not open a mailbox by IMAP.
        check(
            microsoft,
            Some("https://graph.microsoft.com/IMAP.AccessAsUser.All SMTP.Send"),
            &[IMAP],
        );
        let google = CloudService::Google;
        check(google, None, &[]);
        check(google, Some("openid https://mail.google.com/"), &[]);
        check(google, Some("https://mail.google.com"), &[]);
        check(
            google,
            Some("openid https://www.googleapis.com/auth/gmail.readonly"),
            &[GMAIL],
        );
    }

    #[test]
    fn an_applications_answer_misses_nothing() {
        let mut provider = example_provider(CloudService::MicrosoftAzure);
        provider.access = Access::Application;
        let missing = missing_scopes(&provider, Some("https://outlook.office365.com/.default"));
        assert!(missing.unwrap().is_empty());
    }
}
