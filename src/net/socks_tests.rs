//! What a hostile or broken SOCKS proxy may say.

use tokio::{io::duplex, task::JoinSet};

use super::*;

const BOUND: &[u8] = &[5, 0, 0, 1, 10, 0, 0, 1, 4, 56];

/// Has a proxy say all of `answers` at once and hang up; our outcome, what we sent, and what is left
/// on the line.
async fn talk(
    host: &str,
    login: Option<(&str, &str)>,
    answers: &[&[u8]],
) -> (Result<(), Fault>, Vec<u8>, Vec<u8>) {
    let (mut ours, mut theirs) = duplex(64 * 1024);
    let answer = answers.concat();
    let mut proxy = JoinSet::new();
    proxy.spawn(async move {
        theirs.write_all(&answer).await.unwrap();
        theirs.shutdown().await.unwrap();
        let mut sent = Vec::new();
        theirs.read_to_end(&mut sent).await.unwrap();
        sent
    });
    let login = login.map(|(user, password)| (user.to_owned(), password.to_owned().into()));
    let outcome = connect(&mut ours, host, 993, login.as_ref()).await;
    let mut left = Vec::new();
    if outcome.is_ok() {
        ours.read_to_end(&mut left).await.unwrap();
    }
    drop(ours);
    let sent = proxy.join_next().await.unwrap().unwrap();
    (outcome, sent, left)
}

#[tokio::test]
async fn names_and_addresses_are_asked_for_and_the_tunnel_begins_behind_the_answer() {
    let name: &[u8] = b"\x05\x01\x00\x03\x09mail.test\x03\xe1";
    let v4: &[u8] = &[5, 1, 0, 1, 192, 0, 2, 1, 3, 225];
    let v6: &[u8] = &[
        5, 1, 0, 4, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 225,
    ];
    let long_name = [&[5, 0, 0, 3, 255][..], &[b'x'; 255], &[0, 1]].concat();
    let bound_v6 = [&[5, 0, 0, 4][..], &[0; 18]].concat();
    for (host, request) in [("mail.test", name), ("192.0.2.1", v4), ("2001:db8::1", v6)] {
        for bound in [BOUND, &long_name, &bound_v6, &[5, 0, 9, 3, 0, 0, 0]] {
            let (outcome, sent, left) = talk(host, None, &[&[5, 0], bound, b"* OK"]).await;
            assert!(outcome.is_ok(), "{host}: {outcome:?}");
            assert_eq!(sent, [&[5, 1, 0], request].concat(), "{host}");
            assert_eq!(left, b"* OK");
        }
    }
}

#[tokio::test]
async fn a_login_is_given_where_it_is_wanted() {
    let login = Some(("user", "pw"));
    let (outcome, sent, _) = talk("h", login, &[&[5, 2], &[1, 0], BOUND]).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    let asked = b"\x05\x01\x00\x03\x01h\x03\xe1";
    assert_eq!(
        sent,
        [&[5, 2, 0, 2][..], b"\x01\x04user\x02pw", asked].concat()
    );
    // A proxy that wants none gets none.
    let (outcome, sent, _) = talk("h", login, &[&[5, 0], BOUND]).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    assert!(!sent.windows(2).any(|two| two == b"pw"));
}

#[tokio::test]
async fn each_way_of_saying_no_is_told_apart() {
    let refusal = |outcome| match outcome {
        Err(Fault::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    for reply in 1..=9 {
        let (outcome, ..) = talk("h", None, &[&[5, 0], &[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]]).await;
        assert_eq!(refusal(outcome), ProxyRefusal::Socks(reply));
        // Also from a proxy that hangs up right behind the code.
        let (outcome, ..) = talk("h", None, &[&[5, 0], &[5, reply]]).await;
        assert_eq!(refusal(outcome), ProxyRefusal::Socks(reply));
    }
    let (outcome, ..) = talk("h", None, &[&[5, 0xff]]).await;
    assert_eq!(refusal(outcome), ProxyRefusal::SocksMethods);
    let (outcome, ..) = talk("h", Some(("u", "p")), &[&[5, 2], &[1, 1]]).await;
    assert_eq!(refusal(outcome), ProxyRefusal::SocksLogin);
}

#[tokio::test]
async fn nonsense_is_no_tunnel() {
    let answers: [&[&[u8]]; 6] = [
        &[b"HTTP/1.1 400 Bad Request\r\n\r\n"],
        &[&[4, 0]],
        &[&[5, 1]],
        // A login that was not offered.
        &[&[5, 2]],
        &[&[5, 0], &[4, 0, 0, 1]],
        &[&[5, 0], &[5, 0, 0, 9]],
    ];
    for answer in answers {
        let (outcome, ..) = talk("h", None, answer).await;
        assert!(
            matches!(outcome, Err(Fault::Nonsense(_))),
            "{answer:?}: {outcome:?}"
        );
    }
    let (outcome, sent, _) = talk(&"x".repeat(256), None, &[&[5, 0], BOUND]).await;
    assert!(matches!(outcome, Err(Fault::Nonsense(_))), "{outcome:?}");
    assert_eq!(sent, [5, 1, 0]);
}

#[tokio::test]
async fn an_answer_cut_at_any_byte_is_no_tunnel() {
    let whole = [&[5, 2, 1, 0][..], BOUND].concat();
    for end in 0..whole.len() {
        let (outcome, ..) = talk("h", Some(("u", "p")), &[&whole[..end]]).await;
        assert!(
            matches!(outcome, Err(Fault::Broken(_))),
            "{end}: {outcome:?}"
        );
    }
    assert!(talk("h", Some(("u", "p")), &[&whole]).await.0.is_ok());
}
