//! Reports as the common servers write them.

use super::super::{meaning::read as meaning, parse};
use super::*;

fn read_mail(raw: &str) -> (MailKind, Report) {
    let raw = raw.replace('\n', "\r\n");
    let meaning = meaning(raw.as_bytes()).expect("it says something");
    (meaning.kind, meaning.report.expect("it is a report"))
}

/// What is read of each recipient: addresses, action, status.
fn said(report: &Report) -> Vec<(Vec<&str>, ReportAction, &str)> {
    report
        .recipients
        .iter()
        .map(|one| {
            let addresses = one.addresses.iter().map(String::as_str).collect();
            (addresses, one.action, one.status.as_str())
        })
        .collect()
}

/// A report of RFC 3464 in the shape of most servers.
fn standard(status: &str, returned: &str) -> String {
    format!(
        "Return-Path: <>\nFrom: MAILER-DAEMON@mx.test (Mail Delivery System)\nSubject: Undelivered Mail Returned to Sender\nTo: box@corp.test\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status;\n\tboundary=\"b/mx\"\n\nThis is a MIME-encapsulated message.\n\n--b/mx\nContent-Description: Notification\nContent-Type: text/plain; charset=us-ascii\n\nI'm sorry.\n<other@there.test>: unknown\n\n--b/mx\nContent-Type: message/delivery-status\n\n{status}\n--b/mx\n{returned}\n--b/mx--\n"
    )
}

const HEADERS: &str = "Content-Type: text/rfc822-headers\n\nReturn-Path: <box@corp.test>\nFrom: box@corp.test\nTo: anna@there.test\nSubject: Offer\nMessage-ID: <abc.n.def@corp.test>\nX-ME-Id: <abc.n.def@corp.test>\nReferences: <root.n.mac@corp.test>";

#[test]
fn postfix_says_who_did_not_get_it() {
    let status = "Reporting-MTA: dns; mx.test\nX-Postfix-Queue-ID: 1A2B\nOriginal-Envelope-Id: <env@corp.test>\nArrival-Date: Tue, 24 Nov 2026 10:00:00 +0000 (UTC)\n\nFinal-Recipient: rfc822; anna@there.test\nOriginal-Recipient: rfc822;Anna@There.test\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; there.test\nDiagnostic-Code: smtp; 550 5.1.1 <anna@there.test>: Recipient address\n    rejected: User unknown\n\nFinal-Recipient: rfc822; bert@there.test\nAction: delayed\nStatus: 4.4.1\nWill-Retry-Until: x\n";
    let (kind, report) = read_mail(&standard(status, HEADERS));
    assert_eq!(kind, MailKind::Bounce);
    assert_eq!(
        said(&report),
        [
            (
                vec!["anna@there.test", "Anna@There.test"],
                ReportAction::Failed,
                "5.1.1"
            ),
            (vec!["bert@there.test"], ReportAction::Delayed, "4.4.1"),
        ]
    );
    assert!(
        report.recipients[0]
            .diagnostic
            .ends_with("rejected: User unknown")
    );
    assert_eq!(
        report.ids,
        [
            "abc.n.def@corp.test",
            "root.n.mac@corp.test",
            "env@corp.test"
        ]
    );
    assert_eq!(report.own_id.as_deref(), Some("abc.n.def@corp.test"));
}

#[test]
fn a_provider_that_replaced_our_id_returns_our_own_header() {
    let returned = "Content-Type: message/rfc822\n\nFrom: box@corp.test\nMessage-ID: <0100018f@email.amazonses.com>\nX-ME-Id: <abc.n.def@corp.test>\n\nHello";
    let status = "Reporting-MTA: dns; a8-1.smtp-out.amazonses.com\n\nAction: failed\nFinal-Recipient: rfc822; anna@there.test\nDiagnostic-Code: smtp; 550 no\nStatus: 5.1.1\n";
    let (_, report) = read_mail(&standard(status, returned));
    assert_eq!(
        report.returned_id.as_deref(),
        Some("0100018f@email.amazonses.com")
    );
    assert_eq!(
        report.ids,
        ["abc.n.def@corp.test", "0100018f@email.amazonses.com"]
    );
}

