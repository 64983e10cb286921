//! `provider …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What is done with cloud providers.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ProviderCommand {
    /// Add an app registration of Microsoft Entra or Google Cloud
    #[command(
        after_help = "The client secret is asked for, or read from --client-secret-file.\n\n\
        Example:\n  motion-email provider add --name Support --service microsoft --application-id 3f0c… --tenant-id 9a1b… \
        --redirect-uri https://motion.example.com/api/cloudProviders/oauth2/microsoft/callback"
    )]
    Add(NewProvider),
    /// Show all cloud providers
    #[command(after_help = "Example:\n  motion-email provider list")]
    List,
    /// Show one cloud provider and its grant
    #[command(after_help = "Example:\n  motion-email provider show 1")]
    Show {
        /// The provider's id
        id: i64,
    },
    /// Let a person sign in: prints the address to open, then waits until it is done
    #[command(
        after_help = "Example:\n  motion-email provider authenticate 1 --login-hint anna@example.com"
    )]
    Authenticate {
        /// The provider's id
        id: i64,
        /// Who is to sign in; the sign-in page is filled in with it
        #[arg(long, value_name = "ADDRESS")]
        login_hint: Option<String>,
        /// Print the address and do not wait (as with --json)
        #[arg(long)]
        no_wait: bool,
    },
    /// Remove a cloud provider that no account uses
    #[command(after_help = "Example:\n  motion-email provider remove 1")]
    Remove {
        /// The provider's id
        id: i64,
    },
}

/// A new cloud provider.
#[derive(Args, Debug)]
pub(in crate::cli) struct NewProvider {
    /// Its name, for people
    #[arg(long)]
    pub(in crate::cli) name: String,
    /// Whose identity platform it is
    #[arg(long, value_enum, ignore_case = true)]
    pub(in crate::cli) service: ServiceWord,
    /// Outlook365 or Gmail [default: the service's]
    #[arg(long = "type", value_name = "TYPE")]
    pub(in crate::cli) kind: Option<String>,
    /// The "Application (client) ID"
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) application_id: String,
    /// The "Directory (tenant) ID", with Microsoft
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) tenant_id: Option<String>,
    /// A file with the client secret; - for standard input [default: it is asked for]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) client_secret_file: Option<PathBuf>,
    /// The redirect URI as it is registered [default: made from XC_EMAIL_PUBLIC_URL]
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) redirect_uri: Option<String>,
    /// The identity platform's address, where it is not the service's own (national clouds, tests)
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) authority: Option<String>,
    /// The host that the mail scopes belong to, where it is not the service's own
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) scope_host: Option<String>,
}

/// Whose identity platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ServiceWord {
    /// Microsoft Entra ID (Outlook365)
    Microsoft,
    /// Google (Gmail)
    Google,
}
