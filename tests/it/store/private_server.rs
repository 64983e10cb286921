//! A mariadbd of one test's own, for settings that would disturb the others on the lab's.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use sqlx::{AnyConnection, AssertSqlSafe, Connection};

use crate::support::eventually;

/// The server; killed with the test.
pub struct PrivateServer {
    directory: tempfile::TempDir,
    process: Child,
}

impl PrivateServer {
    /// Started with these options, and ready.
    pub async fn start(options: &[&str]) -> Self {
        sqlx::any::install_default_drivers();
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| format!("{}/{name}", directory.path().display());
        let made = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--skip-test-db", "--user=root"])
            .arg("--auth-root-authentication-method=normal")
            .arg(format!("--datadir={}", at("data")))
            .output()
            .expect("mariadb-install-db is installed by the lab");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let process = Command::new("mariadbd")
            .args(["--no-defaults", "--skip-networking", "--user=root"])
            .arg(format!("--datadir={}", at("data")))
            .arg(format!("--socket={}", at("socket")))
            .arg(format!("--pid-file={}", at("pid")))
            .args(["--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M"])
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mariadbd is installed by the lab");
        let server = Self { directory, process };
        let url = server.url("mysql");
        eventually("the server answers", Duration::from_secs(60), || async {
            AnyConnection::connect(&url)
                .await
                .map_err(|error| error.to_string())
        })
        .await;
        server
    }

    /// Its database of this name, as root by its socket.
    pub fn url(&self, database: &str) -> String {
        let socket = self.directory.path().join("socket");
        format!(
            "mysql://root@localhost/{database}?socket={}",
            socket.display()
        )
    }

    /// One statement as root.
    pub async fn run(&self, text: &str) {
        let mut connection = AnyConnection::connect(&self.url("mysql")).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(text.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        connection.close().await.unwrap();
    }

    /// Killed.
    pub async fn end(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
