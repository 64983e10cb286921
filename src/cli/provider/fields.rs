//! What is entered for a cloud provider, as the API takes it.

use std::path::Path;

use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use super::super::{
    args::{EditProvider, NewProvider, ProviderFields, ServiceWord},
    failure::Failure,
    servers::proxy,
    terminal::Terminal,
    word,
};

/// The body of a new provider; the client secret is asked for where nothing takes its place.
pub(super) fn new_body(
    new: &NewProvider,
    terminal: &mut Terminal<'_>,
) -> Result<Map<String, Value>, Failure> {
    let service = match new.service {
        ServiceWord::Microsoft => "microsoft",
        ServiceWord::Google => "google",
    };
    let mut body = Map::new();
    body.insert("name".to_owned(), json!(new.name));
    body.insert("service".to_owned(), json!(service));
    body.insert("applicationId".to_owned(), json!(new.application_id));
    put(&mut body, "type", new.kind.as_deref());
    if new.public_client {
        body.insert("clientSecret".to_owned(), Value::Null);
    } else if new.fields.certificate.is_none() && new.fields.client_secret_file.is_none() {
        let secret = client_secret(None, terminal)?;
        body.insert("clientSecret".to_owned(), secret);
    }
    common(&new.fields, terminal, &mut body)?;
    Ok(body)
}

/// The body of a change: what was named, and `null` for what is taken away.
pub(super) fn changed_body(
    edit: &EditProvider,
    terminal: &mut Terminal<'_>,
) -> Result<Map<String, Value>, Failure> {
    let mut body = Map::new();
    put(&mut body, "name", edit.name.as_deref());
    put(&mut body, "applicationId", edit.application_id.as_deref());
    common(&edit.fields, terminal, &mut body)?;
    for (field, taken) in [
        ("clientSecret", edit.no_client_secret),
        ("secondSecret", edit.no_second_secret),
        ("certificate", edit.no_certificate),
        ("authority", edit.no_authority),
        ("scopeHost", edit.no_scope_host),
    ] {
        if taken {
            body.insert(field.to_owned(), Value::Null);
        }
    }
    if body.is_empty() {
        return Err(Failure::Usage(
            "Nothing to change is named; see --help.".to_owned(),
        ));
    }
    Ok(body)
}

/// A client secret as a JSON text.
pub(super) fn client_secret(
    file: Option<&Path>,
    terminal: &mut Terminal<'_>,
) -> Result<Value, Failure> {
    let secret = terminal.secret(file, "client secret", "--client-secret-file")?;
    Ok(json!(secret.expose_secret()))
}

/// A date, or `null` for none.
pub(super) fn expiry(text: &str) -> Value {
    if text.eq_ignore_ascii_case("none") {
        Value::Null
    } else {
        json!(text)
    }
}

fn common(
    fields: &ProviderFields,
    terminal: &mut Terminal<'_>,
    body: &mut Map<String, Value>,
) -> Result<(), Failure> {
    put(body, "cloud", fields.cloud.map(word).as_deref());
    put(body, "access", fields.access.map(word).as_deref());
    put(body, "tenantId", fields.tenant_id.as_deref());
    if let Some(file) = &fields.client_secret_file {
        let secret = client_secret(Some(file), terminal)?;
        body.insert("clientSecret".to_owned(), secret);
    }
    if let Some(file) = &fields.second_secret_file {
        let secret = terminal.secret(Some(file), "second secret", "--second-secret-file")?;
        body.insert("secondSecret".to_owned(), json!(secret.expose_secret()));
    }
    for (field, date) in [
        ("clientSecretExpiresAt", &fields.secret_expires),
        ("secondSecretExpiresAt", &fields.second_secret_expires),
    ] {
        if let Some(date) = date {
            body.insert(field.to_owned(), expiry(date));
        }
    }
    if let Some(file) = &fields.certificate {
        let pem = terminal.secret(Some(file), "certificate", "--certificate")?;
        body.insert("certificate".to_owned(), json!(pem.expose_secret()));
    }
    if let Some(file) = &fields.private_key {
        let pem = terminal.secret(Some(file), "private key", "--private-key")?;
        body.insert("privateKey".to_owned(), json!(pem.expose_secret()));
    }
    put(body, "redirectUri", fields.redirect_uri.as_deref());
    put(body, "authority", fields.authority.as_deref());
    put(body, "scopeHost", fields.scope_host.as_deref());
    proxy(
        fields.proxy.as_deref(),
        fields.proxy_file.as_deref(),
        terminal,
        body,
    )
}

fn put(body: &mut Map<String, Value>, field: &str, value: Option<&str>) {
    if let Some(value) = value {
        body.insert(field.to_owned(), json!(value));
    }
}
