//! Names, connections and TLS.

use super::{
    proxy,
    words::{Words, chain, quote},
};
use crate::{
    diagnosis::Context,
    net::{DialError, DialStep, TlsKind},
};

pub(super) fn words(error: &DialError, context: &Context) -> Words {
    let server = context.server();
    match error {
        DialError::Resolve { host, .. } => Words::new(
            "host_not_found",
            format!("The server name {host} has no address."),
            quote(&chain(error)),
            format!(
                "Check the spelling of the host in the account, and that this machine resolves names (getent hosts {host})."
            ),
        ),
        DialError::Forbidden { host, address } => Words::new(
            "host_forbidden",
            format!("{host} leads to {address}, an address of this machine or its link."),
            "Such hosts are refused so that an account cannot be used to reach into this machine.",
            format!(
                "If that is meant, name {host} in XC_EMAIL_ALLOW_HOSTS; otherwise correct the account's host."
            ),
        ),
        DialError::Connect { .. } => Words::new(
            "host_refused",
            format!("{server} does not take connections."),
            quote(&chain(error)),
            "Check host and port in the account, and that a firewall lets this machine out to them.",
        ),
        DialError::TimedOut {
            host,
            port,
            during: DialStep::Proxy,
        } => proxy::silent(&format!("{host}:{port}")),
        DialError::TimedOut { during, .. } => Words::new(
            match during {
                DialStep::Resolve => "host_lookup_silent",
                DialStep::Connect | DialStep::Proxy => "host_silent",
                DialStep::Tls => "tls_silent",
            },
            format!("{server} gave no answer in time while {during}."),
            "Usually a firewall drops the packets, or the port speaks another protocol.",
            "Check host, port and TLS mode in the account, and that a firewall lets this machine out to them.",
        ),
        DialError::Tls {
            host, kind, detail, ..
        } => tls(host, *kind, detail, &names(error), context),
        DialError::Pin { host, seen, .. } => Words::new(
            "tls_pin_mismatch",
            format!("The certificate of {server} is none of those that the account has pinned."),
            format!("{host} showed a certificate with the SHA-256 fingerprint {seen}."),
            "Ask the server's administrator for the fingerprint of its certificate. If it is this one, add it to the \
             account's pins (tlsPins, --imap-pin, --smtp-pin); if not, somebody sits on the line. Nothing was sent to this server.",
        ),
        DialError::Authorities { host, detail } => Words::new(
            "tls_authorities_unreadable",
            format!("The account's own authorities for {host} cannot be read."),
            quote(detail),
            "Enter them again (tlsCa, --imap-ca-file, --smtp-ca-file), or set verify to full.",
        ),
        DialError::ProxyDial {
            proxy: place,
            source,
        } => proxy::not_reached(place, source),
        DialError::ProxyRefused {
            proxy: place,
            target,
            refusal,
        } => proxy::refused(place, target, refusal),
        DialError::ProxyNonsense { proxy: place, what } => proxy::nonsense(place, what),
        DialError::ProxyBroken { proxy: place, .. } => proxy::broken(place, error),
    }
}

/// The names that a refused certificate is for, where that is known.
fn names(error: &DialError) -> String {
    let certificate = error.shown().and_then(|shown| shown.certificate.as_ref());
    certificate.map_or_else(String::new, |certificate| certificate.names.join(", "))
}

fn tls(host: &str, kind: TlsKind, detail: &str, names: &str, context: &Context) -> Words {
    let server = context.server();
    match kind {
        TlsKind::WrongName => Words::new(
            "tls_wrong_name",
            format!("The certificate of {server} is for another name than {host}."),
            quote(detail),
            format!(
                "Enter the host name that is in the certificate ({}). Nothing was sent to this server.",
                if names.is_empty() {
                    "your mail administrator or provider knows it".to_owned()
                } else {
                    format!(
                        "it is for {}; ask your mail administrator or provider which is right",
                        quote(names)
                    )
                }
            ),
        ),
        TlsKind::Untrusted => Words::new(
            "tls_untrusted",
            format!("The certificate of {server} was issued by nobody this machine trusts."),
            quote(detail),
            "Install the issuer's certificate on this machine (update-ca-certificates), name a bundle in \
             XC_EMAIL_CA_FILE, or give the account the issuer's certificate (--ca-file) or this certificate's \
             fingerprint (--imap-pin, --smtp-pin) once its administrator has confirmed it. A proxy that inspects TLS shows the same.",
        ),
        TlsKind::Expired => Words::new(
            "tls_expired",
            format!("The certificate of {server} is not valid now."),
            quote(detail),
            "Its owner has to renew it; check this machine's clock too (date).",
        ),
        TlsKind::Other => Words::new(
            "tls_failed",
            format!("No TLS connection with {server} came about."),
            quote(detail),
            "Check port and TLS mode in the account: 993 and 465 speak TLS at once, 143 and 587 use STARTTLS.",
        ),
    }
}
