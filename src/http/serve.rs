//! Connections: accepted, bounded in number and in patience, drained at the end.

use std::{sync::Arc, time::Duration};

use axum::{Router, http::Request, serve::Listener};
use hyper::{body::Incoming, server::conn::http1, service::Service, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::caller::{Caller, Peer};

/// Connections that one listener serves at once; others wait to be accepted (I10).
const CONNECTIONS: usize = 256;
/// How long a connection may take to send its request's head, and may idle between requests.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// How much of a request's head is read: request line and all header fields.
const HEAD_BYTES: usize = 32 * 1024;
/// How many header fields a request may have.
const HEAD_FIELDS: usize = 64;
/// How long requests in flight may still take after `stop`.
const DRAIN: Duration = Duration::from_secs(10);

/// Answers requests on `listener` (TCP or a Unix socket) with `router` until `stop`: then takes no
/// more connections, lets requests in flight finish for ten seconds, and ends what is left.
///
/// Never fails: trouble in accepting is waited out, trouble of a connection ends that connection.
/// When dropped, all its connections are closed at once.
pub async fn serve<L: Listener<Io: Peer>>(listener: L, router: Router, stop: CancellationToken) {
    serve_at_once(CONNECTIONS, listener, router, stop).await;
}

async fn serve_at_once<L: Listener<Io: Peer>>(
    connections_at_once: usize,
    mut listener: L,
    router: Router,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(connections_at_once));
    let mut connections = JoinSet::new();
    loop {
        match wait(&mut listener, &places, &mut connections, &stop).await {
            Happened::Stop => break,
            Happened::Ended => {}
            Happened::Connection(io, place) => {
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(async move {
                    converse(io, router, stop).await;
                    drop(place);
                });
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, async {
        while connections.join_next().await.is_some() {}
    })
    .await
    .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            "closed connections that did not finish in time"
        );
        connections.shutdown().await;
    }
}

enum Happened<Io> {
    Stop,
    Ended,
    Connection(Io, OwnedSemaphorePermit),
}

