//! What a hostile or broken HTTP proxy may say.

use tokio::{io::duplex, task::JoinSet};

use super::*;

/// Has a proxy read one question and answer with `answer`, then hang up; our outcome, the question,
/// and what is left on the line.
async fn talk(answer: &[u8], login: Option<(&str, &str)>) -> (Result<(), Fault>, String, Vec<u8>) {
    let (mut ours, mut theirs) = duplex(64 * 1024);
    let answer = answer.to_owned();
    let mut proxy = JoinSet::new();
    proxy.spawn(async move {
        let mut question = Vec::new();
        while !question.ends_with(b"\r\n\r\n") {
            question.push(theirs.read_u8().await.unwrap());
        }
        // A client that has given up is no fault of the proxy's.
        let _ = theirs.write_all(&answer).await;
        String::from_utf8(question).unwrap()
    });
    let login = login.map(|(user, password)| (user.to_owned(), password.to_owned().into()));
    let outcome = connect(&mut ours, "mail.test:993", login.as_ref()).await;
    let mut left = Vec::new();
    if outcome.is_ok() {
        ours.read_to_end(&mut left).await.unwrap();
    }
    drop(ours);
    let question = proxy.join_next().await.unwrap().unwrap();
    (outcome, question, left)
}

#[tokio::test]
async fn a_tunnel_begins_right_behind_the_answer() {
    for answer in [
        "HTTP/1.1 200 Connection established\r\n\r\n",
        "HTTP/1.0 200\r\nVia: x\r\n\r\n",
        "HTTP/1.1 204 \r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\nX: bare line ends\n\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        let said = format!("{answer}* OK IMAP\r\n");
        let (outcome, question, left) = talk(said.as_bytes(), None).await;
        assert!(outcome.is_ok(), "{answer:?}: {outcome:?}");
        assert_eq!(left, b"* OK IMAP\r\n", "{answer:?}");
        assert_eq!(
            question,
            "CONNECT mail.test:993 HTTP/1.1\r\nHost: mail.test:993\r\n\r\n"
        );
    }
}

#[tokio::test]
async fn a_login_goes_as_basic() {
    let answer = b"HTTP/1.1 200 OK\r\n\r\n";
    let (_, question, _) = talk(answer, Some(("user", "p@ss:word"))).await;
    assert!(
        question.contains("\r\nProxy-Authorization: Basic dXNlcjpwQHNzOndvcmQ=\r\n"),
        "{question}"
    );
}

#[tokio::test]
async fn a_refusal_keeps_its_status_and_its_words() {
    for (line, status, words) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required",
            407,
            "Proxy Authentication Required",
        ),
        ("HTTP/1.1 403 Forbidden", 403, "Forbidden"),
        ("HTTP/1.0 502", 502, ""),
        ("HTTP/1.1 302 Go\tthere\x07", 302, "Go there "),
    ] {
        let answer = format!("{line}\r\nX: y\r\n\r\n<html>");
        match talk(answer.as_bytes(), None).await.0 {
            Err(Fault::Refused(refusal)) => assert_eq!(
                refusal,
                ProxyRefusal::Http {
                    status,
                    words: words.to_owned()
                }
            ),
            other => panic!("{line}: {other:?}"),
        }
    }
    let long = format!("HTTP/1.1 500 {}\r\n\r\n", "x".repeat(5000));
    match talk(long.as_bytes(), None).await.0 {
        Err(Fault::Refused(ProxyRefusal::Http { words, .. })) => assert_eq!(words.len(), WORDS),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn garbage_and_endless_heads_are_cut_off() {
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(10_000));
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
    for answer in [
        "* OK IMAP4 ready\r\n",
        "220 smtp ready\r\n",
        "SSH-2.0-x\r\n",
        "\x05\x00",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 20\r\n\r\n",
        "HTTP/1.1 +20 x\r\n\r\n",
        "HTTP/1.1 999 x\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        &endless,
        &interim,
    ] {
        let (outcome, ..) = talk(answer.as_bytes(), None).await;
        assert!(
            matches!(outcome, Err(Fault::Nonsense(_))),
            "{:?}: {outcome:?}",
            answer.get(..30)
        );
    }
}

#[tokio::test]
async fn an_answer_cut_at_any_byte_is_no_tunnel() {
    let answer = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n";
    for end in 0..answer.len() {
        let (outcome, ..) = talk(&answer[..end], None).await;
        assert!(
            matches!(outcome, Err(Fault::Broken(_))),
            "{end}: {outcome:?}"
        );
    }
    assert!(talk(answer, None).await.0.is_ok());
}
