//! What one account meets is known to all whom it concerns, and to nobody else: throttled mailboxes, dead hosts.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::support::{Daemon, Engine, Lab, eventually};

const PATIENCE: Duration = Duration::from_secs(120);

/// An IMAP server over TLS, by the lab's certificate, with empty mailboxes for everybody. It can throttle one user.
struct Server {
    port: u16,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct State {
    /// Logins, and commands behind them, by user.
    logins: BTreeMap<String, usize>,
    commands: BTreeMap<String, usize>,
    /// The next command of this user is answered with these words.
    throttles: Option<(String, String)>,
}

impl Server {
    async fn start(lab: &Lab) -> Self {
        let read = |name: &str| {
            let path = format!("{}/tls/{name}", lab.get("LAB_STATE"));
            std::fs::read(path).expect("the lab's certificate")
        };
        let identity = native_tls::Identity::from_pkcs8(&read("server.pem"), &read("server.key"))
            .expect("an identity");
        let acceptor = native_tls::TlsAcceptor::new(identity).expect("an acceptor");
        let acceptor = async_native_tls::TlsAcceptor::from(acceptor);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("address").port();
        let state = Arc::new(Mutex::new(State::default()));
        let mut tasks = JoinSet::new();
        let shared = state.clone();
        tasks.spawn(async move {
            let mut talks = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, state) = (acceptor.clone(), shared.clone());
                talks.spawn(async move {
                    if let Ok(tls) = acceptor.accept(tcp).await {
                        let _hung_up = talk(tls, &state).await;
                    }
                });
            }
        });
        Self {
            port,
            state,
            _tasks: tasks,
        }
    }

    fn throttle(&self, user: &str, words: &str) {
        let mut state = self.state.lock().expect("state");
        state.throttles = Some((user.to_owned(), words.to_owned()));
    }

    fn logins(&self, user: &str) -> usize {
        let state = self.state.lock().expect("state");
        state.logins.get(user).copied().unwrap_or(0)
    }

    fn commands(&self, user: &str) -> usize {
        let state = self.state.lock().expect("state");
        state.commands.get(user).copied().unwrap_or(0)
    }
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    state: &Mutex<State>,
) -> std::io::Result<()> {
    let mut line = BufReader::new(stream);
    line.get_mut().write_all(b"* OK ready\r\n").await?;
    let (mut text, mut user, mut idles) = (String::new(), String::new(), None);
    loop {
        text.clear();
        if line.read_line(&mut text).await? == 0 {
            return Ok(());
        }
        let mut words = text.split_whitespace();
        let tag = words.next().unwrap_or("").to_owned();
        let command = words.next().unwrap_or("").to_uppercase();
        let rest = words.next().unwrap_or("").trim_matches('"').to_owned();
        let throttled = {
            let mut state = state.lock().expect("state");
            if command == "LOGIN" {
                user.clone_from(&rest);
                *state.logins.entry(user.clone()).or_default() += 1;
            } else if !user.is_empty() {
                *state.commands.entry(user.clone()).or_default() += 1;
            }
            let concerns =
                tag != "DONE" && state.throttles.as_ref().is_some_and(|(of, _)| *of == user);
            concerns.then(|| state.throttles.take()).flatten()
        };
        let answer = if let Some((_, words)) = throttled {
            format!("{tag} BAD {words}\r\n")
        } else if tag == "DONE" {
            format!("{} OK done\r\n", idles.take().unwrap_or_default())
        } else {
            match command.as_str() {
                "CAPABILITY" => format!("* CAPABILITY IMAP4rev1 IDLE\r\n{tag} OK done\r\n"),
                "SELECT" | "EXAMINE" => format!(
                    "* 0 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [UIDNEXT 1] ok\r\n{tag} OK [READ-WRITE] done\r\n"
                ),
                "IDLE" => {
                    idles = Some(tag.clone());
                    "+ idling\r\n".to_owned()
                }
                _ => format!("{tag} OK done\r\n"),
            }
        };
        line.get_mut().write_all(answer.as_bytes()).await?;
    }
}

