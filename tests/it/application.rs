//! Applications that prove themselves with a secret or a certificate at the lab's certified OpenID provider.

use motion_email::{
    model::{
        Access, ClientCertificate, Clock, CloudService, NewCloudProvider, SystemClock, Timestamp,
    },
    net::{self, Net},
    oauth::{self, Credential, DevicePoll, OauthClient, OauthError, check_certificate},
};
use openssl::{
    asn1::Asn1Time,
    hash::MessageDigest,
    pkey::PKey,
    rsa::Rsa,
    x509::{X509, X509NameBuilder},
};
use secrecy::ExposeSecret;

use crate::support::Lab;

fn client(lab: &Lab) -> OauthClient {
    let net = Net::new(&net::Settings {
        ca_file: lab.get("CA_FILE").into(),
        ..net::Settings::default()
    })
    .expect("the lab's authority");
    OauthClient::new(net.roots(), &oauth::Settings::default()).expect("a client")
}

/// A provider at the lab with application access.
fn application(lab: &Lab, id: &str) -> NewCloudProvider {
    NewCloudProvider {
        access: Access::Application,
        tenant_id: lab.get("TENANT").into(),
        authority: Some(lab.get("AUTHORITY").into()),
        ..NewCloudProvider::new("Lab", CloudService::MicrosoftAzure, id)
    }
}

/// A self-signed certificate for the next days, with its key.
pub fn certificate() -> ClientCertificate {
    let key = PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key");
    let mut name = X509NameBuilder::new().expect("a name");
    name.append_entry_by_text("CN", "motion").expect("a name");
    let name = name.build();
    let mut builder = X509::builder().expect("a certificate");
    builder.set_version(2).expect("v3");
    builder.set_subject_name(&name).expect("subject");
    builder.set_issuer_name(&name).expect("issuer");
    builder.set_pubkey(&key).expect("key");
    let from = Asn1Time::days_from_now(0).expect("a date");
    let to = Asn1Time::days_from_now(9).expect("a date");
    builder.set_not_before(&from).expect("date");
    builder.set_not_after(&to).expect("date");
    builder.sign(&key, MessageDigest::sha256()).expect("signed");
    let text = |pem: Vec<u8>| String::from_utf8(pem).expect("PEM");
    ClientCertificate {
        certificate: text(builder.build().to_pem().expect("PEM")),
        private_key: text(key.private_key_to_pem_pkcs8().expect("PEM")).into(),
    }
}

fn soon() -> Timestamp {
    Timestamp::from_millis(SystemClock.now().millis() + 60_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_signs_in_by_itself_with_its_secret() {
    let lab = Lab::load();
    let (id, secret) = lab.client(60).await;
    let mut provider = application(&lab, &id);
    provider.client_secret = secret.into();
    provider.second_secret = String::from("a wrong one").into();
    let client = client(&lab);
    let answer = client
        .client_credentials(&provider, Credential::first(&provider))
        .await
        .expect("a token");
    assert!(!answer.access_token.expose_secret().is_empty());
    assert_eq!(answer.expires_in.as_secs(), 60);
    assert!(answer.refresh_token.is_none() && answer.identity.is_none());
    let second = Credential::SecondSecret(&provider.second_secret);
    let error = client
        .client_credentials(&provider, second)
        .await
        .expect_err("a wrong secret");
    assert!(error.refuses_client(), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_signs_in_by_itself_with_its_certificate_and_with_no_other() {
    let lab = Lab::load();
    let (ours, other) = (certificate(), certificate());
    check_certificate(&ours, soon()).expect("usable");
    let id = lab.certified_client(&ours.certificate, 60).await;
    let mut provider = application(&lab, &id);
    provider.certificate = Some(ours);
    let client = client(&lab);
    for _ in 0..2 {
        let answer = client
            .client_credentials(&provider, Credential::first(&provider))
            .await
            .expect("a token");
        assert_eq!(answer.expires_in.as_secs(), 60);
    }
    let error = client
        .client_credentials(&provider, Credential::Certificate(&other))
        .await
        .expect_err("a certificate that is not registered");
    assert!(error.refuses_client(), "{error:?}");
    let OauthError::Refused(refusal) = error else {
        panic!("{error:?}");
    };
    assert_eq!(refusal.codes, [700_027]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_sign_in_begins_and_waits_for_the_person() {
    let lab = Lab::load();
    let ours = certificate();
    let id = lab.certified_client(&ours.certificate, 60).await;
    let provider = NewCloudProvider {
        access: Access::Delegated,
        certificate: Some(ours),
        ..application(&lab, &id)
    };
    let (client, credential) = (client(&lab), Credential::first(&provider));
    let mut begun = client
        .device_begin(&provider, credential)
        .await
        .expect("a device code");
    assert!(!begun.user_code.is_empty());
    assert!(begun.verification_uri.starts_with(lab.get("AUTHORITY")));
    assert_eq!(begun.expires_in.as_secs(), 600);
    let polled = client.device_poll(&provider, credential, &begun).await;
    assert!(matches!(polled, Ok(DevicePoll::Pending)), "{polled:?}");
    begun.device_code = String::from("never-given-out").into();
    let refused = client.device_poll(&provider, credential, &begun).await;
    let error = refused.expect_err("a code that nobody gave out");
    assert!(error.needs_sign_in(), "{error:?}");
}
