//! Schedules of the load queue: many callers, few loaders, and everything that can come between.

use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::time::Duration;

use super::load_kit::{Call, Kit, LONG, config, fresh, quiet_panic, value};
use super::shuttle_support::{KEYS, Seen, Truth, answered, draw, run_schedules};
use crate::config::Config;
use crate::error::{BoxError, Error, ErrorKind};
use crate::loader::Outcome;
use crate::sync::{
    Arc,
    thread::{self, JoinHandle},
};

const SECOND: Duration = Duration::from_secs(1);
const CALLERS: u8 = 8;

fn workers(kit: &Kit, count: usize) -> Vec<JoinHandle<()>> {
    let spawn = |_| {
        let kit = kit.clone();
        thread::spawn(move || kit.loads.work())
    };
    (0..count).map(spawn).collect()
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

fn spawn(kit: &Kit, caller: impl FnOnce(Kit) + Send + 'static) -> JoinHandle<()> {
    let kit = kit.clone();
    thread::spawn(move || caller(kit))
}

/// Nothing is written and nothing fails: each key is loaded once, whoever asks for it in which way, and
/// one flight of a key is told to have loaded.
#[test]
fn loads_each_key_once() {
    run_schedules("loads_each_key_once", || {
        let kit = Kit::with(&config(), fresh);
        let loaders = workers(&kit, 3);
        let mut callers = Vec::new();
        for _ in 0..CALLERS {
            callers.push(spawn(&kit, |kit| {
                let (one, two) = (draw(KEYS), draw(KEYS));
                match draw(3) {
                    0 => assert!(value(&kit.fetch(one)).is_some()),
                    1 => {
                        let many = kit.fetch_many(&[one, two, one]);
                        assert!(many.iter().all(|answer| value(answer).is_some()));
                        assert_eq!(value(&many[0]), value(&many[2]));
                    }
                    // Requested keys that are cached by then would be loaded again.
                    _ => assert!(value(&kit.fetch_within(one, LONG)).is_some()),
                }
                assert!(kit.peek(one).is_some());
            }));
        }
        join(callers);
        kit.loads.close();
        join(loaders);
        let mut asked = kit.asked();
        let count = asked.len();
        asked.sort_unstable();
        asked.dedup();
        assert_eq!(asked.len(), count, "a key was loaded twice");
        let stats = kit.stats();
        assert_eq!(stats.loaded, count as u64);
        assert_eq!(stats.keys_asked, count as u64);
        assert_eq!(kit.ended(), stats.loaded + stats.found_late);
        kit.at_rest();
    });
}

/// A source that fails in each way that there is, now and then.
fn unsteady(call: &Call<'_>, key: u8) -> Result<Outcome<u64>, BoxError> {
    match draw(6) {
        0 => quiet_panic(),
        1 => Err("no answer".into()),
        2 => Ok(Outcome::Failed("no such thing".into())),
        3 => Ok(Outcome::Absent),
        _ => fresh(call, key),
    }
}

/// The source fails, callers give up: everybody is answered, the key can be loaded again, no two loads of
/// a key meet, and each key that was asked for is counted by how that ended.
#[test]
fn loads_that_fail_are_answered() {
    run_schedules("loads_that_fail_are_answered", || {
        let kit = Kit::with(&config(), unsteady);
        let loaders = workers(&kit, 2);
        let mut callers = Vec::new();
        for _ in 0..CALLERS {
            callers.push(spawn(&kit, |kit| {
                for _ in 0..2 {
                    let limit = if draw(2) == 0 { SECOND } else { LONG };
                    match kit.fetch_within(draw(KEYS), limit) {
                        Ok(_) => {}
                        Err(error) => match error.kind() {
                            ErrorKind::Load | ErrorKind::Panicked => {}
                            ErrorKind::Timeout => assert_eq!(limit, SECOND),
                            other => panic!("{other:?}"),
                        },
                    }
                }
            }));
        }
        callers.push(spawn(&kit, |kit| kit.time.advance(SECOND)));
        join(callers);
        // Whatever happened before, the key can be had, or fails again by itself.
        while kit.fetch(0).is_err() {}
        // Who gave up has left a load behind, maybe.
        for key in 0..KEYS {
            let _ = kit.fetch(key);
        }
        kit.loads.close();
        join(loaders);
        let stats = kit.stats();
        assert_eq!(stats.keys_asked, kit.asked().len() as u64);
        assert_eq!(stats.keys_asked, stats.loaded + stats.absent + stats.failed);
        kit.at_rest();
    });
}

/// Errors of a loading side that is full, slow and closed at some time, and of loaders in a circle.
fn is_expected(error: &Error) {
    match error.kind() {
        ErrorKind::Timeout | ErrorKind::QueueFull | ErrorKind::Closed | ErrorKind::Recursion => {}
        other => panic!("{other:?}"),
    }
}

/// One caller's life among all others: see `loads_everything_at_once`.
fn call_anything(kit: &Kit, truth: &Truth, seen: &mut Seen, mine: Option<u8>) {
    let key = draw(KEYS);
    match draw(7) {
        0 => {
            let answer = kit.fetch_within(key, SECOND);
            seen.fetched(&answered(&[key], vec![answer], is_expected));
        }
        1 => {
            let keys = [key, draw(KEYS)];
            seen.fetched(&answered(&keys, kit.fetch_many(&keys), is_expected));
        }
        2 => {
            let requested = kit.request(&[key, draw(KEYS)]);
            kit.loads.wait_over(&requested.flights, SECOND);
        }
        3 => {
            let truth = truth.clone();
            let answer = kit.fetch_with(key, move |key| Outcome::Value(truth.value(*key)));
            seen.fetched(&answered(&[key], vec![answer], is_expected));
        }
        4 => {
            if let Some(value) = kit.peek(key) {
                seen.see(key, value);
            }
        }
        // Of each key there is one writer, so that its versions come in order.
        5 => {
            if let Some(key) = mine {
                let value = truth.change(key);
                kit.set(key, value);
                seen.see(key, value);
            }
        }
        _ => {
            if let Some(key) = mine {
                let value = truth.change(key);
                kit.invalidate(key);
                seen.see(key, value);
            }
        }
    }
}

/// Eight callers, two loaders that call each other's keys, a queue with little room, a clock, a refresh
/// sweep, invalidations, writes, and a bucket that is closed at some time: everybody is answered, nobody
/// sees a key go back, and nothing is left behind.
#[test]
fn loads_everything_at_once() {
    run_schedules("loads_everything_at_once", || {
        let config = Config {
            queue_capacity: 3,
            linger: if draw(2) == 0 { SECOND } else { Duration::ZERO },
            ..config()
        };
        let truth = Truth::default();
        let kit = {
            let truth = truth.clone();
            Kit::with(&config, move |call, key| {
                if draw(3) == 0 {
                    let _ = call.fetch((key + 1) % KEYS);
                }
                Ok(Outcome::Value(truth.value(key)))
            })
        };
        for key in 0..KEYS / 2 {
            kit.set(key, truth.value(key));
        }
        let loaders = workers(&kit, 2);
        let sweep = kit.sweep(&[0, 1, 2]);
        let mut callers = Vec::new();
        let over = Arc::new(AtomicU8::new(0));
        for caller in 0..CALLERS {
            let (truth, over) = (truth.clone(), Arc::clone(&over));
            callers.push(spawn(&kit, move |kit| {
                let mut seen = Seen::default();
                let mine = (caller < KEYS).then_some(caller);
                for _ in 0..3 {
                    call_anything(&kit, &truth, &mut seen, mine);
                }
                over.fetch_add(1, SeqCst);
            }));
        }
        let early = (draw(2) == 0).then(|| spawn(&kit, |kit| kit.loads.close()));
        // Time passes for as long as somebody may be waiting for it.
        while over.load(SeqCst) < CALLERS {
            kit.time.advance(SECOND);
            thread::yield_now();
        }
        join(callers);
        join(early.into_iter().collect());
        kit.loads.close();
        join(loaders);
        sweep.give_up();
        assert!(sweep.promise().is_answered());
        let stats = kit.stats();
        assert!(stats.loaded + stats.absent <= stats.keys_asked);
        assert!(stats.keys_asked <= kit.ended(), "{stats:?}");
        kit.drained();
    });
}
