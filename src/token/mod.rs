//! One valid access token per grant: signing in, refreshing ahead of expiry, and surviving every way in
//! which that can go wrong.
//!
//! # Promises
//! - One refresh at a time per grant; everybody who asks meanwhile gets its outcome (I3).
//! - The order of a refresh never changes: the attempt is committed, the request goes out, the answer is
//!   written to this machine's token journal and synced, the answer is committed, and only then is its access
//!   token handed out (I3). While the database is away the commit is tried again.
//! - Killed at any moment, the next run goes on: with the journalled answer where there is one, else with the
//!   stored refresh token. Only an answer that nobody had written down yet can be lost, and only at a platform
//!   that takes no refresh token twice; the grant then asks for a sign-in and says so.
//! - A refresh that has been sent is never cancelled by whoever asked for it; [`TokenKeeper::run`] ends
//!   only after what is in flight has been recorded, or its drain time is over.
//! - All grants together ask one platform at most ten times a second ([`Limits`]), who has no token first. A
//!   platform that answers nobody gets probes only.
//! - A dead grant is not asked for again before a person signs in; a wrong client secret is not hammered,
//!   and tried again at once when the provider is edited. A second secret beside it costs one more request,
//!   and takes the first one's place when it works.
//! - An application's own access (client credentials) is kept in the same way, with nobody signing in.
//! - While the old access token is valid by the clock, trouble with refreshing disturbs nobody (I6).
//! - A state is good once, for ten minutes, for the service it was made for and, where the answer is pasted,
//!   for the provider and the caller.
//! - Tokens of somebody else than expected are used by nobody before an administrator confirms who signed
//!   in; a grant never changes hands unless a sign-in was begun for that, and confirmed.
//!
//! # When things fail
//! - [`TokenError`] and [`SignInError`] say who acts next. Passing trouble waits a second, then from 5 seconds,
//!   doubling, to 15 minutes; an administrator's matter 1, 5, 15, 60 minutes; a platform that names a time is
//!   obeyed.
//! - A refusal of the grant is final at once where the platform's number says so, or where an earlier answer was
//!   lost; a bare `invalid_grant` is confirmed once, five minutes later.
//! - A refresh whose outcome is not known, interrupted or unanswered, stays `refreshing` in the row and is done
//!   again at once with the stored token, which is the same path as any refresh (I9). Another node's is left
//!   alone until it must be over.
//! - A journal that cannot be written (a full disk, or one that has not answered for five seconds) is logged and
//!   the answer goes to the database all the same. One that is damaged is used up to the first bad record and set
//!   aside, with an error line. A grant that a journal may hold an answer for waits while that cannot be looked at.
//!
//! # Does not know
//! Accounts, lanes, HTTP. Other nodes only through the grant's holder in the store.
//!
//! # Standards
//! RFC 6749 §6 (refreshing), RFC 7636 (PKCE), RFC 8628 (sign-in by code), RFC 9207 (issuer), RFC 9700 (rotation, state).

mod adopt;
mod callback;
mod commit;
mod device;
mod error;
mod flow;
mod gate;
mod give_up;
mod issuer;
mod journal;
mod journal_files;
mod judge;
mod keeper;
mod life;
mod record;
mod refresh;
mod replay;
mod request;
mod round;
mod settings;
mod slot;
mod trouble;
mod waits;

pub use adopt::{ConfirmError, SignedIn};
pub use callback::{CallbackQuery, Refused};
pub use device::{DeviceSignIn, DeviceState};
pub use error::{SignInError, TokenError};
pub use flow::SignIn;
pub use gate::Limits;
pub use keeper::{SignInFailure, Token, TokenKeeper};
pub use life::{Freshness, freshness};
pub use settings::Settings;
pub use waits::Waits;

#[cfg(test)]
mod bench;
#[cfg(test)]
mod catalogue_tests;
#[cfg(test)]
mod credential_tests;
#[cfg(test)]
mod device_tests;
#[cfg(test)]
mod doubt_tests;
#[cfg(test)]
mod fleet_tests;
#[cfg(test)]
mod held_tests;
#[cfg(test)]
mod journal_tests;
#[cfg(test)]
mod keeper_tests;
#[cfg(test)]
mod reuse_tests;
#[cfg(test)]
mod sign_in_tests;
#[cfg(test)]
mod trouble_tests;
