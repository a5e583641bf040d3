//! The parts of a TCP header that decide about a SYN.
//!
//! Read by [`super::syn`] behind the extension headers. Read first: RFC 9293 sections 3.1 and 3.2;
//! for MP_CAPABLE RFC 8684 section 3.1.

use crate::wire::{Error, Structure, require, u16_at};

/// Octets of the header without options.
pub const MIN_HEADER_LEN: usize = 20;

/// The control bits, as in octet 13 of the header.
pub mod flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
}

/// Option kinds from IANA's "TCP Option Kind Numbers".
mod kind {
    pub const END: u8 = 0;
    pub const NO_OPERATION: u8 = 1;
    pub const MSS: u8 = 2;
    pub const MPTCP: u8 = 30;
}

/// RFC 9293 section 3.1:
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-------------------------------+-------------------------------+
/// |          Source Port          |       Destination Port        |
/// +-------------------------------+-------------------------------+
/// |                        Sequence Number                        |
/// +---------------------------------------------------------------+
/// |                    Acknowledgment Number                      |
/// +-------+-------+---------------+-------------------------------+
/// |Offset | Rsrvd | Control Bits  |            Window             |
/// +-------+-------+---------------+-------------------------------+
/// |           Checksum            |         Urgent Pointer        |
/// +-------------------------------+-------------------------------+
/// |                           [Options]                           |
/// +---------------------------------------------------------------+
/// ```
mod field {
    pub const SOURCE_PORT: usize = 0;
    pub const DESTINATION_PORT: usize = 2;
    pub const SEQUENCE_NUMBER: usize = 4;
    pub const DATA_OFFSET: usize = 12;
    pub const FLAGS: usize = 13;
    pub const OPTIONS: usize = 20;
}

/// View of a TCP header; octets behind it are allowed.
#[derive(Debug, Clone, Copy)]
pub struct Tcp<T: AsRef<[u8]>> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Tcp<T> {
    /// A view of `buffer`, which starts at the TCP header.
    ///
    /// # Errors
    /// When the header or one of its options is cut short, or says a length that cannot be.
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let tcp = Self { buffer };
        tcp.check_len()?;
        Ok(tcp)
    }

    fn check_len(&self) -> Result<(), Error> {
        let bytes = self.buffer.as_ref();
        require(Structure::Tcp, bytes, MIN_HEADER_LEN)?;
        let length = self.header_len();
        if length < MIN_HEADER_LEN {
            return Err(Error::BadLength {
                structure: Structure::Tcp,
                length,
            });
        }
        require(Structure::Tcp, bytes, length)?;
        self.options().try_for_each(|option| option.map(drop))
    }

    /// The sender's port.
    pub fn source_port(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::SOURCE_PORT)
    }

    /// The receiver's port.
    pub fn destination_port(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::DESTINATION_PORT)
    }

    /// The sequence number; of a SYN the initial one.
    pub fn sequence_number(&self) -> u32 {
        let bytes = self.buffer.as_ref();
        u32::from(u16_at(bytes, field::SEQUENCE_NUMBER)) << 16
            | u32::from(u16_at(bytes, field::SEQUENCE_NUMBER + 2))
    }

    /// Length of the header with its options in octets.
    pub fn header_len(&self) -> usize {
        usize::from(self.buffer.as_ref()[field::DATA_OFFSET] >> 4) * 4
    }

    /// The control bits; see [`flag`].
    pub fn flags(&self) -> u8 {
        self.buffer.as_ref()[field::FLAGS]
    }

    /// SYN and neither ACK, RST nor FIN: it opens a connection.
    pub fn is_bare_syn(&self) -> bool {
        self.flags() & (flag::SYN | flag::ACK | flag::RST | flag::FIN) == flag::SYN
    }

    /// The options; each one is `Ok` in a checked view.
    pub fn options(&self) -> Options<'_> {
        Options {
            rest: &self.buffer.as_ref()[field::OPTIONS..self.header_len()],
        }
    }

    /// The largest segment the sender takes, in octets.
    pub fn mss(&self) -> Option<u16> {
        self.options()
            .flatten()
            .find_map(|option| match (option.kind, option.value) {
                (kind::MSS, &[high, low]) => Some(u16::from_be_bytes([high, low])),
                _ => None,
            })
    }

    /// Whether the sender offers MPTCP (option 30 of subtype 0).
    pub fn is_mp_capable(&self) -> bool {
        self.options()
            .flatten()
            .any(|option| option.kind == kind::MPTCP && matches!(option.value, [0..=0x0f, ..]))
    }
}

