//! From raw bytes to what is shown and searched.

use std::borrow::Cow;

use mailparse::{MailHeader, MailHeaderMap};

use super::{meaning, parse_address as address, parse_part as part, parse_text as text};
use crate::model::{Mailbox, ParsedMail, Timestamp};

/// Octets of a header block that are looked at.
const HEADER_BLOCK: usize = 256 * 1024;
/// Header fields that are looked at.
const HEADERS: usize = 1_000;
/// Characters of a subject.
const SUBJECT: usize = 1_000;
/// Octets of a message id (RFC 5322 §2.1.1: a line).
const MESSAGE_ID: usize = 998;
/// Ids of References.
const REFERENCES: usize = 100;

/// A mail's header block cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mail cannot be read: {0}")]
pub struct ParseError(String);

/// Reads a mail. Takes CPU time in proportion to its size: call it where blocking is allowed.
///
/// # Errors
/// The header block is unreadable. A body that is unreadable only marks the result `truncated`.
pub fn parse(raw: &[u8]) -> Result<ParsedMail, ParseError> {
    let (bounded, cut) = bound_headers(raw);
    match mailparse::parse_mail(&bounded) {
        Ok(mail) => {
            let mut parsed = headers(&mail.headers);
            part::read(&mail, &mut parsed);
            parsed.truncated |= cut;
            parsed.meaning = meaning::read(raw);
            Ok(parsed)
        }
        // Nested too deep, or a part with broken headers: show at least who wrote about what.
        Err(_body) => {
            let (fields, _) = mailparse::parse_headers(&bounded)
                .map_err(|error| ParseError(text::line(&error.to_string(), 200).0))?;
            let mut parsed = headers(&fields);
            parsed.truncated = true;
            parsed.meaning = meaning::read(raw);
            Ok(parsed)
        }
    }
}

/// The mail with at most [`HEADER_BLOCK`] octets and [`HEADERS`] fields of header, cut between lines.
fn bound_headers(raw: &[u8]) -> (Cow<'_, [u8]>, bool) {
    let (mut end, mut fields, mut keep) = (0, 0, 0);
    let mut body = None;
    for line in raw.split_inclusive(|octet| *octet == b'\n') {
        if matches!(line, b"\n" | b"\r\n") {
            body = Some(end);
            break;
        }
        // A folded line belongs to the field before it.
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            fields += 1;
        }
        end += line.len();
        if end <= HEADER_BLOCK && fields <= HEADERS {
            keep = end;
        }
    }
    if keep == end {
        return (Cow::Borrowed(raw), false);
    }
    // One endless first line: take its beginning.
    let head = if keep == 0 { HEADER_BLOCK } else { keep };
    let mut bounded = raw.get(..head).unwrap_or(raw).to_vec();
    if !bounded.ends_with(b"\n") {
        bounded.extend_from_slice(b"\r\n");
    }
    // The body begins with the empty line.
    if let Some(body) = body.and_then(|at| raw.get(at..)) {
        bounded.extend_from_slice(body);
    }
    (Cow::Owned(bounded), true)
}

