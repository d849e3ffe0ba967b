//! Values and keys whose `Drop` calls the bucket: on whatever thread, and in the middle of whatever,
//! it drops them.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::Bucket;

use crate::common::{Door, PATIENCE, Task, bounded, lock, together};

type Nosy = Bucket<u64, Value>;
type Act = fn(&Nosy);

/// What a drop does, shared by the values of one bucket. Emptied before the bucket goes.
#[derive(Clone)]
struct Habit {
    bucket: Arc<Mutex<Option<Nosy>>>,
    act: Act,
    done: Arc<AtomicUsize>,
}

struct Value {
    number: u64,
    habit: Option<Habit>,
}

impl Clone for Value {
    fn clone(&self) -> Self {
        Self {
            number: self.number,
            habit: self.habit.clone(),
        }
    }
}

thread_local! {
    static ACTING: Cell<bool> = const { Cell::new(false) };
}

impl Drop for Value {
    fn drop(&mut self) {
        let Some(habit) = self.habit.take() else {
            return;
        };
        // What it does drops values as well; one at a time is enough.
        if ACTING.replace(true) {
            return;
        }
        let bucket = lock(&habit.bucket).clone();
        if let Some(bucket) = bucket {
            (habit.act)(&bucket);
            habit.done.fetch_add(1, Ordering::Relaxed);
        }
        ACTING.set(false);
    }
}

fn plain(number: u64) -> Value {
    Value {
        number,
        habit: None,
    }
}

const ACTS: [(&str, Act); 22] = [
    ("peek", |b| drop(b.peek(&1))),
    ("reader", |b| drop(b.reader().get(&1).cloned())),
    ("get a hit", |b| drop(b.get(&1))),
    ("get a miss", |b| drop(b.get(&1_000_001))),
    ("get many", |b| {
        drop(b.get_many([&1, &1_000_002, &1_000_003]));
    }),
    ("fetch_with", |b| {
        let load = |_: &u64| Ok::<_, String>(plain(0));
        drop(b.call().fetch_with(&1_000_004, load));
    }),
    ("set", |b| b.set(1_000_005, plain(5))),
    ("set its own key", |b| b.set(1, plain(5))),
    ("set_many", |b| {
        b.set_many([(1, plain(5)), (1_000_006, plain(6))]);
    }),
    ("set_if_absent", |b| {
        drop(b.set_if_absent(1_000_007, plain(7)));
    }),
    ("update_many", |b| {
        drop(b.update_many([&1, &1_000_010], |step| step.set(0, plain(1))));
    }),
    ("expire_in", |b| {
        drop(b.expire_in(&1, Duration::from_secs(60)));
    }),
    ("invalidate", |b| b.invalidate(&1)),
    ("request_load", |b| drop(b.request_load([1, 1_000_008]))),
    ("publish", |b| drop(b.publish())),
    ("clear", |b| drop(b.clear())),
    ("set_with_tags", |b| b.set_with_tags(1, plain(5), "a")),
    ("invalidate_tag", |b| drop(b.invalidate_tag("a"))),
    ("refresh", |b| drop(b.refresh())),
    ("look around", |b| {
        drop((b.snapshot(), b.keys(), b.len(), b.stats(), b.epoch()));
        let _ = b.load_state(&1);
    }),
    ("wait for a load", |b| {
        let _ = b.request_load([1_000_009]).wait(Duration::from_millis(5));
    }),
    ("wait for a refresh", |b| {
        drop(b.refresh().wait(Duration::from_millis(5)));
    }),
];

#[test]
fn a_drop_may_call_the_bucket_from_wherever_it_runs() {
    for (name, act) in ACTS {
        bounded(move || a_life_of_nosy_values(name, act));
    }
}

