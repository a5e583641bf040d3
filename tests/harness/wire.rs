//! A wire in user space, for what these machines' kernels cannot do (netem): it carries the
//! packets of a link that is cut in the middle (`Lab::cut`), with a rate, a queue, a delay and
//! losses for each direction. The losses come from a seeded generator: the n-th packet of a
//! direction is lost in every run, or in none.
//!
//! ```text
//!  node ──veth── c0 ─read─▶ lost? ─▶ queue ─▶ rate ─▶ delay ─write─▶ s0 ──veth── node
//! ```
#![allow(unsafe_code, reason = "binding a packet socket needs a sockaddr_ll")]

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{MsgFlags, recv, send, setsockopt};
use nix::sys::time::TimeSpec;
use srv6pipes::demo::lab::Lab;
use srv6pipes::demo::namespace::Namespace;

/// Bytes the kernel may keep for us while the thread does not run.
const BACKLOG: usize = 32 << 20;
/// The longest frame: an aggregate of the kernel's, if the link's MTU lets one through.
const LONGEST: usize = (64 << 10) + 256;
/// Frames read from one side before the other gets its turn.
const BURST: usize = 64;

/// What one direction of a wire does to its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Bits per second, of frames with their Ethernet header; `None` is no limit.
    pub rate: Option<u64>,
    /// Bytes that may wait for the rate; what comes beyond is dropped.
    pub queue: usize,
    /// From the end of its transmission to its arrival.
    pub delay: Duration,
    /// Packets lost of a million.
    pub loss_ppm: u32,
    /// Chooses which.
    pub seed: u64,
    /// Nothing comes through any more, and nobody is told.
    pub dead: bool,
}

impl Default for Settings {
    /// A wire that does nothing but carry.
    fn default() -> Self {
        Self {
            rate: None,
            queue: 1 << 20,
            delay: Duration::ZERO,
            loss_ppm: 0,
            seed: 1,
            dead: false,
        }
    }
}

/// What one direction has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames read.
    pub came: u64,
    /// Frames lost by chance or because the wire is dead.
    pub lost: u64,
    /// Frames dropped at a full queue.
    pub dropped: u64,
    /// Frames carried.
    pub carried: u64,
    /// Their bytes, with Ethernet headers.
    pub carried_bytes: u64,
}

/// Index of a wire's direction from the client to the server.
pub const UP: usize = 0;
/// Index of the other direction.
pub const DOWN: usize = 1;

