//! A relay in front of MariaDB that lets a COMMIT through and keeps its answer.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// The relay; its tasks end with it.
pub struct CommitThief {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    armed: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl CommitThief {
    /// In front of the server on this port.
    pub async fn open(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let armed = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&armed);
        tasks.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                lines.spawn(relay(client, server, Arc::clone(&shared)));
            }
        });
        Self {
            port,
            armed,
            _tasks: tasks,
        }
    }

    /// The next COMMIT's answer is lost, with its connection.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }
}

async fn relay(client: TcpStream, server: TcpStream, armed: Arc<AtomicBool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let stolen = AtomicBool::new(false);
    let up = async {
        let mut buffer = [0; 16 * 1024];
        while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
            let commit = buffer[..n].windows(6).any(|word| word == b"COMMIT");
            if commit && armed.swap(false, Ordering::SeqCst) {
                stolen.store(true, Ordering::SeqCst);
            }
            if to_server.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    };
    let down = async {
        let mut buffer = [0; 16 * 1024];
        while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
            // The server has answered, so the commit has happened.
            if stolen.load(Ordering::SeqCst) || to_client.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    };
    futures_util::future::select(Box::pin(up), Box::pin(down)).await;
}
