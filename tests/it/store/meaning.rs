//! What mail means: conversations, bounces, and loops that are stopped.

use motion_email::{
    mime,
    model::{
        Account, InteractionId, Lease, MailKind, MessageId, OutboxId, RawMail, RecipientState, Uid,
    },
    store::{
        Enqueued, FolderRow, IngestBatch, IngestItem, MessageRow, NewMessage, Outcome, Settled,
    },
};
use sha2::{Digest, Sha256};

use super::bench::{ALL, Bench, at, outgoing};

/// A mailbox that mail arrives in, one UID after the other.
struct Box {
    account: Account,
    lease: Lease,
    folder: FolderRow,
    next: u64,
}

impl Box {
    async fn new(bench: &Bench, key: &str) -> Self {
        let (account, lease, folder) = bench.inbox(key).await;
        Self {
            account,
            lease,
            folder,
            next: 1,
        }
    }

    /// Brings in mails that arrived `seconds` after the epoch, in one batch, as the lane does.
    async fn receive(&mut self, bench: &Bench, seconds: i64, mails: &[&str]) -> Vec<MessageRow> {
        let first = self.next;
        let mut items = Vec::new();
        for raw in mails {
            let bytes = raw.replace('\n', "\r\n").into_bytes();
            items.push(IngestItem::Message(std::boxed::Box::new(NewMessage {
                uid: Uid::new(u32::try_from(self.next).unwrap()).unwrap(),
                internal_date: at(seconds),
                size: bytes.len() as u64,
                sha256: Sha256::digest([&bytes[..], &self.next.to_be_bytes()[..]].concat()).into(),
                parsed: Ok(mime::parse(&bytes).unwrap()),
                raw: RawMail::Row(bytes),
            })));
            self.next += 1;
        }
        let batch = IngestBatch {
            folder: self.folder.id,
            expect: motion_email::model::Cursor {
                next: first,
                ..self.folder.cursor
            },
            next: self.next,
            items,
            list: self.account.entered.list,
            audit: None,
        };
        let store = &bench.store;
        store.ingest(&self.lease, batch, at(seconds)).await.unwrap();
        let page = motion_email::store::Page {
            limit: i64::try_from(mails.len()).unwrap(),
            offset: 0,
        };
        let mut rows = store
            .message_list(Some(self.account.id), None, page)
            .await
            .unwrap()
            .rows;
        rows.reverse();
        rows
    }

    async fn one(&mut self, bench: &Bench, seconds: i64, raw: &str) -> MessageRow {
        self.receive(bench, seconds, &[raw]).await.remove(0)
    }

    /// Sends to r0, r1, … with a token in the id; the outcome of every copy.
    async fn send(
        &self,
        bench: &Bench,
        recipients: usize,
        answers: Option<InteractionId>,
        outcome: Outcome,
    ) -> (OutboxId, String) {
        let store = &bench.store;
        let mut new = outgoing(&self.account, None, recipients);
        let token = store.thread_token(self.account.id, answers);
        new.message_id = format!("{token}@corp.example");
        new.interaction = answers;
        let Enqueued::New(id) = store.outbox_enqueue(&new, at(10)).await.unwrap() else {
            panic!("it is new");
        };
        let attempt = uuid::Uuid::new_v4().to_string();
        let claimed = store.outbox_claim(&self.lease, &attempt, at(11)).await;
        let claimed = claimed.unwrap().unwrap();
        let all: Vec<_> = claimed.recipients.iter().map(|copy| copy.id).collect();
        let announced = store.outbox_dot(&self.lease, &attempt, &all, at(12)).await;
        assert!(announced.unwrap());
        let settled: Vec<Settled> = all
            .iter()
            .map(|recipient| Settled {
                recipient: *recipient,
                outcome: outcome.clone(),
                reply_code: Some(250),
                reply_text: "ok".to_owned(),
            })
            .collect();
        store
            .outbox_settle(&self.lease, &attempt, &settled, at(13))
            .await
            .unwrap();
        (id, new.message_id)
    }
}

