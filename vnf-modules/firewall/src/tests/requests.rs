//! Heads of requests: honest ones, odd ones that some server takes, and other protocols.

use crate::host::name_of;
use crate::request::{Head, Said};

/// The names in a request, and how it ends; the same when it comes byte by byte.
fn names(request: &str) -> (Vec<String>, Said<'static>) {
    let read = |head: &mut Head, bytes: &[u8], names: &mut Vec<String>| {
        loop {
            match head.next(bytes) {
                Said::Host(host) => names.push(String::from_utf8(name_of(host)).unwrap()),
                Said::More => return Said::More,
                Said::Not => return Said::Not,
                Said::End => return Said::End,
            }
        }
    };
    let mut whole = Vec::new();
    let end = read(&mut Head::default(), request.as_bytes(), &mut whole);
    let (mut head, mut slowly, mut slow_end) = (Head::default(), Vec::new(), Said::More);
    for length in 0..=request.len() {
        slow_end = read(&mut head, &request.as_bytes()[..length], &mut slowly);
        if slow_end != Said::More {
            break;
        }
    }
    assert_eq!((&slowly, slow_end), (&whole, end), "{request:?}");
    (whole, end)
}

#[test]
fn hosts_are_found_where_some_server_finds_them() {
    for (request, host) in [
        ("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example"),
        (" get  /x\tHTTP/1.1 \nhOST:A.Example:80\n\n", "a.example"),
        (
            "POST / HTTP/1.0\r\nAccept: *\r\nHost : a.example. \r\n\r\n",
            "a.example",
        ),
        (
            "GET / HTTP/1.1\r\nHost:\r\n a.example\r\n\r\n",
            ",a.example",
        ),
        ("GET / HTTP/1.1\r\nX-Host: b\r\n Host: c\r\n\r\n", ""),
        (
            "GET http://u:p@a.example:8080/x HTTP/1.1\r\nHost: b\r\n\r\n",
            "a.example,b",
        ),
        ("GET HTTP://A.example?x HTTP/1.1\r\n\r\n", "a.example"),
        (
            "CONNECT a.example:443 HTTP/1.1\r\nHost: b:443\r\n\r\n",
            "a.example,b",
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "a,b"),
        (
            "GET / HTTP/1.1\r\nHost: [2001:DB8:0::1]:80\r\n\r\n",
            "2001:db8::1",
        ),
        ("GET /http://b/ HTTP/1.1\r\nReferer: http://c/\r\n\r\n", ""),
        ("GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n", "a"),
        ("M-SEARCH / HTTP/1.1\r\nnonsense\r\nHost: a\r\n\r\n", "a"),
    ] {
        let (names, end) = names(request);
        assert_eq!(
            (names.join(",").as_str(), end),
            (host, Said::End),
            "{request:?}"
        );
    }
}

#[test]
fn other_protocols_are_known_by_their_first_line() {
    for (text, end) in [
        ("GET /\r\n", Said::Not),
        ("GET / HTTPS\r\n", Said::Not),
        ("PRI * HTTP/2.0\r\n", Said::Not),
        ("OPTIONS rtsp://a/ RTSP/1.0\r\n", Said::Not),
        (" \0", Said::Not),
        ("SSH-2.0-x\r", Said::Not),
        ("GET\r\n", Said::Not),
        ("GET \0", Said::Not),
        ("(", Said::Not),
        ("A-METHOD-LONGER-THAN-ANY-REGISTRY-HAS", Said::Not),
        ("", Said::More),
        ("GET", Said::More),
        ("GET / HTTP/1.1\r", Said::More),
        ("GET / HTTP/1.1\r\nHost: a.exa", Said::More),
    ] {
        assert_eq!(names(text), (vec![], end), "{text:?}");
    }
}
