//! INTERNALDATE. Pure.

use crate::model::Timestamp;

/// `17-Jul-1996 02:44:25 -0700`, the day with a leading space or not (RFC 3501 §9, date-time).
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let time = chrono::DateTime::parse_from_str(text.trim(), "%d-%b-%Y %H:%M:%S %z").ok()?;
    Some(Timestamp::from_millis(time.timestamp_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_with_their_zone_and_nonsense_is_none() {
        let millis = |text| parse(text).map(Timestamp::millis);
        assert_eq!(millis("17-Jul-1996 02:44:25 -0700"), Some(837_596_665_000));
        assert_eq!(millis(" 1-Jan-1970 00:00:01 +0000"), Some(1000));
        for bad in [
            "",
            "NIL",
            "32-Jan-2020 00:00:00 +0000",
            "01-Foo-2020 00:00:00 +0000",
            "1-Jan-2020",
        ] {
            assert_eq!(millis(bad), None, "{bad}");
        }
    }
}
