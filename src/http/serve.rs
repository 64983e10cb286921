//! Connections: accepted, bounded in number and in patience, drained at the end.

use std::{sync::Arc, time::Duration};

use axum::{Router, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

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
pub async fn serve<L: Listener>(mut listener: L, router: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
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

/// Serves one connection to its end. HTTP/1.1 only; hyper refuses both Content-Length and
/// Transfer-Encoding on one request (RFC 9112 §6.1).
async fn converse<Io>(io: Io, router: Router, stop: CancellationToken)
where
    Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
            .max_header_size(HEAD_BYTES)
            .max_headers(HEAD_FIELDS)
            .serve_connection(TokioIo::new(io), TowerToHyperService::new(router))
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
