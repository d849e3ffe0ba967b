//! What a thread keeps that reads without a handle: the published value, for next to nothing a read.
//!
//! Each thread has a *slot* in each cell that it reads so. In its *word* lies the value, as a pointer that counts
//! as an owner of it. The thread alone puts one there, and the publisher alone takes it out, before it publishes
//! another. So a read looks at the word, and that is all that it has to know of whether something newer is
//! published.
//!
//! What was taken out may still be in use. A reader says that it is inside before it looks at the word; the
//! publisher takes the word away and then looks whether the reader is inside. Between the two steps both pass a
//! [barrier], so at least one of them sees the other, and what is in use is kept for later. The reader's side of
//! the barrier is free where the system allows.

#![allow(unsafe_code, reason = "a pointer that two threads may free")]

use std::ops::Deref;
use std::{fmt, ptr};

use super::atomic::{AtomicPtr, AtomicUsize};
use super::world::{self, Handed, Index, Member, Slots, barrier};
use super::{Arc, Mutex, fault, order};

/// One thread's, for one cell.
#[derive(Debug)]
pub(crate) struct ThreadSlot {
    /// Its thread is reading what lies here, or did when it looked. Only the thread changes it.
    pub(super) inside: AtomicUsize,
    /// A value, or a [`Sign`] that there is none.
    pub(super) word: AtomicPtr<()>,
}

/// What is in a word in place of a value: a number that is odd, as no address of a value is.
struct Sign;

impl Sign {
    /// The publisher does not know the slot.
    pub(super) const UNKNOWN: *mut () = ptr::without_provenance_mut(1);
    /// Something is being published, or nothing is ever to be kept here.
    const CLOSED: *mut () = ptr::without_provenance_mut(3);

    /// Whoever finds this may put the value there that it loads afterwards, if it finds the same again then. Each
    /// publication has a number of its own: or one might come and go between the two looks.
    fn empty(publication: usize) -> *mut () {
        // Never 0, which would be that of an unknown slot; that it comes round in some billions is no matter.
        ptr::without_provenance_mut(publication.wrapping_mul(4).max(4) | 1)
    }

    fn is_none(word: *mut ()) -> bool {
        word.addr() & 1 != 0
    }
}

/// What a thread says of whether it is inside. No `bool`, of which a load makes sure that it is one.
pub(super) const OUTSIDE: usize = 0;
const INSIDE: usize = 1;

/// The sign of a slot that nobody knows.
pub(super) const UNKNOWN: *mut () = Sign::UNKNOWN;

/// The publisher's side: the slots of all threads.
pub(crate) struct PerThread<T: Send + Sync + 'static>(Arc<Shared<T>>);

/// The readers' side: where each thread finds its slot.
pub(crate) struct Place<T: Send + Sync + 'static> {
    /// Here, so that a read need not follow the pointer.
    index: Index,
    shared: Arc<Shared<T>>,
}

struct Shared<T: Send + Sync + 'static> {
    slots: Slots,
    /// Held while something is published. Readers only ever try it.
    state: Mutex<State<T>>,
}

struct State<T> {
    /// Those whose slots are known here.
    members: Vec<Member>,
    publications: usize,
    /// What was taken out of slots and may be in use.
    taken: Vec<Taken<T>>,
    /// The barrier has failed once. Nothing can be freed then, so nothing is kept.
    refused: bool,
}

struct Taken<T> {
    from: Member,
    value: *mut Handed<T>,
}

// SAFETY: an owner of a `T`, as an `Arc` would be.
unsafe impl<T: Send + Sync> Send for Taken<T> {}

