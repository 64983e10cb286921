//! Providers, grants, sign-ins, accounts, nodes.

use std::time::Duration;

use motion_email::{
    model::{
        Access, AccountKey, Authentication, Backfill, ClientCertificate, Cloud, CloudProviderId,
        Fingerprint, GrantState, LaneName, NewTokens, NodeId, ProxyChoice, TlsVerify,
    },
    store::{
        CloudProviderChange, ConfirmedSignIn, LeaseRow, NewOauthState, NodeRow, SettledSignIn,
        StoreError, TakenState,
    },
};
use secrecy::{ExposeSecret, SecretString};

use super::bench::{ALL, Bench, at, new_account, new_provider};

pub async fn a_provider_is_stored_changed_and_removed_and_its_secret_is_never_in_the_clear(
    bench: &mut Bench,
) {
    let store = &bench.store;
    let made = store
        .provider_add(&new_provider("Motion"), at(1))
        .await
        .unwrap();
    let read = store.provider_get(made.id).await.unwrap().unwrap();
    assert_eq!(read.entered.client_secret.expose_secret(), "client-s3cret");
    assert_eq!(
        read.entered.scope_host.as_deref(),
        Some("https://outlook.office.com")
    );
    assert_eq!((read.created_at, read.updated_at), (at(1), at(1)));
    assert_eq!(
        bench
            .number("SELECT COUNT(*) FROM cloud_providers WHERE client_secret LIKE '%s3cret%'")
            .await,
        0
    );

    let change = CloudProviderChange {
        client_secret: Some(SecretString::from("rotated")),
        scope_host: Some(None),
        proxy: Some(ProxyChoice::parse("http://u:pr0xy-s3cret@p:1").unwrap()),
        ..CloudProviderChange::default()
    };
    store
        .provider_change(made.id, &change, at(2))
        .await
        .unwrap();
    let read = store.provider_get(made.id).await.unwrap().unwrap();
    assert_eq!(read.entered.client_secret.expose_secret(), "rotated");
    assert_eq!(read.entered.scope_host, None);
    let proxy = read.entered.proxy.secret_text().unwrap();
    assert_eq!(proxy.expose_secret(), "http://u:pr0xy-s3cret@p:1");
    assert_eq!(
        bench
            .number("SELECT COUNT(*) FROM cloud_providers WHERE proxy LIKE '%s3cret%'")
            .await,
        0
    );
    let change = CloudProviderChange {
        proxy: Some(ProxyChoice::Process),
        ..CloudProviderChange::default()
    };
    let read = store
        .provider_change(made.id, &change, at(2))
        .await
        .unwrap();
    assert!(read.entered.proxy.shown().is_none());
    assert_eq!(
        bench
            .number("SELECT COUNT(*) FROM cloud_providers WHERE proxy IS NULL")
            .await,
        1
    );
    assert_eq!(read.entered.name, "Motion");
    assert_eq!(store.provider_list(ALL).await.unwrap().count, 1);

    let mut new = new_account("AAA", bench.list().await);
    new.authentication = Authentication::Modern {
        provider: made.id,
        user: "box@corp.example".to_owned(),
        delegate: Some("anna@corp.example".to_owned()),
    };
    let account = store.account_add(&new, at(3)).await.unwrap();
    assert_eq!(account.smtp_user(), "anna@corp.example");
    let in_use = store.provider_remove(made.id).await;
    assert!(
        matches!(in_use, Err(StoreError::InUse { .. })),
        "{in_use:?}"
    );
    store
        .account_remove(account.id, false, at(4))
        .await
        .unwrap();
    store.provider_remove(made.id).await.unwrap();
    assert!(store.provider_get(made.id).await.unwrap().is_none());
    assert!(store.grant_get(made.id).await.unwrap().is_none());
    let gone = store.provider_remove(made.id).await;
    assert!(matches!(gone, Err(StoreError::Missing { .. })), "{gone:?}");
}

