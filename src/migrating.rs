//! For who comes from CacheWorker, PayDayLoan, CoopCache, smart-redis or Cachex: what each of their names is here, and
//! what differs. [`features`] goes through what the five do, feature by feature, with the test that shows it here.
//!
//! What is different wherever you come from:
//!
//! * A bucket is a value, and has a type for its keys and one for its values. There is no process, no supervisor and no
//!   table of names: keep it in a static, or pass clones of the handle. Its threads end with the last one.
//! * A loader is a closure, or a type that implements [`Loader`], [`BulkLoader`] or [`DatasetLoader`]. Its state is what
//!   it captures or owns.
//! * A failure is an [`Error`] with a [`kind`](Error::kind) and the loader's own error as its source. It is shared by all
//!   who wait, never cached, and told to the [`observer`](Builder::observer). Nothing is written to a log.
//! * "The source has no such key" is an answer of its own, [`Outcome::Absent`], and not a value. Where `nil` was cached,
//!   let the values be `Option`s.
//! * All waits for a load are bounded, by [`Builder::wait_limit`] or [`Call::timeout`], and end when the answer is there.
//!   Whoever does not wait any longer leaves the load alone: its value is stored when it comes. Only a loader of the
//!   call's own takes as long as it takes, as it runs on the caller's thread.
//! * What several instances do together is not in this version: no peers, no election, no Redis. A bucket is of one
//!   process.
//!
//! # CacheWorker
//!
//! ```
//! use std::time::Duration;
//!
//! // use CacheWorker, bucket: :widgets, refresh_interval: 900
//! let widgets = larder::Bucket::<String, String>::builder("widgets")
//!     .load(|key: &String| Ok::<_, std::io::Error>(format!("a {key}"))) // def load(key)
//!     .refresh_every(Duration::from_secs(900))
//!     .build()?;
//! assert_eq!(widgets.get("bolt").as_deref(), Some("a bolt"));
//! # Ok::<(), larder::BuildError>(())
//! ```
//!
//! | CacheWorker | here | what differs |
//! |---|---|---|
//! | `use CacheWorker`, `child_spec` | [`Bucket::builder`], [`Builder::build`] | a handle, not a module |
//! | `load(key)` | [`Builder::load`], [`Loader`] | once for all who wait, on a thread of the bucket's; there each caller loaded |
//! | `{:ok, value, map}` | [`Loaded::with_pairs`] | the same: exactly the pairs are stored |
//! | `{:error, msg}`, raise, throw, exit | an error, a panic | typed: [`ErrorKind::Load`], [`ErrorKind::Panicked`] |
//! | `init(config)` | [`Builder::init`], [`Init`] | the four answers; skipped where a dump was loaded, as there |
//! | `full_refresh()` | [`Bucket::refresh`] | returns at once, with a ticket to wait on; batch by batch, not with a process for each key; keys that are gone at the source go |
//! | `refresh_interval: 900` | [`Builder::refresh_every`] | no interval if nothing is said; from the end of the last refresh, as there, plus [jitter](Builder::refresh_jitter) |
//! | `refresh_filter(key, result)` | [`Builder::refresh_filter`] | asked before the value is stored, so its answer counts |
//! | `fetch(key)` | [`Bucket::fetch`] | says where the answer came from: [`Origin`] |
//! | `get(key)` | [`Bucket::get`] | the same |
//! | `fetch_no_save(key)`, `skip_save?: true` | [`Call::skip_save`] | [`Origin::Hit`] says that nothing was loaded |
//! | `direct_get`, `direct_set`, `keys` | [`Bucket::peek`], [`Bucket::set`], [`Bucket::keys`] | what is set is in the next dump |
//! | `cache_enabled: false` | [`Bucket::set_caching`] | at any time, and nothing is stored then |
//! | `file: path` | [`dump`](Builder#method.dump), feature `dump` | in the background, whole or not at all, with a checksum; a number of yours says what the values look like |
//! | options of `use` and `child_spec`, `config_fn` | [`Loader::config`], the builder, [`Builder::configure`] | in that order, the last wins; an option that is not there does not compile |
//! | `bucket()` | [`Bucket::name`] | |
//! | `CacheWorker.delete_tables` | drop the last handle, or [`Bucket::shutdown`] | |
//! | `Bucket.key_stream` | [`Snapshot::iter`] | a cut that never changes |
//!
//! Not in this version: `config(key, default)`, as a bucket does not show its options; a bucket found by its name.
//!
//! # PayDayLoan
//!
//! ```
//! // use PayDayLoan, callback_module: MyCacheLoader, batch_size: 100
//! let accounts = larder::Bucket::<u32, String>::builder("accounts")
//!     .exists(|id: &u32| Ok::<_, std::io::Error>(*id < 1_000)) // def key_exists?(key)
//!     .bulk_load(|ids: &[u32]| { // def bulk_load(keys), and new(key, datum)
//!         Ok::<_, std::io::Error>(ids.iter().map(|&id| (id, format!("account {id}"))).collect::<Vec<_>>())
//!     })
//!     .batch_size(100)
//!     .build()?;
//! assert!(accounts.request_load([1, 2, 3]).rejected().is_empty());
//! assert_eq!(accounts.get(&1).as_deref(), Some("account 1"));
//! assert_eq!(accounts.get(&1_000), None);
//! # Ok::<(), larder::BuildError>(())
//! ```
//!
//! | PayDayLoan | here | what differs |
//! |---|---|---|
//! | `callback_module` | [`BulkLoader`], or closures | |
//! | `key_exists?(key)` | [`Builder::exists`] | asked on a loader thread; absences can be remembered as well: [`Builder::exists_absent_for`] |
//! | `bulk_load(keys)`, `new(key, datum)` | [`Builder::bulk_load`], [`BulkLoader::bulk_load`] | one step; a key that is left out is absent, not failed |
//! | `refresh(existing, key, datum)` | [`BulkLoader::bulk_refresh`], [`Loader::refresh`] | given what is cached before it asks the source; [`Outcome::Unchanged`] keeps it |
//! | `{:error, _}`, `:ignore` | [`Outcome::Failed`], [`Outcome::Ignore`] | not the same: what is ignored is answered, and not stored |
//! | `batch_size: 1000` | [`Builder::batch_size`] | 500, if nothing is said; up to two batches at a time: [`Builder::loader_threads`] |
//! | `load_num_tries`, `load_wait_msec` | [`Builder::wait_limit`], [`Call::timeout`] | no polling |
//! | `get(key)`, `get_pid(key)` | [`Bucket::fetch`], [`Bucket::get`] | `:not_found` is [`Fetched::is_absent`], `:timed_out` [`ErrorKind::Timeout`], `:failed` [`ErrorKind::Load`], which all who wait get; a failed reload leaves the old value readable |
//! | `peek(key)`, `with_value(key, f, g)` | [`Bucket::peek`], [`Bucket::with`] | |
//! | `peek_load_state(key)`, of a list as well | [`Bucket::load_state`], [`Bucket::load_states`] | `:failed` is remembered and keeps nobody from loading; [`Bucket::last_failure`] says why |
//! | `query_load_state(key)` | [`Bucket::load_state`], [`Bucket::request_load`] | two calls |
//! | `request_load(keys)` | [`Bucket::request_load`] | a ticket to wait on, and which keys found no room; a reload that is queued or under way never blocks a reader |
//! | `load_state_stats()` | [`Bucket::load_counts`] | six states, zeros included |
//! | `cache(key, v)` | [`Bucket::set_if_absent`] | refuses an equal value as well |
//! | `uncache_key(key)` | [`Bucket::invalidate`] | a load that is under way does not bring it back |
//! | `size`, `keys`, `values`, `reduce` | [`Bucket::len`], [`Bucket::keys`], [`Snapshot::iter`] | |
//! | `event_loggers` | [`Builder::key_observer`], [`Builder::key_events`] | on a thread of its own; `cache_miss` is [`KeyEvent::Missed`], `no_key` [`KeyEvent::Absent`], `blocked`, `timed_out`, `failed` and `disappeared` as there |
//! | `backend`, `backend_payload` | [`Builder::storage`], [`Storage`](storage::Storage) | behind the bucket: no read asks it; as async code with the feature `tokio`; three functions in place of eight, and checks for who implements them: [`conformance`](storage::conformance) |
//! | pids that die, `cache_monitor` | [`Builder::alive`], [`Bucket::notify_dead`] | a check of yours, asked by each read, as there is no runtime that tells of a death |
//!
//! Not in this version: values that are functions and called by each read (cache the closure, and call it in
//! [`Bucket::with`]).
//!
//! # CoopCache
//!
//! ```
//! use larder::{Bucket, Reset};
//!
//! // caches: [{:example, %{memory_limit: 1024 * 1024, version: 1, callback_module: nil}}]
//! let example = Bucket::<String, String>::builder("example")
//!     .max_weight(1024 * 1024)
//!     .weigher(|key, value: &String| (key.len() + value.len()) as u64)
//!     .version(1)
//!     .build()?;
//! // cached(:example, :my_key) do ... end
//! let value = example.call().get_with("my key", |key| Ok::<_, std::io::Error>(key.to_uppercase()));
//! assert_eq!(value.as_deref(), Some("MY KEY"));
//! // CoopCache.Server.reset(:example, 2)
//! assert_eq!(example.reset(2)?, Reset::Done);
//! assert!(example.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | CoopCache | here | what differs |
//! |---|---|---|
//! | `cached(name, key) do ... end` | [`Call::get_with`], [`Call::fetch_with`]; [`Builder::load`] for all callers | the block runs on the caller's thread, and again if the bucket is reset meanwhile |
//! | the block's value | [`Fetched::value`] | |
//! | `{:nocache, value}` | [`Outcome::Ignore`] | |
//! | `{:error, reason}` as a value | let the values be `Result`s | an error is not cached |
//! | throw, raise, exit in the block | an error, a panic | |
//! | `memory_limit` | [`Builder::max_weight`], [`Builder::weigher`] | in whatever you count; the entry that crosses it is kept, as there; invalidation makes room as well |
//! | full: each caller computes | [`WhenFull::Refuse`] | still one load of a key at a time; or others are evicted: [`WhenFull::Evict`] |
//! | `cache_duration` | [`Builder::time_to_idle`] | does not take those who wait along |
//! | `version: term` | [`Builder::version`], [`Bucket::version`] | a number: only a higher one resets, so that resets converge |
//! | `reset(name, version)` | [`Bucket::reset`] | says what it has done: [`Reset`]; who asked before is answered with what was computed after, as there |
//! | `reset_async(name, version)` | [`Bucket::reset`] on a thread of yours | it waits for a fold and the callback, and for no load |
//! | `callback_module.reset(version)` | [`Builder::on_reset`] | an error refuses the reset, and kills nothing |
//! | `data(name)` | [`Bucket::snapshot`], [`Snapshot::version`] | |
//!
//! Not in this version: `nodes` and `set_nodes`, and with them locks and values told to peers, and a start from a peer's
//! data. Resets can be passed on in [`Builder::on_reset`]: buckets that tell each other end with the highest version.
//!
//! # smart-redis
//!
//! ```
//! use std::time::Duration;
//! use larder::{Bucket, Derived};
//!
//! #[derive(Clone)]
//! struct Item {
//!     id: &'static str,
//!     value: u32,
//! }
//!
//! let list = Derived::list(); // redisDataTypes: ['list', 'hash']
//! let items = Bucket::<&str, Item>::builder("sampleCacheName")
//!     .dataset( // dataFetchingFn, idProp
//!         || Ok::<_, std::io::Error>([Item { id: "id1", value: 1 }, Item { id: "id2", value: 2 }]),
//!         |item| item.id,
//!     )
//!     .derive(&list)
//!     .refresh_every(Duration::from_secs(100))
//!     .build()?;
//! items.refresh().wait(Duration::from_secs(5))?; // `register` built it as well
//! assert_eq!(items.peek("id2").map(|item| item.value), Some(2)); // HGET
//! assert_eq!(list.pairs(&items.snapshot()).map(|(id, _)| *id).collect::<Vec<_>>(), ["id1", "id2"]); // LRANGE
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | smart-redis | here | what differs |
//! |---|---|---|
//! | `CacheBuilder(options)`, `register(options)` | [`Bucket::builder`], [`Builder::dataset`], [`Builder::load_all`] | one dataset a bucket, in memory; to unregister is to drop the bucket |
//! | `dataFetchingFn` | the closure | an error or a panic keeps what is there, is told to the [`observer`](Builder::observer), and can be tried again sooner: [`Builder::refresh_retry`] |
//! | `idProp` | the second closure | what is missing does not compile |
//! | type `hash` | the bucket itself | swapped whole as well, and what has vanished goes |
//! | type `list` | [`Derived::list`] | in the order of the source |
//! | type `string` | [`Derived::new`] | made once for each dataset |
//! | several `cacheKeys` of one fetch | several [`Builder::derive`] | always of the same dataset |
//! | `refreshInterval` | [`Builder::refresh_every`] | from the end of the last, so it never overlaps itself |
//! | the first build, in `register` | [`Bucket::refresh`] | `build` fetches nothing by itself; wait on the ticket where it has to be there |
//! | an empty list fails the build | [`Builder::dataset_min_count`] | an empty dataset is one, unless you say so; more of the kind: [`Builder::validate_dataset`] |
//! | `logging` | [`Builder::observer`] | |
//!
//! Not in this version: Redis (`redisOption`), and what makes one of several instances the one that builds:
//! `masterCacheKey`, `masterAliveCheck`, the election and its exit hooks. Each instance fetches for itself; the
//! [jitter](Builder::refresh_jitter) keeps them from doing so together.
//!
//! # Cachex: reactive warming
//!
//! ```
//! use std::time::Duration;
//! use larder::{Bucket, Origin, Outcome};
//!
//! // expiration: expiration(default: :timer.minutes(5)), fallback: fallback(state: db_conn)
//! let db_conn = "a connection";
//! let cache = Bucket::<String, String>::builder("my_cache")
//!     .load(move |key: &String| Ok::<_, std::io::Error>(format!("{key} by {db_conn}")))
//!     .ttl(Duration::from_secs(300))
//!     .build()?;
//! assert_eq!(cache.get("key").as_deref(), Some("key by a connection"));
//! // Cachex.fetch(:my_cache, "other", fn _ -> { :ignore, value } end)
//! let ignored = cache.call().fetch_with("other", |_| Ok::<_, std::io::Error>(Outcome::Ignore("value".into())))?;
//! assert_eq!((ignored.origin(), cache.peek("other")), (Origin::Ignored, None));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | Cachex | here | what differs |
//! |---|---|---|
//! | `fallback: fallback(default: f, state: s)` | [`Builder::load`], [`Loader`] | the state is captured, or a field |
//! | `fetch(cache, key)` | [`Bucket::fetch`], [`Bucket::get`] | |
//! | `fetch(cache, key, f)` | [`Call::fetch_with`], [`Call::get_with`] | wins over the default, as there; runs on the caller's thread |
//! | `{:commit, v}`, a bare value | the value, [`Outcome::Value`] | |
//! | `{:commit, v, expire: ms}` | [`Outcome::Expiring`], [`Outcome::Stored`] | or for a call: [`Call::ttl`] |
//! | `{:ignore, v}`, `{:error, e}` | [`Outcome::Ignore`], an error | shared by all who wait, as there |
//! | a result tagged `:commit`, `:ok`, `:ignore` | [`Origin::Loaded`]; [`Origin::Hit`], [`Origin::Joined`]; [`Origin::Ignored`] | |
//! | the Courier | nothing to see | the same, and a fallback that asks for its own key gets an error at once |
//! | `expiration(default: ms)` | [`Builder::ttl`] | nothing to set for sweeps: no read returns what has expired, and a fold removes it |
//! | `put`, `put_many`, with `expire:` | [`Bucket::set`], [`Bucket::set_many`], [`Bucket::set_with_ttl`], [`Bucket::set_many_with_ttl`] | |
//! | `get(key)`, `exists?(key)` | [`Bucket::peek`], [`Bucket::contains`] | our `get` loads |
//! | `update`, `get_and_update`, `incr`, `decr` | [`Bucket::update`] | the time that is left stays |
//! | `transaction`, `execute` | [`Bucket::update_many`] | no key is locked: what was said is asked for again if one was changed; all or nothing |
//! | `invoke`, custom commands | [`Bucket::with`], [`Bucket::update`] | closures, which need not be named before |
//! | `take`, `del`, `clear` | [`Bucket::take`], [`Bucket::invalidate`], [`Bucket::clear`] | our `reset` is another thing |
//! | `expire`, `expire_at`, `persist`, `refresh`, `ttl` | [`Bucket::expire_in`], [`Bucket::expire_at`], [`Bucket::persist`], [`Bucket::touch`], [`Bucket::ttl`] | [`Ttl`] tells "for ever" from "not there"; no `touch` of theirs |
//! | `size`, `keys`, `empty?` | [`Bucket::len`], [`Bucket::keys`], [`Bucket::is_empty`] | never what has expired |
//! | `limit`, `prune(n)` | [`Builder::max_weight`], [`WhenFull::Evict`], [`Bucket::prune`] | exact; by last write, as Cachex, with [`Builder::evict_by`], else by last read or write, or by frequency; to just `n`, without `reclaim` |
//! | `save`, `restore`, `export`, `import` | [`dump`](Builder#method.dump), [`write_dump`](Bucket#method.write_dump), [`read_dump`](Bucket#method.read_dump), [`Snapshot::iter`], [`Bucket::set_many`] | a dump is read whole or not at all, when the bucket is built or into one that runs |
//! | `warmers: [warmer(...)]`, `execute/1`, `interval` | [`Builder::warmer`]: a [`Warm`], [`Warmer`], [`Warm::every`] | any number, by name; pairs are merged, as there, but never over what was written during the run |
//! | `required: true`, the default there | [`Warm::required`] | to be said; with a [limit](Builder::warm_limit); a failure later never ends the timer |
//! | `warm(cache, only: names, wait: true)` | [`Bucket::warm`], [`Bucket::warm_all`]: a [`WarmTicket`] | an unknown name is an error |
//! | `stream(query)` | [`Snapshot::iter`], [`Snapshot::iter_with_ttl`] | filters and maps are the iterator's; a cut, and no window that moves |
//! | hooks | [`Builder::observer`], [`Builder::key_observer`] | of what goes wrong and of misses; not of each operation, as a hit writes nothing |
//! | `stats` | [`Bucket::stats`], [`Stats::hit_rate`], [`Builder::count_reads`] | hits and misses if asked for; who joins a load is a miss, and counted as [joined](Stats::joined); errors count; writes as folds find them |
//! | `inspect` | [`Bucket::inspect`], [`Bucket::entry`], [`Bucket::expired_keys`] | the last fold is the last sweep; when an entry was written is not kept |
//! | `compressed` | [`compress_dump`](Builder#method.compress_dump) | of the dump only |
//!
//! Not in this version: `ordered`; routers and nodes; calls that a task awaits.

#[cfg(doc)]
use super::*;

pub mod features;
