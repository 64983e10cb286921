//! What a caller enters for an account, checked. Pure.

use secrecy::SecretString;
use serde::Deserialize;

use crate::model::{
    Account, AccountKey, Authentication, Backfill, CloudProviderId, EmailAddress, Folders, ListId,
    NewAccount, Service, Timestamp,
};

use super::super::{
    input::{Given, Problems, Unknown},
    problem::ApiError,
};
use super::server::{ServerBody, proxy, server};

/// The body of a new account, and of a change to one.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::http) struct AccountBody {
    name: Given<String>,
    key: Given<String>,
    address: Given<String>,
    #[serde(rename = "ListId")]
    list: Given<i64>,
    service: Given<String>,
    authentication: Given<String>,
    #[serde(rename = "CloudProviderId")]
    provider: Given<i64>,
    username: Given<String>,
    delegate: Given<String>,
    password: Given<String>,
    imap: Given<ServerBody>,
    smtp: Given<ServerBody>,
    proxy: Given<String>,
    backfill: Given<String>,
    folders: Given<Vec<String>>,
    version: Given<i64>,
    confirmed_signed_in_as: Given<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// An account as it is to be stored.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) account: NewAccount,
    /// The version that the caller has seen, if it says so.
    pub(super) version: Option<i64>,
    /// Who gave the provider's grant, repeated by an administrator who knows that this is right.
    pub(super) confirmed_signed_in_as: Option<String>,
}

/// A new account, or `stored` with the body's changes. What a change does not name stays, the password
/// too; `null` takes `delegate` back, `imap` and `smtp` to the service's own servers, and `proxy` to the
/// process's. All wrong
/// fields are named at once.
pub(super) fn entered(body: AccountBody, stored: Option<&Account>) -> Result<Entered, ApiError> {
    let mut problems = Problems::default();
    let found = read(body, stored.map(|account| &account.entered), &mut problems);
    problems.done()?;
    // `read` gives nothing only where it noted why.
    found.ok_or_else(|| ApiError::Malformed("The account could not be read.".into()))
}

fn read(
    body: AccountBody,
    stored: Option<&NewAccount>,
    problems: &mut Problems,
) -> Option<Entered> {
    problems.unknown("", &body.unknown);
    let version = problems.optional("version", body.version);
    let confirmed = problems.optional("confirmedSignedInAs", body.confirmed_signed_in_as);
    let confirmed_signed_in_as = problems.line("confirmedSignedInAs", confirmed, 320);
    let name = problems.entered("name", body.name, stored.is_none());
    let name = problems
        .line("name", name, 100)
        .or_else(|| stored.map(|s| s.name.clone()));
    let key = problems.entered("key", body.key, stored.is_none());
    let key = problems
        .parsed(
            "key",
            key,
            "must be 1 to 5 letters or digits",
            AccountKey::parse,
        )
        .or_else(|| stored.map(|s| s.key.clone()));
    let address = problems.entered("address", body.address, stored.is_none());
    let address = problems
        .parsed("address", address, "must be an e-mail address", |t| {
            EmailAddress::parse(t).ok()
        })
        .or_else(|| stored.map(|s| s.address.clone()));
    let list = if stored.is_none() {
        problems.required("ListId", body.list)
    } else {
        problems.optional("ListId", body.list)
    };
    let list = list.map(ListId::new).or_else(|| stored.map(|s| s.list));
    let service = problems.entered("service", body.service, stored.is_none());
    let service = problems.parsed(
        "service",
        service,
        "must be Outlook365, Gmail, Yahoo, Hotmail or Custom",
        Service::parse,
    );
    let same_service = stored.filter(|s| service.is_none_or(|new| new == s.service));
    let service = service.or_else(|| stored.map(|s| s.service));
    let login = LoginBody {
        authentication: body.authentication,
        provider: body.provider,
        username: body.username,
        delegate: body.delegate,
        password: body.password,
    };
    let authentication = authentication(
        problems,
        login,
        stored.map(|s| &s.authentication),
        address.as_ref(),
    );
    let preset = service.and_then(Service::imap);
    let imap = server(
        problems,
        "imap",
        body.imap,
        same_service.map(|s| &s.imap),
        preset,
    );
    let preset = service.and_then(Service::smtp);
    let smtp = server(
        problems,
        "smtp",
        body.smtp,
        same_service.map(|s| &s.smtp),
        preset,
    );
    let proxy = proxy(problems, body.proxy, stored.map(|s| &s.proxy));
    let backfill = problems.optional("backfill", body.backfill);
    let backfill = problems
        .parsed(
            "backfill",
            backfill,
            "must be \"none\", \"all\" or a date and time like 2026-01-31T00:00:00Z",
            read_backfill,
        )
        .or_else(|| stored.map(|s| s.backfill))
        .unwrap_or(Backfill::None);
    let given = matches!(body.folders, Given::Null);
    let folders = problems.optional("folders", body.folders);
    let folders = match folders {
        Some(names) => {
            let folders = Folders::parse(names.iter().map(String::as_str));
            if folders.is_none() {
                problems.add(
                    "folders",
                    "must be 1 to 50 folder names, \"INBOX\", or what a folder is for: \"\\\\Junk\", \"\\\\Archive\", \"\\\\Sent\", \"\\\\Trash\", \"\\\\Drafts\", \"\\\\All\"",
                );
            }
            folders
        }
        None => stored.filter(|_| !given).map(|s| s.folders.clone()),
    };
    Some(Entered {
        account: NewAccount {
            name: name?,
            key: key?,
            address: address?,
            list: list?,
            service: service?,
            authentication: authentication?,
            imap: imap?,
            smtp: smtp?,
            proxy: proxy?,
            backfill,
            folders: folders.unwrap_or_default(),
        },
        version,
        confirmed_signed_in_as,
    })
}

