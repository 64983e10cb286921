//! Cloud providers and sign-ins: what is asked of the daemon, what a person reads and types.

use serde_json::{Value, json};

use super::fake::{Answer, Fake, json_answer};

#[test]
fn a_provider_is_added_with_a_secret_from_standard_input() {
    let fake = Fake::start(vec![json_answer(
        "POST /api/cloudProviders",
        201,
        json!({"id": 4, "redirectUri": "https://m/cb"}),
    )]);
    let ran = fake.cli_with(
        &[
            "provider",
            "add",
            "--name",
            "N",
            "--service",
            "Microsoft",
            "--type",
            "Outlook365",
            "--application-id",
            "A",
            "--tenant-id",
            "T",
            "--client-secret-file",
            "-",
            "--redirect-uri",
            "https://m/cb",
            "--authority",
            "https://a",
            "--scope-host",
            "https://s",
        ],
        " s e-cret \n",
        false,
    );
    assert_eq!(
        ran.out,
        "Added cloud provider 4.\nIts redirect URI, which has to be registered with the application: https://m/cb\n\
         Next: motion-email provider authenticate 4\n"
    );
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let body = json!({"name": "N", "service": "microsoft", "type": "Outlook365", "applicationId": "A", "tenantId": "T",
        "clientSecret": " s e-cret ", "redirectUri": "https://m/cb", "authority": "https://a", "scopeHost": "https://s"});
    assert_eq!(
        fake.asked(),
        [("POST /api/cloudProviders".to_owned(), body)]
    );
}

#[test]
fn signing_in_prints_the_address_and_waits_for_the_grant() {
    let script = || {
        vec![
            json_answer(
                "GET /api/cloudProviders/4/grant",
                200,
                json!({"state": "missing"}),
            ),
            json_answer(
                "POST /api/cloudProviders/4/authenticate",
                200,
                json!({"authorizeUrl": "https://login/x"}),
            ),
            json_answer(
                "GET /api/cloudProviders/4/grant",
                200,
                json!({"state": "ok", "signedInAs": "anna@b.c"}),
            ),
        ]
    };
    let fake = Fake::start(script());
    let ran = fake.cli(&["provider", "authenticate", "4", "--login-hint", "anna@b.c"]);
    assert_eq!(
        ran.out,
        "Open this address in a browser and sign in:\n\nhttps://login/x\n\nSigned in as anna@b.c.\n"
    );
    assert_eq!(fake.asked()[1].1, json!({"loginHint": "anna@b.c"}));
    let fake = Fake::start(script());
    let ran = fake.cli(&["provider", "authenticate", "4", "--json"]);
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer, json!({"authorizeUrl": "https://login/x"}));
    assert_eq!(fake.asked().len(), 2, "does not wait");
    let fake = Fake::start(script());
    assert_eq!(
        fake.cli(&["provider", "authenticate", "4", "--no-wait"])
            .code,
        0
    );
    assert_eq!(fake.asked().len(), 2, "does not wait");
}

fn held() -> Value {
    json!({"signedInAs": "adm@b.c", "expected": ["anna@b.c"], "since": "2026-11-23T13:00:00.000Z",
        "what": "adm@b.c signed in, but anna@b.c is expected.", "next": "Confirm or discard it."})
}

fn begun() -> Vec<Answer> {
    vec![
        json_answer(
            "GET /api/cloudProviders/4/grant",
            200,
            json!({"state": "missing"}),
        ),
        json_answer(
            "POST /api/cloudProviders/4/authenticate",
            200,
            json!({"authorizeUrl": "https://login/x", "redirectUri": "https://m/cb"}),
        ),
    ]
}

fn confirmed() -> Answer {
    json_answer(
        "POST /api/cloudProviders/4/confirm",
        200,
        json!({"grant": {"signedInAs": "adm@b.c"}}),
    )
}

#[test]
fn the_address_a_browser_ended_at_is_pasted_and_nothing_of_it_printed() {
    let mut script = begun();
    script.push(json_answer(
        "POST /api/cloudProviders/4/redirected",
        200,
        json!({"state": "signed_in", "signedInAs": "anna@b.c", "heldSignIn": null}),
    ));
    let fake = Fake::start(script);
    let address = "https://m/cb?code=canary&state=s";
    let ran = fake.cli_with(
        &["provider", "authenticate", "4", "--paste", "--new-identity"],
        &format!(" {address}\r\n"),
        false,
    );
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "Signed in as anna@b.c.\n")
    );
    assert!(
        ran.err.contains("https://login/x") && ran.err.contains("https://m/cb"),
        "{}",
        ran.err
    );
    assert!(!ran.err.contains("canary"), "{}", ran.err);
    let asked = fake.asked();
    assert_eq!(asked[1].1, json!({"newIdentity": true}));
    assert_eq!(asked[2].1, json!({"url": address}));
    let fake = Fake::start(begun());
    let ran = fake.cli(&["provider", "authenticate", "4", "--paste"]);
    assert_eq!(ran.code, 64, "{ran:?}");
}

