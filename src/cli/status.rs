//! `status`.

use serde_json::{Value, json};

use super::failure::Failure;
use super::perform::Work;
use super::show::{Column, escaped, first, record, table, text_at};

/// Where a lane may stand in an account's row.
const LANES: [(&str, [&str; 2]); 2] = [
    ("inbound", ["/status/inbound", "/inbound"]),
    ("outbound", ["/status/outbound", "/outbound"]),
];

const PROVIDERS: &[Column] = &[
    ("ID", &["/id"]),
    ("CLOUD PROVIDER", &["/name"]),
    ("GRANT", &["/grant/state"]),
    ("SIGNED IN AS", &["/grant/signedInAs"]),
    ("REASON", &["/grant/reason"]),
];

const ACCOUNTS: &[Column] = &[
    ("ID", &["/id"]),
    ("KEY", &["/key"]),
    ("ADDRESS", &["/address"]),
    ("PAUSED", &["/paused"]),
    ("INBOUND", &["/status/inbound/state", "/inbound/state"]),
    (
        "LAST CONTACT",
        &["/status/inbound/lastContact", "/inbound/lastContact"],
    ),
    ("OUTBOUND", &["/status/outbound/state", "/outbound/state"]),
    (
        "LAST CONTACT",
        &["/status/outbound/lastContact", "/outbound/lastContact"],
    ),
];

pub(super) async fn perform(work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let mut answer = work.client.get("/api/status", &[]).await?;
    if work.json {
        return work.raw_json(&answer);
    }
    let mut take = |name: &str| {
        let rows = answer
            .as_object_mut()
            .and_then(|object| object.remove(name));
        rows.unwrap_or_else(|| json!([]))
    };
    let accounts = take("accounts");
    let providers = take("cloudProviders");
    let warnings = take("warnings");
    let out = &mut work.terminal.out;
    record(
        out,
        &answer,
        &["version", "node", "startedAt", "uptimeSeconds"],
    )?;
    writeln!(out)?;
    table(out, &providers, PROVIDERS)?;
    for line in super::show::rows(&providers).iter().filter_map(held) {
        writeln!(out, "\n{line}")?;
    }
    writeln!(out)?;
    table(out, &accounts, ACCOUNTS)?;
    for account in super::show::rows(&accounts) {
        for line in troubles(account) {
            writeln!(work.terminal.out, "\n{line}")?;
        }
        let settings = account.pointer("/status/warnings").unwrap_or(&Value::Null);
        let key = first(account, &["/key", "/id"]);
        super::calendar::warnings_of(work.terminal.out, &key, super::show::rows(settings))?;
    }
    super::calendar::warnings(work.terminal.out, super::show::rows(&warnings))?;
    Ok(())
}

/// Who waits for an administrator's word at a cloud provider: until then its lanes say that nobody signed in.
fn held(provider: &Value) -> Option<String> {
    let held = provider.get("heldSignIn").filter(|held| held.is_object())?;
    Some(format!(
        "{}: {}\n  {}",
        first(provider, &["/name", "/id"]),
        first(held, &["/what"]),
        first(held, &["/next"])
    ))
}

/// What is wrong with an account and what to do, for each lane that has something to say.
fn troubles(account: &Value) -> Vec<String> {
    LANES
        .iter()
        .filter_map(|(lane, paths)| {
            let status = paths.iter().find_map(|path| account.pointer(path))?;
            let what = text_at(status, "/what")?;
            let mut text = format!(
                "{} {lane}: {}",
                first(account, &["/key", "/id"]),
                escaped(&what)
            );
            for path in ["/why", "/next"] {
                if let Some(more) = text_at(status, path) {
                    text.push_str("\n  ");
                    text.push_str(&escaped(&more));
                }
            }
            Some(text)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_that_waits_for_a_word_is_told_with_its_next_step() {
        let held = |held: Value| super::held(&json!({"id": 4, "name": "N", "heldSignIn": held}));
        assert_eq!(held(Value::Null), None);
        assert_eq!(
            held(json!({"what": "Eve\u{7} signed in.", "next": "Confirm it."})).unwrap(),
            "N: Eve\\u{7} signed in.\n  Confirm it."
        );
    }

    #[test]
    fn a_lane_in_trouble_says_what_why_and_what_next() {
        let lane = json!({"state": "parked", "what": "Login refused.", "why": "Said\u{7} so.", "next": "Change it."});
        for account in [
            json!({"id": 1, "key": "A", "status": {"inbound": lane, "outbound": {"state": "ready", "what": null}}}),
            json!({"id": 1, "key": "A", "inbound": lane}),
        ] {
            assert_eq!(
                troubles(&account),
                ["A inbound: Login refused.\n  Said\\u{7} so.\n  Change it."]
            );
        }
    }
}
