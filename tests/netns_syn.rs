//! SYNs that are not what they should be, from a client made of single packets. Beside them a
//! transfer runs and honest clients come; nothing of the bad ones stays behind.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod harness;

use std::io::{Read, Write};
use std::net::{SocketAddrV6, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use harness::by_hand::{ByHand, FRAGMENT, HOP_BY_HOP, Header, OPTIONS, ROUTING, Tcp, padding};
use harness::counters::{counter, descriptors, header_errors, wait_until_nothing_is_left};
use harness::craft::Srh;
use harness::noise::{self, Noise};
use harness::peer::{Habit, Server, connect};
use harness::proxy::{Proxy, function_config};
use harness::sight::{Attempt, Sight};
use harness::{lab, wait_for};
use srv6pipes::demo::frame::{Frame, flag};
use srv6pipes::demo::lab::{Lab, SERVER, sid};

const MODES: [&str; 2] = ["nfqueue", "saved_syn"];
/// Whoever is refused is counted in one of these.
const REFUSALS: [&str; 6] = [
    "malformed_srh_flows",
    "bad_destination_flows",
    "unknown_function_flows",
    "ambiguous_position_flows",
    "no_srh_flows",
    "no_resources_flows",
];

/// What becomes of a SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// A connection, and what is sent comes back.
    Echo,
    /// We refuse and count it. With `saved_syn` that is after the handshake.
    Counted(&'static str),
    /// The kernel drops it, or the packet that completes the handshake, and counts a header error.
    KernelCounted,
    /// No answer, and none of our counters: the kernel reads it as something else.
    Nothing,
    /// The kernel answers with a reset: it belongs to no connection.
    Reset,
}
use End::{Counted, Echo, KernelCounted, Nothing, Reset};
const MALFORMED: End = Counted("malformed_srh_flows");

/// A SYN that was changed, and what becomes of it with `nfqueue` and with `saved_syn`.
struct Case {
    name: &'static str,
    headers: Vec<Header>,
    tcp: fn(&mut Tcp),
    ends: [End; 2],
}

/// A SYN that is right in TCP.
fn case(name: &'static str, headers: Vec<Header>, nfqueue: End, saved_syn: End) -> Case {
    Case {
        name,
        headers,
        tcp: |_| {},
        ends: [nfqueue, saved_syn],
    }
}

/// A SYN that is right but for TCP.
fn tcp(name: &'static str, nfqueue: End, saved_syn: End, tcp: fn(&mut Tcp)) -> Case {
    Case {
        tcp,
        ..case(name, vec![good()], nfqueue, saved_syn)
    }
}

/// The way to the server by our function, changed.
fn srh(change: impl FnOnce(&mut Srh)) -> Header {
    let mut srh = Srh::new(&[sid(1, 1, 0x2a), SERVER]);
    change(&mut srh);
    (ROUTING, srh.bytes())
}

fn good() -> Header {
    srh(|_| {})
}

fn start(lab: &Lab, mode: &str) -> Proxy {
    let options = format!("option capture '{mode}'\noption connect_timeout '2'");
    Proxy::start_with(lab, 1, &options, &function_config(1, "xor", ""))
}

/// Sends every case in both modes while a transfer runs; an honest client comes after each.
fn play(cases: &[Case]) {
    let Some(lab) = lab(1) else { return };
    let server = Server::start(lab.server(), 7, Habit::Echo);
    lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
    for (mode, name) in MODES.iter().enumerate() {
        let proxy = start(&lab, name);
        let before = descriptors(&proxy);
        let running = connect(lab.client(), server.address()).unwrap();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let transfer = scope.spawn(|| ping_pong(&running, &stop));
            let stopping = Stop(&stop);
            let hand = ByHand::new(&lab, server.address());
            for (number, case) in (2000..).zip(cases) {
                let what = format!("{name}: {}", case.name);
                let end = case.ends[mode];
                one(&lab, &proxy, &hand, number, case, end, &what);
            }
            drop(stopping);
            assert!(transfer.join().unwrap() > 0);
        });
        drop(running);
        wait_until_nothing_is_left(&proxy, before);
    }
}

