//! TLS over any stream, with one shared set of roots.

use std::path::Path;

use async_native_tls::TlsConnector;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::{DialError, DialStep, Net, NetSetupError, TlsKind, handshake::Watched};
use crate::model::TlsVerify;

/// A TLS connection over `S`; [`Handshake::take`](super::Handshake::take) tells what was agreed on.
pub type TlsStream<S> = async_native_tls::TlsStream<Watched<S>>;

/// One prepared connector per way of checking; the roots in them are shared, not copied.
pub(super) struct Connectors {
    full: TlsConnector,
    accept_any: TlsConnector,
}

impl Connectors {
    pub(super) fn new(roots: &[native_tls::Certificate]) -> Self {
        let builder = || {
            let mut builder = native_tls::TlsConnector::builder();
            builder
                .min_protocol_version(Some(native_tls::Protocol::Tlsv12))
                .disable_built_in_roots(true);
            builder
        };
        let mut full = builder();
        for root in roots {
            full.add_root_certificate(root.clone());
        }
        let mut accept_any = builder();
        accept_any
            .danger_accept_invalid_certs(true)
            .danger_accept_invalid_hostnames(true);
        Self {
            full: full.into(),
            accept_any: accept_any.into(),
        }
    }
}

/// All certificates of a PEM bundle.
pub(super) fn read_roots(ca_file: &Path) -> Result<Vec<native_tls::Certificate>, NetSetupError> {
    let pem = std::fs::read(ca_file).map_err(|source| NetSetupError::File {
        path: ca_file.to_owned(),
        source,
    })?;
    let bundle = |detail: String| NetSetupError::Bundle {
        path: ca_file.to_owned(),
        detail,
    };
    let roots =
        native_tls::Certificate::stack_from_pem(&pem).map_err(|error| bundle(error.to_string()))?;
    if roots.is_empty() {
        return Err(bundle("there is no certificate in it".to_owned()));
    }
    Ok(roots)
}

impl Net {
    /// Shakes hands with `host` over `stream`, which must not carry unread plaintext.
    ///
    /// With [`TlsVerify::Full`] chain, time and name of the certificate are checked; with
    /// [`TlsVerify::AcceptAny`] none of them. Dropping the future drops the stream.
    ///
    /// # Errors
    /// [`DialError::Tls`] or [`DialError::TimedOut`].
    pub async fn tls<S>(
        &self,
        host: &str,
        verify: TlsVerify,
        stream: S,
    ) -> Result<TlsStream<S>, DialError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let host = host.strip_suffix('.').unwrap_or(host);
        let connector = match verify {
            TlsVerify::Full => &self.0.connectors.full,
            TlsVerify::AcceptAny => &self.0.connectors.accept_any,
        };
        let stream = Watched::new(stream);
        match timeout(self.0.settings.tls_timeout, connector.connect(host, stream)).await {
            Ok(Ok(tls)) => Ok(tls),
            Ok(Err(error)) => {
                let detail = error.to_string();
                Err(DialError::Tls {
                    host: host.to_owned(),
                    kind: kind(&detail),
                    detail: detail.chars().take(200).collect(),
                })
            }
            Err(_elapsed) => Err(DialError::TimedOut {
                host: host.to_owned(),
                port: 0,
                during: DialStep::Tls,
            }),
        }
    }
}

