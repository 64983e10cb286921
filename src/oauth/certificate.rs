//! What an application proves itself with in place of a client secret: a certificate's private key, of
//! which only signatures leave us (RFC 7523; learn.microsoft.com, "Microsoft identity platform
//! application authentication certificate credentials"). Pure but for the signature's salt.

use base64::prelude::*;
use openssl::{
    asn1::{Asn1Time, Asn1TimeRef},
    hash::MessageDigest,
    pkey::{Id, PKey, PKeyRef, Private},
    rsa::Padding,
    sign::{RsaPssSaltlen, Signer},
    x509::X509,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;
use uuid::Uuid;

use crate::model::{ClientCertificate, FailureClass, Timestamp};

use super::error::clean;

/// Longest PEM text that is read, of certificate and key each.
const PEM_LIMIT: usize = 64 * 1024;
/// The platforms take no smaller RSA keys, and larger ones only cost time.
const BITS: std::ops::RangeInclusive<u32> = 2048..=8192;
/// An assertion is good for one request; the platform's clock may differ from ours.
const ASSERTION_SECONDS: i64 = 300;
const DAY: i64 = 24 * 3600;

/// What is known about a usable certificate; nothing secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Whom it names, e.g. `CN=motion-email, O=Contoso`; escaped, at most 1 KiB.
    pub subject: String,
    /// SHA-1 of the certificate in hexadecimal capitals: what the portal shows as its thumbprint, to find
    /// it there. Proves nothing.
    pub thumbprint: String,
    /// SHA-256 of the certificate in hexadecimal capitals.
    pub sha256: String,
    /// From when it may be used.
    pub not_before: Timestamp,
    /// When the platform stops taking it.
    pub not_after: Timestamp,
}

/// Why a certificate or its key cannot be used; nothing of either is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The text is far longer than a certificate or key is.
    #[error("it is longer than 64 KiB")]
    TooLong,
    /// The field for the certificate, which is no secret, holds a private key.
    #[error("a private key stands with the certificate: enter the key in its own field only")]
    KeyWithCertificate,
    /// No certificate in the text.
    #[error("the certificate is not PEM text that begins with -----BEGIN CERTIFICATE-----")]
    Unreadable,
    /// Its dates are none.
    #[error("the certificate's dates cannot be read")]
    Dates,
    /// No key in the text.
    #[error("the private key is not PEM text that begins with -----BEGIN PRIVATE KEY-----")]
    KeyUnreadable,
    /// The key is protected by a pass phrase, which nobody is there to type.
    #[error("the private key is protected by a pass phrase: enter the key without one")]
    KeyEncrypted,
    /// Not an RSA key.
    #[error("the certificate's key is not an RSA key, which the platform needs")]
    NotRsa,
    /// Too small or too large.
    #[error("the certificate's RSA key has {bits} bits: 2048 to 8192 are needed")]
    Bits {
        /// As found.
        bits: u32,
    },
    /// Two different keys.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
    /// Not valid yet.
    #[error("the certificate is not valid before {}", .from.rfc3339())]
    NotYet {
        /// When it begins.
        from: Timestamp,
    },
    /// Not valid any more.
    #[error("the certificate expired at {}", .at.rfc3339())]
    Expired {
        /// When it ended.
        at: Timestamp,
    },
    /// The TLS library could not sign.
    #[error("the private key cannot sign")]
    Signature,
}

impl CertificateError {
    /// Always the operator: what was entered has to be entered anew.
    pub fn class(&self) -> FailureClass {
        FailureClass::OperatorMustAct
    }
}

/// Whether a certificate and its key can be used at `now`: both readable, one for the other, RSA of 2048
/// bits or more, and valid. For the place where they are entered.
///
/// # Errors
/// See [`CertificateError`].
pub fn check_certificate(
    entered: &ClientCertificate,
    now: Timestamp,
) -> Result<CertificateFacts, CertificateError> {
    let (certificate, _) = read(entered)?;
    let facts = facts(&certificate)?;
    if now < facts.not_before {
        let from = facts.not_before;
        return Err(CertificateError::NotYet { from });
    }
    if now >= facts.not_after {
        let at = facts.not_after;
        return Err(CertificateError::Expired { at });
    }
    Ok(facts)
}

/// What there is to know about a certificate that was entered, also when its time is over: to show it.
///
/// # Errors
/// [`CertificateError::Unreadable`], [`CertificateError::Dates`].
pub fn certificate_facts(
    entered: &ClientCertificate,
) -> Result<CertificateFacts, CertificateError> {
    let certificate = X509::from_pem(entered.certificate.as_bytes());
    facts(&certificate.map_err(|_| CertificateError::Unreadable)?)
}

