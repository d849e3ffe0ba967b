//! Run with: `cargo run --example cache_worker`, and with `--features dump` for the dump file.
//!
//! A cache worker: keeps track of some widgets, seeds itself, loads what it is asked for, refreshes all of it on an
//! interval, and insulates its callers from whatever goes wrong at the source.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use larder::{Bucket, BuildError, ErrorKind, Origin, Outcome};

type Widgets = Bucket<String, String>;

const PATIENCE: Duration = Duration::from_secs(10);

/// The widgets, kept. `load` is all that is needed; everything else is an option.
fn widget_store(_file: &Path) -> Result<Widgets, BuildError> {
    let store = Widgets::builder("widgets")
        .load(|key: &String| somewhere::get_widget(key))
        // What it begins with, unless there is a dump. An error would be reported, and leave the store empty.
        .init(|| Ok::<_, String>(vec![("gear".into(), "a gear, seeded".into())]))
        .refresh_every(Duration::from_secs(900))
        // Has the last word on what a refresh stores.
        .refresh_filter(|_key, loaded| match loaded {
            Outcome::Value(widget) if widget.is_empty() => Outcome::Unchanged,
            loaded => loaded,
        });
    #[cfg(feature = "dump")]
    let store = store.dump(_file, 1);
    store.build()
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::temp_dir().join(format!("widget-dump-{}", std::process::id()));
    let widgets = widget_store(&file)?;
    assert_eq!(widgets.peek("gear"), Some("a gear, seeded".into()));

    // The steps of a fetch: from the cache, or an error, or hot and fresh and saved to the cache.
    assert_eq!(widgets.fetch("gear")?.origin(), Origin::Hit);
    let wrong = widgets
        .fetch("flux capacitor")
        .err()
        .ok_or("who made one?")?;
    assert_eq!(wrong.kind(), ErrorKind::Load);
    assert_eq!(
        wrong.to_string(),
        "the loader failed: something went wrong!"
    );
    assert_eq!(widgets.fetch("bolt")?.origin(), Origin::Loaded);
    assert_eq!(widgets.fetch("bolt")?.origin(), Origin::Hit);
    // Who prefers to go on gracefully has `get`.
    assert_eq!(widgets.get("flux capacitor"), None);

    // New data that is to be tested before it is committed to the cache.
    let untested = widgets.call().skip_save().fetch("spring")?;
    assert_eq!(
        (untested.origin(), widgets.peek("spring")),
        (Origin::Ignored, None)
    );
    let tested = untested
        .into_value()
        .filter(|spring| spring.ends_with("version 1"));
    widgets.set("spring".into(), tested.ok_or("it does not spring")?);

    // A full refresh: new values, what the filter lets through, and the old ones where it fails.
    somewhere::VERSION.store(2, Relaxed);
    widgets.refresh().wait(PATIENCE)?;
    assert_eq!(widgets.peek("spring"), Some("spring, version 2".into()));
    assert_eq!(widgets.peek("gear"), Some("a gear, seeded".into()));
    assert_eq!(widgets.peek("bolt"), Some("bolt, version 1".into()));
    assert_eq!(widgets.stats().refreshes_failed, 1);

    let (kept, failed) = (widgets.len(), widgets.stats().failed);
    println!("{kept} widgets, {failed} loads failed");
    assert_eq!((kept, failed), (3, 3));

    #[cfg(feature = "dump")]
    {
        // The next start takes the dump, and does not ask `init`.
        widgets.shutdown();
        let widgets = widget_store(&file)?;
        let report = widgets.loaded_dump().ok_or("no dump")?;
        println!("{} of them from the dump", report.entries);
        assert_eq!(widgets.peek("spring"), Some("spring, version 2".into()));
        widgets.shutdown();
        std::fs::remove_file(&file)?;
    }
    Ok(())
}

/// Stands in for the slow source.
mod somewhere {
    use super::{AtomicU32, Relaxed};

    pub(super) static VERSION: AtomicU32 = AtomicU32::new(1);

    pub(super) fn get_widget(key: &str) -> Result<String, &'static str> {
        let version = VERSION.load(Relaxed);
        match key {
            "gear" => Ok(String::new()),
            "bolt" if version > 1 => Err("something went wrong!"),
            "flux capacitor" => Err("something went wrong!"),
            _ => Ok(format!("{key}, version {version}")),
        }
    }
}