impl<T: Send + Sync + 'static> PerThread<T> {
    pub(crate) fn new() -> Self {
        const {
            assert!(
                align_of::<Handed<T>>() > 1,
                "an address must not look like a sign"
            );
        };
        let state = State {
            members: Vec::new(),
            publications: 1,
            taken: Vec::new(),
            refused: false,
        };
        Self(Arc::new(Shared {
            slots: Slots::new(),
            state: Mutex::new(state),
        }))
    }

    /// What to [`read`](Place::read) by.
    pub(crate) fn place(&self) -> Place<T> {
        Place {
            index: self.0.slots.index(),
            shared: Arc::clone(&self.0),
        }
    }

    /// Publishes something by `publish`. Nobody uses what was kept before once that is seen.
    pub(crate) fn publish<R>(&self, publish: impl FnOnce() -> R) -> R {
        let shared = &*self.0;
        let mut state = shared.state.lock();
        let state = &mut *state;
        for &member in &state.members {
            let word = &shared.slots.of(&member).word;
            let sign = if fault::planted("slot_left_open") {
                Sign::empty(state.publications)
            } else {
                Sign::CLOSED
            };
            let there = word.swap(sign, order::OWN);
            if !Sign::is_none(there) {
                state.taken.push(Taken {
                    from: member,
                    value: there.cast(),
                });
            }
        }
        let published = publish();
        state.publications = state.publications.wrapping_add(1);
        if !state.refused {
            for member in &state.members {
                let word = &shared.slots.of(member).word;
                word.store(Sign::empty(state.publications), order::slot_open());
            }
        }
        published
    }

    /// Gives up what was taken from threads and is not in use any more.
    pub(crate) fn let_go(&self) {
        let shared = &*self.0;
        let mut free = Vec::new();
        {
            let mut state = shared.state.lock();
            if state.taken.is_empty() {
                return;
            }
            if !(fault::planted("no_heavy_barrier") || barrier::heavy()) {
                state.refused = true;
                return;
            }
            for taken in std::mem::take(&mut state.taken) {
                let slot = shared.slots.of(&taken.from);
                if (0..world::GLANCES).all(|_| slot.is_in_use()) {
                    state.taken.push(taken);
                } else {
                    // SAFETY: it was taken out before the barrier, and its thread was not inside after it: so
                    // that will find the word without it. That it has left happens before the look that said so.
                    free.push(unsafe { Handed::take(taken.value) });
                }
            }
        }
        // Outside of the lock: what is in them is the user's.
        drop(free);
    }
}

impl<T: Send + Sync + 'static> Place<T> {
    /// What `hit` makes of the value that this thread keeps. [`Stopped`] if it makes nothing of it, and if the thread
    /// keeps none.
    #[inline(always)]
    pub(crate) fn read<R>(&self, hit: impl FnOnce(&T) -> Option<R>) -> Result<R, Stopped<'_>> {
        let Some(slot) = self.shared.slots.mine(self.index) else {
            return Err(Stopped(None));
        };
        let inside = Inside::enter(slot);
        let word = slot.word.load(order::OWN);
        if Sign::is_none(word) {
            return Err(Stopped(Some(inside)));
        }
        // SAFETY: as in `keep`.
        let value = unsafe { Handed::look(word.cast()) };
        match hit(&value) {
            Some(found) => Ok(found),
            None => {
                drop(value);
                Err(Stopped(Some(inside)))
            }
        }
    }

    /// The value that this thread keeps, from now on if it keeps none: then `load` brings it. `None` while something
    /// is published, and where nothing can be kept.
    #[inline]
    pub(super) fn keep<'a>(
        &'a self,
        stopped: Stopped<'a>,
        load: impl FnOnce() -> Arc<T>,
    ) -> Option<Reading<'a, impl Deref<Target = T> + 'a>> {
        let mut inside = stopped.0?;
        let mut word = inside.slot.word.load(order::OWN);
        if Sign::is_none(word) {
            (inside, word) = self.shared.take_up(inside, load)?;
        }
        // SAFETY: it is or was in the word after this thread said that it is inside. The publisher takes it out
        // before it looks for that, so it finds it, and leaves the value alone for as long as `inside` is there.
        let value = unsafe { Handed::look(word.cast()) };
        Some(Reading { value, inside })
    }
}

/// How far a read has come that has found nothing: into the thread's slot, or not even there.
pub(crate) struct Stopped<'a>(Option<Inside<'a>>);

impl<T: Send + Sync + 'static> Shared<T> {
    /// Puts what `load` brings into a slot that is open, and returns it.
    #[cold]
    #[inline(never)]
    fn take_up<'a>(
        &'a self,
        mut inside: Inside<'a>,
        load: impl FnOnce() -> Arc<T>,
    ) -> Option<(Inside<'a>, *mut ())> {
        if inside.slot.word.load(order::OWN) == Sign::UNKNOWN {
            // Nobody's slot, maybe, and other threads are in there as well.
            drop(inside);
            inside = Inside::enter(self.join()?);
        }
        let word = &inside.slot.word;
        let open = word.load(order::slot_look());
        if !Sign::is_none(open) {
            // Left by the thread that had the slot before.
            return Some((inside, open));
        }
        if open == Sign::CLOSED || open == Sign::UNKNOWN {
            return None;
        }
        let value = Handed::give(load()).cast();
        if fault::planted("slot_fills_blindly") {
            word.store(value, order::OWN);
            return Some((inside, value));
        }
        match word.compare_exchange(open, value, order::OWN, order::OWN) {
            Ok(_) => Some((inside, value)),
            Err(_) => {
                // SAFETY: it was given a few lines above, and nobody has seen it.
                drop(unsafe { Handed::<T>::take(value.cast()) });
                None
            }
        }
    }

    /// Makes this thread's slot known to the publisher.
    #[cold]
    fn join(&self) -> Option<&ThreadSlot> {
        if !barrier::works() {
            return None;
        }
        let member = self.slots.claim()?;
        let slot = self.slots.of(&member);
        if slot.word.load(order::OWN) != Sign::UNKNOWN {
            return Some(slot);
        }
        // Whoever is publishing does not know it, and would let it keep what is published no more.
        let mut state = self.state.try_lock()?;
        if state.refused {
            return None;
        }
        state.members.push(member);
        let empty = Sign::empty(state.publications);
        slot.word.store(empty, order::OWN);
        Some(slot)
    }
}

