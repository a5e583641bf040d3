//! The wire format, byte by byte: two versions of srv6pipes have to talk to each other.
//!
//! The bytes come from a second implementation of what the README says, in Python on OpenSSL. Each
//! is a header up to its random bytes, those, and two records.

use srv6pipes_vnf::FlowInfo;

use super::{OPEN, SEAL, Way, end};
use crate::cipher::{Cipher, Offer};
use crate::hello::Role;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn wire(cipher: Cipher) -> [String; 2] {
    let end = end(Offer::Only(cipher));
    let flow = FlowInfo::detached(7);
    let mut way = Way::new(
        end.spawn_with(Role::Seal, &flow, SEAL).unwrap(),
        end.spawn_with(Role::Open, &flow, OPEN).unwrap(),
    );
    way.say(b"hello", b"220 ready");
    way.end();
    way.wire.map(|wire| hex(&wire))
}

#[test]
fn chacha20_poly1305_on_the_wire() {
    let [up, down] = wire(Cipher::ChaCha20Poly1305);
    assert_eq!(
        up,
        concat!(
            "5336534c0100010100000007",
            "5151515151515151515151515151515151515151515151515151515151515151",
            "000519a9d8ffde87a5641a85b5b2d8ffa0fd6c9ae9c54e",
            "8000741a1f6f06d192595ca6f79ad2a69e6b",
        )
    );
    assert_eq!(
        down,
        concat!(
            "5336534c0101010100000007",
            "5252525252525252525252525252525252525252525252525252525252525252",
            "00096d873c47ab8383a0fc7f3e9c6a8a88ea04eb51e6a5759222ca",
            "800074b9b7f3fb7a6d18eff499893d6af1c0",
        )
    );
}

#[test]
fn aes_256_gcm_on_the_wire() {
    let [up, down] = wire(Cipher::Aes256Gcm);
    assert_eq!(
        up,
        concat!(
            "5336534c0100020100000007",
            "5151515151515151515151515151515151515151515151515151515151515151",
            "00051a1774b4035f2f338ad145b304acf5476de5c181b4",
            "8000a24feefee36213bbcf0a6af3c323c012",
        )
    );
    assert_eq!(
        down,
        concat!(
            "5336534c0101020100000007",
            "5252525252525252525252525252525252525252525252525252525252525252",
            "000936c2afc6e783ac9abd82854663ec765848acc358f2f3a1ead3",
            "800069f2129f4d6aa52e0513123bfc907224",
        )
    );
}