#[test]
fn every_action_is_read_and_only_good_news_is_no_bounce() {
    let one = |action: &str| {
        let status = format!(
            "Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822;anna@there.test\nAction: {action}\nStatus: 2.0.0\n"
        );
        let (kind, report) = read_mail(&standard(&status, HEADERS));
        (kind, report.recipients.first().map(|one| one.action))
    };
    for (word, kind, action) in [
        ("failed", MailKind::Bounce, Some(ReportAction::Failed)),
        (
            "Failed (permanently)",
            MailKind::Bounce,
            Some(ReportAction::Failed),
        ),
        ("delayed", MailKind::Bounce, Some(ReportAction::Delayed)),
        (
            "delivered",
            MailKind::Receipt,
            Some(ReportAction::Delivered),
        ),
        (
            "relayed (to a system that sends no reports)",
            MailKind::Receipt,
            Some(ReportAction::Relayed),
        ),
        ("expanded", MailKind::Receipt, Some(ReportAction::Expanded)),
        ("complained", MailKind::Bounce, None),
        ("nonsense", MailKind::Bounce, None),
    ] {
        assert_eq!(one(word), (kind, action), "{word}");
    }
}

#[test]
fn internationalised_addresses_are_read_in_all_three_forms() {
    let status = "Reporting-MTA: dns; x\n\nFinal-Recipient: utf-8; jörg@dömain.test\nAction: failed\nStatus: 5.1.1\n\nFinal-Recipient: utf-8; j\\x{F6}rg@there.test\nAction: failed\nStatus: 5.1.1\n\nOriginal-Recipient: utf-8;\\x{110000}\\x{A}x@there.test\nAction: failed\nStatus: 5.1.1\n";
    let raw = standard(status, HEADERS).replace("Content-Type: message/delivery-status", "Content-Type: message/global-delivery-status; charset=utf-8\nContent-Transfer-Encoding: 8bit");
    let (_, report) = read_mail(&raw);
    let addresses: Vec<&str> = report
        .recipients
        .iter()
        .map(|one| one.addresses[0].as_str())
        .collect();
    assert_eq!(
        addresses,
        [
            "jörg@dömain.test",
            "jörg@there.test",
            "\\x{110000}\\x{A}x@there.test"
        ]
    );
}

#[test]
fn exchange_returns_a_page_and_a_delivery_status() {
    let raw = "From: <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@corp.onmicrosoft.com>\nTo: <box@corp.test>\nContent-Type: multipart/report; report-type=delivery-status;\n boundary=\"x-y\"\nX-MS-Exchange-Message-Is-Ndr:\nContent-Language: en-US\nMessage-ID: <ndr@AM0PR.prod.outlook.com>\nIn-Reply-To: <abc.n.def@corp.test>\nReferences: <abc.n.def@corp.test>\nSubject: Undeliverable: Offer\nAuto-Submitted: auto-replied\n\n--x-y\nContent-Type: multipart/alternative; differences=Content-Type;\n boundary=\"in\"\n\n--in\nContent-Type: text/plain; charset=\"us-ascii\"\n\nDelivery has failed to these recipients or groups:\nanna@there.test<mailto:anna@there.test>\n--in\nContent-Type: text/html\n\n<html>x</html>\n--in--\n--x-y\nContent-Type: message/delivery-status\n\nReporting-MTA: dns;AM0PR.prod.outlook.com\nReceived-From-MTA: dns;x\nArrival-Date: Tue, 24 Nov 2026 10:00:00 +0000\n\nFinal-Recipient: rfc822;anna@there.test\nAction: failed\nStatus: 5.1.10\nDiagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound\nX-Display-Name: Anna\n\n--x-y\nContent-Type: message/rfc822\n\nMessage-ID: <abc.n.def@corp.test>\nSubject: Offer\n\nHi\n--x-y--\n";
    let (kind, report) = read_mail(raw);
    assert_eq!(kind, MailKind::Bounce);
    assert_eq!(
        said(&report),
        [(vec!["anna@there.test"], ReportAction::Failed, "5.1.10")]
    );
    assert_eq!(report.ids, ["abc.n.def@corp.test"]);
}

