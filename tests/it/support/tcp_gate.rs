//! A TCP relay that can be shut: connections through it then hang silently, as behind a dead firewall.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// The relay; its tasks end with it.
pub struct TcpGate {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    open: Arc<watch::Sender<bool>>,
    _tasks: JoinSet<()>,
}

impl TcpGate {
    /// In front of a server.
    pub async fn open(host: &str, server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("address").port();
        let open = Arc::new(watch::Sender::new(true));
        let (state, host) = (open.subscribe(), host.to_owned());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (state, host) = (state.clone(), host.clone());
                lines.spawn(async move {
                    let mut gate = state.clone();
                    if gate.wait_for(|open| *open).await.is_err() {
                        return;
                    }
                    let Ok(server) = TcpStream::connect((host, server_port)).await else {
                        return;
                    };
                    let (client_read, client_write) = client.into_split();
                    let (server_read, server_write) = server.into_split();
                    tokio::join!(
                        copy(client_read, server_write, state.clone()),
                        copy(server_read, client_write, state)
                    );
                });
            }
        });
        Self {
            port,
            open,
            _tasks: tasks,
        }
    }

    /// Nothing passes any more; nobody is told.
    pub fn shut(&self) {
        self.open.send_replace(false);
    }

    /// Everything passes again.
    pub fn reopen(&self) {
        self.open.send_replace(true);
    }
}

async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut gate: watch::Receiver<bool>,
) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let Ok(n @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if gate.wait_for(|open| *open).await.is_err() || to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}
