//! Models of the refresher: whoever asks it for something is answered, also while it is stopped.

use std::sync::atomic::{AtomicU64 as Unseen, Ordering::SeqCst};

use super::load_kit::{Kit, LONG, config, fresh};
use super::support::run_model;
use crate::config::Config;
use crate::error::{BoxError, Error, ErrorKind};
use crate::load::Promise;
use crate::loader::{DatasetLoader, Outcome};
use crate::refresh::Validators;
use crate::refresh::control::{Control, Reply};
use crate::refresh::dataset::Fetcher;
use crate::refresh::worker::Refresher;
use crate::sync::{Arc, thread};

pub(super) struct Refreshed {
    pub(super) kit: Kit,
    pub(super) control: Arc<Control<u8, u64>>,
    refresher: Option<thread::JoinHandle<()>>,
}

impl Refreshed {
    fn new(kit: Kit, fetcher: Option<Arc<Fetcher<u8, u64>>>) -> Self {
        Self::with(kit, fetcher, &config())
    }

    pub(super) fn with(kit: Kit, fetcher: Option<Arc<Fetcher<u8, u64>>>, config: &Config) -> Self {
        let control = Arc::new(Control::new(Arc::clone(kit.store.bell())));
        let refresher = Refresher::new(
            Arc::clone(&kit.store),
            Arc::clone(&kit.loads),
            Arc::clone(&control),
            fetcher,
            Arc::clone(&kit.stats),
            Arc::clone(&kit.events),
            kit.time.clock(),
            config,
        );
        let refresher = Some(thread::spawn(move || refresher.work()));
        Self {
            kit,
            control,
            refresher,
        }
    }

    pub(super) fn wait<T: Clone>(&self, reply: &Reply<T>) -> Result<T, Error> {
        let answer = reply.wait(&self.kit.time.clock(), LONG);
        answer.expect("time stands still").clone()
    }

    pub(super) fn join(&mut self) {
        if let Some(refresher) = self.refresher.take() {
            refresher.join().unwrap();
        }
    }
}

/// `publish` while the refresher is stopped: done, or closed, and never no answer.
#[test]
fn refresh_publish_against_stop() {
    run_model("refresh_publish_against_stop", 330, || {
        let kit = Kit::new(fresh);
        kit.set(1, 7);
        let mut refreshed = Refreshed::new(kit, None);
        let control = Arc::clone(&refreshed.control);
        let stopper = thread::spawn(move || control.stop());
        let reply = refreshed.control.ask(|requests| &mut requests.publish);
        match refreshed.wait(&reply) {
            Ok(epoch) => assert_eq!(epoch, refreshed.kit.store.view().current.epoch),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
        }
        stopper.join().unwrap();
        refreshed.join();
    });
}

/// `publish` holds what its caller wrote before, whatever the refresher is at.
#[test]
fn refresh_publish_holds_what_was_written() {
    run_model("refresh_publish_holds_what_was_written", 550, || {
        let mut refreshed = Refreshed::new(Kit::new(fresh), None);
        let first = refreshed.control.ask(|requests| &mut requests.publish);
        refreshed.kit.set(1, 7);
        let second = refreshed.control.ask(|requests| &mut requests.publish);
        let epoch = refreshed.wait(&second).unwrap();
        assert_eq!(epoch, 1);
        let view = refreshed.kit.store.load_view();
        assert_eq!(view.current.table.len(), 1);
        assert!(refreshed.wait(&first).unwrap() <= epoch);
        refreshed.control.stop();
        refreshed.join();
    });
}

/// A refresh by key, and the whole bucket is stopped meanwhile, as a shutdown does it.
#[test]
fn refresh_sweep_against_shutdown() {
    run_model("refresh_sweep_against_shutdown", 660, || {
        let kit = Kit::new(fresh);
        kit.set(1, 7);
        let worker = kit.clone();
        let worker = thread::spawn(move || worker.loads.work());
        let mut refreshed = Refreshed::new(kit, None);
        let reply = refreshed.control.ask(|requests| &mut requests.refresh);
        refreshed.control.stop();
        refreshed.kit.loads.close();
        if let Err(error) = refreshed.wait(&reply) {
            assert_eq!(error.kind(), ErrorKind::Closed);
        }
        refreshed.join();
        worker.join().unwrap();
        refreshed.kit.at_rest();
    });
}

/// A refresh by key ends by itself, and the refresher learns of it.
#[test]
fn refresh_sweep_ends() {
    run_model("refresh_sweep_ends", 4000, || {
        let kit = Kit::new(fresh);
        kit.set(1, 7);
        let worker = kit.clone();
        let worker = thread::spawn(move || worker.loads.work());
        let mut refreshed = Refreshed::new(kit, None);
        let reply = refreshed.control.ask(|requests| &mut requests.refresh);
        refreshed.wait(&reply).unwrap();
        assert_eq!(refreshed.kit.asked(), [1]);
        assert_eq!(refreshed.kit.stats().refreshes, 1);
        refreshed.control.stop();
        refreshed.kit.loads.close();
        refreshed.join();
        worker.join().unwrap();
        refreshed.kit.at_rest();
    });
}

