//! A proxy that speaks HTTP's CONNECT and SOCKS 5 on one port, wants a login, and takes every name to the
//! lab: whoever comes through it cannot have resolved the name.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// The login it wants.
pub const USER: &str = "motion";
/// See [`USER`].
pub const PASSWORD: &str = "proxy-canary@1";

/// The proxy; its tasks end with it.
pub struct Proxy {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// One of this test's own.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("address").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let noted = Arc::clone(&noted);
                lines.spawn(async move {
                    // A client that hangs up in mid-question ends its own line only.
                    let _ = serve(client, &noted).await;
                });
            }
        });
        Self {
            port,
            asked,
            _tasks: tasks,
        }
    }

    /// Its URL with the right login.
    pub fn url(&self, scheme: &str) -> String {
        let password = PASSWORD.replace('@', "%40");
        format!("{scheme}://{USER}:{password}@127.0.0.1:{}", self.port)
    }

    /// What it was asked for: `http imap.lab.test:993`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

async fn serve(mut client: TcpStream, noted: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let first = client.read_u8().await?;
    let (kind, target) = if first == 5 {
        ("socks5", socks(&mut client).await?)
    } else {
        ("http", connect(&mut client, first).await?)
    };
    let Some(target) = target else {
        return Ok(());
    };
    let port = target.rsplit(':').next().unwrap_or_default().to_owned();
    noted
        .lock()
        .expect("not poisoned")
        .push(format!("{kind} {target}"));
    let mut server = TcpStream::connect(format!("127.0.0.1:{port}")).await?;
    let answer: &[u8] = if kind == "socks5" {
        &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    } else {
        b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n"
    };
    client.write_all(answer).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

async fn connect(client: &mut TcpStream, first: u8) -> std::io::Result<Option<String>> {
    let mut head = vec![first];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let login = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let wanted = format!("basic {login}");
    let given = head.lines().filter_map(|line| line.split_once(": "));
    let mut logins = given.filter(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization"));
    if !logins.any(|(_, value)| value.replacen("Basic", "basic", 1) == wanted) {
        let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
        client.write_all(answer).await?;
        return Ok(None);
    }
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    Ok(head.starts_with("CONNECT ").then_some(target))
}

async fn socks(client: &mut TcpStream) -> std::io::Result<Option<String>> {
    let methods = client.read_u8().await?;
    let mut offered = vec![0; methods.into()];
    client.read_exact(&mut offered).await?;
    if !offered.contains(&2) {
        client.write_all(&[5, 0xff]).await?;
        return Ok(None);
    }
    client.write_all(&[5, 2]).await?;
    client.read_u8().await?;
    let (user, password) = (text(client).await?, text(client).await?);
    let good = user == USER && password == PASSWORD;
    client.write_all(&[1, u8::from(!good)]).await?;
    if !good {
        return Ok(None);
    }
    let mut request = [0; 4];
    client.read_exact(&mut request).await?;
    let name = match request {
        [5, 1, 0, 3] => text(client).await?,
        // A host that was entered as an address has no name.
        [5, 1, 0, 1] => {
            let mut address = [0; 4];
            client.read_exact(&mut address).await?;
            assert_eq!(address, [127, 0, 0, 1], "a name was resolved");
            "127.0.0.1".to_owned()
        }
        other => panic!("a connection to a name is asked for: {other:?}"),
    };
    let port = client.read_u16().await?;
    Ok(Some(format!("{name}:{port}")))
}

async fn text(client: &mut TcpStream) -> std::io::Result<String> {
    let length = client.read_u8().await?;
    let mut text = vec![0; length.into()];
    client.read_exact(&mut text).await?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
