//! Joint writes: two keys between which something is moved, so that their sum stays.

use std::time::Duration;

use loom::thread;

use super::publishers::refresher;
use super::support::{Data, run_model, spawn, store};
use crate::clock::{Deadline, ManualClock};
use crate::refresh::control::Control;
use crate::store::fold::Folder;
use crate::store::{Content, Installed, Joined, Joint, Part, Retimed};
use crate::sync::Arc;

/// What the keys 1 and 2 have at one moment.
fn look(data: &Data) -> (Vec<Part<u8, u8>>, u8, u8) {
    let keys = [1, 2].map(|key| (data.hash(key), key));
    loop {
        let held = data.0.load_view();
        let Some((seen, values)) = data.0.look_at_once(&held, &keys) else {
            thread::yield_now();
            continue;
        };
        let parts = keys.iter().zip(seen).map(|(&(hash, key), seen)| Part {
            hash,
            key,
            seen,
            had_value: true,
            content: None,
        });
        let [one, two] = [0, 1].map(|at: usize| values[at].copied().unwrap_or(0));
        return (parts.collect(), one, two);
    }
}

/// A move of 1 from key 1 to key 2.
fn moved(data: &Data) -> Joint<u8, u8> {
    let (mut parts, one, two) = look(data);
    for (part, value) in parts.iter_mut().zip([one - 1, two + 1]) {
        let expires = data.0.view().deadline(part.hash, &part.key);
        let expires = expires.unwrap_or(Deadline::NEVER);
        part.content = Some(Content::until(value, expires));
    }
    Joint::new(parts)
}

fn join(data: &Data, folder: &mut Folder<u8, u8>, joint: Joint<u8, u8>) -> bool {
    let joined = folder.join(&data.0, vec![joint]).pop();
    match joined.expect("one").expect("plain numbers do not panic") {
        Joined::Done => true,
        Joined::Changed => false,
        Joined::Full => panic!("there is no limit"),
    }
}

#[test]
fn joint_against_update() {
    run_model("joint_against_update", 90_000, || {
        let (data, mut folder) = store([(1, 10), (2, 10)]);
        let joint = moved(&data);
        let other = spawn(&data, |data| {
            data.0.update(u64::MAX, data.hash(1), &1, |value, _, _| {
                Some(Content::from(value.map(|value| value + 5)))
            });
        });
        let done = join(&data, &mut folder, joint);
        other.join().unwrap();
        let expected = if done { (14, 11) } else { (15, 10) };
        assert_eq!(
            (data.peek(1), data.peek(2)),
            (Some(expected.0), Some(expected.1))
        );
        folder.fold(&data.0);
        assert_eq!(
            (data.peek(1), data.peek(2)),
            (Some(expected.0), Some(expected.1))
        );
    });
}

/// What it moves is in a snapshot as a whole, whatever is written over it.
#[test]
fn joint_against_set() {
    run_model("joint_against_set", 10_000, || {
        let (data, mut folder) = store([(1, 10), (2, 10)]);
        let joint = moved(&data);
        let other = spawn(&data, |data| {
            data.set(1, 20);
            assert_eq!(data.peek(1), Some(20), "its own write");
        });
        let done = join(&data, &mut folder, joint);
        folder.fold(&data.0);
        match (data.folded(1), data.folded(2)) {
            (Some(9 | 20), Some(11)) if done => {}
            (Some(10 | 20), Some(10)) if !done => {}
            torn => panic!("{torn:?}, and it was done: {done}"),
        }
        other.join().unwrap();
        assert_eq!(data.peek(1), Some(20), "an older value is back");
        assert_eq!(data.peek(2), Some(if done { 11 } else { 10 }));
    });
}

/// The load began first, so it is stored before, or not at all.
#[test]
fn joint_against_load() {
    run_model("joint_against_load", 1_400, || {
        let (data, mut folder) = store([(1, 10), (2, 10)]);
        let load = data.0.begin_load();
        let number = load.number();
        let joint = moved(&data);
        let loader = spawn(&data, move |data| data.install(number, 1, 20));
        let done = join(&data, &mut folder, joint);
        let expected = match loader.join().unwrap() {
            Installed::Stored => (false, Some(20), Some(10)),
            Installed::Superseded => (true, Some(9), Some(11)),
            Installed::Off | Installed::Refused => panic!("it is on, and has no limit"),
        };
        assert_eq!((done, data.peek(1), data.peek(2)), expected);
    });
}

