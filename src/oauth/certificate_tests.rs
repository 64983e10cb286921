//! Certificates made for one test, and what is signed with them.

use std::sync::OnceLock;

use openssl::{
    bn::BigNum,
    ec::{EcGroup, EcKey},
    nid::Nid,
    pkey::Public,
    rsa::Rsa,
    sign::Verifier,
    symm::Cipher,
    x509::X509NameBuilder,
};
use serde_json::Value;

use super::*;
use crate::model::{Clock, SystemClock};

const AUDIENCE: &str = "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token";

fn now() -> Timestamp {
    SystemClock.now()
}

fn days(days: i64) -> Timestamp {
    Timestamp::from_millis(now().millis() + days * DAY * 1000)
}

/// A self-signed certificate for this key, valid between these days from now.
fn signed(key: &PKey<Private>, from: i64, to: i64) -> ClientCertificate {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "motion").unwrap();
    let name = name.build();
    let at = |day| Asn1Time::from_unix(days(day).millis() / 1000).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(7).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&at(from)).unwrap();
    builder.set_not_after(&at(to)).unwrap();
    builder.sign(key, MessageDigest::sha256()).unwrap();
    let text = |pem: Vec<u8>| String::from_utf8(pem).unwrap();
    ClientCertificate {
        certificate: text(builder.build().to_pem().unwrap()),
        private_key: text(key.private_key_to_pem_pkcs8().unwrap()).into(),
    }
}

fn rsa(bits: u32) -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap()
}

/// One key for all tests that need no other.
fn key() -> &'static PKey<Private> {
    static KEY: OnceLock<PKey<Private>> = OnceLock::new();
    KEY.get_or_init(|| rsa(2048))
}

/// A usable certificate with its key.
pub(crate) fn example() -> ClientCertificate {
    signed(key(), -1, 90)
}

/// Header and claims of an assertion whose signature the certificate's public key confirms.
pub(crate) fn verified(assertion: &str, certificate: &ClientCertificate) -> (Value, Value) {
    let certificate = X509::from_pem(certificate.certificate.as_bytes()).unwrap();
    let public: PKey<Public> = certificate.public_key().unwrap();
    let (text, signature) = assertion.rsplit_once('.').unwrap();
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut verifier = Verifier::new(MessageDigest::sha256(), &public).unwrap();
    verifier.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
    verifier
        .set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)
        .unwrap();
    verifier.set_rsa_mgf1_md(MessageDigest::sha256()).unwrap();
    assert!(
        verifier
            .verify_oneshot(&signature, text.as_bytes())
            .unwrap(),
        "the signature is not the certificate's"
    );
    let part = |text: &str| -> Value {
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
    };
    let (header, claims) = text.split_once('.').unwrap();
    (part(header), part(claims))
}

#[test]
fn an_assertion_is_signed_names_its_certificate_and_lives_five_minutes() {
    let certificate = example();
    let audience = Url::parse(AUDIENCE).unwrap();
    let now = Timestamp::from_millis(1_795_000_000_999);
    let make = || client_assertion(&certificate, "app-1", &audience, now).unwrap();
    let (header, claims) = verified(make().expose_secret(), &certificate);
    let der = X509::from_pem(certificate.certificate.as_bytes())
        .unwrap()
        .to_der()
        .unwrap();
    let thumbprint = <sha2::Sha256 as sha2::Digest>::digest(&der);
    assert_eq!(
        header,
        json!({"alg": "PS256", "typ": "JWT", "x5t#S256": BASE64_URL_SAFE_NO_PAD.encode(thumbprint)})
    );
    let jti = claims["jti"].as_str().unwrap();
    assert!(Uuid::parse_str(jti).is_ok(), "{jti}");
    assert_eq!(
        claims,
        json!({"aud": AUDIENCE, "iss": "app-1", "sub": "app-1", "jti": jti,
               "nbf": 1_795_000_000, "iat": 1_795_000_000, "exp": 1_795_000_300})
    );
    let (_, again) = verified(make().expose_secret(), &certificate);
    assert_ne!(
        again["jti"], claims["jti"],
        "each assertion has an id of its own"
    );
}

#[test]
fn a_usable_certificate_tells_its_dates_and_thumbprints() {
    let entered = example();
    let facts = check_certificate(&entered, now()).unwrap();
    let der = X509::from_pem(entered.certificate.as_bytes())
        .unwrap()
        .to_der()
        .unwrap();
    let hexadecimal: String = <sha2::Sha256 as sha2::Digest>::digest(&der)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    assert_eq!(facts.sha256, hexadecimal);
    assert_eq!(facts.thumbprint.len(), 40);
    let near = |found: Timestamp, day: i64| (found.millis() - days(day).millis()).abs() < 600_000;
    assert!(
        near(facts.not_before, -1) && near(facts.not_after, 90),
        "{facts:?}"
    );
    // Other PEM blocks and text around it, as `openssl pkcs12` writes them, do no harm.
    let wrapped = ClientCertificate {
        certificate: format!("Bag Attributes\n  x: y\n{}\n", entered.certificate),
        private_key: entered.private_key.clone(),
    };
    assert_eq!(check_certificate(&wrapped, now()).unwrap(), facts);
}

