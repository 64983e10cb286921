-- MariaDB. The twin with the same number is for SQLite.
-- Who made this database, and how far. First, so that a crash half-way is recognised as ours.
CREATE TABLE IF NOT EXISTS schema_migrations (
    number BIGINT NOT NULL PRIMARY KEY
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
-- Single values: which key seals the secrets, the probe's row.
CREATE TABLE IF NOT EXISTS store_facts (
    name VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    value VARCHAR(200) NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT INTO store_facts (name, value) SELECT 'key_id', '' FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM store_facts WHERE name = 'key_id');
INSERT INTO store_facts (name, value) SELECT 'ping', '' FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM store_facts WHERE name = 'ping');
-- App registrations.
CREATE TABLE IF NOT EXISTS cloud_providers (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(100) NOT NULL,
    service VARCHAR(40) NOT NULL,
    cloud VARCHAR(20) NOT NULL,
    access VARCHAR(20) NOT NULL,
    application_id VARCHAR(255) NOT NULL,
    tenant_id VARCHAR(255) NOT NULL,
    client_secret MEDIUMBLOB, -- sealed
    client_secret_expires_at BIGINT,
    second_secret MEDIUMBLOB, -- sealed
    second_secret_expires_at BIGINT,
    certificate MEDIUMTEXT, -- PEM
    private_key MEDIUMBLOB, -- sealed
    redirect_uri MEDIUMTEXT NOT NULL,
    authority MEDIUMTEXT,
    scope_host MEDIUMTEXT,
    proxy MEDIUMBLOB, -- sealed; NULL: as the process has it
    created_at BIGINT NOT NULL, -- Unix milliseconds, like every time here
    updated_at BIGINT NOT NULL,
    UNIQUE (name)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
-- One per provider; holder, epoch and version fence refreshes.
CREATE TABLE IF NOT EXISTS grants (
    provider_id BIGINT NOT NULL PRIMARY KEY,
    state VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    version BIGINT NOT NULL,
    access_token MEDIUMBLOB, -- sealed
    access_expires_at BIGINT,
    refresh_token MEDIUMBLOB, -- sealed
    attempt VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin,
    attempt_started_at BIGINT,
    signed_in_as VARCHAR(320),
    tenant_id VARCHAR(255), -- with object_id: the identity it is pinned to
    object_id VARCHAR(255),
    confirmed_for MEDIUMTEXT, -- JSON: expected names that this identity was confirmed for
    signed_in_at BIGINT,
    refreshed_at BIGINT,
    scopes MEDIUMTEXT,
    reason MEDIUMTEXT,
    holder VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin,
    epoch BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
-- Sign-ins that were begun.
CREATE TABLE IF NOT EXISTS oauth_states (
    state_key VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY, -- SHA-256 of the state
    provider_id BIGINT NOT NULL,
    verifier MEDIUMBLOB NOT NULL, -- sealed
    redirect_uri MEDIUMTEXT NOT NULL,
    caller VARCHAR(255) NOT NULL,
    new_identity BIGINT NOT NULL, -- 0 or 1: begun to give the grant into other hands
    expires_at BIGINT NOT NULL,
    used_by VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin, -- the taking that got it
    created_at BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
-- Sign-ins of somebody else than expected, until an administrator confirms or discards them.
CREATE TABLE IF NOT EXISTS held_sign_ins (
    provider_id BIGINT NOT NULL PRIMARY KEY,
    signed_in_as VARCHAR(320) NOT NULL,
    tenant_id VARCHAR(255),
    object_id VARCHAR(255),
    expected MEDIUMTEXT NOT NULL, -- JSON
    replaces VARCHAR(320),
    access_token MEDIUMBLOB NOT NULL, -- sealed
    access_expires_at BIGINT NOT NULL,
    refresh_token MEDIUMBLOB, -- sealed
    scopes MEDIUMTEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS cm_lists (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (name)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS cm_contacts (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    list_id BIGINT NOT NULL,
    name VARCHAR(255) NOT NULL,
    email VARCHAR(254) NOT NULL,
    email_key VARCHAR(254) NOT NULL, -- lower case
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (list_id, email_key)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS mail_accounts (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(100) NOT NULL,
    account_key VARCHAR(5) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    live_key VARCHAR(5) CHARACTER SET ascii COLLATE ascii_bin, -- as account_key; NULL once removed, so that the key is free again
    address VARCHAR(254) NOT NULL,
    list_id BIGINT NOT NULL,
    service VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    provider_id BIGINT, -- NULL: password
    login_user VARCHAR(320) NOT NULL,
    delegate VARCHAR(320),
    password MEDIUMBLOB, -- sealed
    imap_host VARCHAR(255) NOT NULL,
    imap_port BIGINT NOT NULL,
    imap_tls VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    imap_verify VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    imap_trust MEDIUMTEXT, -- PEM text or fingerprints; NULL: neither
    smtp_host VARCHAR(255) NOT NULL,
    smtp_port BIGINT NOT NULL,
    smtp_tls VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    smtp_verify VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    smtp_trust MEDIUMTEXT, -- PEM text or fingerprints; NULL: neither
    proxy MEDIUMBLOB, -- sealed; NULL: as the process has it
    backfill VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    backfill_since BIGINT,
    folders MEDIUMTEXT NOT NULL, -- JSON: names and attributes
    paused BIGINT NOT NULL, -- 0 or 1
    version BIGINT NOT NULL,
    inbound_state VARCHAR(40),
    inbound_code VARCHAR(100),
    inbound_detail MEDIUMTEXT,
    inbound_since BIGINT,
    outbound_state VARCHAR(40),
    outbound_code VARCHAR(100),
    outbound_detail MEDIUMTEXT,
    outbound_since BIGINT,
    removed_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (live_key)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
-- When the servers of an account's lanes last answered something good. No fence: a contact is true whoever writes it.
CREATE TABLE IF NOT EXISTS lane_contacts (
    account_id BIGINT NOT NULL PRIMARY KEY,
    inbound_at BIGINT,
    outbound_at BIGINT,
    stale_since BIGINT, -- the incoming server's last contact before a silence that was announced and is not over
    outbound_stale_since BIGINT -- the same of the outgoing server
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS mail_folders (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    account_id BIGINT NOT NULL,
    name VARCHAR(1000) NOT NULL,
    name_key VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, -- SHA-256 of the name
    uidvalidity BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    next_uid BIGINT NOT NULL,
    history_uid BIGINT NOT NULL, -- below: there when the folder was started, wanted by date only
    floor_uid BIGINT NOT NULL, -- below: listed once and not wanted; a routine audit ends here
    audit VARCHAR(20), -- why the folder is compared with the store now; NULL: it is not
    audit_next BIGINT NOT NULL, -- UIDs from here up to next_uid are compared
    audit_since BIGINT, -- what arrived since is wanted, whatever the account says
    audit_found BIGINT NOT NULL, -- messages that were missing here
    audit_paired BIGINT NOT NULL, -- messages that were known under another UID
    audited_at BIGINT, -- end of the last complete audit
    repaired BIGINT NOT NULL, -- messages that audits found missing, ever
    renumbered BIGINT NOT NULL, -- how often its UIDs were voided within an hour of the time before
    renumbered_at BIGINT,
    held BIGINT NOT NULL, -- 0 or 1: what the audit found waits for an administrator's word
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (account_id, name_key)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
-- Conversations.
CREATE TABLE IF NOT EXISTS mail_interactions (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    account_id BIGINT NOT NULL,
    subject VARCHAR(1000) NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX IF NOT EXISTS mail_interactions_account_id_updated_at ON mail_interactions (account_id, updated_at);
-- Mail as a thing: whatever appears twice with the same bytes and date is one row.
CREATE TABLE IF NOT EXISTS mail_messages (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    account_id BIGINT NOT NULL,
    interaction_id BIGINT NOT NULL,
    contact_id BIGINT,
    sha256 VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    internal_date BIGINT NOT NULL,
    size BIGINT NOT NULL,
    message_key VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin, -- SHA-256 of Message-ID
    message_id VARCHAR(1000),
    in_reply_to VARCHAR(1000),
    reference_ids MEDIUMTEXT NOT NULL, -- JSON
    subject VARCHAR(1000) NOT NULL,
    from_name VARCHAR(255) NOT NULL,
    from_address VARCHAR(320) NOT NULL,
    reply_to MEDIUMTEXT NOT NULL, -- JSON
    to_list MEDIUMTEXT NOT NULL, -- JSON
    cc_list MEDIUMTEXT NOT NULL, -- JSON
    sent_at BIGINT,
    attachments BIGINT NOT NULL, -- how many
    truncated BIGINT NOT NULL, -- 0 or 1
    parse_error MEDIUMTEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    raw_object VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin,
    raw MEDIUMBLOB,
    body_text MEDIUMTEXT,
    body_html MEDIUMTEXT,
    UNIQUE (account_id, sha256, internal_date)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX IF NOT EXISTS mail_messages_account_id_message_key ON mail_messages (account_id, message_key);
CREATE INDEX IF NOT EXISTS mail_messages_interaction_id ON mail_messages (interaction_id);
-- One appearance of a message at a UID.
CREATE TABLE IF NOT EXISTS mail_instances (
    folder_id BIGINT NOT NULL,
    uidvalidity BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    message_id BIGINT NOT NULL,
    PRIMARY KEY (folder_id, uidvalidity, generation, uid)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX IF NOT EXISTS mail_instances_message_id ON mail_instances (message_id);
CREATE TABLE IF NOT EXISTS mail_attachments (
    message_id BIGINT NOT NULL,
    part BIGINT NOT NULL,
    file_name VARCHAR(255) NOT NULL,
    content_type VARCHAR(255) NOT NULL,
    content_id VARCHAR(255),
    inline_shown BIGINT NOT NULL, -- 0 or 1
    size BIGINT NOT NULL,
    PRIMARY KEY (message_id, part)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
-- UIDs that were put aside, with what there is.
CREATE TABLE IF NOT EXISTS mail_problems (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    account_id BIGINT NOT NULL,
    folder_id BIGINT NOT NULL,
    uidvalidity BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    reason VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    detail MEDIUMTEXT NOT NULL,
    raw_object VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin,
    raw MEDIUMBLOB,
    created_at BIGINT NOT NULL,
    UNIQUE (folder_id, uidvalidity, generation, uid)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX IF NOT EXISTS mail_problems_account_id ON mail_problems (account_id);
-- Frozen outgoing messages.
CREATE TABLE IF NOT EXISTS mail_outbox (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    account_id BIGINT NOT NULL,
    idempotency_key VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin, -- SHA-256 of the caller's
    request_hash VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    message_key VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, -- SHA-256 of Message-ID
    message_id VARCHAR(1000) NOT NULL,
    subject VARCHAR(1000) NOT NULL,
    envelope_from VARCHAR(254) NOT NULL,
    size BIGINT NOT NULL,
    interaction_id BIGINT,
    send_at BIGINT,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    raw_object VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin,
    raw MEDIUMBLOB,
    UNIQUE (account_id, idempotency_key)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX IF NOT EXISTS mail_outbox_account_id_message_key ON mail_outbox (account_id, message_key);
-- Each recipient's copy.
CREATE TABLE IF NOT EXISTS mail_recipients (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    outbox_id BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    kind VARCHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    address VARCHAR(254) NOT NULL,
    state VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    before_claim VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin, -- queued or deferred: where an unclaimed copy goes back to
    attempts BIGINT NOT NULL,
    next_at BIGINT, -- set while queued, claimed or deferred
    refused_ms BIGINT NOT NULL, -- for how long servers have put it off: what its lifetime is compared with
    refused_at BIGINT, -- when a server last put it off; NULL where the time since then does not count
    attempt VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin, -- the newest claim, and under which lease
    holder VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin,
    epoch BIGINT,
    reply_code BIGINT,
    reply_text MEDIUMTEXT,
    updated_at BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX IF NOT EXISTS mail_recipients_outbox_id ON mail_recipients (outbox_id);
CREATE INDEX IF NOT EXISTS mail_recipients_account_id_state_next_at ON mail_recipients (account_id, state, next_at);
CREATE INDEX IF NOT EXISTS mail_recipients_attempt ON mail_recipients (attempt);
-- Tries: of a message, or (outbox_id NULL) of a lane's line.
CREATE TABLE IF NOT EXISTS mail_attempts (
    attempt VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    account_id BIGINT NOT NULL,
    outbox_id BIGINT,
    lane VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    holder VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    epoch BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    dot_at BIGINT,
    ended_at BIGINT,
    outcome VARCHAR(100),
    reply MEDIUMTEXT
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX IF NOT EXISTS mail_attempts_outbox_id ON mail_attempts (outbox_id);
CREATE INDEX IF NOT EXISTS mail_attempts_account_id_started_at ON mail_attempts (account_id, started_at);
-- Facts for readers; numbered after their commit.
CREATE TABLE IF NOT EXISTS events (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    number BIGINT,
    kind VARCHAR(40) NOT NULL,
    account_id BIGINT,
    provider_id BIGINT,
    once_key VARCHAR(200) NOT NULL,
    payload MEDIUMTEXT NOT NULL, -- JSON
    created_at BIGINT NOT NULL,
    held_for BIGINT NOT NULL DEFAULT 0, -- the folder whose audit holds it back; 0: none
    UNIQUE (once_key),
    UNIQUE (number)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX IF NOT EXISTS events_held_for_number ON events (held_for, number);
CREATE TABLE IF NOT EXISTS event_counter (
    id BIGINT NOT NULL PRIMARY KEY,
    last BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT INTO event_counter (id, last) SELECT 1, 0 FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM event_counter WHERE id = 1);
CREATE TABLE IF NOT EXISTS nodes (
    id VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    name VARCHAR(200) NOT NULL,
    home VARCHAR(500) NOT NULL,
    beat BIGINT NOT NULL,
    started_at BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS account_leases (
    account_id BIGINT NOT NULL PRIMARY KEY,
    holder VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin,
    epoch BIGINT NOT NULL,
    beat BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
