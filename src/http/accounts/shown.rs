//! How the API shows accounts, their lanes and their queues. Never a password (I8).

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    account::{AccountStatus, Overall},
    diagnosis::{Diagnosis, LaneState, LaneStatus, Warning, account_warnings, ending_session},
    model::{
        Account, Action, Authentication, Backfill, LaneName, RecipientState, Server, Timestamp,
        TlsVerify,
    },
};

/// An account with what its task shows and what waits in its queue.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ShownAccount {
    id: i64,
    name: String,
    key: String,
    address: String,
    #[serde(rename = "ListId")]
    list: i64,
    service: &'static str,
    authentication: &'static str,
    #[serde(rename = "CloudProviderId")]
    provider: Option<i64>,
    username: String,
    delegate: Option<String>,
    imap: ShownServer,
    smtp: ShownServer,
    /// A URL without its password, `direct`, or `null` for the process's.
    proxy: Option<String>,
    backfill: String,
    folders: Vec<String>,
    paused: bool,
    version: i64,
    created_at: String,
    updated_at: String,
    status: ShownStatus,
    queue: Map<String, Value>,
}

#[derive(Serialize)]
struct ShownServer {
    host: String,
    port: u16,
    tls: &'static str,
    verify: &'static str,
    #[serde(rename = "tlsCa", skip_serializing_if = "Option::is_none")]
    tls_ca: Option<String>,
    #[serde(rename = "tlsPins", skip_serializing_if = "Option::is_none")]
    tls_pins: Option<Vec<String>>,
}

/// Both lanes. An account whose task does not run here (paused, just added, another node's) shows
/// stopped lanes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ShownStatus {
    /// Both lanes as one word; `paused` where an administrator stopped it.
    state: &'static str,
    /// IMAP has opened the mailbox and SMTP has taken the login.
    connected: bool,
    running: bool,
    restarts: u32,
    /// What works and should not stay so.
    warnings: Vec<ShownWarning>,
    inbound: ShownLane,
    outbound: ShownLane,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownLane {
    state: &'static str,
    code: Option<&'static str>,
    what: Option<String>,
    why: Option<String>,
    next: Option<String>,
    /// Who acts: `retry`, `sign_in_again`, `administrator`, `hold_until` or `this_message_only`.
    action: Option<&'static str>,
    since: Option<String>,
    retry_at: Option<String>,
    last_contact: Option<String>,
}

impl ShownAccount {
    pub(in crate::http) fn new(
        account: &Account,
        status: Option<&AccountStatus>,
        counts: &[(RecipientState, i64)],
    ) -> Self {
        let entered = &account.entered;
        let (authentication, delegate) = match &entered.authentication {
            Authentication::Modern { delegate, .. } => ("modern", delegate.clone()),
            Authentication::Password { .. } => ("password", None),
        };
        Self {
            id: account.id.get(),
            name: entered.name.clone(),
            key: entered.key.to_string(),
            address: entered.address.to_string(),
            list: entered.list.get(),
            service: entered.service.as_str(),
            authentication,
            provider: account.provider().map(|id| id.get()),
            username: account.imap_user().to_owned(),
            delegate,
            imap: ShownServer::new(&entered.imap),
            smtp: ShownServer::new(&entered.smtp),
            proxy: entered.proxy.shown(),
            backfill: match entered.backfill {
                Backfill::None => "none".to_owned(),
                Backfill::All => "all".to_owned(),
                Backfill::Since(time) => time.rfc3339(),
            },
            folders: entered.folders.names(),
            paused: account.paused,
            version: account.version,
            created_at: account.created_at.rfc3339(),
            updated_at: account.updated_at.rfc3339(),
            status: ShownStatus::new(account, status),
            queue: queue(counts),
        }
    }
}

impl ShownAccount {
    /// Fills in contacts that were written down in an earlier run or by another node.
    pub(in crate::http) fn with_last_contact(
        mut self,
        inbound: Option<Timestamp>,
        outbound: Option<Timestamp>,
    ) -> Self {
        for (lane, at) in [
            (&mut self.status.inbound, inbound),
            (&mut self.status.outbound, outbound),
        ] {
            lane.last_contact = lane.last_contact.take().or(at.map(Timestamp::rfc3339));
        }
        self
    }
}