async fn states(bench: &Bench, id: OutboxId) -> Vec<RecipientState> {
    let (row, _) = bench.store.outbox_get(id).await.unwrap().unwrap();
    row.recipients.iter().map(|copy| copy.state).collect()
}

async fn conversation_of(bench: &Bench, id: OutboxId) -> InteractionId {
    let (row, _) = bench.store.outbox_get(id).await.unwrap().unwrap();
    row.interaction.expect("it has one")
}

fn answer(from: &str, subject: &str, headers: &str) -> String {
    format!("From: {from}\nTo: box@corp.example\nSubject: {subject}\n{headers}\n\nwords\n")
}

/// A report of RFC 3464.
fn report(recipients: &[(&str, &str)], returned: &str) -> String {
    let mut status = "Reporting-MTA: dns; mx.there.example\n".to_owned();
    for (address, action) in recipients {
        status.push_str(&format!(
            "\nFinal-Recipient: rfc822; {address}\nAction: {action}\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 no such user\n"
        ));
    }
    format!(
        "Return-Path: <>\nFrom: MAILER-DAEMON@there.example\nTo: box@corp.example\nSubject: Undelivered Mail Returned to Sender\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\nContent-Type: text/plain\n\nSorry.\n--b\nContent-Type: message/delivery-status\n\n{status}\n--b\nContent-Type: message/rfc822\n\n{returned}\n\nx\n--b--\n"
    )
}

/// Threats T12 and T13.
pub async fn strangers_that_name_a_conversation_begin_one_of_their_own_with_a_hint(
    bench: &mut Bench,
) {
    let mut inbox = Box::new(bench, "AAA").await;
    let first = answer(
        "Anna <anna@x.example>",
        "Order",
        "Message-ID: <1@x.example>\nCc: boss@x.example",
    );
    let first = inbox.one(bench, 1, &first).await;
    let refers = "In-Reply-To: <1@x.example>";
    let mails = [
        answer("mallory@evil.example", "Re: Order", refers),
        answer("Boss@X.example", "Re: Order", refers),
        // The same Message-ID as a known one: another mail, not dropped.
        answer("mallory@evil.example", "Hi", "Message-ID: <1@x.example>"),
        answer(
            "new@x.example",
            "Re: Order",
            &format!("{refers}\nCc: anna@x.example"),
        ),
    ];
    let mails: Vec<&str> = mails.iter().map(String::as_str).collect();
    let rows = inbox.receive(bench, 2, &mails).await;
    assert_eq!(rows.len(), 4);
    assert_ne!(rows[0].interaction, first.interaction);
    assert_eq!(rows[0].meaning.related, Some(first.interaction));
    assert_eq!(rows[1].interaction, first.interaction);
    assert_eq!(rows[1].meaning.related, None);
    assert_ne!(rows[2].interaction, first.interaction);
    assert_eq!(rows[3].interaction, first.interaction);
    assert_eq!(bench.event_kinds().await, ["message.received"; 5]);
}

pub async fn our_token_finds_the_conversation_whatever_the_provider_made_of_our_id(
    bench: &mut Bench,
) {
    let mut inbox = Box::new(bench, "AAA").await;
    let mut other = Box::new(bench, "BBB").await;
    let (sent, ours) = inbox.send(bench, 1, None, Outcome::Sent).await;
    let thread = conversation_of(bench, sent).await;
    let row = inbox
        .one(
            bench,
            20,
            &answer(
                "r0@there.example",
                "Re: Offer",
                &format!("In-Reply-To: <{ours}>"),
            ),
        )
        .await;
    assert_eq!(row.interaction, thread, "the recipient answers");
    // Forwarded to a colleague, who answers; by the token of the root that stands in References.
    let root = ours.replace('@', ".t@");
    let colleague = answer(
        "c@there.example",
        "Re: Offer",
        &format!("References: <{root}> <0100@ses.example>"),
    );
    assert_eq!(inbox.one(bench, 21, &colleague).await.interaction, thread);
    // Forged, and another account's.
    let forged = root.replace(".n.", ".i1.");
    let forged = answer(
        "d@there.example",
        "Re: Offer",
        &format!("References: <{forged}>"),
    );
    assert_ne!(inbox.one(bench, 22, &forged).await.interaction, thread);
    assert_ne!(other.one(bench, 22, &colleague).await.interaction, thread);
    // The rows are gone; the token still knows.
    bench.sql("DELETE FROM mail_recipients").await;
    bench.sql("DELETE FROM mail_outbox").await;
    let late = answer(
        "e@there.example",
        "Re: Offer",
        &format!("In-Reply-To: <{ours}>"),
    );
    assert_eq!(inbox.one(bench, 23, &late).await.interaction, thread);
    let token = bench.store.thread_token(inbox.account.id, Some(thread));
    let late = answer(
        "f@there.example",
        "Re: Offer",
        &format!("In-Reply-To: <{token}@corp.example>"),
    );
    assert_eq!(inbox.one(bench, 24, &late).await.interaction, thread);
}

