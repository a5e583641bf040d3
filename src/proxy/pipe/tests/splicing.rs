//! Traps of splice(2) that others fell into; those that take real links are in
//! `tests/netns_splice.rs`.

use super::*;
use crate::sys::kernel_pipe::KernelPipe;

/// A direction that no function wants, past what is copied of it.
fn spliced() -> Bench {
    let passes: Body = Box::new(|_, _, _, _| say(0, 0, Verdict::Pass));
    let mut bench = Bench::new([passes]);
    let beginning = noise(1000);
    let mut arrived = Vec::new();
    while bench.pipe.read < COPIED {
        assert_eq!(offer(&bench.client, &beginning), beginning.len());
        bench.pump().unwrap();
        take(&bench.server, beginning.len(), &mut arrived);
    }
    assert_eq!(
        (bench.pipe.written, bench.pipe.spliced),
        (bench.pipe.read, 0)
    );
    assert_eq!(arrived.len() as u64, bench.pipe.read);
    bench
}

/// Fills it until the sink takes no more and bytes are in the kernel's pipe; what was sent.
fn jam(bench: &mut Bench) -> Vec<u8> {
    let bytes = noise(1_000_000);
    let sent = stuff(bench, &bytes);
    assert!(bench.pipe.kernel.is_some(), "bytes are in the pipe");
    assert!(bench.pipe.read > bench.pipe.written, "the sink is full");
    bytes[..sent].to_vec()
}

#[test]
fn bytes_in_the_kernels_pipe_leave_before_the_end() {
    let mut bench = spliced();
    let sent = jam(&mut bench);
    bench.client.shutdown(Shutdown::Write).unwrap();
    bench.source.note(EpollFlags::EPOLLRDHUP);
    assert_eq!(bench.pump().unwrap(), Pumped::Waiting);
    let mut arrived = Vec::new();
    while !take(&bench.server, 2000, &mut arrived) {
        bench.pump().unwrap();
    }
    assert!(arrived == sent);
    assert_eq!(bench.pipe.written, bench.pipe.read);
    assert_eq!(
        bench.pipe.written,
        bench.pipe.spliced + COPIED.next_multiple_of(1000)
    );
}

#[test]
fn nothing_is_read_while_bytes_are_in_the_kernels_pipe() {
    let mut bench = spliced();
    jam(&mut bench);
    let read = bench.pipe.read;
    let mut arrived = Vec::new();
    for _ in 0..3 {
        // Room for a part of it only.
        take(&bench.server, 100, &mut arrived);
        assert_eq!(bench.pump().unwrap(), Pumped::Waiting);
        assert!(bench.source.readable(), "there is more");
    }
    assert_eq!(bench.pipe.read, read);
}

#[test]
fn a_direction_that_is_closed_from_the_other_one_delivers_what_is_in_the_pipe() {
    let mut bench = spliced();
    let sent = jam(&mut bench);
    let spliced = bench.pipe.read - COPIED.next_multiple_of(1000);
    bench.pipe.close(0, &mut bench.pools);
    let mut arrived = Vec::new();
    while !take(&bench.server, 1000, &mut arrived) {
        bench.pump().unwrap();
    }
    assert!(arrived == sent[..usize::try_from(spliced).unwrap()]);
}

#[test]
fn a_pipe_that_could_not_be_made_larger_carries_every_byte() {
    let bytes = noise(300_000);
    for capacity in [4096, 65_536] {
        let mut bench = spliced();
        bench.pools.pipes.give(KernelPipe::of(capacity).unwrap());
        let before = bench.pipe.written;
        let arrived = bench.carry(&bytes, 10_000).unwrap();
        assert!(arrived == bytes, "{capacity}");
        assert_eq!(bench.pipe.written, before + 300_000);
        assert_eq!(bench.pipe.spliced, 300_000);
    }
}

#[test]
fn a_flow_that_ends_with_bytes_in_the_pipe_leaves_nobody_its_pipe() {
    let mut bench = spliced();
    jam(&mut bench);
    bench.pipe.release(&mut bench.pools);
    assert_eq!(bench.pools.pipes.take().unwrap().held(), 0);
}
