//! The rules of loads: on runs of a model that keeps them, and of models with one fault each.

use super::config;
use crate::{
    loads::settle,
    record::{Answer, Kind, Load, Op, Span},
    search,
    zones::Register,
};
use proptest::{collection::vec, prelude::*};

#[derive(Clone, Copy, Debug)]
enum Step {
    Write,
    WriteIfAbsent,
    Remove,
    Peek,
    /// A read that loads; whether it says that it was a hit.
    Get(bool),
    /// The oldest flight that waits for a loader gets one.
    Begin,
    /// The flight of that number, counted among those with a loader, ends.
    End(usize, Outcome),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Value,
    Ignore,
    Absent,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// A load's result goes in although something was written meanwhile.
    Overwrites,
    /// A load's result goes in although it was to be ignored.
    StoresIgnored,
    /// A load's result does not go in.
    Forgets,
    /// A load that finds nothing removes what was written meanwhile.
    RemovesNewer,
    /// A call joins a flight that a write or removal had superseded.
    JoinsOld,
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        5 => Just(Outcome::Value),
        1 => Just(Outcome::Ignore),
        1 => Just(Outcome::Absent),
    ];
    prop_oneof![
        2 => Just(Step::Write),
        1 => Just(Step::WriteIfAbsent),
        3 => Just(Step::Remove),
        3 => Just(Step::Peek),
        4 => any::<bool>().prop_map(Step::Get),
        3 => Just(Step::Begin),
        3 => (0..3_usize, outcome).prop_map(|(at, outcome)| Step::End(at, outcome)),
    ]
}

fn steps() -> impl Strategy<Value = Vec<(Step, u64, u64)>> {
    let stretch = || prop_oneof![2 => Just(2_u64), 3 => 0..25_u64, 1 => 0..120_u64];
    vec((step(), stretch(), stretch()), 1..60)
}

#[derive(Debug)]
struct Flight {
    begun: Option<u64>,
    /// Starts of the calls that wait.
    waiters: Vec<u64>,
    superseded: bool,
    /// Whether something was written since the load itself began.
    outdated: bool,
    /// Whether somebody joined after that.
    joined_late: bool,
}

#[derive(Debug, Default)]
struct Model {
    ops: Vec<Op>,
    answers: Vec<Answer>,
    loads: Vec<Load>,
    value: u64,
    last_value: u64,
    flights: Vec<Flight>,
    /// Whether only what is written after a load began supersedes it, not what is written after
    /// its flight was queued. The contract leaves that open.
    lenient: bool,
    fault: Option<Fault>,
    /// Whether the fault has been seen by somebody.
    seen: bool,
    /// The value that is in the bucket, or was left out, by fault.
    wrong: Option<u64>,
}

impl Model {
    fn run(steps: &[(Step, u64, u64)], lenient: bool, fault: Option<Fault>) -> Self {
        let mut model = Self {
            lenient,
            fault,
            ..Self::default()
        };
        let mut moment = 1_000;
        for &(step, before, after) in steps {
            moment += 10;
            model.step(
                step,
                moment,
                Span {
                    start: moment - before,
                    end: moment + after,
                },
            );
        }
        while !model.flights.is_empty() {
            moment += 10;
            for step in [Step::Begin, Step::End(0, Outcome::Value)] {
                model.step(
                    step,
                    moment,
                    Span {
                        start: moment,
                        end: moment,
                    },
                );
            }
        }
        model
    }

    fn fresh(&mut self) -> u64 {
        self.last_value += 1;
        self.last_value
    }

    fn push(&mut self, kind: Kind, value: u64, span: Span) {
        self.ops.push(Op {
            kind,
            key: 0,
            value,
            span,
        });
        if kind.looks() {
            return;
        }
        (self.value, self.wrong) = (value, None);
        let lenient = self.lenient;
        for flight in &mut self.flights {
            flight.outdated |= flight.begun.is_some();
            flight.superseded |= !lenient || flight.outdated;
        }
    }

    fn look(&mut self, span: Span) {
        let kind = if self.value == 0 {
            Kind::Miss
        } else {
            Kind::Read
        };
        self.push(kind, self.value, span);
        self.seen |= self.wrong.is_some();
    }

    fn step(&mut self, step: Step, moment: u64, span: Span) {
        match step {
            Step::Write => {
                let value = self.fresh();
                self.push(Kind::Write, value, span);
            }
            Step::WriteIfAbsent if self.value == 0 => {
                let value = self.fresh();
                self.push(Kind::WriteIfAbsent, value, span);
            }
            Step::Remove => self.push(Kind::Remove, 0, span),
            Step::WriteIfAbsent | Step::Peek => self.look(span),
            Step::Get(true) if self.value != 0 => self.look(span),
            Step::Get(_) if self.value != 0 => {
                self.answers.push(Answer {
                    key: 0,
                    value: self.value,
                    span,
                });
                self.seen |= self.wrong.is_some();
            }
            Step::Get(_) => self.wait(span.start),
            Step::Begin => {
                if let Some(flight) = self.flights.iter_mut().find(|of| of.begun.is_none()) {
                    flight.begun = Some(moment);
                    if self.fault == Some(Fault::RemovesNewer) {
                        // From here on an absence may have a right reason too.
                        self.wrong = None;
                    }
                }
            }
            Step::End(which, outcome) => self.end(which, outcome, moment, span),
        }
    }

    fn wait(&mut self, start: u64) {
        let joins_old = self.fault == Some(Fault::JoinsOld);
        if let Some(flight) = self
            .flights
            .iter_mut()
            .find(|of| joins_old || !of.superseded)
        {
            flight.waiters.push(start);
            flight.joined_late |= flight.outdated;
            return;
        }
        let (begun, waiters) = (None, vec![start]);
        let fresh = Flight {
            begun,
            waiters,
            superseded: false,
            outdated: false,
            joined_late: false,
        };
        self.flights.push(fresh);
    }

