//! Signing in where no browser can call this server back: a person types a code at the platform's page on
//! any machine, and we ask whether they have (RFC 8628; learn.microsoft.com, "OAuth 2.0 device
//! authorization grant").
//!
//! `oauth2` begins the flow. It does not poll: its own loop never ends for a platform that cannot be
//! reached, and keeps neither Microsoft's numbers nor the HTTP status.

use std::{fmt, time::Duration};

use http::{
    Method,
    header::{ACCEPT, CONTENT_TYPE},
};
use oauth2::{
    AsyncHttpClient, DeviceAuthorizationResponse, DeviceAuthorizationUrl,
    ExtraDeviceAuthorizationFields, HttpRequest, HttpResponse, Scope,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::{Url, form_urlencoded};

use crate::model::{Access, CloudService, NewCloudProvider};

use super::{
    Answer, Credential, Endpoints, OauthClient, OauthError,
    answer::signed_in,
    client::wire,
    endpoints::{NOBODY_SIGNS_IN, endpoints, unusable, web_address},
    error::{clean, nonsense},
    line::Line,
    wire::{RefusalBody, TokenAnswer, lenient},
};

/// RFC 8628 §3.4.
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Longest device code that is taken; Microsoft's have some hundred characters.
const CODE_LIMIT: usize = 8 * 1024;
/// Longest code that a person is asked to type.
const USER_CODE_LIMIT: usize = 64;
/// Longest address that a person is asked to open.
const ADDRESS_LIMIT: usize = 2 * 1024;
/// A code is believed to live for so long: Microsoft's do for a quarter of an hour.
const LIFETIME: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(3600)];
/// The pause between two polls is believed to be in here; `oauth2` says five seconds where nothing is said.
const INTERVAL: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// A sign-in that was begun: what the person needs, and what we poll with.
#[derive(Clone, Debug)]
pub struct DeviceCode {
    /// What we poll with: visible ASCII, at most 8 KiB.
    pub device_code: SecretString,
    /// What the person types: visible ASCII, 1..=64 characters. Whoever knows it can offer their own
    /// account, so it is for the person only.
    pub user_code: String,
    /// Where the person types it: `https`, or `http` on this machine; at most 2 KiB.
    pub verification_uri: String,
    /// How long the codes live, 1..=60 minutes.
    pub expires_in: Duration,
    /// The pause before each poll, 1..=60 s. Each [`DevicePoll::SlowDown`] adds 5 s for good (RFC 8628 §3.5).
    pub interval: Duration,
    /// The platform's own words to the person, bounded and escaped; empty where there are none.
    pub message: String,
}

/// What one poll brought.
#[derive(Clone, Debug)]
pub enum DevicePoll {
    /// The person is not done yet.
    Pending,
    /// Not done yet, and we ask too often: the pause grows by 5 s.
    SlowDown,
    /// Signed in. The device code is spent.
    Done(Answer),
}

/// Microsoft's addition to RFC 8628 §3.2.
#[derive(Deserialize, Serialize)]
struct Extra {
    #[serde(default, deserialize_with = "lenient")]
    message: Option<String>,
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extra").finish_non_exhaustive()
    }
}

impl ExtraDeviceAuthorizationFields for Extra {}

impl OauthClient {
    /// Asks for a device code with the scopes of a sign-in (RFC 8628 §3.1).
    ///
    /// # Errors
    /// See [`OauthError`]; before any request for application access, where nobody signs in, and for
    /// Google, whose device codes do not open mailboxes. A future that is dropped leaves at most a code
    /// that nobody uses.
    pub async fn device_begin(
        &self,
        provider: &NewCloudProvider,
        credential: Credential<'_>,
    ) -> Result<DeviceCode, OauthError> {
        let (endpoints, device) = of_a_person(provider)?;
        let proof = self.proof(provider, credential, &endpoints)?;
        let scopes = endpoints.scopes.clone().into_iter().map(Scope::new);
        let line = self.line(provider)?;
        let wire = wire(provider, credential, endpoints)
            .set_device_authorization_url(DeviceAuthorizationUrl::from_url(device));
        let mut request = wire.exchange_device_code().add_scopes(scopes);
        for (name, value) in proof {
            request = request.add_extra_param(name, value);
        }
        let found = request.request_async(&line).await;
        let found = found.map_err(|error| line.plain(error))?;
        checked(&found).map_err(|what| nonsense(line.status(), what))
    }

