//! A SYN flood: so many SYNs a second from addresses that answer nothing, all of them behind the
//! client, for the same server as honest flows.
//!
//! ```text
//!  C ── 50 000 SYN/s from fd00:f::/64 ──▶ M1 ──▶ S
//!    ◀── whatever is answered, dropped ──
//! ```

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use srv6pipes::demo::lab::{CLIENT, Lab, SERVER};
use srv6pipes::demo::namespace;

use crate::harness::craft::{self, Srh};

/// Where the SYNs say they come from: routed to the client, who forwards nothing.
const STRANGERS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xf, 0, 0, 0, 0, 0, 0);
/// `IPPROTO_RAW`: the packet brings its own IPv6 header (raw(7)).
const RAW: i32 = 255;
const TCP: u8 = 6;
const HTTP: u16 = 80;
/// Between two looks at the clock.
const PAUSE: Duration = Duration::from_micros(200);
/// What the sender makes up for when it was kept from running; the rest is not sent.
const LATE: Duration = Duration::from_millis(20);

/// A flood under way.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    sender: Option<JoinHandle<Result<f64, namespace::Error>>>,
}

impl Flood {
    /// Begins: `rate` SYNs per second, for `segment` of M1 in an SRH, or without one.
    pub fn start(lab: &Lab, segment: Option<Ipv6Addr>, rate: u32) -> Self {
        lab.proxy(1)
            .ip(&format!(
                "route replace {STRANGERS}/64 via {CLIENT} dev {}\n",
                lab.device_to_client(1)
            ))
            .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let sender = lab
            .client()
            .spawn(move || send(segment, rate, &told).unwrap());
        Self {
            stop,
            sender: Some(sender.unwrap()),
        }
    }

    /// Ends it; how many SYNs per second were really sent.
    pub fn stop(mut self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        let sender = self.sender.take().unwrap();
        sender.join().unwrap().unwrap()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn send(segment: Option<Ipv6Addr>, rate: u32, told: &AtomicBool) -> io::Result<f64> {
    let first = segment.unwrap_or(SERVER);
    let srh = segment.map(|segment| Srh::new(&[segment, SERVER]));
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(RAW)))?;
    socket.connect(&SocketAddrV6::new(first, 0, 0, 0).into())?;
    let began = Instant::now();
    let (mut sent, mut due, mut looked) = (0_u64, 0.0, began);
    // xorshift64 (Marsaglia): the same strangers in each run.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    while !told.load(Ordering::Relaxed) {
        let now = Instant::now();
        due += (now - looked).min(LATE).as_secs_f64() * f64::from(rate);
        looked = now;
        while due >= 1.0 {
            due -= 1.0;
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let stranger = Ipv6Addr::from(STRANGERS.to_bits() | u128::from(random));
            // Ports below 1024 are no client's.
            let port = u16::try_from(random >> 48).unwrap_or(0) | 0x0400;
            let from = SocketAddrV6::new(stranger, port, 0, 0);
            let syn = craft::syn(from, SocketAddrV6::new(SERVER, HTTP, 0, 0));
            let packet = match &srh {
                Some(srh) => craft::with_srh(stranger, first, srh, &syn),
                None => craft::packet(stranger, first, TCP, &syn),
            };
            match socket.send(&packet) {
                Ok(_) => sent += 1,
                // The device's queue is full: not sent, and told as such.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(error) => return Err(error),
            }
        }
        thread::sleep(PAUSE);
    }
    Ok(sent as f64 / began.elapsed().as_secs_f64())
}