fn a_life_of_nosy_values(name: &str, act: Act) {
    let habit = Habit {
        bucket: Arc::default(),
        act,
        done: Arc::default(),
    };
    let loading = habit.clone();
    let bucket = Nosy::builder("nosy")
        .wait_limit(Duration::from_millis(200))
        .loader_threads(2)
        .load(move |key: &u64| {
            Ok::<_, String>(Value {
                number: *key,
                habit: (*key < 1_000).then(|| loading.clone()),
            })
        })
        .build()
        .unwrap();
    *lock(&habit.bucket) = Some(bucket.clone());
    let value = {
        let habit = habit.clone();
        move |number| Value {
            number,
            habit: Some(habit.clone()),
        }
    };
    // Overwritten in overlays, folded away, reloaded, cleared, by two threads.
    let living = bucket.clone();
    together(2, move |thread| {
        for round in 0..8_u64 {
            for key in 0..20 {
                living.set(key, value(round));
            }
            living.set_many((0..10).map(|key| (key, value(round))));
            living.invalidate(&round);
            drop(living.get(&(round + 20)));
            if thread == 0 {
                assert!(living.request_load(0..5).wait(PATIENCE));
                drop(living.publish());
            }
        }
        drop(living.clear());
    });
    let done = habit.done.load(Ordering::Relaxed);
    assert!(done > 100, "{name}: {done} drops");
    // Whatever they did, the bucket is what it was.
    *lock(&habit.bucket) = None;
    bucket.clear().unwrap();
    bucket.set(5_000, plain(5_000));
    bucket.publish().unwrap();
    assert_eq!(bucket.peek(&5_000).map(|v| v.number), Some(5_000), "{name}");
    assert_eq!(bucket.get(&30).map(|v| v.number), Some(30), "{name}");
}

#[test]
fn what_the_queue_lets_go_of_is_dropped_outside_of_its_lock() {
    bounded(|| {
        let habit = Habit {
            bucket: Arc::default(),
            // Goes to the queue itself.
            act: |bucket| drop((bucket.stats(), bucket.request_load([1_000]))),
            done: Arc::default(),
        };
        let (loading, door) = (habit.clone(), Door::closed());
        let at = door.clone();
        let bucket = Nosy::builder("queue")
            .loader_threads(1)
            .load(move |key: &u64| {
                let own = lock(&loading.bucket).clone();
                if let (0, Some(bucket)) = (*key, &own) {
                    at.pass();
                    // What is queued is taken over, and its place in the queue remains. Then enough
                    // others that nothing but that place holds the first.
                    drop(bucket.get(&1));
                    for key in 2_000..3_000 {
                        drop(bucket.get(&key));
                        bucket.invalidate(&key);
                    }
                    bucket.invalidate(&1);
                }
                Ok::<_, String>(Value {
                    number: *key,
                    habit: (*key == 1).then(|| loading.clone()),
                })
            })
            .build()
            .unwrap();
        *lock(&habit.bucket) = Some(bucket.clone());
        let busy = bucket.request_load([0]);
        door.await_waiting(1);
        drop(bucket.request_load([1]));
        door.release();
        assert!(busy.wait(PATIENCE));
        assert_eq!(bucket.get(&5).map(|v| v.number), Some(5));
        *lock(&habit.bucket) = None;
        assert!(habit.done.load(Ordering::Relaxed) > 0);
    });
}

#[test]
fn a_value_may_hold_the_last_handle_of_its_own_bucket_s_rival() {
    bounded(|| {
        /// Keeps a whole bucket alive.
        #[derive(Clone)]
        struct Holder(#[expect(dead_code, reason = "held")] Arc<Bucket<u64, u64>>);

        let outer = Bucket::<u64, Holder>::builder("outer").build().unwrap();
        for round in 0..20 {
            let inner = Bucket::<u64, u64>::builder("inner")
                .load(|key: &u64| Ok::<_, String>(*key))
                .build()
                .unwrap();
            assert_eq!(inner.get(&round), Some(round));
            // Overwritten, the last handle goes on whatever thread frees it.
            outer.set(round % 2, Holder(Arc::new(inner)));
            outer.publish().unwrap();
        }
        let other = Task::spawn(move || drop(outer));
        other.join();
    });
}

#[test]
fn a_bucket_may_hold_values_that_hold_the_bucket_until_it_is_cleared() {
    bounded(|| {
        let bucket = Bucket::<u64, Ring>::builder("ring").build().unwrap();
        let alive = Arc::new(());
        bucket.set_many((0..100).map(|key| (key, Ring::new(&bucket, &alive))));
        bucket.publish().unwrap();
        assert_eq!(Arc::strong_count(&alive), 101);
        bucket.clear().unwrap();
        // Whatever was replaced is freed by the refresher, some time.
        crate::common::eventually("the end of the ring", || {
            bucket.publish().unwrap();
            Arc::strong_count(&alive) == 1
        });
    });
}

#[derive(Clone)]
struct Ring(#[expect(dead_code, reason = "held")] Arc<(Bucket<u64, Ring>, Arc<()>)>);

impl Ring {
    fn new(bucket: &Bucket<u64, Self>, alive: &Arc<()>) -> Self {
        Self(Arc::new((bucket.clone(), Arc::clone(alive))))
    }
}
