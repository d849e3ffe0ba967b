//! A fuzz target without libFuzzer: its corpus replayed, then inputs made from a fixed seed.

/// How many inputs are made.
const MADE: u64 = 400;

/// Gives `fuzz_one`, which says how many operations it ran, every input of the corpus of this name, and then
/// the made ones. Panics of the `scripted` kind are part of the game, and not printed.
///
/// # Panics
///
/// If there is no corpus, or if there were fewer than `least` operations.
pub(crate) fn replay(corpus: &str, least: usize, fuzz_one: impl Fn(&[u8]) -> usize) {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&"scripted") {
            usual(info);
        }
    }));
    let corpus = format!("{}/corpus/{corpus}", env!("CARGO_MANIFEST_DIR"));
    let mut inputs: Vec<Vec<u8>> = std::fs::read_dir(&corpus)
        .into_iter()
        .flatten()
        .filter_map(|entry| std::fs::read(entry.ok()?.path()).ok())
        .collect();
    let kept = inputs.len();
    assert!(kept > 0, "no corpus in {corpus}");
    inputs.extend((1..=MADE).map(made));
    let ops: usize = inputs.iter().map(|input| fuzz_one(input)).sum();
    assert!(ops > least, "{ops} operations are too few to mean anything");
    println!("{kept} inputs of the corpus and {MADE} made ones replayed: {ops} operations");
}

fn made(seed: u64) -> Vec<u8> {
    let mut next = numbers(seed);
    (0..64).flat_map(|_| next().to_le_bytes()).collect()
}

/// Numbers from a seed: splitmix64 (Steele, Lea and Flood 2014).
pub(crate) fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }
}