/// Waits for the next thing to do. Cancel-safe: a connection is either handed out or still queued.
async fn wait<L: Listener>(
    listener: &mut L,
    places: &Arc<Semaphore>,
    connections: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Happened<L::Io> {
    let next = async {
        match places.clone().acquire_owned().await {
            Ok(place) => {
                let (io, _) = listener.accept().await;
                Happened::Connection(io, place)
            }
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => Happened::Stop,
        Some(_) = connections.join_next() => Happened::Ended,
        connection = next => connection,
    }
}

/// Serves one connection to its end. HTTP/1.1 only. Where a request gives its length in two ways, hyper
/// goes by Transfer-Encoding and closes the connection after the answer (RFC 9112 §6.1).
async fn converse<Io>(io: Io, router: Router, stop: CancellationToken)
where
    Io: Peer + tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let caller = io.peer().map(Caller);
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(caller) = &caller {
            request.extensions_mut().insert(caller.clone());
        }
        service.call(request)
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
            .max_header_size(HEAD_BYTES)
            .max_headers(HEAD_FIELDS)
            .serve_connection(TokioIo::new(io), service)
    );
    let ended = match stop.run_until_cancelled(connection.as_mut()).await {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(cause = %error, "an API connection broke");
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use axum::routing::{get, post};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
        net::{TcpListener, TcpStream},
        sync::mpsc,
    };

    use super::*;

    struct Running {
        address: std::net::SocketAddr,
        stop: CancellationToken,
        task: JoinSet<()>,
    }

    async fn start(router: Router) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(serve(listener, router, stop.clone()));
        Running {
            address,
            stop,
            task,
        }
    }

    /// What the server says to these bytes until it closes or says no more than one answer.
    async fn say(address: std::net::SocketAddr, request: &[u8]) -> String {
        let mut line = TcpStream::connect(address).await.unwrap();
        // The server may refuse before it has read everything.
        let _ = line.write_all(request).await;
        let mut answer = Vec::new();
        let reading = line.read_to_end(&mut answer);
        let _ = tokio::time::timeout(Duration::from_secs(20), reading)
            .await
            .expect("the server closes the connection");
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn ambiguous_and_oversized_request_heads_are_refused() {
        // Bad input 52.
        let running = start(Router::new().route("/", post(|| async { "taken" }))).await;
        let check = async |request: String, expected: &str| {
            let answer = say(running.address, request.as_bytes()).await;
            assert!(
                answer.starts_with(expected) && !answer.contains("taken"),
                "{:?} gave {answer:?}",
                request.chars().take(80).collect::<String>()
            );
        };
        let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
        check(
            format!("{head}Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"),
            "HTTP/1.1 400",
        )
        .await;
        check(
            format!("{head}X: {}\r\n\r\n", "x".repeat(1024 * 1024)),
            "HTTP/1.1 431",
        )
        .await;
        check(
            format!("{head}{}\r\n", "X: y\r\n".repeat(100)),
            "HTTP/1.1 431",
        )
        .await;
        check("POST /\r\n\r\n".to_owned(), "HTTP/1.1 400").await;
    }

    #[tokio::test]
    async fn a_request_with_two_lengths_cannot_carry_another_request() {
        // Bad input 52, threat T28.
        let running = start(Router::new().route("/", post(|| async { "taken" }))).await;
        let hidden = "POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n";
        for lengths in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
        ] {
            let request =
                format!("POST / HTTP/1.1\r\nHost: a\r\n{lengths}\r\n\r\n0\r\n\r\n{hidden}");
            let answer = say(running.address, request.as_bytes()).await;
            assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        }
    }

    #[tokio::test]
    async fn a_request_in_flight_is_answered_after_the_stop_and_idle_connections_are_closed() {
        let (entered, mut inside) = mpsc::channel::<()>(1);
        let gate = Arc::new(Semaphore::new(0));
        let passing = gate.clone();
        let router = Router::new().route(
            "/",
            get(move || async move {
                entered.send(()).await.unwrap();
                passing.acquire().await.unwrap().forget();
                "done"
            }),
        );
        let mut running = start(router).await;
        let mut idle = TcpStream::connect(running.address).await.unwrap();
        let mut busy = TcpStream::connect(running.address).await.unwrap();
        busy.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        inside.recv().await.unwrap();
        running.stop.cancel();
        let mut nothing = Vec::new();
        idle.read_to_end(&mut nothing).await.unwrap();
        assert!(nothing.is_empty());
        gate.add_permits(1);
        let mut answer = String::new();
        busy.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("done"), "{answer}");
        running.task.join_next().await.unwrap().unwrap();
        assert!(TcpStream::connect(running.address).await.is_err());
    }

    /// Connections in memory, over which a paused clock may jump.
    struct Pipes(mpsc::Receiver<DuplexStream>);

    impl Listener for Pipes {
        type Io = DuplexStream;
        type Addr = ();

        async fn accept(&mut self) -> (DuplexStream, ()) {
            match self.0.recv().await {
                Some(pipe) => (pipe, ()),
                None => std::future::pending().await,
            }
        }

        fn local_addr(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A client's end of a connection to a server of its own.
    async fn piped(router: Router, stop: CancellationToken) -> (DuplexStream, JoinSet<()>) {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let (connect, connections) = mpsc::channel(1);
        connect.send(server).await.unwrap();
        let mut task = JoinSet::new();
        task.spawn(serve(Pipes(connections), router, stop));
        (client, task)
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_head_that_never_ends_is_cut_off() {
        let (mut client, _task) = piped(Router::new(), CancellationToken::new()).await;
        let began = tokio::time::Instant::now();
        client.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert!(began.elapsed() >= HEAD_PATIENCE);
        assert!(began.elapsed() < HEAD_PATIENCE + Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_never_ends_is_ended_by_the_drain() {
        let (entered, mut inside) = mpsc::channel::<()>(1);
        let endless = get(move || async move {
            entered.send(()).await.unwrap();
            std::future::pending::<()>().await;
        });
        let stop = CancellationToken::new();
        let (mut client, mut task) = piped(Router::new().route("/", endless), stop.clone()).await;
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        inside.recv().await.unwrap();
        let began = tokio::time::Instant::now();
        stop.cancel();
        task.join_next().await.unwrap().unwrap();
        assert!(began.elapsed() >= DRAIN && began.elapsed() < DRAIN + Duration::from_secs(1));
    }

    #[tokio::test]
    async fn connections_over_the_bound_wait_for_a_place() {
        let inside = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Semaphore::new(0));
        let (entered, mut entering) = mpsc::channel::<()>(16);
        let (now, peak, passing) = (inside.clone(), most.clone(), gate.clone());
        let handler = get(move || async move {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            entered.send(()).await.unwrap();
            passing.acquire().await.unwrap().forget();
            now.fetch_sub(1, Ordering::SeqCst);
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", handler);
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_at_once(2, listener, router, CancellationToken::new()));
        let mut clients = Vec::new();
        for _ in 0..6 {
            let mut client = TcpStream::connect(address).await.unwrap();
            client
                .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                .await
                .unwrap();
            clients.push(client);
        }
        entering.recv().await.unwrap();
        for _ in 0..5 {
            entering.recv().await.unwrap();
            gate.add_permits(1);
        }
        gate.add_permits(1);
        for mut client in clients {
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }
}
