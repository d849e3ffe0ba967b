//! Models of the reset: loads that are under way, those who wait for them, and resets at once.

use std::sync::Mutex as Plain;
use std::sync::atomic::{AtomicU64 as Unseen, Ordering::SeqCst};
use std::time::Duration;

use super::load_kit::{Kit, LONG, config, fresh, kind, value};
use super::support::run_model;
use crate::error::{Error, ErrorKind};
use crate::loader::Outcome;
use crate::refresh::control::Control;
use crate::refresh::worker::Refresher;
use crate::refresh::{OnReset, Parts, Reset, Resets};
use crate::store::fold::Folder;
use crate::sync::{Arc, thread};

/// A source that tells in which era it was asked.
fn of_eras() -> (Kit, Arc<Unseen>) {
    let era = Arc::new(Unseen::new(0));
    let asked = Arc::clone(&era);
    let kit = Kit::new(move |_, _| Ok(Outcome::Value(10 + asked.load(SeqCst))));
    (kit, era)
}

fn version(kit: &Kit) -> u64 {
    kit.store.view().current.version
}

/// A load is under way, by a loader thread, when the bucket is reset. What is not answered by the end of the reset is
/// answered with what was loaded after it began, and only that is stored.
#[test]
fn reset_against_a_load() {
    run_model("reset_against_a_load", 240, || {
        let (kit, era) = of_eras();
        let requested = kit.request(&[1]);
        let flight = &requested.flights[0];
        let worker = kit.clone();
        let worker = thread::spawn(move || worker.loads.work());
        // A step, before which the load may begin.
        kit.peek(1);
        era.store(1, SeqCst);
        Folder::new().reset(&kit.store, 1);
        let answered = flight.promise().is_answered();
        let told = kit
            .loads
            .wait(flight, false, None, kit.loads.deadline(LONG));
        match told {
            Some(told) => {
                assert_eq!(value(&told), Some(11));
                assert_eq!(kit.peek(1), Some(11));
            }
            None => assert!(answered, "an older answer after the reset"),
        }
        kit.loads.close();
        worker.join().unwrap();
        assert_ne!(kit.peek(1), Some(10));
        kit.at_rest();
    });
}

/// A caller comes at any moment of that. Who knows the version is told nothing of an older one; and there is one load
/// of the key at a time.
#[test]
fn reset_against_a_caller() {
    run_model("reset_against_a_caller", 31000, || {
        let (kit, era) = of_eras();
        let requested = kit.request(&[1]);
        let (caller, resetter) = (kit.clone(), kit.clone());
        let caller = thread::spawn(move || {
            let known = version(&caller);
            let told = value(&caller.fetch(1)).unwrap();
            caller.loads.close();
            (known, told)
        });
        let resetter = thread::spawn(move || {
            era.store(1, SeqCst);
            Folder::new().reset(&resetter.store, 1);
        });
        // Here, so that it is inside the old gate after one interruption.
        kit.loads.work();
        let (known, told) = caller.join().unwrap();
        assert!(told >= 10 + known, "{told} of version {known}");
        resetter.join().unwrap();
        assert!(requested.flights[0].promise().is_answered());
        assert_ne!(kit.peek(1), Some(10));
        kit.at_rest();
    });
}

/// The same with a loader of the caller's own, and one who joins.
#[test]
fn reset_against_a_callers_own_loader() {
    run_model("reset_against_a_callers_own_loader", 240, || {
        let (kit, era) = of_eras();
        let (resetter, moves_on) = (kit.clone(), Arc::clone(&era));
        let resetter = thread::spawn(move || {
            moves_on.store(1, SeqCst);
            Folder::new().reset(&resetter.store, 1);
        });
        let known = version(&kit);
        let mut runs = 0;
        let told = kit.fetch_with(1, |_| {
            runs += 1;
            Outcome::Value(10 + era.load(SeqCst))
        });
        let told = value(&told).unwrap();
        assert!(told >= 10 + known, "{told} of version {known}");
        assert!(runs <= 2, "run {runs} times");
        resetter.join().unwrap();
        assert_ne!(kit.peek(1), Some(10));
        kit.loads.close();
        kit.at_rest();
    });
}

