//! Text that is safe to store, to log and to show.

/// One line of a header value for people: no line breaks, no control or direction-changing characters,
/// at most `most` characters. True where it was cut.
pub(super) fn line(value: &str, most: usize) -> (String, bool) {
    let mut out = String::new();
    let mut count = 0;
    let mut space = false;
    for c in value.chars() {
        let c = match c {
            '\0' => '\u{fffd}',
            // Line breaks and tabs part words; so does a folded line.
            '\r' | '\n' | '\t' => ' ',
            c if c.is_control() || turns_direction(c) => continue,
            c => c,
        };
        if c == ' ' && space {
            continue;
        }
        space = c == ' ';
        if count == most {
            return (out.trim().to_owned(), true);
        }
        out.push(c);
        count += 1;
    }
    (out.trim().to_owned(), false)
}

/// Characters that make text read in another order than it is stored, or that cannot be seen.
pub(super) fn turns_direction(c: char) -> bool {
    matches!(
        c,
        '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' | '\u{feff}'
    )
}

/// At most `octets` of `text`, cut between characters.
pub(super) fn cut(text: &str, octets: usize) -> &str {
    text.get(..text.floor_char_boundary(octets)).unwrap_or(text)
}

/// A body for people: NUL is shown, everything else is kept; at most `octets`. True where it was cut.
pub(super) fn body(text: String, octets: usize) -> (String, bool) {
    let text = if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    };
    if text.len() <= octets {
        return (text, false);
    }
    (cut(&text, octets).to_owned(), true)
}

/// A file name that names a file in no folder: no path, no control or direction-changing characters,
/// at most 255 octets with its extension kept.
pub(super) fn file_name(given: &str) -> String {
    const MOST: usize = 255;
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let safe: String = last
        .chars()
        .filter(|c| {
            !c.is_control()
                && !turns_direction(*c)
                && !matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*')
        })
        .collect();
    let safe = safe
        .trim()
        .trim_start_matches('.')
        .trim_end_matches(['.', ' ']);
    if safe.is_empty() {
        return "attachment".to_owned();
    }
    if safe.len() <= MOST {
        return safe.to_owned();
    }
    match safe.rsplit_once('.') {
        Some((stem, extension)) if extension.len() <= 16 => {
            format!("{}.{extension}", cut(stem, MOST - extension.len() - 1))
        }
        _ => cut(safe, MOST).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_name_no_path_and_hide_nothing() {
        for (given, expected) in [
            ("report.pdf", "report.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Windows\\system32\\cmd.exe", "cmd.exe"),
            ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
            ("a\r\nb\0.txt", "ab.txt"),
            (".bashrc", "bashrc"),
            ("..", "attachment"),
            ("", "attachment"),
            ("dir/", "attachment"),
        ] {
            assert_eq!(file_name(given), expected, "{given:?}");
        }
        let long = file_name(&format!("{}.docx", "ü".repeat(400)));
        assert!(long.len() <= 255 && long.ends_with(".docx"), "{long}");
    }

    #[test]
    fn lines_hold_no_break_and_no_control() {
        assert_eq!(
            line("a\r\n b\tc\x1b[2J\u{202e}", 100),
            ("a b c[2J".to_owned(), false)
        );
        assert_eq!(line("abcdef", 3), ("abc".to_owned(), true));
    }
}