/// The verify result is only in the error's text: `… certificate verify failed … (hostname mismatch)`.
/// The words in parentheses are OpenSSL's own, from `X509_verify_cert_error_string`.
fn kind(detail: &str) -> TlsKind {
    let Some((_, reason)) = detail.rsplit_once('(') else {
        return TlsKind::Other;
    };
    let reason = reason.trim_end_matches(')').to_ascii_lowercase();
    if reason.contains("hostname mismatch") || reason.contains("ip address mismatch") {
        TlsKind::WrongName
    } else if reason.contains("expired") || reason.contains("not yet valid") {
        TlsKind::Expired
    } else if detail.contains("certificate verify failed") {
        // Self-signed, unknown issuer, bad signature, wrong purpose, weak key: nobody here vouches.
        TlsKind::Untrusted
    } else {
        TlsKind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, Issued};
    use super::*;
    use crate::net::Settings;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        task::JoinSet,
    };

    /// Serves one TLS connection with `issued` and says what a client that trusts `ca` sees.
    async fn shake(
        ca: &str,
        issued: &Issued,
        host: &str,
        verify: TlsVerify,
    ) -> Result<String, DialError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = issued.acceptor();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            if let Ok(mut tls) = acceptor.accept(tcp).await {
                let _ = tls.write_all(b"hello").await;
                let _ = tls.shutdown().await;
            }
        });
        let net = testing::net_with(ca, &["127.0.0.1"]);
        let tcp = net.dial("127.0.0.1", port).await.unwrap();
        let mut tls = net.tls(host, verify, tcp).await?;
        let mut text = String::new();
        tls.read_to_string(&mut text).await.unwrap();
        Ok(text)
    }

    #[tokio::test]
    async fn version_and_certificate_of_a_connection_are_known_whoever_vouches_for_it() {
        let authority = testing::Authority::new("Test CA");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = authority.issue("mail.test", 30).acceptor();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let _ = acceptor.accept(tcp).await.unwrap().read(&mut [0; 9]).await;
        });
        let net = testing::net(&["127.0.0.1"]);
        let tcp = net.dial("127.0.0.1", port).await.unwrap();
        let before = crate::model::Clock::now(&crate::model::SystemClock);
        let mut tls = net.tls("other.test", TlsVerify::AcceptAny, tcp).await.unwrap();
        let seen = crate::net::Handshake::take(&mut tls);
        // What native-tls gives as a server.
        assert_eq!(seen.version, Some("TLS 1.2"));
        let certificate = seen.certificate.unwrap();
        assert_eq!(certificate.subject, "mail.test");
        assert_eq!(certificate.issuer, "Test CA");
        assert_eq!(certificate.names, ["mail.test"]);
        let left = certificate.not_after.since(before).as_secs();
        assert!((29 * 86_400..=30 * 86_400 + 60).contains(&left), "{left}");
        assert!(certificate.not_before < before);
    }

    #[tokio::test]
    async fn a_good_certificate_is_accepted_and_each_bad_one_is_named() {
        let authority = testing::Authority::new("Test CA");
        let other = testing::Authority::new("Other CA");
        let good = authority.issue("mail.test", 30);
        assert_eq!(
            shake(&authority.pem, &good, "mail.test", TlsVerify::Full)
                .await
                .unwrap(),
            "hello"
        );
        let cases = [
            (&good, &authority, "other.test", TlsKind::WrongName),
            (&good, &authority, "127.0.0.1", TlsKind::WrongName),
            (&good, &other, "mail.test", TlsKind::Untrusted),
            (
                &authority.issue("mail.test", -1),
                &authority,
                "mail.test",
                TlsKind::Expired,
            ),
        ];
        for (issued, trusted, host, expected) in cases {
            let error = shake(&trusted.pem, issued, host, TlsVerify::Full)
                .await
                .unwrap_err();
            match &error {
                DialError::Tls { kind, .. } => assert_eq!(*kind, expected, "{error:?}"),
                _ => panic!("{error:?}"),
            }
        }
    }

    #[tokio::test]
    async fn any_certificate_is_taken_where_the_account_asks_for_it() {
        let authority = testing::Authority::new("Test CA");
        let other = testing::Authority::new("Other CA");
        let old = authority.issue("mail.test", -1);
        let said = shake(&other.pem, &old, "other.test", TlsVerify::AcceptAny).await;
        assert_eq!(said.unwrap(), "hello");
    }

    #[tokio::test]
    async fn a_server_that_speaks_no_tls_is_not_a_certificate_fault() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let _ = tcp.write_all(b"* OK hello\r\n").await;
            let _ = tcp.read(&mut [0; 1024]).await;
        });
        let net = testing::net(&["127.0.0.1"]);
        let tcp = net.dial("127.0.0.1", port).await.unwrap();
        let error = net
            .tls("mail.test", TlsVerify::Full, tcp)
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                DialError::Tls {
                    kind: TlsKind::Other,
                    ..
                }
            ),
            "{error:?}"
        );
    }

    #[test]
    fn a_bundle_without_certificates_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("empty.pem");
        std::fs::write(&path, "no certificate\n").unwrap();
        let settings = Settings {
            ca_file: path,
            ..Settings::default()
        };
        assert!(matches!(
            Net::new(&settings),
            Err(NetSetupError::Bundle { .. })
        ));
        let settings = Settings {
            ca_file: dir.path().join("missing.pem"),
            ..Settings::default()
        };
        assert!(matches!(
            Net::new(&settings),
            Err(NetSetupError::File { .. })
        ));
    }
}
