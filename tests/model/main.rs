//! The state machine: random operations on a bucket and on a plain model of it, compared through every
//! read path after every step.

#![allow(
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test may lock and unwrap as it likes"
)]

mod evicting;
mod full;
mod machine;
#[cfg(feature = "dump")]
mod restored;

use std::hash::{BuildHasher, Hasher};

use machine::{Change, KEYS, Machine, Mood, Op, Said, Shape, Traits};
use proptest::collection::vec;
use proptest::prelude::*;

/// Puts every key on one hash.
#[derive(Clone, Copy)]
struct Constant;

impl BuildHasher for Constant {
    type Hasher = Self;
    fn build_hasher(&self) -> Self {
        Self
    }
}

impl Hasher for Constant {
    fn finish(&self) -> u64 {
        42
    }
    fn write(&mut self, _: &[u8]) {}
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        4 => any::<u32>().prop_map(Said::Value),
        2 => (any::<u32>(), 0..1500_u16).prop_map(|(v, ttl)| Said::Expiring(v, ttl)),
        1 => any::<u32>().prop_map(Said::Ignore),
        1 => Just(Said::Absent),
        1 => Just(Said::Error),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        1 => Just(Change::Keep),
        2 => any::<u32>().prop_map(Change::Set),
        1 => (any::<u32>(), 0..1500_u16).prop_map(|(v, ttl)| Change::SetWithTtl(v, ttl)),
        1 => Just(Change::Remove),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..KEYS;
    let keys = || vec(0..KEYS, 0..8);
    let ttl = || 0..1500_u16;
    prop_oneof![
        4 => (key(), any::<u32>()).prop_map(|(k, v)| Op::Set(k, v)),
        2 => (key(), any::<u32>(), ttl()).prop_map(|(k, v, ttl)| Op::SetWithTtl(k, v, ttl)),
        1 => (vec((key(), any::<u32>()), 0..6), ttl())
            .prop_map(|(pairs, ttl)| Op::SetManyWithTtl(pairs, ttl)),
        1 => (key(), ttl()).prop_map(|(k, ttl)| Op::ExpireIn(k, ttl)),
        1 => (key(), ttl()).prop_map(|(k, ttl)| Op::ExpireAt(k, ttl)),
        1 => key().prop_map(Op::Persist),
        1 => key().prop_map(Op::Touch),
        2 => (key(), any::<u32>(), 0..4_u8).prop_map(|(k, v, bits)| Op::SetWithTags(k, v, bits)),
        3 => (0..2_u8).prop_map(Op::InvalidateTag),
        2 => (key(), any::<u32>()).prop_map(|(k, v)| Op::SetIfAbsent(k, v)),
        2 => (key(), any::<u32>(), any::<bool>()).prop_map(|(k, by, b)| Op::Update(k, by, b)),
        1 => key().prop_map(Op::Take),
        2 => vec((key(), change()), 0..6).prop_map(Op::Step),
        1 => (0..4_u8).prop_map(Op::InvalidateIf),
        2 => vec((key(), any::<u32>()), 0..6).prop_map(Op::SetMany),
        2 => (vec((key(), any::<u32>()), 0..6), vec((key(), any::<u32>()), 0..2))
            .prop_map(|(brings, sets)| Op::Warm(brings, sets)),
        2 => key().prop_map(Op::Invalidate),
        1 => keys().prop_map(Op::InvalidateMany),
        1 => Just(Op::Clear),
        1 => any::<u8>().prop_map(Op::Reset),
        1 => (key(), said()).prop_map(|(k, s)| Op::FetchThroughReset(k, s)),
        3 => Just(Op::Publish),
        3 => key().prop_map(Op::Fetch),
        2 => keys().prop_map(Op::FetchMany),
        2 => (key(), said()).prop_map(|(k, s)| Op::FetchWith(k, s)),
        2 => keys().prop_map(Op::RequestLoad),
        2 => Just(Op::Refresh),
        1 => Just(Op::Keep),
        1 => Just(Op::Forget),
        3 => (0..500_u16).prop_map(Op::Advance),
        1 => prop_oneof![1 => Just(false), 3 => Just(true)].prop_map(Op::Caching),
        2 => (key(), any::<bool>()).prop_map(|(k, exists)| Op::Exists(k, exists)),
        2 => key().prop_map(Op::Die),
        1 => key().prop_map(Op::DieAndTell),
        4 => (key(), said()).prop_map(|(k, s)| Op::Source(k, s)),
        1 => prop_oneof![3 => Just(Mood::Well), 1 => Just(Mood::Fails), 1 => Just(Mood::Panics)]
            .prop_map(Op::Mood),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    vec(op(), 1..60)
}

/// Scripted panics would fill the output with their traces.
fn quiet() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&"scripted") {
                usual(info);
            }
        }));
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_bucket_with_a_single_loader_is_its_model(ops in ops()) {
        quiet();
        Machine::new(Shape::Single, larder::DefaultHashBuilder::default(), 2, None).run(&ops);
    }

    #[test]
    fn a_bucket_with_a_batch_loader_is_its_model(ops in ops()) {
        quiet();
        Machine::new(Shape::Bulk, larder::DefaultHashBuilder::default(), 2, None).run(&ops);
    }

    #[test]
    fn a_bucket_with_a_dataset_is_its_model(ops in ops()) {
        quiet();
        Machine::new(Shape::Dataset, larder::DefaultHashBuilder::default(), 2, None).run(&ops);
    }

    #[test]
    fn a_bucket_whose_values_expire_is_its_model(ops in ops()) {
        quiet();
        let ttl = Some(std::time::Duration::from_millis(700));
        Machine::new(Shape::Dataset, larder::DefaultHashBuilder::default(), 2, ttl).run(&ops);
    }

    #[test]
    fn a_bucket_that_asks_what_exists_is_its_model(ops in ops()) {
        quiet();
        let traits = Traits { asks: true, ..Traits::default() };
        Machine::with(Shape::Single, larder::DefaultHashBuilder::default(), 2, None, traits).run(&ops);
    }

    #[test]
    fn a_bucket_whose_values_die_is_its_model(ops in ops()) {
        quiet();
        let traits = Traits { mortal: true, ..Traits::default() };
        Machine::with(Shape::Bulk, larder::DefaultHashBuilder::default(), 2, None, traits).run(&ops);
    }

    #[test]
    fn a_bucket_whose_values_expire_or_die_is_its_model(ops in ops()) {
        quiet();
        let traits = Traits { mortal: true, asks: true, ..Traits::default() };
        let ttl = Some(std::time::Duration::from_millis(700));
        Machine::with(Shape::Dataset, larder::DefaultHashBuilder::default(), 2, ttl, traits).run(&ops);
    }

    #[test]
    fn a_bucket_that_counts_is_its_model(ops in ops(), mortal in any::<bool>(), expires in any::<bool>()) {
        quiet();
        let traits = Traits { mortal, counts: true, ..Traits::default() };
        let ttl = expires.then_some(std::time::Duration::from_millis(700));
        Machine::with(Shape::Bulk, larder::DefaultHashBuilder::default(), 2, ttl, traits).run(&ops);
    }

    #[test]
    fn a_bucket_that_is_refreshed_in_slices_is_its_model(ops in ops(), expires in any::<bool>()) {
        quiet();
        let traits = Traits { sliced: true, ..Traits::default() };
        let ttl = expires.then_some(std::time::Duration::from_millis(700));
        Machine::with(Shape::Dataset, larder::DefaultHashBuilder::default(), 2, ttl, traits).run(&ops);
    }

    #[test]
    fn a_bucket_whose_keys_share_a_hash_is_its_model(ops in ops()) {
        quiet();
        Machine::new(Shape::Bulk, Constant, 1, None).run(&ops);
    }
}
