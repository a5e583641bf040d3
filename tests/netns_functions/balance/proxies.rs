//! Identical proxies for the next function.

use srv6pipes::demo::lab::{locator, sid};

use super::{CAPTURES, ID, Nginx, SERVICE, balancer, count, steer};
use crate::harness::ended::to_end;
use crate::harness::lab;
use crate::harness::proxy::Proxy;
use crate::harness::status::{Status, counted};
use crate::own::counts;

/// The number of the server at the service's own address.
const SERVED: u16 = 0x70;

#[test]
fn flows_are_shared_out_among_proxies_and_pass_over_one_that_is_gone() {
    for capture in CAPTURES {
        // P2 and P3 do the same, and P4 takes it back.
        let Some(lab) = lab(4) else { return };
        let _nginx = Nginx::start(&lab, &[SERVED]);
        let mut others = [2, 3, 4].map(|i| Proxy::start(&lab, i));
        let proxies = format!(
            "list proxy '{}/80 2'\nlist proxy '{}/80'\noption retry '3600'\n",
            locator(2),
            locator(3)
        );
        let proxy = balancer(&lab, capture, &proxies, "");
        // What the client names need not be in the list.
        steer(&lab, &[sid(1, ID, 0), sid(2, 1, 0x2a), sid(4, 1, 0x2a)]);
        let fetch = |count: usize| {
            let mut curl = lab.client().command("curl");
            curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]);
            curl.arg(format!("http://\\[{SERVICE}\\]/who[1-{count}]"));
            let said = to_end(&mut curl).with(0).stdout;
            assert_eq!(said, format!("{SERVICE}\n").repeat(count));
        };
        fetch(30);
        let flows = |proxy: &Proxy| Status::of(proxy).counter("accepted_flows");
        assert_eq!([0, 1, 2].map(|i| flows(&others[i])), [20, 10, 30]);
        counted(&proxy, &[("finished_flows", 30), ("rerouted_flows", 0)]).assert_adds_up();

        assert!(others[0].stop().success());
        fetch(12);
        assert_eq!([1, 2].map(|i| flows(&others[i])), [22, 42]);
        counted(&proxy, &[("finished_flows", 42), ("rerouted_flows", 1)]).assert_adds_up();
        let [second, third] = [2, 3].map(|i| format!("proxy={}/80", locator(i)));
        counts(
            &proxy,
            ID,
            &[
                ("served_flows", &second, 20),
                ("failed_flows", &second, 1),
                ("served_flows", &third, 22),
                ("failed_flows", &third, 0),
            ],
        );
        assert!(count(&proxy, "moved_bytes", &third) > 0);
    }
}

#[test]
fn where_no_segment_follows_there_is_no_proxy_to_choose() {
    let Some(lab) = lab(1) else { return };
    let _nginx = Nginx::start(&lab, &[SERVED]);
    let line = format!("list proxy '{}/80'\n", locator(2));
    let proxy = balancer(&lab, CAPTURES[0], &line, "");
    steer(&lab, &[sid(1, ID, 0)]);
    let mut curl = lab.client().command("curl");
    let url = format!("http://[{SERVICE}]/");
    // 7: it could not connect.
    to_end(curl.args(["--silent", "--globoff", &url])).with(7);
    counted(&proxy, &[("route_refused_flows", 1), ("live_flows", 0)]);
}
