//! Dialling through proxies on loopback.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use super::super::{Net, Settings, testing};
use super::*;
use crate::model::{FailureClass, ProxyChoice};

/// A proxy that reads `asked` octets at least, says `answer`, and then stays silent until we hang up.
struct Scripted {
    port: u16,
    task: JoinSet<Vec<u8>>,
}

impl Scripted {
    async fn start(asked: usize, answer: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut got = vec![0; asked];
            tcp.read_exact(&mut got).await.unwrap();
            tcp.write_all(answer).await.unwrap();
            let _ = tcp.read_to_end(&mut got).await;
            got
        });
        Self { port, task }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    async fn got(mut self) -> String {
        let got = self.task.join_next().await.unwrap().unwrap();
        String::from_utf8_lossy(&got).into_owned()
    }
}

fn net(mail_proxy: Option<&str>, allow_hosts: &[&str]) -> Net {
    let ca = testing::Authority::new("nobody").pem;
    let settings = Settings {
        mail_proxy: mail_proxy.map(|url| Proxy::parse(url).unwrap()),
        allow_hosts: allow_hosts.iter().map(|h| (*h).to_owned()).collect(),
        connect_timeout: Duration::from_secs(20),
        ..Settings::default()
    };
    testing::net_as(&ca, settings)
}

fn own(url: &str) -> ProxyChoice {
    ProxyChoice::Through(Proxy::parse(url).unwrap())
}

#[tokio::test]
async fn the_processs_proxy_may_be_on_this_machine_and_gets_the_name() {
    let proxy = Scripted::start(4, b"HTTP/1.1 200 OK\r\n\r\n* OK").await;
    // Nobody resolves mail.invalid here.
    let net = net(Some(&proxy.url("http")), &[]);
    let mut tcp = net.dial("mail.invalid.", 993).await.unwrap();
    let mut greeting = [0; 4];
    tcp.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"* OK");
    drop(tcp);
    assert!(
        proxy
            .got()
            .await
            .starts_with("CONNECT mail.invalid:993 HTTP/1.1\r\n")
    );
}

#[tokio::test]
async fn an_accounts_proxy_wins_and_is_guarded_like_any_host() {
    let proxy = Scripted::start(3, &[5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await;
    let choice = own(&proxy.url("socks5"));
    let refused = net(Some("http://192.0.2.1:1"), &[]).via(&choice);
    let error = refused.dial("mail.invalid", 993).await.unwrap_err();
    assert!(
        matches!(&error, DialError::ProxyDial { source, .. } if matches!(**source, DialError::Forbidden { .. })),
        "{error:?}"
    );
    assert_eq!(error.class(), FailureClass::OperatorMustAct);
    let allowed = net(Some("http://192.0.2.1:1"), &["127.0.0.1"]).via(&choice);
    allowed.dial("mail.invalid", 993).await.unwrap();
    assert!(proxy.got().await.contains("mail.invalid"));
}

/// Bad input 59: through a proxy as without one.
#[tokio::test]
async fn hosts_of_this_machine_are_refused_before_a_proxy_hears_of_them() {
    // Nothing listens there: a proxy that was asked would be another error.
    let own = own("http://192.0.2.1:1");
    let label = "x".repeat(300);
    for host in [
        "localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "[::1]",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
    ] {
        let error = net(None, &[]).via(&own).dial(host, 993).await.unwrap_err();
        assert!(
            matches!(error, DialError::Forbidden { .. }),
            "{host}: {error:?}"
        );
        let error = net(None, &[]).dial(host, 3306).await.unwrap_err();
        assert!(
            matches!(error, DialError::Forbidden { .. }),
            "{host}: {error:?}"
        );
    }
    for host in ["host\r\n", "host\r\nX: y", "a b", "", &label, "a:25"] {
        for net in [net(None, &[]), net(None, &[]).via(&own)] {
            let error = net.dial(host, 993).await.unwrap_err();
            assert!(
                matches!(error, DialError::Resolve { .. }),
                "{host:?}: {error:?}"
            );
            assert!(!error.to_string().contains(['\r', '\n']), "{error}");
        }
    }
    // Private addresses are for mail servers: the proxy itself is what is not reached here.
    let closed = closed_port().await;
    let local = self::own(&format!("http://127.0.0.1:{closed}"));
    let net = net(None, &["127.0.0.1"]).via(&local);
    for host in ["10.0.0.1", "192.168.1.1", "fd00::1", "127.0.0.1"] {
        let error = net.dial(host, 993).await.unwrap_err();
        assert!(
            matches!(error, DialError::ProxyDial { .. }),
            "{host}: {error:?}"
        );
        assert!(error.is_network());
    }
}

async fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn direct_and_this_machine_go_without_the_processs_proxy() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let closed = format!("http://127.0.0.1:{}", closed_port().await);
    let net = net(Some(&closed), &["127.0.0.1"]);
    net.dial("127.0.0.1", port).await.unwrap();
    let error = net.dial("mail.invalid", 993).await.unwrap_err();
    assert!(matches!(error, DialError::ProxyDial { .. }), "{error:?}");
    let error = net
        .via(&ProxyChoice::Direct)
        .dial("mail.invalid", 993)
        .await
        .unwrap_err();
    assert!(matches!(error, DialError::Resolve { .. }), "{error:?}");
}

#[tokio::test]
async fn what_a_proxy_says_becomes_an_error_that_names_it_and_no_password() {
    use FailureClass::{OperatorMustAct, RetryLater};
    let cases: [(&str, usize, &'static [u8], &str, FailureClass); 6] = [
        (
            "http",
            4,
            b"HTTP/1.1 407 Who are you\r\n\r\n",
            "407 Who are you",
            OperatorMustAct,
        ),
        (
            "http",
            4,
            b"HTTP/1.1 403 No\r\n\r\n",
            "403 No",
            OperatorMustAct,
        ),
        (
            "http",
            4,
            b"HTTP/1.1 503 Later\r\n\r\n",
            "503 Later",
            RetryLater,
        ),
        (
            "http",
            4,
            b"220 hello\r\n",
            "does not answer as a proxy",
            RetryLater,
        ),
        (
            "socks5",
            4,
            &[5, 0, 5, 2],
            "reply 2, not allowed",
            OperatorMustAct,
        ),
        (
            "socks5",
            4,
            &[5, 0, 5, 5],
            "reply 5, connection refused",
            RetryLater,
        ),
    ];
    for (scheme, asked, answer, words, class) in cases {
        let proxy = Scripted::start(asked, answer).await;
        let url = format!("{scheme}://user:canary@127.0.0.1:{}", proxy.port);
        let net = net(Some(&url), &[]);
        let error = net.dial("mail.invalid", 993).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(words), "{text}");
        assert!(
            text.contains(&format!("127.0.0.1:{}", proxy.port)),
            "{text}"
        );
        assert_eq!(error.class(), class, "{text}");
        for shown in [text, format!("{error:?} {net:?}")] {
            assert!(!shown.contains("canary"), "{shown}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_proxy_is_given_up() {
    for scheme in ["http", "socks5"] {
        let proxy = Scripted::start(3, b"").await;
        let net = net(Some(&proxy.url(scheme)), &[]);
        let error = net.dial("mail.invalid", 993).await.unwrap_err();
        match error {
            DialError::TimedOut { host, port, during } => {
                assert_eq!((host.as_str(), port), ("127.0.0.1", proxy.port));
                assert_eq!(during, DialStep::Proxy);
            }
            other => panic!("{other:?}"),
        }
    }
}
