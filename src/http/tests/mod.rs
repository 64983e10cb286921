//! The routers over a real store: one request in, one answer out.

mod accounts;
mod calendar;
mod edge;
mod examined;
mod mail;
mod providers;
mod sign_in;
mod told;
mod transcript;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Request, StatusCode, header},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{Desk, Settings, local_router, public_router};
use crate::{
    blob::{self, Blobs},
    doctor::{self, Doctor},
    logs,
    model::{Clock, NodeId, SystemClock},
    oauth::OauthClient,
    store, supervisor,
    token::{self, TokenKeeper},
    transcript::{Bounds, Transcripts},
};

/// A desk on a fresh SQLite database, and both routers.
struct Office {
    desk: Desk,
    local: Router,
    public: Router,
    _tasks: JoinSet<()>,
    _log: (logs::LogGuard, tracing::Dispatch),
    _home: tempfile::TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|_| panic!("no JSON: {} {:?}", self.status, self.bytes))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The JSON of an answer with this status.
    #[track_caller]
    fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self.json()
    }

    /// A problem document with this status, code and fields.
    #[track_caller]
    fn problem(&self, status: u16, code: &str, fields: &[&str]) {
        let body = self.expect(status);
        assert_eq!(
            self.headers[header::CONTENT_TYPE],
            "application/problem+json"
        );
        assert_eq!(body["status"], status, "{body}");
        assert_eq!(body["code"], code, "{body}");
        for part in ["type", "title", "detail", "next"] {
            assert!(body[part].as_str().is_some_and(|s| !s.is_empty()), "{body}");
        }
        let named: Vec<&str> = body["fields"]
            .as_array()
            .map(|list| {
                list.iter()
                    .filter_map(|one| one["field"].as_str())
                    .collect()
            })
            .unwrap_or_default();
        assert_eq!(named, fields, "{body}");
    }
}

async fn office() -> Office {
    office_with(|_| {}).await
}

async fn office_with(change: impl FnOnce(&mut Settings)) -> Office {
    let home = tempfile::tempdir().unwrap();
    let (store, writer) = store::testing::open(home.path()).await;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        writer.run(CancellationToken::new()).await;
    });
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let log = logs::build(
        &logs::Settings {
            dir: home.path().to_owned(),
            level: logs::Level::Info,
            format: logs::Format::Text,
            keep_days: 1,
        },
        clock.clone(),
    )
    .unwrap();
    let oauth = OauthClient::new(&[], &crate::oauth::Settings::default()).unwrap();
    let oauth_of_doctor = oauth.clone();
    let keeper = TokenKeeper::new(
        store.clone(),
        oauth,
        NodeId::random(),
        clock.clone(),
        token::Settings::default(),
    );
    let mut settings = Settings {
        public_url: Some("https://motion.test".to_owned()),
        base_path: String::new(),
        listen: "127.0.0.1:9380".parse().unwrap(),
        node_name: "node-1".to_owned(),
        started_at: clock.now(),
        expire_after: Duration::from_secs(86_400),
        calendar: crate::calendar::Settings::default(),
        request_timeout: Duration::from_secs(30),
    };
    change(&mut settings);
    let doctor = Doctor::new(doctor::Parts {
        store: store.clone(),
        net: crate::net::testing::net(&[]),
        keeper: keeper.clone(),
        oauth: oauth_of_doctor,
        transcripts: Transcripts::new(clock.clone(), Bounds::default()),
        governor: crate::governor::Governor::new(
            crate::governor::Settings::default(),
            clock.clone(),
        ),
        clock: clock.clone(),
        settings: Arc::new(doctor::Settings {
            imap: crate::imap::Settings::default(),
            smtp: crate::smtp::Settings::default(),
            check: Duration::from_secs(20),
            public_url: settings.public_url.clone(),
            directories: vec![("XC_EMAIL_DATA_DIR", home.path().to_owned())],
        }),
    });
    let desk = Desk {
        doctor,
        store,
        blobs: Blobs::open(&blob::Settings {
            url: home.path().join("blobs").display().to_string(),
        })
        .unwrap(),
        keeper,
        supervisor: supervisor::Handle::default(),
        log: log.control,
        transcripts: Transcripts::new(clock.clone(), Bounds::default()),
        governor: crate::governor::Governor::new(
            crate::governor::Settings::default(),
            clock.clone(),
        ),
        clock,
        settings: Arc::new(settings),
    };
    Office {
        local: local_router(&desk),
        public: public_router(&desk),
        desk,
        _tasks: tasks,
        _log: (log.guard, log.dispatch),
        _home: home,
    }
}

/// One request to a router.
async fn ask(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    Answer {
        status: head.status,
        headers: head.headers,
        bytes: axum::body::to_bytes(body, 100 << 20).await.unwrap(),
    }
}

fn request(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path)
}

impl Office {
    async fn get(&self, path: &str) -> Answer {
        ask(
            &self.local,
            request("GET", path).body(Body::empty()).unwrap(),
        )
        .await
    }

    async fn delete(&self, path: &str) -> Answer {
        let request = request("DELETE", path).body(Body::empty()).unwrap();
        ask(&self.local, request).await
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Answer {
        let request = request(method, path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        ask(&self.local, request).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, body).await
    }

    async fn visit(&self, path: &str) -> Answer {
        ask(
            &self.public,
            request("GET", path).body(Body::empty()).unwrap(),
        )
        .await
    }

    /// A provider whose platform is a closed port of this machine; its id.
    async fn provider(&self) -> i64 {
        let body = json!({
            "name": "Contoso", "service": "Microsoft Azure", "applicationId": "app-1",
            "tenantId": "contoso.test", "clientSecret": "canary-secret",
            "authority": "http://127.0.0.1:1"
        });
        let answer = self.post("/api/cloudProviders", body).await;
        answer.expect(201)["id"].as_i64().unwrap()
    }

    /// A list; its id.
    async fn list(&self) -> i64 {
        let answer = self
            .post("/api/cm/lists", json!({"name": "Customers"}))
            .await;
        answer.expect(201)["id"].as_i64().unwrap()
    }

    /// An account with a password, in a list of its own; its id.
    async fn account(&self) -> i64 {
        let list = self.list().await;
        let body = json!({
            "name": "Support", "key": "supp1", "address": "support@example.test", "ListId": list,
            "service": "Custom", "authentication": "password", "password": "canary-password",
            "imap": {"host": "imap.example.test"}, "smtp": {"host": "smtp.example.test"}
        });
        let answer = self.post("/api/mail/accounts", body).await;
        answer.expect(201)["id"].as_i64().unwrap()
    }
}
