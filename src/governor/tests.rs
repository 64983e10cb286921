//! The book by the table, and permits by paused clocks.

use std::sync::Arc;

use tokio::{
    task::JoinSet,
    time::{Duration, Instant},
};

use super::{
    book::{Book, News},
    host::{Answer, Turn},
    place::Talk,
    sign::{Hint, Sign},
    tests_sign::refused,
    *,
};
use crate::model::{HoldKind, SystemClock};

const SECOND: Duration = Duration::from_secs(1);

fn place(host: &str, login: &str) -> Place {
    let mailbox = (host.into(), login.into());
    Place::of(Talk::Imap, host.into(), login.into(), mailbox)
}

fn outgoing(login: &str, mailbox: &str) -> Place {
    let mailbox = ("imap".into(), mailbox.into());
    Place::of(Talk::Smtp, "smtp".into(), login.into(), mailbox)
}

fn go(asked: Result<Answer, u64>) -> Turn {
    match asked {
        Ok(Answer::Go(turn)) => turn,
        other => panic!("{other:?}"),
    }
}

fn held(asked: Result<Answer, u64>) -> Held {
    match asked {
        Ok(Answer::Held(held)) => held,
        other => panic!("{other:?}"),
    }
}

fn waits(asked: Result<Answer, u64>) -> u64 {
    asked.unwrap_err()
}

fn gone(answers: &[(u64, Answer)]) -> Vec<u64> {
    let go = answers
        .iter()
        .filter(|(_, answer)| matches!(answer, Answer::Go(_)));
    go.map(|(id, _)| *id).collect()
}

#[test]
fn a_rest_is_kept_by_whom_it_speaks_of_and_by_nobody_else() {
    // I6. Whose words, of whom; then who rests: the mailbox's IMAP, its SMTP, a neighbour's IMAP, a neighbour's
    // SMTP by the same domain, somebody's SMTP of another domain, the same user name at another host.
    for (from_smtp, of, expected) in [
        (
            false,
            HoldKind::Mailbox,
            [true, true, false, false, false, false],
        ),
        (
            false,
            HoldKind::Login,
            [true, false, false, false, false, false],
        ),
        (
            true,
            HoldKind::Login,
            [false, true, false, false, false, false],
        ),
        (
            true,
            HoldKind::Tenant,
            [false, true, false, true, false, false],
        ),
        (
            true,
            HoldKind::Host,
            [false, true, false, true, true, false],
        ),
    ] {
        let now = Instant::now();
        let mut book = Book::new(Settings::default());
        let speaker = if from_smtp {
            outgoing("desk@a.test", "desk@a.test")
        } else {
            place("imap", "desk@a.test")
        };
        let hint = Hint::Rest {
            of,
            time: SECOND * 300,
            said: "slower".to_owned(),
        };
        let out = book.heard(&speaker, &hint, now);
        assert!(matches!(out.news, Some(News::Rests { .. })));
        // Said once, however often it is met.
        assert_eq!(book.heard(&speaker, &hint, now + SECOND).news, None);
        let all = [
            place("imap", "desk@a.test"),
            outgoing("desk@a.test", "desk@a.test"),
            place("imap", "other@a.test"),
            outgoing("other@a.test", "other@a.test"),
            outgoing("x@b.test", "x@b.test"),
            place("imap2", "desk@a.test"),
        ];
        let resting: Vec<bool> = all
            .iter()
            .map(|place| book.resting(place, now + SECOND).is_some())
            .collect();
        assert_eq!(resting, expected, "{of:?}");
        for (place, rests) in all.iter().zip(expected) {
            let answer = book.ask(place, Urgency::Urgent, now + SECOND);
            if rests {
                let held = held(answer);
                assert_eq!((held.kind, held.said.as_str()), (of, "slower"));
                assert_eq!(held.until, now + SECOND * 301);
            } else {
                go(answer);
            }
            let later = now + SECOND * 302;
            assert!(book.resting(place, later).is_none());
        }
    }
}

#[test]
fn a_login_has_so_many_connections_and_a_full_one_blocks_nobody_behind_it() {
    let now = Instant::now();
    let limits = Settings {
        imap_connections: 4,
        ..Settings::default()
    };
    let mut book = Book::new(limits);
    let (desk, other) = (place("a", "desk"), place("a", "other"));
    let open = |book: &mut Book, urgency| {
        let turn = go(book.ask(&desk, urgency, now));
        book.ended(&desk, turn, &Sign::Well, true, now);
    };
    open(&mut book, Urgency::Usual);
    open(&mut book, Urgency::Extra);
    // Two are left free for the successor of one and for an examination.
    let extra = waits(book.ask(&desk, Urgency::Extra, now));
    open(&mut book, Urgency::Usual);
    open(&mut book, Urgency::Usual);
    let first = waits(book.ask(&desk, Urgency::Usual, now));
    let second = waits(book.ask(&desk, Urgency::Usual, now));
    go(book.ask(&other, Urgency::Usual, now));
    // A renewal has one more, and is told when that is taken.
    open(&mut book, Urgency::Renewal);
    let told = held(book.ask(&desk, Urgency::Renewal, now));
    assert_eq!(told.kind, HoldKind::Full);
    assert!(book.released(&desk, now).answers.is_empty());
    // In the order of asking.
    assert_eq!(gone(&book.released(&desk, now).answers), [first]);
    // Who has waited for long is told, and leaves the line.
    let told = book.give_up(&desk, second, now).unwrap();
    assert_eq!(told.kind, HoldKind::Full);
    assert!(book.released(&desk, now).answers.is_empty());
    // Enough room at last.
    assert!(book.released(&desk, now).answers.is_empty());
    assert_eq!(gone(&book.released(&desk, now).answers), [extra]);
}