struct LoginBody {
    authentication: Given<String>,
    provider: Given<i64>,
    username: Given<String>,
    delegate: Given<String>,
    password: Given<String>,
}

/// How to log in. A stored login counts only while its kind stays.
fn authentication(
    problems: &mut Problems,
    body: LoginBody,
    stored: Option<&Authentication>,
    address: Option<&EmailAddress>,
) -> Option<Authentication> {
    let word = problems.entered("authentication", body.authentication, stored.is_none());
    let kind = problems
        .parsed(
            "authentication",
            word,
            "must be \"modern\" or \"password\"",
            LoginKind::parse,
        )
        .or_else(|| stored.map(LoginKind::of))?;
    let stored = stored.filter(|login| LoginKind::of(login) == kind);
    let username = problems.optional("username", body.username);
    let username = problems.line("username", username, 254);
    let user = username
        .or_else(|| {
            stored.map(|login| match login {
                Authentication::Modern { user, .. } | Authentication::Password { user, .. } => {
                    user.clone()
                }
            })
        })
        .or_else(|| address.map(|address| address.as_str().to_owned()));
    let delegate_removed = matches!(body.delegate, Given::Null);
    let delegate = problems.optional("delegate", body.delegate);
    let delegate = problems.line("delegate", delegate, 254);
    let provider = problems.optional("CloudProviderId", body.provider);
    let password = problems.optional("password", body.password);
    let password: Option<SecretString> = problems.secret("password", password, 1024);
    match kind {
        LoginKind::Modern => {
            if password.is_some() {
                problems.add("password", "is not used with modern authentication");
            }
            let (old_provider, old_delegate) = match stored {
                Some(Authentication::Modern {
                    provider, delegate, ..
                }) => (Some(*provider), delegate.clone()),
                _ => (None, None),
            };
            let provider = provider.map(CloudProviderId::new).or(old_provider);
            if provider.is_none() {
                problems.add("CloudProviderId", "is required for modern authentication");
            }
            Some(Authentication::Modern {
                provider: provider?,
                user: user?,
                delegate: delegate.or(old_delegate.filter(|_| !delegate_removed)),
            })
        }
        LoginKind::Password => {
            if provider.is_some() {
                problems.add("CloudProviderId", "is used with modern authentication only");
            }
            if delegate.is_some() {
                problems.add("delegate", "is used with modern authentication only");
            }
            let old = match stored {
                Some(Authentication::Password { password, .. }) => Some(password.clone()),
                _ => None,
            };
            let password = password.or(old);
            if password.is_none() && !problems.about("password") {
                problems.add("password", "is required for password authentication");
            }
            Some(Authentication::Password {
                user: user?,
                password: password?,
            })
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LoginKind {
    Modern,
    Password,
}

impl LoginKind {
    fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "modern" => Some(Self::Modern),
            "password" => Some(Self::Password),
            _ => None,
        }
    }

    fn of(login: &Authentication) -> Self {
        match login {
            Authentication::Modern { .. } => Self::Modern,
            Authentication::Password { .. } => Self::Password,
        }
    }
}

fn read_backfill(text: &str) -> Option<Backfill> {
    match text.trim().to_ascii_lowercase().as_str() {
        "none" => Some(Backfill::None),
        "all" => Some(Backfill::All),
        _ => chrono::DateTime::parse_from_rfc3339(text.trim())
            .ok()
            .map(|time| Backfill::Since(Timestamp::from_millis(time.timestamp_millis()))),
    }
}

#[cfg(test)]
#[path = "entered_tests.rs"]
mod tests;
