//! What stands behind the shim does as it is told: arc-swap, papaya and once_cell in the real world, their
//! stand-ins under loom, by the same scripts.
//!
//! Two threads may each see the keys in an order of their own, as a stand-in promises no more; but what they
//! see of one key has to be explained by some order of their steps.

use crate::sync::{Arc, Cell, Keyed, Lazy, Map, order, plain, thread};

#[derive(Clone, Copy, Debug)]
enum Step {
    Look,
    PutIfAbsent,
    PutOver,
    RemoveIfOdd,
}

/// A step for a key, with the number that it would put.
type Line = (u8, Step, u64);

/// The number that a step saw or put.
type Seen = Option<u64>;

/// Keys in use. Their hashes differ, as the stand-in under loom wants it.
const KEYS: u8 = 3;

/// What scripts are run on, and what each step is to do, with what is there before.
trait Subject: Send + Sync + 'static {
    fn new() -> Self;
    fn act(&self, line: Line) -> Seen;
    fn expect(there: &mut Seen, line: Line) -> Seen;
}

struct Item(u8, u64);

impl Keyed for Item {
    type Key = u8;

    fn key(&self) -> &u8 {
        &self.0
    }
}

impl Subject for Map<Item> {
    fn new() -> Self {
        Self::with_capacity(0)
    }

    fn act(&self, (key, step, number): Line) -> Seen {
        let hash = u64::from(key);
        let make = || Arc::new(Item(key, number));
        let put = |allow: fn(Option<&Item>) -> bool| match self.put_if(hash, &key, allow, make) {
            Ok(item) => Some(item.1),
            Err(there) => there.map(|item| item.1),
        };
        match step {
            Step::Look => self.get(hash, &key).map(|item| item.1),
            Step::PutIfAbsent => put(|there| there.is_none()),
            Step::PutOver => put(|_| true),
            Step::RemoveIfOdd => {
                self.remove_if(hash, &key, |item| item.1 % 2 == 1);
                None
            }
        }
    }

    fn expect(there: &mut Seen, (_, step, number): Line) -> Seen {
        match step {
            Step::Look => *there,
            Step::PutIfAbsent => Some(*there.get_or_insert(number)),
            Step::PutOver => Some(*there.insert(number)),
            Step::RemoveIfOdd => {
                *there = there.filter(|number| number % 2 == 0);
                None
            }
        }
    }
}

/// One for each key.
impl Subject for [Cell<u64>; KEYS as usize] {
    fn new() -> Self {
        std::array::from_fn(|_| Cell::new(Arc::new(0)))
    }

    fn act(&self, (key, step, number): Line) -> Seen {
        let cell = &self[usize::from(key)];
        Some(match step {
            Step::Look => **cell.load(),
            Step::PutIfAbsent | Step::RemoveIfOdd => *cell.load_full(),
            Step::PutOver => *cell.swap(Arc::new(number)),
        })
    }

    fn expect(there: &mut Seen, (_, step, number): Line) -> Seen {
        let before = there.get_or_insert(0);
        Some(match step {
            Step::PutOver => std::mem::replace(before, number),
            Step::Look | Step::PutIfAbsent | Step::RemoveIfOdd => *before,
        })
    }
}

impl Subject for [Lazy<u64>; KEYS as usize] {
    fn new() -> Self {
        std::array::from_fn(|_| Lazy::new())
    }

    fn act(&self, (key, step, number): Line) -> Seen {
        let lazy = &self[usize::from(key)];
        match step {
            Step::Look | Step::RemoveIfOdd => lazy.get().copied(),
            Step::PutIfAbsent | Step::PutOver => Some(*lazy.get_or_make(|| number)),
        }
    }

    fn expect(there: &mut Seen, (_, step, number): Line) -> Seen {
        match step {
            Step::Look | Step::RemoveIfOdd => *there,
            Step::PutIfAbsent | Step::PutOver => Some(*there.get_or_insert(number)),
        }
    }
}

/// A script drawn from `seed`, which puts numbers from `first` on.
fn script(seed: u64, lines: u64, first: u64) -> Vec<Line> {
    let mut state = seed * 2 + 1;
    let mut draw = |end: u64| {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        (state >> 33) % end
    };
    let line = |at| {
        let step = match draw(4) {
            0 => Step::Look,
            1 => Step::PutIfAbsent,
            2 => Step::PutOver,
            _ => Step::RemoveIfOdd,
        };
        (draw(u64::from(KEYS)) as u8, step, first + at)
    };
    (0..lines).map(line).collect()
}