#[test]
fn joint_against_retime() {
    run_model("joint_against_retime", 830, || {
        let (data, mut folder) = store([(2, 10)]);
        // In the overlay, where it is the same write with another time.
        data.set(1, 10);
        let late = Deadline::after(data.0.clock(), Duration::from_secs(1_000_000));
        let joint = moved(&data);
        let other = spawn(&data, move |data| {
            let retimed = data.0.retime(data.hash(1), &1, late);
            assert_eq!(retimed, Retimed::Yes);
        });
        let done = join(&data, &mut folder, joint);
        other.join().unwrap();
        assert_eq!(data.peek(1), Some(if done { 9 } else { 10 }));
        let expires = data.0.view().deadline(data.hash(1), &1);
        assert_eq!(expires, Some(late), "the new time is lost");
    });
}

#[test]
fn joint_seen_whole() {
    run_model("joint_seen_whole", 60_000, || {
        let (data, mut folder) = store([(1, 10), (2, 10)]);
        let joint = moved(&data);
        let other = spawn(&data, |data| {
            let (_, one, two) = look(data);
            assert_eq!(one + two, 20, "a part of it: {one}, {two}");
        });
        assert!(join(&data, &mut folder, joint));
        other.join().unwrap();
    });
}

/// Who does not wait any longer knows what has become of it.
#[test]
fn joint_given_up() {
    run_model("joint_given_up", 3_500, || {
        let (data, mut folder) = store([(1, 10), (2, 10)]);
        let joint = moved(&data);
        let verdict = Arc::clone(joint.verdict());
        let other = spawn(&data, move |data| {
            if verdict.break_off() {
                return false;
            }
            data.0.help_with(&[1, 2].map(|key| (data.hash(key), key)));
            assert_eq!((data.peek(1), data.peek(2)), (Some(9), Some(11)));
            true
        });
        let done = join(&data, &mut folder, joint);
        assert_eq!(other.join().unwrap(), done);
        let expected = if done { (9, 11) } else { (10, 10) };
        assert_eq!(
            (data.peek(1), data.peek(2)),
            (Some(expected.0), Some(expected.1))
        );
    });
}

/// Two that move at once, as callers do: who comes second looks again.
#[test]
fn joints_of_two() {
    run_model("joints_of_two", 30_000, || {
        let (data, _) = store([(1, 10), (2, 10)]);
        let control = Arc::new(Control::new(Arc::clone(data.0.bell())));
        let refresher = refresher(&data, &control);
        let refresher = thread::spawn(move || refresher.work());
        let other = {
            let control = Arc::clone(&control);
            spawn(&data, move |data| move_by(data, &control))
        };
        move_by(&data, &control);
        other.join().unwrap();
        assert_eq!((data.peek(1), data.peek(2)), (Some(8), Some(12)));
        control.stop();
        refresher.join().unwrap();
    });
}

fn move_by(data: &Data, control: &Control<u8, u8>) {
    let clock = ManualClock::new().clock();
    loop {
        let reply = control.ask_joint(moved(data));
        let joined = reply.wait(&clock, Duration::MAX).expect("no time passes");
        if matches!(joined, Ok(Joined::Done)) {
            return;
        }
    }
}

/// A clear, or a dataset, comes before it or after it.
#[test]
fn joint_against_clear() {
    run_model("joint_against_clear", 1_300, || {
        let (data, mut folder) = store([(1, 10), (2, 10)]);
        let joint = moved(&data);
        let reader = spawn(&data, |data| {
            let (_, one, two) = look(data);
            assert!(one + two == 20 || one + two == 0, "{one}, {two}");
        });
        folder.clear(&data.0);
        assert!(
            !join(&data, &mut folder, joint),
            "it was made of what is gone"
        );
        assert_eq!((data.peek(1), data.peek(2)), (None, None));
        reader.join().unwrap();
    });
}