#[test]
fn what_a_server_allows_less_than_we_do_is_learnt_and_forgotten_after_some_minutes() {
    let now = Instant::now();
    let mut book = Book::new(Settings::default());
    let desk = place("a", "desk");
    for _ in 0..2 {
        let turn = go(book.ask(&desk, Urgency::Usual, now));
        book.ended(&desk, turn, &Sign::Well, true, now);
    }
    // The third is one too many.
    let turn = go(book.ask(&desk, Urgency::Usual, now));
    book.ended(&desk, turn, &Sign::Well, false, now);
    book.heard(&desk, &Hint::Crowded, now);
    let third = waits(book.ask(&desk, Urgency::Usual, now));
    let told = held(book.ask(&desk, Urgency::Renewal, now));
    assert_eq!(told.kind, HoldKind::Full);
    assert!(book.withdraw(&desk, third));
    go(book.ask(&desk, Urgency::Usual, now + SECOND * 601));
    // A mailbox whose connections are all others' teaches nothing.
    let busy = place("a", "busy");
    book.heard(&busy, &Hint::Crowded, now);
    go(book.ask(&busy, Urgency::Usual, now));
}

#[test]
fn urgent_ones_go_first_and_then_each_in_the_order_of_asking() {
    let now = Instant::now();
    let limits = Settings {
        host_first: 1,
        ..Settings::default()
    };
    let mut book = Book::new(limits);
    let login = |n: u32| place("a", &n.to_string());
    let mut turn = go(book.ask(&login(0), Urgency::Usual, now));
    let asked = [
        Urgency::Usual,
        Urgency::Extra,
        Urgency::Urgent,
        Urgency::Usual,
        Urgency::Renewal,
    ];
    let ids: Vec<u64> = (1..)
        .zip(asked)
        .map(|(n, urgency)| waits(book.ask(&login(n), urgency, now)))
        .collect();
    let mut order = Vec::new();
    let mut last = 0;
    while order.len() < ids.len() {
        // Slow ones: the host is asked one at a time.
        let out = book.ended(&login(last), turn, &Sign::Nothing, false, now);
        let [(id, Answer::Go(next))] = &out.answers[..] else {
            panic!("{out:?}");
        };
        turn = *next;
        let which = ids.iter().position(|one| one == id).unwrap();
        last = u32::try_from(which + 1).unwrap();
        order.push(asked[which]);
    }
    assert_eq!(
        order,
        [
            Urgency::Urgent,
            Urgency::Renewal,
            Urgency::Usual,
            Urgency::Usual,
            Urgency::Extra
        ]
    );
}

#[test]
fn a_dead_host_costs_two_hundred_accounts_few_dials_and_no_neighbour_notices() {
    // I6. Fault 26.
    let start = Instant::now();
    let mut book = Book::new(Settings::default());
    let dead = Sign::Ill("cannot connect".to_owned());
    let login = |n: usize| place("dead", &n.to_string());
    let mut dials = 0;
    let mut news = 0;
    let (mut going, mut waiting) = (Vec::new(), Vec::new());
    for n in 0..200 {
        match book.ask(&login(n), Urgency::Usual, start) {
            Ok(Answer::Go(turn)) => going.push((n, turn)),
            Ok(Answer::Held(held)) => panic!("{held:?}"),
            Err(id) => waiting.push((n, id)),
        }
    }
    let mut told = 0;
    while let Some((n, turn)) = going.pop() {
        dials += 1;
        let out = book.ended(&login(n), turn, &dead, false, start + SECOND * 30);
        news += usize::from(out.news.is_some());
        for (id, answer) in out.answers {
            let (n, _) = *waiting.iter().find(|(_, one)| *one == id).unwrap();
            match answer {
                Answer::Go(turn) => going.push((n, turn)),
                Answer::Held(held) => {
                    assert_eq!(held.kind, HoldKind::HostSilent);
                    assert_eq!(held.said, "cannot connect");
                    told += 1;
                }
            }
        }
    }
    assert!(dials <= 8, "{dials}");
    assert_eq!((told + dials, news), (200, 1));
    go(book.ask(&place("alive", "x"), Urgency::Usual, start));
    // For ten minutes all two hundred ask as often as they are told to.
    let begin = start + SECOND * 30;
    for second in 0..600 {
        let now = begin + SECOND * second;
        for n in 0..200 {
            if let Ok(Answer::Go(turn)) = book.ask(&login(n), Urgency::Usual, now) {
                dials += 1;
                book.ended(&login(n), turn, &dead, false, now);
            }
        }
    }
    assert!(dials <= 8 + 13, "{dials}");
    // One is let in, and all that ask go, paced.
    let now = begin + SECOND * 1200;
    let mut waits_for_it = held({
        let probe = go(book.ask(&login(1), Urgency::Usual, now));
        assert!(probe.probe);
        let asked = book.ask(&login(2), Urgency::Usual, now);
        let out = book.ended(&login(1), probe, &Sign::Well, true, now);
        assert!(matches!(out.news, Some(News::Answers { .. })));
        asked
    });
    let lifted = waits_for_it.lifted.as_mut().unwrap();
    assert!(lifted.has_changed().is_err(), "who waits is woken");
    let allowed = (2..200)
        .filter(|n| matches!(book.ask(&login(*n), Urgency::Usual, now), Ok(Answer::Go(_))))
        .count();
    assert_eq!(allowed, 8, "as many as at a first start");
}