pub async fn an_account_is_stored_changed_paused_and_removed(bench: &mut Bench) {
    let (account, lease) = bench.account("SUPP1").await;
    let store = &bench.store;
    let read = store.account_get(account.id).await.unwrap().unwrap();
    let Authentication::Password { password, .. } = &read.entered.authentication else {
        panic!("not by password");
    };
    assert_eq!(password.expose_secret(), "pass-W0rd");
    assert_eq!(read.entered.backfill, Backfill::Since(at(-5)));
    assert_eq!(read.entered.smtp, account.entered.smtp);
    let key = AccountKey::parse("supp1").unwrap();
    assert_eq!(
        store.account_by_key(&key).await.unwrap().unwrap().id,
        account.id
    );

    let mut new = read.entered.clone();
    new.backfill = Backfill::All;
    new.proxy = ProxyChoice::parse("socks5://u:pr0xy-pass@proxy.example:1080").unwrap();
    new.imap.verify = TlsVerify::Ca("-----BEGIN CERTIFICATE-----\n…".to_owned());
    new.smtp.verify = TlsVerify::Pinned(vec![Fingerprint::new([7; 32]), Fingerprint::new([9; 32])]);
    let changed = store
        .account_change(account.id, &new, Some(read.version), at(5))
        .await
        .unwrap();
    assert_eq!(changed.version, read.version + 1);
    let read_again = store
        .account_get(account.id)
        .await
        .unwrap()
        .unwrap()
        .entered;
    assert_eq!((&read_again.imap, &read_again.smtp), (&new.imap, &new.smtp));
    let url = read_again.proxy.secret_text().unwrap();
    assert_eq!(
        url.expose_secret(),
        "socks5://u:pr0xy-pass@proxy.example:1080"
    );
    let open = "SELECT COUNT(*) FROM mail_accounts WHERE proxy LIKE '%pr0xy-pass%' OR proxy LIKE '%proxy.example%'";
    assert_eq!(bench.number(open).await, 0, "a proxy is sealed");
    let stale = store
        .account_change(account.id, &new, Some(read.version), at(5))
        .await;
    assert!(matches!(stale, Err(StoreError::Conflict(_))), "{stale:?}");
    let paused = store.account_pause(account.id, true, at(6)).await.unwrap();
    assert!(paused.paused && paused.version == changed.version + 1);
    let again = store.account_pause(account.id, true, at(7)).await.unwrap();
    assert_eq!(
        again.version, paused.version,
        "pausing twice replaces no task"
    );

    let state = |word: &'static str, code: Option<&'static str>| {
        store.account_state(&lease, LaneName::Inbound, word, code, Some("words"), at(8))
    };
    state("waiting", Some("imap.refused")).await.unwrap();
    state("waiting", Some("imap.refused")).await.unwrap();
    state("watching", None).await.unwrap();
    state("waiting", Some("imap.refused")).await.unwrap();
    assert_eq!(bench.event_kinds().await, ["account.state"; 3]);
    let lanes = store.account_lanes(account.id).await.unwrap();
    assert_eq!(lanes[0].state.as_deref(), Some("waiting"));
    assert_eq!(lanes[1].state, None);

    store
        .account_remove(account.id, false, at(9))
        .await
        .unwrap();
    assert!(store.account_get(account.id).await.unwrap().is_none());
    assert!(store.account_wanted().await.unwrap().is_empty());
    let fenced = store
        .account_state(&lease, LaneName::Inbound, "x", None, None, at(9))
        .await;
    assert!(
        matches!(fenced, Err(StoreError::LeaseLost { .. })),
        "{fenced:?}"
    );
    // Its key is free again.
    store.account_add(&new, at(10)).await.unwrap();
    let sealed = "SELECT COUNT(*) FROM mail_accounts WHERE removed_at IS NOT NULL AND (password IS NOT NULL OR proxy IS NOT NULL)";
    assert_eq!(
        bench.number(sealed).await,
        0,
        "a removed account's secrets are forgotten"
    );
}

