//! `throttle` under real flows: none is faster than its rate, whatever the machine is busy with;
//! how much slower only where the rate itself is slow.

use std::fs;
use std::io::Read;
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use srv6pipes::demo::lab::{CLIENT, Lab, sid};
use srv6pipes::demo::webserver::{self, Webserver};
use srv6pipes::demo::workdir::Workdir;

use crate::harness::ended::to_end;
use crate::harness::peer::{Habit, Server, connect, exchange};
use crate::harness::proxy::{Proxy, function_config};
use crate::harness::status::{COPIED, Status, counted, ticks};
use crate::harness::{PREFIX, lab, noise, wait_for};
use crate::own::{counts, own};
use crate::readme::example;

/// The function's id.
const ID: u16 = 1;

/// How long `bytes` take at `kbit` per second, but for the default burst.
fn least(bytes: u64, kbit: u64) -> Duration {
    let burst = (kbit * 50 / 8).max(3000);
    Duration::from_micros(bytes.saturating_sub(burst) * 8000 / kbit)
}

fn throttle(lab: &Lab, options: &str) -> Proxy {
    Proxy::start_with(lab, 1, "", &function_config(ID, "throttle", options))
}

#[test]
fn a_download_takes_its_time_and_the_processor_has_its_rest() {
    let Some(lab) = lab(1) else { return };
    let proxy = throttle(&lab, "");
    let workdir = Workdir::new(PREFIX).unwrap();
    let mut nginx = Webserver::start(lab.server(), &workdir).unwrap();
    wait_for("nginx to listen", || {
        nginx.is_ready(lab.server()).unwrap().then_some(())
    });
    let url = format!("http://{}/file", webserver::ADDRESS);
    let to = workdir.path().join("fetched");
    for (flows, (kbit, length)) in
        (1..).zip([(512, 100_000), (8000, 1_500_000), (200_000, 30_000_000)])
    {
        let bytes = noise::bytes(7, length);
        fs::write(nginx.root().join("file"), &bytes).unwrap();
        lab.steer(&[sid(1, ID, kbit)]).unwrap();
        let (began, used) = (Instant::now(), ticks(&proxy));
        let mut curl = lab.client().command("curl");
        curl.args(["--silent", "--show-error", "--fail", "--output"]);
        to_end(curl.arg(&to).arg(&url)).with(0);
        let took = began.elapsed();
        assert!(fs::read(&to).unwrap() == bytes, "{kbit} kbit/s");
        let least = least(length as u64, kbit.into());
        assert!(took >= least, "{kbit} kbit/s: {took:?}, not {least:?}");
        if kbit <= 8000 {
            assert!(took <= 2 * least, "{kbit} kbit/s: {took:?}, not {least:?}");
            // A tick is 10 ms: a tenth of one core, in an unoptimised build.
            let used = (ticks(&proxy) - used) * 100;
            assert!(u128::from(used) <= took.as_millis(), "{used} in {took:?}");
        }
        counts(
            &proxy,
            ID,
            &[("delayed_flows", "direction=downstream", flows)],
        );
    }
    counted(&proxy, &[("finished_flows", 3), ("live_flows", 0)]).assert_adds_up();
    // The requests are smaller than a burst; of the answers most had to wait.
    counts(&proxy, ID, &[("delayed_flows", "direction=upstream", 0)]);
    counts(&proxy, ID, &[("delayed_bytes", "direction=upstream", 0)]);
    let delayed = own(&proxy, ID, "delayed_bytes", "direction=downstream").unwrap();
    let all = Status::of(&proxy).function(ID, "out_bytes");
    assert!((20_000_000..all).contains(&delayed), "{delayed} of {all}");
}

/// A connection from one of the client's addresses.
fn connect_from(lab: &Lab, address: Ipv6Addr, server: &Server) -> TcpStream {
    let from = SocketAddr::from((address, 0));
    let connected = lab.client().run(|| {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
        socket.bind(&from.into())?;
        socket.connect(&SocketAddr::from(server.address()).into())?;
        std::io::Result::Ok(TcpStream::from(socket))
    });
    connected.unwrap().unwrap()
}