pub async fn an_id_that_a_provider_gave_is_learned_and_used(bench: &mut Bench) {
    let mut inbox = Box::new(bench, "AAA").await;
    let (sent, ours) = inbox.send(bench, 1, None, Outcome::Sent).await;
    let copy = format!(
        "From: box@corp.example\nTo: r0@there.example\nSubject: Offer\nMessage-ID: <0100018f@ses.example>\nX-ME-Id: <{ours}>\n\nx\n"
    );
    inbox.one(bench, 20, &copy).await;
    let reply = answer(
        "r0@there.example",
        "Re: Offer",
        "In-Reply-To: <0100018f@ses.example>",
    );
    let row = inbox.one(bench, 21, &reply).await;
    // The copy has the id too, so only whom we sent it to proves that the queue knows it.
    bench.sql("DELETE FROM mail_messages").await;
    let row2 = inbox.one(bench, 22, &reply).await;
    assert_eq!(row2.interaction, conversation_of(bench, sent).await);
    assert!(row.meaning.related.is_none());
    // A report that only has the provider's id.
    let bounce = report(
        &[("R0@There.example", "failed")],
        "Message-ID: <0100018f@ses.example>",
    );
    let bounce = inbox.one(bench, 23, &bounce).await;
    assert_eq!(bounce.meaning.bounce_of, Some(sent));
    assert_eq!(states(bench, sent).await, [RecipientState::Bounced]);
}

pub async fn a_bounce_marks_exactly_the_copy_it_speaks_of(bench: &mut Bench) {
    let mut inbox = Box::new(bench, "AAA").await;
    let (sent, ours) = inbox.send(bench, 3, None, Outcome::Sent).await;
    let returned = format!("Message-ID: <{ours}>\nX-ME-Id: <{ours}>");
    let raw = report(
        &[
            ("r1@there.example", "failed"),
            ("r2@there.example", "delayed"),
        ],
        &returned,
    );
    let row = inbox.one(bench, 20, &raw).await;
    use RecipientState::{Bounced, Sent};
    assert_eq!(states(bench, sent).await, [Sent, Bounced, Sent]);
    assert_eq!(row.meaning.kind, MailKind::Bounce);
    assert_eq!(row.meaning.bounce_of, Some(sent));
    assert_eq!(row.interaction, conversation_of(bench, sent).await);
    assert_eq!(row.contact, None, "a mail server is no contact");
    let list = Some(inbox.account.entered.list);
    assert_eq!(bench.store.contact_list(list, ALL).await.unwrap().count, 0);
    let reports = bench.store.outbox_reports(sent).await.unwrap();
    let shown: Vec<_> = reports
        .iter()
        .map(|one| (one.address.as_str(), one.action.as_str(), one.applied))
        .collect();
    assert_eq!(
        shown,
        [
            ("r1@there.example", "failed", true),
            ("r2@there.example", "delayed", false)
        ]
    );
    let kinds = bench.event_kinds().await;
    let of = |kind: &str| kinds.iter().filter(|one| **one == kind).count();
    assert_eq!(
        (
            of("message.bounced"),
            of("message.report"),
            of("message.received")
        ),
        (1, 1, 0)
    );
    // The same again changes nothing, and nothing is sent again for it.
    inbox.one(bench, 21, &raw).await;
    assert_eq!(states(bench, sent).await, [Sent, Bounced, Sent]);
    let due = bench.store.outbox_next_due(inbox.account.id).await.unwrap();
    assert_eq!(due, None);
    let kinds = bench.event_kinds().await;
    assert_eq!(
        kinds
            .iter()
            .filter(|one| **one == "message.bounced")
            .count(),
        1
    );
}

