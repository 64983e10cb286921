//! Which way leads to a provider's identity platform: the process's, a straight one, or the provider's own proxy.

use std::{fmt, sync::Arc};

use secrecy::{ExposeSecret, SecretString};

use super::{
    OauthError, Settings,
    client::SetupError,
    endpoints::unusable,
    guard::{self, Guarded},
};
use crate::model::{NewCloudProvider, Proxy, ProxyChoice};

/// Makes HTTP clients. Each has the process's trust and bounds; they differ in the way out only.
#[derive(Clone)]
pub(super) struct Ways {
    tls: native_tls::TlsConnector,
    settings: Settings,
    /// The process's own way.
    process: reqwest::Client,
}

impl fmt::Debug for Ways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ways").finish_non_exhaustive()
    }
}

/// The client for one request.
pub(super) struct Way {
    pub(super) http: reqwest::Client,
    /// The provider's own proxy as people may see it, for errors.
    pub(super) proxy: Option<String>,
}

impl Ways {
    /// Trusts `roots` only. Blocks for some tens of milliseconds (parsing), so: at start.
    pub(super) fn new(
        roots: &[native_tls::Certificate],
        settings: &Settings,
    ) -> Result<Self, SetupError> {
        let mut tls = native_tls::TlsConnector::builder();
        tls.disable_built_in_roots(true)
            .min_protocol_version(Some(native_tls::Protocol::Tlsv12));
        for root in roots {
            tls.add_root_certificate(root.clone());
        }
        let tls = tls
            .build()
            .map_err(|error| SetupError::Http(error.to_string()))?;
        let process = client(&tls, settings, &Out::process(settings)?)?;
        Ok(Self {
            tls,
            settings: settings.clone(),
            process,
        })
    }

    /// The way for one request of this provider. The clients of providers with a way of their own are made for
    /// each request: that parses nothing, and so no list of them has to follow what administrators change.
    ///
    /// # Errors
    /// `Configuration`: the provider's own proxy is this machine or its link, and the operator did not allow it.
    pub(super) fn of(&self, provider: &NewCloudProvider) -> Result<Way, OauthError> {
        let out = match &provider.proxy {
            ProxyChoice::Process => {
                return Ok(Way {
                    http: self.process.clone(),
                    proxy: None,
                });
            }
            ProxyChoice::Direct => Out::default(),
            ProxyChoice::Through(proxy) => {
                // The client's resolver never sees a proxy that is an address.
                if let Some(net) = &self.settings.guard {
                    guard::check(net, "proxy", proxy.host())?;
                }
                Out::own(proxy).map_err(|error| unusable("proxy", &error.to_string()))?
            }
        };
        let http = client(&self.tls, &self.settings, &out)
            .map_err(|error| unusable("proxy", &error.to_string()))?;
        Ok(Way {
            http,
            proxy: provider.proxy.shown().filter(|_| out.proxy.is_some()),
        })
    }
}

/// How a client leaves this machine. Straight by default.
#[derive(Default)]
struct Out {
    proxy: Option<reqwest::Proxy>,
    /// A proxy that the operator named in the settings may be anywhere; every other name is guarded.
    unguarded: Option<Proxy>,
}

impl Out {
    /// The process's proxy: none for this machine itself and for what the operator excepted.
    fn process(settings: &Settings) -> Result<Self, SetupError> {
        let Some(url) = &settings.proxy else {
            return Ok(Self::default());
        };
        let mut direct = String::from("localhost,127.0.0.0/8,::1");
        for host in &settings.no_proxy {
            direct.push(',');
            direct.push_str(host);
        }
        let proxy = read(url, |url| reqwest::Proxy::all(url))?;
        Ok(Self {
            proxy: Some(proxy.no_proxy(reqwest::NoProxy::from_string(&direct))),
            unguarded: Proxy::parse(url.expose_secret()).ok(),
        })
    }

    /// A provider's own: for every host, but never for a request in the clear (`http://` is for a platform on
    /// this machine, in tests), which would hand the client secret to the proxy.
    fn own(proxy: &Proxy) -> Result<Self, SetupError> {
        let url = proxy.url_for_clients();
        Ok(Self {
            proxy: Some(read(&url, |url| reqwest::Proxy::https(url))?),
            unguarded: None,
        })
    }
}

fn read(
    url: &SecretString,
    of: impl Fn(&str) -> reqwest::Result<reqwest::Proxy>,
) -> Result<reqwest::Proxy, SetupError> {
    of(url.expose_secret()).map_err(|_| SetupError::Proxy)
}

fn client(
    tls: &native_tls::TlsConnector,
    settings: &Settings,
    out: &Out,
) -> Result<reqwest::Client, SetupError> {
    let mut http = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .redirect(reqwest::redirect::Policy::none())
        // A refresh may not be sent twice by anybody but us.
        .retry(reqwest::retry::never())
        // An idle connection that died would fail a refresh that a fresh one carries.
        .pool_max_idle_per_host(0)
        .http1_only()
        .referer(false)
        .no_proxy()
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.timeout)
        .user_agent(concat!("motion-email/", env!("CARGO_PKG_VERSION")));
    if let Some(proxy) = &out.proxy {
        http = http.proxy(proxy.clone());
    }
    if let Some(net) = &settings.guard {
        http = http.dns_resolver(Arc::new(Guarded {
            net: net.clone(),
            proxy: out.unguarded.clone(),
        }));
    }
    http.build()
        .map_err(|error| SetupError::Http(error.to_string()))
}
