//! What the five former systems do, feature by feature: whether it is here, and the test that shows it.
//!
//! A feature is *yes* only where a test shows it, *partly* or *no* with what is missing. Tests in `src/models` are loom's,
//! and run by `scripts/models`; those of dumps need the feature `dump`.
//!
//! What concerns several processes is left out, as none of it is in this version: peers (locks and values told to others,
//! once in a cluster, a start from a peer's data), sharding, leader election with its lease, its liveness check and its
//! release, and writing to Redis.
//!
//! | feature | here | shown by |
//! |---|---|---|
//! | load on a miss, with typed errors | yes: [`Bucket::get`], [`Bucket::fetch`] | `tests/loads/fallback.rs::commit_ignore_absent_and_error_to_owner_and_joiner_alike`, `tests/guarantees/g13.rs::g13_an_error_carries_the_loader_s_own_and_is_shared_by_all` |
//! | single flight for each key | yes | `tests/guarantees/g2.rs::g2_one_flight_per_key_of_a_cold_bucket_under_fire`, `tests/guarantees/g2.rs::g2_a_late_caller_does_not_repeat_a_load` |
//! | owner and waiter told apart | yes: [`Origin::Loaded`], [`Origin::Joined`] | `tests/regressions/flights.rs::cachex_295_one_has_loaded_and_nine_have_joined` |
//! | result shared, failures as well | yes | `tests/guarantees/g6.rs::g6_all_waiters_of_a_flight_get_its_answer`, `tests/guarantees/g6.rs::g6_failures_and_absences_are_not_cached` |
//! | a loader that panics | yes: an error for all who wait, and the key is free | `tests/regressions/flights.rs::go_33519_a_panic_of_the_leader_with_waiters` |
//! | a waiter that gives up | yes: the load goes on | `tests/regressions/leaders.rs::moka_59_the_leader_gives_up`, `tests/regressions/flights.rs::go_55343_one_gives_up_while_another_joins` |
//! | a load of its own key | yes: an error at once | `tests/guarantees/g7.rs::g7_a_loader_that_asks_for_its_own_key_gets_an_error_at_once` |
//! | a limit to waiting | yes: [`Builder::wait_limit`], [`Call::timeout`] | `tests/guarantees/g6.rs::g6_a_timeout_ends_the_wait_and_not_the_load` |
//! | different loaders for one key | yes: the first wins | `tests/guarantees/g2.rs::g2_the_first_of_several_call_time_loaders_wins` |
//! | commit, ignore, error, bare value | yes: [`Outcome`] | `tests/loads/fallback.rs::commit_ignore_absent_and_error_to_owner_and_joiner_alike` |
//! | expiration from the loader | yes: [`Outcome::Expiring`]; no tags | `tests/guarantees/g11.rs::g11_a_loader_says_how_long_and_what_has_expired_is_loaded_again` |
//! | one load stores many keys | yes: [`Loaded::with_pairs`], extra pairs of a batch | `tests/loads/pairs.rs::exactly_the_pairs_are_stored_and_the_value_is_answered`, `tests/faults/loaders.rs::an_extra_answers_who_waits_for_it_in_the_queue` |
//! | fetch without saving | yes: [`Call::skip_save`] | `tests/loads/options.rs::what_a_call_does_not_save_is_answered_and_not_stored` |
//! | direct reads and writes | yes: [`Bucket::peek`], [`Bucket::set`], [`Bucket::set_if_absent`] | `tests/guarantees/g4.rs::g4_of_several_that_set_if_absent_one_wins_and_all_know_which`, `tests/model/main.rs::a_bucket_with_a_single_loader_is_its_model` |
//! | errors kept from callers | yes | `tests/faults/loaders.rs::a_loader_that_goes_wrong_once_harms_that_call_only` |
//! | caching switched off | yes: [`Bucket::set_caching`] | `tests/loads/switch.rs::off_every_call_loads_and_nothing_is_kept` |
//! | default loader, its state, another at the call | yes: [`Builder::load`], [`Call::fetch_with`] | `tests/loads/fallback.rs::a_default_loader_owns_its_state_as_a_type_or_as_a_closure`, `tests/loads/fallback.rs::a_loader_of_the_call_wins_over_the_default_and_has_a_state_of_its_own` |
//! | loader of batches | yes: [`BulkLoader`]; a key that is left out is absent, not an error | `tests/guarantees/g3.rs::g3_n_keys_missed_together_cost_n_over_batch_size_calls`, `tests/guarantees/g3.rs::g3_misses_go_ahead_of_reloads` |
//! | reloads told of what is cached | yes: [`Loader::refresh`], [`BulkLoader::bulk_refresh`] | `tests/loads/reloads.rs::a_reload_is_told_of_what_is_cached_and_a_miss_is_not` |
//! | check for existence | yes: [`Builder::exists`]; that a key is there is remembered, that it is not if you [say so](Builder::exists_absent_for), of so many keys at the most | `tests/loads/exists.rs::what_does_not_exist_is_not_loaded_whatever_the_call`, `tests/loads/exists.rs::the_memory_is_bounded_and_the_oldest_goes` |
//! | load states and counts | yes: [`Bucket::load_state`], [`Bucket::load_states`], [`Bucket::load_counts`]; and why a key [failed](Bucket::last_failure), which is not cached | `tests/guarantees/g13.rs::g13_a_state_is_shown_for_each_key`, `tests/guarantees/g13_states.rs::g13_the_keys_in_each_state_are_counted_zeros_included`, `tests/guarantees/g13_states.rs::g13_why_a_load_failed_can_be_asked_and_the_next_get_loads`, `tests/guarantees/g13_states.rs::g13_a_failure_ends_with_a_success_a_write_or_a_fresh_start` |
//! | loads asked for in advance | yes: [`Bucket::request_load`] | `tests/guarantees/g3.rs::g3_requests_collect_while_the_loader_is_busy` |
//! | reloads that block nobody | yes | `tests/guarantees/g8.rs::g8_nobody_waits_for_a_refresh_and_misses_go_ahead_of_it` |
//! | a failed reload keeps the old value | yes, and can be tried again with growing waits: [`Builder::refresh_retry`] | `tests/regressions/everywhere.rs::s8_3_a_failed_refresh_never_turns_a_readable_value_into_an_error`, `tests/guarantees/g8_retry.rs::g8_waits_after_failures_double_up_to_the_longest_and_a_success_ends_them` |
//! | no lost wake-up of the loader | yes | `src/models/load_queue.rs::queue_a_loader_about_to_sleep_is_woken` |
//! | events of keys | yes: [`Builder::key_observer`], on its own thread, which may send to a channel | `tests/guarantees/g13.rs::g13_what_happens_to_a_key_is_told_with_the_key` |
//! | pluggable storage | no: reads are what they are because of how the table is built | |
//! | values that die | yes: [`Builder::alive`] | `tests/guarantees/liveness.rs::liveness_a_dead_value_is_a_miss_and_loaded_anew`, `tests/guarantees/liveness.rs::liveness_what_a_read_finds_dead_leaves_the_memory` |
//! | values computed by each read | no: cache a closure, and call it in [`Bucket::with`] | |
//! | periodic refresh of all keys | partly: [`Builder::refresh_every`], batch by batch; no limit of time for a key, as a loader that hangs cannot be stopped | `tests/guarantees/g8.rs::g8_the_interval_runs_from_the_end_of_the_last_refresh`, `tests/guarantees/g8.rs::g8_a_refresh_by_key_takes_what_it_gets_and_keeps_the_rest`, `tests/guarantees/g8.rs::g8_jitter_only_delays_and_differs_from_time_to_time` |
//! | filter of what a refresh stores | yes: [`Builder::refresh_filter`] | `tests/loads/reloads.rs::the_filter_has_the_last_word_on_reloads_and_on_nothing_else` |
//! | start with seeds, or not at all | yes: [`Builder::init`] | `src/bucket/builder/init.rs::the_four_answers_and_a_panic`, `src/bucket/builder/init.rs::stop_keeps_it_from_being_built`, `src/bucket/dump/tests.rs::g12_what_init_brings_is_dumped_and_not_asked_for_again` |
//! | proactive warmers | partly: one [dataset](Builder::load_all) a bucket, which it replaces; *required* is to wait for [`Bucket::refresh`] | `tests/guarantees/g8.rs::g8_a_dataset_replaces_exactly_and_keeps_what_was_written_meanwhile`, `tests/guarantees/g8_retry.rs::g8_the_first_failure_still_schedules` |
//! | dump file | yes: [`dump`](Builder#method.dump) | `src/bucket/dump/tests.rs::g12_what_was_cached_comes_back_also_what_was_not_folded`, `src/bucket/dump/tests.rs::g12_a_file_that_is_not_right_is_set_aside_and_reported`, `src/bucket/dump/tests.rs::g12_a_dump_is_debounced_and_only_of_what_has_changed` |
//! | save and restore on request | partly: [`write_dump`](Bucket#method.write_dump) saves; what was saved is read when a bucket is built, and not into one that runs | `src/bucket/dump/tests.rs::g12_the_time_on_disk_counts` |
//! | expiration of the bucket and of a write | yes: [`Builder::ttl`], [`Bucket::set_with_ttl`], [`Call::ttl`] | `tests/guarantees/g11.rs::g11_the_boundary_is_one_for_all_reads_in_overlay_and_snapshot`, `tests/loads/options.rs::a_call_says_how_long_what_it_loads_lives`, `tests/faults/options.rs::each_option_out_of_range_is_refused_by_name_value_and_range` |
//! | expired at once for reads, and swept | yes | `tests/guarantees/g11.rs::g11_what_has_expired_leaves_the_memory_by_itself` |
//! | times changed without the value | yes: [`Bucket::expire_in`], [`Bucket::expire_at`], [`Bucket::persist`], [`Bucket::touch`], [`Bucket::ttl`] | `tests/guarantees/g11.rs::g11_times_are_changed_without_the_value`, `tests/guarantees/g11.rs::g11_a_value_expires_at_a_time_of_day`, `tests/guarantees/g11.rs::g11_what_was_to_expire_in_the_past_is_gone_at_once` |
//! | expiration of what is idle | yes: [`Builder::time_to_idle`] | `tests/guarantees/g11_idle.rs::g11_every_read_keeps_a_value_and_no_look_does` |
//! | limit of memory that refuses | yes: [`Builder::max_weight`], [`WhenFull::Refuse`] | `tests/guarantees/g10.rs::g10_the_entry_that_crosses_is_kept_and_none_after_it`, `tests/guarantees/g10.rs::g10_a_load_of_a_full_bucket_is_answered_and_not_stored` |
//! | limit of the count | yes: a limit without a weigher; by hand [`Bucket::prune`], where it is noted what was touched | `tests/guarantees/g10.rs::g10_a_count_is_a_weight_of_one_each`, `tests/guarantees/g10_prune.rs::g10_a_bucket_is_pruned_to_what_was_touched_last`, `tests/guarantees/g10_prune.rs::g10_what_has_expired_is_pruned_first_and_does_not_count` |
//! | eviction of what was not read | yes: [`WhenFull::Evict`]; the one policy | `tests/guarantees/g10_evict.rs::g10_the_longest_untouched_goes_first`, `tests/guarantees/g10_evict.rs::g10_the_expired_go_before_anybody_is_evicted` |
//! | many writes, all or nothing | yes: [`Bucket::set_many`], in every snapshot | `tests/guarantees/g5.rs::g5_a_group_is_in_a_snapshot_whole_or_not_at_all` |
//! | update, count, take, in one step | yes: [`Bucket::update`], [`Bucket::take`] | `tests/guarantees/g4.rs::g4_no_update_is_lost` |
//! | transactions over several keys | no: a key cannot be locked here; [`Bucket::update`] is one step of one key, [`Bucket::set_many`] one of many writes | |
//! | reset to a version | yes: [`Bucket::reset`] | `tests/guarantees/g9.rs::g9_only_a_higher_version_resets`, `tests/guarantees/g9.rs::g9_whoever_waits_is_carried_over` |
//! | callback of a reset | yes: [`Builder::on_reset`] | `tests/guarantees/g9_callback.rs::g9_the_callback_runs_once_and_before_anything_is_gone`, `tests/guarantees/g9_callback.rs::g9_a_callback_that_fails_refuses_the_reset` |
//! | dataset of items by their id | yes, in memory: [`Builder::dataset`] | `tests/loads/datasets.rs::items_are_kept_by_their_id_and_of_two_with_one_the_last_counts` |
//! | list, hash, string of one fetch | yes, in memory: [`Derived`] | `tests/loads/derived.rs::a_list_is_in_the_order_of_the_source_and_an_index_as_well` |
//! | swap with no downtime | yes, in memory, of all that is made of a dataset together | `tests/loads/derived.rs::a_reader_never_sees_what_was_derived_from_another_dataset` |
//! | no overlap of refreshes | yes | `tests/guarantees/g8.rs::g8_a_refresh_never_overlaps_itself` |
//! | a build that fails | yes: reported, the old one stays, and it is tried again | `tests/loads/validators.rs::g8_a_refused_dataset_leaves_the_old_one_and_is_tried_again_at_the_next_interval`, `tests/loads/datasets.rs::a_fetch_that_fails_and_an_id_that_panics_leave_what_is_there` |
//! | counters | yes: [`Bucket::stats`], with errors, joins and load times; hits and misses where [asked for](Builder::count_reads), as a hit writes nothing else | `tests/guarantees/g13.rs::g13_what_fails_is_counted_and_reported`, `tests/guarantees/g13_counts.rs::g13_each_key_of_each_read_counts_once`, `tests/guarantees/g13_counts.rs::g13_no_read_is_lost_between_threads`, `tests/guarantees/g13_counts.rs::g13_who_joins_a_load_is_counted`, `tests/guarantees/g13_counts.rs::g13_the_time_inside_of_loaders_is_counted`, `tests/guarantees/g13_counts.rs::g13_what_folds_do_is_counted` |
//! | hooks | yes: [`Builder::observer`], [`Builder::key_observer`], each from a bounded queue of its own, and told of the next event after a panic; after the fact, and not of hits | `tests/faults/observers.rs::an_observer_that_blocks_holds_up_nobody`, `tests/faults/observers.rs::an_observer_that_panics_is_told_of_the_next_event_all_the_same`, `tests/faults/observers.rs::an_observer_of_keys_that_panics_is_told_of_the_next_event_all_the_same`, `tests/guarantees/g13.rs::g13_an_event_that_no_observer_was_told_of_is_counted` |
//! | streams and queries | yes: [`Snapshot::iter`], [`Snapshot::iter_with_ttl`], with the iterator's own filters, over a cut that does not move; [`Bucket::expired_keys`] | `tests/guarantees/g11.rs::g11_a_snapshot_is_queried_by_key_value_and_time_left`, `tests/guarantees/g13_inspect.rs::g13_what_has_expired_and_is_still_there_is_shown`, `tests/guarantees/g5.rs::g5_a_snapshot_never_changes` |
//! | custom commands | no: a closure over [`Bucket::with`] or [`Bucket::update`] is one | |
//! | inspection | yes: [`Bucket::inspect`] for the memory, what has expired and the last fold, which is the sweep; [`Bucket::entry`], of which the time of the write is not kept; [`Bucket::weight`] | `tests/guarantees/g13_inspect.rs::g13_entries_and_bytes_are_shown_and_fall_when_things_go`, `tests/guarantees/g13_inspect.rs::g13_what_has_expired_and_is_still_there_is_shown`, `tests/guarantees/g13_inspect.rs::g13_an_entry_is_shown_with_its_time_and_weight_and_is_not_touched`, `tests/guarantees/g13_inspect.rs::g13_the_last_fold_is_shown_with_what_it_did`, `tests/guarantees/g13.rs::g13_tables_that_somebody_still_holds_are_counted` |
//! | threads that survive what they run | yes | `tests/guarantees/g6.rs::g6_a_loader_that_panics_loses_no_thread`, `tests/faults/panics.rs::a_fold_that_panics_is_reported_and_tried_again_and_loses_nothing` |
//! | options in layers | yes: [`Loader::config`], [`Builder`], [`Builder::configure`] | `tests/loads/layers.rs::layer_3_the_builder_wins_over_the_loader_whichever_comes_first`, `tests/loads/layers.rs::layer_4_a_function_of_the_result_comes_last` |
//! | the caller's context in the loader | no: one load is of many callers, and runs on a thread of its own | |
//!
//! # What none of the five proves in full
//!
//! Ten things that go wrong between features rather than in one.
//!
//! | | behaviour | shown by |
//! |---|---|---|
//! | 1 | a loader that panics or is given up leaves no key stuck | `tests/regressions/everywhere.rs::s8_1_a_load_that_goes_wrong_or_is_given_up_leaves_no_key_stuck` |
//! | 2 | one load for each miss, though a caller stands still between its look and its request | `tests/guarantees/g2.rs::g2_a_late_caller_does_not_repeat_a_load`, `tests/regressions/leaders.rs::cachex_192_a_caller_that_looked_before_and_asked_after` |
//! | 3 | a failed refresh never turns a readable value into an error | `tests/regressions/everywhere.rs::s8_3_a_failed_refresh_never_turns_a_readable_value_into_an_error` |
//! | 4 | eviction, expiry and reset during a load leave nobody waiting | `tests/guarantees/g9.rs::g9_waiters_are_answered_through_expiry_removal_and_resets`, `tests/guarantees/g10_evict.rs::g10_many_threads_never_exceed_where_others_are_evicted`, `tests/regressions/everywhere.rs::s8_4_a_value_that_dies_while_it_is_loaded_leaves_nobody_waiting` |
//! | 5 | resets that race converge and end; among buckets of one process | `tests/guarantees/g9_callback.rs::g9_resets_racing_with_each_other_converge`, `tests/guarantees/g9_callback.rs::g9_buckets_that_tell_each_other_converge` |
//! | 6 | a full bucket keeps its single flight | `tests/guarantees/g10.rs::g10_a_herd_on_a_full_bucket_makes_one_load_at_a_time` |
//! | 7 | a fetch inside of a step, or of a load of its own key, ends | `tests/regressions/everywhere.rs::s8_7_a_fetch_inside_of_a_step_and_of_a_load_of_its_own_key_ends` |
//! | 8 | what is restored expires like the rest | `src/bucket/dump/tests.rs::g12_the_time_on_disk_counts` |
//! | 9 | a periodic refresh that failed once runs again, and never overlaps itself | `tests/regressions/everywhere.rs::s8_9_a_periodic_refresh_that_fails_once_runs_again_and_never_overlaps_itself` |
//! | 10 | no reader sees what is half built (nothing is led by lease here) | `tests/loads/derived.rs::a_reader_never_sees_what_was_derived_from_another_dataset`, `tests/guarantees/g8.rs::g8_a_dataset_replaces_exactly_and_keeps_what_was_written_meanwhile` |

#[cfg(doc)]
use super::super::*;
