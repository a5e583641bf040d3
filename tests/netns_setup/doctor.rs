//! The doctor finds what set-up uses, and leaves nothing behind.

use srv6pipes::setup::doctor::{probe, table};

use crate::lab::{in_namespace, picture};

#[test]
fn what_set_up_needs_is_found_and_nothing_is_left() {
    in_namespace(|| {
        let before = picture();
        let findings = probe();
        println!("{}", table(&findings));
        assert_eq!(picture(), before);
        // The other tests set up on this kernel, so it has what is required.
        for finding in &findings {
            assert!(finding.offered || !finding.required, "{finding:?}");
            assert_eq!(finding.offered, finding.reason.is_none(), "{finding:?}");
        }
        let offers = |name| findings.iter().any(|f| f.feature == name && f.offered);
        assert!(offers("dummy") || offers("bridge"));
        assert!(offers("nft queue") || offers("xtables NFQUEUE in nft"));
        assert!(offers("nfnetlink_queue") && offers("seg6 routes"));
        // A namespace begins without.
        assert!(!offers("IPv6 forwarding"));
    });
}
