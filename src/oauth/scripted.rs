//! For tests: a token endpoint on loopback that answers what the test says, and counts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::model::{CloudService, NewCloudProvider};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Method and path.
    pub(crate) line: String,
    /// Header lines, lower-case.
    pub(crate) head: String,
    /// The form fields of the body.
    pub(crate) form: HashMap<String, String>,
}

/// What is sent back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Not sent before this is true.
    gate: Option<watch::Receiver<bool>>,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::raw(
            status,
            "application/json; charset=utf-8",
            body.to_string().as_bytes(),
        )
    }
    pub(crate) fn raw(status: u16, content_type: &str, body: &[u8]) -> Self {
        Self {
            status,
            headers: vec![("content-type".into(), content_type.into())],
            body: body.to_vec(),
            gate: None,
        }
    }
    /// Tokens that live an hour.
    pub(crate) fn tokens(access: &str, refresh: Option<&str>) -> Self {
        Self::json(
            200,
            &json!({"token_type": "Bearer", "expires_in": 3600, "access_token": access, "refresh_token": refresh}),
        )
    }
    pub(crate) fn refusal(error: &str, codes: &[u32]) -> Self {
        let said = match codes.first() {
            Some(code) => format!("AADSTS{code}: the test refuses"),
            None => "the test refuses".to_owned(),
        };
        Self::json(
            400,
            &json!({"error": error, "error_description": said, "error_codes": codes,
                    "trace_id": "t-1", "correlation_id": "c-1"}),
        )
    }
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
    pub(crate) fn behind(mut self, gate: watch::Receiver<bool>) -> Self {
        self.gate = Some(gate);
        self
    }
}

type Script = dyn Fn(&Request, usize) -> Reply + Send + Sync;

/// The platform. Ends when dropped.
pub(crate) struct Platform {
    authority: String,
    seen: Arc<Mutex<Vec<Request>>>,
    count: watch::Receiver<usize>,
    _task: JoinSet<()>,
}

impl Platform {
    /// `script` gets the request and its number, from 1.
    pub(crate) async fn start(
        script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (counted, count) = watch::channel(0);
        let script: Arc<Script> = Arc::new(script);
        let mut task = JoinSet::new();
        let requests = seen.clone();
        task.spawn(async move {
            let counted = Arc::new(counted);
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, script, counted) = (requests.clone(), script.clone(), counted.clone());
                serving.spawn(async move {
                    let _ = serve(stream, &seen, &*script, &counted).await;
                });
            }
        });
        Self {
            authority,
            seen,
            count,
            _task: task,
        }
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests came so far.
    pub(crate) fn posts(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until at least this many requests have come.
    pub(crate) async fn reached(&self, posts: usize) {
        let mut count = self.count.clone();
        let waited = tokio::time::timeout(
            std::time::Duration::from_secs(20),
            count.wait_for(|count| *count >= posts),
        );
        assert!(
            waited.await.is_ok(),
            "only {} of {posts} requests came",
            self.posts()
        );
    }

    /// A Microsoft provider that lives here.
    pub(crate) fn provider(&self, name: &str) -> NewCloudProvider {
        NewCloudProvider {
            tenant_id: "11111111-2222-3333-4444-555555555555".into(),
            client_secret: String::from("s3cret&=+%").into(),
            redirect_uri: "https://motion.example/api/cloudProviders/oauth2/microsoft/callback"
                .into(),
            authority: Some(self.authority.clone()),
            ..NewCloudProvider::new(name, CloudService::MicrosoftAzure, "app-1")
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Request>>,
    script: &Script,
    counted: &watch::Sender<usize>,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let line = head.lines().next().unwrap_or_default().to_owned();
    let head = head.to_ascii_lowercase();
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse().unwrap());
    while bytes.len() < head_end + 4 + length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
    let form = url::form_urlencoded::parse(&bytes[head_end + 4..])
        .into_owned()
        .collect();
    let request = Request { line, head, form };
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len()
    };
    let reply = script(&request, number);
    counted.send_replace(number);
    if let Some(mut gate) = reply.gate
        && gate.wait_for(|open| *open).await.is_err()
    {
        return Ok(());
    }
    let mut answer = format!(
        "HTTP/1.1 {} Scripted\r\ncontent-length: {}\r\nconnection: close\r\n",
        reply.status,
        reply.body.len()
    );
    for (name, value) in &reply.headers {
        answer.push_str(&format!("{name}: {value}\r\n"));
    }
    answer.push_str("\r\n");
    stream.write_all(answer.as_bytes()).await?;
    stream.write_all(&reply.body).await?;
    stream.shutdown().await
}
