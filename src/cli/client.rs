//! The daemon's HTTP API over its Unix socket.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::Value;

use super::failure::Failure;

/// How long an answer may take, its body included.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long an examination may take.
const LONG_PATIENCE: Duration = Duration::from_secs(1800);

/// The largest JSON answer that is read.
const MAX_ANSWER: usize = 64 << 20;

/// A caller on the socket.
pub(super) struct Client {
    http: reqwest::Client,
    socket: PathBuf,
}

impl Client {
    /// For the daemon on `socket`; nothing is sent yet.
    pub(super) fn new(socket: &Path) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .unix_socket(socket)
            .no_proxy()
            // There is no TLS on the socket; reading the machine's roots would only take time.
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .map_err(|error| {
                Failure::Nothing(format!("The HTTP client cannot be made: {error}."))
            })?;
        Ok(Self {
            http,
            socket: socket.to_owned(),
        })
    }

    /// The rows or the record at `path`.
    pub(super) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        self.call(Method::GET, path, query, None).await
    }

    /// Makes or starts something; `body` may be an empty object.
    pub(super) async fn post(&self, path: &str, body: Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    /// Changes what `body` names.
    pub(super) async fn put(&self, path: &str, body: Value) -> Result<Value, Failure> {
        self.call(Method::PUT, path, &[], Some(body)).await
    }

    /// Removes.
    pub(super) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::DELETE, path, &[], None).await
    }

    /// The bytes at `path`, handed on piece by piece.
    pub(super) async fn bytes(
        &self,
        path: &str,
        mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut answer = self.send(Method::GET, path, &[], None).await?;
        if !answer.status().is_success() {
            return Err(self.refused(answer).await);
        }
        while let Some(piece) = answer.chunk().await.map_err(|error| self.broken(&error))? {
            take(&piece)?;
        }
        Ok(())
    }

    /// POST whose answer is one JSON document a line, each handed on as it comes. Bounded as a whole by
    /// [`LONG_PATIENCE`].
    pub(super) async fn lines(
        &self,
        path: &str,
        body: Value,
        mut take: impl FnMut(Value) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut answer = self
            .http
            .post(format!("http://localhost{path}"))
            .header("accept", "application/x-ndjson")
            .timeout(LONG_PATIENCE)
            .json(&body)
            .send()
            .await
            .map_err(|error| self.broken(&error))?;
        if !answer.status().is_success() {
            return Err(self.refused(answer).await);
        }
        let mut begun = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| self.broken(&error))? {
            begun.extend_from_slice(&piece);
            while let Some(end) = begun.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = begun.drain(..=end).collect();
                take(serde_json::from_slice(&line).unwrap_or_default())?;
            }
            if begun.len() > MAX_ANSWER {
                return Err(Failure::Nothing(
                    "The daemon's answer is too large.".to_owned(),
                ));
            }
        }
        Ok(())
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<Value>,
    ) -> Result<Value, Failure> {
        let answer = self.send(method, path, query, body).await?;
        if answer.status().is_success() {
            self.json(answer).await
        } else {
            Err(self.refused(answer).await)
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<Value>,
    ) -> Result<Response, Failure> {
        let changes = method != Method::GET;
        let mut request = self
            .http
            .request(method, format!("http://localhost{path}"))
            .query(query);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.map_err(|error| match self.broken(&error) {
            Failure::Later(text) if changes => Failure::Later(format!(
                "{text} What was asked for may have been done all the same: look before you repeat it."
            )),
            failure => failure,
        })
    }

    async fn refused(&self, answer: Response) -> Failure {
        let status = answer.status().as_u16();
        match self.json(answer).await {
            Ok(problem) => Failure::Refused { status, problem },
            Err(failure) => failure,
        }
    }

    /// The answer's JSON; `null` where there is none.
    async fn json(&self, mut answer: Response) -> Result<Value, Failure> {
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| self.broken(&error))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > MAX_ANSWER {
                return Err(Failure::Nothing(
                    "The daemon's answer is too large.".to_owned(),
                ));
            }
        }
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    fn broken(&self, error: &reqwest::Error) -> Failure {
        if error.is_timeout() {
            let text = format!(
                "The daemon did not answer within {} seconds.",
                PATIENCE.as_secs()
            );
            return Failure::Later(text);
        }
        let mut why = None;
        let mut source: Option<&dyn Error> = Some(error);
        while let Some(cause) = source {
            why = why.or_else(|| cause.downcast_ref::<io::Error>().map(io::Error::kind));
            source = cause.source();
        }
        Failure::Unreachable {
            socket: self.socket.clone(),
            why,
        }
    }
}