pub async fn a_name_or_key_is_taken_once(bench: &mut Bench) {
    let store = &bench.store;
    store.list_add("Sales", at(0)).await.unwrap();
    let list = store.list_add(" Sales ", at(0)).await;
    assert!(
        matches!(list, Err(StoreError::Taken { what: "list name" })),
        "{list:?}"
    );
    store
        .list_add("sales", at(0))
        .await
        .expect("names differ by case on both engines");
    assert_eq!(store.list_list(ALL).await.unwrap().count, 2);

    store
        .provider_add(&new_provider("Motion"), at(0))
        .await
        .unwrap();
    let provider = store.provider_add(&new_provider("Motion"), at(0)).await;
    assert!(
        matches!(provider, Err(StoreError::Taken { .. })),
        "{provider:?}"
    );
    let other = store
        .provider_add(&new_provider("Other"), at(0))
        .await
        .unwrap();
    let rename = CloudProviderChange {
        name: Some("Motion".to_owned()),
        ..CloudProviderChange::default()
    };
    let renamed = store.provider_change(other.id, &rename, at(0)).await;
    assert!(
        matches!(renamed, Err(StoreError::Taken { .. })),
        "{renamed:?}"
    );

    let list = bench.list().await;
    let first = store
        .account_add(&new_account("AAA", list), at(0))
        .await
        .unwrap();
    let account = store.account_add(&new_account("aaa", list), at(0)).await;
    assert!(
        matches!(
            account,
            Err(StoreError::Taken {
                what: "account key"
            })
        ),
        "{account:?}"
    );
    let second = store
        .account_add(&new_account("BBB", list), at(0))
        .await
        .unwrap();
    let clash = store
        .account_change(second.id, &first.entered, None, at(1))
        .await;
    assert!(matches!(clash, Err(StoreError::Taken { .. })), "{clash:?}");
    let nowhere = new_account("CCC", motion_email::model::ListId::new(999_999));
    let missing = store.account_add(&nowhere, at(0)).await;
    assert!(
        matches!(missing, Err(StoreError::Missing { what: "list" })),
        "{missing:?}"
    );
}

/// Bad input 66: cut ciphertext, ciphertext of another row, impossible word, impossible port.
pub async fn a_damaged_secret_or_word_parks_only_its_account(bench: &mut Bench) {
    let list = bench.list().await;
    let mut ids = Vec::new();
    for key in ["A1", "A2", "A3", "A4", "A5"] {
        let account = bench
            .store
            .account_add(&new_account(key, list), at(0))
            .await
            .unwrap();
        ids.push(account.id);
    }
    let [cut, moved, word, port, good] = ids[..] else {
        panic!("five accounts");
    };
    for sql in [
        format!("UPDATE mail_accounts SET password = SUBSTR(password, 1, 50) WHERE id = {cut}"),
        format!(
            "UPDATE mail_accounts SET password = (SELECT p FROM (SELECT password AS p FROM mail_accounts WHERE id = {good}) x) WHERE id = {moved}"
        ),
        format!("UPDATE mail_accounts SET service = 'Fax' WHERE id = {word}"),
        format!("UPDATE mail_accounts SET imap_port = 70000 WHERE id = {port}"),
    ] {
        bench.sql(&sql).await;
    }
    let wanted = bench.store.account_wanted().await.unwrap();
    assert_eq!(wanted.len(), 5);
    for entry in wanted {
        match entry {
            Ok(account) => assert_eq!(account.id, good),
            Err((id, error)) => {
                assert_ne!(id, good);
                assert!(matches!(error, StoreError::Damaged { .. }), "{id}: {error}");
                assert!(!error.to_string().contains("pass-W0rd"));
            }
        }
    }
    // Entering the password again cures it.
    let cured = bench
        .store
        .account_change(cut, &new_account("A1", list), None, at(1))
        .await;
    assert_eq!(cured.unwrap().id, cut);
    assert!(bench.store.account_get(cut).await.unwrap().is_some());
}

