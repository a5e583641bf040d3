//! What the tests of whole flows cannot reach.

use super::{MAX_PLAIN, MAX_RECORDS, OVERHEAD, Opener, Sealer};
use crate::cipher::{Cipher, Keyed};
use crate::refusal::Refusal;

fn pair() -> (Sealer, Opener) {
    let key = || Keyed::new(Cipher::ChaCha20Poly1305, &[1; 32]);
    (Sealer::new(key()), Opener::new(key()))
}

#[test]
fn a_key_is_not_used_for_more_records_than_it_may() {
    let (mut sealer, mut opener) = pair();
    sealer.0.records = MAX_RECORDS - 1;
    opener.0.records = MAX_RECORDS - 1;
    let mut wire = [0; 100];
    let done = sealer.seal(b"last", &mut wire, false).unwrap();
    let mut plain = [0; 100];
    assert_eq!(
        opener
            .open(&wire[..done.produced], &mut plain, false)
            .unwrap()
            .produced,
        4
    );
    assert_eq!(
        sealer.seal(b"x", &mut [0; 100], false),
        Err(Refusal::Exhausted)
    );
    assert_eq!(
        opener.open(&wire[..done.produced], &mut plain, false),
        Err(Refusal::Exhausted)
    );
}

#[test]
fn records_are_full_where_there_is_more_to_come() {
    let (mut sealer, _) = pair();
    let input = vec![1; 2 * MAX_PLAIN];
    let mut wire = vec![0; 2 * (MAX_PLAIN + OVERHEAD) - 1];
    let done = sealer.seal(&input, &mut wire, true).unwrap();
    assert_eq!(
        (done.consumed, done.produced, done.finished),
        (MAX_PLAIN, MAX_PLAIN + OVERHEAD, false)
    );
    // With all the room there will ever be, what fits is sealed.
    let done = sealer.seal(&input, &mut vec![0; 4096], true).unwrap();
    assert_eq!((done.consumed, done.produced), (4096 - OVERHEAD, 4096));
}

#[test]
fn the_same_bytes_never_look_the_same() {
    let (mut sealer, _) = pair();
    let (mut one, mut two) = ([0; 100], [0; 100]);
    sealer.seal(b"again", &mut one, false).unwrap();
    sealer.seal(b"again", &mut two, false).unwrap();
    assert_ne!(one[2..23], two[2..23]);
}

#[test]
fn what_is_not_authentic_leaves_no_trace_in_the_output() {
    let (mut sealer, mut opener) = pair();
    let mut wire = [0; 100];
    let n = sealer.seal(b"secret", &mut wire, false).unwrap().produced;
    wire[n - 1] ^= 1;
    let mut plain = [0xa5; 64];
    assert_eq!(
        opener.open(&wire[..n], &mut plain, false),
        Err(Refusal::Unauthentic(0))
    );
    assert_eq!(plain, [0xa5; 64]);
}
