//! Everything that is wrong with the settings, one line each.

use std::fmt;

use crate::model::FailureClass;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// `file:line`, `file`, `environment`, `--flag`.
    pub(super) origin: String,
    /// The key, where there is one.
    pub(super) key: Option<String>,
    /// What is wrong and what is allowed; never a secret.
    pub(super) what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = match &self.key {
            Some(key) => format!("{}: {key}: {}", self.origin, self.what),
            None => format!("{}: {}", self.origin, self.what),
        };
        f.write_str(&crate::logs::escape(&line))
    }
}

/// All that is wrong; never empty. Printed as one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// `None` where there are none.
    pub(super) fn of(mut mistakes: Vec<Mistake>) -> Option<Self> {
        let mut seen = Vec::new();
        mistakes.retain(|mistake| {
            let new = !seen.contains(mistake);
            seen.push(mistake.clone());
            new
        });
        (!mistakes.is_empty()).then_some(Self(mistakes))
    }

    /// One line each: `file:line: KEY: what is wrong; what is allowed`.
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().map(Mistake::to_string).collect()
    }

    /// Settings never get right by waiting.
    pub fn class(&self) -> FailureClass {
        FailureClass::OperatorMustAct
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

/// A value as a mistake may show it.
pub(super) fn shown(value: &str) -> String {
    format!("\"{}\"", crate::logs::escape_to(value, 60))
}

/// The known name that an unknown one was probably meant to be.
pub(super) fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_uppercase();
    known
        .map(|candidate| (distance(&name, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 3)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's: letters to change, add or leave out. Names longer than 100 letters are far from everything.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 100 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut diagonal = i;
        let mut next = vec![left];
        for (to, above) in b.chars().zip(row.iter().skip(1)) {
            let change = diagonal + usize::from(from != to);
            left = change.min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_is_recognized() {
        let known = ["XC_EMAIL_LISTEN", "XC_EMAIL_LOG_DIR", "XC_EMAIL_SOCKET"];
        for (name, expected) in [
            ("XC_EMAIL_LISTN", Some("XC_EMAIL_LISTEN")),
            ("XC_EMAIL_LOGDIR", Some("XC_EMAIL_LOG_DIR")),
            ("xc_email_socket", Some("XC_EMAIL_SOCKET")),
            ("XC_EMAIL_SOKCET", Some("XC_EMAIL_SOCKET")),
            ("XC_EMAIL_SOMETHING_ELSE", None),
        ] {
            assert_eq!(meant(name, known.into_iter()), expected, "{name}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
