//! Speaks OAuth 2 to one identity platform (Microsoft Entra, Google): where it lives, how a person is
//! sent there, how a code or a refresh token becomes tokens, and what its refusals mean.
//!
//! # Promises
//! - A sign-in always uses PKCE with S256, a state of 256 random bits, and the redirect URI it is given,
//!   never one from a request header.
//! - Tokens travel only over TLS with our own roots, or in clear text to a loopback address. Redirects
//!   are never followed; an answer is read up to 256 KiB and for at most the configured time.
//! - A token that leaves this module is made of characters that are safe in SASL and HTTP: no control
//!   characters, no line ends, at most 32 KiB.
//! - Nothing of an answer's body ends in an error but the platform's own error fields, bounded and
//!   escaped, since a body may hold tokens (I8).
//!
//! # When things fail
//! Every failure is an [`OauthError`] that says who acts next ([`OauthError::class`]). A refusal keeps the
//! platform's words and numbers; [`entra::verdict`] is the table that judges them. Nothing is retried
//! here: a request is sent once. A future that is dropped may have reached the platform, which may have
//! rotated the refresh token: callers let it run to its end.
//!
//! # Does not know
//! The store, when a token is worth refreshing, who may sign in.
//!
//! # Standards
//! RFC 6749 (OAuth 2.0), RFC 6750 (bearer tokens), RFC 7636 (PKCE), RFC 9207 (issuer in the answer),
//! RFC 9700 (security practice), OpenID Connect Core 1.0 §3.1.3.7 (id token); Microsoft identity platform v2.0.

mod client;
mod clock;
mod endpoints;
pub mod entra;
mod error;
mod identity;
mod sign_in;
mod transport;
mod wire;

pub use client::{Answer, OauthClient, Settings, SetupError};
pub use clock::PlatformTime;
pub use endpoints::{Endpoints, endpoints};
pub use error::{OauthError, Reach, Refusal};
pub use identity::Identity;
pub use sign_in::{SignInSecrets, authorize_url, issuer_matches, missing_scope};

#[cfg(test)]
mod client_tests;
#[cfg(test)]
pub(crate) mod scripted;
