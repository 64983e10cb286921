//! The catalogue: what peers are known to say, as tables. One file for each peer.
//!
//! A table is read from its beginning and the first entry that fits is taken, so the more specific stands
//! before the less. The tables only word a failure: its class comes from the module that speaks to the peer,
//! and a test compares the two for every literal text.

mod entra_application;
mod entra_person;
mod entra_platform;
mod entra_policy;
mod graph;
mod imap;
mod oauth;
mod own_access;
mod shared_access;
mod smtp;
mod smtp_account;
mod smtp_message;

pub use graph::GraphRefusal;
pub(super) use graph::graph;
pub(super) use imap::imap;
pub(super) use oauth::{Spoken, oauth};
pub(super) use own_access::{REFUSED, own_access};
pub(super) use shared_access::shared_access;
pub(super) use smtp::{Said, smtp};

use super::{Context, explain::is_disturbing};
use crate::model::Action;

/// One row: what is said about one kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Stable code.
    pub(super) code: &'static str,
    /// Who acts.
    pub(super) action: Action,
    /// What happened.
    pub(super) what: &'static str,
    /// Why, as far as the peer's words tell; those follow behind.
    pub(super) why: &'static str,
    /// The exact next step.
    pub(super) next: &'static str,
}

/// A row of a table: how it is recognised, and what is said then.
type Row<M> = (M, Entry);

const fn entry(
    code: &'static str,
    action: Action,
    what: &'static str,
    why: &'static str,
    next: &'static str,
) -> Entry {
    Entry {
        code,
        action,
        what,
        why,
        next,
    }
}

/// Puts the context in the place of `{account}`, `{key}` (of the account), `{user}`, `{mailbox}`, `{server}`, `{provider}`,
/// `{delegate}` (who signed in for a shared mailbox), `{signer}` (the delegate, else the user), and standing
/// sentences in the place of `{sign_in}`, `{secret}`, `{kept}`, `{itself}`, `{report}` and `{log}`. What is put in is
/// not looked at again.
pub(super) fn fill(text: &str, context: &Context) -> String {
    let mut filled = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((name, after)) = behind.split_once('}') else {
            filled.push('{');
            rest = behind;
            continue;
        };
        let value = value(name, context);
        filled.extend(
            value
                .chars()
                .map(|c| if is_disturbing(c) { ' ' } else { c }),
        );
        rest = after;
    }
    filled.push_str(rest);
    filled
}

fn value(name: &str, context: &Context) -> String {
    match name {
        "account" => context.account(),
        "key" => context.account.clone().unwrap_or_else(|| "ACCOUNT".to_owned()),
        "user" => context.user().to_owned(),
        "mailbox" => context.mailbox().to_owned(),
        "server" => context.server().to_owned(),
        "delegate" => context.delegate.clone().unwrap_or_else(|| "DELEGATE".to_owned()),
        "signer" => {
            let signer = context.delegate.as_deref();
            signer.unwrap_or_else(|| context.user()).to_owned()
        }
        "provider" => match &context.provider {
            Some(provider) => format!("cloud provider {provider}"),
            None => "the cloud provider".to_owned(),
        },
        "sign_in" => {
            let id = context.provider.as_deref().unwrap_or("ID");
            format!(
                "Sign in again: open the cloud provider and use Authenticate (motion-email provider authenticate {id}). \
                 Mail waits meanwhile; nothing is lost."
            )
        }
        "secret" => {
            "In the Entra portal, App registrations, Certificates & secrets: make a new client secret and copy its Value; \
             then use Update Client Secret of the cloud provider. Nobody has to sign in again."
                .to_owned()
        }
        "kept" => "Mail waits meanwhile; nothing is lost.".to_owned(),
        "itself" => "Nothing: it is tried again by itself.".to_owned(),
        "report" => "It is a fault of this program or of something between: report it with the log lines around it.".to_owned(),
        "log" => {
            "The Entra portal, Monitoring, Sign-in logs, shows the reason under the correlation id; an administrator's \
             own diagnosis is there under Diagnose and solve problems."
                .to_owned()
        }
        other => format!("{{{other}}}"),
    }
}
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod tests_entra;
#[cfg(test)]
pub(crate) mod tests_mail;