fn one(lab: &Lab, proxy: &Proxy, hand: &ByHand, port: u16, case: &Case, end: End, what: &str) {
    let us = sid(1, 1, 0x2a);
    let refusals = REFUSALS.map(|name| counter(proxy, name));
    let errors = header_errors(proxy);
    let mut syn = hand.syn(port);
    (case.tcp)(&mut syn);
    hand.send(us, &case.headers, &syn);
    // Packets keep their order: when this one has its answer, the other one has.
    let honest = Attempt::begin(lab.client(), SocketAddrV6::new(SERVER, 7, 0, 0));
    let honest_port = honest.client().port();
    assert_eq!(honest.sight(|| false), Sight::Echo, "{what}");
    wait_for(what, || hand.heard(honest_port, |_| true));
    if let Some(syn_ack) = hand.heard(port, |f| f.has(flag::SYN | flag::ACK)) {
        hand.go_on(us, &case.headers, &syn, &syn_ack, b"ping");
    }
    let heard = |wanted: fn(&Frame) -> bool| {
        wait_for(&format!("{what}: {end:?}"), || hand.heard(port, wanted))
    };
    match end {
        Echo => assert_eq!(heard(|f| !f.payload.is_empty()).payload, b"ping", "{what}"),
        Counted(_) | Nothing => {}
        KernelCounted => wait_for(what, || (header_errors(proxy) > errors).then_some(())),
        Reset => assert!(heard(|_| true).has(flag::RST), "{what}"),
    }
    let expected: Vec<u64> = REFUSALS
        .iter()
        .zip(refusals)
        .map(|(name, before)| before + u64::from(end == Counted(name)))
        .collect();
    wait_for(&format!("{what}: {expected:?} in {REFUSALS:?}"), || {
        (REFUSALS.map(|name| counter(proxy, name)) == *expected).then_some(())
    });
    if end == Nothing {
        assert!(hand.heard(port, |_| true).is_none(), "{what}");
    }
}

/// Stops the transfer, also when the test panics: a scope waits for its threads.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends 16 KiB and reads them back until it is told to stop. How often.
fn ping_pong(mut stream: &TcpStream, stop: &AtomicBool) -> u32 {
    let mut noise = Noise::new(9);
    let (mut sent, mut back) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        noise.read_exact(&mut sent).unwrap();
        stream.write_all(&sent).unwrap();
        stream.read_exact(&mut back).unwrap();
        assert_eq!(noise::sha256(&back), noise::sha256(&sent));
        rounds += 1;
        // Whoever listens to the wire keeps every frame: a machine with other work to do would
        // drown in them, since the slower it looks the more there are.
        thread::sleep(Duration::from_millis(5));
    }
    rounds
}

#[test]
fn headers_of_wrong_lengths_harm_nobody() {
    play(&[
        // What comes behind is then read as TCP, or TCP as what comes behind.
        case("odd", vec![srh(|s| s.length = 5)], Nothing, Nothing),
        case(
            "odd and short",
            vec![srh(|s| s.length = 3)],
            KernelCounted,
            KernelCounted,
        ),
        case(
            "0",
            vec![srh(|s| s.length = 0)],
            KernelCounted,
            KernelCounted,
        ),
        case(
            "too short",
            vec![srh(|s| s.length = 2)],
            KernelCounted,
            KernelCounted,
        ),
        case(
            "too long",
            vec![srh(|s| s.length = 100)],
            KernelCounted,
            KernelCounted,
        ),
        // Our rules set segments_left to 0, in the packet that completes the handshake as well.
        case(
            "segments left: 2 of 1",
            vec![srh(|s| s.segments_left = 2)],
            MALFORMED,
            MALFORMED,
        ),
        case(
            "segments left: 200",
            vec![srh(|s| s.segments_left = 200)],
            MALFORMED,
            MALFORMED,
        ),
        // The kernel does not compare these with anything while no segment is left.
        case(
            "last entry behind the end",
            vec![srh(|s| s.last_entry = 9)],
            MALFORMED,
            MALFORMED,
        ),
        case(
            "last entry too small",
            vec![srh(|s| s.last_entry = 0)],
            MALFORMED,
            MALFORMED,
        ),
        case("TLV cut short", vec![tlv(20)], MALFORMED, MALFORMED),
        case("TLV that fits", vec![tlv(6)], Echo, Echo),
        case("17 segments", vec![many(17)], MALFORMED, MALFORMED),
        case("16 segments", vec![many(16)], Echo, Echo),
    ]);
}

/// An SRH with a TLV that says it is so long, and is 6.
fn tlv(length: u8) -> Header {
    srh(|s| {
        s.length += 1;
        s.rest.extend([0x7c, length, 0, 0, 0, 0, 0, 0]);
    })
}

fn many(segments: usize) -> Header {
    let us = vec![sid(1, 1, 0x2a); segments];
    (ROUTING, Srh::new(&[us, vec![SERVER]].concat()).bytes())
}