    /// Asks once whether the person has signed in (RFC 8628 §3.4). The caller keeps the pauses and ends
    /// after [`DeviceCode::expires_in`].
    ///
    /// # Errors
    /// See [`OauthError`]. `authorization_declined` or `access_denied` (the person said no), `expired_token`
    /// and `bad_verification_code` are refusals that only a new beginning helps. Where the platform was not
    /// reached or is not well, the same code may be polled again. If the future is dropped the code may be
    /// spent.
    pub async fn device_poll(
        &self,
        provider: &NewCloudProvider,
        credential: Credential<'_>,
        begun: &DeviceCode,
    ) -> Result<DevicePoll, OauthError> {
        let (endpoints, _) = of_a_person(provider)?;
        let proof = self.proof(provider, credential, &endpoints)?;
        let form = poll_form(provider, credential, begun, proof);
        let line = self.line(provider)?;
        let answer = line.call(post(&endpoints.token, form)?).await?;
        match read(&line, &answer)? {
            Ok(found) => Ok(DevicePoll::Done(signed_in(
                &found,
                provider,
                line.status(),
            )?)),
            Err(body) => match body.error.as_str() {
                "authorization_pending" => Ok(DevicePoll::Pending),
                "slow_down" => Ok(DevicePoll::SlowDown),
                _ => Err(line.refused(body)),
            },
        }
    }
}

/// The fields of one poll.
fn poll_form(
    provider: &NewCloudProvider,
    credential: Credential<'_>,
    begun: &DeviceCode,
    proof: Vec<(&'static str, String)>,
) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", GRANT_TYPE)
        .append_pair("device_code", begun.device_code.expose_secret())
        .append_pair("client_id", provider.application_id.trim());
    if let Some(secret) = credential.secret() {
        form.append_pair("client_secret", secret.secret());
    }
    form.extend_pairs(proof);
    form.finish()
}

/// The addresses, where a person can sign in with a device code.
fn of_a_person(provider: &NewCloudProvider) -> Result<(Endpoints, Url), OauthError> {
    let endpoints = endpoints(provider)?;
    if provider.access == Access::Application {
        return Err(unusable("access", NOBODY_SIGNS_IN));
    }
    match (provider.service, endpoints.device.clone()) {
        (CloudService::MicrosoftAzure, Some(device)) => Ok((endpoints, device)),
        _ => Err(unusable(
            "service",
            "Google's device codes do not open mailboxes: sign in with Authenticate in a browser, and if \
             it cannot reach this server, paste the address it ends at",
        )),
    }
}

/// The form as a request.
fn post(to: &Url, form: String) -> Result<HttpRequest, OauthError> {
    http::Request::builder()
        .method(Method::POST)
        .uri(to.as_str())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.into_bytes())
        .map_err(|_| unusable("authority", "no request can be sent to it"))
}

/// Tokens, or the platform's refusal (RFC 6749 §5).
fn read(
    line: &Line<'_>,
    answer: &HttpResponse,
) -> Result<Result<TokenAnswer, RefusalBody>, OauthError> {
    let body = answer.body();
    if answer.status() == http::StatusCode::OK {
        serde_json::from_slice(body).map(Ok)
    } else {
        serde_json::from_slice(body).map(Err)
    }
    .map_err(|error| line.no_json(&error))
}

/// The platform's answer within its bounds, or what is wrong with it.
fn checked(found: &DeviceAuthorizationResponse<Extra>) -> Result<DeviceCode, &'static str> {
    let visible = |text: &str, most: usize| {
        !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let device_code = found.device_code().secret();
    if !visible(device_code, CODE_LIMIT) {
        return Err("the device code is empty, too long or has characters that no code may have");
    }
    let user_code = found.user_code().secret().trim();
    if !visible(user_code, USER_CODE_LIMIT) {
        return Err("the user code is empty, too long or has characters that no code may have");
    }
    let address = found.verification_uri().as_str().trim();
    if address.len() > ADDRESS_LIMIT {
        return Err("the verification address is too long");
    }
    let address = web_address("verification address", address)
        .map_err(|_| "the verification address is not one that a person can be sent to")?;
    let within = |time: Duration, [least, most]: [Duration; 2]| time.clamp(least, most);
    Ok(DeviceCode {
        device_code: device_code.clone().into(),
        user_code: user_code.to_owned(),
        verification_uri: address.to_string(),
        expires_in: within(found.expires_in(), LIFETIME),
        interval: within(found.interval(), INTERVAL),
        message: clean(found.extra_fields().message.as_deref().unwrap_or_default()),
    })
}