/// Accounts whose IMAP server is at another port of this machine.
async fn account(daemon: &Daemon, list: i64, key: &str, user: &str, ports: (u16, u16)) -> i64 {
    let body = daemon.account_body(
        list,
        key,
        user,
        json!({
            "authentication": "password", "username": user, "password": daemon.lab.get("LAB_PASSWORD"),
            "imap": {"host": "127.0.0.1", "port": ports.0, "tls": "tls"},
            "smtp": {"host": "127.0.0.1", "port": ports.1, "tls": "starttls"},
        }),
    );
    let added = daemon.api.post("/api/mail/accounts", &body).await;
    added["id"].as_i64().expect("id")
}

async fn look_now(daemon: &Daemon, account: i64) {
    let path = format!("/api/mail/accounts/{account}/sync");
    daemon.api.call(reqwest::Method::POST, &path, None).await;
}

async fn servers(daemon: &Daemon) -> Value {
    daemon.api.get("/api/status").await["servers"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_throttled_mailbox_holds_its_other_connections_and_no_neighbour() {
    // I6. Bad input 18: a time that the server names is kept by all connections to that mailbox.
    let daemon = Daemon::start(Engine::Sqlite, &[]).await;
    let server = Server::start(&daemon.lab).await;
    let list = daemon.add_list().await;
    let (desk, other) = (
        daemon.lab.fresh_mailbox("desk"),
        daemon.lab.fresh_mailbox("other"),
    );
    let ports = (server.port, daemon.lab.port("SUBMISSION_PORT"));
    let first = account(&daemon, list, "ONE", &desk, ports).await;
    let second = account(&daemon, list, "TWO", &desk, ports).await;
    let neighbour = account(&daemon, list, "NEXT", &other, ports).await;
    for id in [first, second, neighbour] {
        daemon.wait_lane(id, "inbound", "ready").await;
    }
    let logins = server.logins(&desk);
    assert_eq!(logins, 2);
    server.throttle(
        &desk,
        "Request is throttled. Suggested Backoff Time: 6000 milliseconds",
    );
    look_now(&daemon, first).await;
    daemon.wait_lane(first, "inbound", "waiting").await;
    let said = server.commands(&desk);
    let rests = servers(&daemon).await["rests"].clone();
    assert_eq!(rests.as_array().map(Vec::len), Some(1), "{rests}");
    assert_eq!(rests[0]["of"], "mailbox", "{rests}");
    assert!(
        rests[0]["whose"]
            .as_str()
            .expect("whose")
            .starts_with(&desk)
    );
    let shown = String::from_utf8(daemon.cli(&["status"]).stdout).expect("text");
    assert!(shown.contains("(mailbox) rests until"), "{shown}");

    // The other account of the mailbox is asked to look and says nothing to the server but its leave.
    look_now(&daemon, second).await;
    daemon.wait_lane(second, "inbound", "waiting").await;
    let (_, code) = daemon.lane(second, "inbound").await;
    assert_eq!(code.as_deref(), Some("held_mailbox"));
    look_now(&daemon, second).await;
    // The neighbour is asked to look and does.
    let before = server.commands(&other);
    look_now(&daemon, neighbour).await;
    eventually("the neighbour looks", PATIENCE, || async {
        let now = server.commands(&other);
        (now > before).then_some(()).ok_or_else(|| now.to_string())
    })
    .await;
    daemon.wait_lane(neighbour, "inbound", "ready").await;
    assert_eq!(
        server.logins(&other),
        1,
        "the neighbour kept its connection"
    );
    if servers(&daemon).await["rests"] == rests {
        assert_eq!(server.logins(&desk), logins);
        assert!(server.commands(&desk) <= said + 1, "one DONE at most");
    }
    // The time is over, and all goes on by itself.
    for id in [first, second] {
        daemon.wait_lane(id, "inbound", "ready").await;
    }
    assert_eq!(server.logins(&desk), logins + 2);
    assert_eq!(servers(&daemon).await["rests"], json!([]));
    let log = daemon.combined_log();
    assert_eq!(log.matches("server asked for a rest").count(), 1, "{log}");
}

/// A port that hangs up on everybody until it is well; then it leads to a server.
struct Host {
    port: u16,
    well: Arc<AtomicBool>,
    hung_up: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Host {
    async fn dead(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("address").port();
        let (well, hung_up) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (is_well, count): (_, Arc<AtomicUsize>) = (well.clone(), Arc::clone(&hung_up));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                if !is_well.load(Ordering::SeqCst) {
                    count.fetch_add(1, Ordering::SeqCst);
                    continue;
                }
                lines.spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await {
                        let _ended = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Self {
            port,
            well,
            hung_up,
            _tasks: tasks,
        }
    }

    fn dials(&self) -> usize {
        self.hung_up.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_host_with_two_hundred_accounts_costs_few_dials_and_all_heal_by_themselves() {
    // I6. Fault 26.
    const ACCOUNTS: usize = 200;
    let daemon = Daemon::start(Engine::Sqlite, &[("XC_DEBUG_LEVEL", "INFO")]).await;
    let list = daemon.add_list().await;
    let mailbox = daemon.lab.fresh_mailbox("well");
    let neighbour = daemon.add_password_account(list, "WELL", &mailbox).await;
    let imap = Host::dead(daemon.lab.port("IMAPS_PORT")).await;
    let smtp = Host::dead(daemon.lab.port("SUBMISSION_PORT")).await;
    let base = daemon.lab.fresh_mailbox("dead");
    for n in 0..ACCOUNTS {
        let (key, user) = (format!("D{n:03}"), format!("{n}{base}"));
        account(&daemon, list, &key, &user, (imap.port, smtp.port)).await;
    }
    let lanes = || async {
        let rows = daemon.api.rows("/api/mail/accounts").await;
        let of_dead = rows
            .into_iter()
            .filter(|row| row["key"].as_str().is_some_and(|key| key.starts_with('D')));
        let states = of_dead.flat_map(|row| {
            ["inbound", "outbound"].map(|lane| {
                let lane = &row["status"][lane];
                lane["state"].as_str().unwrap_or("none").to_owned()
            })
        });
        states.collect::<Vec<String>>()
    };
    eventually("all lanes wait", PATIENCE, || async {
        let states = lanes().await;
        let waiting = states.iter().filter(|state| *state == "waiting").count();
        // A probe may be under way for each.
        let all = states.len() == 2 * ACCOUNTS && waiting >= 2 * ACCOUNTS - 2;
        all.then_some(()).ok_or_else(|| waiting.to_string())
    })
    .await;
    for host in [&imap, &smtp] {
        let dials = host.dials();
        // Five refusals and what was under way with them; probes since.
        assert!(dials < 40, "{dials} dials for {ACCOUNTS} accounts");
    }
    let shown = servers(&daemon).await;
    let silent = shown["hosts"].as_array().expect("hosts").iter();
    let silent = silent.filter(|host| host["silent"] == true).count();
    assert_eq!(silent, 2, "{shown}");
    daemon.wait_lane(neighbour, "inbound", "ready").await;
    let log = daemon.combined_log();
    assert_eq!(log.matches("server gives nobody an answer").count(), 2);

    imap.well.store(true, Ordering::SeqCst);
    smtp.well.store(true, Ordering::SeqCst);
    eventually("all lanes are ready", PATIENCE, || async {
        let states = lanes().await;
        let ready = states.iter().filter(|state| *state == "ready").count();
        (ready == 2 * ACCOUNTS)
            .then_some(())
            .ok_or_else(|| ready.to_string())
    })
    .await;
    let log = daemon.combined_log();
    assert_eq!(log.matches("server answers again").count(), 2);
}
