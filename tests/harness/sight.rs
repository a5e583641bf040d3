//! What a client sees of one attempt to reach a server.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, SocketAddrV6, TcpStream};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Socket, Type};

use srv6pipes::demo::namespace::Namespace;

use super::{PATIENCE, wait_for};

/// All there is to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// connect(2) succeeds, and what is sent comes back.
    Echo,
    /// connect(2) fails.
    Fails(Errno),
    /// connect(2) succeeds, and then the connection is reset.
    ConnectsThenReset,
    /// connect(2) goes on waiting.
    Silence,
}

/// An attempt that goes on by itself.
#[derive(Debug)]
pub struct Attempt {
    stream: TcpStream,
}

impl Attempt {
    /// Begins to connect from inside `namespace` to an echo server, from any port.
    pub fn begin(namespace: &Namespace, server: SocketAddrV6) -> Self {
        let any = SocketAddrV6::new([0; 16].into(), 0, 0, 0);
        Self::begin_from(namespace, any, server)
    }

    /// The same from `client`, also where that port is in TIME_WAIT in `namespace`; as soon as
    /// the kernel has done with an earlier connection of it.
    pub fn begin_from(namespace: &Namespace, client: SocketAddrV6, server: SocketAddrV6) -> Self {
        let socket = namespace
            .run(|| Socket::new(Domain::IPV6, Type::STREAM.nonblocking(), None))
            .unwrap()
            .unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&client.into()).unwrap();
        wait_for("connect to begin", || {
            match socket.connect(&server.into()).map_err(|e| errno(&e)) {
                Err(Errno::EINPROGRESS) => Some(()),
                // The last FIN of the earlier one is not acknowledged yet.
                Err(Errno::EADDRNOTAVAIL) => None,
                answer => panic!("connect did not begin: {answer:?}"),
            }
        });
        Self {
            stream: socket.into(),
        }
    }

    /// The client's end.
    pub fn client(&self) -> SocketAddrV6 {
        let SocketAddr::V6(client) = self.stream.local_addr().unwrap() else {
            panic!("an IPv6 socket has an IPv4 address")
        };
        client
    }

    /// Whether connect(2) has neither succeeded nor failed yet.
    pub fn is_pending(&self) -> bool {
        let mut wanted = [PollFd::new(self.stream.as_fd(), PollFlags::POLLOUT)];
        poll(&mut wanted, PollTimeout::ZERO).unwrap() == 0
    }

    /// What comes of it; [`Sight::Silence`] if nothing has when `patience` says that it is
    /// over.
    pub fn sight(self, mut patience: impl FnMut() -> bool) -> Sight {
        let silent = wait_for("connect to end, or patience", || {
            if !self.is_pending() {
                return Some(false);
            }
            patience().then_some(true)
        });
        if silent && self.is_pending() {
            return Sight::Silence;
        }
        match self.stream.take_error().unwrap() {
            // Linux says this only of a connection that stood.
            Some(error) if error.kind() == ErrorKind::ConnectionReset => Sight::ConnectsThenReset,
            Some(error) => Sight::Fails(errno(&error)),
            None => self.echo(),
        }
    }

    fn echo(mut self) -> Sight {
        self.stream.set_nonblocking(false).unwrap();
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = [0; 4];
        let echoed = self
            .stream
            .write_all(b"ping")
            .and_then(|()| self.stream.read_exact(&mut answer));
        match echoed {
            Ok(()) => {
                assert_eq!(&answer, b"ping");
                Sight::Echo
            }
            // A write to a connection that was reset is EPIPE if the reset was reported before.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                ) =>
            {
                Sight::ConnectsThenReset
            }
            Err(error) => panic!("connected, then {error}"),
        }
    }

    /// The connection, once it stands.
    pub fn connected(self) -> io::Result<TcpStream> {
        wait_for("connect to end", || (!self.is_pending()).then_some(()));
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        self.stream.set_nonblocking(false)?;
        self.stream.set_read_timeout(Some(PATIENCE))?;
        Ok(self.stream)
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap())
}
