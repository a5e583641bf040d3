//! The stock functions `seal` and `open`: authenticated encryption of a flow between two proxies.
//!
//! `seal` stands on the client's side: it encrypts upstream and decrypts downstream; `open` is its
//! mirror on the server's side. The argument is the number of a key in the key file. The README
//! beside this says what goes over the wire, and why; read `hello`, `schedule`, `record` and
//! `tunnel` in this order.
#![deny(unsafe_code)]

mod cipher;
mod hello;
mod keys;
mod record;
mod refusal;
mod schedule;
#[cfg(test)]
mod tests;
mod tunnel;

use std::ffi::CStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use srv6pipes_vnf::{Counter, FlowInfo, Function, Reason, Setup};

use crate::cipher::{Cipher, Offer};
use crate::hello::{Hello, Role};
use crate::keys::Keys;
use crate::tunnel::{Terms, Tunnel};

/// Seconds the other end's header may take, if the operator does not say: longer than the 30 that
/// its next segment has to answer, for only then it speaks.
const PATIENCE: u64 = 40;

/// What both functions are made of.
#[derive(Debug)]
struct End {
    keys: Keys,
    offer: Offer,
    addresses: bool,
    terms: Arc<Terms>,
    unknown_key: Counter,
}

impl End {
    fn init(setup: &Setup) -> Result<Self, Reason> {
        let ciphers = [
            ("auto", Offer::by_cpu()),
            ("chacha20-poly1305", Offer::Only(Cipher::ChaCha20Poly1305)),
            ("aes-256-gcm", Offer::Only(Cipher::Aes256Gcm)),
        ];
        let offer = setup.choice("cipher", &ciphers);
        let addresses = setup.flag("addresses");
        let patience = setup.number("handshake_timeout", 1..=600);
        let keys = keys_of(setup)?;
        // Early in a boot the kernel has no randomness yet. Whoever waits for it must not be a
        // worker.
        getrandom::fill(&mut [0]).map_err(|error| format!("get randomness: {error}"))?;
        let counters = setup.counters();
        Ok(Self {
            keys,
            offer: offer.unwrap_or_else(Offer::by_cpu),
            addresses: addresses.unwrap_or(true),
            terms: Arc::new(Terms {
                patience: Duration::from_secs(patience.unwrap_or(PATIENCE)),
                log: setup.log(),
                waker: setup.waker(),
                unauthentic: counters.open("unauthentic_flows", ""),
                unanswered: counters.open("unanswered_flows", ""),
            }),
            unknown_key: counters.open("unknown_key_flows", ""),
        })
    }

    fn spawn(&self, role: Role, flow: &FlowInfo) -> Result<Tunnel, Reason> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| format!("get randomness: {error}"))?;
        self.spawn_with(role, flow, random)
    }

    fn spawn_with(&self, role: Role, flow: &FlowInfo, random: [u8; 32]) -> Result<Tunnel, Reason> {
        let key_id = flow.argument;
        let Some(master) = self.keys.get(&key_id) else {
            self.unknown_key.one();
            return Err(format!("argument {key_id}: no key of this id in the key file").into());
        };
        let hello = Hello {
            role,
            offer: self.offer,
            addresses: self.addresses,
            key_id,
            random,
        };
        let terms = Arc::clone(&self.terms);
        Ok(Tunnel::new(terms, *flow, hello, Arc::clone(master)))
    }
}

/// The keys; whatever is wrong with their file is told on the option that names it.
fn keys_of(setup: &Setup) -> Result<Keys, Reason> {
    let given = setup.given("keys");
    let path = given.map_or(keys::DEFAULT_PATH, |given| given.value);
    let mistakes = match keys::load(Path::new(path)) {
        Ok(keys) => return Ok(keys),
        Err(mistakes) => mistakes,
    };
    let Some(given) = given else {
        let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        return Err(format!("{path}: {}", mistakes.join("; ")).into());
    };
    for mistake in mistakes {
        setup.complain(&given, mistake);
    }
    Ok(Keys::new())
}

/// The client's side.
#[derive(Debug)]
pub struct Seal(End);

/// The server's side.
#[derive(Debug)]
pub struct Open(End);

impl Function for Seal {
    const NAME: &CStr = c"seal";
    const SUMMARY: &CStr = c"encrypts upstream, decrypts downstream; argument: the key's id";
    const VERSION: &CStr = srv6pipes_vnf::package_version!();
    const READS_FILES: bool = true;
    const SPEAKS_FIRST: bool = true;
    const FAILS_CLOSED: bool = true;
    type Flow = Tunnel;

    fn init(setup: &Setup) -> Result<Self, Reason> {
        End::init(setup).map(Self)
    }

    fn spawn(&self, flow: &FlowInfo) -> Result<Tunnel, Reason> {
        self.0.spawn(Role::Seal, flow)
    }
}

impl Function for Open {
    const NAME: &CStr = c"open";
    const SUMMARY: &CStr = c"decrypts upstream, encrypts downstream; argument: the key's id";
    const VERSION: &CStr = srv6pipes_vnf::package_version!();
    const READS_FILES: bool = true;
    const SPEAKS_FIRST: bool = true;
    const FAILS_CLOSED: bool = true;
    type Flow = Tunnel;

    fn init(setup: &Setup) -> Result<Self, Reason> {
        End::init(setup).map(Self)
    }

    fn spawn(&self, flow: &FlowInfo) -> Result<Tunnel, Reason> {
        self.0.spawn(Role::Open, flow)
    }
}

srv6pipes_vnf::export_functions!(Seal, Open);
