//! Ways to sign in, and whose sign-in it is, on the lab's real platform and mail servers.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Daemon, Engine, binary, eventually, mail};

const LIMIT: Duration = Duration::from_secs(30);

/// A provider that nobody has signed in to; `more` fields on top.
async fn add_provider(daemon: &Daemon, client: (String, String), seat: &str, more: Value) -> i64 {
    let (id, secret) = client;
    let mut body = json!({
        "name": format!("Lab {}", uuid::Uuid::new_v4()), "service": "microsoft", "applicationId": id,
        "tenantId": daemon.lab.get("TENANT"), "clientSecret": secret,
        "redirectUri": format!("{seat}{}", daemon.lab.get("CALLBACK_PATH")),
        "authority": daemon.lab.get("AUTHORITY"),
    });
    let fields = body.as_object_mut().expect("object");
    fields.extend(more.as_object().expect("object").clone());
    let added = daemon.api.post("/api/cloudProviders", &body).await;
    added["id"].as_i64().expect("id")
}

/// Runs one of the lab's tools; its output where it succeeds.
async fn tool(daemon: &Daemon, name: &str, arguments: &[&str]) -> Result<String, String> {
    let path = PathBuf::from(daemon.lab.get("TOOLS")).join(name);
    let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
    let ran = tokio::task::spawn_blocking(move || Command::new(path).args(arguments).output());
    let output = ran.await.expect("the thread").expect("the tool runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(format!("{}{}", text(&output.stdout), text(&output.stderr)))
    }
}

/// Begins a sign-in and goes through it as `user`; what the last page says.
async fn visit(daemon: &Daemon, provider: i64, user: &str, wish: Value) -> Result<String, String> {
    let path = format!("/api/cloudProviders/{provider}/authenticate");
    let begun = daemon.api.post(&path, &wish).await;
    let url = begun["authorizeUrl"].as_str().expect("authorizeUrl");
    tool(daemon, "sign-in", &["--user", user, url]).await
}

