//! What is not any account's: database, disks, clock, trusted certificates, redirect URIs.

use std::path::Path;

use super::{
    Item, Parts, Progress, Report, Verdict,
    course::{Course, Found, limited},
    incoming::shown,
    judge,
};
use crate::{
    diagnosis::{Context, Failure, Finding, explain},
    model::{Access, CloudProvider},
    store::{Engine, Page, StoreError},
};

/// Providers whose platform's clock is asked for: one is enough to judge ours, a second if the first is away.
const CLOCKS: usize = 2;
/// Providers whose redirect URI is looked at.
const PROVIDERS: Page = Page {
    limit: 100,
    offset: 0,
};

pub(super) async fn examine(parts: &Parts, progress: &Progress) -> Report {
    let mut course = Course::new(None, progress);
    let context = Context::default();
    course.begin();
    let found = match limited(parts.settings.check, &context, database(parts)).await {
        Ok(Ok(detail)) => Found::ok(detail),
        Ok(Err(error)) => Found::failed(&Failure::Store(error), &context),
        Err(slow) => slow,
    };
    course.note(Item::Database, found).await;
    for (key, path) in &parts.settings.directories {
        course.note(Item::Disk, disk(key, path, &context)).await;
    }
    let roots = parts.net.roots().len();
    let detail = match roots {
        1 => "1 authority is trusted".to_owned(),
        roots => format!("{roots} authorities are trusted"),
    };
    course.note(Item::Roots, Found::ok(detail)).await;
    let providers = match parts.store.provider_list(PROVIDERS).await {
        Ok(rows) => rows.rows,
        Err(error) => {
            let found = Found::failed(&Failure::Store(error), &context);
            course.note(Item::Redirect, found).await;
            course.skip(&[Item::Clock], Item::Redirect).await;
            return course.end(None);
        }
    };
    let public = parts.settings.public_url.as_deref();
    let with_persons = providers.iter().filter(|provider| {
        provider.entered.access == Access::Delegated && !provider.entered.redirect_uri.is_empty()
    });
    for provider in with_persons {
        let entered = &provider.entered;
        let judged = judge::redirect(&entered.name, &entered.redirect_uri, public);
        course.note(Item::Redirect, shown(judged, &context)).await;
    }
    let found = clock(parts, &providers).await;
    course.note(Item::Clock, found).await;
    course.end(None)
}

/// Answers, and takes a commit.
async fn database(parts: &Parts) -> Result<String, StoreError> {
    let version = parts.store.version().await?;
    parts.store.ping(parts.clock.now()).await?;
    let engine = match parts.store.engine() {
        Engine::Sqlite => "SQLite",
        Engine::MariaDb => "MariaDB",
    };
    Ok(format!("{engine} {version} answers and takes commits"))
}

fn disk(key: &str, path: &Path, context: &Context) -> Found {
    let shown_path = path.display().to_string();
    match rustix::fs::statvfs(path) {
        Ok(room) => {
            let free = room.f_bavail.saturating_mul(room.f_frsize);
            // A file system without a table of files has always room for one more.
            let files = if room.f_files == 0 {
                u64::MAX
            } else {
                room.f_favail
            };
            let (verdict, mut detail, finding) = judge::disk(&shown_path, free, files);
            if finding.is_none() {
                detail = format!("{detail} ({key})");
            }
            shown((verdict, detail, finding), context)
        }
        Err(error) => {
            let finding = Finding::DiskUnknown {
                path: shown_path,
                said: error.to_string(),
            };
            Found::of(Verdict::Failed, "", finding.explain(context))
        }
    }
}

/// Asks the first platform that answers.
async fn clock(parts: &Parts, providers: &[CloudProvider]) -> Found {
    let mut last = Found::skipped("there is no cloud provider whose clock could be asked");
    for provider in providers.iter().take(CLOCKS) {
        let context = Context {
            provider: Some(provider.entered.name.clone()),
            ..Context::default()
        };
        let before = parts.clock.now();
        let asked = parts.oauth.platform_time(&provider.entered);
        last = match limited(parts.settings.check, &context, asked).await {
            Ok(Ok(theirs)) => return shown(judge::clock(before, theirs), &context),
            Ok(Err(error)) => Found::of(
                Verdict::Warning,
                "",
                explain(&Failure::Oauth(error), &context),
            ),
            Err(slow) => Found {
                verdict: Verdict::Warning,
                ..slow
            },
        };
    }
    last
}
