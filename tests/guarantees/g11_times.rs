//! G11 and G4: a new time of a value is not lost while a dataset is fetched and published.

use std::time::Duration;

use larder::{Bucket, ErrorKind, ManualClock, Ttl};

use crate::common::{Door, Held, Notes, PATIENCE, Task, bounded, eventually};

const LATE: Duration = Duration::from_secs(1_000_000);

/// While a dataset is published it is not known yet which value a key will have. So who sets a new time waits, and what
/// it has set is that of the value that is there then.
#[test]
fn g11_a_new_time_while_a_dataset_is_published_is_that_of_what_is_published() {
    bounded(|| {
        let (time, fetching, copying) = (ManualClock::new(), Door::open(), Door::open());
        let (at, open) = (fetching.clone(), Door::open());
        let bucket = Bucket::<u64, Held>::builder("published")
            .clock(time.clock())
            .load_all(move || {
                at.pass();
                let held = Held(open.clone(), 2);
                Ok::<_, String>([(1, held)])
            })
            .build()
            .unwrap();
        bucket.set(1, Held(Door::open(), 1));
        fetching.close();
        let refresh = bucket.refresh();
        fetching.await_waiting(1);
        // Written meanwhile, and so laid over the dataset: copied in the middle of its publication.
        bucket.set(5, Held(copying.clone(), 5));
        copying.close();
        fetching.release();
        copying.await_waiting(1);

        let (asking, said) = (bucket.clone(), Notes::new());
        let noting = said.clone();
        let late = Task::spawn(move || {
            let set = asking.expire_in(&1, LATE);
            noting.add(set.map_err(|error| error.kind()));
        });
        eventually("an answer", || {
            time.advance(Duration::from_secs(60));
            said.len() == 1
        });
        late.join();
        assert_eq!(said.all(), [Err(ErrorKind::Timeout)]);
        assert_eq!(bucket.ttl(&1), Some(Ttl::Never));

        let asking = bucket.clone();
        let in_time = Task::spawn(move || asking.expire_in(&1, LATE).unwrap());
        copying.release();
        refresh.wait(PATIENCE).unwrap();
        assert!(in_time.join());
        assert_eq!(bucket.with(&1, |held| held.1), Some(2));
        assert!(matches!(bucket.ttl(&1), Some(Ttl::Left(_))), "it is lost");
    });
}

/// What is written while a dataset is fetched stays, with the last time that it was given, folded in between or not,
/// and also where so much is written that only the last writes of all are kept.
#[test]
fn g11_a_new_time_of_what_outlives_a_dataset_outlives_it() {
    bounded(|| {
        for others in [0, 40_000] {
            for folds in [[false, false], [true, false], [false, true], [true, true]] {
                let (time, door) = (ManualClock::new(), Door::open());
                let at = door.clone();
                let bucket = Bucket::<u64, u64>::builder("kept")
                    .clock(time.clock())
                    .load_all(move || {
                        at.pass();
                        Ok::<_, String>([(1, 1), (2, 2), (3, 3)])
                    })
                    .build()
                    .unwrap();
                bucket.refresh().wait(PATIENCE).unwrap();
                door.close();
                let refresh = bucket.refresh();
                door.await_waiting(1);
                let fold = |which: usize| {
                    if folds[which] {
                        bucket.publish().unwrap();
                    }
                };
                bucket.set_many([(1, 10), (2, 20)]);
                fold(0);
                assert!(bucket.expire_in(&1, LATE).unwrap());
                // That of a value which the dataset replaces goes with it.
                assert!(bucket.expire_in(&3, LATE).unwrap());
                fold(1);
                bucket.set_many((100..100 + others).map(|key| (key, key)));
                bucket.publish().unwrap();
                door.release();
                refresh.wait(PATIENCE).unwrap();
                let case = format!("{others} others, folds {folds:?}");
                let values = [1, 2, 3].map(|key| bucket.peek(&key));
                assert_eq!(values, [Some(10), Some(20), Some(3)], "{case}");
                let times = [1, 2, 3].map(|key| bucket.ttl(&key));
                let expected = [Some(Ttl::Left(LATE)), Some(Ttl::Never), Some(Ttl::Never)];
                assert_eq!(times, expected, "{case}");
            }
        }
    });
}
