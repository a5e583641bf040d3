//! Servers behind a service's address.

use std::net::{SocketAddrV6, TcpStream};

use srv6pipes::demo::lab::{Lab, sid};

use super::{
    CAPTURES, ID, Nginx, SERVICE, address, balancer, count, counts_of, from, label, requests,
    servers, steer,
};
use crate::harness::ended::to_end;
use crate::harness::peer::{Habit, Server, connect};
use crate::harness::proxy::{PROGRAM, Proxy, base_config, function_config};
use crate::harness::status::counted;
use crate::harness::{PREFIX, lab, wait_for};
use crate::own::counts;
use crate::readme::example;
use srv6pipes::demo::workdir::Workdir;

#[test]
fn flows_are_shared_out_by_weight_and_their_bytes_left_alone() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let _nginx = Nginx::start(&lab, &[1, 2, 3]);
        // The README's, with the laboratory's addresses, behind a policy for plain clients.
        let readme = example("balance").replace("2001:db8:5::", "fd00:5::");
        let policy = format!(
            "config policy\nlist device '{}'\nlist dest '{SERVICE}/128'\nlist segment '{}'\n",
            lab.device_to_client(1),
            sid(1, ID, 0)
        );
        let proxy = Proxy::start_with(&lab, 1, capture, &(readme + &policy));
        let answers = requests(&lab, 120);
        assert_eq!([1, 2, 3].map(|n| from(&answers, n)), [60, 40, 20]);
        let third = format!("server=[{}]:80", address(3));
        counts(
            &proxy,
            ID,
            &[
                ("served_flows", &label(1), 60),
                ("served_flows", &label(2), 40),
                ("served_flows", &third, 20),
                ("ended_flows", &third, 20),
                ("failed_flows", &label(1), 0),
            ],
        );
        let status = counted(&proxy, &[("finished_flows", 120), ("rerouted_flows", 0)]);
        status.assert_adds_up();
        let moved = |direction: &str| status.counter(&format!("{direction}_out_bytes"));
        let all = moved("upstream") + moved("downstream");
        let functions = proxy.json("status")["functions"].clone();
        assert_eq!(
            functions[0]["in_bytes"], 0,
            "no byte of a flow is its business"
        );
        let told: u64 = [&label(1), &label(2), &third]
            .map(|label| count(&proxy, "moved_bytes", label))
            .iter()
            .sum();
        assert_eq!(told, all);
    }
}

#[test]
fn a_dead_server_is_passed_over_and_has_flows_again_once_it_lives() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let _nginx = Nginx::start(&lab, &[1, 2]);
        let _dead = Nginx::start(&lab, &[3]);
        drop(_dead);
        let proxy = balancer(&lab, capture, &servers(&[1, 1, 1]), "option retry '1'\n");
        steer(&lab, &[sid(1, ID, 0)]);
        let answers = requests(&lab, 60);
        let [one, two, three] = [1, 2, 3].map(|n| from(&answers, n));
        assert_eq!((one + two, three), (60, 0), "{capture}");
        assert!(one.abs_diff(two) <= 8, "{capture}: {one} and {two}");
        let failed = count(&proxy, "failed_flows", &label(3));
        // Left alone for a second, and then for longer.
        assert!((1..=6).contains(&failed), "{capture}: {failed}");
        let expected = [("finished_flows", 60), ("rerouted_flows", failed)];
        counted(&proxy, &expected).assert_adds_up();
        let said = format!("{} does not answer: left alone for 1 s", address(3));
        assert_eq!(proxy.log().matches(&said).count(), 1, "{capture}");

        let _alive = Nginx::start(&lab, &[3]);
        wait_for("the server to have flows again", || {
            (from(&requests(&lab, 3), 3) > 0).then_some(())
        });
        let third = from(&requests(&lab, 30), 3);
        assert!((9..=11).contains(&third), "{capture}: {third}");
        let said = format!("{} answers again", address(3));
        assert_eq!(proxy.log().matches(&said).count(), 1, "{capture}");
    }
}

