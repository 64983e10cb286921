//! Speaks OAuth 2 to one identity platform (Microsoft Entra in any of its clouds, Google): where it lives,
//! how a person is sent there or given a code to type, how a code, a refresh token or the application's own
//! credential becomes tokens, and what its refusals mean.
//!
//! # Promises
//! - A sign-in always uses PKCE with S256, a state of 256 random bits, and the redirect URI it is given,
//!   never one from a request header.
//! - Each request proves the application with the one [`Credential`] it is given: a secret in the body, or an
//!   assertion signed for this request alone, of which the private key never leaves us.
//! - Tokens travel only over TLS with our own roots, or in clear text to a loopback address, and neither to
//!   this machine nor its link unless the operator allowed that host ([`Settings::guard`]). Redirects
//!   are never followed; an answer is read up to 256 KiB and for at most the configured time.
//! - A token that leaves this module is made of characters that are safe in SASL and HTTP: no control
//!   characters, no line ends, at most 32 KiB. What a person is shown of a device sign-in is bounded and
//!   escaped, and its address is `https` or this machine.
//! - Nothing of an answer's body ends in an error but the platform's own error fields, bounded and
//!   escaped, since a body may hold tokens (I8). Nothing of a certificate or key does either.
//! - A provider's own proxy goes before the process's, is used for every host over TLS and for nothing in the
//!   clear, and passes the same address guard as a platform.
//! - Requests to Microsoft carry an id of their own, which a refusal shows where the platform names none.
//!
//! # When things fail
//! Every failure is an [`OauthError`] that says who acts next ([`OauthError::class`]). A refusal keeps the
//! platform's words and numbers; [`entra::verdict`] is the table that judges them, and
//! [`OauthError::refuses_client`] tells whether another credential may help. What the platform is known to
//! refuse is found before asking ([`endpoints()`]). Nothing is retried here: a request is sent once. A future
//! that is dropped may have reached the platform, which may have rotated the refresh token: callers let it
//! run to its end.
//!
//! # Does not know
//! The store, when a token is worth refreshing, which credential to try next, when to poll again, who may
//! sign in.
//!
//! # Standards
//! RFC 6749 (OAuth 2.0), RFC 6750 (bearer tokens), RFC 7515 and RFC 7518 (signed JSON), RFC 7519 (JSON Web
//! Tokens), RFC 7523 (client assertions), RFC 7636 (PKCE), RFC 8628 (device codes), RFC 9207 (issuer in the
//! answer), RFC 9700 (security practice), OpenID Connect Core 1.0 §3.1.3.7 (id token); Microsoft identity
//! platform v2.0.

mod answer;
mod certificate;
mod client;
mod clock;
mod clouds;
mod credential;
mod device;
mod endpoints;
pub mod entra;
mod error;
mod guard;
mod identity;
mod line;
mod scopes;
mod sign_in;
mod transport;
mod way;
mod wire;

pub use answer::Answer;
pub use certificate::{CertificateError, CertificateFacts, certificate_facts, check_certificate};
pub use client::{OauthClient, Settings, SetupError};
pub use clock::PlatformTime;
pub use clouds::{Hosts, hosts};
pub use credential::Credential;
pub use device::{DeviceCode, DevicePoll};
pub use endpoints::{Endpoints, endpoints};
pub use error::{OauthError, Reach, Refusal};
pub use identity::{Identity, PERSONAL_TENANT, same_id};
pub use scopes::missing_scopes;
pub use sign_in::{SignInSecrets, authorize_url, issuer_matches};

#[cfg(test)]
pub(crate) use certificate::tests::example as certificate_example;

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod device_tests;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod grants_tests;
#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod way_tests;
