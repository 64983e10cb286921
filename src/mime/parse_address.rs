//! Address headers, the broken ones included.

use mailparse::{MailAddr, MailHeader, SingleInfo};

use super::parse_text as text;
use crate::model::Mailbox;

/// Mailboxes of one mail that are kept in each header.
const ADDRESSES: usize = 10_000;
/// Characters of a display name.
const NAME: usize = 200;
/// Octets of an address: a line of RFC 5322; real ones end at 254.
const ADDRESS: usize = 998;

/// All mailboxes of these headers, groups resolved. True where some were left out.
pub(super) fn read(fields: &[&MailHeader<'_>]) -> (Vec<Mailbox>, bool) {
    let mut found = Vec::new();
    for field in fields {
        match mailparse::addrparse_header(field) {
            Ok(list) => {
                for one in list.into_inner() {
                    match one {
                        MailAddr::Single(one) => found.push(mailbox(one)),
                        MailAddr::Group(group) => {
                            found.extend(group.addrs.into_iter().map(mailbox));
                        }
                    }
                }
            }
            Err(_) => found.extend(loosely(&field.get_value())),
        }
    }
    found.retain(|one| !one.address.is_empty());
    let cut = found.len() > ADDRESSES;
    found.truncate(ADDRESSES);
    (found, cut)
}

fn mailbox(one: SingleInfo) -> Mailbox {
    Mailbox {
        name: text::line(&one.display_name.unwrap_or_default(), NAME).0,
        address: address(&one.addr),
    }
}

fn address(given: &str) -> String {
    let clean: String = given
        .chars()
        .filter(|c| !c.is_control() && !c.is_whitespace() && !text::turns_direction(*c))
        .collect();
    text::cut(&clean, ADDRESS).to_owned()
}

/// What looks like addresses, where the header follows no grammar: between commas, in angle brackets
/// or with an `@`.
fn loosely(value: &str) -> Vec<Mailbox> {
    let pieces = value.split([',', ';']).filter_map(|piece| {
        let (name, inner) = match piece.split_once('<') {
            Some((name, rest)) => (name, rest.split('>').next().unwrap_or_default()),
            None => ("", piece),
        };
        inner.contains('@').then(|| Mailbox {
            name: text::line(name.trim().trim_matches('"'), NAME).0,
            address: address(inner),
        })
    });
    pieces.take(ADDRESSES + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_address_headers_still_give_what_looks_like_an_address() {
        for (value, expected) in [
            ("To: a@x.test, \"b", vec![("", "a@x.test")]),
            (
                "To: Anna <a@x.test>, Bert <b@x.test",
                vec![("Anna", "a@x.test"), ("Bert", "b@x.test")],
            ),
            ("To: <a @ x.test>", vec![("", "a@x.test")]),
            (
                "To: =?utf-8?Q?=22Evil=22_=3Cx=40y.test=3E?= <a@x.test>",
                vec![("\"Evil\" <x@y.test>", "a@x.test")],
            ),
            ("To: undisclosed-recipients:;", vec![]),
        ] {
            let (field, _) = mailparse::parse_header(value.as_bytes()).unwrap();
            let (found, _) = read(&[&field]);
            let shown: Vec<_> = found
                .iter()
                .map(|m| (m.name.as_str(), m.address.as_str()))
                .collect();
            assert_eq!(shown, expected, "{value}");
        }
    }
}
