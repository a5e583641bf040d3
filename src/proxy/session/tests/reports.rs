//! What functions are told of their flow's numbers, and when for the last time.

use std::sync::{Arc, Mutex};

use super::*;
use crate::proxy::bench::stage;
use crate::proxy::stage::Stage;
use crate::vnf::{Progress, Report, Transform};

const MS: Duration = Duration::from_millis(1);

/// Copies, and keeps what it is told.
#[derive(Debug, Default)]
struct Meter(Arc<Mutex<Vec<Report>>>);

impl Transform for Meter {
    fn process(
        &mut self,
        _: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Broken> {
        copy(input, output, end)
    }

    fn reports(&self) -> bool {
        true
    }

    fn report(&mut self, report: &Report) {
        self.0.lock().unwrap().push(*report);
    }
}

/// A function that tells what it was told.
fn meter() -> (Arc<Mutex<Vec<Report>>>, Stage) {
    let meter = Meter::default();
    let told = Arc::clone(&meter.0);
    (told, stage(9, Box::new(meter)))
}

/// The end of a flow that moved nothing.
fn nothing() -> Report {
    Report {
        last: true,
        ..Report::default()
    }
}

#[test]
fn reports_have_what_moved_and_how_long_it_took() {
    let (told, stage) = meter();
    let mut bench = Bench::with(Chain::new(vec![stage]), Some(IDLE));
    assert!(bench.session().reports());
    let last = || *told.lock().unwrap().last().unwrap();
    let report = |bench: &mut Bench| {
        let now = bench.now;
        bench.session().report(now, false);
        last()
    };
    bench.now += 10 * MS;
    let mut expected = Report {
        last: false,
        age: 10 * MS,
        ..Report::default()
    };
    assert_eq!(report(&mut bench), expected);
    bench.now += 5 * MS;
    offer(&bench.client, b"abc");
    assert!(bench.round().is_none());
    expected = Report {
        age: 15 * MS,
        connect: Some(15 * MS),
        upstream_in: 3,
        upstream_out: 3,
        ..expected
    };
    assert_eq!(report(&mut bench), expected);
    for (answer, bytes) in [(&b"ab"[..], 2), (b"cde", 5)] {
        bench.now += 20 * MS;
        offer(&bench.server, answer);
        assert!(bench.round().is_none());
        expected = Report {
            age: expected.age + 20 * MS,
            downstream_in: bytes,
            downstream_out: bytes,
            first_byte: Some(35 * MS),
            ..expected
        };
        assert_eq!(report(&mut bench), expected);
    }
    for peer in [&bench.client, &bench.server] {
        peer.shutdown(Shutdown::Write).unwrap();
    }
    let before = told.lock().unwrap().len();
    assert!(matches!(bench.step(), Some(Outcome::Finished)));
    assert_eq!(told.lock().unwrap().len(), before + 1, "the last, and once");
    expected.last = true;
    assert_eq!(last(), expected);
}

#[test]
fn the_last_report_comes_however_the_flow_ends() {
    for outcome in [
        Outcome::Stopped,
        Outcome::Idle,
        Outcome::LocatorGone,
        Outcome::ConnectTimeout,
        Outcome::Broken(1, Broken::Failed),
    ] {
        let (told, stage) = meter();
        let mut bench = Bench::with(Chain::new(vec![stage]), Some(IDLE));
        let session = bench.session.take().unwrap();
        session.close(&outcome, bench.began + MS, &mut bench.pools);
        let expected = Report {
            age: MS,
            last: true,
            ..Report::default()
        };
        assert_eq!(*told.lock().unwrap(), [expected], "{outcome}");
    }
    // Spawned, but no flow came of it.
    let (told, stage) = meter();
    drop(Chain::new(vec![stage]));
    assert_eq!(*told.lock().unwrap(), [nothing()]);
}

#[test]
fn a_flow_whose_functions_want_none_takes_no_times() {
    assert!(!Bench::new([]).session().reports());
    assert!(!Bench::new([copies(), copies()]).session().reports());
}
