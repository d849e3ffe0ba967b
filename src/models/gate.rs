//! Nobody waits at a gate for ever. A wait without end is a deadlock to loom, and one that spins comes
//! to the limit of its branches.

use super::support::{run_model, spawn, store};

#[test]
fn progress_after_a_closed_gate() {
    run_model("progress_after_a_closed_gate", 440, || {
        let (data, mut folder) = store([]);
        let writer = spawn(&data, |data| data.set(1, 1));
        folder.fold(&data.0);
        writer.join().unwrap();
        assert_eq!(data.peek(1), Some(1));
    });
}

/// A conditional write waits for the gate before its own, also for one that is not closed yet.
#[test]
fn progress_of_a_conditional_write() {
    run_model("progress_of_a_conditional_write", 460, || {
        let (data, mut folder) = store([]);
        let writer = spawn(&data, |data| data.set_if_absent(1, 1));
        folder.fold(&data.0);
        assert_eq!(writer.join().unwrap(), Ok(()));
    });
}
