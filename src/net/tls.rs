//! TLS over any stream, with one shared set of roots.

use std::path::Path;

use async_native_tls::TlsConnector;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::{DialError, DialStep, Handshake, Net, NetSetupError, TlsKind, handshake::Watched};
use crate::model::{Fingerprint, TlsVerify};

/// A TLS connection over `S`; [`Handshake::take`](super::Handshake::take) tells what was agreed on.
pub type TlsStream<S> = async_native_tls::TlsStream<Watched<S>>;

/// The most certificates, and octets of PEM text, that an account may name as its authorities.
const AUTHORITIES: usize = 50;
const AUTHORITIES_OCTETS: usize = 60_000;

/// One prepared connector per way of checking; the roots in them are shared, not copied.
pub(super) struct Connectors {
    full: TlsConnector,
    /// Takes any certificate; for pins it is looked at after the handshake.
    any: TlsConnector,
}

/// TLS 1.2 or later, and nobody trusted yet.
fn builder() -> native_tls::TlsConnectorBuilder {
    let mut builder = native_tls::TlsConnector::builder();
    builder
        .min_protocol_version(Some(native_tls::Protocol::Tlsv12))
        .disable_built_in_roots(true);
    builder
}

fn trusting(roots: &[native_tls::Certificate]) -> TlsConnector {
    let mut builder = builder();
    for root in roots {
        builder.add_root_certificate(root.clone());
    }
    builder.into()
}

impl Connectors {
    pub(super) fn new(roots: &[native_tls::Certificate]) -> Self {
        let mut any = builder();
        any.danger_accept_invalid_certs(true)
            .danger_accept_invalid_hostnames(true);
        Self {
            full: trusting(roots),
            any: any.into(),
        }
    }
}

/// Whether a text can be an account's authorities: PEM, 1..=50 certificates, at most 60 000 octets.
///
/// # Errors
/// What is wrong with it, as the end of a sentence about it.
pub fn check_authorities(pem: &str) -> Result<(), String> {
    authorities(pem).map(drop)
}

fn authorities(pem: &str) -> Result<Vec<native_tls::Certificate>, String> {
    if pem.len() > AUTHORITIES_OCTETS {
        return Err(format!("has more than {AUTHORITIES_OCTETS} bytes"));
    }
    // A key that was pasted along would be kept and shown as if it were no secret.
    if pem.contains("PRIVATE KEY-----") {
        return Err("holds a private key: name the authority's certificate only".to_owned());
    }
    match native_tls::Certificate::stack_from_pem(pem.as_bytes()) {
        Ok(found) if found.is_empty() => Err("holds no certificate in PEM form".to_owned()),
        Ok(found) if found.len() > AUTHORITIES => {
            Err(format!("holds more than {AUTHORITIES} certificates"))
        }
        Ok(found) => Ok(found),
        Err(error) => {
            let detail: String = error.to_string().chars().take(200).collect();
            Err(format!("holds something that is no certificate ({detail})"))
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
    /// With [`TlsVerify::Full`] and [`TlsVerify::Ca`] chain, time and name of the certificate are
    /// checked, with [`TlsVerify::AcceptAny`] none of them. With [`TlsVerify::Pinned`] the certificate
    /// itself has to be one of those: it is compared after the handshake and before anything is sent.
    /// Dropping the future drops the stream.
    ///
    /// # Errors
    /// [`DialError::Tls`], [`DialError::Pin`], [`DialError::Authorities`] or [`DialError::TimedOut`].
    pub async fn tls<S>(
        &self,
        host: &str,
        verify: &TlsVerify,
        stream: S,
    ) -> Result<TlsStream<S>, DialError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let host = host.strip_suffix('.').unwrap_or(host);
        let own;
        let connector = match verify {
            TlsVerify::Full => &self.inner.connectors.full,
            TlsVerify::AcceptAny | TlsVerify::Pinned(_) => &self.inner.connectors.any,
            TlsVerify::Ca(pem) => {
                let roots = authorities(pem).map_err(|detail| DialError::Authorities {
                    host: host.to_owned(),
                    detail,
                })?;
                own = trusting(&roots);
                &own
            }
        };
        let stream = Watched::new(stream);
        let bound = self.inner.settings.tls_timeout;
        let mut tls = match timeout(bound, connector.connect(host, stream)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => {
                let detail = error.to_string();
                return Err(DialError::Tls {
                    host: host.to_owned(),
                    kind: kind(&detail),
                    detail: detail.chars().take(200).collect(),
                    shown: None,
                });
            }
            Err(_elapsed) => {
                return Err(DialError::TimedOut {
                    host: host.to_owned(),
                    port: 0,
                    during: DialStep::Tls,
                });
            }
        };
        if let TlsVerify::Pinned(pins) = verify {
            let seen = fingerprint(host, &tls)?;
            if !pins.contains(&seen) {
                return Err(DialError::Pin {
                    host: host.to_owned(),
                    seen,
                    shown: Box::new(Handshake::take(&mut tls)),
                });
            }
        }
        Ok(tls)
    }
}

/// The fingerprint of the certificate that the server showed.
fn fingerprint<S>(host: &str, tls: &TlsStream<S>) -> Result<Fingerprint, DialError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let none = |detail: String| DialError::Tls {
        host: host.to_owned(),
        kind: TlsKind::Other,
        detail: detail.chars().take(200).collect(),
        shown: None,
    };
    let certificate = tls
        .peer_certificate()
        .map_err(|error| none(error.to_string()))?
        .ok_or_else(|| none("the server showed no certificate".to_owned()))?;
    let der = certificate.to_der().map_err(|e| none(e.to_string()))?;
    Ok(Fingerprint::new(Sha256::digest(der).into()))
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
#[path = "tls_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "tls_faults_tests.rs"]
mod tests_faults;
