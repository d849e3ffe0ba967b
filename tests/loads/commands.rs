//! What takes no feature of its own: values that are computed by each read, and commands of the user's on what is cached.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder::Bucket;

use crate::common::{bounded, together};

/// A value that is computed: by each read, of what that brings along.
type Computed = Arc<dyn Fn(u64) -> u64 + Send + Sync>;

#[test]
fn a_closure_that_is_cached_is_called_by_each_read() {
    bounded(|| {
        let loads = Arc::new(AtomicU64::new(0));
        let loading = Arc::clone(&loads);
        let bucket = Bucket::<&str, Computed>::builder("computed")
            .load(move |name: &&str| {
                loading.fetch_add(1, Ordering::Relaxed);
                let calls = AtomicU64::new(0);
                let each = name.len() as u64;
                let computed: Computed = Arc::new(move |by| {
                    let call = 1 + calls.fetch_add(1, Ordering::Relaxed);
                    call * each * by
                });
                Ok::<_, String>(computed)
            })
            .build()
            .unwrap();
        // Read and called in one expression, whether it is cached or not: it counts its calls, and takes an argument.
        let ask = |by| bucket.get(&"four").map(|computed| computed(by));
        assert_eq!((ask(1), ask(1), ask(10)), (Some(4), Some(8), Some(120)));
        for folded in [false, true] {
            if folded {
                bucket.publish().unwrap();
            }
            // Without a clone of it, and by the fastest read. It is the same closure.
            let first = bucket.with(&"four", |computed| computed(1)).unwrap();
            let mut reader = bucket.reader();
            let second = reader.get(&"four").map(|computed| computed(1));
            assert_eq!(second, Some(first + 4), "folded: {folded}");
            assert_eq!(bucket.snapshot().get(&"four").is_some(), folded);
        }
        assert_eq!(loads.load(Ordering::Relaxed), 1);
        // One that reads the bucket in turn: nothing is held while it runs.
        let own = bucket.clone();
        let doubled: Computed = Arc::new(move |by| own.with(&"four", |four| 2 * four(by)).unwrap());
        bucket.set("double", doubled);
        let four = bucket.with(&"four", |computed| computed(1)).unwrap();
        let double = bucket.with(&"double", |computed| computed(1));
        assert_eq!(double, Some(2 * (four + 4)));
    });
}

type Lists = Bucket<String, VecDeque<u32>>;

/// A command that reads: nothing is cloned but what it returns.
fn last(lists: &Lists, name: &str) -> Option<u32> {
    lists.with(name, |list| list.back().copied())?
}

/// A command that writes and has a result: what is left of the list, and what was taken from it, are of one step.
fn pop(lists: &Lists, name: &str) -> Option<u32> {
    let mut popped = None;
    let left = lists.update(name, |list| {
        // It may run again.
        popped = None;
        let mut list = list?.clone();
        popped = list.pop_front();
        Some(list)
    });
    assert!(left.is_ok());
    popped
}

/// The same of two lists, and with a result of the closure's own.
fn pop_and_push(lists: &Lists, from: &str, to: &str) -> Option<u32> {
    let moved = lists.update_many([from, to], |step| {
        let mut list = step.get(0)?.clone();
        let popped = list.pop_front()?;
        let mut other = step.get(1).cloned().unwrap_or_default();
        other.push_back(popped);
        step.set(0, list);
        step.set(1, other);
        Some(popped)
    });
    moved.unwrap()
}

#[test]
fn commands_that_read_and_that_write_are_closures() {
    bounded(|| {
        let lists = Lists::builder("lists").build().unwrap();
        assert_eq!((last(&lists, "odd"), pop(&lists, "odd")), (None, None));
        assert!(!lists.contains("odd"));
        lists.set("odd".into(), [1, 3, 5].into());
        for _ in 0..2 {
            assert_eq!(last(&lists, "odd"), Some(5));
            lists.publish().unwrap();
        }
        assert_eq!(pop(&lists, "odd"), Some(1));
        assert_eq!(pop_and_push(&lists, "odd", "new"), Some(3));
        assert_eq!(lists.peek("odd"), Some([5].into()));
        assert_eq!(lists.peek("new"), Some([3].into()));

        // Each element is the result of one call, whoever pops at the same time.
        lists.set("many".into(), (0..400).collect());
        let popping = lists.clone();
        let popped = together(4, move |thread| {
            let next = || match thread {
                0 => pop_and_push(&popping, "many", "new"),
                _ => pop(&popping, "many"),
            };
            std::iter::from_fn(next).collect::<Vec<_>>()
        });
        let mut popped = popped.concat();
        popped.sort_unstable();
        assert_eq!(popped, (0..400).collect::<Vec<_>>());
    });
}