#[test]
fn segments_that_lead_nowhere_are_refused() {
    let us = sid(1, 1, 0x2a);
    let used_up = |last, tag| {
        let mut srh = Srh::new(&[us, last]);
        (srh.segments_left, srh.tag) = (0, tag);
        vec![(ROUTING, srh.bytes())]
    };
    let to_us: fn(&mut Tcp) = |tcp| tcp.server.set_ip(sid(1, 1, 0x2a));
    let own = Counted("bad_destination_flows");
    play(&[
        Case {
            tcp: to_us,
            ..case(
                "to ourselves",
                vec![(ROUTING, Srh::new(&[us, us]).bytes())],
                own,
                own,
            )
        },
        // Nothing was written into the tag here, whatever it says.
        Case {
            tcp: to_us,
            ..case("used up at us", used_up(us, 0), own, own)
        },
        Case {
            tcp: to_us,
            ..case("used up at us, tag 1", used_up(us, 0x0100), own, own)
        },
        Case {
            tcp: to_us,
            ..case("used up elsewhere", used_up(SERVER, 0x0100), MALFORMED, own)
        },
        case(
            "a tag that speaks of segments",
            vec![srh(|s| s.tag = 0x0500)],
            Echo,
            Echo,
        ),
        case(
            "not to the active segment",
            vec![(ROUTING, Srh::new(&[sid(2, 1, 1), SERVER]).bytes())],
            MALFORMED,
            MALFORMED,
        ),
        case(
            "no such function",
            vec![(ROUTING, Srh::new(&[sid(1, 9, 0), SERVER]).bytes())],
            Counted("unknown_function_flows"),
            Counted("unknown_function_flows"),
        ),
    ]);
}

#[test]
fn options_around_the_srh_do_not_matter_and_odd_orders_do_no_harm() {
    let options = || (OPTIONS, padding());
    let hop_by_hop = || (HOP_BY_HOP, padding());
    let fragment = |offset_and_more| (FRAGMENT, vec![0, 0, 0, offset_and_more, 0, 0, 0, 1]);
    let type_0 = |left| srh(|s| (s.routing_type, s.segments_left) = (0, left));
    play(&[
        case("hop-by-hop before", vec![hop_by_hop(), good()], Echo, Echo),
        case("options before", vec![options(), good()], Echo, Echo),
        case("options behind", vec![good(), options()], Echo, Echo),
        case(
            "all of them",
            vec![hop_by_hop(), options(), good(), options()],
            Echo,
            Echo,
        ),
        case(
            "hop-by-hop behind",
            vec![good(), hop_by_hop()],
            MALFORMED,
            Nothing,
        ),
        case(
            "nine times options",
            [vec![options(); 9], vec![good()]].concat(),
            MALFORMED,
            MALFORMED,
        ),
        case("two", vec![good(), good()], MALFORMED, MALFORMED),
        case(
            "two, one used up",
            vec![good(), srh(|s| s.segments_left = 0)],
            MALFORMED,
            MALFORMED,
        ),
        case("type 0 before", vec![type_0(0), good()], Nothing, Nothing),
        case("type 0", vec![type_0(1)], KernelCounted, KernelCounted),
        case("a whole fragment", vec![fragment(0), good()], Echo, Echo),
        // Not the last one, and no multiple of 8 octets: `ip6_frag_queue` counts that.
        case(
            "first fragment",
            vec![fragment(1), good()],
            MALFORMED,
            KernelCounted,
        ),
        case(
            "first fragment behind",
            vec![good(), fragment(1)],
            MALFORMED,
            KernelCounted,
        ),
    ]);
}

#[test]
fn tcp_headers_that_open_nothing_open_nothing() {
    play(&[
        // Linux reads options as far as it can; we want to know what we carry on.
        tcp("option cut short", MALFORMED, MALFORMED, |t| {
            (t.words, t.rest) = (6, vec![1, 1, 2, 4])
        }),
        tcp("option of length 0", MALFORMED, MALFORMED, |t| {
            (t.words, t.rest) = (6, vec![2, 0, 0, 0])
        }),
        tcp("longer than the packet", MALFORMED, Nothing, |t| {
            t.words = 15
        }),
        tcp("shorter than a header", MALFORMED, Nothing, |t| t.words = 4),
        tcp("SYN and FIN", Reset, Reset, |t| t.flags |= flag::FIN),
        tcp("SYN and RST", Nothing, Nothing, |t| t.flags |= flag::RST),
        tcp("SYN and ACK", Reset, Reset, |t| t.flags |= flag::ACK),
        tcp("ACK", Reset, Reset, |t| t.flags = flag::ACK),
        tcp("no flag", Reset, Reset, |t| t.flags = 0),
        tcp("data", Echo, Echo, |t| t.rest = vec![7; 1300]),
    ]);
}
