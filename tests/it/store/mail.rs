//! Ingest: message, appearance, contact, conversation, event and cursor.

use motion_email::{
    model::{Attachment, Cursor, Generation, Mailbox, RawMail, Uid, UidValidity},
    store::{Aside, AsideReason, IngestItem, StoreError},
};

use super::bench::{ALL, Bench, at, batch, cursor, mail, outgoing};

pub async fn a_batch_is_stored_with_contact_conversation_event_and_cursor(bench: &mut Bench) {
    let (account, lease, folder) = bench.inbox("AAA").await;
    let store = &bench.store;
    let list = account.entered.list;
    let mut first = mail(1, "first");
    let parsed = first.parsed.as_mut().unwrap();
    parsed.to = vec![Mailbox {
        name: "Böx".to_owned(),
        address: "box@corp.example".to_owned(),
    }];
    parsed.html = Some("<p>ä</p>".to_owned());
    parsed.date = Some(at(-60));
    parsed.references = vec!["a@b".to_owned(), "c@d".to_owned()];
    parsed.attachments = vec![Attachment {
        part: 2,
        file_name: "ümlaut.pdf".to_owned(),
        content_type: "application/pdf".to_owned(),
        content_id: None,
        inline: false,
        size: 5,
    }];
    let expected = first.clone();
    let done = store
        .ingest(
            &lease,
            batch(&folder, list, 1, vec![first, mail(5, "second")]),
            at(2),
        )
        .await
        .unwrap();
    assert_eq!(
        (done.new_messages, done.known_messages, done.put_aside),
        (2, 0, 0)
    );

    let now = store
        .folder_get(account.id, "INBOX")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(now.cursor, cursor(6));
    let listed = store
        .message_list(Some(account.id), None, ALL)
        .await
        .unwrap();
    assert_eq!(listed.count, 2);
    assert_eq!(listed.rows[0].parsed.subject, "second");
    assert_eq!(listed.rows[0].parsed.text, None, "lists are without bodies");
    let row = store.message_get(listed.rows[1].id).await.unwrap().unwrap();
    assert_eq!(row.parsed, expected.parsed.clone().unwrap());
    assert_eq!(
        (row.size, row.internal_date),
        (expected.size, expected.internal_date)
    );
    assert_eq!(store.message_raw(row.id).await.unwrap(), Some(expected.raw));

    let contacts = store.contact_list(Some(list), ALL).await.unwrap();
    assert_eq!(contacts.rows[0].email, "Anna@Customer.example");
    assert_eq!(row.contact, Some(contacts.rows[0].id));
    assert_eq!(
        store
            .interaction_list(Some(account.id), ALL)
            .await
            .unwrap()
            .count,
        2
    );
    let in_thread = store
        .message_list(None, Some(row.interaction), ALL)
        .await
        .unwrap();
    assert_eq!(in_thread.count, 1);
    let events = bench.events().await;
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].payload["messageId"], row.id.get());
    assert_eq!(events[0].account, Some(account.id));
    store
        .cursor_advance(&lease, folder.id, cursor(6), 40)
        .await
        .unwrap();
    let now = store
        .folder_get(account.id, "INBOX")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(now.cursor, cursor(40));
}

/// What a lost commit answer leads to.
pub async fn the_same_batch_again_changes_nothing(bench: &mut Bench) {
    let (account, lease, folder) = bench.inbox("AAA").await;
    let store = &bench.store;
    let list = account.entered.list;
    let again = || batch(&folder, list, 1, vec![mail(1, "one"), mail(2, "two")]);
    store.ingest(&lease, again(), at(2)).await.unwrap();
    let second = store.ingest(&lease, again(), at(3)).await;
    assert!(matches!(second, Err(StoreError::Conflict(_))), "{second:?}");
    // A folder that is read again from the start, too.
    store
        .folder_start(&lease, "INBOX", cursor(1), 1, at(4))
        .await
        .unwrap();
    let third = store.ingest(&lease, again(), at(5)).await.unwrap();
    assert_eq!((third.new_messages, third.known_messages), (0, 2));
    assert_eq!(bench.number("SELECT COUNT(*) FROM mail_messages").await, 2);
    assert_eq!(bench.number("SELECT COUNT(*) FROM mail_instances").await, 2);
    assert_eq!(
        bench.number("SELECT COUNT(*) FROM mail_interactions").await,
        2
    );
    assert_eq!(bench.event_kinds().await, ["message.received"; 2]);
}

