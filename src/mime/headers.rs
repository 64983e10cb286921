//! Some fields of a header block, found without reading the rest.

/// Octets of a header block that are looked at.
const BLOCK: usize = 256 * 1024;
/// Octets of one field's value.
const VALUE: usize = 4 * 1024;
/// Fields that are kept.
const FIELDS: usize = 500;

/// Fields in their order: lower-case name and unfolded value.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(&'static str, String)>);

impl Fields {
    /// The wanted fields of the header block that `raw` begins with; `wanted` are lower-case names.
    pub(super) fn read(raw: &[u8], wanted: &[&'static str]) -> Self {
        let mut found: Vec<(&'static str, String)> = Vec::new();
        let mut read = 0_usize;
        let mut open = false;
        for line in raw.split_inclusive(|octet| *octet == b'\n') {
            read = read.saturating_add(line.len());
            if matches!(line, b"\n" | b"\r\n") || read > BLOCK || found.len() >= FIELDS {
                break;
            }
            if line.starts_with(b" ") || line.starts_with(b"\t") {
                if let (true, Some((_, value))) = (open, found.last_mut())
                    && value.len() < VALUE
                {
                    value.push(' ');
                    value.push_str(&text(line));
                }
                continue;
            }
            open = false;
            let Some((name, value)) = split(line) else {
                continue;
            };
            if let Some(name) = wanted
                .iter()
                .find(|one| one.as_bytes().eq_ignore_ascii_case(name))
            {
                found.push((name, text(value)));
                open = true;
            }
        }
        Self(found)
    }

    /// The first field of this name.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(one, _)| *one == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every field of this name, in order.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(one, _)| *one == name)
            .map(|(_, value)| value.as_str())
    }

    /// There is a field of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.first(name).is_some()
    }
}

fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|octet| *octet == b':')?;
    let (name, rest) = line.split_at_checked(colon)?;
    Some((name.trim_ascii_end(), rest.get(1..)?))
}

/// Printable text of at most [`VALUE`] octets.
fn text(octets: &[u8]) -> String {
    let octets = octets.get(..VALUE).unwrap_or(octets).trim_ascii();
    String::from_utf8_lossy(octets)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// What stands in angle brackets, or the bare word: an address or an id.
pub(super) fn bare(value: &str) -> &str {
    let inner = value
        .rsplit_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map(|(inner, _)| inner);
    inner.unwrap_or(value).trim()
}

/// Every id in angle brackets, or the first bare word where there are none.
pub(super) fn ids(value: &str) -> Vec<String> {
    let clean = |id: &str| -> Option<String> {
        let id: String = id
            .chars()
            .filter(|c| !c.is_whitespace())
            .take(900)
            .collect();
        (!id.is_empty()).then_some(id)
    };
    let found: Vec<String> = value
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split_once('>'))
        .filter_map(|(id, _)| clean(id))
        .collect();
    if found.is_empty() {
        return value
            .split_whitespace()
            .next()
            .and_then(clean)
            .into_iter()
            .collect();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_fields_are_unfolded_and_the_body_is_none() {
        let raw = b"Subject: a\r\n b\r\nX-Other: c\r\n d\r\nSUBJECT : e\r\nnonsense\r\n\r\nSubject: body\r\n";
        let fields = Fields::read(raw, &["subject"]);
        assert_eq!(fields.all("subject").collect::<Vec<_>>(), ["a b", "e"]);
        assert!(!fields.has("x-other"));
        assert_eq!(
            Fields::read(b"\r\nSubject: x", &["subject"]).first("subject"),
            None
        );
    }

    #[test]
    fn endless_fields_are_bounded() {
        let raw = format!(
            "Subject: {}\r\n{}",
            "x".repeat(100_000),
            "Subject: y\r\n".repeat(2_000)
        );
        let fields = Fields::read(raw.as_bytes(), &["subject"]);
        assert_eq!(fields.first("subject").unwrap().len(), VALUE - 1);
        assert_eq!(fields.all("subject").count(), FIELDS);
    }

    #[test]
    fn ids_and_addresses_lose_their_brackets() {
        assert_eq!(ids("<a@b>  <c@ d>"), ["a@b", "c@d"]);
        assert_eq!(ids("a@b x"), ["a@b"]);
        assert_eq!(bare("\"A <x>\" <a@b>"), "a@b");
        assert_eq!(bare(" a@b "), "a@b");
    }
}
