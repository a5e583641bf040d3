//! A transparent relay on the library `realm_io`: `realm-relay PORT [SERVER]:PORT`. It accepts what
//! TPROXY sends to the port, goes on to the server from the client's address, and lets the
//! library move the bytes by splice.

use std::error::Error;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{FromRawFd, IntoRawFd};

use realm_io::bidi_zero_copy;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let port: u16 = words.next().ok_or("which port?")?.parse()?;
    let server: SocketAddr = words.next().ok_or("which server?")?.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let listener = transparent(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0))?;
        listener.listen(16_384)?;
        let listener = TcpListener::from_std(listener.into())?;
        loop {
            let (inbound, client) = listener.accept().await?;
            tokio::spawn(async move {
                // One flow's end is nobody else's business.
                let _ = relay(inbound, client, server).await;
            });
        }
    })
}

async fn relay(mut inbound: TcpStream, client: SocketAddr, server: SocketAddr) -> io::Result<()> {
    let SocketAddr::V6(client) = client else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    inbound.set_nodelay(true)?;
    let outbound = transparent(client)?;
    // SAFETY: a descriptor that nobody else has.
    let outbound = unsafe { TcpSocket::from_raw_fd(outbound.into_raw_fd()) };
    let mut outbound = outbound.connect(server).await?;
    outbound.set_nodelay(true)?;
    bidi_zero_copy(&mut inbound, &mut outbound).await?;
    Ok(())
}

/// A socket bound to an address that is not ours.
fn transparent(address: SocketAddrV6) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_ip_transparent_v6(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
