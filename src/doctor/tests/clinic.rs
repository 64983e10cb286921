//! A real store, scripted IMAP, SMTP and identity servers, and one account on them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    doctor::{
        Check, Doctor, Item, Lanes, Parts, Patient, Progress, Report, Settings, Verdict, Wish,
    },
    imap,
    model::*,
    net::testing::{self, Authority, Issued},
    oauth::{self, OauthClient, scripted::Platform},
    smtp::{self, testing::Server},
    store::{self, Store},
    token::{self, TokenKeeper},
    transcript::{Bounds, Transcripts},
};

/// What the IMAP server says instead of its usual answer, by the command's first word; the tag is put in front.
pub(super) type Words = BTreeMap<&'static str, &'static str>;

/// A small IMAP server, told what to refuse.
#[derive(Clone, Default)]
pub(super) struct ImapServer {
    pub(super) refuses: Arc<Mutex<Words>>,
    pub(super) commands: Arc<Mutex<Vec<String>>>,
    /// Closes the connection instead of a greeting.
    pub(super) mute: Arc<Mutex<bool>>,
}

impl ImapServer {
    pub(super) fn refuse(&self, verb: &'static str, words: &'static str) {
        self.refuses.lock().unwrap().insert(verb, words);
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let _ = self.talk(BufReader::new(stream)).await;
    }

    async fn talk(
        self,
        mut stream: BufReader<impl AsyncRead + AsyncWrite + Unpin>,
    ) -> std::io::Result<()> {
        if *self.mute.lock().unwrap() {
            return Ok(());
        }
        stream.write_all(b"* OK ready\r\n").await?;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_owned();
            let (tag, command) = line.split_once(' ').unwrap_or((&line, ""));
            let verb = command.split(' ').next().unwrap();
            self.commands.lock().unwrap().push(command.to_owned());
            if verb == "AUTHENTICATE" {
                stream.write_all(b"+ \r\n").await?;
                stream.read_line(&mut String::new()).await?;
            }
            let refused = self.refuses.lock().unwrap().get(verb).copied();
            let answer = match (refused, verb) {
                (Some(words), _) => format!("{tag} {words}\r\n"),
                (None, "CAPABILITY") => format!(
                    "* CAPABILITY IMAP4rev1 IDLE UIDPLUS AUTH=PLAIN AUTH=XOAUTH2\r\n{tag} OK done\r\n"
                ),
                (None, "EXAMINE") => {
                    format!(
                        "* 7 EXISTS\r\n* OK [UIDVALIDITY 9] ok\r\n{tag} OK [READ-ONLY] done\r\n"
                    )
                }
                (None, "LIST") => {
                    format!(
                        "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent Items\"\r\n{tag} OK done\r\n"
                    )
                }
                (None, "LOGOUT") => format!("* BYE bye\r\n{tag} OK done\r\n"),
                (None, "AUTHENTICATE" | "LOGIN") => format!("{tag} OK done\r\n"),
                (None, _) => format!("{tag} BAD what\r\n"),
            };
            stream.write_all(answer.as_bytes()).await?;
            stream.flush().await?;
        }
    }
}

/// How the account logs in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum With {
    Password,
    /// An own mailbox; the grant's token lives so many seconds.
    Token(i64),
    /// A mailbox of somebody else; likewise.
    Shared(i64),
}

pub(super) struct Clinic {
    pub(super) imap: ImapServer,
    pub(super) smtp: Server,
    pub(super) platform: Platform,
    pub(super) store: Store,
    pub(super) doctor: Doctor,
    pub(super) account: Account,
    pub(super) provider: Option<CloudProviderId>,
    pub(super) lanes: Option<Lanes>,
    /// Connections that the two servers took: IMAP, SMTP.
    taken: Arc<[AtomicUsize; 2]>,
    _tasks: JoinSet<()>,
    _home: tempfile::TempDir,
}

/// Makes the servers' certificate.
pub(super) type Issue = fn(&Authority) -> Issued;

/// What a clinic may have different.
pub(super) struct Odd {
    pub(super) certificate: Issue,
    pub(super) scopes: &'static str,
    pub(super) signed_in_as: &'static str,
    pub(super) host: &'static str,
    pub(super) check: Duration,
}

impl Default for Odd {
    fn default() -> Self {
        Self {
            certificate: |authority| authority.issue("localhost", 90),
            scopes: "https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/SMTP.Send",
            signed_in_as: "andrea@lab.test",
            host: "localhost",
            check: Duration::from_secs(30),
        }
    }
}

impl Clinic {
    pub(super) async fn new(with: With, platform: Platform) -> Self {
        Self::odd(with, platform, Odd::default()).await
    }

