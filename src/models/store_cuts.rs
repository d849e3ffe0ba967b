//! A snapshot is a cut: with a write it holds all that came before that write.

use super::support::{Data, run_model, spawn, store};

/// The snapshot holds `effect` only with `cause`.
fn assert_cut(data: &Data, cause: u8, effect: u8) {
    // The later epoch holds whatever the earlier one held, so looking in this order is fair.
    let effect = data.folded(effect);
    let cause = data.folded(cause);
    assert!(
        effect.is_none() || cause.is_some(),
        "an effect without its cause"
    );
}

#[test]
fn cut_of_one_writer() {
    run_model("cut_of_one_writer", 970, || {
        let (data, mut folder) = store([]);
        let writer = spawn(&data, |data| {
            data.set(1, 1);
            data.set(2, 2);
        });
        folder.fold(&data.0);
        assert_cut(&data, 1, 2);
        writer.join().unwrap();
        folder.fold(&data.0);
        assert_eq!((data.folded(1), data.folded(2)), (Some(1), Some(2)));
    });
}

#[test]
fn cut_between_two_writers() {
    run_model("cut_between_two_writers", 16000, || {
        let (data, mut folder) = store([]);
        let first = spawn(&data, |data| data.set(1, 1));
        let second = spawn(&data, |data| {
            if data.peek(1).is_some() {
                data.set(2, 2);
            }
        });
        folder.fold(&data.0);
        assert_cut(&data, 1, 2);
        first.join().unwrap();
        second.join().unwrap();
        assert_eq!(data.peek(1), Some(1));
    });
}

#[test]
fn cut_of_a_group() {
    run_model("cut_of_a_group", 550, || {
        let (data, mut folder) = store([]);
        let writer = spawn(&data, |data| data.set_many([(1, 1), (2, 2)]));
        folder.fold(&data.0);
        assert_eq!(
            data.folded(1).is_some(),
            data.folded(2).is_some(),
            "half a group"
        );
        writer.join().unwrap();
        assert_eq!((data.peek(1), data.peek(2)), (Some(1), Some(2)));
    });
}
