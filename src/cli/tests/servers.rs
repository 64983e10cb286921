//! What `account add` and `account edit` say about servers and proxies.

use serde_json::json;

use super::commands::{ACCOUNTS, accounts};
use super::fake::{Fake, json_answer};

#[test]
fn an_accounts_own_trust_and_proxy_are_read_from_files_and_flags() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let ca = file("ca.pem", "-----BEGIN …\n");
    let proxy = file("proxy", "http://u:p@proxy:3128\n");
    let pin = "AB:".repeat(31) + "AB";
    let digits = "ab".repeat(32);
    for (flags, body) in [
        (
            &["--ca-file", &ca, "--proxy-file", &proxy][..],
            json!({"imap": {"tlsCa": "-----BEGIN …\n"}, "smtp": {"tlsCa": "-----BEGIN …\n"},
                "proxy": "http://u:p@proxy:3128"}),
        ),
        (
            &[
                "--imap-ca-file",
                &ca,
                "--smtp-pin",
                &digits,
                "--smtp-pin",
                &pin,
                "--proxy",
                "socks5://p",
            ],
            json!({"imap": {"tlsCa": "-----BEGIN …\n"}, "smtp": {"tlsPins": [pin, pin]},
                "proxy": "socks5://p:1080"}),
        ),
        (
            &["--imap-verify", "full", "--proxy", "process"],
            json!({"imap": {"verify": "full"}, "proxy": null}),
        ),
        (&["--proxy", "Direct"], json!({"proxy": "direct"})),
    ] {
        let fake = Fake::start(vec![
            accounts(ACCOUNTS),
            json_answer(
                "PUT /api/mail/accounts/3",
                200,
                json!({"id": 3, "key": "SUPP1"}),
            ),
        ]);
        let args: Vec<_> = ["account", "edit", "SUPP1"]
            .iter()
            .chain(flags)
            .copied()
            .collect();
        let ran = fake.cli(&args);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
        assert_eq!(fake.asked()[1].1, body, "{args:?}");
    }
}