fn facts(certificate: &X509) -> Result<CertificateFacts, CertificateError> {
    let names: Vec<String> = certificate
        .subject_name()
        .entries()
        .map(|entry| {
            let kind = entry.object().nid().short_name().unwrap_or("?");
            let value = String::from_utf8_lossy(entry.data().as_slice()).into_owned();
            format!("{kind}={value}")
        })
        .collect();
    Ok(CertificateFacts {
        subject: clean(&names.join(", ")),
        thumbprint: digest(certificate, MessageDigest::sha1())?,
        sha256: digest(certificate, MessageDigest::sha256())?,
        not_before: time(certificate.not_before())?,
        not_after: time(certificate.not_after())?,
    })
}

/// A client assertion for one request to the token endpoint `audience`: a JSON Web Token (RFC 7519) signed
/// with PS256 (RFC 7518 §3.5) that names its certificate by `x5t#S256` (RFC 7515 §4.1.8).
///
/// Whether the certificate has expired is left to the platform, whose clock counts.
pub(super) fn client_assertion(
    entered: &ClientCertificate,
    application: &str,
    audience: &Url,
    now: Timestamp,
) -> Result<SecretString, CertificateError> {
    let (certificate, key) = read(entered)?;
    let thumbprint = certificate
        .digest(MessageDigest::sha256())
        .map_err(|_| CertificateError::Unreadable)?;
    let seconds = now.millis().div_euclid(1000);
    let header = json!({
        "alg": "PS256",
        "typ": "JWT",
        "x5t#S256": BASE64_URL_SAFE_NO_PAD.encode(thumbprint),
    });
    let claims = json!({
        "aud": audience.as_str(),
        "iss": application,
        "sub": application,
        "jti": Uuid::new_v4().to_string(),
        "nbf": seconds,
        "iat": seconds,
        "exp": seconds.saturating_add(ASSERTION_SECONDS),
    });
    let part = |value: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = sign(&key, signed.as_bytes()).map_err(|_| CertificateError::Signature)?;
    let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
    Ok(format!("{signed}.{signature}").into())
}

/// RSASSA-PSS with SHA-256, MGF1 with SHA-256, and a salt as long as the hash.
fn sign(key: &PKeyRef<Private>, text: &[u8]) -> Result<Vec<u8>, openssl::error::ErrorStack> {
    let mut signer = Signer::new(MessageDigest::sha256(), key)?;
    signer.set_rsa_padding(Padding::PKCS1_PSS)?;
    signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
    signer.set_rsa_mgf1_md(MessageDigest::sha256())?;
    signer.sign_oneshot_to_vec(text)
}

/// Certificate and key as far as time has no part in it.
fn read(entered: &ClientCertificate) -> Result<(X509, PKey<Private>), CertificateError> {
    let (text, secret) = (&entered.certificate, entered.private_key.expose_secret());
    if text.len().max(secret.len()) > PEM_LIMIT {
        return Err(CertificateError::TooLong);
    }
    if text.contains("PRIVATE KEY") {
        return Err(CertificateError::KeyWithCertificate);
    }
    let certificate = X509::from_pem(text.as_bytes()).map_err(|_| CertificateError::Unreadable)?;
    let public = certificate
        .public_key()
        .map_err(|_| CertificateError::Unreadable)?;
    // "BEGIN ENCRYPTED PRIVATE KEY" and the older "Proc-Type: 4,ENCRYPTED".
    if secret.contains("ENCRYPTED") {
        return Err(CertificateError::KeyEncrypted);
    }
    // A callback of our own, or OpenSSL would ask at the terminal for a pass phrase.
    let key = PKey::private_key_from_pem_callback(secret.as_bytes(), |_| Ok(0))
        .map_err(|_| CertificateError::KeyUnreadable)?;
    if public.id() != Id::RSA || key.id() != Id::RSA {
        return Err(CertificateError::NotRsa);
    }
    let bits = public.bits();
    if !BITS.contains(&bits) {
        return Err(CertificateError::Bits { bits });
    }
    if !key.public_eq(&public) {
        return Err(CertificateError::Mismatch);
    }
    Ok((certificate, key))
}

fn digest(certificate: &X509, kind: MessageDigest) -> Result<String, CertificateError> {
    let digest = certificate
        .digest(kind)
        .map_err(|_| CertificateError::Unreadable)?;
    Ok(digest.iter().map(|byte| format!("{byte:02X}")).collect())
}

fn time(time: &Asn1TimeRef) -> Result<Timestamp, CertificateError> {
    let unreadable = |_| CertificateError::Dates;
    let epoch = Asn1Time::from_unix(0).map_err(unreadable)?;
    let since = epoch.diff(time).map_err(unreadable)?;
    let seconds = i64::from(since.days) * DAY + i64::from(since.secs);
    Ok(Timestamp::from_millis(seconds * 1000))
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
pub(crate) mod tests;
