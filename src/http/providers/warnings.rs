//! What is entered for a cloud provider and is probably a mistake: accepted, and said. Pure.

use chrono::{DateTime, Months};

use crate::model::{CloudService, NewCloudProvider, Timestamp};

/// Microsoft gives client secrets for at most so many months (learn.microsoft.com, "Add and manage
/// application credentials").
const LONGEST_MONTHS: u32 = 24;

/// What should be looked at again; in full sentences.
pub(super) fn warnings(entered: &NewCloudProvider, now: Timestamp) -> Vec<String> {
    let mut found = Vec::new();
    for (field, expires) in [
        ("clientSecretExpiresAt", entered.client_secret_expires_at),
        ("secondSecretExpiresAt", entered.second_secret_expires_at),
    ] {
        let Some(expires) = expires else { continue };
        if expires <= now {
            found.push(format!(
                "{field} is over: make a new client secret in the portal (App registrations, Certificates & secrets) and enter it."
            ));
        } else if entered.service == CloudService::MicrosoftAzure && too_far(expires, now) {
            found.push(format!(
                "{field} is more than {LONGEST_MONTHS} months away, and Microsoft gives no client secret for longer: check the \
                 date in the portal (App registrations, Certificates & secrets, column Expires)."
            ));
        }
    }
    found
}

fn too_far(expires: Timestamp, now: Timestamp) -> bool {
    let latest = DateTime::from_timestamp_millis(now.millis())
        .and_then(|now| now.checked_add_months(Months::new(LONGEST_MONTHS)));
    latest.is_some_and(|latest| expires.millis() > latest.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_that_cannot_be_right_are_said() {
        let at = |text: &str| {
            Timestamp::from_millis(
                text.parse::<DateTime<chrono::Utc>>()
                    .unwrap()
                    .timestamp_millis(),
            )
        };
        let now = at("2026-11-23T12:00:00Z");
        let check = |service, expires: &str, said: &str| {
            let entered = NewCloudProvider {
                second_secret_expires_at: Some(at(expires)),
                ..NewCloudProvider::new("N", service, "a")
            };
            let found = warnings(&entered, now);
            match said {
                "" => assert!(found.is_empty(), "{expires}: {found:?}"),
                said => assert!(
                    found.len() == 1
                        && found[0].starts_with("secondSecretExpiresAt")
                        && found[0].contains(said),
                    "{expires}: {found:?}"
                ),
            }
        };
        let microsoft = CloudService::MicrosoftAzure;
        check(microsoft, "2026-11-23T12:00:00Z", "is over");
        check(microsoft, "2026-11-24T00:00:00Z", "");
        check(microsoft, "2028-11-23T12:00:00Z", "");
        check(microsoft, "2028-11-23T12:00:01Z", "24 months");
        check(CloudService::Google, "2035-01-01T00:00:00Z", "");
    }
}
