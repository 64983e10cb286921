//! Bodies: whole, or in slices.

use std::collections::BTreeMap;

use async_imap::imap_proto::{AttributeValue, Response};
use bytes::Bytes;
use tokio::time::Duration;

use super::{ImapError, Listed, Session, Step, wire::Budget};
use crate::{model::Uid, net::guard::Limits};

/// One answered message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its UID.
    pub uid: Uid,
    /// Its octets as the server has them; `None` where the server answered NIL.
    pub body: Option<Bytes>,
}

impl Session {
    /// Fetches whole bodies (without setting `\Seen`) of messages that are given ascending by UID. Messages that gave no answer
    /// are missing in the result; what was not asked for is dropped and counted, and of a repeated
    /// UID the first answer counts.
    ///
    /// The caller bounds the sum of the listed sizes; a body larger than
    /// [`Settings::whole_body`](super::Settings::whole_body) is a `Limit` error whatever was listed.
    ///
    /// # Errors
    /// As for every command. Nothing of an answer that broke off is returned.
    pub async fn fetch(&mut self, wanted: &[Listed]) -> Result<Vec<Fetched>, ImapError> {
        let expected = wanted.iter().map(|one| one.size).sum();
        let uids: Vec<Uid> = wanted.iter().map(|one| one.uid).collect();
        self.bodies(&uids, "", expected).await
    }

    /// The header line that names each message (Message-ID), as [`Self::fetch`]; the body of an answer is
    /// that line and an empty one.
    ///
    /// # Errors
    /// As for every command.
    pub async fn message_ids(&mut self, wanted: &[Uid]) -> Result<Vec<Fetched>, ImapError> {
        let expected = u64::try_from(wanted.len()).unwrap_or(u64::MAX);
        self.bodies(
            wanted,
            "HEADER.FIELDS (MESSAGE-ID)",
            expected.saturating_mul(1_024),
        )
        .await
    }

    async fn bodies(
        &mut self,
        wanted: &[Uid],
        section: &str,
        expected: u64,
    ) -> Result<Vec<Fetched>, ImapError> {
        let Some(set) = uid_set(wanted.iter().copied()) else {
            return Ok(Vec::new());
        };
        let whole = self.settings.whole_body;
        let limits = Limits {
            literal: whole,
            bytes: expected.saturating_mul(2).saturating_add(whole + (1 << 20)),
            ..Limits::default()
        };
        let command = format!("UID FETCH {set} (UID BODY.PEEK[{section}])");
        let mut found: BTreeMap<Uid, Option<Bytes>> = BTreeMap::new();
        let (mut unasked, mut repeated) = (0, 0);
        let on = |response: &Response<'_>| {
            let Some((uid, body)) = body_of(response, None) else {
                return;
            };
            if wanted.binary_search(&uid).is_err() {
                unasked += 1;
            } else if let Some(_first) = found.get(&uid) {
                repeated += 1;
            } else {
                found.insert(uid, body.map(Bytes::copy_from_slice));
            }
        };
        let time = self.settings.command_timeout + Duration::from_secs(expected / 1024);
        self.wire
            .exec(Step::Fetch, &command, Budget { time, limits }, on)
            .await?;
        self.counters.unasked += unasked;
        self.counters.repeated += repeated;
        Ok(found
            .into_iter()
            .map(|(uid, body)| Fetched { uid, body })
            .collect())
    }

    /// At most `octets` of a body from `offset` on; fewer at its end, none behind it. `None` where the
    /// message is gone or the server has no body for it.
    ///
    /// # Errors
    /// As for every command; `Nonsense` where the server sends more than was asked for.
    pub async fn fetch_slice(
        &mut self,
        uid: Uid,
        offset: u64,
        octets: u32,
    ) -> Result<Option<Bytes>, ImapError> {
        self.partial(uid, "", offset, octets).await
    }

    /// At most `octets` of a message's header block.
    ///
    /// # Errors
    /// As [`Self::fetch_slice`].
    pub async fn fetch_header(
        &mut self,
        uid: Uid,
        octets: u32,
    ) -> Result<Option<Bytes>, ImapError> {
        self.partial(uid, "HEADER", 0, octets).await
    }

    async fn partial(
        &mut self,
        uid: Uid,
        section: &str,
        offset: u64,
        octets: u32,
    ) -> Result<Option<Bytes>, ImapError> {
        let during = Step::Fetch;
        let size = u64::from(octets);
        let limits = Limits {
            literal: size + 64 * 1024,
            bytes: size.saturating_mul(2) + (1 << 20),
            ..Limits::default()
        };
        let command = format!("UID FETCH {uid} (UID BODY.PEEK[{section}]<{offset}.{octets}>)");
        let mut found: Option<Option<Bytes>> = None;
        let (mut unasked, mut repeated) = (0, 0);
        let on = |response: &Response<'_>| match body_of(response, Some(offset)) {
            Some((other, _)) if other != uid => unasked += 1,
            Some(_) if found.is_some() => repeated += 1,
            Some((_, body)) => found = Some(body.map(Bytes::copy_from_slice)),
            None => {}
        };
        let time = self.settings.command_timeout + Duration::from_secs(size / 1024);
        self.wire
            .exec(during, &command, Budget { time, limits }, on)
            .await?;
        self.counters.unasked += unasked;
        self.counters.repeated += repeated;
        let found = found.flatten();
        if found
            .as_ref()
            .is_some_and(|slice| u64::try_from(slice.len()).unwrap_or(u64::MAX) > size)
        {
            return Err(ImapError::Nonsense {
                during,
                line: format!("more than the {octets} octets asked for"),
            });
        }
        Ok(found)
    }
}

/// UID and body of a FETCH that carries a body section beginning at `origin` (`None`: a whole one).
fn body_of<'a>(response: &'a Response<'_>, origin: Option<u64>) -> Option<(Uid, Option<&'a [u8]>)> {
    let Response::Fetch(_, attributes) = response else {
        return None;
    };
    let uid = attributes.iter().find_map(|attribute| match attribute {
        AttributeValue::Uid(value) => Uid::new(*value),
        _ => None,
    })?;
    attributes.iter().find_map(|attribute| match attribute {
        AttributeValue::BodySection { index, data, .. }
            if index.map(u64::from).unwrap_or(0) == origin.unwrap_or(0) =>
        {
            Some((uid, data.as_deref()))
        }
        _ => None,
    })
}

/// `3:5,9` for ascending UIDs; `None` for no UID.
pub(super) fn uid_set(uids: impl Iterator<Item = Uid>) -> Option<String> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for uid in uids.map(Uid::get) {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(uid) => *last = uid,
            _ => runs.push((uid, uid)),
        }
    }
    let shown = runs.iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}:{last}")
        }
    });
    let set = shown.collect::<Vec<_>>().join(",");
    (!set.is_empty()).then_some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_written_in_runs() {
        let set = |uids: &[u32]| uid_set(uids.iter().filter_map(|uid| Uid::new(*uid)));
        assert_eq!(set(&[]), None);
        assert_eq!(set(&[7]).unwrap(), "7");
        assert_eq!(set(&[1, 2, 3, 5, 7, 8]).unwrap(), "1:3,5,7:8");
        assert_eq!(
            set(&[u32::MAX - 1, u32::MAX]).unwrap(),
            "4294967294:4294967295"
        );
    }
}
