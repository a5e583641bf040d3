//! Bytes wait only if they may become a match, and not for ever.

use super::Carried;

#[test]
fn nothing_is_held_that_begins_no_rule() {
    let mut carried = Carried::new(&["password=>********", "pass=>P"], 70_000);
    for (piece, out) in [
        (&b"hello"[..], &b"hello"[..]),
        (b" pa", b"hello "),
        (b"l ", b"hello pal "),
        (b"pass", b"hello pal "),
        (b"w", b"hello pal "),
        (b"ay", b"hello pal Pway"),
        (b"password", b"hello pal Pway********"),
    ] {
        carried.feed(piece, false);
        assert_eq!(carried.out, out);
        assert_eq!(carried.waits.is_some(), carried.waiting() > 0);
    }
}

#[test]
fn what_was_held_for_too_long_goes_on() {
    let mut carried = Carried::new(&["password=>********", "pass=>P"], 70_000);
    carried.feed(b"a pas", false);
    assert_eq!((&carried.out[..], carried.waits), (&b"a "[..], Some(200)));
    carried.pass(150);
    // More of it does not make the time longer.
    carried.feed(b"s", false);
    assert_eq!((&carried.out[..], carried.waits), (&b"a "[..], Some(50)));
    carried.pass(49);
    carried.feed(b"", false);
    assert_eq!(carried.waits, Some(1));
    carried.pass(1);
    carried.feed(b"", false);
    // The shorter one fits all the same.
    assert_eq!((&carried.out[..], carried.waits), (&b"a P"[..], None));
    carried.feed(b"word", true);
    assert_eq!(carried.out, b"a Pword");
}

#[test]
fn all_that_was_held_goes_at_once_and_what_came_since_may_be_held() {
    let mut carried = Carried::new(&["aaaaaa=>X", "ab=>Y"], 70_000);
    carried.feed(b"aaaa", false);
    assert_eq!(carried.waits, Some(200));
    carried.pass(200);
    carried.feed(b"", false);
    assert_eq!((&carried.out[..], carried.waits), (&b"aaaa"[..], None));
    carried.feed(b"aaa", false);
    carried.pass(200);
    // What comes just then decides, if it can.
    carried.feed(b"ba", false);
    assert_eq!(
        (&carried.out[..], carried.waits),
        (&b"aaaaaaY"[..], Some(200))
    );
    carried.feed(b"b", true);
    assert_eq!(carried.out, b"aaaaaaYY");
}

#[test]
fn held_bytes_leave_through_little_room() {
    let mut carried = Carried::new(&["abcdefgh=>X"], 1);
    carried.feed(b"abcd", false);
    carried.pass(1000);
    carried.feed(b"", false);
    assert_eq!((&carried.out[..], carried.waits), (&b"abcd"[..], None));
}