impl<T: Send + Sync + 'static> Drop for Shared<T> {
    fn drop(&mut self) {
        let (members, mut taken) = {
            let mut state = self.state.lock();
            (
                std::mem::take(&mut state.members),
                std::mem::take(&mut state.taken),
            )
        };
        for member in members {
            let word = &self.slots.of(&member).word;
            let there = word.swap(Sign::UNKNOWN, order::OWN);
            if !Sign::is_none(there) {
                taken.push(Taken {
                    from: member,
                    value: there.cast(),
                });
            }
        }
        for taken in taken {
            // SAFETY: no read is under way, since each holds a `Place`, which holds us.
            drop(unsafe { Handed::take(taken.value) });
        }
    }
}

impl<T: Send + Sync + 'static> Clone for Place<T> {
    fn clone(&self) -> Self {
        Self {
            index: self.index,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for Place<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.index).finish()
    }
}

impl ThreadSlot {
    /// Whether its thread is inside, and maybe has been since before the word was taken away.
    fn is_in_use(&self) -> bool {
        let inside = self.inside.load(order::slot_gone()) != OUTSIDE;
        if inside {
            world::spin();
        }
        inside
    }
}

/// A thread's time in its slot.
struct Inside<'a> {
    slot: &'a ThreadSlot,
    /// Whether it was inside already: a `Clone` or an `Eq` of the user's reads what it is called by the read of.
    before: usize,
}

impl<'a> Inside<'a> {
    #[inline(always)]
    fn enter(slot: &'a ThreadSlot) -> Self {
        let before = slot.inside.load(order::OWN);
        slot.inside.store(INSIDE, order::OWN);
        if !fault::planted("no_light_barrier") {
            barrier::light();
        }
        Self { slot, before }
    }
}

impl Drop for Inside<'_> {
    /// The outermost of them leaves.
    #[inline(always)]
    fn drop(&mut self) {
        let before = if fault::planted("inner_read_leaves") {
            OUTSIDE
        } else {
            self.before
        };
        self.slot.inside.store(before, order::slot_leave());
    }
}

/// A value that a thread keeps, while it reads it. Fields are dropped in this order.
pub(super) struct Reading<'a, D> {
    value: D,
    #[expect(dead_code, reason = "for its drop")]
    inside: Inside<'a>,
}

impl<D: Deref> Deref for Reading<'_, D> {
    type Target = D::Target;

    fn deref(&self) -> &D::Target {
        &self.value
    }
}

