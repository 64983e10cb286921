//! The token journal under a keeper: what an earlier run left there, good and bad (bad input 67,
//! fault 47).

use std::{fs, io::Write as _, os::unix::fs::MetadataExt as _, path::PathBuf, time::Duration};

use super::{
    TokenError,
    bench::{Bench, HOME, Running, eventually, gated, rotating, secret, word},
    journal::{Journal, JournalError},
};
use crate::{
    model::{Clock, GrantState, NewTokens, NodeId},
    oauth::scripted::{Platform, Reply},
};

/// What the platform answered to the refresh that was interrupted.
fn answered(bench: &Bench) -> NewTokens {
    NewTokens {
        access_token: secret("at-1"),
        access_expires_at: bench.clock.now().plus(Duration::from_secs(3600)),
        refresh_token: Some(secret("rt-1")),
        scopes: Some("mail".into()),
        signed_in_as: Some("andrea@contoso.example".into()),
        tenant_id: None,
        object_id: None,
    }
}

fn attempt(name: &str) -> String {
    format!("{HOME}.{name}")
}

impl Bench {
    fn journal(&self) -> Journal {
        let dir = self.settings.journal.clone().unwrap();
        Journal::new(dir, self.store.clone(), self.settings.journal_patience)
    }

    fn file(&self) -> PathBuf {
        let dir = self.settings.journal.clone().unwrap();
        dir.join(self.provider.to_string())
    }

    /// A row as a run of this daemon leaves it that was killed with a refresh under way.
    async fn left_refreshing(&self, name: &str) {
        let (dead, attempt) = (NodeId::random(), attempt(name));
        let store = &self.store;
        let epoch = store.grant_hold(self.provider, &dead).await.unwrap();
        let begun = store.grant_refresh_begin(
            self.provider,
            &dead,
            epoch.unwrap(),
            (1, None),
            &attempt,
            self.clock.now(),
        );
        assert!(begun.await.unwrap());
    }

    async fn journalled(&self, name: &str, version: i64) {
        let (journal, attempt) = (self.journal(), attempt(name));
        let tokens = answered(self);
        let written = journal.write(self.provider, version, &attempt, &tokens);
        written.await.unwrap();
    }

    /// Damaged files that were set aside.
    fn aside(&self) -> Vec<PathBuf> {
        let dir = fs::read_dir(self.settings.journal.as_ref().unwrap()).unwrap();
        let names = dir.map(|entry| entry.unwrap().path());
        names
            .filter(|path| path.to_string_lossy().contains("damaged"))
            .collect()
    }

    /// A start: the keeper runs until this grant's row says that all is well.
    async fn start_until_well(&self) {
        let running = Running::start(self);
        eventually("the grant is well", async || {
            self.grant().await.state == GrantState::Ok && self.grant().await.version == 2
        })
        .await;
        running.end().await;
    }
}

#[tokio::test]
async fn an_answer_that_was_journalled_and_not_committed_is_used_and_the_platform_not_asked() {
    // Fault 47: killed between the journal and the commit; no grace is needed.
    let strict = Platform::start(|_, _| Reply::refusal("invalid_grant", &[70000])).await;
    let bench = Bench::signed_in(strict, -1).await;
    bench.left_refreshing("a").await;
    bench.journalled("a", 1).await;
    let text = fs::read(bench.file()).unwrap();
    for canary in ["rt-1", "at-1"] {
        let found = text.windows(4).any(|four| four == canary.as_bytes());
        assert!(!found, "{canary} stands in the journal");
    }
    bench.start_until_well().await;
    let token = bench.keeper().access_token(bench.provider).await.unwrap();
    assert_eq!((word(&token), token.version), ("at-1", 2));
    assert_eq!(bench.refresh_token().await, "rt-1");
    assert_eq!(bench.platform.posts(), 0);
    assert_eq!(fs::metadata(bench.file()).unwrap().len(), 0);
    assert!(bench.aside().is_empty());
}

