//! What the operator may say, and what becomes of a flow of an unknown key.

use srv6pipes_vnf::{Complaint, FlowInfo, Setup};

use crate::cipher::{Cipher, Offer};
use crate::hello::Role;
use crate::keys::tests::KeyFile;
use crate::{End, Open, Seal};

/// A key file with key 7, and options beside it.
fn made(options: &[(&str, &str)]) -> Result<Seal, Vec<Complaint>> {
    let file = KeyFile::new(&format!("7 {}\n", "4b".repeat(32)));
    let keys = [("keys", file.path().to_str().unwrap())];
    Setup::detached(&[&keys, options].concat()).make()
}

#[test]
fn defaults_are_those_of_the_readme() {
    let Seal(End {
        offer,
        addresses,
        terms,
        keys,
        ..
    }) = made(&[]).unwrap();
    assert_eq!((offer, addresses), (Offer::by_cpu(), true));
    assert_eq!((terms.patience.as_secs(), keys.len()), (40, 1));
}

#[test]
fn options_are_taken() {
    let options = [
        ("cipher", "aes-256-gcm"),
        ("addresses", "0"),
        ("handshake_timeout", "600"),
    ];
    let Seal(end) = made(&options).unwrap();
    assert_eq!(end.offer, Offer::Only(Cipher::Aes256Gcm));
    assert_eq!((end.addresses, end.terms.patience.as_secs()), (false, 600));
}

#[test]
fn every_mistake_is_told_at_once() {
    let file = KeyFile::new("7 abc\n8\n");
    let options = [
        ("keys", file.path().to_str().unwrap()),
        ("cipher", "rot13"),
        ("addresses", "maybe"),
        ("handshake_timeout", "0"),
    ];
    let complaints = Setup::detached(&options).make::<Open>().unwrap_err();
    let told: Vec<_> = complaints
        .iter()
        .map(|complaint| (complaint.option.unwrap(), complaint.text.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (1, "must be one of: auto, chacha20-poly1305, aes-256-gcm"),
            (2, "must be '0' or '1'"),
            (3, "must be a number from 1 to 600"),
            (0, "line 1: the key must be 64 hexadecimal digits"),
            (0, "line 2: must be an id and a key, and nothing else"),
        ]
    );
}

#[test]
fn a_flow_of_an_unknown_key_is_refused() {
    let Seal(end) = made(&[]).unwrap();
    assert!(end.spawn(Role::Seal, &FlowInfo::detached(7)).is_ok());
    let refused = end.spawn(Role::Open, &FlowInfo::detached(8)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "argument 8: no key of this id in the key file"
    );
}

#[test]
fn nothing_shows_a_key() {
    let Seal(end) = made(&[]).unwrap();
    let shown = format!("{end:?}");
    assert!(!shown.contains("75, 75") && !shown.to_lowercase().contains("4b4b"));
}
