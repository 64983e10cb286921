//! `provider …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What is done with cloud providers.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ProviderCommand {
    /// Add an app registration of Microsoft Entra or Google Cloud
    #[command(
        after_help = "The client secret is asked for, or read from --client-secret-file; a certificate can take its place.\n\n\
        Example:\n  motion-email provider add --name Support --service microsoft --application-id 3f0c… --tenant-id 9a1b… \
        --secret-expires 2027-05-01 --redirect-uri https://motion.example.com/api/cloudProviders/oauth2/microsoft/callback\n  \
        motion-email provider add --name App --service microsoft --application-id 3f0c… --tenant-id 9a1b… \
        --access application --certificate ./app.pem --private-key ./app.key"
    )]
    Add(Box<NewProvider>),
    /// Change a cloud provider; what is not named stays
    #[command(
        after_help = "It takes effect at once, without a restart and without a new sign-in.\n\n\
        Example:\n  motion-email provider edit 1 --tenant-id 9a1b… --secret-expires none\n  \
        motion-email provider edit 1 --certificate ./app.pem --private-key ./app.key --no-client-secret\n  \
        motion-email provider edit 1 --proxy socks5://proxy.example.com:1080"
    )]
    Edit(Box<EditProvider>),
    /// Enter a new client secret; it is used at once, without a new sign-in
    #[command(
        after_help = "The secret is asked for, or read from --client-secret-file. With --second it waits beside the first and is \
        used when the first is refused.\n\n\
        Example:\n  motion-email provider update-secret 1 --secret-expires 2027-05-01\n  \
        motion-email provider update-secret 1 --second --client-secret-file ./next-secret"
    )]
    UpdateSecret {
        /// The provider's id
        id: i64,
        /// A file with the client secret; - for standard input [default: it is asked for]
        #[arg(long, value_name = "FILE")]
        client_secret_file: Option<PathBuf>,
        /// When the platform stops taking it, as the portal shows it
        #[arg(long, value_name = "DATE")]
        secret_expires: Option<String>,
        /// Put it beside the first, which stays
        #[arg(long)]
        second: bool,
    },
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
        after_help = "Where no browser can call this server back, use --paste: the sign-in ends at an address that does not \
        answer, and that address is pasted here; or --device, which shows a code to type at the platform's page (Microsoft; the \
        app registration must allow public client flows) and which is good until the daemon is started anew. Somebody else than the accounts expect is held until it is confirmed.\n\n\
        Example:\n  motion-email provider authenticate 1\n  motion-email provider authenticate 1 --paste\n  \
        motion-email provider authenticate 1 --device\n  \
        motion-email provider authenticate 1 --login-hint anna@example.com --new-identity"
    )]
    Authenticate(Authenticate),
    /// Confirm a held sign-in: the person named has the grant from then on
    #[command(
        after_help = "Example:\n  motion-email provider confirm 1 --signed-in-as anna@example.com"
    )]
    Confirm {
        /// The provider's id
        id: i64,
        /// Who signed in, as the held sign-in names them
        #[arg(long, value_name = "NAME")]
        signed_in_as: String,
    },
    /// Drop a held sign-in; what worked before goes on
    #[command(after_help = "Example:\n  motion-email provider discard 1")]
    Discard {
        /// The provider's id
        id: i64,
    },
    /// Remove a cloud provider that no account uses
    #[command(after_help = "Example:\n  motion-email provider remove 1")]
    Remove {
        /// The provider's id
        id: i64,
    },
}

/// A sign-in.
#[derive(Args, Debug)]
pub(in crate::cli) struct Authenticate {
    /// The provider's id
    pub(in crate::cli) id: i64,
    /// Who is to sign in; the sign-in page is filled in with it [default: who is expected]
    #[arg(long, value_name = "ADDRESS")]
    pub(in crate::cli) login_hint: Option<String>,
    /// Give the grant into other hands: anybody may sign in, and it is held until confirmed
    #[arg(long)]
    pub(in crate::cli) new_identity: bool,
    /// Paste the address that the browser ends at, for servers that no browser can call back
    #[arg(long, conflicts_with = "no_wait")]
    pub(in crate::cli) paste: bool,
    /// Show a code that the person types on any computer; nobody has to call this server back
    #[arg(long, conflicts_with_all = ["paste", "login_hint"])]
    pub(in crate::cli) device: bool,
    /// Print the address and do not wait (as with --json)
    #[arg(long)]
    pub(in crate::cli) no_wait: bool,
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
    /// The application has no secret (a public client)
    #[arg(long, conflicts_with_all = ["client_secret_file", "certificate"])]
    pub(in crate::cli) public_client: bool,
    #[command(flatten)]
    pub(in crate::cli) fields: ProviderFields,
}