pub async fn a_second_secret_changes_places_with_the_one_that_was_refused(bench: &mut Bench) {
    let store = &bench.store;
    let mut new = new_provider("Motion");
    new.access = Access::Application;
    new.cloud = Cloud::China;
    new.client_secret_expires_at = Some(at(10));
    new.second_secret = SecretString::from("second-s3cret");
    new.certificate = Some(ClientCertificate {
        certificate: "-----BEGIN CERTIFICATE-----".to_owned(),
        private_key: SecretString::from("key-s3cret"),
    });
    let id = store.provider_add(&new, at(1)).await.unwrap().id;
    let swap = async |refused: &str| {
        let refused = SecretString::from(refused.to_owned());
        store.provider_swap_secrets(id, &refused, at(2)).await
    };
    assert!(!swap("another").await.unwrap());
    assert!(swap("client-s3cret").await.unwrap());
    assert!(!swap("client-s3cret").await.unwrap());
    let read = store.provider_get(id).await.unwrap().unwrap().entered;
    assert_eq!(read.client_secret.expose_secret(), "second-s3cret");
    assert_eq!(read.second_secret.expose_secret(), "client-s3cret");
    assert_eq!(read.client_secret_expires_at, None);
    assert_eq!(read.second_secret_expires_at, Some(at(10)));
    assert_eq!(
        (read.access, read.cloud),
        (Access::Application, Cloud::China)
    );
    let key = read.certificate.unwrap().private_key;
    assert_eq!(key.expose_secret(), "key-s3cret");
    let clear = "SELECT COUNT(*) FROM cloud_providers WHERE client_secret LIKE '%s3cret%' OR second_secret LIKE '%s3cret%' OR private_key LIKE '%s3cret%'";
    assert_eq!(bench.number(clear).await, 0);
}

pub async fn a_sign_in_state_is_taken_once_and_in_time(bench: &mut Bench) {
    let store = &bench.store;
    let provider = store
        .provider_add(&new_provider("Motion"), at(0))
        .await
        .unwrap();
    let state = |text: &str| NewOauthState {
        state: SecretString::from(text.to_owned()),
        provider: provider.id,
        verifier: SecretString::from("verifier-1"),
        redirect_uri: "https://x.example/cb".to_owned(),
        caller: "console".to_owned(),
        new_identity: text == "s1",
        expires_at: at(600),
    };
    store.oauth_state_add(&state("s1"), at(0)).await.unwrap();
    store.oauth_state_add(&state("s2"), at(0)).await.unwrap();
    let take = async |text: &str, seconds: i64| {
        let secret = SecretString::from(text.to_owned());
        store.oauth_state_take(&secret, at(seconds)).await.unwrap()
    };
    assert!(matches!(take("nonsense", 1).await, TakenState::Unknown));
    let TakenState::Good(good) = take("s1", 1).await else {
        panic!("not taken");
    };
    assert_eq!(good.verifier.expose_secret(), "verifier-1");
    assert!(good.new_identity);
    assert_eq!(
        (good.provider, good.caller.as_str()),
        (provider.id, "console")
    );
    assert!(matches!(take("s1", 2).await, TakenState::Used));
    assert!(matches!(take("s2", 600).await, TakenState::Expired));
    let clear =
        "SELECT COUNT(*) FROM oauth_states WHERE state_key = 's1' OR verifier LIKE '%verifier-1%'";
    assert_eq!(bench.number(clear).await, 0);

    let mut unknown = state("s3");
    unknown.provider = motion_email::model::CloudProviderId::new(999_999);
    let missing = store.oauth_state_add(&unknown, at(0)).await;
    assert!(
        matches!(missing, Err(StoreError::Missing { .. })),
        "{missing:?}"
    );

    // Two browsers at once: one wins.
    store.oauth_state_add(&state("s4"), at(0)).await.unwrap();
    let (one, two) = tokio::join!(take("s4", 1), take("s4", 1));
    let good = [&one, &two].map(|taken| matches!(taken, TakenState::Good(_)));
    assert!(good[0] != good[1], "{one:?} {two:?}");
}