#[test]
fn who_copied_something_else_at_the_terminal_pastes_once_more_and_a_script_does_not() {
    let other = json!({"detail": "It is not the one.", "code": "sign_in_other_address", "next": "Copy it."});
    let script = |answers: &[(u16, &Value)]| {
        let mut script = begun();
        for (status, body) in answers {
            let redirected = "POST /api/cloudProviders/4/redirected";
            script.push(json_answer(redirected, *status, (*body).clone()));
        }
        Fake::start(script)
    };
    let arguments = ["provider", "authenticate", "4", "--paste"];
    let done = json!({"state": "signed_in", "signedInAs": "anna@b.c", "heldSignIn": null});
    let fake = script(&[(400, &other), (200, &done)]);
    let ran = fake.cli_typed(&arguments, "https://login/x\nhttps://m/cb?code=c&state=s\n");
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "Signed in as anna@b.c.\n"),
        "{ran:?}"
    );
    assert!(
        ran.err.contains("It is not the one. Paste it once more."),
        "{ran:?}"
    );
    assert_eq!(fake.asked()[3].1["url"], "https://m/cb?code=c&state=s");
    // Not for ever, not where nobody types, and not where the sign-in is over.
    let ran = script(&[(400, &other); 6]).cli_typed(&arguments, &"x\n".repeat(6));
    assert_eq!((ran.code, ran.err.matches("not shown").count()), (1, 5));
    let ran = script(&[(400, &other)]).cli_with(&arguments, "x\ny\n", false);
    assert_eq!((ran.code, ran.err.matches("not shown").count()), (1, 1));
    let used =
        json!({"detail": "Finished before.", "code": "sign_in_state_used", "next": "Again."});
    let ran = script(&[(400, &used)]).cli_typed(&arguments, "x\ny\n");
    assert_eq!((ran.code, ran.err.matches("not shown").count()), (1, 1));
}

#[test]
fn a_daemon_that_stops_under_a_waiting_code_is_named_with_the_command_to_begin_again() {
    let shown = |state: &str| {
        json!({"state": state, "userCode": "ABC", "verificationUri": "https://login/device",
            "code": "sign_in_interrupted", "what": "Stopped.", "next": "Load the page again."})
    };
    let fake = Fake::start(vec![
        json_answer(
            "GET /api/cloudProviders/4/grant",
            200,
            json!({"state": "missing"}),
        ),
        json_answer("POST /api/cloudProviders/4/device", 200, shown("waiting")),
        json_answer("GET /api/cloudProviders/4/device", 200, shown("failed")),
    ]);
    let ran = fake.cli(&["provider", "authenticate", "4", "--device"]);
    assert_eq!(ran.code, 75, "{ran:?}");
    assert!(
        ran.err.ends_with(
            "The daemon was stopped meanwhile, and this code is of no use any more. For a new one: \
             motion-email provider authenticate 4 --device\n"
        ),
        "{}",
        ran.err
    );
}

#[test]
fn a_sign_in_of_somebody_else_is_asked_about_and_confirmed_by_typing_the_name() {
    let script = || {
        let mut script = begun();
        script.push(json_answer(
            "GET /api/cloudProviders/4/grant",
            200,
            json!({"state": "missing", "heldSignIn": held()}),
        ));
        script.push(confirmed());
        script
    };
    let arguments = ["provider", "authenticate", "4"];
    let fake = Fake::start(script());
    let ran = fake.cli_typed(&arguments, "adm@b.c\n");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.ends_with("Confirmed: signed in as adm@b.c.\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.err.contains("anna@b.c is expected") && ran.err.contains("(adm@b.c)"),
        "{}",
        ran.err
    );
    assert_eq!(fake.asked()[3].1, json!({"signedInAs": "adm@b.c"}));
    // Enter alone, and a script: nothing is confirmed, and the next step is said.
    let fake = Fake::start(script());
    let ran = fake.cli_typed(&arguments, "\n");
    assert_eq!((ran.code, fake.asked().len()), (1, 3), "{ran:?}");
    assert!(ran.err.contains("Confirm or discard it."), "{}", ran.err);
    let fake = Fake::start(script());
    let ran = fake.cli(&arguments);
    assert_eq!((ran.code, fake.asked().len()), (1, 3), "{ran:?}");
    assert!(ran.err.contains("Confirm or discard it."), "{}", ran.err);
}

