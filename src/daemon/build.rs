//! Configuration → parts that are ready and do nothing yet.

use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};

use super::{data_dir::DataDir, listen::unix_socket, signals::Wishes, start::StartError};
use crate::{
    blob::Blobs,
    config::{Config, Sources},
    doctor::{self, Doctor},
    governor::Governor,
    http, inbound,
    logs::LogControl,
    model::{Clock, NodeId, SystemClock},
    net::Net,
    oauth::{self, OauthClient},
    outbound,
    store::{NodeRow, Store, Writer},
    supervisor,
    token::{self, TokenKeeper},
    transcript::{Bounds, Transcripts},
};

/// Everything, built and not yet running.
pub(super) struct Daemon {
    pub(super) sources: Sources,
    pub(super) config: Config,
    pub(super) logs: LogControl,
    pub(super) wishes: Wishes,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) store: Store,
    pub(super) writer: Writer,
    pub(super) node: NodeRow,
    pub(super) tokens: TokenKeeper,
    pub(super) supervisor: supervisor::Handle,
    pub(super) inbound: inbound::Parts,
    pub(super) outbound: outbound::Parts,
    pub(super) desk: http::Desk,
    pub(super) tcp: TcpListener,
    pub(super) unix: UnixListener,
    pub(super) data_dir: DataDir,
}

impl Daemon {
    /// Signals first, then the directory's lock, the database, the peers' clients, and the addresses last.
    pub(super) async fn build(
        sources: Sources,
        config: Config,
        logs: LogControl,
    ) -> Result<Self, StartError> {
        let wishes = Wishes::listen().map_err(|source| StartError::Process {
            doing: "set signal handlers",
            source,
        })?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let data_dir = DataDir::open(&config.data_dir)?;
        let (store, writer) = Store::open(&config.store()).await?;
        store.set_meaning_rules(config.meaning);
        let blobs = Blobs::open(&config.blob())?;
        let net = Net::new(&config.net())?;
        let transcripts = Transcripts::new(Arc::clone(&clock), Bounds::default());
        let oauth = oauth::Settings {
            guard: Some(net.clone()),
            ..config.oauth()
        };
        let oauth = OauthClient::new(net.roots(), &oauth)?.recorded_by(&transcripts);
        let node = NodeRow {
            id: NodeId::random(),
            name: config.node_name.clone(),
            home: data_dir.home.clone(),
            beat: 0,
            started_at: clock.now(),
        };
        let tokens = TokenKeeper::new(
            store.clone(),
            oauth.clone(),
            node.id.clone(),
            Arc::clone(&clock),
            token::Settings {
                home: data_dir.home.clone(),
                ..config.token()
            },
        );
        let governor = Governor::new(config.governor(), Arc::clone(&clock));
        let supervisor = supervisor::Handle::default();
        let listen = |what: String| move |source| StartError::Listen { what, source };
        let tcp = TcpListener::bind(config.listen)
            .await
            .map_err(listen(format!("{} (XC_EMAIL_LISTEN)", config.listen)))?;
        let tcp_address = tcp
            .local_addr()
            .map_err(listen("its own address".to_owned()))?;
        let unix = unix_socket(&config.socket).map_err(listen(format!(
            "{} (XC_EMAIL_SOCKET)",
            config.socket.display()
        )))?;
        let doctor = Doctor::new(doctor::Parts {
            store: store.clone(),
            net: net.clone(),
            keeper: tokens.clone(),
            oauth,
            transcripts: transcripts.clone(),
            governor: governor.clone(),
            clock: Arc::clone(&clock),
            settings: Arc::new(config.doctor()),
        });
        let desk = http::Desk {
            doctor,
            store: store.clone(),
            blobs: blobs.clone(),
            keeper: tokens.clone(),
            supervisor: supervisor.clone(),
            transcripts: transcripts.clone(),
            governor: governor.clone(),
            log: logs.clone(),
            clock: Arc::clone(&clock),
            settings: Arc::new(config.http(tcp_address, clock.now())),
        };
        let inbound = inbound::Parts {
            store: store.clone(),
            blobs: blobs.clone(),
            net: net.clone(),
            keeper: tokens.clone(),
            clock: Arc::clone(&clock),
            budget: inbound::Budget::default(),
            transcripts: transcripts.clone(),
            governor: governor.clone(),
            settings: config.inbound(),
        };
        let outbound = outbound::Parts {
            store: store.clone(),
            blobs,
            net,
            keeper: tokens.clone(),
            clock: Arc::clone(&clock),
            transcripts,
            governor,
            settings: config.outbound(),
        };
        Ok(Self {
            sources,
            config,
            logs,
            wishes,
            clock,
            store,
            writer,
            node,
            tokens,
            supervisor,
            inbound,
            outbound,
            desk,
            tcp,
            unix,
            data_dir,
        })
    }
}
