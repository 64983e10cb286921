//! A server in front of the lab's IMAP that ends each connection when the token that opened it expires,
//! as Exchange Online does. It ends TLS itself, so it sees the token and can ask the provider about it.

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::Engine as _;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::Lab;

/// The proxy; its tasks end with it.
pub struct CuttingProxy {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    cuts: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

struct Introspection {
    url: String,
    client: String,
    secret: String,
}

impl CuttingProxy {
    /// In front of the lab's IMAP.
    pub async fn imap(lab: &Lab) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("address").port();
        let acceptor = Arc::new(
            async_native_tls::TlsAcceptor::new(identity(lab).as_slice(), "lab")
                .await
                .expect("acceptor"),
        );
        let upstream = (lab.get("LAB_HOST").to_owned(), lab.port("IMAP_PORT"));
        let introspection = Arc::new(Introspection {
            url: format!(
                "{}/{}/oauth2/v2.0/introspect",
                lab.get("CONTROL_URL").trim_end_matches("/lab"),
                lab.get("TENANT")
            ),
            client: lab.get("DOVECOT_CLIENT_ID").to_owned(),
            secret: lab.get("DOVECOT_CLIENT_SECRET").to_owned(),
        });
        let cuts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&cuts);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, introspection, cuts) = (
                    Arc::clone(&acceptor),
                    Arc::clone(&introspection),
                    Arc::clone(&counted),
                );
                let upstream = upstream.clone();
                lines.spawn(async move {
                    let Ok(client) = acceptor.accept(client).await else {
                        return;
                    };
                    let server = TcpStream::connect(upstream).await.expect("the lab's IMAP");
                    if relay(client, server, &introspection).await {
                        cuts.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self {
            port,
            cuts,
            _tasks: tasks,
        }
    }

    /// How many connections were ended because their token had expired.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

/// Copies both ways; true when it was the token's end that ended it.
async fn relay<C>(client: C, server: TcpStream, introspection: &Introspection) -> bool
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let (client_read, mut to_client) = tokio::io::split(client);
    let mut from_client = BufReader::new(client_read);
    let (mut from_server, mut to_server) = server.into_split();
    let mut ends = Instant::now() + Duration::from_secs(3600);
    let mut seen = Vec::new();
    let mut known = false;
    let (mut up, mut down) = ([0u8; 16 * 1024], [0u8; 16 * 1024]);
    loop {
        tokio::select! {
            biased;
            () = sleep_until(ends) => return true,
            read = from_client.read(&mut up) => {
                let Ok(n @ 1..) = read else { return false };
                if !known && seen.len() < 64 * 1024 {
                    seen.extend_from_slice(&up[..n]);
                    if let Some(token) = bearer_token(&seen) {
                        known = true;
                        if let Some(left) = life_left(introspection, &token).await {
                            ends = Instant::now() + left;
                        }
                    }
                }
                if to_server.write_all(&up[..n]).await.is_err() { return false }
            }
            read = from_server.read(&mut down) => {
                let Ok(n @ 1..) = read else { return false };
                if to_client.write_all(&down[..n]).await.is_err() { return false }
                let _ = to_client.flush().await;
            }
        }
    }
}

/// The token inside an XOAUTH2 blob among the lines so far.
fn bearer_token(seen: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(seen);
    let (complete, _) = text.rsplit_once("\r\n")?;
    complete.split(['\r', '\n', ' ']).find_map(|word| {
        let blob = base64::engine::general_purpose::STANDARD
            .decode(word)
            .ok()?;
        let blob = String::from_utf8(blob).ok()?;
        let (_, token) = blob.split_once("auth=Bearer ")?;
        Some(token.trim_end_matches('\u{1}').to_owned())
    })
}

async fn life_left(introspection: &Introspection, token: &str) -> Option<Duration> {
    let answer: serde_json::Value = reqwest::Client::new()
        .post(&introspection.url)
        .basic_auth(&introspection.client, Some(&introspection.secret))
        .form(&[("token", token)])
        .send()
        .await
        .ok()?
        .json()
        .await
        .ok()?;
    let expires = Duration::from_secs(answer["exp"].as_u64()?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(expires.saturating_sub(now))
}

fn identity(lab: &Lab) -> Vec<u8> {
    let tls = Path::new(lab.get("LAB_STATE")).join("tls");
    let output = Command::new("openssl")
        .args(["pkcs12", "-export", "-passout", "pass:lab", "-inkey"])
        .arg(tls.join("server.key"))
        .arg("-in")
        .arg(tls.join("server.pem"))
        .output()
        .expect("openssl runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