pub async fn a_known_message_that_appears_again_is_no_second_message(bench: &mut Bench) {
    let (account, lease, folder) = bench.inbox("AAA").await;
    let (other, other_lease, other_folder) = bench.inbox("BBB").await;
    let store = &bench.store;
    let list = account.entered.list;
    let same = || vec![mail(1, "same"), mail(2, "same")];
    let done = store
        .ingest(&lease, batch(&folder, list, 1, same()), at(2))
        .await
        .unwrap();
    assert_eq!((done.new_messages, done.known_messages), (1, 1));
    // A new UIDVALIDITY and then a new generation show it once more (I4).
    for (validity, generation) in [(8, 0), (8, 1)] {
        let next = Cursor {
            validity: UidValidity::new(validity).unwrap(),
            generation: Generation(generation),
            next: 1,
        };
        let folder = store
            .folder_start(&lease, "INBOX", next, 1, at(3))
            .await
            .unwrap();
        let done = store
            .ingest(&lease, batch(&folder, list, 1, same()), at(4))
            .await
            .unwrap();
        assert_eq!((done.new_messages, done.known_messages), (0, 2));
    }
    // The same bytes at another time, or in another account, are another mail.
    let mut later = mail(3, "same");
    later.internal_date = at(100);
    let folder = store
        .folder_get(account.id, "INBOX")
        .await
        .unwrap()
        .unwrap();
    let done = store
        .ingest(&lease, batch(&folder, list, 3, vec![later]), at(5))
        .await
        .unwrap();
    assert_eq!(done.new_messages, 1);
    let elsewhere = batch(&other_folder, other.entered.list, 1, vec![mail(1, "same")]);
    let done = store.ingest(&other_lease, elsewhere, at(6)).await.unwrap();
    assert_eq!(done.new_messages, 1);
    assert_eq!(bench.event_kinds().await, ["message.received"; 3]);
    assert_eq!(bench.number("SELECT COUNT(*) FROM mail_instances").await, 8);
}

pub async fn answers_find_their_conversation(bench: &mut Bench) {
    let (account, lease, folder) = bench.inbox("AAA").await;
    let store = &bench.store;
    let list = account.entered.list;
    store
        .ingest(
            &lease,
            batch(&folder, list, 1, vec![mail(1, "one"), mail(2, "two")]),
            at(2),
        )
        .await
        .unwrap();
    let rows = store
        .message_list(Some(account.id), None, ALL)
        .await
        .unwrap()
        .rows;
    let (two, one) = (rows[0].interaction, rows[1].interaction);
    assert_ne!(one, two);
    let mut ours = outgoing(&account, None, 1);
    ours.message_id = "ours@corp.example".to_owned();
    ours.interaction = Some(one);
    store.outbox_enqueue(&ours, at(3)).await.unwrap();

    let answer = |uid: u32, reply: Option<&str>, references: &[&str]| {
        let mut mail = mail(uid, &format!("answer {uid}"));
        let parsed = mail.parsed.as_mut().unwrap();
        parsed.in_reply_to = reply.map(ToOwned::to_owned);
        parsed.references = references.iter().map(|id| (*id).to_owned()).collect();
        mail
    };
    let many: Vec<String> = (0..50).map(|n| format!("unknown{n}@x")).collect();
    let mut long: Vec<&str> = many.iter().map(String::as_str).collect();
    long.push("one@mail.example");
    let answers = vec![
        answer(3, Some("two@mail.example"), &["one@mail.example"]),
        answer(4, None, &["two@mail.example", "one@mail.example"]),
        answer(5, Some("ours@corp.example"), &[]),
        answer(6, Some("nobody@knows"), &long),
        answer(7, Some("nobody@knows"), &["never@seen"]),
    ];
    store
        .ingest(&lease, batch(&folder, list, 3, answers), at(4))
        .await
        .unwrap();
    let rows = store
        .message_list(Some(account.id), None, ALL)
        .await
        .unwrap()
        .rows;
    let found: Vec<_> = rows
        .iter()
        .rev()
        .skip(2)
        .map(|row| row.interaction)
        .collect();
    assert_eq!(found[..4], [two, one, one, one]);
    assert!(
        found[4] != one && found[4] != two,
        "an unknown reference begins a new one"
    );
    // Another account's Message-IDs are not ours.
    let (other, other_lease, other_folder) = bench.inbox("BBB").await;
    let stranger = batch(
        &other_folder,
        other.entered.list,
        1,
        vec![answer(1, Some("one@mail.example"), &[])],
    );
    bench
        .store
        .ingest(&other_lease, stranger, at(5))
        .await
        .unwrap();
    let rows = bench
        .store
        .message_list(Some(other.id), None, ALL)
        .await
        .unwrap()
        .rows;
    assert!(rows[0].interaction != one);
}

