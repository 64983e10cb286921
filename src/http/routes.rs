//! The route table, and the two routers made from it.

use std::time::Duration;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::Method,
    middleware::from_fn,
    response::IntoResponse,
    routing::{MethodFilter, MethodRouter, on},
};
use tower_http::catch_panic::CatchPanicLayer;

use super::{
    Desk, accounts, calendar, callback, contacts, doctor, guard, messages, outbox,
    problem::ApiError, providers, status,
};

/// The largest body of most routes.
const BODY: usize = 1024 * 1024;
/// The largest body of a send.
const SEND_BODY: usize = 35 * 1024 * 1024;

/// An examination waits for servers that may answer slowly, each check within its own time.
const EXAMINATION: Duration = Duration::from_secs(1800);

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Anybody who reaches the address.
    Open,
    /// Who may open the Unix socket.
    Local,
}

/// One method of one path.
pub(super) struct Route {
    pub(super) access: Access,
    pub(super) method: Method,
    pub(super) path: &'static str,
    answer: MethodRouter<Desk>,
}

macro_rules! routes {
    ($($access:ident $method:ident $path:literal => $handler:expr;)*) => {
        vec![$(Route {
            access: Access::$access,
            method: Method::$method,
            path: $path,
            answer: on(MethodFilter::$method, $handler),
        }),*]
    };
}

/// Every route there is.
pub(super) fn table() -> Vec<Route> {
    routes! {
        Open GET "/health/live" => status::live;
        Open GET "/health/ready" => status::ready;
        Open GET "/api/cloudProviders/oauth2/{service}/callback" => callback::callback;
        Local GET "/api/status" => status::show;
        Local GET "/api/calendar" => calendar::list;
        Local POST "/api/doctor" => doctor::everything;
        Local GET "/api/log-level" => status::log_level;
        Local PUT "/api/log-level" => status::set_log_level;
        Local GET "/api/cloudProviders" => providers::list;
        Local POST "/api/cloudProviders" => providers::add;
        Local GET "/api/cloudProviders/{id}" => providers::show;
        Local PATCH "/api/cloudProviders/{id}" => providers::change;
        Local PUT "/api/cloudProviders/{id}" => providers::change;
        Local DELETE "/api/cloudProviders/{id}" => providers::remove;
        Local POST "/api/cloudProviders/{id}/authenticate" => providers::authenticate;
        Local POST "/api/cloudProviders/{id}/redirected" => providers::redirected;
        Local POST "/api/cloudProviders/{id}/device" => providers::begin_device;
        Local GET "/api/cloudProviders/{id}/device" => providers::device;
        Local POST "/api/cloudProviders/{id}/confirm" => providers::confirm;
        Local POST "/api/cloudProviders/{id}/discard" => providers::discard;
        Local POST "/api/cloudProviders/{id}/secret" => providers::secret;
        Local GET "/api/cloudProviders/{id}/grant" => providers::grant;
        Local GET "/api/mail/accounts" => accounts::list;
        Local POST "/api/mail/accounts" => accounts::add;
        Local GET "/api/mail/accounts/{id}" => accounts::show;
        Local PATCH "/api/mail/accounts/{id}" => accounts::change;
        Local PUT "/api/mail/accounts/{id}" => accounts::change;
        Local DELETE "/api/mail/accounts/{id}" => accounts::remove;
        Local POST "/api/mail/accounts/{id}/pause" => accounts::pause;
        Local POST "/api/mail/accounts/{id}/resume" => accounts::resume;
        Local POST "/api/mail/accounts/{id}/sync" => accounts::sync;
        Local GET "/api/mail/accounts/{id}/folders" => accounts::folders;
        Local POST "/api/mail/accounts/{id}/reingest" => accounts::reingest;
        Local POST "/api/mail/accounts/{id}/release" => accounts::release;
        Local POST "/api/mail/accounts/{id}/doctor" => doctor::account;
        Local GET "/api/mail/accounts/{id}/transcript" => accounts::transcript;
        Local GET "/api/mail/messages" => messages::list;
        Local GET "/api/mail/messages/{id}" => messages::show;
        Local GET "/api/mail/messages/{id}/raw" => messages::raw;
        Local GET "/api/mail/interactions" => messages::interactions;
        Local GET "/api/mail/problems" => messages::problems;
        Local GET "/api/mail/outbox" => outbox::list;
        Local POST "/api/mail/outbox" => outbox::send;
        Local GET "/api/mail/outbox/{id}" => outbox::show;
        Local GET "/api/mail/outbox/{id}/raw" => outbox::raw;
        Local GET "/api/mail/events" => status::events;
        Local GET "/api/cm/lists" => contacts::lists;
        Local POST "/api/cm/lists" => contacts::add_list;
        Local GET "/api/cm/lists/{id}" => contacts::show_list;
        Local GET "/api/cm/contacts" => contacts::contacts;
    }
}

/// The routes below one root.
fn routes(desk: &Desk, wanted: impl Fn(Access) -> bool) -> Router {
    let mut router = Router::new();
    for route in table().into_iter().filter(|route| wanted(route.access)) {
        let sends = route.path == "/api/mail/outbox" && route.method == Method::POST;
        let limit = if sends { SEND_BODY } else { BODY };
        let answer = route.answer.layer(DefaultBodyLimit::max(limit));
        router = router.route(route.path, answer);
    }
    router
        .method_not_allowed_fallback(|| async { ApiError::WrongMethod })
        .with_state(desk.clone())
}

/// What every request passes, outermost last.
fn guarded(router: Router, limit: Duration) -> Router {
    router
        .layer(from_fn(guard::told))
        .layer(CatchPanicLayer::custom(guard::survived))
        .layer(from_fn(move |request: Request, next| {
            let long = request.uri().path().ends_with("/doctor");
            let limit = if long { limit.max(EXAMINATION) } else { limit };
            guard::bounded(limit, request, next)
        }))
        .layer(from_fn(guard::marked))
}

/// All routes, for the Unix socket: its mode and its directory decide who gets here.
pub fn local_router(desk: &Desk) -> Router {
    let router = routes(desk, |_| true).fallback(|| async { ApiError::NotFound { what: "route" } });
    guarded(router, desk.settings.request_timeout)
}

/// For TCP: the open routes at the root and below the base path; everything else is 401, whether it
/// exists or not.
pub fn public_router(desk: &Desk) -> Router {
    let open = routes(desk, |access| access == Access::Open);
    let router = match desk.settings.base_path.as_str() {
        "" => open,
        base => open.clone().nest(base, open),
    };
    guarded(
        router.fallback(|| async { ApiError::Unauthenticated.into_response() }),
        desk.settings.request_timeout,
    )
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_ends_its_own_request_with_an_id_for_the_log() {
        async fn panics() -> &'static str {
            panic!("canary-words")
        }
        let router = guarded(
            Router::new().route("/", get(panics)),
            Duration::from_secs(30),
        );
        let request = Request::get("/").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["cache-control"], "no-store");
        let bytes = axum::body::to_bytes(response.into_body(), 10_000)
            .await
            .unwrap();
        let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(body["code"], "internal_error");
        assert!(body["errorId"].as_str().is_some_and(|id| id.len() == 32));
        assert!(!body.to_string().contains("canary"), "{body}");
    }
}
