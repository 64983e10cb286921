//! The way to an identity platform: the address guard, SOCKS 5, and hosts that no proxy is used for.

use secrecy::SecretString;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use super::{
    Credential, OauthClient, OauthError, Reach, Settings,
    scripted::{Platform, Reply},
};
use crate::{model::ProxyChoice, net::testing};

fn guarded(allow: &[&str]) -> OauthClient {
    let settings = Settings {
        guard: Some(testing::net(allow)),
        ..Settings::default()
    };
    OauthClient::new(&[], &settings).unwrap()
}

/// What a refresh at `authority` ends in, by a platform on loopback that would give a token.
async fn refresh(client: &OauthClient, platform: &Platform, host: &str) -> Result<(), OauthError> {
    let mut provider = platform.provider("p");
    let authority = platform.authority();
    let (_, port) = authority.rsplit_once(':').unwrap();
    let scheme = if host == "127.0.0.1" || host == "localhost" {
        "http"
    } else {
        "https"
    };
    provider.authority = Some(format!("{scheme}://{host}:{port}"));
    let token = SecretString::from("rt".to_owned());
    client
        .refresh(&provider, Credential::None, &token)
        .await
        .map(drop)
}

#[tokio::test]
async fn an_authority_on_this_machine_is_reached_only_where_the_operator_allowed_it() {
    let platform = Platform::start(|_, _| Reply::tokens("a", None)).await;
    let nobody = guarded(&[]);
    for host in ["127.0.0.1", "localhost", "169.254.169.254", "[::1]"] {
        let error = refresh(&nobody, &platform, host).await.unwrap_err();
        match &error {
            OauthError::Configuration { field, detail } => {
                assert_eq!(*field, "authority", "{host}");
                assert!(detail.contains("XC_EMAIL_ALLOW_HOSTS"), "{detail}");
            }
            _ => panic!("{host}: {error:?}"),
        }
    }
    assert_eq!(platform.posts(), 0);
    let allowed = guarded(&["127.0.0.1"]);
    refresh(&allowed, &platform, "127.0.0.1").await.unwrap();
    refresh(&allowed, &platform, "localhost").await.unwrap();
    assert_eq!(platform.posts(), 2);
}

/// A name that is none of the known ones and leads here all the same: this machine's own name.
#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_refused_when_it_is_resolved() {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let net = testing::net(&[]);
    let found = net.any_addresses(name.trim(), 443).await;
    let guarded = net.addresses(name.trim(), 443).await;
    // Whatever the resolver says of it, no address of ours comes through the guard.
    match (found, guarded) {
        (Ok(_), Err(error)) => {
            assert!(error.to_string().contains("not allowed"), "{error}");
        }
        (Err(_), Err(_)) => {}
        (found, Ok(through)) => panic!("{found:?} {through:?}"),
    }
}