#[test]
fn servers_without_the_standard_are_understood() {
    // Exim without a report, the original behind its line.
    let exim = "Return-path: <>\nX-Failed-Recipients: anna@there.test\nAuto-Submitted: auto-replied\nFrom: Mail Delivery System <Mailer-Daemon@mx.test>\nTo: box@corp.test\nSubject: Mail delivery failed: returning message to sender\n\nThis message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one or more of its\nrecipients. This is a permanent error. The following address(es) failed:\n\n  anna@there.test\n    host mx.there.test [192.0.2.1]\n    SMTP error from remote mail server after RCPT TO:<anna@there.test>:\n    550 5.1.1 No such user\n\n------ This is a copy of the message, including all the headers. ------\n\nReturn-path: <box@corp.test>\nMessage-ID: <abc.n.def@corp.test>\nTo: anna@there.test\nCc: innocent@there.test\n\nHello\n";
    // qmail.
    let qmail = "Return-Path: <>\nFrom: MAILER-DAEMON@mx.test\nTo: box@corp.test\nSubject: failure notice\n\nHi. This is the qmail-send program at mx.test.\nI'm afraid I wasn't able to deliver your message to the following addresses.\nThis is a permanent error; I've given up. Sorry it didn't work out.\n\n<anna@there.test>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 unknown\nGiving up on 192.0.2.1.\n\n--- Below this line is a copy of the message.\n\nReturn-Path: <box@corp.test>\nMessage-ID: <abc.n.def@corp.test>\nTo: anna@there.test\n\nHello\n";
    // An old Exchange or Notes: words, and the mail attached, without a status part.
    let attached = "Return-Path: <>\nFrom: postmaster@there.test\nTo: box@corp.test\nSubject: Undeliverable: Offer\nContent-Type: multipart/mixed; boundary=m\n\n--m\nContent-Type: text/plain\n\nYour message did not reach some or all of the intended recipients.\n\n      anna@there.test on 24.11.2026 10:00\n            The e-mail account does not exist <mx.there.test #5.1.1>\n\n--m\nContent-Type: message/rfc822\n\nMessage-ID: <abc.n.def@corp.test>\nSubject: Offer\n\nHi\n--m--\n";
    // Sendmail before 1996, and those that still imitate it.
    let sendmail = "From: Mail Delivery Subsystem <MAILER-DAEMON@mx.test>\nTo: box@corp.test\nSubject: Returned mail: User unknown\n\n   ----- The following addresses had permanent fatal errors -----\n<anna@there.test>\n\n   ----- Transcript of session follows -----\n... while talking to mx.there.test.:\n550 5.1.1 <anna@there.test>... User unknown\n\n   ----- Original message -----\n\nMessage-ID: <abc.n.def@corp.test>\n\nx\n";
    for (server, raw) in [
        ("exim", exim),
        ("qmail", qmail),
        ("attached", attached),
        ("sendmail", sendmail),
    ] {
        let (kind, report) = read_mail(raw);
        assert_eq!(kind, MailKind::Bounce, "{server}");
        let addresses: Vec<&[String]> = report
            .recipients
            .iter()
            .map(|one| &one.addresses[..])
            .collect();
        assert_eq!(addresses, [["anna@there.test"]], "{server}");
        assert_eq!(
            report.recipients[0].action,
            ReportAction::Failed,
            "{server}"
        );
        assert_eq!(report.ids, ["abc.n.def@corp.test"], "{server}");
        if server != "sendmail" {
            assert_eq!(report.recipients[0].status, "5.1.1", "{server}");
        }
    }
}

#[test]
fn gmail_and_a_warning_of_exim() {
    let status = "Reporting-MTA: dns; googlemail.com\nReceived-From-MTA: dns; box@corp.test\nX-Original-Message-ID: <abc.n.def@corp.test>\n\nFinal-Recipient: rfc822; anna@there.test\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550-5.1.1 The email account that you tried to reach does not exist.\n";
    let gmail = standard(status, "Content-Type: message/rfc822\n\nMessage-ID: <abc.n.def@corp.test>\n\nx").replace("From: MAILER-DAEMON@mx.test (Mail Delivery System)", "From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\nX-Failed-Recipients: anna@there.test");
    let (_, report) = read_mail(&gmail);
    assert_eq!(
        said(&report),
        [(vec!["anna@there.test"], ReportAction::Failed, "5.1.1")]
    );
    let warning = "Return-path: <>\nFrom: Mail Delivery System <Mailer-Daemon@mx.test>\nX-Failed-Recipients: anna@there.test\nSubject: Warning: message 1abc delayed 24 hours\n\nNo action is required on your part.\n";
    let (_, report) = read_mail(warning);
    assert_eq!(
        said(&report),
        [(vec!["anna@there.test"], ReportAction::Delayed, "")]
    );
}