    pub(super) async fn odd(with: With, platform: Platform, odd: Odd) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut tasks = JoinSet::new();
        let (store, writer) = store::testing::open(home.path()).await;
        tasks.spawn(writer.run(CancellationToken::new()));
        let authority = Authority::new("Lab CA");
        let acceptor = Arc::new((odd.certificate)(&authority).acceptor());
        let (imap, smtp) = (ImapServer::default(), Server::new(|_| None));
        let mut ports = Vec::new();
        let taken: Arc<[AtomicUsize; 2]> = Arc::default();
        for incoming in [true, false] {
            let taken = Arc::clone(&taken);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            ports.push(listener.local_addr().unwrap().port());
            let (acceptor, imap, smtp) = (acceptor.clone(), imap.clone(), smtp.clone());
            tasks.spawn(async move {
                let mut talks = JoinSet::new();
                while let Ok((tcp, _)) = listener.accept().await {
                    taken[usize::from(!incoming)].fetch_add(1, Ordering::SeqCst);
                    let (acceptor, imap, smtp) = (acceptor.clone(), imap.clone(), smtp.clone());
                    talks.spawn(async move {
                        if let Ok(tls) = acceptor.accept(tcp).await {
                            if incoming {
                                imap.serve(tls).await;
                            } else {
                                smtp.serve(tls).await;
                            }
                        }
                    });
                }
            });
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let now = clock.now();
        let (provider, authentication) = match with {
            With::Password => {
                let password = "canary-password".to_owned().into();
                let user = "desk@lab.test".to_owned();
                (None, Authentication::Password { user, password })
            }
            With::Token(seconds) | With::Shared(seconds) => {
                let row = store
                    .provider_add(&platform.provider("Contoso"), now)
                    .await
                    .unwrap();
                let tokens = NewTokens {
                    access_token: "canary-access".to_owned().into(),
                    access_expires_at: Timestamp::from_millis(now.millis() + seconds * 1000),
                    refresh_token: Some("canary-refresh".to_owned().into()),
                    scopes: Some(odd.scopes.to_owned()),
                    signed_in_as: Some(odd.signed_in_as.to_owned()),
                    tenant_id: None,
                    object_id: None,
                };
                store.grant_adopt(row.id, &tokens, now).await.unwrap();
                let shared = matches!(with, With::Shared(_));
                let andrea = "andrea@lab.test".to_owned();
                let authentication = Authentication::Modern {
                    provider: row.id,
                    user: if shared {
                        "developers@lab.test".to_owned()
                    } else {
                        andrea.clone()
                    },
                    delegate: shared.then_some(andrea),
                };
                (Some(row.id), authentication)
            }
        };
        let list = store.list_add("Contacts", now).await.unwrap().id;
        let shared = matches!(with, With::Shared(_));
        let new = NewAccount {
            name: "Desk".to_owned(),
            key: AccountKey::parse("DESK").unwrap(),
            address: EmailAddress::parse(if shared {
                "developers@lab.test"
            } else {
                "andrea@lab.test"
            })
            .unwrap(),
            list,
            service: Service::Outlook365,
            authentication,
            imap: crate::model::Server::new(odd.host, ports[0], TlsMode::Tls),
            smtp: crate::model::Server::new(odd.host, ports[1], TlsMode::Tls),
            backfill: Backfill::None,
            folders: crate::model::Folders::default(),
            proxy: ProxyChoice::Process,
        };
        let account = store.account_add(&new, now).await.unwrap();
        let net = testing::net_with(&authority.pem, &["localhost"]);
        let oauth = OauthClient::new(net.roots(), &oauth::Settings::default()).unwrap();
        let keeper = TokenKeeper::new(
            store.clone(),
            oauth.clone(),
            NodeId::random(),
            clock.clone(),
            token::Settings::default(),
        );
        let answer = Duration::from_secs(20);
        let doctor = Doctor::new(Parts {
            store: store.clone(),
            net,
            keeper,
            oauth,
            transcripts: Transcripts::new(clock.clone(), Bounds::default()),
            governor: crate::governor::Governor::new(
                crate::governor::Settings::default(),
                clock.clone(),
            ),
            clock,
            settings: Arc::new(Settings {
                imap: imap::Settings::default(),
                smtp: smtp::Settings {
                    command: answer,
                    ..smtp::Settings::default()
                },
                check: odd.check,
                public_url: Some("https://motion.example".to_owned()),
                directories: vec![("XC_EMAIL_DATA_DIR", home.path().to_owned())],
            }),
        });
        Self {
            imap,
            smtp,
            platform,
            store,
            doctor,
            account,
            provider,
            lanes: None,
            taken,
            _tasks: tasks,
            _home: home,
        }
    }

    pub(super) fn patient(&self) -> Patient {
        Patient {
            account: self.account.clone(),
            lanes: self.lanes.clone(),
        }
    }

    /// How many connections the IMAP and the SMTP server took.
    pub(super) fn taken(&self) -> [usize; 2] {
        [0, 1].map(|server| self.taken[server].load(Ordering::SeqCst))
    }

    pub(super) async fn examine(&self) -> Report {
        self.examine_with(Wish::default()).await
    }

    pub(super) async fn examine_with(&self, wish: Wish) -> Report {
        let report = self
            .doctor
            .examine(&self.patient(), wish, &Progress::none())
            .await
            .unwrap();
        let shown = format!("{report:?}");
        assert!(
            !shown.contains("canary"),
            "a secret is in the report: {shown}"
        );
        report
    }
}

/// The check of an item.
pub(super) fn of(report: &Report, item: Item) -> &Check {
    let found = report.checks.iter().find(|check| check.item == item);
    found.unwrap_or_else(|| panic!("no {item:?} in {report:#?}"))
}

/// The first failed check and its code.
#[track_caller]
pub(super) fn cause(report: &Report, item: Item, code: &str) {
    let check = report
        .cause()
        .unwrap_or_else(|| panic!("nothing failed: {report:#?}"));
    let seen = check.diagnosis.as_ref().map(|diagnosis| diagnosis.code);
    assert_eq!((check.item, seen), (item, Some(code)), "{check:#?}");
    assert_eq!(report.verdict(), Verdict::Failed);
}

/// These are skipped and say why.
#[track_caller]
pub(super) fn skipped(report: &Report, items: &[Item], because: Item) {
    for item in items {
        let check = of(report, *item);
        assert_eq!(check.verdict, Verdict::Skipped, "{check:?}");
        assert_eq!(check.detail, format!("{} failed", because.title()));
    }
}