/// A key is invalidated while a sweep reloads it: a load that began before does not bring it back.
#[test]
fn refresh_sweep_does_not_bring_back() {
    run_model("refresh_sweep_does_not_bring_back", 150, || {
        let gone = Arc::new(Unseen::new(0));
        let kit = {
            let gone = Arc::clone(&gone);
            Kit::new(move |_, _| Ok(Outcome::Value(10 + gone.load(SeqCst))))
        };
        kit.set(1, 7);
        let sweep = kit.sweep(&[1]);
        let worker = kit.clone();
        let worker = thread::spawn(move || worker.loads.work());
        // A step, before which the reload may begin.
        kit.peek(1);
        gone.store(1, SeqCst);
        kit.invalidate(1);
        assert!(sweep.promise().wait(&kit.time.clock(), LONG).is_some());
        kit.loads.close();
        worker.join().unwrap();
        // 11: reloaded by who asked the source after the invalidation had begun.
        assert!([None, Some(11)].contains(&kit.peek(1)));
        kit.at_rest();
    });
}

/// A dataset whose values tell when it was read.
struct Dataset {
    time: Unseen,
    read: Promise<()>,
}

impl Dataset {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            time: Unseen::new(0),
            read: Promise::new(),
        })
    }
}

impl DatasetLoader<u8, u64> for Arc<Dataset> {
    fn load_all(&self) -> Result<Box<dyn Iterator<Item = (u8, u64)> + '_>, BoxError> {
        let time = self.time.load(SeqCst);
        self.read.answer(());
        Ok(Box::new([(1, 70 + time), (2, 80 + time)].into_iter()))
    }
}

/// A dataset is fetched while the bucket is stopped: the refresh is answered, and what the dataset
/// brought is there whole or not at all.
#[test]
fn refresh_dataset_against_stop() {
    run_model("refresh_dataset_against_stop", 440, || {
        let fetcher = Arc::new(Fetcher::new(
            Box::new(Dataset::new()),
            Validators::default(),
            None,
        ));
        let mut refreshed = Refreshed::new(Kit::without_loader(), Some(Arc::clone(&fetcher)));
        let thread = {
            let (fetcher, store) = (Arc::clone(&fetcher), Arc::clone(&refreshed.kit.store));
            let control = Arc::clone(&refreshed.control);
            let stats = Arc::clone(&refreshed.kit.stats);
            thread::spawn(move || fetcher.work(&store, &control, &stats))
        };
        let reply = refreshed.control.ask(|requests| &mut requests.refresh);
        refreshed.control.stop();
        fetcher.stop();
        let ended = refreshed.wait(&reply);
        refreshed.join();
        thread.join().unwrap();
        let found = [1, 2].map(|key| refreshed.kit.peek(key));
        match ended {
            Ok(()) => assert_eq!(found, [Some(70), Some(80)]),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Closed);
                assert_eq!(found, [None, None]);
            }
        }
    });
}

/// A dataset is fetched while the bucket is cleared: what was read before the clear does not come
/// back, it is read again for who asked.
#[test]
fn refresh_dataset_against_clear() {
    run_model("refresh_dataset_against_clear", 12000, || {
        let dataset = Dataset::new();
        let fetcher = Arc::new(Fetcher::new(
            Box::new(Arc::clone(&dataset)),
            Validators::default(),
            None,
        ));
        let mut refreshed = Refreshed::new(Kit::without_loader(), Some(Arc::clone(&fetcher)));
        let thread = {
            let (fetcher, store) = (Arc::clone(&fetcher), Arc::clone(&refreshed.kit.store));
            let control = Arc::clone(&refreshed.control);
            let stats = Arc::clone(&refreshed.kit.stats);
            thread::spawn(move || fetcher.work(&store, &control, &stats))
        };
        let refresh = refreshed.control.ask(|requests| &mut requests.refresh);
        dataset.read.wait(&refreshed.kit.time.clock(), LONG);
        dataset.time.store(1, SeqCst);
        let clear = refreshed.control.ask(|requests| &mut requests.clear);
        refreshed.wait(&clear).unwrap();
        refreshed.wait(&refresh).unwrap();
        refreshed.control.stop();
        fetcher.stop();
        refreshed.join();
        thread.join().unwrap();
        let found = [1, 2].map(|key| refreshed.kit.peek(key));
        // Read after the clear was asked for; or gone, if the refresh was over by then.
        assert!(
            [[None, None], [Some(71), Some(81)]].contains(&found),
            "{found:?}"
        );
    });
}