pub async fn what_cannot_be_read_is_put_aside_and_blocks_nothing(bench: &mut Bench) {
    let (account, lease, folder) = bench.inbox("AAA").await;
    let store = &bench.store;
    let aside = |uid: u32, reason: AsideReason, raw: Option<RawMail>| {
        IngestItem::Aside(Aside {
            uid: Uid::new(uid).unwrap(),
            reason,
            detail: "why\0".to_owned(),
            raw,
        })
    };
    let mut unreadable = mail(3, "unreadable");
    unreadable.parsed = Err("no headers".to_owned());
    let mut items = batch(&folder, account.entered.list, 1, vec![mail(1, "before")]);
    items.items.push(aside(
        2,
        AsideReason::Oversize,
        Some(RawMail::Object("a".repeat(64))),
    ));
    items.items.push(IngestItem::Message(Box::new(unreadable)));
    items.items.push(aside(4, AsideReason::Vanished, None));
    items
        .items
        .push(IngestItem::Message(Box::new(mail(9, "after"))));
    items.next = 10;
    let done = store.ingest(&lease, items.clone(), at(2)).await.unwrap();
    assert_eq!((done.new_messages, done.put_aside), (3, 2));
    let problems = store.problem_list(Some(account.id), ALL).await.unwrap();
    let found: Vec<_> = problems
        .rows
        .iter()
        .map(|row| (row.uid, row.reason.as_str()))
        .collect();
    assert_eq!(found, [(4, "vanished"), (2, "oversize")]);
    let rows = store
        .message_list(Some(account.id), None, ALL)
        .await
        .unwrap()
        .rows;
    assert_eq!(rows[1].parse_error.as_deref(), Some("no headers"));
    assert_eq!(rows[1].contact, None);
    assert_eq!(
        bench
            .event_kinds()
            .await
            .iter()
            .filter(|kind| **kind == "message.putAside")
            .count(),
        2
    );
    // Read again from the start: nothing is doubled.
    store
        .folder_start(&lease, "INBOX", cursor(1), 1, at(3))
        .await
        .unwrap();
    store.ingest(&lease, items, at(4)).await.unwrap();
    assert_eq!(store.problem_list(None, ALL).await.unwrap().count, 2);
    assert_eq!(bench.events().await.len(), 5);
}

pub async fn a_contact_is_saved_once_and_never_loses_its_name(bench: &mut Bench) {
    let (account, lease, folder) = bench.inbox("AAA").await;
    let list = account.entered.list;
    let from = |uid: u32, name: &str, address: &str| {
        let mut mail = mail(uid, &format!("mail {uid}"));
        mail.parsed.as_mut().unwrap().from = Mailbox {
            name: name.to_owned(),
            address: address.to_owned(),
        };
        mail
    };
    let mails = vec![
        from(1, "", "anna@Customer.example"),
        from(2, "Anna", "ANNA@customer.example"),
        from(3, "", "anna@customer.example"),
        from(4, "Somebody else", "anna@customer.example"),
        from(5, "Nobody", ""),
        from(6, "Nobody", "not an address"),
        from(7, "Evil", "a@b.example>\r\nRCPT TO:<x@y.example"),
    ];
    bench
        .store
        .ingest(&lease, batch(&folder, list, 1, mails), at(2))
        .await
        .unwrap();
    let contacts = bench.store.contact_list(Some(list), ALL).await.unwrap();
    let found: Vec<_> = contacts
        .rows
        .iter()
        .map(|row| (row.name.as_str(), row.email.as_str()))
        .collect();
    assert_eq!(found, [("Anna", "anna@Customer.example")]);
    assert_eq!(
        bench
            .store
            .message_list(None, None, ALL)
            .await
            .unwrap()
            .count,
        7
    );
}

