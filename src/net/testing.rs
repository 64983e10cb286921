//! Certificates made for one test, and a [`Net`](super::Net) that trusts them.

use openssl::{
    asn1::Asn1Time,
    bn::{BigNum, MsbOption},
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    x509::{
        X509, X509Builder, X509NameBuilder,
        extension::{BasicConstraints, SubjectAlternativeName},
    },
};

use super::{Net, Settings};
use crate::model::Fingerprint;

/// A certificate authority.
pub(crate) struct Authority {
    certificate: X509,
    key: PKey<Private>,
    /// The authority's own certificate.
    pub(crate) pem: String,
}

/// A server certificate with its key.
pub(crate) struct Issued {
    identity: native_tls::Identity,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) pem: String,
}

fn key() -> PKey<Private> {
    // An elliptic curve's key is made at once; an RSA key takes a good part of a second.
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

/// Valid from two days ago for `days` from now (negative: over already).
fn builder(name: &str, days: i64, key: &PKey<Private>) -> X509Builder {
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(120, MsbOption::MAYBE_ZERO, false).unwrap();
    builder
        .set_serial_number(&serial.to_asn1_integer().unwrap())
        .unwrap();
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    builder.set_subject_name(&subject.build()).unwrap();
    builder.set_pubkey(key).unwrap();
    let now = crate::model::Clock::now(&crate::model::SystemClock).millis() / 1000;
    let day = 24 * 60 * 60;
    let at = |seconds| Asn1Time::from_unix(seconds).unwrap();
    builder.set_not_before(&at(now - 2 * day)).unwrap();
    builder.set_not_after(&at(now + days * day)).unwrap();
    builder
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = key();
        let mut builder = builder(name, 365, &key);
        let mut own = X509NameBuilder::new().unwrap();
        own.append_entry_by_text("CN", name).unwrap();
        builder.set_issuer_name(&own.build()).unwrap();
        builder
            .append_extension(BasicConstraints::new().critical().ca().build().unwrap())
            .unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        let certificate = builder.build();
        let pem = String::from_utf8(certificate.to_pem().unwrap()).unwrap();
        Self {
            certificate,
            key,
            pem,
        }
    }

    /// A server certificate for a DNS name.
    pub(crate) fn issue(&self, host: &str, days: i64) -> Issued {
        let key = key();
        let mut builder = builder(host, days, &key);
        builder
            .set_issuer_name(self.certificate.subject_name())
            .unwrap();
        let names = SubjectAlternativeName::new()
            .dns(host)
            .build(&builder.x509v3_context(Some(&self.certificate), None))
            .unwrap();
        builder.append_extension(names).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        let certificate = builder.build();
        let pem = certificate.to_pem().unwrap();
        let key = key.private_key_to_pem_pkcs8().unwrap();
        let identity = native_tls::Identity::from_pkcs8(&pem, &key).unwrap();
        // By OpenSSL's own means, not by ours.
        let digest = certificate.digest(MessageDigest::sha256()).unwrap();
        Issued {
            identity,
            fingerprint: Fingerprint::new(digest.as_ref().try_into().unwrap()),
            pem: String::from_utf8(pem).unwrap(),
        }
    }
}

impl Issued {
    pub(crate) fn acceptor(&self) -> async_native_tls::TlsAcceptor {
        native_tls::TlsAcceptor::new(self.identity.clone())
            .unwrap()
            .into()
    }
}

/// A way out that trusts an authority nobody uses.
pub(crate) fn net(allow_hosts: &[&str]) -> Net {
    net_with(&Authority::new("nobody").pem, allow_hosts)
}

/// A way out that trusts `ca`.
pub(crate) fn net_with(ca: &str, allow_hosts: &[&str]) -> Net {
    net_as(
        ca,
        Settings {
            allow_hosts: allow_hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..Settings::default()
        },
    )
}

/// A way out that trusts `ca`, otherwise as `settings` say.
pub(crate) fn net_as(ca: &str, settings: Settings) -> Net {
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, ca).unwrap();
    Net::new(&Settings {
        ca_file,
        ..settings
    })
    .unwrap()
}
