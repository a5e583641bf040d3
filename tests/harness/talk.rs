//! Flows that stay: say something, hear the echo, and say more after the test has done its worst.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use srv6pipes::demo::lab::Lab;

use super::peer::{Report, Server, connect};

/// A live flow from the laboratory's client to a server that echoes.
#[derive(Debug)]
pub struct Talk {
    stream: TcpStream,
    said: Vec<u8>,
}

impl Talk {
    /// Connects.
    pub fn begin(lab: &Lab, server: &Server) -> io::Result<Self> {
        let stream = connect(lab.client(), server.address())?;
        let said = Vec::new();
        Ok(Self { stream, said })
    }

    /// So many of them, each with a first word behind it.
    pub fn several(lab: &Lab, server: &Server, count: usize) -> Vec<Self> {
        let begin = |number: usize| {
            let mut talk = Self::begin(lab, server).unwrap();
            talk.say(format!("flow {number} begins").as_bytes())
                .unwrap();
            talk
        };
        (0..count).map(begin).collect()
    }

    /// Says `bytes` and waits for their echo.
    ///
    /// # Panics
    /// When something else comes back.
    pub fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        let mut echo = vec![0; bytes.len()];
        self.stream.read_exact(&mut echo)?;
        assert!(echo == bytes, "the echo differs");
        self.said.extend(bytes);
        Ok(())
    }

    /// Waits for what comes without having been asked for: end of stream, or a reset.
    pub fn listen(&mut self) -> io::Result<usize> {
        loop {
            match self.stream.read(&mut [0; 64]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                answer => return answer,
            }
        }
    }

    /// Ends the flow in order; all that was said, and by whom.
    ///
    /// # Panics
    /// When it does not end in order.
    pub fn end(mut self) -> (SocketAddr, Vec<u8>) {
        let client = self.client();
        self.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(self.listen().unwrap(), 0, "more than the echo came back");
        (client, self.said)
    }

    /// Where it comes from.
    pub fn client(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }
}

/// The next `count` connections that end at `server`, by client.
pub fn reports(server: &Server, count: usize) -> HashMap<SocketAddr, Report> {
    let reports = (0..count).map(|_| server.report());
    reports.map(|report| (report.client, report)).collect()
}

/// `bytes` as the stock function `xor` makes them.
pub fn xored(bytes: &[u8], key: u8) -> Vec<u8> {
    bytes.iter().map(|byte| byte ^ key).collect()
}