#[tokio::test]
async fn a_socks_proxy_on_this_machine_gets_the_name_and_the_login() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut proxy = JoinSet::new();
    proxy.spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut greeting = [0; 2];
        tcp.read_exact(&mut greeting).await.unwrap();
        let mut methods = vec![0; greeting[1].into()];
        tcp.read_exact(&mut methods).await.unwrap();
        tcp.write_all(&[5, 2]).await.unwrap();
        let mut login = [0; 7];
        tcp.read_exact(&mut login).await.unwrap();
        tcp.write_all(&[1, 0]).await.unwrap();
        let mut request = [0; 5];
        tcp.read_exact(&mut request).await.unwrap();
        let mut name = vec![0; request[4].into()];
        tcp.read_exact(&mut name).await.unwrap();
        tcp.write_all(&[5, 2, 0, 1, 0, 0, 0, 0, 0, 0])
            .await
            .unwrap();
        (login.to_vec(), String::from_utf8(name).unwrap())
    });
    let settings = Settings {
        proxy: Some(format!("socks5h://us:p%40@127.0.0.1:{port}").into()),
        no_proxy: vec!["excepted.invalid".to_owned()],
        guard: Some(testing::net(&[])),
        ..Settings::default()
    };
    let client = OauthClient::new(&[], &settings).unwrap();
    let platform = Platform::start(|_, _| Reply::tokens("a", None)).await;
    // Excepted hosts are resolved here: that fails, and the proxy, which serves one line only, hears nothing.
    for host in ["excepted.invalid", "login.excepted.invalid"] {
        let error = refresh(&client, &platform, host).await.unwrap_err();
        assert!(matches!(error, OauthError::Unreachable { .. }), "{error:?}");
    }
    let error = refresh(&client, &platform, "login.invalid")
        .await
        .unwrap_err();
    assert!(matches!(error, OauthError::Unreachable { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("p%40"));
    let (login, name) = proxy.join_next().await.unwrap().unwrap();
    assert_eq!(login, b"\x01\x02us\x02p@");
    assert_eq!(name, "login.invalid");
}

/// A proxy that wants another login.
async fn refusing() -> Platform {
    Platform::start(|_, _| Reply::raw(407, "text/plain", b"")).await
}

fn own(proxy: &Platform) -> ProxyChoice {
    let place = proxy.authority().replace("http://", "http://us:s3cret@");
    ProxyChoice::parse(&place).unwrap()
}

#[tokio::test]
async fn a_providers_own_proxy_goes_before_the_processs_and_direct_means_none() {
    let (process, mine) = (refusing().await, refusing().await);
    let platform = Platform::start(|_, _| Reply::tokens("a", None)).await;
    let settings = Settings {
        proxy: Some(process.authority().to_owned().into()),
        no_proxy: vec!["excepted.invalid".to_owned()],
        ..Settings::default()
    };
    let client = OauthClient::new(&[], &settings).unwrap();
    let fails = async |choice: &ProxyChoice, host: &str| {
        let mut provider = platform.provider("p");
        provider.authority = Some(format!("https://{host}"));
        provider.proxy = choice.clone();
        let token = SecretString::from("rt".to_owned());
        let answer = client.refresh(&provider, Credential::None, &token).await;
        let (process, mine) = (process.requests().len(), mine.requests().len());
        match answer.unwrap_err() {
            OauthError::Unreachable { reach, detail } => (reach, detail, process, mine),
            other => panic!("{other:?}"),
        }
    };
    let (process_s, direct) = (ProxyChoice::Process, ProxyChoice::Direct);
    for (choice, host, reach, asked) in [
        (&process_s, "login.invalid", Reach::Proxy, (1, 0)),
        (&process_s, "excepted.invalid", Reach::Name, (1, 0)),
        (&direct, "login.invalid", Reach::Name, (1, 0)),
        (&own(&mine), "login.invalid", Reach::Proxy, (1, 1)),
        // What the operator excepted from the process's proxy is no exception from the provider's own.
        (&own(&mine), "excepted.invalid", Reach::Proxy, (1, 2)),
    ] {
        let found = fails(choice, host).await;
        assert_eq!((found.0, (found.2, found.3)), (reach, asked), "{found:?}");
        let named = found.1.contains(&own(&mine).shown().unwrap());
        assert_eq!(
            named,
            choice.secret_text().is_some_and(|_| reach == Reach::Proxy),
            "{found:?}"
        );
        assert!(!found.1.contains("s3cret"), "{found:?}");
    }
    assert!(
        mine.requests()[0]
            .line
            .starts_with("CONNECT login.invalid:443")
    );
    // In the clear, on this machine: no proxy may see that.
    let mut provider = platform.provider("p");
    provider.proxy = own(&mine);
    let token = SecretString::from("rt".to_owned());
    client
        .refresh(&provider, Credential::None, &token)
        .await
        .unwrap();
    assert_eq!(mine.requests().len(), 2);
}

#[tokio::test]
async fn a_providers_own_proxy_may_be_on_this_machine_only_where_the_operator_allowed_it() {
    let mine = refusing().await;
    let mut provider = mine.provider("p");
    provider.authority = Some("https://login.invalid".to_owned());
    let token = SecretString::from("rt".to_owned());
    for host in ["127.0.0.1", "localhost", "[::1]", "169.254.169.254"] {
        let place = mine.authority().replace("127.0.0.1", host);
        provider.proxy = ProxyChoice::parse(&place).unwrap();
        let client = guarded(&[]);
        match client.refresh(&provider, Credential::None, &token).await {
            Err(OauthError::Configuration { field, detail }) => {
                assert_eq!(field, "proxy", "{host}");
                assert!(detail.contains("XC_EMAIL_ALLOW_HOSTS"), "{detail}");
            }
            other => panic!("{host}: {other:?}"),
        }
    }
    assert!(mine.requests().is_empty());
    provider.proxy = own(&mine);
    let client = guarded(&["127.0.0.1"]);
    let error = client
        .refresh(&provider, Credential::None, &token)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            OauthError::Unreachable {
                reach: Reach::Proxy,
                ..
            }
        ),
        "{error:?}"
    );
}
