//! Models of tasks that wait for loads.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64 as Unseen, Ordering::SeqCst};
use std::task::{Context, Waker};

use super::load_kit::{Kit, block_on, config, fresh, kind, value, value_of};
use super::support::run_model;
use crate::config::Config;
use crate::error::ErrorKind;
use crate::loader::Outcome;
use crate::store::fold::Folder;
use crate::sync::{Arc, thread};

/// A task and a thread miss one key: there is one load, and both have its value.
#[test]
fn task_and_thread_share_a_flight() {
    run_model("task_and_thread_share_a_flight", 3800, || {
        let kit = Kit::new(fresh);
        let (worker, other) = (kit.clone(), kit.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let other = thread::spawn(move || value(&other.fetch(1)));
        assert_eq!(value(&block_on(kit.fetch_async(1))), Some(value_of(1, 0)));
        assert_eq!(other.join().unwrap(), Some(value_of(1, 0)));
        kit.loads.close();
        worker.join().unwrap();
        assert_eq!(kit.asked(), [1]);
        kit.at_rest();
    });
}

/// A task leads a load and goes away: it is loaded and stored, and who has joined is answered.
#[test]
fn task_that_leads_goes_away() {
    run_model("task_that_leads_goes_away", 100, || {
        let kit = Kit::new(fresh);
        let (worker, other) = (kit.clone(), kit.clone());
        let worker = thread::spawn(move || worker.loads.work());
        {
            let mut leads = pin!(kit.fetch_async(1));
            let _ = leads.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        assert_eq!(value(&block_on(other.fetch_async(1))), Some(value_of(1, 0)));
        kit.loads.close();
        worker.join().unwrap();
        assert_eq!((kit.peek(1), kit.asked()), (Some(value_of(1, 0)), vec![1]));
        kit.at_rest();
    });
}

/// The bucket is closed while a task leads and another joins.
#[test]
fn task_against_a_close() {
    run_model("task_against_a_close", 2400, || {
        let kit = Kit::new(fresh);
        let (other, closer) = (kit.clone(), kit.clone());
        let other = thread::spawn(move || block_on(other.fetch_async(1)));
        let closer = thread::spawn(move || closer.loads.close());
        for answer in [block_on(kit.fetch_async(1)), other.join().unwrap()] {
            assert_eq!(kind(&answer), Some(ErrorKind::Closed));
        }
        closer.join().unwrap();
        kit.at_rest();
    });
}

/// The bucket is reset while a task waits: it is told nothing that it may know to be old.
#[test]
fn task_against_a_reset() {
    run_model("task_against_a_reset", 26000, || {
        let era = Arc::new(Unseen::new(0));
        let asked = Arc::clone(&era);
        let kit = Kit::new(move |_, _| Ok(Outcome::Value(10 + asked.load(SeqCst))));
        let requested = kit.request(&[1]);
        let (caller, resetter) = (kit.clone(), kit.clone());
        let caller = thread::spawn(move || {
            let known = caller.store.view().current.version;
            let told = value(&block_on(caller.fetch_async(1))).unwrap();
            caller.loads.close();
            (known, told)
        });
        let resetter = thread::spawn(move || {
            era.store(1, SeqCst);
            Folder::new().reset(&resetter.store, 1);
        });
        kit.loads.work();
        let (known, told) = caller.join().unwrap();
        assert!(told >= 10 + known, "{told} of version {known}");
        resetter.join().unwrap();
        assert!(requested.flights[0].promise().is_answered());
        kit.at_rest();
    });
}

/// The only loader thread drives a task that misses another key: it loads that itself. One that asks for its own key is
/// refused.
#[test]
fn task_inside_a_loader() {
    run_model("task_inside_a_loader", 200, || {
        let single = Config {
            batch_size: 1,
            ..config()
        };
        let kit = Kit::with(&single, |call, key| match key {
            1 => Ok(Outcome::Value(1 + value(&call.fetch_async(2)).unwrap_or(0))),
            3 => Ok(call.fetch_async(3).map(|_| Outcome::Absent)?),
            _ => fresh(call, key),
        });
        let worker = kit.clone();
        let worker = thread::spawn(move || worker.loads.work());
        assert_eq!(
            value(&block_on(kit.fetch_async(1))),
            kit.peek(2).map(|two| two + 1)
        );
        let refused = block_on(kit.fetch_async(3)).unwrap_err();
        let why = std::error::Error::source(&refused).and_then(|why| why.downcast_ref());
        let why = why.map(crate::error::Error::kind);
        assert_eq!(why, Some(ErrorKind::Recursion));
        kit.loads.close();
        worker.join().unwrap();
        kit.at_rest();
    });
}
