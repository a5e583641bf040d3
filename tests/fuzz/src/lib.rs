//! What each fuzz target does with its input: one function per target.
//!
//! Used by `fuzz_targets/` under libFuzzer, and by `tests/fuzz_corpus.rs`, which includes this
//! file and replays the corpus. A function panics when the code under test broke a promise.

#[path = "../../../vnf-modules/firewall/src/client_hello.rs"]
mod client_hello;
#[path = "../../../vnf-modules/firewall/src/request.rs"]
mod request;

use std::net::Ipv6Addr;

use srv6pipes::config::{self, Config, MAX_BYTES};
use srv6pipes::control::proto::{self, MAX_LINE, Request};
use srv6pipes::wire::icmpv6::{Unreachable, destination_unreachable};
use srv6pipes::wire::srh::{MAX_SEGMENTS, Srh, SrhRepr};
use srv6pipes::wire::syn::Syn;
use srv6pipes::wire::tlv::{Tlv, Tlvs};
use srv6pipes::wire::{Error, Structure};

/// Reads `data` as a captured packet and as a bare segment routing header.
pub fn srh(data: &[u8]) {
    let syn = Syn::parse(data);
    let message = destination_unreachable(Unreachable::Port, data);
    match (&syn, message) {
        (Ok(syn), Ok(message)) => quotes(syn, &message),
        (Err(of_syn), Err(of_message)) => assert_eq!(*of_syn, of_message),
        (syn, message) => panic!("{syn:?} but {message:?}"),
    }
    if let Ok(Syn { srh: Some(srh), .. }) = syn {
        goes_on(&srh);
    }
    if let Ok(view) = Srh::new_checked(data) {
        let srh = SrhRepr::parse(&view);
        let mut bytes = vec![0xff; srh.buffer_len()];
        srh.emit(&mut bytes)
            .expect("what was parsed can be emitted");
        assert_eq!(bytes, data[..view.total_len()]);
        goes_on(&srh);
    }
}

/// The message quotes the packet as the client's TCP sent it.
fn quotes(syn: &Syn, message: &[u8]) {
    let quoted = Syn::parse(&message[8..]).expect("a quote is a packet without its payload");
    let expected = Syn {
        destination: syn.final_destination,
        srh: None,
        srh_directly_after_ipv6: false,
        ..syn.clone()
    };
    assert_eq!(quoted, expected);
}

/// From every position, exactly the remaining segments and meaningful TLVs go on.
fn goes_on(srh: &SrhRepr) {
    assert!(srh.active_index() < srh.segments.len() && srh.segments.len() <= MAX_SEGMENTS + 1);
    for own_index in 0..=srh.segments.len() {
        let remaining = &srh.segments[..own_index];
        match srh.advance(own_index) {
            Ok(None) => assert!(remaining.len() <= 1),
            Ok(Some(bytes)) => {
                linux_accepts(&bytes);
                let next = SrhRepr::parse(&Srh::new_checked(&bytes).expect("we wrote it"));
                assert_eq!(next.buffer_len(), bytes.len());
                assert_eq!(next.active_index(), remaining.len() - 1);
                assert_eq!(next.segments[0], Ipv6Addr::UNSPECIFIED);
                assert_eq!(next.segments[1..], remaining[1..]);
                assert_eq!((next.next_header, next.flags, next.tag), (0, 0, srh.tag));
                assert_eq!(meaningful(&next), meaningful(srh));
            }
            // Padding that Linux reads can be longer than the padding that came in.
            Err(Error::BadLength {
                structure: Structure::Srh,
                length,
            }) => assert!(length > 2048),
            Err(error) => panic!("{error}"),
        }
    }
}

fn meaningful(srh: &SrhRepr) -> Vec<Tlv<'_>> {
    Tlvs::new(&srh.tlvs)
        .map(|tlv| tlv.expect("a checked header has readable TLVs"))
        .filter(|tlv| matches!(tlv, Tlv::Opaque { .. }))
        .collect()
}