fn alone<S: Subject>(seed: u64) {
    let subject = S::new();
    let mut there = [None; KEYS as usize];
    for line in script(seed, 60, 1) {
        let expected = S::expect(&mut there[usize::from(line.0)], line);
        assert_eq!(subject.act(line), expected, "{line:?} of script {seed}");
    }
}

/// What was seen of one key by each of two threads, and at last.
struct Outcome {
    threads: [Vec<(Line, Seen)>; 2],
    last: (Line, Seen),
}

/// Whether the steps could have come one after the other, in some order, to be seen as they were.
fn is_explained<S: Subject>(outcome: &Outcome) -> bool {
    fn goes_on<S: Subject>(
        there: Seen,
        [one, other]: [&[(Line, Seen)]; 2],
        outcome: &Outcome,
    ) -> bool {
        if one.is_empty() && other.is_empty() {
            let (line, seen) = outcome.last;
            return S::expect(&mut { there }, line) == seen;
        }
        [(one, other), (other, one)]
            .into_iter()
            .any(|(first, second)| {
                let mut there = there;
                first.split_first().is_some_and(|(&(line, seen), rest)| {
                    S::expect(&mut there, line) == seen
                        && goes_on::<S>(there, [rest, second], outcome)
                })
            })
    }
    let [one, other] = &outcome.threads;
    goes_on::<S>(None, [one, other], outcome)
}

fn together<S: Subject>(seed: u64) {
    let subject = Arc::new(S::new());
    let lines = if cfg!(larder_loom) { 3 } else { 8 };
    let arrived = Arc::new(plain::Word::new(0));
    let run = move |subject: &S, arrived: &plain::Word, seed, first| -> Vec<(Line, Seen)> {
        // Else one is through before the other has begun. loom does not need that.
        arrived.fetch_add(1, order::COUNT);
        while arrived.load(order::COUNT) < 2 && cfg!(not(larder_loom)) {
            thread::yield_now();
        }
        let see = |line| (line, subject.act(line));
        script(seed, lines, first).into_iter().map(see).collect()
    };
    let other = {
        let (subject, arrived) = (Arc::clone(&subject), Arc::clone(&arrived));
        let body = move || run(&subject, &arrived, 2 * seed, 100);
        let named = thread::Builder::new().name("other".into());
        named.spawn(body).expect("a thread")
    };
    let one = run(&subject, &arrived, 2 * seed + 1, 201);
    let threads = [one, other.join().unwrap()];
    for key in 0..KEYS {
        let of_key = |thread: &Vec<(Line, Seen)>| -> Vec<(Line, Seen)> {
            let steps = thread.iter().copied();
            steps.filter(|(line, _)| line.0 == key).collect()
        };
        let last = (key, Step::Look, 0);
        let outcome = Outcome {
            threads: [of_key(&threads[0]), of_key(&threads[1])],
            last: (last, subject.act(last)),
        };
        assert!(
            is_explained::<S>(&outcome),
            "key {key} of script {seed}: {threads:?}"
        );
    }
}

#[cfg(larder_loom)]
fn conforms<S: Subject>() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    for seed in 0..100 {
        builder.check(move || alone::<S>(seed));
        builder.check(move || together::<S>(seed));
    }
}

#[cfg(not(larder_loom))]
fn conforms<S: Subject>() {
    (0..2000).for_each(alone::<S>);
    (0..5000).for_each(together::<S>);
}

#[test]
fn conforms_the_map() {
    conforms::<Map<Item>>();
}

#[test]
fn conforms_the_cell() {
    conforms::<[Cell<u64>; KEYS as usize]>();
}

#[test]
fn conforms_the_lazy_place() {
    conforms::<[Lazy<u64>; KEYS as usize]>();
}

/// Two threads that both found nothing and put.
#[test]
fn what_no_order_explains_is_refused() {
    let put = |number, seen| vec![((0, Step::PutIfAbsent, number), Some(seen))];
    let outcome = |seen: [u64; 2], last| Outcome {
        threads: [put(1, seen[0]), put(2, seen[1])],
        last: ((0, Step::Look, 0), last),
    };
    assert!(is_explained::<Map<Item>>(&outcome([1, 1], Some(1))));
    assert!(is_explained::<Map<Item>>(&outcome([2, 2], Some(2))));
    for (seen, last) in [([1, 2], Some(2)), ([1, 1], Some(2)), ([1, 1], None)] {
        assert!(!is_explained::<Map<Item>>(&outcome(seen, last)));
    }
}
