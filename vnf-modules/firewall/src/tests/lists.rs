//! What rules are made of: names, long lists of them, patterns.

use crate::host::{Mistake, Names, Rule, domains, name_of};
use crate::name_list::{LineMistake, NameList};
use crate::pattern::{self, MAX_PATTERN, Patterns, unescape};

#[test]
fn names_are_read_as_people_write_them() {
    for (text, name, exact) in [
        ("ads.example", "ads.example", false),
        ("Ads.Example.", "ads.example", false),
        (".ads.example", "ads.example", false),
        ("*.ads.example", "ads.example", false),
        ("=ads.example", "ads.example", true),
        ("_x.a-b", "_x.a-b", false),
        ("2001:DB8::0:1", "2001:db8::1", false),
    ] {
        let name = name.to_owned();
        assert_eq!(Rule::parse(text), Ok(Rule { name, exact }), "{text}");
    }
    let label = "x".repeat(64);
    let long = "x.".repeat(127) + "x";
    for (text, mistake) in [
        ("", Mistake::Empty),
        ("=", Mistake::Empty),
        (".", Mistake::Empty),
        ("a..b", Mistake::EmptyLabel),
        ("..a", Mistake::EmptyLabel),
        ("http://a", Mistake::Character(':')),
        ("a b", Mistake::Character(' ')),
        ("*.*.a", Mistake::Character('*')),
        ("bücher.example", Mistake::NotAscii),
        (&label, Mistake::TooLong),
        (&long, Mistake::TooLong),
    ] {
        assert_eq!(Rule::parse(text), Err(mistake), "{text}");
    }
}

#[test]
fn a_hostile_name_has_no_more_domains_than_an_honest_one() {
    let all = |name| {
        domains(name)
            .map(|d| d.escape_ascii().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(all(b"a.b.c"), ["a.b.c", "b.c", "c"]);
    assert_eq!(all(b""), [""; 0]);
    assert_eq!(all(b"."), ["."]);
    let dots = vec![b'.'; 60_000];
    assert_eq!(domains(&dots).count(), 253);
    let long = [vec![b'x'; 60_000], b".ads.example".to_vec()].concat();
    assert!(domains(&long).any(|domain| domain == b"ads.example"));
    assert_eq!(name_of(b"[junk"), b"junk");
    assert_eq!(name_of(b"a@b@[::1]:80"), b"::1");
}

#[test]
fn the_closest_rule_counts() {
    let mut names = Names::default();
    for (text, meaning) in [("example", 1), ("ads.example", 2), ("=ads.example", 3)] {
        names.add(Rule::parse(text).unwrap(), meaning);
    }
    for (name, meaning) in [
        ("ads.example", Some(&3)),
        ("x.ads.example", Some(&2)),
        ("other.example", Some(&1)),
        ("example.org", None),
    ] {
        assert_eq!(names.find(name.as_bytes()), meaning, "{name}");
    }
}

fn list(text: &[u8]) -> (NameList, Vec<(usize, LineMistake)>) {
    let mut mistakes = Vec::new();
    let list = NameList::read(text, |line, what| mistakes.push((line, what))).unwrap();
    (list, mistakes)
}

#[test]
fn files_have_names_hosts_lines_and_comments() {
    let text = b"# a list\n\nads.example # bad\n=only.example\r\n*.wild.example\n\
        127.0.0.1 localhost\n0.0.0.0 host.example other.example\n::1 ip6-loopback\n\
        fe80::1%lo0 localhost\nzip\nads.example\nlast.example";
    let (list, mistakes) = list(text);
    assert_eq!(mistakes, []);
    assert_eq!(list.len(), 7);
    for name in [
        "ads.example",
        "x.ads.example",
        "only.example",
        "y.wild.example",
        "host.example",
        "x.other.example",
        "evil.zip",
        "last.example",
    ] {
        assert!(list.fits(name.as_bytes()), "{name}");
    }
    for name in ["x.only.example", "localhost", "a.localhost", "example", ""] {
        assert!(!list.fits(name.as_bytes()), "{name}");
    }
}

#[test]
fn mistakes_in_files_have_their_line() {
    let (list, mistakes) = list(b"good.example\n||ads.example^\na b\n\xff\n0.0.0.0 a..b x_y.z\n");
    let name = |name: &str, mistake| LineMistake::Name(name.to_owned(), mistake);
    assert_eq!(
        mistakes,
        [
            (2, name("||ads.example^", Mistake::Character('|'))),
            (3, LineMistake::Words),
            (4, LineMistake::Text),
            (5, name("a..b", Mistake::EmptyLabel)),
        ]
    );
    assert_eq!(list.len(), 1);
}

#[test]
fn a_list_of_many_names_takes_eight_bytes_for_each() {
    let text: String = (0..100_000)
        .map(|n| format!("host{n}.ads{n}.example\n"))
        .collect();
    let (list, mistakes) = list(text.as_bytes());
    assert_eq!((list.len(), mistakes.len()), (100_000, 0));
    assert!(list.fits(b"www.host99999.ads99999.example"));
    assert!((0..100_000).all(|n| !list.fits(format!("ads{n}.example").as_bytes())));
}

#[test]
fn patterns_have_escapes() {
    assert_eq!(
        unescape(br"GET /\x00\xFf\r\n\t\\x"),
        Ok(b"GET /\x00\xff\r\n\t\\x".to_vec())
    );
    for wrong in [r"\", r"a\x", r"\x1", r"\x1g", r"\q"] {
        assert_eq!(
            unescape(wrong.as_bytes()),
            Err(pattern::Mistake::Escape),
            "{wrong}"
        );
    }
    assert_eq!(unescape(b""), Err(pattern::Mistake::Empty));
    assert!(unescape(&[b'x'; MAX_PATTERN]).is_ok());
    assert_eq!(
        unescape(&[b'x'; MAX_PATTERN + 1]),
        Err(pattern::Mistake::TooLong)
    );
}

#[test]
fn what_may_become_a_match_is_known_at_every_byte() {
    let patterns = ["abcab", "bcx", "cab", "aaaa"].map(|p| p.as_bytes().to_vec());
    let automaton = Patterns::new(&patterns).unwrap();
    let mut state = 1_u32;
    for _ in 0..200 {
        let mut cursor = automaton.begin();
        let mut stream = Vec::new();
        for _ in 0..40 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            stream.push(b"abcx"[(state >> 30) as usize]);
            let found = automaton.search(&mut cursor, &stream[stream.len() - 1..]);
            let expected = patterns.iter().find(|pattern| stream.ends_with(pattern));
            assert_eq!(
                found.is_some(),
                expected.is_some(),
                "{}",
                stream.escape_ascii()
            );
            if found.is_some() {
                break;
            }
            let prefixes = patterns.iter().flat_map(|p| (1..p.len()).map(|n| &p[..n]));
            let longest = prefixes
                .filter(|p| stream.ends_with(p))
                .map(<[u8]>::len)
                .max();
            assert_eq!(automaton.pending(cursor), longest.unwrap_or(0));
        }
    }
}