#[test]
fn a_certificate_is_usable_from_its_first_moment_to_before_its_last() {
    let entered = example();
    let facts = check_certificate(&entered, now()).unwrap();
    let at = |millis: i64| check_certificate(&entered, Timestamp::from_millis(millis));
    let (first, last) = (facts.not_before, facts.not_after);
    assert_eq!(
        at(first.millis() - 1),
        Err(CertificateError::NotYet { from: first })
    );
    assert_eq!(at(first.millis()), Ok(facts.clone()));
    assert_eq!(at(last.millis() - 1), Ok(facts));
    assert_eq!(
        at(last.millis()),
        Err(CertificateError::Expired { at: last })
    );
}

#[test]
fn what_is_wrong_with_a_certificate_or_key_is_named_and_nothing_of_it_repeated() {
    let good = example();
    let pem =
        |key: &PKey<Private>| String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    let encrypted = key()
        .private_key_to_pem_pkcs8_passphrase(Cipher::aes_128_cbc(), b"canary")
        .unwrap();
    let older = key()
        .rsa()
        .unwrap()
        .private_key_to_pem_passphrase(Cipher::aes_128_cbc(), b"canary")
        .unwrap();
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let curve = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let secret = good.private_key.expose_secret().to_owned();
    let check = |certificate: &str, key: &str, expected: &CertificateError| {
        let entered = ClientCertificate {
            certificate: certificate.to_owned(),
            private_key: key.to_owned().into(),
        };
        let error = check_certificate(&entered, now()).unwrap_err();
        assert_eq!(&error, expected);
        assert_eq!(error.class(), FailureClass::OperatorMustAct);
        let shown = format!("{error} {error:?}");
        for line in key
            .lines()
            .filter(|line| line.len() > 8 && !line.starts_with("---"))
        {
            assert!(!shown.contains(line), "{shown}");
        }
    };
    let certificate = &good.certificate;
    let unreadable = CertificateError::Unreadable;
    check("", &secret, &unreadable);
    check("canary", &secret, &unreadable);
    check(&certificate.replace('M', "!"), &secret, &unreadable);
    check(certificate.get(..200).unwrap(), &secret, &unreadable);
    check(
        &format!("{certificate}{secret}"),
        &secret,
        &CertificateError::KeyWithCertificate,
    );
    check(certificate, "", &CertificateError::KeyUnreadable);
    check(
        certificate,
        "canary canary",
        &CertificateError::KeyUnreadable,
    );
    check(certificate, certificate, &CertificateError::KeyUnreadable);
    check(
        certificate,
        secret.get(..300).unwrap(),
        &CertificateError::KeyUnreadable,
    );
    check(
        certificate,
        &text(encrypted),
        &CertificateError::KeyEncrypted,
    );
    check(certificate, &text(older), &CertificateError::KeyEncrypted);
    check(certificate, &pem(&rsa(2048)), &CertificateError::Mismatch);
    check(certificate, &pem(&curve), &CertificateError::NotRsa);
    let of_a_curve = signed(&curve, -1, 90);
    check(
        &of_a_curve.certificate,
        of_a_curve.private_key.expose_secret(),
        &CertificateError::NotRsa,
    );
    let small = signed(&rsa(1024), -1, 90);
    check(
        &small.certificate,
        small.private_key.expose_secret(),
        &CertificateError::Bits { bits: 1024 },
    );
    let long = "x".repeat(PEM_LIMIT + 1);
    check(&long, &secret, &CertificateError::TooLong);
    check(certificate, &long, &CertificateError::TooLong);
}

#[test]
fn a_key_in_its_older_spelling_signs_too() {
    let mut entered = example();
    let older = key().rsa().unwrap().private_key_to_pem().unwrap();
    entered.private_key = String::from_utf8(older).unwrap().into();
    assert!(
        entered
            .private_key
            .expose_secret()
            .contains("BEGIN RSA PRIVATE KEY")
    );
    let audience = Url::parse(AUDIENCE).unwrap();
    let assertion = client_assertion(&entered, "app-1", &audience, now()).unwrap();
    verified(assertion.expose_secret(), &entered);
    assert!(!format!("{entered:?} {assertion:?}").contains("BEGIN RSA"));
}
