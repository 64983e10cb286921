//! Identity platforms' addresses pass the same guard as mail servers': an authority that an administrator
//! entered, or a name that leads elsewhere today, reaches nothing on this machine or its link.

use std::error::Error;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{OauthError, endpoints::unusable};
use crate::{model::Proxy, net::Net};

/// Resolves names for the HTTP client, as mail servers' names are resolved.
pub(super) struct Guarded {
    pub(super) net: Net,
    /// The operator's own proxy may be anywhere.
    pub(super) proxy: Option<Proxy>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let net = self.net.clone();
        let proxy = self.proxy.as_ref().map(Proxy::host);
        let is_proxy = proxy.is_some_and(|host| host.eq_ignore_ascii_case(name.as_str()));
        Box::pin(async move {
            // The port is the client's to fill in.
            let found = if is_proxy {
                net.any_addresses(name.as_str(), 0).await
            } else {
                net.addresses(name.as_str(), 0).await
            };
            match found {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as Addrs),
                Err(error) => Err(Box::new(error) as Box<dyn Error + Send + Sync>),
            }
        })
    }
}

/// Refuses a host that needs no resolver to be known as this machine or its link.
/// `field` is the cloud provider's, where it was named.
pub(super) fn check(net: &Net, field: &'static str, host: &str) -> Result<(), OauthError> {
    match net.forbidden_literal(host) {
        None => Ok(()),
        Some(address) => Err(unusable(
            field,
            &format!(
                "it leads to {address}, an address of this machine or its link; if that is meant, name the host in XC_EMAIL_ALLOW_HOSTS"
            ),
        )),
    }
}
