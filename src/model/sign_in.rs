//! Who signed in, compared with who was expected. Pure.

use std::time::Duration;

use super::{CloudProviderId, Timestamp};

/// How long a held sign-in waits for an administrator.
pub const HELD_FOR: Duration = Duration::from_secs(24 * 3600);

/// Who a platform says signed in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// User name (UPN) or address; may change when they are renamed.
    pub user_name: Option<String>,
    /// Their directory (tenant).
    pub tenant_id: Option<String>,
    /// The directory's id of them (Google: the subject); stays when they are renamed.
    pub object_id: Option<String>,
}

impl Person {
    /// Whether `other` is the person that a grant is pinned to as `self`: by the directory's ids where
    /// `self` has them, which `other` must then have too; by name where there was no id to pin.
    pub fn is(&self, other: &Self) -> bool {
        fn fits(pinned: &Option<String>, found: &Option<String>) -> bool {
            match (pinned, found) {
                (None, _) => true,
                (Some(pinned), Some(found)) => pinned.trim().eq_ignore_ascii_case(found.trim()),
                (Some(_), None) => false,
            }
        }
        let same = match &self.object_id {
            Some(_) => fits(&self.object_id, &other.object_id),
            None => self
                .user_name
                .as_deref()
                .is_some_and(|name| other.is_called(name)),
        };
        same && fits(&self.tenant_id, &other.tenant_id)
    }

    /// Whether they are called so.
    pub fn is_called(&self, name: &str) -> bool {
        self.user_name
            .as_deref()
            .is_some_and(|own| same_name(own, name))
    }
}

/// User names are compared without regard to case.
pub fn same_name(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

/// The names of `expected` that `person` is neither called by nor was confirmed for.
pub fn differing(person: &Person, expected: &[String], confirmed: &[String]) -> Vec<String> {
    let known =
        |name: &&String| person.is_called(name) || confirmed.iter().any(|one| same_name(one, name));
    expected
        .iter()
        .filter(|name| !known(name))
        .cloned()
        .collect()
}

/// What becomes of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignInVerdict {
    /// It is used at once.
    Adopt,
    /// It waits until an administrator confirms who signed in; these names were expected.
    Hold(Vec<String>),
    /// The grant is another person's, and nobody said that it should change hands.
    OtherPerson,
    /// The platform does not say who signed in, so nothing can be compared.
    Nameless,
}

/// Judges a sign-in of `arriving`. `pinned` is whose grant it is so far, `confirmed` for which expected
/// names an administrator has confirmed them, `expected` who the accounts that use the provider expect,
/// and `new_identity` whether the sign-in was begun to give the grant into other hands.
pub fn judge_sign_in(
    arriving: &Person,
    pinned: Option<&Person>,
    confirmed: &[String],
    expected: &[String],
    new_identity: bool,
) -> SignInVerdict {
    if arriving.user_name.is_none() && (pinned.is_some() || !expected.is_empty()) {
        return SignInVerdict::Nameless;
    }
    match pinned.map(|pinned| pinned.is(arriving)) {
        Some(false) if !new_identity => SignInVerdict::OtherPerson,
        // In other hands what was confirmed counts no more.
        Some(false) => SignInVerdict::Hold(differing(arriving, expected, &[])),
        same => {
            let confirmed = if same.is_some() { confirmed } else { &[] };
            let names = differing(arriving, expected, confirmed);
            if names.is_empty() {
                SignInVerdict::Adopt
            } else {
                SignInVerdict::Hold(names)
            }
        }
    }
}

/// The names that accounts expect now, and of which an administrator who confirms `held` was not told: accounts
/// that were added or edited since. `confirmed` is what was confirmed before for the same person.
pub fn names_not_shown(
    held: &HeldSignIn,
    confirmed: &[String],
    expected: &[String],
) -> Vec<String> {
    let known: Vec<String> = held.expected.iter().chain(confirmed).cloned().collect();
    differing(&held.person, expected, &known)
}

