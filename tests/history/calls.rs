//! Calls of a bucket, each made and written down.

use crate::{
    id::Id,
    record::{EpochSeen, Group, Key, Kind, Log},
};
use larder::{Bucket, DefaultHashBuilder, Reader};

pub(crate) type Store = Bucket<Id, u64>;

pub(crate) fn publish(bucket: &Store, log: &mut Log) {
    match log.timed(|| bucket.publish()) {
        (Ok(epoch), span) => {
            log.publishes.push(EpochSeen { epoch, span });
            log.epochs.push(EpochSeen { epoch, span });
        }
        (Err(error), _) => log.complaints.push(format!("publish: {error}")),
    }
}

pub(crate) fn peek(bucket: &Store, log: &mut Log, key: Key) {
    let (value, span) = log.timed(|| bucket.peek(&Id(key)));
    log.saw(key, value, span);
}

pub(crate) fn reader_get(
    reader: &mut Reader<Id, u64, DefaultHashBuilder>,
    log: &mut Log,
    key: Key,
) {
    let (value, span) = log.timed(|| reader.get(&Id(key)).copied());
    log.saw(key, value, span);
}

pub(crate) fn set(bucket: &Store, log: &mut Log, key: Key) {
    let value = log.fresh();
    let ((), span) = log.timed(|| bucket.set(Id(key), value));
    log.push(Kind::Write, key, value, span);
}

pub(crate) fn set_if_absent(bucket: &Store, log: &mut Log, key: Key) {
    let value = log.fresh();
    match log.timed(|| bucket.set_if_absent(Id(key), value)) {
        (Ok(()), span) => log.push(Kind::WriteIfAbsent, key, value, span),
        (Err(there), span) => log.push(Kind::Read, key, there, span),
    }
}

pub(crate) fn invalidate(bucket: &Store, log: &mut Log, key: Key) {
    let ((), span) = log.timed(|| bucket.invalidate(&Id(key)));
    log.push(Kind::Remove, key, 0, span);
}

pub(crate) fn invalidate_many(bucket: &Store, log: &mut Log, keys: &[Key]) {
    let ids: Vec<Id> = keys.iter().copied().map(Id).collect();
    let ((), span) = log.timed(|| bucket.invalidate_many(&ids));
    for &key in keys {
        log.push(Kind::Remove, key, 0, span);
    }
}

pub(crate) fn set_many(bucket: &Store, log: &mut Log, keys: &[Key]) {
    let group: Group = keys.iter().map(|&key| (key, log.fresh())).collect();
    let pairs: Vec<(Id, u64)> = group.iter().map(|&(key, value)| (Id(key), value)).collect();
    let ((), span) = log.timed(|| bucket.set_many(pairs));
    for &(key, value) in &group {
        log.push(Kind::Write, key, value, span);
    }
    log.groups.push(group);
}

pub(crate) fn get_many(bucket: &Store, log: &mut Log, keys: &[Key]) {
    let ids: Vec<Id> = keys.iter().copied().map(Id).collect();
    let (values, span) = log.timed(|| bucket.get_many(&ids));
    for (&key, value) in keys.iter().zip(values) {
        log.saw(key, value, span);
    }
}

pub(crate) fn see_epoch(bucket: &Store, log: &mut Log) {
    let (epoch, span) = log.timed(|| bucket.epoch());
    log.epochs.push(EpochSeen { epoch, span });
}
