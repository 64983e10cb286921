//! A daemon of the test's own: the shipped binary as a real process, with its own folder, database and
//! sockets, so that it can be killed and started again.

use std::{
    fmt::Write as _,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use sqlx::{Connection, Executor};

use super::{Api, Lab, eventually};

/// Which database the daemon under test uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file in the daemon's folder.
    Sqlite,
    /// A database of its own on the lab's MariaDB.
    MariaDb,
}

/// The process and its surroundings. Killed when dropped.
pub struct Daemon {
    /// The lab it works in.
    pub lab: Lab,
    /// Its API.
    pub api: Api,
    folder: tempfile::TempDir,
    database: Option<String>,
    settings: Vec<(String, String)>,
    /// Variables of the process's own environment.
    pub environment: Vec<(String, String)>,
    /// A command that starts the daemon, e.g. `strace -D …`; it must keep the process id.
    pub wrapper: Vec<String>,
    child: Option<Child>,
}

impl Daemon {
    /// Prepares and starts one, and waits until it is ready. `settings` go into its env file.
    pub async fn start(engine: Engine, settings: &[(&str, &str)]) -> Self {
        let mut daemon = Self::prepare(engine, settings).await;
        daemon.launch().await;
        daemon
    }

    /// Everything but the process.
    pub async fn prepare(engine: Engine, settings: &[(&str, &str)]) -> Self {
        let lab = Lab::load();
        let folder = tempfile::tempdir().expect("a folder");
        let database = match engine {
            Engine::Sqlite => None,
            Engine::MariaDb => Some(make_database(&lab).await),
        };
        let url = match &database {
            None => format!("sqlite://{}/motion-email.db", folder.path().display()),
            Some(name) => sibling_url(&lab, name),
        };
        let socket = folder.path().join("motion-email.sock");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut all: Vec<(String, String)> = [
            ("XC_DEBUG_LEVEL", "DEBUG".to_owned()),
            ("XC_EMAIL_LOG_DIR", path("log")),
            ("XC_EMAIL_DATA_DIR", path("data")),
            ("XC_EMAIL_DATABASE_URL", url),
            ("XC_EMAIL_LISTEN", format!("127.0.0.1:{}", free_port())),
            ("XC_EMAIL_SOCKET", socket.display().to_string()),
            (
                "XC_EMAIL_ALLOW_HOSTS",
                "127.0.0.1,localhost,127.0.0.9".to_owned(),
            ),
            ("XC_EMAIL_CA_FILE", lab.get("CA_FILE").to_owned()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        for (key, value) in settings {
            all.retain(|(known, _)| known != key);
            all.push(((*key).to_owned(), (*value).to_owned()));
        }
        let daemon = Self {
            api: Api::new(&socket),
            lab,
            folder,
            database,
            settings: all,
            environment: Vec::new(),
            wrapper: Vec::new(),
            child: None,
        };
        daemon.write_settings();
        daemon
    }

    /// One setting of the env file.
    pub fn setting(&self, key: &str) -> &str {
        self.settings
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.as_str())
            .expect("setting")
    }

    /// Changes a setting in the env file; a running daemon sees it at SIGHUP.
    pub fn change_setting(&mut self, key: &str, value: &str) {
        self.settings.retain(|(known, _)| known != key);
        self.settings.push((key.to_owned(), value.to_owned()));
        self.write_settings();
    }

    /// From the next start on, `first` (a shell command) is done to a copy of the machine's own names or mounts (an
    /// option of `unshare`) that only the daemon sees.
    pub fn in_namespace(&mut self, namespace: &str, first: &str) {
        self.wrapper = ["unshare", namespace, "sh", "-c"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("{first} && exec \"$@\""), "sh".to_owned()])
            .collect();
    }

    /// From the next start on the daemon is started by this command; by none where it is empty.
    pub fn wrap(&mut self, command: &[&str]) {
        self.wrapper = command.iter().map(|word| (*word).to_owned()).collect();
    }

    /// Ends a daemon that runs below another process, in order.
    pub async fn stop_wrapped(&mut self) {
        let outer = self.pid();
        let children = format!("/proc/{outer}/task/{outer}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        for pid in children.split_whitespace() {
            let told = Command::new("kill").args(["-TERM", pid]).status();
            assert!(told.expect("kill runs").success());
        }
        self.wait_end(Duration::from_secs(26)).await;
    }

