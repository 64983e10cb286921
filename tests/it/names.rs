//! Fault 44: a name server that is wrong, ill, slow, or tells of a move.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::support::{
    Daemon, Engine, eventually, mail,
    name_server::{NameServer, Says, loopback},
};

/// The lab's certificate names it; only the test's own name server knows where it is.
const HOST: &str = "imap.lab.test";
const AT_ONCE: Duration = Duration::ZERO;

/// A mail server's address: what connects there is led to the lab. Who moves away drops its lines.
struct House {
    address: Ipv4Addr,
    guests: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl House {
    async fn build(port: u16) -> Self {
        let address = loopback();
        let listener = TcpListener::bind((address, port)).await.expect("a house");
        let guests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&guests);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((mut guest, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                lines.spawn(async move {
                    let Ok(mut lab) = TcpStream::connect(("127.0.0.1", port)).await else {
                        return;
                    };
                    let _ = copy_bidirectional(&mut guest, &mut lab).await;
                });
            }
        });
        Self {
            address,
            guests,
            _task: task,
        }
    }

    fn guests(&self) -> usize {
        self.guests.load(Ordering::Relaxed)
    }
}

async fn until_asked(names: &NameServer, says: Says, times: usize) {
    let limit = Duration::from_secs(30);
    eventually(&format!("asked {times} times, {says:?}"), limit, || async {
        let asked = names.asked(says);
        if asked >= times {
            Ok(())
        } else {
            Err(asked.to_string())
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_44_a_lane_backs_off_from_an_ill_name_server_waits_for_a_slow_one_and_follows_a_move()
{
    let names = NameServer::start(HOST, Says::ServerFailure).await;
    // Also the shortest of the growing delays, whose growth is tested beside them.
    let first = Duration::from_secs(1);
    let mut daemon = Daemon::prepare(
        Engine::Sqlite,
        &[
            ("XC_EMAIL_ALLOW_HOSTS", "127.0.0.1,localhost,imap.lab.test"),
            ("XC_EMAIL_PARKED_RETRY", "1s"),
        ],
    )
    .await;
    // One question for a name, and patience: what bounds it then is ours.
    let resolver = daemon.path("resolv.conf");
    let text = format!(
        "nameserver {}\noptions timeout:30 attempts:1\n",
        names.address
    );
    std::fs::write(&resolver, text).expect("resolv.conf");
    daemon.wrapper = ["unshare", "--mount", "sh", "-c"]
        .map(str::to_owned)
        .into_iter()
        .chain([
            format!(
                "mount --bind {} /etc/resolv.conf && exec \"$@\"",
                resolver.display()
            ),
            "sh".to_owned(),
        ])
        .collect();
    daemon.launch().await;
    let list = daemon.add_list().await;
    let other = daemon.lab.fresh_mailbox("unconcerned");
    let other = daemon.add_password_account(list, "OTHER", &other).await;
    let mailbox = daemon.lab.fresh_mailbox("named");
    let port = daemon.lab.port("IMAPS_PORT");
    let login = json!({
        "authentication": "password", "username": mailbox, "password": daemon.lab.get("LAB_PASSWORD"),
        "imap": {"host": HOST, "port": port, "tls": "tls"},
    });
    let body = daemon.account_body(list, "NAMED", &mailbox, login);
    let mut begun = Instant::now();
    let named = daemon.api.post("/api/mail/accounts", &body).await["id"]
        .as_i64()
        .expect("id");

    // SERVFAIL, then NXDOMAIN: told, and asked again with a delay that is never shorter than the first.
    for says in [Says::ServerFailure, Says::NoSuchName] {
        names.say(says);
        until_asked(&names, says, 4).await;
        let (_, code) = daemon.lane(named, "inbound").await;
        assert_eq!(code.as_deref(), Some("host_not_found"), "{says:?}");
        // A machine that is busy asks less often, never more.
        let asked = u32::try_from(names.asked(says)).expect("few");
        assert!(
            first * (asked - 1) <= begun.elapsed(),
            "{says:?}: asked {asked} times in {:?}",
            begun.elapsed()
        );
        begun = Instant::now();
    }

    // A delay of ten seconds is waited for, once.
    let old = House::build(port).await;
    let slow = Says::Address(old.address, Duration::from_secs(10));
    names.say(slow);
    until_asked(&names, slow, 1).await;
    let limit = Duration::from_secs(40);
    eventually("the slow name is served", limit, || async {
        match daemon.lane(named, "inbound").await.0.as_str() {
            "ready" => Ok(()),
            state => Err(state.to_owned()),
        }
    })
    .await;
    assert_eq!(names.asked(slow), 1, "one question, one wait");
    assert_eq!(old.guests(), 1);

    // The record changes and the old server goes: the new one is found.
    let new = House::build(port).await;
    names.say(Says::Address(new.address, AT_ONCE));
    drop(old);
    let mut lmtp = mail::Lmtp::open(&daemon.lab).await;
    let text = mail::plain_mail("c@customer.example", &mailbox, "m@x.example", "Q", "x");
    lmtp.deliver("c@customer.example", &mailbox, &text).await;
    let path = format!("/api/mail/messages?AccountId={named}");
    eventually("mail comes from the new address", limit, || async {
        match daemon.api.rows(&path).await.len() {
            1 => Ok(()),
            rows => Err(rows.to_string()),
        }
    })
    .await;
    assert!(new.guests() >= 1);
    daemon.wait_lane(named, "inbound", "ready").await;

    // Nobody else was concerned, and nobody had to do anything.
    daemon.wait_lane(other, "inbound", "ready").await;
    let status = daemon.api.get(&format!("/api/mail/accounts/{other}")).await;
    assert!(status["status"]["inbound"]["code"].is_null(), "{status}");
}
