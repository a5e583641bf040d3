//! ClientHellos: whole, cut, with what real ones have in them, and broken at every byte.

use std::borrow::Cow;

use crate::client_hello::{Hello, read};

fn vector(length_bytes: usize, data: &[u8]) -> Vec<u8> {
    let length = data.len().to_be_bytes();
    [&length[length.len() - length_bytes..], data].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector(2, data)].concat()
}

/// A handshake message as a browser sends it, with GREASE (RFC 8701) in all that takes it.
pub fn client_hello(name: Option<&str>) -> Vec<u8> {
    let mut extensions = extension(0x0a0a, b"");
    extensions.extend(extension(23, b""));
    if let Some(name) = name {
        let entry = [&[0][..], &vector(2, name.as_bytes())].concat();
        extensions.extend(extension(0, &vector(2, &entry)));
    }
    // encrypted_client_hello: what it hides we do not see; the name above is the public one.
    extensions.extend(extension(0xfe0d, &[0x5a; 40]));
    extensions.extend(extension(0x1a1a, &[0]));
    with_extensions(Some(&extensions))
}

fn with_extensions(extensions: Option<&[u8]>) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend(vector(1, &[9; 32]));
    body.extend(vector(2, &[0x2a, 0x2a, 0x13, 0x01, 0x13, 0x02]));
    body.extend(vector(1, &[0]));
    if let Some(extensions) = extensions {
        body.extend(vector(2, extensions));
    }
    [&[1][..], &vector(3, &body)].concat()
}

/// A message cut into records of at most `size` bytes each.
pub fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(record).collect()
}

fn record(fragment: &[u8]) -> Vec<u8> {
    [&[22, 3, 1][..], &vector(2, fragment)].concat()
}

fn named(name: &str) -> Hello<'_> {
    Hello::Name(Some(Cow::Borrowed(name.as_bytes())))
}

#[test]
fn the_name_is_found_whatever_stands_around_it() {
    let message = client_hello(Some("www.example"));
    for size in [1, 2, 4, 5, 50, 16384] {
        let bytes = records(&message, size);
        assert_eq!(
            read(&bytes, false),
            named("www.example"),
            "records of {size}"
        );
        let more = [bytes, b"and early data".to_vec()].concat();
        assert_eq!(read(&more, false), named("www.example"));
    }
    assert_eq!(read(&record(&client_hello(None)), false), Hello::Name(None));
    assert_eq!(
        read(&record(&with_extensions(None)), false),
        Hello::Name(None)
    );
}

#[test]
fn a_part_says_that_more_is_needed_and_no_part_says_anything_else() {
    for size in [7, 16384] {
        let bytes = records(&client_hello(Some("www.example")), size);
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end], false), Hello::More, "{end} bytes");
        }
    }
}

#[test]
fn in_the_last_part_a_name_counts_that_is_there() {
    let bytes = record(&client_hello(Some("www.example")));
    let until = bytes.windows(11).position(|w| w == b"www.example").unwrap() + 11;
    assert_eq!(read(&bytes[..until], true), named("www.example"));
    assert_eq!(read(&bytes[..until - 1], true), Hello::Not);
}

#[test]
fn warnings_and_empty_records_before_it_hide_nothing() {
    let warning = [21, 3, 1, 0, 2, 1, 90];
    let empty = [22, 3, 1, 0, 0];
    let message = client_hello(Some("www.example"));
    let (front, back) = message.split_at(40);
    let bytes = [
        &warning[..],
        &empty,
        &record(front),
        &empty,
        &warning,
        &record(back),
    ]
    .concat();
    assert_eq!(read(&bytes, false), named("www.example"));
}

#[test]
fn another_kind_of_name_does_not_hide_the_hosts() {
    let entries = [&[9][..], &vector(2, b"x"), &[0], &vector(2, b"www.example")].concat();
    let extensions = extension(0, &vector(2, &entries));
    let bytes = record(&with_extensions(Some(&extensions)));
    assert_eq!(read(&bytes, false), named("www.example"));
}

#[test]
fn other_bytes_are_no_hello() {
    let server_hello = record(&[2, 0, 0, 1, 0]);
    let too_long = [22, 3, 1, 0x40, 1, 1];
    for bytes in [&b"GET"[..], &[22, 4], &server_hello, &too_long, &[19]] {
        assert_eq!(read(bytes, false), Hello::Not, "{bytes:?}");
    }
}

/// Marsaglia's xorshift32.
fn random(state: &mut u32) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state
}

#[test]
fn damaged_hellos_panic_nowhere() {
    let mut state = 2026;
    let whole = records(&client_hello(Some("www.example")), 60);
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..=random(&mut state) % 4 {
            let at = random(&mut state) as usize % bytes.len();
            bytes[at] = random(&mut state).to_le_bytes()[0];
        }
        bytes.truncate(random(&mut state) as usize % (bytes.len() + 1));
        let _any = (read(&bytes, false), read(&bytes, true));
    }
}
