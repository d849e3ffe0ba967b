//! G3: keys that are missed together are loaded together.

use std::time::Duration;

use larder::{Bucket, Builder, ManualClock};

use crate::common::{Door, Notes, PATIENCE, Task, bounded, eventually};

type Numbers = Bucket<u64, u64>;

/// A bucket that writes down the keys of each call of its loader, which then stands at a door.
fn noting(calls: &Notes<Vec<u64>>, door: &Door) -> Builder<u64, u64> {
    let (calls, door) = (calls.clone(), door.clone());
    Numbers::builder("batches").bulk_load(move |keys: &[u64]| {
        calls.add(keys.to_vec());
        door.pass();
        Ok::<_, String>(keys.iter().map(|&k| (k, k + 1)).collect::<Vec<_>>())
    })
}

fn sizes(calls: &Notes<Vec<u64>>) -> Vec<usize> {
    calls.all().iter().map(Vec::len).collect()
}

#[test]
fn g3_n_keys_missed_together_cost_n_over_batch_size_calls() {
    for keys in [1_u64, 9, 10, 11, 100, 101, 999] {
        for threads in [1, 4] {
            bounded(move || {
                let calls = Notes::new();
                let bucket = noting(&calls, &Door::open())
                    .batch_size(10)
                    .loader_threads(threads)
                    .build()
                    .unwrap();
                let wanted: Vec<u64> = (0..keys).collect();
                let values = bucket.get_many(&wanted);
                assert!(values.iter().zip(&wanted).all(|(v, k)| *v == Some(k + 1)));
                let expected = keys.div_ceil(10) as usize;
                assert_eq!(calls.len(), expected, "{keys} keys, {threads} threads");
                assert!(sizes(&calls).iter().all(|&size| size <= 10));

                let more = bucket.request_load(keys..2 * keys);
                assert!(more.wait(PATIENCE));
                assert_eq!(calls.len(), 2 * expected, "{keys} keys requested");
                let mut asked = calls.all().concat();
                asked.sort_unstable();
                assert!(asked.into_iter().eq(0..2 * keys), "each key once");
                assert_eq!(bucket.stats().loader_calls as usize, calls.len());
            });
        }
    }
}

#[test]
fn g3_only_what_is_missing_is_asked_for_and_once() {
    bounded(|| {
        let calls = Notes::new();
        let bucket = noting(&calls, &Door::open()).build().unwrap();
        bucket.set_many([(1, 10), (3, 30)]);
        let values = bucket.get_many([&1, &2, &3, &2, &4]);
        assert_eq!(values, [Some(10), Some(3), Some(30), Some(3), Some(5)]);
        assert_eq!(calls.all(), [vec![2, 4]]);
    });
}

#[test]
fn g3_requests_collect_while_the_loader_is_busy() {
    bounded(|| {
        let (calls, door) = (Notes::new(), Door::closed());
        let bucket = noting(&calls, &door)
            .batch_size(10)
            .loader_threads(1)
            .build()
            .unwrap();
        let first = bucket.request_load([0]);
        door.await_waiting(1);
        let rest: Vec<_> = (1..=25).map(|key| bucket.request_load([key])).collect();
        door.release();
        assert!(first.wait(PATIENCE));
        assert!(rest.iter().all(|ticket| ticket.wait(PATIENCE)));
        assert_eq!(sizes(&calls), [1, 10, 10, 5]);
    });
}

#[test]
fn g3_misses_of_many_threads_collect_while_the_loader_is_busy() {
    bounded(|| {
        let (calls, door) = (Notes::new(), Door::closed());
        let bucket = noting(&calls, &door)
            .batch_size(10)
            .loader_threads(1)
            .build()
            .unwrap();
        let first = bucket.request_load([0]);
        door.await_waiting(1);
        let callers: Vec<_> = (1..=25)
            .map(|key| {
                let bucket = bucket.clone();
                Task::spawn(move || bucket.get(&key))
            })
            .collect();
        eventually("all of them queued", || bucket.stats().queued == 25);
        door.release();
        assert!(first.wait(PATIENCE));
        for (caller, key) in callers.into_iter().zip(1..) {
            assert_eq!(caller.join(), Some(key + 1));
        }
        assert_eq!(sizes(&calls), [1, 10, 10, 5]);
    });
}

#[test]
fn g3_an_idle_loader_starts_at_once() {
    bounded(|| {
        // On this clock no time ever passes.
        let calls = Notes::new();
        let bucket = noting(&calls, &Door::open())
            .clock(ManualClock::new().clock())
            .build()
            .unwrap();
        assert_eq!(bucket.get(&1), Some(2));
        assert_eq!(bucket.get(&2), Some(3));
        assert_eq!(calls.all(), [[1], [2]]);
    });
}

#[test]
fn g3_misses_go_ahead_of_reloads() {
    bounded(|| {
        let (calls, door) = (Notes::new(), Door::open());
        let bucket = noting(&calls, &door)
            .batch_size(3)
            .loader_threads(1)
            .build()
            .unwrap();
        bucket.set_many((1..=3).map(|key| (key, 0)));
        door.close();
        let busy = bucket.request_load([0]);
        door.await_waiting(1);
        let reloads = bucket.request_load([1, 2, 3]);
        let misses = bucket.request_load([11, 12, 13, 14]);
        door.release();
        assert!([&busy, &reloads, &misses].iter().all(|t| t.wait(PATIENCE)));
        assert_eq!(
            calls.all(),
            [vec![0], vec![11, 12, 13], vec![14, 1, 2], vec![3]]
        );
        assert_eq!(bucket.peek(&1), Some(2), "reloaded");
    });
}

