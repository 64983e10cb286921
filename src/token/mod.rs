//! One valid access token per grant: signing in, refreshing ahead of expiry, and surviving every way in
//! which that can go wrong.
//!
//! # Promises
//! - One refresh at a time per grant; everybody who asks meanwhile gets its outcome (I3).
//! - A rotated refresh token is committed before the access token that came with it is handed out (I3).
//!   While the database is away the answer is kept in memory and the commit tried again.
//! - A refresh that has been sent is never cancelled by whoever asked for it; [`TokenKeeper::run`] ends
//!   only after what is in flight has been recorded, or its drain time is over.
//! - A dead grant is not asked for again before a person signs in; a wrong client secret is not hammered,
//!   and tried again at once when the provider is edited.
//! - While the old access token is valid by the clock, trouble with refreshing disturbs nobody (I6).
//! - A state is good once, for ten minutes, for the service it was made for.
//!
//! # When things fail
//! - [`TokenError`] and [`SignInError`] say who acts next. Passing trouble waits from 5 seconds, doubling, to
//!   15 minutes; an administrator's matter 1, 5, 15, 60 minutes; a platform that names a time is obeyed.
//! - A refresh that was interrupted by a crash is found as `refreshing` and done again at once with the
//!   stored token, which is the same path as any refresh (I9). Where the platform had rotated it already and
//!   refuses, the grant needs a new sign-in and says so.
//!
//! # Does not know
//! Accounts, lanes, HTTP. Other nodes only through the grant's holder in the store.
//!
//! # Standards
//! RFC 6749 §6 (refreshing), RFC 7636 (PKCE), RFC 9207 (issuer), RFC 9700 (rotation, state).

mod callback;
mod commit;
mod error;
mod flow;
mod issuer;
mod journal;
mod judge;
mod keeper;
mod life;
mod record;
mod refresh;
mod replay;
mod request;
mod round;
mod slot;
mod waits;

pub use callback::{CallbackQuery, Refused};
pub use error::{SignInError, TokenError};
pub use flow::{SignIn, SignedIn};
pub use issuer::Limits;
pub use keeper::{Settings, Token, TokenKeeper};
pub use life::{Freshness, freshness};
pub use waits::Waits;

#[cfg(test)]
mod bench;
#[cfg(test)]
mod fleet_tests;
#[cfg(test)]
mod journal_tests;
#[cfg(test)]
mod keeper_tests;
#[cfg(test)]
mod sign_in_tests;
#[cfg(test)]
mod trouble_tests;