#[test]
fn when_all_are_dead_the_client_is_refused_and_served_as_soon_as_one_lives() {
    let Some(lab) = lab(1) else { return };
    drop(Nginx::start(&lab, &[1, 2]));
    let proxy = balancer(
        &lab,
        CAPTURES[0],
        &servers(&[1, 1]),
        "option retry '3600'\n",
    );
    steer(&lab, &[sid(1, ID, 0)]);
    let service = SocketAddrV6::new(SERVICE, 80, 0, 0);
    for flows in 1..=3 {
        let refused = connect(lab.client(), service).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        assert_eq!(counts_of(&proxy, "failed_flows", 2), [flows, flows]);
    }
    counted(&proxy, &[("next_refused_flows", 3), ("rerouted_flows", 3)]);
    let _nginx = Nginx::start(&lab, &[2]);
    assert_eq!(from(&requests(&lab, 10), 2), 10);
}

#[test]
fn the_argument_says_which_servers() {
    let Some(lab) = lab(1) else { return };
    let _nginx = Nginx::start(&lab, &[1, 2, 3]);
    let proxy = balancer(&lab, "", &servers(&[1, 1, 1]), "");
    for (argument, expected) in [(0b010, [0, 6, 0]), (0b101, [3, 0, 3]), (0, [2, 2, 2])] {
        steer(&lab, &[sid(1, ID, argument)]);
        let answers = requests(&lab, 6);
        assert_eq!([1, 2, 3].map(|n| from(&answers, n)), expected);
    }
    steer(&lab, &[sid(1, ID, 0b1000)]);
    let mut curl = lab.client().command("curl");
    let url = format!("http://[{SERVICE}]/");
    let refused = to_end(curl.args(["--silent", "--globoff", &url]));
    assert_ne!(refused.code, Some(0));
    counted(
        &proxy,
        &[("route_refused_flows", 1), ("finished_flows", 18)],
    );
}

#[test]
fn bytes_are_shared_out_when_flows_are_not_alike() {
    let Some(lab) = lab(1) else { return };
    let _nginx = Nginx::start(&lab, &[1, 2]);
    let proxy = balancer(&lab, "", &servers(&[1, 1]), "option policy 'drr'\n");
    steer(&lab, &[sid(1, ID, 0)]);
    // Large and small by turns: in turn by flows, one server would get all that is large.
    let mut curl = lab.client().command("curl");
    curl.args(["--silent", "--fail", "--noproxy", "*", "--globoff"]);
    for flow in 0..80 {
        let length = if flow % 2 == 0 { 300_000 } else { 100 };
        curl.args(["--output", "/dev/null"]);
        curl.arg(format!("http://[{SERVICE}]/{length}"));
    }
    to_end(&mut curl).with(0);
    counted(&proxy, &[("finished_flows", 80), ("live_flows", 0)]);
    let moved = counts_of(&proxy, "moved_bytes", 2);
    let whole: u64 = moved.iter().sum();
    assert!(whole > 40 * 300_000, "{moved:?}");
    for moved in moved {
        let half = whole / 2;
        assert!(moved.abs_diff(half) < half / 5, "{moved} of {whole}");
    }
}

/// Connections that stay, and which server each has.
fn stay(lab: &Lab, proxy: &Proxy, count: usize) -> Vec<(TcpStream, String)> {
    let service = SocketAddrV6::new(SERVICE, 7, 0, 0);
    let streams: Vec<TcpStream> = (0..count)
        .map(|_| connect(lab.client(), service).unwrap())
        .collect();
    let of = |stream: &TcpStream| {
        let client = stream.local_addr().unwrap().to_string();
        wait_for("the flow to stand", || {
            let flows = proxy.json("flows");
            let mut flows = flows["flows"].as_array().unwrap().iter();
            let flow = flows.find(|flow| flow["client"] == client)?;
            (flow["state"] == "piping").then(|| flow["server"].as_str().unwrap().to_owned())
        })
    };
    let servers: Vec<String> = streams.iter().map(of).collect();
    streams.into_iter().zip(servers).collect()
}