#[test]
fn g3_a_reload_that_somebody_comes_to_wait_for_goes_ahead_as_well() {
    bounded(|| {
        let (calls, door) = (Notes::new(), Door::open());
        let bucket = noting(&calls, &door)
            .batch_size(1)
            .loader_threads(1)
            .build()
            .unwrap();
        bucket.set_many((1..=3).map(|key| (key, 0)));
        door.close();
        let busy = bucket.request_load([0]);
        door.await_waiting(1);
        let reloads = bucket.request_load([1, 2, 3]);
        bucket.invalidate(&3);
        let miss = bucket.call().timeout(Duration::ZERO).fetch(&3);
        assert!(miss.unwrap_err().is_timeout());
        door.release();
        assert!(busy.wait(PATIENCE) && reloads.wait(PATIENCE));
        assert_eq!(calls.all(), [[0], [3], [1], [2]]);
    });
}

#[test]
fn g3_linger_waits_for_company_and_no_longer() {
    bounded(|| {
        let (calls, time) = (Notes::new(), ManualClock::new());
        let bucket = noting(&calls, &Door::open())
            .batch_size(3)
            .linger(Duration::from_secs(1))
            .clock(time.clock())
            .build()
            .unwrap();
        let first = bucket.request_load([1]);
        time.advance(Duration::from_millis(600));
        let second = bucket.request_load([2]);
        assert!(!first.is_done() && !second.is_done());
        // The oldest has waited long enough: what is there goes.
        time.advance(Duration::from_millis(400));
        assert!(first.wait(PATIENCE) && second.wait(PATIENCE));
        assert_eq!(calls.take(), [[1, 2]]);

        // A batch that is full has no reason to wait.
        let full: Vec<_> = (3..6).map(|key| bucket.request_load([key])).collect();
        assert!(full.iter().all(|ticket| ticket.wait(PATIENCE)));
        assert_eq!(calls.take(), [[3, 4, 5]]);
    });
}

#[test]
fn g3_linger_holds_back_nothing_but_loads() {
    bounded(|| {
        let (calls, time) = (Notes::new(), ManualClock::new());
        let bucket = noting(&calls, &Door::open())
            .linger(Duration::from_secs(1))
            .clock(time.clock())
            .build()
            .unwrap();
        let lone = bucket.request_load([1]);
        bucket.set(2, 20);
        assert_eq!(bucket.get(&2), Some(20));
        bucket.publish().unwrap();
        assert_eq!(calls.len(), 0);
        bucket.set(1, 10);
        time.advance(Duration::from_secs(1));
        assert!(lone.wait(PATIENCE));
        assert_eq!(bucket.get(&1), Some(10));
        assert_eq!(calls.len(), 0, "it was there when its load was to begin");
    });
}

#[test]
fn g3_without_a_batch_loader_each_key_is_a_call() {
    bounded(|| {
        let calls = Notes::new();
        let noting = calls.clone();
        let bucket = Numbers::builder("single")
            .load(move |key: &u64| {
                noting.add(*key);
                Ok::<_, String>(key + 1)
            })
            .build()
            .unwrap();
        assert_eq!(bucket.get_many([&1, &2, &3]), [Some(2), Some(3), Some(4)]);
        let mut asked = calls.all();
        asked.sort_unstable();
        assert_eq!(asked, [1, 2, 3]);
        assert_eq!(bucket.stats().loader_calls, 3);
    });
}

#[test]
fn g3_beside_a_batch_loader_the_single_one_is_not_asked() {
    bounded(|| {
        let calls = Notes::new();
        let noted = calls.clone();
        let bucket = noting(&calls, &Door::open())
            .load(move |key: &u64| {
                noted.add(vec![u64::MAX]);
                Ok::<_, String>(*key)
            })
            .build()
            .unwrap();
        assert_eq!(bucket.get(&1), Some(2));
        assert_eq!(bucket.get_many([&2, &3]), [Some(3), Some(4)]);
        assert!(bucket.request_load([4]).wait(PATIENCE));
        bucket.refresh().wait(PATIENCE).unwrap();
        assert!(calls.all().concat().iter().all(|&key| key < 5));
        assert_eq!(bucket.stats().loader_calls as usize, calls.len());
    });
}

/// An iterator may go on after it has ended. Nobody is to ask it to.
#[test]
fn g3_many_keys_end_where_their_iterator_ends() {
    bounded(|| {
        let bucket = Bucket::<u64, u64>::builder("ends").build().unwrap();
        bucket.set_many((0..5).map(|key| (key, key)));
        let keys = [Some(1), None, Some(2), None];
        let ends = || keys.iter().map_while(Option::as_ref);
        assert_eq!(bucket.get_many(ends()), [Some(1)]);
        assert_eq!(bucket.fetch_many(ends()).len(), 1);
    });
}
