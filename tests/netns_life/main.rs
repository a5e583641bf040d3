//! The life of a daemon as its operator sees it: it starts or says why not, stops without a
//! trace, is killed, cleaned up after, started again, and does not meet its likes.

#[path = "../modules/mod.rs"]
mod fixtures;
#[path = "../harness/mod.rs"]
mod harness;

mod killed;
mod others;
mod service;
mod start;
mod stop;

use std::fs;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use harness::ended::{Ended, to_end};
use harness::proxy::{PROGRAM, base_config, function_config, modules};
use harness::{PREFIX, kernel};
use srv6pipes::demo::lab::{CLIENT, Lab, sid};
use srv6pipes::demo::workdir::Workdir;

/// Both ways to learn a SYN's SRH.
const CAPTURES: [&str; 2] = ["option capture 'saved_syn'", "option capture 'nfqueue'"];

/// All that a configuration can make the kernel do: functions, a locator that bypasses, policies
/// to us and to others (on ports that no other traffic here uses), and a return.
fn everything(lab: &Lab, i: usize) -> String {
    let device = lab.device_to_client(i);
    let gateway = match i {
        1 => CLIENT,
        i => Ipv6Addr::from(0xfd00_0001_u128 << 96 | (i as u128 - 1) << 80 | 1),
    };
    format!(
        "option on_failure 'bypass'\n\n\
         {}\
         config policy 'here'\nlist device '{device}'\nlist port '9001'\nlist segment '{}'\n\n\
         config policy 'there'\nlist device '{device}'\nlist port '9002'\nlist segment '{}'\n\n\
         config return\noption device '{device}'\noption gateway '{gateway}'\n\n",
        function_config(1, "xor", "") + &function_config(2, "copy", ""),
        sid(i, 1, 0x2a),
        sid(9, 1, 0x2a)
    )
}

/// A folder with modules and a configuration of proxy 1, and nobody who runs it.
struct Idle {
    workdir: Workdir,
    config: PathBuf,
}

impl Idle {
    fn new(lab: &Lab, options: &str, sections: &str) -> Self {
        let workdir = Workdir::new(PREFIX).unwrap();
        let config = base_config(lab, 1, &workdir, options) + sections;
        let named = |name: &str| config.contains(name);
        workdir.copy_modules(&modules(), named).unwrap();
        let config = workdir.write("proxy.conf", &config).unwrap();
        Self { workdir, config }
    }
}

/// `srv6pipes WORD -c CONFIG` in proxy 1's namespace, to its end.
fn srv6pipes(lab: &Lab, word: &str, config: &Path) -> Ended {
    let mut command = lab.proxy(1).command(PROGRAM);
    to_end(command.arg(word).arg("-c").arg(config))
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[track_caller]
fn assert_as_before(lab: &Lab, before: &kernel::State) {
    let difference = kernel::difference(before, &kernel::state(lab.proxy(1)));
    assert_eq!(difference, [""; 0]);
}
