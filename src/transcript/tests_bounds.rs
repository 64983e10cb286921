//! The bounds of what is kept, each exceeded (I10), and the tap over a stream.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::{
    Bounds, Direction, Entry, Protocol, Recorder, Subject, Transcripts,
    ring::{ENTRY_COST, RING_COST},
};
use crate::model::{AccountId, CloudProviderId, SystemClock};

fn transcripts(bounds: Bounds) -> Transcripts {
    Transcripts::new(Arc::new(SystemClock), bounds)
}

fn account(id: i64) -> Subject {
    Subject::Account(AccountId::new(id))
}

fn texts(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| &*entry.text).collect()
}

fn note(all: &Transcripts, id: i64, text: &str) {
    all.account(AccountId::new(id))
        .begin(Protocol::Imap)
        .note(text);
}

fn assert_counted(all: &Transcripts) -> usize {
    let (octets, counted) = all.lock().octets();
    assert_eq!(octets, counted);
    octets
}

#[test]
fn a_ring_drops_its_oldest_entries_by_number_and_by_octets() {
    let all = transcripts(Bounds {
        ring_entries: 3,
        ..Bounds::default()
    });
    for text in ["a", "b", "c", "d"] {
        note(&all, 1, text);
    }
    assert_eq!(texts(&all.read(account(1))), ["b", "c", "d"]);
    let all = transcripts(Bounds {
        ring_octets: 3 * (ENTRY_COST + 4),
        ..Bounds::default()
    });
    for text in ["aaaa", "bbbb", "cccc", "dd", "ee"] {
        note(&all, 1, text);
    }
    assert_eq!(texts(&all.read(account(1))), ["cccc", "dd", "ee"]);
    note(&all, 1, &"x y ".repeat(1000));
    assert_eq!(all.read(account(1)).len(), 1 - 1, "larger than the ring");
    assert_counted(&all);
}

#[test]
fn an_entry_is_cut_and_what_is_left_out_is_counted() {
    let all = transcripts(Bounds::default());
    note(&all, 1, &"é ".repeat(1000));
    let entries = all.read(account(1));
    let text = &entries[0].text;
    assert!(
        text.ends_with(" … (2488 octets more)") || text.ends_with("… (2488 octets more)"),
        "{text}"
    );
    assert!(text.len() < 560);
}

#[test]
fn all_rings_together_are_bounded_and_the_longest_idle_goes_first() {
    let one = RING_COST + ENTRY_COST + 4;
    let all = transcripts(Bounds {
        octets: 3 * one,
        ..Bounds::default()
    });
    for id in [1, 2, 3] {
        note(&all, id, "aaaa");
    }
    assert_eq!(assert_counted(&all), 3 * one);
    // The first speaks again, so the second is idle longest.
    note(&all, 1, "bbbb");
    assert!(all.read(account(2)).is_empty());
    assert_eq!(texts(&all.read(account(1))), ["aaaa", "bbbb"]);
    assert_eq!(texts(&all.read(account(3))), ["aaaa"]);
    for id in 4..5000 {
        note(&all, id, "cccc");
        assert!(assert_counted(&all) <= 3 * one);
    }
}

#[test]
fn a_subject_that_said_nothing_costs_nothing_and_a_removed_one_stays_away() {
    let all = transcripts(Bounds::default());
    let late = all.account(AccountId::new(1)).begin(Protocol::Imap);
    let recorders: Vec<Recorder> = (1..1000)
        .map(|id| all.account(AccountId::new(id)))
        .collect();
    drop(recorders);
    assert_eq!(assert_counted(&all), 0);
    late.note("here");
    note(&all, 2, "here too");
    all.forget(account(1));
    late.note("a late word of a connection that still closes");
    assert!(all.read(account(1)).is_empty());
    assert_eq!(texts(&all.read(account(2))), ["here too"]);
    // The memory of removed ones is bounded as well.
    for id in 10..2000 {
        all.forget(account(id));
    }
    assert_counted(&all);
    all.forget(account(2));
    assert_eq!(assert_counted(&all), 0);
}

#[test]
fn accounts_and_providers_of_one_number_are_two() {
    let all = transcripts(Bounds::default());
    note(&all, 7, "the account");
    all.provider(CloudProviderId::new(7))
        .begin(Protocol::Oauth)
        .note("the provider");
    let provider = Subject::Provider(CloudProviderId::new(7));
    assert_eq!(texts(&all.read(account(7))), ["the account"]);
    let entries = all.read(provider);
    assert_eq!(texts(&entries), ["the provider"]);
    assert_ne!(entries[0].connection, all.read(account(7))[0].connection);
    assert!(entries[0].number > all.read(account(7))[0].number);
}

