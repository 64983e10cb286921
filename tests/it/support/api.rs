//! The daemon's API over its Unix socket, as the command line uses it.

use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::Value;

/// A caller on the socket.
#[derive(Clone)]
pub struct Api {
    client: reqwest::Client,
}

impl Api {
    /// For the daemon that listens on `socket`.
    pub fn new(socket: &Path) -> Self {
        Self {
            client: reqwest::Client::builder()
                .unix_socket(socket)
                .build()
                .expect("client"),
        }
    }

    /// Status and JSON of any call; `None`: nobody answered.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Option<(StatusCode, Value)> {
        let mut request = self
            .client
            .request(method, format!("http://localhost{path}"));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status();
        let text = answer.text().await.ok()?;
        Some((
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }

    /// GET that must succeed.
    pub async fn get(&self, path: &str) -> Value {
        self.must(Method::GET, path, None).await
    }

    /// POST that must succeed.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        self.must(Method::POST, path, Some(body)).await
    }

    /// Any call that must succeed.
    pub async fn must(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = self
            .call(method.clone(), path, body)
            .await
            .unwrap_or_else(|| panic!("{method} {path}: nobody answered"));
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer
    }

    /// All rows of a list, page by page.
    pub async fn rows(&self, path: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        loop {
            let glue = if path.contains('?') { '&' } else { '?' };
            let page = self
                .get(&format!("{path}{glue}limit=500&offset={}", rows.len()))
                .await;
            let count = page["count"].as_u64().expect("count") as usize;
            let got = page["rows"].as_array().expect("rows").clone();
            let ended = got.is_empty();
            rows.extend(got);
            if ended || rows.len() >= count {
                return rows;
            }
        }
    }
}
