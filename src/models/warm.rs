//! Models of warmers: what a run brings is one group, and older than what is written meanwhile; whoever asks for a run
//! is answered, also while the bucket is stopped.

use std::sync::atomic::{AtomicU64 as Unseen, Ordering::SeqCst};
use std::time::Duration;

use super::load_kit::{Kit, LONG, Touchy, quiet_panic};
use super::support::{Data, run_model, spawn, store};
use crate::error::{BoxError, Error, ErrorKind};
use crate::load::Promise;
use crate::loader::{Warmed, Warmer, Warming};
use crate::refresh::control::Reply;
use crate::refresh::warm::{Runs, Times, WarmerThread};
use crate::store::fold::Folder;
use crate::sync::atomic::AtomicU64;
use crate::sync::{Arc, order, thread};

const SECOND: Duration = Duration::from_secs(1);

/// A run begins, then `act` changes one of its keys, while what it brings comes in and the folder folds.
fn began_before(act: fn(&Data), left: Option<u8>) -> impl Fn() {
    move || {
        let (data, mut folder) = store([]);
        let load = data.0.begin_load();
        let writer = spawn(&data, act);
        let number = load.number();
        let warmer = spawn(&data, move |data| {
            data.install_group(number, [(1, 99)]);
        });
        folder.fold(&data.0);
        writer.join().unwrap();
        warmer.join().unwrap();
        drop(load);
        assert_eq!(data.peek(1), left);
    }
}

#[test]
fn warm_that_began_before_a_set() {
    let model = began_before(|data| data.set(1, 20), Some(20));
    run_model("warm_that_began_before_a_set", 230000, model);
}

#[test]
fn warm_that_began_before_an_invalidation() {
    let model = began_before(|data| data.invalidate(1), None);
    run_model("warm_that_began_before_an_invalidation", 230000, model);
}

/// What one run brings is in a snapshot whole or not at all.
#[test]
fn warm_is_one_group() {
    run_model("warm_is_one_group", 600, || {
        let (data, mut folder) = store([]);
        let load = data.0.begin_load();
        let number = load.number();
        let warmer = spawn(&data, move |data| {
            data.install_group(number, [(1, 1), (2, 2)]);
        });
        folder.fold(&data.0);
        let folded = (data.folded(1), data.folded(2));
        assert_eq!(folded.0.is_some(), folded.1.is_some(), "half a run");
        warmer.join().unwrap();
        drop(load);
        folder.fold(&data.0);
        assert_eq!((data.folded(1), data.folded(2)), (Some(1), Some(2)));
    });
}

/// What a warmer of a model does.
struct Script<F>(F);

