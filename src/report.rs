//! What people read: answers on standard output, and errors in one line, from what was tried to
//! what the kernel answered.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};

/// An error and all its causes in one line.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Writes `text` to standard output. That its reader has gone away, as `head` does, is no failure.
pub fn say(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let said = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match said {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "open the door")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn causes_follow_in_order() {
        let error = Outer(io::Error::other("it is stuck"));
        assert_eq!(Chain(&error).to_string(), "open the door: it is stuck");
    }
}
