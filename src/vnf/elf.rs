//! Looks at a module as far as `dlopen` does not, or not in words for people: elf(5).
//!
//! A file cut short, as a full flash leaves it, is what matters most: the dynamic linker maps what
//! the program headers promise, and touching what lies behind the end of the file is SIGBUS.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What `e_ident` begins with.
const MAGIC: &[u8] = b"\x7fELF";
/// Bytes of the file header, of the larger class.
const HEADER: usize = 64;
/// `e_type` of a shared object.
const ET_DYN: u64 = 3;
/// `p_type` of what is mapped.
const PT_LOAD: u64 = 1;
/// We are of the 64-bit class, and so are the modules.
const WIDE: bool = cfg!(target_pointer_width = "64");

/// What an ELF file is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole shared object of our own class, byte order and machine.
    Module,
    /// Something else.
    Foreign,
    /// A shared object that lacks some of what is to be mapped.
    Torn,
}

/// What a file is.
///
/// # Errors
/// When it, or our own binary, cannot be read.
pub fn kind(file: &File) -> io::Result<Kind> {
    let size = file.metadata()?.len();
    let (its, ours) = (head(file)?, head(&File::open("/proc/self/exe")?)?);
    let same = |from: usize, to: usize| its.get(from..to) == ours.get(from..to);
    // EI_CLASS and EI_DATA, and behind e_type, e_machine.
    if !its.starts_with(MAGIC)
        || !same(4, 6)
        || number(&its, 16, 2) != Some(ET_DYN)
        || !same(18, 20)
    {
        return Ok(Kind::Foreign);
    }
    // e_phoff, e_phentsize, e_phnum, and in an entry p_offset and p_filesz.
    let (at, entry_at, word, offset_at, length_at) = if WIDE {
        (32, 54, 8, 8, 32)
    } else {
        (28, 42, 4, 4, 16)
    };
    let (Some(table), Some(entry), Some(count)) = (
        number(&its, at, word),
        number(&its, entry_at, 2),
        number(&its, entry_at + 2, 2),
    ) else {
        return Ok(Kind::Torn);
    };
    for n in 0..count {
        let mut bytes = [0; HEADER];
        let place = n
            .checked_mul(entry)
            .and_then(|start| start.checked_add(table));
        let read = place.map_or(Ok(0), |place| file.read_at(&mut bytes, place))?;
        let bytes = &bytes[..read];
        let end = number(bytes, offset_at, word)
            .zip(number(bytes, length_at, word))
            .and_then(|(offset, length)| offset.checked_add(length));
        match (number(bytes, 0, 4), end) {
            (Some(PT_LOAD), Some(end)) if end > size => return Ok(Kind::Torn),
            (Some(_), Some(_)) => {}
            _ => return Ok(Kind::Torn),
        }
    }
    Ok(Kind::Module)
}

/// The file header, or what there is of it.
fn head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEADER];
    let read = file.read_at(&mut head, 0)?;
    head.truncate(read);
    Ok(head)
}

/// The number of so many bytes at a place, in our own byte order.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(width)?)?;
    match *bytes {
        [a, b] => Some(u64::from(u16::from_ne_bytes([a, b]))),
        [a, b, c, d] => Some(u64::from(u32::from_ne_bytes([a, b, c, d]))),
        _ => bytes.try_into().map(u64::from_ne_bytes).ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use nix::sys::memfd::{MFdFlags, memfd_create};

    use super::*;

    fn kind_of(bytes: &[u8]) -> Kind {
        let mut file = File::from(memfd_create(c"elf", MFdFlags::empty()).unwrap());
        file.write_all(bytes).unwrap();
        kind(&file).unwrap()
    }

    #[test]
    fn a_shorter_file_is_seen_as_such() {
        // Our own binary is position-independent, and so of the same type as a shared object.
        let whole = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(kind_of(&whole), Kind::Module);
        for length in [64, 100, 1000, 4096] {
            assert_eq!(kind_of(&whole[..length]), Kind::Torn, "{length}");
        }
        for length in [0, 3, 4, 17] {
            assert_eq!(kind_of(&whole[..length]), Kind::Foreign, "{length}");
        }
        for length in [20, 40, 63] {
            assert_eq!(kind_of(&whole[..length]), Kind::Torn, "{length}");
        }
    }
}