/// Changes to a cloud provider.
#[derive(Args, Debug)]
pub(in crate::cli) struct EditProvider {
    /// The provider's id
    pub(in crate::cli) id: i64,
    /// Its name, for people
    #[arg(long)]
    pub(in crate::cli) name: Option<String>,
    /// The "Application (client) ID"
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) application_id: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) fields: ProviderFields,
    /// Take the client secret away
    #[arg(long, conflicts_with = "client_secret_file")]
    pub(in crate::cli) no_client_secret: bool,
    /// Take the second secret away
    #[arg(long, conflicts_with = "second_secret_file")]
    pub(in crate::cli) no_second_secret: bool,
    /// Take certificate and private key away
    #[arg(long, conflicts_with = "certificate")]
    pub(in crate::cli) no_certificate: bool,
    /// Use the service's own identity platform
    #[arg(long, conflicts_with = "authority")]
    pub(in crate::cli) no_authority: bool,
    /// Use the service's own host of the mail scopes
    #[arg(long, conflicts_with = "scope_host")]
    pub(in crate::cli) no_scope_host: bool,
}

/// What a new cloud provider may have and an old one may be given.
#[derive(Args, Debug, Default)]
pub(in crate::cli) struct ProviderFields {
    /// Which of Microsoft's clouds the app is registered in [default: worldwide]
    #[arg(long, value_enum)]
    pub(in crate::cli) cloud: Option<CloudWord>,
    /// Whose name mailboxes are opened in [default: delegated]
    #[arg(long, value_enum)]
    pub(in crate::cli) access: Option<AccessWord>,
    /// The "Directory (tenant) ID", with Microsoft
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) tenant_id: Option<String>,
    /// A file with the client secret; - for standard input
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) client_secret_file: Option<PathBuf>,
    /// When the platform stops taking it, as the portal shows it: 2027-05-01, or none
    #[arg(long, value_name = "DATE")]
    pub(in crate::cli) secret_expires: Option<String>,
    /// A file with a second secret, which is used when the first is refused
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) second_secret_file: Option<PathBuf>,
    /// When the platform stops taking the second
    #[arg(long, value_name = "DATE")]
    pub(in crate::cli) second_secret_expires: Option<String>,
    /// A file with the certificate that was uploaded to the app registration (PEM), in place of a secret
    #[arg(long, value_name = "PATH", requires = "private_key")]
    pub(in crate::cli) certificate: Option<PathBuf>,
    /// A file with the certificate's private key (PEM, without a pass phrase)
    #[arg(long, value_name = "PATH", requires = "certificate")]
    pub(in crate::cli) private_key: Option<PathBuf>,
    /// The redirect URI as it is registered [default: made from XC_EMAIL_PUBLIC_URL]
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) redirect_uri: Option<String>,
    /// The identity platform's address, where it is not the cloud's own (tests)
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) authority: Option<String>,
    /// The host that the mail scopes belong to, where it is not the cloud's own
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) scope_host: Option<String>,
    /// The proxy to the identity platform: http://host:port, socks5://host:port, direct, or process for the daemon's own setting
    #[arg(long, value_name = "URL|direct|process", value_parser = super::account::proxy)]
    pub(in crate::cli) proxy: Option<String>,
    /// A file with the proxy's URL, where it has a password in it; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "proxy")]
    pub(in crate::cli) proxy_file: Option<PathBuf>,
}

/// Whose identity platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ServiceWord {
    /// Microsoft Entra ID (Outlook365)
    Microsoft,
    /// Google (Gmail)
    Google,
}

/// Which of Microsoft's clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum CloudWord {
    /// The public cloud, and GCC
    Worldwide,
    /// United States government, GCC High
    #[value(name = "gcc_high")]
    GccHigh,
    /// United States Department of Defense
    Dod,
    /// China, operated by 21Vianet
    China,
}

/// In whose name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum AccessWord {
    /// Of the person who signs in
    Delegated,
    /// Of the application itself: nobody signs in
    Application,
}
