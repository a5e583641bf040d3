//! Golden packets: what `wire` makes of captured and of broken ones.
//!
//! `fixtures/packets/NAME.bin` starts at the IPv6 header, `NAME.txt` is what [`describe`] says of
//! it; fixtures/packets/README.md tells where they come from. `BLESS=1 cargo test --test
//! wire_golden` writes the texts anew, for review with `git diff`.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking; Clippy exempts #[test] functions only"
)]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use srv6pipes::wire::icmpv6::{Unreachable, checksum, destination_unreachable};
use srv6pipes::wire::ipv6::{HEADER_LEN, Ipv6Header, Ipv6Repr, next_header, walk};
use srv6pipes::wire::srh::SrhRepr;
use srv6pipes::wire::syn::Syn;
use srv6pipes::wire::tlv::Tlvs;

#[test]
fn packets_mean_what_their_texts_say() {
    let mut wrong = Vec::new();
    for (path, packet) in packets() {
        let (text, path) = (describe(&packet), path.with_extension("txt"));
        if env::var_os("BLESS").is_some() {
            fs::write(&path, text).unwrap();
        } else if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            wrong.push(format!("{}, but it says\n{text}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_was_parsed_is_emitted_octet_for_octet() {
    for (path, packet) in packets() {
        let Ok(Syn { srh, .. }) = Syn::parse(&packet) else {
            continue;
        };
        let header = Ipv6Repr::parse(&Ipv6Header::new_checked(&packet).unwrap());
        assert_eq!(header.emit(), packet[..HEADER_LEN], "{}", path.display());
        if let Some(srh) = srh {
            let start = walk(&packet).unwrap().srh.unwrap();
            let original = &packet[start..start + srh.buffer_len()];
            let mut bytes = vec![0xff; srh.buffer_len() + 3];
            srh.emit(&mut bytes).unwrap();
            assert_eq!(bytes, [original, &[0xff; 3]].concat(), "{}", path.display());
            assert!(srh.emit(&mut bytes[..original.len() - 1]).is_err());
        }
    }
}

/// The client's TCP knows nothing of segments: its checksum is right for the final destination.
#[test]
fn the_quote_is_the_packet_that_the_client_checksummed() {
    for name in [
        "syn-plain",
        "syn-srh-1seg",
        "syn-srh-2seg",
        "syn-srh-2seg-hmac",
        "syn-srh-16seg",
    ] {
        let packet = fs::read(folder().join(name).with_extension("bin")).unwrap();
        let message = destination_unreachable(Unreachable::Address, &packet).unwrap();
        assert_eq!(message[..8], [1, 3, 0, 0, 0, 0, 0, 0], "{name}");
        let quoted = Ipv6Repr::parse(&Ipv6Header::new_checked(&message[8..]).unwrap());
        let tcp = &message[8 + HEADER_LEN..];
        assert_eq!(usize::from(quoted.payload_length), tcp.len(), "{name}");
        let sum = checksum(quoted.source, quoted.destination, quoted.next_header, tcp);
        assert_eq!(
            (quoted.next_header, sum),
            (next_header::TCP, Ok(0)),
            "{name}"
        );
    }
}

#[test]
fn no_truncation_panics() {
    for (_, packet) in packets() {
        for length in 0..=packet.len() {
            read_all(&packet[..length]);
        }
    }
}

#[test]
fn no_mutation_panics() {
    // xorshift64 with a fixed seed: a failing run repeats.
    let mut state = 0x5e97_1ca1_0dd5_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
    };
    for (_, packet) in packets() {
        for _ in 0..2000 {
            let mut mutated = packet.clone();
            for _ in 0..=random(4) {
                let at = random(mutated.len());
                mutated[at] = u8::try_from(random(256)).unwrap();
            }
            read_all(&mutated);
        }
    }
}

fn read_all(packet: &[u8]) {
    if let Ok(Syn { srh: Some(srh), .. }) = Syn::parse(packet) {
        for own_index in 0..=srh.segments.len() + 1 {
            let _ = srh.advance(own_index);
        }
    }
    let _ = destination_unreachable(Unreachable::NoRoute, packet);
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/packets")
}

fn packets() -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

fn describe(packet: &[u8]) -> String {
    let syn = match Syn::parse(packet) {
        Ok(syn) => syn,
        Err(error) => return format!("error: {error}\n"),
    };
    let mut text = String::new();
    let Syn {
        source,
        destination,
        final_destination,
        ..
    } = syn;
    writeln!(text, "from [{source}]:{} to {destination}", syn.source_port).unwrap();
    writeln!(
        text,
        "final destination [{final_destination}]:{}",
        syn.destination_port
    )
    .unwrap();
    writeln!(
        text,
        "sequence number {}, MSS {:?}",
        syn.sequence_number, syn.mss
    )
    .unwrap();
    writeln!(text, "bare SYN: {}, MPTCP: {}", syn.bare, syn.mp_capable).unwrap();
    match &syn.srh {
        Some(srh) => describe_srh(srh, syn.srh_directly_after_ipv6, &mut text),
        None => text.push_str("no SRH\n"),
    }
    text
}

fn describe_srh(srh: &SrhRepr, directly: bool, text: &mut String) {
    writeln!(text, "SRH directly after the IPv6 header: {directly}").unwrap();
    let SrhRepr {
        next_header,
        flags,
        tag,
        ..
    } = srh;
    writeln!(
        text,
        "  next header {next_header}, flags {flags:#04x}, tag {tag:#06x}"
    )
    .unwrap();
    for (index, segment) in srh.segments.iter().enumerate() {
        let active = if index == srh.active_index() {
            " active"
        } else {
            ""
        };
        writeln!(text, "  [{index}] {segment}{active}").unwrap();
    }
    for tlv in Tlvs::new(&srh.tlvs) {
        writeln!(text, "  {:x?}", tlv.unwrap()).unwrap();
    }
}
