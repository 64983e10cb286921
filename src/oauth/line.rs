//! One request's way out, and its errors as ours.

use std::sync::atomic::{AtomicU16, Ordering};

use futures_util::future::BoxFuture;
use http::HeaderValue;
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse, RequestTokenError};
use uuid::Uuid;

use crate::{model::CloudService, net::Net, transcript::Recorder};

use super::{
    OauthError, Refusal,
    error::{clean, nonsense},
    guard, transport,
    way::Way,
    wire::RefusalBody,
};

/// The id of our request, by which a tenant's administrator finds it in the sign-in log (Microsoft).
const REQUEST_ID: &str = "client-request-id";

/// One request's way out. `oauth2` does not pass the HTTP status on in its errors, so it is noted here.
pub(super) struct Line<'a> {
    way: Way,
    recorder: &'a Recorder,
    guard: Option<&'a Net>,
    status: AtomicU16,
    request_id: Option<String>,
}

impl<'a> Line<'a> {
    /// For one request to this service's platform.
    pub(super) fn new(
        way: Way,
        recorder: &'a Recorder,
        guard: Option<&'a Net>,
        service: CloudService,
    ) -> Self {
        Self {
            way,
            recorder,
            guard,
            status: AtomicU16::new(0),
            request_id: match service {
                CloudService::MicrosoftAzure => Some(Uuid::new_v4().to_string()),
                CloudService::Google => None,
            },
        }
    }

    /// The HTTP status of the answer; 0 before there is one.
    pub(super) fn status(&self) -> u16 {
        self.status.load(Ordering::Relaxed)
    }

    /// Our error for `oauth2`'s. Its `Parse` carries the raw body, which may hold tokens: only where in the
    /// JSON it stumbled is kept (I8).
    pub(super) fn plain(&self, error: RequestTokenError<OauthError, RefusalBody>) -> OauthError {
        match error {
            RequestTokenError::Request(error) => error,
            RequestTokenError::ServerResponse(body) => self.refused(body),
            RequestTokenError::Parse(error, _) => self.no_json(error.inner()),
            // Its texts are fixed, but one repeats the content type.
            RequestTokenError::Other(what) => nonsense(self.status(), &clean(&what)),
        }
    }

    /// A refusal in the platform's words, with our request's id where it names none.
    pub(super) fn refused(&self, body: RefusalBody) -> OauthError {
        let correlation_id = body.correlation_id.as_deref().map(clean);
        OauthError::Refused(Box::new(Refusal {
            status: self.status(),
            error: clean(&body.error),
            description: clean(body.error_description.as_deref().unwrap_or_default()),
            codes: body.error_codes.unwrap_or_default(),
            suberror: body.suberror.as_deref().map(clean),
            trace_id: body.trace_id.as_deref().map(clean),
            correlation_id: correlation_id
                .filter(|id| !id.is_empty())
                .or_else(|| self.request_id.clone()),
        }))
    }

    /// An answer that is not the JSON it should be.
    pub(super) fn no_json(&self, error: &serde_json::Error) -> OauthError {
        let (line, column) = (error.line(), error.column());
        let what = format!("not the JSON of a token answer (line {line}, column {column})");
        nonsense(self.status(), &what)
    }
}

impl<'c> AsyncHttpClient<'c> for Line<'_> {
    type Error = OauthError;
    type Future = BoxFuture<'c, Result<HttpResponse, OauthError>>;

    fn call(&'c self, mut request: HttpRequest) -> Self::Future {
        if let Some(id) = &self.request_id
            && let Ok(id) = HeaderValue::from_str(id)
        {
            request.headers_mut().insert(REQUEST_ID, id);
        }
        Box::pin(async move {
            // The client's resolver never sees a host that is an address.
            if let (Some(net), Some(host)) = (self.guard, request.uri().host()) {
                guard::check(net, "authority", host)?;
            }
            let response = transport::send(&self.way, request, self.recorder).await?;
            let status = response.status().as_u16();
            self.status.store(status, Ordering::Relaxed);
            Ok(response)
        })
    }
}