pub async fn a_grant_is_refreshed_only_by_its_holder_and_only_once_per_version(bench: &mut Bench) {
    let store = &bench.store;
    let provider = store
        .provider_add(&new_provider("Motion"), at(0))
        .await
        .unwrap()
        .id;
    assert_eq!(
        store.grant_get(provider).await.unwrap().unwrap().state,
        GrantState::Missing
    );
    let tokens = |n: u32, refresh: bool| NewTokens {
        access_token: SecretString::from(format!("access-{n}")),
        access_expires_at: at(3600),
        refresh_token: refresh.then(|| SecretString::from(format!("refresh-{n}"))),
        scopes: Some("IMAP SMTP".to_owned()),
        signed_in_as: Some("anna@corp.example".to_owned()),
        tenant_id: None,
        object_id: None,
    };
    let adopted = store
        .grant_adopt(provider, &tokens(1, true), at(1))
        .await
        .unwrap();
    assert_eq!((adopted.version, adopted.state), (1, GrantState::Ok));
    assert_eq!(adopted.refresh_token.unwrap().expose_secret(), "refresh-1");

    let (ours, theirs) = (bench.node("/a").await, bench.node("/b").await);
    let epoch = store.grant_hold(provider, &ours).await.unwrap().unwrap();
    assert_eq!(
        store.grant_hold(provider, &ours).await.unwrap(),
        Some(epoch)
    );
    assert_eq!(store.grant_hold(provider, &theirs).await.unwrap(), None);

    let begin = |node: NodeId, epoch: i64, version: i64, attempt: &'static str| async move {
        store
            .grant_refresh_begin(provider, &node, epoch, (version, None), attempt, at(2))
            .await
            .unwrap()
    };
    assert!(
        !begin(theirs.clone(), epoch, 1, "x").await,
        "not the holder"
    );
    assert!(
        !begin(ours.clone(), epoch + 1, 1, "x").await,
        "another epoch"
    );
    assert!(
        !begin(ours.clone(), epoch, 0, "x").await,
        "an older version"
    );
    assert!(begin(ours.clone(), epoch, 1, "t1").await);
    let row = store.grant_get(provider).await.unwrap().unwrap();
    assert_eq!(
        (row.state, row.attempt.as_deref()),
        (GrantState::Refreshing, Some("t1"))
    );

    assert!(
        !begin(ours.clone(), epoch, 1, "x").await,
        "one was begun since"
    );
    let over = store.grant_refresh_begin(provider, &ours, epoch, (1, Some("t1")), "t1", at(2));
    assert!(over.await.unwrap(), "taken over by who has seen it");

    let finish = |attempt: &'static str, version: i64, new: NewTokens| async move {
        store
            .grant_refresh_finish(provider, attempt, version, &new, at(3))
            .await
            .unwrap()
    };
    assert!(!finish("t0", 1, tokens(2, true)).await, "another attempt");
    assert!(finish("t1", 1, tokens(2, false)).await);
    assert!(!finish("t1", 1, tokens(3, true)).await, "stored once");
    let row = store.grant_get(provider).await.unwrap().unwrap();
    assert_eq!((row.version, row.state), (2, GrantState::Ok));
    assert_eq!(row.access_token.unwrap().expose_secret(), "access-2");
    assert_eq!(
        row.refresh_token.unwrap().expose_secret(),
        "refresh-1",
        "kept when none came"
    );

    // A person signs in while a refresh is under way: its result is superseded.
    assert!(begin(ours.clone(), epoch, 2, "t2").await);
    store
        .grant_adopt(provider, &tokens(9, true), at(4))
        .await
        .unwrap();
    assert!(!finish("t2", 2, tokens(4, true)).await);
    let failed = store.grant_refresh_failed(provider, "t2", GrantState::NeedsSignIn, "late", at(4));
    assert!(!failed.await.unwrap());

    assert!(begin(ours.clone(), epoch, 3, "t3").await);
    let failed = store.grant_refresh_failed(
        provider,
        "t3",
        GrantState::NeedsSignIn,
        "AADSTS50173",
        at(5),
    );
    assert!(failed.await.unwrap());
    let row = &store.grant_list().await.unwrap()[0];
    assert_eq!(
        (row.state, row.reason.as_deref()),
        (GrantState::NeedsSignIn, Some("AADSTS50173"))
    );
    assert_eq!(
        bench.event_kinds().await,
        ["grant.signedIn", "grant.signedIn", "grant.needsSignIn"]
    );
    // A node that is gone holds nothing.
    store.node_remove(&ours).await.unwrap();
    assert_eq!(
        store.grant_hold(provider, &theirs).await.unwrap(),
        Some(epoch + 1)
    );
    assert!(!begin(ours, epoch, 3, "t4").await);
}