#[tokio::test]
async fn whoever_asks_first_after_a_start_gets_the_journalled_answer() {
    let strict = Platform::start(|_, _| Reply::refusal("invalid_grant", &[70000])).await;
    let bench = Bench::signed_in(strict, 3600).await;
    bench.left_refreshing("a").await;
    bench.journalled("a", 1).await;
    let token = bench.keeper().access_token(bench.provider).await.unwrap();
    assert_eq!(word(&token), "at-1");
    assert_eq!(bench.platform.posts(), 0);
}

#[tokio::test]
async fn an_answer_waits_in_the_journal_while_the_database_is_away_and_the_process_is_killed() {
    let (gate, platform) = gated().await;
    let mut bench = Bench::signed_in(platform, -1).await;
    bench.settings.drain = Duration::from_millis(1);
    let running = Running::start(&bench);
    bench.platform.reached(1).await;
    let lock = bench.database_refuses().await;
    gate.send_replace(true);
    let (journal, provider) = (bench.journal(), bench.provider);
    eventually("the answer is in the journal", async || {
        journal.read(provider).await.unwrap().noted.len() == 1
    })
    .await;
    // The process ends here: no drain time, nothing of the keeper goes on, and what it had asked of the
    // database has failed.
    running.end().await;
    assert!(bench.store.ping(bench.clock.now()).await.is_err());
    sqlx::Connection::close(lock).await.unwrap();
    assert_eq!(bench.refresh_token().await, "rt-0");
    bench.start_until_well().await;
    assert_eq!(bench.refresh_token().await, "rt-1");
    assert_eq!(bench.platform.posts(), 1);
}

#[tokio::test]
async fn a_record_that_outlived_its_commit_is_dropped_without_an_alarm() {
    let bench = Bench::signed_in(Platform::start(rotating()).await, 3600).await;
    bench.journalled("old", 0).await;
    let running = Running::start(&bench);
    eventually("the journal is empty", async || {
        fs::metadata(bench.file()).unwrap().len() == 0
    })
    .await;
    running.end().await;
    assert!(bench.aside().is_empty());
    assert_eq!(bench.grant().await.version, 1);
    assert_eq!(bench.platform.posts(), 0);
}

/// Leaves something in the grant's file, starts, and expects that the grant goes on with the stored token, and
/// that the file was set aside.
async fn a_bad_journal_is_survived(what: &str, leave: impl AsyncFnOnce(&Bench)) {
    let bench = Bench::signed_in(Platform::start(rotating()).await, 3600).await;
    bench.left_refreshing("a").await;
    leave(&bench).await;
    bench.start_until_well().await;
    assert_eq!(bench.refresh_token().await, "rt-1", "{what}");
    assert_eq!(bench.platform.posts(), 1, "{what}");
    let aside = bench.aside();
    assert_eq!(aside.len(), 1, "{what}");
    assert!(
        fs::metadata(&aside[0]).unwrap().len() <= 1 << 20,
        "{what}: more is kept than anybody wants"
    );
}

fn change(bench: &Bench, work: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(bench.file()).unwrap();
    work(&mut bytes);
    fs::write(bench.file(), bytes).unwrap();
}