#[test]
fn nothing_is_remembered_of_hosts_and_logins_that_nobody_uses() {
    // I10.
    let start = Instant::now();
    let mut book = Book::new(Settings::default());
    for n in 0..1000 {
        let one = place(&n.to_string(), "x");
        let turn = go(book.ask(&one, Urgency::Usual, start));
        book.ended(&one, turn, &Sign::Well, true, start);
        book.released(&one, start);
        let time = SECOND * 60;
        let of = HoldKind::Login;
        let said = String::new();
        book.heard(&one, &Hint::Rest { of, time, said }, start);
    }
    assert_eq!(book.hosts.len(), 1000);
    let later = start + SECOND * 700;
    go(book.ask(&place("new", "x"), Urgency::Usual, later));
    assert_eq!(book.hosts.len(), 1);
    assert_eq!(book.rests.running(start).count(), 0);
}

fn governor(settings: Settings) -> Governor {
    Governor::new(settings, Arc::new(SystemClock))
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_dropped_and_a_wait_that_is_given_up_take_nothing() {
    let limits = Settings {
        host_first: 1,
        imap_connections: 1,
        ..Settings::default()
    };
    let governor = governor(limits);
    let (a, b) = (place("h", "a"), place("h", "b"));
    let permit = governor.admit(&a, Urgency::Usual).await.unwrap();
    let given_up = tokio::time::timeout(SECOND, governor.admit(&b, Urgency::Usual)).await;
    assert!(given_up.is_err());
    assert_eq!(governor.shown().hosts[0].waiting, 0);
    drop(permit);
    let slot = governor.admit(&b, Urgency::Usual).await.unwrap().opened();
    assert_eq!(governor.shown().hosts[0].connections, 1);
    // A second one of the same login is told after a while what it waits for.
    let held = governor.admit(&b, Urgency::Usual).await.unwrap_err();
    assert_eq!(held.kind, HoldKind::Full);
    drop(slot);
    assert_eq!(governor.shown().hosts[0].connections, 0);
    drop(governor.admit(&b, Urgency::Usual).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn five_thousand_accounts_start_as_fast_as_a_healthy_host_lets_them_in() {
    let governor = governor(Settings::default());
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for n in 0..5000 {
        let governor = governor.clone();
        tasks.spawn(async move {
            let place = place("h", &n.to_string());
            let permit = governor.admit(&place, Urgency::Usual).await.unwrap();
            // The host takes a tenth of a second for each.
            tokio::time::sleep(SECOND / 10).await;
            permit.opened()
        });
    }
    let slots = tasks.join_all().await;
    let took = begin.elapsed();
    // 128 at a time would take 3.9 s; finding out that so many are borne, half a second.
    assert!(took <= SECOND * 5, "{took:?}");
    let shown = governor.shown();
    assert_eq!(shown.hosts[0].connections, 5000);
    drop(slots);
    assert_eq!(governor.shown().hosts[0].connections, 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_silent_host_is_woken_when_it_answers_and_all_are_let_in() {
    let governor = governor(Settings::default());
    let mut tasks = JoinSet::new();
    let healed = Instant::now() + SECOND * 100;
    for n in 0..200 {
        let governor = governor.clone();
        tasks.spawn(async move {
            let place = place("h", &n.to_string());
            let mut dials = 0;
            loop {
                match governor.admit(&place, Urgency::Usual).await {
                    Ok(permit) => {
                        dials += 1;
                        tokio::time::sleep(SECOND / 10).await;
                        if Instant::now() >= healed {
                            return (dials, Instant::now(), permit.opened());
                        }
                        permit.failed_imap(&refused());
                    }
                    Err(mut held) => {
                        let left = held.left();
                        assert!(!left.is_zero(), "a busy loop");
                        let _ = tokio::time::timeout(left, held.lifted()).await;
                    }
                }
            }
        });
    }
    let all = tasks.join_all().await;
    let dials: usize = all.iter().map(|(dials, ..)| dials).sum();
    assert!(dials <= 200 + 8 + 6, "{dials}");
    let last = all.iter().map(|(_, at, _)| *at).max().unwrap();
    // At most a minute to the next probe, and a few seconds for all.
    assert!(last < healed + SECOND * 65, "{:?}", last - healed);
}
