//! The files' names, and which of them are too old.

use std::path::{Path, PathBuf};

use chrono::{Days, NaiveDate};

/// What the file with everything is called before its date.
pub const COMBINED: &str = "email-combined";

/// What the file with errors is called before its date.
pub const ERROR: &str = "email-error";

/// The name of the file of a day: `email-combined.2026-11-23.log`.
pub fn file_name(kind: &str, date: NaiveDate) -> String {
    format!("{kind}.{}.log", date.format("%Y-%m-%d"))
}

/// The date in a name that [`file_name`] made of this kind; `None` for every other name.
pub fn date_of(kind: &str, name: &str) -> Option<NaiveDate> {
    let text = name.strip_prefix(kind)?.strip_prefix('.')?;
    let text = text.strip_suffix(".log")?;
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    // chrono also reads `2026-1-2` and `+2026-01-02`: only our own spelling is ours.
    (file_name(kind, date) == name).then_some(date)
}

/// Removes the files of a kind whose date is more than `keep_days` before `today`; compressed, renamed and foreign files
/// stay, and so do files of the future. Answers what could not be removed.
pub(super) fn prune(dir: &Path, kind: &str, today: NaiveDate, keep_days: u32) -> Vec<PathBuf> {
    let Some(oldest) = today.checked_sub_days(Days::new(u64::from(keep_days))) else {
        return Vec::new();
    };
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .to_str()
                .and_then(|name| date_of(kind, name))
                .is_some_and(|date| date < oldest)
        })
        .map(|entry| entry.path())
        .filter(|path| std::fs::remove_file(path).is_err())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_names_carry_a_date() {
        for (name, ours) in [
            ("email-combined.2026-11-23.log", true),
            ("email-combined.2026-11-31.log", false),
            ("email-combined.2026-1-2.log", false),
            ("email-combined.2026-11-23.log.gz", false),
            ("email-combined.2026-11-23.log.1", false),
            ("email-combined.log", false),
            ("email-error.2026-11-23.log", false),
            ("xemail-combined.2026-11-23.log", false),
        ] {
            assert_eq!(date_of(COMBINED, name).is_some(), ours, "{name}");
        }
    }

    #[test]
    fn old_days_go_and_everything_that_is_not_exactly_ours_stays() {
        let dir = tempfile::tempdir().unwrap();
        let stay = [
            "email-combined.2026-11-16.log",
            "email-combined.2026-11-23.log",
            "email-combined.2099-01-01.log",
            "email-combined.2020-01-01.log.gz",
            "email-error.2020-01-01.log",
            "chat-combined.2020-01-01.log",
        ];
        let go = [
            "email-combined.2026-11-15.log",
            "email-combined.1970-01-01.log",
        ];
        for name in stay.iter().chain(&go) {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let today = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
        assert!(prune(dir.path(), COMBINED, today, 7).is_empty());
        let mut left: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let mut stay = stay.map(str::to_owned);
        stay.sort();
        assert_eq!(left, stay);
    }
}
