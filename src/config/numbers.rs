//! Which number each policy and return has in packet marks, also across a reload.
//!
//! A mark outlives the configuration it was made by: packets are on their way, and sockets keep
//! that of their SYN. So a number must not come to mean something else while anybody may still
//! read it in the old sense: what stays keeps its number, and what is new gets one that the
//! configuration before did not have.

use crate::config::Config;
use crate::config::mark::PathNumber;
use crate::config::model::{PathKind, Policy};

/// The numbers of all policies and then all returns, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers(Vec<PathNumber>);

impl Numbers {
    /// The number of the path at `index`; one by one if nothing came before.
    pub fn at(&self, index: usize) -> Option<PathNumber> {
        match self.0.as_slice() {
            [] => PathNumber::from_index(index),
            numbers => numbers.get(index).copied(),
        }
    }

    /// Numbers for `new`, which follows `old`.
    ///
    /// With more paths than there are numbers for both, those that `old` gives up are used again.
    pub fn following(old: &Config, new: &Config) -> Self {
        let mut kept: Vec<_> = old.paths().collect();
        let mut claim = |wanted: PathKind<'_>| {
            let place = kept.iter().position(|(_, kind)| is_same(*kind, wanted))?;
            Some(kept.swap_remove(place).0)
        };
        let claimed: Vec<Option<PathNumber>> = new.paths().map(|(_, kind)| claim(kind)).collect();
        let given_up: Vec<PathNumber> = kept.into_iter().map(|(number, _)| number).collect();
        let is_free = |number: &PathNumber| !claimed.contains(&Some(*number));
        let all = || {
            (0..PathNumber::MAX)
                .filter_map(PathNumber::from_index)
                .filter(is_free)
        };
        let fresh = all().filter(|number| !given_up.contains(number));
        let mut rest = fresh.chain(all().filter(|number| given_up.contains(number)));
        let numbers = claimed
            .iter()
            .map(|claimed| claimed.or_else(|| rest.next()));
        Self(numbers.collect::<Option<_>>().unwrap_or_default())
    }
}

/// Whether two paths are the same to a packet: names and lines do not count.
fn is_same(a: PathKind<'_>, b: PathKind<'_>) -> bool {
    match (a, b) {
        (PathKind::Policy(a), PathKind::Policy(b)) => {
            let part = |p: &Policy| (p.devices.clone(), p.dests.clone(), p.ports.clone(), p.mtu);
            a.segments == b.segments && part(a) == part(b)
        }
        (PathKind::Return(a), PathKind::Return(b)) => {
            a.device == b.device && a.gateway == b.gateway
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const MAIN: &str = "config srv6pipes 'main'\n\toption enabled '1'\n";

    fn parse(paths: &[&str]) -> Config {
        let sections: Vec<String> = paths
            .iter()
            .map(|path| match path.strip_prefix("via ") {
                Some(gateway) => {
                    format!("config return\n\toption device 'a'\n\toption gateway '{gateway}'\n")
                }
                None => format!(
                    "config policy\n\tlist device 'lan'\n\tlist port '{path}'\n\
                     \tlist segment '2001:db8:99::1:0:2a'\n"
                ),
            })
            .collect();
        config::parse((MAIN.to_owned() + &sections.concat()).as_bytes()).unwrap()
    }

    fn indices(config: &Config) -> Vec<usize> {
        config.paths().map(|(number, _)| number.index()).collect()
    }

    #[test]
    fn what_stays_keeps_its_number_wherever_it_stands() {
        let old = parse(&["80", "443", "via fe80::1"]);
        assert_eq!(indices(&old), [0, 1, 2]);
        let new = parse(&["9", "443", "80", "via fe80::1"]).following(&old);
        assert_eq!(indices(&new), [3, 1, 0, 2]);
        let swapped = parse(&["443", "80", "via fe80::1"]).following(&old);
        assert_eq!(indices(&swapped), [1, 0, 2]);
    }

    #[test]
    fn what_is_new_gets_no_number_that_was_somebodys() {
        let old = parse(&["80", "443", "via fe80::1"]);
        let new = parse(&["81", "443", "via fe80::2"]).following(&old);
        assert_eq!(indices(&new), [3, 1, 4]);
        // One reload later nobody reads the old ones any more.
        let newer = parse(&["82", "443", "via fe80::2"]).following(&new);
        assert_eq!(indices(&newer), [0, 1, 4]);
    }

    #[test]
    fn two_of_a_kind_have_two_numbers_and_none_is_lost_when_they_run_out() {
        let old = parse(&["80", "80"]);
        assert_eq!(
            indices(&parse(&["80", "80", "80"]).following(&old)),
            [0, 1, 2]
        );
        let ports: Vec<String> = (1..=PathNumber::MAX).map(|port| port.to_string()).collect();
        let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
        let others: Vec<String> = (1..=PathNumber::MAX)
            .map(|p| (p + 1000).to_string())
            .collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let mut all = indices(&parse(&others).following(&parse(&ports)));
        all.sort_unstable();
        assert_eq!(all, (0..PathNumber::MAX).collect::<Vec<_>>());
    }
}
