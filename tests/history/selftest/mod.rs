//! The checkers, checked.

use proptest::prelude::*;

mod cuts;
mod loads;
mod registers;

/// A case costs microseconds, so there can be many; `PROPTEST_CASES` raises it further.
fn config() -> ProptestConfig {
    let standard = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    ProptestConfig {
        cases: standard.cases.max(4_000),
        ..standard
    }
}