#[test]
fn complaints_and_receipts_are_read() {
    let arf = "From: <feedback@provider.test>\nSubject: FW: Offer\nTo: abuse@corp.test\nContent-Type: multipart/report; report-type=feedback-report; boundary=\"p\"\n\n--p\nContent-Type: text/plain\n\nThis is an abuse report.\n--p\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: X/1\nVersion: 1\nOriginal-Rcpt-To: <anna@there.test>\n\n--p\nContent-Type: message/rfc822\n\nMessage-ID: <abc.n.def@corp.test>\nTo: anna@there.test\n\nx\n--p--\n";
    let (kind, report) = read_mail(arf);
    assert_eq!(kind, MailKind::Complaint);
    assert_eq!(
        said(&report),
        [(vec!["anna@there.test"], ReportAction::Complained, "")]
    );
    assert_eq!(report.ids, ["abc.n.def@corp.test"]);
    let mdn = "From: anna@there.test\nSubject: Read: Offer\nContent-Type: multipart/report; report-type=disposition-notification; boundary=p\n\n--p\nContent-Type: text/plain\n\nRead.\n--p\nContent-Type: message/disposition-notification\n\nFinal-Recipient: rfc822;anna@there.test\nOriginal-Message-ID: <abc.n.def@corp.test>\nDisposition: manual-action/MDN-sent-manually; displayed\n--p--\n";
    let (kind, report) = read_mail(mdn);
    assert_eq!((kind, report.recipients.len()), (MailKind::Receipt, 0));
    assert_eq!(report.ids, ["abc.n.def@corp.test"]);
}

/// Bad input 37.
#[test]
fn a_report_in_a_hundred_reports_is_about_the_outermost_and_takes_no_time() {
    let status = "Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822;anna@there.test\nAction: failed\nStatus: 5.1.1\n";
    let mut raw = standard(status, HEADERS);
    for n in 0..100 {
        let inner = format!("Content-Type: message/rfc822\n\nMessage-ID: <level{n}@x.test>\n{raw}");
        raw = standard(&status.replace("anna", "other"), &inner);
    }
    let (kind, report) = read_mail(&raw);
    assert_eq!(kind, MailKind::Bounce);
    assert_eq!(report.ids, ["level99@x.test"]);
    assert_eq!(report.recipients[0].addresses, ["other@there.test"]);
    assert!(report.recipients.len() <= RECIPIENTS);
}

/// Bad input 37: what a report claims is bounded before anybody believes it.
#[test]
fn a_report_about_a_million_recipients_is_cut() {
    let mut status = "Reporting-MTA: dns; x\n".to_owned();
    for n in 0..5_000 {
        status.push_str(&format!(
            "\nFinal-Recipient: rfc822; r{n}@there.test\nAction: failed\nStatus: 5.1.1\n"
        ));
    }
    let (_, report) = read_mail(&standard(&status, HEADERS));
    assert_eq!(report.recipients.len(), RECIPIENTS);
}

#[test]
fn what_people_write_about_bounces_is_no_bounce() {
    for raw in [
        "From: anna@there.test\r\nReturn-Path: <anna@there.test>\r\nSubject: Undeliverable: my parcel\r\n\r\n<box@corp.test> never came\r\n",
        "From: anna@there.test\r\nSubject: Fwd: Undelivered Mail Returned to Sender\r\n\r\nWhy?\r\n",
        "From: postmaster@there.test\r\nSubject: Invoice\r\n\r\nHello\r\n",
    ] {
        let parsed = parse(raw.as_bytes()).unwrap();
        let report = parsed.meaning.and_then(|meaning| meaning.report);
        assert_eq!(report, None, "{raw}");
    }
}