#[test]
fn new_flows_go_where_the_fewest_are() {
    let Some(lab) = lab(1) else { return };
    drop(Nginx::start(&lab, &[1, 2, 3]));
    let echo = |n| {
        let at = SocketAddrV6::new(address(n), 7, 0, 0);
        Server::start_at(lab.server(), at, Habit::Echo)
    };
    let _servers = [1, 2, 3].map(echo);
    let policy = "option policy 'least_flows'\n";
    let proxy = balancer(&lab, "", &servers(&[1, 1, 2]), policy);
    steer(&lab, &[sid(1, ID, 0)]);
    let there = stay(&lab, &proxy, 12);
    assert_eq!(counts_of(&proxy, "served_flows", 3), [3, 3, 6]);
    let second = SocketAddrV6::new(address(2), 7, 0, 0).to_string();
    let (over, rest): (Vec<_>, Vec<_>) = there.into_iter().partition(|(_, to)| *to == second);
    assert_eq!(over.len(), 3);
    drop(over);
    counts(&proxy, ID, &[("ended_flows", &label(2), 3)]);
    let new = stay(&lab, &proxy, 3);
    assert!(new.iter().all(|(_, to)| *to == second), "{new:?}");
    drop((rest, new));
    counted(&proxy, &[("finished_flows", 15), ("live_flows", 0)]).assert_adds_up();
    assert_eq!(counts_of(&proxy, "ended_flows", 3), [3, 6, 6]);
}

#[test]
fn a_client_keeps_its_server() {
    let Some(lab) = lab(1) else { return };
    let _nginx = Nginx::start(&lab, &[1, 2, 3, 4]);
    let policy = "option policy 'client'\noption retry '3600'\n";
    let proxy = balancer(&lab, "", &servers(&[1; 4]), policy);
    steer(&lab, &[sid(1, ID, 0)]);
    let answers = requests(&lab, 20);
    let mine = (1..=4).find(|n| from(&answers, *n) == 20);
    let mine = mine.unwrap_or_else(|| panic!("{answers:?}"));
    // Without it, another one, and that one always.
    let gone = format!("route add blackhole {}/128\n", address(mine));
    lab.proxy(1).ip(&gone).unwrap();
    let answers = requests(&lab, 20);
    assert_eq!(from(&answers, mine), 0);
    assert!((1..=4).any(|n| from(&answers, n) == 20), "{answers:?}");
    counts(&proxy, ID, &[("failed_flows", &label(mine), 1)]);
}

#[test]
fn mistakes_are_told_with_their_lines() {
    let Some(lab) = lab(1) else { return };
    let workdir = Workdir::new(PREFIX).unwrap();
    let lines = "list server 'fd00:5::11 0'\nlist server 'nobody'\noption policy 'best'\n";
    let section = function_config(ID, "balance", lines);
    let base = base_config(&lab, 1, &workdir, "");
    let modules = crate::harness::proxy::modules();
    workdir
        .copy_modules(&modules, |name| name == "libbalance.so")
        .unwrap();
    let config = workdir.write("wrong", &(base.clone() + &section)).unwrap();
    let mut check = lab.proxy(1).command(PROGRAM);
    let said = to_end(check.arg("check").arg("-c").arg(&config)).with(1);
    // Behind `config function` and its three options.
    let first = base.lines().count() + 5;
    for (line, wrong) in [
        "option 'server': must have a weight from 1 to 1000",
        "option 'server': must be an IPv6 address",
        "option 'policy': must be one of: weighted, drr, least_flows, client",
    ]
    .into_iter()
    .enumerate()
    {
        let place = format!("{}:{}: ", config.display(), first + line);
        let told = said.stderr.lines().find(|told| told.starts_with(&place));
        let told = told.unwrap_or_else(|| panic!("no {place} in {}", said.stderr));
        assert!(told.contains(wrong), "{told}");
    }
}