/// Bad input 37. Threat T11.
pub async fn a_report_that_does_not_match_in_full_changes_nothing(bench: &mut Bench) {
    let mut inbox = Box::new(bench, "AAA").await;
    let mut other = Box::new(bench, "BBB").await;
    let (sent, ours) = inbox.send(bench, 2, None, Outcome::Sent).await;
    let ours = format!("Message-ID: <{ours}>");
    let mut nested = report(&[("r0@there.example", "failed")], &ours);
    for n in 0..100 {
        nested = report(
            &[("x@there.example", "failed")],
            &format!("Message-ID: <{n}@x>\n{nested}"),
        );
    }
    let cases = [
        // A stranger's recipient.
        (report(&[("stranger@there.example", "failed")], &ours), true),
        // Good news about what is known to be sent.
        (report(&[("r0@there.example", "delivered")], &ours), true),
        (report(&[("r0@there.example", "nonsense")], &ours), true),
        // Forged ids, no id.
        (
            report(
                &[("r0@there.example", "failed")],
                "Message-ID: <guessed@corp.example>",
            ),
            false,
        ),
        (
            report(&[("r0@there.example", "failed")], "Subject: x"),
            false,
        ),
        (nested, false),
    ];
    for (raw, about) in &cases {
        let row = inbox.one(bench, 20, raw).await;
        assert_eq!(
            states(bench, sent).await,
            [RecipientState::Sent; 2],
            "{raw:.300}"
        );
        assert_eq!(row.meaning.bounce_of.is_some(), *about, "{raw:.300}");
        assert_ne!(
            row.meaning.kind,
            MailKind::Human,
            "it is marked all the same"
        );
    }
    // Another account's mailbox, and before the try began.
    let real = report(&[("r0@there.example", "failed")], &ours);
    other.one(bench, 20, &real).await;
    inbox.one(bench, 11 - 3_600, &real).await;
    assert_eq!(states(bench, sent).await, [RecipientState::Sent; 2]);
    let kinds = bench.event_kinds().await;
    assert!(!kinds.contains(&"message.bounced"));
    // What matches no message of ours is ordinary mail, marked.
    assert_eq!(
        kinds
            .iter()
            .filter(|one| **one == "message.received")
            .count(),
        4
    );
    inbox.one(bench, 20, &real).await;
    assert_eq!(
        states(bench, sent).await[0],
        RecipientState::Bounced,
        "and the real one counts"
    );
}

pub async fn a_copy_in_doubt_is_resolved_by_a_report_that_matches(bench: &mut Bench) {
    let mut inbox = Box::new(bench, "AAA").await;
    let (sent, ours) = inbox.send(bench, 3, None, Outcome::InDoubt).await;
    let ours = format!("Message-ID: <{ours}>");
    let raw = report(
        &[
            ("r0@there.example", "failed"),
            ("r1@there.example", "delivered"),
        ],
        &ours,
    );
    inbox.one(bench, 20, &raw).await;
    use RecipientState::{Bounced, InDoubt, Sent};
    assert_eq!(states(bench, sent).await, [Bounced, Sent, InDoubt]);
    let kinds = bench.event_kinds().await;
    assert_eq!(
        kinds.iter().filter(|one| **one == "message.sent").count(),
        1
    );
    assert_eq!(
        kinds
            .iter()
            .filter(|one| **one == "message.bounced")
            .count(),
        1
    );
}