#[test]
fn flows_of_a_client_share_its_rate_evenly_and_another_client_has_its_own() {
    const KBIT: u64 = 4000;
    const LENGTH: u64 = 600_000;
    let Some(lab) = lab(1) else { return };
    let proxy = throttle(&lab, &format!("option client_rate '{KBIT}'"));
    lab.steer(&[sid(1, ID, 0)]).unwrap();
    let other = Ipv6Addr::from(CLIENT.to_bits() + 0xb);
    let address = format!("address add {other}/64 dev to-p1 nodad\n");
    lab.client().ip(&address).unwrap();
    let give = Habit::Give {
        length: LENGTH,
        seed: 3,
    };
    let server = Server::start(lab.server(), 19, give);

    let began = Instant::now();
    let mut one = connect_from(&lab, CLIENT, &server);
    let mut two = connect_from(&lab, CLIENT, &server);
    let mut far = connect_from(&lab, other, &server);
    let heard = [const { AtomicUsize::new(0) }; 2];
    // Reads to the end; when that was, and how much `other` had by then.
    let read = |stream: &mut TcpStream, own: &AtomicUsize, other: &AtomicUsize| {
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer).unwrap() {
                0 => break,
                n => own.fetch_add(n, Ordering::Relaxed),
            };
        }
        (began.elapsed(), other.load(Ordering::Relaxed))
    };
    let nobody = [const { AtomicUsize::new(0) }; 2];
    let [first, second, third] = thread::scope(|scope| {
        let threads = [
            scope.spawn(|| read(&mut one, &heard[0], &heard[1])),
            scope.spawn(|| read(&mut two, &heard[1], &heard[0])),
            scope.spawn(|| read(&mut far, &nobody[0], &nobody[1])),
        ];
        threads.map(|thread| thread.join().unwrap())
    });
    let all = [&heard[0], &heard[1], &nobody[0]].map(|count| count.load(Ordering::Relaxed) as u64);
    assert_eq!(all, [LENGTH; 3]);

    let last = first.0.max(second.0);
    let both = least(2 * LENGTH, KBIT);
    assert!(last >= both, "{last:?}, not {both:?}");
    assert!(last <= 2 * both, "{last:?}, not {both:?}");
    // When the first was done, the other had nearly as much.
    let behind = first.1.min(second.1) as u64;
    assert!(behind >= LENGTH * 3 / 4, "{behind} of {LENGTH}");
    // The other client needed half the time of the two.
    assert!(third.0 >= least(LENGTH, KBIT), "{:?}", third.0);
    assert!(third.0 < last, "{:?} beside {last:?}", third.0);
    counts(&proxy, ID, &[("new_clients", "", 2)]);
    for stream in [&one, &two, &far] {
        stream.shutdown(Shutdown::Write).unwrap();
    }
    counted(&proxy, &[("finished_flows", 3), ("live_flows", 0)]).assert_adds_up();
    counts(&proxy, ID, &[("delayed_flows", "direction=downstream", 3)]);
}

#[test]
fn each_direction_has_its_rate_and_an_unlimited_one_passes() {
    let Some(lab) = lab(1) else { return };
    let sections = function_config(ID, "throttle", "")
        + &function_config(2, "throttle", "option direction 'upstream'")
        + &example("throttle");
    let proxy = Proxy::start_with(&lab, 1, "", &sections);
    let server = Server::start(lab.server(), 7, Habit::Echo);
    // Both at once: one direction's time, not two; and the end comes behind the last byte.
    let (kbit, length) = (2000, 400_000);
    let bytes = noise::bytes(5, length);
    for function in [ID, 2] {
        lab.steer(&[sid(1, function, kbit)]).unwrap();
        let began = Instant::now();
        let stream = connect(lab.client(), server.address()).unwrap();
        assert!(exchange(&stream, &bytes).unwrap() == bytes);
        let took = began.elapsed();
        server.report().end.unwrap();
        let least = least(length as u64, kbit.into());
        assert!(took >= least, "{took:?}, not {least:?}");
        assert!(took < least * 7 / 4, "{took:?}, not {least:?}");
    }
    let status = counted(&proxy, &[("finished_flows", 2), ("live_flows", 0)]);
    status.assert_adds_up();
    // Of the second flow one direction went by splice, but for its beginning.
    let spliced = status.counter("spliced_bytes");
    let length = length as u64;
    assert!(spliced > length - COPIED, "{spliced}");
    assert!(spliced <= length, "{spliced}");
    assert_eq!(status.function(ID, "in_bytes"), 2 * length);
    assert!(own(&proxy, 2, "delayed_bytes", "direction=downstream").is_none());
    counts(&proxy, 2, &[("delayed_flows", "direction=upstream", 1)]);
}
