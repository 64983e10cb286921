//! What waits for something that others have met. Its codes begin with `held_`.

use super::words::{Words, quote};
use crate::model::HoldKind;

pub(super) fn words(kind: HoldKind, whose: &str, said: &str) -> Words {
    let nothing = "Nothing: it goes on by itself when that time is over.";
    match kind {
        HoldKind::Host => Words::new(
            "held_host",
            format!("{whose} asked this machine for a rest; all its accounts keep it."),
            quote(said),
            format!(
                "{nothing} If it comes back: fewer messages at a time, or ask the provider about this machine's address."
            ),
        ),
        HoldKind::HostSilent => Words::new(
            "held_host_silent",
            format!("{whose} gives none of its accounts an answer; one at a time tries it."),
            quote(said),
            "Check that the server runs and that this machine reaches it. All its accounts connect by themselves as soon \
             as one of them is let in.",
        ),
        HoldKind::Tenant => Words::new(
            "held_tenant",
            format!(
                "A limit of the whole organisation ({whose}) is reached; all its accounts wait."
            ),
            quote(said),
            format!(
                "{nothing} If it comes back: an administrator of the organisation looks at its sending limits."
            ),
        ),
        HoldKind::Login => Words::new(
            "held_login",
            format!("The server asked {whose} for a rest; all connections of that login keep it."),
            quote(said),
            format!("{nothing} If it comes back: fewer programs on this mailbox."),
        ),
        HoldKind::Mailbox => Words::new(
            "held_mailbox",
            format!(
                "The server asked for a rest of the mailbox {whose}; all its connections keep it."
            ),
            quote(said),
            format!("{nothing} If it comes back: fewer programs on this mailbox."),
        ),
        HoldKind::Full => Words::new(
            "held_full",
            format!("All connections that {whose} may have are in use."),
            "Several accounts or an examination use the same login, or its server allows only so many at once.",
            "Nothing: it is tried again by itself. If it lasts: fewer accounts with this login, or raise \
             XC_EMAIL_IMAP_CONNECTIONS or XC_EMAIL_SMTP_CONNECTIONS if the server allows more.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use crate::{
        diagnosis::{Context, Failure, explain},
        model::{Action, HoldKind},
    };

    #[test]
    fn each_kind_of_waiting_has_a_code_of_its_own_and_no_person_acts() {
        let mut codes = BTreeSet::new();
        for (kind, action) in [
            (HoldKind::Host, Action::HoldUntil),
            (HoldKind::HostSilent, Action::Retry),
            (HoldKind::Tenant, Action::HoldUntil),
            (HoldKind::Login, Action::HoldUntil),
            (HoldKind::Mailbox, Action::HoldUntil),
            (HoldKind::Full, Action::Retry),
        ] {
            let failure = Failure::Held {
                kind,
                whose: "desk@a.test at imap.a.test:993 (tls)".to_owned(),
                said: "Request is\r\nthrottled".to_owned(),
                left: Duration::from_secs(60),
            };
            let shown = explain(&failure, &Context::default());
            assert!(shown.code.starts_with("held_") && codes.insert(shown.code));
            assert_eq!(shown.action, action);
            let all = format!("{}{}{}", shown.what, shown.why, shown.next);
            assert!(!all.chars().any(char::is_control), "{all}");
            assert!(all.contains("desk@a.test") && !shown.next.is_empty());
        }
    }
}
