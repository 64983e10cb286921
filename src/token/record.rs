//! One record of the token journal as bytes. Pure.
//!
//! `MEJ1`, length of the body (four octets, little-endian), body, SHA-256 of all before it. The body is
//! provider and base version (eight octets each), the attempt's length (one octet), the attempt, and the
//! sealed answer. The seal proves that it is ours and in its place; the checksum tells a torn write from that.

use sha2::{Digest, Sha256};

use crate::model::CloudProviderId;

const MAGIC: [u8; 4] = *b"MEJ1";
/// Longest body: two tokens of 32 KiB and what comes with them, with room.
const BODY_LIMIT: usize = 256 << 10;
/// At most so many records are read of one file; there is one, or after a torn write two.
const RECORDS: usize = 16;

/// The answer to one refresh, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) provider: CloudProviderId,
    /// The grant's version that the refresh began with.
    pub(super) version: i64,
    /// The refresh's id, as in the grant's row.
    pub(super) attempt: String,
    pub(super) sealed: Vec<u8>,
}

/// Why a journal cannot be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("a record is cut off")]
    Cut,
    #[error("a record does not begin like one")]
    NotARecord,
    #[error("a record is longer than any can be")]
    TooLong,
    #[error("a record's checksum is wrong")]
    Checksum,
    #[error("a record belongs to another grant")]
    Misplaced,
    #[error("a record does not open with this database's key")]
    Sealed,
    #[error("there are more records than any run leaves")]
    TooMany,
    #[error("it is not a file that can be read")]
    Unreadable,
    #[error("a record belongs to no refresh that was begun")]
    UnknownAttempt,
}

impl Record {
    /// What the seal is bound to: the answer opens for this refresh of this grant only.
    pub(super) fn place(provider: CloudProviderId, version: i64, attempt: &str) -> String {
        format!("{provider}|{version}|{attempt}")
    }

    /// The record's bytes; `None` where it would be longer than any reader takes.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let attempt = u8::try_from(self.attempt.len()).ok()?;
        let length = 17 + usize::from(attempt) + self.sealed.len();
        let announced = u32::try_from(length)
            .ok()
            .filter(|_| length <= BODY_LIMIT)?;
        let mut bytes = Vec::with_capacity(8 + length + 32);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&announced.to_le_bytes());
        bytes.extend_from_slice(&self.provider.get().to_le_bytes());
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes.push(attempt);
        bytes.extend_from_slice(self.attempt.as_bytes());
        bytes.extend_from_slice(&self.sealed);
        let sum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sum);
        Some(bytes)
    }

    /// The records up to the first bad one, and what is wrong with that.
    pub(super) fn decode_all(mut bytes: &[u8]) -> (Vec<Self>, Option<Fault>) {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            if records.len() == RECORDS {
                return (records, Some(Fault::TooMany));
            }
            match Self::decode(bytes) {
                Ok((record, rest)) => {
                    records.push(record);
                    bytes = rest;
                }
                Err(fault) => return (records, Some(fault)),
            }
        }
        (records, None)
    }

    fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), Fault> {
        let (magic, rest) = bytes.split_first_chunk::<4>().ok_or(Fault::Cut)?;
        if *magic != MAGIC {
            return Err(Fault::NotARecord);
        }
        let (announced, rest) = rest.split_first_chunk::<4>().ok_or(Fault::Cut)?;
        let length = usize::try_from(u32::from_le_bytes(*announced)).unwrap_or(usize::MAX);
        if length > BODY_LIMIT {
            return Err(Fault::TooLong);
        }
        let (body, rest) = rest.split_at_checked(length).ok_or(Fault::Cut)?;
        let (sum, rest) = rest.split_first_chunk::<32>().ok_or(Fault::Cut)?;
        let mut digest = Sha256::new();
        digest.update(magic);
        digest.update(announced);
        digest.update(body);
        if digest.finalize().as_slice() != sum {
            return Err(Fault::Checksum);
        }
        let record = Self::body(body).ok_or(Fault::NotARecord)?;
        Ok((record, rest))
    }

    fn body(body: &[u8]) -> Option<Self> {
        let (provider, body) = body.split_first_chunk::<8>()?;
        let (version, body) = body.split_first_chunk::<8>()?;
        let (length, body) = body.split_first()?;
        let (attempt, sealed) = body.split_at_checked(usize::from(*length))?;
        Some(Self {
            provider: CloudProviderId::new(i64::from_le_bytes(*provider)),
            version: i64::from_le_bytes(*version),
            attempt: std::str::from_utf8(attempt).ok()?.to_owned(),
            sealed: sealed.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(version: i64) -> Record {
        Record {
            provider: CloudProviderId::new(7),
            version,
            attempt: "home.attempt".into(),
            sealed: vec![9; 100],
        }
    }

    #[test]
    fn records_are_read_up_to_the_first_bad_one() {
        // Bad input 67.
        let (one, two) = (record(1).encode().unwrap(), record(2).encode().unwrap());
        let both = [one.clone(), two.clone()].concat();
        let check = |bytes: &[u8], good: usize, fault: Option<Fault>| {
            let (records, found) = Record::decode_all(bytes);
            assert_eq!((records.len(), found), (good, fault));
        };
        check(b"", 0, None);
        check(&both, 2, None);
        assert_eq!(Record::decode_all(&both).0, [record(1), record(2)]);
        for end in 1..one.len() {
            check(&one[..end], 0, Some(Fault::Cut));
        }
        for end in one.len() + 1..both.len() {
            check(&both[..end], 1, Some(Fault::Cut));
        }
        for at in one.len() + 8..both.len() {
            let mut changed = both.clone();
            changed[at] ^= 1;
            check(&changed, 1, Some(Fault::Checksum));
        }
        let behind = [one.as_slice(), b"rubbish behind"].concat();
        check(&behind, 1, Some(Fault::NotARecord));
        let mut long = one.clone();
        long[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        check(&long, 0, Some(Fault::TooLong));
        check(&one.repeat(17)[..], 16, Some(Fault::TooMany));
    }

    #[test]
    fn a_record_longer_than_any_reader_takes_is_not_made() {
        let mut long = record(1);
        long.sealed = vec![0; BODY_LIMIT];
        assert!(long.encode().is_none());
        long.sealed.truncate(BODY_LIMIT - 17 - long.attempt.len());
        let (read, fault) = Record::decode_all(&long.encode().unwrap());
        assert_eq!((read, fault), (vec![long], None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let (records, fault) = Record::decode_all(&bytes);
            prop_assert_eq!((records.len(), fault.is_none()), (0, bytes.is_empty()));
        }
    }
}