#[tokio::test]
async fn a_bad_journal_is_set_aside_and_the_grant_goes_on_with_what_the_database_holds() {
    // Bad input 67.
    a_bad_journal_is_survived("half a record", async |bench| {
        bench.journalled("a", 1).await;
        change(bench, |bytes| bytes.truncate(bytes.len() / 2));
    })
    .await;
    a_bad_journal_is_survived("a wrong checksum", async |bench| {
        bench.journalled("a", 1).await;
        change(bench, |bytes| *bytes.last_mut().unwrap() ^= 1);
    })
    .await;
    a_bad_journal_is_survived("an unknown attempt", async |bench| {
        bench.journalled("b", 1).await;
    })
    .await;
    a_bad_journal_is_survived("an attempt of a version yet to come", async |bench| {
        bench.journalled("a", 7).await;
    })
    .await;
    a_bad_journal_is_survived("another database's record", async |bench| {
        let other = Bench::signed_in(Platform::start(rotating()).await, 3600).await;
        other.journalled("a", 1).await;
        fs::create_dir_all(bench.settings.journal.as_ref().unwrap()).unwrap();
        fs::copy(other.file(), bench.file()).unwrap();
    })
    .await;
    a_bad_journal_is_survived("a gibibyte of nothing", async |bench| {
        bench.journalled("a", 1).await;
        let file = fs::File::create(bench.file()).unwrap();
        file.set_len(1 << 30).unwrap();
    })
    .await;
    a_bad_journal_is_survived("rubbish", async |bench| {
        bench.journalled("a", 1).await;
        change(bench, |bytes| *bytes = vec![0xa5; 3 << 20]);
    })
    .await;
}

#[tokio::test]
async fn a_good_record_before_a_bad_one_is_used() {
    // Bad input 67.
    let bench = Bench::signed_in(Platform::start(rotating()).await, 3600).await;
    bench.left_refreshing("a").await;
    bench.journalled("a", 1).await;
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(bench.file())
        .unwrap();
    file.write_all(b"and then the power went").unwrap();
    bench.start_until_well().await;
    assert_eq!(bench.refresh_token().await, "rt-1");
    assert_eq!(bench.platform.posts(), 0);
    assert_eq!(bench.aside().len(), 1);
}

#[tokio::test]
async fn a_directory_in_the_files_place_stops_nothing() {
    // Bad input 67.
    let bench = Bench::signed_in(Platform::start(rotating()).await, 3600).await;
    bench.left_refreshing("a").await;
    fs::create_dir_all(bench.file()).unwrap();
    bench.start_until_well().await;
    assert_eq!(bench.refresh_token().await, "rt-1");
}