fn headers(fields: &[MailHeader<'_>]) -> ParsedMail {
    let mut parsed = ParsedMail::default();
    let mut cut = false;
    let value = |name: &str| fields.get_first_value(name);
    let mut mailboxes = |name: &str| {
        let (found, was_cut) = address::read(&fields.get_all_headers(name));
        cut |= was_cut;
        found
    };
    parsed.from = mailboxes("From").into_iter().next().unwrap_or_else(|| {
        // A sender that is no address is shown as it is.
        Mailbox {
            name: text::line(&value("From").unwrap_or_default(), 200).0,
            address: String::new(),
        }
    });
    parsed.reply_to = mailboxes("Reply-To");
    parsed.to = mailboxes("To");
    parsed.cc = mailboxes("Cc");
    let (subject, subject_cut) = text::line(&value("Subject").unwrap_or_default(), SUBJECT);
    parsed.subject = subject;
    parsed.message_id = value("Message-ID").and_then(|field| ids(&field).into_iter().next());
    parsed.in_reply_to = value("In-Reply-To").and_then(|field| ids(&field).into_iter().next());
    let mut references = value("References")
        .map(|field| ids(&field))
        .unwrap_or_default();
    if references.len() > REFERENCES {
        // The first names the thread, the last ones its end.
        references.drain(1..=references.len() - REFERENCES);
    }
    parsed.references = references;
    parsed.date = value("Date")
        .and_then(|field| mailparse::dateparse(&field).ok())
        .and_then(|seconds| seconds.checked_mul(1000))
        .map(Timestamp::from_millis);
    parsed.truncated = cut || subject_cut;
    parsed
}

/// Message ids without their angle brackets: `<a@b> <c@d>`; a bare word where there are none.
fn ids(field: &str) -> Vec<String> {
    let clean = |id: &str| -> Option<String> {
        let id: String = id
            .chars()
            .filter(|c| !c.is_whitespace() && !c.is_control())
            .collect();
        (!id.is_empty()).then(|| text::cut(&id, MESSAGE_ID).to_owned())
    };
    let bracketed: Vec<String> = field
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split_once('>'))
        .filter_map(|(id, _)| clean(id))
        .collect();
    if bracketed.is_empty() {
        return field
            .split_whitespace()
            .next()
            .and_then(clean)
            .into_iter()
            .collect();
    }
    bracketed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Attachment;

    fn read(raw: &str) -> ParsedMail {
        parse(raw.replace('\n', "\r\n").as_bytes()).unwrap()
    }

    #[test]
    fn an_ordinary_mail_is_read() {
        let mail = read(
            "From: =?UTF-8?Q?J=C3=B6rg_M=C3=BCller?= <joerg@example.test>\n\
             To: \"Support, First\" <support@example.test>, second@example.test\n\
             Cc: team: a@example.test, B <b@example.test>;\n\
             Reply-To: <replies@example.test>\n\
             Subject: =?utf-8?B?R3LDvMOfZQ==?=\n  and more\n\
             Message-ID: <one@example.test>\n\
             In-Reply-To: <zero@example.test>\n\
             References: <minus@example.test>\n <zero@example.test>\n\
             Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\n\
             MIME-Version: 1.0\n\
             Content-Type: multipart/mixed; boundary=b1\n\n\
             --b1\nContent-Type: multipart/alternative; boundary=b2\n\n\
             --b2\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nGr=FC=DFe\n\
             --b2\nContent-Type: text/html; charset=utf-8\n\n<p>Hallo</p>\n--b2--\n\
             --b1\nContent-Type: image/png; name=x.png\nContent-Disposition: inline\nContent-ID: <logo@x>\nContent-Transfer-Encoding: base64\n\nAAECAw==\n\
             --b1\nContent-Type: application/pdf\nContent-Disposition: attachment; filename=\"../../etc/Rechnung \u{202e}fdp.pdf\"\n\nabc\n--b1--\n",
        );
        assert_eq!(
            mail.from,
            Mailbox {
                name: "Jörg Müller".into(),
                address: "joerg@example.test".into()
            }
        );
        let shown: Vec<_> = mail
            .to
            .iter()
            .map(|m| (m.name.as_str(), m.address.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("Support, First", "support@example.test"),
                ("", "second@example.test")
            ]
        );
        assert_eq!(mail.cc.len(), 2);
        assert_eq!(mail.reply_to[0].address, "replies@example.test");
        assert_eq!(mail.subject, "Grüße and more");
        assert_eq!(mail.message_id.as_deref(), Some("one@example.test"));
        assert_eq!(mail.in_reply_to.as_deref(), Some("zero@example.test"));
        assert_eq!(mail.references, ["minus@example.test", "zero@example.test"]);
        assert_eq!(mail.date, Some(Timestamp::from_millis(837_595_405_000)));
        assert_eq!(mail.text.as_deref(), Some("Grüße"));
        assert_eq!(mail.html.as_deref(), Some("<p>Hallo</p>"));
        assert_eq!(
            mail.attachments,
            [
                Attachment {
                    part: 4,
                    file_name: "x.png".into(),
                    content_type: "image/png".into(),
                    content_id: Some("logo@x".into()),
                    inline: true,
                    size: 4
                },
                Attachment {
                    part: 5,
                    file_name: "Rechnung fdp.pdf".into(),
                    content_type: "application/pdf".into(),
                    content_id: None,
                    inline: false,
                    size: 3
                },
            ]
        );
        assert!(!mail.truncated);
    }

    #[test]
    fn ugly_mails_are_read_as_far_as_they_go() {
        // Bad inputs 21 and 25 to 28: what is shown of each.
        type Holds = fn(&ParsedMail) -> bool;
        let cases: [(&str, &[u8], Holds); 14] = [
            ("nothing at all", b"", |m| m.text.as_deref() == Some("") && m.from.address.is_empty()),
            ("only a body", b"\r\nhello\r\n", |m| m.text.as_deref() == Some("hello\r\n")),
            ("a nul in header and body", b"Subject: a\0b\r\n\r\nc\0d", |m| m.subject == "a\u{fffd}b" && m.text.as_deref() == Some("c\u{fffd}d")),
            ("8-bit octets without a charset", b"Subject: x\r\n\r\ngr\xc3\xbc\xc3\x9fe", |m| m.text.as_deref() == Some("grüße")),
            ("octets that are no utf-8, without a charset", b"Subject: x\r\n\r\ngr\xfc\xdfe", |m| m.text.as_deref() == Some("grüße")),
            ("an unknown charset", b"Content-Type: text/plain; charset=\"x-nonsense\\\"; x\"\r\n\r\nabc", |m| m.text.as_deref() == Some("abc")),
            ("broken iso-2022-jp", b"Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1b$B$\x1b\x1b(Babc", |m| m.text.as_deref().is_some_and(|t| t.contains("abc"))),
            ("base64 with garbage", b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGVs!!bG8=\r\n-- footer", |m| m.text.as_deref().is_some_and(|t| t.starts_with("hello"))),
            ("quoted-printable that ends in =", b"Content-Transfer-Encoding: quoted-printable\r\n\r\nabc=", |m| m.text.as_deref() == Some("abc")),
            ("no closing boundary", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello", |m| m.text.as_deref() == Some("hello")),
            ("an empty boundary", b"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\nhello\r\n--", |m| m.attachments.len() <= 1),
            ("an encoded word with a line break", b"Subject: =?utf-8?Q?a=0D=0ABcc:_evil@example.test?=\r\n\r\nx", |m| m.subject == "a Bcc: evil@example.test"),
            ("an address that is none", b"From: undisclosed\r\nTo: ,,;<>\r\n\r\nx", |m| m.from.name == "undisclosed" && m.to.is_empty()),
            ("a header without a colon", b"Subject: x\r\nno colon here\r\nTo: a@b.test\r\n\r\nhi", |m| m.subject == "x"),
        ];
        for (name, raw, holds) in cases {
            let mail = parse(raw).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(holds(&mail), "{name}: {mail:?}");
        }
    }

    /// Bad input 22.
    #[test]
    fn endless_headers_are_cut_and_the_body_is_still_read() {
        for head in [
            format!("Subject: hi\r\nX-Long: {}\r\n", "x".repeat(10 << 20)),
            format!("Subject: hi\r\n{}", "X-Many: y\r\n".repeat(100_000)),
            format!(
                "Subject: hi\r\nTo: {}z@example.test\r\n",
                "a@example.test,\r\n ".repeat(100_000)
            ),
        ] {
            let mail = parse(format!("{head}\r\nthe body").as_bytes()).unwrap();
            assert_eq!(mail.subject, "hi");
            assert_eq!(mail.text.as_deref(), Some("the body"));
            assert!(mail.truncated);
        }
        let mail = parse(format!("Subject: {}", "x".repeat(10 << 20)).as_bytes()).unwrap();
        assert_eq!((mail.subject.len(), mail.truncated), (SUBJECT, true));
    }

    /// Bad input 23.
    #[test]
    fn deep_and_wide_mails_are_bounded() {
        let mut deep = String::from("Subject: deep\r\n");
        for level in 0..50_000 {
            deep.push_str(&format!(
                "Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"
            ));
        }
        let mail = parse(deep.as_bytes()).unwrap();
        assert_eq!((mail.subject.as_str(), mail.truncated), ("deep", true));
        let wide = format!(
            "Subject: wide\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n",
            "--b\r\nContent-Type: text/x-note\r\n\r\nz\r\n".repeat(20_000)
        );
        let mail = parse(wide.as_bytes()).unwrap();
        assert!(
            mail.truncated && mail.attachments.len() <= 1_000,
            "{}",
            mail.attachments.len()
        );
        let mut forwarded = String::from("Subject: f\r\n");
        forwarded.push_str(&"Content-Type: message/rfc822\r\n\r\n".repeat(1_000));
        assert_eq!(parse(forwarded.as_bytes()).unwrap().attachments.len(), 1);
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        let raw = format!(
            "Content-Type: text/plain; charset=utf-8\r\n\r\na{}",
            "ü".repeat(6 << 20)
        );
        let mail = parse(raw.as_bytes()).unwrap();
        let shown = mail.text.unwrap();
        assert!(mail.truncated && shown.len() <= 10 << 20 && shown.len() > (10 << 20) - 4);
        assert!(!shown.contains('\u{fffd}'));
    }

    #[test]
    fn message_ids_and_references_are_bounded() {
        let long = "x".repeat(5_000);
        let many: String = (0..500).map(|n| format!("<{n}@x>\r\n ")).collect();
        let raw = format!(
            "Message-ID: <{long}>\r\nReferences: {many}\r\nIn-Reply-To: bare@id (comment)\r\n\r\n"
        );
        let mail = parse(raw.as_bytes()).unwrap();
        assert_eq!(mail.message_id.unwrap().len(), 998);
        assert_eq!(mail.references.len(), 100);
        assert_eq!(
            (mail.references[0].as_str(), mail.references[99].as_str()),
            ("0@x", "499@x")
        );
        assert_eq!(mail.in_reply_to.as_deref(), Some("bare@id"));
    }

    proptest::proptest! {
        #[test]
        fn no_octets_make_it_panic(raw in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = parse(&raw);
            let mut mail = b"Content-Type: multipart/mixed; boundary=b\r\nFrom: ".to_vec();
            mail.extend_from_slice(&raw);
            mail.extend_from_slice(b"\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\nContent-Type: text/plain; charset=");
            mail.extend_from_slice(&raw);
            let _ = parse(&mail);
        }
    }
}