    fn write_settings(&self) {
        let mut text = String::new();
        for (key, value) in &self.settings {
            writeln!(text, "{key}={value}").expect("text");
        }
        // 0600: a file that holds a database password and that everybody may read is refused.
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(self.env_file())
            .expect("the env file");
        file.write_all(text.as_bytes()).expect("the env file");
    }

    /// The env file's path.
    pub fn env_file(&self) -> PathBuf {
        self.folder.path().join("motion-email.env")
    }

    /// A path in the daemon's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The base URL of its TCP side.
    pub fn url(&self) -> String {
        format!("http://{}", self.setting("XC_EMAIL_LISTEN"))
    }

    /// Starts the process and waits until it answers that it is ready.
    pub async fn launch(&mut self) {
        self.spawn();
        self.wait_ready().await;
    }

    /// Starts the process and does not wait.
    pub fn spawn(&mut self) {
        let errors = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("stderr"))
            .expect("stderr file");
        let mut words: Vec<std::ffi::OsString> = self.wrapper.iter().map(Into::into).collect();
        words.extend([
            binary().into(),
            "run".into(),
            "--env-file".into(),
            self.env_file().into(),
        ]);
        let child = Command::new(&words[0])
            .args(&words[1..])
            .env_remove("NOTIFY_SOCKET")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::from(errors.try_clone().expect("clone")))
            .stderr(Stdio::from(errors))
            .spawn()
            .expect("the daemon starts");
        self.child = Some(child);
    }

    /// Waits until it is ready.
    pub async fn wait_ready(&mut self) {
        let child = self.child.as_mut().expect("started");
        let (api, stderr) = (&self.api, self.folder.path().join("stderr"));
        let mut ended = || child.try_wait().expect("wait");
        eventually("the daemon is ready", Duration::from_secs(30), || {
            if let Some(status) = ended() {
                let said = std::fs::read_to_string(&stderr).unwrap_or_default();
                panic!("the daemon ended while starting: {status}\n{said}");
            }
            async {
                match api.call(reqwest::Method::GET, "/health/ready", None).await {
                    Some((status, _)) if status.is_success() => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            }
        })
        .await;
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("started").id()
    }

    /// SIGKILL, and awaits the end.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("kill");
            child.wait().expect("wait");
        }
    }

    /// Whether the process has ended by itself (or was never started).
    pub fn has_ended(&mut self) -> bool {
        self.child
            .as_mut()
            .is_none_or(|child| child.try_wait().expect("wait").is_some())
    }

    /// Sends a signal by name, e.g. `HUP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.pid().to_string()])
            .status();
        assert!(sent.expect("kill runs").success(), "signal {name}");
    }

    /// SIGTERM; waits for the end, at most 25 seconds.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait_end(Duration::from_secs(26)).await
    }

    /// Waits for the process to end by itself.
    pub async fn wait_end(&mut self, limit: Duration) -> ExitStatus {
        let mut child = self.child.take().expect("started");
        eventually("the daemon ends", limit, || {
            let seen = child.try_wait().expect("wait");
            async move { seen.ok_or_else(|| "still running".to_owned()) }
        })
        .await
    }

    /// All of today's and other combined logs as one text.
    pub fn combined_log(&self) -> String {
        self.logs("email-combined.")
    }

    /// All error logs as one text.
    pub fn error_log(&self) -> String {
        self.logs("email-error.")
    }

    fn logs(&self, prefix: &str) -> String {
        let mut names: Vec<PathBuf> = std::fs::read_dir(self.setting("XC_EMAIL_LOG_DIR"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
            })
            .collect();
        names.sort();
        names
            .iter()
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .collect()
    }

    /// Adds a list; gives its id.
    pub async fn add_list(&self) -> i64 {
        self.api
            .post("/api/cm/lists", &json!({"name": "Customers"}))
            .await["id"]
            .as_i64()
            .expect("id")
    }

    /// Adds an account with a password on the lab's servers; gives its id.
    pub async fn add_password_account(&self, list: i64, key: &str, mailbox: &str) -> i64 {
        let body = self.account_body(
            list,
            key,
            mailbox,
            json!({
                "authentication": "password",
                "username": mailbox,
                "password": self.lab.get("LAB_PASSWORD"),
            }),
        );
        self.api.post("/api/mail/accounts", &body).await["id"]
            .as_i64()
            .expect("id")
    }

    /// The body of an account on the lab's servers, with `more` fields on top.
    pub fn account_body(&self, list: i64, key: &str, mailbox: &str, more: Value) -> Value {
        let mut body = json!({
            "name": format!("Account {key}"), "key": key, "address": mailbox, "ListId": list, "service": "custom",
            "imap": {"host": "127.0.0.1", "port": self.lab.port("IMAPS_PORT"), "tls": "tls"},
            "smtp": {"host": "127.0.0.1", "port": self.lab.port("SUBMISSION_PORT"), "tls": "starttls"},
        });
        let fields = body.as_object_mut().expect("object");
        fields.extend(more.as_object().expect("object").clone());
        body
    }

    /// Adds a cloud provider for an OAuth client of this test's own and signs `user` in.
    pub async fn add_provider(&self, user: &str, token_seconds: u32) -> (i64, String) {
        let (client, secret) = self.lab.client(token_seconds).await;
        let provider = self
            .api
            .post("/api/cloudProviders", &json!({
                "name": format!("Lab {client}"), "service": "microsoft",
                "applicationId": client, "tenantId": self.lab.get("TENANT"), "clientSecret": secret,
                "redirectUri": format!("{}{}", self.url(), self.lab.get("CALLBACK_PATH")),
                "authority": self.lab.get("AUTHORITY"),
            }))
            .await["id"]
            .as_i64()
            .expect("id");
        self.sign_in(provider, user).await;
        (provider, client)
    }

    /// Signs `user` in to a provider, as a person with a browser would.
    pub async fn sign_in(&self, provider: i64, user: &str) {
        let begun = self
            .api
            .post(
                &format!("/api/cloudProviders/{provider}/authenticate"),
                &json!({}),
            )
            .await;
        self.lab
            .sign_in(user, begun["authorizeUrl"].as_str().expect("authorizeUrl"))
            .await;
    }

    /// The state word of one lane of an account, and its diagnosis code.
    pub async fn lane(&self, account: i64, lane: &str) -> (String, Option<String>) {
        let shown = self.api.get(&format!("/api/mail/accounts/{account}")).await;
        let lane = &shown["status"][lane];
        (
            lane["state"].as_str().unwrap_or("none").to_owned(),
            lane["code"].as_str().map(str::to_owned),
        )
    }

    /// Waits until a lane is in a state.
    pub async fn wait_lane(&self, account: i64, lane: &str, state: &str) {
        eventually(
            &format!("{lane} lane of account {account} is {state}"),
            Duration::from_secs(20),
            || async {
                let seen = self.lane(account, lane).await;
                if seen.0 == state {
                    Ok(())
                } else {
                    Err(format!("{seen:?}"))
                }
            },
        )
        .await;
    }

    /// Runs the shipped command line against this daemon.
    pub fn cli(&self, args: &[&str]) -> std::process::Output {
        Command::new(binary())
            .args(args)
            .env("XC_EMAIL_SOCKET", self.setting("XC_EMAIL_SOCKET"))
            .stdin(Stdio::null())
            .output()
            .expect("the command line runs")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.combined_log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!("---- the daemon's last lines ----");
            for line in tail.iter().rev() {
                eprintln!("{line}");
            }
            eprintln!(
                "{}",
                std::fs::read_to_string(self.path("stderr")).unwrap_or_default()
            );
        }
        if let Some(name) = self.database.take() {
            let url = self.lab.get("DATABASE_URL").to_owned();
            // A runtime of its own: a drop cannot await.
            let dropped = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("runtime");
                runtime.block_on(async {
                    let mut connection =
                        sqlx::MySqlConnection::connect(&url).await.expect("MariaDB");
                    let drop = sqlx::AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name}"));
                    connection.execute(sqlx::raw_sql(drop)).await.expect("drop");
                });
            });
            let _ = dropped.join();
        }
    }
}

/// The binary under test.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_motion-email"))
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("address")
        .port()
}

async fn make_database(lab: &Lab) -> String {
    let name = format!("t_{}", uuid::Uuid::new_v4().simple());
    let mut connection = sqlx::MySqlConnection::connect(lab.get("DATABASE_URL"))
        .await
        .expect("MariaDB");
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
    connection
        .execute(sqlx::raw_sql(create))
        .await
        .expect("create database");
    name
}

fn sibling_url(lab: &Lab, database: &str) -> String {
    let url = lab.get("DATABASE_URL");
    let (base, _) = url.rsplit_once('/').expect("a database URL");
    format!("{base}/{database}")
}
