//! Text and numbers on their way into and out of columns.

use sha2::{Digest, Sha256};
use sqlx::{ColumnIndex, Decode, Row, Type, any::AnyRow};

use super::StoreError;
use crate::model::{RawMail, Timestamp};

/// Cuts at a character boundary so that at most `max` characters remain, and replaces NUL: MariaDB
/// refuses what is too long for a column, SQLite would keep it, and tools end strings at a NUL.
pub(super) fn cut(text: &str, max: usize) -> String {
    let end = text
        .char_indices()
        .nth(max)
        .map_or(text.len(), |(index, _)| index);
    let kept = text.get(..end).unwrap_or_default();
    if kept.contains('\0') {
        kept.replace('\0', "\u{fffd}")
    } else {
        kept.to_owned()
    }
}

/// [`cut`] by octets, for the long text columns. The second value tells whether something was cut.
pub(super) fn cut_octets(text: &str, max: usize) -> (String, bool) {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let kept = text.get(..end).unwrap_or_default();
    (kept.replace('\0', "\u{fffd}"), end < text.len())
}

/// The fixed-size key that text from outside is looked up by (index lengths and collations differ
/// between the engines): lower-case hex SHA-256. Of a Message-ID: without angle brackets.
pub fn key_of(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS.get(usize::from(value)).copied().unwrap_or(b'0'));
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

/// A size as the columns hold it.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A size as it is read back; a negative one is damage and reads as 0.
pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Reads columns by name, saying which step read them.
pub(super) trait Columns {
    /// One column of any type that the tables use.
    fn col<'r, T>(&'r self, name: &'static str) -> Result<T, StoreError>
    where
        T: Decode<'r, sqlx::Any> + Type<sqlx::Any>,
        &'static str: ColumnIndex<AnyRow>;

    /// Unix milliseconds.
    fn time(&self, name: &'static str) -> Result<Timestamp, StoreError> {
        Ok(Timestamp::from_millis(self.col(name)?))
    }

    /// Unix milliseconds, if set.
    fn time_if(&self, name: &'static str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.col::<Option<i64>>(name)?.map(Timestamp::from_millis))
    }

    /// 0 or 1.
    fn flag(&self, name: &'static str) -> Result<bool, StoreError> {
        Ok(self.col::<i64>(name)? != 0)
    }

    /// Columns `raw` and `raw_object`.
    fn raw_mail(&self) -> Result<Option<RawMail>, StoreError> {
        if let Some(key) = self.col::<Option<String>>("raw_object")? {
            return Ok(Some(RawMail::Object(key)));
        }
        Ok(self.col::<Option<Vec<u8>>>("raw")?.map(RawMail::Row))
    }
}

impl Columns for AnyRow {
    fn col<'r, T>(&'r self, name: &'static str) -> Result<T, StoreError>
    where
        T: Decode<'r, sqlx::Any> + Type<sqlx::Any>,
        &'static str: ColumnIndex<AnyRow>,
    {
        self.try_get(name)
            .map_err(|source| StoreError::sql("reading a row", source))
    }
}

/// A stored word that must be one of a closed list.
pub(super) fn word<T>(
    what: &'static str,
    id: i64,
    text: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, StoreError> {
    parse(text).ok_or_else(|| StoreError::Damaged {
        what,
        detail: format!("row {id} holds the unknown word {:?}", cut(text, 40)),
    })
}

/// A stored JSON column.
pub(super) fn json<T: serde::de::DeserializeOwned>(
    what: &'static str,
    id: i64,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Damaged {
        what,
        detail: format!("row {id} holds broken JSON: {error}"),
    })
}

/// JSON for a column of at most `max` octets: entries are left out at the end until it fits.
pub(super) fn json_list<T: serde::Serialize>(items: &[T], max: usize) -> (String, bool) {
    let mut kept = items;
    loop {
        let text = serde_json::to_string(kept).unwrap_or_else(|_| "[]".to_owned());
        if text.len() <= max || kept.is_empty() {
            return (text, kept.len() < items.len());
        }
        kept = kept.get(..kept.len() / 2).unwrap_or_default();
    }
}

/// The two columns of a raw mail.
pub(super) fn raw_columns(raw: Option<&RawMail>) -> (Option<Vec<u8>>, Option<&str>) {
    match raw {
        None => (None, None),
        Some(RawMail::Row(bytes)) => (Some(bytes.clone()), None),
        Some(RawMail::Object(key)) => (None, Some(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character_and_holds_no_nul() {
        assert_eq!(cut("äöü", 2), "äö");
        assert_eq!(cut("a\0b", 9), "a\u{fffd}b");
        assert_eq!(cut("", 0), "");
        assert_eq!(cut_octets("äöü", 3), ("ä".to_owned(), true));
        assert_eq!(cut_octets("äöü", 6), ("äöü".to_owned(), false));
    }

    #[test]
    fn lists_that_do_not_fit_lose_their_end() {
        let (text, cut) = json_list(&["aaaa", "bbbb", "cccc", "dddd"], 16);
        assert_eq!((text.as_str(), cut), (r#"["aaaa","bbbb"]"#, true));
        assert_eq!(json_list::<&str>(&[], 0), ("[]".to_owned(), false));
    }

    #[test]
    fn keys_are_lower_case_hex() {
        assert_eq!(hex(&[0, 0xab, 0xff]), "00abff");
        assert_eq!(key_of("").len(), 64);
    }
}
