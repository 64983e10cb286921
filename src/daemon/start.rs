//! From the command line's sources to a running daemon.

use std::io;

use tracing::{error, info};

use super::{build::Daemon, data_dir::DataDirError, reexec};
use crate::{
    blob::BlobOpenError,
    config::{self, Mistakes, Sources},
    lease::RegisterError,
    logs::{self, LogError},
    model::FailureClass,
    net::{self, NetSetupError},
    oauth,
    store::OpenError,
};

/// Deep enough that a parser which recurses on a stranger's input has room; the memory is only reserved.
const THREAD_STACK: usize = 8 * 1024 * 1024;

/// Why the daemon did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings hold mistakes.
    #[error("the settings hold mistakes:\n{0}")]
    Settings(Mistakes),
    /// The logs cannot be written.
    #[error("the logs cannot be written")]
    Logs(#[from] LogError),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// Trusted certificates cannot be read.
    #[error("the trusted certificates cannot be read (XC_EMAIL_CA_FILE)")]
    Net(#[from] NetSetupError),
    /// The client of identity platforms cannot be made.
    #[error("the client of identity platforms cannot be made")]
    Oauth(#[from] oauth::SetupError),
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The node could not be registered: a namesake lives, or the database did not take the first write.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The directory of raw mail cannot be used.
    #[error("the place of raw mail cannot be used (XC_EMAIL_BLOB_URL)")]
    Blobs(#[from] BlobOpenError),
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {what}: {source}; is another program there, or another motion-email?"
    )]
    Listen {
        /// Address or socket path.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// A part of the running daemon ended by itself.
    #[error("{part} ended by itself; see the log")]
    Died {
        /// Which.
        part: &'static str,
    },
    /// The process could not be set up.
    #[error("cannot {doing}: {source}")]
    Process {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl From<Mistakes> for StartError {
    fn from(mistakes: Mistakes) -> Self {
        // Not as a source: the lines would be said twice.
        Self::Settings(mistakes)
    }
}

impl StartError {
    /// 78 (`EX_CONFIG`) where a person has to change settings, 75 (`EX_TEMPFAIL`) where a later start may work.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::Net(_) | Self::Oauth(_) => 78,
            Self::Open(error) if error.class() == FailureClass::OperatorMustAct => 78,
            Self::Logs(_)
            | Self::DataDir(_)
            | Self::Open(_)
            | Self::Register(_)
            | Self::Blobs(_)
            | Self::Listen { .. }
            | Self::Died { .. }
            | Self::Process { .. } => 75,
        }
    }
}

/// Runs the daemon until it is told to stop. Starts the process over once (same process id) to set its
/// environment, so this must be called before any thread or file of consequence exists.
///
/// # Errors
/// Why it did not start, or which part ended by itself. All other trouble is logged and waited out.
pub fn run(sources: Sources) -> Result<(), StartError> {
    let config = config::load(&sources)?;
    let process = |doing| move |source| StartError::Process { doing, source };
    std::fs::create_dir_all(&config.data_dir)
        .map_err(process("make the data directory (XC_EMAIL_DATA_DIR)"))?;
    let environment = net::tls_environment(&config.ca_file, &config.data_dir)?;
    reexec::once(&environment).map_err(process("start the program again with its environment"))?;

    let (_log_guard, log_control) = logs::init(&config.logs())?;
    info!(version = env!("CARGO_PKG_VERSION"), level = %config.level, "motion-email starts");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(THREAD_STACK)
        .thread_name("motion-email")
        .build()
        .map_err(process("start threads"))?;
    let ended = runtime.block_on(async {
        let daemon = Daemon::build(sources, config, log_control).await?;
        daemon.run().await
    });
    // Whatever still blocks (a resolver, a parser) is cut off: what it was doing is recorded.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match &ended {
        Ok(()) => info!("motion-email has stopped"),
        Err(error) => error!(error = %chain(error), "motion-email ends"),
    }
    ended
}

/// An error and its sources in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
