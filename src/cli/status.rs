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
    let servers = take("servers");
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
    let mut said = Said::default();
    for account in super::show::rows(&accounts) {
        troubles(account, &mut said);
    }
    for (before, whose, words) in &said.0 {
        writeln!(work.terminal.out, "\n{before}{}: {words}", whose.join(", "))?;
    }
    for line in server_lines(&servers) {
        writeln!(work.terminal.out, "\n{line}")?;
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

/// Servers that give nobody an answer or have accounts waiting, and the rests that run.
fn server_lines(servers: &Value) -> Vec<String> {
    let all = |name: &str| super::show::rows(servers.get(name).unwrap_or(&Value::Null)).to_vec();
    let mut lines = Vec::new();
    for host in all("hosts") {
        let name = escaped(&first(&host, &["/host"]));
        let waiting = host.get("waiting").and_then(Value::as_u64).unwrap_or(0);
        if host.get("silent").and_then(Value::as_bool) == Some(true) {
            lines.push(format!(
                "{name} gives nobody an answer: {}\n  One account at a time tries it, the next after {}.",
                escaped(&first(&host, &["/why"])),
                first(&host, &["/probeAt"])
            ));
        } else if waiting > 0 {
            lines.push(format!(
                "{name}: {} connections, {} being opened (at most {}), {waiting} wait for their turn.",
                first(&host, &["/connections"]),
                first(&host, &["/opening"]),
                first(&host, &["/openingAtMost"])
            ));
        }
    }
    for rest in all("rests") {
        lines.push(format!(
            "{} ({}) rests until {}: {}",
            escaped(&first(&rest, &["/whose"])),
            first(&rest, &["/of"]),
            first(&rest, &["/until"]),
            escaped(&first(&rest, &["/why"]))
        ));
    }
    lines
}

/// What is said, once, with all of whom it is true: `warning: ` or nothing, accounts with their lanes, the words. One
/// secret that is refused is met by every account of its provider.
#[derive(Default)]
struct Said(Vec<(&'static str, Vec<String>, String)>);

impl Said {
    fn add(&mut self, before: &'static str, whose: String, words: String) {
        let known = self
            .0
            .iter_mut()
            .find(|(kind, _, known)| *kind == before && *known == words);
        match known {
            Some((_, all, _)) => all.push(whose),
            None => self.0.push((before, vec![whose], words)),
        }
    }
}

/// What is wrong with an account and what to do, for each lane that has something to say, and what works and should not
/// stay so.
fn troubles(account: &Value, said: &mut Said) {
    let key = first(account, &["/key", "/id"]);
    for (lane, paths) in LANES {
        let status = paths.iter().find_map(|path| account.pointer(path));
        if let Some(words) = status.and_then(super::calendar::words) {
            said.add("", format!("{key} {lane}"), words);
        }
    }
    let warnings = account.pointer("/status/warnings").unwrap_or(&Value::Null);
    for warning in super::show::rows(warnings) {
        let lane = text_at(warning, "/lane").map_or_else(String::new, |lane| format!(" {lane}"));
        if let Some(words) = super::calendar::words(warning) {
            said.add("warning: ", format!("{key}{}", escaped(&lane)), words);
        }
    }
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
    fn servers_are_told_of_only_where_somebody_waits_for_them() {
        let servers = json!({
            "hosts": [
                {"host": "a:993", "connections": 9, "opening": 0, "openingAtMost": 8, "waiting": 0, "silent": false},
                {"host": "b:993", "connections": 9, "opening": 8, "openingAtMost": 8, "waiting": 7, "silent": false},
                {"host": "c:993", "waiting": 0, "silent": true, "probeAt": "T", "why": "refused\u{7}"},
            ],
            "rests": [{"of": "mailbox", "whose": "desk at d", "until": "U", "why": "throttled"}],
        });
        assert_eq!(
            server_lines(&servers),
            [
                "b:993: 9 connections, 8 being opened (at most 8), 7 wait for their turn.",
                "c:993 gives nobody an answer: refused\\u{7}\n  One account at a time tries it, the next after T.",
                "desk at d (mailbox) rests until U: throttled",
            ]
        );
        assert!(server_lines(&Value::Null).is_empty());
    }

    #[test]
    fn a_lane_in_trouble_says_what_why_and_what_next() {
        let lane = json!({"state": "parked", "what": "Login refused.", "why": "Said\u{7} so.", "next": "Change it."});
        for account in [
            json!({"id": 1, "key": "A", "status": {"inbound": lane, "outbound": {"state": "ready", "what": null}}}),
            json!({"id": 1, "key": "A", "inbound": lane}),
        ] {
            let mut said = Said::default();
            troubles(&account, &mut said);
            let words = "Login refused.\n  Said\\u{7} so.\n  Change it.".to_owned();
            assert_eq!(said.0, [("", vec!["A inbound".to_owned()], words)]);
        }
    }

    #[test]
    fn what_is_true_of_many_accounts_is_said_once_with_all_of_them() {
        let trouble = json!({"what": "The secret is refused.", "next": "Enter it."});
        let warning = |lane: &str| json!({"lane": lane, "what": "The secret is refused.", "next": "Enter it."});
        let mut said = Said::default();
        for key in ["A", "B"] {
            let account = json!({"key": key, "status": {
                "inbound": trouble, "outbound": {"what": null},
                "warnings": [warning("inbound"), warning("outbound"), {"lane": "inbound", "what": "Other."}]}});
            troubles(&account, &mut said);
        }
        let shown: Vec<String> = said
            .0
            .iter()
            .map(|(before, whose, words)| format!("{before}{}: {words}", whose.join(", ")))
            .collect();
        assert_eq!(
            shown,
            [
                "A inbound, B inbound: The secret is refused.\n  Enter it.",
                "warning: A inbound, A outbound, B inbound, B outbound: The secret is refused.\n  Enter it.",
                "warning: A inbound, B inbound: Other.",
            ]
        );
    }
}