pub async fn a_complaint_is_matched_and_told(bench: &mut Bench) {
    let mut inbox = Box::new(bench, "AAA").await;
    let (sent, ours) = inbox.send(bench, 2, None, Outcome::Sent).await;
    let raw = format!(
        "From: feedback@provider.example\nTo: box@corp.example\nSubject: FW: Offer\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n\n--b\nContent-Type: text/plain\n\nabuse\n--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nOriginal-Rcpt-To: <r1@there.example>\n\n--b\nContent-Type: message/rfc822\n\nMessage-ID: <{ours}>\n\nx\n--b--\n"
    );
    let row = inbox.one(bench, 20, &raw).await;
    assert_eq!(
        (row.meaning.kind, row.meaning.bounce_of),
        (MailKind::Complaint, Some(sent))
    );
    assert_eq!(
        states(bench, sent).await,
        [RecipientState::Sent; 2],
        "it was delivered"
    );
    assert!(bench.event_kinds().await.contains(&"message.complained"));
    assert_eq!(row.contact, None);
}

pub async fn the_subject_is_the_last_resort_and_only_for_who_spoke(bench: &mut Bench) {
    let mut inbox = Box::new(bench, "AAA").await;
    let first = inbox
        .one(
            bench,
            1,
            &answer("anna@x.example", "Order 5", "Message-ID: <1@x>"),
        )
        .await;
    let rows = inbox
        .receive(
            bench,
            2,
            &[
                &answer("Anna@x.example", "RE:  order 5", ""),
                &answer("mallory@evil.example", "Re: Order 5", ""),
                // No answer by its subject; one that names something unknown.
                &answer("anna@x.example", "Order 5", ""),
                &answer("anna@x.example", "Re: Order 5", "In-Reply-To: <unknown@y>"),
                &answer("anna@x.example", "Re:", ""),
            ],
        )
        .await;
    let same: Vec<bool> = rows
        .iter()
        .map(|row| row.interaction == first.interaction)
        .collect();
    assert_eq!(same, [true, false, false, false, false]);
}

pub async fn contacts_are_people_and_who_they_speak_for(bench: &mut Bench) {
    let mut inbox = Box::new(bench, "AAA").await;
    let mails = [
        answer("Anna <anna@x.example>", "1", ""),
        answer(
            "Shop <noreply@shop.example>",
            "2",
            "Reply-To: Bert <bert@x.example>",
        ),
        answer(
            "\"Carl via Users\" <users@list.example>",
            "3",
            "Reply-To: carl@x.example\nList-Id: <users.list.example>",
        ),
        answer("postmaster@x.example", "4", ""),
        answer(
            "Dora <dora@x.example>",
            "Automatic reply: 5",
            "Auto-Submitted: auto-replied",
        ),
    ];
    let mails: Vec<&str> = mails.iter().map(String::as_str).collect();
    let rows = inbox.receive(bench, 1, &mails).await;
    let list = Some(inbox.account.entered.list);
    let mut saved: Vec<String> = bench
        .store
        .contact_list(list, ALL)
        .await
        .unwrap()
        .rows
        .into_iter()
        .map(|row| row.email)
        .collect();
    saved.sort();
    assert_eq!(
        saved,
        [
            "anna@x.example",
            "bert@x.example",
            "carl@x.example",
            "dora@x.example"
        ]
    );
    assert_eq!(rows[3].contact, None);
    assert_eq!(rows[4].meaning.kind, MailKind::AutoReply);
    assert_eq!(rows[4].meaning.reason, "auto-submitted: auto-replied");
}