#[cfg(all(test, not(larder_loom), not(larder_shuttle)))]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
    use std::thread;

    use super::*;

    /// Knows its number, and tells when it is dropped.
    struct Value {
        number: usize,
        dropped: Arc<[AtomicBool]>,
    }

    impl Value {
        fn new(number: usize, dropped: &Arc<[AtomicBool]>) -> Arc<Self> {
            let dropped = Arc::clone(dropped);
            Arc::new(Self { number, dropped })
        }

        /// Without a tale.
        fn plain(number: usize) -> Arc<Self> {
            let dropped = [].into();
            Arc::new(Self { number, dropped })
        }
    }

    impl Drop for Value {
        fn drop(&mut self) {
            if let Some(dropped) = self.dropped.get(self.number) {
                dropped.store(true, Relaxed);
            }
        }
    }

    fn read<R>(
        place: &Place<Value>,
        newest: &Mutex<Arc<Value>>,
        look: impl Fn(&Value) -> R,
    ) -> Option<(R, bool)> {
        match place.read(|value| Some(look(value))) {
            Ok(found) => Some((found, true)),
            Err(stopped) => {
                let kept = place.keep(stopped, || Arc::clone(&newest.lock()))?;
                Some((look(&kept), false))
            }
        }
    }

    /// What the models take for granted: that the system's barrier is one. Without its heavy side this fails
    /// at once on two cores, as a value is freed that is being read; the light one is a word to the compiler.
    #[test]
    fn what_is_read_is_not_let_go() {
        const PUBLICATIONS: usize = if cfg!(miri) { 50 } else { 20_000 };
        let slots = PerThread::<Value>::new();
        let dropped: Arc<[AtomicBool]> =
            (0..=PUBLICATIONS).map(|_| AtomicBool::new(false)).collect();
        let newest = Mutex::new(Value::new(0, &dropped));
        let (done, reads) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            let place = slots.place();
            let (newest, done, reads, dropped) = (&newest, &done, &reads, &dropped);
            let reader = scope.spawn(move || {
                let mut last = 0;
                while !done.load(Relaxed) {
                    // Long enough for a value that is let go too early to be gone meanwhile.
                    let look = |value: &Value| {
                        let number = value.number;
                        (number, (0..100).all(|_| !dropped[number].load(Relaxed)))
                    };
                    let Some(((number, alive), kept)) = read(&place, newest, look) else {
                        continue;
                    };
                    assert!(alive, "freed while it was read");
                    assert!(last <= number, "{last}, then {number}");
                    last = number;
                    reads.fetch_add(u64::from(kept), Relaxed);
                }
            });
            let publish = |number| {
                let next = Value::new(number, dropped);
                drop(slots.publish(|| std::mem::replace(&mut *newest.lock(), next)));
            };
            for number in (1..PUBLICATIONS).step_by(2) {
                publish(number);
                let before = reads.load(Relaxed);
                let _ = (0..5000).any(|_| reads.load(Relaxed) != before);
                // A look at the slot, and then at once another: so its thread, which has it in its cache for reading
                // only, takes long to say that it is inside. Where there are two processors for it.
                slots.let_go();
                publish(number + 1);
                slots.let_go();
            }
            while reads.load(Relaxed) == 0 && !reader.is_finished() {
                thread::yield_now();
            }
            done.store(true, Relaxed);
        });
        // Nobody is inside any more.
        slots.publish(|| ());
        slots.let_go();
        assert_eq!(Arc::strong_count(&newest.lock()), 1);
    }

    #[test]
    fn an_idle_thread_keeps_nothing_beyond_the_next_publication() {
        let slots = PerThread::<Value>::new();
        let (place, newest) = (slots.place(), Mutex::new(Value::plain(1)));
        for kept in [false, true, true] {
            let (_, short) = read(&place, &newest, |_| ()).unwrap();
            assert_eq!(short, kept);
        }
        let old = Arc::clone(&newest.lock());
        assert_eq!(Arc::strong_count(&old), 3);
        slots.publish(|| *newest.lock() = Value::plain(2));
        slots.let_go();
        assert_eq!(Arc::strong_count(&old), 1);
        assert!(place.read(|_| Some(())).is_err());
        drop(slots);
        read(&place, &newest, |_| ()).unwrap();
        assert_eq!(Arc::strong_count(&newest.lock()), 2);
        drop(place);
        assert_eq!(Arc::strong_count(&newest.lock()), 1);
    }

    /// The inner one finds what is newest, and leaves the outer one inside.
    #[test]
    fn what_is_read_stays_whatever_is_read_inside_of_that() {
        let slots = PerThread::<Value>::new();
        let dropped: Arc<[AtomicBool]> = (0..3).map(|_| AtomicBool::new(false)).collect();
        let (place, newest) = (slots.place(), Mutex::new(Value::new(1, &dropped)));
        read(&place, &newest, |_| ()).unwrap();
        let inner = place.read(|value| {
            drop(slots.publish(|| std::mem::replace(&mut *newest.lock(), Value::new(2, &dropped))));
            slots.let_go();
            let inner = [(); 2].map(|()| read(&place, &newest, |value| value.number).unwrap());
            slots.let_go();
            assert!(!dropped[1].load(Relaxed), "freed while it was read");
            Some((inner, value.number))
        });
        assert_eq!(inner.ok(), Some(([(2, false), (2, true)], 1)));
        slots.let_go();
        assert!(dropped[1].load(Relaxed) && !dropped[2].load(Relaxed));
    }

    #[test]
    fn a_panic_in_a_read_leaves_the_slot() {
        let slots = PerThread::<Value>::new();
        let (place, newest) = (slots.place(), Mutex::new(Value::plain(1)));
        read(&place, &newest, |_| ()).unwrap();
        let panics = || place.read(|_| -> Option<()> { panic!("scripted") }).is_ok();
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        assert_eq!(read(&place, &newest, |_| ()), Some(((), true)));
    }

    /// The next thread that has the slot finds what is there, and no thread's is lost.
    #[test]
    fn a_slot_is_handed_on_when_its_thread_ends() {
        const THREADS: u64 = if cfg!(miri) { 120 } else { 2000 };
        let slots = PerThread::<Value>::new();
        let newest = Mutex::new(Value::plain(1));
        for _ in 0..THREADS {
            let place = slots.place();
            thread::scope(|scope| {
                scope.spawn(|| read(&place, &newest, |_| ()).unwrap());
            });
        }
        let held = Arc::strong_count(&newest.lock()) - 1;
        assert!(held < 100, "{held} for threads of which two ran at a time");
        slots.publish(|| ());
        slots.let_go();
        assert_eq!(Arc::strong_count(&newest.lock()), 1);
    }
}
