//! Tables of what headers say about a mail's author.

use super::*;

fn kind_of(headers: &str) -> (MailKind, String) {
    let raw = format!("{}\r\n\r\nwords\r\n", headers.replace('\n', "\r\n"));
    match read(raw.as_bytes()) {
        Some(meaning) => (meaning.kind, meaning.reason),
        None => (MailKind::Human, String::new()),
    }
}

#[test]
fn programs_are_told_from_people_by_rfc_3834_and_by_the_vendors_headers() {
    use MailKind::{AutoReply, Bulk, Human, List};
    for (headers, kind, reason) in [
        ("From: Anna <anna@x.test>\nSubject: Hello", Human, ""),
        // A person's mail by way of programs that add harmless headers.
        (
            "From: anna@x.test\nSubject: Re: x\nAuto-Submitted: no\nPrecedence: normal",
            Human,
            "",
        ),
        // A person may write about being out of office.
        (
            "From: anna@x.test\nSubject: Out of office next week?",
            Human,
            "",
        ),
        (
            "From: anna@x.test\nReturn-Path: <anna@x.test>\nSubject: Re: Automatic reply: x\nIn-Reply-To: <a@b>",
            Human,
            "",
        ),
        // RFC 3834: Sieve vacation, Dovecot, Gmail, RT.
        (
            "From: anna@x.test\nAuto-Submitted: auto-replied (vacation)\nSubject: Auto: x",
            AutoReply,
            "auto-submitted: auto-replied",
        ),
        (
            "From: anna@x.test\nauto-submitted: Auto-Replied; owner-email=\"a@x\"",
            AutoReply,
            "auto-submitted: auto-replied",
        ),
        (
            "From: cron@x.test\nAuto-Submitted: auto-generated",
            Bulk,
            "auto-submitted: auto-generated",
        ),
        (
            "From: jira@x.test\nAuto-Submitted: auto-notified",
            Bulk,
            "auto-submitted: auto-notified",
        ),
        // Exchange Online and on-premises, in three languages.
        (
            "From: anna@x.test\nSubject: Automatic reply: Order 5\nAuto-Submitted: auto-generated\nX-Auto-Response-Suppress: All",
            AutoReply,
            "auto-submitted: auto-generated",
        ),
        (
            "From: anna@x.test\nSubject: Automatische Antwort: Bestellung\nX-Auto-Response-Suppress: All\nX-MS-Exchange-Inbox-Rules-Loop: anna@x.test",
            AutoReply,
            "x-ms-exchange-inbox-rules-loop",
        ),
        (
            "From: anna@x.test\nSubject: Réponse automatique : x\nX-Auto-Response-Suppress: DR, OOF",
            AutoReply,
            "subject of an absence note",
        ),
        (
            "From: anna@x.test\nSubject: Out of Office: x\nReturn-Path: <>",
            AutoReply,
            "subject of an absence note",
        ),
        // cPanel, Plesk, Zendesk, Freshdesk, Lotus Notes, GMX, old Communigate.
        (
            "From: a@x.test\nX-Autoreply: yes\nPrecedence: bulk",
            AutoReply,
            "x-autoreply",
        ),
        (
            "From: a@x.test\nX-Autorespond: Ticket",
            AutoReply,
            "x-autorespond",
        ),
        (
            "From: a@x.test\nX-Auto-Reply-From: a@x.test",
            AutoReply,
            "x-auto-reply-from",
        ),
        (
            "From: a@x.test\nX-FC-MachineGenerated: true",
            AutoReply,
            "x-fc-machinegenerated",
        ),
        (
            "From: a@x.test\nPrecedence: auto_reply",
            AutoReply,
            "precedence: auto_reply",
        ),
        (
            "From: a@x.test\nX-POST-MessageClass: 9; Autoresponder",
            AutoReply,
            "x-post-messageclass: 9",
        ),
        (
            "From: a@x.test\nReturn-Path: <>\nSubject: Thank you for your mail",
            AutoReply,
            "return-path: <>",
        ),
        // Lists and mass mail.
        (
            "From: a@x.test\nList-Id: Users <users.x.test>\nPrecedence: list\nList-Unsubscribe: <mailto:u@x>",
            List,
            "list-id: Users <users.x.test>",
        ),
        ("From: a@x.test\nPrecedence: list", List, "precedence: list"),
        (
            "From: shop@x.test\nList-Unsubscribe: <https://x.test/u>",
            Bulk,
            "list-unsubscribe",
        ),
        (
            "From: shop@x.test\nPrecedence: BULK",
            Bulk,
            "precedence: bulk",
        ),
        (
            "From: shop@x.test\nFeedback-ID: 1:2:3:x",
            Bulk,
            "feedback-id",
        ),
        (
            "From: shop@x.test\nX-Auto-Response-Suppress: OOF, AutoReply",
            Bulk,
            "x-auto-response-suppress: OOF, AutoReply",
        ),
        (
            "From: Shop <no-reply@x.test>\nSubject: Order 1",
            Bulk,
            "its sender takes no answers",
        ),
    ] {
        assert_eq!(kind_of(headers), (kind, reason.to_owned()), "{headers}");
    }
}

#[test]
fn marks_against_loops_and_our_own_header_are_noted() {
    let raw = b"From: a@x.test\r\nDelivered-To: Box@corp.test\r\nDelivered-To: box@corp.test\r\nX-Loop: <desk@corp.test>\r\nX-ME-Id: <1.n.2@corp.test>\r\n\r\nx";
    let meaning = read(raw).unwrap();
    assert_eq!(meaning.kind, MailKind::Human);
    assert_eq!(
        meaning.passed,
        ["box@corp.test", "box@corp.test", "desk@corp.test"]
    );
    assert_eq!(meaning.own_id.as_deref(), Some("1.n.2@corp.test"));
    let hops = format!("From: a@x.test\r\n{}\r\nx", "Received: by x\r\n".repeat(60));
    assert_eq!(read(hops.as_bytes()).unwrap().hops, 60);
    assert_eq!(
        read(b"From: a@x.test\r\nReceived: by x\r\n\r\nx"),
        None,
        "nothing to say"
    );
}

#[test]
fn addresses_that_nobody_reads_are_known() {
    for (address, nobody, server) in [
        ("noreply@x.test", true, false),
        ("No-Reply@x.test", true, false),
        ("do_not_reply@x.test", true, false),
        ("shop-noreply@x.test", true, false),
        ("MAILER-DAEMON@x.test", true, true),
        ("postmaster@x.test", true, true),
        (
            "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@corp.onmicrosoft.com",
            true,
            true,
        ),
        ("reply@x.test", false, false),
        ("norbert@x.test", false, false),
        ("", false, false),
    ] {
        assert_eq!(
            (is_nobody(address), is_server(address)),
            (nobody, server),
            "{address}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn no_headers_make_it_panic(raw in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
        let _ = read(&raw);
        let mut mail = b"Content-Type: multipart/report; boundary=b\r\nFrom: MAILER-DAEMON\r\nSubject: Undeliverable\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n".to_vec();
        mail.extend_from_slice(&raw);
        let _ = read(&mail);
        let mut mail = b"X-Failed-Recipients: ".to_vec();
        mail.extend_from_slice(&raw);
        mail.extend_from_slice(b"\r\n\r\n");
        mail.extend_from_slice(&raw);
        let _ = read(&mail);
    }
}
