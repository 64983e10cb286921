//! Strangers' text made harmless for a log file and a terminal.

use std::fmt::Write as _;

/// How what is escaped is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `\n`, `\u{202e}`; nothing else is touched.
    Bare,
    /// As [`Style::Bare`], for text between double quotes: `"` and `\` too.
    Quoted,
    /// As JSON has it between double quotes.
    Json,
}

/// `text` with every character escaped that could end a line, move a cursor or turn the reading direction: controls,
/// U+2028, U+2029, bidirectional controls, invisible tags. Everything else stays as it is.
pub fn escape(text: &str) -> String {
    escape_to(text, usize::MAX)
}

/// As [`escape`], cut to at most `most` bytes; what was cut is marked with `…` (3 bytes).
pub fn escape_to(text: &str, most: usize) -> String {
    escape_as(Style::Bare, text, most)
}

/// As [`escape_to`], in a style. Cuts only between escaped characters.
pub(super) fn escape_as(style: Style, text: &str, most: usize) -> String {
    const CUT: &str = "…";
    let mut out = String::with_capacity(text.len().min(most));
    // The end of what fits if the mark has to follow it.
    let mut fits = 0;
    for character in text.chars() {
        push(style, character, &mut out);
        if out.len() > most {
            out.truncate(fits);
            if most >= CUT.len() {
                out.push_str(CUT);
            }
            break;
        }
        if out.len().saturating_add(CUT.len()) <= most {
            fits = out.len();
        }
    }
    out
}

fn push(style: Style, character: char, out: &mut String) {
    match character {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '"' | '\\' if style != Style::Bare => {
            out.push('\\');
            out.push(character);
        }
        _ if !dangerous(character) => out.push(character),
        _ if style == Style::Json => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
        _ => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
        }
    }
}

/// Whether a terminal, a pager or a log shipper might obey the character instead of showing it.
pub(super) fn dangerous(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{2028}' | '\u{2029}'                                    // line and paragraph separators
            | '\u{061c}' | '\u{200e}' | '\u{200f}'                     // direction marks
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'        // embeddings, overrides, isolates
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'                     // byte order mark, annotations
            | '\u{e0000}'..='\u{e007f}') // tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_the_rest_is_kept() {
        for (raw, shown) in [
            ("Grüße, 東京 🎉", "Grüße, 東京 🎉"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\u{1b}[2J\0\u{7f}", "\\u{1b}[2J\\u{0}\\u{7f}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("x\u{2028}y\u{202e}z", "x\\u{2028}y\\u{202e}z"),
            ("\u{feff}\u{2066}\u{e0041}", "\\u{feff}\\u{2066}\\u{e0041}"),
            ("a \"b\" \\c", "a \"b\" \\c"),
        ] {
            assert_eq!(escape(raw), shown, "{raw:?}");
        }
    }

    #[test]
    fn json_text_reads_back_as_it_was() {
        let raw = "q\"b\\n\nesc\u{1b}rlo\u{202e}tag\u{e0041}";
        let json = format!("\"{}\"", escape_as(Style::Json, raw, usize::MAX));
        assert!(!json.chars().any(dangerous), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), raw);
    }

    #[test]
    fn a_cut_falls_between_characters_and_is_marked() {
        for (raw, most, shown) in [
            ("abcdef", 6, "abcdef"),
            ("abcdefg", 6, "abc…"),
            ("ab\u{1b}\u{1b}", 10, "ab…"),
            ("äää", 5, "ä…"),
            ("abc", 2, ""),
        ] {
            let cut = escape_to(raw, most);
            assert_eq!(cut, shown, "{raw:?} to {most}");
            assert!(cut.len() <= most);
        }
    }
}
