//! Waiting for states, never for time.

use std::{future::Future, time::Duration};

use tokio::time::Instant;

/// Asks `look` again and again until it says `Ok`, and gives its value; after `limit` fails with the last
/// thing seen.
///
/// # Panics
/// When the limit is over.
pub async fn eventually<T, Fut>(what: &str, limit: Duration, mut look: impl FnMut() -> Fut) -> T
where
    Fut: Future<Output = Result<T, String>>,
{
    let end = Instant::now() + limit;
    loop {
        match look().await {
            Ok(value) => return value,
            Err(seen) if Instant::now() >= end => {
                panic!("{what}: not within {limit:?}; last seen: {seen}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(40)).await,
        }
    }
}
