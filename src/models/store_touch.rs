//! Values that go when nobody reads them: a touch against the fold that ends them, and against other reads.

use std::time::Duration;

use super::support::{Data, Plain, run_model, spawn};
use crate::clock::{Idle, ManualClock};
use crate::store::fold::Folder;
use crate::store::{Store, Terms};
use crate::sync::Arc;
use crate::table::Table;

/// A sixteenth is one tick.
const IDLE: Duration = Duration::from_nanos(16);

const TICK: Duration = Duration::from_nanos(1);

/// A store whose snapshot, or whose overlay, holds a value of key 1 that is idle in a tick.
fn nearly_idle(folded: bool) -> (Arc<Data>, Folder<u8, u8>, ManualClock) {
    let time = ManualClock::new();
    let terms = Terms {
        idle: Some(Idle::after(IDLE)),
        ..Terms::default()
    };
    let store = Store::holding(Table::empty(), 0, Plain::default(), time.clock(), terms);
    let data = Arc::new(Data(Arc::new(store)));
    let mut folder = Folder::new();
    data.set(1, 10);
    if folded {
        folder.fold(&data.0);
    }
    time.advance(IDLE);
    (data, folder, time)
}

/// Who has read it has kept it, whatever the fold thinks; and who has found nothing finds nothing later.
#[test]
fn touch_against_a_fold() {
    for folded in [true, false] {
        run_model("touch_against_a_fold", 500, move || {
            let (data, mut folder, time) = nearly_idle(folded);
            let reader = spawn(&data, |data| [data.peek(1), data.peek(1)]);
            time.advance(TICK);
            data.set(2, 20);
            folder.fold(&data.0);
            let seen = reader.join().unwrap();
            assert_eq!(seen[0], seen[1], "what was read has gone, or come back");
            assert_eq!(
                data.peek(1),
                seen[1],
                "what was read has gone, or come back"
            );
        });
    }
}

/// One reader has looked at the clock before the other.
#[test]
fn touch_against_a_late_read() {
    for folded in [true, false] {
        run_model("touch_against_a_late_read", 30, move || {
            let (data, _folder, time) = nearly_idle(folded);
            let reader = spawn(&data, |data| data.peek(1));
            time.advance(TICK);
            let found = data.peek(1);
            let other = reader.join().unwrap();
            let after = data.peek(1);
            assert_eq!(found, after, "what was over has come back");
            assert_eq!(other, after, "who has read it has kept it");
        });
    }
}
