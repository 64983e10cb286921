//! The only SQL in the program.
//!
//! (Skeleton: signatures agreed between modules; bodies are being filled in.)
#![expect(
    unused_variables,
    missing_docs,
    reason = "skeleton: bodies are being filled in"
)]

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::model::*;

/// Which engine holds the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    MariaDb,
}

#[derive(Clone, Debug)]
pub struct Settings {
    /// `sqlite:///path/file.db` or `mysql://user:password@host:port/db` (holds a password: secret).
    pub url: SecretString,
    /// 32-byte key file for secrets at rest, made 0600 at first open.
    pub key_file: PathBuf,
    /// PEM bundle trusted for a remote MariaDB.
    pub ca_file: PathBuf,
    pub read_connections: u32,
    /// Bound of one transaction or query, and of waiting for a connection.
    pub patience: Duration,
}

/// Why the store did not do a thing.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not answer, is full, or is locked: nothing was written.
    #[error("the database is not available while {doing}")]
    Unavailable {
        doing: &'static str,
        #[source]
        source: sqlx::Error,
    },
    /// A commit's answer was lost: it may or may not have happened. Look before redoing.
    #[error("the database lost a commit's answer while {doing}")]
    OutcomeUnknown {
        doing: &'static str,
        #[source]
        source: sqlx::Error,
    },
    /// The account's lease is not ours any more (I11): nothing was written; stop working for it.
    #[error("the lease of account {account} is gone")]
    LeaseLost { account: AccountId },
    /// A unique key is taken; `what` names it for people ("account key", "provider name").
    #[error("{what} is already taken")]
    Taken { what: &'static str },
    /// The row named by the caller does not exist.
    #[error("no such {what}")]
    Missing { what: &'static str },
    /// The row is used by others and cannot be removed.
    #[error("{what} is in use by {by}")]
    InUse { what: &'static str, by: String },
    /// The row is not in a state that allows it, or was changed meanwhile.
    #[error("{0}")]
    Conflict(String),
    /// A stored row makes no sense (bad state word, secret that does not decrypt): that row's owner is parked.
    #[error("a stored {what} is damaged: {detail}")]
    Damaged { what: &'static str, detail: String },
    /// Any other answer of the database: a bug or a broken schema.
    #[error("the database refused {doing}")]
    Sql {
        doing: &'static str,
        #[source]
        source: sqlx::Error,
    },
    /// The writer task has ended (shutdown).
    #[error("the store is closed")]
    Closed,
}
impl StoreError {
    pub fn class(&self) -> FailureClass {
        unimplemented!()
    }
}

/// Why the store could not be opened, each with what to do (bad url, foreign tables, old SQLite, wrong MariaDB settings, key file unreadable, newer schema...).
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{0}")]
    Refused(String),
}

/// Handle to the database: cheap to clone. Reads run on a pool of their own; every write is a job for
/// the one `Writer`, which merges waiting jobs into one transaction and answers each after COMMIT.
#[derive(Clone)]
pub struct Store {}
/// The writer's task.
pub struct Writer {}
impl Writer {
    /// Serves writes until every `Store` clone is dropped or `stop` is cancelled AND the queue is empty.
    pub async fn run(self, stop: CancellationToken) {
        unimplemented!()
    }
}

/// Part of a list.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    pub limit: i64,
    pub offset: i64,
}
#[derive(Clone, Debug)]
pub struct Rows<T> {
    pub count: i64,
    pub rows: Vec<T>,
}

impl Store {
    pub async fn open(settings: &Settings) -> Result<(Store, Writer), OpenError> {
        unimplemented!()
    }
    pub fn engine(&self) -> Engine {
        unimplemented!()
    }
    /// A cheap write that proves that the database takes commits (watchdog, check).
    pub async fn ping(&self, now: Timestamp) -> Result<(), StoreError> {
        unimplemented!()
    }
}

// ---------- nodes and leases (reliability.md 2c) ----------
#[derive(Clone, Debug)]
pub struct NodeRow {
    pub id: NodeId,
    pub name: String,
    pub home: String,
    pub beat: i64,
    pub started_at: Timestamp,
}
#[derive(Clone, Debug)]
pub struct LeaseRow {
    pub account: AccountId,
    pub holder: Option<NodeId>,
    pub epoch: i64,
}
impl Store {
    /// Registers this process and removes rows of earlier runs from the same `home` (its lock is ours, so they are dead), freeing their leases.
    pub async fn node_register(&self, node: &NodeRow) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// beat+1; false when the row is gone (somebody declared us dead).
    pub async fn node_beat(&self, id: &NodeId) -> Result<bool, StoreError> {
        unimplemented!()
    }
    pub async fn node_list(&self) -> Result<Vec<NodeRow>, StoreError> {
        unimplemented!()
    }
    /// Removes a node's row and frees its leases (orderly stop, or judged dead).
    pub async fn node_remove(&self, id: &NodeId) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub async fn lease_list(&self) -> Result<Vec<LeaseRow>, StoreError> {
        unimplemented!()
    }
    /// Compare-and-set on what was seen: holder must still be `seen.holder` at `seen.epoch`. The row is made with the account.
    pub async fn lease_acquire(
        &self,
        seen: &LeaseRow,
        node: &NodeId,
    ) -> Result<Option<Lease>, StoreError> {
        unimplemented!()
    }
    pub async fn lease_release(&self, lease: &Lease) -> Result<(), StoreError> {
        unimplemented!()
    }
}

// ---------- cloud providers and grants ----------
/// `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct CloudProviderChange {
    pub name: Option<String>,
    pub application_id: Option<String>,
    pub tenant_id: Option<String>,
    pub client_secret: Option<SecretString>,
    pub redirect_uri: Option<String>,
    pub authority: Option<Option<String>>,
    pub scope_host: Option<Option<String>>,
}
/// A sign-in that was begun. `state` is stored hashed, the verifier sealed.
#[derive(Clone, Debug)]
pub struct NewOauthState {
    pub state: SecretString,
    pub provider: CloudProviderId,
    pub verifier: SecretString,
    pub redirect_uri: String,
    pub caller: String,
    pub expires_at: Timestamp,
}
#[derive(Clone, Debug)]
pub struct OauthState {
    pub provider: CloudProviderId,
    pub verifier: SecretString,
    pub redirect_uri: String,
    pub caller: String,
}
/// Outcome of taking a state.
#[derive(Clone, Debug)]
pub enum TakenState {
    Good(OauthState),
    Unknown,
    Used,
    Expired,
}
impl Store {
    pub async fn provider_add(
        &self,
        new: &NewCloudProvider,
        now: Timestamp,
    ) -> Result<CloudProvider, StoreError> {
        unimplemented!()
    }
    pub async fn provider_get(
        &self,
        id: CloudProviderId,
    ) -> Result<Option<CloudProvider>, StoreError> {
        unimplemented!()
    }
    pub async fn provider_list(&self, page: Page) -> Result<Rows<CloudProvider>, StoreError> {
        unimplemented!()
    }
    pub async fn provider_change(
        &self,
        id: CloudProviderId,
        change: &CloudProviderChange,
        now: Timestamp,
    ) -> Result<CloudProvider, StoreError> {
        unimplemented!()
    }
    pub async fn provider_remove(&self, id: CloudProviderId) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub async fn oauth_state_add(
        &self,
        new: &NewOauthState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Single use: marks it used in the same statement.
    pub async fn oauth_state_take(
        &self,
        state: &SecretString,
        now: Timestamp,
    ) -> Result<TakenState, StoreError> {
        unimplemented!()
    }
    pub async fn grant_get(&self, provider: CloudProviderId) -> Result<Option<Grant>, StoreError> {
        unimplemented!()
    }
    pub async fn grant_list(&self) -> Result<Vec<Grant>, StoreError> {
        unimplemented!()
    }
    /// A person signed in: replaces everything, state ok, version+1, event GrantSignedIn in the same commit.
    pub async fn grant_adopt(
        &self,
        provider: CloudProviderId,
        tokens: &NewTokens,
        now: Timestamp,
    ) -> Result<Grant, StoreError> {
        unimplemented!()
    }
    /// Makes `node` the grant's holder if it has none, holds it already, or the holder is not a registered node; returns the epoch.
    pub async fn grant_hold(
        &self,
        provider: CloudProviderId,
        node: &NodeId,
    ) -> Result<Option<i64>, StoreError> {
        unimplemented!()
    }
    /// CAS: holder and epoch ours, version unchanged -> state refreshing, attempt, started_at (committed BEFORE the request, I3). false: lost.
    pub async fn grant_refresh_begin(
        &self,
        provider: CloudProviderId,
        node: &NodeId,
        epoch: i64,
        version: i64,
        attempt: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        unimplemented!()
    }
    /// CAS on attempt and version: stores tokens, version+1, state ok. false: superseded (e.g. a person signed in meanwhile).
    pub async fn grant_refresh_finish(
        &self,
        provider: CloudProviderId,
        attempt: &str,
        version: i64,
        tokens: &NewTokens,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        unimplemented!()
    }
    /// CAS on attempt: back to ok (transient trouble) or needs_sign_in with the platform's words (then event GrantNeedsSignIn in the same commit).
    pub async fn grant_refresh_failed(
        &self,
        provider: CloudProviderId,
        attempt: &str,
        state: GrantState,
        reason: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        unimplemented!()
    }
}

// ---------- lists, contacts ----------
#[derive(Clone, Debug)]
pub struct ListRow {
    pub id: ListId,
    pub name: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}
#[derive(Clone, Debug)]
pub struct ContactRow {
    pub id: ContactId,
    pub list: ListId,
    pub name: String,
    pub email: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}
impl Store {
    pub async fn list_add(&self, name: &str, now: Timestamp) -> Result<ListRow, StoreError> {
        unimplemented!()
    }
    pub async fn list_get(&self, id: ListId) -> Result<Option<ListRow>, StoreError> {
        unimplemented!()
    }
    pub async fn list_list(&self, page: Page) -> Result<Rows<ListRow>, StoreError> {
        unimplemented!()
    }
    pub async fn contact_list(
        &self,
        list: Option<ListId>,
        page: Page,
    ) -> Result<Rows<ContactRow>, StoreError> {
        unimplemented!()
    }
}

// ---------- accounts ----------
/// Replaces all that was entered; version+1. A password left out of an edit is kept by the caller passing the stored one.
impl Store {
    pub async fn account_add(
        &self,
        new: &NewAccount,
        now: Timestamp,
    ) -> Result<Account, StoreError> {
        unimplemented!()
    }
    pub async fn account_get(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        unimplemented!()
    }
    pub async fn account_by_key(&self, key: &AccountKey) -> Result<Option<Account>, StoreError> {
        unimplemented!()
    }
    pub async fn account_list(&self, page: Page) -> Result<Rows<Account>, StoreError> {
        unimplemented!()
    }
    /// Every account that is not removed; a damaged row is an Err entry of its own so the others run (bad input 66).
    pub async fn account_wanted(
        &self,
    ) -> Result<Vec<Result<Account, (AccountId, StoreError)>>, StoreError> {
        unimplemented!()
    }
    pub async fn account_change(
        &self,
        id: AccountId,
        new: &NewAccount,
        expect_version: Option<i64>,
        now: Timestamp,
    ) -> Result<Account, StoreError> {
        unimplemented!()
    }
    pub async fn account_pause(
        &self,
        id: AccountId,
        paused: bool,
        now: Timestamp,
    ) -> Result<Account, StoreError> {
        unimplemented!()
    }
    /// Hides it (its mail stays readable by id); refused as InUse while copies are not final, unless `discard_queue`, which cancels them.
    pub async fn account_remove(
        &self,
        id: AccountId,
        discard_queue: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Fenced; writes the lane's state word, diagnosis code and detail into the account row and an AccountState event, only when the word or code changed.
    pub async fn account_state(
        &self,
        lease: &Lease,
        lane: LaneName,
        state: &str,
        code: Option<&str>,
        detail: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
}

// ---------- inbound ----------
#[derive(Clone, Debug)]
pub struct FolderRow {
    pub id: FolderId,
    pub account: AccountId,
    pub name: String,
    pub cursor: Cursor, /* UIDs below this were there before the account and are not wanted */
}
#[derive(Clone, Debug)]
pub struct NewMessage {
    pub uid: Uid,
    pub internal_date: Timestamp,
    pub size: u64,
    pub sha256: [u8; 32],
    pub raw: RawMail,
    pub parsed: Result<ParsedMail, String>,
}
/// Why a UID was put aside instead of stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsideReason {
    Vanished,
    NoBody,
    Oversize,
    Unreadable,
}
#[derive(Clone, Debug)]
pub struct Aside {
    pub uid: Uid,
    pub reason: AsideReason,
    pub detail: String,
    pub raw: Option<RawMail>,
}
#[derive(Clone, Debug)]
pub enum IngestItem {
    Message(Box<NewMessage>),
    Aside(Aside),
}
#[derive(Clone, Debug)]
pub struct IngestBatch {
    pub folder: FolderId,
    /* as read; the commit is refused (Conflict) if the row moved */ pub expect: Cursor,
    pub next: u64,
    /* ascending UIDs in expect.next..next */ pub items: Vec<IngestItem>,
    pub list: ListId,
}
#[derive(Clone, Copy, Debug, Default)]
pub struct Ingested {
    pub new_messages: u32,
    pub known_messages: u32,
    pub put_aside: u32,
}
impl Store {
    pub async fn folder_get(
        &self,
        account: AccountId,
        name: &str,
    ) -> Result<Option<FolderRow>, StoreError> {
        unimplemented!()
    }
    /// Fenced; makes the row, or moves it to a new validity/generation (I4).
    pub async fn folder_start(
        &self,
        lease: &Lease,
        name: &str,
        cursor: Cursor,
        now: Timestamp,
    ) -> Result<FolderRow, StoreError> {
        unimplemented!()
    }
    /// Fenced; messages + instances + contacts + interactions + events + cursor in one commit (I1). A message known by (account, sha256, internal_date) only gets a new instance: no second row, no second event.
    pub async fn ingest(
        &self,
        lease: &Lease,
        batch: IngestBatch,
        now: Timestamp,
    ) -> Result<Ingested, StoreError> {
        unimplemented!()
    }
    /// Fenced; moves the cursor where a complete listing showed nothing in between.
    pub async fn cursor_advance(
        &self,
        lease: &Lease,
        folder: FolderId,
        expect: Cursor,
        next: u64,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
}
#[derive(Clone, Debug)]
pub struct MessageRow {
    pub id: MessageId,
    pub account: AccountId,
    pub interaction: InteractionId,
    pub contact: Option<ContactId>,
    pub parsed: ParsedMail,
    pub internal_date: Timestamp,
    pub size: u64,
    pub parse_error: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}
#[derive(Clone, Debug)]
pub struct ProblemRow {
    pub id: i64,
    pub account: AccountId,
    pub folder: FolderId,
    pub uid: i64,
    pub reason: String,
    pub detail: String,
    pub created_at: Timestamp,
}
#[derive(Clone, Debug)]
pub struct InteractionRow {
    pub id: InteractionId,
    pub account: AccountId,
    pub subject: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}
impl Store {
    /// Newest first; bodies are left out of lists (text/html None).
    pub async fn message_list(
        &self,
        account: Option<AccountId>,
        interaction: Option<InteractionId>,
        page: Page,
    ) -> Result<Rows<MessageRow>, StoreError> {
        unimplemented!()
    }
    pub async fn message_get(&self, id: MessageId) -> Result<Option<MessageRow>, StoreError> {
        unimplemented!()
    }
    pub async fn message_raw(&self, id: MessageId) -> Result<Option<RawMail>, StoreError> {
        unimplemented!()
    }
    pub async fn interaction_list(
        &self,
        account: Option<AccountId>,
        page: Page,
    ) -> Result<Rows<InteractionRow>, StoreError> {
        unimplemented!()
    }
    pub async fn problem_list(
        &self,
        account: Option<AccountId>,
        page: Page,
    ) -> Result<Rows<ProblemRow>, StoreError> {
        unimplemented!()
    }
}

// ---------- outbound ----------
#[derive(Clone, Debug)]
pub struct NewOutgoing {
    pub account: AccountId,
    pub idempotency_key: Option<String>,
    /* hash of the caller's request, to tell a repeat from a clash */
    pub request_hash: [u8; 32],
    pub message_id: String,
    pub subject: String,
    pub envelope_from: EmailAddress,
    pub recipients: Vec<(RecipientKind, EmailAddress)>,
    /* frozen bytes, CRLF, no Bcc */ pub raw: RawMail,
    pub size: u64,
    pub interaction: Option<InteractionId>,
    pub send_at: Option<Timestamp>,
    pub expires_after: Duration,
}
#[derive(Clone, Debug)]
pub enum Enqueued {
    New(OutboxId),
    Repeated(OutboxId),
    KeyClash(OutboxId),
}
#[derive(Clone, Debug)]
pub struct RecipientRow {
    pub id: RecipientId,
    pub kind: RecipientKind,
    pub address: EmailAddress,
    pub state: RecipientState,
    pub attempts: u32,
    pub next_at: Option<Timestamp>,
    pub reply_code: Option<u16>,
    pub reply_text: Option<String>,
    pub updated_at: Timestamp,
}
#[derive(Clone, Debug)]
pub struct AttemptRow {
    pub attempt: String,
    pub started_at: Timestamp,
    pub dot_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub outcome: Option<String>,
    pub reply: Option<String>,
}
#[derive(Clone, Debug)]
pub struct OutboxRow {
    pub id: OutboxId,
    pub account: AccountId,
    pub message_id: String,
    pub subject: String,
    pub envelope_from: EmailAddress,
    pub size: u64,
    pub interaction: Option<InteractionId>,
    pub recipients: Vec<RecipientRow>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}
/// One delivery that this lane may try now.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub outbox: OutboxId,
    pub attempt: String,
    pub envelope_from: EmailAddress,
    pub message_id: String,
    pub raw: RawMail,
    pub size: u64,
    /* due now: id, address, attempts so far including this one */
    pub recipients: Vec<(RecipientId, EmailAddress, u32)>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}
#[derive(Clone, Debug)]
pub enum Outcome {
    Sent,
    Deferred { next_at: Timestamp },
    Failed,
    Expired,
    InDoubt,
}
#[derive(Clone, Debug)]
pub struct Settled {
    pub recipient: RecipientId,
    pub outcome: Outcome,
    pub reply_code: Option<u16>,
    pub reply_text: String,
}
impl Store {
    /// Unfenced; commits before it answers.
    pub async fn outbox_enqueue(
        &self,
        new: &NewOutgoing,
        now: Timestamp,
    ) -> Result<Enqueued, StoreError> {
        unimplemented!()
    }
    pub async fn outbox_get(
        &self,
        id: OutboxId,
    ) -> Result<Option<(OutboxRow, Vec<AttemptRow>)>, StoreError> {
        unimplemented!()
    }
    pub async fn outbox_raw(&self, id: OutboxId) -> Result<Option<RawMail>, StoreError> {
        unimplemented!()
    }
    /// `state`: only messages with a recipient in that state.
    pub async fn outbox_list(
        &self,
        account: Option<AccountId>,
        state: Option<RecipientState>,
        page: Page,
    ) -> Result<Rows<OutboxRow>, StoreError> {
        unimplemented!()
    }
    /// Fenced; first turns dot_pending copies of other lease epochs into in_doubt (with event), then claims the
    /// next due message: recipients queued/deferred and due, or claimed under another (holder, epoch) -> claimed
    /// with `attempt`, attempts+1, next_at = now + `retry_after(attempts)` is the caller's later business; attempt row inserted (I2). None: nothing due.
    pub async fn outbox_claim(
        &self,
        lease: &Lease,
        attempt: &str,
        now: Timestamp,
    ) -> Result<Option<Claimed>, StoreError> {
        unimplemented!()
    }
    /// Fenced; the named recipients of the attempt claimed -> dot_pending. Err or false: the dot must not be sent.
    pub async fn outbox_dot(
        &self,
        lease: &Lease,
        attempt: &str,
        accepted: &[RecipientId],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        unimplemented!()
    }
    /// Fenced; settles recipients of the attempt in one commit with their events (once key: recipient id + outcome + attempt) and closes the attempt row. Idempotent.
    pub async fn outbox_settle(
        &self,
        lease: &Lease,
        attempt: &str,
        settled: &[Settled],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Fenced; gives a claimed message back unharmed (line lost before MAIL was answered): state queued/deferred as before, attempts-1.
    pub async fn outbox_unclaim(
        &self,
        lease: &Lease,
        attempt: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub async fn outbox_next_due(
        &self,
        account: AccountId,
    ) -> Result<Option<Timestamp>, StoreError> {
        unimplemented!()
    }
    /// Copies per state, for status.
    pub async fn outbox_counts(
        &self,
        account: AccountId,
    ) -> Result<Vec<(RecipientState, i64)>, StoreError> {
        unimplemented!()
    }
    /// Fenced; dial, TLS and login are recorded on the lane, before they begin (I2) and after: costs no message an attempt.
    pub async fn line_begin(
        &self,
        lease: &Lease,
        lane: LaneName,
        attempt: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub async fn line_end(
        &self,
        lease: &Lease,
        attempt: &str,
        outcome: &str,
        detail: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
}

// ---------- events ----------
impl Store {
    /// The sequencer's step: numbers committed events that have none, in id order; returns how many. Safe to run twice at once (CAS on the counter row).
    pub async fn events_number(&self, limit: i64) -> Result<u32, StoreError> {
        unimplemented!()
    }
    pub async fn event_list(
        &self,
        after: i64,
        account: Option<AccountId>,
        limit: i64,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        unimplemented!()
    }
    /// Wakes whoever waits for new unnumbered events of this process (a hint; carries no data).
    pub fn events_written(&self) -> tokio::sync::watch::Receiver<u64> {
        unimplemented!()
    }
    /// Wakes the outbound lane of an account after an enqueue in this process (a hint).
    pub fn outbox_written(&self) -> tokio::sync::watch::Receiver<u64> {
        unimplemented!()
    }
}