pub async fn nodes_of_the_same_home_replace_each_other_and_free_their_leases(bench: &mut Bench) {
    let list = bench.list().await;
    let store = &bench.store;
    let account = store
        .account_add(&new_account("AAA", list), at(0))
        .await
        .unwrap();
    let (old, other) = (bench.node("/home/a").await, bench.node("/home/b").await);
    let lease = bench.take(&account, &old).await;
    assert!(store.node_beat(&old).await.unwrap());
    let beats: Vec<i64> = store
        .node_list()
        .await
        .unwrap()
        .iter()
        .map(|node| node.beat)
        .collect();
    assert_eq!(beats.iter().sum::<i64>(), 1);

    let new = bench.node("/home/a").await;
    let mut left: Vec<NodeId> = store
        .node_list()
        .await
        .unwrap()
        .into_iter()
        .map(|node| node.id)
        .collect();
    left.sort_by_key(|id| id.as_str().to_owned());
    let mut expected = vec![other.clone(), new.clone()];
    expected.sort_by_key(|id| id.as_str().to_owned());
    assert_eq!(left, expected);
    assert!(
        !store.node_beat(&old).await.unwrap(),
        "the old run is told that it is dead"
    );
    let row: &LeaseRow = &store.lease_list().await.unwrap()[0];
    assert_eq!((row.holder.clone(), row.epoch), (None, lease.epoch));
    let stale = store
        .account_state(&lease, LaneName::Outbound, "ready", None, None, at(1))
        .await;
    assert!(
        matches!(stale, Err(StoreError::LeaseLost { .. })),
        "{stale:?}"
    );

    let lease = bench.take(&account, &new).await;
    assert_eq!(lease.epoch, row.epoch + 1);
    store.lease_release(&lease).await.unwrap();
    assert_eq!(store.lease_list().await.unwrap()[0].holder, None);
    // Registering again (after a lost answer) is harmless.
    let again = NodeRow {
        id: new.clone(),
        name: "n".to_owned(),
        home: "/home/a".to_owned(),
        beat: 5,
        started_at: at(0),
    };
    store.node_register(&again).await.unwrap();
    store.node_register(&again).await.unwrap();
    assert_eq!(store.node_list().await.unwrap().len(), 2);
}

pub async fn a_dead_node_is_removed_only_at_the_beat_that_was_seen(bench: &mut Bench) {
    let list = bench.list().await;
    let store = &bench.store;
    let account = store
        .account_add(&new_account("DEAD", list), at(0))
        .await
        .unwrap();
    let provider = store.provider_add(&new_provider("P"), at(0)).await.unwrap();
    let (dead, heir) = (bench.node("/home/a").await, bench.node("/home/b").await);
    let lease = bench.take(&account, &dead).await;
    let epoch = store.grant_hold(provider.id, &dead).await.unwrap();
    assert!(epoch.is_some());

    assert!(store.node_beat(&dead).await.unwrap());
    assert!(
        !store.node_remove_dead(&dead, 0).await.unwrap(),
        "it has beaten since"
    );
    assert_eq!(
        store.lease_list().await.unwrap()[0].holder,
        Some(dead.clone())
    );
    assert_eq!(store.grant_hold(provider.id, &heir).await.unwrap(), None);

    assert!(store.node_remove_dead(&dead, 1).await.unwrap());
    let row: &LeaseRow = &store.lease_list().await.unwrap()[0];
    assert_eq!((row.holder.clone(), row.epoch), (None, lease.epoch));
    assert_eq!(
        store.grant_hold(provider.id, &heir).await.unwrap(),
        epoch.map(|epoch| epoch + 1)
    );
    assert!(!store.node_beat(&dead).await.unwrap());
    assert!(!store.node_remove_dead(&dead, 1).await.unwrap());
}