/// Threat T10: two mailboxes of ours whose automations answer everything they are told of, without a word in
/// the headers that they are programs.
pub async fn two_accounts_that_answer_each_other_are_stopped(bench: &mut Bench) {
    let mut boxes = [Box::new(bench, "AAA").await, Box::new(bench, "BBB").await];
    let names = ["left@corp.example", "right@corp.example"];
    let mut subject = "Hello".to_owned();
    let mut references = String::new();
    let mut exchanged = 0;
    let mut last: Option<(usize, MessageRow)> = None;
    // Each round: one automation writes, the other's mailbox gets it and is told of it, or not.
    for round in 0..500_usize {
        let (writer, reader) = (round % 2, (round + 1) % 2);
        let headers = format!("Message-ID: <{round}@corp.example>\n{references}");
        let raw = format!(
            "From: {}\nTo: {}\nSubject: {subject}\n{headers}\n\n{round}\n",
            names[writer], names[reader]
        );
        let seconds = 100 + i64::try_from(round).unwrap();
        let row = boxes[reader].one(bench, seconds, &raw).await;
        exchanged = round;
        let held = row.meaning.waiting;
        last = Some((reader, row));
        if held {
            break;
        }
        subject = "Re: Hello".to_owned();
        references = format!(
            "In-Reply-To: <{round}@corp.example>\nReferences: <0@corp.example> <1@corp.example> <{round}@corp.example>"
        );
    }
    assert!((20..=70).contains(&exchanged), "{exchanged} mails");
    let (reader, row) = last.unwrap();
    let why = row.meaning.held.clone().unwrap();
    assert!(
        why.contains("mails of this sender with this subject"),
        "{why}"
    );
    let account = boxes[reader].account.id;
    assert_eq!(bench.store.held_count(account).await.unwrap(), 1);
    let kinds = bench.event_kinds().await;
    assert_eq!(kinds.last(), Some(&"message.held"));
    assert_eq!(
        kinds
            .iter()
            .filter(|one| **one == "message.received")
            .count(),
        exchanged
    );
    // Held, not dropped: a person lets it through, once.
    released(bench, row.id, exchanged).await;
    assert_eq!(bench.store.held_count(account).await.unwrap(), 0);
}

async fn released(bench: &Bench, id: MessageId, before: usize) {
    assert!(bench.store.message_release(id, at(1_000)).await.unwrap());
    assert!(!bench.store.message_release(id, at(1_001)).await.unwrap());
    let received = bench
        .event_kinds()
        .await
        .into_iter()
        .filter(|one| *one == "message.received");
    assert_eq!(received.count(), before + 1);
    let row = bench.store.message_get(id).await.unwrap().unwrap();
    assert!(row.meaning.held.is_some() && !row.meaning.waiting);
}

pub async fn answers_of_programs_and_storms_are_held_and_counted_from_rows(bench: &mut Bench) {
    let mut inbox = Box::new(bench, "AAA").await;
    inbox
        .one(
            bench,
            1,
            &answer("anna@x.example", "Order", "Message-ID: <1@x>"),
        )
        .await;
    let away = answer(
        "anna@x.example",
        "Automatic reply: Order",
        "In-Reply-To: <1@x>\nAuto-Submitted: auto-replied",
    );
    let batch: Vec<&str> = vec![&away; 4];
    let rows = inbox.receive(bench, 2, &batch).await;
    assert!(rows.iter().all(|row| !row.meaning.waiting));
    // A crash forgets nothing: the rows are the counter.
    bench.crash().await;
    let rows = inbox.receive(bench, 3, &batch).await;
    let held: Vec<bool> = rows.iter().map(|row| row.meaning.waiting).collect();
    assert_eq!(held, [false, true, true, true]);
    // A person's mail in between is not held, and neither is the program's an hour later.
    let words = answer("anna@x.example", "Re: Order", "In-Reply-To: <1@x>");
    assert!(!inbox.one(bench, 4, &words).await.meaning.waiting);
    assert!(!inbox.one(bench, 4_000, &away).await.meaning.waiting);
    // A forwarding gone wild: many, each in a conversation of its own.
    let storm: Vec<String> = (0..70)
        .map(|n| answer("shop@y.example", &format!("Note {n}"), "Precedence: bulk"))
        .collect();
    let storm: Vec<&str> = storm.iter().map(String::as_str).collect();
    let rows = inbox.receive(bench, 5_000, &storm).await;
    assert_eq!(rows.iter().filter(|row| row.meaning.waiting).count(), 10);
    let circle = answer(
        "a@y.example",
        "x",
        "Delivered-To: box@corp.example\nDelivered-To: box@corp.example\nDelivered-To: box@corp.example",
    );
    assert!(inbox.one(bench, 6_000, &circle).await.meaning.waiting);
}
