//! The index holds what is cached with tags, and nothing else for longer than a fold.

use std::time::Duration;

use crate::DefaultHashBuilder;
use crate::clock::{Deadline, ManualClock};
use crate::store::fold::Folder;
use crate::store::{Content, Limits, Policy, Store, Terms};
use crate::table::Table;
use crate::tags::Tags;

type Data = Store<u64, u64, DefaultHashBuilder>;

const SECOND: Duration = Duration::from_secs(1);

struct Kit {
    store: Data,
    folder: Folder<u64, u64>,
    time: ManualClock,
}

impl Kit {
    fn new() -> Self {
        let time = ManualClock::new();
        let terms = Terms {
            limits: Some(Limits::new(1000, None, Some(Policy::LastTouch))),
            ..Terms::default()
        };
        let hasher = DefaultHashBuilder::default();
        let store = Store::holding(Table::empty(), 0, hasher, time.clock(), terms);
        let mut folder = Folder::new();
        folder.track_stale();
        let mut kit = Self {
            store,
            folder,
            time,
        };
        for key in 0..10 {
            kit.set_tagged(key, Deadline::NEVER);
        }
        kit.fold();
        assert_eq!(kit.folder.tagged_keys(), 10);
        kit
    }

    fn set_tagged(&self, key: u64, expires: Deadline) {
        let tags = Tags::from([format!("key:{key}"), "all".into()]);
        let content = self.store.weighed(&key, Content::until(key, expires));
        let written = self
            .store
            .write_tagged(self.store.hash(&key), key, content, Some(&tags));
        assert!(written.is_ok());
    }

    fn write(&self, key: u64, value: Option<u64>) {
        let content = self.store.weighed(&key, value.into());
        assert!(
            self.store
                .write(self.store.hash(&key), key, content)
                .is_ok()
        );
    }

    fn fold(&mut self) {
        self.folder.fold(&self.store);
    }

    /// What is remembered at once, and by the fold after.
    #[track_caller]
    fn holds(&mut self, now: usize, later: usize) {
        assert_eq!(self.folder.tagged_keys(), now);
        // Something to fold.
        self.write(100, Some(0));
        self.fold();
        assert_eq!(self.folder.tagged_keys(), later);
        assert_eq!(
            self.folder.known_tags(),
            if later == 0 { 0 } else { later + 1 }
        );
    }
}

#[test]
fn what_is_overwritten_or_removed_is_forgotten() {
    let mut kit = Kit::new();
    (0..3).for_each(|key| kit.write(key, Some(1)));
    (3..5).for_each(|key| kit.write(key, None));
    kit.set_tagged(5, Deadline::NEVER);
    kit.fold();
    kit.holds(5, 5);
}

#[test]
fn what_expires_is_forgotten_by_the_fold_after() {
    let mut kit = Kit::new();
    let soon = Deadline::after(&kit.time.clock(), SECOND);
    (0..4).for_each(|key| kit.set_tagged(key, soon));
    kit.fold();
    // One that was never in a table.
    kit.set_tagged(20, soon);
    kit.time.advance(SECOND);
    kit.fold();
    kit.holds(11, 6);
}

#[test]
fn what_is_evicted_is_forgotten_by_the_fold_after() {
    let mut kit = Kit::new();
    kit.folder.prune(&kit.store, 3);
    kit.holds(10, 3);
}

#[test]
fn what_is_cleared_is_forgotten() {
    let mut kit = Kit::new();
    kit.set_tagged(20, Deadline::NEVER);
    kit.folder.clear(&kit.store);
    kit.holds(0, 0);
}

#[test]
fn what_is_invalidated_is_forgotten() {
    let mut kit = Kit::new();
    kit.set_tagged(20, Deadline::NEVER);
    let mut gone = 0;
    kit.folder
        .invalidate_tags(&kit.store, &Tags::from(["key:3", "key:20"]), |_| gone += 1);
    assert_eq!(gone, 2);
    kit.holds(10, 9);
}

#[test]
fn what_a_dataset_replaces_is_forgotten_by_the_fold_after() {
    let mut kit = Kit::new();
    kit.folder.begin_dataset(&kit.store);
    kit.set_tagged(1, Deadline::NEVER);
    kit.fold();
    kit.set_tagged(2, Deadline::NEVER);
    kit.write(3, Some(1));
    let pairs = (0..20).map(|key| (key, 7));
    let table = Table::from_pairs(pairs, |key| kit.store.hash(key));
    let table = kit.store.limits.as_ref().unwrap().weighed(table);
    kit.folder.publish_dataset(&kit.store, table);
    kit.holds(9, 2);
}

#[test]
fn what_is_taken_out_as_stale_is_forgotten_by_the_fold_after() {
    let mut kit = Kit::new();
    kit.folder.begin_dataset(&kit.store);
    kit.set_tagged(1, Deadline::NEVER);
    kit.fold();
    kit.folder.refresh_failed(&kit.store, SECOND);
    kit.folder.forget_dataset();
    kit.set_tagged(2, Deadline::NEVER);
    assert_eq!(kit.folder.take_out_whole(&kit.store, SECOND), Some(8));
    kit.holds(10, 2);
}
