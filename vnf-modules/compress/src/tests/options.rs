//! What the operator may write.

use srv6pipes_vnf::{FlowInfo, Function, Setup};

use super::Given;
use crate::{Compress, Decompress};

fn complaints(options: Given<'_>) -> Vec<(Option<usize>, String)> {
    let complaints = Setup::detached(options).make::<Compress>().unwrap_err();
    let also = Setup::detached(options).make::<Decompress>().unwrap_err();
    assert_eq!(complaints, also);
    complaints
        .into_iter()
        .map(|complaint| (complaint.option, complaint.text))
        .collect()
}

#[test]
fn every_option_has_its_range_and_all_are_told_at_once() {
    let said = complaints(&[
        ("algorithm", "gzip"),
        ("window_kb", "48"),
        ("level", "10"),
        ("levle", "1"),
    ]);
    let words = if cfg!(feature = "zstd") {
        "lz4, zstd"
    } else {
        "lz4"
    };
    assert_eq!(
        said,
        [
            (Some(0), format!("must be one of: {words}")),
            (Some(1), "must be one of: 16, 32, 64".to_owned()),
            (Some(2), "must be a number from 1 to 9".to_owned()),
            (Some(3), "no such option".to_owned()),
        ]
    );
}

#[test]
fn a_level_is_for_zstd() {
    for options in [
        &[("level", "3")][..],
        &[("level", "3"), ("algorithm", "lz4")],
    ] {
        assert_eq!(
            complaints(options),
            [(
                Some(0),
                "is for algorithm 'zstd' only: lz4 has one level".to_owned()
            )]
        );
    }
    #[cfg(feature = "zstd")]
    Setup::detached(&[("level", "3"), ("algorithm", "zstd")])
        .make::<Compress>()
        .unwrap();
}

#[test]
fn an_argument_is_refused() {
    let near = Setup::detached(&[]).make::<Compress>().unwrap();
    let far = Setup::detached(&[]).make::<Decompress>().unwrap();
    let flow = FlowInfo::detached(0x100);
    for refused in [
        near.spawn(&flow).unwrap_err(),
        far.spawn(&flow).unwrap_err(),
    ] {
        assert_eq!(refused.to_string(), "argument 0x100: must be 0");
    }
}
