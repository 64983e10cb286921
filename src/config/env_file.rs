//! `KEY=value` files, as systemd's `EnvironmentFile=` and dotenv both read them; pure.
//!
//! Where the two differ, the common part is read and the rest refused: nothing is expanded, a comment after an unquoted
//! value needs a space before its `#`, a backslash outside quotes is a mistake. Lines whose key is not ours are not looked
//! at: another program's file may hold what it wants.

/// A line of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// From 1.
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) value: String,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// From 1.
    pub(super) line: usize,
    /// Where it could be read.
    pub(super) key: Option<String>,
    pub(super) what: &'static str,
}

/// Whether a key belongs to this program, however its letters are cased: a wrong case is a mistake, not a foreign key.
pub(super) fn is_ours(key: &str) -> bool {
    let key = key.to_ascii_uppercase();
    key == "XC_DEBUG_LEVEL" || key.starts_with("XC_EMAIL_")
}

/// All lines of ours, and all that cannot be read. A UTF-8 byte order mark and CRLF are tolerated.
pub(super) fn read(bytes: &[u8]) -> (Vec<Entry>, Vec<Fault>) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut entries: Vec<Entry> = Vec::new();
    let mut faults = Vec::new();
    for (index, raw) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = index + 1;
        if raw.contains(&0) {
            faults.push(Fault {
                line,
                key: None,
                what: "holds a NUL byte: the file has to be UTF-8 text",
            });
            // The rest would only repeat it: UTF-16 has one in every letter.
            break;
        }
        let lossy = String::from_utf8_lossy(raw);
        let Some((key, value)) = ours(&lossy) else {
            continue;
        };
        let fault = |what| Fault {
            line,
            key: Some(key.to_owned()),
            what,
        };
        let value = match (std::str::from_utf8(raw), value) {
            (Err(_), _) => Err("is not UTF-8 text"),
            (Ok(_), None) => Err("has no = and no value"),
            (Ok(_), Some(text)) => unquote(text.trim()),
        };
        match value {
            Err(what) => faults.push(fault(what)),
            Ok(_) if entries.iter().any(|entry| entry.key == key) => {
                faults.push(fault("is in this file twice"));
            }
            Ok(value) => entries.push(Entry {
                line,
                key: key.to_owned(),
                value,
            }),
        }
    }
    (entries, faults)
}

/// Key and value text of a line of ours; the value is absent where there is no `=`.
fn ours(line: &str) -> Option<(&str, Option<&str>)> {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return None;
    }
    let line = line
        .strip_prefix("export")
        .filter(|rest| rest.starts_with([' ', '\t']))
        .unwrap_or(line)
        .trim_start();
    let (key, value) = match line.split_once('=') {
        Some((key, value)) => (key.trim_end(), Some(value)),
        None => (line.split_whitespace().next()?, None),
    };
    is_ours(key).then_some((key, value))
}

fn unquote(text: &str) -> Result<String, &'static str> {
    const UNENDED: &str = "has a quote that does not end on its line";
    if let Some(rest) = text.strip_prefix('\'') {
        let (value, after) = rest.split_once('\'').ok_or(UNENDED)?;
        return nothing_after(after).map(|()| value.to_owned());
    }
    if let Some(rest) = text.strip_prefix('"') {
        let mut value = String::new();
        let mut rest = rest.chars();
        loop {
            match rest.next().ok_or(UNENDED)? {
                '"' => return nothing_after(rest.as_str()).map(|()| value),
                '\\' => value.push(match rest.next().ok_or(UNENDED)? {
                    plain @ ('"' | '\\' | '$' | '`' | '\'') => plain,
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    _ => {
                        return Err(
                            "has a backslash before a character that is no escape; \\\\ is a backslash",
                        );
                    }
                }),
                plain => value.push(plain),
            }
        }
    }
    let value = match text.find(" #").or_else(|| text.find("\t#")) {
        _ if text.starts_with('#') => "",
        Some(comment) => text.get(..comment).unwrap_or(text).trim_end(),
        None => text,
    };
    if value.contains('\\') {
        return Err(
            "has a backslash outside quotes, which systemd and dotenv read differently; use single quotes",
        );
    }
    if value.contains(['"', '\'']) {
        return Err("has a quote inside an unquoted value; quote all of it");
    }
    Ok(value.to_owned())
}

fn nothing_after(text: &str) -> Result<(), &'static str> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        Ok(())
    } else {
        Err("has text after its closing quote")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_both_tools_would() {
        for (line, value) in [
            ("XC_EMAIL_A=plain", "plain"),
            ("XC_EMAIL_A=a b  c ", "a b  c"),
            ("  export   XC_EMAIL_A = x", "x"),
            ("XC_EMAIL_A=", ""),
            ("XC_EMAIL_A= # nothing", ""),
            ("XC_EMAIL_A=x # comment", "x"),
            ("XC_EMAIL_A=x#y", "x#y"),
            ("XC_EMAIL_A=0123", "0123"),
            ("XC_EMAIL_A='$x \\n \"y\" #'  # comment", "$x \\n \"y\" #"),
            (r#"XC_EMAIL_A="a\"b\\c\n\$" "#, "a\"b\\c\n$"),
            ("XC_EMAIL_A=k=v", "k=v"),
            ("XC_EMAIL_A=\"\"", ""),
            ("\u{feff}XC_EMAIL_A=bom\r", "bom"),
            ("XC_EMAIL_A=Grüße", "Grüße"),
        ] {
            let (entries, faults) = read(line.as_bytes());
            assert_eq!(faults, [], "{line}");
            let values: Vec<_> = entries.iter().map(|entry| entry.value.as_str()).collect();
            assert_eq!(values, [value], "{line}");
        }
    }

    #[test]
    fn foreign_lines_are_not_looked_at() {
        let file = b"# XC_EMAIL_A=comment\n; XC_EMAIL_B=x\nXC_DB_PASSWORD='un\nterminated\nfoo\n\
            NAME=\xff\n=\nXC_DB_PASSWORD=again\nexports XC_EMAIL_C=1\nXC_EMAIL_D=yes";
        let (entries, faults) = read(file);
        assert_eq!(faults, []);
        let expected = Entry {
            line: 10,
            key: "XC_EMAIL_D".to_owned(),
            value: "yes".to_owned(),
        };
        assert_eq!(entries, [expected]);
    }

    /// Row 65: each bad line is one mistake with its number, and the good ones are still read.
    #[test]
    fn bad_lines_are_named_and_do_not_hide_others() {
        let file = b"XC_EMAIL_A='open\nXC_EMAIL_B=\"open\\\"\nXC_EMAIL_C\nXC_EMAIL_D=\xff\n\
            XC_EMAIL_E='x' y\nXC_EMAIL_F=a\\b\nXC_EMAIL_G=\"\\q\"\nXC_EMAIL_H=1\nXC_EMAIL_H=1\n\
            XC_EMAIL_I=a\"b\nXC_EMAIL_J=fine\nX\0C\nXC_EMAIL_K=after";
        let (entries, faults) = read(file);
        let lines: Vec<_> = faults.iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 6, 7, 9, 10, 12], "{faults:?}");
        let keys: Vec<_> = entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["XC_EMAIL_H", "XC_EMAIL_J"]);
    }

    #[test]
    fn another_encoding_is_one_mistake() {
        let file: Vec<u8> = "XC_EMAIL_A=1\nXC_EMAIL_B=2\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(read(&file).1.len(), 1);
    }
}
