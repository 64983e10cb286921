//! What time it is at an identity platform: the one clock of the outside world that we speak to.

use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap};
use tokio::time::Instant;

use super::{OauthClient, OauthError, endpoints, transport};
use crate::model::{NewCloudProvider, Timestamp};

/// The platform's clock, as its answer showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlatformTime {
    /// Its `Date` (RFC 9110 §6.6.1), in whole seconds.
    pub date: Timestamp,
    /// How long question and answer took together: the date is at most that old, and up to a second more.
    pub took: Duration,
}

impl OauthClient {
    /// Asks the token endpoint for nothing, to read the `Date` of its refusal. No secret is sent and no grant
    /// is touched. Bounded by the client's timeout; may be dropped at any time.
    ///
    /// # Errors
    /// The platform was not reached, or its answer has no `Date`.
    pub async fn platform_time(
        &self,
        provider: &NewCloudProvider,
    ) -> Result<PlatformTime, OauthError> {
        let url = endpoints(provider)?.token;
        let began = Instant::now();
        let headers = transport::headers(&self.way(provider)?, url).await?;
        date(&headers, began.elapsed()).ok_or_else(|| OauthError::Nonsense {
            status: 0,
            what: "an answer without a readable Date".to_owned(),
        })
    }
}

fn date(headers: &HeaderMap, took: Duration) -> Option<PlatformTime> {
    let text = headers.get(DATE)?.to_str().ok()?;
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some(PlatformTime {
        date: Timestamp::from_millis(date.timestamp_millis()),
        took,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oauth::{
        Settings,
        endpoints::example_provider,
        scripted::{Platform, Reply},
    };

    #[tokio::test]
    async fn the_date_is_read_from_any_answer_and_no_secret_is_sent() {
        let platform = Platform::start(|_, _| {
            Reply::json(400, &json!({"error": "invalid_request"}))
                .header("date", "Mon, 23 Nov 2026 12:00:30 GMT")
        })
        .await;
        let mut provider = example_provider(crate::model::CloudService::MicrosoftAzure);
        provider.authority = Some(platform.authority().to_owned());
        let client = OauthClient::new(&[], &Settings::default()).unwrap();
        let time = client.platform_time(&provider).await.unwrap();
        assert_eq!(time.date.rfc3339(), "2026-11-23T12:00:30.000Z");
        let seen = platform.requests();
        assert_eq!(seen.len(), 1);
        assert!(seen[0].line.starts_with("HEAD "), "{}", seen[0].line);
        assert!(seen[0].form.is_empty(), "{:?}", seen[0].form);
    }

    #[test]
    fn an_answer_without_a_readable_date_is_none() {
        for text in ["", "yesterday", "2026-11-23"] {
            let mut headers = HeaderMap::new();
            headers.insert(DATE, text.parse().unwrap());
            assert_eq!(date(&headers, Duration::ZERO), None, "{text}");
        }
        assert_eq!(date(&HeaderMap::new(), Duration::ZERO), None);
    }
}
