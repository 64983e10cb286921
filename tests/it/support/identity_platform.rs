//! An identity platform that rotates refresh tokens, with a grace: a token that was replaced is taken again for
//! a while, as several platforms do. After that its use revokes the whole family. The lab's provider gives none,
//! and its settings are everybody's; this one is a test's own. It opens no mailbox.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Form, Json, Router, extract::State, http::StatusCode, routing::post};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

/// The platform. Ends when dropped.
pub struct IdentityPlatform {
    /// Its base URL.
    pub authority: String,
    family: Shared,
    _task: JoinSet<()>,
}

type Shared = Arc<Mutex<Family>>;

struct Family {
    life: Duration,
    grace: Duration,
    newest: u64,
    replaced: HashMap<u64, Instant>,
    refreshes: usize,
    reuses: usize,
    revoked: bool,
}

impl IdentityPlatform {
    /// Access tokens live for `life`.
    pub async fn start(life: Duration, grace: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let authority = format!("http://{}", listener.local_addr().expect("address"));
        let family = Arc::new(Mutex::new(Family {
            life,
            grace,
            newest: 0,
            replaced: HashMap::new(),
            refreshes: 0,
            reuses: 0,
            revoked: false,
        }));
        let router = Router::new()
            .route("/{tenant}/oauth2/v2.0/token", post(token))
            .with_state(Arc::clone(&family));
        let mut task = JoinSet::new();
        task.spawn(async move {
            axum::serve(listener, router).await.expect("serves");
        });
        Self {
            authority,
            family,
            _task: task,
        }
    }

    /// Requests that came with a refresh token of the family.
    pub fn refreshes(&self) -> usize {
        self.family.lock().expect("lock").refreshes
    }

    /// How often a replaced token came back, in time or not.
    pub fn reuses(&self) -> usize {
        self.family.lock().expect("lock").reuses
    }

    /// Whether one came back too late.
    pub fn revoked(&self) -> bool {
        self.family.lock().expect("lock").revoked
    }
}

async fn token(
    State(family): State<Shared>,
    Form(form): Form<HashMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    let mut family = family.lock().expect("lock");
    if form["grant_type"] == "authorization_code" {
        family.newest += 1;
        family.revoked = false;
        family.replaced.clear();
    } else if !family.takes(&form["refresh_token"]) {
        let refusal =
            json!({"error": "invalid_grant", "error_description": "the token was used before"});
        return (StatusCode::BAD_REQUEST, Json(refusal));
    }
    let number = family.newest;
    let tokens = json!({
        "token_type": "Bearer", "expires_in": family.life.as_secs(),
        "access_token": format!("at-{number}"), "refresh_token": format!("rt-{number}"),
    });
    (StatusCode::OK, Json(tokens))
}

impl Family {
    fn takes(&mut self, token: &str) -> bool {
        self.refreshes += 1;
        let number: Option<u64> = token.strip_prefix("rt-").and_then(|n| n.parse().ok());
        let Some(number) = number.filter(|_| !self.revoked) else {
            return false;
        };
        if number != self.newest {
            self.reuses += 1;
            let in_time = self
                .replaced
                .get(&number)
                .is_some_and(|at| at.elapsed() < self.grace);
            if !in_time {
                self.revoked = true;
                return false;
            }
        }
        let newest = self.newest;
        self.replaced.entry(newest).or_insert_with(Instant::now);
        self.newest += 1;
        true
    }
}
