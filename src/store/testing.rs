//! A store of its own for a test.

use std::{path::Path, time::Duration};

use super::{Settings, Store, Writer};

/// Settings of an SQLite store in a directory.
pub(crate) fn settings(home: &Path) -> Settings {
    Settings {
        url: format!("sqlite://{}/store.db", home.display()).into(),
        key_file: home.join("key"),
        ca_file: home.join("ca.pem"),
        read_connections: 2,
        patience: Duration::from_secs(20),
    }
}

/// That store; who tests lets the writer run.
pub(crate) async fn open(home: &Path) -> (Store, Writer) {
    Store::open(&settings(home)).await.unwrap()
}
