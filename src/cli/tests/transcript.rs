//! What `transcript` prints.

use serde_json::json;

use super::commands::{ACCOUNTS, accounts};
use super::fake::{Fake, json_answer};

#[test]
fn a_transcript_is_one_line_for_each_word_that_was_said() {
    let rows = json!({"count": 3, "rows": [
        {"at": "x", "number": 1, "protocol": "imap", "connection": 7, "direction": "note", "text": "TLS stands"},
        {"at": "x", "number": 2, "protocol": "imap", "connection": 7, "direction": "sent", "text": "M1 NOOP"},
        {"at": "x", "number": 3, "protocol": "oauth", "connection": 12, "direction": "received", "text": "400 \u{1b}[2J"},
    ]});
    let request = "GET /api/mail/accounts/3/transcript?limit=1000";
    let fake = Fake::start(vec![accounts(ACCOUNTS), json_answer(request, 200, rows)]);
    let ran = fake.cli(&["transcript", "SUPP1"]);
    assert_eq!(
        ran.out,
        "x imap     7 -- TLS stands\nx imap     7 -> M1 NOOP\nx oauth   12 <- 400 \\u{1b}[2J\n"
    );
    let none = json_answer(request, 200, json!({"count": 0, "rows": []}));
    let ran = Fake::start(vec![accounts(ACCOUNTS), none]).cli(&["transcript", "SUPP1"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    assert!(ran.err.contains("Nothing was said"));
}