/// Bad input 66: a next UID beyond any UID.
pub async fn a_cursor_that_makes_no_sense_is_damage_and_uids_out_of_order_are_refused(
    bench: &mut Bench,
) {
    let (account, lease, folder) = bench.inbox("AAA").await;
    let store = &bench.store;
    let list = account.entered.list;
    for (uids, next) in [([2, 1], 3), ([1, 1], 3), ([1, 5], 5)] {
        let mails = uids.map(|uid| mail(uid, &format!("m{uid}"))).to_vec();
        let mut wrong = batch(&folder, list, 1, mails);
        wrong.next = next;
        let refused = store.ingest(&lease, wrong, at(1)).await;
        assert!(
            matches!(refused, Err(StoreError::Conflict(_))),
            "{uids:?}: {refused:?}"
        );
    }
    let back = store.cursor_advance(&lease, folder.id, cursor(1), 0).await;
    assert!(matches!(back, Err(StoreError::Conflict(_))), "{back:?}");
    assert_eq!(bench.number("SELECT COUNT(*) FROM mail_messages").await, 0);
    // What was there at the start is remembered beside the cursor.
    let start = store.folder_start(&lease, "Archive", cursor(1), 77, at(1));
    start.await.unwrap();
    let archive = store.folder_get(account.id, "Archive").await.unwrap();
    assert_eq!(archive.unwrap().history, 77);
    // The highest UID there is can be passed.
    store
        .cursor_advance(&lease, folder.id, cursor(1), 1 << 32)
        .await
        .unwrap();
    for (next, validity) in [(4_294_967_297_i64, 7), (0, 7), (5, 0)] {
        bench
            .sql(&format!(
                "UPDATE mail_folders SET next_uid = {next}, uidvalidity = {validity} WHERE name = 'INBOX'"
            ))
            .await;
        let damaged = store.folder_get(account.id, "INBOX").await;
        assert!(
            matches!(damaged, Err(StoreError::Damaged { .. })),
            "{next} {validity}: {damaged:?}"
        );
    }
}

/// A crash (the writer's task is dropped) while batches are under way: afterwards every batch is there
/// whole, with its event and cursor, or not at all; doing it again completes it.
pub async fn a_batch_that_is_cut_off_leaves_nothing_behind(bench: &mut Bench) {
    let (account, lease, folder) = bench.inbox("AAA").await;
    let list = account.entered.list;
    for round in 0..12_u32 {
        let at_uid = |store: &motion_email::store::Store| {
            let store = store.clone();
            let account = account.id;
            async move {
                store
                    .folder_get(account, "INBOX")
                    .await
                    .unwrap()
                    .unwrap()
                    .cursor
                    .next
            }
        };
        let next = at_uid(&bench.store).await;
        let mails: Vec<_> = (0..20)
            .map(|n| {
                let uid = u32::try_from(next).unwrap() + n;
                mail(uid, &format!("m{uid}"))
            })
            .collect();
        let (store, lease) = (bench.store.clone(), lease.clone());
        let wanted = batch(&folder, list, next, mails);
        let ingest = store.ingest(&lease, wanted, at(2));
        // Later in each round, until the batch gets through before the crash.
        let patience = std::time::Duration::from_micros(u64::from(round) * u64::from(round) * 300);
        drop(tokio::time::timeout(patience, ingest).await);
        bench.crash().await;
        let next = at_uid(&bench.store).await;
        let stored = i64::try_from(next - 1).unwrap();
        assert_eq!((next - 1) % 20, 0, "a batch is whole or absent");
        assert_eq!(
            bench.number("SELECT COUNT(*) FROM mail_messages").await,
            stored
        );
        assert_eq!(
            bench.number("SELECT COUNT(*) FROM mail_instances").await,
            stored
        );
        assert_eq!(bench.number("SELECT COUNT(*) FROM events").await, stored);
    }
}