/// MariaDB refuses what is too long for a column, SQLite would keep it: both are cut alike.
pub async fn text_of_any_length_and_kind_is_stored(bench: &mut Bench) {
    let store = &bench.store;
    let long = "ä\0\u{1f600}".repeat(1000);
    let list = store.list_add(&long, at(0)).await.unwrap();
    let read = store.list_get(list.id).await.unwrap().unwrap();
    assert_eq!(read.name, list.name);
    assert_eq!(read.name.chars().count(), 255);
    assert!(!read.name.contains('\0'));
    let mut provider = new_provider(&long);
    provider.redirect_uri.clone_from(&long);
    let provider = store.provider_add(&provider, at(0)).await.unwrap();
    assert!(store.provider_get(provider.id).await.unwrap().is_some());
    let (account, lease) = bench.account("LONG").await;
    let mut new = account.entered.clone();
    new.name.clone_from(&long);
    new.imap.host.clone_from(&long);
    store
        .account_change(account.id, &new, None, at(0))
        .await
        .unwrap();
    store
        .account_state(
            &lease,
            LaneName::Inbound,
            &long,
            Some(&long),
            Some(&long),
            at(0),
        )
        .await
        .unwrap();
    store
        .folder_start(&lease, &long, super::bench::cursor(1), 1, at(0))
        .await
        .unwrap();
    assert!(store.folder_get(account.id, &long).await.unwrap().is_some());
    store
        .line_begin(&lease, LaneName::Outbound, "a1", at(0))
        .await
        .unwrap();
    store
        .line_end(&lease, "a1", &long, &long, at(0))
        .await
        .unwrap();
    tokio::time::timeout(Duration::from_secs(20), store.ping(at(1)))
        .await
        .unwrap()
        .unwrap();
}

/// An account of `provider` that expects `delegate` to have signed in.
async fn expects(bench: &mut Bench, key: &str, provider: CloudProviderId, delegate: &str) {
    let mut new = new_account(key, bench.list().await);
    new.authentication = Authentication::Modern {
        provider,
        user: "box@corp.example".to_owned(),
        delegate: Some(delegate.to_owned()),
    };
    bench.store.account_add(&new, at(3)).await.unwrap();
}

fn given_by(name: &str, object: &str) -> NewTokens {
    NewTokens {
        access_token: SecretString::from(format!("canary-access-{object}")),
        access_expires_at: at(3600),
        refresh_token: Some(SecretString::from(format!("canary-refresh-{object}"))),
        scopes: Some("mail".to_owned()),
        signed_in_as: Some(name.to_owned()),
        tenant_id: Some("t-1".to_owned()),
        object_id: Some(object.to_owned()),
    }
}

