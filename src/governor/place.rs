//! What a connection touches. Pure.

use std::sync::Arc;

use crate::model::{Account, HoldKind, ProxyChoice, Server};

/// Which protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Talk {
    Imap,
    Smtp,
}

/// What a connection touches: the host, the login, the tenant, the mailbox. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Place {
    pub(super) talk: Talk,
    /// Host, port and TLS mode, and the proxy where the account has a choice of its own: trouble on one way says
    /// nothing about another.
    pub(super) host: Arc<str>,
    /// The user name, in lower case.
    pub(super) login: Arc<str>,
    /// The IMAP host and user name of the account.
    mailbox: (Arc<str>, Arc<str>),
}

/// Whom a rest is kept by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    pub(super) kind: HoldKind,
    /// Host as in [`Place`]; for [`HoldKind::Mailbox`] that of IMAP.
    pub(super) host: Arc<str>,
    /// Empty, the domain, or the user name.
    pub(super) whose: Arc<str>,
}

impl Place {
    /// An account's IMAP connection.
    pub fn imap(account: &Account) -> Self {
        let entered = &account.entered;
        let host: Arc<str> = host(&entered.imap, &entered.proxy).into();
        let login: Arc<str> = account.imap_user().to_lowercase().into();
        let mailbox = (Arc::clone(&host), Arc::clone(&login));
        Self::of(Talk::Imap, host, login, mailbox)
    }

    /// An account's SMTP connection by this user name.
    pub fn smtp(account: &Account, user: &str) -> Self {
        let entered = &account.entered;
        let mailbox = (
            host(&entered.imap, &entered.proxy).into(),
            account.imap_user().to_lowercase().into(),
        );
        let host = host(&entered.smtp, &entered.proxy).into();
        Self::of(Talk::Smtp, host, user.to_lowercase().into(), mailbox)
    }

    pub(super) fn of(
        talk: Talk,
        host: Arc<str>,
        login: Arc<str>,
        mailbox: (Arc<str>, Arc<str>),
    ) -> Self {
        Self {
            talk,
            host,
            login,
            mailbox,
        }
    }

    /// What rests concern it, widest first.
    pub(super) fn scopes(&self) -> [Scope; 4] {
        let domain = self.login.split_once('@').map_or("", |(_, domain)| domain);
        let scope = |kind, host: &Arc<str>, whose: Arc<str>| Scope {
            kind,
            host: Arc::clone(host),
            whose,
        };
        let (host, login) = (&self.host, &self.login);
        [
            scope(HoldKind::Host, host, "".into()),
            // A tenant's domains are not known; its users of one domain share a tenant for certain.
            scope(HoldKind::Tenant, host, domain.into()),
            scope(HoldKind::Login, host, Arc::clone(login)),
            scope(
                HoldKind::Mailbox,
                &self.mailbox.0,
                Arc::clone(&self.mailbox.1),
            ),
        ]
    }

    pub(super) fn scope(&self, kind: HoldKind) -> Option<Scope> {
        self.scopes().into_iter().find(|scope| scope.kind == kind)
    }
}

impl Scope {
    /// For people.
    pub(super) fn words(&self) -> String {
        if self.whose.is_empty() {
            self.host.to_string()
        } else {
            format!("{} at {}", self.whose, self.host)
        }
    }
}

fn host(server: &Server, proxy: &ProxyChoice) -> String {
    let (host, port) = (server.host.to_lowercase(), server.port);
    let tls = server.tls.as_str();
    match proxy {
        ProxyChoice::Process => format!("{host}:{port} ({tls})"),
        ProxyChoice::Direct => format!("{host}:{port} ({tls}, direct)"),
        ProxyChoice::Through(proxy) => format!("{host}:{port} ({tls}, by {})", proxy.place()),
    }
}