async fn wait_state(daemon: &Daemon, account: i64, state: &str) {
    let path = format!("/api/mail/accounts/{account}");
    eventually(&format!("account {account} is {state}"), LIMIT, || async {
        let shown = daemon.api.get(&path).await;
        let status = &shown["status"];
        if status["state"] == state {
            assert_eq!(status["connected"], json!(state == "connected"));
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
}

async fn shown(daemon: &Daemon, provider: i64) -> Value {
    daemon
        .api
        .get(&format!("/api/cloudProviders/{provider}"))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delegate_with_another_user_name_is_held_confirmed_and_pinned_and_nobody_else_taken() {
    let daemon = Daemon::start(Engine::Sqlite, &[("XC_EMAIL_PARKED_RETRY", "1s")]).await;
    let (upn, shared) = (daemon.lab.get("DELEGATE"), daemon.lab.get("SHARED"));
    let client = daemon.lab.client(300).await;
    let provider = add_provider(&daemon, client, &daemon.url(), json!({})).await;
    let address = daemon.lab.fresh_mailbox("boss");
    let list = daemon.add_list().await;
    let body = daemon.account_body(list, "HELD", shared, json!({
        "authentication": "modern", "CloudProviderId": provider, "username": shared, "delegate": address,
    }));
    let account = daemon.api.post("/api/mail/accounts", &body).await["id"]
        .as_i64()
        .expect("id");

    let page = visit(&daemon, provider, upn, json!({}))
        .await
        .expect("a page");
    for said in ["202", upn, address.as_str(), "provider confirm"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let held = shown(&daemon, provider).await;
    assert_eq!(held["grant"]["state"], "missing", "{held}");
    assert_eq!(held["heldSignIn"]["signedInAs"], json!(upn));
    assert_eq!(held["heldSignIn"]["expected"], json!([address]));
    wait_state(&daemon, account, "needs_attention").await;

    let confirm = [
        "provider",
        "confirm",
        &provider.to_string(),
        "--signed-in-as",
        upn,
    ];
    let ran = daemon.cli(&confirm);
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let grant = shown(&daemon, provider).await["grant"].clone();
    assert_eq!(grant["signedInAs"], json!(upn));
    assert_eq!(grant["confirmedFor"], json!([address]));
    assert!(grant["objectId"].is_string(), "{grant}");
    // SMTP knows nobody of the delegate's name: it logs in by the one that was confirmed for it.
    daemon.wait_lane(account, "inbound", "ready").await;
    daemon.wait_lane(account, "outbound", "ready").await;
    wait_state(&daemon, account, "connected").await;
    let customer = daemon.lab.fresh_mailbox("customer");
    let body = json!({"AccountId": account, "to": [customer], "subject": "Answer", "text": "Text"});
    let sent = daemon.api.post("/api/mail/outbox", &body).await;
    let path = format!("/api/mail/outbox/{}", sent["id"]);
    eventually("the mail is sent", LIMIT, || async {
        let shown = daemon.api.get(&path).await;
        let sent = shown["recipients"][0]["state"] == "sent";
        sent.then_some(()).ok_or_else(|| shown.to_string())
    })
    .await;
    let id = sent["messageId"].as_str().expect("id");
    assert_eq!(login_of(&daemon, id), upn);
    // And by its own once that is entered.
    let correct = json!({ "delegate": upn });
    let path = format!("/api/mail/accounts/{account}");
    daemon.api.must(Method::PATCH, &path, Some(&correct)).await;
    wait_state(&daemon, account, "connected").await;

    // Pinned: the same person again, and nobody else.
    visit(&daemon, provider, upn, json!({}))
        .await
        .expect("signed in again");
    let other = daemon.lab.fresh_mailbox("eve");
    let refused = visit(&daemon, provider, &other, json!({}))
        .await
        .expect_err("refused");
    for said in ["409", upn, other.as_str(), "--new-identity"] {
        assert!(refused.contains(said), "{said}: {refused}");
    }
    let after = shown(&daemon, provider).await;
    assert_eq!(
        (&after["grant"]["signedInAs"], &after["heldSignIn"]),
        (&json!(upn), &Value::Null)
    );
    let page = visit(&daemon, provider, &other, json!({"newIdentity": true})).await;
    assert!(
        page.as_ref().is_ok_and(|page| page.contains(upn)),
        "{page:?}"
    );
    let ran = daemon.cli(&["provider", "discard", &provider.to_string()]);
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let after = shown(&daemon, provider).await;
    assert_eq!(
        (&after["grant"]["signedInAs"], &after["heldSignIn"]),
        (&json!(upn), &Value::Null)
    );
    wait_state(&daemon, account, "connected").await;
    let log = daemon.combined_log();
    assert!(
        log.contains("somebody else than expected signed in"),
        "the warning line"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_shared_mailboxes_and_the_delegates_own_work_with_one_grant() {
    let daemon = Daemon::start(Engine::Sqlite, &[]).await;
    let delegate = daemon.lab.get("DELEGATE").to_owned();
    let list = daemon.add_list().await;
    let (provider, client) = daemon.add_provider(&delegate, 300).await;
    let mut accounts = Vec::new();
    for (key, mailbox) in [
        ("ONE", daemon.lab.get("SHARED")),
        ("TWO", daemon.lab.get("SHARED2")),
        ("OWN", delegate.as_str()),
    ] {
        let mut more = json!({
            "authentication": "modern", "CloudProviderId": provider, "username": mailbox,
        });
        if mailbox != delegate {
            more["delegate"] = json!(delegate);
        }
        let body = daemon.account_body(list, key, mailbox, more);
        let added = daemon.api.post("/api/mail/accounts", &body).await;
        accounts.push((added["id"].as_i64().expect("id"), mailbox.to_owned()));
    }
    let customer = daemon.lab.fresh_mailbox("customer");
    let mut lmtp = mail::Lmtp::open(&daemon.lab).await;
    for (account, mailbox) in &accounts {
        wait_state(&daemon, *account, "connected").await;
        let id = format!("{}@customer.example", uuid::Uuid::new_v4());
        let question = mail::plain_mail(&customer, mailbox, &id, "Question", "Text");
        lmtp.deliver(&customer, mailbox, &question).await;
        let path = format!("/api/mail/messages?AccountId={account}");
        eventually("the mail is in the store", LIMIT, || async {
            let rows = daemon.api.rows(&path).await;
            match rows.iter().any(|row| row["messageId"] == json!(id)) {
                true => Ok(()),
                false => Err(format!("{} rows", rows.len())),
            }
        })
        .await;
        let body =
            json!({"AccountId": account, "to": [customer], "subject": "Answer", "text": "Text"});
        let sent = daemon.api.post("/api/mail/outbox", &body).await;
        let reply = sent["messageId"].as_str().expect("id").to_owned();
        eventually("the answer arrived", LIMIT, || async {
            let mails = mail::fetch_all(&daemon.lab, &customer, "BODY.PEEK[]").await;
            let mine = mails
                .iter()
                .map(|raw| String::from_utf8_lossy(raw))
                .find(|raw| raw.contains(&reply));
            match mine {
                Some(raw) if raw.contains(mailbox.as_str()) => Ok(()),
                Some(raw) => Err(format!("not from {mailbox}: {raw}")),
                None => Err("not there".to_owned()),
            }
        })
        .await;
        assert_eq!(login_of(&daemon, &reply), delegate, "{mailbox}");
    }
    let grant = shown(&daemon, provider).await["grant"].clone();
    assert_eq!(grant["signedInAs"], json!(delegate));
    let refreshes = &daemon.lab.counters().await["refreshesByClient"][&client];
    assert!(
        refreshes.is_null(),
        "one sign-in was enough for all three: {refreshes}"
    );
    assert_eq!(daemon.error_log(), "", "no error line");
}

/// Whose login Postfix took the mail with this Message-ID from.
fn login_of(daemon: &Daemon, message_id: &str) -> String {
    let log = Path::new(daemon.lab.get("LAB_STATE")).join("log/postfix.log");
    let log = std::fs::read_to_string(log).expect("Postfix's log");
    let queue_id = |line: &str| {
        let (_, rest) = line.split_once("]: ")?;
        Some(rest.split_once(": ")?.0.to_owned())
    };
    let mine = log
        .lines()
        .find(|line| line.contains("message-id=") && line.contains(message_id));
    let mine = mine.and_then(queue_id).expect("the message's queue id");
    let login = log
        .lines()
        .filter(|line| queue_id(line).as_ref() == Some(&mine))
        .find_map(|line| line.split_once("sasl_username="))
        .expect("a login");
    login
        .1
        .split([',', ' '])
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_a_callback_that_does_not_answer_is_pasted_at_the_terminal() {
    let daemon = Daemon::start(Engine::Sqlite, &[]).await;
    let user = daemon.lab.fresh_mailbox("paste");
    let client = daemon.lab.client(300).await;
    // Nobody listens there, as on a server that no browser can reach.
    let provider = add_provider(&daemon, client, "http://127.0.0.1:1", json!({})).await;
    let mut cli = Command::new(binary())
        .args(["provider", "authenticate", &provider.to_string(), "--paste"])
        .env("XC_EMAIL_SOCKET", daemon.setting("XC_EMAIL_SOCKET"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command line runs");
    let mut said = BufReader::new(cli.stderr.take().expect("stderr"));
    let url = said
        .by_ref()
        .lines()
        .map_while(Result::ok)
        .find(|line| line.starts_with("https://"))
        .expect("the address");
    let ended = tool(
        &daemon,
        "sign-in",
        &["--user", &user, "--no-callback", &url],
    )
    .await;
    let ended = ended.expect("the callback's address");
    assert!(ended.starts_with("http://127.0.0.1:1/"), "{ended}");
    let mut input = cli.stdin.take().expect("stdin");
    writeln!(input, "{ended}").expect("pasted");
    drop(input);
    let output = cli.wait_with_output().expect("it ends");
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!(out, format!("Signed in as {user}.\n"));
    assert_eq!(shown(&daemon, provider).await["grant"]["state"], "ok");
    // The address is worth nothing afterwards.
    let path = format!("/api/cloudProviders/{provider}/redirected");
    let again = daemon
        .api
        .call(Method::POST, &path, Some(&json!({"url": ended})))
        .await;
    let (status, problem) = again.expect("an answer");
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (400, &json!("sign_in_state_used"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_typed_on_another_computer_signs_in() {
    let daemon = Daemon::start(Engine::Sqlite, &[]).await;
    let user = daemon.lab.fresh_mailbox("code");
    let client = (daemon.lab.get("NATIVE_CLIENT_ID").to_owned(), String::new());
    let public = json!({ "clientSecret": null });
    let provider = add_provider(&daemon, client, &daemon.url(), public).await;
    let list = daemon.add_list().await;
    let body = daemon.account_body(
        list,
        "CODE",
        &user,
        json!({
            "authentication": "modern", "CloudProviderId": provider, "username": user,
        }),
    );
    let account = daemon.api.post("/api/mail/accounts", &body).await["id"]
        .as_i64()
        .expect("id");
    let path = format!("/api/cloudProviders/{provider}/device");
    let begun = daemon.api.post(&path, &json!({})).await;
    assert_eq!(begun["state"], "waiting", "{begun}");
    let text = |field: &str| begun[field].as_str().expect("text").to_owned();
    let (page, code) = (text("verificationUri"), text("userCode"));
    let typed = tool(&daemon, "sign-in-device", &["--user", &user, &page, &code]).await;
    typed.expect("the provider says that it is done");
    eventually("the daemon has the grant", LIMIT, || async {
        let now = daemon.api.get(&path).await;
        if now["state"] == "signed_in" {
            assert_eq!(now["signedInAs"], json!(user));
            Ok(())
        } else {
            Err(now.to_string())
        }
    })
    .await;
    wait_state(&daemon, account, "connected").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_on_the_command_line_hears_that_the_daemon_was_started_anew_and_its_code_is_lost()
{
    let mut daemon = Daemon::start(Engine::Sqlite, &[]).await;
    let user = daemon.lab.fresh_mailbox("lost");
    let client = (daemon.lab.get("NATIVE_CLIENT_ID").to_owned(), String::new());
    let public = json!({ "clientSecret": null });
    let provider = add_provider(&daemon, client, &daemon.url(), public).await;
    visit(&daemon, provider, &user, json!({}))
        .await
        .expect("signed in");
    let (out, err) = (daemon.path("cli.out"), daemon.path("cli.err"));
    let file = |path: &std::path::Path| std::fs::File::create(path).expect("a file");
    let read = |path: &std::path::Path| std::fs::read_to_string(path).expect("a file");
    let id = provider.to_string();
    let mut waiting = std::process::Command::new(binary())
        .args([
            "provider",
            "authenticate",
            &id,
            "--device",
            "--new-identity",
        ])
        .env("XC_EMAIL_SOCKET", daemon.setting("XC_EMAIL_SOCKET"))
        .stdin(std::process::Stdio::null())
        .stdout(file(&out))
        .stderr(file(&err))
        .spawn()
        .expect("the command line runs");
    eventually("the code is shown", LIMIT, || async {
        let shown = read(&err);
        let waits = shown.contains("Waiting for the code");
        waits.then_some(()).ok_or(shown)
    })
    .await;
    daemon.kill();
    daemon.launch().await;
    let ended = tokio::task::spawn_blocking(move || waiting.wait());
    let ended = ended.await.expect("a thread").expect("an end");
    let (out, err) = (read(&out), read(&err));
    assert_eq!(ended.code(), Some(75), "{out}{err}");
    assert!(out.contains("type the code"), "{out}");
    let again = format!("motion-email provider authenticate {provider} --device --new-identity");
    assert!(
        err.contains("The daemon was started anew meanwhile") && err.contains(&again),
        "{err}"
    );
    // A program is told so as well, and what worked before goes on.
    let path = format!("/api/cloudProviders/{provider}/device");
    let (status, problem) = daemon
        .api
        .call(reqwest::Method::GET, &path, None)
        .await
        .expect("an answer");
    assert_eq!(status, 404, "{problem}");
    assert!(
        problem.to_string().contains("since the daemon started"),
        "{problem}"
    );
    let again = format!("motion-email provider authenticate {provider} --device.");
    assert!(
        problem["next"]
            .as_str()
            .is_some_and(|next| next.contains(&again)),
        "{problem}"
    );
    assert_eq!(shown(&daemon, provider).await["grant"]["state"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_client_secret_is_used_without_a_restart_and_without_a_sign_in() {
    let daemon = Daemon::start(Engine::Sqlite, &[("XC_EMAIL_PARKED_RETRY", "1s")]).await;
    let user = daemon.lab.fresh_mailbox("secret");
    let (provider, client) = daemon.add_provider(&user, 5).await;
    let before = shown(&daemon, provider).await;
    // The platform takes another secret from now on; tokens live five seconds.
    daemon
        .lab
        .control(&format!("secret?client={client}&secret=the-next"))
        .await;
    let refused = || async {
        let counters = daemon.lab.counters().await;
        let refusals = &counters["tokenErrors"][format!("{client} invalid_client 7000215")];
        if refusals.is_null() {
            Err(counters["tokenErrors"].to_string())
        } else {
            Ok(())
        }
    };
    eventually("the old secret is refused", LIMIT, refused).await;
    let file = daemon.path("secret");
    std::fs::write(&file, "the-next\n").expect("a file");
    let ran = daemon.cli(&[
        "provider",
        "update-secret",
        &provider.to_string(),
        "--client-secret-file",
        &file.display().to_string(),
        "--secret-expires",
        "2099-01-01",
    ]);
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("24 months"), "{said}");
    let entered_at = shown(&daemon, provider).await["updatedAt"]
        .as_str()
        .expect("time")
        .to_owned();
    eventually("the new secret gives tokens", LIMIT, || async {
        let grant = shown(&daemon, provider).await["grant"].clone();
        let refreshed = grant["refreshedAt"].as_str().unwrap_or_default().to_owned();
        if refreshed > entered_at && grant["state"] == "ok" {
            assert_eq!(
                grant["signedInAt"], before["grant"]["signedInAt"],
                "nobody signed in again"
            );
            Ok(())
        } else {
            Err(grant.to_string())
        }
    })
    .await;
}