/// A wire at work; it is cut again when dropped.
#[derive(Debug)]
pub struct Wire {
    shared: Arc<Mutex<[(Settings, Tally); 2]>>,
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    /// Carries the packets of link `k` of a laboratory with cut links; settings are for `[up, down]`.
    ///
    /// # Panics
    /// When the links are not cut, or this process may not open packet sockets.
    pub fn start(lab: &Lab, k: usize, settings: [Settings; 2]) -> Self {
        let (middle, devices) = lab.cut(k).expect("a laboratory with cut links");
        let [c, s] = devices.map(|device| Side::open(middle, &device).unwrap());
        let shared = Arc::new(Mutex::new(settings.map(|s| (s, Tally::default()))));
        let stop = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK).unwrap());
        let thread = thread::spawn({
            let (shared, stop) = (Arc::clone(&shared), Arc::clone(&stop));
            move || carry([&c, &s], &shared, &stop)
        });
        Self {
            shared,
            stop,
            thread: Some(thread),
        }
    }

    /// Changes one direction from its next packet on.
    pub fn set(&self, direction: usize, settings: Settings) {
        self.shared.lock().unwrap()[direction].0 = settings;
    }

    /// What a direction has done so far.
    pub fn tally(&self, direction: usize) -> Tally {
        self.shared.lock().unwrap()[direction].1
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One end of the cut.
#[derive(Debug)]
struct Side(OwnedFd);

impl Side {
    fn open(middle: &Namespace, device: &str) -> io::Result<Self> {
        let socket = middle.run(|| Self::open_here(device)).unwrap()?;
        setsockopt(&socket.0, RcvBufForce, &BACKLOG)?;
        Ok(socket)
    }

    fn open_here(device: &str) -> io::Result<Self> {
        let index = if_nametoindex(device)?;
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: socket(2) takes integers; protocol 0 hears nothing before it is bound.
        let fd = Errno::result(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
        // SAFETY: a descriptor that nobody else has.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let one: libc::c_int = 1;
        // SAFETY: packet(7): an int; the pointer and the length are those of `one`.
        Errno::result(unsafe {
            libc::setsockopt(
                fd,
                libc::SOL_PACKET,
                PACKET_IGNORE_OUTGOING,
                (&raw const one).cast(),
                length_of(&one),
            )
        })?;
        // SAFETY: all zero is a valid sockaddr_ll, it is plain numbers.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).unwrap();
        address.sll_protocol = u16::try_from(libc::ETH_P_ALL).unwrap().to_be();
        address.sll_ifindex = i32::try_from(index).unwrap();
        // SAFETY: the pointer and the length are those of `address`.
        Errno::result(unsafe { libc::bind(fd, (&raw const address).cast(), length_of(&address)) })?;
        Ok(Self(socket))
    }
}

fn length_of<T>(value: &T) -> libc::socklen_t {
    libc::socklen_t::try_from(size_of_val(value)).unwrap()
}

/// include/uapi/linux/if_packet.h, since 4.20; else each of our own frames would come back.
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;

/// One direction at work.
#[derive(Debug, Default)]
struct Line {
    /// When the last frame that waits is on the wire.
    busy_until: Option<Instant>,
    /// Frames that wait for the rate: when each is on the wire, and its bytes.
    waiting: VecDeque<(Instant, usize)>,
    waiting_bytes: usize,
    /// Frames on their way: when each arrives.
    flying: VecDeque<(Instant, Vec<u8>)>,
    /// Frames met so far: chooses with the seed which are lost.
    count: u64,
}

impl Line {
    /// A frame came: when it arrives, if it does.
    fn take(
        &mut self,
        length: usize,
        now: Instant,
        of: &Settings,
        tally: &mut Tally,
    ) -> Option<Instant> {
        tally.came += 1;
        self.count += 1;
        if of.dead || chance(of.seed, self.count) < of.loss_ppm {
            tally.lost += 1;
            return None;
        }
        while self.waiting.front().is_some_and(|(gone, _)| *gone <= now) {
            let (_, bytes) = self.waiting.pop_front().unwrap();
            self.waiting_bytes -= bytes;
        }
        let Some(rate) = of.rate else {
            return Some(now + of.delay);
        };
        if self.waiting_bytes + length > of.queue {
            tally.dropped += 1;
            return None;
        }
        let begin = self.busy_until.map_or(now, |until| until.max(now));
        let on_wire = begin + Duration::from_nanos(length as u64 * 8 * 1_000_000_000 / rate);
        self.busy_until = Some(on_wire);
        self.waiting.push_back((on_wire, length));
        self.waiting_bytes += length;
        Some(on_wire + of.delay)
    }

    /// Frames never overtake each other, also when the delay is changed.
    fn fly(&mut self, arrival: Instant, frame: Vec<u8>) {
        let arrival = self
            .flying
            .back()
            .map_or(arrival, |(last, _)| arrival.max(*last));
        self.flying.push_back((arrival, frame));
    }
}

/// A number below a million that belongs to the n-th frame (splitmix64's finaliser).
fn chance(seed: u64, n: u64) -> u32 {
    let mut x = seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u32::try_from((x ^ (x >> 31)) % 1_000_000).unwrap()
}

fn carry(sides: [&Side; 2], shared: &Mutex<[(Settings, Tally); 2]>, stop: &EventFd) {
    let mut lines = [Line::default(), Line::default()];
    let mut spare: Vec<Vec<u8>> = Vec::new();
    let mut buffer = vec![0; LONGEST];
    loop {
        let now = Instant::now();
        let next = lines
            .iter()
            .filter_map(|line| line.flying.front())
            .map(|(at, _)| *at)
            .min();
        let patience = next.map(|at| TimeSpec::from(at.saturating_duration_since(now)));
        let mut ready = [sides[0].0.as_fd(), sides[1].0.as_fd(), stop.as_fd()]
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match ppoll(&mut ready, patience, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => panic!("wait for packets: {errno}"),
        }
        if ready[2].any() == Some(true) {
            return;
        }
        for direction in [UP, DOWN] {
            let line = &mut lines[direction];
            for _ in 0..BURST {
                let Ok(length) = recv(
                    sides[direction].0.as_raw_fd(),
                    &mut buffer,
                    MsgFlags::empty(),
                ) else {
                    break;
                };
                let now = Instant::now();
                let (settings, tally) = &mut shared.lock().unwrap()[direction];
                if let Some(arrival) = line.take(length, now, settings, tally) {
                    let mut frame = spare.pop().unwrap_or_default();
                    frame.clear();
                    frame.extend_from_slice(&buffer[..length]);
                    line.fly(arrival, frame);
                }
            }
            let now = Instant::now();
            while line.flying.front().is_some_and(|(at, _)| *at <= now) {
                let (_, frame) = line.flying.pop_front().unwrap();
                // A device that is down or full loses it, as a real one would.
                let sent = send(
                    sides[1 - direction].0.as_raw_fd(),
                    &frame,
                    MsgFlags::empty(),
                )
                .is_ok();
                let tally = &mut shared.lock().unwrap()[direction].1;
                if sent {
                    tally.carried += 1;
                    tally.carried_bytes += frame.len() as u64;
                }
                spare.push(frame);
            }
        }
    }
}
