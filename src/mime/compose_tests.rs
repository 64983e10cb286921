//! What is composed is read back by the reader, as a receiver would.

use mailparse::MailHeaderMap;
use proptest::prelude::*;

use super::*;
use crate::mime::parse;

fn person(name: &str, address: &str) -> Person {
    Person {
        name: name.into(),
        address: EmailAddress::parse(address).unwrap(),
    }
}

fn draft() -> Draft {
    Draft {
        to: vec![person("", "anna@y.test")],
        subject: "Hello".into(),
        text: Some("Hi\n".into()),
        ..Draft::new(
            "1@x.test".into(),
            person("Support, \"XC\" \u{e4}", "supp@x.test"),
            Timestamp::from_millis(1_795_000_000_000),
        )
    }
}

#[test]
fn all_fields_are_read_back_as_they_were_given() {
    let all = Draft {
        cc: vec![person("Ben", "ben@y.test"), person("\u{1f600}", "c@y.test")],
        bcc: vec![person("Secret", "secret@y.test")],
        reply_to: vec![person("", "reply@x.test")],
        subject: "Gr\u{fc}\u{df}e\u{2028} from \u{1f600} and a long tail of words ".repeat(5),
        html: Some("<p>Hi \u{e4}</p>".into()),
        in_reply_to: Some("orig@y.test".into()),
        references: (0..150).map(|n| format!("{n}@y.test")).collect(),
        attachments: vec![
            DraftAttachment {
                file_name: "a \"b\" \u{e4}.pdf".into(),
                content_type: "application/pdf".into(),
                bytes: (0..=255).cycle().take(5000).collect(),
            },
            DraftAttachment {
                file_name: "mail.eml".into(),
                content_type: "message/rfc822".into(),
                bytes: b"\n.\n".to_vec(),
            },
        ],
        headers: vec![("X-Ticket".into(), "42 \u{e4}".into())],
        ..draft()
    };
    let frozen = compose(&all).unwrap();
    let read = parse(&frozen.raw).unwrap();
    assert_eq!(read.message_id.as_deref(), Some("1@x.test"));
    assert_eq!(read.in_reply_to.as_deref(), Some("orig@y.test"));
    assert_eq!(read.references.len(), 100);
    assert_eq!(read.references[0], "0@y.test");
    assert_eq!(read.references[99], "149@y.test");
    assert_eq!(read.from.name, "Support, \"XC\" \u{e4}");
    assert_eq!(read.from.address, "supp@x.test");
    assert_eq!(read.cc[1].name, "\u{1f600}");
    assert_eq!(read.reply_to[0].address, "reply@x.test");
    assert!(
        read.subject.starts_with("Gr\u{fc}\u{df}e"),
        "{}",
        read.subject
    );
    assert_eq!(read.date.unwrap().millis(), 1_795_000_000_000);
    assert_eq!(read.text.as_deref().map(str::trim_end), Some("Hi"));
    assert_eq!(
        read.html.as_deref().map(str::trim_end),
        Some("<p>Hi \u{e4}</p>")
    );
    assert_eq!(read.attachments.len(), 2);
    assert_eq!(read.attachments[0].content_type, "application/pdf");
    assert_eq!(read.attachments[0].size, 5000);
    assert_eq!(read.attachments[1].content_type, "application/octet-stream");
    let text = String::from_utf8(frozen.raw.to_vec()).unwrap();
    assert!(text.is_ascii());
    assert!(!text.contains("secret@y.test") && !text.contains("Bcc"));
    let headers = mailparse::parse_headers(text.as_bytes()).unwrap().0;
    assert_eq!(headers.get_first_value("X-Ticket").unwrap(), "42 \u{e4}");
}