    fn end(&mut self, which: usize, outcome: Outcome, moment: u64, span: Span) {
        let mut with_loader =
            (0..self.flights.len()).filter(|&at| self.flights[at].begun.is_some());
        let Some(at) = with_loader.nth(which) else {
            return;
        };
        let flight = self.flights.remove(at);
        let value = if outcome == Outcome::Absent {
            0
        } else {
            self.fresh()
        };
        let load = Span {
            start: flight.begun.expect("filtered"),
            end: moment,
        };
        let ignored = outcome == Outcome::Ignore;
        self.loads.push(Load {
            key: 0,
            value,
            ignored,
            span: load,
        });
        let right = outcome == Outcome::Value && !flight.superseded;
        let stored = match self.fault {
            Some(Fault::Overwrites) => outcome == Outcome::Value,
            Some(Fault::StoresIgnored) => value != 0 && !flight.superseded,
            Some(Fault::Forgets) => false,
            Some(Fault::JoinsOld | Fault::RemovesNewer) | None => right,
        };
        if stored {
            self.value = value;
        }
        if outcome == Outcome::Absent && self.value != 0 {
            if !flight.superseded {
                (self.value, self.wrong) = (0, None);
            } else if flight.outdated && self.fault == Some(Fault::RemovesNewer) {
                // Of a value that was loaded it may not be sure that it was there, and a load that is
                // under way and not outdated would be a right reason.
                let loaded = self.loads.iter().any(|load| load.value == self.value);
                let excused = |of: &Flight| of.begun.is_some() && !of.outdated;
                let sure = !loaded && !self.flights.iter().any(excused);
                self.wrong = sure.then_some(self.value);
                self.value = 0;
            }
        }
        if stored != right && value != 0 {
            self.wrong = Some(value);
        } else if stored {
            self.wrong = None;
        }
        // "Absent" may be explained by another load.
        self.seen |= flight.joined_late && value != 0;
        for start in flight.waiters {
            self.answers.push(Answer {
                key: 0,
                value,
                span: Span {
                    start,
                    end: span.end,
                },
            });
        }
    }

    fn judge(&self) -> Result<(), String> {
        let plain = settle(&self.ops, &self.answers, &self.loads, false)
            .map_err(|fault| fault.to_string())?;
        let zones = Register::new(&plain).and_then(|register| register.check());
        let search = search::check(&plain);
        assert!(
            search.is_err() || zones.is_ok(),
            "the search accepts what zones do not"
        );
        search.map_err(|violation| violation.to_string())
    }
}

fn in_turn(steps: &[(Step, u64, u64)]) -> Vec<(Step, u64, u64)> {
    steps.iter().map(|&(step, ..)| (step, 2, 2)).collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn loads_that_keep_the_rules_are_accepted(steps in steps(), lenient: bool) {
        let model = Model::run(&steps, lenient, None);
        prop_assert!(model.judge().is_ok(), "{}: {model:?}", model.judge().unwrap_err());
    }

    #[test]
    fn a_load_over_a_newer_write_is_rejected(steps in steps()) {
        let model = Model::run(&in_turn(&steps), true, Some(Fault::Overwrites));
        prop_assert!(!model.seen || model.judge().is_err(), "{model:?}");
    }

    #[test]
    fn a_removal_of_a_newer_value_is_rejected(steps in steps()) {
        let model = Model::run(&in_turn(&steps), true, Some(Fault::RemovesNewer));
        prop_assert!(!model.seen || model.judge().is_err(), "{model:?}");
    }

    #[test]
    fn a_stored_value_that_was_to_be_ignored_is_rejected(steps in steps()) {
        let model = Model::run(&in_turn(&steps), false, Some(Fault::StoresIgnored));
        prop_assert!(!model.seen || model.judge().is_err(), "{model:?}");
    }

    #[test]
    fn an_answer_from_before_a_write_is_rejected(steps in steps()) {
        let model = Model::run(&in_turn(&steps), false, Some(Fault::JoinsOld));
        prop_assert!(!model.seen || model.judge().is_err(), "{model:?}");
    }
}

/// Only where no write could have superseded the load is it sure that the value had to go in.
#[test]
fn a_load_that_does_not_go_in_is_rejected() {
    let steps: Vec<_> = [
        Step::Write,
        Step::Remove,
        Step::Get(false),
        Step::Begin,
        Step::End(0, Outcome::Value),
        Step::Peek,
    ]
    .map(|step| (step, 2, 2))
    .into();
    assert!(Model::run(&steps, false, None).judge().is_ok());
    let model = Model::run(&steps, false, Some(Fault::Forgets));
    assert!(model.judge().is_err(), "{model:?}");
}

#[test]
fn an_absence_that_no_load_reported_is_rejected() {
    let answer = Answer {
        key: 0,
        value: 0,
        span: Span { start: 50, end: 90 },
    };
    let load = |start, end| Load {
        key: 0,
        value: 0,
        ignored: false,
        span: Span { start, end },
    };
    let write = Op {
        kind: Kind::Write,
        key: 0,
        value: 1,
        span: Span { start: 30, end: 40 },
    };
    let settled = |loads: &[Load]| settle(&[write], &[answer], loads, false).is_ok();
    assert!(!settled(&[]), "none at all");
    assert!(
        !settled(&[load(20, 60)]),
        "began before a write that had returned"
    );
    assert!(!settled(&[load(95, 99)]), "began later");
    assert!(settled(&[load(35, 60)]));
}