/// One option other than "end" and "no operation".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpOption<'a> {
    /// Its kind.
    pub kind: u8,
    /// What follows kind and length.
    pub value: &'a [u8],
}

/// Iterator over the options, 40 octets of them at most; stops after the first error.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<TcpOption<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&kind, rest) = std::mem::take(&mut self.rest).split_first()?;
            match kind {
                kind::END => return None,
                kind::NO_OPERATION => self.rest = rest,
                kind => return Some(self.read(kind, rest)),
            }
        }
    }
}

impl<'a> Options<'a> {
    /// `rest` starts at the length, which counts itself and the kind.
    fn read(&mut self, kind: u8, rest: &'a [u8]) -> Result<TcpOption<'a>, Error> {
        let structure = Structure::TcpOption;
        require(structure, rest, 1)?;
        let length = usize::from(rest[0]);
        let Some(end) = length.checked_sub(1).filter(|&end| end > 0) else {
            return Err(Error::BadLength { structure, length });
        };
        let Some((option, rest)) = rest.split_at_checked(end) else {
            let available = rest.len() + 1;
            return Err(Error::Truncated {
                structure,
                needed: length,
                available,
            });
        };
        self.rest = rest;
        Ok(TcpOption {
            kind,
            value: &option[1..],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `options` must be a multiple of four octets.
    fn header(flags: u8, options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xff; MIN_HEADER_LEN];
        bytes[field::DATA_OFFSET] =
            u8::try_from((MIN_HEADER_LEN + options.len()) / 4).unwrap() << 4;
        bytes[field::FLAGS] = flags;
        bytes.extend_from_slice(options);
        bytes
    }

    #[test]
    fn only_a_syn_alone_is_bare() {
        for flags in 0..=u8::MAX {
            let bare = Tcp::new_checked(header(flags, &[])).unwrap().is_bare_syn();
            assert_eq!(bare, flags & 0b1_0111 == 0b0_0010, "{flags:#010b}");
        }
    }

    #[test]
    fn options_are_read_up_to_the_end_option() {
        let tcp = Tcp::new_checked(header(flag::SYN, &[1, 1, 2, 4, 5, 0xa0, 0, 99])).unwrap();
        let options: Vec<_> = tcp.options().collect();
        assert_eq!(
            options,
            [Ok(TcpOption {
                kind: kind::MSS,
                value: &[5, 0xa0]
            })]
        );
        assert_eq!((tcp.mss(), tcp.is_mp_capable()), (Some(1440), false));
    }

    #[test]
    fn only_subtype_0_of_mptcp_is_mp_capable() {
        for subtype in 0..16 {
            let options = [kind::MPTCP, 4, subtype << 4 | 1, 0];
            let tcp = Tcp::new_checked(header(flag::SYN, &options)).unwrap();
            assert_eq!(tcp.is_mp_capable(), subtype == 0, "{subtype}");
        }
        let tcp = Tcp::new_checked(header(flag::SYN, &[kind::MPTCP, 2, 0, 0])).unwrap();
        assert!(!tcp.is_mp_capable());
    }

    #[test]
    fn an_option_without_a_length_is_refused() {
        let error = Tcp::new_checked(header(flag::SYN, &[1, 1, 1, kind::MSS])).unwrap_err();
        let structure = Structure::TcpOption;
        assert_eq!(
            error,
            Error::Truncated {
                structure,
                needed: 1,
                available: 0
            }
        );
    }
}
