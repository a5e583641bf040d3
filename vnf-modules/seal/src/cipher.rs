//! The two ciphers, and which of them a flow gets.
//!
//! ChaCha20-Poly1305 is RFC 8439, AES-256-GCM is NIST SP 800-38D; both take a key of 32 bytes, a
//! nonce of 12 and give a tag of 16. Where the CPU has instructions for AES, AES is the faster one,
//! and where it has none, the slower one by far.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use chacha20poly1305::ChaCha20Poly1305;

/// Bytes of a key.
pub const KEY: usize = 32;
/// Bytes of a tag.
pub const TAG: usize = 16;

/// What a flow is sealed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// RFC 8439.
    ChaCha20Poly1305,
    /// NIST SP 800-38D.
    Aes256Gcm,
}

/// What one end takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Nothing else.
    Only(Cipher),
    /// Both, and rather this one.
    Rather(Cipher),
}

/// A cipher with a key; the key is wiped from memory on drop.
pub enum Keyed {
    /// RFC 8439.
    ChaCha20Poly1305(ChaCha20Poly1305),
    /// NIST SP 800-38D. It holds its round keys.
    Aes256Gcm(Box<Aes256Gcm>),
}

/// A record is not what the other end sealed, or not with this key.
#[derive(Debug, PartialEq, Eq)]
pub struct Unauthentic;

impl Offer {
    /// Both, and rather what this CPU is faster with.
    pub fn by_cpu() -> Self {
        Self::Rather(if has_aes() {
            Cipher::Aes256Gcm
        } else {
            Cipher::ChaCha20Poly1305
        })
    }

    /// As the header has it.
    pub fn number(self) -> u8 {
        match self {
            Self::Only(Cipher::ChaCha20Poly1305) => 1,
            Self::Only(Cipher::Aes256Gcm) => 2,
            Self::Rather(Cipher::ChaCha20Poly1305) => 3,
            Self::Rather(Cipher::Aes256Gcm) => 4,
        }
    }

    /// The reverse.
    pub fn numbered(number: u8) -> Option<Self> {
        let all = [Cipher::ChaCha20Poly1305, Cipher::Aes256Gcm];
        all.into_iter()
            .flat_map(|cipher| [Self::Only(cipher), Self::Rather(cipher)])
            .find(|offer| offer.number() == number)
    }

    /// What two ends use with each other; the same whoever asks. AES only if both are fast with
    /// it: one of them would pay for the other's speed.
    pub fn agree(self, other: Self) -> Option<Cipher> {
        match (self, other) {
            (Self::Only(one), Self::Only(two)) => (one == two).then_some(one),
            (Self::Only(one), Self::Rather(_)) | (Self::Rather(_), Self::Only(one)) => Some(one),
            (Self::Rather(Cipher::Aes256Gcm), Self::Rather(Cipher::Aes256Gcm)) => {
                Some(Cipher::Aes256Gcm)
            }
            (Self::Rather(_), Self::Rather(_)) => Some(Cipher::ChaCha20Poly1305),
        }
    }
}

impl Keyed {
    /// A cipher with a key.
    pub fn new(cipher: Cipher, key: &[u8; KEY]) -> Self {
        match cipher {
            Cipher::ChaCha20Poly1305 => Self::ChaCha20Poly1305(ChaCha20Poly1305::new(key.into())),
            Cipher::Aes256Gcm => Self::Aes256Gcm(Box::new(Aes256Gcm::new(key.into()))),
        }
    }

    /// Encrypts `plain` into `sealed`, which is as long, and vouches for it and for `aad`.
    ///
    /// # Errors
    /// Never for what is shorter than 64 GiB.
    pub fn seal(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        plain: &[u8],
        sealed: &mut [u8],
    ) -> Result<[u8; TAG], Unauthentic> {
        let buffer = InOutBuf::new(plain, sealed).map_err(|_| Unauthentic)?;
        let nonce = nonce.into();
        let tag = match self {
            Self::ChaCha20Poly1305(cipher) => cipher.encrypt_inout_detached(&nonce, aad, buffer),
            Self::Aes256Gcm(cipher) => cipher.encrypt_inout_detached(&nonce, aad, buffer),
        };
        tag.map(Into::into).map_err(|_| Unauthentic)
    }

    /// The reverse; what is not authentic leaves `plain` as it was.
    ///
    /// # Errors
    /// When one bit of it all is another one.
    pub fn open(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        sealed: &[u8],
        tag: &[u8; TAG],
        plain: &mut [u8],
    ) -> Result<(), Unauthentic> {
        let buffer = InOutBuf::new(sealed, plain).map_err(|_| Unauthentic)?;
        let (nonce, tag) = (nonce.into(), tag.into());
        let opened = match self {
            Self::ChaCha20Poly1305(cipher) => {
                cipher.decrypt_inout_detached(&nonce, aad, buffer, tag)
            }
            Self::Aes256Gcm(cipher) => cipher.decrypt_inout_detached(&nonce, aad, buffer, tag),
        };
        opened.map_err(|_| Unauthentic)
    }
}

/// Whether this CPU, and the crate's code for it, have instructions for AES and for GCM's product.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
}

/// As above.
#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

/// As above: no code for any other CPU's instructions, those of ARMv7 and MIPS routers included.
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ends_agree_whoever_asks() {
        use Cipher::{Aes256Gcm as Aes, ChaCha20Poly1305 as ChaCha};
        use Offer::{Only, Rather};
        for (one, two, agreed) in [
            (Only(ChaCha), Only(ChaCha), Some(ChaCha)),
            (Only(Aes), Only(Aes), Some(Aes)),
            (Only(Aes), Only(ChaCha), None),
            (Only(Aes), Rather(ChaCha), Some(Aes)),
            (Only(ChaCha), Rather(Aes), Some(ChaCha)),
            (Rather(Aes), Rather(Aes), Some(Aes)),
            (Rather(Aes), Rather(ChaCha), Some(ChaCha)),
            (Rather(ChaCha), Rather(ChaCha), Some(ChaCha)),
        ] {
            assert_eq!(one.agree(two), agreed, "{one:?} {two:?}");
            assert_eq!(two.agree(one), agreed, "{two:?} {one:?}");
        }
    }

    #[test]
    fn an_offer_survives_the_wire() {
        let known: Vec<_> = (0..=255).filter_map(Offer::numbered).collect();
        assert_eq!(known.len(), 4);
        for offer in known {
            assert_eq!(Offer::numbered(offer.number()), Some(offer));
        }
    }
}
