use larder::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

#[test]
fn reads_writes_folds() {
    let b = Bucket::<u64, u64>::builder("t").build().unwrap();
    for i in 0..10_000 {
        b.set(i, i);
    }
    assert_eq!(b.len(), 10_000);
    let mut r = b.reader();
    for i in 0..10_000 {
        assert_eq!(b.peek(&i), Some(i));
        assert_eq!(r.get(&i), Some(&i));
    }
    let e = b.publish().unwrap();
    assert!(e >= 1);
    assert_eq!(b.snapshot().len(), 10_000);
    for i in 0..10_000 {
        assert_eq!(r.get(&i), Some(&i));
    }
    b.invalidate(&5);
    assert_eq!(r.get(&5), None);
    assert_eq!(b.peek(&5), None);
    assert_eq!(b.set_if_absent(5, 7), Ok(()));
    assert_eq!(b.set_if_absent(5, 8), Err(7));
    b.publish().unwrap();
    assert_eq!(r.get(&5), Some(&7));
    b.clear().unwrap();
    assert_eq!(b.len(), 0);
    assert_eq!(r.get(&5), None);
}

#[test]
fn loads() {
    let calls = Arc::new(AtomicUsize::new(0));
    let c = calls.clone();
    let b = Bucket::<String, usize>::builder("t")
        .batch_size(100)
        .bulk_load(move |keys: &[String]| {
            c.fetch_add(1, SeqCst);
            Ok::<_, String>(
                keys.iter()
                    .map(|k| (k.clone(), k.len()))
                    .collect::<Vec<_>>(),
            )
        })
        .build()
        .unwrap();
    let keys: Vec<String> = (0..1000).map(|i| format!("{i}")).collect();
    let got = b.get_many(keys.iter());
    assert!(got.iter().zip(&keys).all(|(g, k)| *g == Some(k.len())));
    assert_eq!(calls.load(SeqCst), 10);
    let t = b.refresh();
    t.wait(Duration::from_secs(5)).unwrap();
    assert_eq!(calls.load(SeqCst), 20);
    assert_eq!(b.fetch("77").unwrap().origin(), Origin::Hit);
    println!("{:?}", b.stats());
}

#[test]
fn dataset() {
    let b = Bucket::<u64, u64>::builder("d")
        .load_all(|| Ok::<_, String>((0..1000u64).map(|k| (k, k))))
        .build()
        .unwrap();
    b.set(5000, 1);
    b.refresh().wait(Duration::from_secs(5)).unwrap();
    assert_eq!(b.len(), 1000);
    assert_eq!(b.peek(&5000), None);
}

#[test]
fn recursion() {
    use std::sync::OnceLock;
    static B: OnceLock<Bucket<u64, u64>> = OnceLock::new();
    let b = Bucket::<u64, u64>::builder("r")
        .loader_threads(1)
        .load(|k: &u64| -> Result<u64, Error> {
            let b = B.get().unwrap();
            if *k == 100 {
                return b.fetch(&100).map(|f| f.into_value().unwrap());
            }
            if *k == 0 {
                return Ok(0);
            }
            Ok(b.fetch(&(k - 1))?.into_value().unwrap() + 1)
        })
        .build()
        .unwrap();
    B.set(b.clone()).unwrap();
    assert_eq!(b.fetch(&20).unwrap().into_value(), Some(20));
    let e = b.fetch(&100).unwrap_err();
    println!("{e} {e:?}");
}