impl<F> Warmer<u8, u64> for Script<F>
where
    F: Fn(&Warming<'_, u8, u64>) -> Result<u64, BoxError> + Send + Sync + 'static,
{
    fn warm(&self, bucket: &Warming<'_, u8, u64>) -> Result<Warmed<u8, u64>, BoxError> {
        (self.0)(bucket).map(|value| Warmed::pairs([(1, value)]))
    }
}

/// A warmer's runs, and its thread, which has not begun.
fn warmer<F>(kit: &Kit, every: Option<Duration>, says: F) -> (Arc<Runs>, impl FnOnce() + 'static)
where
    F: Fn(&Warming<'_, u8, u64>) -> Result<u64, BoxError> + Send + Sync + 'static,
{
    let runs = Runs::new("model".into());
    let thread = WarmerThread::<u8, u64, Touchy> {
        runs: Arc::clone(&runs),
        warmer: Box::new(Script(says)),
        times: Times {
            every,
            retry: None,
            jitter: 0.0,
        },
        store: Arc::clone(&kit.store),
        loads: Arc::clone(&kit.loads),
        stats: Arc::clone(&kit.stats),
        events: Arc::clone(&kit.events),
        clock: kit.time.clock(),
        ttl: None,
        wait_limit: LONG,
    };
    (runs, move || thread.work())
}

fn wait(kit: &Kit, reply: &Reply<()>) -> Result<(), Error> {
    let answer = reply.wait(&kit.time.clock(), LONG);
    answer.expect("time stands still").clone()
}

/// The source changes, and then the key is written, while a warmer runs: what it has read before does not overwrite that,
/// whenever it has begun.
#[test]
fn warm_against_a_set() {
    run_model("warm_against_a_set", 2500, || {
        let kit = Kit::without_loader();
        let source = Arc::new(AtomicU64::new(10));
        let reading = Arc::clone(&source);
        let (runs, work) = warmer(&kit, None, move |_| Ok(reading.load(order::COUNT)));
        let reply = runs.ask();
        let thread = thread::spawn(work);
        source.store(20, order::COUNT);
        kit.set(1, 20);
        wait(&kit, &reply).unwrap();
        assert_eq!(kit.peek(1), Some(20));
        runs.stop();
        thread.join().unwrap();
        assert_eq!(kit.peek(1), Some(20));
    });
}

/// The bucket is reset while a warmer runs: who has waited for the run finds what was read after the reset.
#[test]
fn warm_against_a_reset() {
    run_model("warm_against_a_reset", 200, || {
        let kit = Kit::without_loader();
        let source = Arc::new(Unseen::new(10));
        let reading = Arc::clone(&source);
        let (runs, work) = warmer(&kit, None, move |_| Ok(reading.load(SeqCst)));
        let reply = runs.ask();
        let thread = thread::spawn(work);
        kit.peek(2);
        source.store(11, SeqCst);
        let mut folder = Folder::new();
        folder.reset(&kit.store, 1);
        let at_reset = reply.peek().is_some();
        wait(&kit, &reply).unwrap();
        // A run that was over by the time of the reset is gone with the rest.
        match kit.peek(1) {
            Some(value) => assert_eq!(value, 11),
            None => assert!(at_reset, "a run of after the reset has brought nothing"),
        }
        runs.stop();
        thread.join().unwrap();
    });
}

/// A run is asked for while the bucket is stopped: done, or closed, and never no answer.
#[test]
fn warm_against_stop() {
    run_model("warm_against_stop", 500, || {
        let kit = Kit::without_loader();
        let (runs, work) = warmer(&kit, None, |_| Ok(10));
        let thread = thread::spawn(work);
        let stopping = Arc::clone(&runs);
        let stopper = thread::spawn(move || stopping.stop());
        let reply = runs.ask();
        match wait(&kit, &reply) {
            Ok(()) => assert_eq!(kit.peek(1), Some(10)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
        }
        stopper.join().unwrap();
        thread.join().unwrap();
    });
}

/// The same of a warmer that returns only when who has waited for it was answered.
#[test]
fn warm_that_hangs_against_stop() {
    run_model("warm_that_hangs_against_stop", 10, || {
        let kit = Kit::without_loader();
        let answered = Arc::new(Promise::new());
        let (hangs, clock) = (Arc::clone(&answered), kit.time.clock());
        let (runs, work) = warmer(&kit, None, move |_| {
            let _: Option<&()> = hangs.wait(&clock, LONG);
            Ok(10)
        });
        let reply = runs.ask();
        let thread = thread::spawn(work);
        kit.peek(1);
        runs.stop();
        let ended = wait(&kit, &reply);
        assert_eq!(ended.map_err(|error| error.kind()), Err(ErrorKind::Closed));
        answered.answer(());
        thread.join().unwrap();
    });
}

/// A run that fails, by an error or a panic, is followed by the next when its time comes.
#[test]
fn warm_again_after_a_failure() {
    run_model("warm_again_after_a_failure", 1400, || {
        let kit = Kit::without_loader();
        let (count, again) = (Unseen::new(0), Arc::new(Promise::new()));
        let well = Arc::clone(&again);
        let (runs, work) = warmer(&kit, Some(SECOND), move |_| {
            match count.fetch_add(1, SeqCst) {
                0 => quiet_panic(),
                1 => Err("planned".into()),
                run => {
                    well.answer(());
                    Ok(run)
                }
            }
        });
        let reply = runs.ask();
        let thread = thread::spawn(work);
        let failed = wait(&kit, &reply);
        assert_eq!(
            failed.map_err(|error| error.kind()),
            Err(ErrorKind::Panicked)
        );
        kit.time.advance(SECOND);
        let reply = runs.ask();
        // The second run, for who has asked or by its time, fails as well.
        let second = wait(&kit, &reply);
        kit.time.advance(SECOND);
        assert!(again.wait(&kit.time.clock(), LONG).is_some());
        drop(second);
        runs.stop();
        thread.join().unwrap();
    });
}