/// The lanes whose session is good now.
pub(super) fn in_session(status: &AccountStatus) -> Vec<LaneName> {
    [
        (LaneName::Inbound, &status.inbound),
        (LaneName::Outbound, &status.outbound),
    ]
    .into_iter()
    .filter(|(_, lane)| matches!(lane.state, LaneState::Ready | LaneState::Working))
    .map(|(lane, _)| lane)
    .collect()
}

impl ShownAccount {
    /// Says of these lanes that there will be no access token for their next session.
    pub(super) fn ending(mut self, lanes: &[LaneName], token: &Diagnosis) -> Self {
        let warnings = lanes.iter().map(|lane| ending_session(*lane, token).into());
        self.status.warnings.extend(warnings);
        self
    }
}

impl ShownServer {
    fn new(server: &Server) -> Self {
        Self {
            host: server.host.clone(),
            port: server.port,
            tls: server.tls.as_str(),
            verify: server.verify.as_str(),
            tls_ca: match &server.verify {
                TlsVerify::Ca(pem) => Some(pem.clone()),
                _ => None,
            },
            tls_pins: match &server.verify {
                TlsVerify::Pinned(pins) => Some(pins.iter().map(ToString::to_string).collect()),
                _ => None,
            },
        }
    }
}

#[derive(Serialize)]
struct ShownWarning {
    code: &'static str,
    lane: &'static str,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    next: String,
}

impl From<Warning> for ShownWarning {
    fn from(warning: Warning) -> Self {
        Self {
            code: warning.code,
            lane: warning.lane.as_str(),
            what: warning.what,
            why: warning.why,
            next: warning.next,
        }
    }
}

impl ShownStatus {
    fn new(account: &Account, status: Option<&AccountStatus>) -> Self {
        let overall = match status {
            Some(status) if !account.paused => status.overall(),
            _ => Overall::Stopped,
        };
        Self {
            state: if account.paused {
                "paused"
            } else {
                overall.as_str()
            },
            connected: overall == Overall::Connected,
            warnings: account_warnings(account)
                .into_iter()
                .map(ShownWarning::from)
                .collect(),
            running: status.is_some(),
            restarts: status.map_or(0, |status| status.restarts),
            inbound: ShownLane::new(status.map(|status| &status.inbound)),
            outbound: ShownLane::new(status.map(|status| &status.outbound)),
        }
    }
}

impl ShownLane {
    fn new(lane: Option<&LaneStatus>) -> Self {
        let diagnosis = lane.and_then(|lane| lane.diagnosis.as_ref());
        Self {
            state: lane.map_or(LaneState::Stopped, |lane| lane.state).as_str(),
            code: diagnosis.map(|d| d.code),
            what: diagnosis.map(|d| d.what.clone()),
            why: diagnosis.map(|d| d.why.clone()),
            next: diagnosis.map(|d| d.next.clone()),
            action: lane.and_then(LaneStatus::action).map(Action::as_str),
            since: lane.map(|lane| lane.since.rfc3339()),
            retry_at: lane.and_then(|lane| lane.retry_at).map(|t| t.rfc3339()),
            last_contact: lane.and_then(|lane| lane.last_contact).map(|t| t.rfc3339()),
        }
    }
}

/// The states in which a copy is not settled, by the names they have as JSON fields.
const OPEN: [(RecipientState, &str); 6] = [
    (RecipientState::Queued, "queued"),
    (RecipientState::Claimed, "claimed"),
    (RecipientState::DotPending, "dotPending"),
    (RecipientState::Deferred, "deferred"),
    (RecipientState::InDoubt, "inDoubt"),
    (RecipientState::Held, "held"),
];

/// Copies per state; every open state is there, settled ones are counted together by their names.
fn queue(counts: &[(RecipientState, i64)]) -> Map<String, Value> {
    let count = |state: RecipientState| -> i64 {
        counts
            .iter()
            .filter(|(counted, _)| *counted == state)
            .map(|(_, n)| n)
            .sum()
    };
    let settled = [
        (RecipientState::Sent, "sent"),
        (RecipientState::Failed, "failed"),
        (RecipientState::Expired, "expired"),
        (RecipientState::Cancelled, "cancelled"),
    ];
    OPEN.into_iter()
        .chain(settled)
        .map(|(state, name)| (name.to_owned(), Value::from(count(state))))
        .collect()
}

#[cfg(test)]
#[path = "shown_tests.rs"]
mod tests;