/// The conditions of `seg6_validate_srh` in net/ipv6/seg6.c: every TLV has a length octet.
fn linux_accepts(srh: &[u8]) {
    let (hdr_ext_len, last_entry) = (usize::from(srh[1]), usize::from(srh[4]));
    assert_eq!(srh[2], 4);
    assert_eq!(srh.len(), 8 + 8 * hdr_ext_len);
    assert!(srh[3] <= srh[4] && last_entry < hdr_ext_len / 2);
    let mut tlvs = &srh[8 + 16 * (last_entry + 1)..];
    while !tlvs.is_empty() {
        tlvs = &tlvs[2 + usize::from(tlvs[1])..];
    }
}

/// Reads `data` as a configuration file: what is read is printed as it can be read again, what is
/// not has its reasons.
pub fn uci(data: &[u8]) {
    match config::parse(data) {
        Ok(config) => {
            let printed = config.to_string();
            // Quotes and defaults make it longer.
            if printed.len() <= MAX_BYTES {
                let again = config::parse(printed.as_bytes()).expect("we printed it");
                assert_eq!(again.to_string(), printed);
                assert_eq!(without_lines(again), without_lines(config));
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            assert!(problems.is_sorted_by_key(|problem| problem.line));
            for problem in problems {
                assert!(!problem.to_string().contains(char::is_control));
            }
        }
    }
}

/// The same configuration, wherever its sections stood.
fn without_lines(mut config: Config) -> Config {
    let lines = config.locators.iter_mut().map(|section| &mut section.line);
    let lines = lines.chain(config.functions.iter_mut().map(|section| &mut section.line));
    let lines = lines.chain(config.policies.iter_mut().map(|section| &mut section.line));
    let lines = lines.chain(config.returns.iter_mut().map(|section| &mut section.line));
    lines.for_each(|line| *line = 0);
    config
}

/// Reads `data` as what came over the control socket, in one piece and byte by byte.
pub fn control(data: &[u8]) {
    let whole = Request::parse(data);
    let decided = (0..=data.len())
        .map(|end| (end, Request::parse(&data[..end])))
        .find(|(_, request)| request.is_some());
    let Some((end, first)) = decided else {
        assert!(whole.is_none() && data.len() <= MAX_LINE && !data.contains(&b'\n'));
        return;
    };
    // What comes behind a request does not change it.
    assert_eq!(first, whole);
    assert!(end <= MAX_LINE + 1);
    match first {
        Some(Ok(request)) => {
            let line = data[..end].trim_ascii();
            assert_eq!(line, request.word().as_bytes());
        }
        Some(Err(proto::Error::Unknown)) => assert!(data[..end].ends_with(b"\n")),
        Some(Err(proto::Error::TooLong)) => assert!(!data[..end].contains(&b'\n')),
        other => panic!("{other:?}"),
    }
}

/// Reads `data` as the beginning of a TLS stream, at once and byte by byte.
pub fn clienthello(data: &[u8]) {
    use client_hello::{Hello, read};
    let whole = read(data, false);
    let mut parts = (0..=data.len()).map(|end| read(&data[..end], false));
    let decided = parts.find(|hello| *hello != Hello::More);
    assert_eq!(decided.unwrap_or(Hello::More), whole);
    match read(data, true) {
        Hello::More => panic!("more than the last bytes"),
        last => assert!(whole == Hello::More || whole == last),
    }
    // What is no part of the handshake changes nothing.
    let warning = [21, 3, 3, 0, 2, 1, 90];
    if data
        .first()
        .is_some_and(|kind| client_hello::RECORD_TYPES.contains(kind))
    {
        assert_eq!(read(&[&warning, data].concat(), false), whole);
    }
}

/// Reads `data` as an HTTP request, at once and byte by byte.
pub fn request(data: &[u8]) {
    let data = &data[request::line_ends(data)..];
    let mut head = request::Head::default();
    let mut slow = request::Head::default();
    let mut end = 0;
    loop {
        let said = head.next(data);
        let slowly = loop {
            match slow.next(&data[..end]) {
                request::Said::More if end < data.len() => end += 1,
                said => break said,
            }
        };
        assert_eq!(said, slowly);
        if !matches!(said, request::Said::Host(_)) {
            break;
        }
    }
}