#[test]
fn every_shape_of_body_is_written_in_clean_lines() {
    let dots = "\n.\n\r.\r\r\n..\r\n.\r\nMAIL FROM:<x@y>\r\n";
    let long = "x".repeat(5000);
    for text in [
        None,
        Some(""),
        Some("plain"),
        Some(dots),
        Some(long.as_str()),
        Some("\u{4e2d}\u{6587}"),
    ] {
        for html in [None, Some("<p>\u{e4}</p>"), Some(dots)] {
            for attachments in [0, 2] {
                let draft = Draft {
                    text: text.map(Into::into),
                    html: html.map(Into::into),
                    attachments: vec![
                        DraftAttachment {
                            file_name: "f".into(),
                            content_type: String::new(),
                            bytes: dots.into(),
                        };
                        attachments
                    ],
                    ..draft()
                };
                let frozen = compose(&draft).unwrap();
                assert_eq!(check::lines(&frozen.raw), Ok(()));
                let read = parse(&frozen.raw).unwrap();
                assert_eq!(read.attachments.len(), attachments);
                if let Some(text) = text {
                    let lines = |text: &str| -> Vec<String> {
                        let text = text.replace("\r\n", "\n").replace('\r', "\n");
                        text.trim_end().split('\n').map(str::to_owned).collect()
                    };
                    assert_eq!(lines(&read.text.unwrap_or_default()), lines(text));
                }
            }
        }
    }
}

#[test]
fn row_45_control_characters_are_refused_by_field() {
    let check = |expected: &str, change: &dyn Fn(&mut Draft, String)| {
        for bad in ["\r", "\n", "\0", "\u{85}", "\r\nBcc: x@y.test", "\u{1b}"] {
            let mut bent = draft();
            change(&mut bent, format!("a{bad}b"));
            match compose(&bent) {
                Err(ComposeError::Field { field, .. }) => assert_eq!(field, expected, "{bad:?}"),
                other => panic!("{expected} with {bad:?} gave {other:?}"),
            }
        }
    };
    check("subject", &|d, bad| d.subject = bad);
    check("from.name", &|d, bad| d.from.name = bad);
    check("to[0].name", &|d, bad| d.to[0].name = bad);
    check("cc[0].name", &|d, bad| {
        d.cc = vec![person(&bad, "c@y.test")]
    });
    check("bcc[0].name", &|d, bad| {
        d.bcc = vec![person(&bad, "c@y.test")]
    });
    check("replyTo[0].name", &|d, bad| {
        d.reply_to = vec![person(&bad, "c@y.test")]
    });
    check("inReplyTo", &|d, bad| d.in_reply_to = Some(bad));
    check("references", &|d, bad| d.references = vec![bad]);
    check("messageId", &|d, bad| d.message_id = bad);
    check("headers[0]", &|d, bad| {
        d.headers = vec![("X-A".into(), bad)]
    });
    check("headers[0]", &|d, bad| {
        d.headers = vec![(format!("X-{bad}"), "v".into())]
    });
    let file = |name: &str, kind: &str| {
        vec![DraftAttachment {
            file_name: name.into(),
            content_type: kind.into(),
            bytes: Vec::new(),
        }]
    };
    check("attachments[0].fileName", &|d, bad| {
        d.attachments = file(&bad, "")
    });
    check("attachments[0].contentType", &|d, bad| {
        d.attachments = file("f", &bad)
    });
    let mut nul = draft();
    nul.html = Some("a\0".into());
    assert_eq!(
        compose(&nul),
        Err(ComposeError::field("html", "holds a NUL"))
    );
}

#[test]
fn row_47_headers_that_are_ours_or_the_servers_cannot_be_set() {
    for name in [
        "Bcc",
        "Message-ID",
        "Received",
        "DKIM-Signature",
        "X-ME-Attempt",
        "x-me-attempt",
        "From",
        "To",
        "Return-Path",
        "Content-Type",
        "",
        "X",
        "X-:",
        "X-\u{e4}",
        "X- a",
    ] {
        let bent = Draft {
            headers: vec![(name.into(), "v".into())],
            ..draft()
        };
        assert_eq!(
            compose(&bent),
            Err(ComposeError::field(
                "headers[0]",
                "is not a header to be set"
            )),
            "{name:?}"
        );
    }
}

