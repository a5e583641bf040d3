//! Whom the children run as: never root, and only whom this process can become.

use rustix::thread::CapabilitySet;

/// What it takes to run children as somebody else, and to end them.
const TO_CHANGE: CapabilitySet = CapabilitySet::SETUID
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::KILL);

/// A user that is not root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// As the operator wrote it.
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

/// What this process is and may.
#[derive(Debug, Clone, Copy)]
pub struct Rights {
    pub uid: u32,
    pub effective: CapabilitySet,
}

impl User {
    /// A name out of `passwd`, the text of passwd(5), or `UID[:GID]`. A number without a group has
    /// the group that `passwd` knows for it, or else the one of the same number.
    ///
    /// # Errors
    /// Why not, in words for the operator.
    pub fn parse(text: &str, passwd: &str) -> Result<Self, String> {
        let (uid, gid) = ids(text, passwd)?;
        if uid == 0 {
            return Err("must not be root (uid 0)".to_owned());
        }
        if gid == 0 {
            return Err("must not be in root's group (gid 0)".to_owned());
        }
        let name = text.to_owned();
        Ok(Self { name, uid, gid })
    }

    /// Whether children must change to this user, who may be the one we are.
    ///
    /// # Errors
    /// When they cannot, in words for the operator.
    pub fn changes(&self, rights: Rights) -> Result<bool, String> {
        if self.uid == rights.uid {
            return Ok(false);
        }
        // Who cannot administer the network only checks a configuration that another will run.
        let daemon = rights.effective.contains(CapabilitySet::NET_ADMIN);
        // Only root's child gives up the groups of its parent.
        let can = rights.uid == 0 && rights.effective.contains(TO_CHANGE);
        if daemon && !can {
            return Err(format!(
                "cannot run programs as {} (uid {}): that takes root with CAP_SETUID, CAP_SETGID \
                 and CAP_KILL, and this process is uid {} with capabilities {:#x}; start \
                 srv6pipes with them, or run it as a user of its own and name that one here",
                self.name,
                self.uid,
                rights.uid,
                rights.effective.bits()
            ));
        }
        Ok(true)
    }
}

impl Rights {
    /// Ours.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn own() -> std::io::Result<Self> {
        Ok(Self {
            uid: rustix::process::getuid().as_raw(),
            effective: rustix::thread::capabilities(None)?.effective,
        })
    }
}

fn ids(text: &str, passwd: &str) -> Result<(u32, u32), String> {
    // name:password:uid:gid:…
    let mut known = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, uid, gid) = (fields.next()?, fields.nth(1)?, fields.next()?);
        Some((name, uid.parse::<u32>().ok()?, gid.parse::<u32>().ok()?))
    });
    let number = |text: &str| {
        let number = text.parse::<u32>().ok();
        // (uid_t) −1 means "leave it as it is" to setresuid(2).
        number.filter(|number| *number != u32::MAX)
    };
    if let Some((uid, gid)) = text.split_once(':') {
        let both = number(uid).zip(number(gid));
        return both.ok_or_else(|| "must be a user's name, a UID or UID:GID".to_owned());
    }
    if let Some(uid) = number(text) {
        let found = known.find(|(_, known, _)| *known == uid);
        return Ok((uid, found.map_or(uid, |(_, _, gid)| gid)));
    }
    let found = known.find(|(name, _, _)| *name == text);
    let (_, uid, gid) = found.ok_or_else(|| format!("there is no user {text} in /etc/passwd"))?;
    Ok((uid, gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/:/bin/sh\n\
        rust:x:1000:1001::/:\n+::::\nbroken\nnobody:*:65534:65534:nobody:/var:/bin/false\n";

    fn ids(text: &str) -> Result<(u32, u32), String> {
        User::parse(text, PASSWD).map(|user| (user.uid, user.gid))
    }

    #[test]
    fn names_and_numbers_are_users() {
        assert_eq!(ids("nobody"), Ok((65534, 65534)));
        assert_eq!(ids("rust"), Ok((1000, 1001)));
        assert_eq!(ids("1000"), Ok((1000, 1001)));
        assert_eq!(ids("4711"), Ok((4711, 4711)));
        assert_eq!(ids("4711:33"), Ok((4711, 33)));
    }

    #[test]
    fn root_is_refused_by_every_name() {
        for root in ["root", "0", "0:5", "00"] {
            let refused = ids(root).unwrap_err();
            assert_eq!(refused, "must not be root (uid 0)", "{root}");
        }
        let refused = ids("5:0").unwrap_err();
        assert_eq!(refused, "must not be in root's group (gid 0)");
    }

    #[test]
    fn what_is_no_user_is_refused() {
        for wrong in ["", "nobody:nogroup", ":", "-1", "4294967295", "someone"] {
            ids(wrong).unwrap_err();
        }
    }

    #[test]
    fn who_cannot_change_says_so_before_the_first_flow() {
        let nobody = User::parse("nobody", PASSWD).unwrap();
        let jail = CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW;
        let rights = |uid, effective| Rights { uid, effective };
        let root = rights(0, CapabilitySet::all());
        assert_eq!(nobody.changes(root), Ok(true));
        for uid in [0, 453] {
            let refused = nobody.changes(rights(uid, jail)).unwrap_err();
            assert!(refused.contains("CAP_SETUID"), "{refused}");
        }
        // The jailed daemon's own user, and somebody who only checks.
        assert_eq!(nobody.changes(rights(65534, jail)), Ok(false));
        let anyone = rights(1000, CapabilitySet::empty());
        assert_eq!(nobody.changes(anyone), Ok(true));
    }
}
