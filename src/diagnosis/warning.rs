//! What works and should not stay so.

use super::Diagnosis;
use crate::model::{Account, LaneName, Server, TlsVerify};

/// Something about an account's settings that an administrator should mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Stable, for programs.
    pub code: &'static str,
    /// Which lane it is about.
    pub lane: LaneName,
    /// What is wrong, a whole sentence.
    pub what: String,
    /// Why, as far as a peer said it.
    pub why: Option<String>,
    /// What to do, whole sentences.
    pub next: String,
}

/// The warning about a lane whose session still works, while the next one gets no access token. Pure.
pub fn ending_session(lane: LaneName, token: &Diagnosis) -> Warning {
    Warning {
        code: token.code,
        lane,
        what: format!(
            "The {} session still works, but there will be no other when the server ends it: {}",
            lane.as_str(),
            token.what
        ),
        why: Some(token.why.clone()),
        next: token.next.clone(),
    }
}

/// Writes the warning about a lane's server, if there is one, into the log: for a lane that begins.
pub fn warn_of_server(account: &Account, lane: LaneName) {
    let server = match lane {
        LaneName::Inbound => &account.entered.imap,
        LaneName::Outbound => &account.entered.smtp,
    };
    let key = account.entered.key.to_string();
    if let Some(warning) = server_warning(&key, lane, server) {
        tracing::warn!(
            account = %account.entered.key,
            lane = lane.as_str(),
            code = warning.code,
            "{} {}",
            warning.what,
            warning.next
        );
    }
}

/// How to have a certificate checked again, for the account of this key.
pub(super) fn check_again(key: &str) -> String {
    format!(
        "Have it checked: motion-email account edit {key} --imap-verify full --smtp-verify full. Where the server has a \
         certificate of its own making, name its authority (--ca-file FILE) or its fingerprint (--imap-pin, --smtp-pin) instead."
    )
}

/// The warning about one server of the account of this key, if there is one. Pure.
pub fn server_warning(key: &str, lane: LaneName, server: &Server) -> Option<Warning> {
    (server.verify == TlsVerify::AcceptAny).then(|| Warning {
        code: "tls_accept_any",
        lane,
        what: format!(
            "The certificate of {}:{} is not checked: whoever sits on the line can read the mail and the login.",
            server.host, server.port
        ),
        why: None,
        next: check_again(key),
    })
}

/// All warnings about an account's settings. Pure.
pub fn account_warnings(account: &Account) -> Vec<Warning> {
    let entered = &account.entered;
    let key = entered.key.to_string();
    [
        (LaneName::Inbound, &entered.imap),
        (LaneName::Outbound, &entered.smtp),
    ]
    .into_iter()
    .filter_map(|(lane, server)| server_warning(&key, lane, server))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fingerprint, TlsMode};

    #[test]
    fn only_a_certificate_that_nobody_looks_at_is_warned_about() {
        let mut server = Server::new("mail.test", 993, TlsMode::Tls);
        for (verify, warned) in [
            (TlsVerify::Full, false),
            (TlsVerify::Ca("pem".into()), false),
            (TlsVerify::Pinned(vec![Fingerprint::new([1; 32])]), false),
            (TlsVerify::AcceptAny, true),
        ] {
            server.verify = verify;
            let warning = server_warning("SUPP1", LaneName::Inbound, &server);
            assert_eq!(warning.is_some(), warned, "{server:?}");
            assert!(warning.is_none_or(
                |one| one.what.contains("mail.test:993") && one.next.contains("edit SUPP1 ")
            ));
        }
    }
}
