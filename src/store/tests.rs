//! Steps that go wrong in a shared commit, seen from inside: the others are committed all the same.

use std::time::Duration;

use futures_util::{future::join_all, poll};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    Page, Settings, Store, StoreError,
    tx::{Step, Tx},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Good,
    RefusedFirst,
    RefusedAfterWriting,
    BrokenSql,
    Panic,
    Slow,
}

struct Probe {
    name: String,
    way: Way,
}

impl Step for Probe {
    type Answer = ();
    const DOING: &'static str = "probing";

    async fn apply(&self, tx: &mut Tx) -> Result<(), StoreError> {
        if self.way == Way::RefusedFirst {
            return Err(StoreError::Conflict("first".to_owned()));
        }
        tx.run(
            sqlx::query("INSERT INTO cm_lists (name, created_at, updated_at) VALUES (?, 0, 0)")
                .bind(&self.name),
        )
        .await?;
        match self.way {
            Way::Good | Way::RefusedFirst => Ok(()),
            Way::RefusedAfterWriting => Err(StoreError::Conflict("later".to_owned())),
            Way::BrokenSql => tx
                .run(sqlx::query("UPDATE nonsense SET x = 1"))
                .await
                .map(|_| ()),
            Way::Panic => panic!("a bug in a step"),
            Way::Slow => {
                tokio::time::sleep(Duration::from_millis(700)).await;
                Ok(())
            }
        }
    }
}

#[tokio::test]
async fn a_step_that_goes_wrong_takes_none_of_its_neighbours_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings {
        read_connections: 1,
        patience: Duration::from_secs(20),
        ..super::testing::settings(directory.path())
    };
    let (store, writer) = Store::open(&settings).await.unwrap();
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let ways = [
        Way::Good,
        Way::RefusedFirst,
        Way::Good,
        Way::BrokenSql,
        Way::Good,
        Way::RefusedAfterWriting,
        Way::Panic,
        Way::Good,
    ];
    let steps = ways.iter().enumerate().map(|(n, way)| {
        store.write(Probe {
            name: format!("{n}"),
            way: *way,
        })
    });
    let mut calls = Box::pin(join_all(steps));
    // All are in the queue before the writer looks: they are merged.
    assert!(poll!(calls.as_mut()).is_pending());
    tasks.spawn(writer.run(stop.clone()));
    for (way, answer) in ways.into_iter().zip(calls.await) {
        let expected = match way {
            Way::Good => answer.is_ok(),
            Way::RefusedFirst | Way::RefusedAfterWriting => {
                matches!(answer, Err(StoreError::Conflict(_)))
            }
            Way::BrokenSql | Way::Panic => matches!(answer, Err(StoreError::Sql { .. })),
            Way::Slow => unreachable!(),
        };
        assert!(expected, "{way:?}: {answer:?}");
    }
    let page = Page {
        limit: 100,
        offset: 0,
    };
    let lists = store.list_list(page).await.unwrap();
    let names: Vec<&str> = lists.rows.iter().map(|list| list.name.as_str()).collect();
    assert_eq!(names, ["0", "2", "4", "7"]);
    stop.cancel();
    tasks.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn steps_that_are_too_much_together_are_written_alone_while_somebody_waits() {
    let directory = tempfile::tempdir().unwrap();
    let patience = Duration::from_secs(2);
    let settings = Settings {
        read_connections: 1,
        patience,
        ..super::testing::settings(directory.path())
    };
    let (store, writer) = Store::open(&settings).await.unwrap();
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let steps = (0..8).map(|n| {
        store.write(Probe {
            name: format!("{n}"),
            way: Way::Slow,
        })
    });
    let mut calls = Box::pin(join_all(steps));
    assert!(poll!(calls.as_mut()).is_pending());
    let begun = std::time::Instant::now();
    tasks.spawn(writer.run(stop.clone()));
    let answers = calls.await;
    assert!(begun.elapsed() < patience * 4, "{:?}", begun.elapsed());
    let (written, late): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.is_ok());
    assert!(!written.is_empty() && !late.is_empty(), "{answers:?}");
    for answer in late {
        assert!(
            matches!(answer, Err(StoreError::Unavailable { .. })),
            "{answer:?}"
        );
    }
    let page = Page {
        limit: 100,
        offset: 0,
    };
    let lists = store.list_list(page).await.unwrap();
    assert_eq!(lists.rows.len(), written.len());
    stop.cancel();
    tasks.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_writer_that_is_dropped_tells_its_callers_that_nobody_knows() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings {
        read_connections: 1,
        patience: Duration::from_secs(20),
        ..super::testing::settings(directory.path())
    };
    let (store, writer) = Store::open(&settings).await.unwrap();
    let mut call = Box::pin(store.write(Probe {
        name: "x".to_owned(),
        way: Way::Good,
    }));
    assert!(poll!(call.as_mut()).is_pending());
    drop(writer);
    let answer = call.await;
    assert!(
        matches!(answer, Err(StoreError::OutcomeUnknown { .. })),
        "{answer:?}"
    );
    let later = store
        .write(Probe {
            name: "y".to_owned(),
            way: Way::Good,
        })
        .await;
    assert!(matches!(later, Err(StoreError::Closed)), "{later:?}");
}

#[tokio::test]
async fn a_heartbeat_goes_before_all_that_wait() {
    // Thousands of accounts that start together write before they connect; without its beat the node would let go
    // of all of them.
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = super::testing::open(directory.path()).await;
    let mut waiting: Vec<_> = (0..500)
        .map(|n| {
            let (name, way) = (n.to_string(), Way::Good);
            Box::pin(store.write(Probe { name, way }))
        })
        .collect();
    for step in &mut waiting {
        assert!(poll!(step).is_pending());
    }
    let node = crate::model::NodeId::random();
    let mut beat = Box::pin(store.node_beat(&node));
    assert!(poll!(&mut beat).is_pending());
    let mut tasks = JoinSet::new();
    tasks.spawn(writer.run(CancellationToken::new()));
    assert!(!beat.await.unwrap(), "nobody registered it");
    let mut before = 0;
    let mut others = Vec::new();
    for mut step in waiting {
        match poll!(&mut step) {
            std::task::Poll::Ready(answer) => {
                answer.unwrap();
                before += 1;
            }
            std::task::Poll::Pending => others.push(step),
        }
    }
    // Those of its own commit, and of the next at most.
    assert!(before <= 2 * 64, "{before}");
    for answer in join_all(others).await {
        answer.unwrap();
    }
}
