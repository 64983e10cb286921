//! What is said in the place of other rows where a delegate opens a mailbox of another name: that a right is missing is
//! then as likely as a wrong sign-in, and the server's words are the same.

use super::{Context, Entry, entry};
use crate::model::Action::Administrator;

/// The code, and what stands in its place.
const ROW: (&str, Entry) = (
    "imap_authentication_failed",
    entry(
        "imap_shared_mailbox_refused",
        Administrator,
        "{server} does not let {delegate} open the mailbox {mailbox}.",
        "A fresh access token was refused as well: Full Access to the mailbox is missing, IMAP is off for it, or somebody else \
         than {delegate} has signed in.",
        "Check, in this order: 1. the spelling of {user}; 2. Add-MailboxPermission -Identity {mailbox} -User {delegate} \
         -AccessRights FullAccess (counts after up to an hour); 3. Set-CASMailbox -Identity {mailbox} -ImapEnabled $true; 4. \
         who has signed in to the cloud provider; motion-email doctor tells which of them it is. {kept}",
    ),
);

/// What to say in the place of this entry, where that differs.
pub(in crate::diagnosis) fn shared_access(
    entry: &Entry,
    context: &Context,
) -> Option<&'static Entry> {
    let (code, shared) = &ROW;
    (context.delegate.is_some() && entry.code == *code).then_some(shared)
}

/// The entry, for the tests.
#[cfg(test)]
pub(super) fn entries() -> [&'static Entry; 1] {
    [&ROW.1]
}

/// The code that it stands in the place of, for the tests.
#[cfg(test)]
pub(super) fn replaced() -> &'static str {
    ROW.0
}