/// A caller with a loader of its own, who has seen the reset: it joins the load that is run again, as there is one load
/// of a key at a time.
#[test]
fn reset_and_then_a_caller() {
    run_model("reset_and_then_a_caller", 470, || {
        let (kit, era) = of_eras();
        let requested = kit.request(&[1]);
        let worker = kit.clone();
        let worker = thread::spawn(move || worker.loads.work());
        // A step, before which the load may begin.
        kit.peek(1);
        era.store(1, SeqCst);
        Folder::new().reset(&kit.store, 1);
        let told = kit.fetch_with(1, |_| Outcome::Value(11));
        assert_eq!(value(&told), Some(11));
        assert!(kit.loads.wait_over(&requested.flights, LONG));
        assert_eq!(kit.peek(1), Some(11));
        kit.loads.close();
        worker.join().unwrap();
        kit.at_rest();
    });
}

/// A call for two keys finds one and waits for the other. Where that was loaded after the reset, what it found is too.
#[test]
fn reset_against_a_call_for_many() {
    run_model("reset_against_a_call_for_many", 5100, || {
        let (kit, era) = of_eras();
        kit.set(1, 10);
        let (worker, resetter) = (kit.clone(), kit.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let resetter = thread::spawn(move || {
            Folder::new().reset(&resetter.store, 1);
            era.store(1, SeqCst);
        });
        let told: Vec<_> = kit.fetch_many(&[1, 2]).iter().map(value).collect();
        assert!(told != [Some(10), Some(11)], "of two versions");
        resetter.join().unwrap();
        kit.loads.close();
        worker.join().unwrap();
        kit.at_rest();
    });
}

/// A write while a load is under way: what is written after the reset is not cleared, and what the load brought before
/// is not stored over either.
#[test]
fn reset_against_a_set() {
    run_model("reset_against_a_set", 21000, || {
        let (kit, era) = of_eras();
        let requested = kit.request(&[1]);
        let (worker, writer) = (kit.clone(), kit.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let writer = thread::spawn(move || {
            let known = version(&writer);
            writer.set(1, 7);
            known
        });
        era.store(1, SeqCst);
        Folder::new().reset(&kit.store, 1);
        assert!(kit.loads.wait_over(&requested.flights, LONG));
        let known = writer.join().unwrap();
        kit.loads.close();
        worker.join().unwrap();
        // 11: loaded by who asked the source after the `set` had begun.
        match kit.peek(1) {
            Some(7 | 11) => {}
            None => assert_eq!(known, 0, "written after the reset, and gone"),
            found => panic!("{found:?}"),
        }
        kit.at_rest();
    });
}

/// Folds before and after: what they copied is gone, and the echo and the floor are no answer's business.
#[test]
fn reset_between_folds() {
    run_model("reset_between_folds", 3800, || {
        let (kit, era) = of_eras();
        kit.set(1, 7);
        kit.set(2, 7);
        let requested = kit.request(&[1]);
        let worker = kit.clone();
        let worker = thread::spawn(move || worker.loads.work());
        let mut folder = Folder::new();
        folder.fold(&kit.store);
        era.store(1, SeqCst);
        folder.reset(&kit.store, 1);
        folder.fold(&kit.store);
        let told = kit
            .loads
            .wait(&requested.flights[0], false, None, kit.loads.deadline(LONG));
        if let Some(told) = told {
            assert_eq!((value(&told), kit.peek(1)), (Some(11), Some(11)));
        }
        assert_eq!(kit.peek(2), None);
        folder.fold(&kit.store);
        assert_eq!(version(&kit), 1);
        assert!([None, Some(11)].contains(&kit.peek(1)));
        kit.loads.close();
        worker.join().unwrap();
        kit.at_rest();
    });
}

/// The bucket is closed at any moment of it: whoever waits is answered.
#[test]
fn reset_against_close() {
    run_model("reset_against_close", 570, || {
        let (kit, era) = of_eras();
        let requested = kit.request(&[1]);
        let (worker, closer) = (kit.clone(), kit.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let closer = thread::spawn(move || closer.loads.close());
        era.store(1, SeqCst);
        Folder::new().reset(&kit.store, 1);
        let flight = &requested.flights[0];
        let told = kit
            .loads
            .wait(flight, false, None, kit.loads.deadline(LONG));
        if let Some(told) = told {
            let closed = kind(&told) == Some(ErrorKind::Closed);
            assert!(closed || value(&told) == Some(11));
        }
        closer.join().unwrap();
        worker.join().unwrap();
        kit.at_rest();
    });
}

/// A bucket's resets, and the refresher that carries them out.
struct Resetting {
    kit: Kit,
    control: Arc<Control<u8, u64>>,
    resets: Arc<Resets>,
    told: Arc<Plain<Vec<u64>>>,
}

impl Resetting {
    fn new() -> Self {
        let kit = Kit::new(fresh);
        let told = Arc::new(Plain::new(Vec::new()));
        let noting = Arc::clone(&told);
        let callback: OnReset = Box::new(move |version| {
            noting.lock().unwrap().push(version);
            Ok(())
        });
        Self {
            control: Arc::new(Control::new(Arc::clone(kit.store.bell()))),
            resets: Arc::new(Resets::new(Some(callback))),
            kit,
            told,
        }
    }

    fn start(&self) -> thread::JoinHandle<()> {
        let kit = &self.kit;
        let refresher = Refresher::new(
            Arc::clone(&kit.store),
            Arc::clone(&kit.loads),
            Arc::clone(&self.control),
            None,
            Arc::clone(&kit.stats),
            Arc::clone(&kit.events),
            kit.time.clock(),
            &config(),
        );
        thread::spawn(move || refresher.work())
    }

    fn other(&self) -> Self {
        Self {
            kit: self.kit.clone(),
            control: Arc::clone(&self.control),
            resets: Arc::clone(&self.resets),
            told: Arc::clone(&self.told),
        }
    }

    fn reset(&self, version: u64, limit: Duration) -> Result<Reset, Error> {
        let parts = Parts {
            store: &self.kit.store,
            control: &self.control,
            stats: &self.kit.stats,
            events: &self.kit.events,
            clock: &self.kit.time.clock(),
            limit,
        };
        self.resets.reset(version, &parts)
    }

    fn told(&self) -> Vec<u64> {
        self.told.lock().unwrap().clone()
    }
}

/// Two resets at once: the higher version is the bucket's in the end, and the callback hears of each once, in their
/// order.
#[test]
fn reset_two_at_once() {
    run_model("reset_two_at_once", 3600, || {
        let mine = Resetting::new();
        let refresher = mine.start();
        let theirs = mine.other();
        let lower = thread::spawn(move || theirs.reset(1, LONG).unwrap());
        assert_eq!(mine.reset(2, LONG).unwrap(), Reset::Done);
        assert_eq!(version(&mine.kit), 2);
        match lower.join().unwrap() {
            Reset::Done => assert_eq!(mine.told(), [1, 2]),
            Reset::Older => assert_eq!(mine.told(), [2]),
            Reset::Current => panic!("never the current one"),
        }
        assert_eq!(version(&mine.kit), 2);
        mine.control.stop();
        refresher.join().unwrap();
    });
}

/// The same version by two at once: it takes effect once.
#[test]
fn reset_the_same_at_once() {
    run_model("reset_the_same_at_once", 3100, || {
        let mine = Resetting::new();
        let refresher = mine.start();
        let theirs = mine.other();
        let other = thread::spawn(move || theirs.reset(1, LONG).unwrap());
        let done = [mine.reset(1, LONG).unwrap(), other.join().unwrap()];
        assert!(done == [Reset::Done, Reset::Current] || done == [Reset::Current, Reset::Done]);
        assert_eq!((mine.told(), version(&mine.kit)), (vec![1], 1));
        mine.control.stop();
        refresher.join().unwrap();
    });
}

/// The refresher is late, so that who has reset does not wait for it: who resets after that does not ask the callback
/// once more.
#[test]
fn reset_that_is_late() {
    run_model("reset_that_is_late", 480, || {
        let mine = Resetting::new();
        let late = mine.reset(1, Duration::ZERO);
        assert_eq!(late.unwrap_err().kind(), ErrorKind::Timeout);
        let refresher = mine.start();
        mine.reset(1, LONG).unwrap();
        assert_eq!((mine.told(), version(&mine.kit)), (vec![1], 1));
        mine.control.stop();
        refresher.join().unwrap();
    });
}

/// Stopped at any moment of it: done, or closed, and never no answer.
#[test]
fn reset_against_stop() {
    run_model("reset_against_stop", 610, || {
        let mine = Resetting::new();
        let refresher = mine.start();
        let control = Arc::clone(&mine.control);
        let stopper = thread::spawn(move || control.stop());
        match mine.reset(1, LONG) {
            Ok(done) => {
                assert_eq!((done, version(&mine.kit)), (Reset::Done, 1));
                assert_eq!(mine.told(), [1]);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Closed);
                assert_eq!(version(&mine.kit), 0);
            }
        }
        stopper.join().unwrap();
        refresher.join().unwrap();
        assert_eq!(mine.reset(2, LONG).unwrap_err().kind(), ErrorKind::Closed);
    });
}
