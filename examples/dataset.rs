//! Run with: `cargo run --example dataset`
//!
//! A cache that builds and refreshes itself: a function fetches the whole dataset, which takes long; its items are
//! there by their id, as a list in the order of the source, and by team, and are replaced with no downtime, all of
//! them at once or none.

use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use larder::{Bucket, Derived, ErrorKind};

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, PartialEq)]
struct Item {
    id: &'static str,
    value: u32,
    teams: &'static [&'static str],
}

/// Stands in for an analytics query: the second time it returns nothing by mistake, the third it fails.
fn sample_data_fetching_fn() -> Result<Vec<Item>, String> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let item = |id, value, teams| Item { id, value, teams };
    match CALLS.fetch_add(1, Relaxed) {
        0 => Ok(vec![
            item("id2", 20, &["sales"]),
            item("id1", 10, &["sales", "support"]),
        ]),
        1 => Ok(vec![]),
        2 => Err("the query was cancelled".into()),
        _ => Ok(vec![item("id3", 30, &["support"])]),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let list = Derived::list();
    let by_team = Derived::index(|_id, item: &Item| item.teams.iter().copied());
    let cache = Bucket::<&str, Item>::builder("sample cache")
        .dataset(sample_data_fetching_fn, |item| item.id)
        .derive(&list)
        .derive(&by_team)
        .dataset_min_count(1)
        .refresh_every(Duration::from_secs(100))
        .refresh_retry(Duration::from_secs(10), Duration::from_secs(600))
        .build()?;
    // Built at once, and from then on at every interval.
    cache.refresh().wait(PATIENCE)?;

    // By id.
    assert_eq!(cache.get(&"id1").map(|item| item.value), Some(10));
    // In the order of the source, and by team, from one snapshot: all of one dataset.
    let first = cache.snapshot();
    let ids = |(id, _): (&&'static str, &Item)| *id;
    assert_eq!(
        list.pairs(&first).map(ids).collect::<Vec<_>>(),
        ["id2", "id1"]
    );
    assert_eq!(
        by_team.find(&first, "support").map(ids).collect::<Vec<_>>(),
        ["id1"]
    );
    for (id, item) in list.pairs(&first) {
        println!("{id}: {item:?}");
    }

    // A dataset that cannot be right, or cannot be had: the old one stays, and the next try comes in ten seconds.
    for kind in [ErrorKind::Refused, ErrorKind::Load] {
        let error = cache.refresh().wait(PATIENCE).err().ok_or("it was taken")?;
        println!("kept: {error}");
        assert_eq!(error.kind(), kind);
        assert_eq!((cache.len(), cache.epoch()), (2, first.epoch()));
    }

    // A new one replaces it in one swap, with everything that is made of it.
    cache.refresh().wait(PATIENCE)?;
    let second = cache.snapshot();
    assert_eq!(list.pairs(&second).map(ids).collect::<Vec<_>>(), ["id3"]);
    assert_eq!(by_team.find(&second, "sales").count(), 0);
    assert_eq!(cache.get(&"id1"), None);
    // Who was in the middle of the old one still is.
    assert_eq!(by_team.find(&first, "sales").count(), 2);
    Ok(())
}