#[test]
fn row_48_recipients_and_size_are_bounded() {
    let none = Draft {
        to: Vec::new(),
        ..draft()
    };
    assert_eq!(compose(&none), Err(ComposeError::NoRecipient));
    let many = |n: usize| Draft {
        to: vec![person("", "a@y.test"); n / 2],
        bcc: vec![person("", "a@y.test"); n - n / 2],
        ..draft()
    };
    assert!(compose(&many(1000)).is_ok());
    assert_eq!(
        compose(&many(1001)),
        Err(ComposeError::TooManyRecipients { given: 1001 })
    );
    let heavy = |octets| Draft {
        attachments: vec![DraftAttachment {
            file_name: "f".into(),
            content_type: String::new(),
            bytes: vec![0; octets],
        }],
        ..draft()
    };
    assert_eq!(
        compose(&heavy(MOST_OCTETS + 1)),
        Err(ComposeError::TooLarge)
    );
    // Base64 makes it larger than it is.
    assert_eq!(
        compose(&heavy(MOST_OCTETS - 1000)),
        Err(ComposeError::TooLarge)
    );
}

#[test]
fn with_hidden_recipients_alone_the_header_says_so() {
    let hidden = Draft {
        to: Vec::new(),
        bcc: vec![person("", "secret@y.test")],
        ..draft()
    };
    let text = String::from_utf8(compose(&hidden).unwrap().raw.to_vec()).unwrap();
    assert!(
        text.contains("\r\nTo: undisclosed-recipients:;\r\n"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn an_id_of_a_strangers_mail_that_is_none_is_left_out() {
    let answer = Draft {
        in_reply_to: Some("no id".into()),
        references: vec!["x".repeat(2000), "ok@y.test".into(), "<a@b>".into()],
        ..draft()
    };
    let read = parse(&compose(&answer).unwrap().raw).unwrap();
    assert_eq!(read.in_reply_to, None);
    assert_eq!(read.references, ["ok@y.test"]);
}

#[test]
fn a_new_id_is_of_the_authors_domain() {
    let id = |address: &str| new_message_id(Uuid::nil(), &EmailAddress::parse(address).unwrap());
    assert_eq!(
        id("a@X.test"),
        "00000000-0000-0000-0000-000000000000@x.test"
    );
    assert!(is_id(&id("a@b\u{fc}cher.test")));
}

/// Names of all headers of a message, in lower case.
fn header_names(raw: &[u8]) -> Vec<String> {
    let (headers, _) = mailparse::parse_headers(raw).unwrap();
    headers.iter().map(|h| h.get_key().to_lowercase()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_text_in_any_field_makes_another_header(
        texts in prop::collection::vec("(\\PC|[\r\n\t\0\u{85}\u{2028}\"\\\\<>,:;@=?() ]){0,40}", 6),
    ) {
        let bent = Draft {
            subject: texts[0].clone(),
            from: person(&texts[1], "supp@x.test"),
            to: vec![person(&texts[2], "anna@y.test"), person("", "b@y.test")],
            headers: vec![("X-A".into(), texts[3].clone())],
            in_reply_to: Some(texts[4].clone()),
            references: vec![texts[4].clone(), "ok@y.test".into()],
            attachments: vec![DraftAttachment {
                file_name: texts[5].clone(),
                content_type: "text/plain".into(),
                bytes: b"x".to_vec(),
            }],
            ..draft()
        };
        if let Ok(frozen) = compose(&bent) {
            prop_assert!(check::lines(&frozen.raw).is_ok());
            let allowed = ["date", "from", "subject", "message-id", "x-me-id", "to", "in-reply-to", "references", "x-a", "mime-version", "content-type"];
            let names = header_names(&frozen.raw);
            for name in &names {
                prop_assert!(allowed.contains(&name.as_str()), "{name} in {}", String::from_utf8_lossy(&frozen.raw));
            }
            let read = parse(&frozen.raw).unwrap();
            prop_assert_eq!(read.from.address, "supp@x.test");
            prop_assert_eq!(read.to.len(), 2);
            prop_assert_eq!(&read.to[0].address, "anna@y.test");
            prop_assert_eq!(read.attachments.len(), 1);
        }
    }
}
