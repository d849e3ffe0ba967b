//! Epochs, and those who ask for them.

use std::time::Duration;

use loom::thread;

use super::support::{Data, Plain, run_model, spawn, store};
use crate::clock::ManualClock;
use crate::config::Config;
use crate::events::Events;
use crate::load::{Loads, Source};
use crate::refresh::control::Control;
use crate::refresh::worker::Refresher;
use crate::sync::Arc;

/// One look at the published snapshot: its epoch, and what it holds of key 1.
fn look(data: &Data) -> (u64, Option<u8>) {
    let current = Arc::clone(&data.0.view().current);
    let held = current.table.find_any(data.hash(1), &1).copied();
    (current.epoch, held)
}

#[test]
fn epochs_never_go_back() {
    run_model("epochs_never_go_back", 380, || {
        let (data, mut folder) = store([]);
        let reader = spawn(&data, |data| {
            let (first, second) = (look(data), look(data));
            assert!(first <= second, "{first:?}, then {second:?}");
            assert!(
                first.0 != second.0 || first == second,
                "two snapshots of one epoch"
            );
        });
        data.set(1, 10);
        let before = folder.fold(&data.0);
        data.set(1, 20);
        let after = folder.fold(&data.0);
        assert!(before < after);
        assert_eq!(look(&data), (after, Some(20)));
        reader.join().unwrap();
    });
}

/// Whoever has published finds in the snapshot what it wrote before, though one fold may have answered
/// two who asked.
#[test]
fn publish_and_observe() {
    run_model("publish_and_observe", 60000, || {
        let (data, _) = store([]);
        let control = Arc::new(Control::new(Arc::clone(data.0.bell())));
        let refresher = refresher(&data, &control);
        let refresher = thread::spawn(move || refresher.work());
        let other = {
            let control = Arc::clone(&control);
            spawn(&data, move |data| publish(data, &control, 2))
        };
        publish(&data, &control, 1);
        other.join().unwrap();
        control.stop();
        refresher.join().unwrap();
    });
}

fn publish(data: &Data, control: &Control<u8, u8>, key: u8) {
    data.set(key, key);
    let reply = control.ask(|requests| &mut requests.publish);
    let clock = ManualClock::new().clock();
    let answer = reply.wait(&clock, Duration::MAX).expect("no time passes");
    let epoch = answer.as_ref().expect("a fold of plain numbers");
    assert!(data.0.view().current.epoch >= *epoch);
    assert_eq!(data.folded(key), Some(key));
}

pub(super) fn refresher(data: &Data, control: &Arc<Control<u8, u8>>) -> Refresher<u8, u8, Plain> {
    let (config, stats, events) = (Config::default(), Arc::default(), Events::new(None));
    let clock = ManualClock::new().clock();
    let loads = Loads::new(
        Arc::clone(&data.0),
        Source::None,
        &config,
        Arc::clone(&stats),
        Arc::clone(&events),
        clock.clone(),
    );
    Refresher::new(
        Arc::clone(&data.0),
        Arc::new(loads),
        Arc::clone(control),
        None,
        stats,
        events,
        clock,
        &config,
    )
}