pub async fn a_sign_in_of_somebody_else_is_held_sealed_and_confirmed_in_one_commit(
    bench: &mut Bench,
) {
    let made = bench
        .store
        .provider_add(&new_provider("Motion"), at(1))
        .await;
    let provider = made.unwrap().id;
    expects(bench, "AAA", provider, "anna@corp.example").await;
    expects(bench, "BBB", provider, "Anna@Corp.example").await;
    let store = &bench.store;
    assert_eq!(store.expected_sign_ins(provider).await.unwrap().len(), 1);
    let tokens = given_by("upn@corp.example", "o-1");
    let settle = async |tokens: &NewTokens, new_identity, seconds| {
        store
            .sign_in_settle(provider, tokens, new_identity, at(seconds))
            .await
            .unwrap()
    };
    // Twice, as after a lost answer: still one.
    for _ in 0..2 {
        let held = settle(&tokens, false, 10).await;
        assert!(matches!(held, SettledSignIn::Held(_)), "{held:?}");
    }
    assert_eq!(bench.number("SELECT COUNT(*) FROM held_sign_ins").await, 1);
    let clear = "SELECT COUNT(*) FROM held_sign_ins WHERE access_token LIKE '%canary%' OR refresh_token LIKE '%canary%'";
    assert_eq!(bench.number(clear).await, 0);
    assert_eq!(bench.event_kinds().await, ["grant.held"]);
    let grant = store.grant_get(provider).await.unwrap().unwrap();
    assert_eq!((grant.state, grant.version), (GrantState::Missing, 0));
    let held = store.held_sign_in_list(at(11)).await.unwrap();
    assert_eq!(
        held[0].person.user_name.as_deref(),
        Some("upn@corp.example")
    );
    assert_eq!(held[0].expected.len(), 1);

    let wrong = store
        .held_sign_in_confirm(provider, "anna@corp.example", at(12))
        .await;
    assert!(matches!(wrong.unwrap(), ConfirmedSignIn::OtherName(_)));
    let confirmed = store
        .held_sign_in_confirm(provider, "UPN@corp.example", at(12))
        .await;
    let ConfirmedSignIn::Adopted(grant) = confirmed.unwrap() else {
        panic!("not adopted");
    };
    assert_eq!((grant.state, grant.version), (GrantState::Ok, 1));
    let refresh = grant.refresh_token.as_ref().unwrap();
    assert_eq!(refresh.expose_secret(), "canary-refresh-o-1");
    assert_eq!(grant.object_id.as_deref(), Some("o-1"));
    assert_eq!(bench.number("SELECT COUNT(*) FROM held_sign_ins").await, 0);
    assert_eq!(bench.event_kinds().await, ["grant.held", "grant.signedIn"]);
    let again = store
        .held_sign_in_confirm(provider, "upn@corp.example", at(13))
        .await;
    assert!(matches!(again.unwrap(), ConfirmedSignIn::Nothing));

    // Pinned: the same person is adopted, another one refused, and held where it was meant.
    let same = settle(&tokens, false, 20).await;
    assert!(
        matches!(&same, SettledSignIn::Adopted(grant) if grant.version == 2),
        "{same:?}"
    );
    let other = given_by("bob@corp.example", "o-2");
    let refused = settle(&other, false, 21).await;
    assert!(
        matches!(&refused, SettledSignIn::OtherPerson(pinned) if pinned.object_id.as_deref() == Some("o-1")),
        "{refused:?}"
    );
    let held = settle(&other, true, 22).await;
    assert!(
        matches!(&held, SettledSignIn::Held(held) if held.replaces.as_deref() == Some("upn@corp.example")),
        "{held:?}"
    );
    // A good sign-in drops what waits, and what nobody confirms is dropped after a day.
    settle(&tokens, false, 23).await;
    assert!(store.held_sign_in_list(at(24)).await.unwrap().is_empty());
    settle(&other, true, 25).await;
    assert_eq!(store.held_sign_in_expire(at(25 + 86_399)).await.unwrap(), 0);
    let late = store
        .held_sign_in_confirm(provider, "bob@corp.example", at(25 + 86_400))
        .await;
    assert!(matches!(late.unwrap(), ConfirmedSignIn::Nothing));
    assert_eq!(store.held_sign_in_expire(at(25 + 86_400)).await.unwrap(), 1);
    settle(&other, true, 30).await;
    assert!(store.held_sign_in_discard(provider).await.unwrap());
    assert!(!store.held_sign_in_discard(provider).await.unwrap());
}

pub async fn a_name_is_confirmed_only_for_whose_grant_it_is(bench: &mut Bench) {
    let store = &bench.store;
    let made = store.provider_add(&new_provider("Motion"), at(1)).await;
    let provider = made.unwrap().id;
    let confirm =
        async |who: &str, name: &str| store.grant_confirm_name(provider, who, name).await.unwrap();
    assert!(!confirm("anna@x", "info@x").await);
    let adopted = store
        .sign_in_settle(provider, &given_by("anna@x", "o-1"), false, at(2))
        .await;
    assert!(matches!(adopted.unwrap(), SettledSignIn::Adopted(_)));
    assert!(!confirm("bob@x", "info@x").await);
    for name in ["info@x", "INFO@x", "b@x"] {
        assert!(confirm("Anna@x", name).await);
    }
    let grant = store.grant_get(provider).await.unwrap().unwrap();
    assert_eq!(grant.confirmed_for, ["info@x", "b@x"]);
    assert_eq!(grant.version, 1);
}