#[tokio::test]
async fn a_tapped_stream_passes_everything_and_tells_who_closed() {
    let all = transcripts(Bounds::default());
    let recorder = all
        .account(AccountId::new(1))
        .hiding(&"s3cret-s3cret".to_owned().into());
    let (ours, mut theirs) = duplex(1 << 16);
    let mut tapped = recorder.begin(Protocol::Imap).over(ours);
    theirs
        .write_all(b"* OK hi s3cret-s3cret\r\n")
        .await
        .unwrap();
    tapped.write_all(b"A1 NOOP\r\n").await.unwrap();
    let mut seen = [0; 23];
    tapped.read_exact(&mut seen).await.unwrap();
    assert_eq!(&seen, b"* OK hi s3cret-s3cret\r\n");
    drop(theirs);
    assert_eq!(tapped.read(&mut seen).await.unwrap(), 0);
    drop(tapped);
    let entries = all.read(account(1));
    let kept: Vec<(Direction, &str)> = entries
        .iter()
        .map(|entry| (entry.direction, &*entry.text))
        .collect();
    assert_eq!(
        kept,
        [
            (Direction::Sent, "A1 NOOP"),
            (Direction::Received, "* OK hi ***"),
            (
                Direction::Note,
                "the server closed the connection; 9 octets sent, 23 octets received"
            ),
        ]
    );
    let (ours, _theirs) = duplex(64);
    drop(recorder.begin(Protocol::Smtp).over(ours));
    let entries = all.read(account(1));
    let last = entries.last().unwrap();
    assert!(last.text.starts_with("we closed the connection; 0 octets"));
    assert_ne!(last.connection, entries[0].connection);
}

#[tokio::test]
async fn of_ten_mebibytes_of_mail_nothing_is_kept_and_no_memory_held() {
    let all = transcripts(Bounds::default());
    let (ours, mut theirs) = duplex(1 << 16);
    let mut tapped = all
        .account(AccountId::new(1))
        .begin(Protocol::Imap)
        .over(ours);
    let size = 10 << 20;
    let send = async {
        let head = format!("* OK hi\r\n* 1 FETCH (UID 1 BODY[] {{{size}}}\r\n");
        theirs.write_all(head.as_bytes()).await.unwrap();
        let piece = b"canary \r\n* OK canary\r\n".repeat(1000);
        let mut left = size;
        while left > 0 {
            let part = &piece[..piece.len().min(left)];
            theirs.write_all(part).await.unwrap();
            left -= part.len();
        }
        theirs.write_all(b")\r\nA1 OK done\r\n").await.unwrap();
        drop(theirs);
    };
    let mut seen = Vec::new();
    let (read, ()) = tokio::join!(tapped.read_to_end(&mut seen), send);
    assert!(read.unwrap() > size);
    let entries = all.read(account(1));
    assert_eq!(
        texts(&entries)[..4],
        [
            "* OK hi",
            "* 1 FETCH (UID 1 BODY[] {10485760}",
            ")",
            "A1 OK done"
        ]
    );
    assert_eq!(entries.len(), 5);
}

#[test]
fn what_is_off_keeps_nothing_and_prints_nothing() {
    let tap = Recorder::off()
        .hiding(&"canary".to_owned().into())
        .begin(Protocol::Oauth);
    tap.note("x");
    tap.oauth_answer(200, b"{}");
    let all = transcripts(Bounds::default());
    let recorder = all
        .account(AccountId::new(1))
        .hiding(&"canary".to_owned().into());
    assert!(!format!("{recorder:?} {all:?} {tap:?}").contains("canary"));
}

#[test]
fn an_oauth_exchange_hides_the_requests_values_in_the_answer() {
    let all = transcripts(Bounds::default());
    let provider = CloudProviderId::new(1);
    let tap = all.provider(provider).begin(Protocol::Oauth).oauth_request(
        "POST",
        "https://login.test/token",
        b"grant_type=authorization_code&code=canary-code&code_verifier=canary-verifier",
    );
    tap.oauth_answer(
        400,
        br#"{"error":"invalid_grant","error_description":"canary-code is spent"}"#,
    );
    tap.note("gave up with canary-verifier");
    let entries = all.read(Subject::Provider(provider));
    assert_eq!(
        texts(&entries),
        [
            "POST login.test/token grant_type=authorization_code, fields: code code_verifier",
            "400 error=invalid_grant error_description=*** is spent",
            "gave up with ***",
        ]
    );
}
