//! From a master key and two headers to the keys of a flow: HKDF with SHA-256 (RFC 5869).
//!
//! ```text
//! prk            = HKDF-Extract(salt = seal's header ‖ open's header, master key)
//! key(direction) = HKDF-Expand(prk, "srv6pipes seal 1 " ‖ direction ‖ addresses, 32 bytes)
//! ```
//! Both headers carry randomness of the end that sent them. So a key is never used again, whatever
//! somebody else plays back to one of the ends.

use std::fmt;
use std::net::SocketAddrV6;

use hkdf::Hkdf;
use sha2::Sha256;
use srv6pipes_vnf::{Direction, FlowInfo};
use zeroize::Zeroizing;

use crate::cipher::{Cipher, KEY, Keyed};
use crate::hello::HELLO;

/// What both ends know and nobody else; wiped from memory on drop, and shown to nobody.
#[derive(Default)]
pub struct MasterKey(Zeroizing<[u8; KEY]>);

impl MasterKey {
    /// To be filled.
    pub fn bytes_mut(&mut self) -> &mut [u8; KEY] {
        &mut self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

const LABEL: &[u8] = b"srv6pipes seal 1 ";

/// Two addresses with their ports.
const ADDRESSES: usize = 2 * (16 + 2);

/// The client's and the server's address and port, as both ends see them.
pub fn addresses(flow: &FlowInfo) -> [u8; ADDRESSES] {
    let mut bytes = [0; ADDRESSES];
    let put = |bytes: &mut [u8], address: SocketAddrV6| {
        bytes[..16].copy_from_slice(&address.ip().octets());
        bytes[16..].copy_from_slice(&address.port().to_be_bytes());
    };
    put(&mut bytes[..18], flow.client);
    put(&mut bytes[18..], flow.server);
    bytes
}

/// Everything the keys of a flow come from.
pub struct Schedule(Hkdf<Sha256>);

impl Schedule {
    /// Of a master key and the headers that the two ends have sent.
    pub fn new(master: &MasterKey, seal: &[u8; HELLO], open: &[u8; HELLO]) -> Self {
        let mut salt = [0; 2 * HELLO];
        salt[..HELLO].copy_from_slice(seal);
        salt[HELLO..].copy_from_slice(open);
        Self(Hkdf::new(Some(&salt), master.0.as_slice()))
    }

    /// The cipher of one direction. `addresses` is empty if they do not matter.
    pub fn key(&self, cipher: Cipher, direction: Direction, addresses: &[u8]) -> Keyed {
        let direction: &[u8] = match direction {
            Direction::Upstream => b"upstream",
            Direction::Downstream => b"downstream",
        };
        let mut key = Zeroizing::new([0; KEY]);
        // Its only error is a key longer than 255 hashes.
        let expanded = self
            .0
            .expand_multi_info(&[LABEL, direction, addresses], key.as_mut_slice());
        debug_assert!(expanded.is_ok());
        Keyed::new(cipher, &key)
    }
}