/// A sign-in that waits for an administrator's word. Its tokens are in the store, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldSignIn {
    /// Which provider; one each.
    pub provider: CloudProviderId,
    /// Who signed in.
    pub person: Person,
    /// The names that accounts expect and that differ; empty where only the grant would change hands.
    pub expected: Vec<String>,
    /// Whose grant is in use meanwhile, where it is another person's.
    pub replaces: Option<String>,
    /// When they signed in.
    pub held_at: Timestamp,
    /// Not usable from then on.
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str, object: &str) -> Person {
        let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Person {
            user_name: filled(name),
            tenant_id: Some("t-1".to_owned()),
            object_id: filled(object),
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_sign_in_is_adopted_held_or_refused_by_who_it_is() {
        let anna = person("anna@x", "o-anna");
        let renamed = person("anna.new@x", "O-ANNA");
        let bob = person("bob@x", "o-bob");
        let hold = |held: &[&str]| SignInVerdict::Hold(names(held));
        let check = |arriving: &Person,
                     pinned: Option<&Person>,
                     confirmed: &[&str],
                     expected: &[&str],
                     new_identity: bool,
                     verdict: SignInVerdict| {
            let judged = judge_sign_in(
                arriving,
                pinned,
                &names(confirmed),
                &names(expected),
                new_identity,
            );
            let row = format!("{arriving:?} {pinned:?} {confirmed:?} {expected:?} {new_identity}");
            assert_eq!(judged, verdict, "{row}");
        };
        let adopt = || SignInVerdict::Adopt;
        let refuse = || SignInVerdict::OtherPerson;
        // Nobody is pinned yet: the names alone count.
        check(&anna, None, &[], &[], false, adopt());
        check(&anna, None, &[], &["ANNA@X"], false, adopt());
        check(
            &anna,
            None,
            &[],
            &["anna@x", "info@x"],
            false,
            hold(&["info@x"]),
        );
        // What was confirmed for another grant does not count for a first one.
        check(
            &anna,
            None,
            &["info@x"],
            &["info@x"],
            false,
            hold(&["info@x"]),
        );
        check(&anna, None, &[], &["info@x"], true, hold(&["info@x"]));
        // The pinned person comes again, also under a new name.
        check(&anna, Some(&anna), &["info@x"], &["Info@x"], false, adopt());
        check(
            &anna,
            Some(&anna),
            &[],
            &["info@x"],
            false,
            hold(&["info@x"]),
        );
        check(
            &renamed,
            Some(&anna),
            &["anna@x"],
            &["anna@x"],
            false,
            adopt(),
        );
        check(
            &renamed,
            Some(&anna),
            &[],
            &["anna@x"],
            false,
            hold(&["anna@x"]),
        );
        check(&anna, Some(&anna), &["info@x"], &["info@x"], true, adopt());
        // Somebody else comes.
        check(&bob, Some(&anna), &[], &[], false, refuse());
        check(&bob, Some(&anna), &["bob@x"], &["bob@x"], false, refuse());
        check(&bob, Some(&anna), &[], &["bob@x"], true, hold(&[]));
        check(
            &bob,
            Some(&anna),
            &["info@x"],
            &["info@x"],
            true,
            hold(&["info@x"]),
        );
        // The same name in another directory, and the same name with another id, is somebody else.
        let mut guest = anna.clone();
        guest.tenant_id = Some("t-2".to_owned());
        check(&guest, Some(&anna), &[], &[], false, refuse());
        check(
            &person("anna@x", "o-2"),
            Some(&anna),
            &[],
            &[],
            false,
            refuse(),
        );
        // What was pinned by name only counts by name; who comes without the pinned id is somebody else.
        let by_name = person("anna@x", "");
        check(&anna, Some(&by_name), &[], &[], false, adopt());
        check(&bob, Some(&by_name), &[], &[], false, refuse());
        check(&by_name, Some(&anna), &[], &[], false, refuse());
        // Nobody is named.
        check(&person("", ""), None, &[], &[], false, adopt());
        check(
            &person("", ""),
            None,
            &[],
            &["a@x"],
            false,
            SignInVerdict::Nameless,
        );
        check(
            &person("", ""),
            Some(&anna),
            &[],
            &[],
            true,
            SignInVerdict::Nameless,
        );
    }
}
