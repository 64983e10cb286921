//! Mail stored many at a time comes to the same as mail stored one by one.

use std::collections::HashMap;

use motion_email::model::Mailbox;

use super::bench::{Bench, at, batch, cursor, mail};
use motion_email::{
    model::AccountId,
    store::{NewMessage, Page},
};

const ALL: Page = Page {
    limit: 1_000,
    offset: 0,
};

/// Mails that answer each other, repeat each other, and come from few people with and without a name.
fn mails(seed: u64) -> Vec<NewMessage> {
    let mut state = seed;
    let mut chance = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    (1..=230)
        .map(|uid| {
            let text = chance(120);
            let mut one = mail(uid, &format!("text {text}"));
            one.internal_date = at(i64::try_from(chance(2)).unwrap());
            // The same bytes are the same mail: everything in it follows from the text.
            let parsed = one.parsed.as_mut().unwrap();
            parsed.from = Mailbox {
                name: if text % 3 == 0 {
                    format!("Name {text}")
                } else {
                    String::new()
                },
                address: match text % 7 {
                    0 => "no address".to_owned(),
                    rest => format!("P{rest}@customer.example"),
                },
            };
            parsed.subject = format!("Subject {}", text % 5);
            if text % 4 == 1 {
                parsed.in_reply_to = Some(format!("text {}@mail.example", text / 2));
            }
            if text % 4 == 2 {
                parsed.references = vec![
                    format!("text {}@mail.example", text / 3),
                    "nowhere@mail.example".to_owned(),
                ];
            }
            one
        })
        .collect()
}

/// What there is of an account, with ids made comparable.
async fn picture(
    bench: &Bench,
    account: AccountId,
    list: motion_email::model::ListId,
) -> Vec<String> {
    let mut rows = bench
        .store
        .message_list(Some(account), None, ALL)
        .await
        .unwrap()
        .rows;
    rows.reverse();
    let contacts = bench
        .store
        .contact_list(Some(list), ALL)
        .await
        .unwrap()
        .rows;
    let by_id: HashMap<_, _> = contacts
        .iter()
        .map(|contact| (contact.id, format!("{} <{}>", contact.name, contact.email)))
        .collect();
    let mut threads = HashMap::new();
    rows.iter()
        .map(|row| {
            let next = threads.len();
            let thread = *threads.entry(row.interaction).or_insert(next);
            let contact = row.contact.map(|id| by_id[&id].clone());
            format!(
                "{} {:?} thread {thread} {contact:?} {}",
                row.parsed.subject,
                row.parsed.message_id,
                row.internal_date.millis()
            )
        })
        .collect()
}

pub async fn mail_stored_many_at_a_time_is_stored_as_one_by_one(bench: &mut Bench) {
    for seed in [1, 2] {
        let mut pictures = Vec::new();
        for size in [1, 7, 200] {
            let list = bench
                .store
                .list_add(&format!("L{seed}/{size}"), at(0))
                .await
                .unwrap()
                .id;
            let (account, lease, folder) = bench.inbox(&format!("A{seed}{}", size % 10)).await;
            let mut next = 1;
            for some in mails(seed).chunks(size) {
                let batch = batch(&folder, list, next, some.to_vec());
                next = batch.next;
                bench.store.ingest(&lease, batch, at(3)).await.unwrap();
            }
            let known = bench
                .store
                .folder_uids(folder.id, cursor(1), 1, 1_000)
                .await;
            assert_eq!(known.unwrap().len(), 230);
            let picture = picture(bench, account.id, list).await;
            let events = bench.events().await;
            let events = events
                .iter()
                .filter(|event| event.account == Some(account.id));
            assert_eq!(events.count(), picture.len(), "one event for each mail");
            pictures.push(picture);
        }
        assert!(pictures[0].len() > 100 && pictures[0].len() < 230);
        assert_eq!(pictures[0], pictures[1]);
        assert_eq!(pictures[0], pictures[2]);
    }
}
