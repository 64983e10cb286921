//! What a tagged answer, a greeting or a BYE says. Pure.

use async_imap::imap_proto::{Outcome, ResponseCode};

/// Longest text of a server that is kept, in characters.
const TEXT: usize = 500;

/// The words of a status response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// Response code without brackets and arguments, in upper case.
    pub(super) code: Option<String>,
    /// The text, without the code, without control characters, bounded.
    pub(super) text: String,
}

/// Takes code and text out of a status response. Codes that the parser does not know stand in
/// brackets at the beginning of its text.
pub(super) fn words(outcome: &Outcome<'_>) -> Words {
    let text = outcome.information.as_deref().unwrap_or_default();
    if let Some(known) = outcome.code.as_ref().and_then(name) {
        return Words {
            code: Some(known.to_owned()),
            text: clean(text),
        };
    }
    match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((code, rest)) => {
            let word = code.split(' ').next().unwrap_or_default();
            let code = clean(word).to_ascii_uppercase();
            Words {
                code: (!code.is_empty()).then_some(code),
                text: clean(rest),
            }
        }
        None => Words {
            code: None,
            text: clean(text),
        },
    }
}

/// Bounded, and without what could disturb a log or a terminal.
pub(super) fn clean(text: &str) -> String {
    text.trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(TEXT)
        .collect()
}

fn name(code: &ResponseCode<'_>) -> Option<&'static str> {
    Some(match code {
        ResponseCode::Alert => "ALERT",
        ResponseCode::BadCharset(_) => "BADCHARSET",
        ResponseCode::Capabilities(_) => "CAPABILITY",
        ResponseCode::Parse => "PARSE",
        ResponseCode::ReadOnly => "READ-ONLY",
        ResponseCode::ReadWrite => "READ-WRITE",
        ResponseCode::TryCreate => "TRYCREATE",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_imap::imap_proto::Response;

    #[test]
    fn codes_are_found_whether_the_parser_knows_them_or_not() {
        let cases = [
            (
                "A1 NO [AUTHENTICATIONFAILED] Invalid credentials\r\n",
                Some("AUTHENTICATIONFAILED"),
                "Invalid credentials",
            ),
            ("A1 NO [unavailable] x\r\n", Some("UNAVAILABLE"), "x"),
            ("A1 NO [ALERT] Too many\r\n", Some("ALERT"), "Too many"),
            ("A1 OK [READ-ONLY] done\r\n", Some("READ-ONLY"), "done"),
            (
                "A1 NO [REFERRAL imap://evil/] go there\r\n",
                Some("REFERRAL"),
                "go there",
            ),
            (
                "A1 BAD User is authenticated but not connected.\r\n",
                None,
                "User is authenticated but not connected.",
            ),
            ("A1 NO\r\n", None, ""),
            ("A1 NO []\r\n", None, ""),
            ("A1 NO [half\r\n", None, "[half"),
            ("A1 NO esc\x1b[2Jape\r\n", None, "esc[2Jape"),
        ];
        for (line, code, text) in cases {
            let (_, response) = Response::parse(line.as_bytes()).unwrap();
            let Response::Done { outcome, .. } = response else {
                panic!("{line}");
            };
            let expected = Words {
                code: code.map(str::to_owned),
                text: text.to_owned(),
            };
            assert_eq!(words(&outcome), expected, "{line}");
        }
    }
}
