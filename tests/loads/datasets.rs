//! Whole datasets: of items that know their keys.

use larder::{Bucket, Dataset, ErrorKind};

use crate::common::{Broken, Notes, PATIENCE, bounded};

/// Something with an id, as a query returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    id: u64,
    text: &'static str,
}

fn item(id: u64, text: &'static str) -> Item {
    Item { id, text }
}

type Items = Bucket<u64, Item>;

#[test]
fn items_are_kept_by_their_id_and_of_two_with_one_the_last_counts() {
    bounded(|| {
        let bucket = Items::builder("items")
            .dataset(
                || Ok::<_, Broken>(vec![item(1, "old"), item(2, "two"), item(1, "new")]),
                |item| item.id,
            )
            .build()
            .unwrap();
        bucket.set(3, item(3, "of before"));
        bucket.refresh().wait(PATIENCE).unwrap();
        assert_eq!(bucket.len(), 2);
        assert_eq!(bucket.peek(&1), Some(item(1, "new")));
        assert_eq!(bucket.peek(&2), Some(item(2, "two")));
    });
}

#[test]
fn keys_that_come_again_are_counted_and_can_be_refused() {
    bounded(|| {
        let seen = Notes::new();
        let noting = seen.clone();
        let sets = [vec![1, 2, 3], vec![4, 4, 5, 4], vec![], vec![6]];
        let next = Notes::new();
        let bucket = Items::builder("repeated")
            .dataset(
                move || {
                    next.add(());
                    let ids = sets[next.len() - 1].clone();
                    Ok::<_, Broken>(ids.into_iter().map(|id| item(id, "")))
                },
                |item| item.id,
            )
            .validate_dataset(move |items: &Dataset<'_, u64, Item>| {
                noting.add((items.len(), items.repeated()));
                match items.repeated() {
                    0 => Ok(()),
                    _ => Err(Broken("an id came again")),
                }
            })
            .build()
            .unwrap();
        for (ends, len) in [
            (None, 3),
            (Some(ErrorKind::Refused), 3),
            (None, 0),
            (None, 1),
        ] {
            let ended = bucket.refresh().wait(PATIENCE);
            assert_eq!(ended.err().map(|error| error.kind()), ends);
            assert_eq!(bucket.len(), len);
        }
        assert_eq!(seen.all(), [(3, 0), (2, 2), (0, 0), (1, 0)]);
    });
}

#[test]
fn a_fetch_that_fails_and_an_id_that_panics_leave_what_is_there() {
    bounded(|| {
        let calls = Notes::new();
        let bucket = Items::builder("faults")
            .dataset(
                move || {
                    calls.add(());
                    match calls.len() {
                        2 => Err(Broken("no source")),
                        call => Ok((1..=call as u64).map(|id| item(id, ""))),
                    }
                },
                |item| {
                    assert_ne!(item.id, 3, "three");
                    item.id
                },
            )
            .build()
            .unwrap();
        bucket.refresh().wait(PATIENCE).unwrap();
        for kind in [ErrorKind::Load, ErrorKind::Panicked] {
            assert_eq!(bucket.refresh().wait(PATIENCE).unwrap_err().kind(), kind);
            assert_eq!((bucket.len(), bucket.peek(&1)), (1, Some(item(1, ""))));
        }
    });
}
