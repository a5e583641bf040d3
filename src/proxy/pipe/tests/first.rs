//! Functions that speak before they hear anything.

use super::*;
use crate::proxy::bench::chain_of;

/// A function that says its word in its first call and copies what it hears.
fn greets(word: &'static [u8]) -> Body {
    let mut said = false;
    Box::new(move |_, input, output, end| {
        if said {
            return copy(input, output, end);
        }
        said = true;
        output[..word.len()].copy_from_slice(word);
        say(0, word.len(), Verdict::More)
    })
}

fn heard(bench: &Bench) -> Vec<u8> {
    let mut arrived = Vec::new();
    take(&bench.server, 1000, &mut arrived);
    arrived
}

#[test]
fn who_speaks_first_is_called_at_once_and_once() {
    let mut bench = Bench::of(chain_of([
        (greets(b"one "), true),
        (copies(), false),
        (greets(b"two "), true),
    ]));
    for expected in [&b"two one "[..], b"", b""] {
        assert_eq!(bench.pump().unwrap(), Pumped::Waiting);
        assert_eq!(heard(&bench), expected);
    }
    assert_eq!(bench.carry(b"three", 1000).unwrap(), b"three");
}

#[test]
fn who_does_not_is_called_when_something_comes() {
    let mut bench = Bench::of(chain_of([(greets(b"one "), false), (copies(), true)]));
    assert_eq!(bench.pump().unwrap(), Pumped::Waiting);
    assert_eq!(heard(&bench), b"");
    assert_eq!(bench.carry(b"two", 1000).unwrap(), b"one two");
}

#[test]
fn who_passes_before_the_first_byte_leaves_the_kernel_all_but_the_beginning() {
    let passes: Body = Box::new(|_, _, _, _| say(0, 0, Verdict::Pass));
    let mut bench = Bench::of(chain_of([(passes, true)]));
    let bytes = noise(300_000);
    assert!(bench.carry(&bytes, 100_000).unwrap() == bytes);
    assert_rest_spliced(&bench, 0);
}
