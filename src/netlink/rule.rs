//! One IPv6 routing rule of ours, written as `ip -6 rule` writes it.
//!
//! `setup` adds and deletes these; like a route's, the text is also the journal's. Read first:
//! ip-rule(8), `include/uapi/linux/fib_rules.h`.

use std::fmt;
use std::str::FromStr;

use crate::config::model::{Device, Network};
use crate::netlink::message::{Message, attributes, c_string, u32_at};
use crate::netlink::{Error, PROTOCOL, Socket, uapi};

/// A rule that we add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The order in which rules are asked, lowest first.
    pub preference: u32,
    /// Only packets that came in by this device (`lo`: our own).
    pub device: Option<Device>,
    /// Only packets whose mark under the mask is the value.
    pub mark: Option<Masked>,
    /// Only packets to there.
    pub destination: Option<Network>,
    /// What then.
    pub action: Action,
}

/// A mark under its mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Masked {
    /// The value.
    pub value: u32,
    /// The bits that count.
    pub mask: u32,
}

/// What a matching rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Looks a table up.
    Lookup(u32),
    /// Goes on at the rule with this preference.
    Goto(u32),
    /// Nothing: a place to go on at.
    Nop,
}

/// What a listing says of a rule: enough to see whether it is in our way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its preference.
    pub preference: u32,
    /// Whether it carries our protocol number.
    pub ours: bool,
}

impl Rule {
    /// Adds the rule; `EEXIST` when there is the same already.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn add(&self, socket: &mut Socket) -> Result<(), Error> {
        let message = self
            .message(libc::RTM_NEWRULE)
            .flags(uapi::NLM_F_CREATE | uapi::NLM_F_EXCL);
        socket.request(&format_args!("add rule {self}"), message)
    }

    /// Deletes the rule; `ENOENT` when there is none like it that we made.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn delete(&self, socket: &mut Socket) -> Result<(), Error> {
        socket.request(
            &format_args!("delete rule {self}"),
            self.message(libc::RTM_DELRULE),
        )
    }

    fn message(&self, kind: u16) -> Message {
        let action = match self.action {
            Action::Lookup(_) => uapi::FR_ACT_TO_TBL,
            Action::Goto(_) => uapi::FR_ACT_GOTO,
            Action::Nop => uapi::FR_ACT_NOP,
        };
        let (table, target) = match self.action {
            Action::Lookup(table) => (Some(table.to_ne_bytes()), None),
            Action::Goto(preference) => (None, Some(preference.to_ne_bytes())),
            Action::Nop => (None, None),
        };
        let device = self.device.as_ref().map(|d| c_string(d.as_ref()));
        let mark = self.mark.map(|m| m.value.to_ne_bytes());
        let mask = self.mark.map(|m| m.mask.to_ne_bytes());
        let destination = self.destination.map(|d| d.address.octets());
        Message::new(
            kind,
            &header(self.destination.map_or(0, |d| d.length), action),
        )
        .attribute(uapi::FRA_PRIORITY, &self.preference.to_ne_bytes())
        .attribute(uapi::FRA_PROTOCOL, &[PROTOCOL])
        .maybe(uapi::FRA_IIFNAME, device.as_deref())
        .maybe(uapi::FRA_FWMARK, mark.as_ref().map(|b| &b[..]))
        .maybe(uapi::FRA_FWMASK, mask.as_ref().map(|b| &b[..]))
        .maybe(uapi::FRA_DST, destination.as_ref().map(|b| &b[..]))
        .maybe(uapi::FRA_TABLE, table.as_ref().map(|b| &b[..]))
        .maybe(uapi::FRA_GOTO, target.as_ref().map(|b| &b[..]))
    }
}

/// All IPv6 rules there are.
///
/// # Errors
/// The kernel's refusal.
pub fn list(socket: &mut Socket) -> Result<Vec<Seen>, Error> {
    let answers = socket.dump(
        &"list IPv6 rules",
        Message::new(libc::RTM_GETRULE, &header(0, 0)),
    )?;
    Ok(answers.iter().map(|answer| seen(answer)).collect())
}

/// `struct fib_rule_hdr`: family, dst_len, src_len, tos, table, two reserved, action, flags.
fn header(destination_length: u8, action: u8) -> [u8; 12] {
    let family = u8::try_from(libc::AF_INET6).expect("AF_INET6 is 10");
    [
        family,
        destination_length,
        0,
        0,
        0,
        0,
        0,
        action,
        0,
        0,
        0,
        0,
    ]
}

fn seen(answer: &[u8]) -> Seen {
    let mut rule = Seen {
        preference: 0,
        ours: false,
    };
    for (kind, value) in attributes(answer.get(12..).unwrap_or_default()) {
        match kind {
            uapi::FRA_PRIORITY => rule.preference = u32_at(value, 0).unwrap_or(0),
            uapi::FRA_PROTOCOL => rule.ours = value.first() == Some(&PROTOCOL),
            _ => {}
        }
    }
    rule
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pref {}", self.preference)?;
        if let Some(device) = &self.device {
            write!(f, " iif {device}")?;
        }
        if let Some(Masked { value, mask }) = self.mark {
            write!(f, " fwmark {value:#x}/{mask:#x}")?;
        }
        if let Some(destination) = self.destination {
            write!(f, " to {destination}")?;
        }
        match self.action {
            Action::Lookup(table) => write!(f, " lookup {table}")?,
            Action::Goto(preference) => write!(f, " goto {preference}")?,
            Action::Nop => f.write_str(" type nop")?,
        }
        write!(f, " protocol {PROTOCOL}")
    }
}

/// A line that is not a rule as we write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotARule;

impl FromStr for Rule {
    type Err = NotARule;

    fn from_str(text: &str) -> Result<Self, NotARule> {
        parse(text).ok_or(NotARule)
    }
}

fn parse(text: &str) -> Option<Rule> {
    let mut words = text.split(' ');
    let (mut preference, mut device, mut mark, mut destination, mut action) =
        (None, None, None, None, None);
    while let Some(key) = words.next() {
        let value = words.next()?;
        match (key, value) {
            ("pref", n) => preference = Some(n.parse().ok()?),
            ("iif", name) => device = Some(name.parse().ok()?),
            ("fwmark", masked) => {
                let (value, mask) = masked.split_once('/')?;
                let hex = |t: &str| u32::from_str_radix(t.strip_prefix("0x")?, 16).ok();
                mark = Some(Masked {
                    value: hex(value)?,
                    mask: hex(mask)?,
                });
            }
            ("to", prefix) => destination = Some(prefix.parse().ok()?),
            ("lookup", n) => action = Some(Action::Lookup(n.parse().ok()?)),
            ("goto", n) => action = Some(Action::Goto(n.parse().ok()?)),
            ("type", "nop") => action = Some(Action::Nop),
            ("protocol", _) => {}
            _ => return None,
        }
    }
    Some(Rule {
        preference: preference?,
        device,
        mark,
        destination,
        action: action?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_reads_back_as_it_was_written() {
        for text in [
            "pref 100 iif lo goto 102 protocol 43",
            "pref 101 fwmark 0x100/0x100 lookup 500 protocol 43",
            "pref 102 type nop protocol 43",
            "pref 103 fwmark 0x200/0xff00 to fd00:99::1/128 goto 400 protocol 43",
        ] {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "pref 1",
            "type nop",
            "pref 1 type",
            "pref 1 fwmark 1 type nop",
        ] {
            assert_eq!(text.parse::<Rule>(), Err(NotARule), "{text}");
        }
    }
}