#[test]
fn a_code_is_shown_and_waited_for() {
    let shown = |state: &str| {
        json!({"state": state, "userCode": "ABC", "verificationUri": "https://login/device", "signedInAs": "anna@b.c",
            "expiresAt": "2026-11-23T13:00:00.000Z", "what": "Nobody typed it.", "next": "Again."})
    };
    let script = |end: &str| {
        vec![
            json_answer(
                "GET /api/cloudProviders/4/grant",
                200,
                json!({"state": "missing"}),
            ),
            json_answer("POST /api/cloudProviders/4/device", 200, shown("waiting")),
            json_answer("GET /api/cloudProviders/4/device", 200, shown("waiting")),
            json_answer("GET /api/cloudProviders/4/device", 200, shown(end)),
        ]
    };
    let arguments = ["provider", "authenticate", "4", "--device"];
    let fake = Fake::start(script("signed_in"));
    let ran = fake.cli(&arguments);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.contains("https://login/device") && ran.out.contains("\n    ABC\n"),
        "{}",
        ran.out
    );
    assert!(ran.out.ends_with("Signed in as anna@b.c.\n"), "{}", ran.out);
    let ran = Fake::start(script("failed")).cli(&arguments);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("Nobody typed it. Again."), "{}", ran.err);
    let fake = Fake::start(script("failed"));
    assert_eq!(
        fake.cli(&["provider", "authenticate", "4", "--device", "--no-wait"])
            .code,
        0
    );
    assert_eq!(fake.asked().len(), 1);
}

#[test]
fn every_field_is_edited_a_new_secret_entered_and_warnings_are_printed() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = (file("c.pem", "CERT\nPEM\n"), file("k.pem", "KEY\nPEM\n"));
    let proxy = file("proxy", "http://u:p@proxy:3128\n");
    let warned = json!({"id": 4, "warnings": [{"severity": "warning", "what": "Look at the date.", "next": "Mend it."}]});
    let fake = Fake::start(vec![json_answer(
        "PUT /api/cloudProviders/4",
        200,
        warned.clone(),
    )]);
    let ran = fake.cli(&[
        "provider",
        "edit",
        "4",
        "--name",
        "N",
        "--application-id",
        "A",
        "--tenant-id",
        "T",
        "--cloud",
        "gcc_high",
        "--access",
        "application",
        "--secret-expires",
        "none",
        "--second-secret-expires",
        "2027-05-01",
        "--certificate",
        &certificate,
        "--private-key",
        &key,
        "--redirect-uri",
        "https://m/cb",
        "--no-client-secret",
        "--no-authority",
        "--scope-host",
        "https://s",
        "--proxy-file",
        &proxy,
    ]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "Changed cloud provider 4.\n"),
        "{ran:?}"
    );
    assert_eq!(ran.err, "\nwarning: Look at the date.\n  Mend it.\n");
    let body = json!({"name": "N", "applicationId": "A", "tenantId": "T", "cloud": "gcc_high", "access": "application",
        "clientSecretExpiresAt": null, "secondSecretExpiresAt": "2027-05-01", "certificate": "CERT\nPEM",
        "privateKey": "KEY\nPEM", "redirectUri": "https://m/cb", "clientSecret": null, "authority": null,
        "scopeHost": "https://s", "proxy": "http://u:p@proxy:3128"});
    assert_eq!(
        fake.asked(),
        [("PUT /api/cloudProviders/4".to_owned(), body)]
    );

    let secret = "POST /api/cloudProviders/4/secret";
    let fake = Fake::start(vec![json_answer(secret, 200, warned)]);
    let ran = fake.cli_with(
        &[
            "provider",
            "update-secret",
            "4",
            "--client-secret-file",
            "-",
            "--secret-expires",
            "2027-05-01",
            "--second",
        ],
        "new\n",
        false,
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.err, "\nwarning: Look at the date.\n  Mend it.\n");
    let body = json!({"clientSecret": "new", "expiresAt": "2027-05-01", "second": true});
    assert_eq!(fake.asked(), [(secret.to_owned(), body)]);
    let ran = Fake::start(Vec::new()).cli(&["provider", "edit", "4"]);
    assert_eq!(ran.code, 64, "{ran:?}");
}

#[test]
fn held_sign_ins_are_confirmed_and_discarded_and_an_account_repeats_who_signed_in() {
    let fake = Fake::start(vec![
        confirmed(),
        json_answer("POST /api/cloudProviders/4/discard", 200, json!({"id": 4})),
    ]);
    let ran = fake.cli(&["provider", "confirm", "4", "--signed-in-as", "adm@b.c"]);
    assert_eq!(ran.out, "Confirmed: signed in as adm@b.c.\n", "{ran:?}");
    assert_eq!(fake.asked()[0].1, json!({"signedInAs": "adm@b.c"}));
    let ran = fake.cli(&["provider", "discard", "4"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let accounts = json!({"rows": [{"id": 3, "key": "K"}], "count": 1});
    let fake = Fake::start(vec![
        json_answer("GET /api/mail/accounts?limit=500&offset=0", 200, accounts),
        json_answer("PUT /api/mail/accounts/3", 200, json!({"key": "K"})),
    ]);
    let ran = fake.cli(&[
        "account",
        "edit",
        "K",
        "--provider",
        "4",
        "--confirm-signed-in-as",
        "adm@b.c",
    ]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let body =
        json!({"authentication": "modern", "CloudProviderId": 4, "confirmedSignedInAs": "adm@b.c"});
    assert_eq!(fake.asked()[1].1, body);
}
