//! Run with: `cargo run --features tokio --example async_service`
//!
//! A service that answers requests as tasks of a tokio runtime. What is cached is answered at once; what is not is
//! awaited, and no thread waits for it. The loader is async as well, and gets what many requests miss as one batch.

use std::error::Error;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use larder::{Bucket, Origin};
use tokio::runtime::{Builder, Handle};

const REQUESTS: u64 = 1_000;
const PAGES: u64 = 100;

static CALLS: AtomicUsize = AtomicUsize::new(0);

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_multi_thread().enable_time().build()?;
    let pages = Bucket::<u64, String>::builder("pages")
        .bulk_loader(larder::tokio::bulk_loader(runtime.handle().clone(), render))
        .build()?;
    runtime.block_on(serve(&pages))?;
    let calls = CALLS.load(Relaxed);
    println!("{REQUESTS} requests of {PAGES} pages: {calls} calls of the loader");
    assert!((1..=PAGES as usize).contains(&calls));
    pages.shutdown();
    Ok(())
}

async fn serve(pages: &Bucket<u64, String>) -> Result<(), Box<dyn Error>> {
    let requests = (0..REQUESTS).map(|request| {
        let pages = pages.clone();
        Handle::current().spawn(async move { answer(&pages, request % PAGES).await })
    });
    for (request, answer) in (0..REQUESTS).zip(requests.collect::<Vec<_>>()) {
        assert_eq!(answer.await?, format!("page {}", request % PAGES));
    }
    assert_eq!(pages.len() as u64, PAGES, "each page was loaded");
    let again = pages.fetch_async(&7).await?;
    assert_eq!(again.origin(), Origin::Hit);

    // Many pages at once: what is missing comes in one batch.
    let before = CALLS.load(Relaxed);
    let more: Vec<u64> = (PAGES - 10..PAGES + 10).collect();
    let found = pages.get_many_async(&more).await;
    assert!(found.iter().all(Option::is_some));
    assert_eq!(CALLS.load(Relaxed), before + 1);
    Ok(())
}

/// One request. Its time limit is the runtime's; the page is loaded all the same for whoever asks next.
async fn answer(pages: &Bucket<u64, String>, page: u64) -> String {
    if let Some(page) = pages.peek(&page) {
        return page;
    }
    let limit = Duration::from_secs(30);
    match tokio::time::timeout(limit, pages.get_async(&page)).await {
        Ok(Some(page)) => page,
        Ok(None) => "no such page".to_owned(),
        Err(_) => "try again".to_owned(),
    }
}

/// Stands in for a service that is far away.
async fn render(pages: &[u64]) -> Result<Vec<(u64, String)>, tokio::task::JoinError> {
    CALLS.fetch_add(1, Relaxed);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let pages = pages.to_vec();
    let rendered = pages.into_iter().map(|page| (page, format!("page {page}")));
    tokio::spawn(async move { rendered.collect() }).await
}
