//! Run with: `cargo run --example quickstart`
//!
//! A bucket of prices: loaded when asked for, written by hand, read in four ways.

use std::error::Error;

use larder::Bucket;

fn main() -> Result<(), Box<dyn Error>> {
    // One call of the loader answers for many keys. A real one would ask a database.
    let prices = Bucket::<String, u64>::builder("prices")
        .bulk_load(|teas: &[String]| {
            let priced = teas.iter().filter(|tea| tea.ends_with("tea"));
            Ok::<Vec<_>, Box<dyn Error + Send + Sync>>(
                priced
                    .map(|tea| (tea.clone(), 100 * tea.len() as u64))
                    .collect(),
            )
        })
        .build()?;

    // `get` waits for the loader when it must; a key that the loader leaves out is absent.
    assert_eq!(prices.get("green tea"), Some(900));
    assert_eq!(prices.get("coffee"), None);

    // `peek` never loads, nor does a `Reader`, the handle for a thread that reads a lot.
    assert_eq!(prices.peek("black tea"), None);
    prices.set("black tea".into(), 850);
    let mut reader = prices.reader();
    assert_eq!(reader.get("black tea"), Some(&850));

    // A snapshot is the bucket at one moment, and stays so.
    prices.publish()?;
    let menu = prices.snapshot();
    prices.set("black tea".into(), 870);
    assert_eq!((menu.len(), menu.get("black tea")), (2, Some(&850)));
    assert_eq!(reader.get("black tea"), Some(&870));

    println!("{} teas, from snapshot {}", menu.len(), menu.epoch());
    Ok(())
}