#[tokio::test]
async fn no_more_than_eight_damaged_journals_are_kept() {
    let bench = Bench::signed_in(Platform::start(rotating()).await, 3600).await;
    let journal = bench.journal();
    for number in 0..20 {
        bench.journalled("a", 1).await;
        change(&bench, |bytes| *bytes = vec![number; 10]);
        let contents = journal.read(bench.provider).await.unwrap();
        journal
            .set_aside(bench.provider, contents.fault.unwrap())
            .await;
    }
    assert_eq!(bench.aside().len(), 8);
    assert!(!bench.file().exists());
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_does_not_keep_the_answer_from_the_database() {
    // A directory that cannot be made: the database may well be elsewhere.
    let mut bench = Bench::signed_in(Platform::start(rotating()).await, -1).await;
    let in_the_way = bench.dir.path().join("file");
    fs::write(&in_the_way, b"").unwrap();
    bench.settings.journal = Some(in_the_way.join("token-journal"));
    let token = bench.keeper().access_token(bench.provider).await.unwrap();
    assert_eq!(word(&token), "at-1");
    assert_eq!(bench.refresh_token().await, "rt-1");
}

/// A pipe in the file's place: opening it to write waits until somebody reads, as a disk that does not answer does.
fn hanging(bench: &Bench) {
    fs::create_dir_all(bench.settings.journal.as_ref().unwrap()).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(bench.file())
        .status();
    assert!(made.unwrap().success());
}

#[tokio::test]
async fn a_journal_whose_disk_does_not_answer_holds_no_refresh_up() {
    let mut bench = Bench::signed_in(Platform::start(rotating()).await, -1).await;
    bench.settings.journal_patience = Duration::from_millis(300);
    hanging(&bench);
    let keeper = bench.keeper();
    let token = keeper.access_token(bench.provider).await.unwrap();
    assert_eq!(word(&token), "at-1");
    assert_eq!(bench.refresh_token().await, "rt-1");
    // The first write still hangs; a second one beside it could be cut short by it, so there is none.
    let journal = keeper.inner.journal.clone().unwrap();
    let tokens = answered(&bench);
    let again = journal.write(bench.provider, 2, "b", &tokens).await;
    assert!(matches!(again, Err(JournalError::Busy)), "{again:?}");
    bench.clock.advance(4000);
    let token = keeper.access_token(bench.provider).await.unwrap();
    assert_eq!(word(&token), "at-2");
    assert_eq!(bench.refresh_token().await, "rt-2");
    // The disk answers again: the journal is used again.
    let file = bench.file();
    let released = tokio::task::spawn_blocking(move || {
        let read = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        read
    });
    released.await.unwrap();
    eventually("the journal is written again", async || {
        let written = journal.write(bench.provider, 3, "c", &tokens).await;
        written.is_ok()
    })
    .await;
    bench.clock.advance(4000);
    let token = keeper.access_token(bench.provider).await.unwrap();
    assert_eq!(word(&token), "at-3");
    assert_eq!(fs::metadata(bench.file()).unwrap().len(), 0);
    assert_eq!(bench.platform.posts(), 3);
}

#[tokio::test]
async fn a_grant_whose_journal_cannot_be_looked_at_yet_is_not_risked() {
    // What an earlier run left may be the only good refresh token there is.
    let strict = Platform::start(|_, _| Reply::refusal("invalid_grant", &[70000])).await;
    let mut bench = Bench::signed_in(strict, -1).await;
    bench.settings.journal_patience = Duration::from_millis(100);
    bench.left_refreshing("a").await;
    bench.journalled("a", 1).await;
    let keeper = bench.keeper();
    let journal = keeper.inner.journal.clone().unwrap();
    // Every thread that the journal may use is at the disk.
    let busy = journal.all_threads().await;
    let waits = keeper.access_token(bench.provider).await;
    assert!(matches!(waits, Err(TokenError::Pending)), "{waits:?}");
    assert_eq!(bench.grant().await.state, GrantState::Refreshing);
    drop(busy);
    let token = keeper.access_token(bench.provider).await.unwrap();
    assert_eq!(word(&token), "at-1");
    assert_eq!(bench.platform.posts(), 0);
}

#[tokio::test]
async fn a_start_after_a_failed_refresh_tries_again_and_does_not_take_the_old_token_for_a_new_one()
{
    let platform = Platform::start(|_, number| match number {
        1 => Reply::raw(503, "text/plain", b""),
        _ => Reply::tokens("at-2", Some("rt-2")),
    })
    .await;
    let mut bench = Bench::signed_in(platform, 3600).await;
    bench.settings.waits.grace = Duration::from_secs(3600);
    bench.clock.advance(3000);
    let running = Running::start(&bench);
    eventually("the failure is recorded", async || {
        running.keeper.trouble(bench.provider).is_some()
            && bench.grant().await.state == GrantState::Ok
    })
    .await;
    running.end().await;
    assert_eq!(bench.platform.posts(), 1);
    // Ten minutes are left of its hour: it is due, although the row was written a moment ago.
    bench.start_until_well().await;
    assert_eq!(bench.platform.posts(), 2);
}

#[tokio::test]
async fn the_journal_is_private_and_empty_between_refreshes() {
    let bench = Bench::signed_in(Platform::start(rotating()).await, -1).await;
    let keeper = bench.keeper();
    for version in 2..5 {
        let token = keeper.access_token(bench.provider).await.unwrap();
        assert_eq!(token.version, version);
        assert_eq!(fs::metadata(bench.file()).unwrap().len(), 0);
        bench.clock.advance(4000);
    }
    assert_eq!(fs::metadata(bench.file()).unwrap().mode() & 0o777, 0o600);
    let dir = bench.settings.journal.as_ref().unwrap();
    assert_eq!(fs::metadata(dir).unwrap().mode() & 0o777, 0o700);
}
