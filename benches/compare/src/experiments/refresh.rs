//! P7: a full refresh from memory, against collecting the same pairs into a map.

use std::time::Duration;

use crate::args::Plan;
use crate::measure;
use crate::report::{Report, Table, Verdict, ratio, size, spread};
use crate::stats::Summary;
use crate::subject::Map;
use crate::subject::larder::shelf;
use crate::workload::{Dataset, Key, value};

/// Refreshes a bucket, and collects a map, in turn.
pub fn run(plan: &Plan, report: &mut Report) {
    let sizes: &[usize] = if plan.is_full() {
        &[1_000_000, 10_000_000]
    } else {
        &[1_000_000]
    };
    let mut table = Table::new(&["ms", "refresh", "collect", "refresh / collect"]);
    for &entries in sizes {
        let data = Dataset::<u64>::new(entries);
        let bucket = shelf("refresh", &data);
        let (mut refresh, mut collect, mut ratios) = (vec![], vec![], vec![]);
        for _ in 0..plan.rounds + 2 {
            let epoch = bucket.epoch();
            let (time, done) = measure::time(|| bucket.refresh().wait(Duration::from_secs(300)));
            done.expect("the source cannot fail");
            assert!(bucket.epoch() > epoch, "nothing was published");
            assert_eq!(bucket.peek(&u64::nth(3)), Some(value(3)), "wrong answer");
            refresh.push(time.as_secs_f64() * 1e3);

            // The refresher frees the old table after it has answered; not beside the other's time.
            bucket.publish().expect("the bucket is open");
            let (time, map) = measure::time(|| data.copies().collect::<Map<u64>>());
            assert_eq!(
                (map.len(), map[&u64::nth(3)]),
                (entries, value(3)),
                "wrong answer"
            );
            collect.push(time.as_secs_f64() * 1e3);
            ratios.push(refresh[refresh.len() - 1] / collect[collect.len() - 1]);
        }
        let got = Summary::of(&ratios).median;
        table.row(&[
            &size(entries),
            &spread(Summary::of(&refresh)),
            &spread(Summary::of(&collect)),
            &ratio(got),
        ]);
        report.verdict(Verdict {
            target: "P7",
            what: format!(
                "full refresh of {} against collecting into a map",
                size(entries)
            ),
            value: ratio(got),
            limit: "<= 1.30x".into(),
            met: Some(got <= 1.3),
        });
    }
    let text = "From `refresh()` until its ticket says done: waking the threads, asking the \
                loader, building and publishing. The loader hands out copies of pairs in memory; \
                the map is collected from the same iterator, and freed outside the time.\n\n";
    report.section("P7: full refresh", &(text.to_owned() + &table.finish()));
}
